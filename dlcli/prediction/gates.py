"""Quality gates: requirements of a config on metrics, and their check."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from dlcli.columns.registry import FeatureEncoder
from dlcli.config.config_schema import Gate
from dlcli.errors import RequirementError, number, printable, truncate
from dlcli.metrics.definitions import METRICS, is_higher_better
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.prediction.baseline_comparison import BaselineDifference, compare_to_baseline
from dlcli.prediction.groups import FEW_ROWS, LONGEST_NAME, column_groups
from dlcli.prediction.predictor import Evaluation, Predictor
from dlcli.safe_files import Document
from dlcli.tables.table import Table
from dlcli.tasks.task import DecodedRows, Task

_MOST_NAMES = 5
_VERDICTS = {
    "worse": "worse than",
    "same": "not better than",
    "not_significant": "not clearly better than",
}


class GateResult(Document):
    """One gate and its result."""

    gate: str
    """The set of rows and the metric: `test.accuracy`."""
    value: float | None
    """The value of the metric; `None` if it is undefined."""
    lower: float | None = None
    upper: float | None = None
    """The ends of its 95 % confidence interval; `None` if undefined."""
    rows: str | None = None
    """The evaluated rows, if they are not the rows of the set: `rows of all folds`."""
    group: str | None = None
    """The group with the worst value, for a gate with `for_each`."""
    few_rows: tuple[str, ...] = ()
    """Groups that were not checked, because they have fewer rows than `min_rows`."""
    failures: tuple[str, ...]
    """The reasons why the gate fails, in words; empty if it passes."""

    @property
    def passed(self) -> bool:
        """True if all requirements are met."""
        return not self.failures

    @property
    def sentence(self) -> str:
        """The result in words."""
        if self.failures:
            return f"Gate failed: {'; '.join(self.failures)}."
        value = "" if self.value is None else f" = {number(self.value)}"
        few = ""
        if self.few_rows:
            names = ", ".join(self.few_rows[:_MOST_NAMES])
            more = len(self.few_rows) - _MOST_NAMES
            few = f"; too few rows to check: {names}{f' and {more} more' if more > 0 else ''}"
        return f"Gate passed: {_named(self.gate, self.rows)}{value}{few}."


class GateResults(Document):
    """The results of all gates of a run."""

    format: Literal[1] = 1
    results: tuple[GateResult, ...]


def check_gate(
    name: str,
    gate: Gate,
    estimate: Estimate | None,
    baselines: Mapping[str, BaselineDifference],
    rows: str | None = None,
) -> GateResult:
    """Check a gate.

    Args:
        name: the name of the gate.
        gate: its requirements.
        estimate: the metric with its confidence interval; `None` if unknown.
        baselines: the differences from the baselines on the same rows, by name.
        rows: the evaluated rows, if they are not the rows of the gate's set.
    """
    known = estimate or Estimate()
    return GateResult(
        gate=name,
        value=known.value,
        lower=known.lower,
        upper=known.upper,
        rows=rows,
        failures=tuple(_failures(name, gate, known, baselines, rows)),
    )


def _named(name: str, rows: str | None) -> str:
    """Return the name of a gate for people, with the evaluated rows."""
    return f"{name} ({rows})" if rows else name


def _failures(
    name: str,
    gate: Gate,
    estimate: Estimate,
    baselines: Mapping[str, BaselineDifference],
    rows: str | None,
) -> Iterator[str]:
    metric, name = name.partition(".")[2], _named(name, rows)
    value, what = estimate.value, name
    if gate.compare == "confidence_bound":
        is_higher = is_higher_better(metric) if metric in METRICS else gate.at_most is None
        value = estimate.lower if is_higher else estimate.upper
        what = f"the {'lower' if is_higher else 'upper'} end of the 95 % CI of {name}"
    if value is None and (gate.at_least is not None or gate.at_most is not None):
        yield f"{what} is undefined{f': {estimate.reason}' if estimate.reason else ''}"
    elif value is not None and gate.at_least is not None and value < gate.at_least:
        yield _missed(what, value, ">=", gate.at_least)
    elif value is not None and gate.at_most is not None and value > gate.at_most:
        yield _missed(what, value, "<=", gate.at_most)
    if gate.better_than is not None:
        difference = baselines.get(gate.better_than)
        if difference is None:
            yield f"{name}: there is no {gate.better_than} baseline to compare with"
        elif difference.verdict != "better":
            words = _VERDICTS.get(difference.verdict, "not known to be better than")
            yield f"{name}: the network is {words} the {gate.better_than} baseline"


def _missed(what: str, value: float, side: str, bound: float) -> str:
    """Format a value and the bound that it misses, with enough digits to distinguish them."""
    shown, limit = number(value), f"{bound:,.12g}"
    shown = f"{value:,.12g}" if shown in (limit, number(bound)) else shown
    return f"{what} = {shown} (required {side} {limit})"


def check_group_gate(
    name: str,
    gate: Gate,
    task: Task,
    table: Table,
    decoded: DecodedRows,
    encoders: Mapping[str, FeatureEncoder],
) -> GateResult:
    """Check a gate on each group of a column.

    Groups with fewer rows than `Gate.min_rows` are not checked, but named in the result.

    Args:
        name: the name of the gate.
        gate: its requirements, with `for_each`.
        task: the task, see `Task.for_loss`.
        table: the rows.
        decoded: their true values and predictions.
        encoders: the encoder of each column that the network reads.

    Raises:
        DataError: if the table lacks the column.
    """
    assert gate.for_each is not None
    metric = name.partition(".")[2]
    found = column_groups(task, table, decoded, gate.for_each, encoders, metric)
    least = FEW_ROWS if gate.min_rows is None else gate.min_rows
    checked = [each for each in found.groups if each.rows >= least]
    few = tuple(each.group for each in found.groups if each.rows < least)
    shown = printable(truncate(gate.for_each, LONGEST_NAME))
    if not checked:
        failure = f"{name}: no group of '{shown}' has at least {least:,} rows"
        return GateResult(gate=name, value=None, few_rows=few, failures=(failure,))
    results = []
    for each in checked:
        result = check_gate(name, gate, each.metrics[metric], {}, f"{shown} = {each.group}")
        results.append(result.model_copy(update={"group": each.group}))
    upward = is_higher_better(metric) if gate.at_least is None else True
    values = [-math.inf if each.value is None else each.value for each in results]
    worst = results[int(np.argmin(values) if upward else np.argmax(values))]
    failures = tuple(failure for each in results for failure in each.failures)
    return worst.model_copy(update={"failures": failures, "few_rows": few})


def check_evaluation(
    predictor: Predictor, evaluation: Evaluation, baseline_rows: Mapping[str, DecodedRows]
) -> tuple[GateResult, ...]:
    """Check all gates except gates of training rows on the rows of a table.

    Args:
        predictor: the run's network, whose config contains the gates.
        evaluation: the evaluation of the rows.
        baseline_rows: the predictions of each baseline that a gate names.
    """
    config, task = predictor.config, predictor.task
    chosen = {
        name: gate for name, gate in (config.gates or {}).items() if not name.startswith("train.")
    }
    if not chosen:
        return ()
    metric = task.comparison_metric(config)
    baselines = {
        name: compare_to_baseline(task, metric.name, [(evaluation.decoded, rows)])
        for name, rows in baseline_rows.items()
    }
    metrics = {name: name.partition(".")[2] for name in chosen}
    table, decoded = evaluation.evaluated, evaluation.decoded
    statistics = task.statistics(evaluation.decoded)
    estimates = estimate_statistics(
        {name: each for name, each in statistics.items() if name in metrics.values()}
    )
    return tuple(
        check_group_gate(name, gate, task, table, decoded, predictor.encoders)
        if gate.for_each is not None
        else check_gate(name, gate, estimates[metrics[name]], baselines)
        for name, gate in chosen.items()
        if metrics[name] in estimates
    )


def group_columns(gates: Mapping[str, Gate] | None) -> list[str]:
    """Return the columns that gates name in `for_each`, without repetition."""
    named = (gate.for_each for gate in (gates or {}).values())
    return [*dict.fromkeys(name for name in named if name is not None)]


def required_baselines(gates: Mapping[str, Gate] | None) -> list[str]:
    """Return the baselines that gates name in `better_than`, without repetition."""
    named = (gate.better_than for gate in (gates or {}).values())
    return [*dict.fromkeys(name for name in named if name is not None)]


def require_gates(results: tuple[GateResult, ...], what: str) -> None:
    """Raise `RequirementError` if gates failed.

    Args:
        results: the results of all gates.
        what: the run or the table, with which the message begins.
    """
    failed = [failure for each in results for failure in each.failures]
    if failed:
        raise RequirementError(f"{what}: gate failed: {'; '.join(failed)}")
