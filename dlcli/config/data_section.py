"""The sections `data` and `input`: files, target and split; the features and their types."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, PlainValidator

from dlcli.columns.number import periodic_monotone, unused_scalings
from dlcli.columns.numeric_encodings import Direct, NumericEncoding
from dlcli.columns.registry import COLUMN_TYPES, Feature
from dlcli.columns.scaling import Scaling, Standard
from dlcli.schema import section
from dlcli.schema.urls import locate
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.table_formats import LONGEST_FOOTER, AutoFormat, FormatChoice, TableFormat

MEMORY = ":memory:"
"""Stands for a table in memory instead of a file, like in SQLite; only Python can pass one."""


def _check_urls(value: object) -> object:
    """Refuse a URL with a secret before another message quotes it."""
    for name in value if isinstance(value, list | tuple) else [value]:
        if isinstance(name, str):
            try:
                locate(name)
            except ValueError as error:
                raise section.value_error(str(error)) from None
    return value


def _parse_query(value: object) -> object:
    """Build the section of a database query."""
    return DatabaseQuery.model_validate(value) if isinstance(value, Mapping) else value


File = Annotated[str, Field(min_length=1)]
Files = Annotated[
    File | Annotated[tuple[File, ...], Field(min_length=1)] | DatabaseQuery,
    section.Expected("a file", section.with_quotes),
    section.TEXTS_IF_LONG,
    BeforeValidator(_check_urls),
    BeforeValidator(_parse_query),
]
_SHARE_OR_FILE = "a share of the rows above 0 and below 1, or a file"


def _refuse_percentage(value: object) -> object:
    """Refuse a percentage, which would be read as the name of a file."""
    if isinstance(value, str) and (number := re.fullmatch(r"(\d{1,2}(?:\.\d+)?) ?%", value)):
        share = float(number[1]) / 100
        raise section.not_as_expected(_SHARE_OR_FILE, value, f"; write {share:g}")
    return value


def _share_of_percentage(value: object) -> str:
    """Return the way out for a number that may be a percentage."""
    if isinstance(value, int | float) and 1 < value < 100:
        return f"; for {value:g} % write {value / 100:g}"
    return ""


ShareOrFiles = Annotated[
    Annotated[float, Field(gt=0, lt=1)]
    | File
    | Annotated[tuple[File, ...], Field(min_length=1)]
    | DatabaseQuery,
    section.Expected(_SHARE_OR_FILE, _share_of_percentage),
    section.TEXTS_IF_LONG,
    BeforeValidator(_refuse_percentage),
    BeforeValidator(_check_urls),
    BeforeValidator(_parse_query),
]
LabelDelimiter = Annotated[
    str, Field(min_length=1), section.Expected("text between labels", section.with_quotes)
]
ClassName = Annotated[
    str,
    BeforeValidator(
        lambda value: str(value).lower() if isinstance(value, int) else value,
        json_schema_input_type=str | int,
    ),
    section.Expected("the name of a class"),
]
_LIST_OF_WORDS = "a list of words in quotes"
MissingWords = Annotated[tuple[str, ...], section.Expected(_LIST_OF_WORDS), section.TEXTS_IF_LONG]


def _as_list_of_words(value: object) -> str:
    is_word = isinstance(value, str | int | float)
    return f'; write ["{section.shown_in_yaml(value)}"]' if is_word else ""


Missing = Annotated[
    Literal["auto"]
    | MissingWords
    | Annotated[Mapping[section.ColumnName, MissingWords], Field(min_length=1), section.IN_PARTS],
    section.Expected(
        f"auto, {_LIST_OF_WORDS}, or a mapping from columns to such lists", _as_list_of_words
    ),
]


_MOST_HEADER_LINES = 5
_HEADER = f"auto, none, or the number of header lines, from 1 to {_MOST_HEADER_LINES}"
HeaderChoice = Annotated[
    Literal["auto", "none"] | Annotated[int, Field(ge=1, le=_MOST_HEADER_LINES)],
    section.Expected(_HEADER),
]
Names = Annotated[
    Annotated[tuple[section.ColumnName, ...], Field(min_length=1)],
    section.Expected("a list of column names"),
    section.TEXTS_IF_LONG,
]
SheetName = Annotated[
    str,
    Field(min_length=1),
    BeforeValidator(
        lambda value: str(value) if section.is_number(value) else value,
        json_schema_input_type=str | int,
    ),
    section.Expected("the name of a sheet", section.with_quotes),
]
LineBeginning = Annotated[
    str,
    Field(min_length=1, max_length=20),
    section.Expected("the beginning of a line in quotes", section.with_quotes),
]


Footer = Annotated[
    LineBeginning | Annotated[int, Field(ge=1, le=LONGEST_FOOTER)],
    section.Expected("the beginning of a line, or the number of lines"),
]


SourceKey = Literal["train", "validation", "test"]
"""The keys of `data` that may name files."""
SPLITS: tuple[SourceKey, ...] = ("test", "validation", "train")
"""The sets of rows, the most independent of training first."""
MEMORY_ARGUMENTS: dict[SourceKey, str] = {
    "train": "data",
    "validation": "validation_data",
    "test": "test_data",
}
"""Python's argument for a table in memory, by key; messages use its name."""


