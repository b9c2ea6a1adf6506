"""The Optuna study of a search: its trials, and their storage in the run folder or a database."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import re
import stat
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import optuna
from optuna import storages
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import journal
from optuna.storages._heartbeat import get_heartbeat_thread  # that of `optimize`
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from dlcli import errors, safe_files
from dlcli.config.search_space import Value
from dlcli.metrics.statistic import finite_number
from dlcli.pipeline import search_plan
from dlcli.pipeline.search_plan import SearchPlan, candidate_numbers
from dlcli.pipeline.worker_pool import worker_name
from dlcli.runs.documents import TrialResult

JOURNAL = "study.journal"
"""The file of the study in the run folder."""
LOCK = f"{JOURNAL}.lock"
"""The file that is locked while a process writes to the journal."""
GRACE_SECONDS = 90
"""Time without a heartbeat after which the process of a trial is considered dead."""
HEARTBEAT_SECONDS = 20
_MAX_BYTES = 2**32
"""Size of the largest journal that is read."""
_CREATE_STUDY = 0
"""The code of this operation in journals."""
_MOST_STUDIES = 100
"""Maximum number of studies in a journal. It usually has one, and each takes longer to read."""
_MOST_LOST = 1_000
"""Maximum number of trials that are ended at the beginning; each is synced to the disk."""
_PAUSES = (0.1, 0.3, 1.0)
"""Seconds to wait while another process creates the tables."""
_CREATED_BY_ANOTHER = re.compile(r"(?i)already exists|duplicate|unique constraint|locked")
"""Matches the errors of databases when two processes create the same tables."""
_SECRET = re.compile(r"(?i)(pass|pwd|secret|token|key)")
"""Matches the parameters of a URL that must not be shown."""
_POSTGRESQL = f"psycopg {errors.install_command('postgresql')}"
_DRIVERS = {
    "psycopg": f"install {_POSTGRESQL}",
    "psycopg2": f"write postgresql+psycopg:// and install {_POSTGRESQL}",
    "MySQLdb": "write mysql+pymysql:// and pip install pymysql",
    "pymysql": "pip install pymysql",
}
"""The way to install each missing module."""
IsDead = Callable[[Mapping[str, Any]], bool]
"""Returns whether the process of a trial is dead, by the token of its `run` and the `name` of the
process; both are missing if it was killed before it could store them."""
MAX_DEATHS = 3
"""Number of processes that die with a candidate before it is abandoned."""
# User attributes of a study:
FINGERPRINT = "fingerprint"
"""The fingerprint of the config and data with which the study was started."""
DEFAULT = "default"
"""The result of the original config."""
# User attributes of a trial:
RESULT = "result"
WORKER = "worker"
"""The process that runs the trial, see `IsDead`."""
INTERRUPTED = "interrupted"
"""Set if a trial was ended by a signal or an error, not by the death of its process."""
_SPENT = "spent"
"""The key of a stored result for the duration of the search until then, in seconds."""


# Where trials are stored


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log and warnings; its errors are exceptions and are not suppressed."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Optuna warns about features that it calls experimental, such as heartbeats.
            warnings.filterwarnings("ignore", module=r"optuna|dlcli\.pipeline")
            warnings.filterwarnings("ignore", message=".*[Hh]eartbeat.*")
            yield
    finally:
        logger.setLevel(level)


def open_journal(folder: Path) -> storages.BaseStorage:
    """Open the journal of a run folder, or create it.

    Args:
        folder: the run folder, which may be untrusted.

    Raises:
        RunError: if the file is not a journal.
        TrainingError: if it can't be written.
    """
    path = folder / JOURNAL
    _check_regular(path)
    is_windows = os.name == "nt"
    lock = journal.JournalFileOpenLock(str(path)) if is_windows else JournalLock(path)
    with quiet_optuna():
        try:
            return storages.JournalStorage(_Journal(str(path), lock))
        except OSError as error:
            reason = safe_files.os_error_text(error)
            raise errors.TrainingError(f"{path}: could not be stored: {reason}") from error
        except Exception as error:  # untrusted lines may raise any exception
            raise safe_files.damaged(path, f"is not an Optuna journal: {error!r}") from None


def repair_journal(folder: Path) -> None:
    """Remove an incomplete last line, caused by a killed process or a full disk.

    Args:
        folder: the run folder, which this process has locked.

    Raises:
        RunError: if the journal or its lock is not a regular file.
    """
    path = folder / JOURNAL
    _check_regular(folder / LOCK)
    if os.name == "nt":  # on Windows, the lock is the existence of the file
        remove_lock(folder)
    _check_regular(path)
    if path.exists():
        _truncate_to_lines(path)


def remove_lock(folder: Path) -> None:
    """Remove the lock file when no process writes to the journal any more."""
    (folder / LOCK).unlink(missing_ok=True)


class _Journal(journal.JournalFileBackend):
    """A journal of a run folder, which may be untrusted."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records, and refuse many studies, or one with several objectives."""
        studies = 0
        for record in super().read_logs(log_number_from):
            is_study = record["op_code"] == _CREATE_STUDY
            studies += is_study
            if is_study and len(record["directions"]) != 1:
                raise ValueError("a study has several objectives, or none")
            if studies > _MOST_STUDIES:
                raise ValueError(f"it has more than {_MOST_STUDIES} studies")
            yield record


