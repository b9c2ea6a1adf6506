"""Candidates given up before their end."""

from __future__ import annotations

import math

import pytest
from optuna.pruners import NopPruner
from optuna.storages import InMemoryStorage

from dlcli.config import Dimension, MedianPruning
from dlcli.config.tune_section import NoPruner
from dlcli.pipeline.objective import Goal, Pruned, Steps, Watch, can_prune_at_epochs, pruner_of
from dlcli.pipeline.search_study import Study
from tests.pipeline.tuning.planned import RATE, UNITS, came_to, plan


def looked_at(goal="val_loss", *, steps=None, ends_at=None, with_epochs=True):
    """A watch, and the steps and values that it has looked at."""
    found = []

    def report(value, step):
        found.append((step, value))
        return step == ends_at

    steps = steps or Steps(20, 20)
    return Watch(Goal(goal), steps, report, with_epochs=with_epochs), found


def test_a_training_is_looked_at_ten_times_at_most():
    watch, found = looked_at(steps=Steps(95, 95))
    progress = watch.progress(0)
    for epoch in range(1, 96):
        progress(epoch, {"val_loss": 1 / epoch})

    assert [step for step, _ in found] == [10, 20, 30, 40, 50, 60, 70, 80, 90]


def test_a_short_training_is_looked_at_each_epoch():
    watch, found = looked_at(steps=Steps(3, 3))
    progress = watch.progress(0)
    for epoch in (1, 2, 3):
        progress(epoch, {"val_loss": 0.5})

    assert [step for step, _ in found] == [1, 2, 3]


def test_only_the_first_part_is_looked_at_by_epochs_then_parts_are():
    watch, found = looked_at(steps=Steps(2, 2))
    for part in (0, 1):
        watch.progress(part)(1, {"val_loss": 0.5 + part})
        watch.after(part + 1, 0.25)

    assert found == [(1, 0.5), (3, 0.25), (4, 0.25)]


def test_a_candidate_that_is_given_up_is_trained_no_further():
    watch, _ = looked_at(ends_at=4)
    progress = watch.progress(0)
    progress(2, {"val_loss": 3.0})

    with pytest.raises(Pruned):
        progress(4, {"val_loss": 2.0})
    assert (watch.last, watch.epochs) == (2.0, 4)


@pytest.mark.parametrize("values", [{}, {"val_loss": math.nan}, {"loss": 0.5}])
def test_what_epochs_do_not_measure_is_not_looked_at(values):
    watch, found = looked_at()
    watch.progress(0)(2, values)

    assert found == []


def test_without_epochs_parts_are_still_looked_at():
    watch, found = looked_at(with_epochs=False)
    watch.progress(0)(2, {"val_loss": 0.5})
    watch.after(1, 0.5)

    assert found == [(21, 0.5)]


def test_epochs_are_not_compared_where_they_hold_prices_that_differ():
    l2 = Dimension("hidden.kernel_regularizer.l2", "float", 0.0, 0.1)
    stacks = Dimension("hidden", "choice", choices=(({"units": 1},), ({"units": 2},)))

    assert can_prune_at_epochs(Goal("val_loss"), [RATE, UNITS])
    assert not can_prune_at_epochs(Goal("val_loss"), [RATE, l2])
    assert not can_prune_at_epochs(Goal("val_loss"), [stacks])
    assert can_prune_at_epochs(Goal("val_rmse"), [l2, stacks])


def test_a_candidate_is_given_up_where_it_is_worse_than_the_median():
    study = Study(
        plan(trials=9),
        InMemoryStorage(),
        pruner=pruner_of(MedianPruning(startup_trials=3), Steps(10, 10)),
    )
    for value in (0.1, 0.2, 0.3):
        asked = study.ask()
        assert not study.report(asked, value, 5)
        study.tell(asked, came_to(asked))

    assert not study.report(study.ask(), 0.15, 5)
    assert study.report(study.ask(), 0.25, 5)


def test_nothing_is_given_up_while_it_warms_up():
    pruner = pruner_of(MedianPruning(startup_trials=1, warmup=0.25), Steps(10, 10))
    study = Study(plan(trials=9), InMemoryStorage(), pruner=pruner)
    asked = study.ask()
    for step in (2, 3):
        study.report(asked, 0.1, step)
    study.tell(asked, came_to(asked))
    worse = study.ask()

    assert not study.report(worse, 0.9, 2)
    assert study.report(worse, 0.9, 3)


def test_after_a_fold_only_the_worst_quarter_is_given_up():
    steps = Steps(10, 10)
    pruner = pruner_of(MedianPruning(startup_trials=4), steps)
    study = Study(plan(trials=9), InMemoryStorage(), pruner=pruner)
    for value in (0.1, 0.2, 0.3, 0.4):
        asked = study.ask()
        assert not study.report(asked, value, steps.after_part(1))
        study.tell(asked, came_to(asked))

    assert not study.report(study.ask(), 0.3, steps.after_part(1))
    assert study.report(study.ask(), 0.45, steps.after_part(1))


def test_where_none_is_asked_for_nothing_is_given_up():
    assert isinstance(pruner_of(NoPruner(), Steps(10, 10)), NopPruner)
