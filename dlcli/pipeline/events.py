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
    from dlcli.diagnosis.case import Magnitudes
    from dlcli.metrics.intervals import Estimate
    from dlcli.metrics.statistic import Metrics, Number
    from dlcli.prediction.baseline_comparison import BaselineComparison
    from dlcli.prediction.distillation_document import Distillation
    from dlcli.prediction.gates import GateResult
    from dlcli.prediction.groups import ColumnGroups
    from dlcli.prediction.predictor import Selection
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
    """The rows are stored on disk during training, see `data.storage`."""

    folder: str
    """The path of the folder with the rows. It is deleted after training."""


class DataEvent(Event, kind="data"):
    """The rows were read and split into training, validation and test rows."""

    file: str
    """The training file or files."""
    rows: Mapping[str, Count]
    """The number of rows of each set: `train` and, if they exist, `validation` and `test`."""
    split: str | None
    """The kind of split: `random`, `stratified`, `group` or `time`. `null` if neither the
    validation nor the test rows were split off from the training table."""
    seed: int
    """The `seed` of the config."""
    notes: Sequence[str]
    """What dlcli detected in the files, such as the delimiter `;`, as sentences."""
    sampled_from: Count | None = None
    """The number of rows of the training table from which `data.sample` was drawn; absent if all
    rows are used."""


class TargetEvent(Event, kind="target"):
    """The type of the target was determined."""

    columns: Sequence[str]
    """The target columns."""
    type: str
    """`numeric`, `count`, `categorical` or `multi_label`."""
    classes: Sequence[str]
    """The names of the classes, in the order of the class indices 0, 1, …; empty unless `type` is
    `categorical`."""
    labels: Sequence[str]
    """The names of the labels, in the order of the network's outputs; empty unless `type` is
    `multi_label`."""
    reason: str
    """The reason for the type, such as `text`, or `declared` if the config sets the type."""


@dataclass(frozen=True)
class TypedColumn:
    """The type of a column, inferred or declared."""

    type: str
    reason: str
    """The reason for the type."""


class FeaturesEvent(Event, kind="features"):
    """The types of the feature columns were determined."""

    columns: Mapping[str, TypedColumn]
    """For each column, an object with its `type`, such as `numeric` or `ignored`, and the `reason`
    for the type."""


class UnseenEvent(Event, kind="unseen"):
    """Some columns have categories that are rare or occur in a single training row.

    Rows of validation and test are only warned of if more of them have such a category than
    expected.
    """

    columns: Mapping[str, float]
    """The expected share of new rows with a rare or unknown category, by column, if it is at least
    0.01: the share of training rows whose category would be rare or unknown without the row."""


class NetworkEvent(Event, kind="network"):
    """The network was built; its training has not begun."""

    inputs: Count
    """The number of inputs of the network. It can differ from the number of columns; for example,
    one-hot encoding creates an input for each category."""
    layers: Sequence[LayerSummary]
    """The layers in order, a list of objects with the `name` of the layer, such as `hidden_1`, and
    its `kind`, such as `Dense`. The other fields depend on the kind: `inputs`, `units`,
    `parameters` (their number), `activation`, `rate` (of dropout) and `column` (of an
    embedding)."""
    parameters: Count
    """The number of parameters of one network, trainable or not."""
    loss: str
    """The name of the loss."""
    target_scaling: str | None
    """The scaling of a numeric target before the loss is computed, such as `standard`; `null` for
    classes and labels."""
    metrics: Sequence[str]
    """The metrics that are computed in each epoch, in addition to the loss."""
    members: Count | None
    """The number of ensemble members; `null` for a single network."""
    folds: Count | None
    """The number of folds into which the training rows of an ensemble are split; each member is
    validated on one of them. `null` if there are no folds."""
    groups: Count | None = None
    """The number of groups of networks with different settings, see `ensemble.vary`; `null` if all
    networks have the same settings."""
    varied: Sequence[str] = ()
    """The paths of the settings that differ between groups."""

    def to_json(self) -> dict[str, object]:
        """Return the fields as in JSON, without values that do not apply to a layer."""
        layers = [
            {name: value for name, value in asdict(layer).items() if value is not None}
            for layer in self.layers
        ]
        return {**super().to_json(), "layers": layers}


