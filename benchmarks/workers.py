"""`python -m benchmarks.workers`: a search by one process, and by several on the same cores.

All is whole processes, from the shell's prompt to the shell's prompt: loading TensorFlow, which
each worker does for itself, and training at the end what was found. One process trains on all
cores; of several, each has its part of them. They search the same space by lot, so that both try
the same candidates.
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

from benchmarks.processes import ROOT, output, wall_seconds
from benchmarks.runner import Case, Figures, Outcome, run
from benchmarks.whole import DLCLI

SPACE = (
    "{optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}, "
    "hidden: {dropout: {low: 0.1, high: 0.5}}}"
)
"""Numbers alone: what a worker compiles, it compiles once."""


@dataclass(frozen=True)
class Search:
    """What both do."""

    config: Path
    trials: int
    epochs: int

    def settings(self) -> Iterator[str]:
        """What it changes of its config."""
        tune = f"tune={{trials: {self.trials}, sampler: random, pruner: none, space: {SPACE}}}"
        for setting in (f"epochs={self.epochs}", tune):
            yield from ("--set", setting)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and prints medians and the ratio."""
    options = _options(arguments)
    search = Search(ROOT / "configs" / f"{options.config}.yaml", options.trials, options.epochs)
    with tempfile.TemporaryDirectory(prefix="dlcli-workers-") as folder:
        title = f"{options.config}, {search.trials} trials of {search.epochs} epochs"
        cases = list(worker_cases(search, options.jobs, Path(folder)))
        outcome = run("workers", title, cases, options.rounds)
    Console().print(report(outcome))


def worker_cases(search: Search, jobs: int, folder: Path) -> Iterator[Case]:
    """Yields the search by one process, and by several.

    Args:
        search: what both do.
        jobs: how many processes the second has.
        folder: a place for runs.
    """
    runs = (folder / f"run-{number}" for number in count())
    for workers in (1, jobs):
        yield Case(case_name(workers), partial(_search, search, workers, runs))


def case_name(workers: int) -> str:
    """What the table calls a search."""
    return "one process" if workers == 1 else f"{workers} workers"


def report(outcome: Outcome) -> Table:
    """A row a case: medians, and the ratio to the first case's."""
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
    found = json.loads((folder / "tune.json").read_text("utf-8"))
    numbers = sorted(trial["number"] for trial in found["trials"])
    if numbers != list(range(search.trials)):
        message = f"there are other trials than {search.trials}: {numbers}"
        raise subprocess.CalledProcessError(1, command, stderr=message)
    best = next(trial for trial in found["trials"] if trial["number"] == found["best"])
    return {
        "wall_seconds": seconds,
        "trial_seconds": found["seconds"],
        "trials": len(numbers),
        "best": best["value"],
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    for name, value, words in (
        ("jobs", 2, "worker processes beside one alone"),
        ("trials", 40, "candidates"),
        ("epochs", 60, "most epochs of each"),
        ("rounds", 3, "how often each is measured"),
    ):
        help = f"{words}; {value}, if left out"
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=help)
    help = "one of configs/; digits, if left out"
    parser.add_argument("--config", default="digits", metavar="NAME", help=help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    output([sys.executable, "-c", "import tensorflow"])  # so that no case reads it from the disk
    main()
