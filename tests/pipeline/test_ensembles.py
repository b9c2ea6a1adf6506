"""Ensembles: members with their own rows, honest out-of-fold predictions, resumed to the bit."""

from __future__ import annotations

import json
import math
import re
import signal
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.comparison import compare
from dlcli.config.config_file import load_config
from dlcli.config.data_section import ScalingLayer
from dlcli.diagnosis.case import Case
from dlcli.errors import ConfigError, DataError, DivergenceError, Interrupted
from dlcli.explanation import prediction_analysis
from dlcli.pipeline import baselines, fit, train_run
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.events import ClusterFigures
from dlcli.pipeline.members import POLL_SECONDS, FactorTrial, MemberDivergence
from dlcli.pipeline.preflight import check
from dlcli.pipeline.preparation import FitPlan
from dlcli.pipeline.train_run import train
from dlcli.prediction.predictor import Ensemble
from dlcli.reports.report_files import to_html, view_of
from dlcli.reports.views import render_text
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run
from dlcli.splitting import make_complete_folds
from dlcli.tables.table_files import read_table
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once", "handles_signals")

ROWS = 60
TEST = 12
CONFIG = """\
data: {{train: rows.csv, target: {target}, test: 0.2}}
input: {{features: {{a: numeric, b: numeric}}}}
hidden: [{{units: 3, activation: tanh}}]
epochs: 4
early_stopping: {{patience: 4}}
ensemble: {{members: 3}}
seed: 3
"""


def table():
    """Two features, and targets of several kinds that depend on them."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    y = 5 + 3 * a - b + rng.normal(scale=0.1, size=ROWS)
    names = np.array(["low", "middle", "high"])
    return pa.table(
        {
            "a": a,
            "b": b,
            "y": y,
            "size": np.exp(y / 4),
            "level": names[np.digitize(y, [3, 7])],
            "group": [f"g{row % 9}" for row in range(ROWS)],
            "when": [f"{1990 + row % 30}-01-01" for row in range(ROWS)],
        }
    )


SAME_BITS = ("weights.npz", "ensemble.json", "history.csv", "metrics.json", "conformal.json")
"""Files that follow from the config and the rows alone."""


@pytest.fixture
def several_at_once(monkeypatch):
    """Sets how many members are trained at a time; those here are too small for more than one."""

    def set_count(count):
        monkeypatch.setattr("dlcli.pipeline.members.networks_at_once", lambda *_: count)

    return set_count


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the table; networks trained in it are compared with no linear one,
    which takes longer to train."""
    monkeypatch.setattr(baselines, "is_affordable", lambda network: False)
    monkeypatch.chdir(tmp_path)
    pyarrow.csv.write_csv(table(), tmp_path / "rows.csv")
    return tmp_path


def config(*settings, target="y", name="c"):
    Path(f"{name}.yaml").write_text(CONFIG.format(target=target))
    return load_config(Path(f"{name}.yaml"), settings)


def stored(run):
    """The ensemble of a run, and its predictions of held-out rows by set."""
    by_set = {}
    for each in run.predictions.table.to_pylist():
        by_set.setdefault(each["split"], {})[each["row"]] = each["prediction"]
    return run.parse(RunFile.ENSEMBLE, Ensemble).members, by_set


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An ensemble for numbers, trained by the compiled engine."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("ensemble")
        patch.chdir(path)
        pyarrow.csv.write_csv(table(), path / "rows.csv")
        events = []
        run = train(config(), listener=recorded_in(events))
        return open_run(path / run.path), events


@pytest.mark.slow
def test_members_have_their_own_rows_seeds_and_scaling_of_the_target(trained):
    members, _ = stored(trained[0])
    assert [member.rows for member in members] == [32, 32, 32]
    assert len({member.seed for member in members}) == 3
    assert len({member.task.scalings[0].offset for member in members}) == 3


@pytest.mark.slow
def test_each_training_row_is_predicted_by_the_member_that_did_not_have_it(trained):
    run = trained[0]
    predictor = run.predictor
    rows = read_table(run.path.parent.parent / "rows.csv", lambda _: ())
    _, predicted = stored(run)
    train_rows = np.array(sorted(predicted["validation"]))
    assert len(train_rows) == ROWS - TEST
    assert not set(train_rows) & set(predicted["test"])
    members = [
        predictor.task.decode(
            predictor.outputs(predictor.encoding.transform(rows, ValueProblems()), [number])
        )[:, 0]
        for number in (1, 2, 3)
    ]
    found = np.array([predicted["validation"][row] for row in train_rows])
    matches = np.isclose([each[train_rows - 1] for each in members], found, atol=1e-9)
    assert (matches.sum(axis=0) == 1).all()
    assert matches.sum(axis=1).tolist() == [16, 16, 16]
    mean = np.mean(members, axis=0)
    for row, value in predicted["test"].items():
        assert value == pytest.approx(mean[row - 1], rel=1e-6)


