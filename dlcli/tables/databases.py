"""Tables that are queried from databases: SQLite, DuckDB, and PostgreSQL by ADBC.

The queries cannot change the databases.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlcli.errors import DataError, UsageError, did_you_mean, listed, require_packages
from dlcli.schema.urls import hide_secrets
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Batches, check_names
from dlcli.tables.stored_columns import batch_rows
from dlcli.tables.typed_files import with_plain_types

if TYPE_CHECKING:
    import sqlite3

_BATCH_ROWS = 2**16
_MOST_TABLES = 12
_READ_ONLY = "SET default_transaction_read_only = on"
_DRIVERS = ("adbc_driver_manager", "duckdb", "pyarrow", "sqlite3")
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


@dataclass(frozen=True)
class QueriedTable(MemoryTable):
    """The rows of a query."""

    query: DatabaseQuery

    @cached_property
    def fingerprint(self) -> dict[str, object]:
        """The query, the number of rows, and their SHA-256 and size."""
        whole = MemoryTable(self.name, self.data).fingerprint
        return {**whole, "query": self.query.sql, "rows": self.data.num_rows}

    @property
    def is_ordered(self) -> bool:
        """Whether the query defines the order of the rows."""
        return _ORDERED.search(self.query.sql) is not None


def read_query(query: DatabaseQuery) -> QueriedTable:
    """Return the rows of a query.

    Raises:
        UsageError, DataError: see `open_query`.
    """
    with open_query(query) as opened:
        data = pa.Table.from_batches(opened.rows, opened.schema)
    return QueriedTable(query.name, data, query)


@contextmanager
def open_query(query: DatabaseQuery) -> Iterator[Batches]:
    """Run a query, whose rows can be read in batches inside the block.

    Raises:
        UsageError: for a missing file or driver.
        DataError: for a failed connection, an error of the query, also while rows are read, or
            columns that dlcli can't read.
    """
    if query.file is not None and not Path(query.file).is_file():
        raise UsageError(f"{query.file}: no such file")
    run = {"sqlite": _sqlite, "duckdb": _duckdb, "postgresql": _postgresql}[query.scheme]
    with ExitStack() as stack:
        with driver_errors(query.name, "the query failed"):
            opened = run(query, stack)
        if not len(opened.schema):
            raise DataError("the query returns no table", file=query.name)
        check_names(opened.schema.names, query.name)
        rows = _converting_errors(opened.rows, query.name)
        yield with_plain_types(Batches(opened.schema, rows), query.name)


def _converting_errors(rows: Iterator[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    with driver_errors(name, "the query failed"):
        yield from rows


@contextmanager
def driver_errors(name: str, failed: str) -> Iterator[None]:
    """Convert the errors of a driver, without the passwords that they may contain.

    Args:
        name: the database.
        failed: what failed, in words.

    Raises:
        DataError: for an error of a driver.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0].lstrip("_") not in _DRIVERS:
            raise
        reason = " ".join(hide_secrets(str(error)).split()).rstrip(".")
        raise DataError(f"{failed}: {reason}", file=name) from None


# PostgreSQL and DuckDB


def _postgresql(query: DatabaseQuery, stack: ExitStack) -> Batches:
    require_packages("reading PostgreSQL", "databases", "adbc_driver_postgresql")
    import adbc_driver_postgresql
    from adbc_driver_manager import AdbcConnection, AdbcStatement

    database = stack.enter_context(adbc_driver_postgresql.connect(query.url))
    connection = stack.enter_context(AdbcConnection(database))
    with AdbcStatement(connection) as statement:
        statement.set_sql_query(_READ_ONLY)
        statement.execute_update()
    statement = stack.enter_context(AdbcStatement(connection))
    statement.set_sql_query(query.sql)
    stream, _ = statement.execute_query()
    reader = pa.RecordBatchReader._import_from_c(stream.address)
    stack.callback(reader.close)
    return Batches(reader.schema, iter(reader))


def _duckdb(query: DatabaseQuery, stack: ExitStack) -> Batches:
    require_packages("reading DuckDB", "databases", "duckdb")
    import duckdb

    connection = stack.enter_context(duckdb.connect(query.name, read_only=True))
    # Queries can read only this database, no other files.
    connection.execute("SET enable_external_access = false")
    reader = connection.sql(query.sql).to_arrow_reader(_BATCH_ROWS)
    stack.callback(reader.close)  # an open reader would keep the database open
    return Batches(reader.schema, iter(reader))


