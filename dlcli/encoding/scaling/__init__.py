"""Scalings of numbers, for features and targets alike."""
