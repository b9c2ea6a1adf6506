"""What dlcli promises of its speed, and whether a measurement bears it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from benchmarks.choosing import LOOP, LOOP_CV, OURS, OURS_CV, TABLES, TUNER
from benchmarks.memory import ROWS, case_name
from benchmarks.report import ROWS as REPORTED
from benchmarks.report import case_name as report_name
from benchmarks.runner import Outcome
from benchmarks.terminal import LIVE, QUIET


@dataclass(frozen=True)
class Promise:
    """A figure of one case, alone or over that of another, and where it should lie."""

    suite: str
    """Where it is measured."""
    text: str
    """What is promised."""
    figure: str
    """What is compared."""
    over: str
    """The case."""
    under: str | None
    """The case that it is divided by."""
    limit: float
    """The worst that keeps the promise."""
    at_least: bool = False
    """Whether more is better."""

    def measured(self, outcome: Outcome) -> float | None:
        """What came out, or nothing if a case didn't run."""
        if self.under is None:
            return outcome.median(self.over, self.figure)
        return outcome.ratio(self.over, self.under, self.figure)

    def verdict(self, measured: float) -> str:
        """`ok` or `short`."""
        kept = measured >= self.limit if self.at_least else measured <= self.limit
        return "ok" if kept else "short"


def _start_up() -> Iterator[Promise]:
    def wall(text: str, over: str, under: str | None, limit: float) -> Promise:
        return Promise("start-up", text, "wall_seconds", over, under, limit)

    yield wall("dlcli --help / import click", "dlcli --help", "import click", 2.0)
    yield wall("a config error, seconds", "config error", None, 0.5)
    yield wall("predict of one row, seconds", "predict a row", None, 1.0)


def _tutorial() -> Iterator[Promise]:
    ours, theirs = "dlcli train", "Keras script"
    text = "process / import tensorflow"
    yield Promise("tutorial", text, "wall_seconds", ours, "import tensorflow", 1.5)
    text = "fit / dlcli, with compiling"
    yield Promise("tutorial", text, "training_seconds", theirs, ours, 50, at_least=True)


def _encoding() -> Iterator[Promise]:
    def step(text: str, over: str, under: str, limit: float) -> Promise:
        return Promise("encoding", text, "step_seconds", over, under, limit)

    yield step("encode / pyarrow read", "dlcli encode", "pyarrow read", 10)
    text = "encode / pyarrow read, CSV"
    yield step(text, "dlcli encode of CSV", "pyarrow read of CSV", 10)
    text = "predict / read, products, write"
    yield step(text, "dlcli predict", "read, products, write", 6)


def _trainings(factors: Mapping[str, float]) -> Iterator[Promise]:
    for suite, factor in factors.items():
        fit, jax, ten = "Keras fit", "JAX", "dlcli, 10 epochs"
        text = "fit / dlcli, an epoch"
        yield Promise(suite, text, "epoch_seconds", fit, "dlcli", factor, at_least=True)
        text = "dlcli / JAX, an epoch"
        yield Promise(suite, text, "epoch_seconds", "dlcli", jax, 1.15)  # 1.0, and noise
        text = "dlcli / fit, ten epochs, compiling"
        yield Promise(suite, text, "training_seconds", ten, fit, 1.0)


def _memory(suites: tuple[str, ...]) -> Iterator[Promise]:
    for suite in suites:
        text = "peak / (2 × matrix + 700 MB)"
        yield Promise(suite, text, "allowed_memory", "dlcli", None, 1.0)


def _larger_than_memory() -> Iterator[Promise]:
    small, large = map(case_name, ROWS)
    text = f"peak, {large} / {small}"
    yield Promise("memory", text, "peak_bytes", large, small, 1.4)
    yield Promise("memory", f"peak / table, {large}", "table_share", large, None, 0.35)


def _report() -> Iterator[Promise]:
    case = report_name(max(REPORTED))
    yield Promise("report", "a page of 1,000,000 rows, seconds", "wall_seconds", case, None, 10)
    yield Promise("report", "the same, bytes", "page_bytes", case, None, 3_000_000)


def _terminal() -> Iterator[Promise]:
    text = "live view / --quiet, training"
    yield Promise("terminal", text, "training_seconds", LIVE, QUIET, 1.05)  # 1.0, and noise


def _choosing(table: str) -> Iterator[Promise]:
    def times(suite: str, rival: str, ours: str) -> Promise:
        text = f"{rival} / {ours}"
        return Promise(f"{suite}-{table}", text, "wall_seconds", rival, ours, 10, at_least=True)

    yield times("cv", LOOP_CV, OURS_CV)
    yield times("tune", LOOP, OURS)
    yield times("tune", TUNER, OURS)


PROMISES = (
    *_start_up(),
    *_tutorial(),
    *_encoding(),
    *_trainings({"small": 150, "digits": 15, "table": 2, "mnist": 2}),
    Promise("mnist", "dlcli / sgemm alone, an epoch", "epoch_seconds", "dlcli", "NumPy sgemm", 1.4),
    Promise(
        "dropout", "with / without dropout, an epoch", "epoch_seconds", "dlcli", "dlcli, plain", 1.3
    ),
    *_larger_than_memory(),
    *_report(),
    *_terminal(),
    *_memory(("small", "digits", "table", "mnist", "large", "wide")),
    *chain.from_iterable(map(_choosing, TABLES)),
)
"""All of them."""
