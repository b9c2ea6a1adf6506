"""Try the patches of a diagnosis: train each as a run, and compare it on validation rows."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, zip_longest
from pathlib import Path

from dlcli.comparison.run_comparison import ComparedRun, estimate_difference
from dlcli.config.data_section import MEMORY
from dlcli.diagnosis.remedies import Finding, Patch
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError, UsageError
from dlcli.metrics.definitions import ACCURACY, LOG_LOSS, RMSE, is_higher_better
from dlcli.metrics.intervals import DifferenceEstimate
from dlcli.pipeline.events import Listener, ignore
from dlcli.pipeline.fit import release_memory
from dlcli.pipeline.run_recording import check_data
from dlcli.pipeline.train_run import train
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run

MOST_PATCHES = 6
"""Patches that are tried, at most."""
SPLIT = "validation"
"""The evaluation set. Not test rows: the best of several patches on some rows is best partly by
chance, and rows used for a choice are no test any more."""
_OTHER_METRICS = (RMSE, LOG_LOSS, ACCURACY)
"""Metrics to compare by if that of the diagnosis is undefined, the first that a target has."""


@dataclass(frozen=True)
class Trial:
    """A patch and its result."""

    rule: str
    """The rule that proposed it."""
    patch: Patch
    run: Path | None = None
    """The run that was trained; `None` if that failed."""
    metric: str | None = None
    """The metric to compare by."""
    before: float | None = None
    """The metric of the diagnosed run; `None` if that has diverged."""
    after: float | None = None
    difference: DifferenceEstimate | None = None
    """The difference with its confidence interval; `None` where runs can't be compared."""
    converged: bool = False
    """True if it trains what diverged before, so that there is nothing to compare with."""
    problem: str | None = None
    """Why it failed, or can't be compared."""

    @property
    def rescued(self) -> bool:
        """True if it trains what diverged before, and is better than a constant model."""
        return self.converged and self.problem is None

    @property
    def helped(self) -> bool:
        """True if it is significantly better."""
        return self.rescued or (self.difference is not None and self.difference.verdict == "better")

    @property
    def gain(self) -> float:
        """The relative change of the metric, for comparing trials.

        Of what diverged before it is the metric itself, signed such that more is better.
        """
        if self.rescued and self.metric is not None and self.after is not None:
            return self.after if is_higher_better(self.metric) else -self.after
        if self.difference is None or self.difference.value is None or not self.before:
            return 0.0
        return abs(self.difference.value / self.before)


def choose_patches(
    findings: Sequence[Finding], most: int = MOST_PATCHES
) -> list[tuple[str, Patch]]:
    """Return the patches to try, each with its rule: the first of every finding, then the second.

    Those that change the data, such as which rows validate, are omitted: they can't be compared on
    the same rows.

    Args:
        findings: the most important first.
        most: how many patches.
    """
    ranked = zip_longest(*([(each.rule, patch) for patch in each.patches] for each in findings))
    chosen = {
        patch.settings: (rule, patch)
        for rule, patch in reversed([pair for pair in chain(*ranked) if pair is not None])
        if not any(path.startswith("data.") for path, _ in patch.settings)
    }
    return list(reversed(chosen.values()))[:most]


def try_patches(
    run: Run,
    patches: Sequence[tuple[str, Patch]],
    listener: Listener = ignore,
    on_begin: Callable[[int, Patch], None] = lambda *_: None,
) -> Iterator[Trial]:
    """Train each patch and yield its result, so that finished ones survive an interruption.

    The runs go to a folder next to the run, so that none of them is the latest of `runs/`.

    Args:
        run: the diagnosed run.
        patches: each with the rule that proposed it.
        listener: receives the events of each training.
        on_begin: is called before each training with its number from 1 and the patch.

    Raises:
        UsageError: if the run has no validation rows, or nothing can be written next to it.
        RunError: if its data have changed since, or it is damaged.
        DlcliError: for what no patch can change, such as missing data.
    """
    file = run.config_file
    if MEMORY in (file.config.data.train, file.config.data.validation, file.config.data.test):
        raise UsageError(
            f"{run.path}: was trained on a table in memory, so that no command can try "
            "suggestions; in Python: dlcli.train(config, data=table, overrides=...)"
        )
    if not file.config.has_validation:
        config = shlex.quote(str(run.path / RunFile.RESOLVED))
        trains_on_all = file.config.data.train_on_validation
        setting = "data.train_on_validation=false" if trains_on_all else "data.validation=0.2"
        raise UsageError(
            f"{run.path}: has no validation rows to compare patches on; train it with some: "
            f"dlcli train {config} --set {setting}"
        )
    check_data(run, file)
    folder = _folder_of_trials(run)
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise UsageError(
            f"{folder}: can't be written, where suggestions are trained; copy {run.path} to "
            "another folder and try those of the copy"
        )
    before = ComparedRun.of(run) if run.has(RunFile.METRICS) else None
    for number, (rule, patch) in enumerate(patches, start=1):
        on_begin(number, patch)
        trial = Trial(rule, patch)
        try:
            patched = run.changed_config(patch.overrides)
            after = ComparedRun.of(train(patched, _free_folder(run, patch), listener))
        except (ConfigError, DivergenceError, OutOfMemoryError) as error:
            yield replace(trial, problem=release_memory(error))
        else:
            yield _evaluate(before, after, trial)


def winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that helped most; `None` if none has helped."""
    helped = [trial for trial in trials if trial.helped]
    return max(helped, key=lambda trial: trial.gain, default=None)


def _folder_of_trials(run: Run) -> Path:
    return run.path.parent / f"{run.path.resolve().name}-tries"


def _free_folder(run: Run, patch: Patch) -> Path:
    """Return the first that does not exist of `NAME-tries/dropout`, `NAME-tries/dropout-2`, ..."""
    folder = _folder_of_trials(run)
    names = chain([patch.name], (f"{patch.name}-{number}" for number in count(2)))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def _evaluate(before: ComparedRun | None, after: ComparedRun, trial: Trial) -> Trial:
    """Compare the run of a patch with the diagnosed one."""
    metrics, usual = after.metrics.get(SPLIT, {}), (before or after).run.config
    others = (after.run.task.comparison_metric(usual), *_OTHER_METRICS)
    wanted = (trial.patch.metric, *(each.name for each in others))
    metric = next((name for name in wanted if name and metrics.get(name) is not None), None)
    trial = replace(trial, run=after.run.path, metric=metric)
    if metric is None:
        return replace(trial, problem="its metrics are undefined")
    trial = replace(trial, after=metrics.get(metric))
    if before is None:
        return replace(trial, converged=True, problem=_problem_with_constant(after.run))
    trial = replace(trial, before=before.metrics.get(SPLIT, {}).get(metric))
    if before.run.predictions is None or after.run.predictions is None:
        return replace(trial, problem="the run has no predictions to compare with")
    difference = estimate_difference(before, after, SPLIT, metric)
    if difference.value is None and difference.reason is not None:
        return replace(trial, problem=difference.reason)
    return replace(trial, difference=difference, problem=difference.reason)


def _problem_with_constant(run: Run) -> str | None:
    """Compare with a constant model: what no longer diverges may still have come close to it."""
    found = run.verdicts.on(SPLIT).get("constant")
    if found is None or found.verdict == "unknown":
        return "does not diverge anymore, but there is no baseline to compare with"
    if found.verdict != "better":
        return "does not diverge anymore, but is no better than a constant model"
    return None
