"""Checks of images and annotations before a training begins."""
