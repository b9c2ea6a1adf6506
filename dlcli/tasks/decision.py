"""The decision for a class, given the probabilities of all classes.

Costs are decided by the class of least expected cost (Elkan 2001, "The foundations of
cost-sensitive learning"): for two classes, the second one is predicted if its probability is above
FP / (FP + FN), with the costs FP of a false positive and FN of a false negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.arrays import Floats
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.decision_section import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    CostColumn,
    CostName,
    DecidedMetric,
    Decision,
)
from dlcli.errors import DataError, absent_columns, did_you_mean, first_names, number, plural
from dlcli.metrics.definitions import F1, decision_metrics
from dlcli.metrics.intervals import DifferenceEstimate, Estimate
from dlcli.metrics.statistic import Ratio
from dlcli.metrics.wording import metric_title
from dlcli.safe_files import Count, Document
from dlcli.tables.table import Rows
from dlcli.tasks.prior_shift import shift

DEFAULT_THRESHOLD = 0.5
MOST_POINTS = 200
"""Maximum number of thresholds that are tried."""
Origin = Literal["out-of-fold", "validation"]
_SELECTED = "selected"
_Cost = Annotated[float, Field(ge=0)]


class DecidedRows(Protocol):
    """True classes, probabilities and weights of rows, as in `DecodedRows`."""

    @property
    def values(self) -> NDArray[Any]:
        """The true classes, (rows,)."""

    @property
    def decoded(self) -> NDArray[np.floating[Any]]:
        """The probabilities of the second class, (rows, 1); unused for more classes."""

    @property
    def weights(self) -> Floats | None:
        """The rows' weights, (rows,), or `None`."""


class CurvePoint(Document):
    """What a threshold yields on the rows on which it is chosen."""

    threshold: float
    value: float | None
    """The metric, or the mean cost of a row; `None` if undefined."""
    is_allowed: bool = True
    """Whether all constraints are met."""


