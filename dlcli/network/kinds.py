"""What layers of all kinds are called."""

from __future__ import annotations

from dlcli.config import Activation
from dlcli.network.front import EmbeddingLayer, WavesLayer
from dlcli.network.layers import (
    ActivationLayer,
    DenseLayer,
    DropoutLayer,
    Layer,
    NormalizationLayer,
)

AnyLayer = WavesLayer | EmbeddingLayer | Layer

_KINDS: dict[type[AnyLayer], str] = {
    WavesLayer: "Periodic",
    EmbeddingLayer: "Embedding",
    DenseLayer: "Dense",
    NormalizationLayer: "BatchNormalization",
    ActivationLayer: "Activation",
    DropoutLayer: "Dropout",
}


def kind_of(layer: AnyLayer) -> str:
    """Keras's name for the kind of a layer; `Periodic` has none there."""
    return _KINDS[type(layer)]


def activation_of(layer: AnyLayer) -> Activation | None:
    """What a layer applies to its sums, if it is of a kind that does."""
    return layer.activation if isinstance(layer, DenseLayer | ActivationLayer) else None
