"""Events: the schema of what a run reports, and their way to a listener and to the run's log."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, dataclass_transform

from pydantic_core import to_jsonable_python

from dlcli.network.layers import LayerSummary
from dlcli.safe_files import Count

if TYPE_CHECKING:
    from dlcli.diagnosis.case import Magnitudes
    from dlcli.metrics.intervals import Estimate
    from dlcli.metrics.statistic import Metrics, Number
    from dlcli.prediction.baseline_comparison import BaselineComparison
    from dlcli.prediction.gates import GateResult
    from dlcli.runs import documents
    from dlcli.runs.run_writer import RunWriter

RESULT = "result"
"""The kind of the last event of a command that trains."""
INLINE = "inline"
"""Metadata of a field whose own fields stand in the JSON object of the event, not in one below."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Event:
    """Something that happened. Each kind of event is a frozen dataclass; its fields are the schema.

    In JSON, a field that has a default is omitted while it has this value. A field without a
    default is always there, `None` as `null`.
    """

    kind: ClassVar[str]
    """The event's name in JSON, in the log, and as the label of its lines."""
    is_logged: ClassVar[bool]
    """Whether the log and `--json` have it."""

    def __init_subclass__(cls, *, kind: str, is_logged: bool = True) -> None:
        super().__init_subclass__()
        cls.kind, cls.is_logged = kind, is_logged
        dataclass(frozen=True, kw_only=True)(cls)

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON has them."""
        written: dict[str, object] = {}
        for each in fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            value = getattr(self, each.name)
            if value == each.default:
                continue
            plain = to_jsonable_python(value, by_alias=False)
            if (names := each.metadata.get(INLINE)) is None:
                written[each.name] = plain
            else:
                written |= {name: plain[name] for name in names or plain}
        return written


def inline(*names: str) -> Any:  # noqa: ANN401  (as `dataclasses.field`)
    """Declare a field whose own fields stand in the JSON object of the event.

    Args:
        names: the fields to write; all if omitted.
    """
    return field(metadata={INLINE: names})


# Before training


class StorageEvent(Event, kind="storage"):
    """The rows are kept on disk during training."""

    folder: str
    """The folder, which is removed at the end."""


class DataEvent(Event, kind="data"):
    """The rows were read and split."""

    file: str
    """The training table."""
    rows: Mapping[str, Count]
    """The number of rows of `train`, and of `validation` and `test` if they exist."""
    split: str | None
    """The kind of split; `null` if no set is a share of the rows."""
    seed: int
    """The config's seed."""
    notes: Sequence[str]
    """Properties of the files that were detected and are not obvious."""


class TargetEvent(Event, kind="target"):
    """The target."""

    columns: Sequence[str]
    """Its columns."""
    type: str
    """`numeric`, `count`, `categorical` or `multi_label`."""
    classes: Sequence[str]
    """The classes in order; empty for other types."""
    labels: Sequence[str]
    """The labels in order; empty for other types."""
    reason: str
    """The reason for the type."""


@dataclass(frozen=True)
class TypedColumn:
    """The type of a column, inferred or declared."""

    type: str
    reason: str
    """The reason for it."""


class FeaturesEvent(Event, kind="features"):
    """The type of each column."""

    columns: Mapping[str, TypedColumn]
    """For each column its `type` and the `reason` for it."""


class NetworkEvent(Event, kind="network"):
    """The network."""

    inputs: Count
    """The width of the encoded matrix."""
    layers: Sequence[LayerSummary]
    """Each layer's `name`, `kind`, `inputs`, `units`, `parameters`, and its `activation`, `rate` or
    `column` if it has one."""
    parameters: Count
    """The number of values in all weights."""
    loss: str
    """The loss."""
    target_scaling: str | None
    """The scaling of a numeric target in the loss; `null` for classes and labels."""
    metrics: Sequence[str]
    """The metrics of each epoch."""
    members: Count | None
    """The number of networks of an ensemble; else `null`."""
    folds: Count | None
    """The number of folds that they are validated on; `null` without."""

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON has them, of each layer those that it has."""
        layers = [
            {name: value for name, value in asdict(layer).items() if value is not None}
            for layer in self.layers
        ]
        return {**super().to_json(), "layers": layers}


class EngineEvent(Event, kind="engine"):
    """The engine that trains."""

    name: str
    """`compiled` or `keras`."""
    jit_compile: bool | None = None
    """For `compiled`: whether XLA compiles the program."""


class DeviceEvent(Event, kind="device"):
    """The device."""

    device: str
    """`cpu` or `gpu`."""
    threads: Count
    """The number of CPU threads."""
    gpus: Count
    """The number of GPUs, of which one is used; 0 with `cpu`."""


class RunEvent(Event, kind="run"):
    """The run folder was created, or is resumed."""

    folder: str
    """Its path."""


class TrackingEvent(Event, kind="tracking"):
    """Events are logged to TensorBoard or MLflow from here on (`--tensorboard`, `--mlflow`)."""

    tracker: str
    """The tracker's name."""
    run_id: str | None = None
    """MLflow's identifier of the run."""
    place: str
    """Where it stores the log."""
    look: str | None = None
    """The command that shows it; only if there is one."""


