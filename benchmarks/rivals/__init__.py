"""The same training, written for one library a module.

Each module has a function `train(workload, rows, epochs)` that trains from arrays to weights and
returns its marks. A module imports its library as it is loaded, so importing is not measured.
"""