class EngineEvent(Event, kind="engine"):
    """The engine that trains the network was chosen."""

    name: str
    """`compiled` or `keras`."""
    jit_compile: bool | None = None
    """`true` if XLA compiles the training program, `false` if it runs as a TensorFlow graph; absent
    for `keras`."""


class DeviceEvent(Event, kind="device"):
    """The device that trains the network was chosen."""

    device: str
    """`cpu` or `gpu`."""
    threads: Count
    """The number of CPU threads."""
    gpus: Count
    """The number of available GPUs; training uses one of them. 0 if `device` is `cpu`."""


class TimeLimitEvent(Event, kind="time_limit"):
    """The number of epochs that fit into the time limit was measured; it is fixed from now on."""

    limit: float
    """The time limit of training in seconds."""
    epochs: Count
    """The maximum number of epochs of each network."""
    of: Count
    """The maximum number of epochs in the config."""
    seconds_per_epoch: float
    """The measured time of an epoch of all networks in seconds."""


class RunEvent(Event, kind="run"):
    """The run folder was created or, if an interrupted run is resumed, opened."""

    folder: str
    """The path of the run folder."""


class TrackingEvent(Event, kind="tracking"):
    """Logging to a tracker begins (`--tensorboard`, `--mlflow`, `--tracker`)."""

    tracker: str
    """The name of the tool: `TensorBoard`, `MLflow`, `Weights & Biases`."""
    run_id: str | None = None
    """The tracker's ID of the run; absent for TensorBoard."""
    place: str
    """The folder or the web address of the logged run."""
    look: str | None = None
    """The command that shows the logged run; absent if `place` is a web address."""


class WarningEvent(Event, kind="warning"):
    """A possible problem. Warnings can occur at any time."""

    message: str
    """A sentence that states the problem, where it is and how to solve it."""
    rest: Sequence[str] = ()
    """If the problem affects many columns, `message` describes only the first ones, and `rest` the
    others, each in a sentence. Absent otherwise."""
    check: str | None = None
    """The name of the data check that found the problem, such as `target_leakage`; absent for other
    warnings."""
    columns: Sequence[str] | None = None
    """The columns in which a data check found the problem; absent for other warnings."""


# Training


class ResumedEvent(Event, kind="resumed"):
    """The training of an interrupted network continues from a checkpoint."""

    member: int | None = None
    """The number of the ensemble member, from 1; absent for a single network."""
    members: int | None = None
    """The number of ensemble members; absent for a single network."""
    epochs: int
    """The number of epochs that the network was trained before the checkpoint."""


class EarlyEndEvent(Event, kind="early_end"):
    """An interrupted run ends with what was trained before, as `--finish` requires."""

    unit: Literal["epoch", "member"]
    """`epoch` for a single network, `member` for an ensemble."""
    after: Count
    """The number of epochs, or of ensemble members, that the run keeps."""
    of: Count
    """The number of epochs, or of ensemble members, in the config."""


