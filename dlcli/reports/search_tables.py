"""Tables of a search."""

from __future__ import annotations

from collections.abc import Sequence

from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.pipeline import Dimension, Finalist, NestedFold, Search, TrialResult
from dlcli.reports.blocks import Table
from dlcli.reports.candidates import Candidates, last_part, settings_text, value_of, value_text
from dlcli.reports.comparison_charts import in_words
from dlcli.reports.wording import number, short, shorts

MOST_LISTED = 50
"""Candidates of the leaderboard."""
MOST_FAILED = 20
MOST_OUTER = 100
_MOST_SETTINGS = 8
"""Columns of settings; the others share one."""
_MOST_METRICS = 5


def leaderboard_table(candidates: Candidates) -> Table:
    """The best candidates, and the config as given where it belongs among them."""
    shown = candidates.dimensions[:_MOST_SETTINGS]
    others = candidates.dimensions[_MOST_SETTINGS:]
    header = (
        "rank",
        "candidate",
        short(candidates.search.metric, 40),
        "± standard error",
        "parameters",
        "epochs",
        *shorts((last_part(each.path) for each in shown), 24),
        *(["the other settings"] if others else []),
    )
    listed = candidates.complete[:MOST_LISTED]
    rows = [
        (f"{rank:,}", *_cells(candidates, trial, shown, others))
        for rank, trial in enumerate(listed, start=1)
    ]
    if (default := candidates.default) is not None:
        place = sum(candidates.is_better(value_of(each), value_of(default)) for each in listed)
        rows.insert(place, ("–", *_cells(candidates, default, shown, others)))
    rest = len(candidates.complete) - len(listed)
    more = f" {rest:,} more are not listed." if rest else ""
    return Table(header, tuple(rows), "The best candidates", texts=2, note=_NOTE + more)


_NOTE = (
    "★ the best, ◆ the smallest network that is good enough: the one with the fewest parameters of "
    "all within one standard error of the best. “As given” is the config without any change."
)


def _cells(
    candidates: Candidates,
    trial: TrialResult,
    shown: Sequence[Dimension],
    others: Sequence[Dimension],
) -> tuple[str, ...]:
    parameters, epochs = (
        "–" if count is None else f"{count:,}" for count in (trial.parameters, trial.epochs)
    )
    settings = (
        value_text(trial.values[each.path], 30) if each.path in trial.values else "–"
        for each in shown
    )
    return (
        _called(candidates, trial),
        number(trial.value),
        number(trial.standard_error),
        parameters,
        epochs,
        *settings,
        *([settings_text(trial.values, others, 200)] if others else []),
    )


def _called(candidates: Candidates, trial: TrialResult) -> str:
    """A candidate's number, and what it stands out by."""
    if trial.number is None:
        return NAMES["default"]
    marks = "★" if trial is candidates.best else ""
    marks += "◆" if trial is candidates.smallest else ""
    return f"{trial.number:,} {marks}".rstrip()


def failed_table(search: Search) -> Table | None:
    """The candidates that came to nothing, and why; nothing if none did."""
    failed = [each for each in search.trials if each.state == "failed"]
    rows = tuple(
        (
            "–" if each.number is None else f"{each.number:,}",
            short(each.problem or "", 160),
            settings_text(each.values, search.dimensions, 200),
        )
        for each in failed[:MOST_FAILED]
    )
    rest = len(failed) - len(rows)
    note = f"{rest:,} more are not listed." if rest else ""
    header = ("candidate", "why", "settings")
    return Table(header, rows, "Failed candidates", texts=3, note=note) if rows else None


NAMES = {"default": "as given", "best": "best", "smallest": "smallest"}
"""What finalists are called."""
_VERDICTS = {
    "better": "better, more than noise",
    "worse": "worse, more than noise",
    "not_significant": "no more than noise",
    "same": "no difference",
    "unknown": "can't be told",
}


def finalist_table(finalists: Sequence[Finalist]) -> Table:
    """What new rows say of those that were trained in full.

    Args:
        finalists: at least one.
    """
    metrics = [
        name
        for name in dict.fromkeys(name for each in finalists for name in each.metrics)
        if name in HIGHER_IS_BETTER
    ]
    first = finalists[0].metric
    order = sorted(metrics, key=lambda name: name != first)[:_MOST_METRICS]
    header = (
        "network",
        "is it better?",
        f"{short(first, 30)} less the given one's (95 %)" if first else "difference (95 %)",
        "parameters",
        "epochs",
        *(f"{name} {'↑' if HIGHER_IS_BETTER[name] else '↓'}" for name in order),
    )
    rows = tuple(
        (
            NAMES[each.name],
            _VERDICTS[each.verdict] if each.verdict else "",
            in_words(each.gain) if each.gain else "",
            f"{each.parameters:,}",
            f"{each.epochs:,}",
            *(number(each.metrics.get(name)) for name in order),
        )
        for each in finalists
    )
    rows_of = "test" if finalists[0].split == "test" else "validation"
    return Table(header, rows, f"Trained in full, judged by {rows_of} rows", texts=2)


def nested_table(search: Search) -> Table:
    """Each outer fold of a nested search."""
    rows = tuple(
        (
            f"fold {each.fold:,}",
            _chosen(each, search),
            f"{each.held_out:,}",
            f"{each.trials:,}",
            number(each.inner),
            number(each.value),
        )
        for each in search.nested[:MOST_OUTER]
    )
    header = (
        "outer fold",
        "what was chosen without it",
        "rows",
        "candidates",
        "the search's own value",
        "value on the fold",
    )
    rest = len(search.nested) - len(rows)
    note = f"{rest:,} more are not listed." if rest else ""
    return Table(header, rows, "The search itself, cross-validated", texts=2, note=note)


def _chosen(fold: NestedFold, search: Search) -> str:
    return settings_text(fold.values, search.dimensions, 200)
