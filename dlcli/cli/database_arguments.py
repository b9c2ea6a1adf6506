"""The option `--sql` of commands whose argument DATA can be a database."""

from __future__ import annotations

import click

sql_option = click.option(
    "--sql",
    metavar="QUERY",
    help="SQL query that returns the rows. DATA is then a database file or a URL such as "
    "postgresql://USER@HOST/DATABASE or sqlite:///FILE. [default: all rows of the table in a URL "
    "such as sqlite:///FILE/TABLE, else of the only table]",
)
