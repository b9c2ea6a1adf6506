"""Shared fixtures: a config on disk, loaded or with its problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcli.config.config_file import load_config
from dlcli.config.config_schema import Config
from dlcli.config.search_space import check_tune
from dlcli.errors import ConfigError

MINIMAL = "data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configs")


@pytest.fixture
def config_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a config to write, in the current folder."""
    monkeypatch.chdir(folder)
    return Path("c.yaml")


@pytest.fixture
def load_with(config_file: Path) -> Callable[..., Config]:
    """Load the three lines of the minimal config with lines after them and `--set` arguments."""

    def load(lines: str = "", *overrides: str) -> Config:
        config_file.write_text(MINIMAL + lines, encoding="utf-8")
        return load_config(config_file, overrides).config

    return load


@pytest.fixture
def problems_of(config_file: Path) -> Callable[..., list[str]]:
    """Return the problems of a whole config; those of its search space come last."""

    def problems(content: str | bytes, *overrides: str) -> list[str]:
        raw = content.encode() if isinstance(content, str) else content
        config_file.write_bytes(raw)
        with pytest.raises(ConfigError) as caught:
            check_tune(load_config(config_file, overrides))
        return [str(problem) for problem in caught.value.problems]

    return problems


@pytest.fixture
def problems_with(problems_of: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return the problems of lines after the minimal config, from line 4 on."""
    return lambda lines="", *overrides: problems_of(MINIMAL + lines, *overrides)
