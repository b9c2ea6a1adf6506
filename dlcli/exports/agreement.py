"""Comparison of an exported model's outputs with dlcli's, and the rows that are compared.

The rows are held-out rows of the run and synthetic rows. Synthetic rows combine typical values of
each column with difficult ones: missing values, unknown categories, unusual texts, invalid dates
and extreme numbers. They are generated from the encoding, not from the data, so they can be stored
with the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from dlcli.config.data_section import MEMORY, Files
from dlcli.errors import DlcliError
from dlcli.exports.model_interface import TOLERANCE, Arrays, columns_of
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.safe_files import Count, Document, FileDigest
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.databases import read_query
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table import Table

Margins = Callable[[NDArray[Any]], NDArray[np.float64]]
"""The margin of each row's decision, (rows,), by the probabilities of the classes."""

_FAR = 1e6
"""Minimum absolute value of an extreme prediction, relative to the 90th percentile."""
_CANCELED = 1e3
"""Maximum absolute value of terms that nearly cancel, relative to the largest prediction."""
_LARGE = 1e32
"""Absolute value of a sum above which some of its terms may overflow float32."""
SYNTHETIC_ROWS = 64
_EXTREME = 1e30
_EXTREME_ROWS = 6
"""Number of rows with extreme numbers: less than a tenth, so they don't determine the scale."""
_ODD_SHARE = 0.25
"""Share of unusual values in a column."""
MOST_ROWS = 2_000
"""Maximum number of held-out rows that are checked."""
_DECIDING = ("probabilities", "margin")
"""Outputs that determine the class."""


class Agreement(Document):
    """The comparison of an exported model's outputs with dlcli's outputs on some rows."""

    rows: Count
    absolute_difference: dict[str, float]
    """The largest absolute difference of each numeric output, in its unit."""
    relative_difference: dict[str, float]
    """The largest difference as a share of the output's scale: the 90th percentile of the output's
    absolute values, or the number's own absolute value if that is larger."""
    equal: dict[str, Count]
    """The number of rows with equal classes, labels or prediction sets, by output."""
    failures: tuple[Annotated[str, Field(min_length=1)], ...]
    """The outputs that differ, each with its difference; empty if the model agrees."""


class ExportDocument(Document):
    """The description of an export, and the result of its check: `export.json`."""

    format: str
    dlcli: str
    """Version of dlcli that wrote it."""
    run: str
    """Name of the run folder."""
    interval: float | None
    """The coverage of prediction intervals or prediction sets; None without held-out rows."""
    names: tuple[str, ...]
    """The classes or labels, in the order of probabilities."""
    quantized: bool = False
    """True if weights have 8 bits, so numbers differ more."""
    tolerance: float
    """Maximum accepted difference of a number, as a share of the output's scale."""
    checked: dict[str, Agreement]
    """The comparisons by kind of rows, such as `held-out rows`."""
    unchecked: str
    """The reason if only synthetic rows were checked; else empty."""
    files: dict[str, FileDigest]


def compare(
    expected: Arrays,
    computed: Arrays,
    tolerance: float = TOLERANCE,
    *,
    of_numbers: bool,
    margins: Margins | None = None,
) -> Agreement:
    """Compare the outputs of an exported model with dlcli's.

    Args:
        expected: dlcli's outputs.
        computed: the model's.
        tolerance: maximum difference of a number, as a share of the output's scale.
        of_numbers: whether the target is numeric, so outputs have the units of its columns.
        margins: the margins of the decision between classes, see `Task.margins`; omitted: of the
            most probable class.
    """
    largest: dict[str, float] = {}
    relative: dict[str, float] = {}
    equal: dict[str, int] = {}
    failures = []
    rows = len(next(iter(expected.values())))
    for name, wanted in expected.items():
        values = computed[name]
        if values.shape != wanted.shape:
            failures.append(f"{name}: has the shape {values.shape}, expected {wanted.shape}")
        elif np.issubdtype(wanted.dtype, np.floating):
            differences, scales = _differences(
                wanted.astype(np.float64), values, by_column=of_numbers
            )
            largest[name] = float(np.max(differences, initial=0))
            relative[name] = float(np.max(differences / scales, initial=0))
            if relative[name] > tolerance:
                share = f"{relative[name]:.1e} of its scale"
                failures.append(f"{name}: differs by up to {largest[name]:.3g}, {share}")
        else:
            same = (values == wanted).reshape(rows, -1).all(axis=1)
            equal[name] = int(same.sum())
            doubtful = _doubtful(name, expected, tolerance, margins)
            if not (same | doubtful).all():
                failures.append(f"{name}: differs in {int((~same & ~doubtful).sum())} rows")
    return Agreement(
        rows=rows,
        absolute_difference=largest,
        relative_difference=relative,
        equal=equal,
        failures=tuple(failures),
    )


