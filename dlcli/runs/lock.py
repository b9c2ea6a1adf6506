"""One trainer at a time: a file that the system unlocks when its process ends, however it ends."""

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

_LONGEST = 20
_MOMENT = 0.05


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Holds a run folder against other trainers.

    The lock's file stays behind, and says nothing by being there.

    Args:
        run: the run folder.

    Raises:
        RunError: if another process holds it, with that process's number.
        OSError: if the lock can't be made.
    """
    descriptor = _opened(run, os.O_CREAT)
    try:
        if not _lock_soon(descriptor):
            raise RunError(
                f"{run}: process {_holder(descriptor)} is training it; wait until it ends, or end "
                "it first"
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)  # which unlocks it


def holder_of(run: Path) -> str | None:
    """The number of the process that trains a run, if there is one."""
    try:
        descriptor = _opened(run)
    except OSError:  # there is none, or it is a stranger's
        return None
    try:
        return None if _lock(descriptor) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _lock_soon(descriptor: int) -> bool:
    """Locks, even if another process just now looks whether the run is held."""
    if _lock(descriptor):
        return True
    time.sleep(_MOMENT)
    return _lock(descriptor)


def _opened(run: Path, flags: int = 0) -> int:
    # Not through a link, which may lead anywhere.
    flags |= os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    return os.open(run / LOCK, flags, 0o666)


def _holder(descriptor: int) -> str:
    number = os.read(descriptor, _LONGEST).decode("ascii", "replace").strip()
    return number if number.isdecimal() else "?"


if sys.platform == "win32":
    import msvcrt

    _BEHIND = 2**30
    """A byte behind the content is locked, so that others may read that."""

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _BEHIND, os.SEEK_SET)
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
    """What file systems say that know no locks, such as some over a network: all are free there."""

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
