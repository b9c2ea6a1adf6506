"""Columns of numbers, and of true and false.

Missing values are replaced first. Then the number is scaled to one input, from which the network
may compute sines and cosines (`periodic`), or encoded by one input for each of several bins
(`piecewise_linear`). Frequent values may have an input of 0 or 1 besides, as categories have. One
more input may mark the rows whose value was missing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli import preprocessing
from dlcli.config.input_section import (
    Boolean,
    ConstantValue,
    ErrorIfMissing,
    Input,
    Mean,
    Median,
    Numeric,
    Periodic,
    PiecewiseLinear,
    Unscaled,
)
from dlcli.config.yaml_document import format_path
from dlcli.encoding.column_encoder import (
    Block,
    ColumnEncoder,
    FilledEncoder,
    PeriodicForm,
    needs_indicator,
    require_values,
)
from dlcli.encoding.encoded_rows import Matrix
from dlcli.errors import ConfigError, Problem
from dlcli.preprocessing import Floats, ValueIssues
from dlcli.tables.few_rows import LARGEST_PLAIN, FewRows, FewValues, NeedsTable
from dlcli.tables.table import Table


def _way_out(are_most_wrong: bool) -> str:
    if are_most_wrong:
        return "; for a column of texts, set its type to categorical or text in input.features"
    return "; correct it, or add it to data.missing if it means a missing value"


_FEWEST_TOGETHER = 24
"""Fewest rows whose numbers are scaled together, as NumPy takes long to begin."""


class BooleanEncoder(FilledEncoder):
    """True as 1, false as 0."""

    encoding: Literal["boolean"] = "boolean"
    type: Literal["boolean"] = "boolean"
    fill: float | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fill not in (None, 0, 1):
            raise ValueError("'fill' is neither true nor false")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        return (Block(self.column, "numeric", (self.column, *self.indicator_names)),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        parsed = table.column(self.column).booleans()
        issues.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        wrong, fill = parsed.unreadable, self.fill or 0.0
        out[:, 0] = self.fill_missing(
            parsed.values, parsed.missing, wrong, fill, table, out, issues
        )

    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        truths, fill = values.booleans(), self.fill or 0.0
        missing = [row for row, truth in enumerate(truths) if truth != truth]
        self.fill_few(missing, fill, out, issues)
        out[:, 0] = [fill if truth != truth else truth for truth in truths]


def fit_boolean(column: str, feature: Boolean, train: Table) -> BooleanEncoder:
    """Fit the encoder of a column of true and false."""
    values = train.booleans(column, _way_out)
    present = _present(column, values, train)
    is_required = isinstance(feature.missing, ErrorIfMissing)
    return BooleanEncoder(
        column=column,
        missing_share=1 - len(present) / len(values),
        fill=None if is_required else float(present.mean() > 0.5),
        indicator=needs_indicator(feature.missing, len(present) < len(values)),
    )


class NumberEncoder(FilledEncoder):
    """Encoder of a column of numbers."""

    type: Literal["numeric"] = "numeric"
    fill: float | None
    low: float
    """The training rows' minimum."""
    high: float
    """The training rows' maximum."""
    categories: preprocessing.Increasing = ()
    """The values that have an input of their own."""

    @property
    def further_blocks(self) -> tuple[Block, ...]:
        """The block of the inputs for categories and for missing values, if there are any."""
        values = (repr(each).removesuffix(".0") for each in self.categories)
        names = (*(f"{self.column} = {value}" for value in values), *self.indicator_names)
        return (Block(self.column, "numeric", names),) if names else ()

    def read(self, table: Table, scaling: str, out: Matrix, issues: ValueIssues) -> Floats:
        """Read the column's numbers and replace missing ones, (rows,).

        Args:
            table: the rows.
            scaling: name of the scaling that comes next; `log` refuses negative numbers.
            out: the column's inputs, (rows, inputs), the last of which may mark missing values.
            issues: records values that can't be read, are missing, or outside training's range.
        """
        parsed = table.column(self.column).numbers()
        issues.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        wrong = parsed.unreadable
        for beyond, complaint in preprocessing.out_of_range(scaling, parsed.values):
            issues.refuse(beyond, table, self.column, complaint)
            wrong = wrong | beyond
        values = np.where(wrong, np.nan, parsed.values) if wrong.any() else parsed.values
        with np.errstate(invalid="ignore"):
            outside = int(np.count_nonzero((values < self.low) | (values > self.high)))
        issues.add_outside(self.column, outside, self.low, self.high)
        if self.categories:
            categories, narrow = _in_32_bits(self.categories), _in_32_bits(values)
            found = np.searchsorted(categories, narrow).clip(max=len(categories) - 1)
            rows = np.flatnonzero(categories[found] == narrow)
            out[rows, self._first_category + found[rows]] = 1
        missing = np.isnan(values) & ~wrong
        return self.fill_missing(values, missing, wrong, self.fill or 0.0, table, out, issues)

    def read_few(
        self, values: FewValues, scaling: str, out: Matrix, issues: ValueIssues
    ) -> list[float]:
        """Read the numbers of few rows and replace missing ones, as `read` does, (rows,).

        Raises:
            NeedsTable: as `encode_few`.
        """
        numbers, fill = values.numbers(), self.fill or 0.0
        if self.categories:
            narrow = _in_32_bits(numbers).tolist()
            found = ((row, self._codes.get(number)) for row, number in enumerate(narrow))
            for row, code in found:
                if code is not None:
                    out[row, self._first_category + code] = 1
        missing: list[int] = []
        outside = 0
        for row, number in enumerate(numbers):
            if number != number:
                missing.append(row)
                numbers[row] = fill
            elif not preprocessing.is_in_range(scaling, number):
                raise NeedsTable
            else:
                outside += not self.low <= number <= self.high
        if outside:
            issues.add_outside(self.column, outside, self.low, self.high)
        if missing:
            self.fill_few(missing, fill, out, issues)
        return numbers

    @cached_property
    def _codes(self) -> dict[float, int]:
        """The index of each category, in 32 bits."""
        return {value: code for code, value in enumerate(_in_32_bits(self.categories).tolist())}

    @property
    def _first_category(self) -> int:
        """The index of the first category's input, from the end."""
        return -len(self.categories) - self.indicator


