"""The report of a cross-validation."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from pydantic import ValidationError

from dlcli.errors import RunError, joined, plural
from dlcli.metrics.definitions import ACCURACY, AUC, METRICS, largest_class
from dlcli.metrics.intervals import Estimate
from dlcli.prediction.baseline_comparison import Conclusion, Skill, closer_share
from dlcli.reports import command_views, report_parts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import interval_chart
from dlcli.reports.group_section import groups_section, groups_view
from dlcli.reports.report_parts import Last, PredictedRows, RunLog
from dlcli.reports.result_section import confusion_matrix, describe_weights, prediction_blocks
from dlcli.reports.training_report import bundle_charts
from dlcli.runs.documents import CrossValidation, FoldResult
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.safe_files import Stored
from dlcli.tasks.classification import Multilabel, classification
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import Task

MOST_DRAWN_FOLDS = 100
"""Maximum number of folds with drawn curves."""
MOST_LISTED_FOLDS = 200
MOST_DOTS = 400
"""Maximum number of folds in a chart of a metric."""
_MOST_CURVES = 4
_MOST_CHARTS = 8
"""Maximum number of metrics with a chart."""
_MOST_METRICS_LISTED = 5
"""Maximum number of metrics in the table of folds."""
_FOLDS, _MEAN, _POOLED, _CONSTANT = "each fold", "mean of folds", "all rows", "constant baseline"
_SERIES_COLORS = {_FOLDS: "bar", _MEAN: "train", _POOLED: "validation", _CONSTANT: "muted"}
_WAYS_TO_SPLIT = {
    "random": "at random",
    "stratified": "at random within each class, so all folds have the same class frequencies",
    "group": "by group, so rows of one group are always in the same fold",
    "time": "by time: each network is fitted to the rows before its fold; the earliest rows are "
    "only used for fitting",
}
_WHY_FOLDS = (
    "For each fold, a network is fitted to the rows of the other folds and predicts the rows of "
    "this fold. A single split into training and test rows is one random choice; the folds show "
    "how much the result depends on it."
)
_WHY_FOLDS_IN_TIME = (
    "For each fold, a network is fitted to all earlier rows and predicts the rows of this fold. A "
    "single split into earlier and later rows evaluates one period; the folds show how much the "
    "result depends on it."
)


class _LoggedResult(Stored):
    """The fields of the last log event that the report uses."""

    refit_problem: str | None = None


class _Log(RunLog):
    """The log of a cross-validation."""

    result: Last[_LoggedResult] = None


@dataclass(frozen=True)
class CrossValidationRecord:
    """A cross-validation, with values that several parts of its report use."""

    run: Run
    document: CrossValidation

    @cached_property
    def log(self) -> _Log:
        """The log."""
        return self.run.parse_log(_Log)

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that are defined for a fold or for all rows, the headlines first."""
        cv = self.document
        known = {
            name for each in cv.results for name, value in each.metrics.items() if value is not None
        }
        for means in (cv.pooled, cv.by_fold):
            known |= {name for name, mean in means.items() if mean.value is not None}
        return [name for name in dict.fromkeys((*self.headlines, *METRICS)) if name in known]

    @cached_property
    def headlines(self) -> tuple[str, ...]:
        """The metrics of the first sentence over all rows, chosen as for a training."""
        task = self._task().for_folds(self.run.config)
        return task.headlines(self.run.config.metrics or (), self._pooled)

    @cached_property
    def _pooled(self) -> Mapping[str, object]:
        """The metrics over all rows; for classes with the confusion matrix."""
        found = {name: each.value for name, each in self.document.pooled.items()}
        if self.document.task != "classes" or self.predicted is None:
            return found
        return {**found, "confusion": confusion_matrix(self.predicted).tolist()}

    @property
    def always(self) -> str:
        """The accuracy of always predicting the largest of unequal classes, in words."""
        return report_parts.always(self.document.classes, self._pooled, self.evaluated_rows)

    @property
    def skill(self) -> Skill:
        """What shows on all rows of the folds that the networks have learned something."""
        pooled, classes = self.document.pooled, self.document.classes
        largest = largest_class(self._pooled, len(classes)) if classes else None
        share = None if largest is None else largest[1]
        closer = None if self.predicted is None else closer_share(self.predicted)
        return Skill(pooled.get(AUC.name), pooled.get(ACCURACY.name), share, closer)

    @property
    def failed(self) -> int:
        """The number of folds whose training failed."""
        return sum(each.problem is not None for each in self.document.results)

    @property
    def evaluated_rows(self) -> int:
        """The number of predicted rows; if folds failed, of the most complete repeat."""
        counts = dict.fromkeys((each.repeat for each in self.document.results), 0)
        for each in self.document.results:
            counts[each.repeat] += each.held_out if each.problem is None else 0
        return max(counts.values(), default=0)

    def name_fold(self, result: FoldResult) -> str:
        """Name a fold: `fold 2`, or `2.3` for the third of the second repeat."""
        is_repeated = self.document.repeats > 1
        return f"{result.repeat:,}.{result.fold:,}" if is_repeated else f"fold {result.fold:,}"

    @cached_property
    def predicted(self) -> PredictedRows | None:
        """The rows of the first repeat with out-of-fold predictions, or `None`.

        Raises:
            RunError: if the predictions are damaged or belong to another target.
        """
        columns = self.run.predictions
        if columns is None:
            return None
        if columns.has("repeat"):
            columns = columns.filtered(np.asarray(columns.integers("repeat") == 1))
        rows = PredictedRows.read(columns, self._task().for_folds(self.run.config), "test")
        return rows.decided_by_weights(self.run.config) if rows.rows else None

    def _task(self) -> Task:
        """Return the task for reading stored predictions, without scalings."""
        columns, names = self.document.target, self.document.classes
        try:
            if self.document.task == "classes":
                return classification(columns[0], names)
            if self.document.task == "labels":
                delimiter = self.run.config.data.target.delimiter
                return Multilabel(columns=columns, labels=names, delimiter=delimiter)
            return Regression(columns=columns)
        except (ValidationError, IndexError):
            message = (
                f"its {RunFile.CROSS_VALIDATION} describes an impossible target; run the "
                "cross-validation again"
            )
            raise RunError(f"{self.run.path}: {message}") from None


