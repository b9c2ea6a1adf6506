"""The run folder: the result of a training. Only this package reads and writes its files.

`new_run` makes a folder and gives a `RunWriter`; `open_run` and `latest_run` give a `Run`. The
manifest is written last: a folder without it is an unfinished run.
"""
