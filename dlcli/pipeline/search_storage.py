"""Store the trials of a search: Optuna's journal in the run folder, or a shared database."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from dlcli.errors import RunError, TrainingError, UsageError, install_command, option
from dlcli.safe_files import damaged, not_regular, os_error_text, sync

JOURNAL = "study.journal"
"""The file in the run folder."""
LOCK = f"{JOURNAL}.lock"
"""The file that is locked while a process writes to the journal."""
GRACE_SECONDS = 90
"""Time without a heartbeat after which the process of a trial is considered dead."""
ORIGINAL = "failed_trial"
"""The system attribute of a retried trial that Optuna's callback sets: the number of the first."""
HEARTBEAT_SECONDS = 20
_MAX_BYTES = 2**32
"""Size of the largest journal that is read."""
_PAUSES = (0.1, 0.3, 1.0)
"""Seconds to wait while another process creates the tables."""
_CREATED_BY_ANOTHER = re.compile(r"(?i)already exists|duplicate|unique constraint|locked")
"""Matches the errors of databases when two processes create the same tables."""
_SECRET = re.compile(r"(?i)(pass|pwd|secret|token|key)")
"""Matches the parameters of a URL that must not be shown."""
_DRIVERS = {
    "psycopg": f"install it {install_command('postgresql')}",
    "psycopg2": f"write postgresql+psycopg:// and install psycopg {install_command('postgresql')}",
    "MySQLdb": "write mysql+pymysql:// and pip install pymysql",
    "pymysql": "pip install pymysql",
}
"""The way to install each missing module."""


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log and warnings; errors are exceptions and pass."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Features that it calls experimental, such as heartbeats, are meant.
            warnings.filterwarnings("ignore", module=r"optuna|dlcli\.pipeline")
            warnings.filterwarnings("ignore", message=".*[Hh]eartbeat.*")
            yield
    finally:
        logger.setLevel(level)


def open_journal(folder: Path) -> BaseStorage:
    """Open the journal of a run folder, or create it.

    Args:
        folder: the run folder, which may come from a stranger.

    Raises:
        RunError: if the file is no journal.
        TrainingError: if it can't be written.
    """
    path = folder / JOURNAL
    _check_regular(path)
    with quiet_optuna():
        try:
            return JournalStorage(JournalFileBackend(str(path), _journal_lock(path)))
        except OSError as error:
            raise TrainingError(f"{path}: could not be stored: {os_error_text(error)}") from error
        except Exception as error:  # a stranger's lines may raise anything
            raise damaged(path, f"is not an Optuna journal: {error!r}") from None


def repair_journal(folder: Path) -> None:
    """Remove an incomplete last line, which a killed process or a full disk may have left.

    Args:
        folder: the run folder, which this process has locked.

    Raises:
        RunError: if the journal or its lock is no regular file.
    """
    path = folder / JOURNAL
    _check_regular(folder / LOCK)
    if os.name == "nt":  # there the file's existence is the lock
        remove_lock(folder)
    _check_regular(path)
    if path.exists():
        _truncate_to_lines(path)


def remove_lock(folder: Path) -> None:
    """Remove the lock file once no process writes any more."""
    (folder / LOCK).unlink(missing_ok=True)


def _journal_lock(path: Path) -> BaseJournalFileLock:
    """Return the lock of a journal.

    The operating system releases its locks when a process ends for whatever reason. Optuna's locks
    are files, which a killed process leaves; others wait half a minute for each of them. Nor does
    Optuna repair an incomplete last line, to which the next process would append.
    """
    if os.name == "nt":
        return JournalFileOpenLock(str(path))
    import fcntl

    class SystemLock(BaseJournalFileLock):
        """A lock of the operating system; acquiring it repairs the end of the journal."""

        def __init__(self) -> None:
            self._descriptor = -1

        def acquire(self) -> bool:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path.with_name(LOCK), flags, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            _truncate_to_lines(path)
            return True

        def release(self) -> None:
            os.close(self._descriptor)  # which unlocks it

    return SystemLock()


def _check_regular(path: Path) -> None:
    """Refuse a link that could lead out of the folder, a device, and a huge file.

    Raises:
        RunError: saying which of them it is.
    """
    if not os.path.lexists(path):
        return
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise not_regular(path)
    if status.st_size > _MAX_BYTES:
        raise RunError(f"{path}: has {status.st_size:,} bytes; the maximum is {_MAX_BYTES:,}")


def _truncate_to_lines(path: Path) -> None:
    """Remove what follows the last line break of a file."""
    size = path.stat().st_size
    if not size:  # which can't be mapped
        return
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        length = content.rfind(b"\n") + 1
    if length < size:
        os.truncate(path, length)
        sync(path)


class _Database(RDBStorage):
    """A database that may be unreachable for a while between two results.

    Optuna's thread would end with the first heartbeat that is not stored, and others would take its
    trial for lost. If the database stays away, the next result can't be stored, which is reported.
    """

    def record_heartbeat(self, trial_id: int) -> None:
        with quiet_optuna(), suppress(StorageInternalError, SQLAlchemyError):
            super().record_heartbeat(trial_id)


