"""The report of a training run: result, network, and course of training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np

from dlcli.diagnosis.case import overfits_at_once
from dlcli.diagnosis.findings import MINOR, diagnose
from dlcli.errors import joined, plural
from dlcli.explanation.explanation_document import LayerStatistics
from dlcli.metrics.definitions import ACCURACY, COST, METRICS, is_higher_better
from dlcli.pipeline.events import NetworkEvent
from dlcli.prediction.baseline_comparison import Conclusion
from dlcli.reports import formatting as fmt
from dlcli.reports import report_parts, views
from dlcli.reports.charts import TENFOLD, Axis, Guides, line_chart, log_labels, spans_decades
from dlcli.reports.command_views import (
    decision_sentences,
    layer_table,
    metric_table,
    positive_class,
)
from dlcli.reports.distillation_section import (
    distillation_sentences,
    distillation_table,
    validation_note,
)
from dlcli.reports.errors_section import errors_section
from dlcli.reports.explanation_sections import data_section, explanation_section, warning_blocks
from dlcli.reports.group_section import groups_section
from dlcli.reports.network_drawing import drawn_layers, network_svg
from dlcli.reports.probability_sentences import probability_sentences
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.result_section import result_section
from dlcli.runs.documents import thinned
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run

Lines = Mapping[str, Sequence[float]]
"""The values per epoch, by line."""
Points = Sequence[tuple[int, float]]
"""Epochs, counted from 1, with values."""
MOST_CURVES = 20
MOST_LINE_POINTS = 600
MOST_BUNDLE_POINTS = 5_000
"""Maximum number of points of all lines in a chart with a line per network."""
SET_COLORS = {"training": "train", "validation": "validation"}
_FEW_ROWS_EVALUATED = 100
"""Number of rows below which the second digit of a metric is mostly random."""
_FEWEST_ROWS_TO_SPLIT = 20
"""Number of rows below which a share of 15 % is too few rows to evaluate."""
_BIASED_ROWS = 2_000
"""Number of out-of-fold rows below which the choice of the epoch was found to bias their metrics,
see docs/metrics.md."""
_BASELINES = ("linear", "constant")
"""The baselines, the stronger one first."""
_MOST_FINDINGS = 20
_MOST_COLUMNS_NAMED = 4
"""Maximum number of target columns whose metrics are in the first sentence."""
_MOST_LAYERS_LISTED = 40
_MOST_LISTED_EPOCHS = 12
_MOST_LAYERS_DRAWN = 200
_EPOCHS = Axis("epoch", whole=True)


def training_view(run: Run) -> views.View:
    """Show a training run: its metrics next to the baselines, its network and training.

    Raises:
        RunError: if a file of the run is damaged; also raised by sections.
    """
    record = TrainingRecord(run)
    metrics, target = _metric_table(record), record.log.target
    named = ""
    if target:
        named = report_parts.name_target(target.columns, target.classes, target.labels)
    compared = distillation_table(run.distillation) if run.distillation else None
    has_validation = "validation" in record.splits
    note = validation_note() if run.distillation and has_validation else None
    diagnosis = ("diagnosis", shlex.join(["dlcli", "diagnose", str(run.path)]))
    view = views.View(
        kicker="dlcli report",
        lead=f"Predicts {named}.",
        sentences=tuple(_sentences(record)),
        figures=tuple(_figures(record)),
        notes=tuple(_notes(record)),
        blocks=views.blocks([metrics if record.splits else None, note, compared]),
        links=(diagnosis,) if _needs_diagnosis(run) else (),
        sections=lambda: list(_sections(record, metrics)),
    )
    return report_parts.run_view(run, view)


def _notes(record: TrainingRecord) -> Iterator[str]:
    """Yield the note that a time limit has shortened training, if it has."""
    limit = record.log.time_limit
    if limit is not None and limit.epochs < limit.of:
        yield fmt.sentence(fmt.time_limit(limit))


def _needs_diagnosis(run: Run) -> bool:
    """Return whether `dlcli diagnose` has an important finding, or a baseline is not worse."""
    has_failed = any(each.verdict in ("worse", "same") for each in run.conclusions.values())
    if has_failed or not run.has(RunFile.ENCODING):
        return has_failed
    return any(each.rule not in MINOR for each in diagnose(run))


def _sections(record: TrainingRecord, metrics: views.TableBlock) -> Iterator[views.PageSection]:
    run, network = record.run, record.log.network
    if not run.is_diverged:
        yield result_section(record, metrics)
        if run.groups is not None:
            yield groups_section(run.groups, run.config.adjective(run.groups.rows))
    yield explanation_section(record)
    findings = diagnose(run)[:_MOST_FINDINGS]
    text = "The most important finding comes first. Each lists changes to the config to try."
    block = views.FindingsBlock(tuple(findings), run.resolved_path())
    advice = (text, block) if findings else ()
    yield views.section("next", "Suggestions", *advice, *warning_blocks(record.log.warnings))
    yield errors_section(record)
    networks = (*network_blocks(network), *_group_blocks(run)) if network else ()
    yield views.section("network", "Network", *networks)
    yield training_section(record)
    yield data_section(record)
    yield report_parts.config_section(run)
    predict = [] if run.is_diverged else [["predict", str(run.path), "DATA"]]
    lines = [["train", str(run.resolved_path())], *predict, ["report", str(run.path)]]
    text = (
        "On the same machine with the same versions, data and threads, training with this config "
        "(all defaults are filled in) gives bit-identical weights:"
    )
    yield report_parts.reproduction_section(run, text, report_parts.commands_block(lines))


def _baseline_metrics(record: TrainingRecord) -> dict[str, Mapping[str, object]]:
    """Return the metrics of the baselines on the most independent set of rows."""
    first, models = "".join(record.splits[:1]), record.run.baselines
    return {name: models[name][first] for name in _BASELINES if first in models.get(name, {})}


def _metric_table(record: TrainingRecord) -> views.TableBlock:
    """List the metrics of each set of rows, and of the baselines on the most independent set."""
    config, splits, baselines = record.run.config, record.splits[::-1], _baseline_metrics(record)
    facts = ["Metrics of training rows are too optimistic, because the network was fitted to them."]
    if "validation" in splits:
        facts.append(_use_of_validation(record))
    if "test" in splits:
        facts.append("Test rows were used for nothing but these metrics.")
    note = " ".join(["↑ higher is better, ↓ lower is better.", *facts])
    if baselines:
        has_costs = any(COST.name in metrics for metrics in baselines.values())
        of_costs = " (with costs, the class with the lowest mean cost)" if has_costs else ""
        note += (
            f" Baselines are evaluated on the {config.adjective(splits[-1])} rows: “constant” "
            "always predicts the mean (the median, if absolute errors are compared) or the most "
            f"frequent class{of_costs}; “linear” has the same inputs and no hidden layers. A "
            "network should beat both."
        )
    heads = [name if name == "train" else config.adjective(name) for name in splits]
    columns = [*(record.run.metrics[name] for name in splits), *baselines.values()]
    rows = [*map(record.counted_rows, splits)]
    decisive = len(rows) - 1 if rows else None
    rows += rows[-1:] * len(baselines)
    heads += baselines
    return metric_table(heads, columns, rows, decisive=decisive, note=note, with_directions=True)


def _use_of_validation(record: TrainingRecord) -> str:
    chose_epoch = record.run.config.early_stopping is not None
    if record.run.config.distill is not None:
        return "The ensemble that the network learned from was trained on validation rows."
    if record.is_out_of_fold:
        used = (
            "; these networks used it to choose their best epoch, so the metrics may be slightly "
            "too optimistic"
        )
        return (
            "Out-of-fold rows are the training rows again, each predicted only by networks that "
            f"were not trained on it{used if chose_epoch else ''}."
        )
    if chose_epoch:
        return "Validation rows were used for early stopping."
    return "Validation rows were not used for training, but configs are selected on them."


def _sentences(record: TrainingRecord) -> Iterator[str]:
    """Yield the result in sentences: the metrics, and the comparison with the baselines."""
    run, headlines = record.run, record.headlines
    if run.is_diverged:
        yield (
            "Training diverged: the loss or the weights became NaN or infinite. Nothing was "
            "evaluated; see the training and what to try next below."
        )
        return
    if not headlines:
        yield "No metric is defined."
        return
    split = record.splits[0]
    rows, scores, counted = record.counted_rows(split), run.metrics[split], record.name_rows(split)
    values = joined([_headline(record, name, split) for name in headlines])
    yield f"On {counted}, {values}{_of_each_column(scores, headlines[0], rows)}."
    if split == "validation" and run.config.distill is not None:  # no verdict on such rows
        yield "These metrics are too optimistic: the ensemble was trained on these rows."
        yield from _further_sentences(run)
        return
    doubt = run.verdicts.suspicion(
        out_of_fold=record.is_out_of_fold, of_several=len(run.config.data.target.columns) > 1
    )
    if doubt is not None:
        lead = "Possible leak: " if doubt.leaks else ""
        yield f"{fmt.capitalize(lead + doubt.observation)}; {doubt.meaning}."
    are_few = _are_few(record)
    yield from verdict_sentences(record, run.conclusions)
    yield from probability_sentences(run.task, run.config)
    if record.log.baselines and record.log.baselines.no_linear:
        yield f"There is no linear baseline: {fmt.shorten(record.log.baselines.no_linear, 200)}."
    if split == "train":
        advice = "; hold out rows with: --set data.validation=0.15 --set data.test=0.15"
        is_tiny = rows is not None and rows < _FEWEST_ROWS_TO_SPLIT
        yield (
            "No rows were held out, so performance on new rows is unknown"
            f"{'.' if is_tiny else advice}"
        )
    elif are_few:
        yield f"With only {counted}, these metrics are uncertain."
    is_biased = split == "validation" and record.is_out_of_fold
    if is_biased and run.config.early_stopping and rows is not None and rows < _BIASED_ROWS:
        yield (
            "The best epoch of each network was chosen on its out-of-fold rows, so the out-of-fold "
            "metrics are slightly too optimistic."
        )
    members = run.ensemble.members if run.ensemble else ()
    bests = [each.best_epoch for each in members] or [record.best_epoch]
    if overfits_at_once(bests, run.epochs):
        yield (
            "Epoch 1 was the best: further training only made predictions of validation rows worse."
        )
    yield from positive_class(scores, record.log.target.classes if record.log.target else ())
    yield from _further_sentences(run)


def _further_sentences(run: Run) -> Iterator[str]:
    """Yield further results of a run: a decision, a teacher, and gates."""
    if run.decision is not None:
        yield from decision_sentences(run.decision, run.task.classes, run.decision_effect)
    if run.distillation is not None:
        yield from distillation_sentences(run.distillation)
    yield from (each.sentence for each in run.gates)


def verdict_sentences(
    record: TrainingRecord, conclusions: Mapping[str, Conclusion]
) -> Iterator[str]:
    """Yield sentences that compare a run with some of its baselines."""
    yield from report_parts.baseline_sentences(
        conclusions, record.name_rows, are_few=_are_few(record), skill=record.run.skill
    )


def _are_few(record: TrainingRecord) -> bool:
    """Return whether the evaluated rows are often too few for a conclusion."""
    rows = record.counted_rows(record.splits[0])
    counts_both = any(len(each.differences) > 1 for each in record.run.conclusions.values())
    others = record.counted_rows("validation") if counts_both else 0
    return rows is not None and rows + (others or 0) < _FEW_ROWS_EVALUATED


def _headline(record: TrainingRecord, name: str, split: str) -> str:
    """Describe a metric: `accuracy is 94.1 % (always “no”, …: 85.9 %)`."""
    rows = record.counted_rows(split)
    found = record.run.metrics[split][name]
    value = fmt.metric(name, found, rows)
    note = record.always(split) if name == ACCURACY.name else ""
    constant = record.run.baselines.get("constant", {}).get(split, {}).get(name)
    if name == COST.name and constant is not None:
        decimals = fmt.decimals_on(name, found, rows)
        note = f"constant baseline: {fmt.metric(name, constant, decimals=decimals)}"
    return f"{fmt.metric_title(name)} is {value}{f' ({note})' if note else ''}"


def _of_each_column(scores: Mapping[str, object], metric: str, rows: int | None) -> str:
    """List a metric of each target column, if there are few: `: price 0.84, rooms 0.92`."""
    columns = scores.get("by_column")
    if not isinstance(columns, dict) or len(columns) > _MOST_COLUMNS_NAMED:
        return ""
    values = (
        f"{fmt.shorten(name)} {fmt.metric(metric, each.get(metric), rows)}"
        for name, each in columns.items()
        if isinstance(each, dict)
    )
    return f": {', '.join(values)}"


def _figures(record: TrainingRecord) -> Iterator[views.Figure]:
    """Yield the main metrics of the most independent set of rows, next to a baseline."""
    run, network, baselines = record.run, record.log.network, _baseline_metrics(record)
    for name in record.summary:
        split = record.splits[0]
        rows, adjective = record.counted_rows(split), run.config.adjective(split)
        notes = [record.always(split)] if name == ACCURACY.name else []
        if METRICS[name].has_target_unit and run.task.width == 1:
            notes.append(f"in units of {fmt.shorten(run.task.columns[0], 30)}")
        for model, scores in baselines.items():
            if model == "linear" and scores.get(name) is not None:
                notes.append(f"{model} baseline: {fmt.metric(name, scores[name], rows)}")
        title = fmt.capitalize(f"{fmt.metric_title(name)}, {adjective} rows")
        value = fmt.metric(name, run.metrics[split].get(name), rows)
        yield views.Figure(title, value, "; ".join(filter(None, notes)))
    if network:
        what = "trainable numbers"
        if network.members:
            what = f"in each of {network.members:,} networks"
        yield views.Figure("Parameters", f"{network.parameters:,}", what)


# The network


def _group_blocks(run: Run) -> Iterator[views.ViewBlock | str]:
    """Yield the settings of the networks of an ensemble, if they differ."""
    config, ensemble = run.config.ensemble, run.ensemble
    if ensemble is None or config is None or config.vary is None:
        return
    selection = ensemble.selection
    size = config.fold_count or 1
    kept = len(ensemble.members) // size
    yield (
        f"This is the network with the settings of the config. Settings differ between "
        f"{plural(config.groups, 'group')} of networks, of which {kept} predict."
    )
    if selection is None:
        total = sum(each.weight for each in ensemble.members)
        rows = tuple(
            (f"{100 * size * each.weight / total:.0f} %", fmt.settings(each.settings))
            for each in sorted(ensemble.members[::size], key=lambda member: -member.weight)
        )
        yield views.TableBlock(("share of the mean", "settings"), rows, text_columns=(1,))
        return
    yield report_parts.selection_sentence(selection, "the networks with the settings of the config")
    names = [fmt.settings(each.settings) for each in selection.groups]
    yield report_parts.selection_table(selection, names, "settings")


_OF_SCALED_TARGET = {
    "standard": " of the standardized target (minus its mean, divided by its standard deviation)",
    "log1p": " of the standardized logarithm of the target",
}
"""What the loss compares, by the scaling of the target."""


def network_blocks(network: NetworkEvent) -> Iterator[views.ViewBlock | str]:
    """Yield a description of a network, its drawing, and a table of its layers."""
    of_target = _OF_SCALED_TARGET.get(network.target_scaling or "", "")
    members = f"Each of the {network.members:,} networks" if network.members else "The network"
    yield (
        f"{members} has {network.parameters:,} trainable parameters. Training minimizes the loss "
        f"{fmt.shorten(network.loss)}{of_target}."
    )
    columns = drawn_layers(network.inputs, network.layers)
    if len(columns) > 1:
        described = "; ".join(f"{each.title}: {', '.join(each.details)}" for each in columns)
        svg = network_svg(columns)
        yield views.DrawingBlock(svg, f"The network, from left to right. {described}.")
    if network.layers:
        yield views.fold("All layers as a table", layer_table(network.layers[:_MOST_LAYERS_DRAWN]))


# The course of training


def training_section(record: TrainingRecord) -> views.PageSection:
    """Describe the course of training."""
    run, layers, text = record.run, record.run.explanation.layers, None
    if run.is_diverged:
        text = (
            "Training diverged: its loss or weights became NaN or infinite. The charts show the "
            f"{plural(run.epochs, 'epoch')} before."
        )
    rows = {"training": record.rows("train"), "validation": record.rows("validation")}
    charts = _member_charts(run, rows) or curve_charts(run.history, record.best_epoch, rows)
    grid = views.grid([*charts, learning_rate_chart(run.history)])
    table = _layer_table(layers, is_first=run.ensemble is not None)
    inside = views.group("Inside the network", table) if layers else None
    figures = views.FiguresBlock(tuple(_training_figures(record)))
    return views.section("training", "Training", figures, text, grid, inside)


def _training_figures(record: TrainingRecord) -> Iterator[views.Figure]:
    run, log, trained = record.run, record.log, record.log.trained
    epochs, most = run.epochs, run.config.epochs
    limit = f"of at most {most:,}" if epochs < most else ""
    if run.config.stop_after_epoch is not None:
        limit = f"of {most:,}: training was ended"
    yield views.Figure("Epochs", f"{epochs:,}", limit)
    done, what = trained.epochs if trained else 0, "an epoch"
    if run.ensemble:
        done, what = sum(each.epochs for each in run.ensemble.members), "an epoch of a member"
        bests = [each.best_epoch or each.epochs for each in run.ensemble.members]
        ends = fmt.span(f"{min(bests):,}", f"{max(bests):,}")
        yield views.Figure("Best epochs", ends, f"of the {len(bests):,} members")
        ensemble = run.config.ensemble
        if ensemble is not None and ensemble.stop_after_member is not None:
            which = f"of {ensemble.members:,}: training was ended"
            yield views.Figure("Networks", f"{ensemble.trained:,}", which)
        if run.config.input.scaling_layer == "auto":
            rate = run.ensemble.learning_rate_multiplier
            scale = "omitted" if rate is None else f"learning rate ×{rate:g}"
            yield views.Figure("Scaling layer", scale, "chosen by the first network")
    if best := record.best_epoch:
        yield views.Figure("Best epoch", f"{best:,}", "its weights were kept")
    if trained and not log.resumed:
        each = f"{fmt.duration(trained.seconds / max(1, done))} {what}"
        yield views.Figure("Training time", fmt.duration(trained.seconds), each)
    if log.device:
        device = fmt.shorten(log.device.device, 20).upper()
        yield views.Figure("Device", device, plural(log.device.threads, "thread"))
    if trained and (cluster := trained.cluster):
        speed = f"{cluster.rows_per_second:,.0f} rows per second in total"
        yield views.Figure("Workers", f"{cluster.workers:,}", speed)
        share = fmt.percent(cluster.communication_share)
        yield views.Figure("Communication", share, "of the training time (estimate)")
    if log.engine:
        yield views.Figure("Engine", fmt.shorten(log.engine.name, 20))


def curve_charts(
    history: Lines,
    best_epoch: int | None,
    rows: Mapping[str, int | None] = MappingProxyType({}),
) -> list[views.ChartBlock]:
    """Draw the loss and each metric by epoch, on training and validation rows.

    Args:
        history: the values per epoch, by name.
        best_epoch: the epoch whose weights were kept, if training chose one.
        rows: the numbers of `training` and `validation` rows, if known.
    """
    names = [
        name
        for name, values in history.items()
        if len(values) and not name.startswith("val_") and name != fmt.LEARNING_RATE
    ]
    return [_curve_chart(name, history, best_epoch, rows) for name in names[:MOST_CURVES]]


def _curve_chart(
    name: str, history: Lines, best_epoch: int | None, rows: Mapping[str, int | None]
) -> views.ChartBlock:
    measured = {"training": history[name], "validation": history.get(f"val_{name}", ())}
    lines = {split: values for split, values in measured.items() if len(values)}
    title = fmt.metric_title(fmt.shorten(name))
    parts = []
    for split, values in lines.items():
        show, at_best = partial(fmt.of_epoch, name, rows=rows.get(split)), ""
        if best_epoch is not None and 0 < best_epoch <= len(values):
            at_best = f" ({show(values[best_epoch - 1])} in the best epoch)"
        ends = fmt.span(show(values[0]), show(values[-1]), first="from")
        parts.append(f"{split} {ends}{at_best}")
    over = f"{fmt.capitalize(title)} over {plural(len(history[name]), 'epoch')}"
    best = f" The best epoch is {best_epoch:,}." if best_epoch else ""
    reading = ""
    if len(lines) > 1 and name == "loss":
        reading = _READING + (_READING_OF_BEST if best else "")
    return lines_chart(
        fmt.capitalize(title),
        lines,
        {split: SET_COLORS[split] for split in lines},
        f"{over}: {'; '.join(parts)}.{best}",
        name=name,
        reading=reading,
        best_epoch=best_epoch,
    )


_READING = (
    "Training minimizes the loss. Both lines should fall. If the validation loss rises while the "
    "training loss still falls, the network overfits."
)
_READING_OF_BEST = " The dashed line marks the epoch whose weights were kept."


def learning_rate_chart(history: Lines) -> views.ChartBlock | None:
    """Draw the learning rate if it changed."""
    rates = history.get(fmt.LEARNING_RATE, ())
    if len(set(rates)) < 2:
        return None
    first, last, low, high = map(fmt.number, (rates[0], rates[-1], min(rates), max(rates)))
    return lines_chart(
        "Learning rate",
        {"learning rate": rates},
        {"learning rate": "accent"},
        f"The learning rate is {first} in the first epoch and {last} in the last epoch (lowest "
        f"{low}, highest {high}).",
        reading="The learning rate scales each training step. As it falls, smaller steps let the "
        "weights settle.",
    )


def lines_chart(
    title: str,
    lines: Lines,
    colors: Mapping[str, str],
    description: str,
    *,
    name: str = "",
    reading: str = "",
    best_epoch: int | None = None,
) -> views.ChartBlock:
    """Draw lines by epoch; thinned lines keep their peaks.

    Args:
        title: the title of the chart.
        lines: the values per epoch, not empty.
        colors: the colors of the lines, and possibly more.
        description: a sentence with the main values.
        name: the loss or metric of the lines, used as the title of the vertical axis.
        reading: an explanation of how to read the chart.
        best_epoch: the epoch to mark, if it is in the chart.
    """
    rows = [
        {"x": at + 1, "y": values[at], "s": name}
        for name, values in lines.items()
        for at in thinned(np.asarray(values, dtype=np.float64), MOST_LINE_POINTS).tolist()
    ]
    longest = max(len(values) for values in lines.values())
    drawn_values = [value for values in lines.values() for value in values]
    is_log, labels = _logarithmic(drawn_values, name)
    # Vega rounds the only label of a constant to an integer: 0.01 would become 0.
    is_constant = len({row["y"] for row in rows}) == 1
    axis = Axis(
        fmt.metric_title(fmt.shorten(name)),
        format=".5~g" if is_constant else "",
        labels=labels if is_log else "",
        log=is_log,
    )
    guides = Guides(x=best_epoch if best_epoch and best_epoch <= longest else None)
    drawn = {name: colors[name] for name in lines}
    return views.ChartBlock(
        title=title,
        spec=line_chart(rows, drawn, _EPOCHS, axis, guides=guides),
        description=description,
        reading=reading,
        numbers=_listed_epochs(lines, longest),
        legend=tuple(drawn.items()) if len(colors) > 1 else (),
        log_labels=labels,
        is_log=is_log,
    )


def _logarithmic(values: Sequence[float], name: str) -> tuple[bool, str]:
    """Return whether the scale is initially logarithmic, and its labels if readers may change it.

    Args:
        values: the values of all lines of a chart.
        name: the name of the loss or metric; other charts initially have a linear scale.
    """
    is_error = bool(name) and not is_higher_better(name)
    is_log = is_error and spans_decades(values, TENFOLD)
    return is_log, log_labels(values) if is_log or spans_decades(values) else ""


def _listed_epochs(lines: Lines, epochs: int) -> views.TableBlock:
    """List evenly spaced epochs, including the first and the last."""
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, _MOST_LISTED_EPOCHS)).astype(int))
    columns = [[*map(fmt.number, values), *[""] * epochs] for values in lines.values()]
    rows = tuple((f"{at + 1:,}", *(cells[at] for cells in columns)) for at in shown.tolist())
    return views.TableBlock(("epoch", *lines), rows)


def _member_charts(run: Run, rows: Mapping[str, int | None]) -> list[views.ChartBlock]:
    members = run.ensemble.members if run.ensemble else ()
    networks = {
        f"member {number}": {
            name: [*enumerate(values, start=1)] for name, values in member.history.items()
        }
        for number, member in enumerate(members, start=1)
    }
    reading = (
        "Each line is a member of the ensemble. The members have different initial weights, and "
        "their predictions are averaged."
    )
    return bundle_charts(networks, "member", reading, MOST_CURVES, rows)


def bundle_charts(
    networks: Mapping[str, Mapping[str, Points]],
    each: str,
    reading: str,
    most: int,
    rows: Mapping[str, int | None],
) -> list[views.ChartBlock]:
    """Draw the loss and each metric of several networks, one line per network and set of rows.

    Args:
        networks: for each network, epochs and values by column of history.csv.
        each: the noun for a network: `fold`, `member`.
        reading: an explanation of the loss chart.
        most: the maximum number of charts.
        rows: the numbers of `training` and `validation` rows of a network, if known.
    """
    names = dict.fromkeys(
        name.removeprefix("val_") for columns in networks.values() for name in columns
    )
    charts = []
    for name in names:
        lines = [
            (network, split, points)
            for network, columns in networks.items()
            for split, column in (("training", name), ("validation", f"val_{name}"))
            if (points := columns.get(column))
        ]
        if lines and name != fmt.LEARNING_RATE:
            charts.append(_bundle_chart(name, lines, each, reading, rows))
    return charts[:most]


def _bundle_chart(
    name: str,
    lines: Sequence[tuple[str, str, Points]],
    each: str,
    reading: str,
    rows: Mapping[str, int | None],
) -> views.ChartBlock:
    most = max(4, MOST_BUNDLE_POINTS // len(lines))
    points_drawn = [
        {"x": points[at][0], "y": points[at][1], "s": split, "d": network}
        for network, split, points in lines
        for at in thinned(np.array([value for _, value in points]), most).tolist()
    ]
    last = {
        split: [points[-1][1] for _, of, points in lines if of == split] for split in SET_COLORS
    }
    parts = []
    for split, ends in last.items():
        if ends:
            show = partial(fmt.of_epoch, name, rows=rows.get(split))
            parts.append(f"{split} {fmt.span(show(min(ends)), show(max(ends)), first='from')}")
    colors = {split: SET_COLORS[split] for split, ends in last.items() if ends}
    title, tips = fmt.metric_title(fmt.shorten(name)), {"d": each, "s": "rows"}
    values = [value for _, _, points in lines for _, value in points]
    is_log, labels = _logarithmic(values, name)
    axis = Axis(title, labels=labels if is_log else "", log=is_log)
    return views.ChartBlock(
        title=fmt.capitalize(title),
        spec=line_chart(points_drawn, colors, _EPOCHS, axis, tips=tips, kind="bundle"),
        description=f"{fmt.capitalize(title)} in the last epoch, all {each}s: {'; '.join(parts)}.",
        reading=reading if name == "loss" and len(colors) > 1 else "",
        legend=tuple(colors.items()),
        log_labels=labels,
        is_log=is_log,
    )


def _layer_table(layers: Sequence[LayerStatistics], *, is_first: bool) -> views.TableBlock:
    """List the layers of a network or of the first member of an ensemble."""
    shown = layers[:_MOST_LAYERS_LISTED]
    rows = tuple(
        (
            name,
            fmt.shorten(layer.activation or "", 30),
            f"{layer.units:,}",
            fmt.number(layer.output_mean),
            fmt.number(layer.output_deviation),
            fmt.percent(layer.dead),
            # Saturated outputs are confident predictions, not a problem.
            fmt.percent(None if layer is layers[-1] else layer.saturated),
            fmt.number(layer.weight_norm),
            fmt.number(layer.first_gradient),
            fmt.number(layer.last_gradient),
        )
        for name, layer in zip(fmt.shorten_names(each.name for each in shown), shown, strict=True)
    )
    sizes = ("units", "mean output", "deviation", "dead", "saturated", "norm of weights")
    gradients = ("gradient norm before", "after training")
    return views.TableBlock(
        ("layer", "activation", *sizes, *gradients),
        rows,
        caption=f"Each layer {'of the first member ' if is_first else ''}after training",
        text_columns=range(2),
        note="Dead: share of relu units that return 0 for all rows and no longer learn. Saturated: "
        "share of sigmoid or tanh outputs at an end of their range, where units hardly learn. The "
        "gradients of all layers should have similar norms: gradients that are a thousand times "
        "smaller in the first layers vanish, and very large gradients explode.",
    )
