"""The rows that an exported model is checked on: held-out rows of the run, and made-up ones.

Made-up rows combine typical values of each column with what models stumble over: missing values,
categories that training never saw, odd texts, dates that are none, and numbers beyond any range.
They are made from the encoding alone, so that they can be stored with the model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.columns.boolean import BooleanEncoder
from dlcli.columns.category import CategoryEncoder
from dlcli.columns.date_time import DatetimeEncoder
from dlcli.columns.image import ImageEncoder
from dlcli.columns.number import NumberEncoder
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.text import TextEncoder
from dlcli.config.data_section import MEMORY, Files
from dlcli.errors import DlcliError
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.datetime_parsing import UNIX_TICKS
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table
from dlcli.tables.time_formats import write_time

MADE_UP_ROWS = 64
_EXTREME = 1e30
_EXTREME_ROWS = 6
"""Rows with numbers beyond any range: less than a tenth of all, whose size others are compared by.
"""
_ODD_SHARE = 0.25
"""Share of the values of a column that are odd."""
_CATEGORIES = 200
"""Most categories of a column that made-up rows have."""
MOST_ROWS = 2_000
"""Most held-out rows that are checked."""
_ODD_TEXTS = (
    "",
    " ",
    "don’t STOP -- don't!!",
    "ＦＵＬＬ width ﬁ ½ Å",
    "漢字かな交じり文 ภาษาไทย",
    "Größe ΣΟΦΟΣ İstanbul e\u0301tude",
    "so\u00adft\u200bhyphen \U0001f600 'quoted' a''b",
    "line\nbreak\ttab",
)
_ODD_CATEGORIES = ("", "  ", "never seen ⁂", "漢字", "NA", "TRUE", "1.0", "-0")
_ODD_DATES = ("", "not a date", "2023-02-30", "2024-13-01", "20240101", "2024-01-01T25:00")


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
    for feature in predictor.encoding.features:
        notation = predictor.encoding.notations.get(feature.column, Notation())
        typical, odd = _values(feature, predictor.missing_words(feature.column), folder)
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


def _values(
    feature: FeatureEncoder, missing: Sequence[str], folder: Path
) -> tuple[list[Any], list[Any]]:
    """Return typical and odd values of a column."""
    if isinstance(feature, NumberEncoder):
        span = feature.high - feature.low or 1.0
        numbers = [feature.low + share * span for share in (0, 0.1, 0.25, 0.5, 0.77, 1)]
        numbers += feature.categories[:_CATEGORIES]
        odd = [None, 0.0, feature.low - span, feature.high + span, math.inf, 1e39, -1e38]
        return numbers, odd
    if isinstance(feature, BooleanEncoder):
        return [True, False], [None]
    if isinstance(feature, TextEncoder):
        tokens = [*feature.tokens[:: max(1, len(feature.tokens) // 40)]]
        typical = [" ".join(tokens[at : at + 7]) for at in range(0, len(tokens), 3)]
        shouted = [f"  {text.upper()}! {text}, and " for text in typical[:3]]
        return typical, [None, *_ODD_TEXTS, *shouted, *missing[:3]]
    if isinstance(feature, DatetimeEncoder):
        return _dates(feature)
    if isinstance(feature, ImageEncoder):
        return _images(feature, folder), []
    assert isinstance(feature, CategoryEncoder)
    typical = [*feature.categories[:_CATEGORIES]]
    return typical, [None, *_ODD_CATEGORIES, f" {typical[0]}\t", typical[-1].upper(), *missing[:3]]


def _dates(feature: DatetimeEncoder) -> tuple[list[Any], list[Any]]:
    span = feature.latest - feature.earliest
    shares = (0, 0.03, 0.2, 0.31, 0.5, 0.77, 0.9, 1)
    moments = [feature.earliest + span * share for share in shares]
    moments += [datetime(2024, 2, 29, 23, 59, 59), datetime(1900, 12, 31)]
    if ticks := UNIX_TICKS.get(feature.formats[0]):
        return [at.timestamp() * ticks for at in moments], [None, 1e30]
    written = [
        (at + timedelta(microseconds=at.microsecond % 10)).replace(tzinfo=None).isoformat()
        if format == "iso"
        else write_time(at, format)
        for at in moments
        for format in feature.formats
    ]
    return written, [None, *_ODD_DATES, f" {written[0]} "]


def _images(feature: ImageEncoder, folder: Path) -> list[Any]:
    from PIL import Image

    height, width, channels = feature.shape
    random, files = np.random.default_rng(0), []
    for at in range(3):
        pixels = random.integers(0, 256, (2 * height, 2 * width, channels), dtype=np.uint8)
        file = folder / f"{len(list(folder.iterdir()))}-{at}.png"
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file)
        files.append(str(file))
    return files
