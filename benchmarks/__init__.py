"""Benchmarks of training, start-up, encoding and prediction: `python -m benchmarks`."""
