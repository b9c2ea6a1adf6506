"""What differed from training, told after prediction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from dlcli.cli.narration import warn
from dlcli.cli.options import BadRows
from dlcli.cli.sink import sink
from dlcli.encoding import Encoding, difference_lines, find_differences
from dlcli.errors import DataError
from dlcli.prediction import choose_format, rejected_rows, write_rows
from dlcli.preprocessing import BadRow, Mask, ValueIssues
from dlcli.tables import Table

_SHOWN_ROWS = 3
_WAY_ON = (
    "hint: --on-bad-row warn goes on without such values, "
    "--on-bad-row reject --rejected FILE without their rows"
)


class ExplainedIssues(ValueIssues):
    """ValueIssues whose errors say how to go on without the values that can't be used."""

    def refuse(
        self, wrong: Mask, table: Table, column: str, complaint: Callable[[int], str]
    ) -> None:
        """Refuses values, as all issues do.

        Raises:
            DataError: with a note on the command line's options.
        """
        try:
            super().refuse(wrong, table, column, complaint)
        except DataError as error:
            error.add_note(_WAY_ON)
            raise


def tell_contract(
    encoding: Encoding, issues: ValueIssues, table: Table, bad_rows: BadRows, left_out: int = 0
) -> None:
    """Tells on standard error of bad rows, and how all rows differ from those of training.

    Args:
        encoding: fitted on training rows.
        issues: what encoding the rows found.
        table: the rows.
        bad_rows: what became of rows with a value that can't be used.
        left_out: how many of these no scores were taken from.
    """
    _tell_bad_rows(table, issues, bad_rows.rejected, left_out)
    for line in difference_lines(find_differences(encoding, issues)):
        warn(table.file, [f"{line.text}; --json lists all" if line.rest else line.text])


def summary(encoding: Encoding, issues: ValueIssues) -> dict[str, object]:
    """How rows differ from those of training, for JSON; all counts are of rows.

    Returns:
        `bad_rows`, with a value that can't be used; and `differences`, an object for each column
        that has any of: `unreadable`; `unseen`, with the rows of the most frequent
        `unseen_values`; `outside` the `training_range`, of two numbers or ISO 8601 dates;
        `wordless`; `missing`, with `missing_share` and `training_missing_share`.
    """
    found = {each.column: each.to_json() for each in find_differences(encoding, issues)}
    return {"bad_rows": len(issues.bad_indices), "differences": found}


def write_rejected(table: Table, issues: ValueIssues, path: Path) -> None:
    """Writes the rows with values that can't be used to a new file.

    Raises:
        UsageError: for a file that can't be made, or whose ending names no format.
    """
    form = choose_format(None, path)
    with sink(path) as stream:
        write_rows(rejected_rows(table, issues), form, stream)


def _tell_bad_rows(table: Table, issues: ValueIssues, rejected: Path | None, left_out: int) -> None:
    count = len(issues.bad_indices)
    if not count:
        return
    bad = [_described(table, each) for each in islice(issues.bad_rows(), _SHOWN_ROWS + 1)]
    shown = [*bad[:_SHOWN_ROWS], *["..."] * (len(bad) > _SHOWN_ROWS)]
    rows = "1 row holds a value" if count == 1 else f"{count} rows hold values"
    done = _done(count, rejected, left_out)
    warn(table.file, [f"{rows} that can't be used, {done}: {'; '.join(shown)}"])


def _done(count: int, rejected: Path | None, left_out: int) -> str:
    """What became of bad rows."""
    if rejected is not None:
        return f"rejected to {rejected}"
    if not left_out:
        return "counted as missing"
    if left_out == count:
        return "left out of the scores"
    return f"{left_out} of them left out of the scores, and the others' counted as missing"


def _described(table: Table, bad: BadRow) -> str:
    file, row = table.where(bad.index)
    where = f"{file}: row {row}" if table.files else f"row {row}"
    return f"{where}, column '{bad.column}': {bad.reason}"