class WarningEvent(Event, kind="warning"):
    """A possible problem, at any time."""

    message: str
    """What, where, and what to do about it."""
    rest: Sequence[str] = ()
    """Items that a message about many of them omits; only if it does."""
    check: str | None = None
    """The check of the table that found it, as `inspect --json` names it; only if one did."""
    columns: Sequence[str] | None = None
    """The columns that the check found it in."""


# Training


class ResumedEvent(Event, kind="resumed"):
    """Training continues after an interruption."""

    member: int | None = None
    """Which network of an ensemble, from 1; absent for one network."""
    members: int | None = None
    """Their number; absent for one network."""
    epochs: int
    """The number of epochs trained before."""


class EpochEvent(Event, kind="epoch"):
    """An epoch has ended.

    Those of members that are trained at the same time alternate in any order.
    """

    member: int | None = None
    """Which network of an ensemble, from 1; absent for one network."""
    members: int | None = None
    """Their number; absent for one network."""
    epoch: int
    """Its number, from 1."""
    of: int
    """The last one, unless training stops early."""
    values: Mapping[str, Number] = inline()
    """In JSON each is a field of the event: `loss`, the training loss, as minimized; each metric of
    the config by its name; `val_loss` and `val_<metric>` for the validation rows, if there are any;
    `learning_rate`, that of its last step."""


class ScalingLayerEvent(Event, kind="scaling_layer"):
    """The first network of an ensemble was trained with and without a scaling layer.

    This is for `scaling_layer: auto`.
    """

    kept: bool
    """`true` if the ensemble has the layer."""
    val_loss: Mapping[Literal["with", "without"], Number]
    """The validation loss of the network `with` and `without` it, of the epoch whose weights are
    kept."""
    rows: int
    """The number of its validation rows."""


class MemberEvent(Event, kind="member"):
    """A member of an ensemble is trained. These events come in the order of the members."""

    member: int
    """Its number, from 1."""
    members: int
    """The number of all."""
    epochs: int
    """Its number of epochs."""
    best_epoch: int | None
    """The epoch whose weights are kept; `null` for the last one."""


@dataclass(frozen=True)
class ClusterFigures:
    """The workers that trained together."""

    workers: Count
    rows_per_second: float
    """The rows of all of them."""
    communication_share: float
    """The share of the time, estimated from the time of one sum of the gradient."""


class TrainedEvent(Event, kind="trained"):
    """Training has ended."""

    members: Count | None = None
    """The number of networks of an ensemble; absent for one network."""
    cluster: ClusterFigures | None = None
    """In a cluster, its number of `workers`, their `rows_per_second` in all, and the
    `communication_share` of the time, estimated from the time of one sum of the gradient; else
    absent."""
    epochs: Count
    """The number of epochs; for an ensemble, the largest of its members."""
    best_epoch: Count | None
    """The epoch whose weights are kept; `null` for the last one, and for an ensemble, whose members
    each have their own."""
    seconds: float
    """The duration."""


class DivergedEvent(Event, kind="diverged"):
    """The loss or the weights became NaN or infinite, which ends training with an error."""

    magnitudes: Magnitudes = inline()
    """The sizes of the numbers that training worked with."""


class BaselinesEvent(Event, kind="baselines"):
    """The baselines were evaluated on the same rows."""

    models: Sequence[str]
    """The baselines: `constant`, which always predicts the mean (the median, if absolute errors are
    compared) or the class frequencies, and `linear`, the network without hidden layers."""
    no_linear: str | None
    """The reason why there is no linear model; `null` if there is one."""
    seconds: float
    """The duration."""


# The end


class ReportEvent(Event, kind="report"):
    """The HTML report was written."""

    page: str
    """Its path."""


