"""How fast dlcli trains, starts, encodes and predicts, beside others: `python -m benchmarks`."""
