"""Cross-validation as a plain Keras script: `python -m benchmarks.rivals.keras_cv TASK`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.rivals.keras_loop import train
from benchmarks.tasks import Task, read_rows, read_task


def main(task: Task) -> None:
    """Train each fold, and print the mean metrics."""
    start, rng = time.perf_counter(), np.random.default_rng(0)
    pool, _ = read_rows(task).split(task.test, rng)
    predictions = np.empty((len(pool.labels), 1 if pool.classes == 2 else pool.classes))
    scores, epochs = [], 0
    for rest, held_out in pool.folds(task.folds, rng):
        train_rows, validation_rows = pool.take(rest).split(task.validation, rng)
        rows, validation, test = (
            part.standardized_by(train_rows)
            for part in (train_rows, validation_rows, pool.take(held_out))
        )
        model = train(task, task.candidates[0], rows, validation)
        epochs += len(model.history.epoch)
        scores.append(model.evaluate(test.matrix, test.labels, return_dict=True, verbose=0))
        predictions[held_out] = model.predict(test.matrix, verbose=0)
    means = {name: float(np.mean([fold[name] for fold in scores])) for name in scores[0]}
    print(json.dumps({"training_seconds": time.perf_counter() - start, "epochs": epochs, **means}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
