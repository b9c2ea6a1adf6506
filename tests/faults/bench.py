"""Commands whose disk or memory fails at one operation, and what they must leave."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.forked import Ended
from benchmarks.kills import NOTHING_TO_RESUME, run_differences
from tests.forks import Forks

TRIED = int(os.environ.get("DLCLI_FAULTS", "5"))
"""Operations that are tried of each command, from the first to the last."""

NEEDED = [
    pytest.mark.release,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("gcc") is None,
        reason="a library that GCC makes fails, and Linux loads it first",
    ),
]
"""Marks of all tests."""


@dataclass(frozen=True)
class Fault:
    """A way in which a disk or the memory fails."""

    number: int
    """The error number."""
    stays: bool
    """Whether all operations after the first failure fail, too."""
    codes: frozenset[int]
    """The exit codes of commands."""
    reason: str
    """The reason that commands report."""
    can_crash: bool = False
    """Whether a library may end the process."""


FULL = Fault(errno.ENOSPC, True, frozenset({2, 4}), os.strerror(errno.ENOSPC))
BROKEN = Fault(errno.EIO, False, frozenset({1, 2, 4}), os.strerror(errno.EIO))
NO_MEMORY = Fault(errno.ENOMEM, True, frozenset({1, 4}), "out of memory", can_crash=True)
ONE_ALLOCATION = Fault(errno.ENOMEM, False, frozenset({1, 4}), "out of memory", can_crash=True)


class Bench:
    """Tries commands on disks and in memory that fail.

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

    def whole(self, fault: Fault, command: Sequence[str]) -> Path:
        """Run a command without a failure, and return a copy of what it left on the disk."""
        ended = self._run(command, -1, fault)
        assert ended.code == 0, ended.errors
        return self.disk.rename(self.disk.with_name("whole"))

    def try_some(self, fault: Fault, command: Sequence[str], check: Callable[[Ended], str]) -> None:
        """Run a command once for each operation that is tried, and let this one fail.

        Args:
            fault: what fails.
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
            f"{shlex.join(command)}: {fault.reason}: {self._operations} operations; "
            f"exit codes: {dict(codes)}"
        )
        assert not problems, "\n".join(problems)
        assert set(codes) - {0}, "no operation failed"

    def again(self, ended: Ended, command: Sequence[str]) -> str:
        """Resume the command as its error tells, or run it again; return its error, if any.

        After a crash, the command refuses the folder and names the way to resume it, which may
        reveal that there is no checkpoint yet.
        """
        for _ in range(3 if ended.code < 0 else 1):
            if any(words in ended.errors for words in NOTHING_TO_RESUME):
                shutil.rmtree(self.disk / "out")
            named = re.search(r"resume with: dlcli (.*)", ended.errors)
            again = [*shlex.split(named[1]), "--quiet"] if named else command
            ended = self._forks.run(*again)
            if ended.code == 0:
                return ""
        return f"{shlex.join(again)}: {ended}"

    def names(self) -> set[str]:
        """The names on the disk."""
        return {path.name for path in self.disk.iterdir()}

    def _run(self, command: Sequence[str], nth: int, fault: Fault) -> Ended:
        """Run a command on an empty disk, and let an operation fail, or none if it is negative."""
        shutil.rmtree(self.disk, ignore_errors=True)
        self._report.unlink(missing_ok=True)
        self.disk.mkdir()
        arguments = (self.disk, nth, fault.number, int(fault.stays), self._report, *command)
        ended = self._forks.run(*map(str, arguments), module="tests.faults.failing_command")
        operations, _, self._failed = "0", "", "crash"
        if self._report.exists():
            operations, _, self._failed = self._report.read_text().partition(" ")
        if nth < 0:
            self._operations = int(operations)
        if ended.code < 0:
            for partial in self.disk.glob(".*.partial*"):
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
        return ended


def wrong_words(ended: Ended, fault: Fault) -> str:
    """Describe what is wrong if a command did not end well, or with one line that names why.

    A second line may be the command that resumes it.
    """
    if ended.code < 0 and fault.can_crash:
        return ""
    lines = ended.errors.splitlines()
    is_good = not lines
    if ended.code:
        is_good = lines[0].startswith("error: ") and fault.reason in lines[0]
        is_good &= ended.code in fault.codes
        is_good &= all(line.startswith("resume with: ") for line in lines[1:])
    return "" if is_good else str(ended)


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


def check_resumed(
    bench: Bench, fault: Fault, command: Sequence[str], differ: Callable[[Path, Path], str]
) -> None:
    command = [*command, "--output", "disk/out", "--quiet"]
    whole = bench.whole(fault, command) / "out"

    def check(ended: Ended) -> str:
        is_finished = (bench.disk / "out/manifest.json").exists()  # it crashed in the summary
        is_crashed = ended.code < 0 and not is_finished
        is_resumed = is_crashed or "--resume" in ended.errors or not bench.names()
        problem = bench.again(ended, command) if ended.code and is_resumed else ""
        problem = problem or differ(bench.disk / "out", whole)  # or only the summary failed
        return problem or ("" if bench.names() == {"out"} else f"left {bench.names()}")

    bench.try_some(fault, command, check)


def check_whole_or_absent(bench: Bench, fault: Fault, command: Sequence[str]) -> None:
    whole = names(bench.whole(fault, command))

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
