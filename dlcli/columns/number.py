"""Columns of numbers: the section of the config, and the rules that infer it.

Missing values are replaced first. Then the number is scaled to one input, from which the network
may compute sines and cosines (periodic encodings), or it is converted to one input for each of
several bins (piecewise-linear encoding). One-hot inputs of frequent values and a missing indicator
may follow. See `number_encoders`.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from dlcli.arrays import Floats, np, pc
from dlcli.columns import column_type
from dlcli.columns import scaling as scalings
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.layout import Block
from dlcli.columns.numeric_encodings import Direct, NumericEncoding, PiecewiseLinear, Varied
from dlcli.errors import ConfigError, Problem, listed
from dlcli.schema import section
from dlcli.schema.yaml_document import format_path

if TYPE_CHECKING:
    from dlcli.columns.number_encoders import NumberEncoder
    from dlcli.columns.type_inference import ColumnSummary, ColumnView
    from dlcli.tables.column import Column
    from dlcli.tables.table import Table

_ALL_NUMBERS = "all values are numbers"
"""The reason for the type of a column without any other values."""


class MeanImputation(column_type.Imputation, name="mean"):
    """Missing values become the mean of the training rows."""


class ConstantValue(column_type.Imputation, name="constant"):
    """Missing values become a number that you choose."""

    value: section.Number
    """This number, in the column's unit, before scaling."""


NumericMissing = Annotated[
    column_type.MedianImputation | MeanImputation | ConstantValue | column_type.ErrorIfMissing,
    section.OneOf("policy"),
]


_LINEAR = ("standard", "minmax", "divide", "none")
"""Scalings that keep the shape of a distribution."""
_MOST_EMBEDDED = 2_000
"""Number of categories suggested for ID-like columns. With this many of the 9,066 movies of
MovieLens, the movie explains 0.13 of the variance of other users' ratings after six epochs; as a
number, its ID explains 0.05."""


