"""Columns of numbers.

Missing values are replaced first. Then the number is scaled to one input, from which the network
may compute sines and cosines (`periodic`), or encoded by one input for each of several bins
(`piecewise_linear`). Frequent values may have an input of 0 or 1 besides, as categories have. One
more input may mark the rows whose value was missing.
"""

import math
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dlcli.arrays import Floats, Indices, Mask, Matrix, np
from dlcli.columns.client_values import CURVE_POINTS, MOST_CHECKED, ClientColumn, ModelInput
from dlcli.columns.column_type import (
    ColumnType,
    Decision,
    Defaults,
    EncoderClasses,
    EncodersWithInputs,
    ErrorIfMissing,
    FilledEncoder,
    Imputation,
    Median,
    Record,
    Rule,
    Together,
    needs_indicator,
    present_numbers,
    way_out,
)
from dlcli.columns.layout import Block, InputForm
from dlcli.columns.python_code import ScriptCode, call_lines, literal
from dlcli.columns.scaling import (
    LARGEST,
    FeatureScaling,
    Increasing,
    LargeInputs,
    LinearScaling,
    QuantileScaling,
    Scaling,
    Unscaled,
    check_range,
    fit_feature_scaling,
    large_scaled_inputs,
    median,
    out_of_range,
    quantile_points,
    refuse_overflow,
    stack_scalings,
)
from dlcli.columns.type_inference import LEADING_ZERO, MAX_CODES, InferenceOrder
from dlcli.errors import ConfigError, Problem
from dlcli.schema.section import (
    Choice,
    Conflict,
    NonNegativeInt,
    Number,
    OneOf,
    Positive,
    PositiveInt,
    Section,
)
from dlcli.schema.yaml_document import format_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlcli.columns.column_summary import ColumnSummary, ColumnView
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.column import Column
    from dlcli.tables.few_rows import FewRows
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


class Direct(Choice, name="none"):
    """The scaled number itself."""


class Periodic(Choice, name="periodic"):
    """sin(2π·c·x) and cos(2π·c·x) of the scaled number, for several trained frequencies c.

    The initial frequencies are drawn from a normal distribution around 0 (Gorishniy et al. 2022,
    https://arxiv.org/abs/2203.05556, section 3.3).
    """

    frequencies: PositiveInt = 8
    """Number of frequencies; each gives two inputs."""
    deviation: Positive = 0.1
    """Standard deviation of the initial frequencies, in periods per unit of the scaled number."""


class PiecewiseLinear(Choice, name="piecewise_linear"):
    """The position of x in each of several bins: 0 below it, 1 above it, linear inside.

    The edges are quantiles of the training rows; the first and last bin are linear beyond theirs
    (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556, section 3.2).
    """

    bins: PositiveInt = 16
    """Maximum number of bins, each an input; there are fewer where quantiles coincide."""


NumericEncoding = Annotated[Direct | Periodic | PiecewiseLinear, OneOf("encoding")]


class Mean(Imputation, name="mean"):
    """The mean of the training rows."""


class ConstantValue(Imputation, name="constant"):
    """A given value."""

    value: Number
    """The value, in the unit of the column before scaling."""


NumericMissing = Annotated[Median | Mean | ConstantValue | ErrorIfMissing, OneOf("policy")]


_LINEAR = ("standard", "minmax", "divide", "none")
"""Scalings that keep the shape of a distribution."""
_MOST_EMBEDDED = 2_000
"""Categories that are suggested for numbers that are identifiers: of the 9,066 movies of MovieLens,
as many explain 0.13 of the variance of other users' ratings in six epochs, the numbers 0.05."""


