"""Metrics of predicted labels, any of which a row may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dlcli.metrics.arithmetic import (
    Array,
    Metrics,
    Number,
    as_floats,
    as_places,
    counted,
    mean,
    mean_if_defined,
    mean_of_defined,
)
from dlcli.metrics.classes import binary_metrics
from dlcli.metrics.confusion import count_pairs, f1s, precisions, recalls


def multilabel_metrics(
    target: Array, probabilities: Array, weight: Array | None = None, *, names: Sequence[str]
) -> Metrics:
    """Scores predictions of labels; a row is predicted to have those more probable than 0.5.

    Args:
        target: 1 for each label that a row has and 0 for the others, shape `(rows, labels)`.
        probabilities: of each label for itself, shape `(rows, labels)`.
        weight: non-negative row weights, shape `(rows,)`; 1 each if left out.
        names: of the labels.

    Returns:
        `accuracy`, the share of right decisions on labels; `subset_accuracy`, the share of rows of
        which every label is right; `auc` and `average_precision`, the plain means over the labels
        for which they are defined, and `macro_f1` likewise; `micro_precision`, `micro_recall` and
        `micro_f1` of all decisions together; `log_loss` and `brier`, means over all labels;
        and `by_label` what `binary_metrics` says of each.
    """
    each = [
        binary_metrics(truth, positive, weight)
        for truth, positive in zip(target.T, probabilities.T, strict=True)
    ]
    weight, target, probabilities = counted(weight, as_places(target), as_floats(probabilities))
    predicted = (probabilities > 0.5).astype(np.int64)
    weights = np.repeat(weight, len(names))
    together = count_pairs(target.ravel(), predicted.ravel(), weights, classes=2)
    right = predicted == target
    return {
        "accuracy": mean(right.mean(axis=1), weight),
        "subset_accuracy": mean(right.all(axis=1), weight),
        "auc": mean_of_defined(_of_each(each, "auc")),
        "average_precision": mean_of_defined(_of_each(each, "average_precision")),
        "macro_f1": mean_of_defined(_of_each(each, "f1")),
        "micro_precision": precisions(together)[1],
        "micro_recall": recalls(together)[1],
        "micro_f1": f1s(together)[1],
        "log_loss": mean_if_defined(_of_each(each, "log_loss")),
        "brier": mean_if_defined(_of_each(each, "brier")),
        "by_label": dict(zip(names, each, strict=True)),
    }


def _of_each(each: Sequence[Metrics], metric: str) -> Iterator[Number]:
    for scores in each:
        value = scores[metric]
        assert value is None or isinstance(value, float)
        yield value
