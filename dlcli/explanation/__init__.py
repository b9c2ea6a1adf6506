"""Explanation of a trained network: its data, layers and predictions.

`train` stores it as a part of the run, so that later readers need neither the data nor TensorFlow,
and its size does not grow with the table.
"""
