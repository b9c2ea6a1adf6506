"""Scalings of numbers: the settings of the config, and the scalings fitted on training rows."""

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from dlcli.arrays import Floats, Mask, np
from dlcli.columns.layout import Block
from dlcli.safe_files import Document
from dlcli.schema.section import Choice, Expected, OneOf, Positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.table import Rows, Table

Quantiles = Annotated[int, Field(ge=2, le=100_000), Expected("an integer from 2 to 100,000")]


class _OfMoments(Choice):
    """A scaling by mean and standard deviation."""

    def fit(self, values: Floats) -> "LinearScaling":
        """Fit the scaling on training rows; a constant column is only shifted to 0.

        Args:
            values: the values of the rows, none missing, (rows,); not negative for `log1p`.
        """
        transformed = np.log1p(values) if self.name == "log1p" else values
        # After subtracting one of its values, the variance of a constant column is exactly 0.
        shifted = transformed - transformed[0]
        deviation = float(np.std(shifted))  # of the population
        scale = deviation if deviation > _rounding(transformed) else 1.0
        offset = float(transformed[0] + np.mean(shifted))
        return LinearScaling.model_validate({"name": self.name, "offset": offset, "scale": scale})


class Standard(_OfMoments, name="standard"):
    """(x − mean)/(standard deviation), computed on the training rows."""


class Robust(Choice, name="robust"):
    """z/√(1 + (z/limit)²), with z = (x − median)/(interquartile range of the training rows).

    The square root hardly changes typical values, and limits outliers to ±limit. From RealMLP
    (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491).
    """

    limit: Positive = 3.0
    """Maximum absolute value of a scaled number."""

    def fit(self, values: Floats) -> "RobustScaling":
        """Fit the scaling with median and interquartile range on training rows.

        As in RealMLP, half the range replaces an interquartile range of 0. A constant column is
        only shifted to 0, while RealMLP also maps all later values to 0.

        Args:
            values: the values of the rows, none missing, (rows,).
        """
        shares = [0, 0.25, 0.5, 0.75, 1]
        least, low, median, high, greatest = np.quantile(values, shares).tolist()
        scale = (high - low) or (greatest - least) / 2 or 1.0
        return RobustScaling(median=median, scale=scale, limit=self.limit)


class MinMax(Choice, name="minmax"):
    """(x − minimum)/(maximum − minimum), from 0 to 1 in the training rows.

    Other rows can have values below 0 or above 1.
    """

    def fit(self, values: Floats) -> "LinearScaling":
        """Fit the scaling on training rows; a constant column is only shifted to 0."""
        minimum, span = float(values.min()), float(np.ptp(values))
        scale = span if span > _rounding(values) else 1.0
        return LinearScaling(name="minmax", offset=minimum, scale=scale)


class Quantile(Choice, name="quantile"):
    """Maps the distribution of the training rows to a normal distribution.

    Like scikit-learn's `QuantileTransformer` with `output_distribution="normal"`: the result is the
    normal quantile of the rank of x, from −5.2 to 5.2.
    """

    quantiles: Quantiles = 1000
    """Maximum number of quantiles that are stored. Between them, the result is interpolated."""

    def fit(self, values: Floats) -> "QuantileScaling":
        """Fit a scaling to the normal distribution on training rows.

        At the quantiles, the result is the same as with scikit-learn's
        `QuantileTransformer(output_distribution="normal")`: the normal quantiles of their shares,
        limited to ±5.2. There are three differences:

        - Between the quantiles, the normal quantiles are interpolated instead of the shares, so
          encoding does not compute the inverse distribution function.
        - Equal quantiles become one point with their mean share. So the scaling of a column that is
          mostly 0 is continuous there, and a constant column becomes 0.
        - A value outside the training range is scaled to the nearest end of the range.

        Args:
            values: the values of the rows, none missing, (rows,).
        """
        from statistics import NormalDist  # slow import, not needed for prediction

        count = max(2, min(self.quantiles, len(values)))
        points, index = np.unique(quantile_points(values, count), return_inverse=True)
        shares = np.bincount(index, weights=np.linspace(0, 1, count)) / np.bincount(index)
        inverse = NormalDist().inv_cdf
        normals = map(inverse, np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE).tolist())
        return QuantileScaling(points=tuple(points.tolist()), normals=tuple(normals))


