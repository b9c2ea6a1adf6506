"""Files written whole or not at all, and opened only if they are what they seem."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from dlcli.errors import RunError

_NO_SYNC = (errno.EBADF, errno.EINVAL, errno.ENOTSUP)
"""What file systems say that sync no folders, such as some over a network."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Writes a file so that it is there whole or not at all, whatever happens meanwhile.

    Yields:
        a path beside it, of the same ending, to write the content to.

    Raises:
        OSError: if the content can't be stored; nothing is left then.
    """
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    with suppress(OSError):
        temporary.unlink()  # of a crash; or a link, which may lead anywhere
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # what went wrong before is the error to show
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    with path.open("rb+") as stream:  # some systems sync only what may be written
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, where that can be waited for."""
    if os.name == "nt":  # folders can't be opened there
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # one may write in it, but not list it
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def open_regular_file(path: Path) -> Iterator[BufferedReader]:
    """Opens a file of a finished run for reading.

    Raises:
        RunError: if it is missing, can't be read, or is a link or anything else but a file; a link
            could lead to what the user never meant to show.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise damaged(path, "is no plain file but a link, a folder or a device")
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise damaged(path, "is missing") from None
    except OSError as error:
        raise RunError(f"{path}: can't be read: {os_error_text(error)}") from error


def sha256(stream: BufferedReader) -> str:
    """The SHA-256 of all that is left in a stream, as 64 hexadecimal digits."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(path: Path, finding: str) -> RunError:
    """The error for a file of a run that is not what dlcli has written."""
    return RunError(f"{path}: {finding}; restore the run from a copy, or train it again")


def os_error_text(error: OSError) -> str:
    """What the system says went wrong, without number and path."""
    return error.strerror or str(error)
