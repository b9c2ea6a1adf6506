"""The finalists of a search, trained in full and compared on rows that the search did not use."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator, Mapping
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

_VALIDATION_ROWS = (
    "there are no test rows: the validation rows, which selected the config, give optimistically "
    "biased metrics; set data.test: 0.15"
)
_NO_ROWS = (
    "there are no held-out rows on which to compare the best config with the default; set "
    "data.test: 0.15"
)


@dataclass(frozen=True)
class FinalistResults:
    """The results of the configs that were trained in full."""

    finalists: tuple[Finalist, ...]
    """Those with held-out rows, the original config first."""
    notes: tuple[str, ...]
    """Caveats, and configs that could not be trained."""


def train_finalists(
    folder: Path, configs: Mapping[Name, ConfigFile], metric: str, events: Events
) -> FinalistResults:
    """Train each config as an ordinary run `folder/NAME`, and compare it with the original one.

    Finished runs are kept, and interrupted ones resumed, see `train_child_run`. Without held-out
    rows, the original config is not trained.

    Args:
        folder: the run folder of the search, which is locked.
        configs: the configs to train; `smallest` only if it is not the best.
        metric: the metric that the search optimizes: `val_loss`, `val_accuracy`, ...
        events: receives `progress`, each finalist, and each warning once.

    Raises:
        Interrupted: if a signal has arrived; the message says how to resume the search.
        DlcliError: see `train`.
    """
    runs: dict[Name, Run] = {}
    notes: list[str] = []
    warned: set[str] = set()

    def listener(event: str, fields: dict[str, object]) -> None:
        message = str(fields.get("message"))
        if event == "warning" and message not in warned:  # finalists read the same rows
            warned.add(message)
            events.emit(event, **fields)

    for name in sorted(configs, key=["default", "best", "smallest"].index):
        data = configs[name].config.data
        if name == "default" and data.test is None and data.validation is None:
            continue
        events.emit("progress", finalist=name)
        try:
            runs[name] = train_child_run(folder, name, configs[name], listener)
        except (ConfigError, DivergenceError, OutOfMemoryError) as error:
            traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
            gc.collect()
            reason = str(error).partition("\n")[0]
            notes.append(f"the {name} config could not be trained in full: {reason}")
    compared = {name: ComparedRun.read(run) for name, run in runs.items()}
    finalists = tuple(_finalists(compared, metric))
    for finalist in finalists:
        events.emit("finalist", **finalist.model_dump(mode="json"))
        notes += _baseline_notes(finalist, compared[finalist.name])
    if any(each.split == "validation" for each in finalists):
        notes.append(_VALIDATION_ROWS)
    elif runs and not finalists:
        notes.append(_NO_ROWS)
    return FinalistResults(finalists, tuple(notes))


def _finalists(runs: Mapping[Name, ComparedRun], metric: str) -> Iterator[Finalist]:
    for name, run in runs.items():
        split = next((split for split in SPLITS if split in run.metrics), None)
        if split is None or run.held_out is None:
            continue
        stored = run.metrics[split]
        # Only metrics that are single numbers; a damaged file may hold something else.
        metrics = {key: finite_number(stored[key]) for key in stored if key in HIGHER_IS_BETTER}
        compared_by = finalist_metric(metric, run.file.config.metrics or (), metrics)
        gain = None
        if name != "default":
            gain = _difference(runs.get("default"), run, split, compared_by)
        yield Finalist(
            name=name,
            run=name,
            split="test" if split == "test" else "validation",
            metrics=metrics,
            parameters=_count_parameters(run),
            epochs=max(map(len, run.history.values()), default=0),
            metric=compared_by,
            gain=None if gain is None else _interval(gain),
            verdict=None if gain is None else gain.verdict,
        )


def finalist_metric(
    metric: str, named: tuple[str, ...], metrics: Mapping[str, float | None]
) -> str | None:
    """Return the metric by which finalists are compared.

    Args:
        metric: the metric that the search optimizes. `val_accuracy` is compared by accuracy;
            `val_loss`, which finished runs do not store, by the main metric.
        named: the metrics that the config names.
        metrics: those of the held-out rows.
    """
    name = metric.removeprefix("val_")
    return name if metrics.get(name) is not None else main_metric(named, metrics)


def _difference(
    default: ComparedRun | None, run: ComparedRun, split: str, metric: str | None
) -> DifferenceEstimate:
    """Return the metric minus that of the original config on the same rows."""
    if default is None or default.held_out is None:
        return DifferenceEstimate(None, reason="the default config could not be trained")
    if metric is None:
        return DifferenceEstimate(None, reason="no metric is defined")
    rows = default.rows_of(split), run.rows_of(split)
    pairs = pair_rows(default, run, split, rows)
    if not isinstance(pairs, Pairs):
        return DifferenceEstimate(None, reason=pairs.reason)
    found = estimate_differences(pairs.first, pairs.second, paired=True, only=[metric])
    return found.get(metric) or DifferenceEstimate(None, reason=f"{metric} is undefined")


def _interval(found: DifferenceEstimate) -> Interval:
    return Interval(value=found.value, lower=found.lower, upper=found.upper, reason=found.reason)


def _count_parameters(run: ComparedRun) -> int:
    config = run.file.config
    layout = Encoding.model_validate_json(run.run.read_encoding()).layout
    weights = build_network(layout, config.hidden, config.output).weights
    return sum(weight.size for weight in weights if weight.trainable)


def _baseline_notes(finalist: Finalist, run: ComparedRun) -> Iterator[str]:
    """Yield a note if the best network is no better than simpler models."""
    if finalist.name != "best" or finalist.metric is None:
        return
    simple = {name: found.get(finalist.split, {}) for name, found in run.baselines.items()}
    names = compare_to_baselines(finalist.metric, finalist.metrics, simple).unbeaten
    if names:
        values = {"the best network": finalist.metrics} | {name: simple[name] for name in names}
        listed = [f"{name} {values[name][finalist.metric]:.4g}" for name in values]
        yield (
            f"the best network is no better than {' and '.join(names)} by {finalist.metric} of "
            f"{finalist.split} rows: {', '.join(listed)}"
        )
