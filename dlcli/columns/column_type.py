"""The interface of a column type, which each module of this package implements.

`ColumnType` is the section of the config, with type inference, fitting on training rows, and
properties for checks of tables, advice and starter configs. `ColumnEncoder` is the result of
fitting: it reads values and encodes them as inputs of the network, also in exported models and
scripts, and describes the values in requests and charts. Other modules call these methods and do
not depend on the type.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from dlcli.arrays import Array, Floats, Indices, Mask, Matrix, np
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues, ModelInput, ScriptCode
from dlcli.columns.layout import Block
from dlcli.columns.scaling import Fitted, LargeInputs, Scaling, large_scaled_inputs
from dlcli.errors import DataError
from dlcli.schema.section import Choice, Expected, Section

if TYPE_CHECKING:
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.layout import SparseRows
    from dlcli.columns.type_inference import ColumnSummary, ColumnView, Strays
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.column import Column
    from dlcli.tables.few_rows import FewRows
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


# The section of the config, inference and fitting.


Rule = Callable[["ColumnView"], "Decision | None"]
"""Returns the type of a column if its values imply it, else None."""


class Defaults(Protocol):
    """The default settings of numeric features in `input`."""

    @property
    def scaling(self) -> Scaling:
        """The scaling."""

    @property
    def encoding(self) -> Choice:
        """The encoding."""


Record = Callable[["ValueProblems"], None]
"""Records a finding about the values of rows."""
GroupClass = Callable[[Sequence[tuple[Any, slice]]], "ColumnGroup"]
"""A subclass of `ColumnGroup`."""


Monotone = Literal["increasing", "decreasing"]
"""The direction in which predictions may change as a column's value rises."""
_DIRECTIONS: Mapping[Monotone | None, int] = {"increasing": 1, "decreasing": -1, None: 0}


def direction_of(monotone: Monotone | None) -> int:
    """Return `Block.monotone` for a direction."""
    return _DIRECTIONS[monotone]


_STRAYS_ADVICE = (
    "so training will refuse the other values; correct them, add them to data.missing, or declare "
    "the column categorical"
)


