"""A network: its head, completed from the task, and the list of its layers.

Keras builds the layers to train them, NumPy predicts with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.layout import Layout
from dlcli.columns.scaling import Unscaled
from dlcli.config.config_schema import (
    CompiledEngine,
    Config,
    Engine,
    Gate,
    Hidden,
    KerasEngine,
    Output,
)
from dlcli.config.layer_choices import Activation, Linear
from dlcli.config.training_choices import Loss
from dlcli.encoding.encoded_rows import Inputs
from dlcli.errors import ConfigError, Problem, did_you_mean_or_all
from dlcli.network.activations import Floats
from dlcli.network.layers import (
    ActivationLayer,
    AnyLayer,
    DenseLayer,
    DropoutLayer,
    EmbeddingLayer,
    Front,
    Layer,
    NormalizationLayer,
    PeriodicLayer,
    Weight,
    Weights,
    activation_of,
    build_front,
)
from dlcli.schema.section import members_of
from dlcli.schema.yaml_document import format_path
from dlcli.tasks.task import Task

ROWS_AT_ONCE = 8192
"""Rows of one forward pass, so that a large table needs no large activations."""
NUMBERS_AT_ONCE = 2**26
"""Most inputs of these rows, so that wide ones need no large matrix either: 256 MiB."""

SECONDS_SAVED_A_LAYER = 45e-6
"""Time that XLA saves over a graph at each step for each layer, of any size: the cost of starting
its kernels."""
SECONDS_SAVED_A_WEIGHT = 2e-9
"""Time that XLA saves at each step for each weight, which it reads and writes fewer times."""
SECONDS_SAVED_AN_ACTIVATION = 2e-9
"""Time that XLA saves at each step for each unit and row, whose operations it fuses."""
SECONDS_SAVED_AN_EPOCH = 250e-6
"""Time that XLA saves at the end of each epoch, on evaluation and on the best weights."""
SECONDS_SAVED_AN_IMAGE_LAYER = 60e-6
"""Time that XLA saves at each step that augments images."""
SECONDS_SAVED_A_PIXEL = 10e-9
"""Time that XLA saves for each pixel of these."""
SHARE_BEFORE_STOPPING = 1 / 3
"""Epochs of those that a config allows until early stopping ends training: the median of 14
tables."""
SECONDS_TO_COMPILE = 0.6
"""Time that XLA takes longer than a graph to compile a program."""
SECONDS_TO_COMPILE_A_LAYER = 0.14
"""Time in addition for each layer."""


@dataclass(frozen=True)
class Head:
    """Output, loss and metrics, complete."""

    output: Output
    """With units and activation, and for numbers a scaling."""
    loss: Loss
    """The loss that training minimizes."""
    metrics: tuple[str, ...]
    """The metrics that each epoch shows next to the loss."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names of metrics that mean another one for the target, which results have by its own name."""

    def resolve(self, config: Config) -> Config:
        """Return a config that names everything that this head completes."""
        update = {"output": self.output, "loss": self.loss, "metrics": self.metrics}
        return rename_metrics(config, self.renamed).model_copy(update=update)


def resolve_head(config: Config, task: Task) -> Head:
    """Complete what the config omits of output, loss and metrics.

    Args:
        config: its `output`, `loss`, `metrics`, `class_weight`, `gates`, `tune.metric` and monitors
            are read.
        task: what is predicted.

    Raises:
        ConfigError: with everything in which they contradict the task.
    """
    loss = config.loss or task.default_loss(config.output)
    renamed = task.renamed_metrics(loss)
    config = rename_metrics(config, renamed)
    activation = config.output.activation or loss.default_activation
    update = {
        "units": config.output.units or task.output_units(loss),
        "activation": activation,
        "scaling": config.output.scaling or task.default_scaling(loss, activation),
    }
    metrics = config.metrics if config.metrics is not None else task.epoch_metrics(loss)[:1]
    head = Head(config.output.model_copy(update=update), loss, metrics, renamed)
    if problems := [*_problems(head, config, task)]:
        raise ConfigError(problems)
    return head


