"""Config and layout to the list of layers, and their forward pass in NumPy."""
