"""The state of a run folder: the manifest of a finished run, and the lock during training."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field

from dlcli import __version__
from dlcli.config.data_section import MEMORY_ARGUMENTS
from dlcli.errors import RunError, by_caller, listed
from dlcli.safe_files import FORMAT, FileDigest, VerifiedDocument, read_object
from dlcli.schema.yaml_document import MAX_BYTES

RunKind = Literal["train", "cv", "tune"]
"""The command that created a run. The kind in a manifest can also be `DIVERGED`."""
DIVERGED = "diverged"
"""The kind of a training that diverged; its last finite weights are stored."""
KIND_NAMES: dict[str, str] = {"train": "training", "cv": "cross-validation", "tune": "search"}
"""The names of the kinds in messages."""
FOLDS = "folds"
"""Folder with the partial results of an unfinished cross-validation."""
_DOCUMENT_BYTES = 2**28


class RunFile(StrEnum):
    """A file that the manifest of a run may list.

    Args:
        name: the name of the file.
        limit: its maximum size in bytes. For weights, the network sets a tighter limit.
    """

    limit: int

    def __new__(cls, name: str, limit: int = 2**34) -> Self:
        """Create a member, which is a string: the name of the file."""
        file = str.__new__(cls, name)
        file._value_, file.limit = name, limit
        return file

    def read_object(self, folder: Path) -> dict[str, Any]:
        """Read a JSON object without verification, because an unfinished run has no digests.

        Raises:
            RunError: if the file is missing or is not a JSON object.
        """
        return read_object(folder / self, self.limit)

    CONFIG = "config.yaml", MAX_BYTES
    """The config that the user wrote."""
    RESOLVED = "resolved.yaml", MAX_BYTES
    """The config with all defaults and inferred values."""
    TYPES = "types.json", _DOCUMENT_BYTES
    """The reasons for the types of the columns and of the target."""
    ENCODING = "encoding.json", _DOCUMENT_BYTES
    """The fitted encoding."""
    WEIGHTS = "weights.npz"
    """The float32 weights by name."""
    ENSEMBLE = "ensemble.json", _DOCUMENT_BYTES
    """The members of an ensemble."""
    CONFORMAL = "conformal.json", _DOCUMENT_BYTES
    """The errors of held-out rows, for prediction intervals and prediction sets."""
    DECISION = "decision.json", _DOCUMENT_BYTES
    """The decision for a class, and the rows on which it was chosen."""
    MODEL = "model.keras"
    """The model for use in Keras code; dlcli never loads it."""
    METRICS = "metrics.json", _DOCUMENT_BYTES
    """The final metrics by split, then metric."""
    HISTORY = "history.csv", 2**30
    """The loss and the metrics of each epoch."""
    BASELINES = "baselines.json", _DOCUMENT_BYTES
    """The metrics of the baselines by model, split, then metric."""
    BASELINE_WEIGHTS = "baselines.npz"
    """The float32 weights of the baselines by name."""
    VERDICTS = "verdicts.json", _DOCUMENT_BYTES
    """The comparison with the baselines, and signs of data leakage."""
    DISTILLATION = "distillation.json", _DOCUMENT_BYTES
    """The comparison of a distilled network with its teacher."""
    GROUPS = "groups.json", _DOCUMENT_BYTES
    """The metrics of groups of held-out rows."""
    GATES = "gates.json", _DOCUMENT_BYTES
    """The results of the quality gates."""
    PREDICTIONS = "predictions.parquet", 2**36
    """The row, split, target and prediction of each held-out row."""
    SAMPLE = "sample.parquet", 2**30
    """The row, split, target and prediction of a sample of the training rows."""
    EXPLANATION = "explanation.json", _DOCUMENT_BYTES
    """The explanation of the network."""
    BACKGROUND = "background.npz"
    """Encoded training rows, with whose predictions explanations compare a prediction."""
    EVENTS = "events.jsonl", 2**34
    """The log of events."""
    ENVIRONMENT = "environment.json", _DOCUMENT_BYTES
    """Versions, machine, command and data files."""
    CROSS_VALIDATION = "cv.json", _DOCUMENT_BYTES
    """The result of a cross-validation."""
    REFIT = "refit.yaml", MAX_BYTES
    """The config that trains on the rows of all folds."""
    STUDY = "study.json", MAX_BYTES
    """The description of a search, stored before its first trial."""
    SEARCH = "tune.json", _DOCUMENT_BYTES
    """The result of a search."""
    BEST = "best.yaml", MAX_BYTES
    """The config of the best candidate of a search."""
    SMALLEST = "smallest.yaml", MAX_BYTES
    """The config of the smallest candidate within one standard error of the best."""
    BEST_ENSEMBLE = "ensemble.yaml", MAX_BYTES
    """The config of the ensemble of the best candidates of a search."""


MANIFEST = "manifest.json"
LOCK = "lock"
"""The file that is locked while a process trains the run."""
PAGE = "report.html"
"""The HTML report. The manifest does not list it, because it can be written at any later time."""
_MAX_PID_BYTES = 20
_RETRY_SECONDS = 0.05
"""Time in seconds after which a lock is tried again."""
ORIGIN = (RunFile.CONFIG, RunFile.RESOLVED, RunFile.ENVIRONMENT)
"""The files that exist before training begins and that resuming a run requires."""


class Manifest(VerifiedDocument):
    """The kind, the time and the files of a finished run."""

    kind: str
    """`train`, `diverged`, `cv` or `tune`."""
    created: Annotated[AwareDatetime, Field(strict=False)]  # a string in JSON
    """The time at which the run was finished, in UTC."""
    files: dict[Annotated[RunFile, Field(strict=False)], FileDigest]
    """The size and the SHA-256 of each file."""

    @classmethod
    def describe(cls, folder: Path, kind: str) -> Self:
        """Return the manifest of the files that are in a folder; other names are ignored.

        Raises:
            OSError: if a file can't be read.
        """
        present = [name for name in RunFile if (folder / name).exists()]
        return cls(
            format=FORMAT,
            dlcli=__version__,
            kind=kind,
            created=datetime.now(UTC),
            files={name: FileDigest.of(folder / name) for name in present},
        )

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the manifest of a finished run.

        Raises:
            RunError: if the manifest is missing, damaged or of a newer format. The message
                contains the state of the folder and what to do.
        """
        if os.path.lexists(folder / MANIFEST):
            return cls.read(folder / MANIFEST)
        if holder := holder_of(folder):
            message = f"is still being trained by process {holder}; wait until it ends"
        elif is_unfinished(folder):
            message = f"is an unfinished run; resume with: {resume_command(folder)}"
        elif any(os.path.lexists(folder / name) for name in RunFile):
            message = (
                f"is an unfinished run without {MANIFEST}, which ended before training started; "
                "train it again"
            )
        elif runs := sorted(str(path.parent) for path in folder.glob(f"*/{MANIFEST}")):
            message = f"is a folder of runs; choose one of them: {listed(runs)}"
        else:
            train = by_caller("dlcli train", "dlcli.train")
            message = (
                f"is not a run folder: it has no {MANIFEST}; choose a folder that `{train}` created"
            )
        raise RunError(f"{folder}: {message}")


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder is a run whose training was started but not finished."""
    is_finished = os.path.lexists(folder / MANIFEST)
    return not is_finished and all(os.path.lexists(folder / name) for name in ORIGIN)


def kind_of_unfinished(folder: Path) -> RunKind:
    """Return the kind of a run without a manifest."""
    if os.path.lexists(folder / RunFile.STUDY):
        return "tune"
    return "cv" if os.path.lexists(folder / FOLDS) else "train"


def resume_command(folder: Path) -> str:
    """Return the command, or the call in Python, that resumes an unfinished run.

    A run inside another run, such as the best config of a search, is resumed with the outer run.
    The command includes the database of a search, without its password, and the call in Python also
    includes the tables in memory.
    """
    if is_in_other_run(folder):
        folder = folder.parent
    command = ["dlcli", kind_of_unfinished(folder), "--resume", str(folder)]
    arguments = [repr(str(folder)), *_table_arguments(folder)]
    storage = _stored(folder, RunFile.STUDY, "storage")
    if isinstance(storage, str):
        command += ["--storage", storage]
        arguments.append(f"storage={storage!r}")
    return by_caller(shlex.join(command), f"dlcli.resume({', '.join(arguments)})")


def finish_command(folder: Path) -> str:
    """Return the command, or the call in Python, that ends an unfinished training now."""
    arguments = ", ".join([repr(str(folder)), *_table_arguments(folder), "finish=True"])
    command = shlex.join(["dlcli", "train", "--resume", str(folder), "--finish"])
    return by_caller(command, f"dlcli.resume({arguments})")


def is_in_other_run(folder: Path) -> bool:
    """Return whether a run is inside an unfinished run, such as the best config of a search."""
    return is_unfinished(folder.parent) and kind_of_unfinished(folder.parent) != "train"


def _table_arguments(folder: Path) -> list[str]:
    """Return the arguments of `dlcli.resume` for the tables in memory of a run."""
    sources = _stored(folder, RunFile.ENVIRONMENT, "data")
    listed_sources = sources if isinstance(sources, list) else []
    found = [(each.get("key"), each.get("file")) for each in listed_sources if type(each) is dict]
    names = [name for key, name in MEMORY_ARGUMENTS.items() if (f"data.{key}", name) in found]
    return [name if name == "data" else f"{name}={name}" for name in names]


def _stored(folder: Path, file: RunFile, key: str) -> object:
    """Return an entry of a JSON file; `None` if it can't be read, which a later error reports."""
    with suppress(RunError):
        return file.read_object(folder).get(key)
    return None


