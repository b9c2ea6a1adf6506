"""What the commands of pages and of benchmarks run in."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path

import pytest
from pages import Run, run_by_bash, shell

from benchmarks.forked import Ended
from tests.forks import Forks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a command line of a page."""
    return shell(request.getfixturevalue("forks")) if hasattr(os, "fork") else run_by_bash


@pytest.fixture
def run_module(forks: Forks) -> Callable[..., Ended]:
    """Does what `python -m` does in the checkout, in a process that has TensorFlow at hand."""

    def run(module: str, *arguments: str) -> Ended:
        with chdir(ROOT):
            return forks.run(*arguments, module=module)

    return run


@pytest.fixture
def iris(tmp_path: Path) -> list[str]:
    """Options of a benchmark of public tables, for a folder with the table of iris alone."""
    with (ROOT / "data" / "iris.csv").open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    with (tmp_path / "iris.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*names[:-1], "target"], *rows])
    rivals = tmp_path / "python"
    rivals.write_text(f"#!{sys.executable}\n")  # no table of scikit-learn
    rivals.chmod(0o755)
    return ["--rivals-python", str(rivals), "--tables", str(tmp_path), "--only", "iris target"]


@pytest.fixture
def forked(
    run_module: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Lets a benchmark's module start its processes so, in functions of `benchmarks.processes`."""

    def output(command: Sequence[str | Path]) -> str:
        _, option, module, *arguments = map(str, command)
        assert option == "-m"
        ended = run_module(module, *arguments)
        assert ended.code == 0, ended.errors
        return ended.output

    def wall_seconds(command: Sequence[str | Path]) -> float:
        start = time.perf_counter()
        output(command)
        return time.perf_counter() - start

    functions = {"output": output, "wall_seconds": wall_seconds}

    def patch(module: str, *names: str) -> None:
        for name in names:
            monkeypatch.setattr(f"benchmarks.{module}.{name}", functions[name])

    return patch
