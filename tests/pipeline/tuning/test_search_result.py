"""The summary of the trials of a search."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlcli.config.search_space import Dimension
from dlcli.config.tune_section import MedianPruning, NoPruner
from dlcli.pipeline.search import summarize_trials
from dlcli.runs.documents import StoredDimension, TrialResult
from tests.pipeline.tuning.study_examples import LAYERS, RATE, UNITS, plan


def trial(number, value=0.5, rate=0.01, units=32, **more):
    fields = {"state": "complete", "standard_error": 0.1, "seconds": 1.0, "parameters": units}
    values = {RATE.path: rate, UNITS.path: units}
    return TrialResult(number=number, values=values, value=value, **{**fields, **more})


def summary(trials, how=None, *, folds=None, default=None):
    table = SimpleNamespace(rows=30)
    dataset = SimpleNamespace(test_rows=5, candidates=SimpleNamespace(rows=41))
    context = SimpleNamespace(
        file=SimpleNamespace(name="houses"),
        plan=how or plan(trials=len(trials), folds=folds),
        splits=[SimpleNamespace(train=table, validation=SimpleNamespace(rows=12))],
        fits=SimpleNamespace(dataset=dataset),
    )
    return summarize_trials(context, tuple(trials), default)


def test_workers_are_counted():
    names = ("here-1", "there-1", "here-1", "")

    assert summary([trial(at, worker=name) for at, name in enumerate(names)]).workers == 2


def test_the_best_and_the_smallest_within_its_standard_error_are_selected():
    found = summary([trial(0, 0.5, units=64), trial(1, 0.55, units=16), trial(2, 0.9, units=4)])

    assert (found.best, found.smallest) == (0, 1)


@pytest.mark.parametrize(("folds", "rows"), [(None, 42), (5, 41)])
def test_the_used_rows_are_counted(folds, rows):
    found = summary([trial(0)], folds=folds)

    assert (found.rows, found.set_aside) == (rows, 5)


def test_dimensions_are_described():
    assert StoredDimension.of(UNITS).model_dump() == {
        "path": "hidden_layers.units",
        "kind": "choice",
        "low": None,
        "high": None,
        "step": None,
        "log": False,
        "choices": (16, 32, 64),
    }
    rate = StoredDimension.of(RATE)
    assert (rate.low, rate.high, rate.log) == (1e-4, 1e-1, True)


def test_an_ordinary_search_has_no_notes():
    assert summary([trial(0)]).notes == ()


@pytest.mark.parametrize(("value", "original"), [(0.5, 0.25), (0.25, 0.25)])
def test_a_search_that_found_nothing_better_has_a_note(value, original):
    default = trial(None, original)

    assert summary([trial(0, value)], default=default).notes == (
        f"no candidate is better than the config as given: val_loss {value} vs {original}",
    )
    assert summary([trial(0, 0.125)], default=default).notes == ()


def edge_note(path, end):
    return (
        f"the best {path} is at the {end} end of its range; a wider range may contain a better "
        "value"
    )


@pytest.mark.parametrize(("rate", "end"), [(1.05e-4, "low"), (0.099, "high")])
def test_a_best_value_at_the_edge_of_its_range_has_a_note(rate, end):
    assert summary([trial(0, rate=rate)]).notes == (edge_note(RATE.path, end),)


def test_ranges_of_integers_have_edges_too():
    last = trial(0).model_copy(update={"values": {LAYERS.path: 4}})

    assert summary([last], plan([LAYERS], trials=1)).notes == (edge_note(LAYERS.path, "high"),)


def test_a_search_whose_time_was_over_has_a_note():
    assert summary([trial(0)], plan(trials=9)).notes == (
        "the time limit was reached after 1 of 9 trials",
    )


def test_a_search_that_tried_everything_has_a_note():
    trials = [trial(number, units=units) for number, units in enumerate((16, 32, 64))]

    assert summary(trials, plan([UNITS], trials=3)).notes == ("all 3 combinations were tried",)


def test_failed_candidates_have_a_note():
    failed = trial(1, None, state="failed", problem="diverged")

    assert summary([trial(0), failed]).notes == ("1 candidate failed to train",)


def test_a_search_that_could_not_prune_says_why():
    note = (
        "no candidate was stopped early: regularizers vary, and the val_loss of an epoch "
        "includes their penalty"
    )

    varied = [Dimension("hidden_layers.kernel_regularizer.l2", "float", 0.0, 0.1)]
    assert summary([trial(0)], plan(varied, trials=1, pruner=MedianPruning())).notes == (note,)
    assert summary([trial(0)], plan(varied, trials=1, pruner=NoPruner())).notes == ()
