"""Check that trainings on full disks fail cleanly and can be resumed.

`python -m benchmarks.full_disk` uses a tmpfs, which requires root, or a system that allows `unshare
-rm`. On disks of increasing size, a training starts, and an interrupted training is resumed. If the
disk becomes full, the training must print one line and end with the right exit code. If it prints
that it can be resumed, the resumed training must be bit-identical to an uninterrupted one once
there is enough space.
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

from benchmarks.forked import Ended, Process, load, start_command
from benchmarks.kills import differences, write_rows

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.1}
hidden:
  - {units: 3000, activation: relu}
early_stopping: {patience: 1000}
epochs: 30
batch_size: 16
checkpoint: {seconds: 1.0e-3}
"""
DISK_BYTES = 2**26
"""Size that is always enough."""
CODES = {0: "done", 2: "no folder", 4: "not stored"}
"""Exit codes of a training on a full disk."""
FULL = "No space left on device"
CANNOT_MOUNT = 2
"""Exit code of this script if no disk can be mounted."""


@dataclass
class Tally:
    """The results on disks of all sizes."""

    name: str
    codes: Counter[int] = field(default_factory=Counter)
    """Number of trainings by exit code."""
    resumed: int = 0
    """Trainings that were resumed with enough space and equal the uninterrupted one."""
    problems: list[str] = field(default_factory=list)
    """Violated guarantees."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on disks of all sizes, and fail if a guarantee is violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_disk", description=__doc__)
    help = "Difference between two sizes. [default: 65536]"
    parser.add_argument("--step", type=int, default=2**16, metavar="BYTES", help=help)
    step = parser.parse_args(arguments).step
    _get_permission()
    load()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-full-disk-"))
    try:
        with mounted(folder / "disk") as disk:
            bench = Bench(folder, disk)
            tallies = [
                bench.try_all("start", step, bench.start),
                bench.try_all("resume", step, bench.resume),
            ]
    finally:
        shutil.rmtree(folder)
    Console().print(report(tallies))
    problems = [line for tally in tallies for line in tally.problems]
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        sys.exit(1)


def report(tallies: Sequence[Tally]) -> Table:
    """Return a row for started trainings, and one for resumed trainings."""
    table = Table(title="disks of all sizes", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("training")
    for name in ("sizes", *(f"{name} ({code})" for code, name in CODES.items()), "resumed"):
        table.add_column(name, justify="right")
    table.add_column("problems", justify="right")
    for tally in tallies:
        counts = [tally.codes.total(), *(tally.codes[code] for code in CODES)]
        table.add_row(tally.name, *map(str, [*counts, tally.resumed, len(tally.problems)]))
    return table


class Bench:
    """Trainings of one config on a disk of varying size.

    Args:
        folder: for files that are not part of the run.
        disk: the mounted disk.
    """

    def __init__(self, folder: Path, disk: Path) -> None:
        self._folder = folder
        self._run = disk / "run"
        self._uninterrupted = folder / "uninterrupted" / "run"
        self._interrupted = folder / "interrupted" / "run"
        self._log = folder / "log"
        self._log.mkdir()
        write_rows(folder / "rows.csv")
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        _check_code(self._train(self._uninterrupted).wait(), 0)
        _check_code(self._interrupt(self._interrupted), 128 + signal.SIGTERM)

    def try_all(self, name: str, step: int, work: Callable[[int], Iterator[Ended | str]]) -> Tally:
        """Train on disks of all sizes, up to the first that is large enough.

        Args:
            name: name in the table.
            step: difference between two sizes in bytes.
            work: trains with this number of free bytes; yields the end of the training, then any
                problems.
        """
        tally = Tally(name)
        free = 0
        while not tally.codes[0]:
            first, *others = work(free)
            assert isinstance(first, Ended)
            tally.codes[first.code] += 1
            problems = [*complaints(first), *map(str, others)]
            tally.problems += [f"{name} with {free:,} bytes: {problem}" for problem in problems]
            tally.resumed += "--resume" in first.errors and not problems
            free += step
        return tally

    def start(self, free: int) -> Iterator[Ended | str]:
        """Train on an empty disk."""
        with self._free_space(free):
            yield (ended := _waited(self._train(self._run)))
        yield from self._check_folder(ended)

    def resume(self, free: int) -> Iterator[Ended | str]:
        """Resume an interrupted training on a disk with only this much free space."""
        shutil.copytree(self._interrupted, self._run)
        with self._free_space(free):
            yield (ended := _waited(self._resume(self._run)))
        if ended.code and "--resume" not in ended.errors:
            yield f"does not say how to resume: {ended.errors}"
        yield from self._check_folder(ended)

    def _check_folder(self, ended: Ended) -> Iterator[str]:
        """Yield the problems of the run folder, resumed if possible; then remove it."""
        if "--resume" in ended.errors:
            ended = _waited(self._resume(self._run))
            if ended.code:
                yield f"could not be resumed: {ended.code}: {ended.errors}"
        if not ended.code:
            yield from filter(None, [differences(self._run, self._uninterrupted)])
        elif self._run.exists():
            yield f"left {sorted(path.name for path in self._run.iterdir())}"
        shutil.rmtree(self._run, ignore_errors=True)

    @contextmanager
    def _free_space(self, free: int) -> Iterator[None]:
        """Leave this number of bytes free on the disk, in whole pages."""
        disk = self._run.parent
        page = os.sysconf("SC_PAGE_SIZE")
        files = (path for path in disk.rglob("*") if path.is_file())
        used = sum(-(-path.stat().st_size // page) * page for path in files)
        with _sized(disk, used + free):
            yield

    def _train(self, run: Path) -> Process:
        return self._command("train", "run.yaml", "--output", run)

    def _resume(self, run: Path) -> Process:
        return self._command("train", "--resume", run)

    def _command(self, *arguments: str | Path) -> Process:
        return start_command([*arguments, "--quiet"], self._folder, self._log)

    def _interrupt(self, run: Path) -> Ended:
        """Start a training, and interrupt it once there are checkpoints."""
        command = self._train(run)
        while not (run / "checkpoint" / "2").exists() and command.wait(0.001) is None:
            pass
        command.kill(signal.SIGTERM)
        return _waited(command)


def complaints(ended: Ended) -> Iterator[str]:
    """Yield the problems of a training's exit code and messages."""
    if ended.code not in CODES:
        yield f"ended with {ended.code}: {ended.errors}"
    elif ended.code:
        lines = ended.errors.splitlines()
        if len(lines) > 2 or not lines[0].startswith("error: ") or FULL not in lines[0]:
            yield f"printed: {ended.errors}"
    elif ended.errors:
        yield f"was done, but printed: {ended.errors}"


