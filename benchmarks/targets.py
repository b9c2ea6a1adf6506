"""The speed and memory targets of dlcli, and the comparison of a measurement with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from benchmarks.memory import ROWS, case_name
from benchmarks.model_selection import (
    DLCLI_CV,
    DLCLI_TUNE,
    DLCLI_TUNE_JOBS,
    KERAS_CV,
    KERAS_TUNE,
    TABLES,
    TUNER,
)
from benchmarks.runner import Outcome
from benchmarks.whole_processes import (
    LIVE,
    QUIET,
    REPORT_ROWS,
    STARTER_ROWS,
    TENSORFLOW,
    report_case_name,
    starter_case_name,
)
from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True)
class Target:
    """A limit for a figure of a case, or for its ratio to the figure of another case."""

    suite: str
    """The suite that measures it."""
    text: str
    """Description."""
    figure: str
    """The compared figure."""
    numerator: str
    """The case."""
    denominator: str | None
    """The case to divide by; `None` to compare the figure itself."""
    limit: float
    """The worst value that meets the target."""
    at_least: bool = False
    """True if higher is better."""
    subtracted: str | None = None
    """The case to subtract instead of a division."""

    def measured(self, outcome: Outcome) -> float | None:
        """Return the measured value; `None` if a case did not run."""
        if self.subtracted is not None:
            return outcome.difference(self.numerator, self.subtracted, self.figure)
        if self.denominator is None:
            return outcome.median(self.numerator, self.figure)
        return outcome.ratio(self.numerator, self.denominator, self.figure)

    def verdict(self, measured: float) -> str:
        """Return `met` or `missed`."""
        is_met = measured >= self.limit if self.at_least else measured <= self.limit
        return "met" if is_met else "missed"


def _start_up() -> Iterator[Target]:
    def wall(text: str, numerator: str, denominator: str | None, limit: float) -> Target:
        return Target("start-up", text, "wall_seconds", numerator, denominator, limit)

    yield wall("dlcli --help / import click", "dlcli --help", "import click", 2.0)
    yield wall("a config error, seconds", "config error", None, 0.5)
    yield wall("predict of one row, seconds", "predict a row", None, 1.0)


def _tutorial() -> Iterator[Target]:
    ours, keras = "dlcli train", "Keras script"
    text = "process / import tensorflow"
    yield Target("tutorial", text, "wall_seconds", ours, TENSORFLOW, 1.5)
    text = "fit / dlcli, with compilation"
    yield Target("tutorial", text, "training_seconds", keras, ours, 50, at_least=True)


def _small_table() -> Iterator[Target]:
    ours, suite = "dlcli train", "small-table"
    for figure, text in (("wall_seconds", "seconds"), ("cpu_seconds", "CPU seconds")):
        text = f"{text} beyond import tensorflow"
        yield Target(suite, text, figure, ours, None, 1.0, subtracted=TENSORFLOW)
    yield Target(suite, "peak, dlcli / Keras script", "peak_bytes", ours, "Keras script", 1.0)


def _encoding() -> Iterator[Target]:
    def step(text: str, numerator: str, denominator: str, limit: float) -> Target:
        return Target("encoding", text, "step_seconds", numerator, denominator, limit)

    yield step("encode / pyarrow read", "dlcli encode", "pyarrow read", 10)
    text = "encode / pyarrow read, CSV"
    yield step(text, "dlcli encode of CSV", "pyarrow read of CSV", 10)
    text = "predict / read, products, write"
    yield step(text, "dlcli predict", "read, products, write", 6)


def _trainings(factors: Mapping[str, float]) -> Iterator[Target]:
    for suite, factor in factors.items():
        fit, jax, ten = "Keras fit", "JAX", "dlcli, 10 epochs"
        text = "fit / dlcli, per epoch"
        yield Target(suite, text, "epoch_seconds", fit, "dlcli", factor, at_least=True)
        text = "JAX / dlcli, per epoch"
        yield Target(suite, text, "epoch_seconds", jax, "dlcli", 1.1, at_least=True)
        text = "dlcli / fit, ten epochs with compilation"
        yield Target(suite, text, "training_seconds", ten, fit, 1.0)


def _memory(suites: tuple[str, ...]) -> Iterator[Target]:
    for suite in suites:
        text = "peak / (2 × matrix + 700 MB)"
        yield Target(suite, text, "allowed_memory", "dlcli", None, 1.0)


def _larger_than_memory() -> Iterator[Target]:
    small, large = map(case_name, ROWS)
    text = f"peak, {large} / {small}"
    yield Target("memory", text, "peak_bytes", large, small, 1.4)
    yield Target("memory", f"peak / table, {large}", "table_share", large, None, 0.35)


def _report() -> Iterator[Target]:
    case, small = report_case_name(max(REPORT_ROWS)), report_case_name(min(REPORT_ROWS))
    yield Target("report", "page of 1,000 rows, seconds", "wall_seconds", small, None, 1.5)
    yield Target("report", "page of 1,000,000 rows, seconds", "wall_seconds", case, None, 10)
    yield Target("report", "page of 1,000,000 rows, bytes", "page_bytes", case, None, 3_000_000)


def _starter() -> Iterator[Target]:
    limits = zip(STARTER_ROWS, (30, 120, 300), (0.9e9, 1.0e9, 1.3e9), strict=True)
    for rows, seconds, size in limits:
        case = starter_case_name(rows)
        yield Target("starter", f"{rows:,} rows, seconds", "wall_seconds", case, None, seconds)
        yield Target("starter", f"{rows:,} rows, peak bytes", "peak_bytes", case, None, size)


def _terminal() -> Iterator[Target]:
    text = "live view / --quiet, training"
    yield Target("terminal", text, "training_seconds", LIVE, QUIET, 1.05)  # 1.0, and noise


def _model_selection(table: str) -> Iterator[Target]:
    def times(suite: str, rival: str, ours: str, limit: float) -> Target:
        text = f"{rival} / {ours}"
        return Target(f"{suite}-{table}", text, "wall_seconds", rival, ours, limit, at_least=True)

    yield times("cv", KERAS_CV, DLCLI_CV, 10)
    for rival in (KERAS_TUNE, TUNER):
        yield times("tune", rival, DLCLI_TUNE, 10)
        yield times("tune", rival, DLCLI_TUNE_JOBS, 20)


TARGETS = (
    *_start_up(),
    *_tutorial(),
    *_small_table(),
    *_encoding(),
    *_trainings(dict.fromkeys((each.name for each in WORKLOADS), 2) | {"small": 150, "digits": 15}),
    Target("mnist", "dlcli / sgemm alone, per epoch", "epoch_seconds", "dlcli", "NumPy sgemm", 1.2),
    Target(
        "dropout",
        "with / without dropout, per epoch",
        "epoch_seconds",
        "dlcli",
        "dlcli, plain",
        1.3,
    ),
    *_larger_than_memory(),
    *_starter(),
    *_report(),
    *_terminal(),
    *_memory(("small", "digits", "table", "mnist", "large", "wide")),
    *chain.from_iterable(map(_model_selection, TABLES)),
)
