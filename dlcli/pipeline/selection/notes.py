"""What to bear in mind of a cross-validation, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dlcli.comparison import HeldOut
from dlcli.config import EarlyStopping
from dlcli.errors import listed, plural
from dlcli.metrics import HIGHER_IS_BETTER, Array, chi_squared_quantile
from dlcli.pipeline.selection.cross_validation import FoldResult
from dlcli.pipeline.selection.standard_errors import standard_error_of_rows

FEW = 30
"""Rows of a fold below which it says little by itself."""
_CHANCE = 0.01
"""The chance of being told that folds differ when only their rows do; in simulations of 3 to 10
folds of 30 to 200 rows 0.0 to 1.7 in 100, be errors normal or lognormal, and for `accuracy`, `auc`,
`f1` and `log_loss`; only for `average_precision` of 30 rows 6."""
REFIT_FAILED = "training on all rows failed"
"""How the warning begins which tells of it."""


def notes_of(
    results: Sequence[FoldResult],
    held: Sequence[HeldOut | None],
    *,
    split: str,
    rows: int,
    metric: str | None,
    stopping: EarlyStopping | None,
) -> tuple[str, ...]:
    """What to bear in mind of a cross-validation.

    Args:
        results: of all folds of all repeats, in order.
        held: the rows of each fold with what was predicted; `None` for a fold that failed.
        split: how rows were dealt out: `random`, `stratified`, `group`, `time`.
        rows: how many were dealt out.
        metric: the one to judge by.
        stopping: how training was ended early.
    """
    return (
        *_of_failures(results),
        *_of_constants(results, metric),
        *_of_spread(results, held, metric, split),
        *_of_size(results),
        *_of_classes(held, split),
        *_of_undefined(results),
        *_of_dealing(results, split, rows),
        *_of_stopping(results, stopping),
        "the pooled intervals take the networks as they are and tell what other rows might show; "
        "those over folds tell what training on other rows might, too",
    )


def _of_failures(results: Sequence[FoldResult]) -> Iterator[str]:
    failed = sum(each.problem is not None for each in results)
    if failed:
        yield (
            f"{failed} of {plural(len(results), 'fold')} failed, and figures are of the others; "
            "a network trained on all rows may fail, too"
        )


def _of_constants(results: Sequence[FoldResult], metric: str | None) -> Iterator[str]:
    """Yields in how many folds looking at the columns was of no use."""
    if metric is None:
        return
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    pairs = [(each.metrics.get(metric), each.constant.get(metric)) for each in results]
    known = [(value, other) for value, other in pairs if value is not None and other is not None]
    beaten = sum(sign * value <= sign * other for value, other in known)
    if beaten:
        yield (
            f"in {beaten} of {plural(len(known), 'fold')} the network is no better than a model "
            f"that looks at no column, by {metric}"
        )


def _of_spread(
    results: Sequence[FoldResult], held: Sequence[HeldOut | None], metric: str | None, split: str
) -> Iterator[str]:
    """Yields that folds differ by more than their rows explain, of the first repeat."""
    if metric is None:
        return
    first = [each for each in zip(results, held, strict=True) if each[0].repeat == 1]
    values = [value for each, _ in first if (value := each.metrics.get(metric)) is not None]
    if _differ(first, _JUDGED_BY.get(metric, metric)):
        yield (
            f"{metric} goes from {min(values):.3g} to {max(values):.3g} over folds, by more than "
            f"chance deals out rows: {_REASONS.get(split, _ANY_REASON)}"
        )


_JUDGED_BY: Mapping[str, str] = {"rmse": "mse"}
"""Whose differences are looked at in the place of a metric's: a root of few rows is far from what
its standard error takes for granted, and what it is the root of is not."""
_REASONS: Mapping[str, str] = {
    "group": "training differs from fold to fold, or groups do",
    "time": "earlier folds learn from fewer rows, and times may differ",
}
_ANY_REASON = (
    "training differs from fold to fold, or rows of a kind lie together; if they come in groups, "
    "set data.split: {name: group, column: ...}"
)


def _differ(folds: Sequence[tuple[FoldResult, HeldOut | None]], metric: str) -> bool:
    """Whether folds differ by more than chance lets them that deals out their rows.

    `Q = Σ n (v - m)² / S²` around the mean `m` weighted by the rows `n` of each fold is near
    chi-squared with a degree of freedom less than there are folds if only rows differ. The variance
    that a row adds is that of all folds together, `S² = Σ n² s² / Σ (n - 1)` of the standard errors
    `s`: Fisher, Statistical Methods for Research Workers (1925), chapter 7. Weights `1 / s²` of
    each fold's own would let one whose few rows are all alike by chance count for most.
    """
    known = [
        (value, error, rows.rows)
        for result, rows in folds
        if rows is not None and rows.rows >= FEW
        if (value := result.metrics.get(metric)) is not None
        if (error := standard_error_of_rows(rows, metric))
    ]
    if len(known) < max(2, len(folds)):
        return False
    values, errors, counts = np.array(known, dtype=np.float64).T
    with np.errstate(over="ignore", invalid="ignore"):
        spread = counts @ (values - counts @ values / counts.sum()) ** 2
        variance = np.sum((counts * errors) ** 2) / np.sum(counts - 1)
        return bool(spread > variance * chi_squared_quantile(1 - _CHANCE, len(values) - 1))


def _of_size(results: Sequence[FoldResult]) -> Iterator[str]:
    fewest = min(each.held_out for each in results)
    if fewest < FEW:
        yield (
            f"a fold has no more than {plural(fewest, 'row')}, and says little by itself: go by "
            "the pooled figures"
        )


def _of_classes(held: Sequence[HeldOut | None], split: str) -> Iterator[str]:
    """Yields which classes or labels some folds don't hold any row of."""
    known = [rows for rows in held if rows is not None]
    if not known or not known[0].target.names:
        return
    absent = np.array([_counts(rows) == 0 for rows in known]).sum(axis=0)
    names = [name for name, folds in zip(known[0].target.names, absent, strict=True) if folds]
    if names:
        way_out = "; data.split: stratified gives each fold its share" if split == "random" else ""
        yield (
            f"rows of {listed(names)} are missing from up to {max(absent)} of "
            f"{plural(len(known), 'fold')}, whose figures say nothing of them{way_out}"
        )


