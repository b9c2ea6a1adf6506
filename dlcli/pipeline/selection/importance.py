"""How much each thing that a search varies matters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dlcli.metrics import Floats
from dlcli.pipeline.selection.leaderboard import Direction
from dlcli.pipeline.selection.search import Dimension, TrialResult, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

FEWEST = 20
"""Complete trials below which chance decides what seems to matter."""
MOST = 1_000
"""Complete trials that are looked at; of more, so many at even distances."""
_TOP = 8
"""Fewest trials that count as good; Optuna's documentation asks for 5."""
_TOP_SHARE = 0.2
"""The share of the trials that count as good, if these are more. Of 100 random trials in five
dimensions of which one explains most of the metric, be it a number or a choice of two or of four,
it stands out in 93 to 100 of 100 simulations, and with Optuna's own tenth in 37 to 93."""
_LOTS = 40
"""How often metrics are dealt out to trials by lot, to see what chance does."""
_MOST_BY_LOT = 1
"""In how many of these chance may do as much: where nothing matters, it is so in 2 of 41."""
_SEED = 0
"""What lots follow from, so that the same trials say the same each time."""


def importances(
    dimensions: Sequence[Dimension], trials: Sequence[TrialResult], direction: Direction
) -> dict[str, float]:
    """How much each dimension has to do with a trial being good, as shares of 1.

    Optuna's PED-ANOVA: the Pearson divergence `∫ p (g / p - 1)²` of the values `g` that the good
    trials, the best fifth or `_TOP`, have in a dimension from those `p` that all have, both
    smoothed by kernels; Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying
    Hyperparameter Importance in Arbitrary Subspaces, IJCAI 2023. It looks at one dimension at a
    time: what matters only together with another seems to matter less.

    A few good trials differ from all by chance, too, and the more so, the more values a dimension
    has. What they do on average when the metrics are dealt out to the trials by lot is subtracted:
    Altmann et al., Permutation Importance: a Corrected Feature Importance Measure, Bioinformatics
    26 (2010).

    Args:
        dimensions: what is varied.
        trials: those that are complete count.
        direction: which way is up.

    Returns:
        By path, the greatest first; empty of fewer than `FEWEST` complete trials, or if no
        dimension matters by more than lots make it seem.
    """
    complete = [each for each in trials if each.state == "complete" and each.value is not None]
    if len(complete) < FEWEST or not dimensions:
        return {}
    some = np.linspace(0, len(complete) - 1, min(len(complete), MOST)).round().astype(int)
    known = _beyond_chance(dimensions, [complete[at] for at in some], direction)
    whole = sum(known.values())
    falling = sorted(known, key=lambda path: -known[path])
    return {path: known[path] / whole for path in falling}


def _beyond_chance(
    dimensions: Sequence[Dimension], trials: Sequence[TrialResult], direction: Direction
) -> dict[str, float]:
    """The divergence in each dimension, less what chance gives; empty if it gives as much."""
    spread = {each.path: _distribution(each) for each in dimensions}
    frozen = [each for trial in trials if (each := _frozen(trial, dimensions, spread))]
    if len(frozen) < FEWEST:
        return {}
    values = np.array([trial.value for trial in frozen], dtype=np.float64)
    losses = values if direction == "minimize" else -values
    lots = np.random.default_rng(_SEED)
    with _quiet():
        diverge = _divergences_of(frozen, [*spread])
        found = diverge(losses)
        by_lot = np.array([diverge(lots.permutation(losses)) for _ in range(_LOTS)])
    if not _stands_out(found, by_lot):
        return {}
    return dict(zip(spread, np.maximum(0.0, found - by_lot.mean(axis=0)).tolist(), strict=True))


def _stands_out(found: Floats, by_lot: Floats) -> bool:
    """Whether some dimension diverges by more than any does by lot, each in its own deviations.

    If nothing matters, what was found is one among the lots, and any of them the first as often:
    Westfall and Young, Resampling-Based Multiple Testing (1993), chapter 2.

    Args:
        found: (dimensions,)
        by_lot: (lots, dimensions)
    """
    all_of_them = np.vstack([found, by_lot])
    deviations = all_of_them.std(axis=0)
    centred = all_of_them - all_of_them.mean(axis=0)
    scaled = np.divide(centred, deviations, out=np.zeros_like(centred), where=deviations > 0)
    furthest = scaled.max(axis=1)
    return int(np.count_nonzero(furthest[1:] >= furthest[0])) <= _MOST_BY_LOT


def _divergences_of(trials: Sequence[FrozenTrial], paths: list[str]) -> Callable[[Floats], Floats]:
    """A function from losses, (trials,), to the divergence in each dimension, (paths,)."""
    from optuna import create_study
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = create_study()
    study.add_trials(trials)
    share = max(_TOP_SHARE, _TOP / len(trials))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=share)

    def diverge(losses: Floats) -> Floats:
        found = get_param_importances(
            study,
            evaluator=evaluator,
            params=paths,
            target=lambda trial: float(losses[trial.number]),
            normalize=False,
        )
        return np.array([found[path] for path in paths])

    return diverge


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if dimension.kind == "choice":
        return CategoricalDistribution(range(len(dimension.choices)))
    low, high, step = dimension.low or 0.0, dimension.high or 0.0, dimension.step
    if dimension.kind == "float":
        return FloatDistribution(low, high, log=dimension.log, step=step)
    return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))


def _frozen(
    trial: TrialResult,
    dimensions: Sequence[Dimension],
    spread: Mapping[str, BaseDistribution],
) -> FrozenTrial | None:
    """A trial as Optuna knows it; `None` if it has a value that the dimensions leave out."""
    from optuna.trial import create_trial

    try:
        values = {each.path: _value(each, trial.values[each.path]) for each in dimensions}
        return create_trial(value=trial.value, params=values, distributions=dict(spread))
    except (KeyError, ValueError):  # of a study that was begun with other dimensions
        return None


def _value(dimension: Dimension, value: Value) -> Value:
    """A value; of choices the place, as `True` and `1` would be the same to Optuna."""
    if dimension.kind != "choice":
        return value
    known = [(type(choice), choice) for choice in dimension.choices]
    return known.index((type(value), value))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna from telling of a study that is made in passing."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    known = (
        "Argument ``normalize`` is an experimental feature",
        "PedAnovaImportanceEvaluator computes the importances of params to achieve low",
        "Target and region quantiles select the same set",  # all are as good as each other
    )
    try:
        with warnings.catch_warnings():
            for message in known:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)
