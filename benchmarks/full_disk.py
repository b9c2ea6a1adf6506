"""`python -m benchmarks.full_disk`: a disk of every size, and a training that has to do with it.

The disk is a tmpfs, which takes root, or a system on which `unshare` may make it as if. On one of
each size, from next to nothing to enough, a training begins, and one goes on that was ended before.
Where room runs out, it must say so in a line and end with the exit code for it; and where it says
that it can go on, it must, once there is room, and end as the undisturbed one, to the bit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.kills import differences, write_rows
from benchmarks.warm import Command, Ended, load

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.1}
hidden:
  - {units: 3000, activation: relu}
early_stopping: {patience: 1000}
epochs: 100
batch_size: 16
checkpoint: {seconds: 1.0e-3}
"""
ROOM = 2**26
"""Bytes that are enough in any case."""
CODES = {0: "done", 2: "no folder", 4: "not stored"}
"""What an exit code says of a disk, see DESIGN.md."""
FULL = "No space left on device"
CANNOT = 2
"""Exit code where no disk can be mounted."""


@dataclass
class Tally:
    """What has come of disks of all sizes."""

    name: str
    codes: Counter[int] = field(default_factory=Counter)
    """How often a training ended with which exit code."""
    went_on: int = 0
    """How many went on, once there was room, and ended as the undisturbed one."""
    wrong: list[str] = field(default_factory=list)
    """What ought not to have happened."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains on disks of all sizes, and fails if any training ends otherwise than it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_disk", description=__doc__)
    help = "bytes from one size to the next; 65536, if left out"
    parser.add_argument("--step", type=int, default=2**16, metavar="BYTES", help=help)
    step = parser.parse_args(arguments).step
    _get_permission()
    load()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-full-disk-"))
    try:
        with mounted(folder / "disk") as disk:
            bench = Bench(folder, disk)
            tallies = [
                bench.try_all("begins", step, bench.begin),
                bench.try_all("goes on", step, bench.go_on),
            ]
    finally:
        shutil.rmtree(folder)
    Console().print(report(tallies))
    wrong = [line for tally in tallies for line in tally.wrong]
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        sys.exit(1)


def report(tallies: Sequence[Tally]) -> Table:
    """A row for beginning, and one for going on."""
    table = Table(title="disks of all sizes", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("training")
    for name in ("sizes", *(f"{name} ({code})" for code, name in CODES.items()), "went on"):
        table.add_column(name, justify="right")
    table.add_column("wrong", justify="right")
    for tally in tallies:
        counts = [tally.codes.total(), *(tally.codes[code] for code in CODES)]
        table.add_row(tally.name, *map(str, [*counts, tally.went_on, len(tally.wrong)]))
    return table


class Bench:
    """Trainings of one config, on a disk that is made smaller and larger.

    Args:
        folder: for what is no part of a run.
        disk: the mounted disk.
    """

    def __init__(self, folder: Path, disk: Path) -> None:
        self._folder = folder
        self._run = disk / "run"
        self._undisturbed = folder / "undisturbed" / "run"
        self._ended = folder / "ended" / "run"
        self._log = folder / "log"
        self._log.mkdir()
        write_rows(folder / "rows.csv")
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        _check_code(self._train(self._undisturbed).wait(), 0)
        _check_code(self._end_early(self._ended), 128 + signal.SIGTERM)

    def try_all(self, name: str, step: int, work: Callable[[int], Iterator[Ended | str]]) -> Tally:
        """Does something with disks of all sizes until one is large enough.

        Args:
            name: what the table calls it.
            step: bytes from one size to the next.
            work: does it, given how many bytes are free; yields how it ended, and anything that
                went wrong.
        """
        tally = Tally(name)
        free = 0
        while not tally.codes[0]:
            first, *others = work(free)
            assert isinstance(first, Ended)
            tally.codes[first.code] += 1
            problems = [*complaints(first), *map(str, others)]
            tally.wrong += [f"{name} with {free:,} bytes: {problem}" for problem in problems]
            tally.went_on += "--resume" in first.errors and not problems
            free += step
        return tally

    def begin(self, free: int) -> Iterator[Ended | str]:
        """Trains on an empty disk."""
        with self._room(free):
            yield (ended := _waited(self._train(self._run)))
        yield from self._outcome(ended)

    def go_on(self, free: int) -> Iterator[Ended | str]:
        """Goes on with what lies on a disk that is filled up otherwise."""
        shutil.copytree(self._ended, self._run)
        with self._room(free):
            yield (ended := _waited(self._resume(self._run)))
        if ended.code and "--resume" not in ended.errors:
            yield f"does not say how to go on: {ended.errors}"
        yield from self._outcome(ended)

    def _outcome(self, ended: Ended) -> Iterator[str]:
        """What is wrong with what was left; it is removed."""
        if "--resume" in ended.errors:
            ended = _waited(self._resume(self._run))
            if ended.code:
                yield f"did not go on: {ended.code}: {ended.errors}"
        if not ended.code:
            yield from filter(None, [differences(self._run, self._undisturbed)])
        elif self._run.exists():
            yield f"left {sorted(path.name for path in self._run.iterdir())}"
        shutil.rmtree(self._run, ignore_errors=True)

    @contextmanager
    def _room(self, free: int) -> Iterator[None]:
        """Leaves so many bytes on the disk, in whole pages."""
        disk = self._run.parent
        page = os.sysconf("SC_PAGE_SIZE")
        used = sum(-(-path.stat().st_size // page) * page for path in _files(disk))
        with _sized(disk, used + free):
            yield

    def _train(self, run: Path) -> Command:
        return self._command("train", "run.yaml", "--output", run)

    def _resume(self, run: Path) -> Command:
        return self._command("train", "--resume", run)

    def _command(self, *arguments: str | Path) -> Command:
        return Command([*arguments, "--quiet"], self._folder, self._log)

    def _end_early(self, run: Path) -> Ended:
        """Begins a training, and ends it when there are checkpoints."""
        command = self._train(run)
        while not (run / "checkpoint" / "2").exists() and command.wait(0.001) is None:
            pass
        command.kill(signal.SIGTERM)
        return _waited(command)


def complaints(ended: Ended) -> Iterator[str]:
    """What is wrong with how a training has ended."""
    if ended.code not in CODES:
        yield f"ended with {ended.code}: {ended.errors}"
    elif ended.code:
        lines = ended.errors.splitlines()
        if len(lines) > 2 or not lines[0].startswith("error: ") or FULL not in lines[0]:
            yield f"said: {ended.errors}"
    elif ended.errors:
        yield f"was done, but said: {ended.errors}"


@contextmanager
def mounted(disk: Path) -> Iterator[Path]:
    """Mounts a disk of its own with all the room that is needed."""
    disk.mkdir()
    try:
        _system("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk))
    except subprocess.CalledProcessError:
        _give_up()
    try:
        yield disk
    finally:
        _system("umount", str(disk))


@contextmanager
def _sized(disk: Path, size: int) -> Iterator[None]:
    """Gives a disk another size for a while; one of 0 would have no limit at all."""
    _system("mount", "-o", f"remount,size={max(size, 1)}", str(disk))
    try:
        yield
    finally:
        _system("mount", "-o", f"remount,size={ROOM}", str(disk))


def _get_permission() -> None:
    """Starts anew as one who may mount, if that is possible and needed."""
    if os.geteuid() == 0:
        return
    again = ["unshare", "-rm", sys.executable, "-m", "benchmarks.full_disk", *sys.argv[1:]]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"]).returncode == 0:
        os.execvp(again[0], again)
    _give_up()


def _give_up() -> NoReturn:
    words = "a disk can't be mounted: that takes root, or a system that allows `unshare -rm`"
    print(words, file=sys.stderr)
    sys.exit(CANNOT)


def _system(*command: str) -> None:
    subprocess.run(command, check=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _waited(command: Command) -> Ended:
    ended = command.wait()
    assert ended is not None
    return ended


def _check_code(ended: Ended | None, code: int) -> None:
    if ended is None or ended.code != code:
        raise RuntimeError(f"{code} was expected, but: {ended}")


if __name__ == "__main__":
    main()
