"""A network as people read it: its layers with widths and sizes, some of them not yet known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dlcli.config import Config, Linear
from dlcli.encoding import plain_layout
from dlcli.network import (
    AnyLayer,
    DenseLayer,
    DropoutLayer,
    EmbeddingLayer,
    Network,
    WavesLayer,
    activation_of,
    build_network,
    kind_of,
)


@dataclass(frozen=True)
class LayerSummary:
    """One layer; `None` is what only the data can tell, or what the kind of layer doesn't have."""

    name: str
    """`hidden_1`, `hidden_1_dropout`, `output`."""
    kind: str
    """Keras's name for it: `Dense`, `BatchNormalization`, `Activation`, `Dropout`, `Embedding`; or
    `Periodic`."""
    inputs: int | None
    """Width of what it reads."""
    units: int | None
    """Width of what it gives."""
    parameters: int | None
    """How many numbers its weights hold."""
    activation: str | None = None
    """What is applied to the sums."""
    column: str | None = None
    """The column that an embedding looks up."""
    rate: float | None = None
    """The share of units that dropout silences."""


def summarize(network: Network) -> tuple[LayerSummary, ...]:
    """Sums up each layer of a network, in order."""
    return tuple(map(_summary, network.weighted))


def outline(config: Config) -> tuple[LayerSummary, ...]:
    """Sums up the layers that a config alone can tell of, without its data."""
    target, output = config.data.target, config.output
    is_counted = target.type in ("numeric", "count") or len(target.columns) > 1
    units = output.units or (len(target.columns) if is_counted else None)
    stand_in = {"units": units or 1, "activation": output.activation or Linear()}
    complete = output.model_copy(update=stand_in)
    *body, last = summarize(build_network(plain_layout(1), config.hidden, complete))
    parameters = last.parameters if units else None
    activation = output.activation.name if output.activation else None
    last = replace(last, units=units, parameters=parameters, activation=activation)
    first, *rest = [*body, last]
    return (replace(first, inputs=None, parameters=None), *rest)


def _summary(layer: AnyLayer) -> LayerSummary:
    activation = activation_of(layer)
    return LayerSummary(
        name=layer.name,
        kind=kind_of(layer),
        inputs=_inputs(layer),
        units=layer.units,
        parameters=sum(weight.size for weight in layer.weights),
        activation=None if activation is None else activation.name,
        column=layer.column if isinstance(layer, EmbeddingLayer) else None,
        rate=layer.rate if isinstance(layer, DropoutLayer) else None,
    )


def _inputs(layer: AnyLayer) -> int:
    if isinstance(layer, DenseLayer):
        return layer.inputs
    if isinstance(layer, WavesLayer):
        return len(layer.places)
    return 1 if isinstance(layer, EmbeddingLayer) else layer.units
