"""A search as a plain Keras script: `python -m benchmarks.rivals.keras_search TASK`."""

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
    """Trains each candidate, and judges the best by the rows that took no part."""
    start, random = time.perf_counter(), np.random.default_rng(0)
    pool, test = read_rows(task).shares(task.test, random)
    learned, steering = pool.shares(task.validation / (1 - task.test), random)
    rows, stop, judge = (part.scaled_by(learned) for part in (learned, steering, test))
    best, lowest, epochs = None, np.inf, 0
    for candidate in task.candidates:
        model = train(task, candidate, rows, stop)
        epochs += len(model.history.epoch)
        loss = min(model.history.history["val_loss"])
        if best is None or loss < lowest:
            best, lowest = model, loss
    assert best is not None
    scores = best.evaluate(judge.matrix, judge.labels, return_dict=True, verbose=0)
    found = {"training_seconds": time.perf_counter() - start, "epochs": epochs, "best": lowest}
    print(json.dumps({**found, **scores}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
