"""The options of `dlcli init` and `dlcli inspect` for the format of a table's file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import console, options

if TYPE_CHECKING:
    from dlcli.schema.urls import Location
    from dlcli.tables.memory_tables import MemoryTable
    from dlcli.tables.table_formats import TableFormat

FORMAT_OPTIONS = ("header", "names", "delimiter", "comment", "skip_lines", "footer", "sheet")
"""The options by the keys of `data` that they set; `delimiter` is a key of `data.format`."""


class _Header(click.ParamType["str | int"]):
    name = "header"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int:
        """Return `none`, or a number of lines."""
        text = str(value)
        if text == "none":
            return text
        if text.isdecimal() and 1 <= int(text) <= 5:
            return int(text)
        raise click.BadParameter(f"expected none or 1 to 5, got {text}", ctx, param)


def _split_names(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...]:
    return _names_of(value or "")


def _names_of(value: str) -> tuple[str, ...]:
    """Split names at commas; a name with a comma is in quotes."""
    if not value.strip():
        return ()
    names = tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True)))
    if "" in names:
        raise click.BadParameter(f"name {names.index('') + 1} is empty")
    if len({*names}) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f"'{repeated}' occurs twice")
    return names


def _check_delimiter(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value is None or value == "spaces" or (len(value) == 1 and not value.isalnum()):
        return value
    if value in ("tab", "\\t"):
        return "\t"
    raise click.BadParameter(f"expected one character, tab or spaces, got {value}")


def _word_or_number(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | int | None:
    """Return a number of lines if a text is one."""
    from dlcli.tables.table_formats import LONGEST_FOOTER

    if value is None or not value.isdecimal():
        return value
    if 1 <= int(value) <= LONGEST_FOOTER:
        return int(value)
    raise click.BadParameter(f"expected a word or 1 to {LONGEST_FOOTER}, got {value}")


_TARGET_TYPES = ("numeric", "count", "categorical")


def split_assignments(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Split texts such as `COLUMN=VALUE` at the last `=`, as a column's name may contain one."""
    pairs = {}
    for value in values:
        column, sign, text = value.rpartition("=")
        if not (column and sign and text):
            raise click.BadParameter(f"expected {parameter.metavar}, got {value}")
        pairs[column] = text
    return pairs


def split_types(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str | None, dict[str, str]]:
    """Return the type of the target, if given, and the types of columns."""
    of_target = [value for value in values if "=" not in value]
    for value in of_target:
        if value not in _TARGET_TYPES:
            expected = f"{', '.join(_TARGET_TYPES)} or COLUMN=TYPE"
            raise click.BadParameter(f"expected {expected}, got {value}")
    if len(of_target) > 1:
        raise click.BadParameter(f"has two types of the target: {' and '.join(of_target)}")
    columns = split_assignments(ctx, parameter, tuple(v for v in values if "=" in v))
    return next(iter(of_target), None), columns


table_format_options = options.combined(
    click.option(
        "--header",
        type=_Header(),
        metavar="none|LINES",
        help="none if the first line is a row, or the number of header lines. [default: detected]",
    ),
    click.option(
        "--names",
        metavar="NAME,...",
        callback=_split_names,
        help="Names of all columns, if the file has no header.",
    ),
    click.option(
        "--delimiter",
        metavar="CHARACTER",
        callback=_check_delimiter,
        help="Character between fields, or 'spaces' for aligned columns. [default: detected]",
    ),
    click.option(
        "--comment",
        metavar="TEXT",
        help="Beginning of comment lines, which are omitted, such as '#'. [default: no comments]",
    ),
    click.option(
        "--skip-lines",
        type=options.integer(0, 2**20),
        metavar="LINES",
        help="Number of lines above the header, such as a title. [default: 0]",
    ),
    click.option(
        "--footer",
        metavar="WORD|LINES",
        callback=_word_or_number,
        help="First word of the lines at the end that are not rows, such as Total, or their "
        "number.",
    ),
    click.option("--sheet", metavar="NAME", help="Sheet of a workbook. [default: its only one]"),
)


def is_interactive() -> bool:
    """Return whether a question can be asked."""
    return console.is_terminal() and sys.stdin.isatty()


def make_table_format(data: Location | MemoryTable, layout: Mapping[str, Any]) -> TableFormat:
    """Return the format that options set; on a terminal, ask whether there is a header.

    Args:
        data: the table.
        layout: the value of each option.

    Raises:
        UsageError, DataError: for a file that can't be read, a number of names that differs from
            that of the columns, or an option for a database.
    """
    from dlcli.schema.urls import Url
    from dlcli.tables.header_detection import MissingHeaderError
    from dlcli.tables.table_files import read_header
    from dlcli.tables.table_formats import AutoFormat, CsvFormat, TableFormat

    if not isinstance(data, Path | Url):
        if given := [name for name, value in layout.items() if value]:
            option = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{option} applies to files, and {data.name} is a database")
        return TableFormat()
    delimiter = layout["delimiter"]
    form = TableFormat(
        format=AutoFormat() if delimiter is None else CsvFormat(delimiter=delimiter),
        header="auto" if layout["header"] is None else layout["header"],
        names=layout["names"],
        comment=layout["comment"] or "",
        skip_lines=int(layout["skip_lines"] or 0),
        footer=layout["footer"] or "",
        sheet=layout["sheet"] or "",
    )
    if form.header == "auto" and form.names:
        form = replace(form, header="none")
    if not is_interactive() or str(data) == "-":
        return form
    try:
        read_header(data, form)
    except MissingHeaderError as error:
        click.echo(error.evidence, err=True)
        is_row = click.confirm("Is the first line a row of data?", default=True, err=True)
        if not is_row:
            return replace(form, header=1)
        question = "Names of the columns, separated by commas (Enter for column_1, column_2, ...)"
        names = click.prompt(question, default="", show_default=False, err=True)
        form = replace(form, header="none", names=_names_of(names))
    return form