class EpochEvent(Event, kind="epoch"):
    """An epoch has ended.

    Several ensemble members can train at the same time, so their events are mixed.
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
    """In Python, a mapping from name to value. In JSON, each value is a field of the event: `loss`
    and the config's metrics, such as `accuracy`, on the training rows; with the prefix `val_`, such
    as `val_loss`, on the validation rows; and `learning_rate`, the rate of the last step."""


class ScalingLayerEvent(Event, kind="scaling_layer"):
    """With `scaling_layer: auto`, the first network was trained with and without a scaling layer.

    This layer is a learned weight for each column (see the key `input.scaling_layer`).
    The ensemble keeps the layer unless the validation loss is clearly lower without it.
    """

    kept: bool
    """`true` if all members of the ensemble have a scaling layer, `false` if none has."""
    val_loss: Mapping[Literal["with", "without"], Number]
    """The validation losses with and without the layer, as an object with the fields `with` and
    `without`. Each is the loss in the epoch whose weights are kept."""
    rows: int
    """The number of validation rows of this network."""


class MemberEvent(Event, kind="member"):
    """The training of an ensemble member has ended.

    These events are in the order of the members.
    """

    member: int
    """The number of the member, from 1."""
    members: int
    """The number of ensemble members."""
    epochs: int
    """The number of epochs that this member was trained."""
    best_epoch: int | None
    """The epoch whose weights the member keeps, from 1; `null` if it keeps the final weights."""


class SelectedEvent(Event, kind="selected"):
    """The networks of an ensemble were selected, see `ensemble.select`."""

    result: Selection = inline()
    """The selection of its groups."""


class DecisionEvent(Event, kind="decision"):
    """The decision for a class was chosen, see the config's `decision`."""

    words: str
    """The decision and its reason."""
    threshold: float | None
    """For two classes, the probability above which the second one is predicted."""
    objective: str
    """What is maximized, such as `f1`; `cost` for the least expected cost; `threshold` if it was
    given."""
    origin: Literal["out-of-fold", "validation"] | None
    """The rows on which the threshold was chosen."""
    rows: Count
    """The number of these rows."""


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
    """Only for distributed training, an object: the number of `workers`; `rows_per_second`, the
    number of rows on which all workers together trained per second; and `communication_share`, the
    estimated share of the training time in which workers exchanged gradients."""
    epochs: Count
    """The number of epochs trained; for an ensemble, the maximum over its members."""
    best_epoch: Count | None
    """The epoch whose weights the network keeps, from 1. `null` if it keeps the final weights, and
    for an ensemble, whose members have different best epochs."""
    seconds: float
    """The duration of training in seconds."""


class DivergedEvent(Event, kind="diverged"):
    """The loss or the weights became NaN or infinite.

    The run ends with an error. The fields show which values are unusually large.
    """

    magnitudes: Magnitudes = inline()
    """The magnitudes of inputs, target and row weights."""


class BaselinesEvent(Event, kind="baselines"):
    """The baselines were trained, and evaluated on the same rows as the network."""

    models: Sequence[str]
    """The names of the baselines. `constant` predicts the same for every row: the class frequencies
    or the mean of the target (the median if the comparison uses the MAE). `linear` is the network
    without hidden layers: linear or logistic regression."""
    no_linear: str | None
    """The reason why there is no linear baseline; `null` if there is one."""
    seconds: float
    """The duration of the training of the baselines in seconds."""


# The end


class ReportEvent(Event, kind="report"):
    """The HTML report was written."""

    page: str
    """The path of the report."""


class TrainingResultEvent(Event, kind=RESULT):
    """The run is complete."""

    run: str
    """The path of the run folder."""
    epochs: int
    """The number of epochs trained; for an ensemble, the maximum over its members."""
    metrics: Mapping[str, Metrics]
    """For each set (`train` and, if they exist, `validation` and `test`), an object with all
    metrics, as in `metrics.json`. For an ensemble with folds, `validation` means the out-of-fold
    rows."""
    baselines: Mapping[str, Mapping[str, Metrics]]
    """For each baseline, its metrics on the same sets, as in `baselines.json`."""
    verdicts: BaselineComparison
    """The comparison of the network with the baselines, as in `verdicts.json`. Its fields are in
    the next table."""
    distillation: Distillation | None = None
    """Only after `dlcli distill`, the comparison of the network with its teacher, an ensemble, as
    in `distillation.json`: the number of test `rows`; the `differences` of their metrics on these
    rows; and, for `network` and `ensemble`, the number of `weights`, their size in `bytes` and the
    `milliseconds` that the prediction of one row takes."""
    gates: Sequence[GateResult] | None = None
    """The result of each quality gate, a list of objects: the name `gate`, such as `test.accuracy`;
    the `value` of the metric; `lower` and `upper`, the ends of its 95 % confidence interval; and
    `failures`, the unmet requirements as sentences, empty if the gate passes. Absent if the config
    has no gates."""


