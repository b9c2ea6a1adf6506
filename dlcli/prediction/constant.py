"""The prediction that looks at no column: the least that a network must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table
from dlcli.tasks import ClassTarget, LabelTarget, TargetEncoder

Outputs = NDArray[np.float64]


def constant_outputs(
    target: TargetEncoder,
    train: Table,
    weights: NDArray[np.float64] | None,
    outputs: int,
    *,
    has_margin: bool = False,
) -> Outputs:
    """What a network would give that has seen only the target of its training rows.

    - Numbers: the mean Σwy / Σw of each column, in its own unit.
    - Classes: the share of each, as `DummyClassifier(strategy="prior")` of scikit-learn: so the
      most frequent class is predicted. As a margin, 1 on the side of the more frequent class, and
      -1 where both are as frequent.
    - Labels: the share of each.

    Args:
        target: fitted on the training rows.
        train: these rows.
        weights: the rows' weights, (rows,), if they have any.
        outputs: width of the network's output.
        has_margin: whether the one output for two classes is a margin around 0.

    Returns:
        The output as trained on, (outputs,).
    """
    if isinstance(target, LabelTarget):
        return _mean(target.encode(train, ValueIssues()), weights)
    if not isinstance(target, ClassTarget):
        means = _mean(target.values(train, ValueIssues()), weights)
        pairs = zip(target.scalings, means, strict=True)
        return np.array([scaling.apply(np.array([mean]))[0] for scaling, mean in pairs])
    counts = np.bincount(target.encode(train, ValueIssues()), weights, minlength=target.width)
    if has_margin:
        return np.array([1.0 if counts[1] > counts[0] else -1.0])
    shares: Outputs = counts / counts.sum()
    return shares[-outputs:]


def _mean(values: NDArray[Any], weights: NDArray[np.float64] | None) -> Outputs:
    """The weighted mean of each column, (columns,)."""
    return np.average(values.astype(np.float64), axis=0, weights=weights)
