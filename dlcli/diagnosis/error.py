"""How large an error is, as a share of the error of who knows nothing, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import number
from dlcli.metrics import HIGHER_IS_BETTER, finite_number

_LARGEST = 1e300
"""Beyond it a sum may leave the numbers."""
SURE = 2.0
"""Standard errors from which on a difference is more than chance, in one of about twenty cases."""
_OTHERS = ("auc", "average_precision", "balanced_accuracy", "log_loss", "mae", "poisson_deviance")
"""Metrics that may tell more than accuracy and r2: the most probable class may be the same for all
rows where one is rare, weights of classes make accuracy and log loss worse on purpose, and a few
values far out hide in r2 what was learned of the others."""


@dataclass(frozen=True)
class Error:
    """The error of a model on some rows.

    Of numbers it is the unexplained share of the variance, 1 − r2. Of classes it is the share of
    wrong rows, divided by that of the most frequent class's model. 0 is perfect, and 1 is no better
    than always giving the same answer.
    """

    share: float
    deviation: float
    """Its standard error, by the number of rows: √(2/n) of it for numbers, as for errors from a
    normal distribution; √(p(1 − p)/n) for a share p of n rows, with two rows more of either kind,
    so that none of few is not taken for certain (Agresti & Coull 1998)."""
    words: str
    """The metric and its value: `accuracy 0.97`."""


def error_of(case: Case, split: str) -> Error | None:
    """The network's error on a split; `None` if it is not known."""
    return _error(case.metrics.get(split, {}), case, split)


def baseline_error(case: Case, model: str, split: str) -> Error | None:
    """The error of a baseline, `constant` or `linear`."""
    return _error(case.baselines.get(model, {}).get(split, {}), case, split)


def is_more(error: Error, other: Error) -> bool:
    """Whether an error is larger than another by more than chance, on other rows."""
    return error.share - other.share > SURE * math.hypot(error.deviation, other.deviation)


def is_better_somehow(case: Case, split: str, part: float) -> bool:
    """Whether another metric than `Error`'s is better than by always the same answer.

    Args:
        case: a run.
        split: whose metrics.
        part: of the way from that answer's value to a perfect one, which must be behind.
    """
    mine, theirs = case.metrics.get(split, {}), _knowing_nothing(case, split)
    return any(
        value is not None and other is not None and _left(name, value, other) < 1 - part
        for name in _OTHERS
        for value, other in [(finite(mine.get(name)), finite(theirs.get(name)))]
    )


def likely_range(case: Case, split: str) -> tuple[float, float] | None:
    """Where r2 or accuracy may lie with as many other rows: two standard errors to both sides."""
    rows, scores = case.rows.get(split, 0), case.metrics.get(split, {})
    if rows < 1:
        return None
    if (r2 := finite(scores.get("r2"))) is not None:
        doubt = SURE * (1 - r2) * math.sqrt(2 / rows)
        return r2 - doubt, min(1.0, r2 + doubt)
    if (accuracy := finite(scores.get("accuracy"))) is None or not 0 <= accuracy <= 1:
        return None
    right = (rows * accuracy + SURE) / (rows + 2 * SURE)
    doubt = SURE * math.sqrt(right * (1 - right) / (rows + 2 * SURE))
    return max(0.0, right - doubt), min(1.0, right + doubt)


def _left(name: str, value: float, other: float) -> float:
    """The share of the other value's distance from a perfect one that is left; 1 if it has none."""
    if HIGHER_IS_BETTER[name]:
        value, other = 1 - value, 1 - other
    return value / other if other > 0 else 1.0


def _knowing_nothing(case: Case, split: str) -> Mapping[str, object]:
    """The constant model's metrics; of an older run, without baselines, what classes tell."""
    stored = case.baselines.get("constant", {}).get(split)
    shares = [share for share in class_shares(case.metrics.get(split, {})) if share > 0]
    if stored is not None or not shares:
        return stored or {}
    entropy = -sum(share * math.log(share) for share in shares)
    return {"auc": 0.5, "balanced_accuracy": 1 / len(shares), "log_loss": entropy}


def _error(scores: Mapping[str, object], case: Case, split: str) -> Error | None:
    rows = case.rows.get(split, 0)
    if rows < 1:
        return None
    if (r2 := finite(scores.get("r2"))) is not None:
        return Error(1 - r2, (1 - r2) * math.sqrt(2 / rows), f"r2 {number(r2)}")
    accuracy, most = finite(scores.get("accuracy")), _most_frequent(scores, case, split)
    if accuracy is None or most is None or most >= 1:
        return None
    wrong = (rows * (1 - accuracy) + SURE) / (rows + 2 * SURE)
    deviation = math.sqrt(max(0.0, wrong * (1 - wrong)) / (rows + 2 * SURE))
    words = f"accuracy {number(accuracy)}"
    return Error((1 - accuracy) / (1 - most), deviation / (1 - most), words)


def _most_frequent(scores: Mapping[str, object], case: Case, split: str) -> float | None:
    """The accuracy of always giving the most frequent answer; of labels that of the baseline."""
    if shares := class_shares(scores):
        return max(shares)
    return finite(case.baselines.get("constant", {}).get(split, {}).get("accuracy"))


def class_shares(scores: Mapping[str, object]) -> list[float]:
    """The share of the rows that each class has; empty without classes."""
    counts = [sum(row) for row in confusion_of(scores)]
    total = sum(counts)
    return [count / total for count in counts] if total > 0 else []


def confusion_of(scores: Mapping[str, object]) -> list[list[float]]:
    """Rows by true and predicted class; empty without classes, or if it is no such matrix."""
    stored = scores.get("confusion")
    lines = stored if isinstance(stored, Sequence) else ()
    matrix = [
        [value for cell in line if (value := finite(cell)) is not None and value >= 0]
        for line in lines
        if isinstance(line, Sequence)
    ]
    return matrix if all(len(line) == len(lines) for line in matrix) else []


def finite(value: object) -> float | None:
    """A number, if it is one that sums may be taken of."""
    known = finite_number(value)
    return None if known is None or abs(known) > _LARGEST else known
