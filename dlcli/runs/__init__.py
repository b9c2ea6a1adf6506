"""The run folder: the result of a training. Only this package reads and writes its files.

`new_run` creates a folder and yields a `RunWriter`; `open_run` and `latest_run` return a `Run`. The
manifest is written last, so a folder without it is an unfinished run.
"""
