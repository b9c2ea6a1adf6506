"""Columns of categories: inputs for each (`one_hot`, `order`), or an index into a table.

The codes are the indices of the categories, which are sorted unless the config lists them in order.
There may be another code for all other values, and one for missing values. The next index stands
for values without a code.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator
from pydantic import PositiveInt as PositiveInteger

from dlcli.arrays import Array, Indices, Matrix, np
from dlcli.columns import column_exports, column_type
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.layout import Block, InputForm
from dlcli.errors import DataError, first_names, plural
from dlcli.schema.section import (
    SCALARS_IF_LONG,
    Choice,
    Conflict,
    Expected,
    OneOf,
    PositiveInt,
    Section,
)

if TYPE_CHECKING:
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.type_inference import ColumnSummary, ColumnView
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.few_rows import FewRows
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


MOST_CATEGORIES = 100
"""Default of `max_categories`."""
MOST_EMBEDDED = 10_000
"""Maximum number of categories of an embedding that `dlcli init` writes."""


class OneHot(Choice, name="one_hot"):
    """One input for each category: 1 in rows of the category, else 0."""


class Embedding(Choice, name="embedding"):
    """A trained vector for each category; its components are the inputs."""

    units: PositiveInt = 8
    """Length of the vector."""


CategoricalEncoding = Annotated[OneHot | Embedding, OneOf("encoding")]


class MostFrequentCategory(Choice, name="most_frequent"):
    """Missing values become the most frequent category of the training rows."""


class MissingCategory(Choice, name="category"):
    """Missing values are a separate category.

    If the training rows have no missing values, a missing value is treated like an unseen category.
    """


CategoricalMissing = Annotated[
    MissingCategory | MostFrequentCategory | column_type.ErrorIfMissing, OneOf("policy")
]


_MOST_ONE_HOT = 300
"""Number of categories above which `dlcli init` writes an embedding."""
_MANY_CATEGORIES = 50
"""Number of categories above which an embedding is suggested."""


def _as_text(value: object) -> object:
    """Return a category as it is read from a table."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Category = Annotated[
    str, BeforeValidator(_as_text, json_schema_input_type=str | float), Expected("a category")
]
Order = Annotated[
    tuple[Category, ...],
    Field(min_length=2),
    Expected("a list of two or more categories, from lowest to highest"),
    SCALARS_IF_LONG,
]


