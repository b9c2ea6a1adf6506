"""Encoders of numeric columns: scaled to one input, or piecewise linear."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dlcli.arrays import Array, Floats, Indices, Mask, Matrix, np
from dlcli.columns import column_exports, column_type
from dlcli.columns import scaling as scalings
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues
from dlcli.columns.column_type import Defaults
from dlcli.columns.graph_operations import Operations, Value
from dlcli.columns.layout import Block, InputForm
from dlcli.columns.numeric_encodings import (
    NumericEncoding,
    Periodic,
    PeriodicLinear,
    PiecewiseLinear,
)
from dlcli.columns.value_problems import ColumnProblems, ValueProblems
from dlcli.schema.section import Section
from dlcli.tables.column import missing_numbers

if TYPE_CHECKING:
    from dlcli.tables.few_rows import FewRows
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


# Fitting.


def frequent_values(most: int, values: Floats) -> tuple[float, ...]:
    """Return the most frequent values with two or more training rows; ties go to smaller values."""
    ordered = np.sort(values) + 0.0  # -0 becomes 0
    _, first, counts = np.unique(_in_32_bits(ordered), return_index=True, return_counts=True)
    distinct = ordered[first]
    ranked = np.argsort(-counts, kind="stable")[:most]
    categories: list[float] = np.sort(distinct[ranked[counts[ranked] > 1]]).tolist()
    return tuple(categories)


def _in_32_bits(values: Sequence[float] | Floats) -> Matrix:
    """Convert numbers to float32, so 0.1 equals the float32 0.1 of files and clients."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


def fit_edges(bins: int, values: Floats) -> tuple[float, ...]:
    """Return bin edges at quantiles of the training rows; equal quantiles become one edge.

    A constant column gets a single bin as wide as its value, at least 1, so it becomes 0.
    """
    edges: list[float] = np.unique(scalings.quantile_points(values, bins + 1)).tolist()
    if len(edges) == 1:
        edges.append(edges[0] + max(1.0, abs(edges[0])))
    return tuple(edges)


# Encoding.


_LARGEST_PLAIN = 2.0**53
"""The absolute value up to which float64 represents every integer."""


@dataclass(frozen=True)
class PeriodicForm(InputForm):
    """Sines and cosines of each input, with trained frequencies."""

    frequencies: int
    deviation: float
    """Standard deviation of the initial frequencies, in periods per unit of the input."""


@dataclass(frozen=True)
class PeriodicLinearForm(InputForm):
    """Each input, and trained linear maps of its cosines with trained frequencies and phases."""

    frequencies: int
    """Number of cosines."""
    deviation: float
    """Standard deviation of the initial frequencies, in periods per unit of the input."""
    units: int
    """Number of outputs, including the input."""


def periodic_form(encoding: object) -> PeriodicForm | PeriodicLinearForm | None:
    """Return the processing of a scaled number by the network, for a section `encoding`."""
    if isinstance(encoding, Periodic):
        return PeriodicForm(encoding.frequencies, encoding.deviation)
    if isinstance(encoding, PeriodicLinear):
        return PeriodicLinearForm(encoding.frequencies, encoding.deviation, encoding.units)
    return None


@dataclass(frozen=True)
class Bins:
    """The bins of a piecewise-linear encoding: one input for each, 0 below the bin and 1 above it.

    Within its bin from a to b the input is (x − a)/(b − a). This formula also applies below the
    first bin and above the last (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556).
    """

    edges: tuple[float, ...]
    """The edges of the bins, at least two."""

    def names(self, column: str) -> tuple[str, ...]:
        """Return the names of the inputs, with the fewest digits that distinguish all edges."""
        written = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(3, 18))
        names = next(names for names in written if len(set(names)) == len(names))
        return tuple(f"{column} {a}..{b}" for a, b in pairwise(names))

    def find(self, values: Floats) -> Indices:
        """Return the bin of each number, (rows,)."""
        # Only inner edges are searched, so the outer bins are unbounded.
        return np.searchsorted(np.array(self.edges[1:-1]), values, side="right")

    def scale(self, values: Floats) -> Floats:
        """Return each number's relative position in its bin, (rows,)."""
        bins, edges = self.find(values), np.array(self.edges)
        parts: Floats = (values - edges[bins]) / np.diff(edges)[bins]
        return parts

    def graph(self, ops: Operations, x: Value) -> Value:
        """Return the inputs of all bins in a graph, (rows, bins)."""
        edges = np.array(self.edges)
        low, high = np.zeros((1, len(edges) - 1)), np.ones((1, len(edges) - 1))
        low[0, 0], high[0, -1] = -np.inf, np.inf  # the outer bins are unbounded
        shares = ops.as_column(x) - ops.constant(edges[None, :-1])
        shares = shares / ops.constant(np.diff(edges)[None])
        return ops.clip(shares, ops.constant(low), ops.constant(high))


