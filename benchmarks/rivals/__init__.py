"""The same training with several libraries, one module each.

Each module has a function `train(workload, data, epochs)` that trains from arrays to weights and
returns the ends of its epochs. A module imports its library when it is loaded, so that imports are
not measured. The others are plain Keras scripts.
"""