class NumericEncoder(NumberEncoder):
    """A number as one input: filled where missing, then scaled."""

    encoding: Literal["number"] = "number"
    scaling: preprocessing.FeatureScaling
    periodic: PeriodicForm | None = None
    """The sines and cosines that the network makes of the input, if any."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        form = self.periodic
        if form and not (form.frequencies > 0 and 0 < form.deviation < math.inf):
            raise ValueError("expected a positive number of frequencies, and their deviation")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        number = Block(self.column, "numeric", (self.column,), self.periodic)
        return (number, *self.further_blocks)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values = self.read(table, self.scaling.name, out, issues)
        out[:, 0] = preprocessing.scale_column(self.scaling, values, table, self.column, issues)

    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        numbers = self.read_few(values, self.scaling.name, out, issues)
        if len(numbers) < _FEWEST_TOGETHER:
            for row, number in enumerate(numbers):
                out[row, 0] = _within_float32(self.scaling.apply_one(number))
            return
        with np.errstate(all="ignore"):
            scaled = self.scaling.apply(np.array(numbers))
        if not (np.abs(scaled) <= preprocessing.LARGEST).all():
            raise NeedsTable
        out[:, 0] = scaled


class ScaledNumbers:
    """Columns of numbers that are scaled linearly, of which few rows are encoded together.

    Args:
        columns: the encoder of each, its scaling, and the index of its input. The ends
            of its training range must be within `LARGEST_PLAIN`, and within float32 once scaled.
    """

    def __init__(
        self, columns: Sequence[tuple[NumericEncoder, preprocessing.LinearScaling, int]]
    ) -> None:
        ordered = sorted(columns, key=lambda column: column[1].name != "log1p")
        encoders, scalings, indices = zip(*ordered, strict=True)
        self.names = tuple(each.column for each in encoders)
        self._indices = np.array(indices)
        self._low = np.array([each.low for each in encoders])
        self._high = np.array([each.high for each in encoders])
        self._offset = np.array([each.offset for each in scalings])
        self._scale = np.array([each.scale for each in scalings])
        self._logs = sum(each.name == "log1p" for each in scalings)

    @classmethod
    def of(cls, encoders: Sequence[tuple[ColumnEncoder, slice]]) -> Self | None:
        """Take the columns that suit.

        Args:
            encoders: those of all columns, with the indices of their inputs.

        Returns:
            `None` for fewer than two columns.
        """
        columns = []
        for encoder, inputs in encoders:
            if not isinstance(encoder, NumericEncoder) or encoder.categories:
                continue
            scaling, ends = encoder.scaling, (encoder.low, encoder.high)
            if isinstance(scaling, preprocessing.LinearScaling) and all(
                abs(end) <= LARGEST_PLAIN and abs(scaling.apply_one(end)) <= preprocessing.LARGEST
                for end in ends
            ):
                columns.append((encoder, scaling, inputs.start))
        return cls(columns) if len(columns) > 1 else None

    def encode_plain(self, rows: FewRows, out: Matrix) -> bool:
        """Write the columns' inputs of few rows, if there is nothing to record about them.

        Args:
            rows: the rows.
            out: the inputs, (rows, inputs).

        Returns:
            Whether they were written: not if a value is missing, outside the training rows' range,
            or needs to be read in some way.
        """
        numbers = rows.plain_numbers(self.names)
        if numbers is None or not ((self._low <= numbers) & (numbers <= self._high)).all():
            return False
        if self._logs:
            np.log1p(numbers[:, : self._logs], out=numbers[:, : self._logs])
        numbers -= self._offset
        numbers /= self._scale
        out[:, self._indices] = numbers
        return True


class PiecewiseLinearEncoder(NumberEncoder):
    """A number as one input for each of several bins, 0 below its bin and 1 above it.

    Within its bin from a to b the input is (x − a)/(b − a). That formula also holds below the first
    bin and above the last (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556).
    """

    encoding: Literal["piecewise_linear"] = "piecewise_linear"
    edges: Annotated[preprocessing.Increasing, Field(min_length=2)]
    """Where bins begin and end."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        # As few digits as make all edges differ, but at least three.
        written = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(3, 18))
        names = next(names for names in written if len(set(names)) == len(names))
        bins = tuple(f"{self.column} {a}..{b}" for a, b in pairwise(names))
        return (Block(self.column, "numeric", bins), *self.further_blocks)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values = self.read(table, "none", out, issues)
        edges = np.array(self.edges)
        # Only inner edges are searched, so that the outer bins have no end.
        bins = np.searchsorted(edges[1:-1], values, side="right")
        with np.errstate(over="ignore"):
            shares = (values - edges[bins]) / np.diff(edges)[bins]
        every = np.arange(len(edges) - 1)
        out[:, : len(every)] = every < bins[:, np.newaxis]
        out[np.arange(len(out)), bins] = preprocessing.refuse_overflow(
            shares, values, table, self.column, issues
        )

    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        edges = self.edges
        for row, number in enumerate(self.read_few(values, "none", out, issues)):
            at = bisect_right(edges, number, 1, len(edges) - 1) - 1
            low, high = edges[at], edges[at + 1]
            out[row, :at] = 1
            out[row, at] = _within_float32((number - low) / (high - low))


