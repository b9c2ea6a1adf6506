"""A run that is being written."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from dlcli.errors import RunError, TrainingError
from dlcli.runs.arrays import ArraySpec, write_arrays
from dlcli.runs.checkpoints import FOLDER as CHECKPOINTS
from dlcli.runs.checkpoints import Checkpoint, has_checkpoint, read_checkpoint, remove_checkpoints, write_checkpoint
from dlcli.runs.history import dump_history
from dlcli.runs.json_document import to_json
from dlcli.runs.kinds import FOLDS
from dlcli.runs.lock import LOCK, locked
from dlcli.runs.manifest import LIMITS, MANIFEST, FileName, Manifest, resume_command
from dlcli.runs.parts import PartialResult, read_partial_result, read_plan, remove_partial_results, write_partial_result, write_plan
from dlcli.runs.run import Run
from dlcli.runs.sealed import digest, parse_object, read_object
from dlcli.runs.storage import damaged, os_error_text, write_atomically, sync, sync_folder
from dlcli.runs.tables import write_parquet
from dlcli.runs.weights import Weights

if TYPE_CHECKING:
    import pyarrow as pa

_NO_ROOM = (None, errno.ENOSPC, errno.EDQUOT)
"""What the system says of a full disk, or a library that doesn't tell."""
_LONGEST_LINE = 2**28
"""Most bytes of a line of the log that is read."""


