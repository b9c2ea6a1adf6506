"""Which candidates are best, and which is the smallest that is good enough."""

from __future__ import annotations

from dlcli.pipeline import Search, leaderboard
from dlcli.pipeline.selection import best_trial, smallest_trial
from tests.pipeline.selection.made_by_hand import trial


def board(trials, direction="minimize"):
    search = Search(
        name="iris",
        study="iris",
        metric="val_loss",
        direction=direction,
        sampler="random",
        folds=None,
        rows=100,
        set_aside=0,
        seed=0,
        dimensions=(),
        trials=tuple(trials),
        default=trial(None, 0.0),
        best=None,
        smallest=None,
        seconds=1.0,
    )
    return [each.number for each in leaderboard(search)]


def test_the_least_value_is_first_of_what_is_minimized_and_the_last_of_what_is_maximized():
    trials = [trial(0, 0.3), trial(1, 0.1), trial(2, 0.2)]
    assert board(trials) == [1, 2, 0]
    assert board(trials, "maximize") == [0, 2, 1]


def test_of_equal_values_the_smaller_network_is_first_then_the_earlier_trial():
    trials = [
        trial(0, 0.1, None),
        trial(1, 0.1, 900),
        trial(2, 0.1, 90),
        trial(3, 0.1, 90),
    ]
    assert board(trials) == [2, 3, 1, 0]


def test_pruned_trials_come_after_complete_ones_and_failed_ones_last():
    trials = [
        trial(0, None, state="failed"),
        trial(1, 0.01, state="pruned"),
        trial(2, 0.9),
        trial(3, None),
        trial(4, 0.001, state="pruned"),
        trial(5, None, state="failed"),
    ]
    assert board(trials) == [2, 3, 1, 4, 0, 5]


def test_the_best_trial_is_a_complete_one():
    trials = [trial(None, 0.0), trial(0, 0.01, state="pruned"), trial(1, 0.5), trial(2, None)]
    found = best_trial(trials, "minimize")
    assert found is not None
    assert found.number == 1
    assert best_trial(trials[:2], "minimize") is None


def test_the_smallest_network_within_a_standard_error_of_the_best_is_good_enough():
    trials = [
        trial(0, 0.200, 9_000, error=0.02),
        trial(1, 0.219, 300, error=0.5),
        trial(2, 0.221, 10, error=0.5),  # beyond 0.2 + 0.02
    ]
    assert smallest_trial(trials, "minimize") == 1


def test_what_is_maximized_may_be_a_standard_error_less():
    trials = [trial(0, 0.90, 500, error=0.05), trial(1, 0.86, 40), trial(2, 0.84, 10)]
    assert smallest_trial(trials, "maximize") == 1


def test_exactly_a_standard_error_away_is_within_it():
    assert smallest_trial([trial(0, 1.0, 500, error=0.5), trial(1, 1.5, 40)], "minimize") == 1


def test_of_networks_of_one_size_the_better_is_taken_then_the_earlier():
    trials = [
        trial(0, 0.20, 900, error=0.1),
        trial(1, 0.25, 50),
        trial(2, 0.22, 50),
        trial(3, 0.22, 50),
    ]
    assert smallest_trial(trials, "minimize") == 2


def test_without_a_standard_error_the_best_itself_is_good_enough():
    assert smallest_trial([trial(0, 0.2, 900), trial(1, 0.2001, 5)], "minimize") == 0


def test_the_config_as_given_is_neither_the_best_nor_the_smallest():
    trials = [trial(None, 0.1, 1, error=0.5), trial(0, 0.3, 90, error=0.0), trial(1, 0.4, 5)]
    assert smallest_trial(trials, "minimize") == 0


def test_trials_that_were_pruned_or_failed_are_not_good_enough():
    trials = [
        trial(0, 0.3, 90, error=0.5),
        trial(1, 0.3, 5, state="pruned"),
        trial(2, None, 4, state="failed"),
    ]
    assert smallest_trial(trials, "minimize") == 0


def test_a_network_of_unknown_size_is_not_the_smallest():
    trials = [trial(0, 0.3, None, error=0.1), trial(1, 0.35, 50)]
    assert smallest_trial(trials, "minimize") == 1


def test_without_a_complete_trial_there_is_none():
    assert smallest_trial([trial(0, 0.1, state="pruned")], "minimize") is None
    assert smallest_trial([], "maximize") is None
