"""Commands of patches, and configs as users write them."""

from __future__ import annotations

import shlex
from pathlib import Path

from dlcli.config.config_file import load_config, to_short
from dlcli.diagnosis.remedies import Patch, fewer_layers


def test_a_command_can_be_pasted_into_a_shell():
    settings = (("hidden[0].dropout", "0.3"), ("early_stopping", "{patience: 5}"))
    command = Patch("name", "why", settings).command(Path("my runs/it's/resolved.yaml"))
    assert shlex.split(command) == [
        "dlcli",
        "train",
        "my runs/it's/resolved.yaml",
        "--set",
        "hidden[0].dropout=0.3",
        "--set",
        "early_stopping={patience: 5}",
        "--set",
        "name=it-s-name",
    ]


def test_a_layer_is_written_as_one_would(tmp_path):
    path = tmp_path / "config.yaml"
    layer = "{units: 8, activation: {name: leaky_relu, negative_slope: 0.1}, dropout: 0.2}"
    path.write_text(f"data: {{train: t.csv, target: y}}\nhidden: [{layer}]\nepochs: 1\n")
    (hidden,) = load_config(path).config.hidden
    assert to_short(hidden) == {
        "units": 8,
        "activation": {"name": "leaky_relu", "negative_slope": 0.1},
        "dropout": 0.2,
    }


def test_fewer_layers_are_the_first_ones_unchanged(tmp_path):
    path = tmp_path / "config.yaml"
    layers = [
        "{units: 8, activation: {name: leaky_relu, negative_slope: 0.1}, dropout: 0.2}",
        "{units: 6, activation: relu, batch_normalization: true, kernel_regularizer: l2}",
        "{units: 4}",
        "{units: 2}",
    ]
    text = f"data: {{train: t.csv, target: y}}\nhidden: [{', '.join(layers)}]\nepochs: 1\n"
    path.write_text(text)
    config = load_config(path).config
    patch = fewer_layers(config)

    assert load_config(path, patch.overrides).config.hidden == config.hidden[:2]
