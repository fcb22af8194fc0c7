"""Experiments: configs × seeds, trained, probed and put into one table."""
