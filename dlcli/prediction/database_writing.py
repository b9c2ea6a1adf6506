"""Rows appended to a table of a database, in one transaction."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pyarrow as pa

from dlcli.errors import UsageError, listed, named_columns, require_packages
from dlcli.prediction.prediction_tables import convert_columns, json_or_plain
from dlcli.tables.database_locations import DatabaseLocation, quoted, text_in_sql
from dlcli.tables.databases import driver_errors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_Kind = Literal["numbers", "texts", "true and false", "dates", "times", "other values"]
_STORED = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE PRECISION",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.string(): "TEXT",
}
"""The types of a new table's columns by their type in Arrow; SQLite accepts any name of a type."""
_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), "times"),
    "DATE": "dates",
    "BOOL": "true and false",
    **dict.fromkeys(("CHAR", "TEXT", "CLOB", "STRING"), "texts"),
    **dict.fromkeys(("INTERVAL", "POINT"), "other values"),
    **dict.fromkeys(("INT", "REAL", "FLOA", "DOUB", "NUMERIC", "DECIMAL"), "numbers"),
}
"""The kind of a column by a part of the name of its type; the first one decides."""
_STAGED = "dlcli_rows"
"""A temporary table or view."""


class TableWriter:
    """Appends rows to a table of a database, which is created if it does not exist.

    The database is opened when the first rows are written. If the block ends with an error, the
    database does not change.

    Args:
        target: the table.
    """

    def __init__(self, target: DatabaseLocation) -> None:
        self._target, self._stack = target, ExitStack()
        self._connection: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if self._connection is not None and kind is None:
                with self._errors():
                    self._connection.commit()

    def write(self, rows: pa.Table) -> None:
        """Append rows, which must have the same columns in each call.

        Raises:
            UsageError: for a table with other columns, or a missing driver or folder.
            DataError: if the rows can't be written.
        """
        rows = convert_columns(rows, _stored, "a database")
        with self._errors():
            if self._connection is None:
                connect = _CONNECTIONS[self._target.scheme]
                self._connection = connect(self._target, self._stack)
                self._prepare(self._connection, rows.schema)
            if rows.num_rows:
                self._connection.insert(rows)

    def _errors(self) -> AbstractContextManager[None]:
        return driver_errors(str(self._target), "the rows can't be written")

    def _prepare(self, connection: _Connection, schema: pa.Schema) -> None:
        """Create the table, or check the columns of an existing one."""
        columns = {column.name: column for column in connection.columns()}
        if columns:
            _check_columns(columns, schema, self._target)
            return
        created = (f"{quoted(field.name)} {_STORED[field.type]}" for field in schema)
        connection.execute(f"CREATE TABLE {self._target.quoted_table} ({', '.join(created)})")


