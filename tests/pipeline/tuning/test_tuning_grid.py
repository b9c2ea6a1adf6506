"""All combinations of values, each at a place of its own."""

from __future__ import annotations

from dlcli.pipeline.search_context import combination, combinations
from tests.pipeline.tuning.planned import DROPOUT, LAYERS, RATE, UNITS


def test_combinations_are_counted_unless_a_range_has_no_steps():
    assert combinations([UNITS, LAYERS, DROPOUT]) == 3 * 4 * 3
    assert combinations([UNITS, RATE]) is None


def test_a_grid_is_in_the_order_of_nested_loops():
    assert [combination([UNITS, DROPOUT], place) for place in range(4)] == [
        {"hidden.units": 16, "hidden.dropout": 0.1},
        {"hidden.units": 16, "hidden.dropout": 0.3},
        {"hidden.units": 16, "hidden.dropout": 0.5},
        {"hidden.units": 32, "hidden.dropout": 0.1},
    ]


def test_a_spread_grid_has_every_combination_once_too():
    places = [combination([UNITS, LAYERS], place, spread=True) for place in range(12)]

    assert len({tuple(values.values()) for values in places}) == 12


def test_the_first_of_a_spread_grid_are_from_all_over_it():
    first = [combination([UNITS, LAYERS], place, spread=True) for place in range(4)]

    assert {values["hidden.units"] for values in first} == {16, 32, 64}
