"""Summary of the folds of a cross-validation: pooled metrics, means over folds, and notes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.columns.value_problems import ValueNote
from dlcli.config.config_schema import Config, EarlyStopping
from dlcli.config.data_section import GroupSplit, TimeSplit
from dlcli.errors import ConfigError, DataError, Problem, RunError, listed, number, plural
from dlcli.metrics import intervals
from dlcli.metrics.definitions import METRICS, main_metric, metric_bounds
from dlcli.metrics.intervals import Estimate
from dlcli.metrics.statistic import Array, Number, mean_of_defined
from dlcli.metrics.wording import metric_title
from dlcli.pipeline.preparation import Dataset
from dlcli.prediction.baseline_comparison import BaselineDifference, compare_to_baseline
from dlcli.prediction.predictions import HeldOut
from dlcli.runs import documents
from dlcli.safe_files import Document
from dlcli.tasks.task import StoredPredictions

_LINEAR = "linear_"
"""Prefix of the columns with a linear model's predictions."""
FEW_ROWS = 30
"""Number of rows of a fold below which its metrics are too noisy alone."""
_CHANCE = 0.01
"""The probability of a note that folds differ although only their rows do. In simulations of 3 to
10 folds of 30 to 200 rows, it was 0.0 to 1.7 %, with normal or lognormal errors, and for
`accuracy`, `auc`, `f1` and `log_loss`; only for `average_precision` on 30 rows, it was 6 %."""
_REASONS: Mapping[str, str] = {
    "group": "training varies between folds, or groups differ",
    "time": "earlier folds have fewer training rows, and the data may drift over time",
}
_ANY_REASON = (
    "training varies between folds, or similar rows are next to each other; if rows form "
    "groups, set data.split: {name: group, column: ...}"
)


class StoredFold(Document):
    """The result of a fold, stored next to its predictions."""

    result: documents.FoldResult
    """Sizes, metrics and history."""
    constant: tuple[float, ...] = ()
    """The prediction of a constant model, in the form of `HeldOut.decoded`."""
    cause: Literal["config", "data"] | None = None
    """The source of the problem, unless training diverged."""
    notes: Mapping[str, tuple[ValueNote, ...]] = {}
    """Notes on rows, by set of rows."""


@dataclass(frozen=True)
class FinishedFold:
    """A fold whose training ended, possibly with an error."""

    stored: StoredFold
    predictions: pa.Table | None = None
    """The predictions of its rows; `None` if training failed."""
    caught: ConfigError | DataError | None = None
    """The error of training or evaluation, if it occurred in this process."""

    @property
    def result(self) -> documents.FoldResult:
        """Sizes, metrics and history."""
        return self.stored.result

    @property
    def error(self) -> ConfigError | DataError | None:
        """The error of training or evaluation, or `None`."""
        if self.caught is not None or self.stored.cause is None:
            return self.caught
        problem = self.result.problem or ""
        is_of_data = self.stored.cause == "data"
        return DataError(problem) if is_of_data else ConfigError([Problem("", problem)])


def combine_folds(
    folds: Sequence[FinishedFold],
    name: str,
    config: Config,
    repeats: int,
    dataset: Dataset,
    path: str,
) -> tuple[documents.CrossValidation, pa.Table]:
    """Return the document of a cross-validation, and the predictions of all folds.

    Args:
        folds: the folds, ordered by repeat and fold; at least one was trained.
        name: the name of the config.
        config: the resolved config of the folds.
        repeats: the number of times rows were split into folds.
        dataset: all rows.
        path: the run folder, for messages.

    Raises:
        RunError: if stored predictions do not fit each other.
    """
    choice, task = dataset.split_choice, dataset.task.for_folds(config)

    def read(table: pa.Table) -> HeldOut:
        rows = HeldOut.of(StoredPredictions(table, f"{path}: its predictions"), task)
        return rows.decided_by_weights(config)

    def read_fold(fold: FinishedFold) -> HeldOut | None:
        if fold.predictions is None:
            return None
        found = read(fold.predictions)
        if found.decoded.shape[1] != len(fold.stored.constant):
            message = "its stored folds belong to another target; start the cross-validation again"
            raise RunError(f"{path}: {message}")
        return found

    held_out = [read_fold(fold) for fold in folds]
    joined = join_predictions(folds, path)
    repeated = (joined.filter(pc.field("repeat") == each) for each in range(1, repeats + 1))
    tables = [table for table in repeated if table.num_rows]
    by_repeat = [read(table) for table in tables]
    results = [fold.result for fold in folds]
    pooled = pooled_estimates(by_repeat)
    means, deviations = fold_intervals(results, [*pooled])
    values = {name: found.value for name, found in pooled.items()}
    constant = _constant_rows(folds, held_out, by_repeat)
    linear = [read(_by_linear_models(table)) for table in tables if _linear_columns(table)]

    def compare_all(networks: Iterable[HeldOut], models: Iterable[HeldOut]) -> BaselineDifference:
        pairs = zip(networks, models, strict=True)
        return compare_to_baseline(task, task.comparison_metric(config).name, pairs)

    compared_folds = [
        compare_all([rows], _constant_rows([fold], [rows], [rows]))
        for fold, rows in zip(folds, held_out, strict=True)
        if rows is not None and fold.result.repeat == 1
    ]
    document = documents.CrossValidation(
        name=name,
        target=task.columns,
        task=task.outcome,
        classes=task.names,
        split=choice.name,
        column=choice.column if isinstance(choice, GroupSplit | TimeSplit) else None,
        folds=len(folds) // repeats,
        repeats=repeats,
        seed=config.seed,
        rows=dataset.candidates.rows,
        set_aside=dataset.test_rows,
        main_metric=main_metric(config.metrics or (), values),
        results=tuple(results),
        pooled=pooled,
        by_fold=means,
        deviations=deviations,
        constant=_pooled_constant(folds, constant),
        against_constant=compare_all(by_repeat, constant),
        against_linear=compare_all(by_repeat, linear) if linear else None,
        best_epochs=median_epochs(results),
    )
    notes = notes_of(document, held_out, compared_folds, config.early_stopping)
    return document.model_copy(update={"notes": tuple(notes)}), joined


