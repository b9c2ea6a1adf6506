"""Clusters whose workers train configs in float64, and store weights and histories.

`python -m tests.cluster.train_together FOLDER CONFIGS ...`, where the first CONFIGS are trained by
one worker, the second by two, and so on. The name of each config is a letter.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from dlcli.cluster import NO_OTHERS, Cluster, Workers
from dlcli.config.config_file import load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import fit, load_tensorflow
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.tables.stored_columns import Storage
from tests.cluster.forked_workers import run_workers


def train(folder: Path, names: str, cluster: Cluster) -> int:
    """Train configs, one after another."""
    events, workers = Events(), NO_OTHERS
    files = [load_config(folder / f"{name}.yaml") for name in names]
    load_tensorflow(files[0].config, events)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    if cluster.size > 1:
        from dlcli.training.chunked_program import Collectives

        workers: Workers = Collectives(cluster)
    for file in files:
        rows, plan = prepare(file, events, Storage(workers=workers))
        rows = encode_sets(rows, events)
        # Keras's float type stands for both, where the config says float32.
        config = file.config.model_copy(update={"precision": "float64"})
        result = fit(rows, replace(plan, config=plan.head.resolve(config)))
        name = f"{file.path.stem}-{cluster.size}-{cluster.rank}"
        np.savez(folder / f"{name}.npz", **result.training.weights)
        predictions = result.predictions("validation").outputs
        stored = {"history": result.training.history, "predictions": predictions.tolist()}
        (folder / f"{name}.json").write_text(json.dumps(stored))
    return _finish(folder, workers)


def _finish(folder: Path, workers: Workers) -> int:
    """Return how many workers are not ready yet after all have finished, worker 0 late."""
    ready = [folder / f"ready-{workers.size}-{rank}" for rank in range(workers.size)]
    if workers.size > 1 and workers.rank == 0:
        time.sleep(1)
    ready[workers.rank].touch()
    workers.finish()
    return sum(not file.exists() for file in ready)


def main(folder: Path, configs: list[str]) -> int:
    """Train with one cluster after another, until a worker fails."""
    for size, names in enumerate(configs, start=1):
        ends = run_workers(size, partial(train, folder, names))
        if any(end.code for end in ends):
            sys.stderr.write("\n".join(end.errors for end in ends))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
