"""Ensembles whose networks have different settings, and the selection of their groups."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from inline_snapshot import snapshot

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import dump_config, load_config
from dlcli.config.config_schema import FIXED_FOR_MEMBERS, Ensemble
from dlcli.config.search_space import check_vary, draw_settings, with_settings
from dlcli.errors import ConfigError, ExportError, Interrupted, RunError
from dlcli.exports.python_script import export_script
from dlcli.pipeline import baselines
from dlcli.pipeline.fit import FitResult
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run
from dlcli.tables.table_files import read_table
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once", "handles_signals")

ROWS = 80
CONFIG = """\
data: {train: rows.csv, target: y}
hidden: [{units: 4, activation: tanh}]
optimizer: {name: adam, learning_rate: 0.02}
epochs: 6
early_stopping: {patience: 6}
ensemble:
  members: 6
  folds: 2
  vary:
    optimizer.learning_rate: {low: 0.0001, high: 0.1, log: true}
    hidden_layers: {units: [2, 8], number: [1, 2]}
  select: greedy
seed: 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "is_affordable", lambda network: False)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    y = a * b + rng.normal(scale=0.1, size=ROWS)
    pyarrow.csv.write_csv(pa.table({"a": a, "b": b, "y": y}), "rows.csv")
    return tmp_path


def config(*settings):
    Path("c.yaml").write_text(CONFIG)
    return load_config(Path("c.yaml"), settings)


def test_the_first_group_has_the_settings_of_the_config_and_the_others_cover_the_range(folder):
    own = config("ensemble.members=12").config
    first, *others = draw_settings(own)
    assert first == {}
    assert len(others) == 5
    rates = sorted(float(each["optimizer.learning_rate"]) for each in others)
    fifths = np.floor((np.log10(rates) + 4) / 3 * 5)  # of the range from 1e-4 to 1e-1
    assert fifths.tolist() == [0, 1, 2, 3, 4]
    assert {each["hidden_layers.units"] for each in others} == {2, 8}
    assert draw_settings(own) == [first, *others]
    assert draw_settings(config("ensemble.members=12", "seed=6").config) != [first, *others]


def test_settings_of_all_layers_are_set_in_each(folder):
    settings = {"hidden_layers.number": 2, "hidden_layers.units": 8}
    found = with_settings(config().config, settings)
    assert [(layer.units, layer.activation.name) for layer in found.hidden] == [(8, "tanh")] * 2
    assert found.ensemble == config().config.ensemble


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("ensemble.members=5",),
            snapshot(
                "--set 'ensemble.members=5': expected a multiple of the 2 folds, at least 4, because the networks of all folds share the settings of vary; got 5"
            ),
        ),
        (
            ("ensemble.members=2",),
            snapshot(
                "--set 'ensemble.members=2': expected a multiple of the 2 folds, at least 4, because the networks of all folds share the settings of vary; got 2"
            ),
        ),
        (
            ("ensemble.vary=null",),
            snapshot(
                "c.yaml:12:11: ensemble.select: has no effect without vary, because all networks are alike"
            ),
        ),
        (
            ("ensemble.folds=none", "data.validation=0.2"),
            snapshot(
                "c.yaml:12:11: ensemble.select: greedy requires out-of-fold predictions; set folds to a number"
            ),
        ),
        (
            ("ensemble.vary={data.test: [0.1, 0.2]}",),
            snapshot(
                "--set 'ensemble.vary={data.test: [0.1, 0.2]}': ensemble.vary['data.test']: can't be varied: all networks read the same rows and inputs"
            ),
        ),
        (
            ("ensemble.vary={input.scaling_layer: [null, auto]}",),
            snapshot(
                "--set 'ensemble.vary={input.scaling_layer: [null, auto]}': ensemble.vary['input.scaling_layer']: can't be varied: all networks read the same rows and inputs"
            ),
        ),
    ],
)
def test_what_contradicts_varied_networks_is_refused(folder, settings, message):
    with pytest.raises(ConfigError) as caught:
        config(*settings)
    assert str(caught.value) == message


