"""Search as a plain Keras script: `python -m benchmarks.rivals.keras_search TASK`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.rivals.keras_loop import train
from benchmarks.tasks import Task, read_rows, read_task


def main(task: Task) -> None:
    """Train each candidate, and evaluate the best on the test rows."""
    start, rng = time.perf_counter(), np.random.default_rng(0)
    pool, test_rows = read_rows(task).split(task.test, rng)
    train_rows, validation_rows = pool.split(task.validation / (1 - task.test), rng)
    rows, validation, test = (
        part.standardized_by(train_rows) for part in (train_rows, validation_rows, test_rows)
    )
    best, lowest, epochs = None, np.inf, 0
    for candidate in task.candidates:
        model = train(task, candidate, rows, validation)
        epochs += len(model.history.epoch)
        loss = min(model.history.history["val_loss"])
        if best is None or loss < lowest:
            best, lowest = model, loss
    assert best is not None
    scores = best.evaluate(test.matrix, test.labels, return_dict=True, verbose=0)
    result = {"training_seconds": time.perf_counter() - start, "epochs": epochs, "best": lowest}
    print(json.dumps({**result, **scores}))


if __name__ == "__main__":
    main(read_task(Path(sys.argv[1])))
