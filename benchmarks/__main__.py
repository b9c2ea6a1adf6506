"""`python -m benchmarks`: measures, prints tables, and writes JSON if asked."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.choosing import FOLDS, TABLES, TRIALS, Choice, cv_cases, search_cases
from benchmarks.encodings import ROWS, encoding_cases
from benchmarks.machine import machine_facts
from benchmarks.memory import LIMIT, memory_cases
from benchmarks.report import report_cases
from benchmarks.runner import Case, Outcome, run
from benchmarks.tables import outcome_report, promise_rows, promise_table
from benchmarks.terminal import EPOCHS, terminal_cases
from benchmarks.trainings import Interpreters, training_cases
from benchmarks.whole import start_up_cases, tutorial_cases
from benchmarks.workloads import WORKLOADS, Workload

ROUNDS = 3
ROUNDS_OF_START_UP = 9
"""What takes a tenth of a second is repeated more often."""


@dataclass(frozen=True)
class Suite:
    """Cases to compare with one another."""

    name: str
    """What `--only` calls it."""
    title: str
    """What it is, in a line."""
    cases: Callable[[], Iterable[Case]]
    """Makes ready what is measured."""
    rounds: int = ROUNDS
    """How often each case is measured."""
    is_quick: bool = False
    """Whether `--quick` takes it if no other is named."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the suites that were asked for."""
    options = _options(arguments)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        suites = _suites(Path(folder), Interpreters(options.rivals_python))
        chosen = [suite for suite in suites if _is_chosen(suite, options)]
        facts = machine_facts(options.rivals_python)
        console.print_json(data=facts)
        outcomes = []
        for suite in chosen:
            rounds = 1 if options.quick else suite.rounds
            outcomes.append(run(suite.name, suite.title, list(suite.cases()), rounds))
            console.print(outcome_report(outcomes[-1]))
    console.print(promise_table(outcomes))
    if options.json:
        document = _document(facts, outcomes)
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    suites = ("start-up", "tutorial", "encoding", "memory", "report", "terminal")
    chosen = (f"{verb}-{table}" for verb in ("cv", "tune") for table in TABLES)
    names = (*suites, *(workload.name for workload in WORKLOADS), *chosen)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round; without --only, of what takes less than two minutes",
    )
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement")
    parser.add_argument(
        "--rivals-python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter that has JAX, PyTorch, scikit-learn and KerasTuner, if not this one",
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
            ROUNDS_OF_START_UP,
            is_quick=True,
        ),
        Suite("tutorial", "4 rows, 1-1, 1000 epochs", lambda: tutorial_cases(folder)),
        Suite("encoding", f"{ROWS:,} × 30 mixed columns", lambda: encoding_cases(folder), rounds=5),
        Suite(
            "memory",
            f"1.2 and 4.8 GB of float32 from disk, in {LIMIT / 1e9:g} GB of address space",
            lambda: memory_cases(folder),
            rounds=1,
        ),
        Suite(
            "report",
            "whole processes: the page of a run on 1,000 and on 1,000,000 rows",
            lambda: report_cases(folder),
        ),
        Suite(
            "terminal",
            f"4 rows, 1-1, {EPOCHS:,} epochs, with the live view and without",
            lambda: terminal_cases(folder),
            rounds=5,
        ),
        *map(training, WORKLOADS),
        *_choosing(folder, interpreters),
    ]


def _choosing(folder: Path, interpreters: Interpreters) -> Iterator[Suite]:
    """Yields a suite for each verb and table; of a search, which takes minutes, one round."""
    for choice in map(Choice, TABLES):
        title = f"whole processes: {FOLDS} folds of configs/{choice.config}.yaml"
        yield Suite(f"cv-{choice.config}", title, partial(cv_cases, choice, folder))
    for choice in map(Choice, TABLES):
        title = f"whole processes: {TRIALS} candidates for configs/{choice.config}.yaml, by lot"
        cases = partial(search_cases, choice, folder, interpreters.rivals)
        yield Suite(f"tune-{choice.config}", title, cases, rounds=1)


def describe(workload: Workload) -> str:
    """A workload's sizes: `1,000 × 10, 32-1, batch 32`."""
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


def _document(facts: Mapping[str, object], outcomes: Sequence[Outcome]) -> dict[str, object]:
    keys = ("workload", "promise", "limit", "measured", "verdict")
    return {
        "machine": facts,
        "workloads": {
            outcome.name: {"title": outcome.title, "cases": outcome.rounds} for outcome in outcomes
        },
        "promises": [dict(zip(keys, row, strict=True)) for row in promise_rows(outcomes)],
    }


if __name__ == "__main__":
    main()
