"""The types of columns: one module for each, with everything that depends on the type."""
