"""How fast dlcli trains and starts, beside plain Keras and others: `python -m benchmarks`."""