def test_the_keras_model_predicts_the_mean_in_the_unit_of_the_target(trained):
    run = trained[0]
    predictor = run.predictor
    rows = read_table(run.path.parent.parent / "rows.csv", lambda _: ())
    model = keras.saving.load_model(run.path / "model.keras", safe_mode=True)
    matrix = predictor.encoding.transform(rows, ValueProblems()).part(0, rows.rows)
    expected = predictor.predict(rows, ValueProblems()).decoded
    np.testing.assert_allclose(model.predict(matrix, verbose=0), expected, rtol=1e-5)


@pytest.mark.slow
def test_a_floor_changes_the_averaged_probabilities_and_nothing_else(folder):
    plain = train(config(target="level"))
    run = train(config("output.probability_floor=auto", target="level"))
    assert run.config.output.probability_floor == 0.1  # at most: 5 / 48 is more
    for name in ("weights.npz", "ensemble.json", "history.csv"):
        assert (run.path / name).read_bytes() == (plain.path / name).read_bytes()
    columns = [f"probability_{name}" for name in ("high", "low", "middle")]
    stored_with, stored_without = (
        np.stack([each.predictions.table[name].to_numpy() for name in columns], axis=1)
        for each in (run, plain)
    )
    np.testing.assert_allclose(stored_with, 0.9 * stored_without + 0.1 / 3, atol=1e-7)
    for split in ("validation", "test"):
        held_out = run.predictions.table.filter(pc.equal(run.predictions.table["split"], split))
        of_truth = [each[f"probability_{each['target']}"] for each in held_out.to_pylist()]
        expected = -np.mean(np.log(of_truth))
        assert run.metrics[split]["log_loss"] == pytest.approx(expected, rel=1e-6)
    rows = read_table(folder / "rows.csv", lambda _: ())
    predictor = open_run(run.path).predictor_at(0.9)
    predictions = predictor.predict(rows, ValueProblems())
    tested = np.flatnonzero(run.predictions.table["split"].to_numpy(False) == "test")
    numbers = run.predictions.table["row"].to_numpy()[tested] - 1
    np.testing.assert_allclose(predictions.scores[numbers], stored_with[tested], atol=1e-7)
    # A class is in a set if its score is among those of held-out rows, whose scores have the floor.
    assert max(fold[-1] for [*folds] in run.conformal.scores for fold in folds) <= 1 - 0.1 / 3
    model = keras.saving.load_model(run.path / "model.keras", safe_mode=True)
    matrix = predictor.encoding.transform(rows, ValueProblems()).part(0, rows.rows)
    np.testing.assert_allclose(model.predict(matrix, verbose=0), predictions.scores, rtol=1e-5)


def test_epochs_are_reported_by_member_and_the_history_is_their_mean(trained):
    run, events = trained
    epochs = [fields for event, fields in events if event == "epoch"]
    assert [(each["member"], each["epoch"]) for each in epochs] == [
        (member, epoch) for member in (1, 2, 3) for epoch in (1, 2, 3, 4)
    ]
    of_first = [each["val_loss"] for each in epochs if each["epoch"] == 1]
    assert run.history["val_loss"][0] == pytest.approx(np.mean(of_first))


def test_the_linear_baseline_is_compared_on_predictions_of_the_same_kind(trained):
    metrics = trained[0].baselines
    assert set(metrics["linear"]) == {"train", "validation", "test"}
    assert metrics["linear"]["validation"]["r2"] > 0.9


@pytest.mark.slow
def test_the_keras_engine_trains_the_same_members(trained, folder):
    run = train(config("engine=keras"))
    (members, predicted), (others, expected) = stored(run), stored(trained[0])
    assert [member.seed for member in members] == [member.seed for member in others]
    for split in ("validation", "test"):
        assert predicted[split] == pytest.approx(expected[split], rel=1e-4)
    first, *_ = compare([run, trained[0]]).notes
    assert "are training rows, each predicted by the members of the ensemble that were not" in first


@pytest.mark.slow
@pytest.mark.parametrize("member", [1, 2])
def test_an_interrupted_ensemble_resumes_to_the_bit(trained, folder, member):
    def interrupt(event):
        if event.kind == "epoch" and (event.member, event.epoch) == (member, 3):
            signal.raise_signal(signal.SIGTERM)

    done = {1: "[34] epochs of 1 member", 2: "[78] epochs of 2 members"}[member]
    with pytest.raises(Interrupted, match=f"SIGTERM after {done}; resume with: dlcli train"):
        train(config(), Path("run"), interrupt)
    assert Path("run/members").exists() == (member > 1)
    run = train(Path("run"))
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (trained[0].path / name).read_bytes(), name
    assert not Path("run/members").exists()


def test_an_interruption_counts_the_members_that_were_trained_since_the_last_one(folder):
    def interrupt(*place):
        def listen(event):
            if event.kind == "epoch" and (event.member, event.epoch) == place:
                signal.raise_signal(signal.SIGTERM)

        return listen

    with pytest.raises(Interrupted, match="of 2 members; resume with"):
        train(config(), Path("run"), interrupt(2, 1))
    with pytest.raises(Interrupted, match="of 2 members; resume with"):
        train(Path("run"), listener=interrupt(3, 1))


@pytest.mark.slow
def test_members_that_are_trained_in_parallel_have_the_same_bits(trained, folder, several_at_once):
    events = []
    several_at_once(2)  # of three, so that one follows
    run = train(config(), Path("run"), recorded_in(events))
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (trained[0].path / name).read_bytes(), name
    finished = [fields for event, fields in events if event == "member"]
    assert finished[0].keys() == {"member", "members", "epochs", "best_epoch"}
    assert [(each["member"], each["epochs"]) for each in finished] == [(1, 4), (2, 4), (3, 4)]
    epochs = [fields for event, fields in events if event == "epoch"]
    for member in (1, 2, 3):
        of_member = [each["epoch"] for each in epochs if each["member"] == member]
        assert of_member == [1, 2, 3, 4]


def test_members_that_are_trained_in_parallel_resume_to_the_bit(trained, folder, several_at_once):
    def interrupt(event):
        if event.kind == "epoch" and (event.member, event.epoch) == (2, 2):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(3 * POLL_SECONDS)  # until the main thread has handled it

    several_at_once(2)
    with pytest.raises(Interrupted, match="SIGTERM after"):
        train(config(), Path("run"), interrupt)
    assert Path("run/checkpoint/member-2").exists()
    run = train(Path("run"))
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (trained[0].path / name).read_bytes(), name


@pytest.mark.slow
def test_a_divergence_keeps_the_same_weights_however_many_are_trained_at_a_time(
    folder, several_at_once
):
    settings = config(
        *("optimizer={name: sgd, learning_rate: 0.4}", "hidden[0].activation=linear"),
        *("epochs=60", "early_stopping.patience=60"),
    )
    kept = []
    for count in (1, 3):
        several_at_once(count)
        with pytest.raises(DivergenceError) as caught:
            train(settings, Path(f"run-{count}"))
        assert "in member 2 of 3" in str(caught.value)  # the first one was trained to its end
        kept.append((str(caught.value), Path(f"run-{count}/weights.npz").read_bytes()))
    assert kept[0] == kept[1]


def test_a_member_of_another_training_is_refused(folder):
    def interrupt(event):
        if event.kind == "epoch" and (event.member, event.epoch) == (2, 1):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(config(), Path("run"), interrupt)
    contents = Path("run/members/1/contents.json")
    contents.write_text(json.dumps({**json.loads(contents.read_text()), "number": 2}))
    with pytest.raises(Exception, match="members/1"):
        train(Path("run"))


@pytest.mark.slow
def test_the_prediction_of_a_row_does_not_depend_on_its_target(folder):
    settings = ("early_stopping=null",)  # it would use the target of the row
    before = stored(train(config(*settings), Path("before")))[1]["validation"]
    row = next(iter(before))
    changed = table().to_pydict()
    changed["y"][row - 1] += 1_000.0
    pyarrow.csv.write_csv(pa.table(changed), folder / "rows.csv")
    after = stored(train(config(*settings), Path("after")))[1]["validation"]
    same = {each for each in before if after[each] == pytest.approx(before[each], rel=1e-9)}
    assert row in same
    assert len(same) == 16  # its fold; members of other folds were trained on the row


@pytest.mark.slow
def test_members_may_share_validation_rows(folder):
    settings = ("ensemble.folds=none", "data.validation=0.2", "hidden[0].dropout=0.2")
    run = train(config(*settings))
    members, predicted = stored(run)
    assert [member.rows for member in members] == [36, 36, 36]
    assert len(predicted["validation"]) == 12
    assert run.config.ensemble.folds == "none"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["level", "size"])
def test_classes_and_logarithms_are_averaged_as_they_are_predicted(folder, target):
    scaling = ("output.scaling=log1p",) if target == "size" else ()
    run = train(config("ensemble.folds=2", *scaling, target=target))
    predictor = run.predictor
    rows = read_table(folder / "rows.csv", lambda _: ())
    inputs = predictor.encoding.transform(rows, ValueProblems())
    each = [
        model.task.decode(model.network.forward(inputs, predictor.weights_of(number)))
        for number, model in enumerate(predictor.models, start=1)
    ]
    found = predictor.predict(rows, ValueProblems()).decoded
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-6)


@pytest.mark.slow
def test_rows_on_disk_give_the_same_weights(trained, folder):
    run = train(config("data.storage=disk"))
    for name in ("weights.npz", "ensemble.json"):
        assert (run.path / name).read_bytes() == (trained[0].path / name).read_bytes()


@pytest.mark.parametrize("column", ["group", "when"])
def test_folds_follow_the_split(folder, column):
    kind = "group" if column == "group" else "time"
    rows = read_table(folder / "rows.csv", lambda _: ())
    how = config(f"data.split={{name: {kind}, column: {column}}}").config.data.split
    folds = make_complete_folds(rows, how, None, 3, 0)
    held_out = np.sort(np.concatenate([fold.held_out for fold in folds]))
    assert held_out.tolist() == list(range(ROWS))
    values = rows.texts(column)
    for fold in folds:
        assert not set(values[fold.train]) & set(values[fold.held_out])
    if kind == "time":
        windows = [sorted(set(values[fold.held_out])) for fold in folds]
        assert [one[-1] < other[0] for one, other in pairwise(windows)] == [True, True]


@pytest.mark.slow
def test_a_diverged_member_is_named_and_finite_weights_are_kept(folder):
    with pytest.raises(DivergenceError, match=r"in member 1 of 3") as caught:
        train(config("optimizer={name: sgd, learning_rate: 1e4}", "epochs=30"), Path("run"))
    kept = any("are kept in run" in note for note in caught.value.__notes__)
    assert kept == Path("run/weights.npz").exists()
    if kept:
        assert open_run(Path("run")).kind == "diverged"


def test_the_rows_that_a_cluster_trains_on_are_those_of_each_member():
    workers = SimpleNamespace(size=2, seconds_per_sum=lambda numbers: numbers / 1000)
    members = [SimpleNamespace(rows=rows) for rows in (30, 32, 34)]
    job = SimpleNamespace(network=SimpleNamespace(trainable_parameters=5))
    result = SimpleNamespace(members=members, job=job, config=SimpleNamespace(batch_size=8))
    figures = train_run.cluster_figures(workers, result, epochs=6, seconds=2.0)
    assert figures == ClusterFigures(2, rows_per_second=96.0, communication_share=0.06)


@pytest.mark.slow
def test_the_gradients_of_an_ensemble_are_those_of_its_first_member(folder, monkeypatch):
    jobs = []

    def norms(job, weights, rows):
        jobs.append(job)
        return {}, {}

    monkeypatch.setattr("dlcli.training.engines.gradient_norms", norms)
    run = train(config("epochs=1"), Path("run"))
    (job,), first = jobs, run.parse(RunFile.ENSEMBLE, Ensemble).members[0]
    assert (job.config.seed, job.task) == (first.seed, first.task)
    [scaling] = first.task.scalings
    y = read_table(Path("rows.csv")).numbers("y")
    scaled = {*scaling.apply(y).astype(np.float32).tolist()}
    assert {*job.labels[:, 0].tolist()} <= scaled


@pytest.mark.slow
def test_each_fold_of_a_cross_validation_trains_an_ensemble(folder):
    run = cross_validate(config("epochs=2"), CrossValidationPlan(folds=2, refit=True))
    document = json.loads(run.read_text(RunFile.CROSS_VALIDATION))
    assert [fold["epochs"] for fold in document["results"]] == [2, 2]
    assert {fold["best_epoch"] for fold in document["results"]} <= {1, 2}
    assert [fold["parameters"] for fold in document["results"]] == [3 * 13, 3 * 13]
    refit = open_run(run.path / "refit").config
    assert (refit.ensemble.members, refit.epochs, refit.early_stopping.patience) == (3, 2, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.validation=0.2",), "each member of the ensemble is validated on its own fold"),
        (("ensemble.folds=4",), "expected at most one fold for each of the 3 members"),
        (("ensemble.members=1",), "expected an integer from 2 to 64"),
        (("initial_weights=run",), "can't be combined with ensemble"),
        (("ensemble.folds=none",), "'val_loss' requires validation rows"),
    ],
)
def test_settings_that_contradict_an_ensemble_are_refused(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        config(*settings)


def test_too_few_rows_for_the_folds_are_refused_before_training(folder):
    (folder / "rows.csv").write_text(
        "a,b,y\n" + "".join(f"{7 * x % 5},{x},{x}\n" for x in range(5))
    )
    with pytest.raises(DataError, match="4 rows, expected at least 6: one for each fold") as caught:
        check(config("ensemble={members: 6}"))
    assert caught.value.__notes__ == [
        "  set fewer ensemble.folds, or ensemble.folds: none with data.validation"
    ]


@pytest.mark.parametrize(("counting", "purpose"), [("g0", "held out"), ("g1", "to train on")])
def test_a_fold_whose_rows_all_have_weight_zero_is_refused(folder, counting, purpose):
    rows = [f"{x % 7},{x % 5},{x},g{x % 2}" for x in range(40)]
    lines = [f"{row},{int(row.endswith(counting))}" for row in rows]
    (folder / "rows.csv").write_text("a,b,y,g,w\n" + "\n".join(lines) + "\n")
    split = "data.split={name: group, column: g}"
    settings = (split, "data.sample_weight=w", "data.test=null", "ensemble={members: 2}")
    with pytest.raises(DataError, match=f"{purpose} in fold 1 of 2 are 0") as caught:
        check(config(*settings))
    assert caught.value.__notes__ == [
        "  set fewer ensemble.folds, or ensemble.folds: none with data.validation"
    ]


def test_no_number_of_folds_is_advised_for_a_class_of_one_row(folder):
    (folder / "rows.csv").write_text(
        "a,b,y\n" + "".join(f"{x % 7},{x % 5},{'n' if x else 'y'}\n" for x in range(40))
    )
    with pytest.raises(DataError, match="have the class 'n'") as caught:
        check(config("data.test=null"))
    assert caught.value.__notes__ == ["  set ensemble.folds: none with data.validation"]


def test_an_ensemble_is_refused_as_initial_weights_of_a_network(trained, folder):
    settings = ("ensemble=null", "early_stopping=null", f"initial_weights={trained[0].path}")
    with pytest.raises(ConfigError, match="is an ensemble of 3 networks; choose a single one"):
        train(config(*settings))


def test_the_other_network_of_a_factor_trial_is_not_trained_again_after_a_later_divergence():
    """With fewer epochs, it could lose the trial that it has won."""
    config = SimpleNamespace(ensemble=SimpleNamespace(members=3))
    other = SimpleNamespace(number=4, job=SimpleNamespace(config=config))
    stored = SimpleNamespace(finished_member=lambda number, _: f"stored {number}")
    plan = FitPlan(None, None, None, None, until=4, finished=2)
    assert fit.fit_member(other, plan, print, stored) == "stored 4"


def test_importances_without_test_rows_use_out_of_fold_predictions(folder, monkeypatch):
    errors = []

    class Recording(prediction_analysis.TrueValues):
        def error(self, predictions, weights):
            errors.append(predictions.values[:, 0])
            return super().error(predictions, weights)

    monkeypatch.setattr(prediction_analysis, "TrueValues", Recording)
    run = train(config("data.test=null"))
    stored = run.predictions.table["prediction"].to_numpy()
    np.testing.assert_allclose(errors[0], stored, rtol=1e-6)


@pytest.mark.slow
def test_the_report_names_out_of_fold_rows_and_draws_each_member(trained):
    view = view_of(trained[0])
    terminal, page = render_text(view), to_html(view)
    assert "out-of-fold" in terminal
    assert "validation rows" not in terminal
    assert "of the 3 members" in page
    assert "Each layer of the first member after training" in page
    assert page.count("&quot;member 3&quot;") + page.count('"member 3"') > 0


@pytest.fixture
def chosen(monkeypatch, folder):
    """Trains with `scaling_layer: auto`, and gives the choice of the trial.

    The loss of few rows and epochs does not matter here, so the trial's outcome is set.
    """
    monkeypatch.setattr("dlcli.pipeline.members.FEWEST_TRIAL_ROWS", 16)

    def prepare(*, leaves_out):
        monkeypatch.setattr(FactorTrial, "leaves_out", property(lambda _: leaves_out))
        return config("input.scaling_layer=auto", name="auto")

    return prepare


@pytest.mark.parametrize(("leaves_out", "same", "count"), [(True, "null", 2), (False, "{}", 1)])
def test_an_ensemble_has_a_scaling_layer_unless_its_first_network_is_better_without(
    folder, chosen, several_at_once, leaves_out, same, count
):
    several_at_once(count)
    events = []
    run = train(chosen(leaves_out=leaves_out), Path("run"), recorded_in(events))
    expected = train(config(f"input.scaling_layer={same}"), Path("expected"))
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    [trial] = [fields for event, fields in events if event == "scaling_layer"]
    assert trial.keys() == {"kept", "val_loss", "rows"}
    assert trial["kept"] != leaves_out
    assert trial["rows"] == 16
    loss = trial["val_loss"]["without" if leaves_out else "with"]
    first = expected.parse(RunFile.ENSEMBLE, Ensemble).members[0]
    assert loss == first.history["val_loss"][first.best_epoch - 1]
    shown = {(fields["member"], fields["epoch"]) for event, fields in events if event == "epoch"}
    assert shown == {(member, epoch) for member in (1, 2, 3) for epoch in (1, 2, 3, 4)}
    assert run.config.input.scaling_layer == "auto"
    for reader in (run.predictor, Case.of(run)):
        assert reader.config.input.scaling_layer == (None if leaves_out else ScalingLayer())
    scale = "omitted" if leaves_out else "×40"
    assert re.search(rf"Scaling layer.*?{scale}", to_html(view_of(run)), re.DOTALL)


def test_an_ensemble_that_has_left_factors_out_resumes_to_the_bit(folder, chosen):
    ends = iter([(1, 3), (2, 3)])  # before the network without factors is trained, and after

    def interrupt(event):
        nonlocal end
        if event.kind == "epoch" and (event.member, event.epoch) == end:
            end = next(ends, None)
            signal.raise_signal(signal.SIGTERM)

    end = next(ends)

    file = chosen(leaves_out=True)
    whole = train(file, Path("whole"))
    with pytest.raises(Interrupted):
        train(file, Path("run"), interrupt)
    with pytest.raises(Interrupted):
        train(Path("run"), listener=interrupt)
    run = train(Path("run"))
    for name in SAME_BITS:
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_factors_that_make_training_diverge_are_left_out(folder, chosen, monkeypatch):
    fit_member = fit.fit_member

    def fail_with_factors(member, *others):
        if member.job.config.input.scaling_multiplier is not None:
            raise MemberDivergence(DivergenceError("diverged", 2), member.job)
        return fit_member(member, *others)

    file = chosen(leaves_out=False)
    monkeypatch.setattr(fit, "fit_member", fail_with_factors)
    run = train(file, Path("run"))
    assert run.parse(RunFile.ENSEMBLE, Ensemble).learning_rate_multiplier is None


def test_few_validation_rows_do_not_decide_on_factors(folder):
    events = []
    train(config("input.scaling_layer=auto"), listener=recorded_in(events))
    assert "scaling_layer" not in {event for event, _ in events}


@pytest.mark.parametrize(
    ("rows", "with_factors", "without", "leaves_out"),
    [
        (400, 1.0, 0.94, True),
        (400, 1.0, 0.96, False),
        (400, 1.0, 1.5, False),
        (100, -1.0, -1.2, True),
        (100, 1e-6, 1e-9, False),  # where all rows are predicted well
        (100, math.nan, 1.0, False),
    ],
)
def test_a_clearly_lower_loss_is_one_part_in_the_root_of_the_rows(
    rows, with_factors, without, leaves_out
):
    assert FactorTrial(rows, with_factors, without).leaves_out == leaves_out
    small = FactorTrial(rows, with_factors / 800, without / 800, unit=1 / 800)
    assert small.leaves_out == leaves_out
