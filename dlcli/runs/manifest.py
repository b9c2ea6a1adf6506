"""The state of a run folder: the manifest of a finished run, and the lock of one in training."""

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
"""The command that made a run. A manifest may also have `diverged`, for a training."""
DIVERGED = "diverged"
"""The kind of a training that diverged, of which the last finite weights are stored."""
KIND_NAMES: dict[str, str] = {"train": "training", "cv": "cross-validation", "tune": "search"}
"""The kinds in messages."""
FOLDS = "folds"
"""Folder with the partial results of an unfinished cross-validation."""
_DOCUMENT_BYTES = 2**28


class RunFile(StrEnum):
    """A file that the manifest of a run may list.

    Args:
        name: its name.
        limit: its maximum size in bytes. The size of arrays also follows from the network.
    """

    limit: int

    def __new__(cls, name: str, limit: int = 2**34) -> Self:
        """Make a member, which is its name."""
        file = str.__new__(cls, name)
        file._value_, file.limit = name, limit
        return file

    def read_object(self, folder: Path) -> dict[str, Any]:
        """Read the JSON object of a run that may be unfinished, without a known digest.

        Raises:
            RunError: if it is missing or anything else.
        """
        return read_object(folder / self, self.limit)

    CONFIG = "config.yaml", MAX_BYTES
    """The config as the user gave it."""
    RESOLVED = "resolved.yaml", MAX_BYTES
    """The complete config."""
    TYPES = "types.json", _DOCUMENT_BYTES
    """The reasons for the types of the columns and of the target."""
    ENCODING = "encoding.json", _DOCUMENT_BYTES
    """The fitted encoding."""
    WEIGHTS = "weights.npz"
    """The weights, float32, by name."""
    ENSEMBLE = "ensemble.json", _DOCUMENT_BYTES
    """The members of an ensemble."""
    CONFORMAL = "conformal.json", _DOCUMENT_BYTES
    """The errors of held-out rows, for prediction intervals and prediction sets."""
    MODEL = "model.keras"
    """The model for the user's own Keras code."""
    METRICS = "metrics.json", _DOCUMENT_BYTES
    """The final metrics by split, then metric."""
    HISTORY = "history.csv", 2**30
    """Loss and metrics of each epoch."""
    BASELINES = "baselines.json", _DOCUMENT_BYTES
    """The metrics of the simplest models by model, split, then metric."""
    BASELINE_WEIGHTS = "baselines.npz"
    """The weights of these models, float32, by name."""
    VERDICTS = "verdicts.json", _DOCUMENT_BYTES
    """Whether the network is better than these models, and signs of data leakage."""
    GATES = "gates.json", _DOCUMENT_BYTES
    """The results of the config's gates."""
    PREDICTIONS = "predictions.parquet", 2**36
    """Row, split, target and prediction of the held-out rows."""
    SAMPLE = "sample.parquet", 2**30
    """The same of a sample of the training rows."""
    EXPLANATION = "explanation.json", _DOCUMENT_BYTES
    """The explanation of the network."""
    EVENTS = "events.jsonl", 2**34
    """The log, which an interrupted run keeps."""
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
    """The config of its smallest candidate that is as good."""


MANIFEST = "manifest.json"
LOCK = "lock"
"""The file that is locked while a process trains the run."""
PAGE = "report.html"
"""A file that is made from a finished run at any time; the manifest doesn't list it."""
_MAX_PID_BYTES = 20
_RETRY_SECONDS = 0.05
"""Time after which a lock is tried again."""
ORIGIN = (RunFile.CONFIG, RunFile.RESOLVED, RunFile.ENVIRONMENT)
"""Files that exist before training begins; a run is resumed from them."""


class Manifest(VerifiedDocument):
    """All files of a finished run."""

    kind: str
    """`train`, `diverged`, `cv` or `tune`."""
    created: Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text
    """When the run was finished, in UTC."""
    files: dict[Annotated[RunFile, Field(strict=False)], FileDigest]

    @classmethod
    def describe(cls, folder: Path, kind: str) -> Self:
        """Return the manifest of a folder as it is now, without files that are not dlcli's.

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
            RunError: if there is none, or it is damaged or of a newer format.
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
    """Return whether a folder is a run that was begun and not finished."""
    is_finished = os.path.lexists(folder / MANIFEST)
    return not is_finished and all(os.path.lexists(folder / name) for name in ORIGIN)


def kind_of_unfinished(folder: Path) -> RunKind:
    """Return the kind of an unfinished run, which has no manifest yet."""
    if os.path.lexists(folder / RunFile.STUDY):
        return "tune"
    return "cv" if os.path.lexists(folder / FOLDS) else "train"


def resume_command(folder: Path) -> str:
    """Return the command, or the call in Python, that resumes an unfinished run.

    A part of another run, such as the best config of a search, is resumed with that run. The
    command names the database of a search that has one, without its password, and in Python the
    tables in memory.
    """
    if is_unfinished(folder.parent) and kind_of_unfinished(folder.parent) != "train":
        folder = folder.parent
    command = ["dlcli", kind_of_unfinished(folder), "--resume", str(folder)]
    arguments = [repr(str(folder)), *_table_arguments(folder)]
    storage = _stored(folder, RunFile.STUDY, "storage")
    if isinstance(storage, str):
        command += ["--storage", storage]
        arguments.append(f"storage={storage!r}")
    return by_caller(shlex.join(command), f"dlcli.resume({', '.join(arguments)})")


def _table_arguments(folder: Path) -> list[str]:
    """Return the arguments of `dlcli.resume` for the tables in memory that a run was begun with."""
    sources = _stored(folder, RunFile.ENVIRONMENT, "data")
    listed_sources = sources if isinstance(sources, list) else []
    found = [(each.get("key"), each.get("file")) for each in listed_sources if type(each) is dict]
    names = [name for key, name in MEMORY_ARGUMENTS.items() if (f"data.{key}", name) in found]
    return [name if name == "data" else f"{name}={name}" for name in names]


def _stored(folder: Path, file: RunFile, key: str) -> object:
    """Return an entry of a JSON file; `None` if it can't be read, which reading the run reports."""
    with suppress(RunError):
        return file.read_object(folder).get(key)
    return None


# The lock; the system releases it with the process


@contextmanager
def locked(run: Path, work: str = "is training it", name: str = LOCK) -> Iterator[None]:
    """Lock a run folder, or a folder of predictions, against other processes.

    The lock file remains, and means nothing by itself.

    Args:
        run: the folder.
        work: what a process that has locked it does, for the message.
        name: the name of the lock file.

    Raises:
        RunError: if another process has the lock, with its number.
        OSError: naming the lock file, if it can't be made.
    """
    descriptor = _open(run / name, os.O_CREAT)
    try:
        if not _lock(descriptor):
            time.sleep(_RETRY_SECONDS)  # another process may just be testing the lock
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
    """Return the number of the process that trains a run, or `None`."""
    try:
        descriptor = _open(run / LOCK)
    except OSError:  # there is no lock file, or it is another user's
        return None
    try:
        return None if _lock(descriptor) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _open(lock: Path, flags: int = 0) -> int:
    # Not through a link, which may lead anywhere.
    flags |= os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    return os.open(lock, flags, 0o666)


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
    """Errors of file systems without locks, such as some network shares: no run is locked there."""

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
