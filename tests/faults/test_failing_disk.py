"""The nth write, sync, rename or new file of a command fails, for n = 1, 2, 3 ….

Each command then ends with one line and an exit code, and leaves nothing half-written: its output
is whole, or absent, or a run folder that the named command resumes. By default, five operations are
tried of each command. To try all: `DLCLI_FAULTS=100000 pytest -m release tests/faults`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.forked import Ended
from benchmarks.kills import run_differences
from tests.forks import Forks

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("gcc") is None,
        reason="the disk is a library that GCC makes, and that Linux loads first",
    ),
]

TRIED = int(os.environ.get("DLCLI_FAULTS", "5"))
"""Operations that are tried of each command, from the first to the last."""
ROWS = "".join(
    f"{at * 17 % 60 / 8},{at * at * 23 % 61 / 4},{at * 37 % 60 / 7:.3f}\n" for at in range(60)
)
CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.2}
hidden: [{units: 3, activation: relu}]
epochs: 2
"""
CONFIGS = {
    "run": CONFIG,
    "ensemble": CONFIG.replace("validation: 0.2, ", "")
    + "ensemble: {members: 2}\ncheckpoint: {seconds: 1.0e-3}\n",
    "search": CONFIG + "tune: {trials: 2, folds: 2, space: {batch_size: [16, 32]}}\n",
}


@dataclass(frozen=True)
class Fault:
    """A way in which a disk fails."""

    number: int
    """The error number."""
    stays: bool
    """Whether all operations after the first failure fail, too."""
    codes: frozenset[int]
    """The exit codes of commands."""


FULL = Fault(errno.ENOSPC, True, frozenset({2, 4}))
BROKEN = Fault(errno.EIO, False, frozenset({1, 2, 4}))
FAULTS = pytest.mark.parametrize("fault", [FULL, BROKEN], ids=["full", "one_fails"])


@pytest.fixture(scope="module")
def failing_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands in forks of a process that has loaded the failing disk."""
    folder = tmp_path_factory.mktemp("library")
    library = folder / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    forks = Forks(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        forks.run("--version")  # starts the process
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, failing_forks: Forks) -> Path:
    """A folder with rows, configs and a run."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "rows.csv").write_text(f"a,b,y\n{ROWS}")
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ended = failing_forks.run("train", "run.yaml", "--output", "run", "--quiet")
    assert ended.code == 0, ended.errors
    return folder


class Bench:
    """Tries commands on disks that fail.

    Args:
        forks: runs the commands.
        folder: the current folder of the commands.
    """

    def __init__(self, forks: Forks, folder: Path) -> None:
        self._forks = forks
        self._report = folder / "failed"
        self.disk = folder / "disk"
        """The folder in which operations fail."""
        self._operations = 0
        self._failed = ""

    def whole(self, command: Sequence[str]) -> Path:
        """Run a command without a failure, and return a copy of what it left on the disk."""
        ended = self._run(command, -1, FULL)
        assert ended.code == 0, ended.errors
        return self.disk.rename(self.disk.with_name("whole"))

    def try_some(self, fault: Fault, command: Sequence[str], check: Callable[[Ended], str]) -> None:
        """Run a command once for each operation that is tried, and let this one fail.

        Args:
            fault: how the disk fails.
            command: a command that was run without a failure.
            check: describes what is wrong with the disk after it, or is empty.
        """
        problems, codes = [], Counter[int]()
        step = math.ceil(self._operations / TRIED)
        first = random.Random(f"{fault} {command}").randrange(step)
        for nth in range(first, self._operations, step):
            ended = self._run(command, nth, fault)
            if not self._failed:  # fewer operations than last time
                assert ended.code == 0, ended.errors
                continue
            codes[ended.code] += 1
            if problem := wrong_words(ended, fault) or check(ended):
                problems.append(f"operation {nth}, {self._failed}: {problem}")
        print(
            f"{shlex.join(command)}: {os.strerror(fault.number)}: {self._operations} operations; "
            f"exit codes: {dict(codes)}"
        )
        assert not problems, "\n".join(problems)
        assert set(codes) - {0}, "no operation failed"

    def again(self, ended: Ended, command: Sequence[str]) -> str:
        """Resume the command as its error tells, or run it again; return its error, if any."""
        if named := re.search(r"resume with: dlcli (.*)", ended.errors):
            command = [*shlex.split(named[1]), "--quiet"]
        ended = self._forks.run(*command)
        return f"{shlex.join(command)}: {ended}" if ended.code else ""

    def names(self) -> set[str]:
        """The names on the disk."""
        return {path.name for path in self.disk.iterdir()}

    def _run(self, command: Sequence[str], nth: int, fault: Fault) -> Ended:
        """Run a command on an empty disk, and let an operation fail, or none if it is negative."""
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir()
        arguments = (self.disk, nth, fault.number, int(fault.stays), self._report, *command)
        ended = self._forks.run(*map(str, arguments), module="tests.faults.failing_command")
        operations, _, self._failed = self._report.read_text().partition(" ")
        if nth < 0:
            self._operations = int(operations)
        return ended


