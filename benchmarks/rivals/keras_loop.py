"""What plain Keras scripts share that choose by experiment: a network, and how it trains.

They are written as people write them who know Keras: one process, `fit` for each training, nothing
printed, and the session cleared before each, or metrics would be numbered on (`auc_1`).
"""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.classes import Rows
from benchmarks.tasks import Candidate, Layer, Task


def train(task: Task, candidate: Candidate, rows: Rows, steering: Rows) -> keras.Model:
    """Trains a network until it gets no better.

    Args:
        task: how.
        candidate: what.
        rows: to learn from, in standard units.
        steering: tell when to stop, in the same units.

    Returns:
        It, with its best epoch's weights; its `history` is that of `fit`.
    """
    keras.utils.clear_session()
    model = build(task, candidate, rows)
    stopping = keras.callbacks.EarlyStopping(patience=task.patience, restore_best_weights=True)
    model.fit(
        rows.matrix,
        rows.labels,
        batch_size=candidate.batch_size,
        epochs=task.epochs,
        validation_data=(steering.matrix, steering.labels),
        class_weight=class_weight(rows) if task.is_balanced else None,
        callbacks=[stopping],
        verbose=0,
    )
    return model


def class_weight(rows: Rows) -> dict[int, float]:
    """Weights under which all classes count alike, as scikit-learn has them."""
    counts = np.bincount(rows.labels, minlength=rows.classes)
    return dict(enumerate(len(rows.labels) / (rows.classes * counts)))


def build(task: Task, candidate: Candidate, rows: Rows) -> keras.Model:
    """A compiled network for rows."""
    model = keras.Sequential([keras.Input((rows.matrix.shape[1],))])
    for layer in candidate.hidden:
        _add(model, layer)
    is_binary = rows.classes == 2
    model.add(
        keras.layers.Dense(1, "sigmoid")
        if is_binary
        else keras.layers.Dense(rows.classes, "softmax")
    )
    steps = -(-len(rows.labels) // candidate.batch_size)
    model.compile(
        optimizer=_optimizer(task, candidate.learning_rate, steps),
        loss="binary_crossentropy" if is_binary else "sparse_categorical_crossentropy",
        metrics=[_metric(name) for name in task.metrics],
    )
    return model


def _metric(name: str) -> str | keras.metrics.Metric:
    """A metric by dlcli's name."""
    if name == "top_3_accuracy":
        return keras.metrics.SparseTopKCategoricalAccuracy(3)
    return {"auc": keras.metrics.AUC, "recall": keras.metrics.Recall}.get(name, lambda: name)()


def _add(model: keras.Sequential, layer: Layer) -> None:
    if layer.momentum is None:
        model.add(keras.layers.Dense(layer.units, layer.activation))
    else:
        model.add(keras.layers.Dense(layer.units))
        model.add(keras.layers.BatchNormalization(momentum=layer.momentum))
        model.add(keras.layers.Activation(layer.activation))
    if layer.dropout:
        model.add(keras.layers.Dropout(layer.dropout))


def _optimizer(task: Task, rate: float, steps: int) -> keras.optimizers.Optimizer:
    given: float | keras.optimizers.schedules.CosineDecay = rate
    if task.warmup_epochs is not None:
        warmup = round(task.warmup_epochs * steps)
        given = keras.optimizers.schedules.CosineDecay(
            0.0, task.epochs * steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
    if task.optimizer == "adamw":
        return keras.optimizers.AdamW(given, weight_decay=task.weight_decay)
    return keras.optimizers.Adam(given)
