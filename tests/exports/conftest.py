"""Runs of the shipped configs, untrained."""

from __future__ import annotations

from pathlib import Path

import pytest
from untrained_runs import make_run

from dlcli.runs.run import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shipped_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """An untrained run of each shipped config by name, but for the second one on the same data."""
    folder = tmp_path_factory.mktemp("shipped")
    configs = sorted((ROOT / "configs").glob("*.yaml"))
    return {
        path.stem: make_run(path, folder / path.stem)
        for path in configs
        if path.stem != "steering_search"
    }
