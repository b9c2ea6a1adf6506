"""Tasks whose prediction is one or several quantiles of a number.

The network has one output for each level. The quantiles of a row are its outputs in ascending
order, so they never cross. The prediction is the quantile of the level nearest to 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.metrics.metric import Rows
from dlcli.metrics.quantiles import middle_of, pinball_loss, quantile_rows
from dlcli.metrics.statistic import Metrics, finite, weighted_quantile
from dlcli.tables.table import Table
from dlcli.tasks import task as base
from dlcli.tasks.regression import Counts, Numbers, Regression
from dlcli.tasks.task import Outputs, TargetValues, mean_of_members


class Quantiles(Numbers):
    """Base of the quantiles of a number and of a count."""

    @property
    def levels(self) -> tuple[float, ...]:
        levels: tuple[float, ...] = self.loss.levels
        return levels

    @property
    def middle(self) -> int:
        """The index of the level whose quantile is the prediction."""
        return middle_of(self.levels)

    @property
    def rows_type(self) -> type[Rows]:  # type: ignore[override]
        """The type of rows with all quantiles."""
        return quantile_rows(self.middle)

    def accepts_units(self, units: int) -> bool:
        return units == len(self.levels)

    # Predictions.

    def decode(self, outputs: Outputs) -> Floats:
        [scaling] = self._scalings
        return np.sort(scaling.invert(outputs), axis=1)

    def average(
        self, outputs: Sequence[Outputs], tasks: Sequence[Self], weights: Sequence[float]
    ) -> Outputs:
        [own] = self._scalings
        pairs = zip(tasks, outputs, strict=True)
        each = [task.scalings[0].invert(outputs) for task, outputs in pairs]
        return own.apply(mean_of_members(each, weights).astype(np.float64))

    def predict(self, decoded: Outputs) -> Outputs:
        return decoded[:, self.middle : self.middle + 1]

    def constant_outputs(self, train: Table, weights: Floats | None, config: Config) -> Floats:
        [values] = self.values(train, ValueProblems()).T
        rows = np.ones(len(values)) if weights is None else weights
        centers = [weighted_quantile(values, rows, level) for level in self.levels]
        return np.asarray(self._scalings[0].apply(np.array(centers)))

    # Evaluation.

    def metrics(self, rows: base.DecodedRows) -> Metrics:
        """Compute all metrics, and for each level the loss and the share of values below."""
        made: Any = self.rows_type.of(rows.values, rows.decoded, rows.weights)
        losses = pinball_loss(self.levels, made.true, made.quantiles)
        is_below = made.true <= made.quantiles
        by_level: dict[str, Metrics] = {}
        for at, level in enumerate(self.levels):
            columns = {"pinball_loss": losses[:, at], "share_below": is_below[:, at]}
            by_level[f"{level:g}"] = {
                name: finite(float(np.average(column, weights=made.weights)))
                if len(column)
                else None
                for name, column in columns.items()
            }
        return {**super().metrics(rows), "by_level": by_level}

    def errors(self, values: TargetValues, outputs: Outputs) -> Floats:
        return np.abs(self.predict(self.decode(outputs)) - values)

    # Columns of stored predictions.

    def score_columns(self, outputs: Outputs) -> dict[str, NDArray[Any]]:
        return dict(zip(self.decoded_columns, self.decode(outputs).T, strict=True))

    @property
    def decoded_columns(self) -> tuple[str, ...]:
        return tuple(f"prediction_{level:g}" for level in self.levels)


class NumberQuantiles(Quantiles, Regression):
    """The quantiles of a number."""

    kind: Literal["regression"] = "regression"


class CountQuantiles(Quantiles, Counts):
    """The quantiles of a count."""

    kind: Literal["counts"] = "counts"


def quantiles_of(task: Numbers, loss: Any) -> Quantiles:  # noqa: ANN401
    """Return the task of the quantiles of a numeric target.

    Args:
        task: the task of the target.
        loss: the loss, with the levels of the quantiles.
    """
    kind = CountQuantiles if isinstance(task, Counts) else NumberQuantiles
    return kind(columns=task.columns, scalings=task.scalings, reason=task.reason, loss=loss)
