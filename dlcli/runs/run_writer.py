"""A run that is being written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dlcli import safe_files
from dlcli.runs.file_formats import Array, dump_history, write_arrays, write_parquet
from dlcli.runs.manifest import MANIFEST, Manifest, RunFile
from dlcli.runs.resume_files import ResumableRun, remove_resume_files
from dlcli.runs.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


_MLFLOW = "mlflow.json"
_MAX_MLFLOW_BYTES = 2**10
_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


class RunWriter(ResumableRun):
    """A run folder without its manifest yet, to which a training writes.

    Every method raises `TrainingError` if a file can't be stored, as on a full disk. JSON has no
    NaN and no infinity: undefined numbers are `None`.

    Args:
        path: the folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._log: TextIO | None = None

    def write_text(self, name: RunFile, text: str) -> None:
        """Store a file of text."""
        self._write(name, text.encode())

    def write_json(self, name: RunFile, value: Mapping[str, object]) -> None:
        """Store a JSON object."""
        self._write(name, safe_files.to_json(value))

    def write_table(self, name: RunFile, table: pa.Table) -> None:
        """Store a table."""
        with self._stored(name) as temporary:
            write_parquet(temporary, table)

    def write_resolved(self, text: str) -> None:
        """Store the complete config, as YAML."""
        content = text.encode()
        self._write(RunFile.RESOLVED, content)
        self._config = hashlib.sha256(content).hexdigest()

    def write_arrays(self, name: RunFile, arrays: Mapping[str, Array]) -> None:
        """Store float32 arrays, such as weights, by name."""
        with self._stored(name) as temporary:
            write_arrays(temporary, arrays)

    def write_history(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Store loss and metrics of each epoch by name, all of one length."""
        self._write(RunFile.HISTORY, dump_history(columns).encode())

    def model_file(self) -> AbstractContextManager[Path]:
        """Store the model for the user's own Keras code.

        Yields:
            a path that ends in `.keras`, for `model.save`.
        """
        return self._stored(RunFile.MODEL)

    def resolved_path(self) -> Path:
        """Return the path of the complete config, which must not change from now on.

        Raises:
            RunError: if it can't be read, or is too large for a config.
        """
        self._config_digest()
        return self.path / RunFile.RESOLVED

    @property
    def environment(self) -> dict[str, object]:
        """The environment in which the run was begun.

        Raises:
            RunError: if it is damaged.
        """
        return RunFile.ENVIRONMENT.read_object(self.path)

    def log(self, event: str, /, **fields: object) -> None:
        """Append an event to the log, with the time in UTC. An interrupted run keeps its log."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, **fields}, allow_nan=False)
        with self._storing(RunFile.EVENTS) as path:
            if self._log is None:
                content = path.read_bytes() if path.exists() else b""
                complete = content.rfind(b"\n") + 1
                if complete < len(content):  # an earlier process was killed, or its disk was full
                    os.truncate(path, complete)
                self._log = path.open("a", encoding="utf-8", buffering=1)  # a line at a time
            self._log.write(line + "\n")

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
            if (log := self.path / RunFile.EVENTS).exists():
                safe_files.sync(log)
            manifest = Manifest.describe(self.path, kind)
            resolved = manifest.files.get(RunFile.RESOLVED)
            if resolved is not None and self._config not in (None, resolved.sha256):
                raise safe_files.damaged(
                    self.path / RunFile.RESOLVED, "was changed during training"
                )
            with safe_files.write_atomically(path) as temporary:
                temporary.write_bytes(manifest.to_json())
            safe_files.sync_folder(self.path.parent)
        self.finished = True
        remove_resume_files(self.path)
        return Run(self.path, manifest)

    def _write(self, name: RunFile, content: bytes) -> None:
        with self._stored(name) as temporary:
            temporary.write_bytes(content)

    @contextmanager
    def _stored(self, name: RunFile) -> Iterator[Path]:
        with self._storing(name) as path, safe_files.write_atomically(path) as temporary:
            yield temporary


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
        if not safe_files.is_folder(path):
            raise safe_files.damaged(path, "is not a folder but a link")
    return folder / part


def write_mlflow_run(run: Path, run_id: str) -> None:
    """Store the MLflow run that tracks a run.

    Raises:
        OSError: if it can't be stored.
    """
    with safe_files.write_atomically(run / _MLFLOW) as temporary:
        temporary.write_bytes(safe_files.to_json({"run_id": run_id}))


def read_mlflow_run(run: Path) -> str | None:
    """Return the MLflow run that tracks a run, if any.

    Raises:
        RunError: if the stored one is invalid.
    """
    path = run / _MLFLOW
    if not os.path.lexists(path):
        return None
    run_id = safe_files.read_object(path, _MAX_MLFLOW_BYTES).get("run_id")
    if not isinstance(run_id, str) or not _MLFLOW_ID.fullmatch(run_id):
        raise safe_files.damaged(path, "has no ID of an MLflow run")
    return run_id
