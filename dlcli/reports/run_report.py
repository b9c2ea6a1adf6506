"""The report of a training run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from dlcli.config.data_section import TimeSplit
from dlcli.diagnosis.findings import diagnose
from dlcli.errors import plural
from dlcli.metrics.definitions import is_higher_better
from dlcli.metrics.statistic import finite_number
from dlcli.reports import formatting as fmt
from dlcli.reports import report_parts
from dlcli.reports.explanation_sections import data_section, explanation_section
from dlcli.reports.result_section import result_section
from dlcli.reports.run_record import TrainingRecord
from dlcli.reports.training_section import training_section
from dlcli.reports.views import Figure, FindingsBlock, PageSection, TableBlock, TextBlock, View

_FEW_ROWS = 100
"""Rows below which the second digit of a metric is mostly random."""
_BASELINES = ("linear", "constant")
"""The simplest models, the one that is harder to beat first."""
_MOST_FINDINGS = 20
_MOST_COLUMNS_NAMED = 4
"""Columns of a target whose own metrics the first sentence has."""


def training_view(record: TrainingRecord) -> View:
    """Show a training run: its metrics next to those of the simplest models, and how it was made.

    Raises:
        RunError: if a file of the run is damaged; its sections raise it, too.
    """
    metrics = _metric_table(record)
    logged = record.log.target
    counts = (len(logged.classes), len(logged.labels)) if logged else (0, 0)
    target = report_parts.name_target(logged.columns if logged else (), *counts)
    return View(
        title=record.title,
        kicker="dlcli report",
        lead=f"Predicts {target}.",
        sentences=tuple(_sentences(record)),
        figures=tuple(_figures(record)),
        blocks=(metrics,) if record.splits else (),
        links=tuple(_links(record)),
        sections=lambda: list(_sections(record, metrics)),
        footer=report_parts.footer(record),
    )


def _links(record: TrainingRecord) -> Iterator[tuple[str, str]]:
    """Yield the run, its page, and the command that finds causes if a baseline is as good."""
    run = record.run
    yield "run", str(run.path)
    yield "report", report_parts.report_link(run)
    differences = record.run.verdicts.on(record.splits[0]) if record.splits else {}
    if any(each.verdict in ("worse", "same") for each in differences.values()):
        yield "diagnosis", shlex.join(["dlcli", "diagnose", str(run.path)])


def _sections(record: TrainingRecord, metrics: TableBlock) -> Iterator[PageSection]:
    task, network = record.run.task, record.log.network
    described = task.describe(fmt.join_names(task.columns), fmt.join_names(task.names))
    drawn = [report_parts.network_block(network)] if network else []
    yield report_parts.config_section(record, TextBlock(f"Predict {described}."), *drawn)
    yield data_section(record)
    yield training_section(record)
    if not record.run.is_diverged:
        yield result_section(record, metrics)
    if (explanation := explanation_section(record)) is not None:
        yield explanation
    if findings := diagnose(record.run)[:_MOST_FINDINGS]:
        text = "What stands out, the most important first, and changes of the config to try."
        block = FindingsBlock(tuple(findings), record.run.resolved_path())
        yield PageSection("next", "What to try next", (TextBlock(text), block))
    run, resolved = str(record.run.path), str(record.run.resolved_path())
    lines = [["dlcli", "train", resolved], ["dlcli", "report", run]]
    if not record.run.is_diverged:
        lines.insert(1, ["dlcli", "predict", run, "DATA"])
    text = (
        "On the same machine with the same versions, data and threads, the resolved config trains "
        "bit-identical weights:"
    )
    yield report_parts.reproduction_section(
        record, TextBlock(text), report_parts.commands_block(lines)
    )


def _metric_table(record: TrainingRecord) -> TableBlock:
    """List the metrics of each set of rows, and of the baselines on the most independent set."""
    splits = [name for name in ("train", "validation", "test") if name in record.run.metrics]
    first = record.splits[0] if splits else ""
    models = [name for name in _BASELINES if first in record.run.baselines.get(name, {})]
    columns = [record.run.metrics[split] for split in splits]
    columns += [record.run.baselines[model][first] for model in models]
    facts = [
        "Metrics of training rows are optimistically biased, as the network was fitted to them"
    ]
    if "validation" in splits:
        facts.append(_use_of_validation(record))
    if "test" in splits:
        facts.append("test rows were used for nothing else")
    note = f"↑ higher is better, ↓ lower is better. {'; '.join(facts)}."
    if models:
        rows = f"{record.run.config.adjective(first)} rows"
        note += (
            f" Baselines are evaluated on the {rows}: “constant” always predicts the mean (the "
            "median, if absolute errors are compared) or the most frequent class; “linear” has the "
            "same inputs and no hidden layers. A network should beat both."
        )
    heads = [
        "out-of-fold" if name == "validation" and record.is_out_of_fold else name for name in splits
    ]
    return report_parts.metric_table([*heads, *models], columns, note=note, with_directions=True)


def _use_of_validation(record: TrainingRecord) -> str:
    if record.is_out_of_fold:
        return (
            "out-of-fold metrics are of the training rows, each predicted by the members of the "
            "ensemble that were not trained on it, which chose only their own best epoch by it"
        )
    if record.run.config.early_stopping is not None:
        return "validation rows decided when to stop"
    return "validation rows were not trained on, but configs are chosen by them"


def _sentences(record: TrainingRecord) -> Iterator[str]:
    """Yield whether the network is worth having, by the metric that decides."""
    if record.run.is_diverged:
        yield (
            "Training diverged: the loss or the weights became NaN or infinite. Nothing was "
            "evaluated; see the training and what to try next below."
        )
        return
    metric = record.main_metric
    if metric is None:
        yield "No metric is defined."
        return
    split = record.splits[0]
    rows, scores = record.counted_rows(split), record.run.metrics[split]
    adjective = record.run.config.adjective(split)
    counted = plural(rows, f"{adjective} row") if rows is not None else f"the {adjective} rows"
    value = fmt.metric(metric, finite_number(scores[metric]))
    yield f"On {counted}, {fmt.metric_title(metric)} is {value}{_of_each_column(scores, metric)}."
    doubt = record.run.verdicts.suspicion(
        out_of_fold=record.is_out_of_fold, of_several=len(record.run.config.data.target.columns) > 1
    )
    if doubt is not None:
        lead = "Possible leak: " if doubt.leaks else ""
        yield f"{fmt.capitalize(lead + doubt.observation)}; {doubt.meaning}."
    are_few = rows is not None and rows < _FEW_ROWS
    verdicts = {each.verdict for each in record.run.verdicts.on(split).values()}
    # Out-of-fold rows are predicted by fewer members, so that they can't refute a significant gain.
    # Of a split by time, they tell nothing of later rows: other folds have rows from after them.
    is_open = are_few and split == "test" and verdicts != {"better"}
    is_open = is_open and not isinstance(record.run.config.data.split, TimeSplit)
    many = record.counted_rows("validation") if is_open else None
    if many and rows and many > rows and record.is_out_of_fold:
        yield f"With only {counted}, this is uncertain; out-of-fold rows show more."
        on_many = record.run.verdicts.on("validation")
        where = f"On {many:,} out-of-fold rows"
        yield from report_parts.baseline_sentences(on_many, where=where, are_few=many < _FEW_ROWS)
        are_few = False
    else:
        subject = "It" if doubt is None else "The network"
        differences = record.run.verdicts.on(split)
        yield from report_parts.baseline_sentences(differences, subject=subject, are_few=are_few)
    if record.log.baselines and record.log.baselines.no_linear:
        yield f"There is no linear baseline: {fmt.shorten(record.log.baselines.no_linear, 200)}."
    if split == "train":
        yield (
            "No rows were held out, so this says nothing about new ones; hold some out with: "
            "--set data.validation=0.15 --set data.test=0.15"
        )
    elif are_few:
        yield f"With only {counted}, this is uncertain."
    yield from report_parts.positive_class(
        scores, record.log.target.classes if record.log.target else ()
    )
    yield from (each.sentence for each in record.run.gates)


def _of_each_column(scores: Mapping[str, object], metric: str) -> str:
    """Return the metric of each column of a target of a few: `: price 0.84, rooms 0.92`."""
    columns = scores.get("by_column")
    if not isinstance(columns, dict) or len(columns) > _MOST_COLUMNS_NAMED:
        return ""
    values = (
        f"{fmt.shorten(name)} {fmt.metric(metric, finite_number(each.get(metric)))}"
        for name, each in columns.items()
        if isinstance(each, dict)
    )
    return f": {', '.join(values)}"


def _figures(record: TrainingRecord) -> Iterator[Figure]:
    """Yield the metric that decides on each set of rows, and of the baselines."""
    metric = record.main_metric
    if metric is not None:
        first = record.splits[0]
        better = "higher is better" if is_higher_better(metric) else "lower is better"
        title = fmt.metric_title(metric)
        for split in record.splits:
            value = fmt.metric(metric, finite_number(record.run.metrics[split].get(metric)))
            note = better if split == first else ""
            yield Figure(f"{title}, {record.run.config.adjective(split)} rows", value, note)
        for name in _BASELINES:
            if first in (scores := record.run.baselines.get(name, {})):
                value = fmt.metric(metric, finite_number(scores[first].get(metric)))
                yield Figure(f"{name} baseline, {record.run.config.adjective(first)} rows", value)
    if record.log.network:
        members = record.log.network.members
        what = f"in each of {members:,} networks" if members else "trainable numbers"
        yield Figure("Parameters", f"{record.log.network.parameters:,}", what)
