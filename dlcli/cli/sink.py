"""Where a verb's output goes: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dlcli.errors import UsageError


@contextmanager
def sink(output: Path | None) -> Iterator[BinaryIO]:
    """Opens standard output, or a new file that gets its name once the block has ended well.

    Raises:
        UsageError: if the file can't be made.
        OSError: with the file's name, if its content can't be stored.
    """
    if output is None:
        yield sys.stdout.buffer
        return
    from dlcli.runs import os_error_text, write_atomically

    try:
        with write_atomically(output) as temporary:
            try:
                stream = temporary.open("wb")
            except OSError as error:
                raise UsageError(f"{output}: can't be written: {os_error_text(error)}") from None
            with stream:
                yield stream
    except OSError as error:  # names the temporary file, or none
        raise OSError(error.errno, os_error_text(error), str(output)) from error