class RunWriter:
    """A run folder without its manifest yet: what trains writes to it, and may be ended and go on.

    Every method raises `TrainingError` if the disk is full or the file can't be stored otherwise.
    JSON has no NaN and no infinity: what is undefined is given as `None`.

    Args:
        path: the folder, made and empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self.not_resumable = False
        """Whether there is nothing to go on from, whatever lies in the folder."""
        self.has_partial_results = False
        """Whether folds or trials of it are finished and stored, which need not be done again."""
        self._log: TextIO | None = None
        self._config: str | None = None

    @property
    def can_resume(self) -> bool:
        """Whether it can go on from where it was."""
        return not self.not_resumable and (self.has_partial_results or has_checkpoint(self.path))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder against other trainers.

        Raises:
            RunError: if another process holds it.
        """
        with ExitStack() as stack:
            with self._storing(LOCK):
                stack.enter_context(locked(self.path))
            yield

    def write_config(self, text: str) -> None:
        """Stores the config as the user gave it."""
        self._write("config.yaml", text.encode())

    def write_resolved(self, text: str) -> None:
        """Stores the config with all that was inferred, as YAML."""
        content = text.encode()
        self._write("resolved.yaml", content)
        self._config = hashlib.sha256(content).hexdigest()

    def write_encoding(self, text: str) -> None:
        """Stores the fitted encoding, as JSON."""
        self._write("encoding.json", text.encode())

    def write_weights(self, arrays: Mapping[str, Weights]) -> None:
        """Stores the weights, float32, by name."""
        with self._stored("weights.npz") as temporary:
            write_arrays(temporary, arrays)

    def write_metrics(self, metrics: Mapping[str, Mapping[str, object]]) -> None:
        """Stores the final metrics: split, then metric."""
        self._write("metrics.json", to_json(metrics))

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Mapping[str, object]]]) -> None:
        """Stores the metrics of the simplest models: model, then split, then metric."""
        self._write("baselines.json", to_json(baselines))

    def write_explanation(self, text: str) -> None:
        """Stores what the finished training shows, as JSON; see the room `explanation`."""
        self._write("explanation.json", text.encode())

    def write_cross_validation(self, text: str) -> None:
        """Stores what a cross-validation came to, as JSON; see the room `selection`."""
        self._write("cv.json", text.encode())

    def write_refit(self, text: str) -> None:
        """Stores the config that trains on all folds' rows, as YAML."""
        self._write("refit.yaml", text.encode())

    def write_study(self, study: Mapping[str, object]) -> None:
        """Stores what is known of a search before its first trial."""
        self._write("study.json", to_json(study))

    def write_search(self, text: str) -> None:
        """Stores what a search came to, as JSON; see the room `selection`."""
        self._write("tune.json", text.encode())

    def write_found_config(self, name: Literal["best", "smallest"], text: str) -> None:
        """Stores a config that a search has found, as YAML."""
        self._write("best.yaml" if name == "best" else "smallest.yaml", text.encode())

    def write_history(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Stores what was measured at each epoch, by name; all of one length."""
        self._write("history.csv", dump_history(columns).encode())

    def write_predictions(self, table: pa.Table) -> None:
        """Stores the predictions of the held-out rows."""
        self._write_table("predictions.parquet", table)

    def write_sample(self, table: pa.Table) -> None:
        """Stores the predictions of some training rows, with the columns of the held-out ones."""
        self._write_table("sample.parquet", table)

    def write_environment(self, environment: Mapping[str, object]) -> None:
        """Stores what the run was made with; see `collect_environment`."""
        self._write("environment.json", to_json(environment))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Stores where training is, of the config that was stored."""
        with self._storing(CHECKPOINTS):
            write_checkpoint(self.path, checkpoint, self._config_digest())

    def read_checkpoint(
        self, kinds: Mapping[str, ArraySpec], serves: Callable[[Checkpoint], bool] = lambda _: True
    ) -> Checkpoint | None:
        """Where training was, by the newest checkpoint that is whole; `None` if there is none.

        Args:
            kinds: what each array must be, by name.
            serves: whether one that is whole will do; if not, an older one is taken.

        Raises:
            RunError: if there are some, and each is damaged or of another config.
        """
        return read_checkpoint(self.path, kinds, self._config_digest(), serves)

    def write_plan(self, plan: Mapping[str, object]) -> None:
        """Stores what folds there will be, before anything else of a cross-validation."""
        with self._storing(FOLDS):
            write_plan(self.path, plan)

    def read_plan(self) -> dict[str, object]:
        """What folds there are to be.

        Raises:
            RunError: if that is damaged.
        """
        return read_plan(self.path)

    def write_partial_result(self, number: int, part: PartialResult) -> None:
        """Stores what a fold came to, numbered from 1, of the config that was stored."""
        with self._storing(FOLDS):
            write_partial_result(self.path, number, part, self._config_digest())
        self.has_partial_results = True

    def read_partial_result(self, number: int) -> PartialResult | None:
        """What a fold came to; `None` if it isn't finished.

        Raises:
            RunError: if that is damaged, or of another config.
        """
        part = read_partial_result(self.path, number, self._config_digest())
        self.has_partial_results |= part is not None
        return part

    def resolved_path(self) -> Path:
        """Where the complete config lies, which was stored when training began.

        From now on it must not change.

        Raises:
            RunError: if it can't be read, or is too large for a config.
        """
        self._config_digest()
        return self.path / "resolved.yaml"

    def read_environment(self) -> dict[str, object]:
        """What the run was begun with.

        Raises:
            RunError: if that is damaged.
        """
        return read_object(self.path / "environment.json", LIMITS["environment.json"])

    @contextmanager
    def model_file(self) -> Iterator[Path]:
        """Stores the model for the user's own Keras code.

        Yields:
            a path that ends in `.keras`, for `model.save`.
        """
        with self._stored("model.keras") as temporary:
            yield temporary

    def log(self, event: str, /, **fields: object) -> None:
        """Appends a line to the log, with the time in UTC. A lost run keeps the lines so far."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, **fields}, allow_nan=False)
        with self._storing("events.jsonl") as path:
            if self._log is None:
                self._log = path.open("a", encoding="utf-8", buffering=1)  # a line at a time
                if not _ends_a_line(path):  # but for the last one of a process that was killed
                    self._log.write("\n")
            self._log.write(line + "\n")

    def first_event(self, event: str) -> dict[str, object]:
        """The fields of the first event of a name in the log, also of a process before this one.

        They are empty if there is none, or what stands before it can't be read.
        """
        path = self.path / "events.jsonl"
        with suppress(OSError, RunError), path.open("rb") as stream:
            for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
                fields = parse_object(line, path)
                if fields.get("event") == event:
                    return fields
        return {}

    def close(self) -> None:
        """Closes the log; nothing is lost if it isn't called, but the file stays open."""
        if self._log is not None:
            with suppress(OSError):  # of a line that didn't fit, which `log` has told of
                self._log.close()
            self._log = None

    def finish(self, kind: str = "train") -> Run:
        """Writes the manifest over all that was stored; from now on the folder is a run.

        Args:
            kind: what the run did.
        """
        self.close()
        with self._storing(MANIFEST) as path:
            if (log := self.path / "events.jsonl").exists():
                sync(log)
            manifest = Manifest.describe(self.path, kind)
            self._check_config(manifest)
            with write_atomically(path) as temporary:
                temporary.write_bytes(manifest.to_json())
            sync_folder(self.path.parent)
        self.finished = True
        remove_scaffold(self.path)
        return Run(self.path, manifest)

    def _config_digest(self) -> str:
        """The SHA-256 of the complete config as it was when it was stored, or first asked for."""
        if self._config is None:
            self._config = digest(self.path / "resolved.yaml", LIMITS["resolved.yaml"])
        return self._config

    def _check_config(self, manifest: Manifest) -> None:
        """Refuses to vouch for another config than the one that was trained."""
        stored = manifest.files.get("resolved.yaml")
        if stored is not None and self._config not in (None, stored.sha256):
            raise damaged(self.path / "resolved.yaml", "was changed while it was trained")

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
            remedy = "make room" if error.errno in _NO_ROOM else "see that it can be written"
            if self.can_resume:
                remedy += f", then go on with: {resume_command(self.path)}"
            else:
                remedy += ", or name another place with --output, then train again"
            raise TrainingError(
                f"{path}: could not be stored: {os_error_text(error)}; {remedy}"
            ) from error


def remove_scaffold(folder: Path) -> None:
    """Removes what a run needs only until it is finished: checkpoints, parts and the lock."""
    remove_checkpoints(folder)
    remove_partial_results(folder)
    with suppress(OSError):  # on some systems not while it is held
        (folder / LOCK).unlink(missing_ok=True)


def _ends_a_line(path: Path) -> bool:
    content = path.read_bytes()
    return not content or content.endswith(b"\n")
