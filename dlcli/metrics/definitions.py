"""The records of all metrics.

The definitions are the same as in scikit-learn, see
https://scikit-learn.org/stable/modules/model_evaluation.html.

For numbers, let `e = ŷ - y` be the error and `w` the weight of a row:

- `mse` is `Σ w e² / Σ w`, and `rmse` is its square root.
- `mae` is `Σ w |e| / Σ w`, and `median_absolute_error` is the weighted median of `|e|`.
- `r2` is `1 - Σ w e² / Σ w (y - ȳ)²`; it is undefined for a constant target.

For several columns, each metric is the mean over the columns, and undefined if it is undefined for
one of them. `rmse` is therefore the mean of the roots, not the root of `mse`.

For classes, let `tp`, `fp`, `fn` be the weights of true positives, false positives and false
negatives:

- `precision` is `tp / (tp + fp)`, `recall` is `tp / (tp + fn)` and `f1` is
  `2 tp / (2 tp + fp + fn)`; each is undefined if its denominator is 0.
- `balanced_accuracy` is the mean recall of the classes that occur.
- `macro_f1` is the mean F1 of the classes that occur or are predicted.
- `calibration_error` compares the probability of the positive class, or for several classes the
  probability of the most probable class, with the observed frequency, see `calibration`.
- `auc` is undefined unless both classes occur.
- `average_precision` is undefined unless the positive class occurs.

For labels:

- `accuracy` is the share of correct decisions, and `subset_accuracy` is the share of rows with all
  decisions correct.
- `auc`, `average_precision` and `macro_f1` are means over the labels for which they are defined.
- `micro_precision`, `micro_recall` and `micro_f1` are computed over all decisions.
- `log_loss`, `brier` and `calibration_error` are means over all labels.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlcli.arrays import Floats, np
from dlcli.metrics import metric as forms
from dlcli.metrics.deviances import (
    BinomialDeviance,
    Deviance,
    ExplainedDeviance,
    ExplainedPinballLoss,
    GammaDeviance,
    GiniIndex,
    PoissonDeviance,
    TweedieDeviance,
)
from dlcli.metrics.metric import Metric
from dlcli.metrics.quantiles import pinball_loss

if TYPE_CHECKING:
    from dlcli.metrics.statistic import Array, Metrics, Number, Statistic

TOP = 3
"""The `k` of the top-k accuracy."""
EPS = sys.float_info.epsilon
"""Probabilities are clipped to `[EPS, 1 - EPS]` before taking the logarithm."""


def cross_entropy(of_truth: forms.Operand) -> forms.Operand:
    """Return `-ln p` for the probability `p` of the true class, clipped to `[EPS, 1 - EPS]`."""
    return -np.log(np.clip(of_truth, EPS, 1 - EPS))


def is_among_top(rows: forms.ClassRows) -> forms.Operand:
    """Return whether the true class is among the `TOP` most probable classes, (rows, 1).

    Among equally probable classes, the class with the lower index comes first.
    """
    true = rows.true[:, np.newaxis]
    earlier = np.logical_and(rows.outputs == rows.of_truth, np.arange(rows.classes) < true)
    before = np.logical_or(rows.outputs > rows.of_truth, earlier)
    return np.count_nonzero(before, axis=1)[:, np.newaxis] < TOP


_PRECISION = forms.RatioOf(lambda rows: rows.true * rows.decided, lambda rows: rows.decided)
_RECALL = forms.RatioOf(lambda rows: rows.true * rows.decided, lambda rows: rows.true)
_F1 = forms.RatioOf(
    lambda rows: 2 * rows.true * rows.decided, lambda rows: rows.true + rows.decided
)
_AUC = forms.RankingOf("roc", keras="AUC", interval="delong")
_AVERAGE_PRECISION = forms.RankingOf("precision_recall")
_RECALLS = forms.MeanOverClasses(_RECALL, counts_predicted=False)

_error = partial(Metric, higher_is_better=False)
"""A metric from 0, where lower is better."""
_score = partial(Metric, higher_is_better=True, bounds=(0.0, 1.0))
"""A metric from 0 to 1, where higher is better."""

MSE = _error(
    "mse",
    aliases=("mean_squared_error",),
    title="MSE",
    forms={"numbers": forms.MeanOf(lambda rows: np.square(rows.errors))},
    script={"numbers": '"mse"'},
)
RMSE = _error(
    "rmse",
    aliases=("root_mean_squared_error",),
    title="RMSE",
    has_target_unit=True,
    forms={"numbers": forms.MeanOf(lambda rows: np.square(rows.errors), root=True)},
    root_of="mse",
    is_summary=True,
    of_parts=True,
    script={"numbers": 'keras.metrics.RootMeanSquaredError(name="rmse")'},
    script_units=1,
)
MAE = _error(
    "mae",
    aliases=("mean_absolute_error",),
    title="MAE",
    has_target_unit=True,
    forms={"numbers": forms.MeanOf(lambda rows: np.abs(rows.errors))},
    center=forms.quantile_center(0.5),
    is_summary=True,
    of_parts=True,
    script={"numbers": '"mae"'},
)
R2 = _score(
    "r2",
    aliases=("r2_score",),
    bounds=(-math.inf, 1.0),
    title="R²",
    forms={"numbers": forms.ExplainedVariance()},
    is_summary=True,
    of_parts=True,
    script={"numbers": 'keras.metrics.R2Score(name="r2")'},
)
MEDIAN_ABSOLUTE_ERROR = _error(
    "median_absolute_error",
    has_target_unit=True,
    forms={"numbers": forms.MedianOf(lambda rows: np.abs(rows.errors))},
)
D2 = _score(
    "d2",
    aliases=("d2_tweedie_score", "deviance_explained", "d2_pinball_score"),
    bounds=(-math.inf, 1.0),
    title="D²",
    forms={"numbers": ExplainedDeviance(PoissonDeviance())},
    of_loss=True,
    is_summary=True,
)
GINI = _score(
    "gini",
    aliases=("normalized_gini",),
    bounds=(-1.0, 1.0),
    title="normalized Gini",
    forms={"numbers": GiniIndex()},
    of_loss=True,
    of_order=True,
)
_deviance = partial(_error, of_loss=True)


def of_deviance(metric: Metric, deviance: Deviance) -> Metric:
    """Return the metric of a loss that is a deviance, with `D2` of the same deviance and `GINI`.

    Args:
        metric: the record of the deviance.
        deviance: the deviance, with its parameters.
    """
    explained = replace(D2, forms={"numbers": ExplainedDeviance(deviance)})
    form = forms.MeanOf(lambda rows: deviance.of(rows.true, rows.outputs))
    return replace(metric, forms={"numbers": form}, companions=(explained, GINI))


POISSON_DEVIANCE = of_deviance(
    _deviance(
        "poisson_deviance",
        aliases=("mean_poisson_deviance",),
        title="Poisson deviance",
        forms={},
    ),
    PoissonDeviance(),
)
TWEEDIE_DEVIANCE = of_deviance(
    _deviance(
        "tweedie_deviance",
        aliases=("mean_tweedie_deviance",),
        title="Tweedie deviance",
        forms={},
    ),
    TweedieDeviance(1.5),
)
GAMMA_DEVIANCE = of_deviance(
    _deviance(
        "gamma_deviance",
        aliases=("mean_gamma_deviance",),
        title="gamma deviance",
        forms={},
    ),
    GammaDeviance(),
)
BINOMIAL_DEVIANCE = of_deviance(
    _deviance(
        "binomial_deviance",
        title="binomial deviance",
        forms={},
    ),
    BinomialDeviance(),
)
PINBALL_LOSS = _error(
    "pinball_loss",
    aliases=("mean_pinball_loss",),
    has_target_unit=True,
    forms={"numbers": forms.MeanOf(lambda rows: np.abs(rows.errors) / 2)},
    of_loss=True,
)
COVERAGE = _score(
    "coverage",
    title="coverage",
    forms={"numbers": forms.HitRate(lambda rows: rows.is_covered)},
    of_loss=True,
    in_percent=True,
)
MEAN_WIDTH = _error(
    "mean_width",
    has_target_unit=True,
    forms={"numbers": forms.MeanOf(lambda rows: rows.widths)},
    of_loss=True,
)


def of_levels(levels: Sequence[float]) -> Metric:
    """Return the pinball loss, averaged over levels, with D² and the coverage of the outer pair."""
    form = forms.MeanOf(lambda rows: pinball_loss(levels, rows.true, rows.quantiles))
    explained = replace(D2, forms={"numbers": ExplainedPinballLoss(tuple(levels))})
    pair = (COVERAGE, MEAN_WIDTH) if len(levels) > 1 else ()
    return replace(PINBALL_LOSS, forms={"numbers": form}, companions=(explained, *pair))


ACCURACY = _score(
    "accuracy",
    aliases=(
        *("acc", "accuracy_score", "binary_accuracy"),
        *("categorical_accuracy", "sparse_categorical_accuracy"),
    ),
    forms={
        "two classes": forms.HitRate(lambda rows: rows.is_right),
        "classes": forms.HitRate(lambda rows: rows.is_right),
        "labels": forms.MeanOf(lambda rows: np.mean(rows.is_right, axis=1, keepdims=True)),
    },
    in_percent=True,
    is_summary=True,
    script={
        "two classes": '"accuracy"',
        "classes": '"accuracy"',
        "labels": 'keras.metrics.BinaryAccuracy(name="accuracy")',
    },
)
BALANCED_ACCURACY = _score(
    "balanced_accuracy",
    aliases=("balanced_accuracy_score",),
    forms={"two classes": _RECALLS, "classes": _RECALLS},
)
SUBSET_ACCURACY = _score(
    "subset_accuracy",
    forms={"labels": forms.HitRate(lambda rows: np.all(rows.is_right, axis=1, keepdims=True))},
    is_summary=True,
)
AUC = _score(
    "auc",
    aliases=("roc_auc", "roc_auc_score"),
    title="AUC",
    forms={"two classes": _AUC, "labels": forms.MeanOverLabels(_AUC, keras="AUC")},
    of_order=True,
    is_summary=True,
    of_parts=True,
    script=dict.fromkeys(("two classes", "labels"), 'keras.metrics.AUC(name="auc")'),
)
AVERAGE_PRECISION = _score(
    "average_precision",
    aliases=("average_precision_score",),
    forms={"two classes": _AVERAGE_PRECISION, "labels": forms.MeanOverLabels(_AVERAGE_PRECISION)},
    of_order=True,
    of_positive_class=True,
    of_parts=True,
)
PRECISION = _score(
    "precision",
    aliases=("precision_score",),
    forms={"two classes": replace(_PRECISION, interval="wilson")},
    of_positive_class=True,
    of_parts=True,
    script={"two classes": 'keras.metrics.Precision(name="precision")'},
)
RECALL = _score(
    "recall",
    aliases=("recall_score",),
    forms={"two classes": replace(_RECALL, interval="wilson")},
    of_positive_class=True,
    of_parts=True,
    script={"two classes": 'keras.metrics.Recall(name="recall")'},
)
F1 = _score(
    "f1",
    aliases=("f1_score",),
    title="F1",
    forms={"two classes": _F1},
    of_positive_class=True,
    of_parts=True,
)
MACRO_F1 = _score(
    "macro_f1",
    aliases=("f1_macro",),
    title="macro F1",
    forms={
        "classes": forms.MeanOverClasses(_F1, counts_predicted=True),
        "labels": forms.MeanOverLabels(_F1),
    },
    mean_over_parts_of="f1",
)
MICRO_PRECISION = _score(
    "micro_precision", aliases=("precision_micro",), forms={"labels": _PRECISION}
)
MICRO_RECALL = _score("micro_recall", aliases=("recall_micro",), forms={"labels": _RECALL})
MICRO_F1 = _score("micro_f1", aliases=("f1_micro",), title="micro F1", forms={"labels": _F1})
LOG_LOSS = _error(
    "log_loss",
    bounds=(0.0, -math.log(EPS)),
    forms=dict.fromkeys(
        ("two classes", "classes", "labels"),
        forms.MeanOf(lambda rows: cross_entropy(rows.of_truth), needs_probabilities=True),
    ),
    is_summary=True,
)
BRIER = _error(
    "brier",
    aliases=("brier_score_loss",),
    title="Brier score",
    bounds=(0.0, 1.0),
    forms=dict.fromkeys(
        ("two classes", "labels"),
        # Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather
        # Review 78 (1950).
        forms.MeanOf(lambda rows: np.square(rows.outputs - rows.true), needs_probabilities=True),
    ),
)
CALIBRATION_ERROR = _error(
    "calibration_error",
    aliases=("ece", "expected_calibration_error"),
    bounds=(0.0, 1.0),
    forms=dict.fromkeys(("two classes", "classes", "labels"), forms.CalibrationOf(interval="own")),
)
TOP_ACCURACY = _score(
    f"top_{TOP}_accuracy",
    title=f"top-{TOP} accuracy",
    forms={"classes": forms.HitRate(is_among_top, more_classes_than=TOP)},
    script={
        "classes": "keras.metrics.SparseTopKCategoricalAccuracy"
        f'(k={TOP}, name="top_{TOP}_accuracy")'
    },
)

COST = _error(
    "cost",
    forms={"two classes": forms.CostOf(interval="studentized"), "classes": forms.CostOf()},
)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        each.name: each
        for each in (
            *(MSE, RMSE, MAE, R2, MEDIAN_ABSOLUTE_ERROR),
            *(POISSON_DEVIANCE, TWEEDIE_DEVIANCE, GAMMA_DEVIANCE),
            *(BINOMIAL_DEVIANCE, D2, GINI),
            *(PINBALL_LOSS, COVERAGE, MEAN_WIDTH),
            *(ACCURACY, BALANCED_ACCURACY, SUBSET_ACCURACY, AUC, AVERAGE_PRECISION),
            *(PRECISION, RECALL, F1, MACRO_F1, MICRO_PRECISION, MICRO_RECALL, MICRO_F1),
            *(LOG_LOSS, BRIER, CALIBRATION_ERROR, COST, TOP_ACCURACY),
        )
    }
)
"""Every metric that is a single number, in the order of metrics.json."""


def is_higher_better(name: str) -> bool:
    """Return whether higher values are better; false for losses.

    Args:
        name: the name of a metric or loss, with or without the prefix `val_`.
    """
    metric = METRICS.get(name.removeprefix("val_"))
    return metric is not None and metric.higher_is_better


def metric_bounds(name: str) -> tuple[float, float]:
    """Return the smallest and largest possible value of a metric; infinite for an unknown one."""
    metric = METRICS.get(name.removeprefix("val_"))
    return (-math.inf, math.inf) if metric is None else metric.bounds


UNEQUAL_CLASSES = 2 / 3
"""Share of the largest class from which accuracy is misleading, because always predicting this
class has a high accuracy."""


def largest_class(metrics: Mapping[str, object], classes: int) -> tuple[int, float] | None:
    """Return the index and the share of the most frequent class; `None` if unknown.

    Args:
        metrics: the metrics of the rows, with their confusion matrix.
        classes: the number of classes.
    """
    matrix = stored_confusion(metrics.get("confusion"))
    if matrix is None or len(matrix) != classes:
        return None
    sums = matrix.sum(axis=1)
    return int(sums.argmax()), float(sums.max() / sums.sum())


def main_metric(named: Sequence[str], metrics: Mapping[str, object]) -> str | None:
    """Return the main metric of a run: the first defined metric of the config, else of `METRICS`.

    Args:
        named: the metrics of the config.
        metrics: the metrics of the network on some rows.

    Returns:
        The name of the metric; `None` if no metric is defined.
    """
    wanted = (name for name in (*named, *METRICS) if name in METRICS)
    return next((name for name in wanted if metrics.get(name) is not None), None)


def metrics_of(rows: forms.Rows, of_loss: Metric | None = None) -> dict[str, Metric]:
    """Return the metrics for a kind of rows, by name.

    Args:
        rows: the rows, which may be empty.
        of_loss: the comparison metric of the loss, if it depends on the loss, see `Metric.of_loss`.
    """
    of_loss_all = () if of_loss is None else (of_loss, *of_loss.companions)
    own = {metric.name: metric for metric in of_loss_all}
    found = {name: own.get(name, metric) for name, metric in METRICS.items()}
    return {
        name: metric
        for name, metric in found.items()
        if rows.kind in metric.forms and (not metric.of_loss or name in own)
        if metric.forms[rows.kind].suits(rows)
    }


def statistics_of(rows: forms.Rows, of_loss: Metric | None = None) -> dict[str, Statistic]:
    """Return the metrics of rows as functions of the row weights, by name; see `metrics_of`."""
    each = {name: metric.forms[rows.kind] for name, metric in metrics_of(rows, of_loss).items()}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # undefined values
        return {
            name: replace(form.statistic(rows), interval=form.interval)
            for name, form in each.items()
        }


def metric_values(statistics: Mapping[str, Statistic]) -> Metrics:
    """Return the value of each metric for JSON; `None` if undefined.

    For classes, `confusion` is the matrix of the weights by true class (rows) and predicted class
    (columns): `[[tn, fp], [fn, tp]]` for two classes.
    """
    from dlcli.metrics.statistic import ClassMean

    values: Metrics = {name: each.value for name, each in statistics.items()}
    decided = statistics.get(BALANCED_ACCURACY.name)
    if isinstance(decided, ClassMean):
        values["confusion"] = decided.confusion().tolist()
    return values


def decision_metrics(target: Array, predicted: Array, weight: Array) -> dict[str, Number]:
    """Compute the metrics of a decision, such as predicting class 1 above a threshold.

    Args:
        target: true classes, 0 or 1, shape `(rows,)`.
        predicted: predicted classes, 0 or 1, shape `(rows,)`.
        weight: row weights, shape `(rows,)`.

    Returns:
        Precision, recall, F1, accuracy, balanced accuracy, and `selected`, the share of rows
        predicted as class 1.
    """
    true, decided = (np.reshape(each, (-1, 1)).astype(np.int64) for each in (target, predicted))
    rows = forms.PairRows(true, decided, weight)
    chosen = (PRECISION, RECALL, F1, ACCURACY, BALANCED_ACCURACY)
    found = {each.name: each.forms[rows.kind].statistic(rows).value for each in chosen}
    from dlcli.metrics.statistic import Ratio

    selected = Ratio(weight, rows.decided[:, 0], np.ones(len(target)))
    return {**found, "selected": selected.value}


def stored_confusion(value: object) -> Floats | None:
    """Return a stored confusion matrix, (true classes, predicted classes), with a positive sum.

    Args:
        value: the stored value, untrusted.

    Returns:
        The matrix; `None` if the value is not a finite, non-negative square matrix.
    """
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1] or not matrix.any():
        return None
    with np.errstate(all="ignore"):
        is_finite = np.isfinite(2 * matrix.sum())  # F1 doubles the sum
    return matrix if is_finite and matrix.min() >= 0 else None
