"""A run that is being written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from dlcli.errors import RunError, TrainingError
from dlcli.runs import resume_files
from dlcli.runs.file_formats import ArraySpec, Weights, dump_history, write_arrays, write_parquet
from dlcli.runs.folder_lock import LOCK, locked
from dlcli.runs.manifest import FOLDS, LIMITS, MANIFEST, FileName, Manifest, resume_command
from dlcli.runs.resume_files import Checkpoint, PartialResult
from dlcli.runs.run_reader import Run
from dlcli.runs.safe_files import (
    damaged,
    is_folder,
    os_error_text,
    parse_object,
    read_object,
    sha256_of,
    sync,
    sync_folder,
    to_json,
    write_atomically,
)

if TYPE_CHECKING:
    import pyarrow as pa

_DISK_FULL = (None, errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk; `None` is that of a library that gives no number."""
_MAX_LINE_BYTES = 2**28
"""Maximum length of a line of the log that is read."""
_MLFLOW = "mlflow.json"
_MAX_MLFLOW_BYTES = 2**10
_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


class RunWriter:
    """A run folder without its manifest yet; a training writes to it, and may be resumed.

    Every method raises `TrainingError` if a file can't be stored, as on a full disk. JSON has no
    NaN and no infinity: undefined numbers are `None`.

    Args:
        path: the folder, which exists and is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self.not_resumable = False
        """Whether it is useless to resume the run, whatever the folder contains."""
        self.has_partial_results = False
        """Whether there are finished folds or trials, which need not be trained again."""
        self._log: TextIO | None = None
        self._config: str | None = None

    @property
    def can_resume(self) -> bool:
        """Whether the run can be resumed."""
        return not self.not_resumable and (
            self.has_partial_results or resume_files.has_checkpoint(self.path)
        )

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

    def write_config(self, text: str) -> None:
        """Store the config as the user gave it."""
        self._write("config.yaml", text.encode())

    def write_resolved(self, text: str) -> None:
        """Store the complete config, as YAML."""
        content = text.encode()
        self._write("resolved.yaml", content)
        self._config = hashlib.sha256(content).hexdigest()

    def write_encoding(self, text: str) -> None:
        """Store the fitted encoding, as JSON."""
        self._write("encoding.json", text.encode())

    def write_weights(self, arrays: Mapping[str, Weights]) -> None:
        """Store the weights, float32, by name."""
        with self._stored("weights.npz") as temporary:
            write_arrays(temporary, arrays)

    def write_metrics(self, metrics: Mapping[str, Mapping[str, object]]) -> None:
        """Store the final metrics by split, then metric."""
        self._write("metrics.json", to_json(metrics))

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Mapping[str, object]]]) -> None:
        """Store the metrics of the simplest models by model, split, then metric."""
        self._write("baselines.json", to_json(baselines))

    def write_explanation(self, text: str) -> None:
        """Store the explanation of the network, as JSON; see the package `explanation`."""
        self._write("explanation.json", text.encode())

    def write_cross_validation(self, text: str) -> None:
        """Store the result of a cross-validation, as JSON; see the package `pipeline`."""
        self._write("cv.json", text.encode())

    def write_refit(self, text: str) -> None:
        """Store the config that trains on the rows of all folds, as YAML."""
        self._write("refit.yaml", text.encode())

    def write_study(self, study: Mapping[str, object]) -> None:
        """Store the description of a search before its first trial."""
        self._write("study.json", to_json(study))

    def write_search(self, text: str) -> None:
        """Store the result of a search, as JSON; see the package `pipeline`."""
        self._write("tune.json", text.encode())

    def write_found_config(self, name: Literal["best", "smallest"], text: str) -> None:
        """Store a config that a search has found, as YAML."""
        self._write("best.yaml" if name == "best" else "smallest.yaml", text.encode())

    def write_history(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Store loss and metrics of each epoch by name, all of one length."""
        self._write("history.csv", dump_history(columns).encode())

    def write_predictions(self, table: pa.Table) -> None:
        """Store the predictions of the held-out rows."""
        self._write_table("predictions.parquet", table)

    def write_sample(self, table: pa.Table) -> None:
        """Store the predictions of a sample of the training rows, with the same columns."""
        self._write_table("sample.parquet", table)

    def write_environment(self, environment: Mapping[str, object]) -> None:
        """Store versions, machine, command and data files; see `collect_environment`."""
        self._write("environment.json", to_json(environment))

    @contextmanager
    def model_file(self) -> Iterator[Path]:
        """Store the model for the user's own Keras code.

        Yields:
            a path that ends in `.keras`, for `model.save`.
        """
        with self._stored("model.keras") as temporary:
            yield temporary

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store the state of the training."""
        with self._storing(resume_files.CHECKPOINTS):
            resume_files.write_checkpoint(self.path, checkpoint, self._config_digest())

    def read_checkpoint(
        self, specs: Mapping[str, ArraySpec], accept: Callable[[Checkpoint], bool] = lambda _: True
    ) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, or `None` if there is none.

        Args:
            specs: shape and type of each array, by name.
            accept: whether an undamaged checkpoint can be used; if not, an older one is tried.

        Raises:
            RunError: if all checkpoints are damaged or of another config.
        """
        return resume_files.read_checkpoint(self.path, specs, self._config_digest(), accept)

    def write_plan(self, plan: Mapping[str, object]) -> None:
        """Store the planned folds, before anything else of a cross-validation."""
        with self._storing(FOLDS):
            resume_files.write_plan(self.path, plan)

    def read_plan(self) -> dict[str, object]:
        """Return the planned folds.

        Raises:
            RunError: if they are damaged.
        """
        return resume_files.read_plan(self.path)

    def write_partial_result(self, number: int, part: PartialResult) -> None:
        """Store the result of a fold, numbered from 1."""
        with self._storing(FOLDS):
            resume_files.write_partial_result(self.path, number, part, self._config_digest())
        self.has_partial_results = True

    def read_partial_result(self, number: int) -> PartialResult | None:
        """Return the result of a fold, or `None` if it isn't finished.

        Raises:
            RunError: if it is damaged or of another config.
        """
        part = resume_files.read_partial_result(self.path, number, self._config_digest())
        self.has_partial_results |= part is not None
        return part

    def resolved_path(self) -> Path:
        """Return the path of the complete config, which must not change from now on.

        Raises:
            RunError: if it can't be read, or is too large for a config.
        """
        self._config_digest()
        return self.path / "resolved.yaml"

    def read_environment(self) -> dict[str, object]:
        """Return the environment in which the run was begun.

        Raises:
            RunError: if it is damaged.
        """
        return read_object(self.path / "environment.json", LIMITS["environment.json"])

    def log(self, event: str, /, **fields: object) -> None:
        """Append an event to the log, with the time in UTC. An interrupted run keeps its log."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, **fields}, allow_nan=False)
        with self._storing("events.jsonl") as path:
            if self._log is None:
                content = path.read_bytes() if path.exists() else b""
                complete = content.rfind(b"\n") + 1
                if complete < len(content):  # an earlier process was killed, or its disk was full
                    os.truncate(path, complete)
                self._log = path.open("a", encoding="utf-8", buffering=1)  # a line at a time
            self._log.write(line + "\n")

    def first_event(self, event: str) -> dict[str, object]:
        """Return the first event of a name in the log, also of an earlier process.

        It is empty if there is none, or a line before it can't be read.
        """
        path = self.path / "events.jsonl"
        with suppress(OSError, RunError), path.open("rb") as stream:
            for line in iter(lambda: stream.readline(_MAX_LINE_BYTES), b""):
                fields = parse_object(line, path)
                if fields.get("event") == event:
                    return fields
        return {}

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            with suppress(OSError):  # `log` has raised the error of a line that didn't fit
                self._log.close()
            self._log = None

    def finish(self, kind: str = "train") -> Run:
        """Write the manifest of all stored files, which makes the folder a finished run.

        Args:
            kind: kind of the run.
        """
        self.close()
        with self._storing(MANIFEST) as path:
            if (log := self.path / "events.jsonl").exists():
                sync(log)
            manifest = Manifest.describe(self.path, kind)
            resolved = manifest.files.get("resolved.yaml")
            if resolved is not None and self._config not in (None, resolved.sha256):
                raise damaged(self.path / "resolved.yaml", "was changed during training")
            with write_atomically(path) as temporary:
                temporary.write_bytes(manifest.to_json())
            sync_folder(self.path.parent)
        self.finished = True
        remove_resume_files(self.path)
        return Run(self.path, manifest)

    def _config_digest(self) -> str:
        """Return the SHA-256 of the complete config when it was stored, or first used."""
        if self._config is None:
            self._config = sha256_of(self.path / "resolved.yaml", LIMITS["resolved.yaml"])
        return self._config

    def _write(self, name: FileName, content: bytes) -> None:
        with self._stored(name) as temporary:
            temporary.write_bytes(content)

    def _write_table(self, name: FileName, table: pa.Table) -> None:
        with self._stored(name) as temporary:
            write_parquet(temporary, table)

    @contextmanager
    def _stored(self, name: FileName) -> Iterator[Path]:
        with self._storing(name) as path, write_atomically(path) as temporary:
            yield temporary

    @contextmanager
    def _storing(self, name: str) -> Iterator[Path]:
        if self.finished:
            raise ValueError(f"{name} would no longer agree with the manifest")
        path = self.path / name
        try:
            yield path
        except OSError as error:
            is_full = error.errno in _DISK_FULL
            remedy = "free some space" if is_full else "make sure that it can be written"
            if self.can_resume:
                remedy += f", then resume with: {resume_command(self.path)}"
            else:
                remedy += ", or name another folder with --output, then train again"
            raise TrainingError(
                f"{path}: could not be stored: {os_error_text(error)}; {remedy}"
            ) from error


def remove_resume_files(folder: Path) -> None:
    """Remove what a finished run doesn't need: checkpoints, partial results and the lock."""
    resume_files.remove_checkpoints(folder)
    resume_files.remove_partial_results(folder)
    with suppress(OSError):  # some systems don't remove it while it is locked
        (folder / LOCK).unlink(missing_ok=True)


