"""The process of the command line: `dlcli`, or `python -m dlcli`."""

import atexit
import gc
import os
import sys


def _open_closed_streams() -> None:
    """Open the null device in place of standard streams that are closed, as by `>&-`.

    Else the next files that are opened would take their numbers, and what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the lowest free number, which is that of the closed stream.
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def run() -> None:
    """Run the program in a separate process, most of whose time may be its start.

    Imports make many objects and hardly any garbage, so nothing is collected before training, nor
    at exit. pydantic's plugins are not for this program.
    """
    _open_closed_streams()
    gc.disable()
    atexit.register(gc.freeze)  # or the interpreter would collect at last
    # The user's keras.json may name another backend, or a float type that changes the weights.
    # There is none below the null device, and none can be written.
    os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from dlcli.cli.program import main

    main(prog_name="dlcli")


if __name__ == "__main__":
    run()
