"""The explanation of a run, as stored in its folder.

Undefined or non-finite numbers, such as the mean of no values or an overflowed gradient, are
`None`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlcli.metrics.definitions import RMSE
from dlcli.metrics.statistic import Number
from dlcli.safe_files import Count, Document

Unit = Literal["target", "probability", "log-odds", "margin"]
"""The unit of Shapley values: the target's unit, a probability, log-odds ln(p / (1 − p)) of the
second of two classes, or the margin of a hinge loss."""
MOST_CONTRIBUTIONS = 8
"""Maximum number of columns whose contributions to the prediction of a row are stored."""


class Histogram(Document):
    """Distribution of numbers, or of times in seconds since 1970 (UTC).

    For more than 100,000 rows, it is estimated from a sample of 100,000.
    """

    edges: tuple[float, ...]
    """Edges of the bins; a few outliers of training rows may be outside."""
    train: tuple[Count, ...]
    """Training rows in each bin; values outside count in the outermost bins."""
    held_out: tuple[Count, ...]
    """Validation and test rows in each bin, counted in the same way."""


class ValueCount(Document):
    """Number of rows with a value; for more than 100,000 rows, estimated from a sample."""

    value: str
    train: Count
    held_out: Count


class ColumnStatistics(Document):
    """One column of the training rows."""

    name: str
    role: Literal["feature", "target", "weight"]
    type: str
    """`numeric`, `categorical`, ... `ignored`; for a target, the type of the target."""
    reason: str
    """The reason for the type."""
    missing: Count
    """Number of training rows without a value."""
    distinct: Count | None
    """Number of distinct values in training rows; `None` if not counted."""
    mean: Number = None
    deviation: Number = None
    minimum: Number = None
    maximum: Number = None
    """Statistics of numbers in training rows; for times, only the range in seconds since 1970
    (UTC)."""
    histogram: Histogram | None = None
    """For numbers, and for times in seconds since 1970 (UTC)."""
    values: tuple[ValueCount, ...] = ()
    """For other types: the most frequent values of training rows, in order of frequency."""
    inputs: Count = 0
    """Number of network inputs that encode the column."""
    largest_input: Number = None
    """Largest absolute value of its numeric inputs in sampled training rows."""


class LayerStatistics(Document):
    """A layer of the trained network, evaluated on sampled training rows."""

    name: str
    kind: str
    """Keras's name for the layer, as shown by `dlcli validate`."""
    units: Count
    parameters: Count
    activation: str | None = None
    output_mean: Number = None
    output_deviation: Number = None
    dead: Number = None
    """Share of units that return 0 (their minimum) for every row; only for rectifiers."""
    saturated: Number = None
    """Share of outputs within 1 % of an end of their range; only for activations such as sigmoid
    and tanh."""
    weight_norm: Number = None
    """Euclidean norm of the trained weights."""
    first_gradient: Number = None
    """Norm of the loss gradient at the initial weights; `None` if these are from another run."""
    last_gradient: Number = None
    """The same for the final weights."""


class Importance(Document):
    """The increase of the error when a column's values are permuted among held-out rows."""

    column: str
    increase: float
    """Mean increase of the error over permutations; negative if the error fell."""
    deviation: float
    """Standard deviation over permutations."""


class Point(Document):
    """A value of a column, and the mean prediction if all rows had it."""

    label: str
    """The value as text."""
    number: Number
    """The value as a number, or a time in seconds since 1970; `None` for other types."""
    predictions: tuple[float, ...]
    """For each output: a number in the unit of the target, a probability, or a margin."""


class PartialDependence(Document):
    """Partial dependence of the prediction on a column (Friedman 2001)."""

    column: str
    points: tuple[Point, ...]
    missing: tuple[float, ...] | None = None
    """The mean predictions if the value of all rows were missing, as in `Point.predictions`; `None`
    if no sampled value is missing, or if missing values have no separate input."""


class Contribution(Document):
    """The contribution of a column to the prediction of a row."""

    column: str
    value: str | None
    """The value of the column as text; `None` for a missing value."""
    shapley: float
    """The Shapley value, in the unit of the prediction."""
    standard_error: Annotated[float, Field(ge=0)]
    """Its standard error; 0 for an exact value."""


class RowContributions(Document):
    """The Shapley values of the prediction of a row, see `dlcli explain`."""

    explained: str
    """The explained output: a target column, a class or a label."""
    unit: Unit
    """The unit of all numbers."""
    prediction: float
    """The prediction of this output; for an out-of-fold row, by the networks that were not trained
    on it."""
    mean_prediction: float
    """The mean prediction for the background rows."""
    columns: Annotated[tuple[Contribution, ...], Field(max_length=MOST_CONTRIBUTIONS)]
    """The largest contributions, the largest first."""
    other_columns: Count
    """Number of further columns."""
    others: float
    """The sum of their contributions."""


class WorstRow(Document):
    """A held-out row with a large error."""

    file: str | None
    """The file, if there are several."""
    row: Count
    split: str
    target: str
    prediction: str
    error: float
    """The absolute difference (for several numbers, the largest in standard deviations), the log
    loss of the row, or for a margin the hinge loss."""
    values: dict[str, str | None]
    """Values of the columns as text, the most important column first; `None` for missing values."""
    contributions: RowContributions | None = None
    """The contributions of columns to the prediction, for the worst few rows; `None` without
    background rows."""


class Explanation(Document):
    """The whole explanation of a run."""

    rows: dict[str, Count]
    """Number of rows of each set."""
    sampled_rows: dict[str, Count]
    """Number of rows sampled to analyze layers (`train`) and predictions (`held_out`)."""
    columns: tuple[ColumnStatistics, ...] = ()
    unlisted_columns: Count = 0
    """Number of further columns."""
    layers: tuple[LayerStatistics, ...] = ()
    outputs: tuple[str, ...] = ()
    """Names of the outputs in `Point.predictions`: target columns, classes or labels. If there are
    more than twenty: the most frequent classes, or the first columns or labels. A margin has the
    name of the class above 0."""
    importance_metric: str | None = None
    """The error whose increase is the importance: `rmse` (for several numbers, the mean of their
    RMSEs in standard deviations of training rows), `log_loss`, or for margins m `hinge`, the mean
    of max(0, 1 − y·m) with y = ±1."""
    importances: tuple[Importance, ...] = ()
    """Importances, the largest first; empty without held-out rows. With very many columns or a very
    large network, only for the columns with the largest effect on the first layer."""
    partial_dependences: tuple[PartialDependence, ...] = ()
    """Dependences on the most important columns except texts and images, over held-out rows.
    Without held-out rows: over training rows, for the columns with the largest effect on the first
    layer."""
    worst: tuple[WorstRow, ...] = ()
    """The held-out rows with the largest errors, the worst first."""
    background_rows: Count = 0
    """Number of training rows in `background.npz`."""

    @property
    def unit(self) -> str:
        """The unit of errors, ` (in standard deviations)`; empty for the target's unit."""
        metric = self.importance_metric  # without held-out rows there is none
        targets = {each.type for each in self.columns if each.role == "target"}
        is_number = metric == RMSE.name or (metric is None and targets <= {"numeric", "count"})
        return " (in standard deviations)" if is_number and len(self.outputs) > 1 else ""
