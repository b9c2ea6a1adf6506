"""Checks of function arguments, whose messages name the argument; progress in notebooks."""

from __future__ import annotations

import inspect
import operator
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from html import escape
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from dlcli.config.data_section import MEMORY, Data
from dlcli.errors import DataWarning, UsageError, local_path_advice, shown_argument
from dlcli.pipeline import events
from dlcli.reports import formatting as fmt
from dlcli.schema.urls import Location
from dlcli.tables.database_locations import locate_data, rows_of
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.source_files import locate_table
from dlcli.tables.table_formats import TableFormat
from dlcli.tracking.tracked_events import tracked
from dlcli.tracking.tracker import Tracker

Progress = bool | events.Listener | None
Trackers = str | Tracker | Sequence[str | Tracker]

_COLUMNS = "the name of a column or a list of them"
_SECONDS_BETWEEN = 0.2
"""Minimum time between two updates of the display."""
_STYLE = '<div style="font-family: monospace; white-space: pre">'
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


def _require(is_valid: bool, name: str, expected: str, value: object, got: str = "") -> None:
    """Raise `UsageError` if an argument is invalid.

    Args:
        is_valid: whether the argument is valid.
        name: the name of the argument.
        expected: the expected value, in words.
        value: the value of the argument.
        got: a description to show instead of the value.
    """
    if not is_valid:
        raise UsageError(f"{name}: expected {expected}, got {got or shown_argument(value)}")


def check_level(interval: float) -> None:
    """Raise `UsageError` for a level that is not between 0 and 1."""
    is_share = isinstance(interval, Real) and 0 < interval < 1
    _require(is_share, "interval", "a share between 0 and 1", interval)


def check_frequencies(name: str, frequencies: object) -> None:
    """Raise `UsageError` unless an argument maps classes to shares between 0 and 1."""
    is_valid = isinstance(frequencies, Mapping) and all(
        isinstance(key, str) and isinstance(share, Real) and 0 < float(share) < 1
        for key, share in frequencies.items()
    )
    expected = "a mapping from classes to shares between 0 and 1"
    _require(is_valid and bool(frequencies), name, expected, frequencies)


def check_tolerance(tolerance: float | None) -> None:
    """Raise `UsageError` for a tolerance below 0, or of 1 or more."""
    is_share = tolerance is None or (isinstance(tolerance, Real) and 0 <= tolerance < 1)
    _require(is_share, "tolerance", "a share of at least 0 and below 1", tolerance)


def check_columns(name: str, columns: object) -> None:
    """Raise `UsageError` if an argument is neither a column name nor several."""
    several = columns if isinstance(columns, list | tuple) else [columns]
    is_valid = bool(several) and all(isinstance(each, str) for each in several)
    _require(is_valid, name, _COLUMNS, columns, type(columns).__name__)


def column_names(name: str, columns: object) -> tuple[str, ...]:
    """Return an argument with one, several or no column names as a tuple.

    Raises:
        UsageError: for anything else.
    """
    several = (columns,) if isinstance(columns, str) else columns
    names = tuple(several) if isinstance(several, Iterable) else (several,)
    is_valid = all(isinstance(each, str) for each in names)
    _require(is_valid, name, _COLUMNS, columns, type(columns).__name__)
    return names


def class_name(name: str, value: Any) -> Any:  # noqa: ANN401
    """Return the name of a class, an integer or a boolean; NumPy scalars are converted.

    Raises:
        UsageError: for anything else but `None`.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    _require(plain is None or isinstance(plain, str | int), name, "the name of a class", value)
    return plain


def database_url(name: str, value: Any) -> str | None:  # noqa: ANN401
    """Return the URL of a database, or `None`.

    Raises:
        UsageError: for anything else.
    """
    is_valid = value is None or isinstance(value, str)
    _require(is_valid, name, "the URL of a database", value, type(value).__name__)
    url: str | None = value
    return url


def integer(name: str, value: Any, low: int, high: int) -> int:  # noqa: ANN401
    """Return an integer in a range; NumPy integers are converted.

    Args:
        name: the name of the argument.
        value: the value of the argument.
        low: the smallest allowed value.
        high: the largest allowed value.

    Raises:
        UsageError: for anything else.
    """
    number = low - 1
    with suppress(TypeError):
        number = operator.index(value)
    _require(low <= number <= high, name, f"an integer from {low} to {high:,}", value)
    return number


def job_count(jobs: Any) -> int:  # noqa: ANN401
    """Return a number of processes.

    Raises:
        UsageError: if it is not one.
    """
    return integer("jobs", jobs, 1, 1024)


def boolean(name: str, value: Any) -> bool:  # noqa: ANN401
    """Return `True` or `False`; NumPy booleans are converted.

    Raises:
        UsageError: for anything else.
    """
    is_valid = isinstance(value, Real | np.bool_) and value in (True, False)
    _require(is_valid, name, "True or False", value)
    return bool(value)


def overrides_of(overrides: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return overrides, or an empty mapping for `None`.

    Raises:
        UsageError: if they are not a mapping from paths to values.
    """
    found, got = {} if overrides is None else overrides, ""
    if not isinstance(found, Mapping):
        got = type(found).__name__
    elif others := [each for each in found if not isinstance(each, str)]:
        got = f"the key {others[0]!r}"
    _require(not got, "overrides", "a mapping such as {'epochs': 3}", found, got)
    return found


