"""The results of a cross-validation, fold by fold and combined: `cv.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.comparison import HeldOut, read_rows
from dlcli.config import Config, GroupSplit, TimeSplit
from dlcli.errors import ConfigError, DataError, DivergenceError, DlcliError, RunError
from dlcli.metrics import (
    HIGHER_IS_BETTER,
    Metrics,
    Number,
    finite,
    finite_number,
    main_metric,
    mean_of_defined,
)
from dlcli.network import Network
from dlcli.pipeline.data_loading import Dataset
from dlcli.pipeline.preparation import Prepared
from dlcli.pipeline.selection import (
    CrossValidation,
    FoldResult,
    fold_intervals,
    median_epochs,
    notes_of,
    pooled_estimates,
)
from dlcli.pipeline.selection.part import Part
from dlcli.pipeline.selection.thinning import thinned
from dlcli.prediction import Predictions, StoredPredictions
from dlcli.splitting import Split

if TYPE_CHECKING:
    import pyarrow as pa

MOST_EPOCHS = 200
"""About how many epochs of a history are stored."""
_RANKING = ("auc", "average_precision")
"""Metrics of the order of rows, which a constant model leaves to chance. Pooled, its shares differ
by fold, and are the smaller the more rows of a class are held out: it would seem to order rows, and
wrongly."""


class StoredFold(Part):
    """What is stored of a fold next to its predictions."""

    result: FoldResult
    constant: tuple[float, ...]


@dataclass(frozen=True)
class FinishedFold:
    """A fold that was trained, or could not be."""

    result: FoldResult
    """Sizes, metrics and history."""
    constant: tuple[float, ...] = ()
    """The prediction of a constant model for any of its rows, as `HeldOut.outputs` has it."""
    predictions: pa.Table | None = None
    """Those of its rows; `None` if training failed."""
    error: ConfigError | DataError | None = None
    """Why it can't be trained or evaluated on its rows; not stored."""

    @property
    def document(self) -> StoredFold:
        """What is stored of it next to its predictions."""
        return StoredFold(result=self.result, constant=self.constant)


def failed_fold(
    repeat: int,
    fold: int,
    split: Split,
    error: DlcliError,
    seconds: float,
    network: Network | None = None,
) -> FinishedFold:
    """Return the result of a fold that diverged, or whose rows can't be used.

    Args:
        repeat: from 1.
        fold: from 1.
        split: its rows.
        error: how it ended.
        seconds: the time that all of it took.
        network: the layers, if the rows could be encoded.
    """
    weights = () if network is None else network.weights
    result = FoldResult(
        repeat=repeat,
        fold=fold,
        train=split.train.rows,
        validation=0 if split.validation is None else split.validation.rows,
        held_out=0 if split.test is None else split.test.rows,
        inputs=0 if network is None else network.inputs,
        parameters=sum(weight.size for weight in weights if weight.trainable),
        epochs=max(error.epoch - 1, 0) if isinstance(error, DivergenceError) else 0,
        best_epoch=None,
        seconds=seconds,
        metrics={},
        train_metrics={},
        constant={},
        history={},
        problem=str(error).partition("\n")[0],
    )
    if isinstance(error, ConfigError | DataError):
        return FinishedFold(result, error=error.with_traceback(None))
    return FinishedFold(result)


def scalar_metrics(metrics: Metrics) -> dict[str, Number]:
    """Return the metrics that are single numbers; `None` where they are undefined."""
    return {
        name: finite_number(value) for name, value in metrics.items() if name in HIGHER_IS_BETTER
    }