# Files of trackers, which the manifest doesn't list


def tensorboard_folder(run: Path, part: str = "") -> Path:
    """Make the folder of a run's TensorBoard event files, or a folder below it.

    Args:
        run: the run folder.
        part: such as `train`; empty for what concerns the whole run.

    Raises:
        RunError: if there is something else of that name, such as a link.
        OSError: if it can't be made.
    """
    folder = run / "tensorboard"
    for path in (folder, folder / part) if part else (folder,):
        path.mkdir(exist_ok=True)
        if not is_folder(path):
            raise damaged(path, "is not a folder but a link")
    return folder / part


def write_mlflow_run(run: Path, run_id: str) -> None:
    """Store the MLflow run that tracks a run.

    Raises:
        OSError: if it can't be stored.
    """
    with write_atomically(run / _MLFLOW) as temporary:
        temporary.write_bytes(to_json({"run_id": run_id}))


def read_mlflow_run(run: Path) -> str | None:
    """Return the MLflow run that tracks a run, if any.

    Raises:
        RunError: if the stored one is invalid.
    """
    path = run / _MLFLOW
    if not os.path.lexists(path):
        return None
    run_id = read_object(path, _MAX_MLFLOW_BYTES).get("run_id")
    if not isinstance(run_id, str) or not _MLFLOW_ID.fullmatch(run_id):
        raise damaged(path, "has no ID of an MLflow run")
    return run_id
