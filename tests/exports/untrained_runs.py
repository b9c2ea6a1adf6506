"""Runs with random weights, so that nothing has to be trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dlcli.config.config_file import dump_config, load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.prediction.predictor import Ensemble, EnsembleMember, member_weight
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import new_run


def make_run(config: Path, folder: Path) -> Run:
    """Make the run of a config, untrained."""
    file = load_config(config)
    prepared, plan = prepare(file, Events())
    random = np.random.default_rng(1)
    with new_run(folder, "run") as writer:
        resolved = resolved_config(file, prepared, plan, writer.path, threads=1)
        writer.write_text(RunFile.CONFIG, file.text)
        writer.write_resolved(dump_config(resolved))
        writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json())
        members = 1 if file.config.ensemble is None else file.config.ensemble.members
        shapes = {each.name: each.shape for each in plan.network.weights}
        if members > 1:
            task, rows = prepared.encoding.task, prepared.split.train.rows
            trained = [
                EnsembleMember(seed=at, task=task, rows=rows, best_epoch=None, history={})
                for at in range(members)
            ]
            scale = resolved.input.scaling_multiplier
            document = Ensemble(
                members=tuple(trained), learning_rate_multiplier=scale
            ).model_dump_json()
            writer.write_text(RunFile.ENSEMBLE, document)
            shapes = {
                member_weight(at, name): shape
                for at in range(1, members + 1)
                for name, shape in shapes.items()
            }
        weights = {
            name: random.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
            for name, shape in shapes.items()
        }
        # Variances of batch normalization are positive.
        positive = {name: abs(array) for name, array in weights.items() if "variance" in name}
        writer.write_arrays(RunFile.WEIGHTS, weights | positive)
        sets = {"validation": prepared.split.validation, "test": prepared.split.test}
        if file.config.ensemble_folds is not None:
            sets["validation"] = prepared.split.train
        held_out = [
            pa.table({"row": table.row_numbers, "split": [name] * table.rows})
            for name, table in sets.items()
            if table is not None
        ]
        if held_out:
            writer.write_table(RunFile.PREDICTIONS, pa.concat_tables(held_out))
        return writer.finish()
