"""Config and layout to the list of layers, and their forward pass in NumPy."""

from dlcli.network.engine import choose_engine
from dlcli.network.head import Head, check_values, resolve_head, unreachable
from dlcli.network.layers import (
    ActivationLayer,
    DenseLayer,
    DropoutLayer,
    Layer,
    NormalizationLayer,
    Weight,
)
from dlcli.network.network import Network, build_network

__all__ = [
    "ActivationLayer",
    "DenseLayer",
    "DropoutLayer",
    "Head",
    "Layer",
    "Network",
    "NormalizationLayer",
    "Weight",
    "build_network",
    "check_values",
    "choose_engine",
    "resolve_head",
    "unreachable",
]