class ColumnType(Section):
    """A column type: its section in `input.features`, and everything that depends on the type.

    A config declares the type, or rules infer it from the rows of the training table. `fit` creates
    the encoder of a column from the training rows.
    """

    type: str
    """The name in the config; each type has a literal."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "monotone": "only numbers and ordered categories can be monotone; declare the column "
        "numeric, or categorical with order",
    }
    is_read: ClassVar[bool] = True
    """False if the network does not read such a column."""
    plural: ClassVar[str] = ""
    """The noun for the values in messages about stray values: `dates`."""
    has_usual_missing_words: ClassVar[bool] = False
    """True if words such as `NA` and `-` always mean missing values in such a column."""

    identifier_share: ClassVar[float] = 1.0
    """Minimum share of distinct values in a column of identifiers."""

    # Inference.

    def with_strays(self, strays: "Strays", noun: str) -> "Decision":
        """Return the decision for this type for a column with a few other values.

        Args:
            strays: the other values.
            noun: the noun for most values: `numbers`.
        """
        warning = f"read as {self.plural}, {_STRAYS_ADVICE}"
        return Decision(self, strays.reason(noun), warning, strays=strays.words)

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of mostly this type has a value of another type."""
        return False

    def is_risky(self, values: "ColumnSummary") -> bool:
        """Return whether training may fail on a column, given the counts of its values."""
        return False

    def no_identifiers(self, values: "ColumnSummary") -> int:
        """Return the number of values that are repeated or can't be identifiers."""
        return values.present - values.distinct

    def identity(self, column: str, whole: "Table") -> str | None:
        """Return the reason if a column only identifies or numbers the rows, else None.

        Args:
            column: the name of the column.
            whole: all rows of the table, in the order of the file.
        """
        return None

    # Fitting.

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "ColumnEncoder":
        """Fit the encoder of a column on training rows.

        Args:
            column: the name of the column.
            train: the training rows.
            defaults: the config's `input`, with the defaults of features.

        Raises:
            DataError: for a value of another type, or a column without values.
            ConfigError: for contradictory settings.
        """
        raise NotImplementedError(f"columns of type '{self.type}' have no encoder")

    # Properties for checks of tables, advice and starter configs.

    is_amount: ClassVar[bool] = False
    """True if values are quantities, so their order and distances are meaningful."""
    is_category: ClassVar[bool] = False
    """True if values are names of categories, so two spellings are two categories."""
    is_time: ClassVar[bool] = False
    """True if values are times."""
    has_listed_values: ClassVar[bool] = False
    """True if starter configs list the most frequent values."""
    has_common_values: ClassVar[bool] = True
    """True if a value can be set for all rows, as in partial dependence."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of times that the config sets."""
        return ()

    @property
    def has_words(self) -> bool:
        """True if values are texts with many inputs each."""
        return False

    @property
    def usual_categories(self) -> int | None:
        """The maximum number of categories if the default applies, else None."""
        return None

    def amounts(self, column: "Column") -> Floats | None:
        """Return the quantities of a column, NaN where missing, (rows,).

        Returns:
            None if values are not quantities, or one of them can't be read.
        """
        return None

    def keeps_tails(self, defaults: Defaults) -> bool:
        """Return whether inputs are a linear function of the values, so outliers remain outliers.

        Args:
            defaults: the config's `input`.
        """
        return False

    def large_inputs(self, block: Block, defaults: Defaults) -> LargeInputs | None:
        """Return the setting that allows large inputs, if there is one.

        Args:
            block: inputs of a column of this type.
            defaults: the config's `input`.
        """
        return None

    @property
    def direction(self) -> Monotone | None:
        """The direction in which predictions may change as the column's value rises, if set."""
        return None

    @property
    def rising(self) -> "ColumnType | None":
        """The same type with `monotone: increasing`, for starter configs, if this is possible."""
        return None

    @property
    def augmentation_to_try(self) -> str | None:
        """A suggested value of `augmentation`, if none is set."""
        return None

    def inputs_of(self, distinct: int, bins: int) -> int:
        """Return the approximate number of inputs that encode a column.

        Args:
            distinct: number of distinct values.
            bins: maximum number of bins of a number.
        """
        return 1

    def with_known_values(
        self, column: str, table: "Table", early: Indices, late: Indices
    ) -> "ColumnType | None":
        """Return the type for a column of the rows' times; `None` if later values are unknown.

        Args:
            column: the name of the column.
            table: the rows.
            early: the rows to train on.
            late: the rows after them.
        """
        codes, _ = table.codes(column)
        return self if are_mostly_known(codes[early], codes[late]) else None

    def starter_comment(self, reason: str, values: "ColumnSummary") -> str:
        """Return the comment on a column in a starter config.

        Args:
            reason: the reason for its type.
            values: the counts of its values.
        """
        comment = ", ".join(filter(None, [reason, values.missing_note]))
        return f"{comment}: {values.listing}" if self.has_listed_values else comment

    def starter_hint(self, column: str, values: "ColumnSummary", *, is_inferred: bool) -> str:
        """Return a suggestion for another encoding, for a line below the column; may be empty.

        Args:
            column: the name of the column.
            values: the counts of its values.
            is_inferred: whether `auto` would decide for the same type.
        """
        return ""


@dataclass(frozen=True)
class Decision:
    """The type of a column, with the reason for it."""

    feature: ColumnType
    """The type with all parameters; never `auto`."""
    reason: str
    """`declared`, or the evidence for an inferred type."""
    warning: str = ""
    """Advice if the type may be unintended; equal for all columns with the same problem."""
    otherwise: "Decision | None" = None
    """The inferred type of a column that is ignored, for example as an identifier or a constant."""
    values: "ColumnSummary | None" = None
    """The counts from which the type was inferred; None if it was declared."""
    strays: tuple[str, ...] = ()
    """The few values of another kind, which training refuses."""


class Auto(ColumnType):
    """One of the types below, inferred from all rows of the training file that have a target.

    `auto` ignores identifiers, row numbers and constants. It also ignores columns on which training
    might fail: columns of numbers or dates mixed with a few other values, and, in files with 20 or
    more rows, columns with fewer than 8 non-missing values.
    """

    type: Literal["auto"] = "auto"

    def large_inputs(self, block: Block, defaults: Defaults) -> LargeInputs | None:
        """Return the scaling that allows large numbers, see `ColumnType`."""
        return large_scaled_inputs(block, None, defaults.scaling)


