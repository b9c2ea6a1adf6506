"""Network and training of the plain Keras scripts for cross-validation and search.

They follow common practice: one process, one `fit` per training with `verbose=0`. The session is
cleared before each training, or metrics would be numbered (`auc_1`).
"""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.tasks import Candidate, Layer, Rows, Task


def train(task: Task, candidate: Candidate, rows: Rows, validation: Rows) -> keras.Model:
    """Train a network with early stopping.

    Args:
        task: the settings of training.
        candidate: the network, learning rate and batch size.
        rows: training rows, standardized.
        validation: validation rows, standardized in the same way.

    Returns:
        The model with the weights of its best epoch, and its `history`.
    """
    keras.utils.clear_session()
    model = build(task, candidate, rows)
    stopping = keras.callbacks.EarlyStopping(patience=task.patience, restore_best_weights=True)
    model.fit(
        rows.matrix,
        rows.labels,
        batch_size=candidate.batch_size,
        epochs=task.epochs,
        validation_data=(validation.matrix, validation.labels),
        class_weight=class_weight(rows) if task.is_balanced else None,
        callbacks=[stopping],
        verbose=0,
    )
    return model


def class_weight(rows: Rows) -> dict[int, float]:
    """Return balanced class weights, as scikit-learn defines them."""
    counts = np.bincount(rows.labels, minlength=rows.classes)
    return dict(enumerate(len(rows.labels) / (rows.classes * counts)))


def build(task: Task, candidate: Candidate, rows: Rows) -> keras.Model:
    """Return a compiled model for the rows."""
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
    """Return a metric by its name in dlcli."""
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
    schedule: float | keras.optimizers.schedules.CosineDecay = rate
    if task.warmup_epochs is not None:
        warmup = round(task.warmup_epochs * steps)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, task.epochs * steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
    if task.optimizer == "adamw":
        return keras.optimizers.AdamW(schedule, weight_decay=task.weight_decay)
    return keras.optimizers.Adam(schedule)
