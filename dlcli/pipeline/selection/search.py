"""What a search for the best config came to, as it stands in `tune.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from dlcli.pipeline.selection.part import Count, Interval, Number, Part, read_document
from dlcli.runs import Run

Value = bool | int | float | str | None
"""A scalar of a config. What is chosen from lists or mappings is shown as a text of YAML."""
State = Literal["complete", "pruned", "failed"]


class Dimension(Part):
    """One thing that is varied."""

    path: str
    """The setting, as `--set` takes it; `hidden.layers`, `hidden.units` and so on for all hidden
    layers alike."""
    kind: Literal["float", "integer", "choice"]
    low: Number = None
    high: Number = None
    step: Number = None
    log: bool = False
    choices: tuple[Value, ...] = ()


class TrialResult(Part):
    """One candidate, and what it came to."""

    number: Count | None
    """Its place among the candidates, from 0: the study's own number, unless a process was killed,
    as what it was trying is tried again in the same place. `None`: the config as given."""
    state: State
    values: Mapping[str, Value]
    """What was varied, by path of the dimension."""
    value: Number
    """The metric that the search is after: the mean over folds; of a pruned trial the last one that
    was looked at."""
    standard_error: Number
    """What chance leaves open in it: over folds, or over the rows if there is one set of them."""
    folds: tuple[Number, ...] = ()
    """The metric of each fold."""
    metrics: Mapping[str, Number] = {}
    """All metrics of the rows that judge: their means over folds."""
    parameters: Count | None = None
    """Numbers that are trained, the measure of size; the most over folds."""
    epochs: Count | None = None
    """Epochs that were trained; the median over folds."""
    best_epoch: Count | None = None
    """The epoch after which it was best; the median over folds."""
    intermediate: tuple[tuple[Count, Number], ...] = ()
    """Epoch and metric, where it was looked at."""
    seconds: float
    worker: str = ""
    """Which process ran it: `host-pid`."""
    problem: str | None = None
    """Why it failed: one line."""


class Finalist(Part):
    """A config trained in full after the choice was made, and judged by rows that took no part."""

    name: Literal["default", "best", "smallest"]
    run: str
    """Its run folder within the search's."""
    split: Literal["test", "validation"]
    """The rows that judge; validation rows have chosen, and flatter."""
    metrics: Mapping[str, Number]
    parameters: Count
    epochs: Count
    metric: str | None = None
    """The one that judges."""
    gain: Interval | None = None
    """That metric less that of the default config on the same rows."""
    verdict: Literal["better", "worse", "not_significant", "same", "unknown"] | None = None
    """Whether that is statistically significant."""


class NestedFold(Part):
    """A whole search without the rows of one outer fold, and its best config judged by them."""

    fold: Count
    held_out: Count
    trials: Count
    values: Mapping[str, Value]
    """Those of the best trial."""
    inner: Number
    """What the search itself took its best for."""
    value: Number
    """What the rows that it never saw say."""
    metrics: Mapping[str, Number]


class Search(Part):
    """All trials, and what follows from them."""

    format: Literal[1] = 1
    name: str
    study: str
    """Its name in the storage."""
    metric: str
    """What it is after, by name: `val_loss`, `val_accuracy`, ..."""
    direction: Literal["minimize", "maximize"]
    sampler: Literal["random", "grid", "tpe"]
    folds: Count | None
    """`None`: judged by the validation rows."""
    rows: Count
    """Rows that took part."""
    set_aside: Count
    """Rows of the test split, which no trial has looked at."""
    seed: Count
    dimensions: tuple[Dimension, ...]
    trials: tuple[TrialResult, ...]
    """In order of their numbers."""
    default: TrialResult | None
    """The config as given, judged as trials are."""
    best: Count | None
    """The number of the best trial."""
    smallest: Count | None
    """The number of the one with the fewest parameters within a standard error of the best."""
    importances: Mapping[str, Number] = {}
    """How much each dimension matters, by path; they add up to 1. Empty where trials are too few,
    or no dimension stands out from chance."""
    finalists: tuple[Finalist, ...] = ()
    nested: tuple[NestedFold, ...] = ()
    nested_value: Interval | None = None
    """The unbiased estimate of what the whole search gives, over the outer folds."""
    workers: Count = 1
    seconds: float
    notes: tuple[str, ...] = ()

    @field_validator("best", "smallest")
    @classmethod
    def _check_complete(cls, number: int | None, info: ValidationInfo) -> int | None:
        """Refuses the number of a candidate that there is not, or that came to no value."""
        trials: tuple[TrialResult, ...] = info.data.get("trials", ())
        known = (each for each in trials if each.state == "complete" and each.value is not None)
        if number is not None and "trials" in info.data and number not in (t.number for t in known):
            message = "expected the number of a complete candidate, got {number}"
            raise PydanticCustomError("candidate", message, {"number": number})
        return number

    @classmethod
    def of(cls, run: Run) -> Self:
        """That of a finished run.

        Raises:
            RunError: if it is no search, or damaged.
        """
        return read_document(cls, run, "tune.json", run.read_search())

    def trial(self, number: int | None) -> TrialResult | None:
        """The trial of a number."""
        return next((each for each in self.trials if each.number == number), None)
