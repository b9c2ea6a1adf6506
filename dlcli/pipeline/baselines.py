"""Baselines of a network: a constant and a linear model, fitted to the same rows."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import replace
from functools import partial

import numpy as np

from dlcli.config.config_schema import AutoEngine, Config, EarlyStopping, Engine
from dlcli.config.layer_choices import Constant, Exponential, Linear, Zeros
from dlcli.config.training_choices import Adam, CosineDecay
from dlcli.data_checks.sample import draw_sample
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
from dlcli.splitting import draw
from dlcli.tasks.task import exposures_of
from dlcli.training_job import StopOnSignal, choose_engine

Baselines = dict[str, dict[str, Metrics]]
"""Metrics by model and set of rows."""

UPDATES = 1_000
"""Approximate number of steps of the linear model, for any table."""
RATE = 0.1
"""Adam's initial learning rate, in standard deviations of a numeric target. It falls to 0 along
half a cosine."""
EXPONENTIAL_RATE = 5.0
"""Maximum sum of the learning rate over all inputs if the output activation is exponential. A step
that changes a hundred weights by 0.1 each would multiply the output by e^10."""
WIDE_RATE = 5.0
"""Maximum product of the learning rate and the sum of a row's inputs, if there are more inputs than
rows. With larger steps, the first ones fit the training rows by all inputs at once, with large
errors on other rows."""
BATCH_ROWS = 512
"""Rows per step, or all rows if fewer. Smaller batches have more noise, so the best epoch may be
best on the validation rows by chance."""
LEAST_BATCH_ROWS = 32
"""Minimum rows per step if rows are wide."""
VALUES = 2**29
"""Approximate number of inputs that training reads in total if rows are wide, and that validation
reads in total."""
_FEW_VALUES = 2**22
"""Maximum number of inputs that are copied into memory, on each worker of a cluster: 16 MiB."""
_NARROW = 32
"""Width below which the time per row is constant."""
_FEW_EPOCHS = 32
"""Maximum number of epochs for which all validation rows are read."""
PARAMETERS = 1_000_000
"""Number of parameters up to which a linear model is trained, whatever the network's size."""


def save_baselines(
    result: FitResult, writer: RunWriter, events: Events
) -> tuple[Baselines, BaselineComparison]:
    """Evaluate the baselines on each set, compare the network with them, and store them.

    `constant` depends only on the target of the training rows, see `constant_outputs`. `linear` is
    the network without its hidden layers, see `fit_linear`; it is omitted if it can't be trained.

    Args:
        result: the trained network.
        writer: the run.
        events: receives the names of the models, and the reason if `linear` is omitted.

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
        stop: ends training when a signal arrives.
        events: receives a warning if training fails.

    Returns:
        The linear model, or `None` and the reason why there is none.

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
    """Return a nearly perfect simple model, if any, and the columns that may leak the target.

    The share of the target that a column explains is computed for the columns that a check of the
    data has reported, and for the best column if a linear model is nearly perfect.
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
    """Return the simplest model that is nearly perfect on the evaluation set, if any."""
    split = result.evaluation_set
    if split not in result.tables:
        return None
    constant = baselines["constant"][split]
    metrics: dict[baseline_comparison.SimpleModel, Metrics] = {"constant": constant}
    if "linear" in baselines:
        metrics["linear"] = baselines["linear"][split]
    metrics["network"] = result.metrics(split)
    rows = result.tables[split].rows
    is_simple = is_linear(result.plan.network)
    found = (
        baseline_comparison.find_nearly_perfect(
            model, split, each, constant, rows, only_auc=model == "network" and not is_simple
        )
        for model, each in metrics.items()
    )
    return next(filter(None, found), None)


def is_linear(network: Network) -> bool:
    """Return whether no hidden layer has a non-linear activation, so the network is linear."""
    activations = map(activation_of, network.layers[:-1])
    return all(activation is None or isinstance(activation, Linear) for activation in activations)


