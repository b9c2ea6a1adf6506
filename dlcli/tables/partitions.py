"""Partitioned folders of Parquet files, whose names give columns: `year=2024/month=03/x.parquet`.

These are the folders that Hive, Spark, pandas and Arrow write. As in CSV, the values are text until
it is known what a column is: so `03` may be a number or a category.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

from dlcli.errors import DataError, listed

Partition = tuple[tuple[str, str | None], ...]
"""Columns and their values, None where they are missing, of all rows of a file."""
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_PARQUET = (".parquet", ".pq")
ONLY_PARQUET = "of folders with names such as 'year=2024', only Parquet files are read"
"""The advice for a folder with such names and other files."""


def partitions(names: Iterable[str], folder: str) -> list[tuple[str, Partition]]:
    """Return the files of a partitioned folder, each with its partition; none of any other folder.

    Args:
        names: all files below the folder, relative to it.
        folder: its name in messages.

    Raises:
        DataError: for a file that is partitioned by other columns than the first one.
    """
    found = []
    for name in names:
        *folders, file = name.split("/")
        is_hidden = any(part.startswith(("_", ".")) for part in (*folders, file))
        if not is_hidden and PurePosixPath(file).suffix.lower() in _PARQUET:
            found.append((name, tuple(filter(None, map(_key_and_value, folders)))))
    if not any(partition for _, partition in found):
        return []
    first, expected = found[0][0], [key for key, _ in found[0][1]]
    for name, partition in found:
        if (keys := [key for key, _ in partition]) != expected:
            columns = [listed(each) if each else "no column" for each in (keys, expected)]
            message = f"is partitioned by {columns[0]}, and {first} by {columns[1]}"
            raise DataError(message, file=f"{folder.rstrip('/')}/{name}")
    return found


def _key_and_value(folder: str) -> tuple[str, str | None] | None:
    key, sign, value = folder.partition("=")
    if not (key and sign):
        return None
    return unquote(key), None if value == _MISSING else unquote(value)