class _Split(section.Choice):
    """Base class of the ways to split rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that rows are split by."""
        return ()


class RandomSplit(_Split, name="random"):
    """Each row is assigned to a set at random. Training does not warn if they are similar."""


class StratifiedSplit(_Split, name="stratified"):
    """Rows are assigned at random, with the same share of each class in every set."""


class GroupSplit(_Split, name="group"):
    """Rows with the same value in `column`, such as all rows of a patient, stay in one set."""

    column: section.ColumnName
    """Column of the groups. It is not a feature."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the groups."""
        return (self.column,)


class TimeSplit(_Split, name="time"):
    """The latest rows are test rows, the earliest training rows; validation rows are in between."""

    column: Annotated[
        section.ColumnName | Annotated[tuple[section.ColumnName, ...], Field(min_length=1)],
        section.Expected("a column name, or a list of column names", section.with_quotes),
        section.TEXTS_IF_LONG,
    ]
    """Column by which rows are ordered: numbers, quarters such as 2024-Q4, or dates in an
    unambiguous format such as 2024-12-31 or 31.12.2024. If several columns form the time, list
    them, the longest unit first; months may then also be names. A column is a feature only if
    `input.features` lists it.

    Examples: [day, [year, month], [date, hour]]
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the times, the longest unit first."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield a column that is listed twice."""
        if len({*self.columns}) < len(self.columns):
            yield "column", "lists a column twice"


SplitChoice = Annotated[
    RandomSplit | StratifiedSplit | GroupSplit | TimeSplit, section.OneOf("split")
]


class Target(section.Section):
    """The target column and its type."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("positive", "pos_label"), "positive_class"),
    }

    column: Annotated[
        section.ColumnName | Annotated[tuple[section.ColumnName, ...], Field(min_length=1)],
        section.Expected("a column name, or a list of column names", section.with_quotes),
        section.TEXTS_IF_LONG,
    ]
    """Column to predict, or a list of several numeric or yes/no columns.

    Examples: [rentals, [rain, snow, fog]]
    """
    type: Literal["auto", "numeric", "count", "categorical", "multi_label"] = "auto"
    """Type of the target: `numeric`, a number; `count`, an integer of 0 or more; `categorical`, one
    of several classes; or `multi_label`, any number of labels. With `auto`, text, booleans and
    columns with exactly two distinct integers, such as 0 and 1, are classes; several columns of
    booleans or of 0 and 1 are labels; all others are numbers."""
    delimiter: LabelDelimiter | None = None
    """Text between labels if one column contains all labels of a row: `|` for values such as `a|b`.
    An empty field means that the row has no labels.

    Examples: ["|"]
    """
    positive_class: ClassName | None = None
    """The class of a binary target that precision, recall, F1 and average precision refer to. If it
    is set, a target with two distinct numbers, such as 0.5 and 1.5, has classes, too. Omitted: for
    a pair such as yes and no, or ja and nein, the class that means yes; else the second one in sort
    order.

    Examples: [malignant]
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The column or columns, in order."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield duplicate columns, classes in several columns, and labels without a delimiter."""
        is_several = len(self.columns) > 1
        if len(set(self.columns)) < len(self.columns):
            yield "column", "lists a column twice"
        if is_several and self.type == "categorical":
            yield "type", "several columns can't be classes, only numbers or labels; use one column"
        if is_several or self.type != "multi_label":
            because = "without type: multi_label and a single column"
            yield from self.without_effect("delimiter", because=because)
        elif self.delimiter is None:
            yield "type", "requires several columns, or one column with a delimiter between labels"
        if is_several or self.type not in ("auto", "categorical"):
            because = "without classes: a single column of type auto or categorical"
            yield from self.without_effect("positive_class", because=because)


