"""Tables of every feature type with every encoding, and odd values in them, for hypothesis."""

from __future__ import annotations

import os
from datetime import datetime

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical, Embedding, MostFrequentCategory
from dlcli.columns.date_time import Datetime
from dlcli.columns.image import Image
from dlcli.columns.number import ConstantValue, MeanImputation, Numeric
from dlcli.columns.numeric_encodings import (
    Direct,
    Periodic,
    PeriodicLinear,
    PiecewiseLinear,
    Varied,
)
from dlcli.columns.scaling import Divide, Log1p, MinMax, Quantile, Robust, Standard, Unscaled
from dlcli.columns.text import Count, MultiHot, Text, TfIdf
from dlcli.config.data_section import Input, Target
from dlcli.encoding.column_types import decide_types
from dlcli.encoding.table_encoding import fit_encoding
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task

EXAMPLES = int(os.environ.get("DLCLI_FUZZ", "4"))
"""Tables that hypothesis draws for a test."""
LETTERS = "abAZßİıſŒéñ漢字กि\u0301\u200b\u00ad😀'’\"_-,;|\t\n 0.1"
MANY_PARTS = ("year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second")

NUMBERS = st.floats(-1e30, 1e30) | st.sampled_from([0.0, -0.0, 5e-324, 0.1, 2**53 + 1.0, -999.0])
FEW_NUMBERS = st.integers(-3, 3).map(float) | st.sampled_from([1e6, 0.5])
COUNTS = st.floats(0, 1e12) | st.just(0.0)
WORDS = st.sampled_from(["red", "Red", " red ", "7", "007", "True", "1.0", "NA", "é", "e\u0301"])
WORDS_IN_ORDER = st.sampled_from(["red", "Red", " red ", "7", "True", "é"])
TEXTS = st.text(LETTERS, max_size=12)
SENTENCES = st.lists(WORDS | TEXTS, max_size=6).map(" ".join)
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
ISO = MOMENTS.map(datetime.isoformat)
WRITTEN = MOMENTS.map(lambda at: at.strftime("%d.%m.%Y %H:%M")) | ISO.map(lambda at: f"{at}+05:30")
SECONDS = st.integers(-(2**31), 2**31)
FILES = st.sampled_from(["gray.png", "color.png", "damaged.png", "absent.png"])

VARIED = Varied(
    encodings=(Direct(), PiecewiseLinear(bins=3), PeriodicLinear(units=3), PiecewiseLinear(bins=1))
)
FEATURES = {
    "standard": (Numeric(scaling=Standard()), NUMBERS),
    "robust": (Numeric(scaling=Robust(limit=2.0), missing=MeanImputation()), NUMBERS),
    "min max": (Numeric(scaling=MinMax(), missing=ConstantValue(value=3.0)), NUMBERS),
    "quantile": (Numeric(scaling=Quantile(quantiles=4)), NUMBERS),
    "log": (Numeric(scaling=Log1p()), COUNTS),
    "divide": (Numeric(scaling=Divide(by=3.0)), NUMBERS),
    "none": (Numeric(scaling=Unscaled()), NUMBERS),
    "bins": (Numeric(encoding=PiecewiseLinear(bins=3)), NUMBERS),
    "waves": (Numeric(encoding=Periodic(frequencies=2)), NUMBERS),
    "maps of waves": (Numeric(encoding=PeriodicLinear(frequencies=2, units=3)), NUMBERS),
    "varied": (Numeric().model_copy(update={"encoding": VARIED}), NUMBERS),
    "amount": (Numeric(scaling=Standard(), one_hot_values=2), FEW_NUMBERS | st.just(-0.0)),
    "binned": (Numeric(encoding=PiecewiseLinear(bins=2), one_hot_values=9), FEW_NUMBERS),
    "größe=漢": (Categorical(), WORDS | TEXTS),
    "rare": (Categorical(max_categories=2, missing=MostFrequentCategory()), WORDS),
    "number": (Categorical(), FEW_NUMBERS),
    "table": (Categorical(encoding=Embedding(units=2), max_categories=3), WORDS),
    "size": (Categorical(order=("7", "red", "é", "Red", "true")), WORDS_IN_ORDER),
    "flag": (Boolean(), st.booleans()),
    "multi hot": (Text(encoding=MultiHot(ngrams=2)), SENTENCES),
    "count": (Text(encoding=Count(max_tokens=5)), SENTENCES),
    "tf idf": (Text(encoding=TfIdf(ngrams=3)), SENTENCES),
    "day": (Datetime(), ISO),
    "parts": (Datetime(parts=MANY_PARTS, format="iso", timezone="Europe/Berlin"), MOMENTS),
    "written": (Datetime(format=("%d.%m.%Y %H:%M", "iso"), timezone="America/New_York"), WRITTEN),
    "unix": (Datetime(format="unix"), SECONDS),
    "photo": (Image(shape=(2, 3, 3)), FILES),
}
"""Every feature type with every encoding, and what its values may be."""
SURE = {"log": 1.0, "multi hot": "red", "count": "red", "tf idf": "red", "photo": "gray.png"}
"""Values of the first training row, so that there is something to learn."""


@st.composite
def columns(draw, rows, *, first=False):
    """The values of all columns, None where missing.

    Args:
        draw: given by hypothesis.
        rows: how many.
        first: whether the first row has a value in each.
    """
    drawn = {}
    for name, (_, values) in FEATURES.items():
        drawn[name] = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        if first:
            drawn[name][0] = SURE[name] if name in SURE else draw(values.filter(has_text))
    return drawn


def has_text(value):
    return str(value).strip() != ""


def in_memory(folder, values):
    data = pa.table({**values, "y": [float(row) for row in range(len(values["none"]))]})
    return Table(str(folder / "memory"), data, np.arange(1, data.num_rows + 1))


def fit(train):
    kind = infer_task(Target(column="y"), [train])
    chosen = {name: feature for name, (feature, _) in FEATURES.items()}
    target = kind.fit(Standard(), train)
    return fit_encoding(decide_types(chosen, train), Input(), train, target)
