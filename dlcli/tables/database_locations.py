"""Databases and their tables, as the command line names them: `sqlite:///shop.db/sales`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pydantic_core import PydanticCustomError

from dlcli.errors import DataError, UsageError, listed, option
from dlcli.schema.urls import Location, Url
from dlcli.tables.database_section import DatabaseQuery, check_sql, check_url
from dlcli.tables.databases import QueriedTable, read_query
from dlcli.tables.source_files import locate_table

_DATABASE_URL = re.compile(r"(sqlite|duckdb|postgres(?:ql)?)://", re.IGNORECASE)
_PARTS = re.compile(r"(\w+://[^/]*/)([^?]*)(\?.*)?")
"""Scheme with host, path, and parameters."""
_ENDINGS = (".db", ".db3", ".duckdb", ".sqlite", ".sqlite3")
_MOST_SHOWN = 12
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name",
    **dict.fromkeys(
        ("duckdb", "postgresql"),
        "SELECT CASE WHEN table_schema = current_schema() THEN table_name "
        "ELSE table_schema || '.' || table_name END AS name FROM information_schema.tables "
        "WHERE table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY 1",
    ),
}
"""The query for the names of all tables and views, by the kind of database."""
_COLUMNS = {
    "sqlite": 'SELECT t.name AS name, c.name AS "column" FROM sqlite_master AS t '
    "JOIN pragma_table_info(t.name) AS c WHERE t.type IN ('table', 'view')",
    **dict.fromkeys(
        ("duckdb", "postgresql"),
        "SELECT CASE WHEN table_schema = current_schema() THEN table_name "
        "ELSE table_schema || '.' || table_name END AS name, column_name AS \"column\" "
        "FROM information_schema.columns",
    ),
}
"""The query for the columns of all tables and views, by the kind of database."""
_KEYS = {
    "sqlite": "SELECT name FROM pragma_table_info({table}) WHERE pk > 0 ORDER BY pk",
    **dict.fromkeys(
        ("duckdb", "postgresql"),
        "SELECT k.column_name AS name FROM information_schema.table_constraints AS c "
        "JOIN information_schema.key_column_usage AS k USING (constraint_schema, constraint_name, "
        "table_name) WHERE c.constraint_type = 'PRIMARY KEY' AND c.table_name = {table} "
        "AND c.table_schema = {schema} ORDER BY k.ordinal_position",
    ),
}
"""The query for the columns of a table's primary key, by the kind of database."""


@dataclass(frozen=True)
class DatabaseLocation:
    """A database, or a table of it."""

    url: str
    """The URL of the database, as in a config; it has no password."""
    table: str | None = None
    """The table, perhaps with its schema: `sales` or `archive.sales`."""

    def __str__(self) -> str:
        before, path, parameters = self._parts
        return before + path + (f"/{self.table}" if self.table else "") + parameters

    @property
    def _parts(self) -> tuple[str, str, str]:
        """Scheme with host, path, and parameters."""
        found = _PARTS.fullmatch(self.url)
        assert found is not None  # checked by `locate_database`
        return found[1], found[2], found[3] or ""

    @property
    def scheme(self) -> str:
        """The kind of database: `sqlite`, `duckdb` or `postgresql`."""
        return self._query("SELECT 1").scheme

    @property
    def file(self) -> str | None:
        """The path of the file of the database; `None` for a server."""
        return self._query("SELECT 1").file

    @property
    def schema_and_name(self) -> tuple[str, str]:
        """The schema of the table, perhaps empty, and its name; SQLite has no schemas."""
        table = self.table or ""
        if self.scheme == "sqlite":
            return "", table
        schema, _, name = table.rpartition(".")
        return schema, name

    @property
    def quoted_table(self) -> str:
        """The table in SQL."""
        return ".".join(quoted(part) for part in self.schema_and_name if part)

    def query(self, sql: str | None = None, columns: Sequence[str] = ()) -> DatabaseQuery:
        """Return a query, or by default the query for all rows of the table.

        The rows are ordered by the primary key of the table, if it has one.

        Args:
            sql: the query.
            columns: columns of the table that an error about several tables proposes.

        Raises:
            UsageError: for a statement that is not a query, or if the database has several tables.
            DataError: see `open_query`.
        """
        if sql is not None:
            if self.table is not None:
                message = f"names a table, so {option('sql')} has no effect; name the database"
                raise UsageError(f"{self}: {message}")
            try:
                check_sql(sql)
            except PydanticCustomError as error:
                raise UsageError(f"{option('sql')}: {error.message()}") from None
            return self._query(sql)
        location = self if self.table else self._with_only_table(columns)
        key = ", ".join(map(quoted, location._key()))
        rows = f"SELECT * FROM {location.quoted_table}"
        return location._query(f"{rows} ORDER BY {key}" if key else rows)

    def _query(self, sql: str) -> DatabaseQuery:
        return DatabaseQuery(sql=sql, url=self.url)

    def _names(self, sql: str) -> list[str]:
        names: list[str] = read_query(self._query(sql)).data.column("name").to_pylist()
        return names

    def _with_only_table(self, columns: Sequence[str]) -> DatabaseLocation:
        """Return the only table.

        Args:
            columns: columns of the table that an error proposes.

        Raises:
            UsageError: if there is none, or there are several.
        """
        found = self._names(_TABLES[self.scheme])
        if not found:
            raise UsageError(f"{self}: has no tables")
        if len(found) > 1:
            one = DatabaseLocation(self.url, self._best_table(found, columns))
            tables = listed(found, _MOST_SHOWN)
            way_out = f"name one, such as {one}, or set a query by {option('sql')}"
            raise UsageError(f"{self}: has several tables, {tables}; {way_out}")
        return DatabaseLocation(self.url, found[0])

    def _best_table(self, tables: Sequence[str], columns: Sequence[str]) -> str:
        """Return the table with most of some columns, or else with the most columns."""
        try:
            rows = read_query(self._query(_COLUMNS[self.scheme])).data.to_pylist()
        except DataError:  # SQLite refuses to describe a view of a table that was removed
            return tables[0]
        known: dict[str, set[str]] = {table: set() for table in tables}
        for row in rows:
            known.setdefault(row["name"], set()).add(row["column"])
        return max(tables, key=lambda table: (len(known[table] & {*columns}), len(known[table])))

    def _key(self) -> list[str]:
        """Return the columns of the table's primary key."""
        schema, table = self.schema_and_name
        names = {
            "table": text_in_sql(table),
            "schema": text_in_sql(schema) if schema else "current_schema()",
        }
        return self._names(_KEYS[self.scheme].format(**names))


