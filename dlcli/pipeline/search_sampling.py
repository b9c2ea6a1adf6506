"""The values of each candidate, drawn by Optuna's samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from dlcli.config import Dimension, Value
from dlcli.pipeline.search_context import SearchPlan, combination, count_combinations
from dlcli.pipeline.search_document import distribution_of
from dlcli.pipeline.search_storage import candidate_numbers

_MAX_DRAWS = 20
"""Draws of a combination that was not tried yet; then the first one of the grid is taken."""


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
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all dimensions: they are drawn jointly."""
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the values of a candidate."""
        plan, trials = self._plan, study.get_trials(deepcopy=False)
        number = candidate_numbers(trials)[trial.number]
        if plan.sampler == "grid":
            is_complete = plan.trials == self._combinations
            return {**combination(plan.dimensions, number, spread=not is_complete)}
        tried = [each.params for each in trials if each.number != trial.number]
        for draw in range(_MAX_DRAWS):
            values = self._draw(study, trial, derive_seed(plan.seed, number, draw))
            if self._combinations is None or values not in tried:
                return values
        return self._first_untried(tried) or values

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Refuse other dimensions: all are drawn jointly.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{param_name} is no dimension")

    def _draw(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
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

    def _first_untried(self, tried: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Return the first combination of the spread grid that was not tried."""
        grid = (
            combination(self._plan.dimensions, index, spread=True)
            for index in range(self._combinations or 0)
        )
        return next((values for values in grid if values not in tried), None)


def derive_seed(seed: int, number: int, draw: int = 0) -> int:
    """Return the seed of a draw of a candidate."""
    return int(np.random.SeedSequence([seed, number, draw]).generate_state(1)[0])


def _without_rounding(dimension: Dimension, value: Value) -> Value:
    """Return 0.3 for 0.30000000000000004 of a range with steps."""
    if dimension.kind != "float" or dimension.step is None or dimension.low is None:
        return value
    assert isinstance(value, float)
    return dimension.value(round((value - dimension.low) / dimension.step))
