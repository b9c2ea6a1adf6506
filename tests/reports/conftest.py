"""Pages without Vega, which takes seconds to put together, unless a test asks for it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _without_vega(request, monkeypatch):
    if "vega" not in request.fixturenames:
        monkeypatch.setattr("dlcli.reports.report_files.vega_script", lambda: "")


@pytest.fixture
def vega():
    """Pages as they are, with Vega."""
