"""Many trainings in one process: what they have in common is done once, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, DataError
from dlcli.pipeline import fit, preparation
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitContext, FitResult
from dlcli.pipeline.members import FittedMember
from dlcli.pipeline.preparation import encode_sets, prepare, read_candidates
from dlcli.splitting import Split
from dlcli.training_job import TrainingResult
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25, test: 0.25}
hidden: [{units: 3, activation: tanh}]
epochs: 2
"""
ROWS = "a,b,y\n" + "".join(f"{3 * x},{x % 7},{x - 30}\n" for x in range(60))


@pytest.fixture
def config(tmp_path):
    """A config for rows of which half have a negative target, with other settings."""
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return lambda *settings: load_config(tmp_path / "config.yaml", settings)


def context_of(file, emitted=None, **options):
    events = Events() if emitted is None else Events(recorded_in(emitted))
    return FitContext(read_candidates(file, events), file.config, events, **options)


def splits_of(context, count=1):
    rows = context.dataset.candidates
    places = np.arange(rows.rows)
    return [
        Split(rows.take(places[places % 5 != at]), rows.take(places[places % 5 == at]), None)
        for at in range(count)
    ]


def train(context, file, split):
    return context.fit(file.config, split)


@pytest.fixture
def encoded(monkeypatch):
    """The calls that encode rows."""
    calls = []
    original = preparation.encode_sets

    def counted(*arguments, **options):
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(preparation, "encode_sets", counted)
    return calls


@pytest.mark.slow
def test_rows_are_encoded_once_for_all_candidates_that_read_them_alike(config, encoded):
    context = context_of(config())
    [split] = splits_of(context)
    for units in (3, 4):
        train(context, config(f"hidden[0].units={units}"), split)
    assert len(encoded) == 1
    train(context, config("input.scaling=minmax"), split)
    train(context, config("output.scaling=none"), split)
    assert len(encoded) == 3


@pytest.mark.slow
def test_each_part_has_statistics_of_its_own(config, encoded):
    context = context_of(config())
    first, second = (train(context, config(), split) for split in splits_of(context, 2))
    assert len(encoded) == 2
    means = [outcome.predictor.encoding.features[0].scaling.offset for outcome in (first, second)]
    rows = [outcome.tables["train"].numbers("a") for outcome in (first, second)]
    assert means == pytest.approx([values.mean() for values in rows])
    assert means[0] != means[1]


def test_nothing_is_kept_where_no_part_comes_again(config, encoded):
    context = context_of(config(), keep_encodings=False)
    [split] = splits_of(context)
    for _ in range(2):
        train(context, config(), split)
    assert len(encoded) == 2


def test_what_takes_too_much_memory_is_encoded_again(config, encoded, monkeypatch):
    monkeypatch.setattr(fit, "available_memory", lambda: 100.0)
    context = context_of(config())
    one, other = splits_of(context, 2)
    for split in (one, other, one):
        train(context, config(), split)
    assert len(encoded) == 3


def test_a_loss_is_held_against_the_target_also_where_the_rows_are_encoded_already(config):
    context = context_of(config())
    [split] = splits_of(context)
    train(context, config("output.scaling=none"), split)
    with pytest.raises(DataError, match="poisson"):
        train(context, config("output.scaling=none", "loss=poisson"), split)


def test_folds_share_a_program(config):
    context = context_of(config())
    for split in splits_of(context, 3):
        train(context, config(), split)
    assert context.programs.made == 1


def test_evaluation_uses_test_rows_or_else_validation_rows(config):
    context = context_of(config())
    [split] = splits_of(context)
    rows = context.dataset.candidates
    apart = replace(split, test=rows.take(np.arange(4)))
    validated, tested = train(context, config(), split), train(context, config(), apart)
    assert (validated.evaluation_set, tested.evaluation_set) == ("validation", "test")
    assert len(tested.predictions("test").outputs) == 4


def test_the_pool_is_all_rows_but_those_of_the_test_split(config):
    emitted = []
    pool = context_of(config(), emitted).dataset
    assert (pool.candidates.rows, pool.test_rows) == (45, 15)
    assert pool.split.train.rows + pool.split.validation.rows == 45
    assert emitted[-1][0] == "rows"


@pytest.mark.slow
def test_a_warning_is_emitted_once_and_calls_no_rows_test_rows(config, tmp_path):
    lines = [f"{x},{'' if x % 2 else x * x % 11},{x - 30}" for x in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,y", *lines]))
    emitted = []
    context = context_of(
        config("data.test=null", "data.validation=null"), emitted, keep_encodings=False
    )
    rows = context.dataset.candidates
    split = Split(rows.take(np.arange(0, 60, 2)), None, rows.take(np.arange(1, 60, 2)))
    for _ in range(2):
        train(context, config("data.test=null", "data.validation=null"), split)
    messages = [fields["message"] for event, fields in emitted if event == "warning"]
    assert len(messages) == len(set(messages))
    assert any(message.startswith("held-out rows of") for message in messages)


def test_weights_that_may_have_seen_the_rows_are_refused(config):
    with pytest.raises(ConfigError) as error:
        context_of(config("initial_weights=runs/earlier"))
    assert str(error.value) == (
        snapshot(
            "initial_weights: may have been trained on rows that are held out here, so metrics would be too optimistic; omit it: overrides={'initial_weights': None}"
        )
    )


def test_rows_on_disk_are_refused(config):
    with pytest.raises(ConfigError) as error:
        context_of(config("data.storage=disk"))
    assert str(error.value) == (
        snapshot(
            "data.storage: 'disk' works only for a single training run; cross-validation and search keep rows in memory: overrides={'data.storage': 'memory'}"
        )
    )


def test_a_set_whose_weights_are_all_0_is_named(tmp_path):
    for name, weight in (("t.csv", 1), ("v.csv", 0)):
        (tmp_path / name).write_text(f"x,y,w\n1,2.5,{weight}\n2,4,{weight}\n")
    data = "{train: t.csv, validation: v.csv, target: y, sample_weight: w}"
    (tmp_path / "c.yaml").write_text(f"data: {data}\nhidden: []\nepochs: 1\n")
    rows, _ = prepare(load_config(tmp_path / "c.yaml"), Events())
    message = "v.csv: column 'w': all weights are 0 in the validation rows; use another data.split or seed"
    with pytest.raises(DataError, match=message):
        encode_sets(rows, Events())


@pytest.mark.parametrize(
    ("bests", "found"),
    [((3,), 3), ((None,), None), ((2, 5, None), 5), ((1, 2), 2), ((None, None), None)],
)
def test_the_best_epoch_of_an_ensemble_is_the_median_of_its_members(bests, found):
    trainings = [TrainingResult({}, {"loss": [0.5] * 6}, best) for best in bests]
    members = tuple(FittedMember(1, 10, None, None, each, None) for each in trainings)
    assert FitResult(None, None, None, None, members, 0.0).best_epoch == found
