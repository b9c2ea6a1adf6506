"""The README is short, and its commands print what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import Run, find_blocks, pattern

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


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.split()) <= 800
