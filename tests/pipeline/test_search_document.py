"""The ranking of trials, their standard errors, and the importance of what is varied."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from dlcli.config.training_choices import Poisson
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.intervals import standard_error
from dlcli.metrics.statistic import Mean, positive_weights
from dlcli.pipeline.search import importances
from dlcli.pipeline.search_trials import standard_error_of_folds
from dlcli.runs.documents import (
    Search,
    StoredDimension,
    TrialResult,
    best_trial,
    leaderboard,
    smallest_trial,
)
from dlcli.tasks.classification import Multiclass, Multilabel
from tests.comparison.hand_made import held_out, numbers, two_classes
from tests.pipeline.hand_made_results import trial


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


def test_only_complete_trials_with_a_value_are_ranked():
    trials = [
        trial(0, None, state="failed"),
        trial(1, 0.01, state="pruned"),
        trial(2, 0.9),
        trial(3, None),
        trial(4, 0.001, state="pruned"),
        trial(5, None, state="failed"),
    ]
    assert board(trials) == [2]


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


THREE = Multiclass(columns=("y",), classes=("a", "b", "c", "d"))
LABELS = Multilabel(columns=("a", "b"), labels=("a", "b"))


def test_folds_have_the_standard_error_of_a_mean():
    assert standard_error_of_folds([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3) / 2)


def test_less_than_two_folds_have_none():
    assert standard_error_of_folds([]) is None
    assert standard_error_of_folds([1.0]) is None
    assert standard_error_of_folds([1.0, None]) is None


def test_folds_without_a_value_are_left_out():
    assert standard_error_of_folds([1.0, None, 3.0]) == pytest.approx(1.0)


def mean_of(values, weight=None):
    weights, known = positive_weights(weight, np.array(values))
    return Mean(weights, known[np.newaxis])


def test_the_mean_of_rows_has_the_deviation_over_the_root_of_their_number():
    mean = mean_of([1.0, 2.0, 3.0, 6.0])
    assert standard_error(mean) == pytest.approx(math.sqrt(3.5) / 2)  # Σ (v - 3)² = 14


def test_rows_of_weight_zero_are_not_there():
    mean = mean_of([1.0, 2.0, 3.0, 6.0, 99.0], np.array([2.0, 2, 2, 2, 0]))
    assert standard_error(mean) == pytest.approx(math.sqrt(3.5) / 2)


def test_a_mean_of_less_than_two_rows_has_none():
    assert standard_error(mean_of([1.0])) is None
    assert standard_error(mean_of([1.0, 2.0], np.array([1.0, 0.0]))) is None


def test_the_mean_absolute_error_is_a_mean_of_rows():
    held = numbers(np.zeros(4), [1.0, -2.0, 3.0, -6.0])
    assert standard_error(held.statistics()["mae"]) == pytest.approx(math.sqrt(3.5) / 2)


def test_a_share_of_rows_has_half_of_wilsons_interval():
    truth = np.arange(263) % 2
    guesses = np.where(np.arange(263) < 81, truth, 1 - truth)
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 is 0.2553 to 0.3662.
    expected = (0.3662 - 0.2553) / 2 / 1.959964
    found = standard_error(two_classes(truth, guesses * 0.8 + 0.1).statistics()["accuracy"])
    assert found == pytest.approx(expected, abs=5e-5)


def test_rows_that_are_all_right_leave_something_open():
    """Wilson's interval of 30 of 30 is from 0.8865 to 1."""
    truth = np.arange(30) % 2
    found = standard_error(two_classes(truth, truth * 0.8 + 0.1).statistics()["accuracy"])
    assert found == pytest.approx((1 - 0.8865) / 2 / 1.959964, abs=5e-5)