def _differences(
    wanted: NDArray[np.float64], values: NDArray[Any], *, by_column: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return absolute differences and the scale of each number, of the same shape.

    The scale is the 90th percentile of absolute values, or the number's own absolute value if that
    is larger, because unusual rows may have extreme predictions. If a prediction exceeds the 90th
    percentile a million times, the scale is a thousand times the largest prediction: its terms
    nearly cancel, so few of its digits are correct. If float32 sums may overflow, a non-finite
    number equals any number as large, because the result depends on which sum overflows first. For
    probabilities, the largest one of each row replaces the absolute value, and an overflow affects
    all probabilities of the row.

    Args:
        wanted: dlcli's numbers, (rows,) or (rows, columns).
        values: the model's.
        by_column: whether columns have separate units, unlike probabilities.
    """
    most = float(np.finfo(np.float32).max)
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(values.astype(np.float64) - wanted)
    is_finite = np.isfinite(wanted) & np.isfinite(values)
    both_overflow = _may_overflow(wanted) & _may_overflow(values) & ~is_finite
    sizes = of_rows = np.abs(np.where(np.isfinite(wanted), wanted, 0.0))
    if not by_column and wanted.ndim == 2:
        both_overflow = both_overflow.any(axis=1, keepdims=True)
        of_rows = np.max(sizes, axis=1)
    differences = np.where((values == wanted) | both_overflow, 0.0, differences)
    typical, largest = np.quantile(of_rows, 0.9, axis=0), np.max(of_rows, axis=0, initial=0.0)
    typical = np.maximum(typical, 1e-30)
    # The result becomes JSON, which has no infinity.
    known = np.asarray(np.nan_to_num(differences, nan=most, posinf=most))
    is_far = sizes > _FAR * typical
    with np.errstate(over="ignore"):
        scales = np.where(is_far, _CANCELED * largest, np.maximum(sizes, typical))
    return known, scales


def _may_overflow(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask of non-finite numbers and of sums whose terms may overflow float32."""
    return np.asarray(~(np.abs(values) < _LARGE))


def _doubtful(
    name: str, expected: Arrays, tolerance: float, margins: Margins | None
) -> NDArray[np.bool_]:
    """Return the mask of rows whose class or set may change within the tolerance, (rows,)."""
    rows = len(expected[name])
    scores = next((expected[each] for each in _DECIDING if each in expected), None)
    if scores is None:
        return np.zeros(rows, dtype=np.bool_)
    if scores.ndim == 1:
        return np.asarray(np.abs(scores) <= 2 * tolerance)
    if name == "prediction_set":
        # All rows have the same threshold, which lies between the scores in and outside the sets.
        members = expected[name]
        low = np.max(np.where(members, -np.inf, scores), initial=-np.inf)
        high = np.min(np.where(members, scores, np.inf), initial=np.inf)
        near = (np.abs(scores - low) <= tolerance) | (np.abs(scores - high) <= tolerance)
        return np.asarray(near.any(axis=1))
    if expected[name].ndim == 2:  # labels
        return np.asarray((np.abs(scores - 0.5) <= 2 * tolerance).any(axis=1))
    if margins is not None:
        return np.asarray(margins(scores) <= tolerance)
    ordered = np.sort(scores, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2] <= 2 * tolerance)


# The rows


def held_out_rows(run: Run, predictor: Predictor) -> tuple[Table | None, str]:
    """Read held-out rows, or training rows if there are none.

    Returns:
        At most `MOST_ROWS` rows, and their kind: `held-out rows`. `None` and the reason if the data
        can no longer be read.
    """
    data, file = predictor.config.data, run.config_file
    key = next((key for key in ("test", "validation") if getattr(data, key) is not None), "train")
    given = getattr(data, key)
    is_share = isinstance(given, float)
    files: Files = data.train if is_share else given
    if files == MEMORY:
        return None, "the run's table was in memory"
    try:
        if isinstance(files, DatabaseQuery):
            table = predictor.read(read_query(file.locate_query(files)))
        else:
            table = predictor.read(file.locate_files(files))
    except DlcliError as error:
        return None, str(error)
    rows = np.arange(table.rows)
    if is_share:
        stored = run.required_predictions.table
        of_split = stored.filter(pc.equal(stored["split"], key))
        rows = np.flatnonzero(_are_stored(table, of_split))
    kind = "training rows" if key == "train" else "held-out rows"
    if not len(rows):
        return None, f"{table.file} no longer contains the run's {kind}"
    return table.take(rows[:MOST_ROWS]), kind


def _are_stored(table: Table, stored: pa.Table) -> NDArray[np.bool_]:
    """Return the mask of a table's rows that are in stored predictions, (rows,).

    Stored and current paths of a file may differ, because the run may have been trained from
    another folder. So the file whose path has the longest end in common with a stored path is used.
    """
    if "file" not in stored.column_names:
        return np.isin(table.row_numbers, stored["row"].to_numpy())
    paths = [name.split("/")[::-1] for name in table.files or (table.file,)]
    numbers = table.file_numbers if table.file_numbers is not None else np.zeros(table.rows)
    found = np.zeros(table.rows, bool)
    for name in stored["file"].unique().to_pylist():
        path = name.split("/")[::-1]
        common = [len(os.path.commonprefix([path, each])) for each in paths]
        rows = stored.filter(pc.equal(stored["file"], name))["row"].to_numpy()
        found |= (numbers == np.argmax(common)) & np.isin(table.row_numbers, rows)
    return found


def synthetic_rows(predictor: Predictor, folder: Path, *, has_extremes: bool = True) -> Table:
    """Return synthetic rows of typical and unusual values.

    Args:
        predictor: the predictor of the run.
        folder: an empty folder, for images.
        has_extremes: whether some numbers are far outside the training range.
    """
    random = np.random.default_rng(0)
    columns = {}
    for feature, notation in columns_of(predictor):
        missing = predictor.missing_words(feature.column)
        typical, odd = feature.check_values(missing, folder)
        extreme = [each for each in odd if isinstance(each, float) and abs(each) >= _EXTREME]
        odd = [each for each in odd if each not in extreme]
        values = []
        for at in range(SYNTHETIC_ROWS):
            pool = odd if odd and random.random() < _ODD_SHARE else typical
            if has_extremes and extreme and at < _EXTREME_ROWS and random.random() < 1 / 2:
                pool = extreme
            values.append(pool[random.integers(len(pool))])
        if notation.needs_unit:
            values = [None if each is None else f"{each} {notation.unit}" for each in values]
        columns[feature.column] = pa.array(values)
    return predictor.read(memory_table(pa.table(columns)))
