"""Explanation of a trained network: its data, layers and predictions.

`train` stores it in the run folder, so reports need neither the data nor TensorFlow. Its size does
not grow with the table.
"""
