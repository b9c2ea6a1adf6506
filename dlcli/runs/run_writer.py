"""A run that is being written, with the checkpoints and partial results for resuming it.

Each checkpoint or partial result is a numbered folder. It is written under a temporary name, synced
and then renamed, so it is complete if it exists. Its `contents.json` contains the digests of its
files.

At least two checkpoints of each network are kept, in case the newest is damaged. If all of these
belong to the same epoch, the newest checkpoint of an earlier epoch is also kept: a training that
diverges within an epoch ends with the weights at the end of the previous epoch.

Partial results are the results of finished folds and of finished ensemble members, which are not
trained again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from pydantic import BaseModel

from dlcli import __version__, safe_files
from dlcli.config.config_file import ConfigFile, dump_config
from dlcli.errors import RunError, TrainingError, option
from dlcli.runs import file_formats
from dlcli.runs.file_formats import Array, ArraySpec
from dlcli.runs.manifest import (
    FOLDS,
    LOCK,
    MANIFEST,
    Manifest,
    RunFile,
    finish_command,
    is_in_other_run,
    locked,
    resume_command,
)
from dlcli.runs.run import Run, read_resolved

if TYPE_CHECKING:
    import pyarrow as pa

CHECKPOINTS = "checkpoint"
MEMBERS = "members"
"""Folder with the finished members of an ensemble in training."""
_MIN_CHECKPOINTS = 2
_CONTENTS = "contents.json"
_PLAN = "plan.json"
_MAX_PLAN_BYTES = 2**16
_MAX_RESULT_BYTES = 2**28
_ENDS = b"stop_after_"
"""Prefix of the keys of a config that end training early."""
_NUMBER = re.compile("[1-9][0-9]{0,8}")
_File = Literal["arrays.npz", "history.csv", "result.json", "predictions.parquet"]


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of a training; a resumed training gives bit-identical results."""

    arrays: Mapping[str, Array]
    """Every variable and counter, by name. `epoch` is the number of completed epochs, and `step` is
    the number of steps in the next epoch, if the engine can stop within an epoch."""
    history: Mapping[str, Sequence[float]]
    """The loss and the metrics of each completed epoch, by name."""

    @property
    def epochs(self) -> int:
        """The number of completed epochs."""
        return len(self.history.get("loss", ()))

    @property
    def step(self) -> int:
        """The number of completed steps in the next epoch."""
        return int(self.arrays.get("step", 0))

    @property
    def begun(self) -> int:
        """The number of epochs that have begun, including an incomplete one."""
        return self.epochs + (self.step > 0)


class _Contents(safe_files.VerifiedDocument):
    """The files of a numbered folder."""

    config: str
    """The SHA-256 of the resolved config, without an early end."""
    number: int
    """The name of the folder."""
    files: dict[_File, safe_files.FileDigest]

    @classmethod
    def of(cls, folder: Path, config: str) -> _Contents:
        """Read the contents of a folder that was written for the config with this SHA-256."""
        contents = cls.read(folder / _CONTENTS)
        if contents.config != config:
            raise safe_files.damaged(folder, "belongs to another config")
        if contents.number != int(folder.name):
            raise safe_files.damaged(folder, f"belongs to number {contents.number}")
        return contents

    def open(self, folder: Path, name: _File, limit: int) -> AbstractContextManager[BufferedReader]:
        """Open a file of the folder."""
        if name not in self.files:
            raise safe_files.damaged(folder / _CONTENTS, f"does not list {name}")
        return safe_files.open_verified(folder / name, self.files[name], limit)


