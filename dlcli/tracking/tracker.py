"""The interface of trackers, and what TensorBoard's and MLflow's have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from pydantic_core import to_jsonable_python

from dlcli.errors import truncate
from dlcli.pipeline.events import TrackingEvent
from dlcli.runs.run import Run, read_resolved
from dlcli.runs.run_writer import RunWriter
from dlcli.schema.section import Section
from dlcli.schema.urls import hide_secrets

Parameter = bool | int | float | str
TrackedValues = Mapping[str, float]
"""Numbers by name, without undefined ones."""
_MOST_LETTERS = 600


class Outcome(StrEnum):
    """The end of a training; the values are MLflow's."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Tracker(Protocol):
    """Passes a training on to a tracking tool. Any method may raise any exception."""

    name: str
    """The tool's name, as its makers write it."""

    def begin(self, run: RunWriter) -> TrackingEvent:
        """Begin, or continue what the run was tracked by before."""

    def resume(self, epochs: int) -> None:
        """Note that training resumes after so many epochs; more may have been tracked."""

    def log_epoch(self, epoch: int, values: TrackedValues) -> None:
        """Track an epoch, counted from 1, with its values by column of history.csv."""

    def log_part(
        self, name: str, parameters: Mapping[str, Parameter], values: TrackedValues
    ) -> None:
        """Track a fold or a trial, with its metrics, as a run of its own below this one."""

    def log_metrics(self, epochs: int, metrics: Mapping[str, TrackedValues]) -> None:
        """Track the final metrics of each split, after so many epochs."""

    def end(self, outcome: Outcome, run: Run | None) -> None:
        """End; there is a run if its folder is complete."""

    def close(self) -> None:
        """Release all resources; nothing follows."""


def parameters_of(run: RunWriter) -> dict[str, Parameter]:
    """Return the values of the resolved config by path: `hidden[0].units`, as `--set` takes it.

    Each key of the schema is a parameter. What users name, as columns and classes, is one value, as
    JSON: else a wide table would have thousands of parameters, with any text as a name.
    """
    return dict(_flatten("", read_resolved(run.resolved_path()).config))


def _flatten(path: str, value: object) -> Iterator[tuple[str, Parameter]]:
    if isinstance(value, Section):
        for key in type(value).model_fields:
            yield from _flatten(f"{path}.{key}" if path else key, getattr(value, key))
    elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
        for index, item in enumerate(value):
            yield from _flatten(f"{path}[{index}]", item)
    elif isinstance(value, bool | int | float | str):
        yield path, value
    elif value is not None:
        yield path, as_json(value)


def as_json(value: object) -> str:
    """Return what is no single value as JSON."""
    return json.dumps(to_jsonable_python(value, exclude_none=True), ensure_ascii=False)


def reason(error: Exception) -> str:
    """Return the first line of an exception's message without secrets, or else its type."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return hide_secrets(f"{where}{error.strerror}")
    lines = [line.strip() for line in str(error).splitlines()]
    first = next((line for line in lines if line), type(error).__name__)
    return truncate(hide_secrets(first), _MOST_LETTERS)