def test_a_value_that_no_network_can_have_is_refused_at_its_position_before_training(folder):
    Path("c.yaml").write_text(CONFIG.replace("[2, 8]", "[2, many]"))
    with pytest.raises(ConfigError) as caught:
        train(load_config(Path("c.yaml")))
    assert str(caught.value) == snapshot(
        "c.yaml:11:32: hidden[0].units: expected a positive integer up to 1,000,000, got 'many'"
    )


def test_a_valid_config_stays_as_it_is_when_it_is_checked(folder):
    file = config()
    for _ in range(2):
        check(file)
    assert load_config(Path("c.yaml")).config == file.config
    assert file.document.node(("ensemble", "select")).value == "greedy"


LISTED = (
    CONFIG.partition("  vary:")[0]
    + """\
  vary:
    - {optimizer.learning_rate: 0.01}
    - {hidden_layers: {number: 2, units: 8}, optimizer: {name: sgd, momentum: 0.9}}
  select: greedy
"""
)


def listed(text=LISTED, *settings):
    Path("c.yaml").write_text(text)
    return load_config(Path("c.yaml"), settings)


def test_a_list_has_the_settings_of_each_further_group(folder):
    found = listed().config
    settings = draw_settings(found)
    assert settings == [
        {},
        {"optimizer.learning_rate": 0.01},
        {
            "hidden_layers.number": 2,
            "hidden_layers.units": 8,
            "optimizer": "{name: sgd, momentum: 0.9}",
        },
    ]
    first, second, third = (with_settings(found, each) for each in settings)
    assert first == found
    assert second.optimizer == found.optimizer.model_copy(update={"learning_rate": 0.01})
    assert second.hidden == found.hidden
    assert [(layer.units, layer.activation.name) for layer in third.hidden] == [(8, "tanh")] * 2
    assert (third.optimizer.name, third.optimizer.momentum) == ("sgd", 0.9)
    assert third.ensemble == found.ensemble


def test_a_setting_of_all_layers_may_be_one_key_in_a_list(folder):
    nested, one_key = "{hidden_layers: {number: 2, units: 8},", "{hidden_layers.number: 2,"
    found = listed(LISTED.replace(nested, f"{one_key} hidden_layers.units: 8,"))
    check_vary(found)
    assert draw_settings(found.config) == draw_settings(listed().config)


def test_the_documentation_lists_what_groups_can_not_vary():
    text = Ensemble.field_docs()["vary"].text
    assert {f"`{path[0]}`" for path in FIXED_FOR_MEMBERS} <= {*re.findall("`[a-z_]+`", text)}


def test_a_dumped_list_has_the_same_groups(folder):
    found = listed().config
    Path("again.yaml").write_text(dump_config(found))
    again = load_config(Path("again.yaml")).config
    assert again == found
    assert draw_settings(again) == draw_settings(found)


