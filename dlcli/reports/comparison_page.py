"""Runs side by side on one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcli import __version__
from dlcli.comparison import (
    Comparison,
    RunDifference,
    as_text,
    data_words,
    names_of,
    rows_words,
    verdict_words,
)
from dlcli.errors import plural
from dlcli.reports.blocks import Block, Grid, Group, Page, Section, Table, Text, Warnings
from dlcli.reports.comparison_charts import in_words, interval_chart, overlaid_curves
from dlcli.reports.curves import MOST_CURVES
from dlcli.reports.drawing import unchecked
from dlcli.reports.theme import MOST_KINDS
from dlcli.reports.wording import number, plain, short, shorts, some

_MOST_SETTINGS = 500
_MOST_PICTURED = 8
"""Metrics that have a chart of their own."""


def comparison_page(comparison: Comparison) -> Page:
    """The page of a comparison."""
    names = shorts(names_of([side.path for side in comparison.sides]))
    with unchecked():
        sections = [
            _result(comparison, names),
            Section("config", "What differs", tuple(_differing(comparison, names))),
            _curves(comparison, names),
            _splits(comparison, names),
        ]
    title = " against ".join([names[1], names[0]]) if len(names) == 2 else f"{len(names)} runs"
    return Page(
        title=title,
        kicker="dlcli compare",
        verdict=_verdict(comparison, names),
        summary=() if comparison.split else (Warnings(_notes(comparison)),),
        sections=tuple(section for section in sections if section is not None),
        footer=f"Made by dlcli {__version__}.",
    )


def _notes(comparison: Comparison) -> tuple[str, ...]:
    """What to bear in mind, as sentences."""
    return tuple(f"{note[:1].upper()}{note[1:]}." for note in comparison.notes)


def _verdict(comparison: Comparison, names: Sequence[str]) -> str:
    """In which metrics each run is better or worse than the first by more than noise."""
    parts = [f"All predict {some(comparison.target)}."]
    for name, against in zip(names[1:], comparison.differences, strict=False):
        found = {
            verdict: [
                plain(metric) for metric, each in against.metrics.items() if each.verdict == verdict
            ]
            for verdict in ("better", "worse")
        }
        told = [f"{verdict} in {some(metrics)}" for verdict, metrics in found.items() if metrics]
        said = " and ".join(told) or "neither better nor worse"
        parts.append(f"By more than noise, {name} is {said} than {names[0]}.")
    return " ".join(parts)


def _result(comparison: Comparison, names: Sequence[str]) -> Section | None:
    """The metrics of the held-out rows with intervals, and the differences."""
    if comparison.split is None:
        return None
    sides = comparison.sides[:MOST_KINDS]
    metrics = list(dict.fromkeys(name for side in sides for name in side.estimates))
    charts = [
        interval_chart(
            metric,
            {
                name: side.estimates[metric]
                for name, side in zip(names, sides, strict=False)
                if metric in side.estimates
            },
            names[:MOST_KINDS],
        )
        for metric in metrics[:_MOST_PICTURED]
    ]
    lead = Text(
        f"Metrics of the {comparison.split} rows with 95 % intervals: where the metric might lie "
        "had other rows been held out."
    )
    tables = [
        _against(comparison, names, against, at)
        for at, against in enumerate(comparison.differences, start=1)
    ]
    notes = map(Text, _notes(comparison))
    estimates = _estimates(comparison, names)
    blocks: tuple[Block, ...] = (lead, *notes, Grid(tuple(charts)), estimates, *tables)
    return Section("result", "What came out", blocks)


def _estimates(comparison: Comparison, names: Sequence[str]) -> Table:
    sides, split = comparison.sides, comparison.split or ""
    models = [model for model in sides[0].baselines if split in sides[0].baselines[model]]
    rows = []
    for metric in dict.fromkeys(name for side in sides for name in side.estimates):
        found = [side.estimates.get(metric) for side in sides]
        simple = [sides[0].baselines[model][split].get(metric) for model in models]
        cells = [in_words(each) if each else "–" for each in found]
        rows.append((plain(metric), *cells, *map(number, simple)))
    counts = [plural(side.rows, "row") for side in sides if side.rows is not None]
    header = ("", *names, *(f"baseline {short(model, 20)}" for model in models))
    note = f"The baselines are those of {names[0]}." if models else ""
    said = counts[0] if len(set(counts)) == 1 else ", ".join(counts)
    return Table(header, tuple(rows), caption=f"{split.capitalize()}: {said}", note=note)


def _against(
    comparison: Comparison, names: Sequence[str], against: RunDifference, at: int
) -> Group:
    """What a run has over the first."""
    rows = [
        (plain(metric), verdict_words(each), in_words(each))
        for metric, each in against.metrics.items()
    ]
    header = ("", "is it more than noise?", f"{names[at]} less {names[0]}")
    table = Table(header, tuple(rows), texts=2)
    compared = Text(f"Compared {short(rows_words(comparison, against), 200)}.")
    return Group(f"{names[at]} against {names[0]}", (compared, table))


def _differing(comparison: Comparison, names: Sequence[str]) -> Iterator[Block]:
    """Yields what differs in configs, data, versions and machines."""
    texts = len(names) + 1
    settings = [
        (short(setting.path, 100), *(short(as_text(value), 200) for value in setting.values))
        for setting in comparison.settings[:_MOST_SETTINGS]
    ]
    if settings:
        rest = len(comparison.settings) - _MOST_SETTINGS
        note = f"And {rest:,} more." if rest > 0 else ""
        caption = "Settings, by the paths that --set takes"
        yield Table(("", *names), tuple(settings), caption=caption, texts=texts, note=note)
    else:
        yield Text("The configs are the same.")
    yield Text(f"The data are {data_words(comparison)}.")
    facts = [
        (fact.name, *(short(value or "–", 100) for value in fact.values))
        for fact in comparison.facts
    ]
    if facts:
        caption = "Versions and machines"
        yield Table(("", *names), tuple(facts), caption=caption, texts=texts)


def _curves(comparison: Comparison, names: Sequence[str]) -> Section | None:
    """What was measured at each epoch, the runs one on the other."""
    shown = names[:MOST_KINDS]
    histories = dict(zip(shown, (side.history for side in comparison.sides), strict=False))
    measured = dict.fromkeys(name for history in histories.values() for name in history)
    charts = []
    for name in list(measured)[:MOST_CURVES]:
        lines = {run: history[name] for run, history in histories.items() if history.get(name)}
        if lines:
            charts.append(overlaid_curves(_curve_title(name), lines, shown))
    if not charts:
        return None
    lead = "Losses can be compared only where the configs have the same loss and scaling."
    if len(names) > len(shown):
        lead += f" The first {len(shown)} runs are shown."
    return Section("curves", "The training", (Text(lead), Grid(tuple(charts))))


def _curve_title(name: str) -> str:
    """`val_loss` as one reads it: `loss, validation`."""
    bare = name.removeprefix("val_")
    words = short(bare).replace("_", " ")
    if bare == "learning_rate":
        return words
    return f"{words}, {'training' if bare == name else 'validation'}"


def _splits(comparison: Comparison, names: Sequence[str]) -> Section | None:
    """The metrics of the sets that don't judge."""
    sides, tables = comparison.sides, []
    for split in dict.fromkeys(split for side in sides for split in side.metrics):
        scores = [side.metrics.get(split, {}) for side in sides]
        metrics = dict.fromkeys(name for each in scores for name in each)
        if split != comparison.split and metrics:
            rows = [(plain(name), *(number(each.get(name)) for each in scores)) for name in metrics]
            tables.append(Table(("", *names), tuple(rows), caption=split.capitalize()))
    return Section("splits", "Other rows", tuple(tables)) if tables else None