class TrainingResultEvent(Event, kind=RESULT):
    """The run is complete. This is the last event."""

    run: str
    """The run folder."""
    epochs: int
    """The number of epochs."""
    metrics: Mapping[str, Metrics]
    """For each of `train`, `validation` and `test` that exists, its metrics, as in `metrics.json`;
    those of `validation` are out-of-fold if an ensemble has folds."""
    baselines: Mapping[str, Mapping[str, Metrics]]
    """The same for each of the baselines, as in `baselines.json`."""
    verdicts: BaselineComparison
    """The comparison with them on held-out rows, as in `verdicts.json`: in `differences`, for each
    baseline and set, the `metric`, the values of `network` and `baseline`, the difference `value`
    with `lower` and `upper` end of its 95 % confidence interval (or the `reason` why there is
    none), and the `verdict` `better`, `worse`, `not_significant`, `same` or `unknown`; in
    `conclusions`, for each baseline the one verdict that sentences and `dlcli diagnose` use; in
    `nearly_perfect`, the linear or constant model that leaves hardly any error, if there is one; in
    `leaks`, the columns that give the target away, with the share of its error that each alone
    removes."""
    gates: Sequence[GateResult] | None = None
    """Only if the config has gates: for each its `gate`, the `value` of the metric with the ends
    `lower` and `upper` of its interval, and `failures` in words, none if it is passed."""


class ReproductionResultEvent(Event, kind=RESULT):
    """The new run was compared with the original one."""

    original: str
    """The run folder that was to be reproduced."""
    reproduced: bool
    """Whether all parts are equal, or what may differ is within the tolerance."""
    parts: Mapping[str, bool]
    """For each of `data`, `versions`, `encoding`, `weights` and `metrics`, whether it is equal."""
    findings: Mapping[str, str]
    """For each of them, what is equal or differs, as a sentence."""
    causes: Sequence[str]
    """The probable cause of different weights; empty if weights and metrics are equal."""
    metric_difference: Number
    """The largest relative difference of a metric (of a confusion matrix, as a share of the rows);
    `null` if a metric is undefined in only one of the runs."""
    tolerance: float | None
    """The largest relative difference that is accepted; `null` if all metrics must be equal."""


# Cross-validation


class RowsEvent(Event, kind="rows"):
    """The rows were read, and the test rows set aside."""

    file: str
    """The training table."""
    rows: int
    """The number of rows that are divided into folds."""
    set_aside: int
    """The number of test rows, which are not used."""
    split: str
    """The kind of split."""
    seed: int
    """The config's seed."""
    notes: Sequence[str]
    """Properties of the files that were detected and are not obvious."""


class KeptEvent(Event, kind="kept"):
    """A cross-validation is resumed."""

    folds: int
    """The number of finished folds."""
    of: int
    """The number of folds over all repeats."""


class FoldProgressEvent(Event, kind="progress", is_logged=False):
    """A fold is trained.

    Only in Python, at the start of the fold and then at most five times a second.
    """

    done: int
    """The number of folds before it, over all repeats, which are finished."""
    epoch: int
    """The number of epochs that it was trained; of an ensemble, those of all members."""
    folds: int
    """The number of folds over all repeats."""
    of: int
    """The number of epochs at most, likewise."""


class FoldEvent(Event, kind="fold"):
    """A fold was evaluated."""

    result: documents.FoldResult = inline(
        *("repeat", "fold", "epochs", "best_epoch", "seconds", "metrics", "problem")
    )
    """Its result."""
    of: int
    """The number of folds."""
    repeats: int
    """The number of repeats."""
    metric: str | None
    """The main metric; `null` if none is defined."""


class CrossValidationResultEvent(Event, kind=RESULT):
    """The cross-validation is complete. This is the last event."""

    run: str
    """The run folder."""
    metrics: Mapping[str, Estimate]
    """For each metric its `value` over all rows (the mean over repeats) with the ends `lower` and
    `upper` of its 95 % confidence interval, or the `reason` why there is none."""
    result: documents.CrossValidation = inline(
        *("split", "folds", "repeats", "set_aside", "main_metric", "by_fold", "deviations"),
        *("constant", "best_epochs", "notes"),
    )
    """Its result."""
    gates: Sequence[GateResult] | None = None
    """Only if the config has gates: for each its `gate`, the `value` of the metric with the ends
    `lower` and `upper` of its interval, and `failures` in words, none if it is passed."""
    refit: str | None
    """The run that was trained on all rows; `null` without `--refit`."""
    refit_problem: str | None = None
    """Only if it could not be trained: why."""


# Search


class SpaceEvent(Event, kind="space"):
    """Follows `rows` if the config sets no `tune.space`, and the default is searched."""

    rows: int
    """The number of rows of the training file, by which it is chosen."""
    trials: int | None
    """The number of trials of the search; `null` if it is limited by time."""
    folds: int | None
    """The number of folds; `null` if candidates are evaluated on the `held_out` rows."""
    held_out: str
    """`validation`, or of an ensemble with folds `out-of-fold`: its training rows, each predicted
    by the members that were not trained on it."""
    space: Mapping[str, object]
    """`tune.space`, as in `resolved.yaml`."""