class Numeric(ColumnType):
    """A number."""

    plural = "numbers"
    has_usual_missing_words = True
    synonyms: ClassVar[Mapping[str, str]] = {"max_categories": "one_hot_values"}

    type: Literal["numeric"] = "numeric"
    scaling: Scaling | None = None
    """Scaling of values. Omitted: input.scaling."""
    encoding: NumericEncoding | None = None
    """Encoding of scaled values as several inputs. Omitted: input.encoding."""
    one_hot_values: NonNegativeInt = 0
    """Maximum number of values that also have an input of 0 or 1 each, as categories have: the most
    frequent, of two or more training rows. For amounts that also identify what a row belongs to."""
    missing: NumericMissing = Median()
    """Replacement of missing values."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a scaling that bins don't use."""
        if self.scaling and isinstance(self.encoding, PiecewiseLinear):
            yield "scaling", "has no effect with encoding: piecewise_linear"

    @classmethod
    def rules(cls) -> Iterator[tuple[InferenceOrder, Rule]]:
        """Yield the rules of numbers, and of amounts that can't be read."""
        from dlcli.columns.unread_amounts import decide_amounts

        yield InferenceOrder.NUMBERS, decide_numbers
        yield InferenceOrder.AMOUNTS, decide_amounts

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of which most values are of the type has one that is not."""
        numbers = column.numbers()
        is_large = bool((np.abs(numbers.values) > LARGEST).any())
        return is_large or bool(numbers.unreadable.any())

    def is_risky(self, values: "ColumnSummary") -> bool:
        """Return whether one of the numbers is infinite, or too large."""
        return values.bounds is None

    def no_identifiers(self, values: "ColumnSummary") -> int:
        """Return how many values repeat others or are fractions, which no identifiers are."""
        return super().no_identifiers(values) if values.whole else values.present

    def identity(self, column: str, whole: "Table") -> str | None:
        """Return why a column merely distinguishes or numbers the rows; None if it doesn't."""
        from dlcli.columns.identifiers import identity_of_numbers

        values = whole.column(column)
        if values.kind not in ("number", "text"):
            return None
        parsed = values.numbers()
        return identity_of_numbers(column, parsed.values[~parsed.missing])

    @classmethod
    def encoders(cls) -> EncoderClasses:
        """Return the classes of encoders that `fit` makes."""
        return (NumericEncoder, PiecewiseLinearEncoder)

    def fit(
        self, column: str, train: "Table", defaults: Defaults
    ) -> "NumericEncoder | PiecewiseLinearEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a value that isn't a number or that the scaling can't take, or no value.
            ConfigError: for a constant that the scaling can't take.
        """
        encoding = self.encoding or defaults.encoding
        scaling = self.scaling or defaults.scaling
        if isinstance(encoding, PiecewiseLinear):
            scaling = Unscaled()
        policy = self.missing
        if isinstance(policy, ConstantValue) and scaling.name == "log1p" and policy.value < 0:
            path = format_path(("input", "features", column, "missing", "value"))
            message = f"scaling 'log1p' needs 0 or more, got {policy.value:g}"
            raise ConfigError([Problem(path, message)])
        values = train.numbers(column, way_out)
        check_range(scaling.name, values, train, column)
        present = present_numbers(column, values, train)
        fill = policy.value if isinstance(policy, ConstantValue) else None
        if isinstance(policy, Median):
            fill = median(present)
        elif isinstance(policy, Mean):
            fill = float(np.mean(present))
        common: dict[str, Any] = {
            "column": column,
            "missing_share": 1 - len(present) / len(values),
            "low": float(present.min()),
            "high": float(present.max()),
            "fill": fill,
            "indicator": needs_indicator(policy, len(present) < len(values)),
            "categories": _fit_categories(self.one_hot_values, present),
        }
        if isinstance(encoding, PiecewiseLinear):
            return PiecewiseLinearEncoder(**common, edges=_fit_edges(encoding.bins, present))
        fitted = fit_feature_scaling(scaling, present)
        periodic = None
        if isinstance(encoding, Periodic):
            periodic = PeriodicForm(encoding.frequencies, encoding.deviation)
        return NumericEncoder(**common, scaling=fitted, periodic=periodic)

    # Checks, advice and starter configs.

    is_amount = True

    def amounts(self, column: "Column") -> Floats | None:
        """Return a column's numbers, see `ColumnType`."""
        if column.kind not in ("number", "text"):
            return None
        parsed = column.numbers()
        return None if parsed.unreadable.any() else parsed.values

    def keeps_tails(self, defaults: Defaults) -> bool:
        """Return whether the scaling is linear, and there are no bins."""
        if isinstance(self.encoding or defaults.encoding, PiecewiseLinear):
            return False
        return (self.scaling or defaults.scaling).name in _LINEAR

    def large_inputs(self, block: Block, defaults: Defaults) -> LargeInputs | None:
        """Return the scaling that lets numbers be large, see `ColumnType`."""
        return large_scaled_inputs(block, self.scaling, defaults.scaling)

    def inputs_of(self, distinct: int, bins: int) -> int:
        """Return about how many inputs encode a column, see `ColumnType`."""
        return min(bins, distinct) + self.one_hot_values

    def starter_comment(self, reason: str, values: "ColumnSummary") -> str:
        """Return the comment on a column in a starter config, with the range of its values."""
        if self == Numeric() and values.bounds and values.may_be_codes:
            # The suggestion comes before what may be cut off.
            missing = f" ({values.missing_note})" if values.missing else ""
            return f"whole numbers, {values.span}; if codes, categorical{missing}"
        return ", ".join(filter(None, [reason, values.span, values.missing_note]))

    def starter_hint(self, column: str, values: "ColumnSummary", *, is_inferred: bool) -> str:
        """Suggest categories for numbers that have the name of identifiers, and repeat."""
        from dlcli.columns.identifiers import has_identifier_name

        is_repeated = values.whole and 1 < values.distinct <= values.present / 2
        is_plain = self == Numeric() and not values.may_be_codes
        if not (is_plain and is_repeated and has_identifier_name(column)):
            return ""
        most = min(values.distinct, _MOST_EMBEDDED)
        encoded = f"{{type: categorical, encoding: embedding, max_categories: {most}}}"
        return f"if it names things, no amounts: {encoded}"

    @classmethod
    def together(cls, encoders: EncodersWithInputs) -> Together | None:
        """Return what encodes few rows of several columns at once; None if nothing does."""
        own = [
            (each, at.start)
            for each, at in encoders
            if isinstance(each, NumericEncoder) and each.may_be_scaled_together
        ]
        return _NumbersTogether(own) if len(own) > 1 else None


