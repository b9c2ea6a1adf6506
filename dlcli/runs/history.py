"""The history as CSV: one row an epoch, and no times, so that equal runs have equal files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcli.runs.storage import damaged


def dump_history(columns: Mapping[str, Sequence[float]]) -> str:
    """Writes a row per epoch, each number with as few digits as give it back exactly.

    Args:
        columns: what was measured at each epoch, by name; all of one length.

    Returns:
        CSV with the epoch, counted from 1, before the other columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *columns])
    for epoch, row in enumerate(zip(*columns.values(), strict=True), start=1):
        writer.writerow([epoch, *(repr(float(value)) for value in row)])
    return text.getvalue()


def parse_history(content: bytes, file: Path) -> dict[str, list[float]]:
    """Reads what `dump_history` has written.

    Args:
        content: the bytes of the file.
        file: where it lies, for messages.

    Raises:
        RunError: for anything else.
    """
    try:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        epochs, *columns = _columns(header, rows)
    except (ValueError, csv.Error) as error:
        raise damaged(file, f"is no table of numbers: {error}") from None
    names = header[1:]
    if header[0] != "epoch" or epochs != list(range(1, len(rows) + 1)):
        raise damaged(file, "does not count its epochs from 1")
    if len(set(names)) < len(names):
        raise damaged(file, "has two columns of one name")
    return dict(zip(names, columns, strict=True))


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[float]]:
    """The values below each name.

    Raises:
        ValueError: for a row of another length than the header, or a field that is no number.
    """
    numbers = [[float(field) for _, field in zip(header, row, strict=True)] for row in rows]
    return [[row[place] for row in numbers] for place in range(len(header))]