def drawn(rows: int, generator: np.random.Generator):
    """Rows of every kind of target."""
    truth = generator.integers(0, 2, rows)
    chances = 1 / (1 + np.exp(-generator.normal(size=rows) - 2 * truth + 1))
    classes = generator.integers(0, 4, rows)
    logits = generator.normal(size=(rows, 4)) + 1.5 * (classes[:, np.newaxis] == np.arange(4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    marks = generator.integers(0, 2, (rows, 2))
    of_marks = 1 / (1 + np.exp(-generator.normal(size=(rows, 2)) - 2 * marks + 1))
    counts = generator.poisson(3.0, rows).astype(float)
    return (
        numbers(counts, 3.0 + 0.2 * generator.normal(size=rows), loss=Poisson()),
        numbers(truth := generator.normal(size=rows), truth + 0.5 * generator.normal(size=rows)),
        two_classes((chances > generator.random(rows)).astype(int), chances),
        held_out(THREE, classes, shares),
        held_out(LABELS, marks, of_marks),
    )


@pytest.mark.slow
def test_every_metric_has_the_standard_error_that_many_draws_of_rows_show():
    """400 tables of 300 rows: the median error is the deviation of the values, within a fifth."""
    generator = np.random.default_rng(1)
    tables = [drawn(300, generator) for _ in range(400)]
    seen = set()
    for kind in range(5):
        scores = [(held := table[kind]).task.metrics(held) for table in tables]
        for name in set(scores[0]) & set(METRICS):
            deviation = np.std([each[name] for each in scores], ddof=1)
            errors = [standard_error(table[kind].statistics()[name]) for table in tables[:15]]
            # A sum of absolute differences varies more among resamples than among tables.
            most = 2 if name == "calibration_error" else 1.2
            assert 0.8 < np.median(errors) / deviation < most, (kind, name)
            seen.add(name)
    # The others need a decision or a loss of their own.
    others = {"cost", "tweedie_deviance", "gamma_deviance", "binomial_deviance"}
    others |= {"mean_width", "pinball_loss", "coverage"}
    assert seen == set(METRICS) - others


def test_what_rows_cannot_tell_has_none():
    held = numbers([1.0, 1.0, 1.0], [0.0, 1.0, 2.0])
    assert standard_error(held.statistics()["r2"]) is None  # of a target that does not vary
    assert standard_error(numbers([1.0], [2.0]).statistics()["mae"]) is None
    assert standard_error(two_classes([0, 0, 1], [0.1, 0.2, 0.9]).statistics()["auc"]) is None
    nothing = two_classes([0, 1] * 10, [0.1] * 20)
    assert standard_error(nothing.statistics()["precision"]) is None  # of what is called positive


def test_the_same_rows_have_the_same_error_each_time():
    generator = np.random.default_rng(2)
    held = numbers(generator.normal(size=40), generator.normal(size=40))
    first = standard_error(held.statistics()["median_absolute_error"])
    assert first == standard_error(held.statistics()["median_absolute_error"])


RATE = StoredDimension(path="optimizer.learning_rate", kind="float", low=1e-4, high=1e-1, log=True)
DROPOUT = StoredDimension(path="hidden_layers.dropout", kind="float", low=0.0, high=0.5, step=0.1)
LAYERS = StoredDimension(path="hidden_layers.number", kind="integer", low=1, high=4)
UNITS = StoredDimension(path="hidden_layers.units", kind="choice", choices=(16, 32, 64, 128))
SCHEDULE = StoredDimension(
    path="learning_rate_schedule", kind="choice", choices=(None, "cosine_decay")
)
ALL = (RATE, DROPOUT, LAYERS, UNITS, SCHEDULE)


def random_trials(count, value_of, seed=0):
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
        found = importances(ALL, random_trials(100, by_rate, seed), "minimize")
        assert next(iter(found)) == RATE.path
        assert found[RATE.path] > 0.8


def test_two_dimensions_that_matter_have_almost_all_of_the_shares():
    def by_rate_and_layers(values):
        return by_rate(values) ** 2 + 0.5 * (values[LAYERS.path] - 3) ** 2

    found = importances(ALL, random_trials(100, by_rate_and_layers), "minimize")
    assert set(list(found)[:2]) == {RATE.path, LAYERS.path}
    assert found[RATE.path] + found[LAYERS.path] > 0.8


def test_a_choice_of_two_that_is_all_that_matters_has_most_of_the_shares():
    """However little the good half of it can differ from the whole."""
    generator = np.random.default_rng(1)
    shares = [
        importances(
            ALL,
            random_trials(
                100, lambda values: bool(values[SCHEDULE.path]) + generator.random() / 99, seed
            ),
            "minimize",
        )[SCHEDULE.path]
        for seed in range(3)
    ]
    assert np.mean(shares) > 0.6


def test_shares_add_up_to_one_and_each_dimension_has_one():
    found = importances(ALL, random_trials(50, by_rate), "minimize")
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
    trials = random_trials(100, lambda values: value_of(values) + 0.01 * generator.random())
    assert next(iter(importances(ALL, trials, "minimize"))) == path


def test_what_is_good_depends_on_the_direction():
    """The rate matters for low values, the layers for high ones."""

    def value_of(values):
        return by_rate(values) if by_rate(values) < 0.3 else 1 + (values[LAYERS.path] == 2)

    trials = random_trials(100, value_of)
    assert next(iter(importances(ALL, trials, "minimize"))) == RATE.path
    assert next(iter(importances(ALL, trials, "maximize"))) == LAYERS.path


def test_of_fewer_than_twenty_complete_trials_nothing_is_said():
    trials = random_trials(20, by_rate)
    assert importances(ALL, trials, "minimize")
    assert importances(ALL, trials[1:], "minimize") == {}
    pruned = trials[0].model_copy(update={"state": "pruned"})
    assert importances(ALL, [pruned, *trials[1:]], "minimize") == {}


def test_trials_of_other_dimensions_do_not_count():
    """As of a study that was begun with another space, or a file that a stranger wrote."""
    trials = random_trials(20, by_rate)
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


def test_true_and_one_are_two_choices():
    both = StoredDimension(path="x", kind="choice", choices=(True, 1))
    trials = [trial(at, float(at % 2), values={"x": (True, 1)[at % 2]}) for at in range(40)]
    assert importances([both], trials, "minimize") == {"x": 1.0}


def test_without_dimensions_there_is_nothing_to_say():
    assert importances([], random_trials(30, by_rate), "minimize") == {}


def test_a_dimension_of_a_single_value_does_not_matter():
    alone = StoredDimension(path="batch_size", kind="choice", choices=(32,))
    trials = [
        TrialResult.model_validate({**each.model_dump(), "values": {**each.values, alone.path: 32}})
        for each in random_trials(40, by_rate)
    ]
    found = importances([*ALL, alone], trials, "minimize")
    assert found[alone.path] == 0
    assert sum(found.values()) == pytest.approx(1)


def test_optuna_is_not_heard_and_left_as_it_was(capfd):
    logger = logging.getLogger("optuna")
    level = logger.level
    importances(ALL, random_trials(30, by_rate), "minimize")
    assert capfd.readouterr() == ("", "")
    assert logger.level == level