def test_settings_that_no_group_of_a_list_has_are_refused(folder):
    with pytest.raises(ConfigError) as caught:
        with_settings(listed().config, {"optimizer.learning_rate": 0.02})
    assert str(caught.value) == snapshot(
        "optimizer.learning_rate: has a value that no item of ensemble.vary has with these settings"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "{optimizer.learning_rate: 0.01}",
            "0.01",
            snapshot(
                "c.yaml:10:5: ensemble.vary: expected the settings of each group, such as {optimizer.learning_rate: 0.003}, in item 1, got 0.01"
            ),
        ),
        (
            "{optimizer.learning_rate: 0.01}",
            "{}",
            snapshot(
                "c.yaml:10:7: ensemble.vary[0]: is empty; the first group already has the settings of the config"
            ),
        ),
        (
            "optimizer.learning_rate: 0.01",
            "data.test: 0.1",
            snapshot(
                "c.yaml:10:19: ensemble.vary[0]['data.test']: can't be varied: all networks read the same rows and inputs"
            ),
        ),
        (
            "number: 2",
            "number: [1, 2]",
            snapshot(
                "c.yaml:11:32: ensemble.vary[1].hidden_layers.number: expected an integer from 0 to 100, got [1, 2]"
            ),
        ),
        (
            "units: 8}",
            "units: 8}, hidden: []",
            snapshot(
                "c.yaml:11:23: ensemble.vary[1].hidden_layers: can't be combined with 'hidden'; choose one of them"
            ),
        ),
        (
            "{number: 2, units: 8}",
            "2",
            snapshot(
                "c.yaml:11:23: ensemble.vary[1].hidden_layers: expected keys, as in hidden_layers: {number: ..., units: ...}"
            ),
        ),
        (
            "members: 6",
            "members: 4",
            snapshot(
                "c.yaml:7:12: ensemble.members: expected 6, because each of the 3 groups (the settings of the config, and each item of vary) has one network for each fold; got 4"
            ),
        ),
        (
            "folds: 2",
            "folds: auto",
            snapshot(
                "c.yaml:7:12: ensemble.members: expected 3 times folds, and folds set to a number, because each of the 3 groups (the settings of the config, and each item of vary) has one network for each fold; got 6"
            ),
        ),
        # These are found when the settings of each group are checked.
        (
            "0.01}",
            "{low: 0.1, high: 1}}",
            snapshot(
                'c.yaml:10:33: optimizer.learning_rate: expected a number above 0, got {"low": 0.1, "high": 1}'
            ),
        ),
        (
            "units: 8",
            "unit: 8",
            snapshot(
                "c.yaml:11:35: ensemble.vary[1].hidden_layers.unit: unknown key; did you mean 'units'?"
            ),
        ),
        (
            "units: 8",
            "units: many",
            snapshot(
                "c.yaml:11:42: hidden[0].units: expected a positive integer up to 1,000,000, got 'many'"
            ),
        ),
    ],
)
def test_what_is_wrong_in_a_list_is_reported_at_its_position(folder, old, new, message):
    assert LISTED.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        check_vary(listed(LISTED.replace(old, new)))
    assert str(caught.value) == message


def test_a_conflict_of_a_group_with_the_config_names_the_settings_of_the_group(folder):
    text = LISTED.replace("{name: adam,", "{name: adamw, weight_decay: 0.01,")
    text += "exclude_from_weight_decay: [biases]\n"
    with pytest.raises(ConfigError) as caught:
        check_vary(listed(text))
    assert str(caught.value) == snapshot(
        "c.yaml:13:28: exclude_from_weight_decay: has no effect without optimizer.weight_decay (with hidden_layers.number: 2, hidden_layers.units: 8, optimizer: '{name: sgd, momentum: 0.9}')"
    )


@pytest.mark.slow
def test_the_groups_of_a_list_are_trained_with_their_settings(folder):
    events = []
    trained = train(listed(), Path("listed"), recorded_in(events))
    (groups,) = [fields["groups"] for kind, fields in events if kind == "selected"]
    found = open_run(trained.path)
    assert [group["settings"] for group in groups] == draw_settings(found.config)
    rows = read_table(found.path.parent / "rows.csv", lambda _: ())
    assert found.predictor.predict(rows, ValueProblems()).decoded.shape == (ROWS, 1)


@pytest.fixture
def run(folder):
    events = []
    trained = train(config(), Path("run"), recorded_in(events))
    return open_run(trained.path), events


