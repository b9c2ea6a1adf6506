"""A cross-validation told on one page."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlcli.errors import plural
from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.pipeline import REFIT_FAILED, CrossValidation, Interval
from dlcli.reports.blocks import Block, Card, Cards, Code, Grid, Page, Section, Text
from dlcli.reports.classes import class_blocks, label_blocks
from dlcli.reports.experiment import Experiment, asked, reproduce, to_bear_in_mind
from dlcli.reports.fold_charts import metric_chart
from dlcli.reports.fold_curves import MOST_FOLDS, epoch_chart, training_charts
from dlcli.reports.fold_sentences import how_dealt, how_it_works, who_judged
from dlcli.reports.fold_tables import fold_table, known_metrics, metric_table
from dlcli.reports.judged import Judged
from dlcli.reports.numbers import number_blocks
from dlcli.reports.out_of_fold import out_of_fold
from dlcli.reports.titles import footer_of, title_of
from dlcli.reports.verdict import compared, shown_score
from dlcli.reports.wording import duration, plain, some
from dlcli.runs import Run

_MOST_PICTURED = 8
"""Metrics that have a chart of their own."""


@dataclass(frozen=True)
class CrossValidated:
    """What a page tells of a cross-validation."""

    experiment: Experiment
    found: CrossValidation
    judged: Judged | None
    """The predictions of the first repeat."""

    @classmethod
    def of(cls, run: Run) -> CrossValidated:
        """Reads it.

        Raises:
            RunError: if a file of it is damaged.
        """
        experiment, found = Experiment.of(run), CrossValidation.of(run)
        return cls(experiment, found, out_of_fold(run, found, experiment.config))

    @property
    def metrics(self) -> list[str]:
        """Those that are defined somewhere, the main one first."""
        return known_metrics(self.found)

    @property
    def main(self) -> tuple[str, Interval] | None:
        """The metric to judge by, over all rows together; nothing where it is undefined."""
        name = self.found.main_metric
        if name not in HIGHER_IS_BETTER or name is None:
            return None
        pooled = self.found.pooled.get(name)
        return None if pooled is None or pooled.value is None else (name, pooled)

    @property
    def failed(self) -> int:
        """How many folds came to nothing."""
        return sum(each.problem is not None for each in self.found.results)


def cross_validation_page(record: CrossValidated) -> Page:
    """The page of a cross-validation."""
    experiment, found = record.experiment, record.found
    sections = [
        _result(record),
        _predictions(record),
        _training(record),
        Section("folds", "Each fold", (fold_table(found, record.metrics),)),
        asked(experiment, Text(how_dealt(found))),
        _next(record),
        reproduce(experiment),
    ]
    return Page(
        title=title_of(experiment.run),
        kicker="dlcli report: cross-validation",
        verdict=" ".join(_verdict(record)),
        summary=(_cards(record), *to_bear_in_mind(experiment, found.notes)),
        sections=tuple(section for section in sections if section is not None),
        footer=footer_of(experiment.run),
    )


def _verdict(record: CrossValidated) -> Iterator[str]:
    """What came out, in sentences."""
    found = record.found
    yield f"Predicts {_target(found)}, cross-validated in {_rounds(found)}."
    if record.main is None:
        yield "Nothing could be scored."
    else:
        yield from _judgement(found, *record.main)
    if record.failed:
        yield f"{plural(record.failed, 'fold')} of {len(found.results):,} failed; see why below."


def _judgement(found: CrossValidation, metric: str, pooled: Interval) -> Iterator[str]:
    """The main metric with its interval, beside that of the constant model."""
    scores = {name: each.value for name, each in found.pooled.items()}
    value = shown_score(metric, scores)
    is_share = metric == "accuracy"
    what = f"{value} of the predictions are right" if is_share else f"{plain(metric)} is {value}"
    lower, upper = pooled.lower, pooled.upper
    has_interval = lower is not None and upper is not None
    ends = [shown_score(metric, {metric: end}) for end in (lower, upper)]
    between = f" (95 % interval: {ends[0]} to {ends[1]})" if has_interval else ""
    yield f"{who_judged(found)}: {what}{between}."
    yield from compared(metric, scores, {"constant": found.constant})
    if _may_be_chance(metric, pooled, found.constant.get(metric)):
        yield "But the interval holds that, too, so the difference may be chance."


def _may_be_chance(metric: str, pooled: Interval, simple: float | None) -> bool:
    """Whether it is better than the constant model, and its interval holds that one's value."""
    if simple is None or pooled.value is None or pooled.lower is None or pooled.upper is None:
        return False
    gain = pooled.value - simple
    is_better = gain > 0 if HIGHER_IS_BETTER[metric] else gain < 0
    return is_better and pooled.lower <= simple <= pooled.upper


def _target(found: CrossValidation) -> str:
    columns = some(found.target, 3)
    if found.task == "classes":
        return f"{columns} ({len(found.classes):,} classes)"
    return f"{len(found.classes):,} labels" if found.task == "labels" else columns


def _rounds(found: CrossValidation) -> str:
    """How often: `5 folds`, `5 folds, dealt out 2 times`."""
    again = f", dealt out {found.repeats:,} times" if found.repeats > 1 else ""
    return f"{plural(found.folds, 'fold')}{again}"