def _short(value: object) -> object:
    """Expand the short form of a target: its column or columns, perhaps without their quotes."""
    return {"column": value} if isinstance(value, str | tuple | int | float) else value


TargetChoice = Annotated[
    Target, BeforeValidator(_short, json_schema_input_type=Target | str | tuple[str, ...])
]


_AT_THE_TOP = ("name", "seed", "loss", "metrics", "class_weight", "epochs", "batch_size")


Prevalence = Annotated[
    Mapping[str, section.OpenFraction],
    Field(min_length=1),
    section.IN_PARTS,
    section.Expected("a frequency between 0 and 1 for each class"),
]


class Data(section.Section):
    """Files, target, and split into training, validation and test rows."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("file", "path", "csv", "training"), "train"),
        **dict.fromkeys(("validation_split", "valid", "val", "dev"), "validation"),
        **dict.fromkeys(("label", "labels", "y"), "target"),
        **dict.fromkeys(("weight", "weights"), "sample_weight"),
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        **{key: f"write {key}: VALUE at the top of the config" for key in _AT_THE_TOP},
        **{key: f"write {key}: VALUE below input" for key in ("features", "scaling")},
        **{
            key: f'write format: {{name: csv, {key}: "VALUE"}}'
            for key in ("delimiter", "decimal", "thousands")
        },
        "sep": 'write format: {name: csv, delimiter: "VALUE"}',
        "encoding": "write format: {name: csv, encoding: VALUE} for the encoding of the file's "
        "text, or encoding: VALUE below input",
        "shuffle": "omit it; split: {name: time, column: COLUMN} keeps rows in order",
    }
    required: ClassVar[Mapping[str, str]] = {
        "train": "write train: FILE; in Python, you can pass a table instead",
        "target": "write target: COLUMN",
    }

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section that the name of a file means."""
        return f"write {{train: {value}, target: COLUMN}}" if isinstance(value, str) else ""

    train: Files
    """Training file, relative to this config: CSV, TSV, Parquet, Arrow IPC, JSON lines or a JSON
    array of objects, also compressed (.gz, .zst, .bz2), or a workbook (.xlsx, .xlsb, .xls, .ods).
    It can also be a URL such as `s3://bucket/bikes.parquet`. Several files with the same columns
    form one table: a list, a glob such as `part-*.csv`, or a folder of partitioned Parquet files
    (`year=2024/...`). Instead of files, a database can be queried.

    Examples: [data/bikes.csv, ["2023.csv.gz", "2024/part-*.parquet"],
    {sql: SELECT * FROM sales, url: "sqlite:///sales.db"}]
    """
    validation: ShareOrFiles | None = None
    """Validation rows, which early stopping and learning rate schedules use. Either a share of the
    rows between 0 and 1, or separate files (a file, a glob or a list).

    Examples: [0.15, later.csv]
    """
    test: ShareOrFiles | None = None
    """Test rows, which are used only for the final metrics. Either a share of the rows between 0
    and 1, or separate files (a file, a glob or a list).

    Examples: [0.15, latest.csv]
    """
    sample: section.PositiveInt | None = None
    """Number of rows to draw at random from the training table, for a first look at a large table.
    The draw depends only on `seed`, and keeps the proportions of classes and the order of rows. The
    rows are drawn before the split, from all groups and times; separate files of validation or test
    rows stay whole. The configs that `dlcli tune` and `dlcli cv` write for the final training do
    not have it. Omitted: all rows; they are also used if the table has fewer.

    Examples: [100000]
    """
    train_on_validation: section.Flag = False
    """Also train on the rows that `validation` sets aside, for a final training with settings that
    were chosen before. The test rows stay the same."""
    format: FormatChoice = AutoFormat()
    """File format. Set it if dlcli does not detect the format of a file correctly.

    Examples: [{name: csv, delimiter: ";", decimal: ",", encoding: latin-1}]
    """
    header: HeaderChoice = "auto"
    """Header of the file. `none`: the first line is a row; set `names`. A number: the number of
    header lines, whose names are joined by a space. `auto`: one line, unless `names` is set and it
    has other fields; a first line that looks like a row is refused.

    Examples: [none, 2]
    """
    names: Names | None = None
    """Names of the columns of a file without a header, in order; with `header: 1`, they replace the
    names in the header. Omitted: the names in the header, or `column_1`, `column_2` and so on.
    Files to predict can also have a header with these names, or lack the target.

    Examples: [[age, income, approved]]
    """
    comment: LineBeginning | None = None
    """Beginning of lines that are comments, which are omitted.

    Examples: ["#"]
    """
    skip_lines: section.NonNegativeInt = 0
    """Number of lines to omit at the beginning of the file, such as a title."""
    footer: Footer | None = None
    """First word of the lines at the end that are not rows, such as a row with totals; it is looked
    for in the last 20 lines. If it has no word, the number of these lines; files to predict are
    then read to the end.

    Examples: [Total, 1]
    """
    sheet: SheetName | None = None
    """Sheet of a workbook. Omitted: its only visible sheet with cells.

    Examples: [Sales, 2024]
    """
    split: SplitChoice | None = None
    """How rows are assigned to the training, validation and test sets, and to folds. Omitted:
    `stratified` for classes, else `random`.

    Examples: [stratified, {name: group, column: patient}, {name: time, column: day},
    {name: time, column: [year, month]}]
    """
    target: TargetChoice
    """Column to predict: its name, or a section with its name and type. A list of columns is
    predicted by one network.

    Examples: [rentals, {column: visits, type: count}, [rain, snow, fog]]
    """
    sample_weight: section.ColumnName | None = None
    """Column with the weight of each row, 0 or more. It is not used as a feature.

    Examples: [weight]
    """
    prevalence: Prevalence | None = None
    """Frequency of the classes among the rows to be predicted, if it differs from that of the
    training rows, for example because rare cases were collected on purpose. The output's bias is
    then changed after training, so predicted probabilities are right for these frequencies (Saerens
    et al. 2002). Within each class, new rows must resemble the training rows. Classes that are not
    listed share the rest in proportion to their frequencies in the training rows. Metrics are still
    computed from rows with their own frequencies. Omitted: the frequencies of the training rows.

    Examples: [{fraud: 0.002}]
    """
    exposure: section.ColumnName | None = None
    """Column with the exposure of each row, a number above 0, such as the years of a contract. The
    network predicts a rate, and each prediction is the rate times the exposure of the row; the
    column is not a feature. It is for the losses `poisson`, `tweedie` and `gamma`, in which the
    logarithm of the exposure is an offset, as in a generalized linear model. New rows need the
    column as well; an exposure of 1 gives the rate.

    Examples: [years]
    """
    missing: Missing = "auto"
    """Words that mean a missing value, in addition to empty fields: a list for all columns, or a
    mapping from columns to lists. `auto`: the usual words, such as NA, N/A, NaN, null, None, ? and
    -, are missing in columns of numbers, dates and booleans. In columns of texts and categories,
    such a word is missing only if it also occurs in a column of numbers, dates or booleans of the
    same table. `auto` also applies to columns that a mapping does not contain.

    Examples: [["-999"], {rooms: ["-1", "NA"]}]
    """
    on_missing_target: Literal["drop", "error"] = "drop"
    """What happens to rows without a target. `drop`: they are omitted with a warning. `error`: the
    table is refused."""
    storage: Literal["auto", "memory", "disk"] = "auto"
    """Where the encoded rows are stored during training. `auto`: in memory, or on disk next to the
    run folder if they would take more than half of the available memory. The trained weights are
    the same in both cases."""

    @property
    def table_format(self) -> TableFormat:
        """The format of the files."""
        return TableFormat(
            format=self.format,
            header=self.header,
            names=self.names or (),
            absent=self.target.columns,
            comment=self.comment or "",
            skip_lines=self.skip_lines,
            footer=self.footer or "",
            sheet=self.sheet or "",
        )

    @property
    def files(self) -> tuple[str | tuple[str, ...], ...]:
        """Files of training, validation and test rows."""
        named = (getattr(self, key) for key in self.sources)
        return tuple(
            files for files in named if files != MEMORY and not isinstance(files, DatabaseQuery)
        )

    @property
    def sources(self) -> tuple[SourceKey, ...]:
        """Keys of the sets of rows with a separate file, query or table in memory."""
        kinds = (str, tuple, DatabaseQuery)
        return tuple(key for key in get_args(SourceKey) if isinstance(getattr(self, key), kinds))

    def missing_words(self, column: str) -> tuple[str, ...] | None:
        """Return the words that count as missing in a column; None where `auto` decides."""
        if isinstance(self.missing, Mapping):
            return self.missing.get(column)
        return None if self.missing == "auto" else self.missing

    @property
    def shares(self) -> tuple[float, float]:
        """Shares of validation and test rows; 0 for a file or without such rows."""
        validation, test = (
            share if isinstance(share, float) else 0.0 for share in (self.validation, self.test)
        )
        return validation, test

    @property
    def has_validation(self) -> bool:
        """True if there are validation rows that are not trained on."""
        return self.validation is not None and not self.train_on_validation

    @property
    def reserved(self) -> tuple[str, ...]:
        """Columns with a special role: target, weight, exposure, group or time."""
        columns = [*self.target.columns, self.sample_weight, self.exposure]
        columns += self.split.columns if self.split is not None else ()
        return tuple(column for column in columns if column is not None)

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield shares that leave no training rows or are missing, and columns with two roles.

        A split without shares is not a conflict, because folds may use it.
        """
        if sum(self.shares) >= 1:
            yield (
                "test",
                f"validation and test take {100 * sum(self.shares):.4g} % of the rows, so none are "
                "left for training",
            )
        if not self.shares[0]:
            because = "without a share of the rows for validation"
            yield from self.without_effect("train_on_validation", because=because)
        if self.target.delimiter is not None:
            because = "with data.target.delimiter, because an empty field means no labels"
            yield from self.without_effect("on_missing_target", because=because)
        if self.names and len({*self.names}) < len(self.names):
            yield "names", "lists a name twice"
        because = f"in files of the format {self.format.name}"
        if self.format.name not in ("auto", "csv", "excel"):
            layout = ("header", "names", "comment", "skip_lines", "footer")
            yield from self.without_effect(*layout, because=because)
        if self.format.name not in ("auto", "excel"):
            yield from self.without_effect("sheet", because=because)
        yield from self._columns_with_two_roles()

    def _columns_with_two_roles(self) -> Iterator[section.Conflict]:
        roles = dict.fromkeys(self.target.columns, "target")
        named = [("sample_weight", self.sample_weight), ("exposure", self.exposure)]
        named += [("split.column", name) for name in (self.split.columns if self.split else ())]
        for key, column in named:
            if column is None:
                continue
            if column in roles:
                yield key, f"is also the {roles[column]}"
            roles.setdefault(column, "weight" if key == "sample_weight" else key)


# The section `input`


def _as_features(value: object) -> str:
    """Return the features to write instead of a text with commas, or of a list with types."""
    if isinstance(value, str) and value.strip():
        return f"; write {section.shown_in_yaml(tuple(re.split(r' *, *', value.strip())))}"
    names = value if isinstance(value, tuple) else ()
    if any(isinstance(name, Mapping) for name in names):
        if not all(isinstance(name, str | Mapping) for name in names):
            return ""
        types = [name if isinstance(name, Mapping) else {name: "auto"} for name in names]
        return (
            f"; write {section.shown_in_yaml({key: each[key] for each in types for key in each})}"
        )
    return next(filter(None, map(section.with_quotes, names)), "")


def _expand_list(value: object) -> object:
    """Expand a list of columns to columns of type `auto`."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        message = (
            f"expected columns with their types, or a list of columns, got {section.shown(value)}"
        )
        message += _as_features(value)
    elif len(set(value)) < len(value):
        message = "lists a column twice"
    else:
        return dict.fromkeys(value, "auto")
    raise section.value_error(message)