class Categorical(column_type.ColumnType):
    """A column of categories, such as cities."""

    identifier_share = 0.95
    has_listed_values = True

    type: Literal["categorical"] = "categorical"
    encoding: CategoricalEncoding = OneHot()
    """Encoding of a category as inputs."""
    min_count: PositiveInt = 1
    """Minimum number of training rows of a category. All rarer categories are combined into one
    shared category."""
    max_categories: PositiveInt = MOST_CATEGORIES
    """Maximum number of categories. The most frequent ones are kept; all others are combined into
    the shared category."""
    order: Order | None = None
    """All categories from lowest to highest, for example `[small, medium, large]`. Each category
    except the first has an input: 1 in rows of this or a higher category, else 0. So a network can
    learn that `large` is more than `medium`. Omitted: the categories have no order.

    Examples: [[small, medium, large]]
    """
    monotone: column_type.Monotone | None = None
    """Direction of the column's effect on predictions, guaranteed for all rows; requires `order`.
    `increasing`: no prediction falls if the value becomes a higher category. `decreasing`: none
    rises. The activations of all layers must be monotone, such as `relu`. Missing values may have
    any effect. Omitted: any effect.

    Examples: [increasing]
    """
    missing: CategoricalMissing = MissingCategory()
    """Treatment of missing values."""
    unseen: Literal["other", "error"] = "other"
    """Treatment of categories that do not occur in the training rows. `other`: they are encoded as
    the shared category or, if there is none, as 0 in all inputs; with `order`, as the median
    category of the training rows. `error`: they are refused."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield rare training values that would be errors, and settings that `order` excludes."""
        if self.unseen == "error" and self.min_count > 1:
            yield "unseen", f"error can't be combined with min_count: {self.min_count}"
        if self.order is None:
            if self.monotone:
                yield "monotone", "requires the order of the categories; set order: [low, high]"
            return
        for key in ("encoding", "min_count", "max_categories"):
            if self.differs(key):
                yield key, "has no effect with order, which lists the categories; omit one of them"
        if repeated := [name for name, count in Counter(self.order).items() if count > 1]:
            yield "order", f"has {repeated[0]!r} twice"

    @property
    def direction(self) -> column_type.Monotone | None:
        """The direction in which predictions may change, see `ColumnType`."""
        return self.monotone

    def identity(self, column: str, whole: "Table") -> str | None:
        """Return the reason if a column only identifies the rows, else None."""
        from dlcli.columns.type_inference import identity_of_categories, view_column

        # Values are compared as text, so 007 and 7 differ.
        return identity_of_categories(view_column(whole, column), self.identifier_share)

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "CategoryEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a column without a sufficiently frequent value.
        """
        codes, texts = train.codes(column)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        column_type.require_values(len(texts), column, train)
        if self.order is not None:
            return self._fit_order(self.order, column, train)
        ranked = sorted(range(len(texts)), key=lambda at: (-counts[at], texts[at]))
        frequent = [texts[at] for at in ranked if counts[at] >= self.min_count]
        if not frequent:
            message = f"no value occurs in at least {self.min_count} training rows; lower min_count"
            raise DataError(message, file=train.file, column=column)
        kept = frequent[: self.max_categories]
        if self.unseen == "error" and len(kept) < len(texts):
            message = (
                f"has {len(texts)} values, but max_categories is {self.max_categories} and "
                "'unseen: error' allows no category for the rest; raise max_categories"
            )
            raise DataError(message, file=train.file, column=column)
        missing = int((codes < 0).sum())
        is_category = isinstance(self.missing, MissingCategory)
        fill = kept[0] if isinstance(self.missing, MostFrequentCategory) else None
        by_rank = counts[ranked].tolist(), [texts[at] for at in ranked]
        common: dict[str, Any] = {
            "column": column,
            "missing_share": missing / len(codes),
            "categories": tuple(sorted(kept)),
            "other": len(kept) < len(texts),
            "other_share": float(counts[ranked[len(kept) :]].sum() / len(codes)),
            "unlike_share": self._unlike_rows(*by_rank, len(kept)) / len(codes),
            "missing": "category" if is_category else "error" if fill is None else "fill",
            "fill": fill,
            "missing_input": is_category and missing > 0,
            "unseen": self.unseen,
        }
        if isinstance(self.encoding, Embedding):
            return EmbeddingEncoder(**common, units=self.encoding.units)
        return OneHotEncoder(**common)

    def _unlike_rows(self, counts: Sequence[int], texts: Sequence[str], kept: int) -> int:
        """Return the number of rows whose value would not be kept without this row.

        Args:
            counts: the number of rows of each value, in descending order.
            texts: the values; equally frequent ones are in sort order.
            kept: the number of kept values.
        """
        unlike = sum(counts[kept:])
        may_replace = len(counts) > kept == self.max_categories and counts[kept] >= self.min_count
        for count, text in zip(counts[:kept], texts, strict=False):
            left = count - 1
            is_replaced = may_replace and (-left, text) > (-counts[kept], texts[kept])
            if left < self.min_count or is_replaced:
                unlike += count
        return unlike

    def _fit_order(self, order: Sequence[str], column: str, train: "Table") -> "OrderEncoder":
        """Fit the encoder of ordered categories.

        Raises:
            DataError: for a value of the training rows that `order` lacks.
        """
        codes, texts = train.codes(column)
        known = {category: rank for rank, category in enumerate(order)}
        if unknown := [text for text in texts if text not in known]:
            message = f"the value '{unknown[0]}' is not in 'order', which must list all values"
            raise DataError(message, file=train.file, column=column)
        ranks = np.array([known[text] for text in texts])[codes[codes >= 0]]
        missing = int((codes < 0).sum())
        is_category = isinstance(self.missing, MissingCategory)
        is_filled = isinstance(self.missing, MostFrequentCategory)
        return OrderEncoder(
            column=column,
            missing_share=missing / len(codes),
            categories=tuple(order),
            other=False,
            missing="category" if is_category else "fill" if is_filled else "error",
            fill=order[int(np.bincount(ranks).argmax())] if is_filled else None,
            missing_input=is_category and missing > 0,
            unseen=self.unseen,
            median=int(np.sort(ranks)[(len(ranks) - 1) // 2]),
            monotone=self.monotone,
        )

    # Checks and starter configs.

    is_category = True

    @property
    def usual_categories(self) -> int | None:
        """The maximum number of categories if it is the default, else None."""
        return self.max_categories if self.max_categories == MOST_CATEGORIES else None

    def inputs_of(self, distinct: int, bins: int) -> int:
        """Return the approximate number of inputs, see `ColumnType`."""
        if self.order is not None:
            return len(self.order)
        if isinstance(self.encoding, Embedding):
            return self.encoding.units
        return min(self.max_categories, distinct)

    def starter_hint(self, column: str, values: "ColumnSummary", *, is_inferred: bool) -> str:
        """Suggest an order for the words of a scale, and an embedding for many values."""
        if is_inferred and (order := _ordered([text for text, _ in values.frequent])):
            return f"if their order matters: {{type: categorical, order: [{', '.join(order)}]}}"
        if not is_inferred or values.distinct <= _MANY_CATEGORIES:
            return ""
        encoded = "{type: categorical, encoding: embedding}"
        return f"with this many values, {encoded} needs fewer inputs"


_SCALES = (
    "very low, low, mid, medium, moderate, high, very high",
    "xs, s, m, l, xl, xxl",
    "tiny, small, medium, large, huge",
    "never, rarely, seldom, sometimes, often, usually, always",
    "very poor, poor, fair, average, good, very good, excellent",
    "strongly disagree, disagree, neutral, agree, strongly agree",
    "basic, standard, premium",
    "beginner, intermediate, advanced, expert",
    "bronze, silver, gold, platinum",
)
"""Words of ordered categories, from lowest to highest."""
_FEWEST_OF_SCALE = 3


def _ordered(texts: Sequence[str]) -> list[str]:
    """Return values in order if all are words of one scale, else no value."""
    for scale in _SCALES:
        rank = {word: at for at, word in enumerate(scale.split(", "))}
        if len(texts) >= _FEWEST_OF_SCALE and all(_spelling(text) in rank for text in texts):
            return sorted(texts, key=lambda text: rank[_spelling(text)])
    return []


def type_of_values(distinct: int, most_inputs: int) -> Categorical:
    """Return the type of a column whose values help to predict the target.

    With two networks and three splits, the mean error with an embedding, as a multiple of the error
    with one-hot inputs, was 1.16 for 46 states (Cigar), 1.00 for 79 schools (Star), 1.35 and 1.14
    for 178 and 210 countries (gapminder, wbd_example), 1.01 for 316 persons (VerbAgg), and 0.87 and
    0.91 for 500 synthetic codes of 10 and 40 rows each. Rare values are kept: without values in
    fewer than four rows, the error of a table with 3,900 codes in 20,000 rows was 10 % larger.

    Args:
        distinct: number of distinct values.
        most_inputs: maximum number of one-hot inputs.
    """
    if distinct <= min(_MOST_ONE_HOT, most_inputs):
        return Categorical(max_categories=max(distinct, MOST_CATEGORIES))
    return Categorical(encoding=Embedding(), max_categories=min(distinct, MOST_EMBEDDED))


# Inference.


_POSTAL_NAME = re.compile(
    r"(?:^|[\W_]|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:zip|postal)[\W_]?(?:code)?|post[\W_]?code|plz|postleitzahl|pin[\W_]?code)$"
)


_POSTAL_CODE = r"^[0-9]{4,6}$"  # five digits in many countries; a table may lack leading zeros


def decide_postal_codes(view: "ColumnView") -> Decision | None:
    """Decide for categories if a column is named like postal codes and 90 % look like them."""
    if not _POSTAL_NAME.search(view.column.name) or view.has_leading_zeros:
        return None
    if not view.are_nearly_all(view.matches(_POSTAL_CODE)):
        return None
    return as_categories(view, "postal codes (from the column's name)")


def decide_codes(view: "ColumnView") -> Decision | None:
    """Decide for categories if a few integers repeat in a column that is named like codes."""
    return as_categories(view, "codes (from the column's name)") if view.are_named_codes else None


def decide_categories(view: "ColumnView") -> Decision | None:
    """Decide for categories if no other rule decided for a column of text."""
    return as_categories(view, "text") if view.column.kind == "text" else None


def as_categories(view: "ColumnView", reason: str) -> Decision:
    """Decide for categories; the reason ends with `103 values; the 100 most frequent are kept`."""
    distinct = view.summary.distinct
    cut = f"; the {MOST_CATEGORIES} most frequent are kept" if distinct > MOST_CATEGORIES else ""
    return Decision(Categorical(), f"{reason}, {plural(distinct, 'value')}{cut}")


# Encoding.


@dataclass(frozen=True)
class EmbeddingTable(InputForm):
    """A trained table; the input is the index of a row."""

    rows: int
    """The number of rows. The last row is 0; it stands for values that training rows lack."""
    units: int
    """The number of columns."""


def _spelling(text: str) -> str:
    """Normalize case and spaces of a text."""
    return " ".join(text.casefold().split())


_WHOLE = re.compile("-?(?:0|[1-9][0-9]*)")
_DECIMALS = ("", ".0", ".00", ".000")
"""Endings that integers may have; pandas writes the second."""
_SHOWN = 20
"""Maximum number of listed categories."""
_MOST_ALONG = 12
"""Maximum number of categories in a curve of predictions; the most frequent ones are shown."""
_ODD_CATEGORIES = ("", "  ", "never seen ⁂", "漢字", "NA", "TRUE", "1.0", "-0")


def _spellings(category: str) -> list[str]:
    """Return the texts that are read as a category."""
    if category in ("true", "false"):
        return ["".join(each) for each in product(*zip(category, category.upper(), strict=True))]
    return [category + end for end in _DECIMALS] if _WHOLE.fullmatch(category) else [category]


class CategoryEncoder(column_type.DenseEncoder):
    """Encoder of a column whose values are categories."""

    type: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]
    """The values with a separate code, sorted."""
    other: bool
    """True if there is a code for all other values, because training rows had rare values."""
    other_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training rows with another value; 0 if an earlier version fitted the encoder."""
    unlike_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the training rows whose value would be rare or unknown without this row, which
    estimates the share of such values in new rows; `None` if an earlier version fitted the encoder.
    """
    missing: Literal["category", "fill", "error"]
    """Encoding of a missing value: a separate code, `fill`, or an error."""
    fill: str | None = None
    """The category that replaces a missing value."""
    missing_input: bool
    """True if missing values have a separate code, because training rows had some."""
    unseen: Literal["other", "error"]
    """Encoding of an unknown value: the code for other values or none; or an error."""
    uncoded: ClassVar[str] = "encoded as zeros"
    """Encoding of values without a code in messages."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category occurs twice")
        if self.missing == "fill" and self.fill not in self.categories:
            raise ValueError("'fill' is not one of the categories")
        if self.missing != "fill" and self.fill is not None:
            raise ValueError("'fill' has no effect")
        return self

    @property
    def code_names(self) -> tuple[str, ...]:
        """The meaning of each code, in order."""
        names = [f"{self.column} = {category}" for category in self.categories]
        names += [f"{self.column} is another"] if self.other else []
        names += [f"{self.column} is missing"] if self.missing_input else []
        return tuple(names)

    @property
    def expected_unseen(self) -> float:
        """The expected share of new rows with a rare or unknown category."""
        return self.other_share if self.unlike_share is None else self.unlike_share

    @property
    def has_missing_input(self) -> bool:
        """True if missing values have a separate code, also in an embedding."""
        return self.missing_input

    @property
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""
        is_unseen = self.missing == "category" and not self.missing_input
        return self.missing != "error" and not (is_unseen and self.unseen == "error")

    @property
    def group(self) -> column_type.GroupClass:
        """The class that encodes few rows of several such columns at once."""
        return _CategoryGroup

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the codes, see `DenseEncoder`."""
        out[:, 0] = self.codes(rows, problems)

    def codes(self, rows: "Rows", problems: "ValueProblems") -> Indices:
        """Return the code of each row's value, (rows,)."""
        from dlcli.columns.value_problems import ColumnProblems

        found, texts = rows.codes(self.column)
        known, other = self.known, self.other_code
        codes = np.array([*(known.get(text, other) for text in texts), -1], dtype=np.int64)[found]
        if not known.keys() >= {*texts}:
            new = np.array([text not in known for text in texts] + [False])[found]
            if self.unseen == "error":
                message = "expected a category of the training rows, got {}".format
                shown = rows.table.column(self.column).shown
                problems.refuse(new, rows, self.column, lambda at: message(shown(at)))
            else:
                each = np.bincount(found[new], minlength=len(texts)).tolist()
                counts = +Counter(dict(zip(texts, each, strict=True)))

                def describe(counts: Counter[str], first: int | None = None) -> ColumnProblems:
                    encoding, hint = self._unseen_encoding(), self._spelling_hint(counts)
                    has_rare = self.other_share > 0
                    return ColumnProblems(counts, first, encoding, hint, may_be_rare=has_rare)

                def of_row(row: int) -> ColumnProblems:
                    return describe(Counter({texts[found[row]]: 1}))

                problems.add(self.column, describe(counts, int(np.argmax(new))), new, of_row)
        missing = found < 0
        if missing.any():
            is_uncoded = self.accepts_missing and self.missing_code == self.count
            encoding = self.uncoded if is_uncoded else ""
            count = int(missing.sum())
            problems.add(self.column, ColumnProblems(missing=count, missing_encoding=encoding))
            if self.missing == "error":
                column_type.refuse_missing(missing, rows, self.column, problems)
            elif not self.accepts_missing:
                forbidden = "is missing, although no training row is; 'unseen: error' refuses it"
                problems.refuse(missing, rows, self.column, lambda _: forbidden)
            codes[missing] = self.missing_code
        return codes

    @cached_property
    def known(self) -> dict[str, int]:
        """The code of each category."""
        return {category: code for code, category in enumerate(self.categories)}

    @property
    def count(self) -> int:
        """The number of codes, which also stands for values without a code."""
        return len(self.categories) + self.other + self.missing_input

    @property
    def other_code(self) -> int:
        """The code of all other values."""
        return len(self.categories) if self.other else self.count

    @cached_property
    def missing_code(self) -> int:
        """The code of a missing value."""
        if self.fill is not None:
            return self.known[self.fill]
        if self.missing_input:
            return self.count - 1
        return self.other_code if self.accepts_missing else self.count

    def _unseen_encoding(self) -> str:
        """Describe the encoding of other values."""
        encoding = "encoded as 'other'" if self.other else self.uncoded
        if not self.other_share:
            return encoding
        # Most of the values may also be frequent in training rows.
        return f"{encoding}, like {100 * self.other_share:.3g} % of the training rows"

    def _spelling_hint(self, texts: Iterable[str]) -> str:
        """Suggest a category that differs from one of the texts only in spelling, else ""."""
        for text in texts:
            if known := self._by_spelling.get(_spelling(text)):
                return f"; training rows have '{known}' instead of '{text}'"
        return ""

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        """The categories by normalized spelling."""
        return {_spelling(category): category for category in reversed(self.categories)}

    # Exported models.

    def model_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        words = ["Text; empty for a missing value. Write integers without a decimal point: 3."]
        if self.unseen == "error":
            known = first_names([*map(column_exports.as_code, self.categories)], _SHOWN)
            words.append(f"dlcli refuses values other than its categories: {known}.")
        return column_exports.ModelInput(self.column, "string", (*words, *self.missing_advice))

    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, (rows,)."""
        return np.array(column_exports.sent_texts(table.column(self.column)), dtype=object)

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, see `ColumnEncoder`."""
        from dlcli.tables.column import missing_texts

        known = {
            spelling: number
            for number, category in enumerate(self.categories)
            for spelling in _spellings(category)
        }
        known |= dict.fromkeys(missing_texts(missing), self.missing_code)
        codes = ops.codes(ops.trimmed(x), known, self.other_code)
        return self.codes_graph(ops, codes)

    @abstractmethod
    def codes_graph(self, ops: "Operations", codes: "Value") -> "Value":
        """Encode codes in a graph, int64 (rows,); see `count` for values without a code."""

    def number_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the codes that a client sends."""
        advice = f"The index of the category in `categories` of {column_exports.RECIPE}."
        return column_exports.ModelInput(self.column, "int32", (advice,))

    def number_values(self, table: "Table", problems: "ValueProblems") -> Array:
        """Return the codes that a client sends for the rows of a table, (rows,)."""
        return self.codes(table, problems).astype(np.int32)

    def number_graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the codes that a client sends in a graph."""
        return self.codes_graph(ops, ops.cast(x, "int64"))

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return the conversion of values to codes, see `ColumnEncoder`."""
        return {
            "steps": [
                "strip whitespace; write true and false in lower case, and integers without a "
                "decimal point",
                "send the index of the text in `categories`; `missing` if it is empty or one of "
                "`missing_words`; `other` for any other text",
            ],
            "categories": [*self.categories],
            "missing": self.missing_code,
            "missing_words": [*missing],
            "other": self.other_code,
        }

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values for checks."""
        typical = [*self.categories[: column_exports.MOST_CHECKED]]
        odd = [None, *_ODD_CATEGORIES, f" {typical[0]}\t", typical[-1].upper(), *missing[:3]]
        return typical, odd

    # Scripts.

    script_code: ClassVar = column_exports.ScriptCode("category", "fit_category")

    script_type: ClassVar[str] = "category"
    """The name of the encoding in a script."""

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        assert isinstance(section, Categorical)
        return {
            "type": self.script_type,
            "min_count": section.min_count,
            "max_categories": section.max_categories,
            "missing": section.missing.name,
        }

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in requests, see `ColumnEncoder`."""
        frequent = [value for value in known.frequent if value in self.known]
        categories = [*dict.fromkeys([*frequent, *self.categories])]
        others = "Other values are refused."
        if self.unseen != "error":
            others = "Other values are allowed."
        names = first_names(categories, _SHOWN)
        return ClientColumn(
            self.column,
            ("string", "number", "boolean"),
            self.fill or categories[0],
            f"One of {len(categories):,} categories: {names}. {others}",
            choices=tuple(categories),
            is_required=not self.accepts_missing,
            along=tuple(categories[:_MOST_ALONG]),
        )


class OneHotEncoder(CategoryEncoder):
    """One input for each code, 1 if the row has it."""

    encoding: Literal["one_hot"] = "one_hot"

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        return (Block(self.column, "numeric", self.code_names, compact="one_hot"),)

    def codes_graph(self, ops: "Operations", codes: "Value") -> "Value":
        """Encode codes in a graph, (rows, codes); see `count` for values without a code."""
        every = ops.constant(np.arange(self.count)[None])
        return ops.cast(ops.equal(ops.as_column(codes), every), "float32")


class EmbeddingEncoder(CategoryEncoder):
    """One input: the code, which is the index of a row in a trained table."""

    encoding: Literal["embedding"] = "embedding"
    units: PositiveInteger
    """Length of the vector of each code."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        table = EmbeddingTable(self.count + 1, self.units)
        return (Block(self.column, "index", (self.column,), table),)

    def codes_graph(self, ops: "Operations", codes: "Value") -> "Value":
        """Encode codes in a graph, (rows, 1); see `count` for values without a code."""
        return ops.as_column(ops.cast(codes, "float32"))

    script_type = "embedding"

    def script_layers(self, name: str) -> Iterator[str]:
        """Yield the layers that look up the vectors, see `ColumnEncoder`."""
        input_name, column = column_exports.literal(name), column_exports.literal(self.column)
        yield "# A trained vector for each category. The last one, for unknown categories, stays 0."
        yield f"_, count = category_codes(train[{column}], FEATURES[{column}], encoding[{column}])"
        yield f'codes = inputs[{input_name}] = keras.Input((), name={input_name}, dtype="int32")'
        yield f"embedding = keras.layers.Embedding(count + 1, {self.units})"
        yield "parts.append(embedding(codes))"
        yield "vectors = embedding.get_weights()[0]"
        yield "vectors[-1] = 0"
        yield "embedding.set_weights([vectors])"


