"""The README is true: its commands run and print what it shows, its configs are valid."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlcli.config import load_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = r"\d+(\.\d+)?(e-?\d+)?"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str]]:
    """The commands of the session, each with the output that the README shows."""
    lines = "".join(blocks("console"))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", lines, re.MULTILINE)


def pattern(shown: str) -> str:
    """Fits an output with other numbers, padded to another width, and any lines for `...`."""
    text = re.escape(re.sub(NUMBER, "0", shown))
    text = re.sub(r"(\\ )+", " +", text)
    text = text.replace(re.escape("...\n"), "(.*\n)*?")
    return text.replace("0", NUMBER)


def run(command: str, folder: Path) -> str:
    """What a command line prints, on either stream, with this environment's dlcli."""
    script = f'dlcli() {{ "{sys.executable}" -m dlcli "$@"; }}\n{command}'
    bash = ["bash", "-c", script]
    done = subprocess.run(
        bash, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


@pytest.mark.slow
def test_the_session_prints_what_the_readme_shows(tmp_path: Path) -> None:
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)

    for command, shown in steps():
        printed = run(command, tmp_path)
        assert re.fullmatch(pattern(shown), printed), f"$ {command}\n{printed}"


@pytest.mark.parametrize("block", blocks("yaml"))
def test_a_piece_of_config_is_valid_in_the_place_of_the_first_ones_keys(
    block: str, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.yaml"
    whole.write_text(blocks("yaml")[0], encoding="utf-8")
    keys = re.findall(r"^(\w+):((?:.*\n)(?:[ ].*\n)*)", block, re.MULTILINE)

    load_config(whole, [f"{key}={value}" for key, value in keys])
