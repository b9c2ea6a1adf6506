"""The same search with KerasTuner: `python -m benchmarks.rivals.keras_tuner_search TASK`.

It draws by lot itself, as many candidates as the task has, from the space of
`benchmarks.choosing`.
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

from benchmarks.classes import Rows, read_rows
from benchmarks.rivals.keras_loop import build
from benchmarks.tasks import Candidate, Layer, Task, read_task


class Networks(keras_tuner.HyperModel):
    """The candidates.

    Args:
        task: how they are trained.
        rows: what they learn from.
    """

    def __init__(self, task: Task, rows: Rows) -> None:
        super().__init__()
        self._task = task
        self._rows = rows

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A network of values that were drawn."""
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
        **others: Any,  # noqa: ANN401
    ) -> keras.callbacks.History:
        """Trains it in batches of the size that was drawn."""
        return model.fit(*arguments, batch_size=hp.get("batch_size"), **others)


def main(task: Task) -> None:
    """Searches, and judges the best by the rows that took no part."""
    start, random = time.perf_counter(), np.random.default_rng(0)
    pool, test = read_rows(task).shares(task.test, random)
    learned, steering = pool.shares(task.validation / (1 - task.test), random)
    rows, stop, judge = (part.scaled_by(learned) for part in (learned, steering, test))
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            Networks(task, rows), "val_loss", max_trials=len(task.candidates), directory=folder
        )
        stopping = keras.callbacks.EarlyStopping(patience=task.patience, restore_best_weights=True)
        tuner.search(
            rows.matrix,
            rows.labels,
            epochs=task.epochs,
            validation_data=(stop.matrix, stop.labels),
            callbacks=[stopping],
            verbose=0,
        )
        [best] = tuner.get_best_models()
        scores = best.evaluate(judge.matrix, judge.labels, return_dict=True, verbose=0)
    print(json.dumps({"training_seconds": time.perf_counter() - start, **scores}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