DataLocation = Location | DatabaseLocation
"""The path or URL of a table, or a database."""


def quoted(name: str) -> str:
    """Return a name in SQL."""
    return '"{}"'.format(name.replace('"', '""'))


def text_in_sql(text: str) -> str:
    """Return a text as a literal in SQL."""
    return "'{}'".format(text.replace("'", "''"))


def locate_database(text: str) -> DatabaseLocation | None:
    """Parse the URL of a database or of a table in it; `None` for other URLs and paths.

    Raises:
        UsageError: for an invalid URL, or one with a password, which the message omits.
    """
    if not _DATABASE_URL.match(text):
        return None
    found, url, table = _PARTS.fullmatch(text), text, None
    if found is not None:
        before, path, parameters = found[1], found[2], found[3] or ""
        parent, _, name = path.rpartition("/")
        if parent and (is_server(text) or _is_inside_file(path, parent)):
            url, table = before + parent + parameters, name
    try:
        check_url(url)
    except PydanticCustomError as error:
        raise UsageError(f"URL of a database: {error.message()}") from None
    return DatabaseLocation(url, table or None)


def is_server(url: str) -> bool:
    """Return whether the URL of a database names a server, not a file."""
    return url.lower().startswith("postgres")


def _is_inside_file(path: str, parent: str) -> bool:
    """Return whether the last part of a path is a table of the file before it."""
    if os.path.isfile(path):
        return False
    return os.path.isfile(parent) or PurePath(parent).suffix.lower() in _ENDINGS


def is_same_file(query: DatabaseQuery, location: object) -> bool:
    """Return whether a query reads the database that a location names, in one file."""
    if not isinstance(location, DatabaseLocation) or None in (query.file, location.file):
        return False
    return os.path.realpath(str(query.file)) == os.path.realpath(str(location.file))


def database_of_file(path: Path) -> DatabaseLocation | None:
    """Return the database that a file contains; `None` for other files."""
    try:
        if not path.is_file():  # a pipe can be read only once
            return None
        with path.open("rb") as stream:
            head = stream.read(16)
    except (OSError, ValueError):
        return None
    if head == b"SQLite format 3\0":
        return DatabaseLocation(f"sqlite:///{path}")
    return DatabaseLocation(f"duckdb:///{path}") if head[8:12] == b"DUCK" else None


def locate_data(name: str | Path) -> DataLocation:
    """Return the database, the path or the URL that a text names.

    Raises:
        UsageError: for an invalid URL, or one with a secret.
    """
    database = locate_database(name) if isinstance(name, str) else None
    return locate_table(name) if database is None else database


def query_of(
    data: DataLocation, sql: str | None = None, columns: Sequence[str] = ()
) -> Location | DatabaseQuery:
    """Return the query of a database; other tables do not change.

    Args:
        data: the table; a file may be a database.
        sql: the query; by default, for all rows of the database's table.
        columns: columns of the table that an error about several tables proposes.

    Raises:
        UsageError: for a query without a database, or for several tables without a query.
        DataError: if the tables of the database can't be listed.
    """
    database = database_of_file(data) if isinstance(data, Path) else data
    if isinstance(database, DatabaseLocation):
        return database.query(sql, columns)
    assert isinstance(data, Path | Url)
    if sql is not None:
        raise UsageError(f"{data}: is not a database, so {option('sql')} has no effect")
    return data


def rows_of(
    data: DataLocation, sql: str | None = None, columns: Sequence[str] = ()
) -> Location | QueriedTable:
    """Return the rows of a database, see `query_of`; other tables do not change."""
    found = query_of(data, sql, columns)
    return read_query(found) if isinstance(found, DatabaseQuery) else found
