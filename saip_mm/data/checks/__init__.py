"""Checks of images and annotations before training."""
