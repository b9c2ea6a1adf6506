"""Measures in turn, A B C A B C, so that a busy minute falls on all alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float]
"""What one measurement gave, by name: seconds, bytes, shares."""


@dataclass(frozen=True)
class Case:
    """One thing to measure again and again."""

    name: str
    """As the table calls it."""
    measure: Callable[[], Figures]
    """Measures it once."""


@dataclass(frozen=True)
class Outcome:
    """What a suite's cases gave, in order of measurement."""

    name: str
    """The suite."""
    title: str
    """What it is, in a line."""
    rounds: Mapping[str, Sequence[Figures]]
    """Each case's measurements, by the case's name."""

    def values(self, case: str, figure: str) -> list[float]:
        """All measurements of one figure; none if the case didn't run or doesn't have it."""
        return [figures[figure] for figures in self.rounds.get(case, ()) if figure in figures]

    def median(self, case: str, figure: str) -> float | None:
        """The middle one of them."""
        values = self.values(case, figure)
        return statistics.median(values) if values else None

    def ratio(self, over: str, under: str, figure: str) -> float | None:
        """The middle one of the ratios of measurements that followed one another."""
        pairs = list(zip(self.values(over, figure), self.values(under, figure), strict=False))
        return statistics.median(a / b for a, b in pairs) if pairs else None


def run(name: str, title: str, cases: Sequence[Case], rounds: int) -> Outcome:
    """Measures each case once a round.

    A case that fails is reported on standard error and left out from there on.

    Args:
        name: the suite.
        title: what it is, in a line.
        cases: in the order to take them.
        rounds: how often.
    """
    results: dict[str, list[Figures]] = {case.name: [] for case in cases}
    going = list(cases)
    for turn in range(1, rounds + 1):
        print(f"{name}: round {turn} of {rounds}", file=sys.stderr, flush=True)
        going = [case for case in going if _measure(case, results[case.name])]
    return Outcome(name, title, {case: taken for case, taken in results.items() if taken})


def _measure(case: Case, results: list[Figures]) -> bool:
    try:
        results.append(case.measure())
    except subprocess.CalledProcessError as error:
        print(f"{case.name} failed, exit code {error.returncode}:", file=sys.stderr)
        print(*_tail(error.stderr or ""), sep="\n", file=sys.stderr)
        return False
    return True


def _tail(text: str, lines: int = 8) -> Iterator[str]:
    yield from (f"  {line}" for line in text.splitlines()[-lines:])