def unused_scalings(
    encoding: NumericEncoding, features: Mapping[str, ColumnType], *, is_default: bool
) -> Iterator[Conflict]:
    """Yield the scalings in `input` that bins don't use.

    Args:
        encoding: that of features that have none.
        features: the declared types.
        is_default: whether `input.scaling` has its default.
    """
    if not isinstance(encoding, PiecewiseLinear):
        return
    numeric = {name: each for name, each in features.items() if isinstance(each, Numeric)}
    for column, feature in numeric.items():
        if feature.scaling and not feature.encoding:
            message = "has no effect with input.encoding: piecewise_linear"
            way_out = "give the feature its own encoding"
            yield ("features", column, "scaling"), f"{message}; {way_out}"
    unscaled = [each.encoding for each in numeric.values() if not each.scaling]
    is_used = any(each and not isinstance(each, PiecewiseLinear) for each in unscaled)
    if not is_default and not is_used:
        yield "scaling", "has no effect with encoding: piecewise_linear"


# Inference.


@cache
def _shared() -> Numeric:
    """Return a feature that very wide tables have thousands of."""
    return Numeric()


def decide_numbers(view: "ColumnView") -> "Decision | None":
    """Decide for numbers, or for categories if numbers have leading zeros.

    A column of text may hold a few other values, in 10 % of the rows at most, if there are more
    than `MAX_CODES` numbers. Training will refuse them unless they are declared missing; as
    categories, the numbers would carry little information.
    """
    if view.column.kind not in ("number", "text"):
        return None
    if view.column.looks_numeric():
        if view.has_leading_zeros:
            return _codes(view)
        if view.summary.bounds is None:
            reason = f"all numbers, one of them infinite or beyond {LARGEST:.1e}"
        elif view.summary.may_be_codes:
            reason = "few distinct whole numbers, read as amounts"
        else:
            words = view.column.notation.words
            reason = f"all numbers, with {' and '.join(words)}" if words else "all numbers"
        return Decision(_shared(), reason)
    if view.column.kind != "text":
        return None
    fits = view.matches(view.column.notation.pattern)
    strays = view.strays(~fits)
    if strays is None or np.count_nonzero(fits) <= MAX_CODES:
        return None
    if (view.matches(LEADING_ZERO) & fits).any():
        return _codes(view)
    return Numeric().with_strays(strays, "numbers")


