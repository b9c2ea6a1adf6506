"""Reproduce a run: train its resolved config again, and compare what comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlcli.config.config_file import Tables
from dlcli.config.data_section import MEMORY
from dlcli.errors import UsageError, listed, plural
from dlcli.metrics.statistic import finite
from dlcli.pipeline.events import Events, Listener, ReproductionResultEvent, ignore
from dlcli.pipeline.preparation import data_fingerprints
from dlcli.pipeline.run_recording import EXACT, environment_changes
from dlcli.pipeline.train_run import train
from dlcli.runs.environment import content_id, data_entries
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run

_SUFFIX = "-reproduced"
_NO_CAUSE = (
    "none of what the weights are known to depend on has changed: on a GPU, sums may be added in "
    "any order; on a CPU this is a bug in dlcli"
)


@dataclass(frozen=True)
class ReproducedPart:
    """The comparison of one part of two runs."""

    part: str
    """`data`, `versions`, `encoding`, `weights` or `metrics`."""
    equal: bool
    finding: str
    """The differences and their sizes, or that there are none."""


@dataclass(frozen=True)
class Reproduction:
    """A run that was trained again."""

    original: Run
    again: Run
    parts: tuple[ReproducedPart, ...]
    causes: tuple[str, ...]
    """The likely cause of a difference of the weights; none if they are equal."""
    metric_difference: float
    """The largest relative difference of a metric."""
    tolerance: float | None
    """The largest one that is allowed; `None` if all parts must be equal."""

    @property
    def differing(self) -> tuple[str, ...]:
        """The parts that differ although they may not."""
        differing = tuple(part.part for part in self.parts if not part.equal)
        if self.tolerance is None:
            return differing
        far = ("metrics",) if self.metric_difference > self.tolerance else ()
        return (*(part for part in differing if part == "data"), *far)

    def to_document(self) -> dict[str, object]:
        """Return the result for JSON."""
        return {
            "original": str(self.original.path),
            "reproduced": not self.differing,
            "parts": {each.part: each.equal for each in self.parts},
            "findings": {each.part: each.finding for each in self.parts},
            "causes": [*self.causes],
            "metric_difference": finite(self.metric_difference),
            "tolerance": self.tolerance,
        }


def reproduce(
    run: Run,
    output: Path | None = None,
    listener: Listener = ignore,
    tolerance: float | None = None,
    tables: Tables | None = None,
) -> Reproduction:
    """Train a run's resolved config again, and compare data, versions, weights and metrics.

    Args:
        run: a finished training.
        output: the new run folder; else `runs/<name>-reproduced`, ...
        listener: receives events; a second `result` has the comparison.
        tolerance: the largest relative difference of a metric; then weights and versions may
            differ, as on another machine. By default everything must be equal.
        tables: the tables in memory that it was trained on.

    Raises:
        UsageError: for a run of a table in memory, without that.
        DlcliError: see `train`.
    """
    run.require_network()
    run.require(RunFile.ENVIRONMENT, RunFile.ENCODING, RunFile.METRICS)
    file = replace(run.config_file, tables=tables or {})
    for key in ("train", "validation", "test"):
        if getattr(file.config.data, key) == MEMORY and key not in file.tables:
            raise UsageError(
                f"{run.path}: data.{key} was a table in memory; reproduce it in Python, by "
                "dlcli.reproduce(run, table)"
            )
    events, before = Events(listener), run.environment
    data = _compare_data(before, {**before, "data": data_fingerprints(file)})
    if not data.equal:
        events.warn(f"{data.finding}, so that the weights will differ")
    again = train(file, output, listener, suffix=_SUFFIX)
    now = again.environment
    data, changes = _compare_data(before, now), environment_changes(before, now)
    weights = _compare_weights(run, again)
    metrics, difference = _compare_metrics(run.metrics, again.metrics)
    causes = (*([] if data.equal else [data.finding]), *changes.values()) or (_NO_CAUSE,)
    reproduction = Reproduction(
        original=run,
        again=again,
        parts=(
            data,
            _compare_versions(changes, now),
            _compare_encodings(run, again),
            weights,
            metrics,
        ),
        causes=() if weights.equal and metrics.equal else causes,
        metric_difference=difference,
        tolerance=tolerance,
    )
    events.emit(
        ReproductionResultEvent(
            original=str(run.path),
            reproduced=not reproduction.differing,
            parts={each.part: each.equal for each in reproduction.parts},
            findings={each.part: each.finding for each in reproduction.parts},
            causes=reproduction.causes,
            metric_difference=finite(difference),
            tolerance=tolerance,
        )
    )
    return reproduction


def _compare_data(before: Mapping[str, object], now: Mapping[str, object]) -> ReproducedPart:
    """Compare the hashes of data files, of tables in memory, and of images."""
    hashes, found = _hashes(before), _hashes(now)
    names = [name for name, _ in found]
    if [name for name, _ in hashes] != names:
        finding = f"trained on {listed([name for name, _ in hashes])}, and now on {listed(names)}"
        return ReproducedPart("data", False, finding)
    pairs = zip(hashes, found, strict=True)
    changed = [name for (name, digest), (_, other) in pairs if digest is None or digest != other]
    if changed:
        verb = "has" if len(changed) == 1 else "have"
        return ReproducedPart("data", False, f"{listed(changed)} {verb} changed")
    versions = any(each.get("version") for each in data_entries(now))
    what = "SHA-256 or version" if versions else "SHA-256"
    return ReproducedPart("data", True, f"{listed(names)} with the same {what}")


def _hashes(environment: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return name and content of each table and each column of images; `None` for a pipe."""
    files, images = data_entries(environment), environment.get("images")
    return [
        *((Path(str(each.get("file"))).name, content_id(each)) for each in files),
        *(images.items() if isinstance(images, dict) else ()),
    ]


