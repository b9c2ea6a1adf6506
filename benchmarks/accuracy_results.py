"""The results of `benchmarks.accuracy`: a file of fits, and their summary over tables."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, geometric_mean, median

import numpy as np
from rich.box import SIMPLE
from rich.table import Table
from scipy.stats import bootstrap

from benchmarks.public_tables import DEVELOPMENT, SOURCES

REFERENCE = "LightGBM-bagged"
KINDS = {"regression": "RMSE", "binary": "1 − AUC", "multiclass": "log loss"}
"""The error of each kind of target."""
LEVEL = 0.95
"""Confidence level of intervals over tables."""


@dataclass(frozen=True)
class Score:
    """The errors of a model on the test rows of a split, and its times."""

    error: float
    """RMSE of numbers, 1 − AUC of two classes, log loss of several classes."""
    log_loss: float | None = None
    """Log loss of classes; `None` for numbers."""
    accuracy: float | None = None
    """Share of correctly classified rows; `None` for numbers."""
    fit_seconds: float | None = None
    """Wall time, without loading libraries."""
    cpu_seconds: float | None = None
    """CPU time of fitting, over all cores."""
    predict_seconds: float | None = None
    """Wall time for the test rows; None if it is part of fitting."""
    version: str = ""
    """The package and its version, or dlcli's commit."""


@dataclass(frozen=True)
class Fit:
    """A model that was fitted to one split of a table."""

    table: str
    """The table and the target."""
    kind: str
    """A key of `KINDS`."""
    seed: int
    """The seed of the split."""
    rows: int
    """Number of training rows."""
    model: str
    date: str
    """The date of the measurement: YYYY-MM-DD."""
    score: Score

    def line(self) -> str:
        """Describe the fit in one line."""
        error = f"{KINDS[self.kind]} {self.score.error:.4g}"
        return f"{self.table}, seed {self.seed}, {self.model}: {error}"


class Results:
    """The fits in a JSON file, one on each line.

    Args:
        path: the file, which may not exist; None to keep fits in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.fits: list[Fit] = read_fits(path) if path and path.exists() else []

    def has(self, table: str, seed: int, model: str) -> bool:
        """Return whether the model was fitted to the split."""
        return any((fit.table, fit.seed, fit.model) == (table, seed, model) for fit in self.fits)

    def add(self, fit: Fit) -> None:
        """Add a fit to the file, which another process may also have extended."""
        path = self._path
        self.fits = [*(read_fits(path) if path and path.exists() else self.fits), fit]
        if path:
            lines = ",\n".join(json.dumps(asdict(each, dict_factory=_known)) for each in self.fits)
            new = path.with_suffix(".new")
            new.write_text(f'{{"fits": [\n{lines}\n]}}\n', "utf-8")
            os.replace(new, path)


def _known(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return the fields of a fit that have a value."""
    return {name: value for name, value in fields if value not in (None, "")}


def read_fits(path: Path) -> list[Fit]:
    """Return the fits of a file of results."""
    fits = json.loads(path.read_text("utf-8"))["fits"]
    return [Fit(**{**fit, "score": Score(**fit["score"])}) for fit in fits]


def mean_errors(fits: Iterable[Fit], one: str, other: str) -> dict[str, tuple[float, float]]:
    """Return the mean errors of two models on each table, over the seeds that both have."""
    errors: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for fit in fits:
        errors[fit.table][fit.model][fit.seed] = fit.score.error
    means = {}
    for table, models in errors.items():
        seeds = models[one].keys() & models[other].keys()
        if seeds:
            pair = (fmean(models[name][seed] for seed in seeds) for name in (one, other))
            means[table] = (next(pair), next(pair))
    return means


def relative_errors(fits: Sequence[Fit]) -> dict[str, dict[str, float]]:
    """Return the error relative to the reference, by model and table."""
    models = dict.fromkeys(fit.model for fit in fits)
    pairs = {model: mean_errors(fits, model, REFERENCE) for model in models}
    return {
        model: {table: error / reference for table, (error, reference) in means.items()}
        for model, means in pairs.items()
    }