def some_epochs(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Number, ...]]:
    """Return the history with the numbers of its epochs; a long one at its peaks and some others.

    Args:
        history: a value for each epoch, by column of history.csv.
    """
    epochs = len(history["loss"])
    indices = np.arange(epochs)
    if epochs > MOST_EPOCHS:
        curves = [np.array(history[name]) for name in ("loss", "val_loss") if name in history]
        some = [thinned(curve, MOST_EPOCHS // len(curves)) for curve in curves]
        indices = np.unique(np.concatenate([*some, [0, epochs - 1]]))
    kept = indices.tolist()
    measured = {
        name: tuple(finite(values[index]) for index in kept) for name, values in history.items()
    }
    return {"epoch": tuple(float(index + 1) for index in kept), **measured}


def constant_prediction(predictions: Predictions) -> tuple[float, ...]:
    """Return the prediction of one row as `HeldOut.outputs` has it."""
    return tuple(float(value) for value in predictions.decoded[0])


def combine_folds(
    folds: Sequence[FinishedFold],
    name: str,
    config: Config,
    repeats: int,
    dataset: Dataset,
    example: Prepared,
    path: str,
) -> CrossValidation:
    """Return the document of a cross-validation.

    Args:
        folds: in order: repeat, then fold; at least one that was trained.
        name: the config's.
        config: the resolved config of the folds.
        repeats: how often rows were split into folds.
        dataset: all rows.
        example: the rows of any fold, prepared; names and kind of the target are those of all.
        path: the run folder, for messages.

    Raises:
        RunError: if stored predictions do not fit each other.
    """

    def read(table: pa.Table) -> HeldOut:
        columns = StoredPredictions(table, f"{path}: its predictions")
        is_counts = example.head.loss.name == "poisson"
        return read_rows(columns, example.encoding.task, has_deviance=is_counts)

    def read_fold(fold: FinishedFold) -> HeldOut | None:
        if fold.predictions is None:
            return None
        found = read(fold.predictions)
        if found.outputs.shape[1] != len(fold.constant):
            message = "what is kept of its folds is of another target; begin it again"
            raise RunError(f"{path}: {message}")
        return found

    held_out = [read_fold(fold) for fold in folds]
    by_repeat = [read(table) for table in _by_repeat(folds, repeats, path)]
    results = [fold.result for fold in folds]
    pooled = pooled_estimates(by_repeat)
    means, deviations = fold_intervals(results, [*pooled])
    values = {name: found.value for name, found in pooled.items()}
    metric = main_metric(example.head.metrics, values)
    target, choice = dataset.target, dataset.split_choice
    return CrossValidation(
        name=name,
        target=target.columns,
        task="classes" if target.classes else "labels" if target.labels else "numbers",
        classes=target.classes or target.labels,
        split=choice.name,
        column=choice.column if isinstance(choice, GroupSplit | TimeSplit) else None,
        folds=len(folds) // repeats,
        repeats=repeats,
        seed=config.seed,
        rows=dataset.candidates.rows,
        set_aside=dataset.test_rows,
        main_metric=metric,
        results=tuple(results),
        pooled=pooled,
        by_fold=means,
        deviations=deviations,
        constant=_pooled_constant(folds, held_out, by_repeat),
        best_epochs=median_epochs(results),
        notes=notes_of(
            results,
            held_out,
            split=choice.name,
            rows=dataset.candidates.rows,
            metric=metric,
            stopping=config.early_stopping,
        ),
    )


def join_predictions(folds: Sequence[FinishedFold], path: str) -> pa.Table:
    """Return the predictions of all folds, in their order.

    Raises:
        RunError: if their columns differ, as they never do within one cross-validation.
    """
    import pyarrow as pa

    tables = [fold.predictions for fold in folds if fold.predictions is not None]
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException:
        message = "what is kept of its folds doesn't fit together; begin it again"
        raise RunError(f"{path}: {message}") from None


def _by_repeat(folds: Sequence[FinishedFold], repeats: int, path: str) -> Iterator[pa.Table]:
    """Yield the predictions of all folds of each repeat, as far as they were trained."""
    for repeat in range(1, repeats + 1):
        of_repeat = [fold for fold in folds if fold.result.repeat == repeat]
        if any(fold.predictions is not None for fold in of_repeat):
            yield join_predictions(of_repeat, path)


def _pooled_constant(
    folds: Sequence[FinishedFold],
    held_out: Sequence[HeldOut | None],
    by_repeat: Sequence[HeldOut],
) -> dict[str, Number]:
    """Return the metrics of a model that knows only the target of each fold's training rows."""
    repeated = [
        np.broadcast_to(fold.constant, (rows.rows, len(fold.constant)))
        for fold, rows in zip(folds, held_out, strict=True)
        if rows is not None
    ]
    ends = np.cumsum([rows.rows for rows in by_repeat])[:-1]
    outputs = np.split(np.concatenate(repeated), ends)
    metrics = [
        scalar_metrics(replace(rows, outputs=constant).metrics())
        for rows, constant in zip(by_repeat, outputs, strict=True)
    ]
    pooled = {
        name: mean_of_defined(each.get(name) for each in metrics)
        for name in dict.fromkeys(name for each in metrics for name in each)
    }
    for name in _RANKING:
        if name in pooled:
            pooled[name] = mean_of_defined(fold.result.constant.get(name) for fold in folds)
    return pooled
