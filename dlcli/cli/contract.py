"""What differed from training, told after prediction."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dlcli.cli.narration import warn
from dlcli.cli.options import BadRows
from dlcli.cli.sink import sink
from dlcli.encoding import Encoding, Findings, differences
from dlcli.encoding.findings import BadRow
from dlcli.prediction.rejection import rejected_rows
from dlcli.prediction.writing import choose_format, write_rows
from dlcli.table import Table

_MOST_LINES = 12
_SHOWN_ROWS = 3


def tell_contract(
    encoding: Encoding,
    findings: Findings,
    table: Table,
    bad_rows: BadRows,
    *,
    as_json: bool = False,
) -> None:
    """Tells on standard error of bad rows, and how all rows differ from those of training.

    Args:
        encoding: fitted on training rows.
        findings: what encoding the rows found.
        table: the rows.
        bad_rows: what became of rows with a value that can't be used.
        as_json: whether to print one JSON object instead.
    """
    if as_json:
        rejected = len(findings.bad_indices) if bad_rows.rejected else 0
        document = {"rows": table.rows, "rejected": rejected, **summary(encoding, findings)}
        click.echo(json.dumps(document, allow_nan=False), err=True)
        return
    _tell_bad_rows(table, findings, bad_rows.rejected)
    lines = [line for each in differences(encoding, findings) for line in each.lines()]
    warn(table.file, lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        rest = len(lines) - _MOST_LINES
        warn(table.file, [f"{rest} more differences from training; --json lists all"])


def summary(encoding: Encoding, findings: Findings) -> dict[str, object]:
    """How rows differ from those of training, for JSON."""
    found = {each.column: each.to_json() for each in differences(encoding, findings)}
    return {"bad_rows": len(findings.bad_indices), "differences": found}


def write_rejected(table: Table, findings: Findings, path: Path) -> None:
    """Writes the rows with values that can't be used to a new file.

    Raises:
        UsageError: for a file that can't be made, or whose ending names no format.
    """
    form = choose_format(None, path)
    with sink(path) as stream:
        write_rows(rejected_rows(table, findings), form, stream)


def _tell_bad_rows(table: Table, findings: Findings, rejected: Path | None) -> None:
    if not findings.bad_rows:
        return
    shown = [_described(table, bad) for bad in findings.bad_rows[:_SHOWN_ROWS]]
    count = len(findings.bad_indices)
    rows = "1 row holds a value" if count == 1 else f"{count} rows hold values"
    done = "counted as missing" if rejected is None else f"rejected to {rejected}"
    more = "; ..." if len(findings.bad_rows) > _SHOWN_ROWS else ""
    warn(table.file, [f"{rows} that can't be used, {done}: {'; '.join(shown)}{more}"])


def _described(table: Table, bad: BadRow) -> str:
    file, row = table.where(bad.index)
    where = f"{file}: row {row}" if table.files else f"row {row}"
    return f"{where}, column '{bad.column}': {bad.reason}"
