"""What all folds say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.comparison import HeldOut, read_rows
from dlcli.config import EarlyStopping, GroupSplit, TimeSplit
from dlcli.errors import RunError
from dlcli.metrics import Number, main_metric, mean_of_defined
from dlcli.network import Head
from dlcli.pipeline.cross_validation.finished import Finished
from dlcli.pipeline.cross_validation.judging import numbers_of
from dlcli.pipeline.cross_validation.plan import Plan
from dlcli.pipeline.pool import Pool
from dlcli.pipeline.selection import (
    CrossValidation,
    fold_intervals,
    median_epochs,
    notes_of,
    pooled_estimates,
)
from dlcli.prediction import KeptColumns
from dlcli.tasks import TargetEncoder

if TYPE_CHECKING:
    import pyarrow as pa

_OF_ORDER = ("auc", "average_precision")
"""Metrics of the order of rows, which a model that looks at no column leaves to chance. Pooled, its
shares differ by fold, and are the smaller the more rows of a class are held out: it would seem to
order rows, and wrongly."""


@dataclass(frozen=True)
class Asked:
    """What was to be found out."""

    name: str
    """The config's."""
    plan: Plan
    seed: int
    pool: Pool
    head: Head
    target: TargetEncoder
    """Fitted to any rows: names and kind are the same in all folds."""
    stopping: EarlyStopping | None


def put_together(asked: Asked, folds: Sequence[Finished], place: str) -> CrossValidation:
    """The document of a cross-validation.

    Args:
        asked: what was to be found out.
        folds: in order: repeat, then fold; at least one that was trained.
        place: the run folder, for messages.

    Raises:
        RunError: if the predictions that were kept are not those of such folds.
    """
    held = [_held_out(asked, fold, place) for fold in folds]
    by_repeat = [*_repeats(asked, folds, place)]
    results = [fold.result for fold in folds]
    pooled = pooled_estimates(by_repeat)
    means, deviations = fold_intervals(results, [*pooled])
    scores = {name: found.value for name, found in pooled.items()}
    metric = main_metric(asked.head.metrics, scores)
    pool, dealt = asked.pool, asked.pool.dealt
    return CrossValidation(
        name=asked.name,
        target=pool.target.columns,
        task="classes" if pool.target.classes else "labels" if pool.target.labels else "numbers",
        classes=pool.target.classes or pool.target.labels,
        split=dealt.name,
        column=dealt.column if isinstance(dealt, GroupSplit | TimeSplit) else None,
        folds=asked.plan.folds,
        repeats=asked.plan.repeats,
        seed=asked.seed,
        rows=pool.rows.rows,
        set_aside=pool.set_aside,
        main_metric=metric,
        results=tuple(results),
        pooled=pooled,
        by_fold=means,
        deviations=deviations,
        constant=_constant(folds, held, by_repeat),
        best_epochs=median_epochs(results),
        notes=notes_of(
            results,
            held,
            split=dealt.name,
            rows=pool.rows.rows,
            metric=metric,
            stopping=asked.stopping,
        ),
    )


def all_predictions(folds: Sequence[Finished], place: str) -> pa.Table:
    """The predictions of all folds, one behind the other.

    Raises:
        RunError: if their columns differ, as no folds of one cross-validation do.
    """
    import pyarrow as pa

    tables = [fold.predictions for fold in folds if fold.predictions is not None]
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException:
        message = "what is kept of its folds doesn't fit together; begin it again"
        raise RunError(f"{place}: {message}") from None


def _repeats(asked: Asked, folds: Sequence[Finished], place: str) -> Iterator[HeldOut]:
    """Yields the rows of all folds of each repeat, as far as they were trained."""
    for repeat in range(1, asked.plan.repeats + 1):
        of_repeat = [fold for fold in folds if fold.result.repeat == repeat]
        if any(fold.predictions is not None for fold in of_repeat):
            yield _read(asked, all_predictions(of_repeat, place), place)


def _held_out(asked: Asked, fold: Finished, place: str) -> HeldOut | None:
    if fold.predictions is None:
        return None
    found = _read(asked, fold.predictions, place)
    if found.outputs.shape[1] != len(fold.constant):
        raise RunError(f"{place}: what is kept of its folds is of another target; begin it again")
    return found


def _read(asked: Asked, table: pa.Table, place: str) -> HeldOut:
    columns = KeptColumns(table, f"{place}: its predictions")
    return read_rows(columns, asked.target, has_deviance=asked.head.loss.name == "poisson")


def _constant(
    folds: Sequence[Finished], held: Sequence[HeldOut | None], by_repeat: Sequence[HeldOut]
) -> dict[str, Number]:
    """The metrics of a model that has seen only the target of each fold's training rows."""
    said = [
        np.broadcast_to(fold.constant, (rows.rows, len(fold.constant)))
        for fold, rows in zip(folds, held, strict=True)
        if rows is not None
    ]
    ends = np.cumsum([rows.rows for rows in by_repeat])[:-1]
    outputs = np.split(np.concatenate(said), ends)
    scores = [
        numbers_of(replace(rows, outputs=constant).scores())
        for rows, constant in zip(by_repeat, outputs, strict=True)
    ]
    pooled = {
        name: mean_of_defined(each.get(name) for each in scores)
        for name in dict.fromkeys(name for each in scores for name in each)
    }
    for name in _OF_ORDER:
        if name in pooled:
            pooled[name] = mean_of_defined(fold.result.constant.get(name) for fold in folds)
    return pooled
