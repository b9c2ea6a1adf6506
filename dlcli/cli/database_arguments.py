"""The argument DATA as a database: its URL or file, with the option `--sql`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.errors import UsageError

if TYPE_CHECKING:
    from dlcli.schema.urls import Location
    from dlcli.tables.database_locations import DatabaseLocation, DataLocation
    from dlcli.tables.database_section import DatabaseQuery
    from dlcli.tables.databases import QueriedTable

sql_option = click.option(
    "--sql",
    metavar="QUERY",
    help="SQL query, if DATA is a database: a URL such as postgresql://USER@HOST/DATABASE or "
    "sqlite:///FILE, or a database file. [default: all rows of the table in a URL such as "
    "sqlite:///FILE/TABLE, else of the only table]",
)


def query_of(data: DataLocation, sql: str | None) -> Location | DatabaseQuery:
    """Return the query of a database; other tables do not change.

    Args:
        data: the table.
        sql: the option `--sql`.

    Raises:
        UsageError: for `--sql` without a database, or several tables without it.
        DataError: if the tables of the database can't be listed.
    """
    from dlcli.schema.urls import Url

    if isinstance(data, Path):
        database = _database_of_file(data)
        if database is not None:
            return database.query(sql)
    elif not isinstance(data, Url):
        return data.query(sql)
    if sql is not None:
        raise UsageError(f"{data}: is not a database, so --sql has no effect")
    return data


def rows_of(data: DataLocation, sql: str | None = None) -> Location | QueriedTable:
    """Return the rows of a query, see `query_of`; other tables do not change."""
    from dlcli.schema.urls import Url

    found = query_of(data, sql)
    if isinstance(found, Path | Url):
        return found
    from dlcli.tables.databases import read_query

    return read_query(found)


def _database_of_file(path: Path) -> DatabaseLocation | None:
    from dlcli.tables.database_locations import database_of_file

    return database_of_file(path)
