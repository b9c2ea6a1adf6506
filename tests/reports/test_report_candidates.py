"""The candidates of a search: their order, their places on axes, and what stands there."""

from __future__ import annotations

import pytest

from dlcli.pipeline import Dimension
from dlcli.reports.candidates import (
    Candidates,
    place_on_axis,
    settings_text,
    spaced,
    ticks_of,
    value_text,
)
from tests.reports.hand_made_experiments import LAYERS, RATE, UNITS, search, trial


def choice(*choices: object) -> Dimension:
    return Dimension(path="x", kind="choice", choices=choices)


def number(low: float | None, high: float | None, *, log: bool = False) -> Dimension:
    return Dimension(path="x", kind="float", low=low, high=high, log=log)


@pytest.mark.parametrize(
    ("dimension", "value", "place"),
    [
        (number(0, 4), 1, 0.25),
        (number(0, 4), 4.0, 1.0),
        (number(1e-4, 1e-2, log=True), 1e-3, 0.5),
        (number(2, 2), 2, 0.5),
        (number(-1e308, 1e308), 0, 0.5),
        (number(0, 5e-324), 5e-324, 0.5),  # the least number there is, whose half is 0
        (number(0, 4), 5, None),
        (number(0, 4), "1", None),
        (number(0, 4), True, None),
        (number(None, 4), 1, None),
        (number(0, 4, log=True), 2, 0.5),  # no logarithm of 0: drawn as it is
        (choice("relu", "gelu", "tanh"), "gelu", 0.5),
        (choice("relu", "gelu", "tanh"), "swish", None),
        (choice(True, 1), 1, 1.0),
        (choice(True, 1), True, 0.0),
        (choice(None), None, 0.5),
        (choice(), "relu", None),
    ],
)
def test_a_value_lies_between_the_ends_of_its_dimension(dimension, value, place):
    found = place_on_axis(dimension, value)
    assert found == (place if place is None else pytest.approx(place))


@pytest.mark.parametrize(
    ("dimension", "ticks"),
    [
        (number(0, 0.5), [(0.0, "0"), (0.5, "0.25"), (1.0, "0.5")]),
        (number(1e-4, 1e-2, log=True), [(0.0, "0.0001"), (0.5, "0.001"), (1.0, "0.01")]),
        (LAYERS, [(0.0, "1"), (1.0, "4")]),
        (UNITS, [(0.0, "8"), (0.5, "16"), (1.0, "32")]),
        (choice(*range(11)), [(at / 10, str(at)) for at in (0, 2, 4, 6, 8, 10)]),
        (number(3, 3), [(0.5, "3")]),
        (number(None, None), []),
        (choice(), []),
    ],
)
def test_an_axis_names_its_ends_and_its_middle_or_its_choices(dimension, ticks):
    found = ticks_of(dimension)
    assert [text for _, text in found] == [text for _, text in ticks]
    assert [place for place, _ in found] == pytest.approx([place for place, _ in ticks])


def test_a_value_is_written_as_in_a_config():
    values = [None, True, False, 0.001, 64, "relu", "a\nb"]
    shown = ["null", "true", "false", "0.001", "64", "relu", "a\\nb"]
    assert [value_text(value) for value in values] == shown


def test_settings_are_told_by_the_ends_of_their_paths():
    values = {"optimizer.learning_rate": 0.01, "hidden.units": 32}
    assert settings_text(values, (UNITS, LAYERS, RATE), 100) == "units 32, learning_rate 0.01"


def test_values_far_out_are_drawn_at_the_edge():
    # Quartiles of 1, 2, 3, 4, 100 are 2 and 4; three ranges of 2 beyond 4 is 10.
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    candidates = Candidates(search(trials=tuple(map(trial, range(5), values))))
    assert candidates.limit == 10.0
    assert [candidates.drawn(value) for value in values] == [1.0, 2.0, 3.0, 4.0, 10.0]
    assert candidates.beyond == 1


def test_where_higher_is_better_the_edge_is_below():
    values = [-100.0, 1.0, 2.0, 3.0, 4.0]
    trials = tuple(map(trial, range(5), values))
    candidates = Candidates(search(trials=trials, direction="maximize"))
    assert candidates.limit == -5.0  # quartiles 1 and 3
    assert candidates.drawn(-100.0) == -5.0


def test_without_values_far_out_there_is_no_edge():
    trials = tuple(map(trial, range(4), [1.0, 2.0, 3.0, 4.0]))
    assert Candidates(search(trials=trials, smallest=3)).limit is None


def test_what_was_ended_early_far_out_is_drawn_at_the_edge_of_what_was_not():
    early = trial(9, 100.0, state="pruned")
    candidates = Candidates(
        search(trials=(*map(trial, range(5), [1.0, 2.0, 3.0, 4.0, 5.0]), early))
    )
    assert candidates.drawn(100.0) == 10.0  # quartiles 2 and 4
    assert candidates.beyond == 0


def test_the_best_so_far_only_gets_better():
    values = [3.0, 4.0, 2.0, 2.0, 1.0]
    candidates = Candidates(search(trials=tuple(map(trial, range(5), values))))
    assert [each.number for each in candidates.improvements()] == [0, 2, 4]
    rising = Candidates(search(trials=tuple(map(trial, range(5), values)), direction="maximize"))
    assert [each.number for each in rising.improvements()] == [0, 1]


def test_of_many_the_first_stay_and_the_others_are_spread_to_the_last():
    trials = [trial(at, 1.0) for at in range(100)]
    assert [each.number for each in spaced(trials, 6, 3)] == [0, 1, 2, 3, 51, 99]
    assert spaced(trials[:6], 6, 3) == trials[:6]


def test_dimensions_come_by_their_importance():
    assert [each.path for each in Candidates(search()).dimensions] == [
        "hidden.units",
        "optimizer.learning_rate",
        "hidden.layers",
    ]


def test_what_was_ended_early_is_not_compared():
    trials = (trial(0, 0.5), trial(1, 0.25, state="pruned"), trial(2, None))
    candidates = Candidates(search(trials=trials, best=0, smallest=None))
    assert [each.number for each in candidates.complete] == [0]
