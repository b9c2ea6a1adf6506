"""Folds and trials as if they had been trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.runs.documents import FoldResult, NestedFold, TrialEnd, TrialResult


def fold(at: int, metrics: Mapping[str, float | None], **more: Any) -> FoldResult:
    """A fold of 50 rows, whose network has learned from 200."""
    made: dict[str, Any] = {
        "repeat": 1,
        "fold": at,
        "train": 200,
        "validation": 0,
        "held_out": 50,
        "inputs": 3,
        "parameters": 10,
        "epochs": 20,
        "best_epoch": None,
        "seconds": 1.0,
        "metrics": metrics,
        "constant": {},
        "history": {},
    }
    return FoldResult(**{**made, **more})


def folds(metric: str, values: Sequence[float | None], **more: Any) -> list[FoldResult]:
    """Folds with the values of one metric."""
    return [fold(at, {metric: value}, **more) for at, value in enumerate(values, start=1)]


def failed(at: int, **more: Any) -> FoldResult:
    """A fold whose training came to nothing."""
    return fold(at, {}, epochs=0, problem="the loss is NaN in epoch 3", **more)


def trial(
    number: int | None,
    value: float | None,
    parameters: int | None = 100,
    *,
    error: float | None = None,
    state: TrialEnd = "complete",
    values: Mapping[str, Any] | None = None,
) -> TrialResult:
    """A candidate."""
    return TrialResult(
        number=number,
        state=state,
        values=values or {},
        value=value,
        standard_error=error,
        parameters=parameters,
        seconds=1.0,
    )


def outer(at: int, value: float | None, rows: int = 50, train: int = 200) -> NestedFold:
    """An outer fold of a nested search."""
    return NestedFold(
        fold=at,
        train=train,
        held_out=rows,
        trials=10,
        values={},
        inner=1.0,
        value=value,
        metrics={},
    )