class Numeric(column_type.ColumnType):
    """A column of numbers."""

    plural = "numbers"
    identifier_share = 0.9
    has_usual_missing_words = True
    synonyms: ClassVar[Mapping[str, str]] = {"max_categories": "one_hot_values"}

    type: Literal["numeric"] = "numeric"
    scaling: scalings.Scaling | None = None
    """Scaling of the numbers. Omitted: `input.scaling`."""
    encoding: NumericEncoding | None = None
    """Encoding of the scaled number as one or several inputs. Omitted: `input.encoding`."""
    one_hot_values: section.NonNegativeInt = 0
    """Maximum number of values that also get a one-hot input: the most frequent ones, if they occur
    in at least two training rows. For ID-like numeric columns, such as store numbers."""
    missing: NumericMissing = column_type.MedianImputation()
    """Treatment of missing values."""
    monotone: column_type.Monotone | None = None
    """Direction of the column's effect on predictions, guaranteed for all rows. `increasing`: if
    only this column's value rises, no prediction falls. `decreasing`: none rises. The activations
    of all layers must be monotone, such as `relu`. Missing values may have any effect. Omitted:
    any effect.

    Examples: [increasing]
    """

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield a scaling that the piecewise-linear encoding does not use."""
        if self.scaling and isinstance(self.encoding, PiecewiseLinear):
            yield "scaling", "has no effect with encoding: piecewise_linear"
        if self.monotone and self.encoding and not is_monotone(self.encoding):
            yield "monotone", f"{_REFUSED} encoding: {self.encoding.name}; {_MONOTONE_ENCODINGS}"
        if self.monotone and self.one_hot_values:
            reason = "one_hot_values, which treats single values separately; omit it"
            yield "monotone", f"{_REFUSED} {reason}"

    @property
    def direction(self) -> column_type.Monotone | None:
        """The direction in which predictions may change, see `ColumnType`."""
        return self.monotone

    @property
    def rising(self) -> "Numeric | None":
        """The type with `monotone: increasing`, see `ColumnType`."""
        return None if self.one_hot_values else self.model_copy(update={"monotone": "increasing"})

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of mostly this type has a value of another type."""
        numbers = column.numbers()
        is_large = bool((np.abs(numbers.values) > scalings.LARGEST).any())
        return is_large or bool(numbers.unreadable.any())

    def is_risky(self, values: "ColumnSummary") -> bool:
        """Return whether a number is infinite or too large."""
        return values.bounds is None

    def no_identifiers(self, values: "ColumnSummary") -> int:
        """Return the number of values that are repeated or are fractions, so not identifiers."""
        return super().no_identifiers(values) if values.whole else values.present

    def identity(self, column: str, whole: "Table") -> str | None:
        """Return the reason if a column only identifies or numbers the rows, else None."""
        from dlcli.columns.type_inference import identity_of_numbers

        numbers = self.amounts(whole.column(column))
        return (
            None
            if numbers is None
            else identity_of_numbers(column, numbers[~np.isnan(numbers)], self.identifier_share)
        )

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "NumberEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a value that is not a number or that the scaling refuses, or for a column
                without values.
            ConfigError: for a constant that the scaling refuses.
        """
        from dlcli.columns import number_encoders

        encoding = self.encoding or defaults.encoding
        scaling = self.scaling or defaults.scaling
        sections: tuple[section.Choice, ...] = (encoding,)
        if isinstance(encoding, Varied):
            sections = encoding.encodings
        if all(isinstance(each, PiecewiseLinear) for each in sections):
            scaling = scalings.Unscaled()
        policy = self.missing
        fill = policy.value if isinstance(policy, ConstantValue) else None
        if fill is not None and scaling.name == "log1p" and fill < 0:
            path = format_path(("input", "features", column, "missing", "value"))
            raise ConfigError(
                [Problem(path, f"scaling 'log1p' requires values of at least 0, got {fill:g}")]
            )
        values = train.numbers(column, column_type.way_out)
        scalings.check_range(scaling.name, values, train, column)
        present = column_type.present_numbers(column, values, train)
        if isinstance(policy, column_type.MedianImputation):
            fill = scalings.median(present)
        elif isinstance(policy, MeanImputation):
            fill = float(np.mean(present))
        common: dict[str, Any] = {
            "column": column,
            "missing_share": 1 - len(present) / len(values),
            "low": float(present.min()),
            "high": float(present.max()),
            "fill": fill,
            "indicator": column_type.needs_indicator(policy, len(present) < len(values)),
            "categories": number_encoders.frequent_values(self.one_hot_values, present),
            "monotone": self.monotone,
        }
        edges = tuple(
            number_encoders.fit_edges(each.bins, present)
            for each in sections
            if isinstance(each, PiecewiseLinear)
        )
        if isinstance(encoding, PiecewiseLinear):
            return number_encoders.PiecewiseLinearEncoder(**common, edges=edges[0])
        fitted = scaling.fit(present)
        if isinstance(encoding, Varied):
            return number_encoders.VariedEncoder(
                **common, scaling=fitted, sections=encoding.encodings, edges=edges
            )
        periodic = number_encoders.periodic_form(encoding)
        return number_encoders.NumericEncoder(**common, scaling=fitted, periodic=periodic)

    # Checks, advice and starter configs.

    is_amount = True

    def amounts(self, column: "Column") -> Floats | None:
        """Return a column's numbers, see `ColumnType`."""
        if column.kind not in ("number", "text"):
            return None
        parsed = column.numbers()
        return None if parsed.unreadable.any() else parsed.values

    def keeps_tails(self, defaults: Defaults) -> bool:
        """Return whether the scaling is linear and there are no bins."""
        if isinstance(self.encoding or defaults.encoding, PiecewiseLinear):
            return False
        return (self.scaling or defaults.scaling).name in _LINEAR

    def large_inputs(self, block: Block, defaults: Defaults) -> scalings.LargeInputs | None:
        """Return the scaling that allows large numbers, see `ColumnType`."""
        return scalings.large_scaled_inputs(block, self.scaling, defaults.scaling)

    def inputs_of(self, distinct: int, bins: int) -> int:
        """Return the approximate number of inputs, see `ColumnType`."""
        return min(bins, distinct) + self.one_hot_values

    def starter_comment(self, reason: str, values: "ColumnSummary") -> str:
        """Return the comment on a column in a starter config, with the range of its values."""
        if self == Numeric() and values.bounds and values.may_be_codes:
            # The suggestion comes first, because the end may be truncated.
            missing = f" ({values.missing_note})" if values.missing else ""
            return f"integers, {values.span}; categorical if codes{missing}"
        return ", ".join(filter(None, [reason, values.span, values.missing_note]))

    def starter_hint(self, column: str, values: "ColumnSummary", *, is_inferred: bool) -> str:
        """Suggest categories for numbers that repeat and are named like identifiers."""
        from dlcli.columns.type_inference import has_identifier_name

        is_repeated = values.whole and 1 < values.distinct <= values.present / 2
        is_plain = self == Numeric() and not values.may_be_codes
        if not (is_plain and is_repeated and has_identifier_name(column)):
            return ""
        most = min(values.distinct, _MOST_EMBEDDED)
        encoded = f"{{type: categorical, encoding: embedding, max_categories: {most}}}"
        return f"if these are IDs, not quantities: {encoded}"


