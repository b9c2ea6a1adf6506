"""The simplest models on the same rows, which the network must beat: constant and linear."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import replace
from functools import partial

import numpy as np

from dlcli.config.config_schema import AutoEngine, Config, EarlyStopping, Engine, Ensemble
from dlcli.config.layer_choices import Constant, Exponential, Linear, Zeros
from dlcli.config.training_choices import Adam, CosineDecay
from dlcli.data_checks.sample import draw, draw_sample
from dlcli.data_checks.target_checks import explain_by_columns
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.errors import DivergenceError, OutOfMemoryError, plural
from dlcli.metrics.statistic import Metrics
from dlcli.network.head import Head
from dlcli.network.layers import Network, activation_of, build_network
from dlcli.pipeline.events import BaselinesEvent, Events
from dlcli.pipeline.fit import FitResult, fit, release_memory
from dlcli.pipeline.preparation import FitPlan
from dlcli.prediction import baseline_comparison
from dlcli.prediction.baseline_comparison import BaselineComparison, BaselineModels
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import StopOnSignal, choose_engine

Baselines = dict[str, dict[str, Metrics]]
"""Model, then set, then metric."""

UPDATES = 1_000
"""About how many steps the linear model takes, for any table."""
RATE = 0.1
"""Adam's first learning rate, in standard deviations of a number; half a cosine leads to 0."""
EXPONENTIAL_RATE = 5.0
"""Its sum over all inputs at most where the output is an exponential: a step that changes a hundred
weights by 0.1 each would multiply it by e^10."""
WIDE_RATE = 5.0
"""Its product with the sum of a row's inputs at most, where there are more inputs than rows: the
first steps would fit the training rows by all inputs at once, with large errors on other rows."""
BATCH_ROWS = 512
"""Rows a step, or all if there are fewer: without the noise of small batches, the best epoch is not
one that was lucky on the validation rows."""
LEAST_BATCH_ROWS = 32
"""The same for wide rows."""
VALUES = 2**29
"""About how many inputs are read in all, if rows are wide; and of validation rows likewise."""
_FEW_VALUES = 2**22
"""Inputs that are read into memory, on each worker of a cluster: 16 MiB."""
_NARROW = 32
"""Width below which a row takes as long as one of this width."""
_FEW_EPOCHS = 32
"""Epochs up to which all validation rows are read."""
PARAMETERS = 1_000_000
"""A linear model of so many parameters is small, whatever the network."""


def save_baselines(
    result: FitResult, writer: RunWriter, events: Events
) -> tuple[Baselines, BaselineComparison]:
    """Evaluate the simplest models on each set, compare the network with them, and store them.

    `constant` knows only the target of the training rows, see `constant_outputs`; `linear` is the
    network without its hidden layers, see `fit_linear`. It is omitted where it can't be trained.

    Args:
        result: the trained network.
        writer: the run.
        events: receives the names of the models, and why there is no linear one.

    Returns:
        The metrics of each model on each set, and the comparison on held-out rows.

    Raises:
        Interrupted: if a signal has arrived.
    """
    start, task = time.perf_counter(), result.predictor.task
    stop = StopOnSignal(writer, lambda: plural(result.training.epochs, "epoch"))
    metric = task.comparison_metric(result.config).name
    compare = partial(baseline_comparison.compare_to_baseline, task, metric)
    baselines: Baselines = {}
    differences: dict[str, dict[str, baseline_comparison.BaselineDifference]] = {}
    with stop.handling_signals():
        linear, reason = fit_linear_if_possible(result, stop, events)
        decoded = {"constant": result.constant_decoded}
        if linear is not None:
            decoded["linear"] = linear.decoded
        for model, rows_of in decoded.items():
            rows = {name: rows_of(name) for name in result.tables}
            baselines[model] = {name: task.metrics(each) for name, each in rows.items()}
            differences[model] = {
                name: compare([(result.decoded(name), each)])
                for name, each in rows.items()
                if name != "train"
            }
    perfect, leaks = _signs_of_a_leak(result, baselines)
    seconds = round(time.perf_counter() - start, 3)
    events.emit(BaselinesEvent(models=[*baselines], no_linear=reason, seconds=seconds))
    comparison = BaselineComparison(differences=differences, nearly_perfect=perfect, leaks=leaks)
    verdicts = {name: each.verdict for name, each in comparison.conclude(result.config).items()}
    comparison = comparison.model_copy(update={"conclusions": verdicts})
    constant = result.constant_outputs.astype(np.float32)
    fitted = None if linear is None else linear.predictor
    models = BaselineModels(result.predictor, constant, fitted)
    writer.write_json(RunFile.BASELINES, baselines)
    writer.write_arrays(RunFile.BASELINE_WEIGHTS, models.arrays)
    writer.write_json(RunFile.VERDICTS, comparison.model_dump(mode="json"))
    return baselines, comparison


