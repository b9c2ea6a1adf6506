"""What tests of several packages share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.forks import Forks

settings.register_profile("untimed", deadline=None)  # a busy machine may be slow at any example
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of the project, which are the longest, so that none of them is last."""
    items.sort(key=lambda item: "project" not in item.path.parts)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands of dlcli in processes of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("there are no forks")
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def no_linear_baseline() -> Iterator[None]:
    """Omit the linear model, which takes longer to train than the small networks of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.baselines.is_affordable", lambda network: False)
        yield