# The lock, which the operating system releases when the process ends


@contextmanager
def locked(run: Path, work: str = "is training it", name: str = LOCK) -> Iterator[None]:
    """Lock a run folder, or a folder of predictions, against other processes.

    The lock file remains; only the lock on it counts.

    Args:
        run: the folder.
        work: the work of the process that holds the lock, for the message.
        name: the name of the lock file.

    Raises:
        RunError: if another process holds the lock; the message contains its PID.
        OSError: if the lock file can't be created; `filename` is its path.
    """
    descriptor = _open(run / name, os.O_CREAT)
    try:
        if not _lock(descriptor):
            time.sleep(_RETRY_SECONDS)  # `holder_of` in another process locks for a moment
            if not _lock(descriptor):
                raise RunError(
                    f"{run}: process {_pid(descriptor)} {work}; wait until it ends, or stop it"
                )
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except OSError as error:
            error.filename = str(run / name)
            raise
        yield
    finally:
        os.close(descriptor)  # which releases the lock


def holder_of(run: Path) -> str | None:
    """Return the PID of the process that trains a run, `?` if unknown; `None` without one."""
    try:
        descriptor = _open(run / LOCK)
    except OSError:  # it is missing, or belongs to another user
        return None
    try:
        return None if _lock(descriptor) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _open(lock: Path, flags: int = 0) -> int:
    # Do not follow a link, which may point anywhere.
    flags |= os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    return os.open(lock, flags, 0o666)


def _pid(descriptor: int) -> str:
    number = os.read(descriptor, _MAX_PID_BYTES).decode("ascii", "replace").strip()
    return number if number.isdecimal() else "?"


if sys.platform == "win32":
    import msvcrt

    _OFFSET = 2**30
    """Position of the locked byte, beyond the content, so other processes can read the content."""

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
    """Errors of file systems without locks, such as some network shares."""

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