def _codes(view: "ColumnView") -> "Decision":
    from dlcli.columns.category import Categorical, category_count

    count = category_count(view.summary.distinct)
    return Decision(Categorical(), f"codes with leading zeros, {count}")


# Fitting.


def _fit_categories(most: int, values: Floats) -> tuple[float, ...]:
    """Return the most frequent values of two or more training rows, of equal ones the smallest."""
    ordered = np.sort(values) + 0.0  # -0 becomes 0
    _, first, counts = np.unique(_in_32_bits(ordered), return_index=True, return_counts=True)
    distinct = ordered[first]
    ranked = np.argsort(-counts, kind="stable")[:most]
    categories: list[float] = np.sort(distinct[ranked[counts[ranked] > 1]]).tolist()
    return tuple(categories)


def _in_32_bits(values: Sequence[float] | Floats) -> "NDArray[np.float32]":
    """Return numbers as a file or a client of 32 bits has them: 0.1 is equal to its 0.1 then."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


def _fit_edges(bins: int, values: Floats) -> tuple[float, ...]:
    """Return edges of bins at quantiles of the training rows; equal quantiles become one edge.

    A constant column gets a single bin as wide as its value, at least 1, so that it becomes 0.
    """
    edges: list[float] = np.unique(quantile_points(values, bins + 1)).tolist()
    if len(edges) == 1:
        edges.append(edges[0] + max(1.0, abs(edges[0])))
    return tuple(edges)


# Encoding.


_LARGEST_PLAIN = 2.0**53
"""The size up to which float64 represents every whole number."""


@dataclass(frozen=True)
class PeriodicForm(InputForm):
    """Sines and cosines of each input, with trained frequencies."""

    frequencies: int
    deviation: float
    """Standard deviation of the initial frequencies, in periods per unit of the input."""


class NumberEncoder(FilledEncoder):
    """Encoder of a column of numbers."""

    type: Literal["numeric"] = "numeric"
    fill: float | None
    low: float
    """The training rows' minimum."""
    high: float
    """The training rows' maximum."""
    categories: Increasing = ()
    """The values that have an input of their own."""

    @property
    def further_blocks(self) -> tuple[Block, ...]:
        """The block of the inputs for categories and for missing values, if there are any."""
        values = (repr(each).removesuffix(".0") for each in self.categories)
        names = (*(f"{self.column} = {value}" for value in values), *self.indicator_names)
        return (Block(self.column, "numeric", names),) if names else ()

    @property
    @abstractmethod
    def scaling_name(self) -> str:
        """The name of the scaling, of which `log1p` refuses negative numbers."""

    @abstractmethod
    def scale(self, values: Floats) -> Floats:
        """Scale numbers, none missing, (rows,)."""

    @abstractmethod
    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write the inputs of numbers, (rows,), that are scaled within float32's range."""

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        parsed = rows.numbers_of(self.column)
        values, wrong = parsed.values, parsed.unreadable
        empty = np.isnan(values)
        has_empty = bool(empty.any())
        usual: Mask = (self.low <= values) & (values <= self.high)
        is_usual = self._is_safe and bool((usual | empty if has_empty else usual).all())
        if not is_usual or (has_empty and wrong.any()):
            problems.refuse(wrong, rows, self.column, parsed.problem)
            for beyond, problem in out_of_range(self.scaling_name, values):
                problems.refuse(beyond, rows, self.column, problem)
                wrong = wrong | beyond
            values = np.where(wrong, np.nan, values)
            outside = int(np.count_nonzero((values < self.low) | (values > self.high)))
            problems.add_outside(self.column, outside, self.low, self.high)
            has_empty = True
        if self.categories:
            categories, narrow = _in_32_bits(self.categories), _in_32_bits(values)
            found = np.searchsorted(categories, narrow).clip(max=len(categories) - 1)
            hits = np.flatnonzero(categories[found] == narrow)
            out[hits, found[hits] - len(self.categories) - self.indicator] = 1
        if has_empty:
            missing = np.isnan(values) & ~wrong
            fill = self.fill or 0.0
            values = self.fill_missing(values, missing, wrong, fill, rows, out, problems)
        if is_usual:
            scaled = self.scale(values)
        else:
            with np.errstate(all="ignore"):
                scaled = refuse_overflow(self.scale(values), values, rows, self.column, problems)
        self.write(values, scaled, out)

    @cached_property
    def _is_safe(self) -> bool:
        """Whether no number from the training rows' minimum to their maximum is refused."""
        ends = self._ends
        is_filled_within = self.low <= (self.fill or 0.0) <= self.high
        with np.errstate(all="ignore"):
            is_finite = bool((np.abs(self.scale(ends)) <= LARGEST).all())
        is_in_range = not any(wrong.any() for wrong, _ in out_of_range(self.scaling_name, ends))
        return is_filled_within and is_finite and is_in_range

    @property
    def _ends(self) -> Floats:
        return np.array([self.low, self.high])

    # Exported models.

    reads_numbers = True

    def model_input(self, notation: "Notation") -> ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        unit = f" in {notation.unit}" if notation.unit else ""
        words = f"A number{unit}; NaN if it is missing."
        return ModelInput(self.column, "float64", (words, *self.missing_advice))

    def client_values(self, table: "Table") -> "NDArray[Any]":
        """Return what a client sends for the rows of a table, (rows,)."""
        return table.column(self.column).numbers().values

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, see `ColumnEncoder`."""
        from dlcli.tables.column import missing_numbers

        empty = ops.apply("isnan", x) | (ops.apply("abs", x) > LARGEST)
        for number in sorted({*missing_numbers(missing)}):
            empty = empty | ops.equal(x, number)
        if self.refuses_negative:
            empty = empty | (x < 0.0)
        scaled = self.scaled_graph(ops, ops.where(empty, self.fill or 0.0, x))
        usable = ops.apply("abs", scaled) <= LARGEST
        parts = [ops.cast(ops.where(usable, scaled, 0.0), "float32")]
        if self.categories:
            every = ops.constant(np.array(self.categories, np.float32)[None])
            narrow = ops.as_column(ops.cast(x, "float32"))
            is_category = ops.equal(narrow, every) & ~ops.as_column(empty)
            parts.append(ops.cast(is_category, "float32"))
        return self.with_indicator(ops, parts, empty)

    @property
    def refuses_negative(self) -> bool:
        """True if negative numbers can't be scaled."""
        return False

    @abstractmethod
    def scaled_graph(self, ops: "Operations", x: "Value") -> "Value":
        """Scale numbers in a graph, float64 (rows,), to (rows, inputs)."""

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Make up typical and odd values, as many categories as 200 among the former."""
        span = self.high - self.low or 1.0
        numbers = [self.low + share * span for share in (0, 0.1, 0.25, 0.5, 0.77, 1)]
        numbers += self.categories[:MOST_CHECKED]
        return numbers, [None, 0.0, self.low - span, self.high + span, math.inf, 1e39, -1e38]

    # Scripts.

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        assert isinstance(section, Numeric)
        policy = section.missing
        missing: object = getattr(policy, "value", policy.name)
        settings = {
            "type": "number",
            "scaling": "bins",
            "missing": 0.0 if missing == "error" else missing,
            "indicator": self.indicator,
        }
        kept = {"one_hot_values": section.one_hot_values} if self.categories else {}
        return {**settings, **kept, **self.scaling_settings(section, defaults)}

    @abstractmethod
    def scaling_settings(self, section: Numeric, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script for scaling and encoding."""

    # Servers.

    def client_column(
        self, notation: "Notation", frequent: Sequence[str] = (), middle: float | None = None
    ) -> ClientColumn:
        """Describe what clients send, see `ColumnEncoder`."""
        typical = self._typical(middle)
        unit = f" in {notation.unit}" if notation.unit else ""
        ends = f"training rows: {self.low:.12g} to {self.high:.12g}."
        column = partial(ClientColumn, self.column, is_required=not self.accepts_missing)
        if notation.needs_unit:
            written = f"{typical:.12g} {notation.unit}".replace(".", notation.decimal)
            words = f"A number with its unit, as '{written}'; {ends}"
            return column(("string",), written, words)
        words = f"A number{unit}; {ends}"
        has_range = self.low < self.high
        along = np.linspace(self.low, self.high, CURVE_POINTS).tolist() if has_range else ()
        return column(
            ("number", "string"), typical, words, low=self.low, high=self.high, along=along
        )

    def _typical(self, middle: float | None) -> float:
        """Return the median, as far as it is known, with few digits."""
        value = (self.low + self.high) / 2
        if middle is not None:
            value = middle
        elif self.fill is not None and self.low <= self.fill <= self.high:
            value = self.fill
        short = float(f"{value:.3g}")
        return short if self.low <= short <= self.high else value

    # Statistics and charts.

    axis = "numbers"

    def axis_values(self, table: "Table") -> Floats:
        """Return the numbers, NaN where missing, (rows,)."""
        return table.column(self.column).numbers().values


