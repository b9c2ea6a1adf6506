"""Config and layout to the list of layers, and their forward pass in NumPy."""

from dlcli.network.activations import Floats, activate
from dlcli.network.layers import (
    ActivationLayer,
    AugmentLayer,
    DenseLayer,
    DropoutLayer,
    EmbeddingLayer,
    Front,
    Layer,
    NormalizationLayer,
    PeriodicLayer,
    Weights,
    activation_of,
)
from dlcli.network.network import (
    Head,
    LayerSummary,
    Network,
    build_network,
    choose_engine,
    estimate_step_seconds,
    resolve_head,
    rows_at_once,
    summarize,
)
