"""Labels and weights, as the losses take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.config import ClassWeight, Loss
from dlcli.encoding import EncodedRows
from dlcli.tasks import ClassTarget, TargetEncoder


def labels_for(loss: Loss, target: NDArray[Any], outputs: int) -> NDArray[Any]:
    """Brings a target into the form that a loss compares with the output.

    Args:
        loss: the loss.
        target: numbers or marks of labels (rows, outputs), or the places of classes (rows,).
        outputs: width of the network's output.

    Returns:
        Numbers and labels as they are; 0 and 1, (rows, 1), for one output; one-hot rows, (rows,
        outputs), where the loss wants them; else the places of classes, int32 (rows,).
    """
    if target.ndim == 2:
        return target
    if outputs == 1:
        return target[:, np.newaxis].astype(np.float32)
    if loss.one_hot:
        return np.asarray(target[:, np.newaxis] == np.arange(outputs), dtype=np.float32)
    return target.astype(np.int32)


def loss_weights(
    rows: EncodedRows, class_weight: ClassWeight | None, target: TargetEncoder
) -> NDArray[np.float32] | None:
    """Row weights times the weights of the rows' classes, (rows,).

    `balanced` gives class c the weight Σw / (classes · Σw of c), as scikit-learn does, over the
    classes that the rows have; a class that a mapping doesn't name has weight 1.
    """
    if class_weight is None or not isinstance(target, ClassTarget):
        return None if rows.weights is None else rows.weights.astype(np.float32)
    weights = np.ones(len(rows.target)) if rows.weights is None else rows.weights
    if isinstance(class_weight, Mapping):
        factors = np.array([class_weight.get(name, 1.0) for name in target.classes])
    else:
        sums = np.bincount(rows.target, weights, minlength=len(target.classes))
        present = sums > 0
        factors = sums.sum() / (present.sum() * np.where(present, sums, 1.0))
    product: NDArray[np.float64] = weights * factors[rows.target]
    return product.astype(np.float32)