class NumberEncoder(column_type.FilledEncoder):
    """Encoder of a column of numbers."""

    type: Literal["numeric"] = "numeric"
    fill: float | None
    low: float
    """The minimum of the training rows."""
    high: float
    """The maximum of the training rows."""
    categories: scalings.Increasing = ()
    """The values with a one-hot input."""
    monotone: column_type.Monotone | None = None
    """The direction in which predictions may change as the number rises."""

    if TYPE_CHECKING:

        @property
        def scaling(self) -> scalings.FeatureScaling:
            """The scaling; `log1p` refuses negative numbers."""

    @property
    def further_blocks(self) -> tuple[Block, ...]:
        """The block of one-hot inputs and the missing indicator, if there are any."""
        values = (repr(each).removesuffix(".0") for each in self.categories)
        names = (*(f"{self.column} = {value}" for value in values), *self.indicator_names)
        return (Block(self.column, "numeric", names),) if names else ()

    def scale(self, values: Floats) -> Floats:
        """Scale numbers, none missing, (rows,)."""
        return self.scaling.apply(values)

    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write the inputs of scaled numbers, (rows,), within the range of float32."""
        out[:, 0] = scaled

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's compact inputs into `out`, see `DenseEncoder`."""
        parsed = rows.numbers_of(self.column)
        values, wrong = parsed.values, parsed.unreadable
        empty = np.isnan(values)
        has_empty = bool(empty.any())
        usual: Mask = (self.low <= values) & (values <= self.high)
        is_usual = self._is_safe and bool((usual | empty if has_empty else usual).all())
        if not is_usual or (has_empty and wrong.any()):
            problems.refuse(wrong, rows, self.column, parsed.problem)
            for beyond, problem in scalings.out_of_range(self.scaling.name, values):
                problems.refuse(beyond, rows, self.column, problem)
                wrong = wrong | beyond
            values = np.where(wrong, np.nan, values)
            outside = (values < self.low) | (values > self.high)
            if outside.any():
                problems.add(self.column, self._outside_range(values[outside]), outside)
            has_empty = True
        if self.categories:
            categories, narrow = _in_32_bits(self.categories), _in_32_bits(values)
            found = np.searchsorted(categories, narrow).clip(max=len(categories) - 1)
            hits = np.flatnonzero(categories[found] == narrow)
            out[hits, found[hits] - len(self.categories) - self.indicator] = 1
        if has_empty:
            empty = self.find_empty(parsed.missing, wrong, rows, out, problems)
            values = np.where(empty, self.fill_number, values)
        if is_usual:
            scaled = self.scale(values)
        else:
            scaled = scalings.scale_column(self.scale, values, rows, self.column, problems)
        self.write(values, scaled, out)

    def _outside_range(self, values: Floats) -> ColumnProblems:
        """Return the record of numbers outside the range.

        If the column is scaled by the logarithm, so are distances from the range.
        """
        shown = self.low, self.high
        if self.scaling.name != "log1p":
            return ColumnProblems.outside_range(values, shown)
        low, high = np.log1p(self._ends).tolist()
        return ColumnProblems.outside_range(np.log1p(values), (low, high), shown)

    @cached_property
    def _is_safe(self) -> bool:
        """Whether all numbers in the training range are accepted."""
        is_filled_within = self.low <= self.fill_number <= self.high
        with np.errstate(all="ignore"):
            is_finite = bool((np.abs(self.scale(self._ends)) <= scalings.LARGEST).all())
        beyond = scalings.out_of_range(self.scaling.name, self._ends)
        return is_filled_within and is_finite and not any(wrong.any() for wrong, _ in beyond)

    @property
    def _ends(self) -> Floats:
        return np.array([self.low, self.high])

    # Exported models.

    reads_numbers = True

    def model_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        unit = f" in {notation.unit}" if notation.unit else ""
        words = f"A number{unit}; NaN for a missing value."
        return column_exports.ModelInput(self.column, "float64", (words, *self.missing_advice))

    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, (rows,)."""
        return table.column(self.column).numbers().values

    def graph(self, ops: Operations, x: Value, missing: Sequence[str]) -> Value:
        """Encode the column in a graph, see `ColumnEncoder`."""
        empty = _unusable(ops, x, self.scaling)
        for value in sorted({*missing_numbers(missing)}):
            empty = empty | ops.equal(x, value)
        scaled = self.scaled_graph(ops, ops.where(empty, self.fill_number, x))
        parts = [_within_float32(ops, scaled)]
        if self.categories:
            every = ops.constant(np.array(self.categories, np.float32)[None])
            narrow = ops.as_column(ops.cast(x, "float32"))
            is_category = ops.equal(narrow, every) & ~ops.as_column(empty)
            parts.append(ops.cast(is_category, "float32"))
        return self.with_indicator(ops, parts, empty)

    def scaled_graph(self, ops: Operations, x: Value) -> Value:
        """Scale numbers in a graph, float64 (rows,), to (rows, inputs)."""
        return ops.as_column(self.scaling.graph(ops, x))

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values for checks; up to 200 one-hot values are typical."""
        span = self.high - self.low or 1.0
        numbers = [self.low + share * span for share in (0, 0.1, 0.25, 0.5, 0.77, 1)]
        numbers += self.categories[: column_exports.MOST_CHECKED]
        return numbers, [None, 0.0, self.low - span, self.high + span, math.inf, 1e39, -1e38]

    # Scripts.

    @property
    def script_code(self) -> column_exports.ScriptCode:
        """The functions of a script that fit and encode the column."""
        is_quantile = self.scaling.name == "quantile"
        imports = ("from statistics import NormalDist",) if is_quantile else ()
        return column_exports.ScriptCode("number", "fit_number", imports)

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        given = section.model_dump()
        missing = given["missing"].get("value", given["missing"]["name"])
        return {
            "type": "number",
            "scaling": "bins",
            "missing": 0.0 if missing == "error" else missing,
            "indicator": self.indicator,
            **({"one_hot_values": given["one_hot_values"]} if self.categories else {}),
            **self.scaling_settings(given, defaults),
        }

    def scaling_settings(self, given: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script for scaling and encoding."""
        scaling = given["scaling"] or defaults.scaling.model_dump()
        return {"scaling": scaling.pop("name"), **scaling}

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in requests, see `ColumnEncoder`."""
        typical = self._typical(known.middle)
        unit = f" in {notation.unit}" if notation.unit else ""
        ends = f"training rows: {self.low:.12g} to {self.high:.12g}."
        column = partial(ClientColumn, self.column, is_required=not self.accepts_missing)
        if notation.needs_unit:
            written = f"{typical:.12g} {notation.unit}".replace(".", notation.decimal)
            meaning = f"A number with its unit, such as '{written}'; {ends}"
            return column(("string",), written, meaning)
        along = np.linspace(self.low, self.high, column_exports.CURVE_POINTS).tolist()
        return column(
            ("number", "string"),
            typical,
            f"A number{unit}; {ends}",
            low=self.low,
            high=self.high,
            along=along if self.low < self.high else (),
        )

    def _typical(self, middle: float | None) -> float:
        """Return the median, if known, with few digits."""
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


def _unusable(ops: Operations, x: Value, scaling: scalings.FeatureScaling) -> Value:
    """Return the mask of numbers in a graph that are missing or that scaling can't represent."""
    empty = ops.apply("isnan", x) | (ops.apply("abs", x) > scalings.LARGEST)
    return empty | (x < 0.0) if scaling.name == "log1p" else empty


def _within_float32(ops: Operations, scaled: Value) -> Value:
    """Convert scaled numbers in a graph to float32; numbers beyond its range become 0."""
    is_within = ops.apply("abs", scaled) <= scalings.LARGEST
    return ops.cast(ops.where(is_within, scaled, 0.0), "float32")


class ScaledEncoder(NumberEncoder):
    """Encoder that scales numbers."""

    scaling: scalings.FeatureScaling

    @property
    def fitted_moments(self) -> dict[str, float]:
        """Mean, standard deviation, minimum and maximum of training rows; see `ColumnEncoder`."""
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
        """The largest absolute input of the training rows.

        Scalings are monotonic, so it is the input of the minimum or of the maximum.
        """
        with np.errstate(all="ignore"):
            size = float(np.abs(self.scale(self._ends)).max())
        return size if math.isfinite(size) else None


class NumericEncoder(ScaledEncoder):
    """A number as one input; missing values are filled, then numbers are scaled."""

    encoding: Literal["number"] = "number"
    periodic: Annotated[
        PeriodicLinearForm | PeriodicForm | None, Field(union_mode="left_to_right")
    ] = None
    """The periodic encoding that the network computes from the input, if any."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        form = self.periodic
        if form and not (form.frequencies > 0 and 0 < form.deviation < math.inf):
            raise ValueError("expected a positive number of frequencies and a positive deviation")
        if isinstance(form, PeriodicLinearForm) and form.units < 2:
            raise ValueError("expected two or more units")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        direction = column_type.direction_of(self.monotone)
        scaled = Block(self.column, "numeric", (self.column,), self.periodic, monotone=direction)
        return (scaled, *self.further_blocks)

    @property
    def group(self) -> column_type.GroupClass | None:
        """The class for groups, if all numbers in the training range can be encoded."""
        is_exact = bool((np.abs(self._ends) <= _LARGEST_PLAIN).all())
        is_alike = not self.categories and is_exact and self._is_safe
        return _NumberGroup if is_alike else None

    # Exported models.

    def graph_group(self, missing: Sequence[str]) -> str | None:
        """Return a key for columns whose only encoding is a linear scaling with one formula."""
        is_linear = isinstance(self.scaling, scalings.LinearScaling)
        if not is_linear or self.categories or missing_numbers(missing):
            return None
        return self.scaling.formula

    @classmethod
    def graph_of_group(
        cls, ops: Operations, encoders: Sequence["NumericEncoder"], values: Sequence[Value]
    ) -> tuple[Value, list[list[int]]]:
        """Encode several columns in a graph: all scaled numbers, then all missing indicators."""
        scaling = scalings.stack_scalings([each.scaling for each in encoders])
        fills = np.array([[each.fill_number for each in encoders]])
        x = ops.concat([ops.as_column(each) for each in values])
        empty = _unusable(ops, x, scaling)
        scaled = scaling.graph(ops, ops.where(empty, ops.constant(fills), x))
        parts = [_within_float32(ops, scaled)]
        indices = [[at] for at in range(len(encoders))]
        if marked := [at for at, each in enumerate(encoders) if each.indicator]:
            parts.append(ops.columns(ops.cast(empty, "float32"), marked))
            for mark, at in enumerate(marked, len(encoders)):
                indices[at].append(mark)
        return ops.concat(parts), indices

    # Scripts.

    def script_layers(self, name: str) -> Iterator[str]:
        """Yield the layers of the periodic encoding, see `ColumnEncoder`."""
        form, input_name, width = self.periodic, column_exports.literal(name), len(self.inputs)
        assert form is not None  # else it has no layers
        if isinstance(form, PeriodicLinearForm):
            yield "# The number and maps of its cosines, with trained frequencies and phases."
        else:
            yield "# Sines and cosines of the number, with trained frequencies."
        yield f"x = inputs[{input_name}] = keras.Input(({width},), name={input_name})"
        if width > 1:
            marks = ["for some values"] * bool(self.categories)
            marks += ["where the number is missing"] * self.indicator
            yield f"parts.append(x[:, 1:])  # 1 {' and '.join(marks)}"
            yield "x = x[:, :1]"
        start = f"kernel_initializer=keras.initializers.RandomNormal(stddev={form.deviation!r})"
        arguments = [str(form.frequencies), start]
        if isinstance(form, PeriodicLinearForm):
            arguments.append(f"bias_initializer={_uniform(0.5)}")
            yield from column_exports.call_lines("waves = keras.layers.Dense", arguments, "(x)")
            yield "waves = keras.ops.cos(2 * np.pi * waves)"
            near = _uniform(1 / math.sqrt(form.frequencies))
            maps = [str(form.units - 1), f"kernel_initializer={near}", f"bias_initializer={near}"]
            yield from column_exports.call_lines("maps = keras.layers.Dense", maps, "(waves)")
            yield "parts += [x, maps]"
        else:
            arguments.append("use_bias=False")
            yield from column_exports.call_lines("x = keras.layers.Dense", arguments, "(x)")
            yield "parts += [keras.ops.sin(2 * np.pi * x), keras.ops.cos(2 * np.pi * x)]"


def _uniform(limit: float) -> str:
    """Return the code of a Keras initializer that is uniform in ±limit."""
    return f"keras.initializers.RandomUniform({-limit!r}, {limit!r})"


class _NumberGroup(column_type.ColumnGroup):
    """Encodes few rows of several numeric columns together."""

    def __init__(self, columns: Sequence[tuple[NumericEncoder, slice]]) -> None:
        self._encoders = [each for each, _ in columns]
        self._names = [each.column for each in self._encoders]
        self._inputs = [inputs.start for _, inputs in columns]
        self._low = np.array([each.low for each in self._encoders])
        self._high = np.array([each.high for each in self._encoders])
        # A column with `missing: error` has no fill value.
        fills = [np.nan if each.fill is None else each.fill for each in self._encoders]
        self._fill = np.array(fills)
        alike = defaultdict[object, list[int]](list)
        for at, encoder in enumerate(self._encoders):
            alike[encoder.scaling.formula or at].append(at)
        self._scalings = [
            (
                _as_slice(chosen),
                scalings.stack_scalings([self._encoders[at].scaling for at in chosen]),
                _as_slice([self._inputs[at] for at in chosen]),
            )
            for chosen in alike.values()
        ]

    def encode(self, rows: "FewRows", out: Matrix) -> Mapping[str, column_type.Record | None]:
        """Write the inputs of columns whose numbers are missing or in the training range."""
        values = rows.plain_numbers(self._names)
        if values is None:
            return {}
        records: dict[str, column_type.Record | None] = dict.fromkeys(self._names)
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
                    continue
                records[encoder.column] = partial(encoder.record_missing, int(counts[at]))
                if encoder.indicator:
                    out[:, self._inputs[at] + 1] = empty[:, at]
        for chosen, scaling, inputs in self._scalings:
            out[:, inputs] = scaling.apply(values[:, chosen])
        return records


def _as_slice(indices: Sequence[int]) -> slice | Indices:
    """Return indices as a slice if they are consecutive, so NumPy is three times as fast."""
    first, count = indices[0], len(indices)
    is_slice = [*indices] == [*range(first, first + count)]
    return slice(first, first + count) if is_slice else np.array(indices)


class PiecewiseLinearEncoder(NumberEncoder):
    """Piecewise-linear encoding, see `Bins`."""

    encoding: Literal["piecewise_linear"] = "piecewise_linear"
    scaling: ClassVar = scalings.LinearScaling.model_construct(name="none")
    edges: Annotated[scalings.Increasing, Field(min_length=2)]
    """The edges of the bins."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        names = self._bins.names(self.column)
        direction = column_type.direction_of(self.monotone)
        bins = Block(self.column, "numeric", names, compact="bins", monotone=direction)
        return (bins, *self.further_blocks)

    @property
    def _bins(self) -> Bins:
        return Bins(self.edges)

    def scale(self, values: Floats) -> Floats:
        """Return each number's relative position in its bin, (rows,)."""
        return self._bins.scale(values)

    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write bins and scaled numbers, (rows,), within the range of float32."""
        out[:, 0], out[:, 1] = self._bins.find(values), scaled

    def scaled_graph(self, ops: Operations, x: Value) -> Value:
        """Return the inputs of all bins in a graph, (rows, bins)."""
        return self._bins.graph(ops, x)

    def scaling_settings(self, given: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script for scaling and encoding."""
        encoding = given["encoding"] or defaults.encoding.model_dump()
        return {"bins": encoding.get("bins", len(self.edges) - 1)}


class VariedEncoder(ScaledEncoder):
    """A number in several encodings; each network of an ensemble reads one of them."""

    encoding: Literal["varied"] = "varied"
    sections: tuple[NumericEncoding, ...]
    """The sections `input.encoding` of the networks."""
    edges: tuple[Annotated[scalings.Increasing, Field(min_length=2)], ...]
    """The edges of the bins of each piecewise-linear encoding."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(isinstance(each, PiecewiseLinear) for each in self.sections) != len(self.edges):
            raise ValueError("expected edges for each piecewise-linear encoding")
        return self

    @cached_property
    def _variants(self) -> list[tuple[NumericEncoding, Bins | None]]:
        """Each section, with its bins if it is piecewise linear."""
        edges = iter(self.edges)
        return [
            (each, Bins(next(edges)) if isinstance(each, PiecewiseLinear) else None)
            for each in self.sections
        ]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        column, direction = self.column, column_type.direction_of(self.monotone)
        varied = (
            Block(column, "numeric", (column,), periodic_form(each), None, each, direction)
            if bins is None
            else Block(column, "numeric", bins.names(column), None, "bins", each, direction)
            for each, bins in self._variants
        )
        return (*varied, *self.further_blocks)

    def write(self, values: Floats, scaled: Floats, out: Matrix) -> None:
        """Write the inputs of each encoding."""
        at = 0
        for _, bins in self._variants:
            if bins is None:
                out[:, at] = scaled
                at += 1
                continue
            with np.errstate(all="ignore"):
                shares = bins.scale(values)
            is_within = np.abs(shares) <= scalings.LARGEST
            out[:, at], out[:, at + 1] = bins.find(values), np.where(is_within, shares, 0.0)
            at += 2

    def scaled_graph(self, ops: Operations, x: Value) -> Value:
        """Return the inputs of all encodings in a graph."""
        scaled = ops.as_column(self.scaling.graph(ops, x))
        parts = (scaled if bins is None else bins.graph(ops, x) for _, bins in self._variants)
        return ops.concat([*parts])
