"""The best candidates of a search as one ensemble: `dlcli tune --ensemble`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.cluster import NO_OTHERS
from dlcli.config.config_file import load_config, make_config
from dlcli.config.search_space import (
    candidate,
    check_vary,
    draw_settings,
    with_search_space,
    with_settings,
)
from dlcli.errors import ConfigError, DataError, Interrupted, UsageError
from dlcli.pipeline import search, search_ensemble
from dlcli.pipeline.search import StudyRecord, tune
from dlcli.pipeline.search_ensemble import best_trials, check_size, check_space, ensemble_config
from dlcli.pipeline.search_plan import SearchPlan
from dlcli.pipeline.search_trials import SearchSettings
from dlcli.pipeline.train_run import train, train_child_run
from dlcli.runs.documents import Search, TrialResult
from dlcli.runs.run_folder import open_run
from tests.pipeline.tuning.search_examples import wave_rows

RATE, UNITS, NUMBER = "optimizer.learning_rate", "hidden_layers.units", "hidden_layers.number"
CONFIG = """\
data: {train: wave.csv, target: y, validation: 0.2, test: 0.2}
hidden: [{units: 8, activation: tanh, dropout: 0.1}]
epochs: 12
tune:
  trials: 6
  space:
    optimizer.learning_rate: {low: 0.001, high: 10.0, log: true}
    hidden_layers: {units: [4, 16], number: [0, 1, 2]}
    learning_rate_schedule: [constant, {name: cosine_decay, warmup_epochs: 1}]
  folds: 3
"""
CONSTANT, COSINE = "constant", "{name: cosine_decay, warmup_epochs: 1}"


def loaded(folder, text=CONFIG, *settings):
    (folder / "wave.csv").write_text(wave_rows())
    (folder / "c.yaml").write_text(text)
    return load_config(folder / "c.yaml", settings)


def trial(number, value=0.5, rate=0.01, units=4, layers=1, schedule=CONSTANT, **more):
    names = (RATE, UNITS, NUMBER, "learning_rate_schedule")
    values = dict(zip(names, (rate, units, layers, schedule), strict=True))
    fields = {"state": "complete", "seconds": 1.0, "parameters": units, **more}
    return TrialResult(number=number, values=values, value=value, **fields)


def searched(*trials):
    return Search.model_construct(trials=trials, direction="minimize")


def test_the_best_trials_are_finished_and_different():
    found = best_trials(
        searched(
            trial(0, 0.5, rate=0.1),
            trial(1, 0.1, rate=0.2, state="pruned"),
            trial(2, None, rate=0.3, state="failed"),
            trial(3, 0.3, rate=0.4),
            trial(4, 0.4, rate=0.4),  # the values of #3
            trial(5, 0.2, rate=0.5),
            trial(6, 0.6, rate=0.6),
        ),
        3,
    )
    assert [each.number for each in found] == [5, 3, 0]


def groups_of(file, trials, metric="val_loss"):
    """Return the ensemble of trials, and the config of each of its groups."""
    made = make_config(ensemble_config(file, trials, metric, Path()))
    check_vary(made)
    return made.config, [with_settings(made.config, each) for each in draw_settings(made.config)]


LAYERED = [trial(0, layers=2, units=16), trial(1, rate=0.1), trial(2, layers=0, schedule=COSINE)]


@pytest.mark.parametrize("trials", [LAYERED, LAYERED[::-1]], ids=["layers", "no layers"])
def test_each_group_has_the_settings_of_a_candidate(tmp_path, trials):
    file = loaded(tmp_path)
    own, groups = groups_of(file, trials)
    assert (own.ensemble.members, own.ensemble.folds, own.ensemble.select) == (9, 3, "greedy")
    for group, each in zip(groups, trials, strict=True):
        expected = candidate(file, each.values).config
        assert group.hidden == expected.hidden
        assert group.optimizer == expected.optimizer
        assert group.learning_rate_schedule == expected.learning_rate_schedule
        assert (group.epochs, group.seed) == (expected.epochs, expected.seed)
    assert [len(group.hidden) for group in groups] == [each.values[NUMBER] for each in trials]


def test_settings_of_all_layers_may_be_single_keys(tmp_path):
    nested = "hidden_layers: {units: [4, 16], number: [0, 1, 2]}"
    single = "hidden_layers.units: [4, 16]\n    hidden_layers.number: [0, 1, 2]"
    written = [
        ensemble_config(loaded(tmp_path, CONFIG.replace(nested, text)), LAYERED, "val_loss", Path())
        for text in (nested, single)
    ]
    own, other = (text[text.index("ensemble:") : text.index("engine")] for text in written)
    assert own == other


def test_settings_are_written_as_a_user_would(tmp_path):
    text = ensemble_config(loaded(tmp_path), LAYERED, "val_loss", Path())
    assert text.partition("\nensemble:\n")[2].partition("\nengine")[0] == snapshot("""\
  members: 9
  folds: 3
  vary:
  - optimizer.learning_rate: 0.1
    hidden_layers: {units: 4, number: 1}
    learning_rate_schedule: constant
  - optimizer.learning_rate: 0.01
    hidden_layers: {units: 4, number: 0}
    learning_rate_schedule: {name: cosine_decay, warmup_epochs: 1}
  select: greedy\
