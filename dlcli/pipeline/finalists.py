"""The finalists of a search, trained in full and compared on rows that the search did not use."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlcli.comparison import SPLITS, ComparedRun, Pairs, estimate_differences, pair_rows
from dlcli.config import ConfigFile
from dlcli.encoding import Encoding
from dlcli.errors import ConfigError, DivergenceError, OutOfMemoryError
from dlcli.metrics import (
    HIGHER_IS_BETTER,
    DifferenceEstimate,
    compare_to_baselines,
    finite_number,
    main_metric,
)
from dlcli.network import build_network
from dlcli.pipeline.cv_document import Interval
from dlcli.pipeline.events import Events
from dlcli.pipeline.search_document import Finalist
from dlcli.pipeline.train_run import train_child_run
from dlcli.runs import Run

Name = Literal["default", "best", "smallest"]

_BY_VALIDATION = (
    "there are no test rows: validation rows have chosen the config, and flatter it; set "
    "data.test: 0.15"
)
_BY_NOTHING = (
    "there are no test rows by which the config that was found and the one as given could be "
    "judged; set data.test: 0.15"
)


@dataclass(frozen=True)
class Finals:
    """What came of training in full."""

    finalists: tuple[Finalist, ...]
    """Those that there are rows to judge by, the config as given first."""
    notes: tuple[str, ...]
    """What to bear in mind, and which could not be trained."""


def train_finalists(
    folder: Path,
    configs: Mapping[Name, ConfigFile],
    metric: str,
    events: Events,
    begins: Callable[[Name], None] = lambda _: None,
) -> Finals:
    """Trains each config as an ordinary run `folder/NAME`, and compares it with the default one.

    What an earlier process has finished is kept, and what it has begun goes on, see
    `train_child_run`. Without any rows to judge by, the default config is not trained.

    Args:
        folder: the search's own, which is held.
        configs: what to train, as found in the folder; `smallest` only if it isn't the best.
        metric: what the search is after: `val_loss`, `val_accuracy`, ...
        events: are told of each that is judged, and of warnings, each once.
        begins: is told the name before each training.

    Raises:
        Interrupted: if a signal has come; its message says how the search goes on.
        DlcliError: of the kind that fits.
    """
    runs: dict[Name, Run] = {}
    notes: list[str] = []
    listener = _Warnings(events)
    for name in sorted(configs, key=["default", "best", "smallest"].index):
        if name == "default" and not _has_rows(configs[name]):
            continue
        begins(name)
        try:
            runs[name] = train_child_run(folder, name, configs[name], listener)
        except (ConfigError, DivergenceError, OutOfMemoryError) as error:
            traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
            gc.collect()
            reason = str(error).partition("\n")[0]
            notes.append(f"the {name} config could not be trained in full: {reason}")
    subjects = {name: ComparedRun.read(run) for name, run in runs.items()}
    finalists = tuple(_judged(subjects, metric))
    for finalist in finalists:
        events.emit("finalist", **finalist.model_dump(mode="json"))
        notes += _about_baselines(finalist, subjects[finalist.name])
    return Finals(finalists, (*notes, *_about_rows(finalists, runs)))


class _Warnings:
    """Tells of warnings alone, and of each once: the finalists read the same rows."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told: set[str] = set()

    def __call__(self, event: str, fields: dict[str, object]) -> None:
        message = str(fields.get("message"))
        if event == "warning" and message not in self._told:
            self._told.add(message)
            self._events.emit(event, **fields)


def _has_rows(file: ConfigFile) -> bool:
    data = file.config.data
    return data.test is not None or data.validation is not None


def _judged(subjects: Mapping[Name, ComparedRun], metric: str) -> Iterator[Finalist]:
    """Yields what rows say of each that took no part in training, if there are any."""
    for name, subject in subjects.items():
        split = next((split for split in SPLITS if split in subject.metrics), None)
        if split is not None and subject.held_out is not None:
            yield _finalist(name, subject, split, metric, subjects.get("default"))


def _finalist(
    name: Name, subject: ComparedRun, split: str, metric: str, default: ComparedRun | None
) -> Finalist:
    scores = _numbers(subject.metrics[split])
    main = judging_metric(metric, subject.file.config.metrics or (), scores)
    difference = None if name == "default" else _difference(default, subject, split, main)
    return Finalist(
        name=name,
        run=name,
        split="test" if split == "test" else "validation",
        metrics=scores,
        parameters=_parameters(subject),
        epochs=max(map(len, subject.history.values()), default=0),
        metric=main,
        gain=None if difference is None else _interval(difference),
        verdict=None if difference is None else difference.verdict,
    )


def _interval(found: DifferenceEstimate) -> Interval:
    return Interval(value=found.value, lower=found.lower, upper=found.upper, reason=found.reason)


def judging_metric(
    metric: str, named: tuple[str, ...], scores: Mapping[str, float | None]
) -> str | None:
    """The metric of finished runs that stands for what a search is after.

    Args:
        metric: what it is after: `val_accuracy` is judged by accuracy; `val_loss`, which has no
            value for a finished run, by the main metric.
        named: the metrics that the config names.
        scores: of the rows that judge.
    """
    bare = metric.removeprefix("val_")
    return bare if scores.get(bare) is not None else main_metric(named, scores)


def _difference(
    default: ComparedRun | None, subject: ComparedRun, split: str, metric: str | None
) -> DifferenceEstimate:
    """The metric less that of the default config, on the same rows."""
    if default is None or default.held_out is None:
        return DifferenceEstimate(None, reason="the default config could not be trained")
    if metric is None:
        return DifferenceEstimate(None, reason="no metric is defined")
    rows = default.rows_of(split), subject.rows_of(split)
    pairs = pair_rows(default, subject, split, rows)
    if not isinstance(pairs, Pairs):
        return DifferenceEstimate(None, reason=pairs.reason)
    found = estimate_differences(pairs.first, pairs.second, paired=True, only=[metric])
    return found.get(metric) or DifferenceEstimate(None, reason=f"{metric} is undefined")


def _numbers(scores: Mapping[str, object]) -> dict[str, float | None]:
    """The metrics that are single numbers, where the file holds one."""
    return {name: finite_number(scores[name]) for name in scores if name in HIGHER_IS_BETTER}


def _parameters(subject: ComparedRun) -> int:
    """Numbers that are trained."""
    config = subject.file.config
    layout = Encoding.model_validate_json(subject.run.read_encoding()).layout
    weights = build_network(layout, config.hidden, config.output).weights
    return sum(weight.size for weight in weights if weight.trainable)


def _about_baselines(finalist: Finalist, subject: ComparedRun) -> Iterator[str]:
    """Yields that the best network is no better than simpler models, if so."""
    if finalist.name != "best" or finalist.metric is None:
        return
    simple = {name: found.get(finalist.split, {}) for name, found in subject.baselines.items()}
    names = compare_to_baselines(finalist.metric, finalist.metrics, simple).unbeaten
    if names:
        values = {"the best network": finalist.metrics} | {name: simple[name] for name in names}
        told = [f"{name} {values[name][finalist.metric]:.4g}" for name in values]
        yield (
            f"the best network is no better than {' and '.join(names)} by {finalist.metric} of "
            f"{finalist.split} rows: {', '.join(told)}"
        )


def _about_rows(finalists: tuple[Finalist, ...], runs: Mapping[Name, Run]) -> Iterator[str]:
    if any(each.split == "validation" for each in finalists):
        yield _BY_VALIDATION
    elif runs and not finalists:
        yield _BY_NOTHING
