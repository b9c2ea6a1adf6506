"""The agreement of an exported model with dlcli, output by output, and `export.json` with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.prediction.predictions import Intervals, Predictions
from dlcli.safe_files import Count, Document, FileDigest
from dlcli.tasks.classification import Multilabel

Arrays = Mapping[str, NDArray[Any]]
"""Values of inputs or outputs by name; the first axis are the rows."""
Runner = Callable[[Arrays], dict[str, NDArray[Any]]]
"""A loaded model: from inputs to outputs."""

TOLERANCE = 1e-5
"""Largest difference of a number, as a share of the output's scale."""
_FAR = 1e6
"""Multiple of the typical size beyond which a prediction is that of an extreme number."""
_CANCELED = 1e3
"""Multiple of the largest such prediction that the size of terms may be, which nearly cancel."""
_LARGE = 1e32
"""Size from which on terms may be beyond 32 bits though their sum is not."""
_DECIDING = ("probabilities", "margin")
"""Outputs that decide on the class."""


class Agreement(Document):
    """The comparison of an exported model's outputs with dlcli's on some rows."""

    rows: Count
    absolute_difference: dict[str, float]
    """The largest absolute difference of each output of numbers, in its own unit."""
    relative_difference: dict[str, float]
    """The largest difference as a share of the output's scale: the size that a tenth of the rows
    exceed, or the number's own size if that is larger."""
    equal: dict[str, Count]
    """The number of rows with equal classes, labels or sets of classes, by output."""
    failures: tuple[Annotated[str, Field(min_length=1)], ...]
    """The outputs that differ, each with its difference; none if the model agrees."""


class ExportDocument(Document):
    """The description of an export, and the result of its check: `export.json`."""

    format: str
    dlcli: str
    """Version of dlcli that wrote it."""
    run: str
    """Name of the run folder."""
    interval: float | None
    """The level of intervals or sets of classes; none if the run has no held-out rows for them."""
    names: tuple[str, ...]
    """The classes or labels, in the order of probabilities."""
    quantized: bool = False
    """True if weights have 8 bits, so that numbers differ more."""
    tolerance: float
    """Largest difference of a number that is accepted, as a share of the output's scale."""
    checked: dict[str, Agreement]
    """By kind of rows, such as `held-out rows`."""
    unchecked: str
    """Why there are only made-up rows among these; else empty."""
    files: dict[str, FileDigest]


