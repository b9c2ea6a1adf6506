"""One worker that trains the configs of a folder in float64, and stores weights and histories.

`python -m tests.cluster.train_together FOLDER RANK ADDRESS ...`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

from dlcli.cluster import Cluster
from dlcli.config import load_config
from dlcli.pipeline import Events
from dlcli.pipeline.fit import fit, load_tensorflow
from dlcli.pipeline.preparation import encode_sets, prepare


def main(folder: Path, rank: int, addresses: tuple[str, ...]) -> None:
    """Train all configs, one after another."""
    from dlcli.training import NO_CHECKPOINTS

    events, workers = Events(lambda *_: None), None
    files = [load_config(path) for path in sorted(folder.glob("*.yaml"))]
    load_tensorflow(files[0].config, events)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    if len(addresses) > 1:
        from dlcli.training.collectives import Collectives

        workers = Collectives(Cluster(addresses, rank))
    for file in files:
        prepared = prepare(file, events, None, workers)
        encoded = encode_sets(file.config.data.weight, prepared, events)
        # Keras's float type stands for both, where the config says float32.
        config = file.config.model_copy(update={"precision": "float64"})
        result = fit(config, prepared, encoded, lambda *_: None, NO_CHECKPOINTS)
        name = f"{file.path.stem}-{len(addresses)}-{rank}"
        np.savez(folder / f"{name}.npz", **result.training.weights)
        predictions = result.predictions("validation").outputs
        stored = {"history": result.training.history, "predictions": predictions.tolist()}
        (folder / f"{name}.json").write_text(json.dumps(stored))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:]))
