"""Train new runs from a run: to reproduce it, to distill it, or to try patches of its diagnosis."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np

from dlcli.columns.scaling import Log1p
from dlcli.comparison import ComparedRun, estimate_differences
from dlcli.config.config_file import (
    ConfigFile,
    Overrides,
    Tables,
    load_config_of_run,
    make_config,
    relative_path,
)
from dlcli.config.config_schema import Config, Distill
from dlcli.config.data_section import MEMORY, MEMORY_ARGUMENTS, SPLITS, SourceKey
from dlcli.config.training_choices import CategoricalCrossentropy, SparseCategoricalCrossentropy
from dlcli.diagnosis import remedies
from dlcli.diagnosis.remedies import Finding, Patch
from dlcli.errors import (
    ConfigError,
    DivergenceError,
    OutOfMemoryError,
    UsageError,
    listed,
    option,
    plural,
    printable,
    truncate,
)
from dlcli.metrics.definitions import ACCURACY, LOG_LOSS, RMSE, is_higher_better
from dlcli.metrics.intervals import DifferenceEstimate
from dlcli.metrics.statistic import finite
from dlcli.pipeline.distillation import require_teacher
from dlcli.pipeline.events import Events, Listener, ReproductionResultEvent, ignore
from dlcli.pipeline.fit import release_memory
from dlcli.pipeline.preparation import data_fingerprints
from dlcli.pipeline.run_recording import EXACT, check_data, environment_changes, moved_config
from dlcli.pipeline.train_run import train
from dlcli.runs.environment import content_id, data_entries
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run

_SUFFIX = "-reproduced"
_NO_CAUSE = (
    "no known cause has changed: on a GPU, the order of floating-point additions may vary; on a "
    "CPU this is a bug in dlcli"
)
VALIDATION_SHARE = 0.15
"""Share of the training rows that a distilled network is validated on."""
MOST_PATCHES = 12
"""Maximum number of patches that are tried."""
_OF_FEW_ROWS = ("overfitting", "no_better_than_linear", "no_better_than_constant")
"""Rules whose patches help less reliably than averaging, because too few rows cause the problem."""
AVERAGING, GENERAL = "averaging", "general"
"""Names, in place of a rule, of patches that no rule suggests."""
_MOST_PATHS = 5
"""Maximum number of differing keys that a message lists."""
SPLIT = "validation"
"""The evaluation set. Test rows are not used, because rows that select the best of several patches
no longer give an unbiased result."""
_OTHER_METRICS = (RMSE, LOG_LOSS, ACCURACY)
"""Metrics for the comparison if the diagnosis has none; the first that fits the target is used."""


# Reproduction


@dataclass(frozen=True)
class ReproducedPart:
    """The comparison of one part of two runs."""

    part: str
    """`data`, `versions`, `encoding`, `weights` or `metrics`."""
    equal: bool
    finding: str
    """The differences and their sizes, or the result that there are none."""


@dataclass(frozen=True)
class Reproduction:
    """The comparison of a run with its retrained copy."""

    original: Run
    again: Run
    parts: tuple[ReproducedPart, ...]
    causes: tuple[str, ...]
    """The likely causes of different weights; empty if they are equal."""
    metric_difference: float
    """The largest relative difference of a metric."""
    tolerance: float | None
    """The largest allowed difference; `None` if all parts must be equal."""

    @property
    def differing(self) -> tuple[str, ...]:
        """The parts that differ although they must be equal."""
        differing = tuple(part.part for part in self.parts if not part.equal)
        if self.tolerance is None:
            return differing
        far = ("metrics",) if self.metric_difference > self.tolerance else ()
        return (*(part for part in differing if part == "data"), *far)

    @property
    def event(self) -> ReproductionResultEvent:
        """The result as an event, which is also printed as JSON."""
        return ReproductionResultEvent(
            original=str(self.original.path),
            reproduced=not self.differing,
            parts={each.part: each.equal for each in self.parts},
            findings={each.part: each.finding for each in self.parts},
            causes=self.causes,
            metric_difference=finite(self.metric_difference),
            tolerance=self.tolerance,
        )


def reproduce(
    run: Run,
    output: Path | None = None,
    listener: Listener = ignore,
    tolerance: float | None = None,
    tables: Tables | None = None,
    moved: Mapping[SourceKey, Path] = MappingProxyType({}),
) -> Reproduction:
    """Retrain the resolved config of a run, and compare data, versions, weights and metrics.

    Args:
        run: a finished training.
        output: the new run folder. [default: `runs/<name>-reproduced`, ...]
        listener: receives events; a second `result` contains the comparison.
        tolerance: the largest allowed relative difference of a metric; weights and versions may
            then differ, such as on another machine. By default, everything must be equal.
        tables: the training tables, if they were in memory.
        moved: the present paths of files that were moved since, by their keys in `data`.

    Raises:
        UsageError: if a table in memory is missing, or a file with a new path was none.
        DataError: if a file is missing.
        DlcliError: see `train`.
    """
    run.require_network()
    run.require(RunFile.ENVIRONMENT, RunFile.ENCODING, RunFile.METRICS)
    file = _with_moved_files(replace(run.config_file, tables=tables or {}), moved)
    _require_tables(run, file, "reproduce")
    events, before = Events(listener), run.environment
    found = data_fingerprints(file)
    _require_files(found)
    data = _compare_data(before, {**before, "data": found})
    if not data.equal:
        events.warn(f"{data.finding}, so the weights will differ")
    again = train(file, output, listener, suffix=_SUFFIX)
    now = again.environment
    data, changes = _compare_data(before, now), environment_changes(before, now)
    weights = _compare_weights(run, again)
    metrics, difference = _compare_metrics(run.metrics, again.metrics)
    versions, encoding = _compare_versions(changes, now), _compare_encodings(run, again)
    causes = (*([] if data.equal else [data.finding]), *changes.values()) or (_NO_CAUSE,)
    reproduction = Reproduction(
        original=run,
        again=again,
        parts=(data, versions, encoding, weights, metrics),
        causes=() if weights.equal and metrics.equal else causes,
        metric_difference=difference,
        tolerance=tolerance,
    )
    events.emit(reproduction.event)
    return reproduction


def _with_moved_files(file: ConfigFile, moved: Mapping[SourceKey, Path]) -> ConfigFile:
    """Return the config of a run with the present paths of its data files.

    Raises:
        UsageError: for a key of `data` that is not a file.
    """
    for key in moved:
        if key not in file.config.data.sources:
            raise UsageError(f"{file.path}: data.{key} is not a file, so it has no new path")
    paths = {f"data.{key}": str(path.absolute()) for key, path in moved.items()}
    return load_config_of_run(file.path, paths, file.tables) if paths else file


def _require_files(found: Sequence[Mapping[str, object]]) -> None:
    """Raise `UsageError` for a data file that is missing, with the option for its new path."""
    for entry in found:
        file, key = str(entry["file"]), str(entry["key"]).removeprefix("data.")
        if "version" not in entry and content_id(entry) is None and not os.path.lexists(file):
            way_out = option(MEMORY_ARGUMENTS[cast("SourceKey", key)], "PATH")
            raise UsageError(f"{file}: no such file; if it was moved, pass its new path: {way_out}")


def _compare_data(before: Mapping[str, object], now: Mapping[str, object]) -> ReproducedPart:
    """Compare the hashes of data files, tables in memory, images, and the teacher."""
    hashes, found = _hashes(before), _hashes(now)
    names = [name for name, _ in found]
    if len(hashes) != len(found):
        finding = f"trained on {listed([name for name, _ in hashes])}, now on {listed(names)}"
        return ReproducedPart("data", False, finding)
    pairs = [
        (name, other_name)
        for (name, digest), (other_name, other) in zip(hashes, found, strict=True)
        if digest is None or digest != other
    ]
    changed = [name for _, name in pairs]
    if renamed := [each for each in pairs if each[0] != each[1]]:
        old, new = (listed([*names]) for names in zip(*renamed, strict=True))
        return ReproducedPart("data", False, f"trained on {old}, now on {new} with other content")
    if changed:
        verb = "has" if len(changed) == 1 else "have"
        return ReproducedPart("data", False, f"{listed(changed)} {verb} changed")
    versions = any(each.get("version") for each in data_entries(now))
    what = "SHA-256 or version" if versions else "SHA-256"
    return ReproducedPart("data", True, f"{listed(names)} with the same {what}")


def _hashes(environment: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return name and content of each table, column of images and teacher; `None` for a pipe."""
    files, images = data_entries(environment), environment.get("images")
    return [
        *((Path(str(each.get("file"))).name, content_id(each)) for each in files),
        *(images.items() if isinstance(images, dict) else ()),
        *((name, environment[name]) for name in ("teacher",) if name in environment),
    ]


