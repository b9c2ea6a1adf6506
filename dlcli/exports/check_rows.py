"""The rows that an exported model is checked on: held-out rows of the run, and made-up ones.

Made-up rows combine typical values of each column with what models stumble over: missing values,
categories that training never saw, odd texts, dates that are none, and numbers beyond any range.
They are made from the encoding alone, so that they can be stored with the model.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.config.data_section import MEMORY, Files
from dlcli.errors import DlcliError
from dlcli.exports.model_interface import columns_of
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table import Table

MADE_UP_ROWS = 64
_EXTREME = 1e30
_EXTREME_ROWS = 6
"""Rows with numbers beyond any range: less than a tenth of all, whose size others are compared by.
"""
_ODD_SHARE = 0.25
"""Share of the values of a column that are odd."""
MOST_ROWS = 2_000
"""Most held-out rows that are checked."""


def held_out_rows(run: Run, predictor: Predictor) -> tuple[Table | None, str]:
    """Read rows that were held out of training, or training rows where there are none.

    Returns:
        At most `MOST_ROWS` rows, and what they are: `held-out rows`. `None` and the reason if the
        data can't be read any more.
    """
    data, file = predictor.config.data, run.config_file
    key = next((key for key in ("test", "validation") if getattr(data, key) is not None), "train")
    given = getattr(data, key)
    is_share = isinstance(given, float)
    files: Files = data.train if is_share else given
    if files == MEMORY:
        return None, "the run's table was in memory"
    try:
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
        return None, f"{table.file} has none of the run's {kind} any more"
    return table.take(rows[:MOST_ROWS]), kind


def _are_stored(table: Table, stored: pa.Table) -> NDArray[np.bool_]:
    """Return whether stored predictions have each row of a table, (rows,).

    Of several files, the one with most of its path in common is meant, from its name upward, as the
    run may have been trained from another folder.
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


def made_up_rows(predictor: Predictor, folder: Path, *, has_extremes: bool = True) -> Table:
    """Return rows of typical and odd values.

    Args:
        predictor: of the run.
        folder: an empty folder, for images.
        has_extremes: whether some numbers are far beyond the training rows' range.
    """
    random = np.random.default_rng(0)
    columns = {}
    for feature, notation in columns_of(predictor):
        missing = predictor.missing_words(feature.column)
        typical, odd = feature.check_values(missing, folder)
        extreme = [each for each in odd if isinstance(each, float) and abs(each) >= _EXTREME]
        odd = [each for each in odd if each not in extreme]
        values = []
        for at in range(MADE_UP_ROWS):
            pool = odd if odd and random.random() < _ODD_SHARE else typical
            if has_extremes and extreme and at < _EXTREME_ROWS and random.random() < 1 / 2:
                pool = extreme
            values.append(pool[random.integers(len(pool))])
        if notation.needs_unit:
            values = [None if each is None else f"{each} {notation.unit}" for each in values]
        columns[feature.column] = pa.array(values)
    return predictor.read(memory_table(pa.table(columns)))
