"""A finished run, as others read it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import RunError, did_you_mean
from dlcli.runs.arrays import most_bytes
from dlcli.runs.history import parse_history
from dlcli.runs.kinds import DIVERGED, TRAINED, WORDS
from dlcli.runs.manifest import LIMITS, FileName, Manifest
from dlcli.runs.sealed import checked, parse_object
from dlcli.runs.storage import damaged
from dlcli.runs.tables import read_parquet
from dlcli.runs.weights import Weights, read_weights, weight_kinds

if TYPE_CHECKING:
    import pyarrow as pa

MetricsBySplit = dict[str, dict[str, object]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Every method raises `RunError` for a file that the run doesn't have or that has changed since:
    size and SHA-256 are compared before a byte of it is understood. That shows damage, not intent:
    the folder may come from a stranger, who can write a manifest as well.
    """

    path: Path
    """The folder."""
    manifest: Manifest
    """What the folder holds."""

    @property
    def kind(self) -> str:
        """What the run did: `train`, `diverged`, `cv` or `tune`."""
        return self.manifest.kind

    @property
    def created(self) -> datetime:
        """When the run was finished, in UTC."""
        return self.manifest.created

    def require_training(self) -> None:
        """Refuses a cross-validation and a search.

        Raises:
            RunError: saying what to do with it.
        """
        if self.kind == "cv" or self.kind == "tune":
            where = "best" if self.kind == "tune" else "refit"
            way_on = f"name the run that was trained in it: {self.path / where}"
            if not os.path.isdir(self.path / where):
                command = shlex.join(["dlcli", "train", str(self.path / f"{where}.yaml")])
                way_on = f"train a network by: {command}"
            raise RunError(
                f"{self.path}: is a {WORDS[self.kind]}, which has no weights of its own; see it by "
                f"`dlcli report`, or {way_on}"
            )

    def require_network(self) -> None:
        """Refuses what has no network to predict with.

        That is a cross-validation, a search, or a training that has diverged, which is there only
        to start from.

        Raises:
            RunError: saying what to do with it.
        """
        self.require_training()
        if self.kind == DIVERGED:
            raise RunError(
                f"{self.path}: diverged, and its last finite weights are there to start from: "
                f"{initial_weights_option(self.path)}; name another run"
            )

    def verify(self) -> None:
        """Checks every file of the run."""
        for name in self.manifest.files:
            with self._opened(name):
                pass

    def resolved_path(self) -> Path:
        """Where the complete config lies, checked; `load_config` reads it."""
        with self._opened("resolved.yaml"):
            return self.path / "resolved.yaml"

    def read_encoding(self) -> str:
        """The fitted encoding, as JSON."""
        return self._read_text("encoding.json")

    def config_text(self) -> str:
        """The config as the user gave it."""
        return self._read_text("config.yaml")

    def read_weights(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Weights]:
        """The weights by name, read-only, in the order of `shapes`.

        Args:
            shapes: what the network needs; the run must have just these.
        """
        with self._opened("weights.npz", most_bytes(weight_kinds(shapes))) as stream:
            return read_weights(stream, shapes, self.path / "weights.npz")

    def read_metrics(self) -> MetricsBySplit:
        """The final metrics: split, then metric; `None` where one is undefined."""
        metrics = self._read_object("metrics.json")
        return _by_split(metrics, self.path / "metrics.json")

    def read_baselines(self) -> dict[str, MetricsBySplit]:
        """The metrics of the simplest models on the same rows: model, then split, then metric."""
        path = self.path / "baselines.json"
        models = _by_split(self._read_object("baselines.json"), path)
        return {name: _by_split(metrics, path) for name, metrics in models.items()}

    def read_explanation(self) -> str:
        """What the finished training showed, as JSON; the room `explanation` understands it."""
        return self._read_text("explanation.json")

    def read_cross_validation(self) -> str:
        """What a cross-validation came to, as JSON; the room `selection` understands it."""
        return self._read_text("cv.json")

    def read_search(self) -> str:
        """What a search came to, as JSON; the room `selection` understands it."""
        return self._read_text("tune.json")

    def read_predictions(self) -> pa.Table:
        """Row, split, target and prediction of the held-out rows."""
        return self._read_table("predictions.parquet")

    def read_sample(self) -> pa.Table:
        """The same of some training rows."""
        return self._read_table("sample.parquet")

    def read_events(self) -> Iterator[dict[str, object]]:
        """Yields what happened, in order: `time` (ISO 8601, UTC), `event` and its fields.

        A training that was resumed tells some of it twice.
        """
        with self._opened("events.jsonl") as stream:
            for line in stream:
                if line.strip():
                    yield parse_object(line, self.path / "events.jsonl")

    def has(self, name: FileName) -> bool:
        """Whether a file is part of the run: one without held-out rows has no predictions."""
        return name in self.manifest.files

    def read_history(self) -> dict[str, list[float]]:
        """What was measured at each epoch, by name."""
        return parse_history(self._read("history.csv"), self.path / "history.csv")

    def read_environment(self) -> dict[str, object]:
        """What the run was made with."""
        return self._read_object("environment.json")

    def _read_object(self, name: FileName) -> dict[str, object]:
        with self._opened(name) as stream:
            return parse_object(stream.read(), self.path / name)

    def _read_table(self, name: FileName) -> pa.Table:
        with self._opened(name) as stream:
            return read_parquet(stream, self.path / name)

    def _read_text(self, name: FileName) -> str:
        try:
            return self._read(name).decode()
        except UnicodeDecodeError as error:
            raise damaged(self.path / name, f"is not UTF-8: {error}") from None

    def _read(self, name: FileName) -> bytes:
        with self._opened(name) as stream:
            return stream.read()

    @contextmanager
    def _opened(self, name: FileName, limit: int | None = None) -> Iterator[BufferedReader]:
        """Opens a file once it has proved to be the one in the manifest.

        Args:
            name: the file.
            limit: the most bytes that it can have; else those that such a file can.
        """
        path = self.path / name
        if (entry := self.manifest.files.get(name)) is None:
            raise RunError(f"{path}: is not part of this run; name a run that has it")
        with checked(path, entry, limit or LIMITS.get(name)) as stream:
            yield stream