def with_linear_predictions(predictions: pa.Table, linear: Mapping[str, pa.Array]) -> pa.Table:
    """Add the predictions of a linear model to a fold's predictions, in separate columns.

    Args:
        predictions: the predictions of the network.
        linear: the predictions of the linear model, under the same column names.
    """
    for name, column in linear.items():
        predictions = predictions.append_column(f"{_LINEAR}{name}", column)
    return predictions


def _linear_columns(predictions: pa.Table) -> list[str]:
    return [name for name in predictions.column_names if name.startswith(_LINEAR)]


def _by_linear_models(predictions: pa.Table) -> pa.Table:
    """Return the predictions of linear models, under the network's column names."""
    columns = dict(zip(predictions.column_names, predictions.columns, strict=True))
    for name in _linear_columns(predictions):
        columns[name.removeprefix(_LINEAR)] = columns.pop(name)
    return pa.table(columns)


def join_predictions(folds: Sequence[FinishedFold], path: str) -> pa.Table:
    """Return the predictions of all folds, in their order.

    Predictions of linear models are omitted if a fold lacks them.

    Raises:
        RunError: if their columns differ, which never happens in one cross-validation.
    """
    tables = [fold.predictions for fold in folds if fold.predictions is not None]
    if not all(map(_linear_columns, tables)):
        tables = [table.drop_columns(_linear_columns(table)) for table in tables]
    try:
        return pa.concat_tables(tables)
    except MemoryError:
        raise
    except pa.ArrowException:
        message = "its stored folds have different columns; start the cross-validation again"
        raise RunError(f"{path}: {message}") from None


def _constant_rows(
    folds: Sequence[FinishedFold],
    held_out: Sequence[HeldOut | None],
    by_repeat: Sequence[HeldOut],
) -> list[HeldOut]:
    """Return the predictions of a constant model for the rows of each repeat.

    The model of each fold is fitted to the target of its training rows. It predicts the most
    frequent class; products with balanced class weights would differ only by chance.
    """
    plain = [rows.task.model_copy(update={"class_weights": ()}) for rows in by_repeat]
    repeated = [
        np.broadcast_to(fold.stored.constant, (rows.rows, len(fold.stored.constant)))
        * (1.0 if rows.exposures is None else rows.exposures)
        for fold, rows in zip(folds, held_out, strict=True)
        if rows is not None
    ]
    ends = np.cumsum([rows.rows for rows in by_repeat])[:-1]
    outputs = np.split(np.concatenate(repeated), ends)
    triples = zip(by_repeat, plain, outputs, strict=True)
    return [replace(rows, task=task, decoded=constant) for rows, task, constant in triples]


def _pooled_constant(
    folds: Sequence[FinishedFold], by_repeat: Sequence[HeldOut]
) -> dict[str, Number]:
    """Return the metrics of the constant model, given its predictions by repeat.

    A constant model does not rank rows. Pooled, its shares differ by fold, and are smaller the more
    rows of a class are held out, so it would seem to rank rows, in the wrong order.
    """
    pooled = documents.mean_metrics(
        [documents.scalar_metrics(rows.task.metrics(rows)) for rows in by_repeat]
    )
    for name in pooled:
        if METRICS[name].of_order:
            pooled[name] = mean_of_defined(fold.result.constant.get(name) for fold in folds)
    return pooled