def _compare_versions(changes: Mapping[str, str], now: Mapping[str, object]) -> ReproducedPart:
    same = ", ".join(f"{name} {now[name]}" for name in EXACT if name in now)
    finding = ", ".join(changes.values()) or same
    return ReproducedPart("versions", not changes, finding)


def _compare_encodings(run: Run, again: Run) -> ReproducedPart:
    """Compare what was fitted on the training rows before training began."""
    same = run.manifest.files[RunFile.ENCODING] == again.manifest.files[RunFile.ENCODING]
    finding = (
        "the same statistics and categories" if same else "other statistics, categories or rows"
    )
    return ReproducedPart("encoding", same, finding)


def _compare_weights(run: Run, again: Run) -> ReproducedPart:
    before, now = (each.predictor.weights for each in (run, again))
    count = sum(values.size for values in before.values())
    if {name: values.shape for name, values in before.items()} != {
        name: values.shape for name, values in now.items()
    }:
        return ReproducedPart("weights", False, "the networks have other weights")
    if all(values.tobytes() == now[name].tobytes() for name, values in before.items()):
        return ReproducedPart("weights", True, f"{plural(count, 'number')}, bit-identical")
    differences = {
        name: float(np.max(np.abs(values.astype(np.float64) - now[name]), initial=0.0))
        for name, values in before.items()
    }
    worst = max(differences, key=differences.__getitem__)
    finding = f"they differ by up to {differences[worst]:.2g}, in {worst}"
    return ReproducedPart("weights", False, finding)


def _compare_metrics(
    before: Mapping[str, object], now: Mapping[str, object]
) -> tuple[ReproducedPart, float]:
    """Compare the final metrics; the difference is infinite if they have others."""
    before, now = _by_path(before), _by_path(now)
    if before.keys() != now.keys():
        return ReproducedPart("metrics", False, "there are other metrics"), math.inf
    differences = {path: _difference(value, now[path]) for path, value in before.items()}
    worst = max(differences, key=differences.__getitem__)
    difference = differences[worst]
    count = plural(len(differences), "metric")
    if difference == 0:
        return ReproducedPart("metrics", True, f"{count}, identical"), 0.0
    split, _, metric = worst.partition(".")
    finding = f"the {split} rows' {metric} differs by {difference:.2g} of its size"
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
    """Return the relative difference of a metric; of a confusion matrix, relative to its sum."""
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
