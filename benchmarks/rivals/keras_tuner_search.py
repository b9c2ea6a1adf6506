"""The same search with KerasTuner: `python -m benchmarks.rivals.keras_tuner_search TASK`.

It samples its own candidates, as many as the task has, from the search space of
`benchmarks.model_selection`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from benchmarks.rivals.keras_loop import build
from benchmarks.tasks import Candidate, Layer, Rows, Task, read_rows, read_task


class Networks(keras_tuner.HyperModel):
    """The candidates.

    Args:
        task: the settings of training.
        rows: training rows.
    """

    def __init__(self, task: Task, rows: Rows) -> None:
        super().__init__()
        self._task = task
        self._rows = rows

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a network with sampled settings."""
        layer = Layer(
            hp.Choice("units", [16, 32, 64, 128]),
            hp.Choice("activation", ["relu", "gelu", "tanh"]),
            hp.Float("dropout", 0.0, 0.5),
            self._task.candidates[0].hidden[0].momentum,
        )
        rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
        hidden = (layer,) * hp.Int("layers", 1, 4)
        size = hp.Choice("batch_size", [32, 64, 128])
        return build(self._task, Candidate(hidden, rate, size), self._rows)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *arguments: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> keras.callbacks.History:
        """Train it with the sampled batch size."""
        return model.fit(*arguments, batch_size=hp.get("batch_size"), **options)


def main(task: Task) -> None:
    """Search, and evaluate the best model on the test rows."""
    start, rng = time.perf_counter(), np.random.default_rng(0)
    pool, test_rows = read_rows(task).split(task.test, rng)
    train_rows, validation_rows = pool.split(task.validation / (1 - task.test), rng)
    rows, validation, test = (
        part.standardized_by(train_rows) for part in (train_rows, validation_rows, test_rows)
    )
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            Networks(task, rows), "val_loss", max_trials=len(task.candidates), directory=folder
        )
        stopping = keras.callbacks.EarlyStopping(patience=task.patience, restore_best_weights=True)
        tuner.search(
            rows.matrix,
            rows.labels,
            epochs=task.epochs,
            validation_data=(validation.matrix, validation.labels),
            callbacks=[stopping],
            verbose=0,
        )
        [best] = tuner.get_best_models()
        scores = best.evaluate(test.matrix, test.labels, return_dict=True, verbose=0)
    print(json.dumps({"training_seconds": time.perf_counter() - start, **scores}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
