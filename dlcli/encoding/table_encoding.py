"""Encoding of a table, which is fitted on training rows and is the same in all later steps.

`fit_encoding` fits an encoder for each column, `encode_rows` applies them to rows with a target,
and `Encoding.transform` to rows without one. `find_differences` compares encoded rows with the
training rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from dlcli.arrays import Matrix
from dlcli.columns import column_type, value_problems
from dlcli.columns.column_type import ColumnEncoder, ColumnGroup, DenseEncoder, SparseEncoder
from dlcli.columns.exposure import ExposureEncoder
from dlcli.columns.layout import Expansion, Layout
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.scaling import Fitted
from dlcli.columns.value_problems import ColumnProblems, ValueProblems
from dlcli.config.data_section import Input
from dlcli.encoding import encoded_rows
from dlcli.encoding.chance import TrainingColumn
from dlcli.errors import DataError, absent_columns
from dlcli.tables.few_rows import FewRows
from dlcli.tables.number_notation import Notation
from dlcli.tables.stored_columns import RowShares
from dlcli.tables.table import Table
from dlcli.tasks.inference import AnyTask
from dlcli.tasks.task import Task

MAX_ROWS_AT_ONCE = 65_536
"""Maximum number of rows that are encoded at once before they are stored on disk."""
_NUMBERS_AT_ONCE = 2**24
"""Approximate maximum number of inputs that are encoded at once: 64 MiB."""
_STAGED_INPUTS = 16
"""Number of inputs that fill a cache line of the processor."""


class Encoding(Fitted):
    """The encoders of the features and of the target."""

    format: Literal[1] = 1
    """The version of the format."""
    features: tuple[FeatureEncoder, ...]
    """The encoders of the features, in the order of the table."""
    task: AnyTask
    """The task, fitted on the training rows."""
    notations: Mapping[str, Notation] = {}
    """The notation of numbers in the training rows, by column; other columns have plain numbers."""
    training_rows: Annotated[int, Field(ge=1)] | None = None
    """The number of training rows; `None` if an earlier version fitted the encoding."""

    @property
    def layout(self) -> Layout:
        """The blocks of inputs, in the order of the columns; sparse blocks are last."""
        return Layout(
            tuple(
                block
                for feature in column_type.in_input_order(self.features)
                for block in feature.blocks
            )
        )

    def transform(
        self, rows: Table | FewRows, problems: ValueProblems
    ) -> encoded_rows.InMemoryInputs:
        """Encode rows.

        Args:
            rows: rows with at least the columns of the features, in any order.
            problems: records values that can't be encoded or that differ from the training rows.

        Raises:
            DataError: for missing columns; or for values that can't be encoded, with their row,
                unless `problems` is lenient.
        """
        if not self._columns.issubset(rows.columns):
            read = [feature.column for feature in self.features]
            raise DataError(absent_columns(read, rows.columns), file=rows.file)
        if isinstance(rows, FewRows):
            inputs = encoded_rows.InMemoryInputs(self._encode_few(rows, problems))
        else:
            encoders = [each for each in self.features if isinstance(each, DenseEncoder)]
            dense = encode_dense(encoders, rows, problems)
            others = (each for each in self.features if isinstance(each, SparseEncoder))
            sparse = tuple(each.encode(rows, problems) for each in others)
            inputs = encoded_rows.InMemoryInputs(dense, sparse, self._expansion)
        problems.rows += rows.rows
        return inputs

    def _encode_few(self, rows: FewRows, problems: ValueProblems) -> Matrix:
        """Encode a few rows, (rows, inputs)."""
        width, encoders, expansions, groups = self._of_few
        matrix = np.zeros((rows.rows, width), dtype=np.float32)
        encoded: dict[str, column_type.Record | None] = {}
        for group in groups:
            encoded |= group.encode(rows, matrix)
        for encoder, inputs in encoders:
            if encoder.column in encoded:
                if record := encoded[encoder.column]:
                    record(problems)
            elif isinstance(encoder, SparseEncoder):
                encoder.encode(rows, problems).fill(matrix[:, inputs])
            elif isinstance(encoder, DenseEncoder):
                out = matrix[:, inputs]
                if (expansion := expansions.get(encoder.column)) is None:
                    encoder.encode(rows, out, problems)
                else:
                    compact = np.zeros((rows.rows, expansion.compact_width), np.float32)
                    encoder.encode(rows, compact, problems)
                    out[:] = expansion.expand(compact)
        return matrix

    @cached_property
    def _columns(self) -> frozenset[str]:
        """The columns of the features."""
        return frozenset(feature.column for feature in self.features)

    @cached_property
    def _expansion(self) -> Expansion | None:
        """The conversion of compact rows to inputs."""
        return self.layout.expansion

    @cached_property
    def _of_few(
        self,
    ) -> tuple[
        int, list[tuple[ColumnEncoder, slice]], dict[str, Expansion | None], list[ColumnGroup]
    ]:
        """The number of inputs; each encoder with its inputs; expansions by column; the groups."""
        encoders, start = list[tuple[ColumnEncoder, slice]](), 0
        for encoder in column_type.in_input_order(self.features):
            stop = start + len(encoder.inputs)
            encoders.append((encoder, slice(start, stop)))
            start = stop
        alike = defaultdict[column_type.GroupClass, list[tuple[Any, slice]]](list)
        for encoder, inputs in encoders:
            if encoder.group is not None:
                alike[encoder.group].append((encoder, inputs))
        expansions = {each.column: Layout(each.blocks).expansion for each in self.features}
        return start, encoders, expansions, [group(columns) for group, columns in alike.items()]


def fit_encoding(
    decisions: Mapping[str, column_type.Decision],
    section: Input,
    train: Table,
    task: Task,
    exposure: str | None = None,
) -> Encoding:
    """Fit the encoders of all columns on training rows.

    Args:
        decisions: the type of each column.
        section: the default settings of features.
        train: the training rows.
        task: the task, fitted on the training rows.
        exposure: the column of exposures, if any.

    Raises:
        DataError, ConfigError: see `ColumnType.fit`.
    """
    chosen = {
        column: decision.feature
        for column, decision in decisions.items()
        if decision.feature.is_read
    }

    def fit(column: str, rows: Table) -> FeatureEncoder:
        if column == exposure:
            return ExposureEncoder.fit_to(column, rows)
        return chosen[column].fit(column, rows, section)

    def load(text: str) -> FeatureEncoder:
        return TypeAdapter[FeatureEncoder](FeatureEncoder).validate_json(text)

    columns = [*chosen, *([] if exposure is None else [exposure])]
    features = train.by_column(columns, fit, Fitted.model_dump_json, load)
    notations = {name: each for name, each in train.notations.items() if not each.is_plain}
    return Encoding(
        features=tuple(features), task=task, notations=notations, training_rows=train.rows
    )


def encode_rows(
    encoding: Encoding,
    table: Table,
    weight: str | None,
    problems: ValueProblems,
    writer: encoded_rows.InputsWriter | None = None,
) -> encoded_rows.EncodedRows:
    """Encode rows that have a target.

    Args:
        encoding: the encoding, fitted on training rows.
        table: the rows.
        weight: the column of row weights, if any.
        problems: records values that can't be encoded or that differ from the training rows.
        writer: writes the inputs to disk, some rows at a time; if omitted, they remain in memory.

    Raises:
        DataError: for missing columns, or values that can't be encoded.
    """

    def encode(own: Table, recorded: ValueProblems) -> encoded_rows.Inputs:
        if writer is None:
            return encoding.transform(own, recorded)
        rows = max(1, min(MAX_ROWS_AT_ONCE, _NUMBERS_AT_ONCE // encoding.layout.compact_width))
        for part in own.parts(rows):
            writer.append(encoding.transform(part, recorded))
        return writer.finish()

    if (shares := table.shares) is None:
        inputs = encode(table, problems)
    else:
        own = ValueProblems(lenient=problems.lenient)
        held = shares.workers.agree(lambda: encode(table.own_rows(), own))
        inputs = encoded_rows.ShardedInputs(held, RowShares.of(shares.workers, shares.owners))
        _gather_problems(own, shares, problems)
    target = encoding.task.encode(table, ValueProblems())
    return encoded_rows.EncodedRows(inputs, target, row_weights(table, weight, ValueProblems()))


def _gather_problems(own: ValueProblems, shares: RowShares, problems: ValueProblems) -> None:
    """Record the problems of the rows of all workers."""
    recorded = {column: vars(each) for column, each in own.columns.items()}
    for rank, columns in enumerate(shares.workers.gather(recorded)):
        rows = np.flatnonzero(shares.owners == rank)
        for column, fields in columns.items():
            found = ColumnProblems(**fields)
            if found.unseen_index is not None:
                found.unseen_index = int(rows[found.unseen_index])
            problems.add(column, found)


def encode_dense(encoders: Sequence[DenseEncoder], table: Table, problems: ValueProblems) -> Matrix:
    """Encode columns side by side, in compact form if they have one, (rows, stored numbers).

    Writing one input of each row to a wide matrix loads a whole cache line for four bytes. So
    columns with few inputs are first encoded to a column-major matrix, several at a time, which is
    then copied.

    Args:
        encoders: the encoders of the columns.
        table: the rows.
        problems: records values that can't be encoded or that differ from the training rows.

    Raises:
        DataError: for values that can't be encoded, unless `problems` is lenient.
    """
    widths = [encoder.compact_width for encoder in encoders]
    dense = np.zeros((table.rows, sum(widths)), dtype=np.float32)
    first = start = 0
    while first < len(encoders):
        last = first + 1
        while last < len(encoders) and sum(widths[first : last + 1]) <= _STAGED_INPUTS:
            last += 1
        width = sum(widths[first:last])
        out = dense[:, start : start + width]
        is_staged = width <= _STAGED_INPUTS
        group = np.zeros((width, table.rows), dtype=np.float32).T if is_staged else out
        ends = np.cumsum(widths[first:last]).tolist()
        for encoder, begin, end in zip(encoders[first:last], [0, *ends], ends, strict=False):
            encoder.encode(table, group[:, begin:end], problems)
        if is_staged:
            out[:] = group
        first, start = last, start + width
    return dense


def row_weights(
    table: Table, column: str | None, problems: ValueProblems
) -> NDArray[np.float64] | None:
    """Read the row weights of a table, (rows,); None without a weight column.

    Raises:
        DataError: for a missing or negative weight, unless `problems` is lenient; or if all weights
            are 0.
    """
    if column is None:
        return None
    parsed = table.column(column).numbers()
    weights = parsed.values
    problems.refuse(parsed.unreadable, table, column, parsed.problem)
    advice = "the weight is missing; fill it in or remove the row"
    problems.refuse(parsed.missing, table, column, lambda _: advice)
    negative = "the weight is negative: {:g}".format
    problems.refuse(weights < 0, table, column, lambda at: negative(weights[at]))
    if not weights.any():
        raise DataError("all weights are 0", file=table.file, column=column)
    return weights


# Differences between encoded rows and the training rows, column by column.

_NOTABLE_SHARE = 0.05
"""Minimum difference between two shares of missing values that is reported."""
_NOTABLE_DEVIATIONS = 3
"""Minimum difference in standard deviations of random variation, which must also be exceeded."""
_SHOWN_COLUMNS = 5
_LISTED_VALUES = 20


@dataclass(frozen=True)
class ColumnDifference:
    """The differences of a column from the training rows."""

    column: str
    problems: ColumnProblems
    rows: int
    """Number of compared rows."""
    training_missing_share: float
    """Share of the training rows without a value."""
    training: TrainingColumn | None = None
    """The training rows; `None` if their number is unknown."""

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return self.problems.missing / max(self.rows, 1)

    @property
    def has_other_missing_share(self) -> bool:
        """True if the number of missing values differs clearly from the training rows.

        If a share p of the training rows had no value, n·p of n rows are expected to have none,
        with a standard deviation of √(n·p·(1 − p)).
        """
        share = self.training_missing_share
        deviation = math.sqrt(self.rows * share * (1 - share))
        distance = abs(self.problems.missing - self.rows * share)
        is_improbable = distance > _NOTABLE_DEVIATIONS * deviation + 1
        return is_improbable and abs(self.missing_share - share) > _NOTABLE_SHARE

    def is_by_chance(self, kind: str) -> bool:
        """Return whether chance explains a note on rows out of range or with unseen values.

        Args:
            kind: the kind of the note.
        """
        problems, training = self.problems, self.training
        if training is None:
            return False
        if kind == value_problems.OUTSIDE:
            present = self.rows - problems.missing
            return training.explains_outside(problems.outside, problems.farthest, present)
        is_unseen = kind in value_problems.UNSEEN and not problems.unseen_hint  # a misspelling
        return is_unseen and training.explains_unseen(problems.unseen.total(), self.rows)

    def to_json(self) -> dict[str, object]:
        """Return the differences by name; all counts are numbers of rows."""
        problems, document = self.problems, dict[str, object]()
        if problems.unreadable:
            document["unreadable"] = problems.unreadable
        if problems.unseen:
            document["unseen"] = problems.unseen.total()
            document["unseen_values"] = dict(problems.unseen.most_common(_LISTED_VALUES))
        if problems.outside:
            document |= {"outside": problems.outside, "training_range": problems.range}
        if problems.without_tokens:
            document["without_tokens"] = problems.without_tokens
        if self.has_other_missing_share:
            document["missing"] = problems.missing
            document["missing_share"] = self.missing_share
            document["training_missing_share"] = self.training_missing_share
        return document


def find_differences(
    encoding: Encoding, rows: int, columns: Mapping[str, ColumnProblems]
) -> list[ColumnDifference]:
    """Compare encoded rows with the training rows.

    Args:
        encoding: the encoding, fitted on training rows.
        rows: the number of rows.
        columns: the differences that encoding the rows has recorded, see `ValueProblems`.

    Returns:
        The columns with a difference, in the order of the features.
    """
    none, found, count = ColumnProblems(), [], encoding.training_rows
    for feature in encoding.features:
        problems, share = columns.get(feature.column, none), feature.missing_share
        training = None
        if count is not None:
            present, compared = round(count * (1 - share)), len(encoding.features)
            training = TrainingColumn(present, compared, feature.expected_unseen)
        difference = ColumnDifference(feature.column, problems, rows, share, training)
        if difference.to_json():
            found.append(difference)
    return found


def difference_lines(
    differences: Sequence[ColumnDifference], place: value_problems.Place | None = None
) -> Iterator[value_problems.Line]:
    """Summarize differences that chance does not explain, with a single line on missing values.

    Args:
        differences: the differences of all columns.
        place: returns the name of a row, see `Table.place`.
    """
    notes = (
        note
        for each in differences
        for note in value_problems.value_notes(each.column, each.problems, place)
        if note.kind == value_problems.UNKNOWN or not each.is_by_chance(note.kind)
    )
    yield from value_problems.summarize_notes(
        sorted(notes, key=lambda note: note.kind == value_problems.OUTSIDE)
    )
    shares = [
        f"'{each.column}' {100 * each.missing_share:.3g} % "
        f"(training: {100 * each.training_missing_share:.3g} %)"
        for each in differences
        if each.has_other_missing_share
    ]
    if shares:
        rest = len(shares) - _SHOWN_COLUMNS
        shown = shares[:_SHOWN_COLUMNS] + ([f"and {rest} more"] if rest > 0 else [])
        yield value_problems.Line(
            f"the share of missing values differs from training: {', '.join(shown)}"
        )
