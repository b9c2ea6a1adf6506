"""`python -m benchmarks.kills`: trainings killed at random moments end as if nothing had happened.

A training has dropout, batch normalization, early stopping, a plateau and shuffled rows. It is
killed with SIGKILL at a moment drawn uniformly from all its life, from its first instruction after
TensorFlow is loaded to its usual end. `dlcli train --resume` goes on with it, and is sometimes
killed as well. What it leaves must equal the undisturbed run to the bit. Where there was nothing to
go on from, `--resume` must say so, and the training begins anew.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.warm import Command, Ended, load
from dlcli.errors import RunError
from dlcli.runs import open_run

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
EQUAL = (
    "weights.npz",
    "history.csv",
    "metrics.json",
    "baselines.json",
    "predictions.parquet",
    "sample.parquet",
    "explanation.json",
    "encoding.json",
)
"""What of a run tells nothing of time and place."""
AGAIN = 1 / 3
"""How often what goes on is killed, too."""
NOTHING = ("no such run folder", "was ended before training began")
"""What `--resume` says where there is nothing to go on from."""

Phase = Literal["before", "training", "storing", "finished"]
"""How far a training had come: to no checkpoint, to one, to what is stored at the end, or to its
manifest."""
PHASES: tuple[Phase, ...] = ("before", "training", "storing", "finished")


@dataclass(frozen=True)
class Series:
    """Trainings that are killed."""

    name: str
    """What the table calls it."""
    settings: tuple[str, ...] = ()
    """What differs from `CONFIG`, as `--set` takes it."""


SERIES = {
    "kills": Series("compiled"),
    "keras": Series(
        "Keras", ("engine=keras", "batch_size=64", "early_stopping={patience: 9}", "epochs=40")
    ),
    "disk": Series("disk", ("data.storage=disk",)),
}
"""By the option that says how many."""


@dataclass
class Tally:
    """What has come of a series."""

    series: Series
    killed: Counter[Phase] = field(default_factory=Counter)
    """How many were killed for the first time, by how far they had come."""
    again: int = 0
    """How many were killed while they went on."""
    equal: int = 0
    """How many ended as the undisturbed one."""
    different: list[str] = field(default_factory=list)
    """What is wrong with the others."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Kills as many as were asked for, and fails if any ends otherwise than undisturbed."""
    options = _options(arguments)
    load()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-kills-"))
    random = np.random.default_rng(options.seed)
    tallies = []
    for option, series in SERIES.items():
        if count := getattr(options, option):
            tallies.append(kill(series, count, folder / option, random))
    Console().print(report(tallies))
    differences = [line for tally in tallies for line in tally.different]
    if differences:
        print(*differences, f"all is left in {folder}", sep="\n", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    for option, count in (("kills", 50), ("keras", 10), ("disk", 10)):
        words = f"how many of '{SERIES[option].name}'; {count}, if left out"
        parser.add_argument(f"--{option}", type=int, default=count, metavar="N", help=words)
    parser.add_argument("--seed", type=int, default=0, help="draws the moments; 0, if left out")
    return parser.parse_args(arguments)


def report(tallies: Sequence[Tally]) -> Table:
    """A row for each series."""
    table = Table(title="killed, and gone on with", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("series")
    for name in ("kills", *PHASES, "again", "equal", "differ"):
        table.add_column(name, justify="right")
    for tally in tallies:
        counts = [tally.killed.total(), *(tally.killed[phase] for phase in PHASES)]
        counts += [tally.again, tally.equal, len(tally.different)]
        table.add_row(tally.series.name, *map(str, counts))
    return table


def kill(series: Series, count: int, folder: Path, random: np.random.Generator) -> Tally:
    """Kills trainings and goes on with them.

    Args:
        series: what to train.
        count: how many are killed; those that end before their moment don't count.
        folder: a place for them, which is made.
        random: draws the moments.
    """
    tally = Tally(series)
    trial = Trial(folder / "undisturbed", series)
    start = time.perf_counter()
    undisturbed = _run_of(trial.train().wait(), trial.folder)
    life = time.perf_counter() - start
    number = 0
    while tally.killed.total() < count:
        number += 1
        trial = Trial(folder / str(number), series)
        moments = [random.uniform(0, life)]
        while random.random() < AGAIN:
            moments.append(random.uniform(0, life))
        if problem := trial.play(moments, undisturbed):
            tally.different.append(f"{trial.folder}: {problem}")
        else:
            tally.equal += bool(trial.killed)
            shutil.rmtree(trial.folder)
        tally.killed.update(trial.killed[:1])
        tally.again += len(trial.killed[1:])
    return tally


class Trial:
    """A training that is killed, and goes on.

    Args:
        folder: a place for it, which is made.
        series: what it trains.
    """

    def __init__(self, folder: Path, series: Series) -> None:
        self.folder = folder
        self.killed: list[Phase] = []
        """How far it had come each time that it was killed."""
        self._series = series
        (folder / "log").mkdir(parents=True)
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        write_rows(folder / "rows.csv")

    def play(self, moments: Sequence[float], undisturbed: Path) -> str:
        """Trains, is killed and goes on until it has ended.

        Args:
            moments: seconds after which it is killed, and killed again.
            undisturbed: the run that nothing has happened to.

        Returns:
            What is wrong with what has come of it; nothing, if it is equal.
        """
        command = self.train()
        for moment in moments:
            ended = command.wait(moment)
            if ended is not None:
                break
            command.kill()
            command.wait()
            self.killed.append(self._phase())
            command = self._on()
        return self._finish(command.wait() if ended is None else ended, undisturbed)

    def train(self) -> Command:
        """Begins it."""
        settings = [each for setting in self._series.settings for each in ("--set", setting)]
        return self._command("train", "run.yaml", "--json", *settings)

    def _on(self) -> Command:
        return self._command("train", "--resume", "runs/run", "--json")

    def _command(self, *arguments: str) -> Command:
        return Command(arguments, self.folder, self.folder / "log")

    def _phase(self) -> Phase:
        run = self.folder / "runs" / "run"
        if (run / "manifest.json").exists():
            return "finished"
        log = run / "events.jsonl"
        if log.exists() and '"event": "trained"' in log.read_text("utf-8"):
            return "storing"
        return "training" if any((run / "checkpoint").glob("[0-9]*")) else "before"

    def _finish(self, ended: Ended | None, undisturbed: Path) -> str:
        """Does what the program says, and compares what has come of it."""
        assert ended is not None
        if ended.code == 5 and any(words in ended.errors for words in NOTHING):
            if self.killed[-1] != "before":
                return f"there was something to go on from, but: {ended.errors}"
            shutil.rmtree(self.folder / "runs" / "run", ignore_errors=True)
            ended = self.train().wait()
        elif ended.code == 5 and "is finished" in ended.errors:
            return differences(self.folder / "runs" / "run", undisturbed)
        assert ended is not None
        if ended.code or ended.errors:
            return f"ended with {ended.code}: {ended.errors}"
        return differences(_run_of(ended, self.folder), undisturbed)


def _run_of(ended: Ended | None, folder: Path) -> Path:
    """The run that a training says it has made."""
    assert ended is not None
    if ended.code:
        raise RuntimeError(ended.errors)
    return folder / str(json.loads(ended.output.splitlines()[-1])["run"])


def differences(run: Path, undisturbed: Path) -> str:
    """What of a run is not as in another, its neighbours included; nothing, if it is equal."""
    try:
        open_run(run).verify()
    except RunError as error:
        return str(error)
    here, there = _names(run), _names(undisturbed)
    both = (name for name in EQUAL if name in here & there)
    changed = [
        name for name in both if (run / name).read_bytes() != (undisturbed / name).read_bytes()
    ]
    changed += [f"{name} is there in only one of them" for name in sorted(here ^ there)]
    changed += [f"{name} was left behind" for name in sorted(_names(run.parent) - {run.name})]
    return ", ".join(changed)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_rows(path: Path) -> None:
    """Writes a table whose target follows from its other columns, but for some noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 8)).round(3)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + random.normal(scale=0.5, size=ROWS)
    names = ",".join([*(f"x{at}" for at in range(8)), "y"])
    lines = [",".join(map(str, row)) for row in np.column_stack([x, y.round(3)]).tolist()]
    path.write_text("\n".join([names, *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
