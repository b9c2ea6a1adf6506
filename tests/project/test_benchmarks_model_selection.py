"""Cross-validation and search compared with Keras scripts that do the same work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.model_selection import (
    DLCLI_CV,
    DLCLI_TUNE,
    DLCLI_TUNE_JOBS,
    KERAS_CV,
    KERAS_TUNE,
    TABLES,
    TRIALS,
    TUNER,
    Selection,
    cv_cases,
    search_cases,
    task_of,
)
from benchmarks.results import target_rows
from benchmarks.runner import Outcome
from benchmarks.tasks import Candidate, Layer, Rows, read_rows, read_task
from dlcli.config.config_file import load_config
from dlcli.config.search_space import candidate, dimensions_of

pytestmark = pytest.mark.release

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_shipped_config_becomes_a_task_for_rivals() -> None:
    task = task_of(load_config(CONFIGS / "digits.yaml"))

    assert Path(task.table).samefile(CONFIGS.parent / "data" / "digits.csv")
    assert (task.target, task.test, task.validation, task.folds) == ("digit", 0.15, 0.15, 5)
    assert (task.epochs, task.patience, task.warmup_epochs) == (60, 15, 2.0)
    assert task.metrics == ("accuracy", "top_3_accuracy")
    layers = (Layer(256, "relu", 0.3, 0.9), Layer(128, "relu", 0.3, 0.9))
    assert task.candidates == (Candidate(layers, 0.001, 32),)


def test_a_task_has_the_weight_decay_and_the_class_weights_of_its_config() -> None:
    task = task_of(load_config(CONFIGS / "breast_cancer.yaml"))

    assert (task.optimizer, task.weight_decay, task.is_balanced) == ("adamw", 0.01, True)
    assert task.warmup_epochs is None


def test_rivals_read_a_task_as_it_was_written(tmp_path: Path) -> None:
    task = task_of(load_config(CONFIGS / "iris.yaml"))
    task.write(tmp_path / "task.json")

    assert read_task(tmp_path / "task.json") == task


@pytest.mark.parametrize("name", TABLES)
def test_all_settings_that_a_search_varies_reach_the_rival(name: str) -> None:
    selection = Selection(name)
    file = load_config(selection.path, selection.search_settings)
    values = {
        "optimizer.learning_rate": 0.02,
        "hidden_layers.number": 3,
        "hidden_layers.units": 64,
        "hidden_layers.activation": "gelu",
        "hidden_layers.dropout": 0.25,
        "batch_size": 128,
    }
    momentum = 0.9 if name == "digits" else None

    assert file.config.tune is not None and file.config.tune.trials == TRIALS == 50
    assert {dimension.path for dimension in dimensions_of(file.config.tune.space)} == set(values)
    [converted] = task_of(candidate(file, values)).candidates
    assert converted == Candidate((Layer(64, "gelu", 0.25, momentum),) * 3, 0.02, 128)


def test_a_table_is_read_as_numbers_and_class_indices(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,kind,b\n1,dog,2\n3,cat,4.5\n")
    task = replace(
        task_of(load_config(CONFIGS / "iris.yaml")),
        table=str(tmp_path / "table.csv"),
        target="kind",
    )
    rows = read_rows(task)

    assert rows.matrix.tolist() == [[1, 2], [3, 4.5]]
    assert rows.labels.tolist() == [1, 0]
    assert rows.classes == 2


def make_rows(labels: list[int]) -> Rows:
    matrix = np.arange(len(labels), dtype=np.float32)[:, np.newaxis]
    return Rows(matrix, np.array(labels), max(labels) + 1)


def test_folds_are_disjoint_complete_and_stratified() -> None:
    rows = make_rows([0] * 10 + [1] * 5)
    folds = list(rows.folds(5, np.random.default_rng(0)))

    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(15))
    for rest, held_out in folds:
        assert sorted([*rest, *held_out]) == list(range(15))
        assert rows.labels[held_out].tolist() == [0, 0, 1]


def test_a_share_is_held_out() -> None:
    rest, held_out = make_rows([0] * 20 + [1] * 20).split(0.25, np.random.default_rng(0))

    assert (len(rest.labels), held_out.labels.tolist()) == (30, [0] * 5 + [1] * 5)


def test_rows_are_standardized_by_the_training_rows_and_a_constant_column_is_only_centered() -> (
    None
):
    training = Rows(np.array([[1, 5], [3, 5]], np.float32), np.array([0, 1]), 2)
    held_out = Rows(np.array([[4, 6]], np.float32), np.array([0]), 2)

    # means 2 and 5, deviations 1 and 0
    assert held_out.standardized_by(training).matrix.tolist() == [[2, 1]]


def test_rivals_should_take_ten_times_as_long_and_twenty_times_a_search_of_two_jobs() -> None:
    cases = {DLCLI_TUNE: 4.0, DLCLI_TUNE_JOBS: 2.5, KERAS_TUNE: 45.0, TUNER: 60.0}
    rounds = {name: [{"wall_seconds": seconds}] for name, seconds in cases.items()}
    folds = {DLCLI_CV: [{"wall_seconds": 4.0}], KERAS_CV: [{"wall_seconds": 36.0}]}
    compared = [
        (text, limit, verdict)
        for _, text, limit, _, verdict in target_rows(
            [Outcome("tune-iris", "title", rounds), Outcome("cv-iris", "title", folds)]
        )
    ]

    assert compared == [
        (f"{KERAS_CV} / {DLCLI_CV}", "≥ 10", "missed"),
        (f"{KERAS_TUNE} / {DLCLI_TUNE}", "≥ 10", "met"),
        (f"{KERAS_TUNE} / {DLCLI_TUNE_JOBS}", "≥ 20", "missed"),
        (f"{TUNER} / {DLCLI_TUNE}", "≥ 10", "met"),
        (f"{TUNER} / {DLCLI_TUNE_JOBS}", "≥ 20", "met"),
    ]


SMALL = Selection("iris", folds=2, trials=2, settings=("epochs=2",))


def test_folds_are_trained_by_dlcli_and_by_a_keras_script(
    tmp_path: Path, forked: Callable[..., None]
) -> None:
    forked("model_selection", "output", "wall_seconds")
    measured = {case.name: case.measure() for case in cv_cases(SMALL, tmp_path)}

    assert list(measured) == [DLCLI_CV, KERAS_CV]
    assert all(0 < case["training_seconds"] < case["wall_seconds"] for case in measured.values())
    assert measured[KERAS_CV]["epochs"] == 2 * 2
    assert len(json.loads((tmp_path / "cv-iris-0" / "cv.json").read_text())["results"]) == 2


def test_a_keras_script_tries_the_candidates_of_dlcli(
    tmp_path: Path, forked: Callable[..., None]
) -> None:
    cases = search_cases(SMALL, tmp_path, sys.executable)
    ours, jobs, loop = next(cases), next(cases), next(cases)
    forked("model_selection", "output", "wall_seconds")
    ours.measure()
    tried = json.loads((tmp_path / "tune-iris-0" / "tune.json").read_text())["trials"]
    candidates = read_task(tmp_path / "tune-iris.json").candidates

    assert (ours.name, jobs.name, loop.name) == (DLCLI_TUNE, DLCLI_TUNE_JOBS, KERAS_TUNE)
    assert len(candidates) == 2
    assert [candidate_.learning_rate for candidate_ in candidates] == [
        trial["values"]["optimizer.learning_rate"] for trial in tried
    ]
    assert [len(candidate_.hidden) for candidate_ in candidates] == [
        trial["values"]["hidden_layers.number"] for trial in tried
    ]
    figures = loop.measure()
    assert 0 < figures["training_seconds"] < figures["wall_seconds"]