def mean_interval(ratios: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval over tables of a geometric mean.

    None for one table, and if all ratios are equal, such as the reference's.
    """
    if len({*ratios}) < 2:
        return None
    logs = (np.log(ratios),)
    found = bootstrap(logs, np.mean, confidence_level=LEVEL, method="percentile", rng=0)
    low, high = np.exp(found.confidence_interval)
    return float(low), float(high)


def count_wins(fits: Sequence[Fit], one: str, other: str) -> tuple[int, int]:
    """Return the numbers of tables on which the first model has a smaller and a larger error."""
    means = mean_errors(fits, one, other).values()
    return sum(a < b for a, b in means), sum(a > b for a, b in means)


def short_name(table: str) -> str:
    """Return the name of a table without the target."""
    return table.partition(" ")[0]


def is_kept_back(table: str) -> bool:
    """Return whether a table was not used to choose defaults."""
    chosen_with = (*DEVELOPMENT, *(source.name for source in SOURCES))
    return not {table, short_name(table)} & {*chosen_with}


def report(fits: Sequence[Fit]) -> Iterator[Table]:
    """Yield two tables for each kind of target: relative errors, and wins of each pair."""
    for kind in KINDS:
        chosen = [fit for fit in fits if fit.kind == kind]
        if any(fit.model == REFERENCE for fit in chosen):
            yield _error_table(kind, chosen)
            yield _win_table(kind, chosen)


def _error_table(kind: str, fits: Sequence[Fit]) -> Table:
    """Return a row for each table, and rows that summarize all tables."""
    relative = relative_errors(fits)
    title = f"{kind}: {KINDS[kind]} relative to {REFERENCE}"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("table")
    for name in ("rows", KINDS[kind], *relative):
        table.add_column(name, justify="right")
    references = [fit for fit in fits if fit.model == REFERENCE]
    for name in dict.fromkeys(fit.table for fit in references):
        own = [fit for fit in references if fit.table == name]
        error = f"{fmean(fit.score.error for fit in own):.4g}"
        cells = [_ratio(ratios.get(name)) for ratios in relative.values()]
        table.add_row(short_name(name), f"{own[0].rows:,}", error, *cells)
    table.add_section()
    for title, cells in _summary(relative, fits).items():
        table.add_row(title, "", "", *cells)
    return table


def _summary(
    relative: Mapping[str, Mapping[str, float]], fits: Sequence[Fit]
) -> dict[str, list[str]]:
    """Return rows of a cell for each model."""
    columns = [[*ratios.values()] for ratios in relative.values()]
    kept_back = [
        [ratio for table, ratio in ratios.items() if is_kept_back(table)]
        for ratios in relative.values()
    ]
    scores = [[fit.score for fit in fits if fit.model == model] for model in relative]
    times = ("fit_seconds", "cpu_seconds", "predict_seconds")
    means = {
        name: [_mean(getattr(score, name) for score in own) for own in scores] for name in times
    }
    return {
        "tables": [str(len(column)) for column in columns],
        "fits": [str(len(own)) for own in scores],
        "geometric mean": [_geometric_mean(column) for column in columns],
        f"{LEVEL:.0%} interval": [_interval(column) for column in columns],
        "geometric mean, tables kept back": [_geometric_mean(column) for column in kept_back],
        "median": [_ratio(median(column)) if column else "–" for column in columns],
        "worst": [_ratio(max(column, default=None)) for column in columns],
        "seconds to fit": means["fit_seconds"],
        "CPU seconds to fit": means["cpu_seconds"],
        "seconds to predict": means["predict_seconds"],
    }


def _win_table(kind: str, fits: Sequence[Fit]) -> Table:
    """Return wins and losses of each row's model against each column's model, in tables."""
    models = list(dict.fromkeys(fit.model for fit in fits))
    table = Table(title=f"{kind}: wins–losses over tables", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", *models):
        table.add_column(name, justify="right" if name else "left")
    for one in models:
        wins = {other: count_wins(fits, one, other) for other in models if other != one}
        table.add_row(one, *("–".join(map(str, wins.get(name, ()))) for name in models))
    return table


def _geometric_mean(ratios: Sequence[float]) -> str:
    return _ratio(geometric_mean(ratios)) if ratios else "–"


def _interval(ratios: Sequence[float]) -> str:
    ends = mean_interval(ratios)
    return f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else "–"


def _ratio(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.3f}"


def _mean(seconds: Iterable[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return f"{fmean(known):.1f}" if known else "–"
