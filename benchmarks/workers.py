"""Measure a search with one process, and with several on the same cores.

`python -m benchmarks.workers` measures whole processes, including loading TensorFlow in each worker
and the final training of the selected configs. One process uses all cores, several processes share
them. Both use random search, so they try the same candidates.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.processes import DLCLI, ROOT, add_numbers, output, wall_seconds
from benchmarks.runner import Case, Figures, Outcome, run

SPACE = (
    "{optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}, "
    "hidden_layers: {dropout: {low: 0.1, high: 0.5}}}"
)
"""Numbers only, so that each worker compiles only once."""


@dataclass(frozen=True)
class Search:
    """The search of both cases."""

    config: Path
    trials: int
    epochs: int

    def settings(self) -> Iterator[str]:
        """Yield the options that change the config."""
        tune = f"tune={{trials: {self.trials}, sampler: random, pruner: none, space: {SPACE}}}"
        for setting in (f"epochs={self.epochs}", tune):
            yield from ("--set", setting)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print medians and ratios."""
    options = _options(arguments)
    search = Search(ROOT / "configs" / f"{options.config}.yaml", options.trials, options.epochs)
    with tempfile.TemporaryDirectory(prefix="dlcli-workers-") as folder:
        title = f"{options.config}, {search.trials} trials of {search.epochs} epochs"
        cases = list(worker_cases(search, options.jobs, Path(folder)))
        outcome = run("workers", title, cases, options.rounds)
    if not outcome.rounds:  # the failures are printed already
        sys.exit(1)
    Console().print(report(outcome))


def worker_cases(search: Search, jobs: int, folder: Path) -> Iterator[Case]:
    """Yield the search with one process, and with several.

    Args:
        search: the search of both cases.
        jobs: number of processes of the second.
        folder: for the runs.
    """
    runs = (folder / f"run-{number}" for number in count())
    for workers in (1, jobs):
        yield Case(case_name(workers), partial(_search, search, workers, runs))


def case_name(workers: int) -> str:
    """Return the name of the case of this number of workers."""
    return "one process" if workers == 1 else f"{workers} workers"


def report(outcome: Outcome) -> Table:
    """Return a row per case: medians, and ratios to the first case."""
    table = Table(title=outcome.title, box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("search by")
    for name in ("process, s", "ratio", "trials alone, s", "ratio", "trials", "best"):
        table.add_column(name, justify="right")
    first, *_ = outcome.rounds
    for case in outcome.rounds:
        cells = []
        for figure in ("wall_seconds", "trial_seconds"):
            cells.append(f"{outcome.median(case, figure):.1f}")
            cells.append(f"{outcome.ratio(case, first, figure):.2f}")
        best = sorted(set(outcome.values(case, "best")))
        table.add_row(
            case,
            *cells,
            f"{outcome.median(case, 'trials'):.0f}",
            ", ".join(f"{value:.4g}" for value in best),
        )
    return table


def _search(search: Search, workers: int, runs: Iterator[Path]) -> Figures:
    folder = next(runs)
    command = [*DLCLI, "tune", str(search.config), *search.settings(), "--jobs", str(workers)]
    seconds = wall_seconds([*command, "--output", str(folder), "--quiet"])
    result = json.loads((folder / "tune.json").read_text("utf-8"))
    numbers = sorted(trial["number"] for trial in result["trials"])
    if numbers != list(range(search.trials)):
        message = f"expected {search.trials} trials, got {numbers}"
        raise subprocess.CalledProcessError(1, command, stderr=message)
    best = next(trial for trial in result["trials"] if trial["number"] == result["best"])
    return {
        "wall_seconds": seconds,
        "trial_seconds": result["seconds"],
        "trials": len(numbers),
        "best": best["value"],
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    add_numbers(
        parser,
        (
            ("jobs", 2, "Number of worker processes to compare with one process."),
            ("trials", 40, "Number of candidates."),
            ("epochs", 60, "Maximum number of epochs of each."),
            ("rounds", 3, "Number of measurements."),
        ),
    )
    help = "Name of a shipped config. [default: digits]"
    parser.add_argument("--config", default="digits", metavar="NAME", help=help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    output([sys.executable, "-c", "import tensorflow"])  # into the disk cache
    main()