def rename_metrics(config: Config, renamed: Mapping[str, str]) -> Config:
    """Return a config in which each metric has one name, wherever it stands.

    Args:
        config: reads `metrics`, monitors, `gates` and `tune.metric`.
        renamed: the name of each metric that has another one, see `Task.renamed_metrics`.
    """

    def name_of(name: str, prefix: str) -> str:
        bare = name.removeprefix(prefix)
        return name[: len(name) - len(bare)] + renamed.get(bare, bare)

    if not renamed:
        return config
    update: dict[str, object] = {}
    if config.metrics is not None:
        update["metrics"] = tuple(dict.fromkeys(renamed.get(name, name) for name in config.metrics))
    for key in ("early_stopping", "learning_rate_schedule"):
        if (monitor := getattr(getattr(config, key), "monitor", None)) is not None:
            named = {"monitor": name_of(monitor, "val_")}
            update[key] = getattr(config, key).model_copy(update=named)
    if config.gates:
        gates: dict[str, Gate] = {}
        for name, gate in config.gates.items():
            present = name_of(name, f"{name.partition('.')[0]}.")
            if present != name and present in config.gates:
                message = f"means {present}, which has a gate already; write one of them"
                raise ConfigError([Problem(format_path(("gates", name)), message)])
            gates[present] = gate
        update["gates"] = gates
    if config.tune is not None:
        named = {"metric": name_of(config.tune.metric, "val_")}
        update["tune"] = config.tune.model_copy(update=named)
    return config.model_copy(update=update)


def _problems(head: Head, config: Config, task: Task) -> Iterator[Problem]:
    loss, misfit = head.loss, f"does not fit the target {task.name} ({task.words})"
    if task.form not in loss.fits:
        losses = members_of(Loss).items()
        fitting = ", ".join(name for name, other in losses if task.form in other.fits)
        message = f"'{loss.name}' {misfit}; use one of {fitting}{task.other_type_for(loss)}"
        yield Problem("loss", message)
    yield from _output_problems(head, config, task)
    yield from _metric_problems(head, config, task, misfit)
    if config.class_weight:
        for name, message in task.class_weight_problems(config.class_weight):
            path = ("class_weight",) if name is None else ("class_weight", name)
            yield Problem(format_path(path), message)


def _metric_problems(head: Head, config: Config, task: Task, misfit: str) -> Iterator[Problem]:
    epoch_metrics, known = task.epoch_metrics(head.loss), task.metric_names(head.loss)
    for index, metric in enumerate(head.metrics):
        if metric not in epoch_metrics:
            message = f"'{metric}' {misfit}; use {', '.join(epoch_metrics)}"
            yield Problem(f"metrics[{index}]", message)
    for key in ("early_stopping", "learning_rate_schedule"):
        monitor = getattr(getattr(config, key), "monitor", "loss")
        name = monitor.removeprefix("val_")
        if name not in {"loss", *epoch_metrics, *head.metrics}:
            message = f"'{monitor}' {misfit}; use loss, {', '.join(epoch_metrics)}"
            yield Problem(f"{key}.monitor", message)
        elif name not in {"loss", *head.metrics}:
            yield Problem(f"{key}.monitor", f"'{monitor}' is not measured; add it to metrics")
    for gate in config.gates or ():
        measured = gate.partition(".")[2]
        if measured not in known:
            message = f"'{measured}' {misfit}{did_you_mean_or_all(measured, known)}"
            yield Problem(format_path(("gates", gate)), message)
    if (tune := config.tune) and tune.metric.removeprefix("val_") not in ("loss", *known):
        held_out = [f"val_{name}" for name in ("loss", *known)]
        message = f"'{tune.metric}' {misfit}{did_you_mean_or_all(tune.metric, held_out)}"
        yield Problem("tune.metric", message)


def _output_problems(head: Head, config: Config, task: Task) -> Iterator[Problem]:
    output, loss, units = head.output, head.loss, task.output_units(head.loss)
    activation, has_numbers = config.output.activation, task.outcome == "numbers"
    if output.scaling is not None and not has_numbers:
        message = f"is for numbers, not for the target {task.name} ({task.words})"
        yield Problem("output.scaling", message)
    if output.units != units:
        message = f"expected {units} ({task.explain_units(loss)}), got {output.units}"
        yield Problem("output.units", message)
    elif activation is not None:  # the default one of a loss fits it
        if units == 1 and activation.across_units:
            message = f"'{activation.name}' of one unit is constant; use "
            yield Problem("output.activation", message + ("linear" if has_numbers else "sigmoid"))
        elif loss.output not in activation.gives:
            others = members_of(Activation).items()
            names = [name for name, other in others if loss.output in other.gives]
            names.sort(key=lambda name: name != loss.default_activation.name)
            message = f"'{activation.name}' does not fit the loss '{loss.name}'; use "
            yield Problem("output.activation", message + ", ".join(names))
    if has_numbers and loss.needs_original_scale and output.scaling not in (None, Unscaled()):
        yield Problem("output.scaling", f"'{loss.name}' needs the target's own unit; use none")


