"""Trials as an Optuna study stores them: their numbers, states and results."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dlcli.errors import RunError
from dlcli.metrics import finite_number
from dlcli.pipeline.search_document import TrialResult
from dlcli.runs import malformed

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


WORKER = "worker"
"""Of a trial, who runs it: `run` is the token of a search's folder, `name` the process."""
DEFAULT = "default"
"""Of a study, what the config as given came to."""
ORIGIN = "origin"
"""Of a study, what it was begun with."""
_SPENT = "spent"
"""In a result, the seconds that its search had taken by then."""


def worker_name(process: int | None = None) -> str:
    """What a process of this machine is called: `host-pid`; this one, if left out."""
    return f"{platform.node() or 'host'}-{os.getpid() if process is None else process}"


def worker_of(trial: FrozenTrial) -> Mapping[str, Any]:
    """Who runs a trial; empty if it didn't come so far."""
    value = trial.user_attrs.get(WORKER)
    return value if isinstance(value, dict) else {}


def stored_result(result: TrialResult, spent: float = 0.0) -> dict[str, object]:
    """A result as it is stored: for JSON, without what the study knows by itself."""
    return {**result.model_dump(mode="json", exclude={"number", "intermediate"}), _SPENT: spent}


def results_of(trials: list[FrozenTrial], study: str, most_epochs: int) -> tuple[TrialResult, ...]:
    """What trials came to, those that came to something, in order of their places.

    Args:
        trials: all of a study.
        study: its name, for messages.
        most_epochs: the last step that is an epoch.

    Raises:
        RunError: if what is stored is no such thing.
    """
    places = places_of(trials)
    found = {
        places[trial.number]: _result(trial, places[trial.number], study, most_epochs)
        for trial in trials
        if trial.state.is_finished() and RESULT in trial.user_attrs
    }
    return tuple(found[place] for place in sorted(found))


def spent_by(trials: Iterable[FrozenTrial], run: str) -> float:
    """The seconds that a search had taken when the last of its trials ended.

    Args:
        trials: all of a study.
        run: the token of the search's folder.
    """
    told = [
        finite_number(_mapping(trial.user_attrs.get(RESULT)).get(_SPENT))
        for trial in trials
        if worker_of(trial).get("run") == run
    ]
    return max((seconds for seconds in told if seconds is not None), default=0.0)


def understood(stored: object, number: int | None, place: str) -> TrialResult:
    """A result that was stored, be it by a stranger.

    Args:
        stored: what is there.
        number: the trial's.
        place: where, for messages.

    Raises:
        RunError: if it is none.
    """
    fields = {**_mapping(stored), "number": number}
    fields.pop(_SPENT, None)
    try:
        return TrialResult.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise RunError(f"{place} {malformed(error)}; search again") from None


def _result(trial: FrozenTrial, place: int, study: str, most_epochs: int) -> TrialResult:
    where = f"the study '{study}': trial {trial.number}"
    result = understood(trial.user_attrs[RESULT], place, where)
    looked = tuple(
        (step, value)
        for step, value in sorted(trial.intermediate_values.items())
        if math.isfinite(value) and step <= most_epochs
    )
    return result.model_copy(update={"intermediate": looked})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
