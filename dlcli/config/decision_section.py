"""The config section `decision`: how probabilities become a predicted class."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from dlcli.schema.section import (
    IN_PARTS,
    ColumnName,
    Conflict,
    Expected,
    NonNegative,
    Section,
    Share,
)

CostName = Literal["false_positive", "false_negative"]
DecidedMetric = Literal["accuracy", "balanced_accuracy", "f1", "precision", "recall"]
"""The metrics of two classes that depend on the threshold."""
FALSE_POSITIVE: Final = "false_positive"
FALSE_NEGATIVE: Final = "false_negative"


class CostColumn(Section):
    """A cost that differs by row."""

    column: ColumnName
    """The column with the cost of each row, a number of 0 or more."""


CostValues = Annotated[
    Mapping[
        str,
        NonNegative
        | CostColumn
        | Annotated[Mapping[str, NonNegative], Field(min_length=1), IN_PARTS],
    ],
    Field(min_length=1),
    IN_PARTS,
    Expected(
        "costs of 0 or more: {false_positive: 1, false_negative: 20}, a column of costs: "
        "{false_positive: 1, false_negative: {column: amount}}, or for each true class the "
        "costs of the predicted classes"
    ),
]


class AtLeast(Section):
    """The smallest accepted value of a metric."""

    at_least: Share
    """The smallest accepted value, from 0 to 1."""


Threshold = Annotated[
    float,
    Field(gt=0, lt=1),
    Expected(
        "a probability between 0 and 1",
        lambda _: "; for more than two classes, set costs instead of threshold",
    ),
]
"""A threshold of the probability of the positive class."""


class AtMost(Section):
    """The largest accepted share of rows."""

    at_most: Share
    """The largest accepted share, from 0 to 1."""


class Decision(Section):
    """The rule that predicts a class, given the probabilities of all classes.

    A threshold for two classes is chosen on rows that the network was not trained on: the
    out-of-fold rows of an ensemble with folds, else the validation rows. Test rows are never used.
    """

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return the section to write for the name of a metric or a threshold."""
        if isinstance(value, str):
            return f"write {{maximize: {value}}}"
        return f"write {{threshold: {value}}}" if isinstance(value, float) else ""

    maximize: DecidedMetric | None = None
    """Choose the threshold for which this metric is largest, for two classes. With
    `data.prevalence`, the rows on which it is chosen are weighted, so their classes have these
    frequencies."""
    recall: AtLeast | None = None
    """Only thresholds with at least this recall, such as `{at_least: 0.9}`. Requires `maximize`."""
    precision: AtLeast | None = None
    """Only thresholds with at least this precision. Requires `maximize`."""
    positives: AtMost | None = None
    """Only thresholds for which at most this share of rows is predicted as the positive class, such
    as `{at_most: 0.05}` for the number of customers that can be called. Requires `maximize`."""
    costs: CostValues | None = None
    """Costs of wrong predictions. For two classes: `false_positive` and `false_negative`. For any
    number of classes: the cost of each predicted class, by true class; a missing cost is 0. The
    class with the lowest expected cost is predicted. `{column: amount}` as the cost of a false
    positive or false negative is the number in this column of each row. New rows need the column,
    and it is a feature only if `input.features` lists it."""
    threshold: Threshold | None = None
    """Predict the positive class if its probability is above this number."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield several rules, no rule, and constraints without `maximize`."""
        rules = [
            key for key in ("maximize", "costs", "threshold") if getattr(self, key) is not None
        ]
        if not rules:
            yield (), "requires maximize, costs or threshold"
        for key in rules[1:]:
            yield key, f"can't be combined with {rules[0]}; omit one of them"
        for key in ("recall", "precision", "positives"):
            if getattr(self, key) is None:
                continue
            if self.maximize is None:
                yield key, "requires maximize, such as maximize: f1"
            elif key == self.maximize:
                yield key, "is maximized, so a lower limit has no effect; omit it"

    @property
    def cost_columns(self) -> dict[CostName, str]:
        """The column of each cost that differs by row: `{"false_negative": "amount"}`."""
        names: tuple[CostName, ...] = (FALSE_POSITIVE, FALSE_NEGATIVE)
        given = ((name, (self.costs or {}).get(name)) for name in names)
        return {name: each.column for name, each in given if isinstance(each, CostColumn)}

    @property
    def needs_rows(self) -> bool:
        """Whether a threshold is chosen on held-out rows."""
        return self.maximize is not None