class Ignored(ColumnType):
    """The column is not used."""

    type: Literal["ignored"] = "ignored"
    is_read = False

    def starter_comment(self, reason: str, values: "ColumnSummary") -> str:
        """Return only the reason."""
        return reason


# Settings of several types.


Indicator = Annotated[
    Literal["auto"] | Annotated[bool, Field(strict=True)], Expected("true, false or auto")
]


class Imputation(Choice):
    """A value that replaces missing ones."""

    indicator: Indicator = "auto"
    """Add an input that is 1 if the value is missing, else 0. `auto`: only if there are missing
    values in the training rows."""


class MedianImputation(Imputation, name="median"):
    """Missing values become the median of the training rows."""


class ErrorIfMissing(Choice, name="error"):
    """A missing value is an error."""


# Encoding.


class ColumnEncoder(Fitted):
    """Encoder of one column, fitted on training rows."""

    column: str
    """The column's name in the table."""
    missing_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training rows without a value."""

    if TYPE_CHECKING:  # fields of each encoder, which come last in JSON

        @property
        def type(self) -> str:
            """The name of the column's type in the config."""

        @property
        def encoding(self) -> str:
            """The name of the encoding, which identifies the class of an encoder in JSON."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""

    @property
    def direction(self) -> int:
        """1 or −1 if predictions must not fall or not rise as the value rises, else 0."""
        return next((block.monotone for block in self.blocks if block.monotone), 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that encode the column."""
        return tuple(name for block in self.blocks for name in block.inputs)

    @property
    @abstractmethod
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""

    @property
    def has_missing_input(self) -> bool:
        """True if missing values have a separate input, so they differ from all values."""
        return f"{self.column} is missing" in self.inputs

    @property
    def group(self) -> GroupClass | None:
        """The class that encodes few rows of several such columns at once, if there is one."""
        return None

    # Properties with a meaning for tables, charts and clients.

    reads_numbers: ClassVar[bool] = False
    """True if texts are read as numbers, in a notation inferred from all values of a column."""
    reads_files: ClassVar[bool] = False
    """True if values are paths of files, which are not part of a request to a server."""
    is_sparse: ClassVar[bool] = False
    """True if most inputs are 0; such inputs follow the inputs of all other columns."""
    is_exposure: ClassVar[bool] = False
    """True if the input multiplies the output of the network, see `data.exposure`."""

    def files(self, table: "Table") -> list[Path]:
        """Return the files that the values of rows refer to, each once."""
        return []

    # Exported models: the column's graph, and the values that clients send.

    @abstractmethod
    def model_input(self, notation: "Notation") -> ModelInput:
        """Describe the values that a client sends to an exported model.

        Args:
            notation: the notation of numbers in the training rows.

        Raises:
            ExportError: if a model can't read the values; the message contains the column.
        """

    @property
    def expected_unseen(self) -> float:
        """The expected share of new rows with a rare or unknown category."""
        return 0.0

    @property
    def missing_advice(self) -> tuple[str, ...]:
        """The advice for clients if missing values are refused."""
        refused = "dlcli refuses missing values, so reject them before you call the model."
        return () if self.accepts_missing else (refused,)

    @abstractmethod
    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, see `model_input`.

        Returns:
            The values, (rows, *shape of a value); texts are objects.
        """

    @abstractmethod
    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, with the same results as `encode`.

        A value that dlcli refuses counts as missing, as with `--on-bad-row warn`.

        Args:
            ops: the operations of the format.
            x: values as `model_input` describes them, (rows, *shape of a value).
            missing: words that count as missing.

        Returns:
            The column's inputs of the network, float32 (rows, inputs).
        """

    def graph_group(self, missing: Sequence[str]) -> str | None:
        """Return a key; `graph_of_group` encodes columns with equal keys together.

        This saves time: starting an operation takes longer than running it on one row. None if the
        column is encoded alone.
        """
        return None

    @classmethod
    def graph_of_group(
        cls, ops: "Operations", encoders: Sequence[Any], values: "Sequence[Value]"
    ) -> "tuple[Value, list[list[int]]]":
        """Encode several columns of one `graph_group` in a graph.

        Args:
            ops: the operations of the format.
            encoders: the encoders of the columns.
            values: the columns' values, each (rows,).

        Returns:
            All inputs, float32 (rows, inputs), and the indices of each column's inputs.
        """
        raise NotImplementedError

    def unread_values(self, table: "Table") -> str:
        """Return an error if an exported model can't read all values of a table, else ""."""
        return ""

    # Exported models without text, such as LiteRT's: the client converts values to numbers.

    def number_input(self, notation: "Notation") -> ModelInput:
        """Describe the numbers of 32 bits or less that a client sends, see `model_input`."""
        described = self.model_input(notation)
        return replace(described, type="float32") if described.type == "float64" else described

    def number_values(self, table: "Table", problems: "ValueProblems") -> Array:
        """Return the numbers that a client sends for the rows of a table, (rows, *shape)."""
        from dlcli.tables.number_notation import Notation

        with np.errstate(over="ignore"):
            return self.client_values(table).astype(self.number_input(Notation()).type)

    def number_graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the numbers that a client sends in a graph, see `graph`."""
        return self.graph(ops, x, missing)

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return the conversion of values to these numbers for JSON: steps in words, and data.

        Args:
            missing: words that count as missing.
        """
        return {"steps": ["send the number, NaN for a missing value"]}

    @abstractmethod
    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values to check exported models.

        Args:
            missing: words that count as missing.
            folder: a folder for files that values refer to.
        """

    # Scripts that train the same network with Keras.

    @property
    @abstractmethod
    def script_code(self) -> ScriptCode:
        """The functions of a script that fit and encode the column."""

    @abstractmethod
    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of these functions, with plain values.

        Args:
            section: the column's section in the config.
            defaults: the config's `input`.

        Returns:
            The settings, including `type`, which follows `encode_` in the name of the encoding
            function.
        """

    @property
    def has_layers(self) -> bool:
        """True if layers of the network read only this column, so it is a separate input."""
        return any(block.form is not None for block in self.blocks)

    def script_layers(self, name: str) -> Iterator[str]:
        """Yield the lines of a script that build these layers and append their outputs to `parts`.

        Args:
            name: the name of the input.
        """
        yield from ()

    # Servers: requests and the form.

    @abstractmethod
    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in the requests of a server, in JSON.

        Args:
            notation: the notation of numbers in the training rows.
            known: statistics of the values in the training rows.
        """

    # Statistics and charts.

    axis: ClassVar[Literal["numbers", "times"] | None] = None
    """Axis of charts: numbers, or times in seconds since 1970 (UTC); None for other values."""

    def axis_values(self, table: "Table") -> Floats:
        """Return the values on the axis, NaN where missing, (rows,).

        Raises:
            DataError: if the column can't hold such values.
        """
        raise NotImplementedError

    @property
    def fitted_moments(self) -> dict[str, float]:
        """Mean, standard deviation, minimum and maximum of the training rows, where fitted."""
        return {}

    @property
    def largest_input(self) -> float | None:
        """The largest absolute input of the training rows; None if unknown."""
        return None


class ColumnGroup(ABC):
    """Encodes few rows of several columns of one type together, because NumPy calls are slow.

    Args:
        columns: the encoders, each with the slice of its inputs.
    """

    @abstractmethod
    def encode(self, rows: "FewRows", out: Matrix) -> Mapping[str, Record | None]:
        """Write the inputs of columns without rare or invalid values.

        The inputs are bit-identical to the results of `DenseEncoder.encode`.

        Args:
            rows: the rows.
            out: zeros of shape (rows, all inputs).

        Returns:
            The encoded columns, each with a function that records findings, or None. The caller
            encodes all other columns.
        """


class DenseEncoder(ColumnEncoder):
    """Encoder whose inputs are stored as they are or in compact form."""

    @property
    def compact_width(self) -> int:
        """Number of stored numbers of a row."""
        return sum(block.compact_width for block in self.blocks)

    @abstractmethod
    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's inputs, in compact form if they have one.

        Args:
            rows: the rows.
            out: zeros of shape (rows, compact_width).
            problems: records values that can't be encoded.

        Raises:
            DataError: for values that can't be encoded, unless `problems` is lenient.
        """


