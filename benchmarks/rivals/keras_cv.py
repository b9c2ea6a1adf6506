"""Cross-validation as a plain Keras script: `python -m benchmarks.rivals.keras_cv TASK`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.classes import read_rows
from benchmarks.rivals.keras_loop import train
from benchmarks.tasks import Task, read_task


def main(task: Task) -> None:
    """Trains each fold, and prints what they came to."""
    start, random = time.perf_counter(), np.random.default_rng(0)
    pool, _ = read_rows(task).shares(task.test, random)
    predictions = np.empty((len(pool.labels), 1 if pool.classes == 2 else pool.classes))
    scores, epochs = [], 0
    for others, held_out in pool.parts(task.folds, random):
        learned, steering = pool.take(others).shares(task.validation, random)
        rows, stop, judge = (
            part.scaled_by(learned) for part in (learned, steering, pool.take(held_out))
        )
        model = train(task, task.candidates[0], rows, stop)
        epochs += len(model.history.epoch)
        scores.append(model.evaluate(judge.matrix, judge.labels, return_dict=True, verbose=0))
        predictions[held_out] = model.predict(judge.matrix, verbose=0)
    means = {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
    print(json.dumps({"training_seconds": time.perf_counter() - start, "epochs": epochs, **means}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
