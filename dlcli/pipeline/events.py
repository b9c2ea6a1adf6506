"""Events: what a run reports to a listener, and writes to its log."""

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
    from dlcli.config.search_space import Value
    from dlcli.diagnosis.case import Magnitudes
    from dlcli.metrics.intervals import Estimate
    from dlcli.metrics.statistic import Metrics, Number
    from dlcli.prediction.baseline_comparison import BaselineComparison
    from dlcli.prediction.distillation_document import Distillation
    from dlcli.prediction.gates import GateResult
    from dlcli.runs import documents
    from dlcli.runs.run_writer import RunWriter

RESULT = "result"
"""The kind of the event with the result of a command that trains."""
INLINE = "inline"
"""Metadata key of a field whose own fields are written directly into the event's JSON object."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Event:
    """Something that happened. Each kind of event is a frozen dataclass; its fields are the schema.

    JSON omits a field that is equal to its default. A field without a default is always written,
    and `None` becomes `null`.
    """

    kind: ClassVar[str]
    """The name of the event in JSON and in the log, and the label of its lines."""
    is_logged: ClassVar[bool]
    """Whether the event is written to the log and printed by `--json`."""

    def __init_subclass__(cls, *, kind: str, is_logged: bool = True) -> None:
        super().__init_subclass__()
        cls.kind, cls.is_logged = kind, is_logged
        dataclass(frozen=True, kw_only=True)(cls)

    def to_json(self) -> dict[str, object]:
        """Return the fields as in JSON."""
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
    """Declare a field whose own fields are written directly into the event's JSON object.

    Args:
        names: the fields to write; all if omitted.
    """
    return field(metadata={INLINE: names})


# Before training


class StorageEvent(Event, kind="storage"):
    """The rows are stored on disk during training."""

    folder: str
    """The path of the folder, which is deleted after training."""


class DataEvent(Event, kind="data"):
    """The rows were read and split."""

    file: str
    """The training table."""
    rows: Mapping[str, Count]
    """The number of rows in `train` and, if they exist, in `validation` and `test`."""
    split: str | None
    """The kind of split, such as `random`; `null` if no set was split off the training table."""
    seed: int
    """The seed of the config."""
    notes: Sequence[str]
    """Notes on what dlcli detected in the files, such as the delimiter `;`."""


class TargetEvent(Event, kind="target"):
    """The type of the target."""

    columns: Sequence[str]
    """The target columns."""
    type: str
    """`numeric`, `count`, `categorical` or `multi_label`."""
    classes: Sequence[str]
    """The classes, in the order of their indices; empty unless `type` is `categorical`."""
    labels: Sequence[str]
    """The labels, in the order of the outputs; empty unless `type` is `multi_label`."""
    reason: str
    """The reason for the type."""


@dataclass(frozen=True)
class TypedColumn:
    """The type of a column, inferred or declared."""

    type: str
    reason: str
    """The reason for the type."""


class FeaturesEvent(Event, kind="features"):
    """The type of each column."""

    columns: Mapping[str, TypedColumn]
    """The `type` of each column, and the `reason` for it."""


class NetworkEvent(Event, kind="network"):
    """The layers, the loss and the metrics of the network."""

    inputs: Count
    """The number of inputs, which is the width of the encoded rows."""
    layers: Sequence[LayerSummary]
    """For each layer its `name` and `kind` and, where they apply, `inputs`, `units`, `parameters`,
    `activation`, `column` and `rate`."""
    parameters: Count
    """The number of parameters of a single network, including non-trainable ones."""
    loss: str
    """The name of the loss."""
    target_scaling: str | None
    """The scaling of a numeric target in the loss, such as `standard`; `null` for classes and
    labels."""
    metrics: Sequence[str]
    """The metrics that are computed in each epoch."""
    members: Count | None
    """The number of ensemble members; `null` for a single network."""
    folds: Count | None
    """The number of folds of the training rows, each of which validates some of the ensemble
    members; `null` without folds."""

    def to_json(self) -> dict[str, object]:
        """Return the fields as in JSON, without values that do not apply to a layer."""
        layers = [
            {name: value for name, value in asdict(layer).items() if value is not None}
            for layer in self.layers
        ]
        return {**super().to_json(), "layers": layers}


class EngineEvent(Event, kind="engine"):
    """The engine that trains the network."""

    name: str
    """`compiled` or `keras`."""
    jit_compile: bool | None = None
    """Whether XLA compiles the program; absent for `keras`."""


class DeviceEvent(Event, kind="device"):
    """The device that trains the network."""

    device: str
    """`cpu` or `gpu`."""
    threads: Count
    """The number of CPU threads."""
    gpus: Count
    """The number of available GPUs, of which one is used; 0 if `device` is `cpu`."""


class RunEvent(Event, kind="run"):
    """The run folder was created, or an interrupted run is resumed."""

    folder: str
    """The path of the run folder."""


class TrackingEvent(Event, kind="tracking"):
    """Logging to TensorBoard or MLflow begins (`--tensorboard`, `--mlflow`)."""

    tracker: str
    """The name of the tracker."""
    run_id: str | None = None
    """The ID of the run in MLflow; absent for TensorBoard."""
    place: str
    """The folder or the address of the tracked run."""
    look: str | None = None
    """The command that shows the tracked run; absent if `place` is a web address."""


class WarningEvent(Event, kind="warning"):
    """A possible problem. Warnings can occur at any time."""

    message: str
    """The problem, where it is and how to solve it."""
    rest: Sequence[str] = ()
    """The items that are too many for `message`; absent if `message` is complete."""
    check: str | None = None
    """The name of the data check that found the problem, as in `inspect --json`; absent for other
    warnings."""
    columns: Sequence[str] | None = None
    """The columns with the problem; absent unless a data check found it."""


# Training


class ResumedEvent(Event, kind="resumed"):
    """The training of a network is resumed after an interruption."""

    member: int | None = None
    """The number of the ensemble member, from 1; absent for a single network."""
    members: int | None = None
    """The number of ensemble members; absent for a single network."""
    epochs: int
    """The number of epochs that were trained before the interruption."""


class EpochEvent(Event, kind="epoch"):
    """An epoch has ended.

    Epochs of ensemble members that are trained at the same time are in no particular order.
    """

    member: int | None = None
    """The number of the ensemble member, from 1; absent for a single network."""
    members: int | None = None
    """The number of ensemble members; absent for a single network."""
    epoch: int
    """The number of the epoch, from 1."""
    of: int
    """The maximum number of epochs; early stopping may end training earlier."""
    values: Mapping[str, Number] = inline()
    """The following values, each of which is a field of the event in JSON: `loss` and each metric
    of the config on the training rows; `val_loss` and `val_<metric>` on the validation rows, if
    there are any; and `learning_rate` in the last step of the epoch."""


class ScalingLayerEvent(Event, kind="scaling_layer"):
    """With `scaling_layer: auto`, a network was trained with and without a scaling layer.

    This network is the first member of the ensemble.
    """

    kept: bool
    """Whether the ensemble has a scaling layer."""
    val_loss: Mapping[Literal["with", "without"], Number]
    """The validation loss `with` and `without` the layer, in the epoch whose weights are kept."""
    rows: int
    """The number of validation rows."""


class MemberEvent(Event, kind="member"):
    """The training of an ensemble member has ended.

    These events are in the order of the members.
    """

    member: int
    """The number of the member, from 1."""
    members: int
    """The number of ensemble members."""
    epochs: int
    """The number of epochs trained."""
    best_epoch: int | None
    """The epoch whose weights are kept, from 1; `null` if these are the final weights."""


@dataclass(frozen=True)
class MemberGroup:
    """The networks of an ensemble that have the same settings, one for each fold."""

    settings: Mapping[str, Value]
    """Their settings that differ from the config, by path, see `ensemble.vary`."""
    share: float
    """Their share of the mean, in [0, 1]; 0 if they are removed."""


class SelectedEvent(Event, kind="selected"):
    """The groups of networks of an ensemble were selected, see `ensemble.select`."""

    groups: tuple[MemberGroup, ...]
    """All groups in the order of their training, including removed ones."""


@dataclass(frozen=True)
class ClusterFigures:
    """The size and the speed of a cluster."""

    workers: Count
    rows_per_second: float
    """The number of rows that all workers together trained on per second."""
    communication_share: float
    """The share of the time spent on communication, estimated from the time to sum one gradient."""


class TrainedEvent(Event, kind="trained"):
    """Training has ended."""

    members: Count | None = None
    """The number of ensemble members; absent for a single network."""
    cluster: ClusterFigures | None = None
    """The cluster: the number of `workers`, their total speed in `rows_per_second`, and the
    estimated share of the time that they spent on communication, `communication_share`. Absent
    without a cluster."""
    epochs: Count
    """The number of epochs trained; for an ensemble, the maximum of its members."""
    best_epoch: Count | None
    """The epoch whose weights are kept, from 1; `null` if these are the final weights. Always
    `null` for an ensemble, whose members have different best epochs."""
    seconds: float
    """The duration in seconds."""


class DivergedEvent(Event, kind="diverged"):
    """The loss or the weights became NaN or infinite, so training ends with an error."""

    magnitudes: Magnitudes = inline()
    """The magnitudes of inputs, target and row weights."""


class BaselinesEvent(Event, kind="baselines"):
    """The baselines were evaluated on the same rows as the network."""

    models: Sequence[str]
    """The names of the baselines. `constant` predicts the class frequencies or the mean of the
    target, or its median if the compared metric is an absolute error. `linear` is the network
    without hidden layers."""
    no_linear: str | None
    """The reason why there is no linear baseline; `null` if there is one."""
    seconds: float
    """The duration in seconds."""


# The end


class ReportEvent(Event, kind="report"):
    """The HTML report was written."""

    page: str
    """The path of the report."""


class TrainingResultEvent(Event, kind=RESULT):
    """The run is complete."""

    run: str
    """The run folder."""
    epochs: int
    """The number of epochs trained; for an ensemble, the maximum of its members."""
    metrics: Mapping[str, Metrics]
    """The metrics of `train` and, if they exist, of `validation` and `test`, as in `metrics.json`.
    If an ensemble has folds, the metrics of `validation` are computed on out-of-fold rows."""
    baselines: Mapping[str, Mapping[str, Metrics]]
    """The metrics of each baseline on the same sets, as in `baselines.json`."""
    verdicts: BaselineComparison
    """The comparison with the baselines on held-out rows, as in `verdicts.json`."""
    distillation: Distillation | None = None
    """The comparison of a distilled network with its teacher, as in `distillation.json`: the number
    of test `rows`, the `differences` of their metrics on these rows, and for `network` and
    `ensemble` the number of `weights`, their size in `bytes` and the `milliseconds` of a
    prediction. Absent for other networks."""
    gates: Sequence[GateResult] | None = None
    """The result of each quality gate: its name `gate`, the `value` of the metric with the ends
    `lower` and `upper` of its 95 % confidence interval, and the `failures` as sentences; empty if
    the gate passes. Absent if the config has no gates."""


class ReproductionResultEvent(Event, kind=RESULT):
    """The new run was compared with the original run."""

    original: str
    """The folder of the original run."""
    reproduced: bool
    """Whether the run was reproduced: all parts are equal or, with a tolerance, the data are equal
    and the metrics are within the tolerance."""
    parts: Mapping[str, bool]
    """For each of `data`, `versions`, `encoding`, `weights` and `metrics`, whether it is equal."""
    findings: Mapping[str, str]
    """For each of these parts, a description of what is equal or differs."""
    causes: Sequence[str]
    """The probable causes of different weights; empty if weights and metrics are equal."""
    metric_difference: Number
    """The largest relative difference of a metric; for a confusion matrix, the largest difference
    as a share of the rows. `null` if a metric is undefined in only one of the runs."""
    tolerance: float | None
    """The maximum accepted `metric_difference`; `null` if all parts must be equal."""


# Cross-validation


class RowsEvent(Event, kind="rows"):
    """The rows were read, and the test rows were set aside."""

    file: str
    """The training table."""
    rows: int
    """The number of rows, not including the test rows."""
    set_aside: int
    """The number of test rows, which are not used."""
    split: str
    """The kind of split: `random`, `stratified`, `group` or `time`."""
    seed: int
    """The seed of the config."""
    notes: Sequence[str]
    """Notes on what dlcli detected in the files, such as the delimiter `;`."""


class KeptEvent(Event, kind="kept"):
    """A cross-validation is resumed."""

    folds: int
    """The number of finished folds over all repeats."""
    of: int
    """The number of folds over all repeats."""


class FoldProgressEvent(Event, kind="progress", is_logged=False):
    """The progress of a fold.

    This event occurs only in Python, at the start of the fold and then at most five times a second.
    """

    done: int
    """The number of folds before this one, over all repeats."""
    epoch: int
    """The number of epochs trained so far; for an ensemble, the sum over its members."""
    folds: int
    """The number of folds over all repeats."""
    of: int
    """The maximum number of epochs; for an ensemble, the sum over its members."""


class FoldEvent(Event, kind="fold"):
    """The training and evaluation of a fold have ended."""

    result: documents.FoldResult = inline(
        *("repeat", "fold", "epochs", "best_epoch", "seconds", "metrics", "problem")
    )
    """The result of the fold."""
    of: int
    """The number of folds in each repeat."""
    repeats: int
    """The number of repeats."""
    metric: str | None
    """The name of the main metric; `null` if no metric is defined."""


class CrossValidationResultEvent(Event, kind=RESULT):
    """The cross-validation is complete."""

    run: str
    """The run folder."""
    metrics: Mapping[str, Estimate]
    """The `value` of each metric on all rows, averaged over the repeats, with the ends `lower` and
    `upper` of its 95 % confidence interval, or the `reason` if the interval is undefined."""
    result: documents.CrossValidation = inline(
        *("split", "folds", "repeats", "set_aside", "main_metric", "by_fold", "deviations"),
        *("constant", "best_epochs", "notes"),
    )
    """The result of the cross-validation."""
    gates: Sequence[GateResult] | None = None
    """The result of each quality gate: its name `gate`, the `value` of the metric with the ends
    `lower` and `upper` of its 95 % confidence interval, and the `failures` as sentences; empty if
    the gate passes. Absent if the config has no gates."""
    refit: str | None
    """The folder of the run that was trained on all rows; `null` without `--refit`, or if that
    training failed."""
    refit_problem: str | None = None
    """The error that ended the training on all rows; absent if it did not fail."""


# Search


class SpaceEvent(Event, kind="space"):
    """The default search space is used, because the config does not set `tune.space`.

    This event follows `rows`.
    """

    rows: int
    """The number of rows in the training table, which determines the default."""
    trials: int | None
    """The maximum number of trials; `null` if the search has only a time limit."""
    folds: int | None
    """The number of folds for the evaluation of each candidate; `null` if candidates are evaluated
    on the rows `held_out`."""
    held_out: str
    """The rows that evaluate candidates if there are no folds: `validation`, or `out-of-fold` for
    an ensemble with folds. Out-of-fold rows are training rows, each predicted by the members that
    were not trained on it."""
    space: Mapping[str, object]
    """The search space, as in `tune.space` of `resolved.yaml`."""


class EarlierEvent(Event, kind="earlier"):
    """A search is resumed, or joins a study that another process has started."""

    trials: int
    """The number of finished trials."""
    of: int | None
    """The maximum number of trials; `null` if the search has only a time limit."""


class TrialProgressEvent(Event, kind="progress", is_logged=False):
    """The evaluation of a candidate begins.

    This event occurs only in Python.
    """

    trial: int
    """The number of finished trials plus 1."""
    of: int | None
    """The maximum number of trials; `null` if the search has only a time limit."""
    metric: str
    """The metric that the search optimizes."""
    best: int | None
    """The number of the best trial so far, from 0; `null` if no trial is complete."""
    best_value: Number
    """The value of the best trial so far; `null` if no trial is complete."""


class FinalistProgressEvent(Event, kind="progress", is_logged=False):
    """The full training of a selected config begins.

    This event occurs only in Python.
    """

    finalist: str
    """The name of the config: `default`, `best` or `smallest`."""


_OF_CANDIDATE = (
    *("state", "values", "value", "standard_error", "folds", "parameters", "epochs", "seconds"),
    *("worker", "problem"),
)


class DefaultEvent(Event, kind="default"):
    """The original config was evaluated in the same way as the candidates."""

    metric: str
    """The metric that the search optimizes."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """The result of the original config; its `values` are empty."""


class TrialEvent(Event, kind="trial"):
    """A candidate was evaluated."""

    number: int
    """The number of the trial, from 0."""
    of: int | None
    """The maximum number of trials; `null` if the search has only a time limit."""
    ended: int
    """The number of finished trials."""
    metric: str
    """The metric that the search optimizes."""
    of_folds: int | None
    """The number of folds for the evaluation of each candidate; `null` without folds."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """The result of the trial."""
    best: int | None
    """The number of the best trial so far, from 0; `null` if no trial is complete."""
    best_value: Number
    """The value of the best trial so far; `null` if no trial is complete."""


class FinalistEvent(Event, kind="finalist"):
    """The full training of a selected config has ended."""

    held_out: str
    """The kind of rows in `split`: `test`, `validation` or `out-of-fold`."""
    result: documents.Finalist = inline()
    """The result of the config."""


class NestedEvent(Event, kind="nested"):
    """With `--nested`, a search without the rows of an outer fold was evaluated on this fold."""

    of: int
    """The number of outer folds."""
    result: documents.NestedFold = inline()
    """The result of the outer fold."""


class SearchResultEvent(Event, kind=RESULT):
    """The search is complete."""

    run: str
    """The run folder."""
    result: documents.Search = inline(
        *("study", "metric", "direction", "default", "importances", "finalists", "nested_value"),
        "notes",
    )
    """The result of the search."""
    best: documents.TrialResult | None
    """The best trial, as in `tune.json`."""
    smallest: documents.TrialResult | None
    """The trial with the fewest parameters among those within one standard error of the best."""
    trials: int
    """The number of trials."""


# Listeners


Listener = Callable[[Event], None]
"""Receives each event."""


def ignore(event: Event) -> None:
    """Ignore an event; the default listener."""


class Events:
    """Passes events to a listener, and logs them as soon as there is a run folder.

    Several threads can emit events; the listener receives them one at a time.

    Args:
        listener: receives each event when it happens.
    """

    def __init__(self, listener: Listener = ignore) -> None:
        self.listener = listener
        """Receives each event; call it directly with an event that must not be logged."""
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
        """Report a warning from a part of the work, such as a fold, unless it repeats another.

        A warning repeats another if the message is the same, or if the same check has found all of
        its columns before: the message differs between folds, because it contains numbers of rows.
        Other events are ignored, so this method can be the listener of that part.
        """
        with self._lock:
            if isinstance(event, WarningEvent) and event.message not in self._warnings:
                found = self._found.get(event.check or "")
                if found is None or not found.issuperset(event.columns or ()):
                    self.emit(event)

    def only(self, *kinds: type[Event]) -> Events:
        """Return `Events` that pass on only events of these types."""
        return Events(lambda event: self.emit(event) if isinstance(event, kinds) else None)

    def log_to(self, writer: RunWriter) -> None:
        """Write all events so far and all later events to the log of a run folder."""
        self._writer = writer
        for event in self._early:
            writer.log(event.kind, **event.to_json())