def outputs_of(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Return predictions as the outputs of an exported model."""
    task, regions = predictions.task, predictions.regions
    found: dict[str, NDArray[Any]] = {}
    if task.outcome == "numbers":
        found["prediction"] = predictions.decoded
        if isinstance(regions, Intervals):
            found |= {"lower": regions.array[:, :, 0], "upper": regions.array[:, :, 1]}
        return {name: values[:, 0] if task.width == 1 else values for name, values in found.items()}
    if task.outcome == "classes":
        found["prediction"] = task.class_values[predictions.values]
    else:
        is_boolean = isinstance(task, Multilabel) and task.stored == "boolean"
        found["prediction"] = predictions.values.astype(np.bool_ if is_boolean else np.int64)
    if predictions.probabilities is None:
        found["margin"] = predictions.decoded[:, 0].astype(np.float32)
    else:
        found["probabilities"] = predictions.probabilities.astype(np.float32)
    if regions is not None:
        found["prediction_set"] = regions.array
    return found


def compare(
    expected: Arrays, computed: Arrays, tolerance: float = TOLERANCE, *, of_numbers: bool
) -> Agreement:
    """Compare the outputs of an exported model with dlcli's.

    Args:
        expected: dlcli's outputs.
        computed: the model's.
        tolerance: largest difference of a number, as a share of the output's scale.
        of_numbers: whether the target is numbers, so that outputs have the units of its columns.
    """
    largest: dict[str, float] = {}
    relative: dict[str, float] = {}
    equal: dict[str, int] = {}
    failures = []
    rows = len(next(iter(expected.values())))
    for name, wanted in expected.items():
        values = computed[name]
        if values.shape != wanted.shape:
            failures.append(f"{name}: the shape is {values.shape}, not {wanted.shape}")
        elif np.issubdtype(wanted.dtype, np.floating):
            differences, scales = _differences(
                wanted.astype(np.float64), values, by_column=of_numbers
            )
            largest[name] = float(np.max(differences, initial=0))
            relative[name] = float(np.max(differences / scales, initial=0))
            if relative[name] > tolerance:
                share = f"{relative[name]:.1e} of its scale"
                failures.append(f"{name}: differs by up to {largest[name]:.3g}, {share}")
        else:
            same = (values == wanted).reshape(rows, -1).all(axis=1)
            equal[name] = int(same.sum())
            doubtful = _doubtful(name, expected, tolerance)
            if not (same | doubtful).all():
                failures.append(f"{name}: differs in {int((~same & ~doubtful).sum())} rows")
    return Agreement(
        rows=rows,
        absolute_difference=largest,
        relative_difference=relative,
        equal=equal,
        failures=tuple(failures),
    )


def _differences(
    wanted: NDArray[np.float64], values: NDArray[Any], *, by_column: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return absolute differences and the scale of each number, of the same shape.

    The scale is the size that a tenth of the rows exceed, or the number's own size if that is
    larger: odd rows may have predictions beyond all others. Of those far beyond, it is a
    thousand times the size of the largest, as large terms that cancel leave few digits. If sums in
    32 bits may overflow, what is not finite equals any number that large: it depends on which sum
    overflows first. Of probabilities, a row's size is that of its largest, and all of them depend
    on each sum.

    Args:
        wanted: dlcli's numbers, (rows,) or (rows, columns).
        values: the model's.
        by_column: whether columns have units of their own, unlike probabilities.
    """
    most = float(np.finfo(np.float32).max)
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(values.astype(np.float64) - wanted)
    is_finite = np.isfinite(wanted) & np.isfinite(values)
    both_overflow = _may_overflow(wanted) & _may_overflow(values) & ~is_finite
    sizes = of_rows = np.abs(np.where(np.isfinite(wanted), wanted, 0.0))
    if not by_column and wanted.ndim == 2:
        both_overflow = both_overflow.any(axis=1, keepdims=True)
        of_rows = np.max(sizes, axis=1)
    differences = np.where((values == wanted) | both_overflow, 0.0, differences)
    typical, largest = np.quantile(of_rows, 0.9, axis=0), np.max(of_rows, axis=0, initial=0.0)
    typical = np.maximum(typical, 1e-30)
    # The result is written as JSON, which has no infinity.
    known = np.asarray(np.nan_to_num(differences, nan=most, posinf=most))
    is_far = sizes > _FAR * typical
    with np.errstate(over="ignore"):
        scales = np.where(is_far, _CANCELED * largest, np.maximum(sizes, typical))
    return known, scales


def _may_overflow(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where numbers are so large that terms of their sums may be infinite, or undefined."""
    return np.asarray(~(np.abs(values) < _LARGE))


def _doubtful(name: str, expected: Arrays, tolerance: float) -> NDArray[np.bool_]:
    """Return the rows whose class, or set, hangs on less than the tolerance, (rows,)."""
    rows = len(expected[name])
    scores = next((expected[each] for each in _DECIDING if each in expected), None)
    if scores is None:
        return np.zeros(rows, dtype=np.bool_)
    if scores.ndim == 1:
        return np.asarray(np.abs(scores) <= 2 * tolerance)
    if name == "prediction_set":
        # A class is in it by its score alone: equal scores of other rows show where the limit is.
        members = expected[name]
        low = np.max(np.where(members, -np.inf, scores), initial=-np.inf)
        high = np.min(np.where(members, scores, np.inf), initial=np.inf)
        near = (np.abs(scores - low) <= tolerance) | (np.abs(scores - high) <= tolerance)
        return np.asarray(near.any(axis=1))
    if expected[name].ndim == 2:  # labels
        return np.asarray((np.abs(scores - 0.5) <= 2 * tolerance).any(axis=1))
    ordered = np.sort(scores, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2] <= 2 * tolerance)
