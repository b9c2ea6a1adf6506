"""What is to be the first use of TensorFlow in a process.

`python -m tests.training.own_process CASE` prints the device and threads, or hashes of trainings.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile

from dlcli.training.engines import deterministic_tensorflow, prepare_device
from dlcli.training_job import TrainingResult

ENGINES = ("graph", "xla")
"""The Keras engine repeats its bits in another process in tests/pipeline/test_train_resume.py."""
REPEATED = {
    "config": {
        "hidden": ({"units": 8, "activation": "tanh", "dropout": 0.3},),
        "metrics": (),
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "epochs": 8,
    },
    "rows": 61,
}


def fingerprint(result: TrainingResult) -> str:
    """The hash of the history and the weights."""
    digest = hashlib.sha256(repr(result.history).encode())
    for weight in result.weights.values():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def recorded(threads: int | str) -> str:
    import tensorflow as tf

    device = prepare_device("auto", threads)
    assert tf.config.threading.get_intra_op_parallelism_threads() == device.threads
    assert tf.config.threading.get_inter_op_parallelism_threads() == device.threads
    return f"{device.name} {device.threads}"


def when_tensorflow_has_taken_all() -> str:
    import tensorflow as tf

    tf.constant(1) + 1
    device = prepare_device("cpu", "auto")
    return f"{device.name} {device.threads}"


def fingerprints() -> str:
    from tests.training.conftest import build_job, train_with

    prepare_device("cpu", "auto")
    with deterministic_tensorflow():
        hashes = {each: fingerprint(train_with(build_job(**REPEATED), each)) for each in ENGINES}
    return "\n".join(f"{engine} {bits}" for engine, bits in hashes.items())


def host_program() -> str:
    import keras
    import numpy as np
    import tensorflow as tf

    import dlcli

    tf.config.threading.set_intra_op_parallelism_threads(1)
    inputs = np.ones((8, 2), np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(inputs, inputs[:, :1], verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        config = {"data": {"target": "y"}, "hidden": [{"units": 2}], "epochs": 1}
        data = {"x": [1.5, 2.5, 3.5], "y": [0.5, 1.0, 4.5]}
        dlcli.train(config, data, output=f"{folder}/run", progress=False)
    model.fit(inputs, inputs[:, :1], verbose=0)
    return "as before" if tf.random.uniform((2,)).shape == (2,) else "otherwise"


CASES = {
    "a host": host_program,
    "one thread": lambda: recorded(1),
    "all threads": lambda: recorded("auto"),
    "threads taken before": when_tensorflow_has_taken_all,
    "fingerprints": fingerprints,
}

if __name__ == "__main__":
    print(CASES[sys.argv[1]]())
