"""The language of configs: sections with types and messages, YAML documents, URLs."""