def _compare_versions(changes: Mapping[str, str], now: Mapping[str, object]) -> ReproducedPart:
    same = ", ".join(f"{name} {now[name]}" for name in EXACT if name in now)
    finding = ", ".join(changes.values()) or same
    return ReproducedPart("versions", not changes, finding)


def _compare_encodings(run: Run, again: Run) -> ReproducedPart:
    """Compare the encodings, which are fitted before training."""
    same = run.manifest.files[RunFile.ENCODING] == again.manifest.files[RunFile.ENCODING]
    if same:
        return ReproducedPart("encoding", True, "the same statistics and categories")
    before, now = (_by_path(json.loads(each.read_text(RunFile.ENCODING))) for each in (run, again))
    changed = [path for path, value in before.items() if path in now and value != now[path]]
    absent = sorted(before.keys() ^ now.keys())
    shown = listed([printable(truncate(path, 60)) for path in (changed or absent)[:_MOST_PATHS]])
    if changed:
        return ReproducedPart("encoding", False, f"different statistics or categories in {shown}")
    finding = (
        f"only one of the runs has {shown}; another version of dlcli may have trained {run.path}"
    )
    return ReproducedPart("encoding", False, finding)


def _compare_weights(run: Run, again: Run) -> ReproducedPart:
    before, now = (each.predictor.weights for each in (run, again))
    count = sum(values.size for values in before.values())
    if run.predictor.weight_shapes != again.predictor.weight_shapes:
        return ReproducedPart("weights", False, "the networks have different arrays of weights")
    if all(values.tobytes() == now[name].tobytes() for name, values in before.items()):
        return ReproducedPart("weights", True, f"{plural(count, 'number')}, bit-identical")
    differences = {
        name: float(np.max(np.abs(values.astype(np.float64) - now[name]), initial=0.0))
        for name, values in before.items()
    }
    worst = max(differences, key=differences.__getitem__)
    finding = f"the largest difference is {differences[worst]:.2g}, in {worst}"
    return ReproducedPart("weights", False, finding)


