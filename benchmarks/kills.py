"""Check that killed trainings resume to the result of an uninterrupted one.

`python -m benchmarks.kills` trains with dropout, batch normalization, early stopping, a plateau
schedule and shuffled rows. Each training is killed with SIGKILL at a uniformly random time between
its start, with TensorFlow loaded, and its usual end. `dlcli train --resume` resumes it, and is
sometimes also killed. The final run folder must be bit-identical to that of an uninterrupted
training. If there is no checkpoint yet, `--resume` must report that, and the training is restarted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.forked import Ended, Process, load, start_command
from dlcli.errors import RunError
from dlcli.runs.run_folder import open_run

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.1}
hidden:
  - {units: 512, activation: relu, dropout: 0.3, batch_normalization: true}
learning_rate_schedule: {name: reduce_on_plateau, patience: 5}
early_stopping: {patience: 60, start_from_epoch: 100}
epochs: 1000
batch_size: 4
checkpoint: {seconds: 1.0e-3}
"""
ROWS = 1000
REPRODUCIBLE_FILES = (
    "weights.npz",
    "history.csv",
    "metrics.json",
    "baselines.json",
    "verdicts.json",
    "predictions.parquet",
    "sample.parquet",
    "explanation.json",
    "decision.json",
    "conformal.json",
    "groups.json",
    "background.npz",
    "types.json",
    "encoding.json",
)
"""Files of a run folder that depend neither on the time nor on the path of the run."""
REPEAT_PROBABILITY = 1 / 3
"""Probability that a resumed training is also killed."""
NOTHING_TO_RESUME = ("no such run folder", "was ended before training began")
"""Messages of `--resume` if there is no checkpoint yet."""

Phase = Literal["before", "training", "saving", "finished"]
"""The progress of a training: no checkpoint yet, a checkpoint, saving of results, the manifest."""
PHASES: tuple[Phase, ...] = ("before", "training", "saving", "finished")


@dataclass(frozen=True)
class Series:
    """Trainings to kill."""

    name: str
    """Name in the table."""
    settings: tuple[str, ...] = ()
    """Changes to `CONFIG`, as for `--set`."""


SERIES = {
    "kills": Series("compiled"),
    "keras": Series(
        "Keras", ("engine=keras", "batch_size=64", "early_stopping={patience: 9}", "epochs=40")
    ),
    "disk": Series("disk", ("data.storage=disk",)),
    "decisions": Series(
        "decision",
        (
            "data.train=classes.csv",
            "data.target={column: y, positive_class: 'yes'}",
            "class_weight=balanced",
            "decision={maximize: f1}",
        ),
    ),
}
"""The series, by the option with the number of kills."""


@dataclass
class Tally:
    """The results of a series."""

    series: Series
    killed: Counter[Phase] = field(default_factory=Counter)
    """First kills, by the progress of the training."""
    again: int = 0
    """Kills of resumed trainings."""
    equal: int = 0
    """Trainings that ended like the uninterrupted one."""
    different: list[str] = field(default_factory=list)
    """Differences of other trainings."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill and resume trainings, and fail if one ends differently from the uninterrupted one."""
    options = _options(arguments)
    load()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-kills-"))
    rng = np.random.default_rng(options.seed)
    tallies = []
    for option, series in SERIES.items():
        if count := getattr(options, option):
            series = replace(series, settings=(*series.settings, *options.settings))
            tallies.append(kill(series, count, folder / option, rng))
    Console().print(report(tallies))
    differences = [line for tally in tallies for line in tally.different]
    if differences:
        print(*differences, f"all files are kept in {folder}", sep="\n", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    for option, count in (("kills", 50), ("keras", 10), ("disk", 10), ("decisions", 10)):
        help = f"Number of kills of the series '{SERIES[option].name}'. [default: {count}]"
        parser.add_argument(f"--{option}", type=int, default=count, metavar="N", help=help)
    parser.add_argument("--seed", type=int, default=0, help="Random seed. [default: 0]")
    help = "Change to the config of all trainings."
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=help
    )
    return parser.parse_args(arguments)


