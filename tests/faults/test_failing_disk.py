"""The nth write, sync, rename or new file of a command fails, for n = 1, 2, 3 ….

Each command then ends with one line and an exit code, and leaves nothing half-written: its output
is whole, or absent, or a run folder that the named command resumes. By default, every 13th
operation is tried, and every third of `predict` and `export`. To try all:
`DLCLI_FAULT_STRIDE=1 pytest -m release tests/faults`.
"""

from __future__ import annotations

import errno
import os
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
from benchmarks.kills import differences
from tests.forks import Forks

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("gcc") is None,
        reason="the disk is a library that GCC makes, and that Linux loads first",
    ),
]

STRIDE = int(os.environ.get("DLCLI_FAULT_STRIDE", "13"))
FILE_STRIDE = max(1, STRIDE // 4)
"""The distance for commands that write one file or a few."""
MOST = 5_000
"""Operations after which a command that still fails is taken for an endless one."""
ROWS = "".join(
    f"{at * 17 % 60 / 8},{at * 23 % 60 / 4},{at * 37 % 60 / 7:.3f}\n" for at in range(60)
)
CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.2}
hidden: [{units: 3, activation: relu}]
epochs: 2
"""


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
    (folder / "run.yaml").write_text(CONFIG)
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

    def whole(self, command: Sequence[str]) -> Path:
        """Run a command without a failure, and return a copy of what it left on the disk."""
        self._empty()
        ended = self._forks.run(*command)
        assert ended.code == 0, ended.errors
        return self.disk.rename(self.disk.with_name("whole"))

    def try_each(
        self,
        fault: Fault,
        command: Sequence[str],
        check: Callable[[Ended], str],
        stride: int = STRIDE,
    ) -> None:
        """Run a command once for each operation that fails.

        Args:
            fault: how the disk fails.
            command: the command.
            check: describes what is wrong with the disk after it, or is empty.
            stride: distance between two operations that are tried.
        """
        problems, codes = [], Counter[int]()
        for nth in range(0, MOST, stride):
            self._empty()
            arguments = (nth, fault.number, int(fault.stays), self._report)
            ended = self._forks.run(
                *(str(self.disk), *map(str, arguments), *command),
                module="tests.faults.failing_command",
            )
            failed = self._report.read_text()
            if not failed:
                assert ended.code == 0, ended.errors
                break
            codes[ended.code] += 1
            if problem := wrong_words(ended, fault) or check(ended):
                problems.append(f"operation {nth}, {failed}: {problem}")
        else:
            problems.append(f"more than {MOST} operations")
        print(f"{shlex.join(command)}: {fault.number}: operations by exit code: {dict(codes)}")
        assert problems == []
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

    def _empty(self) -> None:
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir()


def wrong_words(ended: Ended, fault: Fault) -> str:
    """Describe what is wrong if a command did not end well, or with one line that names why."""
    lines = ended.errors.splitlines()
    is_good = not lines
    if ended.code:
        is_good = len(lines) == 1 and lines[0].startswith("error: ") and ended.code in fault.codes
        is_good = is_good and os.strerror(fault.number) in lines[0]
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
    [("train", "run.yaml"), ("cv", "run.yaml", "--folds", "2")],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_training_is_whole_or_absent_or_resumed(command, fault, bench):
    command = [*command, "--output", "disk/out", "--quiet"]
    whole = bench.whole(command) / "out"

    def check(ended: Ended) -> str:
        if ended.code and "--resume" not in ended.errors and bench.names():
            return f"left {bench.names()}: {ended}"
        problem = bench.again(ended, command) if ended.code else ""
        return problem or differences(bench.disk / "out", whole)

    bench.try_each(fault, command, check)


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

    bench.try_each(fault, command, check, FILE_STRIDE)


def names(folder: Path) -> dict[str, int]:
    """The sizes of the files in a folder, by their names."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