def _by_split(metrics: Mapping[str, object], file: Path) -> MetricsBySplit:
    splits = {name: scores for name, scores in metrics.items() if isinstance(scores, dict)}
    if len(splits) < len(metrics):
        raise damaged(file, "holds something else than metrics by split")
    return splits


def open_run(path: Path) -> Run:
    """Opens a finished run; its files are checked as they are read.

    Raises:
        RunError: if there is none, or it is unfinished, damaged or of a newer format.
    """
    check_is_folder(path)
    return Run(path, Manifest.of(path))


def initial_weights_option(path: Path) -> str:
    """The setting that has a training start from a run's weights, as one types it."""
    return f"--set {shlex.quote(f'initial_weights={path}')}"


def check_is_folder(path: Path) -> None:
    """Refuses what is no folder.

    Raises:
        RunError: with the nearest name.
    """
    if os.path.isdir(path):
        return
    if os.path.exists(path):
        raise RunError(f"{path}: is a file, a run folder was expected")
    siblings = [entry.name for entry in _entries(path.parent)]
    raise RunError(f"{path}: no such run folder{did_you_mean(path.name, siblings)}")


def latest_run(base: Path = Path("runs"), kinds: Collection[str] = TRAINED) -> Run:
    """Opens the run that was finished last.

    Of those finished at once, it is the last by name.

    Args:
        base: where runs lie.
        kinds: what it may be of: a training that hasn't diverged, unless something else is wanted.

    Raises:
        RunError: if there is no finished run of these kinds.
    """
    runs = [run for run in _finished_runs(base) if run.kind in kinds]
    if not runs:
        raise RunError(
            f"{base}: there is no finished run; make one with `dlcli train CONFIG`, or name one"
        )
    return max(runs, key=lambda run: (run.created, run.path.name))


def _finished_runs(base: Path) -> Iterator[Run]:
    for path in _entries(base):
        if path.is_dir() and not path.is_symlink():  # a link would count a run twice
            with suppress(RunError):
                yield Run(path, Manifest.of(path))


def _entries(folder: Path) -> list[Path]:
    """What a folder shows: nothing, if it is none or can't be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []
