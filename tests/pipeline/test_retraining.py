"""Patches tried: each is a run of its own, evaluated on validation rows."""

from __future__ import annotations

import shutil
import weakref

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config, make_config
from dlcli.diagnosis.remedies import Finding, Patch
from dlcli.errors import OutOfMemoryError, RunError, UsageError
from dlcli.pipeline import retraining
from dlcli.pipeline.retraining import Trial, choose_patches, more_patches, try_patches, winner
from dlcli.pipeline.train_run import train
from dlcli.reports.diagnosis_report import _trial_verdict
from dlcli.runs.run_folder import open_run
from tests.comparison.hand_made import number_run
from tests.diagnosis.planted import DATA, GOOD, HALF, WIDE, Planted, mostly_noise, straight

pytestmark = pytest.mark.usefixtures("compiled_once", "no_linear_baseline")

OVERFITTED = Planted("overfitted", mostly_noise(300), HALF + WIDE + GOOD)
DIVERGED = Planted(
    "diverged",
    straight(400, 2, 0.1),
    DATA + "hidden: []\noptimizer: {name: sgd, learning_rate: 3.0}\nepochs: 60\nbatch_size: 300\n",
)
LINE = Patch("line", "is a straight line", (("hidden", "[]"),))
FAR = Patch("far", "leaps", (("hidden", "[]"), ("optimizer", "{name: sgd, learning_rate: 1e9}")))
WRONG = Patch("wrong", "fits no config", (("hidden[0].units", "none"),))


def patch(name, key="epochs", value="1"):
    return Patch(name, "why", ((key, value),))


