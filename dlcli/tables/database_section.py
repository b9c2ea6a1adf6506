"""The section of a config that queries a database. Reading it loads no driver."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field

from dlcli.schema import section

_URL = re.compile(r"(sqlite|duckdb|postgres(?:ql)?)://([^/?#]*)/([^?#]*)(?:\?([^#]*))?")
_QUERY = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_LONGEST_QUERY = 2**16
_EXPECTED = (
    "sqlite:///FILE, duckdb:///FILE or postgresql://USER@HOST/DATABASE; a relative path has three "
    "slashes, an absolute path four"
)
_PARAMETERS = ("application_name", "connect_timeout", "sslmode", "sslrootcert")
"""Parameters of PostgreSQL that are not secret."""


def check_url(value: object) -> object:
    """Refuse a URL with a password; messages do not quote it."""
    if not isinstance(value, str):
        return value
    parts = _URL.fullmatch(value)
    host, query = (parts[2], parts[4] or "") if parts else ("", "")
    if ":" in host.rpartition("@")[0] or re.match(r"[^/]*//[^/]*:[^/]*@", value):
        raise section.value_error(
            "has a password, which would end up in run folders and messages; set the environment "
            "variable PGPASSWORD, or use a password file"
        )
    is_file = parts is not None and parts[1] in ("sqlite", "duckdb")
    if parts is None or (is_file and (host or query)) or not parts[3]:
        raise section.value_error(f"expected {_EXPECTED}")
    if not is_file and "/" in parts[3]:
        raise section.value_error(f"has a table after the database; expected {_EXPECTED}")
    unknown = [key for key, _ in parse_qsl(query) if key not in _PARAMETERS]
    if unknown or (query and not parse_qsl(query)):
        allowed = ", ".join(_PARAMETERS)
        raise section.value_error(
            f"can only have the parameters {allowed}; pass passwords in the "
            "environment variable PGPASSWORD"
        )
    return value


def check_sql(value: object) -> object:
    """Refuse statements that are not queries."""
    if isinstance(value, str) and not _QUERY.match(value):
        raise section.value_error("expected a query that begins with SELECT or WITH")
    return value


class DatabaseQuery(section.Section):
    """The rows that a query of a database returns."""

    sql: Annotated[
        str,
        Field(max_length=_LONGEST_QUERY),
        section.Expected("an SQL query of up to 64 KiB"),
        BeforeValidator(check_sql),
    ]
    """The query. With `ORDER BY`, the order of the rows, and thus the split, is always the same.

    Examples: [SELECT * FROM sales ORDER BY id]
    """
    url: Annotated[str, section.Expected("the URL of a database"), BeforeValidator(check_url)]
    """The database: `sqlite:///FILE` or `duckdb:///FILE`, relative to this config, with four
    slashes for an absolute path, or `postgresql://USER@HOST/DATABASE`. PostgreSQL's password is in
    the environment variable `PGPASSWORD` or in a password file.

    Examples: ["sqlite:///sales.db", "postgresql://reader@db.example.org/shop"]
    """

    @property
    def scheme(self) -> str:
        """The kind of database: `sqlite`, `duckdb` or `postgresql`."""
        scheme = self.url.partition(":")[0]
        return "postgresql" if scheme == "postgres" else scheme

    @property
    def file(self) -> str | None:
        """The path of the file of the database; `None` for a server."""
        return None if self.scheme == "postgresql" else self.url.partition(":///")[2]

    @property
    def name(self) -> str:
        """The name of the table in messages."""
        return self.url if self.file is None else self.file

    def with_file(self, path: PurePath | str) -> DatabaseQuery:
        """Return the query of the same database at another path."""
        return self.model_copy(update={"url": f"{self.scheme}:///{path}"})
