"""What a search has chosen: trained once in full, and judged by rows that have chosen nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.errors import DivergenceError, OutOfMemoryError
from dlcli.pipeline import Events
from dlcli.pipeline import finalists as room
from dlcli.pipeline.finalists import judging_metric, train_finalists
from dlcli.runs import open_run
from tests.comparison.hand_made import number_run

ROWS = range(1, 41)
FAR = {row: row + (-1) ** row * (1 + row % 5) for row in ROWS}
"""Predictions that are 1 to 5 off, by which the mean absolute error is 3."""
NEAR = {row: row + (-1) ** row * (0.1 + 0.1 * (row % 5)) for row in ROWS}
"""Predictions that are 0.1 to 0.5 off, by which it is 0.3."""
LINE = """\
data: {train: line.csv, target: y, validation: 0.25, test: 0.25}
hidden: []
"""


class Told:
    """What was told of."""

    def __init__(self):
        self.events = []

    def __call__(self, event, fields):
        self.events.append((event, fields))

    def named(self, event):
        return [fields for name, fields in self.events if name == event]


@pytest.fixture
def told():
    return Told()


def scores(mae, split="test"):
    return {"metrics": {split: {"mae": mae, "rmse": mae}}}


@pytest.fixture
def folder(tmp_path):
    """Stands for the folder of a search."""
    return tmp_path


@pytest.fixture
def made(folder, monkeypatch):
    """Has runs made by hand come of trainings: give the predictions, or what ends it, by name."""

    def prepare(split="test", **outcomes):
        configs = {}
        for name, outcome in outcomes.items():
            if isinstance(outcome, dict):
                number_run(folder, name, outcome, split=split, stored=scores(0.5, split))
            configs[name] = config(folder / f"{name}.yaml", split)

        def train_one(folder, name, file, listener):
            if isinstance(outcomes[name], BaseException):
                raise outcomes[name]
            return open_run(folder / name)

        monkeypatch.setattr(room, "train_child_run", train_one)
        return configs

    return prepare


def config(path: Path, split="test"):
    if not path.exists():
        path.write_text(
            f"data: {{train: table.csv, target: y, {split}: 0.5}}\nhidden: []\nepochs: 2\n"
        )
    return load_config(path)


def line(folder: Path, name="config", **settings):
    """A config of 40 points of y = 2x, and something that is trained in a moment."""
    rows = "\n".join(f"{x},{2 * x}" for x in range(40))
    (folder / "line.csv").write_text(f"x,y\n{rows}\n")
    path = folder / f"{name}.yaml"
    settings = {"epochs": 3, **settings}
    path.write_text(LINE + "".join(f"{key}: {value}\n" for key, value in settings.items()))
    return load_config(path)


def test_what_is_nearer_on_the_same_test_rows_is_better(folder, made, told):
    configs = made(default=FAR, best=NEAR)
    finals = train_finalists(folder, configs, "val_mae", Events(told))
    default, best = finals.finalists
    assert (default.name, default.split, default.gain, default.verdict) == (
        "default",
        "test",
        None,
        None,
    )
    assert (best.name, best.run, best.metric, best.verdict) == ("best", "best", "mae", "better")
    assert (best.parameters, best.epochs) == (2, 2)
    assert best.gain.value == pytest.approx(0.3 - 3)
    assert best.gain.lower < -2.7 < best.gain.upper < 0
    assert finals.notes == ()


def test_a_best_network_that_is_no_better_than_a_simpler_model_is_told_as_such(
    folder, made, monkeypatch, told
):
    simple = {"linear": {"test": {"mae": 0.25}}, "constant": {"test": {"mae": 8.0}}}
    plain = scores
    monkeypatch.setitem(globals(), "scores", lambda *at: {**plain(*at), "baselines": simple})
    configs = made(default=FAR, best=NEAR)
    notes = train_finalists(folder, configs, "val_mae", Events(told)).notes
    assert notes == (
        "the best network is no better than linear by mae of test rows: the best network 0.5, "
        "linear 0.25",
    )


def test_a_change_for_the_worse_is_told_as_such(folder, made, told):
    configs = made(default=NEAR, best=FAR)
    _, best = train_finalists(folder, configs, "val_mae", Events(told)).finalists
    assert best.verdict == "worse"


def test_the_default_config_is_judged_first_whatever_the_order_of_names(folder, made, told):
    configs = made(smallest=NEAR, best=NEAR, default=FAR)
    finals = train_finalists(folder, configs, "val_mae", Events(told))
    assert [each.name for each in finals.finalists] == ["default", "best", "smallest"]
    assert [each["name"] for each in told.named("finalist")] == ["default", "best", "smallest"]


def test_the_loss_that_a_search_is_after_is_judged_by_the_main_metric(folder, made, told):
    configs = made(default=FAR, best=NEAR)
    default, best = train_finalists(folder, configs, "val_loss", Events(told)).finalists
    assert (default.metric, best.metric) == ("mae", "mae")  # the first that the config shows


@pytest.mark.parametrize(
    ("metric", "named", "expected"),
    [
        ("val_auc", ("accuracy",), "auc"),
        ("accuracy", (), "accuracy"),
        ("val_loss", ("auc",), "auc"),
        ("val_rmse", ("accuracy",), "accuracy"),
    ],
)
def test_the_judging_metric_is_that_of_the_search_or_else_the_first_named(metric, named, expected):
    assert judging_metric(metric, named, {"accuracy": 0.5, "auc": 0.5, "rmse": None}) == expected


def test_of_a_search_without_rows_to_judge_by_the_found_config_is_trained_all_the_same(
    folder, monkeypatch, told
):
    configs = {}
    for name in ("default", "best"):
        path = folder / f"{name}.yaml"
        path.write_text("data: {train: table.csv, target: y}\nhidden: []\nepochs: 2\n")
        configs[name] = load_config(path)
    trained = []

    def train_one(folder, name, file, listener):
        trained.append(name)
        return number_run(folder, name, {})

    monkeypatch.setattr(room, "train_child_run", train_one)
    finals = train_finalists(folder, configs, "val_loss", Events(told))
    assert (trained, finals.finalists) == (["best"], ())
    assert finals.notes == (
        "there are no test rows by which the config that was found and the one as given could be "
        "judged; set data.test: 0.15",
    )


def test_validation_rows_judge_where_there_are_no_others_and_that_is_said(folder, made, told):
    configs = made("validation", default=FAR, best=NEAR)
    finals = train_finalists(folder, configs, "val_mae", Events(told))
    assert [each.split for each in finals.finalists] == ["validation", "validation"]
    assert finals.notes == (
        "there are no test rows: validation rows have chosen the config, and flatter it; set "
        "data.test: 0.15",
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergenceError("the loss is NaN\nuse less", 3), "the loss is NaN"),
        (OutOfMemoryError("out of memory"), "out of memory"),
    ],
)
def test_what_can_not_be_trained_in_full_is_left_out_with_a_note(folder, made, told, error, reason):
    configs = made(default=FAR, best=NEAR, smallest=error)
    finals = train_finalists(folder, configs, "val_mae", Events(told))
    assert [each.name for each in finals.finalists] == ["default", "best"]
    assert finals.notes == (f"the smallest config could not be trained in full: {reason}",)


def test_without_the_default_config_there_is_nothing_to_compare_with(folder, made, told):
    configs = made(default=DivergenceError("the loss is NaN", 1), best=NEAR)
    (best,) = train_finalists(folder, configs, "val_mae", Events(told)).finalists
    assert (best.gain.value, best.verdict) == (None, "unknown")
    assert best.gain.reason == "the default config could not be trained"


@pytest.mark.slow
def test_a_finished_run_is_kept_and_one_of_another_choice_trained_anew(tmp_path, told):
    configs = {"default": line(tmp_path, "d"), "best": line(tmp_path, "b", batch_size=8)}
    first = train_finalists(tmp_path, configs, "val_loss", Events(told))
    stamps = {name: (tmp_path / name / "manifest.json").stat().st_ino for name in configs}

    again = train_finalists(tmp_path, configs, "val_loss", Events(told))
    assert again == first
    assert {n: (tmp_path / n / "manifest.json").stat().st_ino for n in configs} == stamps

    other = line(tmp_path, "b", batch_size=4)
    train_finalists(tmp_path, {**configs, "best": other}, "val_loss", Events(told))
    assert open_run(tmp_path / "best").config_text() == other.text
    assert (tmp_path / "default" / "manifest.json").stat().st_ino == stamps["default"]


def test_warnings_are_told_once(told):
    listener = room._Warnings(Events(told))
    for event, message in [("warning", "a"), ("warning", "a"), ("run", "b"), ("warning", "c")]:
        listener(event, {"message": message})
    assert told.events == [("warning", {"message": "a"}), ("warning", {"message": "c"})]
