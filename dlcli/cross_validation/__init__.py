"""Cross-validation: the same config trained without each fold in turn, and judged by it."""