class RunWriter:
    """Writes the files of a run that is being trained.

    Every method raises `TrainingError` if a file can't be stored, for example on a full disk; files
    that were stored before remain intact. JSON has neither NaN nor infinity, so undefined numbers
    must be `None`.

    Args:
        path: the folder, which must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self.not_resumable = False
        """True if resuming the run would be useless, whatever the folder contains."""
        self.has_partial_results = False
        """True if there are finished folds or trials."""
        self._config: str | None = None
        self._resolved: str | None = None
        self._log: TextIO | None = None

    @property
    def can_resume(self) -> bool:
        """True if the run can be resumed."""
        if self.not_resumable:
            return False
        members, base = self.path / MEMBERS, self.path / CHECKPOINTS
        has_members = safe_files.is_folder(members) and any(members.iterdir())
        bases = [base, *base.glob("member-*")] if safe_files.is_folder(base) else []
        return self.has_partial_results or has_members or any(map(_checkpoints, bases))

    @property
    def way_to_resume(self) -> str:
        """The command that resumes the run, for messages."""
        return f"resume with: {resume_command(self.path)}"

    @property
    def way_to_finish(self) -> str | None:
        """The command that ends training now, for messages; `None` if nothing could be kept."""
        if is_in_other_run(self.path) or not (self.finished_epochs or self.has_member(1)):
            return None
        return f"or end it with the best epoch so far: {finish_command(self.path)}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes.

        Raises:
            RunError: if another process has the lock.
        """
        with ExitStack() as stack:
            with self._storing(LOCK):
                stack.enter_context(locked(self.path))
            yield

    # Results

    def write_text(self, name: RunFile, text: str) -> None:
        """Store a text file."""
        with self.stored(name) as temporary:
            temporary.write_bytes(text.encode())

    def write_json(self, name: RunFile, value: Mapping[str, object]) -> None:
        """Store a JSON object."""
        self.write_text(name, safe_files.to_json(value).decode())

    def write_table(self, name: RunFile, table: pa.Table) -> None:
        """Store a table as Parquet."""
        with self.stored(name) as temporary:
            file_formats.write_parquet(temporary, table)

    def write_resolved(self, text: str) -> None:
        """Store the complete config, as YAML.

        A later config may differ from the first one only in an early end of training.
        """
        self.write_text(RunFile.RESOLVED, text)
        self._config, self._resolved = self._read_digests()

    def write_arrays(self, name: RunFile, arrays: Mapping[str, Array]) -> None:
        """Store float32 arrays, such as weights, by name."""
        with self.stored(name) as temporary:
            file_formats.write_arrays(temporary, arrays)

    def write_history(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Store the loss and the metrics of each epoch by name, all of one length."""
        self.write_text(RunFile.HISTORY, file_formats.dump_history(columns))

    @contextmanager
    def stored(self, name: RunFile) -> Iterator[Path]:
        """Store a file that the caller writes.

        Yields:
            A temporary path with the same suffix, to which the caller writes the content.
        """
        with self._storing(name) as path, safe_files.write_atomically(path) as temporary:
            yield temporary

    @property
    def config_file(self) -> ConfigFile:
        """The complete config, with its path; `finish` fails if the file changes after this.

        Raises:
            RunError: if the file can't be read or is too large.
        """
        self._config_digest()
        return read_resolved(self.path / RunFile.RESOLVED, self.path)

    @property
    def environment(self) -> dict[str, object]:
        """The environment in which the run was started.

        Raises:
            RunError: if the file is damaged.
        """
        return RunFile.ENVIRONMENT.read_object(self.path)

    def log(self, event: str, /, **fields: object) -> None:
        """Append an event to the log, with the time in UTC."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, **fields}, allow_nan=False)
        with self._storing(RunFile.EVENTS) as path:
            if self._log is None:
                content = path.read_bytes() if path.exists() else b""
                complete = content.rfind(b"\n") + 1
                if complete < len(content):  # the last line of an earlier process is incomplete
                    os.truncate(path, complete)
                self._log = path.open("a", encoding="utf-8", buffering=1)  # flushes each line
            self._log.write(line + "\n")

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            with suppress(OSError):  # `log` has already raised it
                self._log.close()
            self._log = None

    def finish(self, kind: str = "train") -> Run:
        """Write the manifest, which makes the folder a finished run, and return this run.

        Args:
            kind: the kind of the run: a `RunKind` or `DIVERGED`.

        Raises:
            RunError: if the complete config was changed during training.
        """
        self.close()
        with self._storing(MANIFEST) as path:
            if (log := self.path / RunFile.EVENTS).exists():
                safe_files.sync(log)
            manifest = Manifest.describe(self.path, kind)
            resolved = manifest.files.get(RunFile.RESOLVED)
            if resolved is not None and self._resolved not in (None, resolved.sha256):
                raise safe_files.damaged(
                    self.path / RunFile.RESOLVED, "was changed during training"
                )
            with safe_files.write_atomically(path) as temporary:
                temporary.write_bytes(manifest.to_json())
            safe_files.sync_folder(self.path.parent)
        self.finished = True
        remove_resume_files(self.path)
        return Run(self.path, manifest)

    # Checkpoints and partial results

    def write_checkpoint(self, checkpoint: Checkpoint, member: int | None = None) -> None:
        """Store a checkpoint, and remove checkpoints that are no longer needed.

        Args:
            checkpoint: the state of the training.
            member: the number of the ensemble member, from 1; `None` for a single network.
        """
        base = self._checkpoint_folder(member)
        with self._storing(CHECKPOINTS):
            for folder in (self.path / CHECKPOINTS, base):
                _make_folder(folder)
            older = _checkpoints(base)
            newest = base / str(int(older[-1].name) + 1 if older else 1)
            self._write_folder(newest, _checkpoint_files(checkpoint))
            for folder in _dispensable([*older, newest]):
                _remove(folder)

    def read_checkpoint(
        self,
        specs: Mapping[str, ArraySpec],
        accept: Callable[[Checkpoint], bool] = lambda _: True,
        member: int | None = None,
    ) -> Checkpoint | None:
        """Read the newest undamaged checkpoint.

        Args:
            specs: shape and dtype of each array, by name.
            accept: returns whether a checkpoint can be used; if not, an older one is tried.
            member: the number of the ensemble member, from 1; `None` for a single network.

        Returns:
            The checkpoint; `None` if there are no checkpoints, or `accept` rejects all of them.

        Raises:
            RunError: if all checkpoints are damaged or belong to another config.
        """
        config = self._config_digest()
        problems, any_intact = [], False
        for folder in reversed(_checkpoints(self._checkpoint_folder(member))):
            try:
                checkpoint = _read_checkpoint(folder, config, specs)
            except RunError as error:
                problems.append(error)
                continue
            if accept(checkpoint):
                return checkpoint
            any_intact = True
        if problems and not any_intact:
            raise problems[0]
        return None

    @property
    def finished_epochs(self) -> int:
        """The number of epochs in the newest checkpoint of a single network; 0 without one."""
        for folder in reversed(_checkpoints(self._checkpoint_folder(None))):
            with suppress(RunError):
                contents = _Contents.of(folder, self._config_digest())
                return len(_read_history(contents, folder).get("loss", ()))
        return 0

    def has_member(self, number: int) -> bool:
        """Return whether the result of an ensemble member is stored."""
        return safe_files.is_folder(self.path / MEMBERS / str(number))

    def write_member(self, number: int, result: Checkpoint) -> None:
        """Store the result of a finished ensemble member, and remove its checkpoints.

        Args:
            number: the number of the member, from 1.
            result: its weights and history.
        """
        with self._storing(MEMBERS) as base:
            _make_folder(base)
            self._write_folder(base / str(number), _checkpoint_files(result))
        _remove(self._checkpoint_folder(number))

    def read_member(self, number: int, specs: Mapping[str, ArraySpec]) -> Checkpoint | None:
        """Read the result of an ensemble member; `None` if it is not finished.

        Args:
            number: the number of the member, from 1.
            specs: shape and dtype of each array, by name.

        Raises:
            RunError: if the result is damaged or belongs to another config; a note suggests
                removing it.
        """
        folder = self.path / MEMBERS / str(number)
        if not os.path.lexists(folder):
            return None
        with _naming_way_out(folder):
            check_folder(folder.parent)
            check_folder(folder)
            return _read_checkpoint(folder, self._config_digest(), specs)

    def write_plan(self, plan: Mapping[str, object]) -> None:
        """Store the plan of the folds, which makes the folder a cross-validation."""
        with self._storing(FOLDS) as folder:
            _make_folder(folder)
            with safe_files.write_atomically(folder / _PLAN) as temporary:
                temporary.write_bytes(safe_files.to_json(plan))
            safe_files.sync_folder(self.path)

    @property
    def has_plan(self) -> bool:
        """True if the plan of the folds is stored."""
        return os.path.lexists(self.path / FOLDS / _PLAN)

    def read_plan(self) -> dict[str, object]:
        """Read the plan of the folds.

        Raises:
            RunError: if the plan is missing or is not a JSON object.
        """
        check_folder(self.path / FOLDS)
        return safe_files.read_object(self.path / FOLDS / _PLAN, _MAX_PLAN_BYTES)

    def write_partial_result(
        self, number: int, result: BaseModel, predictions: pa.Table | None = None
    ) -> None:
        """Store the result of a fold, and replace an earlier one.

        Args:
            number: the number of the fold over all repeats, from 1.
            result: the result as a document.
            predictions: the predictions of its held-out rows, if any.

        Raises:
            RunError: if the folder of partial results is a link.
        """
        files: dict[_File, Callable[[Path], object]] = {
            "result.json": lambda path: path.write_text(result.model_dump_json(), "utf-8")
        }
        if predictions is not None:
            files["predictions.parquet"] = partial(file_formats.write_parquet, table=predictions)
        with self._storing(FOLDS) as base:
            _make_folder(base)
            self._write_folder(base / str(number), files)
        self.has_partial_results = True

    def read_partial_result(
        self, number: int, kind: type[safe_files.AnyDocument], what: str
    ) -> tuple[safe_files.AnyDocument, pa.Table | None] | None:
        """Read the result of a fold.

        Args:
            number: the number of the fold over all repeats, from 1.
            kind: the type of the stored document.
            what: the name of the fold in messages, such as `fold 2 of repeat 1`.

        Returns:
            The document, and the predictions that were stored with it, if any; `None` if the fold
            is not finished.

        Raises:
            RunError: if the result is damaged or belongs to another config; a note suggests
                removing it.
        """
        check_folder(self.path / FOLDS)
        folder = self.path / FOLDS / str(number)
        if not os.path.lexists(folder):
            return None
        with _naming_way_out(folder):
            check_folder(folder)
            contents = _Contents.of(folder, self._config_digest())
            with contents.open(folder, "result.json", _MAX_RESULT_BYTES) as stream:
                result, table = safe_files.decode(stream.read(), folder / "result.json"), None
            name: Literal["predictions.parquet"] = "predictions.parquet"
            if name in contents.files:
                with contents.open(folder, name, RunFile.PREDICTIONS.limit) as stream:
                    table = file_formats.read_parquet(stream, folder / name)
        self.has_partial_results = True
        document = safe_files.parse_document(
            kind, result, f"{self.path}: the stored result of {what}", ""
        )
        return document, table

    def _checkpoint_folder(self, member: int | None) -> Path:
        base = self.path / CHECKPOINTS
        return base if member is None else base / f"member-{member}"

    def _write_folder(self, folder: Path, files: Mapping[_File, Callable[[Path], object]]) -> None:
        """Write a numbered folder atomically.

        Args:
            folder: the folder, whose name is a number.
            files: for each file the function that writes it.
        """
        temporary = folder.with_name(f".{folder.name}.partial")
        _remove(temporary)
        try:
            temporary.mkdir()
            for name, write in files.items():
                write(temporary / name)
            contents = _Contents(
                format=safe_files.FORMAT,
                dlcli=__version__,
                config=self._config_digest(),
                number=int(folder.name),
                files={name: safe_files.FileDigest.of(temporary / name) for name in files},
            )
            (temporary / _CONTENTS).write_bytes(contents.to_json())
            for path in temporary.iterdir():
                safe_files.sync(path)
            safe_files.sync_folder(temporary)
            _remove(folder)
            os.rename(temporary, folder)
        except BaseException:
            _remove(temporary)
            raise
        safe_files.sync_folder(folder.parent)

    def _config_digest(self) -> str:
        """Return the SHA-256 of the complete config without an early end of training.

        So checkpoints remain valid if the run is killed while its early end is stored.
        """
        if self._config is None:
            self._config, self._resolved = self._read_digests()
        return self._config

    def _read_digests(self) -> tuple[str, str]:
        """Return the SHA-256 of the complete config without an early end, and of its file."""
        path = self.path / RunFile.RESOLVED
        content = safe_files.read_bytes(path, RunFile.RESOLVED.limit)
        digest = whole = hashlib.sha256(content).hexdigest()
        if _ENDS in content:
            config = read_resolved(path, self.path).config.ended_after()
            digest = hashlib.sha256(dump_config(config).encode()).hexdigest()
        return digest, whole

    @contextmanager
    def _storing(self, name: str) -> Iterator[Path]:
        """Yield the path of a file to store; a failure raises `TrainingError` with a remedy."""
        if self.finished:
            raise ValueError(f"{name} would no longer match the manifest")
        path = self.path / name
        try:
            yield path
        except OSError as error:
            remedy = safe_files.way_to_write(error)
            if self.can_resume:
                remedy += f", then {self.way_to_resume}"
            else:
                remedy += f", or choose another folder with {option('output')}, then train again"
            failure = TrainingError(
                f"{path}: could not be stored: {safe_files.os_error_text(error)}; {remedy}"
            )
            failure.names_way_to_resume = self.can_resume
            raise failure from error


def remove_resume_files(folder: Path) -> None:
    """Remove the files that a finished run does not need: checkpoints, partial results, lock."""
    for name in (CHECKPOINTS, MEMBERS, FOLDS):
        _remove(folder / name)
    with suppress(OSError):  # some systems can't remove it while it is locked
        (folder / LOCK).unlink(missing_ok=True)


@contextmanager
def _naming_way_out(folder: Path) -> Iterator[None]:
    """Add a note to an error in a partial result: the folder can be removed."""
    try:
        yield
    except RunError as error:
        error.add_note(f"or remove {folder}; its results are then computed again")
        raise


def _checkpoint_files(checkpoint: Checkpoint) -> dict[_File, Callable[[Path], object]]:
    """Return the functions that write the files of a checkpoint."""
    history = file_formats.dump_history(checkpoint.history)
    return {
        "arrays.npz": lambda path: file_formats.write_arrays(path, checkpoint.arrays),
        "history.csv": lambda path: path.write_text(history, "utf-8"),
    }


def _read_checkpoint(folder: Path, config: str, specs: Mapping[str, ArraySpec]) -> Checkpoint:
    """Read the files of a checkpoint that was written for a config.

    Raises:
        RunError: if one of them is damaged.
    """
    contents, limit = _Contents.of(folder, config), file_formats.max_archive_bytes(specs)
    with contents.open(folder, "arrays.npz", limit) as stream:
        try:
            arrays = file_formats.read_arrays(stream, specs, folder / "arrays.npz")
        except RunError as error:
            version = "it was not damaged; another version of dlcli may have written it"
            error.add_note(f"  {version}: resume with that version, or train the run again")
            raise
    return Checkpoint(arrays, _read_history(contents, folder))


def _read_history(contents: _Contents, folder: Path) -> dict[str, list[float]]:
    with contents.open(folder, "history.csv", RunFile.HISTORY.limit) as stream:
        return file_formats.parse_history(stream.read(), folder / RunFile.HISTORY)


def _checkpoints(base: Path) -> list[Path]:
    """Return the checkpoint folders of a network, oldest first, without links."""
    if not safe_files.is_folder(base):
        return []
    folders = [
        each
        for each in base.iterdir()
        if _NUMBER.fullmatch(each.name) and safe_files.is_folder(each)
    ]
    return sorted(folders, key=lambda folder: int(folder.name))


def _dispensable(checkpoints: Sequence[Path]) -> list[Path]:
    """Return the checkpoints that can be removed.

    The history grows with each epoch, so a smaller history belongs to an earlier epoch.

    Args:
        checkpoints: all checkpoints of a network, oldest first.
    """
    size = _history_bytes(checkpoints[-1])
    older = reversed(checkpoints[:-1])
    before = next((each for each in older if _history_bytes(each) < size), None)
    return [each for each in checkpoints[:-_MIN_CHECKPOINTS] if each != before]


def _history_bytes(checkpoint: Path) -> float:
    """Return the size of the history of a checkpoint in bytes; infinite if it is damaged."""
    try:
        return _Contents.read(checkpoint / _CONTENTS).files["history.csv"].bytes
    except (RunError, KeyError):
        return math.inf


def check_folder(path: Path) -> None:
    """Raise `RunError` unless a path is a folder; a link may point anywhere."""
    if not os.path.lexists(path):
        raise safe_files.damaged(path, "is missing")
    if not safe_files.is_folder(path):
        raise safe_files.damaged(path, "is a link, a file or a device, not a folder")


def _make_folder(path: Path) -> None:
    """Create a folder unless it exists; raise `RunError` for a link, which may point anywhere."""
    if not os.path.lexists(path):
        with suppress(FileExistsError):  # created by another thread
            path.mkdir()
        safe_files.sync_folder(path.parent)
    check_folder(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # a remaining file does no harm