class ReproductionResultEvent(Event, kind=RESULT):
    """The new run was compared with the original run."""

    original: str
    """The path of the original run folder."""
    reproduced: bool
    """`true` if the data, the versions, the fitted encoding of the columns, the weights and the
    metrics of both runs are equal. With `--tolerance`, `true` if the data are equal and
    `metric_difference` is at most the tolerance."""
    parts: Mapping[str, bool]
    """For each of `data`, `versions`, `encoding`, `weights` and `metrics`, `true` if it is equal in
    both runs."""
    findings: Mapping[str, str]
    """For each of these parts, a sentence on what is equal or differs."""
    causes: Sequence[str]
    """The probable causes if weights or metrics differ; empty if they are equal."""
    metric_difference: Number
    """The largest relative difference of a metric between the runs; for the confusion matrix, the
    largest difference of a cell, as a share of the rows. `null` if a metric is undefined or absent
    in only one of the runs."""
    tolerance: float | None
    """The value of `--tolerance`; `null` if it was not given, so all parts must be equal."""


# Cross-validation


class RowsEvent(Event, kind="rows"):
    """The rows were read, and the test rows were set aside."""

    file: str
    """The training file or files."""
    rows: int
    """The number of rows without the test rows."""
    set_aside: int
    """The number of test rows. The folds do not contain them."""
    split: str
    """The kind of split: `random`, `stratified`, `group` or `time`."""
    seed: int
    """The `seed` of the config."""
    notes: Sequence[str]
    """What dlcli detected in the files, such as the delimiter `;`, as sentences."""
    sampled_from: Count | None = None
    """The number of rows of the training table from which `data.sample` was drawn; absent if all
    rows are used."""


class KeptEvent(Event, kind="kept"):
    """An interrupted cross-validation is resumed; finished folds are kept."""

    folds: int
    """The number of finished folds in all repeats."""
    of: int
    """The number of folds in all repeats."""


class FoldProgressEvent(Event, kind="progress", is_logged=False):
    """The training of a fold begins or has advanced.

    This event occurs only in Python, at most five times a second. If several folds train at the
    same time, it refers to the first of them.
    """

    done: int
    """The number of folds before this one, in all repeats."""
    epoch: int
    """The number of epochs trained so far; for an ensemble, the sum over its members."""
    folds: int
    """The number of folds in all repeats."""
    of: int
    """The maximum number of epochs; for an ensemble, the sum over its members."""


class FoldEvent(Event, kind="fold"):
    """A network was trained on the other folds and evaluated on this fold."""

    result: documents.FoldResult = inline(
        *("repeat", "fold", "epochs", "best_epoch", "seconds", "metrics", "problem")
    )
    """The result of the fold."""
    of: int
    """The number of folds in each repeat."""
    repeats: int
    """The number of repeats."""
    metric: str | None
    """The name of the main metric, such as `accuracy`; `null` if all metrics are undefined."""


class RefitEvent(Event, kind="refit"):
    """With `--refit`, the training of the final network begins; its epochs follow."""

    run: str
    """The path of its run folder."""
    has_test: bool
    """Whether test rows are excluded."""


class CrossValidationResultEvent(Event, kind=RESULT):
    """The cross-validation is complete."""

    run: str
    """The path of the run folder."""
    metrics: Mapping[str, Estimate]
    """An estimate of each metric on the rows of all folds together, averaged over the repeats."""
    result: documents.CrossValidation = inline(
        *("split", "folds", "repeats", "set_aside", "main_metric", "by_fold", "deviations"),
        *("constant", "best_epochs", "notes"),
    )
    """The result of the cross-validation."""
    groups: Sequence[ColumnGroups] | None = None
    """With `--by` or `evaluate_by`, the groups of each column as in the JSON of `dlcli evaluate`;
    absent without columns."""
    thresholds: Sequence[float | None] | None = None
    """With `decision.maximize`, the threshold of each fold in order, `null` for a fold that failed;
    absent for other decisions."""
    gates: Sequence[GateResult] | None = None
    """The result of each quality gate, a list of objects: the name `gate`, such as `test.accuracy`;
    the `value` of the metric; `lower` and `upper`, the ends of its 95 % confidence interval; and
    `failures`, the unmet requirements as sentences, empty if the gate passes. Absent if the config
    has no gates."""
    refit: str | None
    """With `--refit`, the path of the run that was trained on all rows; `null` without it, or if
    this training failed."""
    refit_problem: str | None = None
    """The error that ended the training on all rows; absent if there was no error."""