def cross_validation_view(run: Run) -> views.View:
    """Show a cross-validation: metrics with confidence intervals, predictions and trainings.

    Raises:
        RunError: if one of its files is damaged; sections raise it also.
    """
    record = CrossValidationRecord(run, run.cross_validation)
    cv, metrics = record.document, _metric_table(record)
    classes, labels = (cv.classes if cv.task == kind else () for kind in ("classes", "labels"))
    why, commands = _next_steps(record)
    groups = () if run.groups is None else groups_view(run.groups).blocks
    label = (
        "predict" if report_parts.is_trained(run, "refit") else f"train on {_final_rows(record)}"
    )
    view = views.View(
        kicker="dlcli report: cross-validation",
        lead=f"Predicts {report_parts.name_target(cv.target, classes, labels)}.",
        sentences=tuple(_sentences(record)),
        figures=tuple(_figures(record)),
        notes=report_parts.as_sentences(cv.notes),
        warnings=report_parts.as_sentences(record.log.warnings),
        blocks=(*((metrics,) if record.metrics else ()), *groups),
        links=tuple((label, shlex.join(["dlcli", *words])) for words in commands[:1]),
        sections=lambda: list(_sections(record, metrics, why, commands)),
    )
    return report_parts.run_view(run, view)


def _sections(
    record: CrossValidationRecord, metrics: views.TableBlock, why: str, commands: list[list[str]]
) -> Iterator[views.PageSection]:
    run, cv = record.run, record.document
    if record.metrics:
        folds = _WHY_FOLDS_IN_TIME if cv.split == "time" else _WHY_FOLDS
        charts = views.grid(_metric_chart(name, record) for name in record.metrics[:_MOST_CHARTS])
        yield views.section("result", "Result", folds, metrics, charts)
    if (rows := record.predicted) is not None:
        first = " of the first repeat" if cv.repeats > 1 else ""
        count = f"{plural(rows.rows, 'row')}{first}"
        fitted = f"{count}, each predicted by a network that was trained without it."
        text = f"{fitted} {describe_weights(rows)}".rstrip()
        blocks = prediction_blocks(rows, cv.seed)
        yield views.section("predictions", "Predictions", text, *blocks)
    if run.groups is not None:
        yield groups_section(run.groups, "out-of-fold")
    search = "To search for a better config, list the settings to vary in its section tune:"
    code, tune = report_parts.commands_block(commands), views.CodeBlock("dlcli tune CONFIG")
    yield views.section("next", "Next steps", why, code if commands else None, search, tune)
    if curves := views.grid(_curve_charts(record)):
        note = f"Only the first {MOST_DRAWN_FOLDS:,} folds are shown."
        shown = note if len(cv.results) > MOST_DRAWN_FOLDS else None
        yield views.section("training", "Training", shown, curves)
    yield views.section("folds", "Folds", _fold_table(record))
    yield report_parts.config_section(run, _how_it_was_split(cv))
    yield report_parts.reproduction_section(run, report_parts.REPEATABLE)