def _within_float32(scaled: float) -> float:
    """Return a scaled value that float32 can represent; see `refuse_overflow`.

    Raises:
        NeedsTable: for any other.
    """
    if not abs(scaled) <= preprocessing.LARGEST:
        raise NeedsTable
    return scaled


def fit_numeric(
    column: str, feature: Numeric, section: Input, train: Table
) -> NumericEncoder | PiecewiseLinearEncoder:
    """Fit the encoder of a column of numbers.

    Args:
        column: its name.
        feature: its settings.
        section: scaling and encoding where `feature` has none.
        train: the training rows.

    Raises:
        DataError: for a value that isn't a number or that the scaling can't take, or no value.
        ConfigError: for a constant that the scaling can't take.
    """
    encoding = feature.encoding or section.encoding
    scaling = feature.scaling or section.scaling
    if isinstance(encoding, PiecewiseLinear):
        scaling = Unscaled()
    policy = feature.missing
    if isinstance(policy, ConstantValue) and scaling.name == "log1p" and policy.value < 0:
        path = format_path(("input", "features", column, "missing", "value"))
        message = f"scaling 'log1p' needs 0 or more, got {policy.value:g}"
        raise ConfigError([Problem(path, message)])
    values = train.numbers(column, _way_out)
    preprocessing.check_range(scaling.name, values, train, column)
    present = _present(column, values, train)
    fill = policy.value if isinstance(policy, ConstantValue) else None
    if isinstance(policy, Median):
        fill = preprocessing.median(present)
    elif isinstance(policy, Mean):
        fill = float(np.mean(present))
    common: dict[str, Any] = {
        "column": column,
        "missing_share": 1 - len(present) / len(values),
        "low": float(present.min()),
        "high": float(present.max()),
        "fill": fill,
        "indicator": needs_indicator(policy, len(present) < len(values)),
        "categories": _fit_categories(feature.one_hot_values, present),
    }
    if isinstance(encoding, PiecewiseLinear):
        return PiecewiseLinearEncoder(**common, edges=_fit_edges(encoding.bins, present))
    fitted = preprocessing.fit_feature_scaling(scaling, present)
    periodic = None
    if isinstance(encoding, Periodic):
        periodic = PeriodicForm(encoding.frequencies, encoding.deviation)
    return NumericEncoder(**common, scaling=fitted, periodic=periodic)


def _fit_categories(most: int, values: Floats) -> tuple[float, ...]:
    """Return the most frequent values of two or more training rows, of equal ones the smallest."""
    ordered = np.sort(values) + 0.0  # -0 becomes 0
    _, first, counts = np.unique(_in_32_bits(ordered), return_index=True, return_counts=True)
    distinct = ordered[first]
    ranked = np.argsort(-counts, kind="stable")[:most]
    categories: list[float] = np.sort(distinct[ranked[counts[ranked] > 1]]).tolist()
    return tuple(categories)


def _in_32_bits(values: Sequence[float] | Floats) -> NDArray[np.float32]:
    """Return numbers as a file or a client of 32 bits has them: 0.1 is equal to its 0.1 then."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


def _fit_edges(bins: int, values: Floats) -> tuple[float, ...]:
    """Return edges of bins at quantiles of the training rows; equal quantiles become one edge.

    A constant column gets a single bin as wide as its value, at least 1, so that it becomes 0.
    """
    edges: list[float] = np.unique(preprocessing.quantile_points(values, bins + 1)).tolist()
    if len(edges) == 1:
        edges.append(edges[0] + max(1.0, abs(edges[0])))
    return tuple(edges)


def _present(column: str, values: Floats, train: Table) -> Floats:
    """Return the values that are not missing, at least one."""
    present: Floats = values[~np.isnan(values)]
    require_values(len(present), column, train)
    return present