def report(tallies: Sequence[Tally]) -> Table:
    """Return a row per series."""
    table = Table(title="killed and resumed", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("series")
    for name in ("kills", *PHASES, "again", "equal", "differ"):
        table.add_column(name, justify="right")
    for tally in tallies:
        counts = [tally.killed.total(), *(tally.killed[phase] for phase in PHASES)]
        counts += [tally.again, tally.equal, len(tally.different)]
        table.add_row(tally.series.name, *map(str, counts))
    return table


def kill(series: Series, count: int, folder: Path, rng: np.random.Generator) -> Tally:
    """Kill trainings and resume them.

    Args:
        series: the trainings.
        count: number of kills; trainings that end before the kill don't count.
        folder: a new folder for the trainings.
        rng: draws the times of the kills.
    """
    tally = Tally(series)
    trial = Trial(folder / "uninterrupted", series)
    start = time.perf_counter()
    uninterrupted = _run_of(trial.train().wait(), trial.folder)
    duration = time.perf_counter() - start
    number = 0
    while tally.killed.total() < count:
        number += 1
        trial = Trial(folder / str(number), series)
        delays = [rng.uniform(0, duration)]
        while rng.random() < REPEAT_PROBABILITY:
            delays.append(rng.uniform(0, duration))
        if problem := trial.run(delays, uninterrupted):
            tally.different.append(f"{trial.folder}: {problem}")
        else:
            tally.equal += bool(trial.killed)
            shutil.rmtree(trial.folder)
        tally.killed.update(trial.killed[:1])
        tally.again += len(trial.killed[1:])
    return tally


class Trial:
    """A training that is killed and resumed.

    Args:
        folder: a new folder for the training.
        series: its config.
    """

    def __init__(self, folder: Path, series: Series) -> None:
        self.folder = folder
        self.killed: list[Phase] = []
        """The progress at each kill."""
        self._series = series
        (folder / "log").mkdir(parents=True)
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        write_rows(folder / "rows.csv")
        write_rows(folder / "classes.csv", classes=True)

    def run(self, delays: Sequence[float], uninterrupted: Path) -> str:
        """Train, kill and resume until the training has ended.

        Args:
            delays: seconds until each kill.
            uninterrupted: the run folder to compare with.

        Returns:
            The differences, or the failure; empty if the run folders are equal.
        """
        command = self.train()
        for delay in delays:
            ended = command.wait(delay)
            if ended is not None:
                break
            command.kill()
            command.wait()
            self.killed.append(self._phase())
            command = self._command("train", "--resume", "runs/run", "--json")
        return self._finish(command.wait() if ended is None else ended, uninterrupted)

    def train(self) -> Process:
        """Start the training."""
        settings = [text for setting in self._series.settings for text in ("--set", setting)]
        return self._command("train", "run.yaml", "--json", *settings)

    def _command(self, *arguments: str) -> Process:
        return start_command(arguments, self.folder, self.folder / "log")

    def _phase(self) -> Phase:
        run = self.folder / "runs" / "run"
        if (run / "manifest.json").exists():
            return "finished"
        log = run / "events.jsonl"
        if log.exists() and '"event": "trained"' in log.read_text("utf-8"):
            return "saving"
        return "training" if any((run / "checkpoint").glob("[0-9]*")) else "before"

    def _finish(self, ended: Ended | None, uninterrupted: Path) -> str:
        """Restart the training if there is nothing to resume, and compare its run folder."""
        assert ended is not None
        if ended.code == 5 and any(message in ended.errors for message in NOTHING_TO_RESUME):
            if self.killed[-1] != "before":
                return f"there was a checkpoint to resume from, but: {ended.errors}"
            shutil.rmtree(self.folder / "runs" / "run", ignore_errors=True)
            ended = self.train().wait()
        elif ended.code == 5 and "is finished" in ended.errors:
            return differences(self.folder / "runs" / "run", uninterrupted)
        assert ended is not None
        if ended.code or ended.errors:
            return f"ended with {ended.code}: {ended.errors}"
        return differences(_run_of(ended, self.folder), uninterrupted)


def _run_of(ended: Ended | None, folder: Path) -> Path:
    """Return the run folder from the output of a training."""
    assert ended is not None
    if ended.code:
        raise RuntimeError(ended.errors)
    return folder / str(json.loads(ended.output.splitlines()[-1])["run"])


def differences(run: Path, uninterrupted: Path) -> str:
    """Describe how a run folder and the files next to it differ from another; empty if equal."""
    left = [f"{name} was left behind" for name in sorted(_names(run.parent) - {run.name})]
    return run_differences(run, uninterrupted) or ", ".join(left)


def run_differences(run: Path, uninterrupted: Path) -> str:
    """Describe how a run folder differs from another; empty if equal."""
    try:
        open_run(run).verify()
    except RunError as error:
        return str(error)
    names, expected = _names(run), _names(uninterrupted)
    changed = [
        name
        for name in REPRODUCIBLE_FILES
        if name in names & expected
        and (run / name).read_bytes() != (uninterrupted / name).read_bytes()
    ]
    changed += [f"{name} exists in only one of them" for name in sorted(names ^ expected)]
    return ", ".join(changed)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_rows(path: Path, *, classes: bool = False) -> None:
    """Write a table whose target depends on its other columns, with noise.

    Args:
        path: the file.
        classes: write classes as the target, `yes` for large numbers.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 8)).round(3)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + rng.normal(scale=0.5, size=ROWS)
    target = np.where(y > 1, "yes", "no") if classes else y.round(3)
    names = ",".join([*(f"x{column}" for column in range(8)), "y"])
    rows = zip(*x.T.tolist(), target.tolist(), strict=True)
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([names, *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
