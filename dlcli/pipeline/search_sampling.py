"""Samplers: the values that each trial tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study, Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from dlcli.config import Dimension, Value
from dlcli.pipeline.search_context import Plan, combination, combinations
from dlcli.pipeline.trial_records import place_of

DRAWS = 20
"""How often is drawn anew what was tried already, where values can be counted."""


class Sampler(BaseSampler):
    """Draws the values of each trial by its place.

    `tpe` is the tree-structured Parzen estimator over all dimensions at once (Bergstra et al. 2011,
    Falkner et al. 2018). It takes trials that still run for bad ones, so that processes don't try
    the same at once.

    Args:
        plan: what trials follow from.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._space = {each.path: distribution_of(each) for each in plan.dimensions}
        self._combinations = combinations(plan.dimensions)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All dimensions, as they are drawn together."""
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of a trial."""
        trials = study.get_trials(deepcopy=False)
        place = place_of(trials, trial.number)
        if self._plan.sampler == "grid":
            are_all = self._plan.trials == self._combinations
            return {**combination(self._plan.dimensions, place, spread=not are_all)}
        tried = [each.params for each in trials if each.number != trial.number]
        for draw in range(DRAWS):
            values = self._drawn(study, trial, seed_of(self._plan.seed, place, draw))
            if self._combinations is None or values not in tried:
                return values
        return self._untried(tried) or values

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """The value of a dimension of one value only, which needs no drawing.

        Raises:
            ValueError: as there is nothing else to ask for.
        """
        raise ValueError(f"{param_name} is no dimension")

    def _untried(self, tried: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """The first combination of values that was not tried, in an order that is spread."""
        every = (
            combination(self._plan.dimensions, place, spread=True)
            for place in range(self._combinations or 0)
        )
        return next((values for values in every if values not in tried), None)

    def _drawn(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        inner = self._made(seed)
        space = inner.infer_relative_search_space(study, trial)
        values = inner.sample_relative(study, trial, space)
        for path, distribution in self._space.items():
            if path not in values:
                values[path] = inner.sample_independent(study, trial, path, distribution)
        return {each.path: _exact(each, values[each.path]) for each in self._plan.dimensions}

    def _made(self, seed: int) -> BaseSampler:
        if self._plan.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(n_startup_trials=self._plan.startup, seed=seed, multivariate=True)


def seed_of(seed: int, place: int, draw: int = 0) -> int:
    """A seed of its own for each draw."""
    return int(np.random.SeedSequence([seed, place, draw]).generate_state(1)[0])


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna has it."""
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.labels)
    low, high = _ends(dimension)
    if dimension.kind == "integer":
        step = int(dimension.step or 1)
        return IntDistribution(int(low), int(high), log=dimension.log, step=step)
    return FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def suggested(trial: Trial, dimensions: Sequence[Dimension]) -> dict[str, Value]:
    """The values of a trial, by path."""
    return {each.path: _suggested(trial, each) for each in dimensions}


def _suggested(trial: Trial, dimension: Dimension) -> Value:
    path = dimension.path
    if dimension.kind == "choice":
        value: Value = trial.suggest_categorical(path, dimension.labels)
        return value
    low, high = _ends(dimension)
    if dimension.kind == "integer":
        step = int(dimension.step or 1)
        return trial.suggest_int(path, int(low), int(high), step=step, log=dimension.log)
    return trial.suggest_float(path, low, high, step=dimension.step, log=dimension.log)


def _exact(dimension: Dimension, value: Value) -> Value:
    """A drawn value without what rounding left of its steps."""
    if dimension.kind != "float" or dimension.step is None or dimension.low is None:
        return value
    assert isinstance(value, float)
    return dimension.value(round((value - dimension.low) / dimension.step))


def _ends(dimension: Dimension) -> tuple[float, float]:
    assert dimension.low is not None and dimension.high is not None  # as of every range
    return dimension.low, dimension.high
