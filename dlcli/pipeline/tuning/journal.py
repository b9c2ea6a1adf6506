"""The file in a run folder in which the trials of a search are kept.

It is Optuna's journal: a line of JSON for all that happens, so that it can be read by Optuna's own
tools, and nothing in it is ever carried out.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import RunError, TrainingError
from dlcli.pipeline.search_document import quiet_optuna
from dlcli.runs import damaged, os_error_text, sync

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.storages.journal._file import BaseJournalFileLock

JOURNAL = "study.journal"
"""The file in the run folder."""
LOCK = f"{JOURNAL}.lock"
"""What is held while somebody writes to the journal."""

_LONGEST = 2**32
"""Most bytes of a journal that is read."""


def open_journal(folder: Path) -> BaseStorage:
    """Opens the journal of a run folder, which is made if there is none.

    Args:
        folder: the run folder, which a stranger may have made.

    Raises:
        RunError: if it is no journal.
        TrainingError: if it can't be stored.
    """
    with quiet_optuna():
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = folder / JOURNAL
        _check_plain(path)
        try:
            return JournalStorage(JournalFileBackend(str(path), _lock_of(path)))
        except OSError as error:
            raise TrainingError(f"{path}: could not be stored: {os_error_text(error)}") from error
        except Exception as error:  # whatever lines mean that somebody has written
            raise damaged(path, f"is no journal of Optuna's: {error!r}") from None


def repair_journal(folder: Path) -> None:
    """Removes half a line that a process may have left that was killed, or had no room.

    Args:
        folder: the run folder, which this process holds, so that no other writes to the journal.

    Raises:
        RunError: if something else is in the journal's place.
    """
    path = folder / JOURNAL
    _check_plain(folder / LOCK)
    if os.name == "nt":  # where its being there says that it is held
        remove_lock(folder)
    _check_plain(path)
    if path.exists():
        _mend(path)


def remove_lock(folder: Path) -> None:
    """Removes the lock's file, which says nothing by being there, once nobody writes any more."""
    (folder / LOCK).unlink(missing_ok=True)


def _lock_of(path: Path) -> BaseJournalFileLock:
    """What processes hold in turn while they write.

    A lock of the system's is free again once its process ends, however it ends; Optuna's own are
    files, for which all others would wait half a minute.
    """
    from optuna.storages.journal import JournalFileOpenLock
    from optuna.storages.journal._file import BaseJournalFileLock

    if os.name == "nt":
        return JournalFileOpenLock(str(path))
    import fcntl

    class SystemLock(BaseJournalFileLock):
        """The lock; whoever gets it mends the end of the file first."""

        def __init__(self) -> None:
            self._descriptor = -1

        def acquire(self) -> bool:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path.with_name(LOCK), flags, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            _mend(path)
            return True

        def release(self) -> None:
            os.close(self._descriptor)  # which unlocks it

    return SystemLock()


def _mend(path: Path) -> None:
    """Cuts half a line off the end of a journal, behind which others would write."""
    whole = _whole_bytes(path)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
        sync(path)


def _check_plain(path: Path) -> None:
    """Refuses what could lead out of the folder, or would not end.

    Raises:
        RunError: if it is no plain file, or one of too many bytes.
    """
    if not os.path.lexists(path):
        return
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise damaged(path, "is not a regular file but a link, a folder or a device")
    if status.st_size > _LONGEST:
        raise RunError(f"{path}: has {status.st_size:,} bytes, where {_LONGEST:,} are the most")


def _whole_bytes(path: Path, step: int = 2**16) -> int:
    """The bytes of a file up to the end of its last whole line."""
    with path.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - step)
            stream.seek(start)
            at = stream.read(end - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
    return 0
