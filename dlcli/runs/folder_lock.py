"""A lock that lets one process at a time train a run; the system releases it with the process."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlcli.errors import RunError

LOCK = "lock"

_MAX_PID_BYTES = 20
_RETRY_SECONDS = 0.05


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Lock a run folder against other processes.

    The lock file remains, and means nothing by itself.

    Args:
        run: the run folder.

    Raises:
        RunError: if another process has the lock, with its number.
        OSError: if the lock file can't be made.
    """
    descriptor = _open(run, os.O_CREAT)
    try:
        if not _lock(descriptor):
            time.sleep(_RETRY_SECONDS)  # another process may just be testing the lock
            if not _lock(descriptor):
                raise RunError(
                    f"{run}: process {_pid(descriptor)} is training it; wait until it ends, or end "
                    "it first"
                )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)  # which releases the lock


def holder_of(run: Path) -> str | None:
    """Return the number of the process that trains a run, or `None`."""
    try:
        descriptor = _open(run)
    except OSError:  # there is no lock file, or it is another user's
        return None
    try:
        return None if _lock(descriptor) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _open(run: Path, flags: int = 0) -> int:
    # Not through a link, which may lead anywhere.
    flags |= os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    return os.open(run / LOCK, flags, 0o666)


def _pid(descriptor: int) -> str:
    number = os.read(descriptor, _MAX_PID_BYTES).decode("ascii", "replace").strip()
    return number if number.isdecimal() else "?"


if sys.platform == "win32":
    import msvcrt

    _OFFSET = 2**30
    """A byte after the content is locked, so that others can read the content."""

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    _NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)
    """Errors of file systems without locks, as some over a network: all runs are free there."""

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
