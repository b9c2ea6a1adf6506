"""Config and layout to the list of layers, and their forward pass in NumPy."""

from dlcli.network.activations import Floats
from dlcli.network.engine import choose_engine
from dlcli.network.front import AugmentLayer, EmbeddingLayer, Front, WavesLayer
from dlcli.network.kinds import AnyLayer, activation_of, kind_of
from dlcli.network.layers import (
    ActivationLayer,
    DenseLayer,
    DropoutLayer,
    Layer,
    NormalizationLayer,
    Weight,
)
from dlcli.network.network import ROWS_AT_ONCE, Network, build_network
from dlcli.network.output_head import Head, resolve_head

__all__ = [
    "ActivationLayer",
    "AnyLayer",
    "AugmentLayer",
    "DenseLayer",
    "DropoutLayer",
    "EmbeddingLayer",
    "Floats",
    "Front",
    "Head",
    "Layer",
    "Network",
    "NormalizationLayer",
    "ROWS_AT_ONCE",
    "WavesLayer",
    "Weight",
    "activation_of",
    "build_network",
    "choose_engine",
    "kind_of",
    "resolve_head",
]