class Log1p(_OfMoments, name="log1p"):
    """Standard scaling of log(1 + x). A value below 0 is an error."""


class Divide(Choice, name="divide"):
    """x/by, for columns with a known range, such as `by: 255` for pixels."""

    by: Positive
    """Divisor, in the column's unit."""

    def fit(self, values: Floats) -> "LinearScaling":
        """Return the scaling, which does not depend on training rows."""
        return LinearScaling(name="divide", scale=self.by)


class DivideByMean(Choice, name="mean"):
    """x/mean, computed on the training rows; 0 stays 0."""

    def fit(self, values: Floats) -> "LinearScaling":
        """Fit the scaling on training rows.

        Args:
            values: the values of the rows, none missing, with a positive mean, (rows,).
        """
        largest = float(np.max(np.abs(values), initial=0.0)) or 1.0
        mean = float(np.mean(values / largest)) * largest  # the sum might overflow
        return LinearScaling(name="mean", scale=mean if mean > 0 else 1.0)


class Unscaled(Choice, name="none"):
    """x, unchanged."""

    def fit(self, values: Floats) -> "LinearScaling":
        """Return the scaling, which does not depend on training rows."""
        return LinearScaling(name="none")


Scaling = Annotated[
    Standard | Robust | MinMax | Quantile | Log1p | Divide | Unscaled, OneOf("scaling")
]
OutputScaling = Annotated[Standard | Log1p | DivideByMean | Unscaled, OneOf("scaling")]


@dataclass(frozen=True)
class LargeInputs:
    """The setting that allows large inputs of a column, and a better choice."""

    key: str
    """The setting: `scaling`."""
    value: str
    """The name of its choice."""
    better: str
    """The name of another choice, with inputs near 1."""
    is_own: bool = True
    """True if the column has the setting; false if it is the default in `input`."""
    is_standardized: bool = False
    """True if the inputs are standardized or scaled to a range, so only outliers are large."""


def large_scaled_inputs(block: Block, own: Scaling | None, default: Scaling) -> LargeInputs | None:
    """Return the scaling that allows large numbers; None for a scaling that limits them.

    Args:
        block: inputs of a column.
        own: the column's scaling.
        default: the scaling of columns without one.
    """
    scaling = own or default
    is_number = block.kind == "numeric" and block.inputs == (block.column,) and block.form is None
    if not is_number or isinstance(scaling, Robust | Quantile):
        return None
    is_raw = isinstance(scaling, Unscaled | Divide)
    better = "standard" if is_raw else "robust"
    return LargeInputs("scaling", scaling.name, better, own is not None, not is_raw)


# Fitted on training rows.

Scale = Callable[[Floats], Floats]
LARGEST = (2 - 2.0**-23) * 2.0**127
"""The largest float32."""
_FAR = 1e15
"""A number at which robust scaling reaches its limit, and whose square is finite in float32."""
_LEAST_SHARE = 1e-7
"""Replaces a share of 0, whose normal quantile would be −∞, as in scikit-learn."""


class Fitted(Document):
    """Statistics and vocabularies of training rows: frozen, with an exact JSON form."""

    model_config = ConfigDict(defer_build=True)


class FittedScaling(Fitted):
    """A scaling with the statistics of training rows."""

    @property
    def formula(self) -> str:
        """A key that is equal for scalings that `stack_scalings` can combine; empty for others."""
        return ""

    @abstractmethod
    def apply(self, values: Floats) -> Floats:
        """Scale values in the unit of the column, (rows,)."""

    def graph(self, ops: "Operations", x: "Value") -> "Value":
        """Scale values in a graph, float64 (rows,)."""
        from dlcli.columns.graph_operations import by_formula

        return by_formula(ops, self.apply, x)