@pytest.mark.slow
def test_the_selection_has_the_lowest_loss_and_predicts_as_the_weighted_mean(run):
    found, events = run
    (groups,) = [fields["groups"] for kind, fields in events if kind == "selected"]
    assert [group["settings"] for group in groups] == draw_settings(found.config)
    assert sum(group["share"] for group in groups) == pytest.approx(1)
    kept = [group for group in groups if group["share"]]
    members, predictor = found.ensemble.members, found.predictor
    assert len(members) == 2 * len(kept)
    shares = [each.weight / sum(other.weight for other in members) for each in members]
    assert [2 * share for share in shares[::2]] == pytest.approx([g["share"] for g in kept])
    assert shares[::2] == shares[1::2]
    rows = read_table(found.path.parent / "rows.csv", lambda _: ())
    inputs = predictor.encoding.transform(rows, ValueProblems())
    each = [
        model.task.decode(model.network.forward(inputs, predictor.weights_of(number)))
        for number, model in enumerate(predictor.models, start=1)
    ]
    expected = np.average(each, axis=0, weights=shares)
    decoded = predictor.predict(rows, ValueProblems()).decoded
    np.testing.assert_allclose(decoded, expected, rtol=1e-6)
    model = keras.saving.load_model(found.path / RunFile.MODEL)
    matrix = inputs.part(0, len(inputs))
    np.testing.assert_allclose(model.predict(matrix, verbose=0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "keras"])
def test_networks_with_their_own_encoding_are_trained_as_if_all_had_it(folder, engine):
    """Members of the same number have the same seed and rows, so only the encoding matters."""
    encodings = "[{name: periodic_linear, frequencies: 2, units: 3}, periodic]"
    own = (
        "input.encoding={name: piecewise_linear, bins: 3}",
        "ensemble.members=4",
        f"engine={engine}",
    )
    varied = config(f"ensemble.vary={{input.encoding: {encodings}}}", *own, "ensemble.select=all")
    drawn = draw_settings(varied.config)[1]["input.encoding"]
    alike = f"input.encoding={drawn}", "ensemble={members: 4, folds: 2}", f"engine={engine}"
    runs = [train(file).path for file in (varied, config(*alike))]
    predictors = [open_run(path).predictor for path in runs]
    for name, weights in predictors[0].weights_of(3).items():
        np.testing.assert_array_equal(weights, predictors[1].weights_of(3)[name], name)
    rows = read_table(folder / "rows.csv", lambda _: ())
    for number in (1, 3):
        own_outputs, alike_outputs = (
            each.models[number - 1].network.forward(
                each.encoding.transform(rows, ValueProblems()), each.weights_of(number)
            )
            for each in predictors
        )
        assert np.array_equal(own_outputs, alike_outputs) == (number == 3)


@pytest.mark.slow
def test_the_loss_of_the_selection_is_at_most_that_of_each_group_and_of_their_mean(
    folder, monkeypatch
):
    pairs, select = [], FitResult.select_groups

    def recorded(fitted):
        pairs.append((fitted, select(fitted)))
        return pairs[-1][1]

    monkeypatch.setattr(FitResult, "select_groups", recorded)
    train(config())
    [(fitted, selected)] = pairs
    groups = [fitted.members[at : at + 2] for at in range(0, 6, 2)]
    others = [replace(fitted, members=each, _predictions={}) for each in groups]
    losses = [each.row_losses("validation").mean() for each in (*others, fitted)]
    assert selected.row_losses("validation").mean() <= min(losses)


@pytest.mark.slow
def test_an_interrupted_training_resumes_to_the_bit(run):
    def interrupt(event):
        if event.kind == "epoch" and (event.member, event.epoch) == (4, 3):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(config(), Path("again"), interrupt)
    resumed = train(Path("again"))
    for name in ("weights.npz", "ensemble.json", "metrics.json"):
        assert (resumed.path / name).read_bytes() == (run[0].path / name).read_bytes(), name


@pytest.mark.slow
def test_a_script_refuses_networks_with_different_settings(run):
    with pytest.raises(ExportError, match="its networks have different settings"):
        export_script(run[0], Path("script"))


@pytest.mark.slow
def test_settings_that_the_config_does_not_vary_are_refused(run):
    found = open_run(run[0].path)
    first, *others = found.ensemble.members
    stranger = first.model_copy(update={"settings": {"batch_size": 7}})
    changed = found.ensemble.model_copy(update={"members": (stranger, *others)})
    vars(found)["ensemble"] = changed
    with pytest.raises(RunError, match="has other settings: batch_size: is not in the search"):
        _ = found.predictor
