"""Measure cases in turn, A B C A B C, so other load on the machine affects all equally."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float]
"""The result of one measurement: seconds, bytes and shares by name."""


@dataclass(frozen=True)
class Case:
    """A program or library to measure repeatedly."""

    name: str
    """Name in the table."""
    measure: Callable[[], Figures]
    """Measures it once."""


@dataclass(frozen=True)
class Outcome:
    """The measurements of a suite, in order."""

    name: str
    """Name of the suite."""
    title: str
    """Description of the suite, one line."""
    rounds: Mapping[str, Sequence[Figures]]
    """The measurements of each case, by its name."""

    def values(self, case: str, figure: str) -> list[float]:
        """Return all measurements of a figure; empty if the case did not run or lacks it."""
        return [figures[figure] for figures in self.rounds.get(case, ()) if figure in figures]

    def median(self, case: str, figure: str) -> float | None:
        """Return the median of a figure."""
        values = self.values(case, figure)
        return statistics.median(values) if values else None

    def difference(self, one: str, other: str, figure: str) -> float | None:
        """Return the median of the differences of two cases within each round."""
        values = self.values(one, figure), self.values(other, figure)
        pairs = list(zip(*values, strict=False))
        return statistics.median(a - b for a, b in pairs) if pairs else None

    def ratio(self, numerator: str, denominator: str, figure: str) -> float | None:
        """Return the median of the ratios of two cases within each round."""
        values = self.values(numerator, figure), self.values(denominator, figure)
        pairs = list(zip(*values, strict=False))
        return statistics.median(a / b for a, b in pairs) if pairs else None


def run(name: str, title: str, cases: Sequence[Case], rounds: int) -> Outcome:
    """Measure each case once per round.

    A case that fails is reported on standard error and not measured again.

    Args:
        name: name of the suite.
        title: description of the suite, one line.
        cases: in order of measurement.
        rounds: number of rounds.
    """
    results: dict[str, list[Figures]] = {case.name: [] for case in cases}
    remaining = list(cases)
    for turn in range(1, rounds + 1):
        print(f"{name}: round {turn} of {rounds}", file=sys.stderr, flush=True)
        remaining = [case for case in remaining if _measure(case, results[case.name])]
    return Outcome(name, title, {case: measured for case, measured in results.items() if measured})


def _measure(case: Case, results: list[Figures]) -> bool:
    try:
        results.append(case.measure())
    except subprocess.CalledProcessError as error:
        print(f"{case.name} failed, exit code {error.returncode}:", file=sys.stderr)
        last_lines = (error.stderr or "").splitlines()[-8:]
        print(*(f"  {line}" for line in last_lines), sep="\n", file=sys.stderr)
        return False
    return True
