"""A run whose weights are set by hand, so that nothing has to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from dlcli.config.config_file import dump_config, load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import data_fingerprints, prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run


def make_run(
    config: str,
    name: str,
    weights: Mapping[str, ArrayLike] | None = None,
    constant: float | None = None,
) -> Path:
    """Makes runs/NAME of a config with no hidden layer.

    Args:
        config: the config's text.
        name: of the run.
        weights: by name; all are 0.5, if left out.
        constant: the output of the constant baseline; without one, the run has no baselines.
    """
    Path(f"{name}.yaml").write_text(config, encoding="utf-8")
    file = load_config(Path(f"{name}.yaml"))
    prepared, plan = prepare(file, Events())
    with new_run(None, name) as writer:
        writer.write_text(RunFile.CONFIG, file.text)
        writer.write_resolved(
            dump_config(resolved_config(file, prepared, plan, writer.path, threads=1))
        )
        writer.write_json(RunFile.ENVIRONMENT, {"data": data_fingerprints(file)})
        writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json())
        halves = {each.name: np.full(each.shape, 0.5) for each in plan.network.weights}
        arrays = {key: np.array(value, np.float32) for key, value in (weights or halves).items()}
        writer.write_arrays(RunFile.WEIGHTS, arrays)
        if constant is not None:
            writer.write_json(RunFile.BASELINES, {"constant": {"test": {"mse": 1.0}}})
            writer.write_arrays(
                RunFile.BASELINE_WEIGHTS, {"constant": np.array([constant], np.float32)}
            )
        writer.finish()
    return writer.path
