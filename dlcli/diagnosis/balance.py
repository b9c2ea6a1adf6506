"""Classes of which one is rare, and is not found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.error import SURE, confusion_of
from dlcli.diagnosis.finding import Finding, Patch, number, percent

RARE = 0.4
"""Share of the rows below which a class is rare, as a part of what it would have if all had the
same: 20 % of two classes, 4 % of ten."""
MISSED = 0.5
"""Share of a class's rows that is found, below which most are missed."""
_FEWEST = 5
"""Rows of a class below which that share says nothing."""


@dataclass(frozen=True)
class _Class:
    share: float
    """Of the rows."""
    rows: float
    recall: float
    """The share of its rows that is found."""

    @property
    def deviation(self) -> float:
        """The standard error of the recall (Agresti & Coull 1998)."""
        found = (self.rows * self.recall + SURE) / (self.rows + 2 * SURE)
        return math.sqrt(found * (1 - found) / (self.rows + 2 * SURE))


def imbalance(case: Case) -> Finding | None:
    """A rare class most of whose rows are taken for another one, and no weights against that."""
    classes = _classes(case)
    if not classes or case.config.class_weight is not None:
        return None
    rare = [each for each in classes if each.share < RARE / len(classes) and each.rows >= _FEWEST]
    if not rare:
        return None
    missed = min(rare, key=lambda each: each.recall)
    usual = max(classes, key=lambda each: each.share)
    doubt = SURE * math.hypot(missed.deviation, usual.deviation)
    if missed.recall >= MISSED or usual.recall - missed.recall <= doubt:
        return None
    return Finding(
        rule="imbalance",
        saw=f"a class with {percent(missed.share)} of the rows is found in "
        f"{percent(missed.recall)} of them, the most frequent one in {percent(usual.recall)}; "
        f"always answering with the latter would give an accuracy of {number(usual.share)}",
        means="a rare class counts little in the loss, so that missing it costs little; accuracy "
        "hides that, look at recall and balanced_accuracy. Weights that make classes count alike "
        "find more of it, and take more rows of other classes for it",
        patches=(
            Patch(
                "balanced",
                "gives the rows of each class the same weight in sum",
                (("class_weight", "balanced"),),
                metric="balanced_accuracy",
            ),
        ),
        source="He & Garcia, Learning from Imbalanced Data (2009); "
        "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.1",
    )


def _classes(case: Case) -> list[_Class]:
    """The classes as validation rows show them, or without such rows training rows."""
    split = "validation" if "validation" in case.metrics else "train"
    confusion = confusion_of(case.metrics.get(split, {}))
    total, rows = sum(map(sum, confusion)), case.rows.get(split, 0)
    if total <= 0:
        return []
    return [
        _Class(sum(line) / total, rows * sum(line) / total, line[at] / sum(line))
        for at, line in enumerate(confusion)
        if sum(line) > 0
    ]
