"""What follows from all trials."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlcli.pipeline import TrialResult
from dlcli.pipeline.objective import Goal
from dlcli.pipeline.search_result import Found, described
from tests.pipeline.tuning.planned import LAYERS, RATE, UNITS, plan


def trial(number, value=0.5, rate=0.01, units=32, **more):
    fields = {"state": "complete", "standard_error": 0.1, "seconds": 1.0, "parameters": units}
    values = {RATE.path: rate, UNITS.path: units}
    return TrialResult(number=number, values=values, value=value, **{**fields, **more})


def document(trials, how=None, *, folds=None, prunes=True, pruner="median", default=None):
    table = SimpleNamespace(rows=30)
    work = SimpleNamespace(
        file=SimpleNamespace(name="houses"),
        goal=Goal("val_loss"),
        tune=SimpleNamespace(folds=folds, pruner=SimpleNamespace(name=pruner)),
        parts=[SimpleNamespace(train=table, validation=SimpleNamespace(rows=12))],
        context=SimpleNamespace(
            dataset=SimpleNamespace(test_rows=5, candidates=SimpleNamespace(rows=41))
        ),
        prunes_at_epochs=prunes,
    )
    found = Found(how or plan(trials=len(trials)), tuple(trials), default)
    return found.document(work, seconds=12.3456)


def test_the_processes_that_tried_candidates_are_counted_wherever_they_were():
    names = ("here-1", "there-1", "here-1", "")
    found = document([trial(at, worker=name) for at, name in enumerate(names)])

    assert found.workers == 2


def test_the_best_and_the_smallest_that_is_as_good_are_named():
    found = document([trial(0, 0.5, units=64), trial(1, 0.55, units=16), trial(2, 0.9, units=4)])

    assert (found.best, found.smallest) == (0, 1)


@pytest.mark.parametrize(("folds", "rows"), [(None, 42), (5, 41)])
def test_the_rows_that_took_part_are_counted(folds, rows):
    found = document([trial(0)], folds=folds)

    assert (found.rows, found.set_aside) == (rows, 5)


def test_dimensions_are_told_as_they_are():
    assert described(UNITS).model_dump() == {
        "path": "hidden.units",
        "kind": "choice",
        "low": None,
        "high": None,
        "step": None,
        "log": False,
        "choices": (16, 32, 64),
    }
    assert (described(RATE).low, described(RATE).high, described(RATE).log) == (1e-4, 1e-1, True)


def test_nothing_is_said_of_a_search_that_was_as_it_should_be():
    assert document([trial(0)]).notes == ()


@pytest.mark.parametrize(("value", "as_given"), [(0.5, 0.25), (0.25, 0.25)])
def test_that_nothing_better_was_found_is_told(value, as_given):
    default = trial(None, as_given)

    assert document([trial(0, value)], default=default).notes == (
        f"no candidate is better than the config as given: val_loss {value} against {as_given}",
    )
    assert document([trial(0, 0.125)], default=default).notes == ()


@pytest.mark.parametrize(("rate", "end"), [(1.05e-4, "low"), (0.099, "high")])
def test_a_best_value_at_the_edge_of_its_range_is_told(rate, end):
    assert document([trial(0, rate=rate)]).notes == (
        f"the best optimizer.learning_rate lies at the {end} end of what was tried: a wider range "
        "may hold a better one",
    )


def test_a_time_that_was_over_is_told():
    assert document([trial(0)], plan(trials=9)).notes == ("the time was over after 1 of 9 trials",)


def test_that_all_was_tried_is_told():
    trials = [trial(number, units=units) for number, units in enumerate((16, 32, 64))]

    assert document(trials, plan([UNITS], trials=3)).notes == ("all 3 combinations were tried",)


def test_failures_are_told():
    failed = trial(1, None, state="failed", problem="diverged")

    assert document([trial(0), failed]).notes == ("1 candidate could not be trained to the end",)


def test_why_nothing_was_given_up_is_told_unless_it_was_not_asked_for():
    why = (
        "candidates were not given up at epochs: regularizers vary, and val_loss of an epoch holds "
        "their price"
    )

    assert document([trial(0)], prunes=False).notes == (why,)
    assert document([trial(0)], prunes=False, pruner="none").notes == ()


def test_whole_numbers_have_edges_too():
    values = {LAYERS.path: 4}
    last = trial(0).model_copy(update={"values": values})

    assert document([last], plan([LAYERS], trials=1)).notes == (
        "the best hidden.layers lies at the high end of what was tried: a wider range may hold a "
        "better one",
    )