""")


def test_the_validation_rows_are_in_the_folds_and_the_test_rows_stay_the_same(tmp_path):
    own, _ = groups_of(loaded(tmp_path), LAYERED)
    assert (own.data.validation, own.data.test, own.data.train_on_validation) == (0.2, 0.2, True)
    (tmp_path / "later.csv").write_text(wave_rows())
    own, _ = groups_of(loaded(tmp_path, CONFIG, "data.validation=later.csv"), LAYERED)
    assert (own.data.validation, own.data.test, own.data.train_on_validation) == (None, 0.2, False)


@pytest.mark.parametrize(
    ("metric", "metrics"),
    [
        ("val_loss", ("mae", "r2")),
        ("val_r2", ("r2", "mae")),
        ("val_median_absolute_error", ("mae", "r2")),  # which no epoch has
    ],
)
def test_the_metric_of_the_search_is_the_main_metric(tmp_path, metric, metrics):
    own, _ = groups_of(loaded(tmp_path, CONFIG, "metrics=[mae, r2]"), LAYERED, metric)
    assert own.metrics == metrics


@pytest.mark.parametrize(
    ("settings", "folds"),
    [
        ((), 3),
        (("tune.folds=null",), 5),
        (("ensemble={members: 4}", "data.validation=null"), 4),
        (("ensemble={members: 4, folds: 2}", "data.validation=null"), 2),
    ],
)
def test_the_folds_are_those_of_the_ensemble_or_of_the_search(tmp_path, settings, folds):
    own, _ = groups_of(loaded(tmp_path, CONFIG, *settings), LAYERED)
    assert (own.ensemble.folds, own.ensemble.members) == (folds, 3 * folds)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "    input.scaling: [standard, robust]\n",
            snapshot(
                "c.yaml:10:5: tune.space['input.scaling']: can't be varied: all networks read the same rows and inputs; remove it, or omit 'ensemble'"
            ),
        ),
        (
            "    precision: [float32, mixed_bfloat16]\n    seed: [1, 2]\n",
            snapshot("""\
c.yaml:10:5: tune.space.precision: can't be varied: it affects speed and memory; remove it, or omit 'ensemble'
c.yaml:11:5: tune.space.seed: can't be varied: each network has a different one; remove it, or omit 'ensemble'\
"""),
        ),
        (
            "  metric: mae\nensemble: {members: 2, folds: none}\n",
            snapshot(
                "c.yaml:11:24: ensemble.folds: 'ensemble' requires out-of-fold predictions; set folds to a number"
            ),
        ),
        (
            "ensemble: {members: 4, folds: 2, vary: [{epochs: 3}]}\n",
            snapshot(
                "c.yaml:10:34: ensemble.vary: can't be combined with 'ensemble'; remove it, or omit 'ensemble'"
            ),
        ),
    ],
)
def test_what_groups_can_not_have_is_refused_with_the_way_out(tmp_path, added, message):
    text = CONFIG.replace("  folds: 3\n", "").replace("validation: 0.2, test: 0.2", "test: ROWS")
    text = text.replace("ROWS", "0.2, validation: 0.2" if "none" in added else "'wave.csv'")
    with pytest.raises(ConfigError) as caught:
        check_space(loaded(tmp_path, text + added))
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (6, (), None),
        (7, (), snapshot("ensemble=7: expected at most 6, because the search has 6 candidates")),
        (
            4,
            ("tune.sampler=grid", "tune.space={hidden_layers: {units: [4, 16, 32]}}"),
            snapshot("ensemble=4: expected at most 3, because the search has 3 candidates"),
        ),
        (
            9,
            ("tune.trials=50", "tune.folds=8"),
            snapshot(
                "ensemble=9: expected at most 8, because an ensemble has at most 64 networks: for each candidate, one for each of 8 folds"
            ),
        ),
        (
            2,
            ("tune.folds=40",),
            snapshot(
                "ensemble=2: is not possible, because an ensemble has at most 64 networks: for each candidate, one for each of 40 folds"
            ),
        ),
    ],
)
def test_an_ensemble_larger_than_possible_is_refused(tmp_path, size, settings, message):
    file = loaded(tmp_path, CONFIG, *settings)
    if message is None:
        check_size(size, file.config, SearchPlan.of(file))
        return
    with pytest.raises(UsageError) as caught:
        check_size(size, file.config, SearchPlan.of(file))
    assert str(caught.value) == message