class JournalLock(BaseJournalFileLock):
    """A lock of the operating system for a journal; acquiring it repairs the end of the journal.

    The system releases a lock when its process ends for any reason. Optuna's lock is a file, which
    remains when a process is killed, and then delays other processes by half a minute. Optuna also
    does not repair an incomplete last line, so the next process would append to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        import fcntl  # not on Windows

        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path.with_name(LOCK), flags, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        _truncate_to_lines(self._path)
        return True

    def release(self) -> None:
        """Close the lock file, which unlocks it."""
        os.close(self._descriptor)


def _check_regular(path: Path) -> None:
    """Refuse a link, which could lead out of the folder, a device, and a huge file.

    Raises:
        RunError: with the problem.
    """
    if not os.path.lexists(path):
        return
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise safe_files.not_regular(path)
    if status.st_size > _MAX_BYTES:
        raise errors.RunError(
            f"{path}: has {status.st_size:,} bytes; the maximum is {_MAX_BYTES:,}"
        )


def _truncate_to_lines(path: Path) -> None:
    """Remove the text after the last line break of a file."""
    size = path.stat().st_size
    if not size:  # an empty file can't be mapped
        return
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        length = content.rfind(b"\n") + 1
    if length < size:
        os.truncate(path, length)
        safe_files.sync(path)


class _Database(storages.RDBStorage):
    """A database that may be unreachable for some time between two results.

    Without this class, Optuna's thread ends at the first heartbeat that can't be stored, and other
    processes regard its trial as lost. If the database stays unreachable, an error is reported when
    the next result can't be stored.
    """

    def record_heartbeat(self, trial_id: int) -> None:
        with quiet_optuna(), suppress(StorageInternalError, SQLAlchemyError):
            super().record_heartbeat(trial_id)


def open_database(url: str) -> storages.BaseStorage:
    """Open a database that many processes share, and create missing tables.

    Args:
        url: the URL in the form of SQLAlchemy and Optuna: `postgresql+psycopg://user@host/name`.

    Raises:
        UsageError: if it can't be opened: a missing driver, an invalid URL, an unknown server.
    """
    parsed = _parse(url)
    if parsed is not None and _is_cut_at_password(parsed):
        raise _unusable(url, "write %40 for @, and %2F for /, in a user or password")
    is_file = parsed is not None and parsed.get_backend_name() == "sqlite"
    if parsed is not None and is_file and parsed.database in (None, "", ":memory:"):
        raise _unusable(
            url, "exists only in the memory of one process; use a file: sqlite:///study.db"
        )
    with quiet_optuna(), explaining_unusable_database(url):
        arguments = {} if is_file else {"pool_pre_ping": True}
        pauses = iter(_PAUSES)
        while True:
            try:
                return _Database(
                    url,
                    arguments,
                    heartbeat_interval=HEARTBEAT_SECONDS,
                    grace_period=GRACE_SECONDS,
                )
            except DatabaseError as error:
                pause = next(pauses, None)
                if pause is None or not _CREATED_BY_ANOTHER.search(str(error)):
                    raise
            time.sleep(pause)


@contextmanager
def explaining_unusable_database(url: str) -> Iterator[None]:
    """Explain errors of a database, without its password.

    Raises:
        UsageError: for any error of Optuna, SQLAlchemy and the drivers.
    """
    try:
        yield
    except ValueError:  # its message may contain a part of a password
        raise _unusable(url, "can't be used: invalid URL") from None
    except (StorageInternalError, SQLAlchemyError, ImportError, RuntimeError, OSError) as error:
        if module := _missing_module(error):
            way_out = _DRIVERS.get(module, f"pip install {module}")
            problem = f"needs the module {module}, which is not installed; {way_out}"
        else:
            problem = f"can't be used: {_without_secrets(error, url)}"
        raise _unusable(url, problem) from None


def _unusable(url: str, problem: str) -> errors.UsageError:
    return errors.UsageError(f"{errors.option('storage', mask_password(url))}: {problem}")


@contextmanager
def explaining_lost_database(url: str | None) -> Iterator[None]:
    """Explain why trials can no longer be read or stored.

    Args:
        url: the URL of the database, if there is one.

    Raises:
        TrainingError: if the database is unreachable, full or read-only.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = f"trials can no longer be stored: {_without_secrets(error, url or '')}"
        raise errors.TrainingError(f"{url and mask_password(url)}: {reason}") from None


