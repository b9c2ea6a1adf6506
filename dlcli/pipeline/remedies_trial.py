"""Patches tried: each trained as a run of its own, and compared on validation rows."""

from __future__ import annotations

import gc
import os
import shlex
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, zip_longest
from pathlib import Path

from dlcli.comparison import ComparedRun, Pairs, estimate_differences, pair_rows
from dlcli.diagnosis import Finding, Patch, read_config
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError, UsageError
from dlcli.metrics import HIGHER_IS_BETTER, DifferenceEstimate, finite_number
from dlcli.pipeline.events import Listener
from dlcli.pipeline.run_recording import check_data
from dlcli.pipeline.train_run import train
from dlcli.runs import Run

MOST = 6
"""Patches that are tried."""
SPLIT = "validation"
"""The rows that judge. Test rows must not: of several patches the best on some rows is best partly
by chance, so that rows that have chosen are no test any more."""
_USUAL = ("rmse", "log_loss", "accuracy")
"""The metric that tells whether a patch has helped, the first of these that a target has. Of
classes the log loss says more of the same rows than the share of right ones."""


@dataclass(frozen=True)
class Trial:
    """A patch, and what came of it."""

    rule: str
    """The rule that has proposed it."""
    patch: Patch
    run: Path | None = None
    """What was trained; `None` if it failed."""
    metric: str | None = None
    """What tells whether it has helped."""
    before: float | None = None
    """The metric of the run that is diagnosed; `None` if that has diverged."""
    after: float | None = None
    difference: DifferenceEstimate | None = None
    """The difference, with its interval; `None` where the two can't be compared."""
    converged: bool = False
    """Whether it has trained what diverged before, so that there is nothing to compare with."""
    rescued: bool = False
    """Whether it has, and beats the model that always gives the same answer."""
    problem: str | None = None
    """Why it failed, or can't be compared."""

    @property
    def helped(self) -> bool:
        """Whether it did better, by more than noise."""
        return self.rescued or (self.difference is not None and self.difference.verdict == "better")

    @property
    def gain(self) -> float:
        """How much it helped: the part of the metric before by which it changed.

        Of what diverged before it is the metric itself, its sign such that more is better.
        """
        if self.rescued and self.metric is not None and self.after is not None:
            return self.after if HIGHER_IS_BETTER[self.metric] else -self.after
        if self.difference is None or self.difference.value is None or not self.before:
            return 0.0
        return abs(self.difference.value / self.before)


def choose_patches(findings: Sequence[Finding], most: int = MOST) -> list[tuple[str, Patch]]:
    """The patches to try, each with its rule: the first of every finding, then the second ones.

    What changes the data, such as which rows validate, is left out: it can't be judged by the same
    rows.

    Args:
        findings: the most important first.
        most: how many.
    """
    rounds = zip_longest(*([(each.rule, patch) for patch in each.patches] for each in findings))
    chosen = {
        patch.settings: (rule, patch)
        for rule, patch in reversed([pair for pair in chain(*rounds) if pair is not None])
        if not any(path.startswith("data.") for path, _ in patch.settings)
    }
    return list(reversed(chosen.values()))[:most]


def try_patches(
    run: Run,
    patches: Sequence[tuple[str, Patch]],
    listener: Listener = lambda *_: None,
    begins: Callable[[int, Patch], None] = lambda *_: None,
) -> Iterator[Trial]:
    """Trains patches and yields what came of each, so that an interruption leaves the finished.

    The runs are made in a folder beside the run, so that none of them is the latest of `runs/`.

    Args:
        run: the run that was diagnosed.
        patches: each with the rule that has proposed it.
        listener: is told what happens in each training.
        begins: is told the place, from 1, and the patch before each training.

    Raises:
        UsageError: if the run has no validation rows.
        RunError: if its data have changed since, or it is damaged.
        DlcliError: of the kind that fits, for what no patch can change: data that are gone.
    """
    file = read_config(run)
    if not file.config.data.has_validation:
        config = shlex.quote(str(run.path / "resolved.yaml"))
        learns = file.config.data.train_on_validation
        setting = "data.train_on_validation=false" if learns else "data.validation=0.2"
        raise UsageError(
            f"{run.path}: has no validation rows, by which patches could be judged; train it with "
            f"some: dlcli train {config} --set {setting}"
        )
    check_data(run, file)
    before = ComparedRun.read(run) if run.has("metrics.json") else None
    for place, (rule, patch) in enumerate(patches, start=1):
        begins(place, patch)
        yield _tried(run, before, Trial(rule, patch), listener)


