"""Checks of arguments, whose messages name the argument, what was expected and what came."""

from __future__ import annotations

from numbers import Real

from dlcli.errors import UsageError


def check_level(interval: float) -> None:
    """Raise `UsageError` for a level of intervals that is no share between 0 and 1."""
    if not isinstance(interval, Real) or not 0 < interval < 1:
        raise UsageError(f"interval: expected a share between 0 and 1, got {interval!r}")
