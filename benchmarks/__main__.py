"""`python -m benchmarks`: measure, print tables, and write JSON on request."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.encodings import ROWS, encoding_cases
from benchmarks.memory import LIMIT, memory_cases
from benchmarks.model_selection import FOLDS, TABLES, TRIALS, Selection, cv_cases, search_cases
from benchmarks.processes import output
from benchmarks.results import outcome_report, target_rows, target_table
from benchmarks.runner import Case, Outcome, run
from benchmarks.trainings import Interpreters, training_cases
from benchmarks.whole_processes import (
    TERMINAL_EPOCHS,
    report_cases,
    small_table_cases,
    start_up_cases,
    starter_cases,
    terminal_cases,
    tutorial_cases,
)
from benchmarks.workloads import WORKLOADS, Workload

ROUNDS = 3
START_UP_ROUNDS = 9
"""Number of rounds of measurements that take a tenth of a second."""

_VERSIONS = """
import importlib.metadata as metadata, json, platform, sys
versions = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError: pass
print(json.dumps(versions))
"""
"""Prints the versions of installed packages; run by both interpreters."""


@dataclass(frozen=True)
class Suite:
    """Cases to compare with one another."""

    name: str
    """Name for `--only`."""
    title: str
    """Description, in one line."""
    cases: Callable[[], Iterable[Case]]
    """Prepares the cases."""
    rounds: int = ROUNDS
    """Number of measurements of each case."""
    is_quick: bool = False
    """True if `--quick` without `--only` includes it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the requested suites."""
    options = _options(arguments)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        suites = _suites(Path(folder), Interpreters(options.rivals_python))
        chosen = [suite for suite in suites if _is_chosen(suite, options)]
        machine = _machine(options.rivals_python)
        console.print_json(data=machine)
        outcomes = []
        for suite in chosen:
            rounds = 1 if options.quick else suite.rounds
            outcomes.append(run(suite.name, suite.title, list(suite.cases()), rounds))
            console.print(outcome_report(outcomes[-1]))
            if options.json:
                document = json.dumps(_document(machine, outcomes), indent=2)
                options.json.write_text(document + "\n", "utf-8")
    console.print(target_table(outcomes))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    suites = (
        *("start-up", "tutorial", "small-table", "encoding", "memory", "starter", "report"),
        "terminal",
    )
    selections = (f"{command}-{table}" for command in ("cv", "tune") for table in TABLES)
    names = (*suites, *(workload.name for workload in WORKLOADS), *selections)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="One round; without --only, of workloads that take less than two minutes.",
    )
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write them as they come.")
    parser.add_argument(
        "--rivals-python",
        default=sys.executable,
        metavar="PATH",
        help="Interpreter that has JAX, PyTorch, scikit-learn and KerasTuner. [default: this one]",
    )
    return parser.parse_args(arguments)


def _suites(folder: Path, interpreters: Interpreters) -> list[Suite]:
    def training(workload: Workload) -> Suite:
        return Suite(
            workload.name,
            describe(workload),
            lambda: training_cases(workload, interpreters),
            is_quick=workload.is_quick,
        )

    return [
        Suite(
            "start-up",
            "whole processes without TensorFlow",
            lambda: start_up_cases(folder),
            START_UP_ROUNDS,
            is_quick=True,
        ),
        Suite("tutorial", "4 rows, 1-1, 1000 epochs", lambda: tutorial_cases(folder)),
        Suite(
            "small-table",
            "whole processes: 569 × 30, 32-1, 100 epochs, with validation and test rows",
            lambda: small_table_cases(folder),
        ),
        Suite("encoding", f"{ROWS:,} × 30 mixed columns", lambda: encoding_cases(folder), rounds=5),
        Suite(
            "memory",
            f"1.2 and 4.8 GB of float32 from disk, in {LIMIT / 1e9:g} GB of address space",
            lambda: memory_cases(folder),
            rounds=1,
        ),
        Suite(
            "starter",
            "whole processes: the configs of `dlcli init` for 1,000 to 100,000 × 20",
            lambda: starter_cases(folder),
            rounds=1,
        ),
        Suite(
            "report",
            "whole processes: the page of a run on 1,000 and on 1,000,000 rows",
            lambda: report_cases(folder),
        ),
        Suite(
            "terminal",
            f"4 rows, 1-1, {TERMINAL_EPOCHS:,} epochs, with and without the live view",
            lambda: terminal_cases(folder),
            rounds=5,
        ),
        *map(training, WORKLOADS),
        *_model_selection(folder, interpreters),
    ]


def _model_selection(folder: Path, interpreters: Interpreters) -> Iterator[Suite]:
    """Yield suites of `cv` and `tune`; a search takes minutes, so it has one round."""
    for selection in map(Selection, TABLES):
        title = f"whole processes: {FOLDS} folds of configs/{selection.config}.yaml"
        yield Suite(f"cv-{selection.config}", title, partial(cv_cases, selection, folder))
    for selection in map(Selection, TABLES):
        title = f"whole processes: {TRIALS} random candidates for configs/{selection.config}.yaml"
        cases = partial(search_cases, selection, folder, interpreters.rivals)
        yield Suite(f"tune-{selection.config}", title, cases, rounds=1)


def describe(workload: Workload) -> str:
    """Describe the sizes of a workload: `1,000 × 10, 32-1, batch 32`."""
    widths = "-".join(map(str, (*workload.hidden, workload.outputs)))
    text = f"{workload.rows:,} × {workload.inputs:,}, {widths}, batch {workload.batch_size}"
    if workload.dropout:
        text += f", dropout {workload.dropout}"
    if workload.validation_rows:
        text += f", early stopping on {workload.validation_rows} more rows"
    return text


def _is_chosen(suite: Suite, options: argparse.Namespace) -> bool:
    if options.only:
        return suite.name in options.only
    return suite.is_quick or not options.quick


def _machine(rivals_python: str) -> dict[str, object]:
    """Describe the machine and the installed versions, for JSON."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "versions": _versions(sys.executable, "tensorflow", "keras", "numpy"),
        "rivals' versions": _versions(rivals_python, "jax", "torch", "scikit-learn", "numpy"),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _versions(python: str, *distributions: str) -> object:
    return json.loads(output([python, "-c", _VERSIONS, *distributions]))


def _document(machine: Mapping[str, object], outcomes: Sequence[Outcome]) -> dict[str, object]:
    keys = ("workload", "target", "limit", "measured", "verdict")
    return {
        "machine": machine,
        "workloads": {
            outcome.name: {"title": outcome.title, "cases": outcome.rounds} for outcome in outcomes
        },
        "targets": [dict(zip(keys, row, strict=True)) for row in target_rows(outcomes)],
    }


if __name__ == "__main__":
    main()