def _sentences(record: CrossValidationRecord) -> Iterator[str]:
    cv = record.document
    again = f", repeated {cv.repeats:,} times" if cv.repeats > 1 else ""
    split = fmt.shorten(cv.split, 40)
    yield f"Cross-validated in {plural(cv.folds, 'fold')}{again} ({split}). {_who(record)}."
    if not record.headlines:
        yield "No metric is defined."
    else:
        values = joined([_headline(record, name) for name in record.headlines])
        yield f"{fmt.capitalize(values)}."
        yield from report_parts.baseline_sentences(
            {
                name: Conclusion(found.verdict, "validation", {"validation": found})
                for name, found in cv.baselines.items()
            },
            skill=record.skill,
        )
    if (thresholds := cv.thresholds) is not None:
        yield f"Threshold of each fold: {fmt.join_names([*map(fmt.number, thresholds)], 20)}."
    if record.failed:
        yield f"{plural(record.failed, 'fold')} of {len(cv.results):,} failed."
    if aside := report_parts.set_aside(cv.set_aside):
        yield f"{aside}."
    classes = cv.classes if cv.task == "classes" else ()
    yield from command_views.positive_class(record.metrics, classes)
    yield from (each.sentence for each in record.run.gates)


def _headline(record: CrossValidationRecord, name: str) -> str:
    """Return a metric in words: `accuracy is 94.1 % (95 % CI: 92.0 % to 95.8 %)`."""
    pooled = record.document.pooled[name]
    ends = _interval_ends(name, pooled)
    notes = [f"95 % CI: {ends}"] if ends else []
    notes += [record.always] if name == ACCURACY.name and record.always else []
    value = fmt.metric(name, pooled.value, decimals=fmt.decimals_of_interval(pooled))
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"{fmt.metric_title(name)} is {value}{note}"


def _who(record: CrossValidationRecord) -> str:
    """Describe which networks predicted which rows."""
    cv, rows = record.document, plural(record.document.rows, "row")
    networks = "networks" if cv.repeats > 1 else "a network"
    is_time = cv.split == "time"
    if not is_time and record.evaluated_rows >= cv.rows:
        return f"Each of {rows} was predicted by {networks} trained without it"
    trained = "on earlier rows" if is_time else "without it"
    return (
        f"{record.evaluated_rows:,} of {rows} were predicted, each by {networks} trained {trained}"
    )


def _interval_ends(metric: str, interval: Estimate) -> str:
    """Format the ends of a confidence interval; empty if it is unknown."""
    decimals = fmt.decimals_of_interval(interval)
    return " to ".join(fmt.metric(metric, end, decimals=decimals) for end in interval.ends or ())


def _figures(record: CrossValidationRecord) -> Iterator[views.Figure]:
    cv = record.document
    for metric in record.headlines:
        pooled = cv.pooled[metric]
        shown = partial(fmt.metric, metric, decimals=fmt.decimals_of_interval(pooled))
        ends, title = _interval_ends(metric, pooled), fmt.capitalize(fmt.metric_title(metric))
        notes = [f"95 % CI: {ends}" if ends else "no confidence interval"]
        if (simple := cv.constant.get(metric)) is not None:
            notes.append(f"constant baseline: {shown(simple)}")
        yield views.Figure(f"{title}, all rows", shown(pooled.value), "; ".join(notes))
        mean, deviation = cv.by_fold.get(metric), cv.deviations.get(metric)
        if metric == record.headlines[0] and mean is not None and mean.value is not None:
            spread = f"± {shown(deviation)} standard deviation" if deviation is not None else ""
            yield views.Figure(f"{title}, mean of folds", shown(mean.value), spread)
    failed = f", {record.failed:,} of them failed" if record.failed else ""
    repeats = f" × {cv.repeats:,}" if cv.repeats > 1 else ""
    trained = f"{plural(len(cv.results), 'network')} trained{failed}"
    yield views.Figure("Folds", f"{cv.folds:,}{repeats}", trained)
    yield views.Figure("Rows", f"{cv.rows:,}", report_parts.set_aside(cv.set_aside))
    if cv.best_epochs is not None:
        yield views.Figure("Best epoch", f"{cv.best_epochs:,}", "median of the folds")
    if sizes := [each.parameters for each in cv.results if each.parameters]:
        median = round(statistics.median(sizes))
        yield views.Figure("Parameters", f"{median:,}", "trainable numbers")
    seconds = sum(each.seconds for each in cv.results)
    yield views.Figure("Time", fmt.duration(seconds), "of all folds")