# SQLite, whose columns can hold values of several types


_INTEGER, _REAL, _TEXT, _BLOB, _BINARY = 1, 2, 4, 8, 16
"""Bits for the types of a column's values in SQLite, and for no other values than 0 and 1."""
_KINDS = {"integer": _INTEGER, "real": _REAL, "text": _TEXT, "blob": _BLOB}


def _sqlite(query: DatabaseQuery, stack: ExitStack) -> Batches:
    """Run a query of SQLite with Python's own driver.

    A first pass over the rows finds all types of each column. ADBC's driver looks at the first
    1,024 rows only, and stops at a later row of another type.
    """
    import sqlite3

    uri = f"{Path(os.path.abspath(query.name)).as_uri()}?mode=ro"
    connection = stack.enter_context(closing(sqlite3.connect(uri, uri=True, isolation_level=None)))
    connection.execute("BEGIN")  # both passes read the same rows
    try:
        cursor = connection.execute(query.sql)
    except sqlite3.OperationalError as error:
        failed, _, table = str(error).partition(": ")
        if failed != "no such table":
            raise
        rows_of_schema = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
        )
        tables = [name for (name,) in rows_of_schema]
        known = f"; it has {listed(tables, _MOST_TABLES)}" if tables else ""
        message = f"has no table '{table}'{did_you_mean(table, tables) or known}"
        raise DataError(message, file=query.name) from None
    stack.callback(cursor.close)  # an open cursor would keep the lock of a closed connection
    names = [each[0] for each in cursor.description or ()]
    check_names(names, query.name)
    fields = []
    found = _sqlite_types(connection, query.sql, len(names))
    for name, (declared, types) in zip(names, found, strict=True):
        if types & _BLOB and types & (_INTEGER | _REAL | _TEXT):
            raise DataError("has bytes and other values", file=query.name, column=name)
        fields.append(pa.field(name, _storage(declared, types)))
    schema = pa.schema(fields)

    def rows() -> Iterator[pa.RecordBatch]:
        while some := cursor.fetchmany(batch_rows(len(names))):
            columns = zip(*some, strict=True)
            arrays = [_array(*each) for each in zip(columns, schema.types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return Batches(schema, rows())


def _sqlite_types(connection: sqlite3.Connection, sql: str, count: int) -> list[tuple[str, int]]:
    """Return the declared type of each column of a query, and the bits of its values' types.

    Args:
        connection: a connection, which gets a temporary view of the query.
        sql: the query.
        count: the number of columns.
    """
    columns = [f"c{at}" for at in range(count)]
    # The line break ends a comment at the end of the query.
    view = f"CREATE TEMP VIEW dlcli_rows({', '.join(columns)}) AS {sql.strip().rstrip(';')}\n"
    connection.execute(view)
    declared = connection.execute("SELECT type FROM pragma_table_info('dlcli_rows', 'temp')")
    sums = []
    for column in columns:
        bits = [f"{bit} * max(typeof({column}) = '{kind}')" for kind, bit in _KINDS.items()]
        sums.append(" + ".join([*bits, f"{_BINARY} * min({column} IN (0, 1))"]))
    # All columns without values have a sum of NULL.
    types = connection.execute(f"SELECT {', '.join(sums)} FROM temp.dlcli_rows").fetchone()
    return [(each, bits or 0) for (each,), bits in zip(declared.fetchall(), types, strict=True)]


def _storage(declared: str, types: int) -> pa.DataType:
    """Return the type in Arrow: numbers or booleans if all values are, else texts, as in CSV.

    Args:
        declared: the type of the column in its table; empty for an expression.
        types: the bits of its values' types.
    """
    if types & _BLOB:
        return pa.binary()
    if types & _TEXT or not types & (_INTEGER | _REAL):
        return pa.string()
    if types & _BINARY and declared.upper().startswith("BOOL"):
        return pa.bool_()
    return pa.float64() if types & _REAL else pa.int64()


def _array(values: Sequence[Any], storage: pa.DataType) -> pa.Array:
    if pa.types.is_string(storage):
        values = [each if each is None else str(each) for each in values]
    elif pa.types.is_boolean(storage):
        values = [each if each is None else bool(each) for each in values]
    return pa.array(values, storage)