def _cards(record: CrossValidated) -> Cards:
    found = record.found
    failed = f", {record.failed:,} of them failed" if record.failed else ""
    set_aside = f"{plural(found.set_aside, 'test row')} not looked at" if found.set_aside else ""
    repeats = f" × {found.repeats:,}" if found.repeats > 1 else ""
    cards = [
        *(_metric_cards(found, *record.main) if record.main else []),
        Card(
            "Folds",
            f"{found.folds:,}{repeats}",
            f"{plural(len(found.results), 'network')} trained{failed}",
        ),
        Card("Rows", f"{found.rows:,}", set_aside),
    ]
    if found.best_epochs is not None:
        cards.append(Card("Best epoch", f"{found.best_epochs:,}", "the median over the folds"))
    sizes = [each.parameters for each in found.results if each.parameters]
    if sizes:
        note = "numbers that are learned"
        cards.append(Card("Parameters", f"{round(statistics.median(sizes)):,}", note))
    seconds = sum(each.seconds for each in found.results)
    return Cards((*cards, Card("Time", duration(seconds), "of all folds together")))


def _metric_cards(found: CrossValidation, metric: str, pooled: Interval) -> list[Card]:
    def shown(value: float | None) -> str:
        return shown_score(metric, {metric: value})

    known = pooled.lower is not None and pooled.upper is not None
    between = f"95 %: {shown(pooled.lower)} to {shown(pooled.upper)}" if known else "no interval"
    cards = [Card(f"{plain(metric)}, all rows together", shown(pooled.value), between)]
    mean, deviation = found.by_fold.get(metric), found.deviations.get(metric)
    if mean is not None and mean.value is not None:
        spread = f"± {shown(deviation)} from fold to fold" if deviation is not None else ""
        cards.append(Card(f"{plain(metric)}, mean of the folds", shown(mean.value), spread))
    if (simple := found.constant.get(metric)) is not None:
        cards.append(Card("Always the same", shown(simple), "to compare with"))
    return cards


def _result(record: CrossValidated) -> Section | None:
    """All metrics, and a chart of each."""
    found, metrics = record.found, record.metrics
    if not metrics:
        return None
    charts = [metric_chart(name, found) for name in metrics[:_MOST_PICTURED]]
    drawn = Grid(tuple(chart for chart in charts if chart is not None))
    lead = Text(how_it_works(found))
    return Section("result", "What came out", (lead, metric_table(found, metrics), drawn))


def _predictions(record: CrossValidated) -> Section | None:
    """What became of the rows, by the charts of ordinary runs."""
    judged, found = record.judged, record.found
    if judged is None:
        return None
    blocks: Sequence[Block]
    if found.task == "classes":
        blocks = class_blocks(judged, None)
    elif found.task == "labels":
        blocks = label_blocks(judged, None)
    else:
        blocks = number_blocks(judged, found.seed)
    first = ", as they were dealt out the first time," if found.repeats > 1 else ","
    weights = " Rows count by their weights." if judged.weighted else ""
    lead = Text(
        f"{plural(judged.rows, 'row')}{first} each predicted by the network that had not seen it."
        f"{weights}"
    )
    return Section("predictions", "The predictions", (lead, *blocks))


def _training(record: CrossValidated) -> Section | None:
    """How the networks of the folds were trained."""
    charts = training_charts(record.found)
    epochs = epoch_chart(record.found)
    shown = [*charts, *([epochs] if epochs else [])]
    if not shown:
        return None
    rest = len(record.found.results) - MOST_FOLDS
    note = [Text(f"Shown are the first {MOST_FOLDS:,} folds.")] if rest > 0 else []
    return Section("training", "The training", (*note, Grid(tuple(shown))))


def _next(record: CrossValidated) -> Section:
    """How to go on."""
    why, commands = _ways_on(record)
    search = Text(
        "To look for a better config, say in its section tune what may vary, and have candidates "
        "tried, each judged like this one:"
    )
    blocks: list[Block] = [Text(why)]
    if commands:
        blocks.append(Code("\n".join(map(shlex.join, commands))))
    return Section("next", "How to go on", (*blocks, search, Code("dlcli tune CONFIG")))


def _ways_on(record: CrossValidated) -> tuple[str, list[list[str]]]:
    """How to come to a network that predicts, in words and as one types it."""
    run = record.experiment.run
    if record.experiment.trained("refit"):
        refit = str(run.path / "refit")
        commands = [["dlcli", "predict", refit, "DATA"], ["dlcli", "report", refit]]
        return "A network was trained on all rows, which predicts:", commands
    lost = "The networks of the folds have judged the config, and are not kept."
    if any(each.startswith(REFIT_FAILED) for each in record.experiment.warnings):
        return f"{lost} Training one on all rows failed: see the warning above.", []
    epochs = record.found.best_epochs
    if run.has("refit.yaml") and epochs is not None:
        why = f"{lost} To predict, train one on all rows, for {plural(epochs, 'epoch')}:"
        return why, [["dlcli", "train", str(run.path / "refit.yaml")]]
    why = f"{lost} To predict, train one with the same config:"
    return why, [["dlcli", "train", str(run.resolved_path())]]
