"""`data.sample`: a run on a random sample of the training table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.exports.model_card import model_card
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import read_dataset
from dlcli.pipeline.search import tune
from dlcli.pipeline.train_run import train
from dlcli.reports.report_files import view_of
from dlcli.reports.training_report import training_view
from dlcli.runs.run_folder import open_run

CONFIG = """
data: {train: rows.csv, target: y, test: 0.2}
input: {features: [x]}
hidden: []
epochs: 1
"""


@pytest.fixture(autouse=True)
def _table(tmp_path, monkeypatch):
    """1,000 rows of 100 groups in order of time; every tenth is positive, and two have no target."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{at},{at // 10},{'yes' if at % 10 == 0 else 'no'}" for at in range(1000)]
    Path("rows.csv").write_text("\n".join(["x,group,y", *lines, "1,1,", "2,2,", ""]))
    Path("c.yaml").write_text(CONFIG)


def sets(*settings: str) -> dict[str, np.ndarray]:
    """The values of x of each set."""
    split = read_dataset(load_config(Path("c.yaml"), settings), Events()).split
    return {
        name: np.array(table.column("x").values.to_pylist(), float)
        for name, table in split.tables.items()
    }


def test_classes_keep_their_proportions_and_files_of_test_rows_stay_whole():
    rows = sets("data.sample=200", "data.test=rows.csv")
    assert Counter(rows["train"] % 10 == 0) == {True: 20, False: 180}
    assert len(rows["test"]) == 1000


def test_the_latest_rows_of_a_sample_are_test_rows():
    rows = sets("data.sample=200", "data.split={name: time, column: x}")
    assert len(rows["train"]) == 160 and rows["train"].max() < rows["test"].min()
    assert rows["test"].max() > 950


def test_a_group_of_a_sample_is_in_one_set():
    rows = sets("data.sample=200", "data.split={name: group, column: group}")
    assert not {*(rows["train"] // 10)} & {*(rows["test"] // 10)}


@pytest.mark.usefixtures("compiled_once", "no_linear_baseline")
def test_result_and_card_say_that_a_sample_was_used():
    run = train(load_config(Path("c.yaml"), ["data.sample=200"]))
    sentence = "a random sample of the training table was used: 200 of 1,000 rows (data.sample)."
    assert any(note.endswith(sentence) for note in training_view(run).notes)
    assert sentence in model_card(run)
    whole = train(load_config(Path("c.yaml"), ["data.sample=1000"]))
    assert not any("sample" in note for note in training_view(whole).notes)


@pytest.mark.usefixtures("compiled_once")
def test_the_final_training_after_a_cross_validation_of_a_sample_uses_all_rows():
    file = load_config(Path("c.yaml"), ["data.sample=200"])
    run = cross_validate(file, CrossValidationPlan(folds=2, refit=True))
    assert run.predictions.table.num_rows == 160
    assert open_run(run.path / "refit").explanation.rows == {"train": 800, "test": 200}
    assert load_config(run.path / "refit.yaml").config.data.sample is None
    note = "(data.sample). refit.yaml has no data.sample, so it trains on all rows."
    assert any(each.endswith(note) for each in view_of(run).notes)


@pytest.mark.usefixtures("compiled_once", "no_linear_baseline")
def test_the_configs_of_a_search_on_a_sample_use_all_rows_and_are_compared_on_the_sample():
    settings = [
        "data.sample=200",
        "data.validation=0.2",
        "tune={trials: 1, space: {epochs: [1, 2]}}",
    ]
    run = tune(load_config(Path("c.yaml"), settings))
    assert load_config(run.path / "best.yaml").config.data.sample is None
    best, default = (open_run(run.path / name) for name in ("best", "default"))
    assert best.explanation.rows == default.explanation.rows
    assert sum(best.explanation.rows.values()) == 200
    note = "best.yaml and smallest.yaml have no data.sample, so they train on all rows."
    assert any(each.endswith(note) for each in view_of(run).notes)