def fit_linear_if_possible(
    result: FitResult, stop: StopOnSignal, events: Events
) -> tuple[FitResult | None, str | None]:
    """Train the linear model, see `fit_linear`.

    Args:
        result: the trained network.
        stop: ends it when a signal arrives.
        events: receives a warning if its training fails.

    Returns:
        The linear model, or `None` and why there is none, to follow on `no linear one`.

    Raises:
        Interrupted: if a signal has arrived.
    """
    if is_linear(result.plan.network):
        return None, "the network itself is linear"
    if not is_affordable(result.plan.network):
        return None, "it would be too large compared with the network"
    try:
        return fit_linear(result, stop), None
    except (DivergenceError, OutOfMemoryError) as error:
        release_memory(error)
        events.warn(f"there is no linear baseline: {error}")
        has_diverged = isinstance(error, DivergenceError)
        return None, "it diverged" if has_diverged else "it ran out of memory"


def _signs_of_a_leak(
    result: FitResult, baselines: Baselines
) -> tuple[baseline_comparison.NearlyPerfect | None, dict[str, float]]:
    """Return the simple model that is nearly perfect, if any, and columns that leak the target.

    The share that each column explains is computed only where it is needed: of the columns that a
    check of the data has reported, and of the best one where a linear model is nearly perfect.
    """
    rows = result.rows
    perfect = _nearly_perfect(result, baselines)
    reported = [
        column
        for finding in rows.findings
        if finding.check == "target_leakage"
        for column in finding.columns
    ]
    is_linear_perfect = perfect is not None and perfect.model != "constant"
    if not reported and not is_linear_perfect:
        return perfect, {}
    shares = explain_by_columns(draw_sample(rows.split.train, rows.decisions, rows.task))
    if perfect is not None and is_linear_perfect and shares:
        best = max(shares, key=lambda name: shares[name])
        perfect = perfect.model_copy(update={"column": best, "share": shares[best]})
    return perfect, {column: shares[column] for column in reported}


def _nearly_perfect(
    result: FitResult, baselines: Baselines
) -> baseline_comparison.NearlyPerfect | None:
    """Return the simplest model that is nearly perfect on the most independent rows, if any is."""
    split = result.evaluation_set
    if split not in result.tables:
        return None
    constant = baselines["constant"][split]
    metrics: dict[baseline_comparison.SimpleModel, Metrics] = {"constant": constant}
    if "linear" in baselines:
        metrics["linear"] = baselines["linear"][split]
    if is_linear(result.plan.network):
        metrics["network"] = result.metrics(split)
    rows = result.tables[split].rows
    found = (
        baseline_comparison.find_nearly_perfect(model, split, each, constant, rows)
        for model, each in metrics.items()
    )
    return next(filter(None, found), None)


def is_linear(network: Network) -> bool:
    """Return whether no hidden layer has a non-linear activation: a linear model is as good."""
    activations = map(activation_of, network.layers[:-1])
    return all(activation is None or isinstance(activation, Linear) for activation in activations)


