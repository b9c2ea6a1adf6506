"""The layers of a network, built from config and layout, and their forward pass in NumPy."""
