"""The pages are true: their commands print what they show, and their configs are valid."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from pages import Block, Run, find_blocks, pages_to_run, pattern

from dlcli.config import load_config

ROOT = Path(__file__).parents[2]
PAGES = pages_to_run()
FOR_RELEASES = (
    *("3-overfitting", "4-images", "5-text-and-a-game", "6-choosing", "7-experiments"),
    *("8-ensembles", "intervals"),
)
"""Pages whose trainings take more than ten seconds."""
SMALLEST = "data: {train: table.csv, target: y}\nhidden: []\nepochs: 1\n"


def blocks_of(page: Path) -> list[Block]:
    return find_blocks(page.read_text(encoding="utf-8"))


def each_page_with(language: str, longest: Collection[str] = ()) -> pytest.MarkDecorator:
    pages = [page for page in PAGES if any(block.language == language for block in blocks_of(page))]
    given = [
        pytest.param(page, marks=pytest.mark.release if page.stem in longest else ())
        for page in pages
    ]
    return pytest.mark.parametrize("page", given, ids=lambda page: page.stem)


def file_name(block: Block) -> str:
    """The file that the reader is to write, if the block begins with its name."""
    named = re.match(r"# (\S+\.(yaml|py))\n", block.text)
    return named[1] if named else ""


def differences(page: Path, run: Run, folder: Path) -> Iterator[str]:
    """Does what a reader of the page does, and yields what comes out otherwise than shown."""
    for block in blocks_of(page):
        if name := file_name(block):
            (folder / name).write_text(block.text, encoding="utf-8")
        for command, shown in block.steps if block.language == "console" else ():
            printed = run(command, folder)
            if not re.fullmatch(pattern(shown), printed):
                yield f"$ {command}\n{printed}"


@pytest.mark.slow
@each_page_with("console", FOR_RELEASES)
def test_the_commands_of_a_page_print_what_it_shows(page: Path, run: Run, tmp_path: Path) -> None:
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)

    assert "\n".join(differences(page, run, tmp_path)) == ""


@each_page_with("yaml")
def test_the_configs_of_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    """A piece of config stands in the place of the keys of the last whole one."""
    whole = tmp_path / "whole.yaml"
    whole.write_text(SMALLEST, encoding="utf-8")

    for block in blocks_of(page):
        if file_name(block).endswith(".yaml"):
            whole.write_text(block.text, encoding="utf-8")
            load_config(whole)
        elif block.language == "yaml":
            load_config(whole, block.keys)
