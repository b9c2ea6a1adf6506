"""A shell for the commands of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pages import Run, shell


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Runs a command line of a page."""
    with shell() as run:
        yield run