class SparseEncoder(ColumnEncoder):
    """Encoder that stores only nonzero inputs, because most inputs are 0."""

    @abstractmethod
    def encode(self, rows: "Rows", problems: "ValueProblems") -> "SparseRows":
        """Return the column's inputs.

        Raises:
            DataError: for values that can't be encoded, unless `problems` is lenient.
        """

    is_sparse = True


class FilledEncoder(DenseEncoder):
    """Encoder that replaces missing values before encoding."""

    fill: float | datetime | None
    """Replacement of a missing value; if null, a missing value is an error."""
    indicator: bool
    """True if the last input is 1 where the value was missing, else 0."""

    @property
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""
        return self.fill is not None

    @property
    def indicator_names(self) -> tuple[str, ...]:
        """The name of the input that marks missing values, if there is one."""
        return (f"{self.column} is missing",) if self.indicator else ()

    @property
    def fill_number(self) -> float:
        """The number that replaces a missing or refused value in encoding."""
        return self.fill if isinstance(self.fill, float) else 0.0

    def find_empty(
        self, missing: Mask, refused: Mask, rows: "Rows", out: Matrix, problems: "ValueProblems"
    ) -> Mask:
        """Return the mask of values that `fill_number` replaces, and set the missing indicator.

        Args:
            missing: mask of missing values, (rows,).
            refused: mask of refused values, (rows,).
            rows: the rows.
            out: the column's inputs, (rows, inputs); the last may be the missing indicator.
            problems: records missing values.
        """
        empty = missing | refused
        self.record_missing(int(np.count_nonzero(missing)), problems)
        if self.fill is None:
            refuse_missing(missing, rows, self.column, problems)
        elif self.indicator:
            out[:, -1] = empty
        return empty

    def record_missing(self, count: int, problems: "ValueProblems") -> None:
        """Record the number of missing values, and their replacement."""
        from dlcli.columns.value_problems import ColumnProblems, short_moments

        if not count:
            return
        encoding = ""
        if self.fill is not None and not self.indicator:
            shown = f"{self.fill_number:g}"
            if isinstance(self.fill, datetime):
                (shown,) = short_moments([self.fill.isoformat()])
            encoding = f"replaced by {shown}, without a missing indicator"
        problems.add(self.column, ColumnProblems(missing=count, missing_encoding=encoding))

    def with_indicator(self, ops: "Operations", parts: "list[Value]", empty: "Value") -> "Value":
        """Append the missing indicator, if there is one, to inputs in a graph.

        Args:
            ops: the operations of the format.
            parts: the other inputs, each (rows, inputs).
            empty: mask of missing values, (rows,).
        """
        marks = [ops.as_column(ops.cast(empty, "float32"))] if self.indicator else []
        return ops.concat([*parts, *marks])