def open_database(url: str) -> BaseStorage:
    """Open a database that many processes share; its tables are created if they are missing.

    Args:
        url: as for SQLAlchemy and Optuna: `postgresql+psycopg://user@host/name`.

    Raises:
        UsageError: if it can't be opened: a missing driver, an invalid URL, an unknown server.
    """
    named, parsed = option("storage", mask_password(url)), _parse(url)
    if parsed is not None and _is_cut_at_password(parsed):
        raise UsageError(f"{named}: write %40 for @, and %2F for /, in a user or password")
    if parsed is not None and _is_in_memory(parsed):
        message = "is in the memory of a process; name a file: sqlite:///study.db"
        raise UsageError(f"{named}: {message}")
    with quiet_optuna(), explaining_unusable_database(url):

        def connect() -> BaseStorage:
            return _Database(
                url,
                {} if make_url(url).get_backend_name() == "sqlite" else {"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )

        for pause in _PAUSES:
            try:
                return connect()
            except DatabaseError as error:
                if not _CREATED_BY_ANOTHER.search(str(error)):
                    raise
            time.sleep(pause)
        return connect()


@contextmanager
def explaining_unusable_database(url: str) -> Iterator[None]:
    """Explain what is wrong with a database, without its password.

    Raises:
        UsageError: for whatever Optuna, SQLAlchemy and its drivers raise.
    """
    try:
        yield
    except ValueError:  # its message may contain a part of a password
        named = option("storage", mask_password(url))
        raise UsageError(f"{named}: can't be used: invalid URL") from None
    except (StorageInternalError, SQLAlchemyError, ImportError, RuntimeError, OSError) as error:
        if module := _missing_module(error):
            way_out = _DRIVERS.get(module, f"pip install {module}")
            message = f"needs the module {module}, which is not installed; {way_out}"
        else:
            message = f"can't be used: {_without_secrets(_first_line(error), url)}"
        raise UsageError(f"{option('storage', mask_password(url))}: {message}") from None


@contextmanager
def explaining_lost_database(url: str | None) -> Iterator[None]:
    """Explain why trials can't be read or stored any more.

    Args:
        url: the URL of the database, if they are stored in one.

    Raises:
        TrainingError: if it is lost, or has become full or read-only.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = _without_secrets(_first_line(error), url or "")
        message = f"{url and mask_password(url)}: trials can't be stored any more: {reason}"
        raise TrainingError(message) from None


@contextmanager
def explaining_lost_storage(folder: Path, url: str | None) -> Iterator[None]:
    """Explain why trials can't be stored any more, in a database or in the run folder.

    Args:
        folder: the run folder.
        url: the URL of the database, if they are stored in one.

    Raises:
        TrainingError: for a full disk, or a lost database.
    """
    try:
        with explaining_lost_database(url):
            yield
    except BrokenPipeError:
        raise  # of the reader of the events
    except OSError as error:
        if url is not None or error.filename not in (None, str(folder / JOURNAL)):
            raise
        message = f"{folder / JOURNAL}: could not be stored: {os_error_text(error)}"
        raise TrainingError(f"{message}; free some space") from error


def mask_password(url: str) -> str:
    """Return a URL without its password, to be shown and stored."""
    parsed = _parse(url)
    if parsed is None or _is_cut_at_password(parsed):
        return "URL"  # any part of it may be a password
    query = {name: "***" if _SECRET.search(name) else text for name, text in parsed.query.items()}
    shown: str = parsed.set(query=query).render_as_string(hide_password=True)
    return shown.replace("%2A%2A%2A", "***")


def _parse(url: str) -> URL | None:
    """Return the parts of a URL; None if it is invalid."""
    with suppress(ArgumentError, ValueError):
        return make_url(url)
    return None


def _is_cut_at_password(url: URL) -> bool:
    """Return whether an unescaped @ in a password makes its rest a part of the host or database."""
    is_cut = any("@" in part for part in (url.host or "", url.database or ""))
    return url.password is not None and is_cut


def _is_in_memory(url: URL) -> bool:
    is_file = url.database not in (None, "", ":memory:")
    return url.get_backend_name() == "sqlite" and not is_file


def _missing_module(error: BaseException | None) -> str | None:
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return None if error is None else error.name


def _first_line(error: BaseException) -> str:
    """Return the first line of an error; of SQLAlchemy's errors, that of the driver's error."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = str(getattr(cause, "orig", None) or cause).strip()
    return re.sub(r"\s+", " ", text.partition("\n")[0]) or type(error).__name__


def _without_secrets(text: str, url: str) -> str:
    with suppress(Exception):
        parsed = make_url(url)
        query = parsed.normalized_query
        hidden = [value for name in query if _SECRET.search(name) for value in query[name]]
        for secret in filter(None, [parsed.password, *hidden]):
            text = text.replace(secret, "***")
    return text.replace(url, mask_password(url)) if url else text


def candidate_numbers(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """Return the number of each trial's candidate, from 0, by the number of the trial.

    Retried trials have the candidate of the original one.
    """
    numbers: dict[int, int] = {}
    count = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        original = trial.system_attrs.get(ORIGINAL)
        if isinstance(original, int) and original in numbers:
            numbers[trial.number] = numbers[original]
        else:
            numbers[trial.number] = count
            count += 1
    return numbers
