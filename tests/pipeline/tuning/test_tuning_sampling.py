"""Which values a trial tries."""

from __future__ import annotations

import pytest
from optuna.storages import InMemoryStorage

from dlcli.pipeline.search_study import Study
from tests.pipeline.tuning.planned import DROPOUT, LAYERS, RATE, UNITS, came_to, plan


def tried(how, trials):
    """The values of so many trials, one after the other."""
    study = Study(how, InMemoryStorage())
    found = []
    for _ in range(trials):
        asked = study.ask()
        found.append(dict(asked.values))
        study.tell(asked, came_to(asked))
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_tries_the_same(sampler):
    how = plan(sampler=sampler, trials=8)

    assert tried(how, 8) == tried(how, 8)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_another_seed_tries_something_else(sampler):
    assert tried(plan(sampler=sampler, seed=1), 3) != tried(plan(sampler=sampler, seed=2), 3)


def test_values_lie_in_their_ranges_and_on_their_steps():
    found = tried(plan([RATE, LAYERS, DROPOUT, UNITS], trials=40), 40)

    assert all(1e-4 <= values["optimizer.learning_rate"] <= 1e-1 for values in found)
    assert {values["hidden.layers"] for values in found} == {1, 2, 3, 4}
    assert {values["hidden.dropout"] for values in found} == {0.1, 0.3, 0.5}
    assert {values["hidden.units"] for values in found} == {16, 32, 64}


def test_a_logarithmic_range_is_tried_at_all_its_powers():
    rates = [values["optimizer.learning_rate"] for values in tried(plan(trials=60), 60)]

    assert all(sum(low <= rate < 10 * low for rate in rates) >= 10 for low in (1e-4, 1e-3, 1e-2))


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_where_values_can_be_counted_none_are_tried_twice(sampler):
    found = tried(plan([UNITS, LAYERS, DROPOUT], sampler=sampler, trials=36), 36)

    assert len({tuple(values.values()) for values in found}) == 36


def test_a_grid_that_is_tried_whole_is_in_the_order_of_nested_loops():
    found = tried(plan([UNITS, DROPOUT], sampler="grid", trials=9), 4)

    assert [(each["hidden.units"], each["hidden.dropout"]) for each in found] == [
        (16, 0.1),
        (16, 0.3),
        (16, 0.5),
        (32, 0.1),
    ]


def test_tpe_comes_back_to_where_values_were_good():
    """The lower the learning rate, the better: in the end most lie in the lowest third."""
    found = tried(plan(sampler="tpe", trials=40, startup=10), 40)
    later = [values["optimizer.learning_rate"] for values in found[20:]]

    assert sum(rate < 1e-3 for rate in later) > 0.6 * len(later)


def test_tpe_stays_away_from_what_failed():
    """Half of the range fails: it is tried less than half as often as the other half."""
    study = Study(plan([LAYERS, RATE], sampler="tpe", trials=60, startup=10), InMemoryStorage())
    tries = []
    for _ in range(60):
        asked = study.ask()
        tries.append(asked.values["hidden.layers"])
        if asked.values["hidden.layers"] > 2:
            study.tell(asked, came_to(asked, state="failed", problem="diverged"))
        else:
            study.tell(asked, came_to(asked, 1.0))

    assert sum(layers > 2 for layers in tries[20:]) < 40 / 3