@dataclass(frozen=True)
class Network:
    """Layers in order, from the encoded matrix to the output."""

    front: Front
    """The layers before the first hidden one."""
    layers: tuple[Layer, ...]
    layout: Layout
    """The blocks of the encoded matrix."""

    @property
    def inputs(self) -> int:
        """The width of the encoded matrix."""
        return self.front.inputs

    @property
    def outputs(self) -> int:
        """The width of the output."""
        return self.layers[-1].units

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All weights, in the order of the layers."""
        return tuple(weight for layer in self.weighted for weight in layer.weights)

    @property
    def weighted(self) -> tuple[AnyLayer, ...]:
        """The layers that may have weights, those of the front first."""
        return (*self.front.trained, *self.layers)

    @property
    def first_kernel(self) -> str:
        """The name of the weights of the first Dense layer."""
        return self.layers[0].weights[0].name

    @property
    def columns_of_inputs(self) -> NDArray[np.int64]:
        """The table's column of each number that the first Dense layer reads, as an index."""
        names = [block.column for block in self.layout.blocks for _ in block.inputs]
        indices = {name: at for at, name in enumerate(dict.fromkeys(names))}
        read, front = np.array([indices[name] for name in names], np.int64), self.front
        waves = [
            np.tile(np.repeat(read[list(layer.columns)], layer.frequencies), 2)  # sines, cosines
            for layer in front.periodic
        ]
        tables = [np.full(layer.units, read[layer.column]) for layer in front.embeddings]
        return np.concatenate([read[list(front.unchanged)], *waves, *tables])

    @property
    def parameters(self) -> int:
        """The number of elements of all weights."""
        return sum(weight.size for weight in self.weights)

    @property
    def trainable_parameters(self) -> int:
        """The number of elements of the weights that steps change."""
        return sum(weight.size for weight in self.weights if weight.trainable)

    def forward(self, inputs: Inputs, arrays: Weights) -> Floats:
        """Compute the output.

        Args:
            inputs: encoded rows.
            arrays: the weights by name.

        Returns:
            The output as trained on, in no unit of the target yet, (rows, outputs).
        """
        own, parts = inputs.own, []  # each worker of a cluster computes that of its own rows
        with np.errstate(all="ignore"):  # an output may leave float32's range
            rows = rows_at_once(own.width)
            for start in range(0, max(len(own), 1), rows):
                x = self.front.forward(own.part(start, start + rows), arrays)
                for layer in self.layers:
                    x = layer.forward(x, arrays)
                parts.append(x)
        return inputs.gather(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def layer_outputs(self, matrix: Floats, arrays: Weights) -> Iterator[tuple[AnyLayer, Floats]]:
        """Yield each of the `weighted` layers with its output for some rows.

        Args:
            matrix: encoded rows, (rows, inputs).
            arrays: the weights by name.
        """
        for front_layer in self.front.trained:
            yield front_layer, front_layer.forward(matrix, arrays)
        x = self.front.forward(matrix, arrays)
        for layer in self.layers:
            with np.errstate(all="ignore"):
                x = layer.forward(x, arrays)
            yield layer, x


def rows_at_once(width: int, most: int | None = None) -> int:
    """Return how many rows to take at once, at least one.

    Args:
        width: the inputs of a row.
        most: the most rows; if omitted, those of one forward pass.
    """
    return min(most or ROWS_AT_ONCE, max(1, NUMBERS_AT_ONCE // max(1, width)))


def build_network(layout: Layout, hidden: Sequence[Hidden], output: Output) -> Network:
    """List the layers of a config.

    A hidden layer is Dense, then batch normalization, activation and dropout, if configured.

    Args:
        layout: the inputs.
        hidden: the hidden layers.
        output: the output with units and activation.
    """
    front = build_front(layout)
    layers: list[Layer] = []
    width = front.units
    for number, section in enumerate(hidden, start=1):
        layers += _hidden_layers(f"hidden_{number}", width, section)
        width = section.units
    assert output.units is not None and output.activation is not None  # resolved
    layers.append(_dense("output", width, output.units, output.activation, output))
    return Network(front, tuple(layers), layout)


def _hidden_layers(name: str, inputs: int, section: Hidden) -> Iterator[Layer]:
    units, activation = section.units, section.activation
    if section.batch_normalization is None:
        yield _dense(name, inputs, units, activation, section)
    else:
        yield _dense(name, inputs, units, Linear(), section)
        yield NormalizationLayer(f"{name}_normalization", units, section.batch_normalization)
        yield ActivationLayer(f"{name}_activation", units, activation)
    if section.dropout:
        yield DropoutLayer(f"{name}_dropout", units, section.dropout)


def _dense(
    name: str, inputs: int, units: int, activation: Activation, section: Hidden | Output
) -> DenseLayer:
    return DenseLayer(
        name=name,
        inputs=inputs,
        units=units,
        activation=activation,
        use_bias=section.use_bias,
        kernel_initializer=section.kernel_initializer,
        bias_initializer=section.bias_initializer,
        kernel_regularizer=section.kernel_regularizer,
        bias_regularizer=section.bias_regularizer,
    )


@dataclass(frozen=True)
class LayerSummary:
    """One layer; `None` marks what only the data can show, or what this kind of layer lacks."""

    name: str
    """`hidden_1`, `hidden_1_dropout`, `output`."""
    kind: str
    """Keras's name for it: `Dense`, `BatchNormalization`, `Activation`, `Dropout`, `Embedding`; or
    `Periodic`."""
    inputs: int | None = None
    """Width of the input."""
    units: int | None = None
    """Width of the output."""
    parameters: int | None = None
    """Number of values in its weights."""
    activation: str | None = None
    """The activation function."""
    column: str | None = None
    """The column that an embedding looks up."""
    rate: float | None = None
    """The share of units that dropout sets to 0."""


def summarize(network: Network) -> tuple[LayerSummary, ...]:
    """Summarize each layer of a network, in order."""
    return tuple(map(_summarize_layer, network.weighted))


def _summarize_layer(layer: AnyLayer) -> LayerSummary:
    activation = activation_of(layer)
    inputs = 1 if isinstance(layer, EmbeddingLayer) else layer.units
    if isinstance(layer, DenseLayer):
        inputs = layer.inputs
    elif isinstance(layer, PeriodicLayer):
        inputs = len(layer.columns)
    return LayerSummary(
        name=layer.name,
        kind=layer.kind,
        inputs=inputs,
        units=layer.units,
        parameters=sum(weight.size for weight in layer.weights),
        activation=None if activation is None else activation.name,
        column=layer.feature if isinstance(layer, EmbeddingLayer) else None,
        rate=layer.rate if isinstance(layer, DropoutLayer) else None,
    )


def choose_engine(config: Config, network: Network, rows: int, trainings: int = 1) -> Engine:
    """Choose the engine that trains a network: a function of config and shapes, never of a timing.

    The figures were measured on two CPU cores by `benchmarks/engines.py`; an inexact one costs
    time, and no bit: the choice is written to the resolved config.

    Args:
        config: its `engine`, `epochs`, `batch_size` and `precision` are read.
        network: the layers.
        rows: the number of training rows.
        trainings: the number of trainings that share one program, and so its compilation.
    """
    if isinstance(config.engine, KerasEngine):
        return config.engine
    if isinstance(config.engine, CompiledEngine) and config.engine.jit_compile != "auto":
        return config.engine
    # XLA keeps more bits than a mixed policy asks for, where it fuses operations: only the graph
    # rounds as Keras does.
    is_exact = config.precision == "float32"
    return CompiledEngine(jit_compile=is_exact and _xla_pays(config, network, rows, trainings))


def estimate_step_seconds(network: Network, batch: int) -> float:
    """Estimate how long the compiled engine takes for a step with so many rows, on two CPU cores.

    By a factor of two or so: a step has three products for each kernel.
    """
    return 20e-6 + 6 * batch * network.parameters / 2e10


def _xla_pays(config: Config, network: Network, rows: int, trainings: int) -> bool:
    batch = min(config.batch_size, rows)
    epochs = config.epochs * (SHARE_BEFORE_STOPPING if config.early_stopping else 1)
    steps = epochs * -(-rows // batch)
    activations = batch * sum(layer.units for layer in network.layers)
    saved = SECONDS_SAVED_A_LAYER * len(network.layers)
    saved += SECONDS_SAVED_A_WEIGHT * network.parameters
    saved += SECONDS_SAVED_AN_ACTIVATION * activations
    for layer in network.front.augments:
        pixels = batch * (layer.stop - layer.start)
        saved += SECONDS_SAVED_AN_IMAGE_LAYER + SECONDS_SAVED_A_PIXEL * pixels
    saved = steps * saved + epochs * SECONDS_SAVED_AN_EPOCH
    compiling = SECONDS_TO_COMPILE + SECONDS_TO_COMPILE_A_LAYER * len(network.layers)
    return trainings * saved > compiling
