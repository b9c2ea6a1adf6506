"""The runs of a folder: what each one predicts, how well, and whether it is finished."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dlcli.config.data_section import SPLITS
from dlcli.errors import DlcliError, RunError
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.statistic import finite_number
from dlcli.runs import manifest
from dlcli.runs.manifest import Manifest, RunFile
from dlcli.runs.run import Run, read_resolved
from dlcli.runs.run_folder import entries_of, is_run_folder

State = Literal["finished", "diverged", "running", "unfinished", "damaged"]


@dataclass(frozen=True)
class ListedRun:
    """A run, as far as its files tell."""

    path: Path
    state: State
    kind: str
    """`train`, `cv` or `tune`."""
    time: datetime
    """When it was finished, or when an unfinished run was last written to, in UTC."""
    target: tuple[str, ...] = ()
    """The columns that it predicts; empty if they are unknown."""
    rows: str = ""
    """The rows of the metrics: `test`, `validation`, `out-of-fold` or `training`; empty if there
    are no metrics."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The metrics of these rows that are one number."""
    headlines: tuple[str, ...] = ()
    """The metrics that summarize the result."""
    note: str = ""
    """How to resume an unfinished run, the process of a running one, or what is damaged."""

    def to_document(self) -> dict[str, object]:
        """Return the run for JSON."""
        return {
            **vars(self),
            "path": str(self.path),
            "time": self.time.isoformat(timespec="seconds"),
        }


def list_runs(folder: Path) -> list[ListedRun]:
    """Return the runs directly below a folder, the most recent first.

    Only small files are read, and they are not compared with their checksums.

    Args:
        folder: the folder of run folders.
    """
    paths = (path for path in entries_of(folder) if not path.is_symlink() and is_run_folder(path))
    return sorted(map(_listed, paths), key=lambda run: (run.time, run.path.name), reverse=True)


def best_first(runs: Sequence[ListedRun], metric: str) -> list[ListedRun]:
    """Return the runs that have a metric, the best first.

    Args:
        runs: the runs.
        metric: the name of a metric.
    """
    sign = -1 if METRICS[metric].higher_is_better else 1
    scored = [(sign * run.metrics[metric], run) for run in runs if metric in run.metrics]
    return [run for _, run in sorted(scored, key=lambda pair: pair[0])]


def check_removable(path: Path) -> None:
    """Check that a folder is a run that no process is training, alone or as part of another run.

    A file `manifest.json` is not enough, because other programs also write files of this name.

    Raises:
        RunError: if it is not.
    """
    is_begun = all(os.path.lexists(path / name) for name in manifest.ORIGIN)
    if path.is_symlink() or not is_run_folder(path) or not is_begun:
        raise RunError(f"{path}: is not a run folder, so it is not removed")
    for folder in (path, path.absolute().parent):
        if holder := manifest.holder_of(folder):
            raise RunError(f"{path}: process {holder} is training it, so it is not removed")


def remove_run(path: Path) -> None:
    """Remove a run folder with all files.

    It is renamed first, so an interrupted removal leaves no damaged run under its name.

    Args:
        path: the folder, see `check_removable`.

    Raises:
        OSError: if it can't be removed.
    """
    removed = path.with_name(f".{path.name}-{secrets.token_hex(4)}.removed")
    path.rename(removed)
    shutil.rmtree(removed)


def _listed(path: Path) -> ListedRun:
    changed = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    try:
        if not os.path.lexists(path / manifest.MANIFEST):
            return _unfinished(path, changed)
        return _finished(Run(path, Manifest.of(path)))
    except DlcliError as error:
        note = str(error).removeprefix(f"{path}: ")
        return ListedRun(path, "damaged", "train", changed, note=note)


def _unfinished(path: Path, changed: datetime) -> ListedRun:
    holder = manifest.holder_of(path)
    state: State = "running" if holder else "unfinished"
    note = f"process {holder}" if holder else f"resume with: {manifest.resume_command(path)}"
    config = read_resolved(path / RunFile.RESOLVED, path).config
    kind = manifest.kind_of_unfinished(path)
    return ListedRun(path, state, kind, changed, config.data.target.columns, note=note)


def _finished(run: Run) -> ListedRun:
    if run.is_diverged:
        target = run.config.data.target.columns
        return ListedRun(run.path, "diverged", "train", run.created, target)
    target, rows, metrics, headlines = _RESULTS[run.kind](run)
    numbers = dict(_numbers(metrics))
    shown = tuple(name for name in headlines if name in numbers)
    return ListedRun(
        run.path, "finished", run.kind, run.created, target, rows if numbers else "", numbers, shown
    )


_Result = tuple[tuple[str, ...], str, Mapping[str, object], tuple[str, ...]]
"""The target, the rows, their metrics, and the metrics that summarize them."""


def _training(run: Run) -> _Result:
    task = run.encoding.task
    split = next((each for each in SPLITS if each in run.metrics), "train")
    metrics = run.metrics.get(split, {})
    # Without an ensemble, the adjective needs no config, which takes most of the time to read.
    is_plain = split == "test" or not run.has(RunFile.ENSEMBLE)
    rows = {"train": "training"}.get(split, split) if is_plain else run.config.adjective(split)
    return task.columns, rows, metrics, task.headlines((), metrics)


def _cross_validation(run: Run) -> _Result:
    found = run.cross_validation
    metrics = {name: each.value for name, each in found.pooled.items()}
    main = () if found.main_metric is None else (found.main_metric,)
    return found.target, "out-of-fold", metrics, main


def _search(run: Run) -> _Result:
    found, target = run.search, run.config.data.target.columns
    best = next((trial for trial in found.trials if trial.number == found.best), None)
    name = found.metric.removeprefix("val_")
    metrics = {} if best is None else {**best.metrics, name: best.value}
    return target, "validation" if found.folds is None else "out-of-fold", metrics, (name,)


_RESULTS = {"train": _training, "cv": _cross_validation, "tune": _search}


def _numbers(metrics: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield the metrics that are a number, without counts by class and the like."""
    for name, value in metrics.items():
        number = finite_number(value) if name in (*METRICS, "loss") else None
        if number is not None:
            yield name, number
