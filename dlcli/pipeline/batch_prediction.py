"""Predict the rows of a file or of a query in tables of a fixed size, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from dlcli.columns.value_problems import Place
from dlcli.pipeline.table_prediction import (
    PredictionOptions,
    Report,
    RowDifferences,
    TablePrediction,
)
from dlcli.prediction.prediction_tables import rejected_rows
from dlcli.prediction.predictions import Regions
from dlcli.prediction.predictor import Predictor
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.databases import open_query
from dlcli.tables.source_files import Batches, Source
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table import Table

Write = Callable[[pa.Table], None]
"""Writes rows."""


@dataclass(frozen=True)
class WrittenPrediction:
    """The result of predicting rows and writing the predictions."""

    file: str
    """The name of the rows' table."""
    differences: RowDifferences
    unread: Sequence[str] = ()
    """The columns that training did not have, which are ignored."""
    regions: Regions | None = None
    """The prediction intervals or prediction sets of all rows."""
    place: Place | None = None
    """Returns the position of a row, given its index."""


def predict_table(  # noqa: PLR0913  (named by its caller)
    predictor: Predictor,
    source: Source,
    options: PredictionOptions,
    write: Write,
    reject: Write,
    report: Report,
) -> WrittenPrediction:
    """Predict each row of a table, in order.

    Args:
        predictor: the model.
        source: the table.
        options: the columns of the predictions.
        write: receives the predictions.
        reject: receives the rejected rows, if the options have a file for them.
        report: receives what was detected about a file.

    Raises:
        DataError: see `TablePrediction.predict`.
    """
    prediction = TablePrediction(predictor, report, options.bad_rows)
    found = prediction.predict(source, options.keep)
    table, problems = found.table, found.problems
    write(options.rows(found.predictions, table, problems))
    if options.bad_rows.rejected:
        reject(rejected_rows(table, problems))
    unread = predictor.unread_columns(table, options.keep)
    regions = found.predictions.regions
    return WrittenPrediction(table.file, found.differences, unread, regions, table.place)


def predict_query(  # noqa: PLR0913  (named by its caller)
    predictor: Predictor,
    query: DatabaseQuery,
    options: PredictionOptions,
    write: Write,
    reject: Write,
    *,
    spooled: bool = False,
) -> WrittenPrediction:
    """Predict each row of a query, in order. Without rows, an empty table is written.

    Args:
        predictor: the model.
        query: the query.
        options: the columns of the predictions.
        write: receives the predictions of some rows.
        reject: receives the rejected rows, if the options have a file for them.
        spooled: whether to store all rows on disk and close the database before the first of them
            is predicted.

    Raises:
        UsageError, DataError: see `open_query` and `TablePrediction.predict`.
    """
    predict = partial(
        predict_tables, predictor, options=options, write=write, reject=reject, file=query.name
    )
    with TemporaryDirectory(prefix="dlcli-") as folder:
        with open_query(query) as opened:
            unread = unread_columns(predictor, opened, query.name, options.keep)
            first = next(opened.rows, None)
            rows = chain([] if first is None else [first], opened.rows)
            opened = replace(opened, rows=rows)
            if first is None or (not spooled and predictor.reads_alike_in_batches(opened.schema)):
                return replace(predict(tables_of(predictor, opened, query.name)), unread=unread)
        stored = predictor.read(query, Storage(Path(folder)))
        return replace(predict(stored.parts(predictor.rows_at_once)), unread=unread)


def predict_tables(  # noqa: PLR0913  (named by its callers)
    predictor: Predictor,
    tables: Iterable[Table],
    options: PredictionOptions,
    write: Write,
    reject: Write,
    file: str,
    *,
    with_file: bool = False,
) -> WrittenPrediction:
    """Predict the rows of tables, and write the predictions of each.

    Args:
        predictor: the model.
        tables: the tables.
        options: the columns of the predictions.
        write: receives the predictions of a table.
        reject: receives the rejected rows of a table, if the options have a file for them.
        file: the name of all tables.
        with_file: whether examples of values that can't be used name the file.
    """
    found, regions = RowDifferences(), list[Regions]()
    for table in tables:
        problems = options.bad_rows.new_record()
        predictions = predictor.predict(table, problems)
        write(options.rows(predictions, table, problems))
        if options.bad_rows.rejected:
            reject(rejected_rows(table, problems))
        found.add(RowDifferences.of(problems, table, with_file=with_file))
        if predictions.regions is not None:
            regions.append(predictions.regions)
    joined = Regions.concatenate(regions) if regions else None
    return WrittenPrediction(file, found, regions=joined)


def unread_columns(
    predictor: Predictor, opened: Batches, file: str, keep: Sequence[str] | None
) -> list[str]:
    """Return the columns that training did not have and that are not kept."""
    no_rows, numbers = opened.schema.empty_table(), np.empty(0, np.int64)
    empty = Table(file, no_rows, numbers, unread=opened.unread)
    return predictor.unread_columns(empty, keep or ())


def tables_of(predictor: Predictor, opened: Batches, file: str) -> Iterator[Table]:
    """Yield the rows in tables of a fixed number of rows; the last one has the rest.

    Only the last table may be empty. So predictions do not depend on the parts in which the rows
    are read.
    """
    count, before, held = predictor.rows_at_once, 0, opened.schema.empty_table()
    for batch in opened.rows:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= count:
            yield predictor.batch(held.slice(0, count), file, before)
            held, before = held.slice(count), before + count
    if held.num_rows or not before:
        yield predictor.batch(held, file, before)