class EarlierEvent(Event, kind="earlier"):
    """A search is resumed, or joins a study that others have started."""

    trials: int
    """The number of finished trials."""
    of: int | None
    """The number of trials of the search; `null` if it is limited by time."""


class TrialProgressEvent(Event, kind="progress", is_logged=False):
    """A candidate is evaluated; only in Python."""

    trial: int
    """Which candidate it is, from 1."""
    of: int | None
    """The number of trials of the search; `null` if it is limited by time."""
    metric: str
    """The metric that the search optimizes."""
    best: int | None
    """The number of the best so far; `null` if there is none."""
    best_value: Number
    """Its value."""


class FinalistProgressEvent(Event, kind="progress", is_logged=False):
    """A config is trained in full, after the selection; only in Python."""

    finalist: str
    """The config: `default`, `best` or `smallest`."""


_OF_CANDIDATE = (
    *("state", "values", "value", "standard_error", "folds", "parameters", "epochs", "seconds"),
    *("worker", "problem"),
)


class DefaultEvent(Event, kind="default"):
    """The original config was evaluated like a candidate."""

    metric: str
    """The metric that the search optimizes."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """Its result; no setting was varied, so `values` is empty."""


class TrialEvent(Event, kind="trial"):
    """A candidate was evaluated."""

    number: int
    """Its number among the candidates, from 0."""
    of: int | None
    """The number of trials of the search; `null` if it is limited by time."""
    ended: int
    """The number of finished trials."""
    metric: str
    """The metric that the search optimizes."""
    of_folds: int | None
    """The number of folds; `null` without folds."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """Its result."""
    best: int | None
    """The number of the best so far; `null` if there is none."""
    best_value: Number
    """Its value."""


class FinalistEvent(Event, kind="finalist"):
    """A config was trained in full, after the selection."""

    held_out: str
    """The rows of its metrics, such as `out-of-fold`."""
    result: documents.Finalist = inline()
    """Its result."""


class NestedEvent(Event, kind="nested"):
    """With `--nested`, a search without the rows of an outer fold was evaluated on them."""

    of: int
    """The number of outer folds."""
    result: documents.NestedFold = inline()
    """Its result."""


class SearchResultEvent(Event, kind=RESULT):
    """The search is complete. This is the last event."""

    run: str
    """The run folder."""
    result: documents.Search = inline(
        *("study", "metric", "direction", "default", "importances", "finalists", "nested_value"),
        "notes",
    )
    """Its result."""
    best: documents.TrialResult | None
    """The best trial, as in `tune.json`."""
    smallest: documents.TrialResult | None
    """The trial with the fewest parameters within one standard error of the best."""
    trials: int
    """The number of candidates."""


# Listeners


Listener = Callable[[Event], None]
"""Receives each event."""


def ignore(event: Event) -> None:
    """Ignore an event: the listener of those who want none."""


class Events:
    """Passes events to a listener, and logs them as soon as there is a run folder.

    Those of several threads are passed on one at a time.

    Args:
        listener: receives each event as it happens.
    """

    def __init__(self, listener: Listener = ignore) -> None:
        self.listener = listener
        """Receives events; called directly, it gets one that is not logged."""
        self._warnings: set[str] = set()
        self._found: defaultdict[str, set[str]] = defaultdict(set)
        self._writer: RunWriter | None = None
        self._early: list[Event] = []
        self._lock = threading.RLock()

    def emit(self, event: Event) -> None:
        """Report an event."""
        with self._lock:
            self.listener(event)
            if isinstance(event, WarningEvent):
                self._warnings.add(event.message)
                if event.check:
                    self._found[event.check].update(event.columns or ())
            if not event.is_logged:
                return
            if self._writer is None:
                self._early.append(event)
            else:
                self._writer.log(event.kind, **event.to_json())

    def warn(self, message: str) -> None:
        """Report a possible problem."""
        self.emit(WarningEvent(message=message))

    def warn_once(self, event: Event) -> None:
        """Report a warning of a part of the work, such as a fold, unless it repeats one so far.

        Its message may be the same, or its check may have found all of its columns before: in the
        folds of a table, the same problem is seen in other numbers of rows. Other events are
        ignored, so that this can be the listener of that part.
        """
        with self._lock:
            if isinstance(event, WarningEvent) and event.message not in self._warnings:
                found = self._found.get(event.check or "")
                if found is None or not found.issuperset(event.columns or ()):
                    self.emit(event)

    def only(self, *kinds: type[Event]) -> Events:
        """Return a reporter that passes on the events of these types alone."""
        return Events(lambda event: self.emit(event) if isinstance(event, kinds) else None)

    def log_to(self, writer: RunWriter) -> None:
        """Log all events so far to a run folder, and those to come."""
        self._writer = writer
        for event in self._early:
            writer.log(event.kind, **event.to_json())