class LinearScaling(FittedScaling):
    """z = (f(x) − offset)/scale, with f(x) = log(1 + x) or x."""

    name: Annotated[
        Literal["standard", "minmax", "log1p", "divide", "mean", "none", "log"],
        AfterValidator(lambda name: "log1p" if name == "log" else name),
    ]
    """The name of the scaling in the config; earlier versions stored `log` for `log1p`."""
    offset: float = 0.0
    """The mean of f(x) in the training rows, their minimum, or 0."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """The standard deviation of f(x) in the training rows, their range or mean, a divisor, or
    1."""

    @property
    def formula(self) -> str:
        """A key that is equal for scalings that `stack_scalings` can combine; empty for others."""
        return "log1p" if self.name == "log1p" else "linear"

    def apply(self, values: Floats) -> Floats:
        """Scale values in the unit of the column, (rows,)."""
        transformed = np.log1p(values) if self.name == "log1p" else values
        return (transformed - self.offset) / self.scale

    def invert(self, scaled: "NDArray[np.floating]") -> Floats:
        """Convert scaled values, (rows,), to the unit of the column."""
        with np.errstate(over="ignore"):
            transformed = scaled.astype(np.float64) * self.scale + self.offset
            return np.expm1(transformed) if self.name == "log1p" else transformed


def _rounding(values: Floats) -> float:
    """Return an upper bound of rounding errors of the deviation and the range of values."""
    return 4 * float(np.finfo(np.float64).eps * np.abs(values).max())


class RobustScaling(FittedScaling):
    """limit·u/√(1 + u²) with u = (x − median)/scale/limit."""

    name: Literal["robust"] = "robust"
    median: float
    """The median of the training rows."""
    scale: Annotated[float, Field(gt=0)]
    """The interquartile range of the training rows, or its replacement if it is 0."""
    limit: Annotated[float, Field(gt=0)]
    """The maximum absolute scaled value."""
    formula: ClassVar[str] = "robust"

    def apply(self, values: Floats) -> Floats:
        """Scale values in the unit of the column, (rows,)."""
        with np.errstate(over="ignore"):
            ratios = np.clip((values - self.median) / self.scale / self.limit, -_FAR, _FAR)
        scaled: Floats = self.limit * (ratios / np.sqrt(1 + ratios * ratios))
        return scaled


def _increasing(points: tuple[float, ...]) -> tuple[float, ...]:
    if not all(left < right for left, right in pairwise(points)):
        raise ValueError("expected increasing numbers")
    return points


Increasing = Annotated[tuple[float, ...], AfterValidator(_increasing)]
"""Numbers in strictly increasing order."""


class QuantileScaling(FittedScaling):
    """Linear interpolation between quantiles of the training rows, constant beyond them.

    The scaled training rows have a normal distribution.
    """

    name: Literal["quantile"] = "quantile"
    points: Increasing
    """Quantiles of the training rows in the unit of the column."""
    normals: Increasing
    """The standard normal quantile of the share of each point."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.points or len(self.points) != len(self.normals):
            raise ValueError("expected one normal quantile for each point")
        return self

    def apply(self, values: Floats) -> Floats:
        """Scale values in the unit of the column, (rows,)."""
        return np.interp(values, *self._line)

    def graph(self, ops: "Operations", x: "Value") -> "Value":
        """Scale values in a graph, float64 (rows,)."""
        points, normals = np.array(self.points), np.array(self.normals)
        if len(points) == 1:
            return x * 0.0 + float(normals[0])
        x = ops.clip(x, float(points[0]), float(points[-1]))
        if len(points) > 2:
            reached = ops.as_column(x) >= ops.constant(points[None, 1:-1])
            index = ops.sum_last(ops.cast(reached, "int64"))
        else:
            index = ops.cast(x * 0.0, "int64")
        # Not by the slope, which may be infinite between nearly equal points.
        share = (x - ops.lookup(points, index)) / ops.lookup(np.diff(points), index)
        return share * ops.lookup(np.diff(normals), index) + ops.lookup(normals, index)

    @cached_property
    def _line(self) -> "tuple[array[float], array[float]]":
        """Points and normals in contiguous memory; not NumPy arrays, so `==` can compare models."""
        return array("d", self.points), array("d", self.normals)


