"""Write the corpus: runs, exports and a checkpoint of this version, which later versions must read.

`python tests/compatibility/write.py` fills the folder corpus/VERSION at a release; no test calls
it. Its tables and networks are as small as they can be. Each table to predict is stored with the
predictions of the version that wrote it.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

import dlcli

CORPUS = Path(__file__).parent / "corpus"
ROWS = 60
NEW_ROWS = 6
SMALL = """\
hidden: [{units: 4, activation: softplus}]
optimizer: {name: adam, learning_rate: 0.05}
epochs: 6
explanation: {background_rows: 8}
"""
CONFIGS = {
    "regression": """\
data: {train: table.csv, target: price, validation: 0.2, test: 0.2}
input:
  features: {area: {type: numeric, monotone: increasing}, rooms: numeric, city: categorical}
output: {scaling: log1p}
early_stopping: {patience: 3}
""",
    "classification": """\
data: {train: table.csv, target: {column: sold, positive_class: "yes"}, test: 0.2}
input:
  features:
    area: {type: numeric, encoding: {name: piecewise_linear, bins: 4}}
    city: {type: categorical, encoding: {name: embedding, units: 2}}
    listed: datetime
    remark: text
    price: {type: numeric, scaling: robust}
class_weight: balanced
ensemble: {members: 2}
decision: {costs: {false_positive: 1, false_negative: 5}}
""",
    "quantiles": """\
data: {train: table.csv, target: price, test: 0.2}
input: {features: [area, rooms]}
loss: {name: quantile, levels: [0.1, 0.5, 0.9]}
""",
    "classes": """\
data: {train: table.csv, target: city, validation: 0.2}
input: {features: [area, rooms, price]}
engine: keras
evaluate_by: [sold]
""",
    "outputs": """\
data: {train: table.csv, target: [price, rooms], test: 0.2}
input: {features: {area: numeric, city: categorical}}
""",
}
"""The configs by name, without `SMALL`."""
EXPORTS = {"onnx": "classification", "litert": "quantiles"}
"""The run that is exported, by format. An exported script depends on no version of dlcli."""
SEARCH = "tune: {trials: 2, folds: 2, space: {batch_size: [16, 32]}}\n"


def rows(count: int, seed: int) -> pa.Table:
    """Return rows with a column of each type, some of them missing."""
    draw = np.random.default_rng(seed)
    area, rooms = draw.uniform(30, 150, count).round(1), draw.integers(1, 6, count)
    city = draw.choice(["Ghent", "Lyon", "Turin"], count)
    price = (900 * area * (1 + (city == "Lyon")) * draw.lognormal(0, 0.1, count)).round(-2)
    listed = np.datetime64("2024-01-01") + draw.integers(0, 700, count)
    words = np.where(price > np.median(price), "bright and large", "small but quiet")
    columns = {
        "area": pa.array(area, mask=draw.random(count) < 0.05),
        "rooms": rooms,
        "city": pa.array(city, mask=draw.random(count) < 0.05),
        "listed": listed.astype("datetime64[D]").astype(str),
        "remark": words,
        "price": price,
        "sold": np.where(draw.random(count) < 0.2 + 0.5 * (area < 80), "yes", "no"),
    }
    return pa.table(columns)


def write(folder: Path) -> None:
    """Write all runs and exports below a new folder."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    csv.write_csv(rows(ROWS, 1), "table.csv")
    csv.write_csv(rows(NEW_ROWS, 2), "new.csv")
    for name, config in CONFIGS.items():
        Path(f"{name}.yaml").write_text(f"{config}{SMALL}", "utf-8")
        run = dlcli.train(f"{name}.yaml", output=f"runs/{name}", progress=False)
        predicted = dlcli.load(run).predict("new.csv")
        parquet.write_table(predicted.to_arrow(), f"{name}.parquet")
    for format, name in EXPORTS.items():
        dlcli.export(f"runs/{name}", format, f"exports/{format}")
    dlcli.cross_validate("quantiles.yaml", folds=2, output="runs/validated", progress=False)
    Path("search.yaml").write_text(f"{CONFIGS['quantiles']}{SMALL}{SEARCH}", "utf-8")
    dlcli.tune("search.yaml", output="runs/searched", progress=False)
    with suppress(KeyboardInterrupt, dlcli.Interrupted):
        changed = {"checkpoint.seconds": 1e-9, "epochs": 12}
        dlcli.train(
            "quantiles.yaml", overrides=changed, output="runs/interrupted", progress=_interrupt
        )
    shutil.rmtree(".dlcli", ignore_errors=True)


def _interrupt(event: object) -> None:
    if isinstance(event, dlcli.events.EpochEvent) and event.epoch == 5:  # noqa: PLR2004
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.argv = ["write.py"]  # stored in each run
    write(CORPUS / dlcli.__version__)
