"""Classes of which one is rare, and is not found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

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
    """Rare classes most of whose rows are taken for another one, and no weights against that."""
    classes = _classes(case)
    if not classes or case.config.class_weight is not None:
        return None
    rare = [each for each in classes if each.share < RARE / len(classes)]
    usual = max(classes, key=lambda each: each.share)
    words = _missed(rare, usual)
    if words is None:
        return None
    return Finding(
        rule="imbalance",
        saw=f"{words}, the most frequent one in {percent(usual.recall)}; "
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


def _missed(rare: Sequence[_Class], usual: _Class) -> str | None:
    """Says which classes are missed: all together, or one for itself beyond all doubt.

    The worst of many classes has a low recall by chance. So they are judged by the rows of all; and
    each alone by the quantile of Bonferroni, which holds for all at once, that must show it to be
    missed.
    """
    if not rare:
        return None
    together = _together(rare)
    if together.rows >= _FEWEST and together.recall < MISSED and _is_worse(together, usual, SURE):
        return _in_words(rare, together)
    sure = -NormalDist().inv_cdf(NormalDist().cdf(-SURE) / len(rare))
    sunk = [
        each
        for each in rare
        if each.rows >= _FEWEST
        and each.recall + sure * each.deviation < MISSED
        and _is_worse(each, usual, sure)
    ]
    return _in_words(sunk, _together(sunk)) if sunk else None


def _in_words(missed: Sequence[_Class], together: _Class) -> str:
    share, recall = percent(together.share), percent(together.recall)
    if len(missed) == 1:
        return f"a class with {share} of the rows is found in {recall} of them"
    worst = percent(min(each.recall for each in missed))
    return (
        f"{len(missed)} rare classes with {share} of the rows together are found in {recall} of "
        f"them, the worst in {worst}"
    )


def _is_worse(missed: _Class, usual: _Class, sure: float) -> bool:
    """Whether it is found more seldom by so many standard errors."""
    return usual.recall - missed.recall > sure * math.hypot(missed.deviation, usual.deviation)


def _together(classes: Sequence[_Class]) -> _Class:
    """Classes as one."""
    share = sum(each.share for each in classes)
    found = sum(each.share * each.recall for each in classes)
    recall = found / share if share > 0 else 0.0
    return _Class(share, sum(each.rows for each in classes), recall)


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
