"""What tests of several packages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def no_linear_baseline() -> Iterator[None]:
    """Omit the linear model, which takes longer to train than the small networks of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.baselines.is_affordable", lambda network: False)
        yield
