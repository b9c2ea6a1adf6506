"""The storage of a study: Optuna's journal in the run folder, or a shared database."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import RunError, TrainingError, UsageError
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


BEAT = 20
"""Seconds from one sign of life of a trial to the next, in a database."""
GRACE = 90
"""Seconds without one after which a trial's process is taken for dead."""

_PAUSES = (0.1, 0.3, 1.0)
"""Seconds to wait while another process makes the tables."""
_MADE_BY_ANOTHER = re.compile(r"(?i)already exists|duplicate|unique constraint|locked")
"""What databases say if two processes make the same tables at once."""
_SECRET = re.compile(r"(?i)(pass|pwd|secret|token|key)")
_DRIVERS = {
    "psycopg": "pip install 'dlcli[postgresql]'",
    "psycopg2": "write postgresql+psycopg:// and pip install 'dlcli[postgresql]'",
    "MySQLdb": "write mysql+pymysql:// and pip install pymysql",
    "pymysql": "pip install pymysql",
}
"""How what is missing is installed, by the module."""


def open_database(url: str) -> BaseStorage:
    """Opens a database that many processes share; the tables are made if there are none.

    Args:
        url: as SQLAlchemy has it, and Optuna: `postgresql+psycopg://user@host/name`.

    Raises:
        UsageError: if it can't be opened: a driver that is missing, a wrong URL, no such server.
    """
    with quiet_optuna(), explained(url):
        from optuna.storages import RDBStorage
        from sqlalchemy import make_url
        from sqlalchemy.exc import DatabaseError

        kind = make_url(url).get_backend_name()
        options = {} if kind == "sqlite" else {"pool_pre_ping": True}
        for pause in _PAUSES:
            try:
                return RDBStorage(url, options, heartbeat_interval=BEAT, grace_period=GRACE)
            except DatabaseError as error:
                if not _MADE_BY_ANOTHER.search(str(error)):
                    raise
            time.sleep(pause)
        return RDBStorage(url, options, heartbeat_interval=BEAT, grace_period=GRACE)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Says what is wrong with a database without telling its password.

    Raises:
        UsageError: for whatever SQLAlchemy and its drivers raise.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ValueError:  # it quotes a part of what it could not read, and may cut a password
        raise UsageError(f"--storage {mask_password(url)}: can't be used: it is no URL") from None
    except (SQLAlchemyError, ImportError, RuntimeError, OSError) as error:
        if module := _missing_module(error):
            way_out = _DRIVERS.get(module, f"pip install {module}")
            message = f"needs the module {module}, which is not installed; {way_out}"
        else:
            message = f"can't be used: {_without_secrets(_first_line(error), url)}"
        raise UsageError(f"--storage {mask_password(url)}: {message}") from None


@contextmanager
def kept_in(folder: Path, url: str | None) -> Iterator[None]:
    """Says what is wrong where trials can't be kept any more.

    Args:
        folder: the run folder.
        url: of the database, if they are kept in one.

    Raises:
        TrainingError: for a full disk, or a database that is gone.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        told = _without_secrets(_first_line(error), url or "")
        message = f"{url and mask_password(url)}: trials can't be kept there any more: {told}"
        raise TrainingError(message) from None
    except BrokenPipeError:
        raise  # of who reads what is told
    except OSError as error:
        if url is not None or error.filename not in (None, str(folder / JOURNAL)):
            raise
        message = f"{folder / JOURNAL}: could not be stored: {os_error_text(error)}"
        raise TrainingError(f"{message}; free some space") from error


def mask_password(url: str) -> str:
    """A URL without its password, for people and files."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "URL"  # whatever it is, there may be a password in it
    query = {name: "***" if _SECRET.search(name) else text for name, text in parsed.query.items()}
    shown = parsed.set(query=query).render_as_string(hide_password=True)
    return shown.replace("%2A%2A%2A", "***")


def _missing_module(error: BaseException | None) -> str | None:
    """The module that isn't installed, if that is the cause of an error."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return None if error is None else error.name


def _first_line(error: BaseException) -> str:
    """What is said first; SQLAlchemy's own errors name the driver's in brackets before it."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = str(getattr(cause, "orig", None) or cause).strip()
    return re.sub(r"\s+", " ", text.partition("\n")[0]) or type(error).__name__


def _without_secrets(text: str, url: str) -> str:
    from sqlalchemy import make_url

    with suppress(Exception):
        parsed = make_url(url)
        secrets = [parsed.password, *(v for k, v in parsed.query.items() if _SECRET.search(k))]
        for secret in filter(None, map(str, secrets)):
            text = text.replace(secret, "***")
    return text.replace(url, mask_password(url)) if url else text