def _metric_table(record: CrossValidationRecord) -> views.TableBlock:
    cv = record.document
    table = views.TableBlock.of(
        record.metrics,
        {
            "": fmt.metric_title,
            "all rows [95 % CI]": lambda name: fmt.estimate(cv.pooled.get(name), name),
            "mean of folds [95 % CI]": lambda name: fmt.estimate(cv.by_fold.get(name), name),
            "± over folds": lambda name: _deviation(name, cv.deviations.get(name)),
            "constant": lambda name: fmt.metric(name, cv.constant.get(name), cv.rows),
        },
        note="↑ higher is better, ↓ lower is better. “All rows” combines the predictions of all "
        "folds; its confidence interval reflects only the choice of evaluation rows. The interval "
        "of the mean also reflects the choice of training rows; it is widened because folds share "
        "most of their training rows (Nadeau and Bengio 2003). “±” is the standard deviation over "
        "folds. “Constant” always predicts the mean (the median if absolute errors are compared) "
        "or the most frequent class.",
    )
    return replace(table, marks=tuple(map(command_views.direction_mark, record.metrics)))


def _deviation(metric: str, deviation: float | None) -> str:
    return fmt.metric(metric, deviation, decimals=fmt.decimals_of(deviation))


def _metric_chart(metric: str, record: CrossValidationRecord) -> views.ChartBlock:
    """Draw a metric for each fold, their mean, all rows and the baseline."""
    cv = record.document
    values = {
        record.name_fold(each): value
        for each in cv.results
        if (value := each.metrics.get(metric)) is not None
    }
    rows: list[dict[str, object]] = [
        {"y": _FOLDS, "s": _FOLDS, "x": value, "f": name}
        for name, value in list(values.items())[:MOST_DOTS]
    ]
    means = {_MEAN: cv.by_fold.get(metric), _POOLED: cv.pooled.get(metric)}
    shown = partial(fmt.metric, metric, decimals=_decimals(means.values()))
    parts = []
    if values:
        ends = fmt.span(*map(shown, (min(values.values()), max(values.values()))), first="from")
        median = shown(statistics.median(values.values()))
        parts.append(f"{plural(len(values), 'fold')} {ends}, median {median}.")
    for name, mean in means.items():
        if mean is not None and mean.value is not None:
            ends_of_mean = {"l": mean.lower, "u": mean.upper}
            rows.append({"y": name, "s": name, "f": name, "x": mean.value, **ends_of_mean})
            parts.append(f"{fmt.capitalize(name)}: {fmt.estimate(mean, metric)}.")
    if (constant := cv.constant.get(metric)) is not None:
        rows.append({"y": _CONSTANT, "s": _CONSTANT, "f": _CONSTANT, "x": constant})
        parts.append(f"{fmt.capitalize(_CONSTANT)}: {shown(constant)}.")
    colors = {str(row["s"]): _SERIES_COLORS[str(row["s"])] for row in rows}
    tips = {"f": "of", "x": "value|.5~g", "l": "from|.5~g", "u": "to|.5~g"}
    return views.ChartBlock(
        title=fmt.capitalize(fmt.metric_title(metric)),
        spec=interval_chart(rows, list(colors), colors, tips=tips),
        description=" ".join(parts),
    )


def _decimals(means: Iterable[Estimate | None]) -> int | None:
    """Return the decimals of the values of a metric, from the first known confidence interval."""
    known = (fmt.decimals_of_interval(each) for each in means if each is not None)
    return next((each for each in known if each is not None), None)


def _curve_charts(record: CrossValidationRecord) -> list[views.ChartBlock]:
    """Draw the loss and each metric by epoch, a line for each fold and set of rows."""
    networks = {
        record.name_fold(each): {
            name: _points(each, name) for name in each.history if name != "epoch"
        }
        for each in record.document.results[:MOST_DRAWN_FOLDS]
    }
    reading = (
        "Each line is a fold. If lines of one color are close together, the result hardly depends "
        "on the choice of training rows; if they spread, it depends on this choice."
    )
    results = record.document.results
    rows = {
        "training": min((each.train for each in results), default=None),
        "validation": min((each.validation for each in results), default=None),
    }
    return bundle_charts(networks, "fold", reading, _MOST_CURVES, rows)


