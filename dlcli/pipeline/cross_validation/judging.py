"""What the rows of a fold say of the network that has not seen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli.errors import ConfigError, DataError, DivergenceError
from dlcli.metrics import HIGHER_IS_BETTER, Floats, Metrics, finite, finite_number
from dlcli.network import Network
from dlcli.pipeline.cross_validation.finished import Finished
from dlcli.pipeline.cross_validation.rounds import Round
from dlcli.pipeline.judging import shown_rows
from dlcli.pipeline.preparation import Prepared
from dlcli.pipeline.selection import FoldResult
from dlcli.pipeline.selection.part import Number
from dlcli.pipeline.selection.thinning import thinned
from dlcli.pipeline.workbench import Outcome, Part
from dlcli.prediction import Predictions, constant_outputs
from dlcli.tables import Table, integers
from dlcli.tasks import ClassTarget, NumberTarget

MOST_EPOCHS = 200
"""Epochs of a history that are kept, about."""


def judged(each: Round, outcome: Outcome, seconds: float) -> Finished:
    """What a fold came to.

    Args:
        each: the fold.
        outcome: of training without it.
        seconds: what all of it took.
    """
    part, trained = outcome.part, outcome.trained
    result = FoldResult(
        repeat=each.repeat,
        fold=each.fold,
        train=_rows(part.train),
        validation=_rows(part.validation),
        held_out=_rows(part.held_out),
        inputs=outcome.job.network.inputs,
        parameters=outcome.parameters,
        epochs=trained.epochs,
        best_epoch=trained.best_epoch,
        seconds=seconds,
        metrics=numbers_of(outcome.scores("test")),
        train_metrics=numbers_of(outcome.scores("train")),
        constant=numbers_of(outcome.constant_scores("test")),
        history=some_epochs(trained.history),
    )
    table, rows = outcome.table("test"), outcome.encoded["test"]
    where = {
        name: integers(np.full(table.rows, number, np.int64))
        for name, number in (("repeat", each.repeat), ("fold", each.fold))
    }
    predictions = outcome.predictions("test")
    has_files = bool(table.files)
    shown = shown_rows(where, table, predictions, rows.weights, with_files=has_files)
    return Finished(result, _constant(outcome), shown)


def diverged(
    each: Round, part: Part, prepared: Prepared, error: DivergenceError, seconds: float
) -> Finished:
    """A fold whose training has diverged.

    Args:
        each: the fold.
        part: its rows.
        prepared: what followed from them.
        error: how it ended.
        seconds: what all of it took.
    """
    return Finished(
        _failed(
            each,
            part,
            inputs=prepared.network.inputs,
            parameters=trained_numbers(prepared.network),
            epochs=max(error.epoch - 1, 0),
            seconds=seconds,
            problem=str(error),
        )
    )


def refused(each: Round, part: Part, error: ConfigError | DataError, seconds: float) -> Finished:
    """A fold of rows that it can't be trained on, or that can't judge it.

    Args:
        each: the fold.
        part: its rows.
        error: what they have.
        seconds: what all of it took.
    """
    problem = str(error)
    result = _failed(each, part, inputs=0, parameters=0, epochs=0, seconds=seconds, problem=problem)
    return Finished(result, error=error)


def _failed(
    each: Round,
    part: Part,
    *,
    inputs: int,
    parameters: int,
    epochs: int,
    seconds: float,
    problem: str,
) -> FoldResult:
    return FoldResult(
        repeat=each.repeat,
        fold=each.fold,
        train=_rows(part.train),
        validation=_rows(part.validation),
        held_out=_rows(part.held_out),
        inputs=inputs,
        parameters=parameters,
        epochs=epochs,
        best_epoch=None,
        seconds=seconds,
        metrics={},
        train_metrics={},
        constant={},
        history={},
        problem=problem.partition("\n")[0],
    )


def numbers_of(scores: Metrics) -> dict[str, Number]:
    """The metrics that are single numbers."""
    return {
        name: finite_number(value) for name, value in scores.items() if name in HIGHER_IS_BETTER
    }


def some_epochs(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Number, ...]]:
    """What epochs measured, and which: of many those that keep the peaks of the losses."""
    epochs = len(history["loss"])
    places = np.arange(epochs)
    if epochs > MOST_EPOCHS:
        curves = [np.array(history[name]) for name in ("loss", "val_loss") if name in history]
        some = [thinned(curve, MOST_EPOCHS // len(curves)) for curve in curves]
        places = np.unique(np.concatenate([*some, [0, epochs - 1]]))
    kept = places.tolist()
    measured = {
        name: tuple(finite(values[place]) for place in kept) for name, values in history.items()
    }
    return {"epoch": tuple(float(place + 1) for place in kept), **measured}


def trained_numbers(network: Network) -> int:
    """How many numbers of a network are trained."""
    return sum(weight.size for weight in network.weights if weight.trainable)


def _rows(table: Table | None) -> int:
    return 0 if table is None else table.rows


def _constant(outcome: Outcome) -> tuple[float, ...]:
    """What a model that looks at no column says of every row."""
    job = outcome.job
    has_margin = job.head.loss.output == "margin"
    outputs = constant_outputs(
        job.target,
        outcome.part.train,
        job.train.weights,
        job.network.outputs,
        has_margin=has_margin,
    )
    said = _as_held_out(outcome.predictor.understand(outputs[np.newaxis]))
    return tuple(float(value) for value in said[0])


def _as_held_out(predictions: Predictions) -> Floats:
    """Predictions as `HeldOut.outputs` has them."""
    if isinstance(predictions.target, NumberTarget):
        return predictions.numbers
    if predictions.probabilities is None:
        return np.asarray(predictions.outputs, np.float64)
    is_one_of_two = isinstance(predictions.target, ClassTarget) and predictions.target.width == 2
    return np.asarray(predictions.probabilities[:, 1 if is_one_of_two else 0 :], np.float64)
