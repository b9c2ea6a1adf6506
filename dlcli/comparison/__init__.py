"""Comparison of runs: differing settings, metrics, and which differences are significant."""