@contextmanager
def explaining_lost_storage(folder: Path, url: str | None) -> Iterator[None]:
    """Explain why trials can no longer be stored in a database or in the run folder.

    Args:
        folder: the run folder.
        url: the URL of the database, if there is one.

    Raises:
        TrainingError: if the disk is full or fails, or the database is unreachable.
    """
    path = folder / JOURNAL
    try:
        with explaining_lost_database(url):
            yield
    except OSError as error:
        is_of_reader = isinstance(error, BrokenPipeError)  # the reader of the events has ended
        if (
            is_of_reader
            or url is not None
            or Path(error.filename or path) not in (path, folder / LOCK)
        ):
            raise
        message = f"{path}: could not be stored: {safe_files.os_error_text(error)}"
        raise errors.TrainingError(f"{message}; {safe_files.way_to_write(error)}") from error


def mask_password(url: str) -> str:
    """Return a URL without its password, for messages and files."""
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
    """Return whether an unescaped @ in a password makes the rest of it part of host or database."""
    is_cut = any("@" in part for part in (url.host or "", url.database or ""))
    return url.password is not None and is_cut


def _missing_module(error: BaseException | None) -> str | None:
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return None if error is None else error.name


def _without_secrets(error: BaseException, url: str) -> str:
    """Return the first line of an error, or of the driver's error in it, without passwords."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = str(getattr(cause, "orig", None) or cause).strip()
    text = re.sub(r"\s+", " ", text.partition("\n")[0]) or type(error).__name__
    if (parsed := _parse(url)) is not None:
        query = parsed.normalized_query
        hidden = [value for name in query if _SECRET.search(name) for value in query[name]]
        for secret in filter(None, [parsed.password, *hidden]):
            text = text.replace(secret, "***")
    return text.replace(url, mask_password(url)) if url else text


# Trials


@dataclass(frozen=True)
class RunningTrial:
    """A trial to evaluate."""

    number: int
    """The number of the candidate, from 0."""
    values: Mapping[str, Value]
    """The values by path of the dimension."""
    trial: optuna.Trial


class Study:
    """The trials of a search, which several processes may share.

    Optuna's `ask` and `tell` are used rather than `optimize`, which counts trials and not
    candidates: a candidate whose process was killed is retried by another trial with the same
    values, and has one number and one result.

    Args:
        plan: the plan of the search.
        storage: the storage of the trials.
        run: the token of the search's run folder.

    Raises:
        UsageError: if the storage has a study of this name with another direction.
    """

    def __init__(self, plan: SearchPlan, storage: storages.BaseStorage, run: str = "") -> None:
        sampler = search_plan.CandidateSampler(plan)
        with quiet_optuna():
            self._study = optuna.create_study(
                storage=storage,
                sampler=sampler,
                pruner=search_plan.make_pruner(plan),
                study_name=plan.name,
                direction=plan.direction,
                load_if_exists=True,
            )
        if self._study.direction.name.lower() != plan.direction:
            raise errors.UsageError(_different(plan.name, "optimizes another metric"))
        self.plan = plan
        self.run = run
        self._distributions = sampler.distributions
        self._storage = storage
        self._anonymous_since: dict[int, float] = {}

    def close(self) -> None:
        """Close the connections to a database."""
        if isinstance(self._storage, storages.RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def join(self, fingerprint: Mapping[str, object]) -> None:
        """Store the fingerprint of a new study, or compare it with the stored one.

        Args:
            fingerprint: the hashes that all trials must share, `config` and `data`, for JSON.

        Raises:
            UsageError: if a study of this name was started with another config or other data.
        """
        stored = self._study.user_attrs.get(FINGERPRINT)
        if stored is None and not self.has_trials:
            self._study.set_user_attr(FINGERPRINT, dict(fingerprint))
        elif stored != fingerprint:
            known = stored if isinstance(stored, dict) else {}
            is_config = known.get("config") != fingerprint.get("config")
            what = "another config or another version of dlcli" if is_config else "other data"
            raise errors.UsageError(_different(self.plan.name, f"was started with {what}"))

    def ask(self) -> RunningTrial | None:
        """Start the next trial; `None` if all candidates have been started."""
        with quiet_optuna():
            while self._has_more():
                trial = self._study.ask(self._distributions)
                if isinstance(self._storage, storages.RDBStorage):
                    # Optuna never regards a trial without a heartbeat as dead. The heartbeat is
                    # stored first, so every trial with a worker has one.
                    self._storage.record_heartbeat(trial._trial_id)
                trial.set_user_attr(WORKER, {"run": self.run, "name": worker_name()})
                numbers = candidate_numbers(trials := self._trials())
                candidate = numbers[trial.number]
                values = {path: trial.params[path] for path in self._distributions}
                running = RunningTrial(candidate, values, trial)
                is_taken = any(
                    _counts(other) and numbers[other.number] == candidate
                    for other in trials
                    if other.number < trial.number
                )
                if self._is_planned(candidate) and not is_taken:
                    return running
                self.interrupt(running)
            return None

    def _has_more(self) -> bool:
        trials = self._trials()
        limit = self.plan.trials
        is_free = limit is None or len(set(candidate_numbers(trials).values())) < limit
        return is_free or any(trial.state.name == "WAITING" for trial in trials)

    @contextmanager
    def keep_alive(self, running: RunningTrial) -> Iterator[None]:
        """Send heartbeats of a trial to a database, and retry it later if it gets no result.

        While a machine sleeps, its processes seem dead, so other processes may have ended its trial
        and retry it. Such a trial is not changed.
        """
        heartbeats = get_heartbeat_thread(running.trial._trial_id, self._storage)
        with suppress(UpdateFinishedTrialError), heartbeats:
            try:
                yield
            except (errors.OutOfMemoryError, errors.WorkerError):
                raise  # a worker was lost, which counts as a death, see `MAX_DEATHS`
            except BaseException:
                self.interrupt(running)
                raise

    def report(self, running: RunningTrial, value: float, step: int) -> bool:
        """Store the metric of a trial at a step, and return whether to prune it."""
        with quiet_optuna():
            running.trial.report(value, step)
            return bool(running.trial.should_prune())  # Optuna's pruners return NumPy's

    def tell(self, running: RunningTrial, result: TrialResult, spent: float = 0.0) -> None:
        """Store the result of a trial.

        In Optuna, a failed trial is stored as pruned and without a value, so `tpe` avoids its
        values.

        Args:
            running: the trial.
            result: its result.
            spent: the duration of the search in seconds.
        """
        with quiet_optuna():
            steps = self._storage.get_trial(running.trial._trial_id).intermediate_values
            if result.state == "failed" and steps:
                running.trial.report(math.nan, 1 + max(steps))
            running.trial.set_user_attr(RESULT, _to_json(result, spent))
            self._end(running.trial, result)

    def interrupt(self, running: RunningTrial) -> None:
        """End a trial without a result, so it is retried; has no effect on a finished trial."""
        with quiet_optuna(), suppress(UpdateFinishedTrialError):
            self._end_evaluated()
            running.trial.set_user_attr(INTERRUPTED, True)
            self._end(running.trial)

    def retry_lost(self, is_dead: IsDead = lambda _: False) -> int:
        """Retry trials whose processes are dead or were interrupted.

        Optuna's callback alone is not enough. It counts interruptions as deaths and is called only
        for databases. If two processes find a dead trial at the same time, it retries it twice.

        Args:
            is_dead: whether the process of a trial is dead. In a database, a process without a
                heartbeat for `GRACE_SECONDS` is also dead.

        Returns:
            The number of candidates that are retried or abandoned.
        """
        with quiet_optuna():
            self._end_evaluated()
            storages.fail_stale_trials(self._study)
            running = [trial for trial in self._trials() if trial.state.name == "RUNNING"]
            dead = [
                trial for trial in running if is_dead(worker_of(trial)) or self._is_anonymous(trial)
            ]
            if len(dead) > _MOST_LOST:
                message = f"has {len(dead):,} trials without a process, more than {_MOST_LOST:,}"
                raise errors.RunError(f"the study {message}; search again")
            for trial in dead:
                self._end(trial.number)
            retry = storages.RetryHeartbeatStaleTrialCallback()
            lost = [*self._lost()]
            for attempts in lost:
                if sum(_was_killed(trial) for trial in attempts) >= MAX_DEATHS:
                    if attempts[0].number > 0 or self.default is not None:
                        self._abandon(attempts)
                        continue
                    # The processes died in the original config, which is evaluated first.
                    self.default = _killed({})
                last = copy.deepcopy(attempts[-1])  # the callback changes it
                last.user_attrs = {}
                if len(last.params) < len(self._distributions):
                    last.params, last.distributions = {}, {}
                retry(self._study, last)
            return len(lost)

    def _end_evaluated(self) -> None:
        """End trials whose processes were killed between storing the result and ending the trial.

        Otherwise they would be retried, and `tpe` would not use their results.
        """
        for trial in self._trials():
            if not trial.state.is_finished() and RESULT in trial.user_attrs:
                label = f"trial {trial.number}"
                self._end(trial.number, self._parse(trial.user_attrs[RESULT], None, label))

    def _is_anonymous(self, trial: FrozenTrial) -> bool:
        """Return whether a trial has had no worker for `GRACE_SECONDS`.

        Its process was killed before it stored the worker's name, and maybe before its first
        heartbeat. The time is measured by the clock of this process, because clocks of other
        machines may differ.
        """
        if worker_of(trial):
            self._anonymous_since.pop(trial.number, None)
            return False
        now = time.monotonic()
        return now - self._anonymous_since.setdefault(trial.number, now) > GRACE_SECONDS

    def _lost(self) -> Iterator[list[FrozenTrial]]:
        """Yield the trials of each candidate that has no result, and none that waits or runs."""
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        numbers = candidate_numbers(trials := self._trials())
        for trial in trials:
            attempts[numbers[trial.number]].append(trial)
        for candidate, of_candidate in attempts.items():
            if self._is_planned(candidate) and not any(map(_counts, of_candidate)):
                yield of_candidate

    def _abandon(self, attempts: list[FrozenTrial]) -> None:
        """Store the failure of a candidate whose processes have all died."""
        result = _killed(attempts[-1].params)
        self._study.add_trial(
            create_trial(
                state=TrialState.PRUNED,
                user_attrs={RESULT: _to_json(result)},
                system_attrs={search_plan.ORIGINAL: attempts[0].number},
            )
        )

    def results(self) -> tuple[TrialResult, ...]:
        """Return the results of finished trials, in order of their numbers.

        Raises:
            RunError: if a stored result is malformed.
        """
        numbers, found = candidate_numbers(trials := self._trials()), {}
        for trial in trials:
            if trial.state.is_finished() and RESULT in trial.user_attrs:
                number, label = numbers[trial.number], f"trial {trial.number}"
                result = self._parse(trial.user_attrs[RESULT], number, label)
                intermediate = tuple(
                    (step, value)
                    for step, value in sorted(trial.intermediate_values.items())
                    if math.isfinite(value) and step <= self.plan.max_epochs
                )
                found[number] = result.model_copy(update={"intermediate": intermediate})
        return tuple(found[number] for number in sorted(found))

    @property
    def default(self) -> TrialResult | None:
        """The result of the original config, if it was evaluated."""
        stored = self._study.user_attrs.get(DEFAULT)
        return None if stored is None else self._parse(stored, None, "the result of its config")

    @default.setter
    def default(self, result: TrialResult) -> None:
        with quiet_optuna():
            self._study.set_user_attr(DEFAULT, _to_json(result))

    @property
    def has_trials(self) -> bool:
        """True if this or another process has started a trial."""
        return bool(self._trials())

    @property
    def unfinished(self) -> int:
        """The number of trials that wait or run, in all processes."""
        return sum(not trial.state.is_finished() for trial in self._trials())

    @property
    def spent(self) -> float:
        """The duration of this folder's search until its last trial ended, in seconds."""
        known = [
            finite_number(_mapping(trial.user_attrs.get(RESULT)).get(_SPENT))
            for trial in self._trials()
            if worker_of(trial).get("run") == self.run
        ]
        return max((seconds for seconds in known if seconds is not None), default=0.0)

    @property
    def is_shared(self) -> bool:
        """True if processes that were not started from this folder may take part."""
        return isinstance(self._storage, storages.RDBStorage)

    def _is_planned(self, candidate: int) -> bool:
        return self.plan.trials is None or candidate < self.plan.trials

    def _parse(self, stored: object, number: int | None, label: str) -> TrialResult:
        """Read a stored result, which may be untrusted."""
        fields = {**_mapping(stored), "number": number}
        fields.pop(_SPENT, None)
        name = f"the study '{self.plan.name}': {label}"
        return safe_files.parse_document(TrialResult, json.dumps(fields), name, "; search again")

    def _trials(self) -> list[FrozenTrial]:
        with quiet_optuna():
            return sorted(self._study.get_trials(deepcopy=False), key=lambda each: each.number)

    def _end(self, trial: optuna.Trial | int, result: TrialResult | None = None) -> None:
        """End a trial in Optuna: as failed without a result, or as pruned without a value."""
        value, state = None, TrialState.FAIL if result is None else TrialState.PRUNED
        if result is not None and result.state == "complete":
            value, state = result.value, TrialState.COMPLETE
        self._study.tell(trial, value, state, skip_if_finished=True)


def worker_of(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the process of a trial, see `IsDead`; empty if it was not stored."""
    return _mapping(trial.user_attrs.get(WORKER))


def _counts(trial: FrozenTrial) -> bool:
    """Return whether a trial waits, runs or has a result."""
    return not trial.state.is_finished() or RESULT in trial.user_attrs


def _was_killed(trial: FrozenTrial) -> bool:
    """Return whether a trial without a result was ended by the death of its process."""
    return bool(trial.params) and INTERRUPTED not in trial.user_attrs


def _killed(values: Mapping[str, Value]) -> TrialResult:
    """Return the result of a config whose processes have all died."""
    return TrialResult(
        number=None,
        state="failed",
        values=values,
        value=None,
        seconds=0.0,
        problem=f"its process was killed {MAX_DEATHS} times, perhaps because memory ran out",
    )


def _to_json(result: TrialResult, spent: float = 0.0) -> dict[str, object]:
    """Return a result for JSON, without the fields that the study stores."""
    return {**result.model_dump(mode="json", exclude={"number", "intermediate"}), _SPENT: spent}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _different(name: str, why: str) -> str:
    other = errors.override("name", "...")
    return f"the study '{name}' in this storage {why}; search again with another name: {other}"
