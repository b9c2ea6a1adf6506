"""A run and a table to predictions and metrics, in NumPy alone."""