_REFUSED = "can't be combined with"
_MONOTONE_ENCODINGS = "use encoding: piecewise_linear or none"


def is_monotone(encoding: NumericEncoding) -> bool:
    """Return whether no input falls as the number rises."""
    return isinstance(encoding, Direct | PiecewiseLinear)


def periodic_monotone(
    encoding: NumericEncoding, features: Mapping[str, column_type.ColumnType]
) -> Iterator[section.Conflict]:
    """Yield the monotone features that have a periodic encoding by default.

    Args:
        encoding: the default encoding of features.
        features: the declared types.
    """
    for column, feature in features.items():
        is_own = isinstance(feature, Numeric) and feature.encoding is None
        if is_own and feature.direction and not is_monotone(encoding):
            message = f"{_REFUSED} input.encoding: {encoding.name}; give the feature"
            yield ("features", column, "monotone"), f"{message} encoding: piecewise_linear or none"


def unused_scalings(
    encoding: NumericEncoding, features: Mapping[str, column_type.ColumnType], *, is_default: bool
) -> Iterator[section.Conflict]:
    """Yield the scalings in `input` that the piecewise-linear encoding does not use.

    Args:
        encoding: the default encoding of features.
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


# Inference of numbers.


_CODES = "codes with leading zeros"


@cache
def _shared() -> Numeric:
    """Return a shared feature, because wide tables have thousands of such columns."""
    return Numeric()


def decide_numbers(view: "ColumnView") -> Decision | None:
    """Decide for numbers, or for categories if numbers have leading zeros.

    A column of text may contain a few other values, in up to 10 % of the rows, if there are more
    than `MAX_CODES` distinct numbers. Training refuses these values unless they are declared
    missing; as categories, the numbers would carry little information.
    """
    from dlcli.columns.category import as_categories

    if view.column.kind not in ("number", "text"):
        return None
    if view.column.looks_numeric():
        if view.has_leading_zeros:
            return as_categories(view, _CODES)
        if view.summary.bounds is None:
            reason = f"{_ALL_NUMBERS}, but one is infinite or beyond {scalings.LARGEST:.1e}"
        elif view.summary.may_be_codes:
            reason = f"only {view.summary.distinct} different integers; treated as numeric"
        else:
            words = view.column.notation.words
            reason = f"{_ALL_NUMBERS}, with {' and '.join(words)}" if words else _ALL_NUMBERS
        return Decision(_shared(), reason)
    if view.column.kind != "text":
        return None
    fits = view.matches(view.column.notation.pattern)
    strays = view.strays(~fits)
    if strays is None or not view.are_amounts(fits):
        return None
    if (view.leading_zeros & fits).any():
        return as_categories(view, _CODES)
    return Numeric().with_strays(strays, "numbers")


# Inference of numbers that can't be read: several units, or several or unsupported notations.


_NUMBER = r"[+-]?[0-9]+(?:[.,' ][0-9]+)*"
_UNIT = r"\s?(?:[%$]|[^\x00-@\[-`{-\x7f][^\s0-9.,'+-]{0,9}[23]?)"  # \p{L} takes long to compile
_NUMBER_WITH_UNIT = rf"^(?:[+-]?\p{{Sc}}\s?{_NUMBER}|{_NUMBER}{_UNIT})$"
_MINUS = r"[+\x{2212}-]"
_GROUPED = r"(?:[0-9]+|[0-9]{1,3}(?:[.,' ][0-9]{3})+)(?:[.,][0-9]+)?"
_FRACTIONS = r"\x{bc}-\x{be}\x{2150}-\x{215e}"
_DIGITS = (
    r"\x{660}-\x{669}\x{6f0}-\x{6f9}\x{966}-\x{96f}\x{9e6}-\x{9ef}\x{e50}-\x{e59}\x{ff10}-\x{ff19}"
)
"""Arabic, Persian, Devanagari, Bengali, Thai and East Asian full-width digits."""
_OTHER_DIGITS = (
    rf"^{_MINUS}?[{_DIGITS}][{_DIGITS}\s.,:/年月日%\x{{66a}}-\x{{66c}}\x{{ff01}}-\x{{ff0f}}-]*$"
)
_BEGINS_LIKE_AMOUNT = (
    rf"^[(+\x{{2212}}-]?\s?(?:(?:\p{{Sc}}|[A-Z]{{3}})\s?)?[0-9+\x{{2212}}{_FRACTIONS}{_DIGITS}-]"
)
"""The beginning of numbers that can't be read. This pattern compiles much faster than the complete
patterns, which matters for tables with many columns."""
_MOST_UNITS = 3


def decide_amounts(view: "ColumnView") -> Decision | None:
    """Ignore numbers with several units, such as `12 GB` and `512 MB`, or unsupported notations.

    At least 90 % of the values must be such numbers, with at most three units and more than
    `MAX_CODES` distinct values; fewer are probably names, such as `36 months` and `60 months`. If
    nearly all have the same unit, they are numbers in the column's notation.
    """
    if view.column.kind != "text":
        return None
    if not view.are_nearly_all(view.matches(_BEGINS_LIKE_AMOUNT)):
        return None
    if (reason := _unread_amounts(view)) is None:
        return None
    warning = "ignored instead of read as categories"
    return Decision(column_type.Ignored(), reason, warning)


def _unread_amounts(view: "ColumnView") -> str | None:
    """Return the reason if most values are numbers that can't be read, else None."""
    from dlcli.tables.number_notation import Notation

    which = view.matches(_OTHER_DIGITS)
    if view.are_amounts(which):
        return f"non-ASCII digits, such as '{view.example(which)}'; write them as 0 to 9"
    which = view.matches(_NUMBER_WITH_UNIT)
    if view.are_amounts(which):
        amounts = view.some(which)
        units = pc.utf8_trim_whitespace(pc.replace_substring_regex(amounts, _NUMBER, "")).unique()
        if len(units) == 1:
            return f"numbers with a unit, such as '{view.example(which)}'; remove the unit"
        if len(units) <= _MOST_UNITS:
            return f"numbers with the units {listed(units.to_pylist())}; convert them to one unit"
    unread = view.matches(_unread_number())
    which = unread | view.matches(rf"^-?{_GROUPED}$")
    if not view.are_amounts(which):
        return None
    if unread.any():
        example = f"'{view.example(unread)}'"
        return f"numbers in an unsupported notation, such as {example}; write them like -1234.5"
    plain = which & view.matches(Notation().pattern)
    others = which & ~plain
    if not plain.any() or not others.any():
        return None
    written = f"'{view.example(plain)}' and '{view.example(others)}'"
    return f"numbers in several notations, such as {written}; write them like -1234.5"


def _unread_number() -> str:
    """Return the pattern of a number in an unsupported notation.

    Such numbers have several currencies, a space after the minus sign, only spaces between
    thousands, an exponent and a unit, or a fraction such as ½.
    """
    from dlcli.tables.notation_detection import CURRENCY_CODES

    currency = rf"(?:\p{{Sc}}|{CURRENCY_CODES})"
    return (
        rf"^(?:\((?:{currency}\s?)?{_GROUPED}\)|{_MINUS}\s{_GROUPED}"
        rf"|{_MINUS}?\s?{currency}\s?{_MINUS}?{_GROUPED}|[1-9][0-9]{{0,2}}(?: [0-9]{{3}})+"
        rf"|{_MINUS}?{_GROUPED}[eE]{_MINUS}?[0-9]+{_UNIT}|{_MINUS}?[0-9]*\s?[{_FRACTIONS}])$"
    )
