"""The README is true: its commands run and print what it shows, its configs are valid."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import Block, Run, find_blocks, pattern

from dlcli.config import load_config

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


@pytest.mark.parametrize("block", find_blocks(README, "yaml"))
def test_a_piece_of_config_is_valid_in_the_place_of_the_first_ones_keys(
    block: Block, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.yaml"
    whole.write_text(find_blocks(README, "yaml")[0].text, encoding="utf-8")

    load_config(whole, block.keys)