# Search


class SpaceEvent(Event, kind="space"):
    """The default search space is used, because the config does not set `tune.space`.

    This event follows `rows`.
    """

    rows: int
    """The number of rows in the training table. The default search space depends on it."""
    trials: int | None
    """The maximum number of trials; `null` if only a time limit ends the search."""
    folds: int | None
    """The number of folds for the evaluation of each candidate; `null` if candidates are evaluated
    without folds, on the rows that `held_out` names."""
    held_out: str
    """The rows on which candidates are evaluated if `folds` is `null`: `validation`, or
    `out-of-fold` for an ensemble with folds."""
    space: Mapping[str, object]
    """The default search space, in the notation of `tune.space`."""


class EarlierEvent(Event, kind="earlier"):
    """The study contains finished trials.

    The search is resumed, or another process has begun it.
    """

    trials: int
    """The number of finished trials."""
    of: int | None
    """The maximum number of trials; `null` if only a time limit ends the search."""


class TrialProgressEvent(Event, kind="progress", is_logged=False):
    """The evaluation of a candidate begins.

    This event occurs only in Python.
    """

    trial: int
    """The number of finished trials plus 1."""
    of: int | None
    """The maximum number of trials; `null` if only a time limit ends the search."""
    metric: str
    """The metric that the search optimizes, such as `val_loss`."""
    best: int | None
    """The number of the best trial so far, from 0; `null` before the first complete trial."""
    best_value: Number
    """The value of the best trial so far; `null` before the first complete trial."""


class FinalistProgressEvent(Event, kind="progress", is_logged=False):
    """The full training of a finalist begins.

    This event occurs only in Python.
    """

    finalist: str
    """The name of the finalist: `default`, `best`, `smallest` or `ensemble`."""


_OF_CANDIDATE = (
    *("state", "values", "value", "standard_error", "folds", "parameters", "epochs", "seconds"),
    *("worker", "problem"),
)


class DefaultEvent(Event, kind="default"):
    """The original config was evaluated like a candidate, for comparison."""

    metric: str
    """The metric that the search optimizes, such as `val_loss`."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """The result of the original config; its `values` are empty."""


class TrialEvent(Event, kind="trial"):
    """A trial has ended."""

    number: int
    """The number of the trial, from 0."""
    of: int | None
    """The maximum number of trials; `null` if only a time limit ends the search."""
    ended: int
    """The number of finished trials, including this one."""
    metric: str
    """The metric that the search optimizes, such as `val_loss`."""
    of_folds: int | None
    """The number of folds for the evaluation of each candidate; `null` without folds."""
    result: documents.TrialResult = inline(*_OF_CANDIDATE)
    """The result of the trial."""
    best: int | None
    """The number of the best trial so far, from 0; `null` before the first complete trial."""
    best_value: Number
    """The value of the best trial so far; `null` before the first complete trial."""


class FinalistEvent(Event, kind="finalist"):
    """A finalist was trained in full and evaluated."""

    held_out: str
    """The kind of the evaluation rows: `test`, `validation` or `out-of-fold`."""
    result: documents.Finalist = inline()
    """The result of the config."""


class NestedEvent(Event, kind="nested"):
    """With `--nested`, the search was repeated without the rows of an outer fold.

    Its best candidate was trained on the other rows and evaluated on this fold.
    """

    of: int
    """The number of outer folds."""
    result: documents.NestedFold = inline()
    """The result of the outer fold."""


class SearchResultEvent(Event, kind=RESULT):
    """The search is complete."""

    run: str
    """The path of the folder of the search."""
    result: documents.Search = inline(
        *("study", "metric", "direction", "default", "importances", "finalists", "ensemble"),
        *("nested_value", "notes"),
    )
    """The result of the search."""
    best: documents.TrialResult | None
    """The best trial, an object with the fields of `default`; `null` if no trial is complete."""
    smallest: documents.TrialResult | None
    """The trial whose network has the fewest parameters, among the trials that are at most one
    standard error worse than the best; an object like `best`."""
    trials: int
    """The number of trials, including pruned and failed ones."""


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
