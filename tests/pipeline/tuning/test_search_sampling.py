"""The values that candidates have."""

from __future__ import annotations

import pytest
from optuna.storages import InMemoryStorage

from dlcli.pipeline.search_study import Study
from tests.pipeline.tuning.study_examples import DROPOUT, LAYERS, RATE, UNITS, finish, plan


def tried(how, trials):
    """Return the values of a number of trials, one after the other."""
    study = Study(how, InMemoryStorage())
    found = []
    for _ in range(trials):
        running = study.ask()
        found.append(dict(running.values))
        finish(study, running)
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_values_follow_from_the_seed(sampler):
    first, again, other = (
        tried(plan(sampler=sampler, trials=8, seed=seed), 8) for seed in (7, 7, 8)
    )

    assert first == again
    assert first[:3] != other[:3]


def test_values_are_in_their_ranges_and_on_their_steps():
    found = tried(plan([RATE, LAYERS, DROPOUT, UNITS], trials=40), 40)

    assert all(1e-4 <= values["optimizer.learning_rate"] <= 1e-1 for values in found)
    assert {values["hidden_layers.number"] for values in found} == {1, 2, 3, 4}
    assert {values["hidden_layers.dropout"] for values in found} == {0.1, 0.3, 0.5}
    assert {values["hidden_layers.units"] for values in found} == {16, 32, 64}


def test_a_logarithmic_range_is_tried_at_all_its_powers():
    rates = [values["optimizer.learning_rate"] for values in tried(plan(trials=60), 60)]

    assert all(sum(low <= rate < 10 * low for rate in rates) >= 10 for low in (1e-4, 1e-3, 1e-2))


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_no_combination_is_tried_twice(sampler):
    found = tried(plan([UNITS, LAYERS], sampler=sampler, trials=12), 12)

    assert len({tuple(values.values()) for values in found}) == 12


def test_a_complete_grid_is_in_the_order_of_nested_loops():
    found = tried(plan([UNITS, DROPOUT], sampler="grid", trials=9), 4)

    assert [(each["hidden_layers.units"], each["hidden_layers.dropout"]) for each in found] == [
        (16, 0.1),
        (16, 0.3),
        (16, 0.5),
        (32, 0.1),
    ]


def test_a_part_of_a_grid_is_from_all_over_it():
    found = tried(plan([UNITS, LAYERS], sampler="grid", trials=4), 4)

    assert {values["hidden_layers.units"] for values in found} == {16, 32, 64}


def test_tpe_returns_to_good_values():
    """The lower the learning rate, the better: most later ones are in the lowest third."""
    found = tried(plan(sampler="tpe", trials=40, startup=10), 40)
    later = [values["optimizer.learning_rate"] for values in found[20:]]

    assert sum(rate < 1e-3 for rate in later) > 0.6 * len(later)


def test_tpe_avoids_values_that_failed():
    """Half of the range fails: it is tried less than half as often as the other half."""
    study = Study(plan([LAYERS, RATE], sampler="tpe", trials=60, startup=10), InMemoryStorage())
    found = []
    for _ in range(60):
        running = study.ask()
        found.append(running.values["hidden_layers.number"])
        if found[-1] > 2:
            finish(study, running, state="failed", problem="diverged")
        else:
            finish(study, running, 1.0)

    assert sum(layers > 2 for layers in found[20:]) < 40 / 3