def output_path(output: str | os.PathLike[str]) -> Path:
    """Return the path of a file or folder to create.

    Raises:
        UsageError: for a URL, or a value that is not a path.
    """
    is_path = isinstance(output, str | os.PathLike)
    _require(is_path, "output", "a path", output, type(output).__name__)
    location = locate_table(os.fspath(output))
    if not isinstance(location, Path):
        raise UsageError(local_path_advice(location))
    return location


def table_source(
    data: object, sql: str | None = None, target: str | Sequence[str] | None = None
) -> Location | MemoryTable:
    """Return the path or URL of a table, or the table in memory, such as the rows of a database.

    Args:
        data: a table, or the path or URL of a table or of a database.
        sql: the query of a database.
        target: columns of the table that an error about several tables proposes.

    Raises:
        UsageError: for a URL with a secret, or a database with several tables without a query.
        DataError: for data that are not a table.
    """
    _require(sql is None or isinstance(sql, str), "sql", "a query", sql)
    if isinstance(data, str | Path):
        columns = (target,) if isinstance(target, str) else target or ()
        return rows_of(locate_data(data), sql, columns)
    if sql is not None:
        raise UsageError("sql: is the query of a database, but data is a table")
    return memory_table(data)


def table_format(source: Location | MemoryTable, **layout: object) -> TableFormat:
    """Return the format of a file.

    Args:
        source: the table.
        **layout: the keys of `data` for the format of text and workbooks; `None` for the default.

    Raises:
        UsageError: for an invalid value, or a table that is not a file.
    """
    given = {name: value for name, value in layout.items() if value is not None}
    if not given:
        return TableFormat()
    if isinstance(source, MemoryTable):
        raise UsageError(f"{next(iter(given))}: applies to files, but data is not a file")
    if "delimiter" in given:
        given["format"] = {"name": "csv", "delimiter": given.pop("delimiter")}
    if "names" in given:
        given["names"] = column_names("names", given["names"])
        given.setdefault("header", "none")
    try:
        form = Data.model_validate({"train": MEMORY, "target": MEMORY, **given}).table_format
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][-1]}: {first['msg']}") from None
    return replace(form, absent=())


# Warnings and progress


def warn(message: str) -> None:
    """Issue a warning at the line that called dlcli."""
    files = [each.filename for each in inspect.stack(context=0)]
    inside = [level for level, file in enumerate(files, 1) if file.startswith(_PACKAGE)]
    warnings.warn(message, DataWarning, stacklevel=max(inside, default=0) + 1)


@contextmanager
def listening(progress: Progress, trackers: Trackers = ()) -> Iterator[events.Listener]:
    """Return a listener that issues Python warnings and shows progress if requested.

    Args:
        progress: see `dlcli.train`.
        trackers: see `dlcli.train`.
    """
    if callable(progress):
        pass_on: events.Listener = progress
        display = None
    else:
        if progress and not is_notebook():
            raise UsageError(
                "progress=True works in notebooks only; elsewhere, pass a function of events"
            )
        is_wanted = is_notebook() if progress is None else progress
        display = _Display() if is_wanted else None
        pass_on = display.show if display else events.ignore

    def listen(event: events.Event) -> None:
        if isinstance(event, events.WarningEvent):
            warn(event.message)
        pass_on(event)

    several = _tracker_list(trackers)
    try:
        with tracked(several, listen) as listener:
            yield listener
    finally:
        if display:
            display.close()


def _tracker_list(trackers: Any) -> tuple[str | Tracker, ...]:  # noqa: ANN401
    """Return one or several trackers or names of trackers as a tuple."""
    several = (trackers,) if isinstance(trackers, str | Tracker) else trackers
    is_valid = isinstance(several, Iterable)
    several = tuple(several) if is_valid else ()
    is_valid &= all(isinstance(each, str | Tracker) for each in several)
    expected = "names of trackers, or objects of subclasses of dlcli.Tracker"
    _require(is_valid, "trackers", expected, trackers, type(trackers).__name__)
    return several


def is_notebook() -> bool:
    """Return whether the program runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


class _Display:
    """A progress line that is updated in place."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._count = fmt.EpochCount()
        self._html = HTML
        self._handle = display(HTML(""), display_id=True)
        self._shown = 0.0
        self._latest = ""

    def show(self, event: events.Event) -> None:
        """Show an event, at most once per interval."""
        self._count.add(event)
        if (line := progress_html(event, self._count)) is None:
            return
        self._latest = line
        if time.monotonic() - self._shown >= _SECONDS_BETWEEN:
            self._update(line)

    def close(self) -> None:
        """Show the last event."""
        self._update(self._latest)

    def _update(self, line: str) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(line))


def progress_html(event: events.Event, count: fmt.EpochCount) -> str | None:
    """Return the line of an event; `None` if it shows no progress."""
    if isinstance(event, events.EpochEvent):
        bar = f'<progress value="{count.done}" max="{count.total}"></progress>'
        return f"{_STYLE}{bar} {escape(fmt.epoch_line(event))}</div>"
    line = fmt.progress_line(event)
    return None if line is None else f"{_STYLE}{escape(line)}</div>"
