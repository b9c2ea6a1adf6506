"""Store the results of a training in its run folder: network, explanation, metrics, gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Indices
from dlcli.columns.value_issues import ValueIssues
from dlcli.data_checks.sample import draw
from dlcli.explanation.explaining import explain
from dlcli.explanation.explanation_document import Explanation
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.statistic import Metrics
from dlcli.pipeline import run_recording
from dlcli.pipeline.baselines import Baselines
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitResult
from dlcli.pipeline.preparation import FitRows, type_reason
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.prediction.gates import check_gate
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import RunWriter
from dlcli.tables.arrow_arrays import strings

SAMPLE_ROWS = 2_000
"""Training rows whose predictions are stored, at most."""


def save_network(result: FitResult, writer: RunWriter) -> None:
    """Store the trained network for dlcli and as a Keras model, and its explanation."""
    from dlcli.keras_model import build_trained_model

    writer.write_text(RunFile.ENCODING, result.rows.encoding.model_dump_json(indent=2))
    writer.write_arrays(RunFile.WEIGHTS, result.training.weights)
    writer.write_history(result.training.history)
    if result.ensemble is not None:
        writer.write_text(RunFile.ENSEMBLE, result.ensemble.model_dump_json())
    members = [(each.task, each.training.weights) for each in result.members]
    model = build_trained_model(result.plan.network, members)
    with writer.model_file() as path:
        model.save(path)
    writer.write_text(RunFile.EXPLANATION, explain_result(result, writer).model_dump_json())


def save_metrics(result: FitResult, writer: RunWriter) -> dict[str, Metrics]:
    """Store the metrics of each set, predictions, and the errors that intervals follow from.

    Stored are the predictions of all held-out rows, and of a sample of the training rows.
    """

    def with_set(name: str, some: NDArray[np.int64] | None = None) -> pa.Table:
        rows = result.tables[name].rows if some is None else len(some)
        return result.prediction_table(name, {"split": strings([name] * rows, pa.string())}, some)

    metrics = {name: result.metrics(name) for name in result.tables}
    some = draw(np.arange(result.tables["train"].rows), SAMPLE_ROWS, result.config.seed)
    writer.write_table(RunFile.SAMPLE, with_set("train", some))
    writer.write_json(RunFile.METRICS, metrics)
    if result.conformal is not None:
        writer.write_text(RunFile.CONFORMAL, result.conformal.model_dump_json())
    held_out = [with_set(name) for name in result.tables if name != "train"]
    if held_out:
        writer.write_table(RunFile.PREDICTIONS, pa.concat_tables(held_out))
    return metrics


def save_gates(
    result: FitResult, comparison: BaselineComparison, writer: RunWriter
) -> dict[str, object]:
    """Check the gates of the config and store the results, if it has any.

    Returns:
        The results for the event, as `gates`.
    """
    gates = result.config.gates
    if not gates:
        return {}
    estimates: dict[str, Mapping[str, Estimate]] = {}
    for split in dict.fromkeys(name.partition(".")[0] for name in gates):
        if split in result.tables:
            statistics = result.predictor.task.statistics(result.decoded(split))
            named = {name: each for name, each in statistics.items() if f"{split}.{name}" in gates}
            estimates[split] = estimate_statistics(named)
    results = []
    for name, gate in gates.items():
        split, _, metric = name.partition(".")
        estimate = estimates.get(split, {}).get(metric)
        results.append(check_gate(name, gate, estimate, comparison.on(split)))
    return run_recording.store_gates(results, writer)


def report_result(
    result: FitResult,
    metrics: dict[str, Metrics],
    baselines: Baselines,
    comparison: BaselineComparison,
    gates: dict[str, object],
    writer: RunWriter,
    events: Events,
) -> None:
    """Report the result of a training.

    Args:
        result: the trained network.
        metrics: its metrics by set.
        baselines: those of simple models, by model and set.
        comparison: the network compared with these.
        gates: the results of the config's gates.
        writer: the run.
        events: receives the result.
    """
    events.emit(
        "result",
        run=str(writer.path),
        epochs=result.training.epochs,
        metrics=metrics,
        baselines=baselines,
        verdicts=comparison.model_dump(mode="json"),
        **gates,
    )


def explain_result(result: FitResult, writer: RunWriter) -> Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    Args:
        result: the trained network with its rows.
        writer: the run, whose log has the reasons for the types of columns.
    """
    from dlcli.training.objectives import gradient_norms

    job, member = result.job, result.members[0]
    if result.ensemble is not None:  # that of a member has its seed, and its scaling of the target
        target = member.task.encode(result.tables["train"], ValueIssues())
        train = replace(job.train, target=target)
        config = job.config.model_copy(update={"seed": member.seed})
        job = replace(job, config=config, task=member.task, train=train)
    norms = partial(gradient_norms, job, member.training.weights)
    rows = with_logged_reasons(result.rows, writer)
    tables = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    folds: list[Indices] = []
    if result.config.ensemble_folds is not None:
        if "test" in tables:
            del tables["validation"]  # training rows, which show less than test rows
        else:
            folds = result.held_out
    predictor, predictions = result.predictor, result.predictions
    return explain(predictor, tables, rows.task, rows.decisions, predictions, norms, folds)


def with_logged_reasons(rows: FitRows, writer: RunWriter) -> FitRows:
    """Return rows with the reasons for types that were logged when the run began.

    A resumed run reads its resolved config, in which every type is declared.
    """
    columns = writer.first_event("features").get("columns")
    logged = columns if isinstance(columns, dict) else {}
    decisions = {
        name: replace(decision, reason=_reason(logged.get(name)) or type_reason(decision))
        for name, decision in rows.decisions.items()
    }
    why = _reason(writer.first_event("target")) or rows.task.reason
    task = rows.task.model_copy(update={"reason": why})
    return replace(rows, decisions=decisions, task=task)


def _reason(fields: object) -> str | None:
    """Return the reason among the fields of an event, if it is a text."""
    reason = fields.get("reason") if isinstance(fields, dict) else None
    return reason if isinstance(reason, str) else None