class FittedDecision(Document):
    """How a class is predicted, and the rows on which this was chosen."""

    format: Literal[1] = 1
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """For two classes: the second one is predicted if its probability is above it."""
    costs: Annotated[tuple[tuple[_Cost, ...], ...], Field(max_length=10_000)] | None = None
    """The cost of each predicted class (columns) by true class (rows)."""
    cost_columns: Mapping[CostName, str] = {}
    """The columns of costs that differ by row; these are 0 in `costs`."""
    objective: Literal[DecidedMetric, "threshold", "cost"]
    """What is chosen, such as `f1` or `cost`; `threshold` if it was given."""
    constraints: Mapping[str, float] = {}
    """The smallest accepted recall or precision, or the largest share of `positives`."""
    unmet: str = ""
    """The constraint that no threshold meets, in words."""
    origin: Origin | None = None
    """The rows on which the threshold was chosen, and which the curve describes."""
    rows: Count = 0
    """The number of these rows."""
    curve: Annotated[tuple[CurvePoint, ...], Field(max_length=2 * MOST_POINTS)] = ()
    """The metric or the cost by threshold."""

    def fits(self, classes: int) -> bool:
        """Return whether it decides between this number of classes."""
        if self.costs is not None and {len(self.costs), *map(len, self.costs)} != {classes}:
            return False
        if self.cost_columns and (classes != 2 or self.costs is None):
            return False
        return self.costs is not None if self.threshold is None else classes == 2

    def predict(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the index of the predicted class of each row.

        Args:
            probabilities: for two classes, of the second class, (rows, 1); else (rows, classes).
        """
        if self.threshold is not None:
            return (probabilities[:, -1] > self.threshold).astype(np.int64)
        assert self.costs is not None  # one of both
        return np.asarray(np.argmin(probabilities @ np.array(self.costs), axis=1))

    def row_costs(self, rows: Rows, problems: ValueProblems) -> Floats | None:
        """Read the costs of each row; `None` if they are the same for all rows.

        Args:
            rows: the rows, with the columns of costs.
            problems: records costs that are missing or below 0.

        Returns:
            The costs of a false positive and a false negative, (rows, 2).

        Raises:
            DataError: for a missing column; or for such costs, unless `problems` is lenient.
        """
        if not self.cost_columns:
            return None
        assert self.costs is not None  # with these columns
        columns = [*self.cost_columns.values()]
        if not {*columns}.issubset(rows.columns):
            message = absent_columns(columns, rows.columns, "decision.costs")
            raise DataError(message, file=rows.file)
        costs = np.tile(np.array([self.costs[0][1], self.costs[1][0]]), (rows.rows, 1))
        for name, column in self.cost_columns.items():
            costs[:, _BINARY.index(name)] = _read_costs(rows, column, problems)
        return costs

    @property
    def cost_matrix(self) -> Floats | None:
        """The costs as an array, (true classes, predicted classes)."""
        return None if self.costs is None else np.array(self.costs)

    def describe(self, classes: Sequence[str]) -> str:
        """Describe the decision: `yes if its probability is above 0.12`."""
        if self.cost_columns:
            names = " and ".join(f"'{name}'" for name in dict.fromkeys(self.cost_columns.values()))
            return f"the class of least expected cost, with the costs of each row in {names}"
        if self.threshold is None:
            return "the class of least expected cost"
        return f"{classes[-1]} if its probability is above {number(self.threshold)}"

    @property
    def is_chosen(self) -> bool:
        """Whether a threshold was chosen on held-out rows to maximize a metric."""
        return self.objective not in ("threshold", "cost")

    @property
    def metric(self) -> str:
        """The metric by which it is judged."""
        return F1.name if self.objective == "threshold" else self.objective

    @property
    def reason(self) -> str:
        """How it was chosen: `chosen on 1,200 out-of-fold rows to maximize f1`."""
        if self.objective == "threshold":
            return "a fixed threshold"
        if self.objective == "cost":
            return "from the costs in the config"
        bounds = ", ".join(
            f"{name} {'at most' if name == 'positives' else 'at least'} {value:g}"
            for name, value in self.constraints.items()
        )
        kind = "out-of-fold row" if self.origin == "out-of-fold" else "validation row"
        goal = f"to maximize {metric_title(self.objective)}{f' with {bounds}' if bounds else ''}"
        return f"chosen on {plural(self.rows, kind)} {goal}"


class DecisionEffect(Document):
    """What a decision changes on rows."""

    metric: str
    """The metric that the decision maximizes, or `cost`."""
    value: Estimate
    """Its value."""
    usual: Estimate
    """Its value without the decision: for the most probable class, or with class weights."""
    usual_threshold: float | None
    """The threshold without the decision; `None` for more than two classes."""
    difference: DifferenceEstimate
    """The difference: with the decision minus without it."""
    constrained: Mapping[str, Estimate] = {}
    """The metrics that the decision limits, `recall` and `precision`."""


def thresholds_of(costs: Floats) -> Floats:
    """Return the threshold of each row, FP / (FP + FN); 1 if both are 0, (rows, 1).

    Args:
        costs: the costs FP of a false positive and FN of a false negative, (rows, 2).
    """
    sums = costs.sum(axis=1, keepdims=True)
    thresholds: Floats = np.divide(costs[:, :1], sums, out=np.ones_like(sums), where=sums > 0)
    return thresholds


def matrices_of(costs: Floats) -> Floats:
    """Return the cost of each predicted class, (rows, true classes, predicted classes).

    Args:
        costs: the costs of a false positive and a false negative, (rows, 2).
    """
    matrices = np.zeros((len(costs), 2, 2))
    matrices[:, 0, 1], matrices[:, 1, 0] = costs.T
    return matrices


def decision_problems(decision: Decision, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the problems of a decision with the classes of the target, each with its key."""
    if len(classes) != 2:
        for key in ("maximize", "threshold"):
            if getattr(decision, key) is not None:
                yield (
                    key,
                    f"requires two classes, but there are {len(classes)}; set costs "
                    "instead: decision.costs: {TRUE_CLASS: {PREDICTED_CLASS: 1, ...}, ...}",
                )
    if decision.costs is None:
        return
    if binary := [name for name in _BINARY if name in decision.costs]:
        yield from _binary_problems(decision.costs, classes, binary[0])
    else:
        yield from _matrix_problems(decision, classes)


def _matrix_problems(decision: Decision, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the problems of costs by true and predicted class."""
    costs = decision.costs or {}
    for name, value in costs.items():
        known = {name: value, **(value if isinstance(value, Mapping) else {})}
        if isinstance(value, CostColumn):
            yield f"costs.{name}", f"a column of costs requires the key {' or '.join(_BINARY)}"
        elif not isinstance(value, Mapping):
            yield f"costs.{name}", "expected the cost of each predicted class: {CLASS: 1, ...}"
        for each in known.keys() - {*classes}:
            near = did_you_mean(each, classes) or f"; there are {first_names(classes)}"
            yield f"costs.{name}", f"no such class as '{each}'{near}"
    has_column = any(isinstance(value, CostColumn) for value in costs.values())
    if not has_column and not any(_matrix(decision, classes).flat):
        yield "costs", "all costs are 0, so all decisions are equal"


_BINARY = (FALSE_POSITIVE, FALSE_NEGATIVE)


def _binary_problems(
    costs: Mapping[str, object], classes: Sequence[str], key: str
) -> Iterator[tuple[str, str]]:
    """Yield the problems of the costs of false positives and false negatives."""
    if len(classes) != 2:
        yield "costs", f"{key} requires two classes, but there are {len(classes)}"
    for name in costs.keys() - {*_BINARY}:
        yield f"costs.{name}", f"can't be combined with {key}; omit one of them"
    for name in _BINARY:
        cost = costs.get(name)
        if not isinstance(cost, CostColumn) and (isinstance(cost, Mapping) or not cost):
            message = (
                f"requires a number above 0 or a column for {name}; else one class is always "
                "predicted"
            )
            yield "costs", message


def _read_costs(rows: Rows, column: str, problems: ValueProblems) -> Floats:
    """Return the costs in a column, 1 for refused ones, (rows,)."""
    parsed = rows.numbers_of(column)
    values = parsed.values
    is_negative = values < 0
    negative = "a cost must be a number of 0 or more, got {:g}".format
    problems.refuse(parsed.unreadable, rows, column, parsed.problem)
    problems.refuse(parsed.missing, rows, column, lambda _: "is empty; decision.costs requires it")
    problems.refuse(is_negative, rows, column, lambda at: negative(values[at]))
    return np.where(parsed.unreadable | parsed.missing | is_negative, 1.0, values)


def _matrix(decision: Decision, classes: Sequence[str]) -> Floats:
    """Return the cost of each predicted class (columns) by true class (rows)."""
    costs, matrix = decision.costs or {}, np.zeros((len(classes), len(classes)))
    for name, value in costs.items():
        if isinstance(value, Mapping):
            row = classes.index(name) if name in classes else 0
            for predicted, cost in value.items():
                if predicted in classes:
                    matrix[row, classes.index(predicted)] = cost
        elif isinstance(value, CostColumn):
            continue
        elif name == FALSE_POSITIVE:
            matrix[0, 1] = value
        elif name == FALSE_NEGATIVE:
            matrix[1, 0] = value
    return matrix


def fit_decision(
    decision: Decision,
    classes: Sequence[str],
    held_out: DecidedRows | None = None,
    origin: Origin | None = None,
) -> FittedDecision:
    """Choose the threshold of a decision, or compute it from costs.

    Args:
        decision: the section of the config, without problems.
        classes: the classes, the positive one of two last.
        held_out: rows that the network was not trained on; required if `decision.needs_rows`.
        origin: the kind of these rows.
    """
    if len(classes) > 2:
        return FittedDecision(costs=_tuples(_matrix(decision, classes)), objective="cost")
    costs = threshold = None
    if decision.cost_columns:
        return FittedDecision(
            costs=_tuples(_matrix(decision, classes)),
            cost_columns=decision.cost_columns,
            objective="cost",
        )
    if decision.costs is not None:
        costs = _matrix(decision, classes)
        # Predict the second class if (1 − p)·c01 + p·c11 < (1 − p)·c00 + p·c10.
        gain, loss = costs[1, 0] - costs[1, 1], costs[0, 1] - costs[0, 0]
        threshold = float(np.clip(loss / (loss + gain), 0, 1)) if loss + gain else DEFAULT_THRESHOLD
    objective = decision.maximize or ("threshold" if costs is None else "cost")
    fitted = FittedDecision(
        threshold=threshold if decision.threshold is None else decision.threshold,
        costs=None if costs is None else _tuples(costs),
        objective=objective,
        constraints=_constraints(decision),
    )
    if held_out is None or objective == "threshold":
        return fitted
    return _chosen_on(fitted, held_out, origin)


def choose_again(
    decision: FittedDecision, held_out: DecidedRows, ratios: Sequence[float]
) -> FittedDecision:
    """Return the decision for frequencies of the classes that differ from the held-out rows.

    A threshold that maximizes a metric is chosen again: the rows of each class count as often as
    their new frequency requires, and their probabilities are shifted alike. A threshold from costs
    stays, because it is the best one for any probabilities that are right; so does a given one.

    Args:
        decision: the decision.
        held_out: the rows on which it was chosen, with unshifted probabilities.
        ratios: the ratio of new to old frequency of each of the two classes.
    """
    if not decision.is_chosen:
        return decision
    values = np.asarray(held_out.values, np.int64)
    weights = np.ones(len(values)) if held_out.weights is None else held_out.weights
    rows = _ShiftedRows(values, shift(held_out.decoded, ratios), weights * np.array(ratios)[values])
    unchosen = decision.model_copy(update={"threshold": None, "unmet": ""})
    return _chosen_on(unchosen, rows, decision.origin)


class _ShiftedRows(NamedTuple):
    values: NDArray[Any]
    decoded: Floats
    weights: Floats | None


def _chosen_on(
    fitted: FittedDecision, held_out: DecidedRows, origin: Origin | None
) -> FittedDecision:
    """Return a decision with its curve on rows, and with the best threshold if it has none."""
    tried = _try_thresholds(fitted, held_out)
    points = tuple(point for point, _ in tried)
    fitted = fitted.model_copy(
        update={"curve": points, "origin": origin, "rows": len(held_out.values)}
    )
    if fitted.threshold is not None:
        return fitted
    allowed = [each for each in points if each.is_allowed and each.value is not None]
    if not allowed:
        best, unmet = _nearest(tried, fitted.constraints)
        return fitted.model_copy(update={"threshold": best.threshold, "unmet": unmet})
    best = max(allowed, key=lambda each: (each.value or 0, -abs(each.threshold - 0.5)))
    return fitted.model_copy(update={"threshold": best.threshold})


Measures = Mapping[str, float | None]
Tried = tuple[CurvePoint, Measures]


def _try_thresholds(fitted: FittedDecision, held_out: DecidedRows) -> list[Tried]:
    """Return the point of each threshold, and all its measures."""
    values, weights = held_out.values, held_out.weights
    scores = held_out.decoded[:, -1].astype(np.float64)
    weights = np.ones(len(values)) if weights is None else weights
    costs = None if fitted.costs is None else np.array(fitted.costs)
    found = []
    for each in _candidates(scores, values == 1):
        measures = _measures(_confusion(scores > each, values == 1, weights), costs)
        is_allowed = all(
            _meets(name, measures[_NAMES[name]], bound)
            for name, bound in fitted.constraints.items()
        )
        value = measures[fitted.objective]
        found.append((CurvePoint(threshold=each, value=value, is_allowed=is_allowed), measures))
    return found


_NAMES = {"recall": "recall", "precision": "precision", "positives": _SELECTED}


def _constraints(decision: Decision) -> dict[str, float]:
    found = {}
    for name in ("recall", "precision"):
        if (bound := getattr(decision, name)) is not None:
            found[name] = bound.at_least
    if decision.positives is not None:
        found["positives"] = decision.positives.at_most
    return found


def _meets(name: str, value: float | None, bound: float) -> bool:
    if value is None:  # the precision without a positive prediction
        return False
    return value <= bound if name == "positives" else value >= bound


def _nearest(tried: Sequence[Tried], constraints: Mapping[str, float]) -> tuple[CurvePoint, str]:
    """Return the point with the highest precision, which alone can be out of reach, and a note."""
    others = {name: bound for name, bound in constraints.items() if name != "precision"}

    def precision(each: Tried) -> float:
        measures, value = each[1], each[1]["precision"]
        meets = (_meets(name, measures[_NAMES[name]], bound) for name, bound in others.items())
        return value if value is not None and all(meets) else -1.0

    best, measures = max(tried, key=precision)
    wanted = " and ".join(
        f"{name} {'<=' if name == 'positives' else '>='} {bound:g}"
        for name, bound in constraints.items()
    )
    highest = number(measures["precision"])
    return best, f"no threshold has {wanted} on these rows; the highest precision is {highest}"


def _candidates(scores: Floats, is_positive: NDArray[np.bool_]) -> list[float]:
    """Return thresholds between distinct scores, ascending, with 0.5, at most `MOST_POINTS`."""
    distinct = np.unique(scores)
    inner = (distinct[1:] + distinct[:-1]) / 2
    if len(inner) > MOST_POINTS - 3:
        grid = np.linspace(0, 1, (MOST_POINTS - 3) // 2)
        both = [np.quantile(each, grid) for each in (inner, scores[is_positive]) if len(each)]
        inner = inner[
            np.unique(np.searchsorted(inner, np.concatenate(both)).clip(0, len(inner) - 1))
        ]
    ends = [max(0.0, distinct[0] / 2), (1 + distinct[-1]) / 2]
    return [*map(float, np.unique(np.concatenate([ends, inner, [DEFAULT_THRESHOLD]])).clip(0, 1))]


def _confusion(
    decided: NDArray[np.bool_], is_positive: NDArray[np.bool_], weights: Floats
) -> Floats:
    """Return the weights by true class (rows) and predicted class (columns), (2, 2)."""
    cells = 2 * is_positive.astype(np.int64) + decided
    return np.asarray(np.bincount(cells, weights, minlength=4), np.float64).reshape(2, 2)


def _measures(confusion: Floats, costs: Floats | None) -> Measures:
    """Return all metrics that depend on the threshold, the share of positives, and the cost."""
    truth, decided = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = dict(decision_metrics(truth, decided, confusion.ravel()))
    if costs is not None:
        found["cost"] = Ratio(confusion.ravel(), costs.ravel(), np.ones(4)).value
    return found


def _tuples(matrix: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))