class OrderEncoder(CategoryEncoder):
    """One input for each category except the first: 1 in rows of this or a higher category."""

    encoding: Literal["order"] = "order"
    median: NonNegativeInt
    """The code of the median category of the training rows, which stands for values without a
    code."""
    monotone: column_type.Monotone | None = None
    """The direction in which predictions may change as the category rises."""
    uncoded = "encoded as the median category of the training rows"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if len(self.categories) < 2 or self.median >= len(self.categories):
            raise ValueError("expected two or more categories, and the code of one as 'median'")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        steps = tuple(f"{self.column} >= {category}" for category in self.categories[1:])
        marks = (f"{self.column} is missing",) * self.missing_input
        missing = (Block(self.column, "numeric", marks),) if marks else ()
        direction = column_type.direction_of(self.monotone)
        ordered = Block(self.column, "numeric", steps, compact="bins", monotone=direction)
        return (ordered, *missing)

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the last input that is 1, see `CompactForm`, and the missing indicator."""
        codes = self.codes(rows, problems)
        if self.missing_input:
            out[:, 2] = codes == self.missing_code
        ranks = np.where(codes < len(self.categories), codes, self.median)
        last = np.maximum(ranks - 1, 0)
        out[:, 0], out[:, 1] = last, ranks > 0

    def codes_graph(self, ops: "Operations", codes: "Value") -> "Value":
        """Encode codes in a graph, (rows, inputs); see `count` for values without a code."""
        count = len(self.categories)
        ranks = np.array([*range(count), *[self.median] * (self.count - count + 1)])
        table = (ranks[:, np.newaxis] >= np.arange(1, count)).astype(np.float32)
        if self.missing_input:
            is_missing = np.arange(self.count + 1) == self.missing_code
            table = np.column_stack([table, is_missing.astype(np.float32)])
        return ops.lookup(table, codes)

    script_code = column_exports.ScriptCode("category", "fit_order")
    script_type = "order"

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        assert isinstance(section, Categorical)
        return {
            "type": self.script_type,
            "order": [*self.categories],
            "missing": section.missing.name,
        }


class _CategoryGroup(column_type.ColumnGroup):
    """Encodes few rows of several categorical columns together."""

    def __init__(self, columns: Sequence[tuple[CategoryEncoder, slice]]) -> None:
        self._columns = [(each.column, each.known, inputs.start, each) for each, inputs in columns]

    def encode(self, rows: "FewRows", out: Matrix) -> Mapping[str, column_type.Record | None]:
        """Write the inputs of columns without a missing or unknown value."""
        encoded: dict[str, column_type.Record | None] = {}
        for column, known, start, encoder in self._columns:
            texts = rows.few_texts(column)
            if texts is None or not known.keys() >= {*texts}:
                continue
            encoded[column] = None
            for row, text in enumerate(texts):
                code = known[text]  # type: ignore[index]  # none is missing
                if isinstance(encoder, OneHotEncoder):
                    out[row, start + code] = 1
                elif isinstance(encoder, OrderEncoder):
                    out[row, start : start + code] = 1
                else:
                    out[row, start] = code
        return encoded
