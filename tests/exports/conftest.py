"""Runs of the shipped configs with random weights, so that nothing has to be trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dlcli.config import dump_config, load_config
from dlcli.pipeline import Events, prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.runs import Run, new_run

ROOT = Path(__file__).parents[2]


def make_run(config: Path, folder: Path) -> Run:
    """Make the run of a config, untrained."""
    file = load_config(config)
    prepared = prepare(file, Events(lambda *_: None))
    random = np.random.default_rng(1)
    with new_run(folder, "run") as writer:
        resolved = resolved_config(file, prepared, writer.path, threads=1)
        writer.write_text("config.yaml", file.text)
        writer.write_resolved(dump_config(resolved))
        writer.write_text("encoding.json", prepared.encoding.model_dump_json())
        weights = {
            each.name: random.normal(0, 1 / np.sqrt(each.shape[0]), each.shape).astype(np.float32)
            for each in prepared.network.weights
        }
        # Variances of batch normalization are positive.
        positive = {name: abs(array) for name, array in weights.items() if "variance" in name}
        writer.write_weights(weights | positive)
        if (test := prepared.split.test) is not None:
            rows = {"row": test.row_numbers, "split": ["test"] * test.rows}
            writer.write_table("predictions.parquet", pa.table(rows))
        return writer.finish()


@pytest.fixture(scope="session")
def shipped_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """An untrained run of each shipped config by name, but for the second one on the same data."""
    folder = tmp_path_factory.mktemp("shipped")
    configs = sorted((ROOT / "configs").glob("*.yaml"))
    return {
        path.stem: make_run(path, folder / path.stem)
        for path in configs
        if path.stem != "steering_search"
    }
