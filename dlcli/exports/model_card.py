"""The model card of a run, as Markdown: its purpose, data, results and limits.

The headings follow Mitchell et al. 2019, "Model cards for model reporting"
(https://arxiv.org/abs/1810.03993).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from dlcli.columns.column_exports import as_code, single_line
from dlcli.columns.registry import type_named
from dlcli.comparison import HELD_OUT, ComparedRun
from dlcli.config.config_file import EDITOR_COMMENT
from dlcli.config.data_section import SPLITS
from dlcli.diagnosis.findings import diagnose
from dlcli.errors import plural
from dlcli.explanation.explanation_document import ColumnStatistics, Explanation
from dlcli.exports.export_folder import cell, describe_target, markdown_table
from dlcli.exports.formats import TextFormat
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.prediction.conformal import REPORTED_LEVEL
from dlcli.reports import formatting as fmt
from dlcli.reports.explanation_sections import format_of
from dlcli.reports.report_files import view_of
from dlcli.reports.report_parts import sample_notes
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run

_MOST_VALUES = 6
"""Maximum number of a column's categories that are listed."""
_MOST_IMPORTANT = 5
_MOST_FINDINGS = 5


def model_card(run: Run) -> str:
    """Return the model card of a training run.

    Args:
        run: the training run.

    Raises:
        RunError: if the run has no network or is damaged.
    """
    subject = ComparedRun.of(run)
    split = next((name for name in HELD_OUT if name in subject.metrics), None)
    parts = [
        f"# Model card: {run.path.resolve().name}",
        *_purpose(run),
        "## Model",
        *_model(subject),
        "## Data",
        *_data(subject),
        "## Results",
        *_results(subject, split),
        "## Limits",
        _list(_limits(subject, split)),
        "## Requirements for new rows",
        *_contract(run.explanation),
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(run: Run) -> Iterator[str]:
    """Yield the comment at the beginning of the config, and a sentence on target and features."""
    lines = run.read_text(RunFile.CONFIG).removeprefix(EDITOR_COMMENT).splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    if text := "\n".join(comment).strip():
        yield text
    columns = plural(len(run.encoding.features), "column")
    yield f"It predicts {describe_target(run.task)}, from {columns}."


def _model(subject: ComparedRun) -> Iterator[str]:
    predictor = subject.run.predictor
    config, output, loss = predictor.config, predictor.config.output, predictor.config.loss
    assert output.activation is not None and loss is not None  # resolved
    layers = [f"{each.units} {each.activation.name}" for each in config.hidden]
    layers.append(f"{output.units} {output.activation.name}")
    network = (
        f"{predictor.network.inputs} inputs, Dense layers of {', '.join(layers)}; "
        f"{predictor.network.parameters:,} parameters"
    )
    if predictor.members > 1:
        network = f"the mean of {predictor.members} networks: {network} each"
    facts = {
        "network": network,
        "loss": loss.name,
        "trained": f"{subject.run.created:%Y-%m-%d}",
        "seed": str(config.seed),
    }
    for name in ("dlcli", "tensorflow", "keras"):
        if version := subject.fact(name):
            facts[name] = version
    yield markdown_table(("", ""), [*facts.items()])


def _data(subject: ComparedRun) -> Iterator[str]:
    config, explanation = subject.run.config, subject.run.explanation
    files = [
        (as_code(PurePath(each.name).name), f"`{(each.sha256 or '')[:16]}`")
        for each in subject.data
    ]
    if files:
        yield markdown_table(("file", "SHA-256 begins with"), files)
    is_out_of_fold = config.ensemble_folds is not None
    trained = explanation.rows.get("train")
    rows = [
        (config.adjective(name), f"{count:,}")
        for name, count in explanation.rows.items()
        # Without those that are the same rows as the training rows.
        if not (is_out_of_fold and name == "validation" and count == trained)
    ]
    if rows:
        yield markdown_table(("rows", "number"), rows)
    yield from sample_notes(subject.run)
    targets = [each for each in explanation.columns if each.role == "target"]
    if targets:
        yield markdown_table(
            ("target", "type", "values in training rows"),
            [
                (as_code(each.name), each.type, _values(each, explanation.rows.get("train", 0)))
                for each in targets
            ],
        )


def _results(subject: ComparedRun, evaluated: str | None) -> Iterator[str]:
    """Yield metrics with intervals, the comparison with baselines, and important columns."""
    config, explanation = subject.run.config, subject.run.explanation
    estimates: dict[str, Estimate] = {}
    if evaluated and subject.run.predictions is not None:
        estimates = dict(estimate_statistics(subject.rows_of(evaluated).statistics()))
    every = [name for name in reversed(SPLITS) if name in subject.metrics]
    heads = [f"{config.adjective(name)} rows" for name in every]
    names = dict.fromkeys(name for split in every for name in subject.metrics[split])
    lines = []
    for name in names:
        cells = [
            fmt.estimate(estimates[name], name)
            if name in estimates and split == evaluated
            else fmt.metric(name, subject.metrics[split].get(name), explanation.rows.get(split))
            for split in every
        ]
        lines.append((fmt.metric_title(name), *cells))
    yield markdown_table(("metric", *heads), lines)
    if evaluated and estimates:
        biased = "Metrics of training rows are too optimistic"
        if config.ensemble_folds is not None:
            biased += "; out-of-fold metrics are computed on the same rows, each predicted by "
            biased += "networks that were not trained on it"
        elif "validation" in every and config.early_stopping is not None:
            biased += "; validation rows were used for early stopping"
        if any(each.lower is not None for each in estimates.values()):
            of_rows = f"on {config.adjective(evaluated)} rows"
            biased = f"In brackets: the 95 % confidence interval {of_rows}. {biased}"
        yield f"{biased}."
    yield _list(view_of(subject.run).sentences)
    important = [each for each in explanation.importances if each.increase > 0][:_MOST_IMPORTANT]
    if important:
        error = f"{fmt.metric_title(explanation.importance_metric or '')}{explanation.unit}"
        yield f"Feature importance: the increase of the {error} if a column's values are permuted."
        pairs = [(as_code(each.column), fmt.number(each.increase)) for each in important]
        yield markdown_table(("column", f"increase of {error}"), pairs)


def _limits(subject: ComparedRun, evaluated: str | None) -> Iterator[str]:
    """Yield the limits of the model, and known problems."""
    run, task = subject.run, subject.run.task
    rows = run.explanation.rows.get(evaluated, 0) if evaluated else 0
    if evaluated and rows and run.predictions is not None:
        stored = run.predictions.of_split(evaluated)
        rows -= stored.rows - subject.rows_of(evaluated).rows  # rows of weight 0
    if not evaluated:
        yield "No rows were held out, so the performance on new rows is unknown."
    elif rows < 1_000:
        kind = run.config.adjective(evaluated)
        yield f"It was evaluated on only {plural(rows, f'{kind} row')}."
    yield (
        "Predictions are valid for rows that resemble the training rows. Outside the training "
        "range, the network extrapolates, and new categories are encoded as unknown."
    )
    conformal = None if task.outcome == "labels" else run.conformal
    if conformal is not None and conformal.reaches(REPORTED_LEVEL):
        noun = "Prediction intervals" if task.outcome == "numbers" else "Prediction sets"
        yield (
            f"{noun} (`dlcli predict --interval {REPORTED_LEVEL:g}`) show the uncertainty of a "
            "prediction, if new rows resemble the training rows."
        )
    for finding in diagnose(run)[:_MOST_FINDINGS]:
        yield f"{fmt.capitalize(finding.observation)}: {finding.meaning}."


def _contract(explanation: Explanation) -> Iterator[str]:
    """Yield the values of each feature in the training rows."""
    yield (
        "The values of each feature in the training rows. `dlcli predict` reports rows that are "
        "out of range (with `--json` by column). If their share grows, evaluate the model on "
        "recent rows (`dlcli evaluate`) and train it again."
    )
    rows = max(explanation.rows.get("train", 0), 1)
    lines = [
        (as_code(each.name), each.type, _values(each, rows), fmt.percent(each.missing / rows))
        for each in explanation.columns
        if each.role == "feature" and each.inputs
    ]
    yield markdown_table(("column", "type", "range or values", "missing"), lines)
    if explanation.unlisted_columns:
        yield f"And {plural(explanation.unlisted_columns, 'more column')}."


def _values(column: ColumnStatistics, rows: int) -> str:
    """Return the range of a column, or its most frequent values with their shares.

    Args:
        column: statistics of the column.
        rows: the number of training rows; shares refer to rows with a value.
    """
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        format_value = format_of(column)
        has_mean = column.mean is not None and not type_named(column.type).is_time
        mean = f", mean {format_value(column.mean)}" if has_mean else ""
        return f"{format_value(low)} to {format_value(high)}{mean}"
    total = rows - column.missing
    if total <= 0 or not column.values or not type_named(column.type).has_common_values:
        return f"{column.distinct:,} distinct" if column.distinct else ""
    shown = [
        f"{single_line(fmt.shorten(each.value, 40))} {fmt.percent(each.train / total)}"
        for each in column.values[:_MOST_VALUES]
    ]
    more = (column.distinct or len(column.values)) - len(shown)
    return ", ".join(shown) + (f", and {more:,} more" if more > 0 else "")


def _list(sentences: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(f"- {cell(each)}" for each in sentences)


FORMAT = TextFormat(model_card)
