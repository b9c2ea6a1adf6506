"""The process of the command line: `dlcli`, or `python -m dlcli`."""

import atexit
import gc
import os


def run() -> None:
    """Run the program in a process of its own, most of whose time may be its start.

    Imports make many objects and hardly any garbage, so nothing is collected before training, nor
    at exit. pydantic's plugins are not for this program, and searching for them takes long.
    """
    gc.disable()
    atexit.register(gc.freeze)  # or the interpreter would collect at last
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from dlcli.cli import main

    main(prog_name="dlcli")


if __name__ == "__main__":
    run()