def in_input_order(encoders: Sequence[ColumnEncoder]) -> list[ColumnEncoder]:
    """Return encoders in the order of the network's inputs: sparse encoders are last."""
    return sorted(encoders, key=lambda encoder: encoder.is_sparse)


def refuse_missing(missing: Mask, rows: "Rows", column: str, problems: "ValueProblems") -> None:
    """Refuse missing values, because of `missing: error`."""
    problems.refuse(missing, rows, column, lambda _: "is empty; 'missing: error' forbids it")


def needs_indicator(policy: Imputation | ErrorIfMissing, has_missing: bool) -> bool:
    """Return whether there is a missing indicator.

    If an indicator is 0 in every training row, its weights keep their random initial values and
    add noise to later rows with a missing value. So `auto` adds an indicator only if training rows
    have missing values.
    """
    if isinstance(policy, ErrorIfMissing):
        return False
    return has_missing if policy.indicator == "auto" else policy.indicator


_LEAST_KNOWN = 0.5


def are_mostly_known(early: Indices, late: Indices) -> bool:
    """Return whether at least half of the later values occur among the earlier ones."""
    return float(np.isin(late, early).mean()) >= _LEAST_KNOWN


def require_values(present: int, column: str, train: "Table") -> None:
    """Check that a column has a value in the training rows.

    Raises:
        DataError: if all values are missing.
    """
    if not present:
        message = "has no value in the training rows; declare it 'ignored'"
        raise DataError(message, file=train.file, column=column)


def present_numbers(column: str, values: Floats, train: "Table") -> Floats:
    """Return the values that are not missing, at least one.

    Raises:
        DataError: if all values are missing.
    """
    present: Floats = values[~np.isnan(values)]
    require_values(len(present), column, train)
    return present


def way_out(are_most_wrong: bool) -> str:
    """Return the advice for a message about a value that does not fit its declared type."""
    if are_most_wrong:
        return "; if the column holds text, set its type to categorical or text in input.features"
    return "; correct it, or add it to data.missing if it means a missing value"