def _stored(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values in a type of `_STORED`.

    Numbers have the digits that they have in CSV files, and lists are texts of JSON arrays.
    """
    storage = values.type
    if pa.types.is_date(storage):
        return values.cast(pa.date32())
    if pa.types.is_timestamp(storage) and storage.tz is None:
        return values.cast(pa.timestamp("us"), safe=False)
    values = json_or_plain(values)
    if pa.types.is_integer(values.type) and values.type != pa.uint64():
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type):
        return values.cast(pa.float64())
    return values if pa.types.is_boolean(values.type) else values.cast(pa.string())


# Columns of an existing table


@dataclass(frozen=True)
class _Column:
    """A column of an existing table."""

    name: str
    declared: str
    """Its type in SQL."""
    is_optional: bool
    """Whether it has a default."""

    @property
    def kind(self) -> _Kind:
        """The kind of its values."""
        declared = self.declared.upper()
        found = (kind for part, kind in _KINDS.items() if part in declared)
        return next(found, "other values")


def _check_columns(
    columns: Mapping[str, _Column], schema: pa.Schema, target: DatabaseLocation
) -> None:
    """Check that a table has the columns of the rows to append.

    Raises:
        UsageError: if columns are missing on either side, or have another type.
    """
    way_out = "or name a new table"
    if absent := [name for name in schema.names if name not in columns]:
        has = listed([*columns], 12)
        message = f"the table has no {named_columns(absent)}, only {has}; add what is missing"
        raise UsageError(f"{target}: {message}, {way_out}")
    required = [each.name for each in columns.values() if not each.is_optional]
    if more := [name for name in required if name not in schema.names]:
        message = f"the table also has {named_columns(more)}; copy such columns by --keep"
        raise UsageError(f"{target}: {message}, {way_out}")
    for field in schema:
        column, expected = columns[field.name], _Column("", _STORED[field.type], False).kind
        if column.kind != expected:
            message = f"column '{field.name}' has the type {column.declared or 'BLOB'}"
            raise UsageError(
                f"{target}: {message}, but holds {expected} here; change it, {way_out}"
            )


# Databases


class _Connection(ABC):
    """A transaction of a database.

    Args:
        target: the table.
        stack: receives what must be closed.
    """

    def __init__(self, target: DatabaseLocation, stack: ExitStack) -> None:
        self.target = target

    def columns(self) -> Iterator[_Column]:
        """Yield the columns of the table; none if it does not exist."""
        schema, table = self.target.schema_and_name
        within = text_in_sql(schema) if schema else "current_schema()"
        found = self.query(
            "SELECT column_name, data_type, column_default IS NOT NULL OR is_identity = 'YES' "
            f"AS optional FROM information_schema.columns WHERE table_schema = {within} "
            f"AND table_name = {text_in_sql(table)} ORDER BY ordinal_position"
        )
        values = (column.to_pylist() for column in found.columns)
        for name, declared, is_optional in zip(*values, strict=True):
            yield _Column(name, declared, bool(is_optional))

    def insertion(self, names: Sequence[str]) -> str:
        """Return the beginning of the statement that inserts rows with these columns."""
        return f"INSERT INTO {self.target.quoted_table} ({', '.join(map(quoted, names))})"

    def query(self, sql: str) -> pa.Table:
        """Return the rows of a query."""
        raise NotImplementedError

    @abstractmethod
    def execute(self, statement: str) -> None:
        """Run a statement."""

    @abstractmethod
    def insert(self, rows: pa.Table) -> None:
        """Append rows."""

    @abstractmethod
    def commit(self) -> None:
        """End the transaction."""


class _Sqlite(_Connection):
    def __init__(self, target: DatabaseLocation, stack: ExitStack) -> None:
        import sqlite3

        super().__init__(target, stack)
        path = _path_of(target)
        if not os.path.lexists(path):
            stack.callback(_remove_empty, path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        stack.callback(self._connection.close)
        # With a lock for writing only, each page beyond the cache would wait for readers.
        self._connection.execute("BEGIN EXCLUSIVE")

    def columns(self) -> Iterator[_Column]:
        """See `_Connection`."""
        sql = "SELECT name, type, dflt_value, pk FROM pragma_table_info(?)"
        for name, declared, default, key in self._connection.execute(sql, [self.target.table]):
            is_row_id = key == 1 and declared.upper() == "INTEGER"
            yield _Column(name, declared, default is not None or is_row_id)

    def execute(self, statement: str) -> None:
        """See `_Connection`."""
        self._connection.execute(statement)

    def insert(self, rows: pa.Table) -> None:
        """See `_Connection`; times are texts, because SQLite has no type for them."""
        kept = {field.name: field.type for field in rows.schema}
        times = [name for name, storage in kept.items() if pa.types.is_temporal(storage)]
        kept |= dict.fromkeys(times, pa.string())
        marks = ", ".join("?" * rows.num_columns)
        statement = f"{self.insertion(rows.column_names)} VALUES ({marks})"
        for batch in rows.cast(pa.schema(kept)).to_batches(max_chunksize=2**14):
            columns = (column.to_pylist() for column in batch.columns)
            self._connection.executemany(statement, zip(*columns, strict=True))

    def commit(self) -> None:
        """See `_Connection`."""
        self._connection.execute("COMMIT")


class _DuckDb(_Connection):
    def __init__(self, target: DatabaseLocation, stack: ExitStack) -> None:
        require_packages("writing DuckDB", "databases", "duckdb")
        import duckdb

        super().__init__(target, stack)
        path, self._is_committed = _path_of(target), False
        if not os.path.lexists(path):
            stack.callback(self._remove_unless_committed, path)
        self._connection: DuckDBPyConnection = duckdb.connect(str(path))
        stack.callback(self._connection.close)
        self._connection.execute("BEGIN")

    def query(self, sql: str) -> pa.Table:
        """See `_Connection`."""
        return self._connection.sql(sql).to_arrow_table()

    def execute(self, statement: str) -> None:
        """See `_Connection`."""
        self._connection.execute(statement)

    def insert(self, rows: pa.Table) -> None:
        """See `_Connection`."""
        self._connection.register(_STAGED, rows)
        self.execute(f"{self.insertion(rows.column_names)} SELECT * FROM {_STAGED}")
        self._connection.unregister(_STAGED)

    def commit(self) -> None:
        """See `_Connection`."""
        self._connection.execute("COMMIT")
        self._is_committed = True

    def _remove_unless_committed(self, path: Path) -> None:
        if not self._is_committed:
            path.unlink(missing_ok=True)


class _Postgresql(_Connection):
    def __init__(self, target: DatabaseLocation, stack: ExitStack) -> None:
        require_packages("writing PostgreSQL", "databases", "adbc_driver_postgresql")
        import adbc_driver_postgresql
        from adbc_driver_manager import AdbcConnection, AdbcStatement

        super().__init__(target, stack)
        database = stack.enter_context(adbc_driver_postgresql.connect(target.url))
        self._connection = stack.enter_context(AdbcConnection(database))
        self._connection.set_autocommit(False)
        self._statement = AdbcStatement

    def query(self, sql: str) -> pa.Table:
        """See `_Connection`."""
        with self._statement(self._connection) as statement:
            statement.set_sql_query(sql)
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader._import_from_c(stream.address).read_all()

    def execute(self, statement: str) -> None:
        """See `_Connection`."""
        with self._statement(self._connection) as running:
            running.set_sql_query(statement)
            running.execute_update()

    def insert(self, rows: pa.Table) -> None:
        """See `_Connection`.

        The rows are first copied to a temporary table, because the server converts types only in
        statements, such as a number to NUMERIC, and not while rows are copied.
        """
        options = {"mode": "adbc.ingest.mode.create", "target_table": _STAGED, "temporary": "true"}
        with self._statement(self._connection) as statement:
            statement.set_options(**{f"adbc.ingest.{key}": each for key, each in options.items()})
            statement.bind_stream(rows.to_reader())
            statement.execute_update()
        names = ", ".join(map(quoted, rows.column_names))
        self.execute(f"{self.insertion(rows.column_names)} SELECT {names} FROM pg_temp.{_STAGED}")
        self.execute(f"DROP TABLE pg_temp.{_STAGED}")

    def commit(self) -> None:
        """See `_Connection`."""
        self._connection.commit()


_CONNECTIONS: dict[str, type[_Connection]] = {
    "sqlite": _Sqlite,
    "duckdb": _DuckDb,
    "postgresql": _Postgresql,
}


def _path_of(target: DatabaseLocation) -> Path:
    """Return the path of a database in a file.

    Raises:
        UsageError: if its folder does not exist.
    """
    path = Path(target.file or "")
    if not path.parent.is_dir():
        raise UsageError(f"{target}: the folder {path.parent} does not exist")
    return path


def _remove_empty(path: Path) -> None:
    """Remove the empty file of a transaction that was not committed."""
    if path.is_file() and not path.stat().st_size:
        path.unlink()
