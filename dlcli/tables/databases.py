"""Tables that are queried from databases: SQLite and PostgreSQL by ADBC, and DuckDB.

The queries cannot change the databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from dlcli.errors import DataError, UsageError, require_packages
from dlcli.schema.urls import hide_secrets
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.memory_tables import MemoryTable, memory_table

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcDatabase

_BATCH_ROWS = 2**16
_READ_ONLY = "SET default_transaction_read_only = on"


@dataclass(frozen=True)
class QueriedTable(MemoryTable):
    """The rows of a query."""

    query: DatabaseQuery

    @cached_property
    def fingerprint(self) -> dict[str, object]:
        """The query, the number of rows, and their SHA-256 and size."""
        whole = MemoryTable(self.name, self.data).fingerprint
        return {**whole, "query": self.query.sql, "rows": self.data.num_rows}


def read_query(query: DatabaseQuery) -> QueriedTable:
    """Return the rows of a query.

    Raises:
        UsageError: for a missing file or driver, or a failed connection.
        DataError: for an error of the query, or columns that dlcli can't read.
    """
    if query.file is not None and not Path(query.file).is_file():
        raise UsageError(f"{query.file}: no such file")
    read = {"sqlite": _sqlite, "duckdb": _duckdb, "postgresql": _postgresql}[query.scheme]
    table = memory_table(read(query), query.name)
    if not table.data.num_columns:
        raise DataError("the query returns no table", file=query.name)
    return QueriedTable(table.name, table.data, query)


def _sqlite(query: DatabaseQuery) -> pa.Table:
    require_packages("reading SQLite", "databases", "adbc_driver_sqlite")
    import adbc_driver_sqlite

    uri = f"{Path(os.path.abspath(query.name)).as_uri()}?mode=ro"
    with _errors(query):
        return _adbc(adbc_driver_sqlite.connect(uri), query)


def _postgresql(query: DatabaseQuery) -> pa.Table:
    require_packages("reading PostgreSQL", "databases", "adbc_driver_postgresql")
    import adbc_driver_postgresql

    with _errors(query):
        return _adbc(adbc_driver_postgresql.connect(query.url), query, _READ_ONLY)


def _adbc(database: AdbcDatabase, query: DatabaseQuery, before: str = "") -> pa.Table:
    from adbc_driver_manager import AdbcConnection, AdbcStatement

    with database, AdbcConnection(database) as connection:
        if before:
            with AdbcStatement(connection) as statement:
                statement.set_sql_query(before)
                statement.execute_update()
        with AdbcStatement(connection) as statement:
            statement.set_sql_query(query.sql)
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader._import_from_c(stream.address).read_all()


def _duckdb(query: DatabaseQuery) -> pa.Table:
    require_packages("reading DuckDB", "databases", "duckdb")
    import duckdb

    with _errors(query), duckdb.connect(query.name, read_only=True) as connection:
        # Queries can read only this database, no other files.
        connection.execute("SET enable_external_access = false")
        return connection.sql(query.sql).to_arrow_reader(_BATCH_ROWS).read_all()


@contextmanager
def _errors(query: DatabaseQuery) -> Iterator[None]:
    """Convert the errors of a driver."""
    try:
        yield
    except Exception as error:
        is_of_driver = type(error).__module__.partition(".")[0].lstrip("_") in (
            *("adbc_driver_manager", "duckdb", "pyarrow"),
        )
        if not is_of_driver:
            raise
        reason = " ".join(hide_secrets(str(error)).split()).rstrip(".")
        raise DataError(f"the query failed: {reason}", file=query.name) from None
