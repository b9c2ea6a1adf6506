"""Small tables, and what a cross-validation of them has trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcli.config.config_file import load_config
from dlcli.pipeline.cross_validation import CrossValidationPlan, assign_folds, cross_validate
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import read_candidates

CONFIG = """\
data: {train: rows.csv, target: y}
hidden: []
optimizer: {name: sgd, learning_rate: 0.1}
epochs: 2
batch_size: 8
"""


def write_rows(rows=20):
    """Writes rows.csv: numbers x from 0, of which y is twice as much, and four groups in turn."""
    lines = [f"{x},{'abcd'[x % 4]},{2 * x}" for x in range(rows)]
    Path("rows.csv").write_text("\n".join(["x,group,y", *lines]) + "\n")


def config_file(*settings, text=CONFIG):
    Path("rows.yaml").write_text(text)
    return load_config(Path("rows.yaml"), settings)


def dataset_and_folds(plan, *settings):
    """The config, its rows, and the folds that they are split into."""
    file = config_file(*settings)
    dataset = read_candidates(file, Events())
    return file.config, dataset, assign_folds(dataset, plan, file.config.seed)


def write_groups_of_folds():
    """Replaces the group of two rows of the first fold by e, and of the second of four by f.

    These rows are the only ones with the group, so chance does not explain that a fold lacks it.
    """
    _, _, folds = dataset_and_folds(CrossValidationPlan(folds=4))
    lines = Path("rows.csv").read_text().splitlines()
    for fold, group in zip(folds, "ef", strict=False):
        for x in fold.rows.held_out[:2].tolist():
            lines[1 + x] = f"{x},{group},{2 * x}"
    Path("rows.csv").write_text("\n".join(lines) + "\n")


def cv(*settings, folds=4, listener=lambda _: None, text=CONFIG, output=None, jobs=1, **plan):
    file = config_file(*settings, text=text)
    return cross_validate(file, CrossValidationPlan(folds=folds, **plan), output, listener, jobs)


def row_numbers(table):
    return [] if table is None else np.asarray(table.row_numbers).tolist()
