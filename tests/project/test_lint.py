"""Lint, format and types, as the pre-commit hooks check them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def assert_passes(*command: str) -> None:
    check = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_ruff_finds_nothing() -> None:
    assert_passes("ruff", "check")


def test_every_file_is_formatted() -> None:
    assert_passes("ruff", "format", "--check")


@pytest.mark.slow
def test_mypy_finds_nothing() -> None:
    assert_passes("mypy")
