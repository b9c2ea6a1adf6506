"""The Optuna study of a search: draw candidates, start trials, store results, retry lost ones."""

from __future__ import annotations

import copy
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, PercentilePruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import (
    BaseStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.storages._heartbeat import get_heartbeat_thread  # that of `optimize`
from optuna.trial import FrozenTrial, TrialState, create_trial

from dlcli.config.search_space import Dimension, Value, count_combinations
from dlcli.config.tune_section import MedianPruning
from dlcli.errors import OutOfMemoryError, UsageError, WorkerError, override
from dlcli.metrics.statistic import finite_number
from dlcli.pipeline.search_context import SearchPlan, combination, distribution_of
from dlcli.pipeline.search_storage import GRACE_SECONDS, ORIGINAL, candidate_numbers, quiet_optuna
from dlcli.pipeline.worker_pool import worker_name
from dlcli.runs.documents import TrialResult
from dlcli.safe_files import parse_document

IsDead = Callable[[Mapping[str, Any]], bool]
"""Returns whether the process of a trial is dead, by the token of its `run` and the `name` of the
process; both are missing if it was killed before it could store them."""
MAX_DEATHS = 3
"""Processes that a candidate may kill before it is abandoned."""
# User attributes of a study:
FINGERPRINT = "fingerprint"
"""The config and data that it was started with."""
DEFAULT = "default"
"""The result of the original config."""
# User attributes of a trial:
RESULT = "result"
WORKER = "worker"
"""The process that runs it: see `IsDead`."""
INTERRUPTED = "interrupted"
"""Set if a trial was ended by a signal or an error, not by the death of its process."""
_SPENT = "spent"
"""The key of a stored result for the seconds that its search had taken by then."""
_KEPT_AFTER_FOLD = 75.0
"""Percentage of the candidates that are trained on after a fold."""
_MAX_DRAWS = 20
"""Draws of a combination that was not tried yet; then the first one of the grid is taken."""


def make_pruner(plan: SearchPlan) -> BasePruner:
    """Return Optuna's pruner: by the median at epochs; after a fold the worst quarter.

    Means over folds differ little, and a further fold is cheap once its program is compiled: the
    median would prune half of the good candidates for a difference that is noise.
    """
    section = plan.pruner
    if not isinstance(section, MedianPruning):
        return NopPruner()
    at_epochs = MedianPruner(section.startup_trials, math.ceil(section.warmup * plan.epochs))
    after_folds = PercentilePruner(_KEPT_AFTER_FOLD, section.startup_trials)

    class PrunerByStep(BasePruner):
        """Applies one of them; Optuna has no pruner with two thresholds."""

        def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
            last = trial.last_step or 0
            if last <= plan.max_epochs:
                return at_epochs.prune(study, trial)
            latest = copy.copy(trial)  # Optuna would take the best of all steps
            latest.intermediate_values = {last: trial.intermediate_values[last]}
            return after_folds.prune(study, latest)

    return PrunerByStep()


class CandidateSampler(BaseSampler):
    """Draws each candidate by a sampler of Optuna's with a seed of its own.

    The samplers of Optuna keep their random state in the process, so a resumed search would draw
    other values than an uninterrupted one, and processes of the same seed would draw the same ones.
    Here the values follow from seed, number of the candidate and results of earlier trials alone.
    The grid is not Optuna's either: its samplers assign combinations by the number of the trial,
    which retried trials shift, and two processes may draw the same one.

    `tpe` is the tree-structured Parzen estimator over all dimensions jointly (Bergstra et al. 2011,
    Falkner et al. 2018). It treats running trials as bad ones, so that processes try different
    values.

    Args:
        plan: what candidates depend on.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self.distributions = {
            each.path: distribution_of(each, each.labels) for each in plan.dimensions
        }
        """The distribution of each dimension, by path."""
        self._combinations = count_combinations(plan.dimensions)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all dimensions: they are drawn jointly."""
        return self.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the values of a candidate."""
        plan, trials = self._plan, study.get_trials(deepcopy=False)
        number = candidate_numbers(trials)[trial.number]
        if plan.sampler == "grid":
            is_complete = plan.trials == self._combinations
            return {**combination(plan.dimensions, number, spread=not is_complete)}
        tried = [each.params for each in trials if each.number != trial.number]
        for draw in range(_MAX_DRAWS):
            seed = np.random.SeedSequence([plan.seed, number, draw]).generate_state(1)[0]
            values = self._draw(study, trial, int(seed))
            if self._combinations is None or values not in tried:
                return values
        indices = range(self._combinations or 0)
        grid = (combination(plan.dimensions, index, spread=True) for index in indices)
        return next((untried for untried in grid if untried not in tried), values)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Refuse other dimensions: all are drawn jointly.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{param_name} is no dimension")

    def _draw(self, study: optuna.Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        sampler: BaseSampler = RandomSampler(seed=seed)
        if self._plan.sampler == "tpe":
            startup = self._plan.startup_trials
            sampler = TPESampler(n_startup_trials=startup, seed=seed, multivariate=True)
        space = sampler.infer_relative_search_space(study, trial)
        values = sampler.sample_relative(study, trial, space)
        for path, distribution in self.distributions.items():
            if path not in values:
                values[path] = sampler.sample_independent(study, trial, path, distribution)
        dimensions = self._plan.dimensions
        return {each.path: _without_rounding(each, values[each.path]) for each in dimensions}


def _without_rounding(dimension: Dimension, value: Value) -> Value:
    """Return 0.3 for 0.30000000000000004 of a range with steps."""
    if dimension.kind != "float" or dimension.step is None or dimension.low is None:
        return value
    assert isinstance(value, float)
    return dimension.value(round((value - dimension.low) / dimension.step))


@dataclass(frozen=True)
class RunningTrial:
    """A trial to evaluate."""

    number: int
    """The number of the candidate, from 0."""
    values: Mapping[str, Value]
    """By path of the dimension."""
    trial: optuna.Trial


class Study:
    """The trials of a search, which several processes may share.

    Optuna's `ask` and `tell` are used rather than `optimize`, which counts trials and not
    candidates: a candidate whose process was killed is retried by another trial with the same
    values, and has one number and one result.

    Args:
        plan: what candidates depend on.
        storage: where trials are stored.
        run: the token of the search's run folder.

    Raises:
        UsageError: if the storage has a study of that name with another direction.
    """

    def __init__(self, plan: SearchPlan, storage: BaseStorage, run: str = "") -> None:
        sampler = CandidateSampler(plan)
        with quiet_optuna():
            self._study = optuna.create_study(
                storage=storage,
                sampler=sampler,
                pruner=make_pruner(plan),
                study_name=plan.name,
                direction=plan.direction,
                load_if_exists=True,
            )
        if self._study.direction.name.lower() != plan.direction:
            raise UsageError(_different(plan.name, "optimizes another metric"))
        self.plan = plan
        self.run = run
        self._distributions = sampler.distributions
        self._storage = storage
        self._anonymous_since: dict[int, float] = {}

    def close(self) -> None:
        """Close the connections to a database."""
        if isinstance(self._storage, RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def join(self, fingerprint: Mapping[str, object]) -> None:
        """Store what the study is started with, or compare it with what is stored.

        Args:
            fingerprint: what all trials must have in common: `config` and `data`, for JSON.

        Raises:
            UsageError: if a study of that name was started with something else.
        """
        stored = self._study.user_attrs.get(FINGERPRINT)
        if stored is None and not self.has_trials:
            self._study.set_user_attr(FINGERPRINT, dict(fingerprint))
        elif stored != fingerprint:
            known = stored if isinstance(stored, dict) else {}
            is_config = known.get("config") != fingerprint.get("config")
            what = "another config" if is_config else "other data"
            raise UsageError(_different(self.plan.name, f"was started with {what}"))

    def ask(self) -> RunningTrial | None:
        """Start the next trial; `None` if all candidates have been started."""
        with quiet_optuna():
            while self._has_more():
                trial = self._study.ask(self._distributions)
                if isinstance(self._storage, RDBStorage):
                    # Optuna takes no trial without a heartbeat for dead. It comes first, so that
                    # every trial with a worker has one.
                    self._storage.record_heartbeat(trial._trial_id)
                trial.set_user_attr(WORKER, {"run": self.run, "name": worker_name()})
                numbers = candidate_numbers(trials := self._trials())
                candidate = numbers[trial.number]
                values = {path: trial.params[path] for path in self._distributions}
                running = RunningTrial(candidate, values, trial)
                is_taken = any(
                    _counts(other) and numbers[other.number] == candidate
                    for other in trials
                    if other.number < trial.number
                )
                if self._is_planned(candidate) and not is_taken:
                    return running
                self.interrupt(running)
            return None

    def _has_more(self) -> bool:
        trials = self._trials()
        limit = self.plan.trials
        is_free = limit is None or len(set(candidate_numbers(trials).values())) < limit
        return is_free or any(trial.state.name == "WAITING" for trial in trials)

    @contextmanager
    def keep_alive(self, running: RunningTrial) -> Iterator[None]:
        """Send heartbeats of a trial to a database, and have it retried unless it gets a result.

        A trial that others have ended and retry is left to them: if a machine sleeps, its processes
        seem dead.
        """
        heartbeats = get_heartbeat_thread(running.trial._trial_id, self._storage)
        with suppress(UpdateFinishedTrialError), heartbeats:
            try:
                yield
            except (OutOfMemoryError, WorkerError):
                raise  # of a cluster, as if this process were killed: see `MAX_DEATHS`
            except BaseException:
                self.interrupt(running)
                raise

    def report(self, running: RunningTrial, value: float, step: int) -> bool:
        """Store the metric of a trial at a step, and return whether to prune it."""
        with quiet_optuna():
            running.trial.report(value, step)
            return bool(running.trial.should_prune())  # Optuna's pruners return NumPy's

    def tell(self, running: RunningTrial, result: TrialResult, spent: float = 0.0) -> None:
        """Store the result of a trial.

        For Optuna, one that has failed is pruned and has no value, so that it counts and `tpe`
        avoids its values.

        Args:
            running: the trial.
            result: its result.
            spent: the seconds that the search has taken.
        """
        with quiet_optuna():
            steps = self._storage.get_trial(running.trial._trial_id).intermediate_values
            if result.state == "failed" and steps:
                running.trial.report(math.nan, 1 + max(steps))
            running.trial.set_user_attr(RESULT, _to_json(result, spent))
            self._end(running.trial, result)

    def interrupt(self, running: RunningTrial) -> None:
        """End a trial without a result, so that it is retried; nothing if it is finished."""
        with quiet_optuna(), suppress(UpdateFinishedTrialError):
            self._end_evaluated()
            running.trial.set_user_attr(INTERRUPTED, True)
            self._finish(running.trial, "FAIL")

    def retry_lost(self, is_dead: IsDead = lambda _: False) -> int:
        """Retry trials whose processes are dead, or were interrupted.

        Optuna's callback alone would not do: it counts interruptions as deaths, is called for
        databases only, and retries what two processes find at once twice.

        Args:
            is_dead: whether the process of a trial is dead. In a database, so are those without a
                heartbeat for long.

        Returns:
            The number of candidates that are retried or abandoned.
        """
        with quiet_optuna():
            self._end_evaluated()
            fail_stale_trials(self._study)
            for trial in self._trials():
                is_running = trial.state.name == "RUNNING"
                if is_running and (is_dead(worker_of(trial)) or self._is_anonymous(trial)):
                    self._finish(trial.number, "FAIL")
            retry = RetryHeartbeatStaleTrialCallback()
            lost = [*self._lost()]
            for attempts in lost:
                if sum(_was_killed(trial) for trial in attempts) >= MAX_DEATHS:
                    if attempts[0].number > 0 or self.default is not None:
                        self._abandon(attempts)
                        continue
                    # The original config, which is evaluated first, has killed them.
                    self.default = _killed({})
                last = copy.deepcopy(attempts[-1])  # the callback changes it
                last.user_attrs = {}
                if len(last.params) < len(self._distributions):
                    last.params, last.distributions = {}, {}
                retry(self._study, last)
            return len(lost)

    def _end_evaluated(self) -> None:
        """End the trials with a result whose processes were ended before they could.

        If they were retried as lost ones, `tpe` would not learn from their results.
        """
        for trial in self._trials():
            if not trial.state.is_finished() and RESULT in trial.user_attrs:
                label = f"trial {trial.number}"
                self._end(trial.number, self._parse(trial.user_attrs[RESULT], None, label))

    def _is_anonymous(self, trial: FrozenTrial) -> bool:
        """Return whether a trial has not had a worker for long.

        Its process was killed before it stored the worker's name; it may have no heartbeat, either.
        The time is measured by this process's clock, because those of other machines may differ.
        """
        if worker_of(trial):
            self._anonymous_since.pop(trial.number, None)
            return False
        now = time.monotonic()
        return now - self._anonymous_since.setdefault(trial.number, now) > GRACE_SECONDS

    def _lost(self) -> Iterator[list[FrozenTrial]]:
        """Yield the trials of each candidate that neither has a result nor waits or runs."""
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        numbers = candidate_numbers(trials := self._trials())
        for trial in trials:
            attempts[numbers[trial.number]].append(trial)
        for candidate, of_candidate in attempts.items():
            if self._is_planned(candidate) and not any(map(_counts, of_candidate)):
                yield of_candidate

    def _abandon(self, attempts: list[FrozenTrial]) -> None:
        """Store the failure of a candidate that has killed each of its processes."""
        result = _killed(attempts[-1].params)
        self._study.add_trial(
            create_trial(
                state=TrialState.PRUNED,
                user_attrs={RESULT: _to_json(result)},
                system_attrs={ORIGINAL: attempts[0].number},
            )
        )

    def results(self) -> tuple[TrialResult, ...]:
        """Return the results of finished trials, in order of their numbers.

        Raises:
            RunError: if a stored result is malformed.
        """
        numbers, found = candidate_numbers(trials := self._trials()), {}
        for trial in trials:
            if trial.state.is_finished() and RESULT in trial.user_attrs:
                number, label = numbers[trial.number], f"trial {trial.number}"
                result = self._parse(trial.user_attrs[RESULT], number, label)
                intermediate = tuple(
                    (step, value)
                    for step, value in sorted(trial.intermediate_values.items())
                    if math.isfinite(value) and step <= self.plan.max_epochs
                )
                found[number] = result.model_copy(update={"intermediate": intermediate})
        return tuple(found[number] for number in sorted(found))

    @property
    def default(self) -> TrialResult | None:
        """The result of the original config, if it was evaluated."""
        stored = self._study.user_attrs.get(DEFAULT)
        return None if stored is None else self._parse(stored, None, "the result of its config")

    @default.setter
    def default(self, result: TrialResult) -> None:
        with quiet_optuna():
            self._study.set_user_attr(DEFAULT, _to_json(result))

    @property
    def has_trials(self) -> bool:
        """True if a trial was started, here or elsewhere."""
        return bool(self._trials())

    @property
    def unfinished(self) -> int:
        """The number of trials that wait or run, here or elsewhere."""
        return sum(not trial.state.is_finished() for trial in self._trials())

    @property
    def spent(self) -> float:
        """The seconds that the search of this folder had taken when its last trial ended."""
        known = [
            finite_number(_mapping(trial.user_attrs.get(RESULT)).get(_SPENT))
            for trial in self._trials()
            if worker_of(trial).get("run") == self.run
        ]
        return max((seconds for seconds in known if seconds is not None), default=0.0)

    @property
    def is_shared(self) -> bool:
        """True if processes may work on it that this one does not know of."""
        return isinstance(self._storage, RDBStorage)

    def _is_planned(self, candidate: int) -> bool:
        return self.plan.trials is None or candidate < self.plan.trials

    def _parse(self, stored: object, number: int | None, label: str) -> TrialResult:
        """Read a stored result, which may come from a stranger."""
        fields = {**_mapping(stored), "number": number}
        fields.pop(_SPENT, None)
        name = f"the study '{self.plan.name}': {label}"
        return parse_document(TrialResult, json.dumps(fields), name, "; search again")

    def _trials(self) -> list[FrozenTrial]:
        with quiet_optuna():
            return sorted(self._study.get_trials(deepcopy=False), key=lambda each: each.number)

    def _end(self, trial: optuna.Trial | int, result: TrialResult) -> None:
        if result.state == "complete":
            self._study.tell(trial, result.value, skip_if_finished=True)
        else:
            self._finish(trial, "PRUNED")

    def _finish(self, trial: optuna.Trial | int, state: Literal["FAIL", "PRUNED"]) -> None:
        self._study.tell(trial, state=TrialState[state], skip_if_finished=True)


def worker_of(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the process of a trial, see `IsDead`; empty if it was not stored."""
    return _mapping(trial.user_attrs.get(WORKER))


def _counts(trial: FrozenTrial) -> bool:
    """Return whether a trial waits, runs or has a result."""
    return not trial.state.is_finished() or RESULT in trial.user_attrs


def _was_killed(trial: FrozenTrial) -> bool:
    """Return whether a trial without a result was ended by the death of its process."""
    return bool(trial.params) and INTERRUPTED not in trial.user_attrs


def _killed(values: Mapping[str, Value]) -> TrialResult:
    """Return the result of a config that has killed each of its processes."""
    return TrialResult(
        number=None,
        state="failed",
        values=values,
        value=None,
        seconds=0.0,
        problem=f"its process was killed each of {MAX_DEATHS} times, as if memory ran out",
    )


def _to_json(result: TrialResult, spent: float = 0.0) -> dict[str, object]:
    """Return a result for JSON, without the fields that the study itself knows."""
    return {**result.model_dump(mode="json", exclude={"number", "intermediate"}), _SPENT: spent}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _different(name: str, why: str) -> str:
    other = override("name", "...")
    return f"the study '{name}' in that storage {why}; choose another name: {other}"
