"""Examples of the keys of the config, for editors and the reference. Only the schema needs them."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Config": {
        "name": ("houses",),
        "seed": ("7",),
        "data": ("train: houses.csv\ntarget: price\nvalidation: 0.15\ntest: 0.15",),
        "input": (
            'features:\n  area: {type: numeric, scaling: log1p}\n  city: categorical\n  "*": auto',
        ),
        "hidden": (
            "- {units: 64, activation: relu, batch_normalization: true}\n"
            "- {units: 32, activation: relu, dropout: 0.2}",
            "[]",
        ),
        "output": ("{scaling: log1p}", "{activation: softmax}"),
        "loss": ("huber", "{name: categorical_crossentropy, label_smoothing: 0.1}"),
        "metrics": ("[mae, r2]", "[accuracy, auc]"),
        "class_weight": ("balanced", "{fraud: 50, honest: 1}"),
        "optimizer": ("{name: adamw, learning_rate: 0.001, weight_decay: 0.01}", "sgd"),
        "learning_rate_schedule": ("{name: cosine_decay, warmup_epochs: 2}", "reduce_on_plateau"),
        "epochs": ("100",),
        "batch_size": ("128",),
        "early_stopping": ("{monitor: val_loss, patience: 10}",),
        "ensemble": ("{members: 8, folds: none}",),
        "initial_weights": ("runs/houses",),
        "engine": ("keras", "{name: compiled, jit_compile: true}"),
        "device": ("cpu",),
        "threads": ("4",),
        "precision": ("mixed_bfloat16",),
        "gates": ("{test.accuracy: {at_least: 0.9, better_than: linear}}",),
        "checkpoint": ("{seconds: 60}",),
        "tune": (
            "trials: 50\nspace:\n"
            "  hidden_layers:\n    number: {low: 1, high: 3}\n    units: [16, 32, 64]\n"
            "  optimizer.learning_rate: {low: 0.0001, high: 0.01, log: true}",
        ),
    },
    "Data": {
        "train": ("houses.csv", '["2023.csv.gz", "2024/part-*.parquet"]'),
        "validation": ("0.15", "later.csv"),
        "test": ("0.15", "latest.csv"),
        "format": ('{name: csv, delimiter: ";", decimal: ",", encoding: latin-1}',),
        "split": ("stratified", "{name: group, column: patient}", "{name: time, column: day}"),
        "target": ("price", "{column: visits, type: count}", "[rain, snow, fog]"),
        "sample_weight": ("weight",),
        "missing": ('["-999"]', '{rooms: ["-1", "NA"]}'),
    },
    "Target": {
        "column": ("price", "[rain, snow, fog]"),
        "delimiter": ('"|"',),
        "positive_class": ("malignant",),
    },
    "Input": {
        "scaling": ("robust", "{name: divide, by: 255}"),
        "encoding": ("{name: piecewise_linear, bins: 16}",),
        "features": (
            "[area, rooms, city]",
            '{zip: categorical, "sensor_*": numeric, id: ignored, "*": auto}',
        ),
    },
    "Hidden": {
        "units": ("64",),
        "activation": ("relu", "{name: leaky_relu, negative_slope: 0.1}"),
        "kernel_initializer": ("he_normal",),
        "kernel_regularizer": ("{name: l2, l2: 0.0001}",),
        "batch_normalization": ("true",),
        "dropout": ("0.2",),
    },
    "Tune": {
        "metric": ("val_loss", "r2"),
        "trials": ("50",),
        "time": ("10m",),
        "space": ("{batch_size: [32, 64, 128], hidden_layers: {dropout: {low: 0.0, high: 0.5}}}",),
        "folds": ("5",),
        "sampler": ("random",),
    },
}
"""Values of keys as YAML, by section and key; the first one of `Config` is in the reference."""
