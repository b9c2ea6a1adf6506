"""Fail if start-up, training, prediction or a request became 1.5 times slower.

`python -m benchmarks.regression` measures the CPU time of commands and of a server. Stored seconds
would be wrong on another machine, so each time is divided by the time of a reference, measured in
the same round: imports, or NumPy on small arrays. Medians of these ratios are compared with
`benchmarks/results/regression.json`, which `--renew` writes.

All processes are bound to one core, so the number of cores does not matter. This requires Linux.
Five rounds take two minutes.

Next to other processes that used both cores, no median of five runs, one of them with Python 3.13,
differed by more than 10 % from the stored ratio. 1.6 times the CPU time of epochs was found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.few_rows import read_rows
from benchmarks.processes import DLCLI, ROOT, add_numbers, output, process_figures
from benchmarks.runner import Case, Figures, Outcome, run
from benchmarks.serving import Server, ask, listening

STORED = ROOT / "benchmarks" / "results" / "regression.json"
MARGIN = 1.5
"""The factor by which a ratio may change."""

CONFIG, TABLE = ROOT / "configs" / "penguins.yaml", ROOT / "data" / "penguins.csv"
TRAINED = ROOT / "configs" / "digits.yaml"
_TRAIN = """
import json, sys, time
import dlcli, dlcli.training.engines
engine = {"name": "compiled", "jit_compile": False}
def seconds(epochs):
    start = time.process_time()
    overrides = {"epochs": epochs, "early_stopping": None, "engine": engine}
    dlcli.train(sys.argv[1], overrides=overrides, output=f"{sys.argv[2]}-{epochs}", progress=False)
    return time.process_time() - start
few = seconds(20)
print(json.dumps({"cpu_seconds": few, "epochs_cpu_seconds": seconds(170) - few}))
"""
"""Measures a training without loading TensorFlow, and 150 more epochs."""

CPU = "cpu_seconds"
IMPORTS, WORK = "imports", "small arrays"
_IMPORTS = "import asyncio, ctypes, http.client, json, logging, unittest, numpy, pyarrow"
_WORK = """
import numpy as np
matrix, kernel = np.ones((4, 16), np.float32), np.ones((16, 16), np.float32)
for _ in range(300_000):
    np.maximum(matrix @ kernel, 0)
"""
"""Operations on small arrays. The speed of large ones depends on the vector units of the processor,
and that of Python code on how the interpreter was built."""
_STARTS = 5
"""Number of short processes that are measured together."""

Ratios = Mapping[str, float]
"""CPU times relative to their references, by name."""


@dataclass(frozen=True)
class Ratio:
    """The CPU time of a case, in units of a reference."""

    case: str
    """The measured case."""
    reference: str
    """The case to divide by."""
    figure: str = CPU
    """The figure of the measured case."""

    def measured(self, outcome: Outcome) -> float | None:
        """Return the median over the rounds; `None` if a case failed in a round."""
        times, references = (
            outcome.values(self.case, self.figure),
            outcome.values(self.reference, CPU),
        )
        rounds = max(map(len, outcome.rounds.values()), default=0)
        if min(len(times), len(references)) < max(rounds, 1):
            return None
        return median(time / reference for time, reference in zip(times, references, strict=True))


RATIOS = {
    "dlcli --help": Ratio("dlcli --help", IMPORTS),
    "dlcli validate": Ratio("dlcli validate", IMPORTS),
    "dlcli init": Ratio("dlcli init", IMPORTS),
    "dlcli predict": Ratio("dlcli predict", IMPORTS),
    "a request": Ratio("a request", WORK),
    "train": Ratio("train", WORK),
    "epochs": Ratio("train", WORK, "epochs_cpu_seconds"),
}


def main() -> None:
    """Print the ratios, and compare or store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renew", action="store_true", help="store the measured ratios")
    add_numbers(parser, [("rounds", 5, "measurements of each case")])
    arguments = parser.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder) / "run"
        output([*DLCLI, "train", CONFIG, "--set", "epochs=2", "--output", trained])
        with listening("dlcli", trained, core) as server:
            cases = [*_cases(Path(folder), trained, server)]
            outcome = run("regression", "CPU times", cases, arguments.rounds)
    found = {name: ratio.measured(outcome) for name, ratio in RATIOS.items()}
    measured = {name: ratio for name, ratio in found.items() if ratio is not None}
    stored = json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}
    for name, ratio in measured.items():
        print(f"{name:40} {ratio:7.3f}   stored {stored.get(name, float('nan')):7.3f}")
    if arguments.renew and len(measured) == len(RATIOS):
        digits = {name: round(ratio, 3) for name, ratio in measured.items()}
        STORED.write_text(f"{json.dumps(digits, indent=2)}\n", "utf-8")
        return
    for line in improvements(measured, stored):
        print(line)
    if slower := regressions(measured, stored):
        sys.exit("\n".join(slower))


def regressions(measured: Ratios, stored: Ratios) -> list[str]:
    """Return a line for each ratio that is too large, not measured, or not stored."""
    lines = [
        f"{name}: {measured[name] / stored[name]:.2f} times the stored CPU time; the limit is "
        f"{MARGIN:g}"
        for name in measured.keys() & stored
        if measured[name] > MARGIN * stored[name]
    ]
    lines += [f"{name}: could not be measured" for name in RATIOS.keys() - measured]
    lines += [
        f"{name}: has no stored figure; --renew stores it" for name in measured.keys() - stored
    ]
    return sorted(lines)


def improvements(measured: Ratios, stored: Ratios) -> list[str]:
    """Return a line for each ratio that became so small that a later regression would not show."""
    return sorted(
        f"{name}: only {measured[name] / stored[name]:.2f} times the stored CPU time; --renew "
        "stores the new one"
        for name in measured.keys() & stored
        if MARGIN * measured[name] < stored[name]
    )


def _cases(folder: Path, trained: Path, server: Server) -> Iterator[Case]:
    """Yield the measured cases and their references."""
    new, python = (folder / str(number) for number in count()), (sys.executable, "-c")
    body = json.dumps(read_rows(TABLE)[:1]).encode()
    ask(server, body, 0.5)  # warm

    yield Case("dlcli --help", lambda: _repeated([*DLCLI, "--help"]))
    yield Case(IMPORTS, lambda: _repeated([*python, _IMPORTS]))
    yield Case("dlcli validate", lambda: process_figures([*DLCLI, "validate", CONFIG]))
    init = [*DLCLI, "init", TABLE, "--target", "Species", "--output"]
    yield Case("dlcli init", lambda: process_figures([*init, next(new)]))
    predict = [*DLCLI, "predict", trained, TABLE]
    yield Case("dlcli predict", lambda: process_figures(predict))
    yield Case(WORK, lambda: process_figures([*python, _WORK]))
    # Of a thousand requests, from microseconds of one.
    yield Case("a request", lambda: {CPU: ask(server, body, 1).cpu / 1e3})
    train = [*python, _TRAIN, TRAINED]
    yield Case("train", lambda: json.loads(output([*train, next(new)])))


def _repeated(command: Sequence[str]) -> Figures:
    return {CPU: sum(process_figures(command)[CPU] for _ in range(_STARTS))}


if __name__ == "__main__":
    main()