def wrong_words(ended: Ended, fault: Fault) -> str:
    """Describe what is wrong if a command did not end well, or with one line that names why.

    A second line may be the command that resumes it.
    """
    lines = ended.errors.splitlines()
    is_good = not lines
    if ended.code:
        is_good = lines[0].startswith("error: ") and os.strerror(fault.number) in lines[0]
        is_good &= ended.code in fault.codes
        is_good &= all(line.startswith("resume with: ") for line in lines[1:])
    return "" if is_good else str(ended)


@pytest.fixture
def bench(
    failing_forks: Forks, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    folder = tmp_path / "work"
    shutil.copytree(start, folder)
    monkeypatch.chdir(folder)
    return Bench(failing_forks, folder)


@FAULTS
@pytest.mark.parametrize(
    "command",
    [("train", "run.yaml"), ("train", "ensemble.yaml"), ("cv", "run.yaml", "--folds", "2")],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_training_is_whole_or_absent_or_resumed(command, fault, bench):
    _check_resumed(bench, fault, command, run_differences)


@FAULTS
def test_a_search_is_whole_or_absent_or_resumed(fault, bench):
    _check_resumed(bench, fault, ("tune", "search.yaml"), search_differences)


def search_differences(search: Path, undisturbed: Path) -> str:
    """Describe how a search differs from another; empty if equal."""
    if trials(search) != trials(undisturbed):
        return f"{trials(search)} instead of {trials(undisturbed)}"
    return run_differences(search, undisturbed) or ", ".join(
        f"{name}: {problem}"
        for name in ("best", "default")
        if (problem := run_differences(search / name, undisturbed / name))
    )


def trials(search: Path) -> list[tuple[object, object]]:
    """The settings of the complete trials, and their validation losses."""
    found = json.loads((search / "tune.json").read_text())["trials"]
    return [(each["values"], each["value"]) for each in found if each["state"] == "complete"]


def _check_resumed(
    bench: Bench, fault: Fault, command: Sequence[str], differ: Callable[[Path, Path], str]
) -> None:
    command = [*command, "--output", "disk/out", "--quiet"]
    whole = bench.whole(command) / "out"

    def check(ended: Ended) -> str:
        if ended.code and "--resume" not in ended.errors and bench.names():
            return f"left {bench.names()}: {ended}"
        problem = bench.again(ended, command) if ended.code else ""
        problem = problem or differ(bench.disk / "out", whole)
        return problem or ("" if bench.names() == {"out"} else f"left {bench.names()}")

    bench.try_some(fault, command, check)


@FAULTS
@pytest.mark.parametrize("name", ["p.csv", "p.parquet", "p.xlsx"])
def test_predictions_are_whole_or_absent(name, fault, bench):
    command = ["predict", "run", "rows.csv", "--output", f"disk/{name}", "--quiet"]
    _check_whole_or_absent(bench, fault, command)


@FAULTS
@pytest.mark.parametrize("format", ["onnx", "python"])
def test_an_export_is_whole_or_absent(format, fault, bench):
    command = ["export", "run", "--format", format, "--output", "disk/out", "--quiet"]
    _check_whole_or_absent(bench, fault, command)


def _check_whole_or_absent(bench: Bench, fault: Fault, command: Sequence[str]) -> None:
    whole = names(bench.whole(command))

    def check(ended: Ended) -> str:
        if names(bench.disk) == whole:  # also if only the name could not be synced
            return ""
        if bench.names():
            return f"left {bench.names()}: {ended}"
        problem = bench.again(ended, command)
        return problem or ("" if names(bench.disk) == whole else f"{names(bench.disk)}: {ended}")

    bench.try_some(fault, command, check)


def names(folder: Path) -> dict[str, int]:
    """The sizes of the files in a folder, by their names."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
