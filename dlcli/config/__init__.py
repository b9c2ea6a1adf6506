"""The config: its schema, YAML with positions, overrides, JSON Schema, and the search space."""