def _compare_metrics(
    before: Mapping[str, object], now: Mapping[str, object]
) -> tuple[ReproducedPart, float]:
    """Compare the final metrics; the difference is infinite if the runs have different metrics."""
    before, now = _by_path(before), _by_path(now)
    if before.keys() != now.keys():
        return ReproducedPart("metrics", False, "the metrics have different names"), math.inf
    differences = {path: _difference(value, now[path]) for path, value in before.items()}
    worst = max(differences, key=differences.__getitem__)
    difference = differences[worst]
    count = plural(len(differences), "metric")
    if difference == 0:
        return ReproducedPart("metrics", True, f"{count}, identical"), 0.0
    split, _, metric = worst.partition(".")
    finding = f"{metric} on {split} rows has a relative difference of {difference:.2g}"
    values = before[worst], now[worst]
    if not any(isinstance(value, list) for value in values):
        finding += f": {' and '.join(map(_shown, values))}"
    return ReproducedPart("metrics", False, finding), difference


def _by_path(metrics: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return metrics by their paths: `test.accuracy`, `test.by_label.spam.auc`."""
    found: dict[str, object] = {}
    for name, value in metrics.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            found |= _by_path(value, f"{path}.")
        else:
            found[path] = value
    return found


def _difference(value: object, other: object) -> float:
    """Return the relative difference of a metric; for a confusion matrix, relative to its sum."""
    if value == other:
        return 0.0
    try:
        first, second = (np.asarray(each, dtype=np.float64) for each in (value, other))
    except (TypeError, ValueError):
        return math.inf
    if first.shape != second.shape:
        return math.inf
    with np.errstate(all="ignore"):
        size = max(np.abs(first).sum(), np.abs(second).sum())
        difference = float(np.abs(first - second).max(initial=0.0) / size)
    return difference if math.isfinite(difference) else math.inf  # one of them is undefined


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "undefined"


# Distillation


def distill(
    teacher: Run,
    output: Path | None = None,
    listener: Listener = ignore,
    overrides: Overrides = (),
    tables: Tables | None = None,
) -> Run:
    """Train one network on the out-of-fold predictions of an ensemble, see `soft_labels`.

    The network has the ensemble's config. A share of the training rows become validation rows.

    Args:
        teacher: the run of the ensemble.
        output: the new run folder. [default: `runs/<name>-distilled`, ...]
        listener: receives events.
        overrides: settings to change; paths are relative to the current folder.
        tables: the training tables, if they were in memory.

    Raises:
        UsageError: if the run has no predictions that a network can learn, or a table in memory is
            missing.
        DlcliError: see `train`.
    """
    require_teacher(teacher)
    folder = Path.cwd()  # that paths in the overrides are relative to
    config = moved_config(teacher.config_file, folder)
    if config.input.scaling_layer == "auto":  # as the ensemble has chosen it
        config = config.with_scaling_layer(teacher.predictor.config.input.scaling_multiplier)
    update: dict[str, object] = {
        "distill": Distill(teacher=relative_path(teacher.path, folder)),
        "ensemble": None,
        "data": config.data.model_copy(
            update={"validation": VALIDATION_SHARE, "train_on_validation": False}
        ),
    }
    if isinstance(config.loss, SparseCategoricalCrossentropy):  # requires classes as labels
        update["loss"] = CategoricalCrossentropy()
    file = make_config(config.model_copy(update=update), overrides, tables)
    _require_tables(teacher, file, "distill")
    return train(file, output, listener, suffix="-distilled")


def _require_tables(run: Run, file: ConfigFile, function: str) -> None:
    """Raise `UsageError` if a table in memory is missing."""
    for key in SPLITS:
        if getattr(file.config.data, key) == MEMORY and key not in file.tables:
            raise UsageError(
                f"{run.path}: data.{key} was a table in memory; call this in Python: "
                f"dlcli.{function}(run, table)"
            )


# Patches


@dataclass(frozen=True)
class Trial:
    """A patch and its result."""

    rule: str
    """The rule that suggested the patch."""
    patch: Patch
    run: Path | None = None
    """The new run; `None` if training failed."""
    metric: str | None = None
    """The compared metric."""
    before: float | None = None
    """The metric of the diagnosed run; `None` if it diverged."""
    after: float | None = None
    difference: DifferenceEstimate | None = None
    """The difference with its confidence interval; `None` if runs can't be compared."""
    worse: tuple[str, ...] = ()
    """Other metrics that are significantly worse."""
    converged: bool = False
    """True if training no longer diverges, so there is no metric to compare with."""
    problem: str | None = None
    """Why training failed, or the runs can't be compared."""

    @property
    def rescued(self) -> bool:
        """True if training no longer diverges and is better than a constant model."""
        return self.converged and self.problem is None

    @property
    def helped(self) -> bool:
        """True if the new run is significantly better."""
        return self.rescued or (self.difference is not None and self.difference.verdict == "better")

    @property
    def gain(self) -> float:
        """The relative improvement of the metric, for comparing trials.

        After a divergence, it is the metric itself, with a sign such that higher is better.
        """
        if self.rescued and self.metric is not None and self.after is not None:
            return self.after if is_higher_better(self.metric) else -self.after
        if self.difference is None or self.difference.value is None or not self.before:
            return 0.0
        return abs(self.difference.value / self.before)


def choose_patches(
    findings: Sequence[Finding], config: Config | None = None, most: int = MOST_PATCHES
) -> list[tuple[str, Patch]]:
    """Return the patches to try, each with its rule: the first of each finding, then the second.

    The most reliable patches come first: those that remove a cause, then averaging of several
    networks, then those against errors of few rows. Patches that change the data, such as the
    validation rows, are omitted, because they can't be compared on the same rows.

    Args:
        findings: the findings, the most important first.
        config: the config of the run, for averaging; `None` if it has diverged.
        most: the maximum number of patches.
    """
    ranked = zip_longest(*([(each.rule, patch) for patch in each.patches] for each in findings))
    found = [pair for pair in chain(*ranked) if pair is not None]
    averaging = None if config is None else remedies.averaging(config)
    if averaging is not None:
        found.append((AVERAGING, averaging))
    found.sort(key=lambda pair: (pair[0] in _OF_FEW_ROWS, pair[0] == AVERAGING))  # stable
    chosen = {
        patch.settings: (rule, patch)
        for rule, patch in reversed(found)
        if not any(path.startswith("data.") for path, _ in patch.settings)
    }
    return list(reversed(chosen.values()))[:most]


def more_patches(
    tried: Sequence[tuple[str, Patch]], config: Config, most: int = MOST_PATCHES
) -> list[tuple[str, Patch]]:
    """Return general patches, to try if none of the others has helped.

    Args:
        tried: the patches that were tried.
        config: the config of the run.
        most: the maximum number of patches, including those that were tried.
    """
    known = {patch.settings for _, patch in tried}
    others = [patch for patch in remedies.general(config) if patch.settings not in known]
    return [(GENERAL, patch) for patch in others][: most - len(tried)]


def try_patches(
    run: Run,
    patches: Sequence[tuple[str, Patch]],
    listener: Listener = ignore,
    on_begin: Callable[[int, Patch], None] = lambda *_: None,
) -> Iterator[Trial]:
    """Train each patch and yield its result, so finished results survive an interruption.

    The new runs are in a folder next to the run, so they never become the latest run in `runs/`.

    Args:
        run: the diagnosed run.
        patches: the patches, each with the rule that suggested it.
        listener: receives the events of each training.
        on_begin: called before each training with its number, from 1, and the patch.

    Raises:
        UsageError: if the run has no validation rows, or the folder next to it can't be written to.
        RunError: if the data have changed, or the run is damaged.
        DlcliError: for errors that no patch can fix, such as missing data.
    """
    file = run.config_file
    if MEMORY in (file.config.data.train, file.config.data.validation, file.config.data.test):
        raise UsageError(
            f"{run.path}: was trained on a table in memory, so no command can try its "
            "suggestions; in Python: dlcli.train(config, data=table, overrides=...)"
        )
    if not file.config.has_validation:
        config = shlex.quote(str(run.path / RunFile.RESOLVED))
        trains_on_all = file.config.data.train_on_validation
        setting = "data.train_on_validation=false" if trains_on_all else "data.validation=0.2"
        raise UsageError(
            f"{run.path}: has no validation rows to compare suggestions on; train again with "
            "validation rows: "
            f"dlcli train {config} --set {setting}"
        )
    check_data(run, file)
    folder = _folder_of_trials(run)
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise UsageError(
            f"{folder}: can't be written; suggestions are trained there, so copy {run.path} to "
            "another folder and use the copy"
        )
    before = ComparedRun.of(run) if run.has(RunFile.METRICS) else None
    for number, (rule, patch) in enumerate(patches, start=1):
        on_begin(number, patch)
        trial = Trial(rule, patch)
        try:
            patched = load_config_of_run(run.config_file.path, patch.overrides)
            after = ComparedRun.of(train(patched, _free_folder(run, patch), listener))
        except (ConfigError, DivergenceError, OutOfMemoryError) as error:
            yield replace(trial, problem=release_memory(error))
        else:
            yield _evaluate(before, after, trial)


def winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that helped most; `None` if none helped."""
    helped = [trial for trial in trials if trial.helped]
    return max(helped, key=lambda trial: trial.gain, default=None)


def _folder_of_trials(run: Run) -> Path:
    return run.path.parent / f"{run.path.resolve().name}-tries"


def _free_folder(run: Run, patch: Patch) -> Path:
    """Return the first free path of `NAME-tries/dropout`, `NAME-tries/dropout-2`, ..."""
    folder = _folder_of_trials(run)
    names = chain([patch.name], (f"{patch.name}-{number}" for number in count(2)))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def _evaluate(before: ComparedRun | None, after: ComparedRun, trial: Trial) -> Trial:
    """Compare the run of a patch with the diagnosed run."""
    metrics, usual = after.metrics.get(SPLIT, {}), (before or after).run.config
    task = after.run.task
    # Class weights are for rare classes, which hardly affect the log loss.
    ranks = after.run.config.class_weight is not None or task.shifts_probabilities(usual)
    # The squared error of a target with a long tail depends on few rows.
    is_logarithm = isinstance(after.run.config.output.scaling, Log1p)
    chosen = after.run.config if is_logarithm else usual
    main = task.ranking_metric if ranks else task.comparison_metric(chosen)
    wanted = (main, *_OTHER_METRICS)
    metric = next((each.name for each in wanted if metrics.get(each.name) is not None), None)
    trial = replace(trial, run=after.run.path, metric=metric)
    if metric is None:
        return replace(trial, problem="its metrics are undefined")
    trial = replace(trial, after=metrics.get(metric))
    if before is None:
        return replace(trial, converged=True, problem=_problem_with_constant(after.run))
    trial = replace(trial, before=before.metrics.get(SPLIT, {}).get(metric))
    if before.run.predictions is None or after.run.predictions is None:
        return replace(trial, problem="the run has no predictions to compare with")
    differences = estimate_differences(before, after, SPLIT, [*metrics])
    difference = differences[metric]
    worse = [name for name, each in differences.items() if each.verdict == "worse"]
    trial = replace(trial, worse=tuple(name for name in worse if name != metric))
    if difference.value is None and difference.reason is not None:
        return replace(trial, problem=difference.reason)
    return replace(trial, difference=difference, problem=difference.reason)


def _problem_with_constant(run: Run) -> str | None:
    """Compare with a constant model, because a run that barely avoids divergence may be useless."""
    found = run.verdicts.on(SPLIT).get("constant")
    if found is None or found.verdict == "unknown":
        return "no longer diverges, but there is no baseline to compare with"
    if found.verdict != "better":
        return "no longer diverges, but is not better than a constant prediction"
    return None
