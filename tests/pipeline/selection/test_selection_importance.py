"""What matters in planted problems is what seems to."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from dlcli.pipeline import Dimension, TrialResult
from dlcli.pipeline.selection import importances
from tests.pipeline.selection.made_by_hand import trial

RATE = Dimension(path="optimizer.learning_rate", kind="float", low=1e-4, high=1e-1, log=True)
DROPOUT = Dimension(path="hidden.dropout", kind="float", low=0.0, high=0.5, step=0.1)
LAYERS = Dimension(path="hidden.layers", kind="integer", low=1, high=4)
UNITS = Dimension(path="hidden.units", kind="choice", choices=(16, 32, 64, 128))
SCHEDULE = Dimension(path="learning_rate_schedule", kind="choice", choices=(None, "cosine_decay"))
ALL = (RATE, DROPOUT, LAYERS, UNITS, SCHEDULE)


def drawn(count, value_of, seed=0):
    """Random trials, whose values follow from what was varied."""
    generator = np.random.default_rng(seed)

    def values():
        return {
            RATE.path: float(10 ** generator.uniform(-4, -1)),
            DROPOUT.path: round(0.1 * int(generator.integers(0, 6)), 1),
            LAYERS.path: int(generator.integers(1, 5)),
            UNITS.path: (16, 32, 64, 128)[generator.integers(4)],
            SCHEDULE.path: (None, "cosine_decay")[generator.integers(2)],
        }

    lines = [values() for _ in range(count)]
    return [trial(at, float(value_of(each)), values=each) for at, each in enumerate(lines)]


def by_rate(values):
    """Best at 0.01, whatever else is varied."""
    return abs(math.log10(values[RATE.path]) + 2)


def test_the_one_dimension_that_matters_has_most_of_the_shares():
    for seed in range(3):
        found = importances(ALL, drawn(100, by_rate, seed), "minimize")
        assert next(iter(found)) == RATE.path
        assert found[RATE.path] > 0.8


def test_two_dimensions_that_matter_have_almost_all_of_the_shares():
    def by_rate_and_layers(values):
        return by_rate(values) ** 2 + 0.5 * (values[LAYERS.path] - 3) ** 2

    found = importances(ALL, drawn(100, by_rate_and_layers), "minimize")
    assert set(list(found)[:2]) == {RATE.path, LAYERS.path}
    assert found[RATE.path] + found[LAYERS.path] > 0.8


def test_a_choice_of_two_that_is_all_that_matters_has_almost_all_of_the_shares():
    """However little the good half of it can differ from the whole."""
    generator = np.random.default_rng(1)
    shares = [
        importances(
            ALL,
            drawn(100, lambda values: bool(values[SCHEDULE.path]) + generator.random() / 99, seed),
            "minimize",
        )[SCHEDULE.path]
        for seed in range(3)
    ]
    assert np.mean(shares) > 0.85


def test_where_only_chance_decides_nothing_matters():
    """By construction so in 39 of 41 searches."""
    generator = np.random.default_rng(5)
    found = [
        importances(ALL, drawn(25, lambda values: generator.normal(), seed), "minimize")
        for seed in range(6)
    ]
    assert found.count({}) >= 5


def test_shares_add_up_to_one_and_each_dimension_has_one():
    found = importances(ALL, drawn(50, by_rate), "minimize")
    assert set(found) == {dimension.path for dimension in ALL}
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(
    ("path", "value_of"),
    [
        (UNITS.path, lambda values: -values[UNITS.path]),
        (LAYERS.path, lambda values: (values[LAYERS.path] - 3) ** 2),
        (DROPOUT.path, lambda values: values[DROPOUT.path]),
        (SCHEDULE.path, lambda values: values[SCHEDULE.path] is None),
    ],
    ids=["choice", "integer", "step", "two choices"],
)
def test_choices_integers_and_steps_matter_as_well(path, value_of):
    generator = np.random.default_rng(1)
    trials = drawn(100, lambda values: value_of(values) + 0.01 * generator.random())
    assert next(iter(importances(ALL, trials, "minimize"))) == path


def test_what_is_good_depends_on_the_direction():
    """The rate matters for low values, the layers for high ones."""

    def value_of(values):
        return by_rate(values) if by_rate(values) < 0.3 else 1 + (values[LAYERS.path] == 2)

    trials = drawn(100, value_of)
    assert next(iter(importances(ALL, trials, "minimize"))) == RATE.path
    assert next(iter(importances(ALL, trials, "maximize"))) == LAYERS.path


def test_of_fewer_than_twenty_complete_trials_nothing_is_said():
    trials = drawn(20, by_rate)
    assert importances(ALL, trials, "minimize")
    assert importances(ALL, trials[1:], "minimize") == {}
    pruned = trials[0].model_copy(update={"state": "pruned"})
    assert importances(ALL, [pruned, *trials[1:]], "minimize") == {}


def test_trials_of_other_dimensions_do_not_count():
    """As of a study that was begun with another space, or a file that a stranger wrote."""
    trials = drawn(20, by_rate)
    others: list[dict[str, object]] = [
        {RATE.path: 5.0},
        {RATE.path: "fast"},
        {UNITS.path: 48},
        {UNITS.path: 16.0},
        {SCHEDULE.path: "none"},
        {LAYERS.path: None},
    ]
    for other in others:
        strange = trials[0].model_copy(update={"values": {**trials[0].values, **other}})
        assert importances(ALL, [strange, *trials[1:]], "minimize") == {}, other
    assert importances(ALL, [trial(0, 1.0), *trials[1:]], "minimize") == {}


def test_of_very_many_trials_some_tell_the_same(monkeypatch):
    trials = drawn(200, by_rate)
    every_second = [trials[at] for at in np.linspace(0, 199, 100).round().astype(int)]
    whole = importances(ALL, every_second, "minimize")
    monkeypatch.setattr("dlcli.pipeline.selection.importance.MOST", 100)
    assert importances(ALL, trials, "minimize") == whole


def test_true_and_one_are_two_choices():
    both = Dimension(path="x", kind="choice", choices=(True, 1))
    trials = [trial(at, float(at % 2), values={"x": (True, 1)[at % 2]}) for at in range(40)]
    assert importances([both], trials, "minimize") == {"x": 1.0}


def test_where_all_trials_are_as_good_nothing_matters():
    assert importances(ALL, drawn(40, lambda values: 1.0), "minimize") == {}


def test_without_dimensions_there_is_nothing_to_say():
    assert importances([], drawn(30, by_rate), "minimize") == {}


def test_a_dimension_of_a_single_value_does_not_matter():
    alone = Dimension(path="batch_size", kind="choice", choices=(32,))
    trials = [
        TrialResult.model_validate({**each.model_dump(), "values": {**each.values, alone.path: 32}})
        for each in drawn(40, by_rate)
    ]
    found = importances([*ALL, alone], trials, "minimize")
    assert found[alone.path] == 0
    assert sum(found.values()) == pytest.approx(1)


def test_optuna_is_not_heard_and_left_as_it_was(capfd):
    logger = logging.getLogger("optuna")
    level = logger.level
    importances(ALL, drawn(30, by_rate), "minimize")
    assert capfd.readouterr() == ("", "")
    assert logger.level == level
