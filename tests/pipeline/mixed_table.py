"""A table of every feature type, and the config of a small network that reads it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

ROWS = 40

FEATURES = """\
  features:
    size: {type: numeric, scaling: standard}
    price: {type: numeric, scaling: log1p, missing: mean}
    depth: {type: numeric, scaling: robust}
    age: {type: numeric, scaling: quantile}
    height: {type: numeric, scaling: minmax}
    weight: {type: numeric, encoding: {name: piecewise_linear, bins: 4}}
    phase: {type: numeric, encoding: {name: periodic, frequencies: 3}}
    colour: {type: categorical, max_categories: 3}
    town: {type: categorical, encoding: {name: embedding, units: 3}}
    fresh: boolean
    notes: {type: text, encoding: {name: tf_idf, ngrams: 2}}
    title: {type: text, encoding: multi_hot}
    hired: {type: datetime, timezone: Europe/Berlin}
    photo: {type: image, shape: [3, 2, 1]}
    "*": auto
"""
NUMBERS = ("size", "depth", "age", "height", "weight", "phase", "guessed")
WORDS = ("red", "blue", "Größe", "don't", "漢字", "007")


def mixed_columns() -> dict[str, list[object]]:
    """The columns, with a gap in every seventh value or so; `y` has none."""
    random = np.random.default_rng(4)
    columns: dict[str, list[object]] = {name: random.normal(size=ROWS).tolist() for name in NUMBERS}
    columns["price"] = random.exponential(100, ROWS).tolist()
    for name in ("colour", "town", "guessed_words"):
        columns[name] = random.choice(WORDS, ROWS).tolist()
    for name in ("notes", "title"):
        columns[name] = [" ".join(random.choice(WORDS, 4)) for _ in range(ROWS)]
    columns["fresh"] = random.choice(["true", "false"], ROWS).tolist()
    days = random.integers(0, 5000, ROWS).tolist()
    columns["hired"] = [(datetime(2010, 1, 1) + timedelta(hours=7 * d)).isoformat() for d in days]
    for name, values in columns.items():
        columns[name] = [
            None if gap else v for v, gap in zip(values, random.random(ROWS) < 0.15, strict=True)
        ]
    columns["photo"] = random.choice(["dark.png", "light.png"], ROWS).tolist()
    columns["y"] = random.normal(50, 10, ROWS).tolist()
    return columns


def write_images(folder: Path) -> None:
    """Writes the images that the table names."""
    for name, grey in (("dark.png", 30), ("light.png", 200)):
        Image.new("L", (4, 4), grey).save(folder / name)


def mixed_table() -> pa.Table:
    """The columns as an Arrow table."""
    return pa.table(mixed_columns())
