"""What explanation is made of, as it stands in `explanation.json`.

Numbers that are no numbers (a mean without values, a gradient that overflowed) are `None`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli.errors import RunError
from dlcli.runs import Run

Number = float | None
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, which a float holds exactly."""


class _Part(BaseModel):
    """A part of the document: no field too many, none of another type, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Histogram(_Part):
    """How numbers are distributed, or times in seconds since 1970 (UTC).

    Of more than 100,000 rows it is about so, by as many of them.
    """

    edges: tuple[float, ...]
    """Where the bins begin, and where the last one ends; a few training rows that are far out may
    lie outside."""
    train: tuple[Count, ...]
    """Training rows in each bin; what lies outside counts in the outermost."""
    held_out: tuple[Count, ...]
    """Validation and test rows in each bin, likewise."""


class ValueCount(_Part):
    """How often a value occurs; in more than 100,000 rows about, by as many of them."""

    value: str
    train: Count
    held_out: Count


class ColumnStatistics(_Part):
    """One column of the training rows."""

    name: str
    role: Literal["feature", "target", "weight"]
    type: str
    """`numeric`, `categorical`, ... `ignored`; of a target its type."""
    reason: str
    """Why it was taken for that."""
    missing: Count
    """Training rows without a value."""
    distinct: Count | None
    """Different values in training rows; `None` where they weren't counted."""
    mean: Number = None
    deviation: Number = None
    minimum: Number = None
    maximum: Number = None
    """Of numbers, over training rows; of times the range alone, in seconds since 1970 (UTC)."""
    histogram: Histogram | None = None
    """Of numbers, and of times in seconds since 1970 (UTC)."""
    values: tuple[ValueCount, ...] = ()
    """Of all else the most frequent values, in training's order of frequency."""
    inputs: Count = 0
    """How many of the network's inputs it became."""
    largest_input: Number = None
    """The largest size of these over the training rows looked at, for numeric inputs."""


class LayerStatistics(_Part):
    """One layer of the trained network, over the training rows looked at."""

    name: str
    kind: str
    """Keras's name for it, as `dlcli validate` shows it."""
    units: Count
    parameters: Count
    activation: str | None = None
    output_mean: Number = None
    output_deviation: Number = None
    dead: Number = None
    """The share of its units that give 0 (their least) for every row; of relu and its kin only."""
    saturated: Number = None
    """The share of its outputs within 1 % of an end of their range; of sigmoid, tanh and their kin
    only."""
    weight_norm: Number = None
    """The Euclidean norm of the trained weights."""
    first_gradient: Number = None
    """The norm of the loss's gradient with respect to its weights, where training began; `None` of
    a training that started from another run's."""
    last_gradient: Number = None
    """The same where it ended."""


class Importance(_Part):
    """How much worse the metric gets when a column's values change places among held-out rows."""

    column: str
    increase: float
    """Of the error, the mean over the repeats; below 0 if it even got better."""
    deviation: float
    """Over the repeats."""


class Point(_Part):
    """A value of a column, and the mean prediction if all rows had it."""

    label: str
    """The value as text."""
    number: Number
    """The value as a number, or a time in seconds since 1970; `None` of all else."""
    predictions: tuple[float, ...]
    """For each output: a number in its own unit, or a probability."""


class PartialDependence(_Part):
    """The partial dependence of the prediction on a column (Friedman 2001)."""

    column: str
    points: tuple[Point, ...]


class WorstRow(_Part):
    """A held-out row that was predicted badly."""

    file: str | None
    """The file, if the data are in several."""
    row: Count
    split: str
    target: str
    prediction: str
    error: float
    """The size of the difference (for several numbers, in standard deviations, the largest), the
    log loss of the row, or for a margin its hinge."""
    values: dict[str, str | None]
    """Its columns as text, the most important first; `None` for what is missing."""


class Explanation(_Part):
    """All that was looked at."""

    rows: dict[str, Count]
    """How many rows each set has."""
    sampled_rows: dict[str, Count]
    """How many of them the layers (train) and the predictions (held_out) were looked at over."""
    columns: tuple[ColumnStatistics, ...] = ()
    unlisted_columns: Count = 0
    """How many columns there are beyond these."""
    layers: tuple[LayerStatistics, ...] = ()
    outputs: tuple[str, ...] = ()
    """The names of the outputs in `Point.predictions`: target columns, classes or labels; of more
    than twenty the most frequent classes, or the first. A margin has the name of the class above
    0."""
    importance_metric: str | None = None
    """The error that importances are of: `rmse` (for several numbers, the mean of those of each in
    standard deviations of the training rows), `log_loss`, or for margins m `hinge`, the mean of
    max(0, 1 − y·m) with y = ±1."""
    importances: tuple[Importance, ...] = ()
    """The largest first; empty if no rows are held out. Of very many columns, or a very large
    network, only those of the columns that move the first layer most."""
    partial_dependences: tuple[PartialDependence, ...] = ()
    """Of the most important columns that are no texts and no images, over held-out rows; if there
    are none, over training rows and of the columns that move the first layer most."""
    worst: tuple[WorstRow, ...] = ()
    """The worst first: of all held-out rows, or for a very large network of those looked at."""

    @classmethod
    def of(cls, run: Run) -> Self:
        """The explanation that a run holds.

        Raises:
            RunError: if it holds none, or that is damaged.
        """
        try:
            return cls.model_validate_json(run.read_explanation())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            message = f"its explanation.json can't be read: {place}: {first['msg']}"
            raise RunError(f"{run.path}: {message}") from None
