"""Keras: a plain `compile` and `fit`."""

from __future__ import annotations

import keras

from benchmarks.timing import EpochEnd, Stopwatch
from benchmarks.workloads import EncodedData, Workload


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Train with `Model.fit`."""
    stopwatch = Stopwatch()
    model = _model(workload)
    loss = "sparse_categorical_crossentropy" if workload.classes else "mean_squared_error"
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    callbacks: list[keras.callbacks.Callback] = [_EpochTimer(stopwatch)]
    validation = None
    if workload.validation_rows:
        validation = (data.validation_matrix, data.validation_target)
        callbacks.append(keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True))
    model.fit(
        data.matrix,
        data.target,
        batch_size=workload.batch_size,
        epochs=epochs,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )
    return stopwatch.ends


def _model(workload: Workload) -> keras.Model:
    model = keras.Sequential([keras.Input((workload.inputs,))])
    for units in workload.hidden:
        model.add(keras.layers.Dense(units, activation="relu"))
        if workload.dropout:
            model.add(keras.layers.Dropout(workload.dropout))
    activation = "softmax" if workload.classes else "linear"
    model.add(keras.layers.Dense(workload.outputs, activation=activation))
    return model


class _EpochTimer(keras.callbacks.Callback):
    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self.stopwatch = stopwatch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the time."""
        self.stopwatch.record(epoch + 1)
