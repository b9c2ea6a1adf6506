"""The selected configs: trained in full, and compared on rows that the search did not use."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.errors import DivergenceError, OutOfMemoryError
from dlcli.pipeline import search as module
from dlcli.pipeline.events import Events, RunEvent, WarningEvent
from dlcli.pipeline.search import finalist_metric, train_finalists
from dlcli.runs.documents import Search
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run
from tests.comparison.hand_made import number_run
from tests.pipeline.tuning.search_examples import Recorder

pytestmark = pytest.mark.usefixtures("compiled_once")

ROWS = range(1, 41)
FAR = {row: row + (-1) ** row * (1 + row % 5) for row in ROWS}
"""Predictions that are 1 to 5 off, by which the mean absolute error is 3."""
NEAR = {row: row + (-1) ** row * (0.1 + 0.1 * (row % 5)) for row in ROWS}
"""Predictions that are 0.1 to 0.5 off, by which it is 0.3."""
LINE = """\
data: {train: line.csv, target: y, validation: 0.25, test: 0.25}
hidden: []
"""


@pytest.fixture
def recorder():
    return Recorder()


def search_for(metric):
    """Return as much of a search as finalists depend on."""
    return Search.model_construct(metric=metric, notes=())


def scores(mae, split="test"):
    return {"metrics": {split: {"mae": mae, "rmse": mae}}}


@pytest.fixture
def folder(tmp_path):
    """The run folder of a search."""
    return tmp_path


@pytest.fixture
def made(folder, monkeypatch):
    """Replace trainings by hand-made runs: give predictions, or an error, by name."""

    def prepare(split="test", **outcomes):
        configs = {}
        for name, outcome in outcomes.items():
            if isinstance(outcome, dict):
                number_run(folder, name, outcome, split=split, stored=scores(0.5, split))
            configs[name] = config(folder / f"{name}.yaml", split)

        def train_one(folder, name, file, listener, workers=None):
            if isinstance(outcomes[name], BaseException):
                raise outcomes[name]
            return open_run(folder / name)

        monkeypatch.setattr(module, "train_child_run", train_one)
        return configs

    return prepare


def config(path: Path, split="test"):
    if not path.exists():
        path.write_text(
            f"data: {{train: table.csv, target: y, {split}: 0.5}}\nhidden: []\nepochs: 2\n"
        )
    return load_config(path)


def line(folder: Path, name="config", **settings):
    """Return a config for 40 points of y = 2x that is trained quickly."""
    rows = "\n".join(f"{x},{2 * x}" for x in range(40))
    (folder / "line.csv").write_text(f"x,y\n{rows}\n")
    path = folder / f"{name}.yaml"
    settings = {"epochs": 3, **settings}
    path.write_text(LINE + "".join(f"{key}: {value}\n" for key, value in settings.items()))
    return load_config(path)


def test_smaller_errors_on_the_same_test_rows_are_better(folder, made, recorder):
    configs = made(default=FAR, best=NEAR)
    finals = train_finalists(folder, configs, search_for("val_mae"), Events(recorder))
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


def test_the_parameters_of_an_ensemble_are_those_of_all_members_as_of_a_trial(folder, monkeypatch):
    ensemble = {"ensemble": {"members": 3}}
    run = number_run(folder, "best", NEAR, config=ensemble, stored=scores(0.5))
    monkeypatch.setattr(module, "train_child_run", lambda *_: run)
    configs = {"best": config(folder / "best.yaml")}

    finals = train_finalists(folder, configs, search_for("val_mae"), Events())
    assert [each.parameters for each in finals.finalists] == [6]


@pytest.mark.parametrize(
    ("verdict", "words"), [("worse", "worse"), ("not_significant", "not clearly better")]
)
def test_a_best_network_no_better_than_a_baseline_has_a_note(
    folder, made, monkeypatch, recorder, verdict, words
):
    known = {"metric": "mae", "network": 0.5}
    differences = {
        "linear": {"test": {**known, "baseline": 0.25, "verdict": verdict}},
        "constant": {"test": {**known, "baseline": 8.0, "verdict": "better"}},
    }
    stored = {"verdicts": {"differences": differences}}
    plain = scores
    monkeypatch.setitem(globals(), "scores", lambda *at: {**plain(*at), **stored})
    configs = made(default=FAR, best=NEAR)
    notes = train_finalists(folder, configs, search_for("val_mae"), Events(recorder)).notes
    assert notes == (
        f"the best network is {words} than the linear baseline on test rows: MAE 0.5 vs 0.25",
    )


def test_larger_errors_are_worse(folder, made, recorder):
    configs = made(default=NEAR, best=FAR)
    _, best = train_finalists(folder, configs, search_for("val_mae"), Events(recorder)).finalists
    assert best.verdict == "worse"


def test_the_default_config_is_first(folder, made, recorder):
    configs = made(smallest=NEAR, best=NEAR, default=FAR)
    finals = train_finalists(folder, configs, search_for("val_mae"), Events(recorder))
    assert [each.name for each in finals.finalists] == ["default", "best", "smallest"]
    assert [each["name"] for each in recorder.named("finalist")] == ["default", "best", "smallest"]


def test_a_search_that_minimizes_the_loss_is_compared_by_the_main_metric(folder, made, recorder):
    configs = made(default=FAR, best=NEAR)
    default, best = train_finalists(
        folder, configs, search_for("val_loss"), Events(recorder)
    ).finalists
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
def test_finalists_are_compared_by_the_metric_of_the_search_or_the_main_one(
    metric, named, expected
):
    assert finalist_metric(metric, named, {"accuracy": 0.5, "auc": 0.5, "rmse": None}) == expected


def test_without_held_out_rows_only_the_best_config_is_trained(folder, monkeypatch, recorder):
    configs = {}
    for name in ("default", "best"):
        path = folder / f"{name}.yaml"
        path.write_text("data: {train: table.csv, target: y}\nhidden: []\nepochs: 2\n")
        configs[name] = load_config(path)
    trained = []

    def train_one(folder, name, file, listener, workers=None):
        trained.append(name)
        return number_run(folder, name, {})

    monkeypatch.setattr(module, "train_child_run", train_one)
    finals = train_finalists(folder, configs, search_for("val_loss"), Events(recorder))
    assert (trained, finals.finalists) == (["best"], ())
    assert finals.notes == (
        "there are no held-out rows to compare the best config with the default; set "
        "data.test: 0.15",
    )


def test_without_test_rows_validation_rows_are_used_with_a_note(folder, made, recorder):
    configs = made("validation", default=FAR, best=NEAR)
    finals = train_finalists(folder, configs, search_for("val_mae"), Events(recorder))
    assert [each.split for each in finals.finalists] == ["validation", "validation"]
    assert finals.notes == (
        "there are no test rows; the config was selected on the validation rows, so their metrics are "
        "too optimistic: set data.test: 0.15",
    )


def test_ensembles_without_test_rows_are_compared_on_the_rows_of_their_folds(
    folder, made, recorder
):
    names = made("validation", default=FAR, best=NEAR)
    path = folder / "ensemble.yaml"
    path.write_text(
        "data: {train: table.csv, target: y}\nhidden: []\nepochs: 2\nensemble: {members: 3}\n"
    )
    configs = dict.fromkeys(names, load_config(path))
    finals = train_finalists(folder, configs, search_for("val_mae"), Events(recorder))
    assert [(each.name, each.verdict) for each in finals.finalists] == [
        ("default", None),
        ("best", "better"),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergenceError("the loss is NaN\nuse less", 3), "the loss is NaN"),
        (OutOfMemoryError("out of memory"), "out of memory"),
    ],
)
def test_a_config_that_can_not_be_trained_in_full_has_a_note(folder, made, recorder, error, reason):
    configs = made(default=FAR, best=NEAR, smallest=error)
    finals = train_finalists(folder, configs, search_for("val_mae"), Events(recorder))
    assert [each.name for each in finals.finalists] == ["default", "best"]
    assert finals.notes == (f"the smallest config could not be trained in full: {reason}",)


def test_without_the_default_config_there_is_no_comparison(folder, made, recorder):
    configs = made(default=DivergenceError("the loss is NaN", 1), best=NEAR)
    (best,) = train_finalists(folder, configs, search_for("val_mae"), Events(recorder)).finalists
    assert (best.gain.value, best.verdict) == (None, "unknown")
    assert best.gain.reason == snapshot("the default config could not be trained")


@pytest.mark.slow
def test_a_finished_run_is_kept_and_one_of_another_config_trained_again(tmp_path, recorder):
    configs = {"default": line(tmp_path, "d"), "best": line(tmp_path, "b", batch_size=8)}
    first = train_finalists(tmp_path, configs, search_for("val_loss"), Events(recorder))
    stamps = {name: (tmp_path / name / "manifest.json").stat().st_ino for name in configs}

    again = train_finalists(tmp_path, configs, search_for("val_loss"), Events(recorder))
    assert again == first
    assert {n: (tmp_path / n / "manifest.json").stat().st_ino for n in configs} == stamps

    other = line(tmp_path, "b", batch_size=4)
    train_finalists(tmp_path, {**configs, "best": other}, search_for("val_loss"), Events(recorder))
    assert open_run(tmp_path / "best").read_text(RunFile.CONFIG) == other.text
    assert (tmp_path / "default" / "manifest.json").stat().st_ino == stamps["default"]


def warning(message):
    return WarningEvent(message=message)


def test_each_warning_is_reported_once(folder, monkeypatch, recorder):
    def train_one(folder, name, file, listener, workers=None):
        for event in [warning("a"), warning("a"), RunEvent(folder="b"), warning(name)]:
            listener(event)
        return number_run(folder, name, NEAR, stored=scores(0.5))

    monkeypatch.setattr(module, "train_child_run", train_one)
    configs = {name: config(folder / f"{name}.yaml") for name in ("default", "best")}
    train_finalists(folder, configs, search_for("val_mae"), Events(recorder))

    warnings = [fields["message"] for fields in recorder.named("warning")]
    assert warnings == ["a", "default", "best"]
    assert recorder.named("progress") == [{"finalist": "default"}, {"finalist": "best"}]


def test_what_the_search_has_warned_of_is_not_repeated_by_its_finalists(
    folder, made, monkeypatch, recorder
):
    configs = made(default=FAR, best=NEAR)

    def train_one(folder, name, file, listener, workers=None):
        listener(warning("3 rows have no target"))
        listener(warning("few rows"))
        return open_run(folder / name)

    monkeypatch.setattr(module, "train_child_run", train_one)
    events = Events(recorder)
    events.warn("3 rows have no target")
    train_finalists(folder, configs, search_for("val_mae"), events)
    messages = [each["message"] for each in recorder.named("warning")]
    assert messages == ["3 rows have no target", "few rows"]
