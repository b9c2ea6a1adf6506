"""The README is short, and its commands print what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from pages import Run, find_blocks, pattern
from scripts import Scripts, write_tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_session_prints_what_the_readme_shows(run: Run, tmp_path: Path) -> None:
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)

    for block in find_blocks(README, "console"):
        for command, shown in block.steps:
            printed = run(command, tmp_path)
            assert re.fullmatch(pattern(shown), printed), f"$ {command}\n{printed}"


@pytest.mark.release
def test_the_scripts_of_the_readme_run(run: Run, tmp_path: Path) -> None:
    """Those of a reader's own table and, after a run, those that use it without dlcli."""
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    write_tables(tmp_path)
    run("dlcli train configs/bikes.yaml --set epochs=2", tmp_path)
    scripts = Scripts(run, tmp_path)

    failures = [text for block in find_blocks(README, "sh") for text in scripts.failures(block)]
    scripts.close()

    assert "\n".join(failures) == ""


def test_the_config_beside_the_result_is_the_shipped_one() -> None:
    shipped = (ROOT / "configs" / "bikes.yaml").read_text(encoding="utf-8")

    (shown,) = find_blocks(README, "yaml")

    assert yaml.safe_load(shown.text) == yaml.safe_load(shipped)


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.split()) <= 700
