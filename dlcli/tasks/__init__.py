"""Prediction tasks: one class for each kind of target, with everything that depends on it."""
