"""The view of a comparison of new rows with training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcli import __version__
from dlcli.errors import plural
from dlcli.explanation.explanation_document import ColumnStatistics
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.explanation_sections import column_cards, format_of

if TYPE_CHECKING:
    from dlcli.pipeline.drift import Difference, Drift, MeasuredDrift

_MOST_LISTED = 30
"""Maximum number of columns in a table, the ones that changed most first."""
_MOST_CHARTS = 24
_LONGEST_VALUE = 24
_NAMES = {"test": "test rows", "validation": "validation rows", "train": "training rows"}
_METHOD = (
    "PSI, the population stability index, measures how much the shares of a column's values "
    "changed: below 0.1, little; from 0.25, much. The p-value is the probability of such a "
    "difference, or a larger one, if nothing had changed; it is adjusted for the number of "
    "columns. Drift is reported from a PSI of 0.1 and with a p-value below 0.05. New values are "
    "out of the range of the training rows, unknown categories, or unreadable."
)

_BARS = "Bars show the shares of the training rows, orange lines those of the new rows."


def drift_view(measured: MeasuredDrift) -> views.View:
    """Show which columns and predictions of new rows differ from earlier rows."""
    drift, known = measured.document, {each.name: each for each in measured.statistics}
    columns = _table(drift.columns, known, "columns")
    predictions = _table(drift.predictions, {}, _predictions_title(drift))
    sizes = (
        f"{drift.data}: {plural(drift.rows, 'row')}, compared with "
        f"{plural(drift.training_rows, 'training row')} of {drift.reference}"
    )

    def sections() -> list[views.PageSection]:
        shown = measured.statistics[:_MOST_CHARTS]
        cards = column_cards(shown, drift.training_rows, drift.rows, "new") if shown else None
        return [
            views.section("columns", "Columns", _METHOD, columns),
            views.section("predictions", "Predictions", predictions),
            views.section("distributions", "Distributions", _BARS if cards else None, cards),
        ]

    return views.View(
        title=f"Drift of {fmt.shorten(drift.data, 80)}",
        kicker="dlcli drift",
        lead=fmt.sentence(sizes),
        sentences=(*_sentences(drift), *_advice(drift, measured.times)),
        notes=tuple(_notes(drift)),
        blocks=views.blocks([sizes, columns, predictions]),
        sections=sections,
        footer=f"Created by dlcli {__version__}.",
    )


def _predictions_title(drift: Drift) -> str:
    return f"predictions, compared with those of the {_NAMES[drift.predicted_rows]}"


def _table(
    differences: tuple[Difference, ...], known: dict[str, ColumnStatistics], caption: str
) -> views.TableBlock:
    cells: dict[str, Callable[[Difference], str]] = {
        "": lambda each: fmt.shorten(each.name),
        "drift": lambda each: "" if each.level == "none" else each.level,
        "PSI": lambda each: f"{each.psi:.2f}",
        "p": lambda each: _p_value(each.p_value),
        "before → now": lambda each: _change(each, known.get(each.name)),
        "missing": _missing,
        "unseen": _new_values,
    }
    for name, cell in (("missing", _missing), ("unseen", _new_values)):
        if not any(map(cell, differences)):
            del cells[name]
    table = views.TableBlock.of(
        differences, cells, caption, text_columns=(0, 1, 4), most=_MOST_LISTED, noun="columns"
    )
    return replace(table, wraps=True)


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _missing(each: Difference) -> str:
    if not each.missing_before and not each.missing:
        return ""
    return f"{_percent(each.missing_before)} → {_percent(each.missing)} %"


def _new_values(each: Difference) -> str:
    """Return the number of rows whose value the training rows do not have."""
    count = each.outside + each.unseen + each.unreadable
    return f"{count:,}" if count else ""


def _change(each: Difference, column: ColumnStatistics | None) -> str:
    if each.value is not None and each.share_before is not None and each.share is not None:
        before, now = map(_percent, (each.share_before, each.share))
        return f"'{fmt.shorten(each.value, _LONGEST_VALUE)}' {before} → {now} %"
    if each.median is None and each.median_before is None:
        return ""
    form, name, pair = format_of(column), "median", (each.median_before, each.median)
    if each.median == each.median_before:
        name, pair = "mean", (each.mean_before, each.mean)
    before, now = (form(value) for value in pair)
    return f"{name} {before} → {now}"


def _sentences(drift: Drift) -> Iterator[str]:
    """Yield the result: columns, predictions, and the rows as a whole."""
    strong = [f"'{each.name}'" for each in drift.changed if each.level == "strong"]
    moderate = [f"'{each.name}'" for each in drift.changed if each.level == "moderate"]
    if not drift.changed:
        yield "No column shows drift."
    for level, names in (("Strong", strong), ("Moderate", moderate)):
        if names:
            yield f"{level} drift in {plural(len(names), 'column')}: {fmt.join_names(names, 8)}."
    levels = [each.level for each in drift.predictions]
    rows = _NAMES[drift.predicted_rows]
    if any(level != "none" for level in levels):
        worst = "strong" if "strong" in levels else "moderate"
        yield f"The predictions differ from those of the {rows} ({worst} drift)."
    else:
        yield f"The predictions are distributed like those of the {rows}."
    auc = drift.classifier
    if auc.value is None:
        return
    interval = f", 95 % CI {auc.lower:.2f} to {auc.upper:.2f}" if auc.ends else ""
    found = {
        "none": "can hardly tell new rows from training rows",
        "moderate": "can partly tell new rows from training rows",
        "strong": "can tell new rows from training rows",
    }[drift.classifier_level]
    yield f"A classifier {found}: AUC {auc.value:.2f}{interval} (0.5: not at all, 1: always)."


def _advice(drift: Drift, times: Sequence[str]) -> Iterator[str]:
    """Yield what to do about drift."""
    if drift.level == "none":
        return
    if times:
        names = fmt.join_names([f"'{name}'" for name in times])
        yield f"Later rows always differ in {names}; to compare only other columns, use --ignore."
    if any(each.unreadable for each in drift.columns):
        yield "Unreadable values count as missing: check how the new table was written."
    jumps = [each for each in drift.changed if each.missing > each.missing_before + 0.05]
    if jumps:
        names = fmt.join_names([f"'{each.name}'" for each in jumps])
        yield f"More values are missing in {names}: check the source of the data."
    unknown = [each for each in drift.changed if each.unseen]
    if unknown:
        names = fmt.join_names([f"'{each.name}'" for each in unknown])
        values = " and ".join(f"'{value}'" for value in unknown[0].unseen_values[:1])
        yield f"Unknown categories in {names}, such as {values}: check their spelling."
    if not drift.changed and drift.classifier_level != "none":
        yield (
            "As no single column shows drift, the columns may depend on each other in another way "
            "than in the training rows."
        )
    yield (
        "Drift alone does not mean larger errors. If you know the targets of new rows, compare "
        "the errors with `dlcli evaluate`; if they are larger, train again with new rows."
    )


def _notes(drift: Drift) -> Iterator[str]:
    if drift.predicted_rows == "train" and drift.predictions:
        yield (
            "the run has no held-out rows, so predictions are compared with those of training rows"
        )
    if drift.classifier.value is None and drift.classifier.reason:
        yield f"no classifier was trained: {drift.classifier.reason}"