Features = Annotated[
    Mapping[str, Feature],
    section.IN_PARTS,
    BeforeValidator(_expand_list, json_schema_input_type=Mapping[str, Feature] | tuple[str, ...]),
]


FEWEST_TRIAL_ROWS = 100
"""Minimum number of validation rows to compare networks with and without a scaling layer."""


class ScalingLayer(section.Section):
    """A layer that multiplies all inputs of a column by a learned weight, initially 1.

    Training can thus suppress columns that do not help, as in RealMLP (Holzmüller et al. 2024,
    https://arxiv.org/abs/2407.04491). After training, the weights are multiplied into the kernel of
    the first layer, so the trained network has no additional layer.
    """

    learning_rate_multiplier: section.Positive = 40.0
    """Learning rate of these weights, divided by the learning rate of the optimizer. For optimizers
    without adaptive steps, such as sgd, the learning rate of these weights is the optimizer's times
    the square of this number."""


def _parse_scaling_layer(value: object) -> object:
    """Return a scaling layer, `auto`, or none."""
    if value is None or value == "auto" or isinstance(value, ScalingLayer):
        return value
    if isinstance(value, Mapping):
        return ScalingLayer.model_validate(value)
    multiplier = value if section.is_number(value) else 40
    expected = "auto, or keys and values"
    way_out = f"write {{learning_rate_multiplier: {multiplier}}}, or omit the scaling layer"
    raise section.value_error(f"expected {expected}, got {section.shown(value)}; {way_out}")


