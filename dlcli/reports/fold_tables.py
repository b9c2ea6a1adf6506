"""Tables of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.pipeline import CrossValidation, FoldResult
from dlcli.reports.blocks import Table
from dlcli.reports.comparison_charts import in_words
from dlcli.reports.fold_charts import fold_name
from dlcli.reports.wording import duration, number, short

MOST_FOLDS = 200
"""That are listed."""
_MOST_METRICS = 5
"""Columns of metrics."""


def known_metrics(found: CrossValidation) -> list[str]:
    """The metrics that are defined somewhere, the main one first."""
    named = (found.main_metric or "", *found.pooled, *found.by_fold)
    folds = (name for each in found.results for name in each.metrics)
    known = [name for name in dict.fromkeys((*named, *folds)) if name in HIGHER_IS_BETTER]
    return [name for name in known if _is_known(name, found)]


def _is_known(metric: str, found: CrossValidation) -> bool:
    means = (each.get(metric) for each in (found.pooled, found.by_fold))
    if any(mean is not None and mean.value is not None for mean in means):
        return True
    return any(each.metrics.get(metric) is not None for each in found.results)


def metric_table(found: CrossValidation, metrics: Sequence[str]) -> Table:
    """What all folds say together."""
    rows = []
    for name in metrics:
        pooled, mean = found.pooled.get(name), found.by_fold.get(name)
        cells = (
            in_words(pooled) if pooled else "–",
            in_words(mean) if mean else "–",
            number(found.deviations.get(name)),
            number(found.constant.get(name)),
        )
        rows.append((f"{name} {'↑' if HIGHER_IS_BETTER[name] else '↓'}", *cells))
    header = (
        "metric",
        "all rows together (95 %)",
        "mean of the folds (95 %)",
        "± from fold to fold",
        "always the same",
    )
    return Table(header, tuple(rows), "Metrics", note=_NOTE)


_NOTE = (
    "↑ higher is better, ↓ lower is better. “All rows together” puts the predictions of all folds "
    "into one set; its interval tells where the metric might lie had other rows been drawn, for "
    "these networks. The interval of the mean also holds how much networks differ that learned "
    "from other rows; since folds share most of their training rows, it is widened (Nadeau and "
    "Bengio 2003). “Always the same” predicts the mean or the most frequent class."
)


def fold_table(found: CrossValidation, metrics: Sequence[str]) -> Table:
    """Each fold."""
    shown = tuple(metrics[:_MOST_METRICS])
    results = found.results[:MOST_FOLDS]
    has_problem = any(each.problem for each in results)
    header = (
        "fold",
        *(["problem"] if has_problem else []),
        "learned from",
        "steered by",
        "judged by",
        "inputs",
        "parameters",
        "epochs",
        "best epoch",
        *shown,
        "time",
    )
    rows = tuple(_row(each, found.repeats, shown, has_problem=has_problem) for each in results)
    rest = len(found.results) - len(results)
    note = f" {rest:,} more folds are not listed." if rest else ""
    texts = 2 if has_problem else 1
    return Table(header, rows, "Rows, epochs and metrics", texts=texts, note=_FOLD_NOTE + note)


_FOLD_NOTE = (
    "In rows: the network of a fold learned from the first; the second, if there are any, were "
    "looked at after each epoch, as by early stopping; and the third, which took no part, judge "
    "it. Columns are encoded anew for each fold from the rows learned from alone, so that inputs "
    "may differ."
)


def _row(
    result: FoldResult, repeats: int, metrics: Sequence[str], *, has_problem: bool
) -> tuple[str, ...]:
    best = result.best_epoch
    counts = (result.train, result.validation, result.held_out, result.inputs, result.parameters)
    return (
        fold_name(result, repeats),
        *([short(result.problem or "", 120)] if has_problem else []),
        *(f"{count:,}" for count in counts),
        f"{result.epochs:,}",
        "–" if best is None else f"{best:,}",
        *(number(result.metrics.get(name)) for name in metrics),
        duration(result.seconds),
    )