def finding(rule, *patches):
    return Finding(rule, "saw", "means", patches, "source")


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A run that has learned its rows by heart."""
    folder = tmp_path_factory.mktemp("overfitted")
    return train(load_config(OVERFITTED.write(folder)), folder / "run")


def test_the_first_patch_of_each_finding_comes_before_any_second_one():
    one, two, three = patch("one", value="1"), patch("two", value="2"), patch("three", value="3")
    found = [finding("a", one, two), finding("b", three)]
    assert choose_patches(found) == [("a", one), ("b", three), ("a", two)]


def test_a_patch_is_tried_once_and_what_changes_the_rows_not_at_all():
    same = [patch("one"), patch("two")]
    rows = patch("rows", "data.validation", "0.3")
    found = [finding("a", same[0], rows), finding("b", same[1])]
    assert choose_patches(found) == [("a", same[0])]


def test_no_more_than_so_many_are_tried():
    many = [patch(f"p{at}", value=str(at)) for at in range(1, 20)]
    assert [each.name for _, each in choose_patches([finding("a", *many)])] == [
        f"p{at}" for at in range(1, 13)
    ]


SINGLE = "data: {train: t.csv, target: y, validation: 0.2}\nhidden: [{units: 8}]\nepochs: 5\n"


def test_averaging_comes_after_causes_and_before_patches_against_errors_of_few_rows():
    config = make_config(SINGLE).config
    cause, fit = patch("cause", value="1"), patch("fit", value="2")
    found = [finding("overfitting", fit), finding("unscaled_inputs", cause)]
    names = [each.name for _, each in choose_patches(found, config)]
    assert names == ["cause", "averaging", "fit"]
    (_, averaging) = choose_patches([], config)[0]
    averaged = make_config(SINGLE, averaging.overrides).config.ensemble
    assert (averaged.members, averaged.fold_count) == (averaging.networks, None)


@pytest.mark.parametrize(
    "setting", ["ensemble={members: 8, folds: none}", "data.validation=null", "initial_weights=r"]
)
def test_averaging_is_not_tried_where_a_config_can_not_have_it(setting):
    assert choose_patches([], make_config(SINGLE, [setting]).config) == []


def test_general_patches_follow_up_to_the_limit_without_repetition():
    config = make_config(SINGLE).config
    every = more_patches([], config)
    assert [each.name for _, each in every] == snapshot(
        ["early-stopping", "cosine", "dropout", "rate-third", "fewer-units", "more-units"]
    )
    for _, each in every:
        make_config(SINGLE, each.overrides)
    assert more_patches(every[:2], config) == every[2:]
    assert more_patches(every[:2], config, most=3) == every[2:3]
    assert (
        more_patches([], make_config(SINGLE, ["ensemble={members: 8, folds: none}"]).config) == []
    )


def test_nothing_wins_where_nothing_helped():
    assert winner([Trial("a", patch("one"), problem="diverged")]) is None


SPREAD = {row: row + row % 3 - 1.0 for row in range(1, 41)}
"""Predictions, each at most 1 off."""
NO_BETTER = "no longer diverges, but is not better than a constant prediction"


def made_by_hand(folder, name, rmse, kind="train", verdict="better"):
    """A run whose RMSE on validation rows is as given, compared with 29 of the constant model."""
    known = {"metric": "rmse", "network": None, "baseline": 29.0, "verdict": verdict}
    stored = {
        "metrics": {"validation": {"rmse": rmse}},
        "verdicts": {"differences": {"constant": {"validation": known}}},
    }
    return number_run(folder, name, SPREAD, stored=stored, split="validation", kind=kind)


def answers(monkeypatch, *answers):
    """Makes trainings end so, one after the other."""
    left = list(answers)

    def train_one(*_):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(retraining, "train", train_one)


def test_what_runs_out_of_memory_is_one_failure_and_the_rest_is_tried(tmp_path, monkeypatch):
    run, made = (made_by_hand(tmp_path, name, 1.0) for name in ("run", "made"))
    answers(monkeypatch, OutOfMemoryError("out of memory\ntry less"), made)
    large, small = try_patches(run, [("a", patch("large")), ("a", patch("small"))])
    assert (large.run, large.problem, large.helped) == (None, "out of memory", False)
    assert (small.run, small.after) == (made.path, 1.0)


def test_what_ran_out_of_memory_lets_go_of_it(tmp_path, monkeypatch):
    class Large:
        """An object that takes up memory."""

    held = []

    def train_one(*_):
        large = Large()
        held.append(weakref.ref(large))
        error = OutOfMemoryError("out of memory")
        held.append(error)
        raise error

    monkeypatch.setattr(retraining, "train", train_one)
    list(try_patches(made_by_hand(tmp_path, "run", 1.0), [("a", patch("large"))]))
    assert held[0]() is None


def test_of_what_diverged_only_those_that_beat_a_constant_are_rescued_and_the_best_wins(
    tmp_path, monkeypatch
):
    run = made_by_hand(tmp_path, "run", 1.0, kind="diverged")
    ends = {1e9: "worse", 28.0: "not_significant", 20.0: "better", 10.0: "better", 15.0: "better"}
    made = [
        made_by_hand(tmp_path, f"made{rmse:g}", rmse, verdict=verdict)
        for rmse, verdict in ends.items()
    ]
    answers(monkeypatch, *made)
    trials = list(try_patches(run, [("a", patch(str(at))) for at in range(5)]))
    assert [trial.rescued for trial in trials] == [False, False, True, True, True]
    assert [trial.helped for trial in trials] == [trial.rescued for trial in trials]
    assert [trial.problem for trial in trials] == [NO_BETTER, NO_BETTER, None, None, None]
    assert all(trial.converged for trial in trials)
    assert winner(trials).after == 10.0
    assert winner(trials[:2]) is None


def test_of_scores_that_rise_with_success_the_highest_wins():
    after = {"metric": "accuracy", "converged": True}
    low, high = (Trial("a", patch("one"), after=value, **after) for value in (0.7, 0.9))
    assert winner([low, high]) is high


def test_without_a_baseline_nothing_is_rescued(tmp_path, monkeypatch):
    run = made_by_hand(tmp_path, "run", 1.0, kind="diverged")
    answers(monkeypatch, made_by_hand(tmp_path, "made", 1.0, verdict="unknown"))
    (trial,) = try_patches(run, [("a", patch("one"))])
    assert (trial.converged, trial.rescued) == (True, False)
    assert trial.problem == (
        snapshot("no longer diverges, but there is no baseline to compare with")
    )


def test_a_folder_that_can_not_be_written_is_reported_before_anything_is_trained(
    tmp_path, monkeypatch
):
    run = made_by_hand(tmp_path, "run", 1.0)
    monkeypatch.setattr(retraining.os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(UsageError, match=r"run-tries: can't be written; .* copy \S+ to another"):
        next(try_patches(run, [("a", patch("one"))]))


def test_a_metric_too_long_for_a_float_is_undefined(tmp_path, monkeypatch):
    run = made_by_hand(tmp_path, "run", 1.0)
    answers(monkeypatch, made_by_hand(tmp_path, "made", 10**400))
    (trial,) = try_patches(run, [("a", patch("one"))])
    assert (trial.after, trial.problem) == (None, "its metrics are undefined")


def test_a_patch_is_compared_by_the_metric_of_the_diagnosis(tmp_path, monkeypatch):
    stored = {"metrics": {"validation": {"rmse": 1.0, "mae": 0.5}}}
    run, made = (
        number_run(
            tmp_path,
            name,
            SPREAD,
            config={"loss": "mean_absolute_error"},
            stored=stored,
            split="validation",
        )
        for name in ("run", "made")
    )
    answers(monkeypatch, made)
    (trial,) = try_patches(run, [("a", patch("one"))])
    assert (trial.metric, trial.before, trial.after) == ("mae", 0.5, 0.5)


@pytest.mark.slow
def test_each_patch_is_a_run_next_to_the_run_and_the_first_has_helped(overfitted):
    shutil.rmtree(overfitted.path.parent / "run-tries", ignore_errors=True)
    before = {file: file.read_bytes() for file in overfitted.path.iterdir()}

    patches = [("overfitting", LINE), ("a", FAR), ("b", WRONG), ("overfitting", LINE)]
    line, far, wrong, again = try_patches(overfitted, patches)

    assert {file: file.read_bytes() for file in overfitted.path.iterdir()} == before
    folder = overfitted.path.parent / "run-tries"
    assert (line.run, again.run) == (folder / "line", folder / "line-2")
    made = open_run(line.run)
    assert load_config(made.resolved_path()).config.hidden == ()  # it did what the patch says
    validation = [run.metrics["validation"]["rmse"] for run in (overfitted, made)]
    assert (line.metric, line.before, line.after) == ("rmse", *validation)
    assert line.helped
    assert line.difference.value == pytest.approx(line.after - line.before)
    assert line.difference.upper < 0
    assert winner([far, wrong, line]) is line
    assert (far.run, far.helped) == (None, False)
    assert far.problem.startswith("training diverged: ")
    assert (wrong.run, wrong.helped) == (None, False)
    assert wrong.problem.startswith("--set 'hidden[0].units=none': expected a")


@pytest.mark.slow
def test_class_weights_are_compared_by_their_ranking_and_what_becomes_worse_is_named(tmp_path):
    x = np.random.default_rng(5).normal(size=600)
    y = np.where(x + np.random.default_rng(6).normal(size=600) > 2, "yes", "no")
    lines = [f"{a},{b}" for a, b in zip(x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    settings = "hidden: []\nepochs: 40\noptimizer: {name: adam, learning_rate: 0.1}\n"
    data = "data: {train: t.csv, target: y, validation: 0.5}\n"
    (tmp_path / "t.yaml").write_text(data + settings)
    run = train(load_config(tmp_path / "t.yaml"), tmp_path / "run")

    (trial,) = try_patches(run, [("imbalance", patch("balanced", "class_weight", "balanced"))])

    assert (trial.metric, trial.helped) == ("auc", False)
    assert "accuracy" in trial.worse
    assert not {"log_loss", "brier"} & {*trial.worse}  # probabilities are corrected
    assert _trial_verdict(trial).startswith("no difference; significantly worse: accuracy")


@pytest.mark.slow
def test_a_training_that_no_longer_diverges_is_helped(tmp_path):
    from dlcli.errors import DivergenceError

    with pytest.raises(DivergenceError):
        train(load_config(DIVERGED.write(tmp_path)), tmp_path / "run")
    slower = patch("slower", "optimizer.learning_rate", "0.01")
    (trial,) = try_patches(open_run(tmp_path / "run"), [("divergence", slower)])
    assert (trial.rescued, trial.helped, trial.before) == (True, True, None)
    assert winner([trial]) is trial


@pytest.mark.slow
def test_changed_data_are_refused_before_anything_is_trained(tmp_path):
    run = train(load_config(OVERFITTED.write(tmp_path), ["epochs=1"]), tmp_path / "run")
    table = tmp_path / "table.csv"
    table.write_text(table.read_text() + ",".join(["0"] * 21) + "\n")
    with pytest.raises(RunError) as caught:
        next(try_patches(run, [("a", LINE)]))
    assert str(caught.value).endswith(
        "table.csv: has changed since the run started; restore the file, or train again"
    )
    assert not (tmp_path / "run-tries").exists()


@pytest.mark.slow
def test_the_error_for_a_run_without_validation_rows_names_the_setting(tmp_path):
    config = OVERFITTED.write(tmp_path)
    settings = ["data.validation=null", "epochs=1"]
    run = train(load_config(config, settings), tmp_path / "run")
    with pytest.raises(UsageError) as caught:
        next(try_patches(run, [("a", LINE)]))
    assert str(caught.value) == (
        f"{run.path}: has no validation rows to compare suggestions on; train again with validation rows: "
        f"dlcli train {run.path}/resolved.yaml --set data.validation=0.2"
    )
