"""The study of a search: its trials are started, reported, stored and resumed here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dlcli.config import Value
from dlcli.errors import UsageError
from dlcli.pipeline.search_context import Plan
from dlcli.pipeline.search_document import TrialResult, quiet_optuna
from dlcli.pipeline.search_storage import GRACE
from dlcli.pipeline.trial_records import (
    DEFAULT,
    GIVEN_BACK,
    MOST_DEATHS,
    ORIGIN,
    PLACE,
    RESULT,
    WORKER,
    counts,
    deaths,
    first_trials,
    places_of,
    results_of,
    spent_by,
    stored_result,
    understood,
    worker_name,
    worker_of,
)

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


IsDead = Callable[[Mapping[str, Any]], bool]
"""Whether who runs a trial is gone, by the token of its `run` and the `name` of the process; both
are missing if it didn't come so far."""


@dataclass(frozen=True)
class Asked:
    """A trial to carry out."""

    place: int
    """From 0, in the order of those that count."""
    values: Mapping[str, Value]
    """What to try, by path of the dimension."""
    trial: optuna.Trial


class Study:
    """The trials of a search.

    Args:
        plan: what they follow from.
        storage: where they are kept.
        run: the token of the search's folder.
        pruner: Optuna's, which says when a trial is given up; none, if left out.
        most_epochs: the last step that is an epoch.

    Raises:
        UsageError: if there is a study of that name which is after something else.
    """

    def __init__(
        self,
        plan: Plan,
        storage: BaseStorage,
        run: str = "",
        pruner: BasePruner | None = None,
        most_epochs: int = 2**53,
    ) -> None:
        with quiet_optuna():
            import optuna

            from dlcli.pipeline.search_sampling import Sampler

            self._study = optuna.create_study(
                storage=storage,
                sampler=Sampler(plan),
                pruner=pruner or optuna.pruners.NopPruner(),
                study_name=plan.name,
                direction=plan.direction,
                load_if_exists=True,
            )
        if self._study.direction.name.lower() != plan.direction:
            raise UsageError(_another(plan.name, "is after another metric"))
        self.plan = plan
        self.run = run
        self._storage = storage
        self._nameless: dict[int, float] = {}
        self._most_epochs = most_epochs

    def agree(self, origin: Mapping[str, object]) -> None:
        """Stores what the study was begun with, or refuses what differs from it.

        Args:
            origin: what trials must have in common: `config` and `data`, for JSON.

        Raises:
            UsageError: if a study of that name was begun with something else.
        """
        begun = self._study.user_attrs.get(ORIGIN)
        if begun is None and not self._trials():
            self._study.set_user_attr(ORIGIN, dict(origin))
        elif begun != origin:
            known = begun if isinstance(begun, dict) else {}
            what = "config" if known.get("config") != origin.get("config") else "data"
            raise UsageError(_another(self.plan.name, f"was begun with another {what}"))

    def ask(self) -> Asked | None:
        """The next trial; `None` if all that there are to be have been begun."""
        from dlcli.pipeline.search_sampling import suggested

        with quiet_optuna():
            while self._has_more():
                trial = self._study.ask()
                trial.set_user_attr(WORKER, {"run": self.run, "name": worker_name()})
                place = self._granted(trial.number)
                if place is not None:
                    return Asked(place, suggested(trial, self.plan.dimensions), trial)
                self._end(trial, "FAIL")
            return None

    def report(self, asked: Asked, value: float, step: int) -> bool:
        """Stores the metric of a trial at a step, and says whether it is to be given up."""
        with quiet_optuna():
            asked.trial.report(value, step)
            return asked.trial.should_prune()

    def tell(self, asked: Asked, result: TrialResult, spent: float = 0.0) -> None:
        """Stores what a trial came to.

        One that has failed is told to Optuna as pruned, without a value: it counts, and `tpe` keeps
        away from it.

        Args:
            asked: the trial.
            result: what it came to.
            spent: the seconds that the search has taken.
        """
        with quiet_optuna():
            steps = self._storage.get_trial(asked.trial._trial_id).intermediate_values
            if result.state == "failed" and steps:
                asked.trial.report(math.nan, 1 + max(steps))
            asked.trial.set_user_attr(RESULT, stored_result(result, spent))
            if result.state == "complete":
                self._study.tell(asked.trial, result.value, skip_if_finished=True)
            else:
                self._end(asked.trial, "PRUNED")

    def give_back(self, asked: Asked) -> None:
        """Says that a trial was interrupted, so that it is tried again; nothing of an ended one."""
        from optuna.exceptions import UpdateFinishedTrialError

        with quiet_optuna(), suppress(UpdateFinishedTrialError):
            asked.trial.set_user_attr(GIVEN_BACK, True)
            self._end(asked.trial, "FAIL")

    def mend(self, is_dead: IsDead = lambda _: False) -> int:
        """Has trials tried again whose processes are gone.

        Args:
            is_dead: whether who runs a trial is. In a storage that is shared, so is in any case who
                gave no sign of life for long.

        Returns:
            how many are to be tried again.
        """
        with quiet_optuna():
            from optuna.storages import fail_stale_trials

            fail_stale_trials(self._study)
            for trial in self._trials():
                is_running = trial.state.name == "RUNNING"
                if is_running and (is_dead(worker_of(trial)) or self._is_nobodys(trial)):
                    self._end(trial.number, "FAIL")
            lost = [*self._lost()]
            for trial, place in lost:
                if deaths(self._trials(), place) >= MOST_DEATHS:
                    self._give_up(trial, place)
                    continue
                is_whole = len(trial.params) == len(self.plan.dimensions)
                params = trial.params if is_whole else {}
                self._study.enqueue_trial(params, user_attrs={PLACE: place})
            return len(lost)

    def _is_nobodys(self, trial: FrozenTrial) -> bool:
        """Whether no process has said for long that it runs a trial, as its first word is.

        One that is killed before that leaves nothing to know it by. How long it is, is taken by
        this process's clock: those of other machines may differ.
        """
        if worker_of(trial):
            self._nameless.pop(trial.number, None)
            return False
        now = time.monotonic()
        return now - self._nameless.setdefault(trial.number, now) > GRACE

    def _give_up(self, trial: FrozenTrial, place: int) -> None:
        """Says of a candidate that has ended each of its processes that it has failed."""
        from optuna.trial import create_trial

        problem = f"its process was killed each of {MOST_DEATHS} times, as if memory ran out"
        told = TrialResult(
            number=None,
            state="failed",
            values=trial.params,
            value=None,
            standard_error=None,
            seconds=0.0,
            problem=problem,
        )
        attributes = {PLACE: place, RESULT: stored_result(told)}
        self._study.add_trial(create_trial(state=_state("PRUNED"), user_attrs=attributes))

    def results(self) -> tuple[TrialResult, ...]:
        """What trials came to, those that came to something, in order of their places.

        Raises:
            RunError: if what is stored is no such thing.
        """
        return results_of(self._trials(), self.plan.name, self._most_epochs)

    @property
    def default(self) -> TrialResult | None:
        """What the config as given came to, if it was tried."""
        stored = self._study.user_attrs.get(DEFAULT)
        place = f"the study '{self.plan.name}': what its config came to"
        return None if stored is None else understood(stored, None, place)

    @default.setter
    def default(self, result: TrialResult) -> None:
        with quiet_optuna():
            self._study.set_user_attr(DEFAULT, stored_result(result))

    @property
    def under_way(self) -> int:
        """How many trials wait or run, here or elsewhere."""
        return sum(not trial.state.is_finished() for trial in self._trials())

    @property
    def spent(self) -> float:
        """The seconds that the search of this folder has taken, as far as was told."""
        return spent_by(self._trials(), self.run)

    @property
    def is_shared(self) -> bool:
        """Whether others may work on it that this process knows nothing of."""
        from optuna.storages import RDBStorage

        return isinstance(self._storage, RDBStorage)

    def heartbeat(self, asked: Asked) -> Callable[[], None] | None:
        """What gives a sign of life of a trial, in a storage that is shared."""
        from optuna.storages import RDBStorage

        storage, number = self._storage, asked.trial._trial_id
        if not isinstance(storage, RDBStorage):
            return None
        return lambda: storage.record_heartbeat(number)

    def _has_more(self) -> bool:
        """Whether a trial waits, or a place is free."""
        trials = self._trials()
        is_free = self.plan.trials is None or first_trials(trials) < self.plan.trials
        return is_free or any(trial.state.name == "WAITING" for trial in trials)

    def _granted(self, number: int) -> int | None:
        """The place of a trial, unless there are enough or another has it."""
        places = places_of(trials := self._trials())
        place = places[number]
        is_taken = any(
            counts(trial) and places[trial.number] == place and trial.number < number
            for trial in trials
        )
        is_enough = self.plan.trials is not None and place >= self.plan.trials
        return None if is_taken or is_enough else place

    def _lost(self) -> Iterator[tuple[FrozenTrial, int]]:
        """Yields the last trial of each place that none is any more in, and the place."""
        places = places_of(trials := self._trials())
        kept = {places[trial.number] for trial in trials if counts(trial)}
        last = {places[trial.number]: trial for trial in trials}
        for place in sorted(set(last) - kept):
            if self.plan.trials is None or place < self.plan.trials:
                yield last[place], place

    def _trials(self) -> list[FrozenTrial]:
        with quiet_optuna():
            return sorted(self._study.get_trials(deepcopy=False), key=lambda each: each.number)

    def _end(self, trial: optuna.Trial | int, state: Literal["FAIL", "PRUNED"]) -> None:
        self._study.tell(trial, state=_state(state), skip_if_finished=True)


def _state(name: Literal["FAIL", "PRUNED"]) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return TrialState[name]


def _another(name: str, why: str) -> str:
    """The message for a study that can't be joined."""
    return (
        f"the study '{name}' in that storage {why}; give this one a name of its own: --set name=..."
    )
