"""Checks of arguments, whose messages name the argument, what was expected and what came."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.errors import UsageError, local_path_advice, shown_argument
from dlcli.schema.urls import Location
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.source_files import locate_table

_MOST_JOBS = 1024


def check_level(interval: float) -> None:
    """Raise `UsageError` for a level of intervals that is no share between 0 and 1."""
    if not isinstance(interval, Real) or not 0 < interval < 1:
        raise UsageError(
            f"interval: expected a share between 0 and 1, got {shown_argument(interval)}"
        )


def check_tolerance(tolerance: float | None) -> None:
    """Raise `UsageError` for an accepted difference that is no share from 0 to below 1."""
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 <= tolerance < 1):
        got = shown_argument(tolerance)
        raise UsageError(f"tolerance: expected a share from 0 to below 1, got {got}")


def check_columns(name: str, columns: object) -> None:
    """Raise `UsageError` for an argument that is neither the name of a column nor several."""
    several = columns if isinstance(columns, list | tuple) else [columns]
    if not several or not all(isinstance(each, str) for each in several):
        raise _no_columns(name, columns)


def column_names(name: str, columns: object) -> tuple[str, ...]:
    """Return the names of columns: of one, of several or of none.

    Raises:
        UsageError: for anything else.
    """
    several = (columns,) if isinstance(columns, str) else columns
    names = tuple(several) if isinstance(several, Iterable) else (several,)
    if not all(isinstance(each, str) for each in names):
        raise _no_columns(name, columns)
    return names


def _no_columns(name: str, columns: object) -> UsageError:
    kind = type(columns).__name__
    return UsageError(f"{name}: expected the name of a column or a list of them, got {kind}")


def class_name(name: str, value: Any) -> Any:  # noqa: ANN401
    """Return the name of a class, or the integer or truth value that it is, also of NumPy.

    Raises:
        UsageError: for anything else but `None`.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or isinstance(plain, str | int):
        return plain
    raise UsageError(f"{name}: expected the name of a class, got {shown_argument(value)}")


def database_url(name: str, value: Any) -> str | None:  # noqa: ANN401
    """Return the URL of a database, if there is one.

    Raises:
        UsageError: for anything else.
    """
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"{name}: expected the URL of a database, got {type(value).__name__}")


def integer(name: str, value: Any, low: int, high: int) -> int:  # noqa: ANN401
    """Return an integer in a range, also one of NumPy, as Python's.

    Args:
        name: of the argument.
        value: of the argument.
        low: the smallest.
        high: the largest.

    Raises:
        UsageError: for anything else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        message = f"expected an integer from {low} to {high:,}, got {shown_argument(value)}"
        raise UsageError(f"{name}: {message}")
    return number


def job_count(jobs: Any) -> int:  # noqa: ANN401
    """Return a number of processes.

    Raises:
        UsageError: if it is not one.
    """
    return integer("jobs", jobs, 1, _MOST_JOBS)


def boolean(name: str, value: Any) -> bool:  # noqa: ANN401
    """Return `True` or `False`, also of NumPy, as Python's.

    Raises:
        UsageError: for anything else.
    """
    if not isinstance(value, Real | np.bool_) or value not in (True, False):
        raise UsageError(f"{name}: expected True or False, got {shown_argument(value)}")
    return bool(value)


def overrides_of(overrides: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return overrides, or an empty mapping for none.

    Raises:
        UsageError: if they are no mapping of paths.
    """
    if overrides is None:
        return {}
    if not isinstance(overrides, Mapping):
        got = type(overrides).__name__
    elif others := [each for each in overrides if not isinstance(each, str)]:
        got = f"the key {others[0]!r}"
    else:
        return overrides
    raise UsageError(f"overrides: expected a mapping such as {{'epochs': 3}}, got {got}")


def output_path(output: str | os.PathLike[str]) -> Path:
    """Return the path at which a file or folder is to be written.

    Raises:
        UsageError: for a URL, or what is no path.
    """
    if not isinstance(output, str | os.PathLike):
        raise UsageError(f"output: expected a path, got {type(output).__name__}")
    location = locate_table(os.fspath(output))
    if not isinstance(location, Path):
        raise UsageError(local_path_advice(location))
    return location


def table_source(data: object) -> Location | MemoryTable:
    """Return the path or URL of a table, or the table in memory.

    Raises:
        UsageError: for a URL with a secret.
        DataError: for something that is no table.
    """
    return locate_table(data) if isinstance(data, str | Path) else memory_table(data)