def _interpolate(ops: "Operations", scaling: QuantileScaling, x: "Value") -> "Value":
    points, normals = np.array(scaling.points), np.array(scaling.normals)
    if len(points) == 1:
        return x * 0.0 + float(normals[0])
    x = ops.clip(x, float(points[0]), float(points[-1]))
    reached = ops.as_column(x) >= ops.constant(points[None, 1:-1])
    index = (
        ops.sum_last(ops.cast(reached, "int64")) if len(points) > 2 else ops.cast(x * 0.0, "int64")
    )
    # A share, as the slope between points that hardly differ may be infinite.
    share = (x - ops.lookup(points, index)) / ops.lookup(np.diff(points), index)
    return share * ops.lookup(np.diff(normals), index) + ops.lookup(normals, index)


class NumericEncoder(NumberEncoder):
    """A number as one input: filled where missing, then scaled."""

    encoding: Literal["number"] = "number"
    scaling: FeatureScaling
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

    @property
    def scaling_name(self) -> str:
        """The name of the scaling."""
        return self.scaling.name

    def scale(self, values: Floats) -> Floats:
        """Scale numbers, none missing, (rows,)."""
        return self.scaling.apply(values)

    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write the inputs of numbers, (rows,), that are scaled within float32's range."""
        out[:, 0] = scaled

    @property
    def may_be_scaled_together(self) -> bool:
        """True if nothing is recorded of the numbers in the training rows' range."""
        is_exact = bool((np.abs(self._ends) <= _LARGEST_PLAIN).all())
        return not self.categories and is_exact and self._is_safe

    # Exported models.

    @property
    def refuses_negative(self) -> bool:
        """True if negative numbers can't be scaled."""
        return self.scaling.name == "log1p"

    def scaled_graph(self, ops: "Operations", x: "Value") -> "Value":
        """Scale numbers in a graph, float64 (rows,), to (rows, 1)."""
        from dlcli.columns.graph_operations import by_formula

        if isinstance(self.scaling, QuantileScaling):
            return ops.as_column(_interpolate(ops, self.scaling, x))
        return ops.as_column(by_formula(ops, self.scaling.apply, x))

    def graph_group(self, missing: Sequence[str]) -> str | None:
        """Return the same for columns of numbers with a linear scaling alone."""
        from dlcli.tables.column import missing_numbers

        if not isinstance(self.scaling, LinearScaling) or self.categories:
            return None
        return None if missing_numbers(missing) else f"linear, log: {self.refuses_negative}"

    @classmethod
    def graph_together(
        cls, ops: "Operations", encoders: Sequence["NumericEncoder"], values: "Sequence[Value]"
    ) -> "tuple[Value, list[list[int]]]":
        """Encode several columns in a graph: all scaled, then the indicators of missing values."""
        scalings = [each.scaling for each in encoders if isinstance(each.scaling, LinearScaling)]
        fills, offsets, scales = (
            ops.constant(np.array([numbers], dtype=np.float64))
            for numbers in (
                [each.fill or 0.0 for each in encoders],
                [each.offset for each in scalings],
                [each.scale for each in scalings],
            )
        )
        is_log = encoders[0].refuses_negative
        x = ops.concat([ops.as_column(each) for each in values])
        empty = ops.apply("isnan", x) | (ops.apply("abs", x) > LARGEST)
        empty = empty | (x < 0.0) if is_log else empty
        x = ops.where(empty, fills, x)
        scaled = ((ops.log1p(x) if is_log else x) - offsets) / scales
        scaled = ops.where(ops.apply("abs", scaled) <= LARGEST, scaled, 0.0)
        parts = [ops.cast(scaled, "float32")]
        indices = [[at] for at in range(len(encoders))]
        if marked := [at for at, each in enumerate(encoders) if each.indicator]:
            parts.append(ops.columns(ops.cast(empty, "float32"), marked))
            for mark, at in enumerate(marked, len(encoders)):
                indices[at].append(mark)
        return ops.concat(parts), indices

    # Scripts.

    @property
    def script_code(self) -> ScriptCode:
        """The functions of a script that fit and encode the column."""
        is_quantile = self.scaling.name == "quantile"
        imports = ("from statistics import NormalDist",) if is_quantile else ()
        return ScriptCode("number", "fit_number", imports)

    def scaling_settings(self, section: Numeric, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script for scaling and encoding."""
        scaling = section.scaling or defaults.scaling
        return {"scaling": scaling.name, **scaling.model_dump(exclude={"name"})}

    def script_layers(self, name: str) -> Iterator[str]:
        """Yield the layers of sines and cosines, see `ColumnEncoder`."""
        form, input_name, width = self.periodic, literal(name), len(self.inputs)
        assert form is not None  # else it has no layers
        yield "# Sines and cosines of the number, with trained frequencies."
        yield f"x = inputs[{input_name}] = keras.Input(({width},), name={input_name})"
        if width > 1:
            marks = ["for some values"] * bool(self.categories)
            marks += ["where the number is missing"] * self.indicator
            yield f"parts.append(x[:, 1:])  # 1 {' and '.join(marks)}"
            yield "x = x[:, :1]"
        start = f"keras.initializers.RandomNormal(stddev={form.deviation!r})"
        arguments = [str(form.frequencies), "use_bias=False", f"kernel_initializer={start}"]
        yield from call_lines("x = keras.layers.Dense", arguments, "(x)")
        yield "parts += [keras.ops.sin(2 * np.pi * x), keras.ops.cos(2 * np.pi * x)]"

    # Statistics.

    @property
    def fitted_moments(self) -> dict[str, float]:
        """Mean, deviation, minimum and maximum of the training rows, of standard scaling."""
        if self.scaling.name != "standard":
            return {}
        return {
            "mean": self.scaling.offset,
            "deviation": 0.0 if self.low == self.high else self.scaling.scale,
            "minimum": self.low,
            "maximum": self.high,
        }

    @property
    def largest_input(self) -> float | None:
        """The largest absolute input of the training rows: of an end, as scalings are monotonic."""
        with np.errstate(all="ignore"):
            ends = self.scaling.apply(np.array([self.low, self.high]))
        size = float(np.abs(ends).max())
        return size if math.isfinite(size) else None


class _NumbersTogether(Together):
    """Columns of numbers, of which few rows are scaled at once.

    Args:
        columns: the encoder of each, and the index of its input.
    """

    def __init__(self, columns: Sequence[tuple[NumericEncoder, int]]) -> None:
        self._names = [each.column for each, _ in columns]
        self._low = np.array([each.low for each, _ in columns])
        self._high = np.array([each.high for each, _ in columns])
        self._encoders = [each for each, _ in columns]
        self._inputs = [number for _, number in columns]
        # A column that needs its values has no number in place of a missing one.
        fills = [np.nan if each.fill is None else each.fill for each, _ in columns]
        self._fill = np.array(fills)
        alike = defaultdict[object, list[int]](list)
        for number, (encoder, _) in enumerate(columns):
            alike[encoder.scaling.formula or number].append(number)
        self._scalings = [
            (
                _as_slice(numbers),
                stack_scalings([columns[number][0].scaling for number in numbers]),
                _as_slice([columns[number][1] for number in numbers]),
            )
            for numbers in alike.values()
        ]

    def encode(self, rows: "FewRows", out: Matrix) -> Mapping[str, Record | None]:
        """Write the inputs of columns whose numbers are missing, or in the training range."""
        values = rows.plain_numbers(self._names)
        if values is None:
            return {}
        records: dict[str, Record | None] = dict.fromkeys(self._names)
        usual: Mask = (self._low <= values) & (values <= self._high)
        if not usual.all():
            empty = np.isnan(values)
            values = np.where(empty, self._fill, values)
            usual = (self._low <= values) & (values <= self._high)
            values = np.where(usual, values, self._low)
            are_usual: Mask = np.logical_and.reduce(usual, axis=0)
            counts: Indices = np.add.reduce(empty, axis=0, dtype=np.int64)
            for at in np.flatnonzero(~are_usual | (counts > 0)).tolist():
                encoder = self._encoders[at]
                if not are_usual[at]:
                    del records[encoder.column]
                else:
                    count = int(counts[at])
                    records[encoder.column] = partial(encoder.record_missing, count, encoder.fill)
                    if encoder.indicator:
                        out[:, self._inputs[at] + 1] = empty[:, at]
        for numbers, scaling, inputs in self._scalings:
            out[:, inputs] = scaling.apply(values[:, numbers])
        return records


def _as_slice(indices: Sequence[int]) -> "slice | Indices":
    """Return indices as a slice if they are consecutive, which NumPy takes in a third of time."""
    first, count = indices[0], len(indices)
    is_slice = [*indices] == [*range(first, first + count)]
    return slice(first, first + count) if is_slice else np.array(indices)


class PiecewiseLinearEncoder(NumberEncoder):
    """A number as one input for each of several bins, 0 below its bin and 1 above it.

    Within its bin from a to b the input is (x − a)/(b − a). That formula also holds below the first
    bin and above the last (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556).
    """

    encoding: Literal["piecewise_linear"] = "piecewise_linear"
    edges: Annotated[Increasing, Field(min_length=2)]
    """Where bins begin and end."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        # As few digits as make all edges differ, but at least three.
        written = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(3, 18))
        names = next(names for names in written if len(set(names)) == len(names))
        bins = tuple(f"{self.column} {a}..{b}" for a, b in pairwise(names))
        return (Block(self.column, "numeric", bins), *self.further_blocks)

    @property
    def scaling_name(self) -> str:
        """The name of the scaling: none."""
        return "none"

    def scale(self, values: Floats) -> Floats:
        """Return the part of its bin that each number fills, (rows,)."""
        bins = self._bins(values)
        edges = np.array(self.edges)
        parts: Floats = (values - edges[bins]) / np.diff(edges)[bins]
        return parts

    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write the inputs of numbers, (rows,), that are scaled within float32's range."""
        bins, every = self._bins(values), np.arange(len(self.edges) - 1)
        out[:, : len(every)] = every < bins[:, np.newaxis]
        out[np.arange(len(out)), bins] = scaled

    def _bins(self, values: Floats) -> Indices:
        # Only inner edges are searched, so that the outer bins have no end.
        return np.searchsorted(np.array(self.edges[1:-1]), values, side="right")

    def scaled_graph(self, ops: "Operations", x: "Value") -> "Value":
        """Return the shares of bins in a graph, (rows, bins)."""
        edges = np.array(self.edges)
        low, high = np.zeros((1, len(edges) - 1)), np.ones((1, len(edges) - 1))
        low[0, 0], high[0, -1] = -np.inf, np.inf  # the outer bins have no end
        shares = ops.as_column(x) - ops.constant(edges[None, :-1])
        shares = shares / ops.constant(np.diff(edges)[None])
        return ops.clip(shares, ops.constant(low), ops.constant(high))

    @property
    def script_code(self) -> ScriptCode:
        """The functions of a script that fit and encode the column."""
        return ScriptCode("number", "fit_number")

    def scaling_settings(self, section: Numeric, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script for scaling and encoding."""
        encoding = section.encoding or defaults.encoding
        return {"bins": getattr(encoding, "bins", len(self.edges) - 1)}