def winner(trials: Sequence[Trial]) -> Trial | None:
    """The one that has helped most, if any has; of those that don't diverge any more the best."""
    helped = [trial for trial in trials if trial.helped]
    return max(helped, key=lambda trial: trial.gain, default=None)


def _tried(run: Run, before: ComparedRun | None, trial: Trial, listener: Listener) -> Trial:
    try:
        file = read_config(run, trial.patch.overrides)
        made = train(file, _free_folder(run, trial.patch), listener)
    except (ConfigError, DivergenceError, OutOfMemoryError) as error:
        traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
        gc.collect()
        return replace(trial, problem=str(error).partition("\n")[0])
    return _judged(before, ComparedRun.read(made), trial)


def _free_folder(run: Run, patch: Patch) -> Path:
    """The first that isn't there: `NAME-tries/dropout`, `NAME-tries/dropout-2`, ..."""
    folder = run.path.parent / f"{run.path.resolve().name}-tries"
    names = chain([patch.name], (f"{patch.name}-{number}" for number in count(2)))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def _judged(before: ComparedRun | None, after: ComparedRun, trial: Trial) -> Trial:
    scores = after.metrics.get(SPLIT, {})
    wanted = [*([trial.patch.metric] if trial.patch.metric else []), *_USUAL]
    metric = next((name for name in wanted if finite_number(scores.get(name)) is not None), None)
    judged = replace(trial, run=after.run.path, metric=metric)
    if metric is None:
        return replace(judged, problem="its metrics are undefined")
    judged = replace(judged, after=finite_number(scores.get(metric)))
    if before is None:
        return _rescued(after, judged, metric)
    judged = replace(judged, before=finite_number(before.metrics.get(SPLIT, {}).get(metric)))
    return _compared(before, after, judged, metric)


def _rescued(after: ComparedRun, trial: Trial, metric: str) -> Trial:
    """What no longer diverges may still have come near it: it must beat the simplest model."""
    constant = finite_number(after.baselines.get("constant", {}).get(SPLIT, {}).get(metric))
    if constant is None or trial.after is None:
        problem = "doesn't diverge any more, but there is no baseline to judge it by"
        return replace(trial, converged=True, problem=problem)
    higher = HIGHER_IS_BETTER[metric]
    if trial.after > constant if higher else trial.after < constant:
        return replace(trial, converged=True, rescued=True)
    problem = "doesn't diverge any more, but no better than always the same answer"
    return replace(trial, converged=True, problem=problem)


def _compared(before: ComparedRun, after: ComparedRun, trial: Trial, metric: str) -> Trial:
    if before.held_out is None or after.held_out is None:
        return replace(trial, problem="the run has no predictions to compare with")
    rows = before.rows_of(SPLIT), after.rows_of(SPLIT)
    pairs = pair_rows(before, after, SPLIT, rows)
    if not isinstance(pairs, Pairs):
        return replace(trial, problem=pairs.reason)
    found = estimate_differences(pairs.first, pairs.second, paired=True, only=[metric])
    difference = found.get(metric)
    if difference is None:
        return replace(trial, problem=f"{metric} is undefined")
    return replace(trial, difference=difference, problem=difference.reason)
