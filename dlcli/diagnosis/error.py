"""How large an error is, as a share of the error of who knows nothing, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import number

_LARGEST = 1e300
"""Beyond it a sum may leave the numbers."""
SURE = 2.0
"""Standard errors from which on a difference is more than chance, in one of about twenty cases."""


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
    """A number, if it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        return None
    return None if math.isnan(value) else float(value)