@contextmanager
def mounted(disk: Path) -> Iterator[Path]:
    """Mount a disk that is large enough."""
    disk.mkdir()
    try:
        _system("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk))
    except subprocess.CalledProcessError:
        _exit_unmounted()
    try:
        yield disk
    finally:
        _system("umount", str(disk))


@contextmanager
def _sized(disk: Path, size: int) -> Iterator[None]:
    """Change the size of a disk temporarily; 0 would mean no limit."""
    _system("mount", "-o", f"remount,size={max(size, 1)}", str(disk))
    try:
        yield
    finally:
        _system("mount", "-o", f"remount,size={DISK_BYTES}", str(disk))


def _get_permission() -> None:
    """Restart with the permission to mount, if necessary and possible."""
    if os.geteuid() == 0:
        return
    command = ["unshare", "-rm", sys.executable, "-m", "benchmarks.full_disk", *sys.argv[1:]]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"]).returncode == 0:
        os.execvp(command[0], command)
    _exit_unmounted()


def _exit_unmounted() -> NoReturn:
    message = "can't mount a disk: this needs root, or a system that allows `unshare -rm`"
    print(message, file=sys.stderr)
    sys.exit(CANNOT_MOUNT)


def _system(*command: str) -> None:
    subprocess.run(command, check=True)


def _waited(command: Process) -> Ended:
    ended = command.wait()
    assert ended is not None
    return ended


def _check_code(ended: Ended | None, code: int) -> None:
    if ended is None or ended.code != code:
        raise RuntimeError(f"expected exit code {code}, got {ended}")


if __name__ == "__main__":
    main()
