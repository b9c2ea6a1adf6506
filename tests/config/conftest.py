"""What the tests of the config room share: a config on disk, in two calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcli.config import Config, check_tune, load_config
from dlcli.errors import ConfigError

MINIMAL = "data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a config that isn't written yet; the current folder is its own."""
    monkeypatch.chdir(tmp_path)
    return Path("c.yaml")


@pytest.fixture
def load_with(config_file: Path) -> Callable[..., Config]:
    """Loads the minimal config's three lines with more lines after them, and `--set` arguments."""

    def load(lines: str = "", *overrides: str) -> Config:
        config_file.write_text(MINIMAL + lines, encoding="utf-8")
        return load_config(config_file, overrides).config

    return load


@pytest.fixture
def problems_of(config_file: Path) -> Callable[..., list[str]]:
    """What is wrong with a whole config, a line each; its search space is looked at last."""

    def problems(content: str | bytes, *overrides: str) -> list[str]:
        raw = content.encode() if isinstance(content, str) else content
        config_file.write_bytes(raw)
        with pytest.raises(ConfigError) as caught:
            check_tune(load_config(config_file, overrides))
        return [str(problem) for problem in caught.value.problems]

    return problems


@pytest.fixture
def problems_with(problems_of: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """What is wrong with lines that stand below the minimal config, from line 4 on."""
    return lambda lines="", *overrides: problems_of(MINIMAL + lines, *overrides)