def _points(result: FoldResult, column: str) -> list[tuple[int, float]]:
    """Return the epochs and values of a column if both are known."""
    values = result.history[column]
    epochs: Sequence[float | None] = result.history.get("epoch") or range(1, len(values) + 1)
    pairs = zip(epochs, values, strict=False)
    return [
        (int(epoch), value) for epoch, value in pairs if epoch is not None and value is not None
    ]


def _fold_table(record: CrossValidationRecord) -> views.TableBlock:
    results = record.document.results
    has_problem = any(each.problem for each in results[:MOST_LISTED_FOLDS])
    columns: dict[str, Callable[[FoldResult], str]] = {
        "fold": lambda each: record.name_fold(each).removeprefix("fold ")
    }
    if has_problem:
        columns["problem"] = lambda each: fmt.shorten(each.problem or "", 120)
    columns |= {
        "training rows": lambda each: fmt.count(each.train),
        "validation rows": lambda each: fmt.count(each.validation),
        "held-out rows": lambda each: fmt.count(each.held_out),
        "inputs": lambda each: fmt.count(each.inputs),
        "parameters": lambda each: fmt.count(each.parameters),
        "epochs": lambda each: fmt.count(each.epochs),
        "best epoch": lambda each: fmt.count(each.best_epoch),
    }
    listed = record.metrics[:_MOST_METRICS_LISTED]
    columns |= {
        fmt.metric_title(name): partial(_metric_of_fold, name, decimals=_of_folds(name, results))
        for name in listed
    }
    if record.document.thresholds is not None:
        columns["threshold"] = lambda each: fmt.number(each.threshold)
    columns["time"] = lambda each: fmt.duration(each.seconds)
    is_stopped = record.run.config.early_stopping is not None
    stops = is_stopped and any(each.validation for each in results)
    stopping = ", with early stopping on its validation rows," if stops else ""
    return views.TableBlock.of(
        results,
        columns,
        "Rows, epochs and metrics",
        text_columns=range(1 + has_problem),
        note=f"Each network was fitted to its training rows{stopping} and evaluated on its "
        "held-out rows. Encodings are fitted to the training rows of each fold, so the number of "
        "inputs may differ.",
        most=MOST_LISTED_FOLDS,
        noun="fold",
    )


def _of_folds(name: str, results: Sequence[FoldResult]) -> int | None:
    """Return the decimals of a metric that a fold of average result supports."""
    values = [(each.metrics.get(name), each.held_out) for each in results]
    known = [fmt.decimals_on(name, value, rows) for value, rows in values]
    return max((each for each in known if each is not None), default=None)


def _metric_of_fold(name: str, result: FoldResult, decimals: int | None) -> str:
    return fmt.metric(name, result.metrics.get(name), decimals=decimals)


def _how_it_was_split(cv: CrossValidation) -> str:
    way = _WAYS_TO_SPLIT.get(cv.split, fmt.shorten(cv.split, 40))
    columns = (cv.column,) if isinstance(cv.column, str) else cv.column or ()
    column = f", column: {fmt.shorten(', '.join(columns), 40)}" if columns else ""
    text = f"Rows were assigned to folds {way} (random seed: {cv.seed}{column})."
    if aside := report_parts.set_aside(cv.set_aside):
        text += f" {aside}, to evaluate the final model."
    return text


def _final_rows(record: CrossValidationRecord) -> str:
    """Name the rows that the final network is trained on."""
    return "all rows except the test rows" if record.document.set_aside else "all rows"


def _next_steps(record: CrossValidationRecord) -> tuple[str, list[list[str]]]:
    """Return instructions to train a final network, and the commands without `dlcli`."""
    run, epochs = record.run, record.document.best_epochs
    rows = _final_rows(record)
    if report_parts.is_trained(run, "refit"):
        refit = str(run.path / "refit")
        return f"A network was trained on {rows}:", [
            ["predict", refit, "DATA"],
            ["report", refit],
        ]
    evaluated = "The networks of the folds are only used to evaluate the config and are not saved."
    if record.log.result and record.log.result.refit_problem:
        return (
            f"{evaluated} Training a network on {rows} failed: see the warning above.",
            [],
        )
    if run.has(RunFile.REFIT) and epochs is not None:
        # Each member of an ensemble with folds uses its fold for early stopping.
        duration = "" if run.config.ensemble_folds else f", for {plural(epochs, 'epoch')}"
        why = f"{evaluated} To predict, train a network on {rows}{duration}:"
        return why, [["train", str(run.path / RunFile.REFIT)]]
    why = f"{evaluated} To predict, train a network with the same config:"
    return why, [["train", str(run.resolved_path())]]