def test_the_default_search_varies_only_what_groups_can_have(tmp_path):
    text = CONFIG.partition("tune:")[0] + "input: {scaling_layer: auto}\n"
    file = loaded(tmp_path, text)
    both = [with_search_space(file, 400, for_ensemble=each) for each in (False, True)]
    keys = [set(each.config.tune.space) for each in both]
    assert keys[0] - keys[1] == {"input.scaling_layer"}
    check_space(both[1])


def test_too_few_groups_for_the_folds_are_refused_before_training(tmp_path):
    file = loaded(tmp_path, CONFIG, "data.split={name: group, column: g}", "tune.folds=null")
    lines = wave_rows().splitlines()
    grouped = [f"{line},{at % 4}" for at, line in enumerate(lines[1:])]
    (tmp_path / "wave.csv").write_text("\n".join([f"{lines[0]},g", *grouped]))
    with pytest.raises(DataError) as caught:
        tune(file, SearchSettings(ensemble=2), tmp_path / "run")
    assert caught.value.__notes__[-1] == snapshot(
        "  'ensemble' needs 5 folds; for fewer: overrides={'tune.folds': 2}, or omit 'ensemble'"
    )
    assert not (tmp_path / "run").exists()


def test_a_nested_search_is_refused_before_training(tmp_path):
    with pytest.raises(UsageError) as caught:
        tune(loaded(tmp_path), SearchSettings(nested=True, ensemble=2), tmp_path / "run")
    assert str(caught.value) == snapshot(
        "'ensemble' can't be combined with 'nested': outer folds evaluate the best candidate; remove one of them"
    )
    assert not (tmp_path / "run").exists()


def test_a_cluster_is_refused(tmp_path):
    class TwoWorkers(type(NO_OTHERS)):
        size = 2

    record = StudyRecord.new(loaded(tmp_path), SearchSettings(ensemble=2))
    with pytest.raises(UsageError) as caught:
        record.check_combination(TwoWorkers())
    assert str(caught.value) == snapshot(
        "a search with 'ensemble' trains on one machine; remove 'workers'"
    )


def test_missing_candidates_are_noted():
    assert [search_ensemble.missing_note(trained, 3) for trained in (1, 2)] == [
        "only 1 candidate of the 3 for the ensemble finished training; without another one, there "
        "is no ensemble",
        "only 2 candidates of the 3 for the ensemble finished training",
    ]


def interrupt(event):
    if event.kind == "epoch" and (event.member, event.epoch) == (7, 5):
        signal.raise_signal(signal.SIGTERM)


def train_interrupted(folder, name, file, listener, workers):
    return train_child_run(folder, name, file, interrupt if name == "ensemble" else listener)


@pytest.fixture
def interrupted(tmp_path, compiled_once, no_linear_baseline, handles_signals, monkeypatch):
    """The folder of a search with candidates that diverge, interrupted in its ensemble."""
    text = CONFIG.replace("folds: 3", "pruner: {name: median, startup_trials: 2}")
    file = loaded(tmp_path, text.replace("epochs: 12", "epochs: 12\noptimizer: sgd"))
    with monkeypatch.context() as patched:
        patched.setattr(search, "train_child_run", train_interrupted)
        with pytest.raises(Interrupted, match="dlcli.resume|dlcli tune --resume"):
            tune(file, SearchSettings(ensemble=2), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_an_interrupted_search_resumes_with_its_ensemble(interrupted, tmp_path):
    found = tune(interrupted).search
    assert {each.state for each in found.trials} == {"complete", "pruned", "failed"}
    assert found.ensemble.trials[0] == found.best
    selection, run = found.ensemble.selection, open_run(tmp_path / "run" / "ensemble")
    assert sum(group.share for group in selection.groups) == pytest.approx(1)
    assert [each.name for each in found.finalists][-1] == "ensemble"
    assert found.finalists[-1].gain.value is not None  # the same test rows as the default's
    # The first group is the best candidate, trained with the same folds.
    text = (tmp_path / "run" / "ensemble.yaml").read_text()
    alone = {"members": 5, "folds": 5, "vary": None, "select": "all"}
    overrides = {f"ensemble.{key}": value for key, value in alone.items()}
    single = train(load_config(tmp_path / "run" / "ensemble.yaml", overrides), tmp_path / "single")
    metric = selection.metric
    assert single.metrics["validation"][metric] == selection.groups[0].value.value
    assert run.metrics["validation"][metric] == selection.value.value
    difference = selection.value.value - selection.groups[0].value.value
    assert selection.difference.value == pytest.approx(difference)
    # The written config trains the same ensemble.
    assert run.config.ensemble == make_config(text).config.ensemble
    again = train(load_config(tmp_path / "run" / "ensemble.yaml"), tmp_path / "again")
    for name in ("weights.npz", "ensemble.json"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name