def fold_intervals(
    results: Sequence[documents.FoldResult], metrics: Collection[str]
) -> tuple[dict[str, Estimate], dict[str, Number]]:
    """Return the mean of each metric over all folds with its interval, and standard deviations.

    They estimate the performance of the procedure with as many training rows as in a fold.

    Args:
        results: the results of all folds of all repeats; undefined metrics are ignored.
        metrics: the names of the metrics.

    Returns:
        Means by metric, see `corrected_interval`; and standard deviations (ddof 1), `None` for a
        single fold.
    """
    means: dict[str, Estimate] = {}
    deviations: dict[str, Number] = {}
    for metric in metrics:
        found = [(each, each.metrics.get(metric)) for each in results]
        known = [(each, value) for each, value in found if value is not None]
        means[metric], deviations[metric] = Estimate(), None
        if known:
            values = np.array([value for _, value in known])
            ratio = float(np.mean([each.held_out / max(1, each.train) for each, _ in known]))
            weights, bounds = np.ones(len(values)), metric_bounds(metric)
            means[metric] = intervals.corrected_interval(values, weights, ratio, bounds)
            deviations[metric] = documents.standard_deviation(values)
    return means, deviations


def median_epochs(results: Sequence[documents.FoldResult]) -> int | None:
    """Return the number of epochs for all rows: the median over folds of the best or last epoch.

    Failed folds are ignored; `None` if all failed.
    """
    trained = [each for each in results if each.problem is None and each.epochs]
    return documents.rounded_median([each.best_epoch or each.epochs for each in trained])


def pooled_estimates(
    held_out: Sequence[HeldOut], only: Collection[str] | None = None
) -> dict[str, Estimate]:
    """Return the mean over repeats of each metric of all rows, with its confidence interval.

    For the mean of intervals, see `mean_estimate`. The networks are treated as fixed and rows as
    independent, although the rows of a fold share a network and networks share training rows. The
    interval therefore describes the variation over other rows with these networks. It is too narrow
    for the performance of the procedure on other training rows: Bates, Hastie and Tibshirani,
    Cross-validation: What Does It Estimate and How Well Does It Do It?, JASA 119 (2024).
    `fold_intervals` includes that variation.

    Ranking metrics, `auc` and `average_precision`, compare predictions of different networks, and
    are lower than within folds if their levels differ: Forman and Scholz, Apples-to-Apples in
    Cross-Validation Studies, SIGKDD Explorations 12 (2010).

    Args:
        held_out: for each repeat, the rows of all its folds.
        only: the metrics to return. [default: all]
    """
    found = [intervals.estimate_statistics(each.statistics(only)) for each in held_out]
    names = dict.fromkeys(name for estimates in found for name in estimates)
    return {
        name: intervals.mean_estimate([estimates.get(name) for estimates in found])
        for name in names
    }


def notes_of(
    document: documents.CrossValidation,
    held_out: Sequence[HeldOut | None],
    compared: Sequence[BaselineDifference],
    stopping: EarlyStopping | None,
) -> Iterator[str]:
    """Yield the caveats of a cross-validation.

    Args:
        document: the result.
        held_out: the rows of each fold with their predictions; `None` for a fold that failed.
        compared: the folds of the first repeat, each compared with a constant model.
        stopping: the early stopping of the config.
    """
    results, split = document.results, document.split
    failed = sum(each.problem is not None for each in results)
    if failed:
        yield (
            f"{failed} of {plural(len(results), 'fold')} failed, so metrics cover only the "
            "other folds; a network trained on all rows may also fail"
        )
    if worse := [each.metric for each in compared if each.verdict == "worse"]:
        yield (
            f"in {len(worse)} of {plural(len(compared), 'fold')} the network is significantly "
            f"worse than a constant model in {metric_title(worse[0])}"
        )
    if document.main_metric is not None:
        yield from _about_spread(results, held_out, document.main_metric, split)
    fewest = min(each.held_out for each in results)
    if fewest < FEW_ROWS:
        yield (
            f"a fold has only {plural(fewest, 'row')}, so its metrics are noisy: prefer the "
            "pooled metrics"
        )
    yield from _about_classes(held_out, split)
    yield from _about_undefined(results)
    if split == "group":
        yield (
            "pooled intervals treat rows as independent; rows of one group are similar, so these "
            "intervals are too narrow: prefer the intervals over folds"
        )
    if split == "time":
        evaluated = sum(each.held_out for each in results if each.repeat == 1)
        yield (
            "each fold is evaluated by a network trained on earlier rows, the first on few rows; "
            f"the earliest {plural(document.rows - evaluated, 'row')} are never evaluated"
        )
        yield (
            "pooled intervals treat rows as independent; rows of neighboring times may be similar, "
            "so these intervals may be too narrow"
        )
    validates = any(each.validation for each in results)
    # Without such rows, only the folds of an ensemble have a `val_loss`.
    if stopping is not None and not (validates or stopping.monitor.startswith("val_")):
        yield (
            f"early stopping monitored {stopping.monitor} of the training rows, which does not "
            "show overfitting: set data.validation: 0.15 and early_stopping.monitor: val_loss"
        )
    yield (
        "the intervals in the column 'all rows' reflect only the choice of evaluation rows; the "
        "intervals in 'mean of folds' also reflect the choice of training rows"
    )


