"""The process that runs commands on failing disks and in failing memory, and what they need."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.bench import Bench
from tests.forks import Forks

ROWS = [
    "{},{},{:.3f}\n".format(*numbers) for numbers in np.random.default_rng(0).random((24_000, 3))
]
CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.2}
hidden: [{units: 3, activation: relu}]
epochs: 2
"""
CONFIGS = {
    "run": CONFIG,
    "ensemble": CONFIG.replace("validation: 0.2, ", "")
    + "ensemble: {members: 2}\ncheckpoint: {seconds: 1.0e-3}\n",
    "large": CONFIG.replace("rows", "many") + "batch_size: 1024\n",
    "search": CONFIG + "tune: {trials: 2, folds: 2, space: {batch_size: [16, 32]}}\n",
}


@pytest.fixture(scope="session")
def failing_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands in forks of a process that has loaded the failing disk and memory."""
    folder = tmp_path_factory.mktemp("library")
    library = folder / "failing.so"
    sources = Path(__file__).parent.glob("failing_*.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, *sources, "-ldl"], check=True)
    forks = Forks(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")
        forks.run("--version")  # starts the process
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, failing_forks: Forks) -> Path:
    """A folder with rows, configs and a run."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "rows.csv").write_text(f"a,b,y\n{''.join(ROWS[:60])}")
    (folder / "many.csv").write_text(f"a,b,y\n{''.join(ROWS)}")
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ended = failing_forks.run("train", "run.yaml", "--output", "run", "--quiet")
    assert ended.code == 0, ended.errors
    return folder


@pytest.fixture
def bench(
    failing_forks: Forks, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    folder = tmp_path / "work"
    shutil.copytree(start, folder)
    monkeypatch.chdir(folder)
    return Bench(failing_forks, folder)