def is_affordable(network: Network) -> bool:
    """Return whether a linear model on the same inputs needs about as little memory as the network.

    With 100,000 inputs and 10,000 classes, a linear model has a thousand times the weights of a
    network with a narrow layer between them. It needs up to five values per weight: the weight, its
    gradient, two of Adam, and the best epoch's. A network needs at least two: weight and gradient.
    So the linear model may have a fourth of the network's weights.
    """
    front = sum(weight.size for layer in network.front.trained for weight in layer.weights)
    parameters = front + (network.front.units + 1) * network.outputs
    return parameters <= max(PARAMETERS, network.parameters // 4)


def fit_linear(result: FitResult, stop: StopOnSignal) -> FitResult:
    """Train the network without its hidden layers on the same rows, with separate settings.

    Unchanged are the encoding with embeddings and periodic encodings, the output's units,
    activation, scaling and `probability_floor`, the loss, the weights of rows and classes, and the
    seed. Regularizers, initializers and `use_bias` of the output, optimizer, schedule, engine and
    precision are replaced. Adam takes about `UPDATES` steps with a learning rate that falls to 0,
    and starts from a prediction near the mean. With validation rows, or a random sample if there
    are very many, the weights with the best `val_loss` are kept. For an ensemble with folds, the
    linear model has one member per fold, so its predictions of training rows are also out-of-fold.

    Args:
        result: the trained network.
        stop: ends training when a signal arrives.

    Raises:
        DivergenceError, OutOfMemoryError, Interrupted: see `fit`.
    """
    from dlcli.training.linear_engine import LinearEngine

    head, encoded = result.plan.head, result.encoded
    encoded = {name: _in_memory_if_few(each) for name, each in encoded.items()}
    validation = encoded.get("validation")
    if result.config.ensemble_folds is not None:
        validation = None  # each member is validated on a fold
    rate, bias = _starting_point(result)
    initializers = {"kernel_initializer": Zeros(), "bias_initializer": Constant(value=bias)}
    output = baseline_comparison.linear_output(head.output).model_copy(update=initializers)
    network = build_network(result.plan.network.layout, (), output)
    config = linear_config(result, network.inputs, rate).model_copy(update={"output": output})
    stopping = validation and stopping_rows(validation, config.epochs)
    read = [encoded["train"], *([stopping] if stopping else ())]
    # Not for many rows: the engine, and thus the weights, must not depend on their storage.
    suits = all(map(_are_few, read)) and LinearEngine.suits(config, network, head.loss, *read)
    if suits:
        engine: Engine | LinearEngine = LinearEngine()
    else:
        engine = choose_engine(config, network, len(encoded["train"].inputs), config.networks)
        gc.collect()  # the network's data on the device are cyclic garbage
    head = Head(output, head.loss, ())
    plan = FitPlan(config, head, network, engine, device_inputs=result.job.placed)
    rows = replace(result.rows, encoded=encoded)
    if stopping is None:
        return fit(rows, plan, stop)
    fitted = fit(replace(rows, encoded={**encoded, "validation": stopping}), plan, stop)
    return replace(fitted, rows=rows)


def _in_memory_if_few(rows: EncodedRows) -> EncodedRows:
    """Copy few rows into memory, on each worker of a cluster, because their many steps are short.

    Sparse rows on disk remain sparse in memory, so the same engine trains them.
    """
    is_elsewhere = not isinstance(rows.inputs.stored, InMemoryInputs)
    if is_elsewhere and _are_few(rows):
        return replace(rows, inputs=rows.inputs.in_memory())
    return rows


def _are_few(rows: EncodedRows) -> bool:
    return rows.inputs.values <= _FEW_VALUES


def linear_config(result: FitResult, width: int, rate: float) -> Config:
    """Return the config of the linear model, which depends on the numbers of rows and inputs.

    Args:
        result: the trained network.
        width: the number of inputs.
        rate: Adam's initial learning rate.
    """
    rows = len(result.encoded["train"].inputs)
    ensemble = result.config.ensemble
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
            "stop_after_epoch": None,
            "batch_size": batch,
            "early_stopping": stopping,  # keeps the best epoch, but never stops
            "ensemble": None if ensemble is None else ensemble.one_per_fold,
            "initial_weights": None,
            "initial_encoding": None,
            "engine": AutoEngine(),
            "precision": "float32",
        }
    )


def batch_size(rows: int, width: int) -> int:
    """Return the batch size; a large table is read once, in `UPDATES` steps.

    Args:
        rows: number of training rows.
        width: number of inputs; the batches of wide rows are smaller.
    """
    usual = max(min(BATCH_ROWS, VALUES // (UPDATES * width)), LEAST_BATCH_ROWS)
    return min(max(usual, -(-rows // UPDATES)), rows)


def stopping_rows(validation: EncodedRows, epochs: int) -> EncodedRows:
    """Return the validation rows that select the best epoch: all, or a fixed random sample.

    They are read after each epoch, and a small table has many epochs.

    Args:
        validation: all validation rows.
        epochs: number of epochs.
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
    """Return Adam's initial learning rate and the initial bias.

    Adam's steps do not depend on the scale of the target. For a numeric target that is not scaled,
    training therefore starts at the mean, and the rate is a multiple of the standard deviation.
    """
    plan, target = result.plan, result.encoded["train"].target
    activation, rate = plan.head.output.activation, _first_rate(result)
    assert activation is not None  # resolved
    if result.rows.encoding.task.outcome != "numbers" or math.isfinite(activation.reach[1]):
        return rate, 0.0
    mean = float(target.mean(dtype="float64"))
    exposures = exposures_of(result.tables["train"], result.config.data.exposure)
    if exposures is not None:
        mean /= float(exposures.mean())
    if isinstance(activation, Exponential):
        rate = min(rate, EXPONENTIAL_RATE / plan.network.front.units)
        return rate, math.log(mean) if mean > 0 else 0.0
    deviation = float(target.std(axis=0, dtype="float64").max())
    return rate * (deviation or 1.0), mean


def _first_rate(result: FitResult) -> float:
    """Return Adam's initial learning rate for a target of standard deviation 1, see `WIDE_RATE`."""
    inputs, front = result.encoded["train"].inputs, result.plan.network.front
    if front.units <= len(inputs):
        return RATE
    some = inputs.take(draw(np.arange(len(inputs)), max(1, _FEW_VALUES // inputs.width)))
    sums = np.abs(some[:, list(front.unchanged)]).sum(axis=1, dtype=np.float64)
    return min(RATE, WIDE_RATE / max(float(sums.mean()), 1.0))
