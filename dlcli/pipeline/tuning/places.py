"""The places of trials: what each is in the order of those that count.

Optuna numbers trials in the order in which they began. Those that a killed process left behind
count for nothing: each is tried again by another, which takes its place. So a search has just as
many places as it is to have trials, however many processes work on it and are killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PLACE = "place"
"""The attribute of a trial that is tried in the place of another."""
RESULT = "result"
"""The attribute of a trial that has come to something, be it a failure."""
GIVEN_BACK = "given back"
"""The attribute of a trial that was ended by a signal which its process heeded."""
MOST_DEATHS = 3
"""Processes that a candidate may end before it is tried no more."""


def places_of(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """The place of each trial, from 0, by its number."""
    places: dict[int, int] = {}
    begun = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        place = trial.user_attrs.get(PLACE)
        if isinstance(place, int):
            places[trial.number] = place
        else:
            places[trial.number] = begun
            begun += 1
    return places


def place_of(trials: Sequence[FrozenTrial], number: int) -> int:
    """The place of one of the trials."""
    return places_of(trials)[number]


def deaths(trials: Sequence[FrozenTrial], place: int) -> int:
    """How many processes were killed while they tried what has a place."""
    places = places_of(trials)
    return sum(
        places[trial.number] == place
        and trial.state.name == "FAIL"
        and bool(trial.params)
        and not {GIVEN_BACK, RESULT} & set(trial.user_attrs)
        for trial in trials
    )


def first_trials(trials: Sequence[FrozenTrial]) -> int:
    """How many places have been begun."""
    return sum(PLACE not in trial.user_attrs for trial in trials)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial waits, runs or has come to something."""
    return not trial.state.is_finished() or RESULT in trial.user_attrs
