"""Quality gates: requirements of a config on metrics, and their check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from dlcli.config.config_schema import Gate
from dlcli.errors import RequirementError, number
from dlcli.metrics.definitions import METRICS, is_higher_better
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.prediction.baseline_comparison import BaselineDifference, compare_to_baseline
from dlcli.prediction.predictor import Evaluation, Predictor
from dlcli.safe_files import Document
from dlcli.tasks.task import DecodedRows

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
        return f"Gate passed: {_named(self.gate, self.rows)}{value}."


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
    statistics = task.statistics(evaluation.decoded)
    estimates = estimate_statistics(
        {name: each for name, each in statistics.items() if name in metrics.values()}
    )
    return tuple(
        check_gate(name, gate, estimates[metrics[name]], baselines)
        for name, gate in chosen.items()
        if metrics[name] in estimates
    )


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