def _about_spread(
    results: Sequence[documents.FoldResult],
    held_out: Sequence[HeldOut | None],
    metric: str,
    split: str,
) -> Iterator[str]:
    """Yield a note if folds of the first repeat differ more than their rows explain."""
    first = [each for each in zip(results, held_out, strict=True) if each[0].repeat == 1]
    values = [value for each, _ in first if (value := each.metrics.get(metric)) is not None]
    if _differ_significantly(first, METRICS[metric].root_of or metric):
        reach = f"{number(min(values))} to {number(max(values))}"
        yield (
            f"over folds, {metric} ranges from {reach}, more than random splits explain: "
            f"{_REASONS.get(split, _ANY_REASON)}"
        )


def _differ_significantly(
    folds: Sequence[tuple[documents.FoldResult, HeldOut | None]], metric: str
) -> bool:
    """Return whether folds differ more than a random split of the rows explains.

    If only rows differ, `Q = Σ n (v - m)² / S²` is approximately chi-squared, with one degree of
    freedom less than the number of folds, where `m` is the mean weighted by the rows `n` of each
    fold. The variance per row is pooled over the folds, `S² = Σ n² s² / Σ (n - 1)` with the
    standard errors `s`: Fisher, Statistical Methods for Research Workers (1925), chapter 7. Weights
    `1 / s²` would favor a fold whose few rows are similar by chance.
    """
    known = [
        (value, error, rows.rows)
        for result, rows in folds
        if rows is not None and rows.rows >= FEW_ROWS
        if (value := result.metrics.get(metric)) is not None
        if (error := intervals.standard_error(rows.statistics()[metric]))
    ]
    if len(known) < max(2, len(folds)):
        return False
    from scipy.special import chdtri

    values, errors, counts = np.array(known, dtype=np.float64).T
    with np.errstate(over="ignore", invalid="ignore"):
        spread = counts @ (values - counts @ values / counts.sum()) ** 2
        variance = np.sum((counts * errors) ** 2) / np.sum(counts - 1)
        return bool(spread > variance * chdtri(len(values) - 1, _CHANCE))


def _about_classes(held_out: Sequence[HeldOut | None], split: str) -> Iterator[str]:
    """Yield a note on classes or labels that are missing from some folds."""
    known = [rows for rows in held_out if rows is not None]
    if not known or not known[0].task.names:
        return
    names = known[0].task.names
    missing = np.sum([_count_rows(rows) == 0 for rows in known], axis=0)
    absent = [name for name, folds in zip(names, missing, strict=True) if folds]
    if absent:
        way_out = (
            "; data.split: stratified keeps the class proportions in each fold"
            if split == "random"
            else ""
        )
        yield (
            f"up to {max(missing)} of {plural(len(known), 'fold')} have no rows of "
            f"{listed(absent)}, so their metrics do not cover such rows{way_out}"
        )


def _count_rows(held_out: HeldOut) -> Array:
    """Return the number of rows of each class or label, shape `(classes or labels,)`."""
    if held_out.task.outcome == "labels":
        return np.asarray(held_out.values.sum(axis=0))
    return np.bincount(held_out.values, minlength=held_out.task.width)


def _about_undefined(results: Sequence[documents.FoldResult]) -> Iterator[str]:
    evaluated = [each for each in results if each.problem is None]
    names = dict.fromkeys(name for each in evaluated for name in each.metrics)
    for name in names:
        missing = sum(each.metrics.get(name) is None for each in evaluated)
        if 0 < missing < len(evaluated):
            yield (
                f"{name} is undefined in {missing} of {plural(len(evaluated), 'fold')}: its mean "
                "covers the other folds only"
            )