def is_affordable(network: Network) -> bool:
    """Return whether a linear model on the same inputs fits into memory where the network did.

    One of 100,000 inputs and 10,000 classes has a thousand times the weights of a network with a
    narrow layer between. Adam, the best epoch and the gradient take five values for each weight;
    of a fourth as many weights, that is about what a network takes at least: itself and its
    gradient.
    """
    front = sum(weight.size for layer in network.front.trained for weight in layer.weights)
    parameters = front + (network.front.units + 1) * network.outputs
    return parameters <= max(PARAMETERS, network.parameters // 4)


def fit_linear(result: FitResult, stop: StopOnSignal) -> FitResult:
    """Train the network without its hidden layers on the same rows, with its own training settings.

    The encoding with embeddings and waves, the output's units, activation, scaling and
    `probability_floor`, the loss, the weights of rows and classes, and the seed are the same.
    Regularizers, initializers and `use_bias` of the output, optimizer, schedule, engine and
    precision are not: Adam takes about `UPDATES` steps at a rate that falls to 0, starting from a
    prediction of about the mean, and the best weights by `val_loss` are kept if there are
    validation rows; of very many, a random sample. Where a network is an ensemble with folds, so is
    the linear model, with one member for each fold: its predictions of training rows are as honest.

    Args:
        result: the trained network.
        stop: ends it when a signal arrives.

    Raises:
        DivergenceError, OutOfMemoryError, Interrupted: see `fit`.
    """
    from dlcli.training.linear_engine import LinearEngine

    head, encoded = result.plan.head, result.encoded
    encoded = {name: _in_memory_if_few(each) for name, each in encoded.items()}
    validation = encoded.get("validation")
    if result.config.ensemble_folds is not None:
        validation = None  # each member has its own fold
    rate, bias = _starting_point(result)
    initializers = {"kernel_initializer": Zeros(), "bias_initializer": Constant(value=bias)}
    output = baseline_comparison.linear_output(head.output).model_copy(update=initializers)
    network = build_network(result.plan.network.layout, (), output)
    config = linear_config(result, network.inputs, rate).model_copy(update={"output": output})
    stopping = validation and stopping_rows(validation, config.epochs)
    read = [encoded["train"], *([stopping] if stopping else ())]
    # Not of many rows: from disk, they would train another engine's weights than in memory.
    suits = all(map(_are_few, read)) and LinearEngine.suits(config, network, head.loss, *read)
    if suits:
        engine: Engine | LinearEngine = LinearEngine()
    else:
        engine = choose_engine(config, network, len(encoded["train"].inputs), config.networks)
        gc.collect()  # what the network's training had on the device is garbage, but in cycles
    head = Head(output, head.loss, ())
    plan = FitPlan(config, head, network, engine, device_inputs=result.job.placed)
    rows = replace(result.rows, encoded=encoded)
    if stopping is None:
        return fit(rows, plan, stop)
    fitted = fit(replace(rows, encoded={**encoded, "validation": stopping}), plan, stop)
    return replace(fitted, rows=rows)


def _in_memory_if_few(rows: EncodedRows) -> EncodedRows:
    """Return few rows in memory, on each worker of a cluster: their many steps are short.

    Rows that are sparse on disk are so in memory, as the same engine is to train both.
    """
    is_elsewhere = not isinstance(rows.inputs.stored, InMemoryInputs)
    if is_elsewhere and _are_few(rows):
        return replace(rows, inputs=rows.inputs.in_memory())
    return rows


def _are_few(rows: EncodedRows) -> bool:
    return rows.inputs.values <= _FEW_VALUES


def linear_config(result: FitResult, width: int, rate: float) -> Config:
    """Return the recipe, which follows from the numbers of rows and inputs.

    Args:
        result: the trained network.
        width: the number of inputs.
        rate: Adam's first learning rate.
    """
    rows = len(result.encoded["train"].inputs)
    folds = result.config.ensemble_folds
    batch = batch_size(rows, width)
    epochs = max(1, round(UPDATES / -(-rows // batch)))
    stopping = EarlyStopping(patience=epochs) if "validation" in result.encoded else None
    config = result.job.config
    return config.model_copy(
        update={
            "input": config.input.model_copy(update={"scaling_layer": None}),
            "hidden": (),
            "metrics": (),
            "optimizer": Adam(learning_rate=rate),
            "learning_rate_schedule": CosineDecay(),
            "epochs": epochs,
            "batch_size": batch,
            "early_stopping": stopping,  # which keeps the best epoch, and never stops
            "ensemble": None if folds is None else Ensemble(members=folds),
            "initial_weights": None,
            "engine": AutoEngine(),
            "precision": "float32",
        }
    )


def batch_size(rows: int, width: int) -> int:
    """Return the rows a step: large tables are read once, in `UPDATES` steps.

    Args:
        rows: how many there are.
        width: values of each; of wide rows fewer are read at a time.
    """
    usual = max(min(BATCH_ROWS, VALUES // (UPDATES * width)), LEAST_BATCH_ROWS)
    return min(max(usual, -(-rows // UPDATES)), rows)


def stopping_rows(validation: EncodedRows, epochs: int) -> EncodedRows:
    """Return the validation rows that choose the best epoch: all, or a fixed random sample.

    A small table takes many epochs, and these rows are read after each of them.

    Args:
        validation: all of them.
        epochs: how many epochs there will be.
    """
    width = max(validation.inputs.width, _NARROW)
    most = max(BATCH_ROWS, VALUES // (epochs * width))
    rows = len(validation.inputs)
    if epochs <= _FEW_EPOCHS or rows <= most:
        return validation
    some = draw(np.arange(rows), most)
    chosen = validation.select(some)
    compact, expansion = validation.inputs.compact.take(some), validation.inputs.expansion
    return replace(chosen, inputs=InMemoryInputs(compact, expansion=expansion))


def _starting_point(result: FitResult) -> tuple[float, float]:
    """Return Adam's rate and the first bias.

    A numeric target that is not scaled may have any size, but the size of Adam's steps is fixed:
    so it starts at the mean, with steps of the size of the target's standard deviation.
    """
    plan, target = result.plan, result.encoded["train"].target
    activation, rate = plan.head.output.activation, _first_rate(result)
    assert activation is not None  # resolved
    if result.rows.encoding.task.outcome != "numbers" or math.isfinite(activation.reach[1]):
        return rate, 0.0
    mean = float(target.mean(dtype="float64"))
    if isinstance(activation, Exponential):
        rate = min(rate, EXPONENTIAL_RATE / plan.network.front.units)
        return rate, math.log(mean) if mean > 0 else 0.0
    deviation = float(target.std(axis=0, dtype="float64").max())
    return rate * (deviation or 1.0), mean


def _first_rate(result: FitResult) -> float:
    """Return Adam's first rate for a target of standard deviation 1, see `WIDE_RATE`."""
    inputs, front = result.encoded["train"].inputs, result.plan.network.front
    if front.units <= len(inputs):
        return RATE
    some = inputs.take(draw(np.arange(len(inputs)), max(1, _FEW_VALUES // inputs.width)))
    sums = np.abs(some[:, list(front.unchanged)]).sum(axis=1, dtype=np.float64)
    return min(RATE, WIDE_RATE / max(float(sums.mean()), 1.0))