_AUTO = Annotated[
    Literal["auto"],
    Field(description="The default layer, unless the validation loss is clearly lower without it."),
]
ScalingLayerChoice = Annotated[
    Literal["auto"] | ScalingLayer,
    PlainValidator(_parse_scaling_layer, json_schema_input_type=_AUTO | ScalingLayer),
    section.Described("auto, or its parameters"),
]


class Input(section.Section):
    """The features, their types, and how they become inputs of the network."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "feature_scale": "write scaling_layer: VALUE, its new name",
    }

    @classmethod
    def misplaced(cls, value: object) -> str:
        """Return the place of a column, which has a type as its value."""
        kind = value.get("type") if isinstance(value, Mapping) else value
        is_type = isinstance(kind, str) and kind in ("auto", "ignored", *COLUMN_TYPES)
        return "if it is a column, indent it below features" if is_type else ""

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return the scaling layer for a number."""
        if key == "feature_scale" and section.is_number(value):
            value = {"learning_rate_multiplier": value}
        return super().moved(key, value)

    scaling: Scaling = Standard()
    """Scaling of all numeric features that do not set their own.

    Examples: [robust, {name: divide, by: 255}]
    """
    encoding: NumericEncoding = Direct()
    """Encoding of all numeric features that do not set their own.

    Examples: [{name: piecewise_linear, bins: 16}]
    """
    scaling_layer: ScalingLayerChoice | None = None
    """Layer with a learned weight for each column. With `auto`, an ensemble first trains one of its
    networks with and without the layer. No network of the ensemble has the layer if the validation
    loss is clearly lower without it: by a relative difference of more than 1/√n, where n is the
    number of validation rows. Without an ensemble, or with fewer than 100 validation rows, `auto`
    is the layer with its default parameters. Omitted: no such layer."""
    features: Features | None = None
    """Columns with their types, or a list of columns whose types are inferred. A name can be a
    pattern: `*` matches any text, and `?` any character. If a column matches several entries, its
    exact name has priority, then the longest pattern. Omitted: all columns without another role,
    such as target or sample weight.

    Examples: [[area, rooms, city], {zip: categorical, "sensor_*": numeric, id: ignored, "*": auto}]
    """

    @property
    def scaling_multiplier(self) -> float | None:
        """The learning-rate multiplier of the scaling layer; `None` without one.

        With `auto`, it is the default, unless training drops the layer.
        """
        layer = ScalingLayer() if self.scaling_layer == "auto" else self.scaling_layer
        return layer.learning_rate_multiplier if layer else None

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield empty features, and scalings that bins don't use."""
        if self.features is not None and not self.features:
            yield "features", "is empty; omit it to use all columns"
        is_default = not self.differs("scaling")
        yield from unused_scalings(self.encoding, self.features or {}, is_default=is_default)
        yield from periodic_monotone(self.encoding, self.features or {})
