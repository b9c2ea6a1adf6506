"""One run among those that are compared, with all that is read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import ValidationError

from dlcli.comparison.held_out import HeldOut, read_rows
from dlcli.config import ConfigFile, load_config
from dlcli.encoding import Encoding
from dlcli.errors import ConfigError, RunError
from dlcli.prediction import StoredPredictions
from dlcli.runs import MetricsBySplit, Run
from dlcli.tasks import Task

_FACTS = ("dlcli", "tensorflow", "keras", "numpy", "python", "device", "processor", "platform")
"""What numbers may depend on besides data and config, in the order of how likely that is."""
_LONGEST = 200
"""Characters of a fact that are taken; a run folder may hold anything."""


@dataclass(frozen=True)
class DataFile:
    """A data file as it was when a run was trained."""

    name: str
    sha256: str | None
    """`None` if it could not be read twice."""


@dataclass(frozen=True)
class Subject:
    """One run."""

    run: Run
    file: ConfigFile
    """Its resolved config."""
    target: Task
    metrics: MetricsBySplit
    """By split."""
    baselines: Mapping[str, MetricsBySplit]
    """By model, then split; empty in a run that has none."""
    history: Mapping[str, Sequence[float]]
    """What was measured at each epoch, by name."""
    data: tuple[DataFile, ...]
    """In the order in which the config names them."""
    facts: Mapping[str, str | None]
    """Versions and the machine."""

    @classmethod
    def read(cls, run: Run) -> Subject:
        """Reads a run.

        Raises:
            RunError: if it has diverged, or its files can't be read.
        """
        run.require_network()
        environment = run.read_environment()
        return cls(
            run,
            _config(run),
            _target(run),
            run.read_metrics(),
            run.read_baselines() if run.has("baselines.json") else {},
            run.read_history(),
            _data_files(environment),
            {fact: _text(environment.get(fact)) for fact in _FACTS},
        )

    @cached_property
    def held_out(self) -> StoredPredictions | None:
        """The predictions of its held-out rows, if it has any."""
        if not self.run.has("predictions.parquet"):
            return None
        place = str(self.run.path / "predictions.parquet")
        return StoredPredictions(self.run.read_predictions(), place)

    def rows_of(self, split: str) -> HeldOut:
        """The held-out rows of one set.

        Raises:
            RunError: if there are none, or they can't be read.
        """
        assert self.held_out is not None
        columns = self.held_out.of_split(split)
        loss = self.file.config.loss
        has_deviance = loss is not None and loss.name == "poisson"
        held = read_rows(columns, self.target, has_deviance=has_deviance)
        if not held.rows:
            message = f"has no {split} rows, of which metrics.json tells; train it again"
            raise RunError(f"{columns.path}: {message}")
        return held


def _config(run: Run) -> ConfigFile:
    try:
        return load_config(run.resolved_path())
    except ConfigError as error:
        problem = replace(error.problems[0], position="")
        raise RunError(f"{run.path}: its resolved.yaml can't be read: {problem}") from None


def _target(run: Run) -> Task:
    try:
        return Encoding.model_validate_json(run.read_encoding()).task
    except ValidationError as error:
        line = error.errors(include_url=False)[0]
        place = ".".join(map(str, line["loc"]))
        message = f"its encoding.json can't be read: {place}: {line['msg']}"
        raise RunError(f"{run.path}: {message}") from None


def _data_files(environment: Mapping[str, object]) -> tuple[DataFile, ...]:
    """The files that an environment names; what is no file is left out."""
    entries = environment.get("data")
    listed = entries if isinstance(entries, list) else []
    return tuple(
        DataFile(str(entry.get("file")), _text(entry.get("sha256")))
        for entry in listed
        if isinstance(entry, dict)
    )


def _text(value: object) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) else None