def _counts(held: HeldOut) -> Array:
    """How many rows each class or label has, (classes or labels,)."""
    if held.target.outcome == "labels":
        return np.asarray(held.truth.sum(axis=0))
    return np.bincount(held.truth, minlength=held.target.width)


def _of_undefined(results: Sequence[FoldResult]) -> Iterator[str]:
    judged = [each for each in results if each.problem is None]
    names = dict.fromkeys(name for each in judged for name in each.metrics)
    for name in names:
        missing = sum(each.metrics.get(name) is None for each in judged)
        if 0 < missing < len(judged):
            yield (
                f"{name} is undefined in {missing} of {plural(len(judged), 'fold')}: its mean over "
                "folds is that of the others"
            )


def _of_dealing(results: Sequence[FoldResult], split: str, rows: int) -> Iterator[str]:
    if split == "group":
        yield (
            "the pooled intervals take rows for independent, though those of one group are alike, "
            "and are too narrow: go by those over folds"
        )
    if split == "time":
        judged = sum(each.held_out for each in results if each.repeat == 1)
        yield (
            "each fold is judged by a network of earlier rows, the first by one of few; the "
            f"earliest {plural(rows - judged, 'row')} judge nothing"
        )
        yield (
            "the pooled intervals take rows for independent, though those of neighbouring times "
            "may be alike, and may be too narrow"
        )


def _of_stopping(results: Sequence[FoldResult], stopping: EarlyStopping | None) -> Iterator[str]:
    if stopping is not None and not any(each.validation for each in results):
        yield (
            f"early stopping has watched {stopping.monitor} of the training rows, which says "
            "nothing of overfitting: set data.validation: 0.15 and early_stopping.monitor: val_loss"
        )