FeatureScaling = Annotated[
    LinearScaling | RobustScaling | QuantileScaling, Field(discriminator="name")
]


def stack_scalings(scalings: Sequence[FeatureScaling]) -> FeatureScaling:
    """Combine the scalings of several columns to a scaling of a matrix, (rows, columns).

    Args:
        scalings: scalings with the same formula, one for each column.
    """
    first, *others = scalings
    if not others:
        return first
    numbers = type(first).model_fields.keys() - {"name"}
    fields = {name: np.array([getattr(each, name) for each in scalings]) for name in numbers}
    stacked: FeatureScaling = first.model_copy(update=fields)
    return stacked


def quantile_points(values: Floats, count: int) -> Floats:
    """Return the quantiles at shares 0, 1/(count − 1), ..., 1, (count,), in nondecreasing order.

    The quantiles are linearly interpolated between the sorted values, as in `numpy.quantile`. That
    function computes positions from shares, and its rounding errors can make equal quantiles
    differ.

    Args:
        values: the values in any order, (rows,).
        count: number of quantiles, 2 or more.
    """
    last = len(values) - 1
    positions = np.linspace(0, last, count)
    points = np.interp(positions, np.arange(last + 1), np.sort(values))
    # Rounding errors may put an interpolated value above the next value.
    return np.maximum.accumulate(points)


def median(values: Floats) -> float:
    """Return the same median as `numpy.median`, but five times as fast.

    NumPy uses vector instructions to select one position, but not two.

    Args:
        values: at least one value, none missing, in any order, (rows,).
    """
    middle = len(values) // 2
    ordered = np.partition(values, middle)
    high = ordered[middle]
    return float(high if len(values) % 2 else (ordered[:middle].max() + high) / 2)


def out_of_range(name: str, values: Floats) -> Iterator[tuple[Mask, Callable[[int], str]]]:
    """Yield the values that a scaling or float32 can't represent, and the reason for each.

    Args:
        name: the scaling's name.
        values: a column's values, NaN where missing, (rows,).
    """
    with np.errstate(invalid="ignore"):
        if name == "log1p":
            yield (
                values < 0,
                lambda at: f"scaling 'log1p' requires values of at least 0, got {values[at]:g}",
            )
        end = f"expected a number within ±{LARGEST:.1e} (float32), got {{:g}}"
        yield np.abs(values) > LARGEST, lambda at: end.format(values[at])


def check_range(name: str, values: Floats, table: "Table", column: str) -> None:
    """Check that a scaling and float32 can represent all values.

    Args:
        name: the scaling's name.
        values: the column's values, NaN where missing, (rows,).
        table: the rows.
        column: the column's name.

    Raises:
        DataError: for a negative value under `log1p`, or one beyond float32, with its row.
    """
    for wrong, problem in out_of_range(name, values):
        table.refuse(wrong, column, problem)


def scale_column(
    scale: Scale, values: Floats, rows: "Rows", column: str, problems: "ValueProblems"
) -> Floats:
    """Scale a column, and refuse values that then exceed the range of float32.

    Args:
        scale: scales values in the unit of the column, (rows,).
        values: the column's values, none missing, (rows,).
        rows: the rows.
        column: the column's name.
        problems: records values that overflow, if it is lenient.

    Returns:
        The scaled values, with 0 for those that were recorded.

    Raises:
        DataError: for the first value that overflows, with its row, unless `problems` is lenient.
    """
    with np.errstate(all="ignore"):
        scaled = scale(values)
        wrong = ~(np.abs(scaled) <= LARGEST)
    end = f"scaled numbers must be within ±{LARGEST:.1e} (float32), but {{:g}} becomes {{:.1e}}"
    problems.refuse(wrong, rows, column, lambda at: end.format(values[at], scaled[at]))
    return np.where(wrong, 0.0, scaled) if wrong.any() else scaled
