"""A folder with a small table, and what is trained on it."""

from __future__ import annotations

import pytest

from dlcli.pipeline.fit import FitContext
from tests.pipeline.cross_validation.small_rows import write_rows


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder of one's own, with rows.csv."""
    monkeypatch.chdir(tmp_path)
    write_rows()
    return tmp_path


@pytest.fixture
def outcomes(monkeypatch):
    """The result of each fit, in order."""
    found = []
    fit = FitContext.fit

    def spied(self, *arguments):
        found.append(fit(self, *arguments))
        return found[-1]

    monkeypatch.setattr(FitContext, "fit", spied)
    return found
