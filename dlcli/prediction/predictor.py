"""A trained network with its encoding, and what it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from dlcli.config import Config
from dlcli.encoding import Encoding, Inputs, row_weights, words_to_predict
from dlcli.errors import ConfigError, DataError, Problem, RunError
from dlcli.metrics import Metrics
from dlcli.network import Network, build_network
from dlcli.preprocessing import ValueIssues
from dlcli.runs import Document, Run
from dlcli.tables import Source, Table, read_table
from dlcli.tasks import AnyTask, DecodedRows, Outputs, Task, Values, drop_missing_targets

_ROWS_AT_ONCE = 65_536
"""Most rows that are encoded at once, so that a long table needs no large matrix."""
_NUMBERS_AT_ONCE = 2**26
"""Most inputs that are encoded at once, so that a wide one needs none either: 256 MiB."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of some rows."""

    task: Task
    """The prediction task."""
    outputs: Outputs
    """The network's outputs as trained on, (rows, units)."""
    has_margin: bool = False
    """True if the one output for two classes is a margin around 0, not a probability."""
    has_deviance: bool = False
    """True if numbers are trained as means of counts, so that their deviance is a metric."""

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the predictions of some rows, in the order given."""
        return replace(self, outputs=self.outputs[rows])

    @cached_property
    def decoded(self) -> Outputs:
        """The form of the outputs that metrics compare with true values, see `Task.decode`."""
        return self.task.decode(self.outputs)

    @property
    def values(self) -> Values:
        """The predicted values, in the form of true values."""
        return self.task.predict(self.decoded, has_margin=self.has_margin)

    @cached_property
    def probabilities(self) -> Outputs | None:
        """The probability of each class or label, (rows, names); none for numbers and margins."""
        return self.task.probabilities(self.outputs, has_margin=self.has_margin)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The probabilities; for margins and numbers these, in their own unit."""
        scores = self.decoded if self.probabilities is None else self.probabilities
        return scores.astype(np.float64)

    def errors(self, values: Values) -> NDArray[np.float64]:
        """Measure how far outputs are from true values, see `Task.errors`."""
        return self.task.errors(values, self.outputs, has_margin=self.has_margin)

    def metrics(self, table: Table, weights: NDArray[np.float64] | None) -> Metrics:
        """Compute all metrics of the rows; see `with_truth` for arguments and errors."""
        return self.task.metrics(self.with_truth(table, weights))

    def with_truth(self, table: Table, weights: NDArray[np.float64] | None) -> DecodedRows:
        """Return the rows with their true values, as metrics compare them.

        Args:
            table: the rows predicted, with their target.
            weights: the rows' weights, (rows,), if they have any.

        Raises:
            DataError: for a target that is missing or can't be encoded.
        """
        values = self.task.values(table, ValueIssues())
        return DecodedRows(values, self.decoded, weights, self.has_margin, self.has_deviance)

    def truth(self, table: Table) -> dict[str, pa.Array]:
        """Return the true values as columns: `target`, or `target_<column>` for several.

        Args:
            table: the rows predicted, with their target.
        """
        return self.task.value_columns(self.task.values(table, ValueIssues()), "target")

    def columns(self) -> dict[str, pa.Array]:
        """Return the predictions as columns, by name.

        `prediction` (`prediction_<column>` for several columns), and for classes and labels
        `probability_<class>` for each, or `margin`, above 0 for the second class.
        """
        scores = self.task.score_columns(self.outputs, has_margin=self.has_margin)
        return {**self.task.value_columns(self.values, "prediction"), **scores}


@dataclass(frozen=True)
class Evaluation:
    """The metrics of the rows of a table."""

    table: Table
    """The rows that were encoded, to which issues refer: without those left out for want of a
    target."""
    warning: str
    """A message about these, if there are any."""
    rows: int
    """The number of rows that the metrics are computed from."""
    metrics: Metrics


class EnsembleMember(Document):
    """How one member of an ensemble was trained."""

    seed: int
    """Its random seed."""
    task: AnyTask
    """The task, with the scaling of the member's own training rows."""
    rows: Annotated[int, Field(ge=1)]
    """Number of rows that it was trained on."""
    best_epoch: Annotated[int, Field(ge=1)] | None
    """The epoch, from 1, that its weights are from; `None`: the last."""
    history: Mapping[str, tuple[float, ...]]
    """Values of each epoch, by column of history.csv."""

    @property
    def epochs(self) -> int:
        """The number of epochs that were run."""
        return max(map(len, self.history.values()), default=0)


class Ensemble(Document):
    """The members of an ensemble, in order."""

    format: Literal[1] = 1
    members: tuple[EnsembleMember, ...]


def member_weight(number: int, name: str) -> str:
    """Return a weight's name among those of an ensemble: `member_1/output/bias`."""
    return f"member_{number}/{name}"


@dataclass(frozen=True)
class Predictor:
    """A trained network with its encoding, or the networks of an ensemble."""

    config: Config
    """The run's resolved config."""
    encoding: Encoding
    """From tables to matrices."""
    network: Network
    """The layers."""
    weights: Mapping[str, NDArray[np.floating[Any]]]
    """The trained weights by name; those of an ensemble as `member_weight` names them."""
    tasks: tuple[Task, ...] = ()
    """The task of each member of an ensemble."""

    @classmethod
    def load(cls, run: Run) -> Predictor:
        """Rebuild a run's network from its own config and checked arrays.

        Raises:
            RunError: if the run's files don't fit together.
        """
        config, encoding = run.read_config().config, run.parse("encoding.json", Encoding)
        if config.output.units is None or config.output.activation is None or config.loss is None:
            raise RunError(f"{run.path}: its resolved.yaml is not complete")
        network, task = build_network(encoding.layout, config.hidden, config.output), encoding.task
        if not task.accepts_units(network.outputs):
            has = f"the target of encoding.json is {task.words}"
            message = f"output.units is {network.outputs}, and {has}"
            raise RunError(f"{run.path}: its files don't fit together: {message}")
        shapes = {weight.name: weight.shape for weight in network.weights}
        if config.ensemble is None:
            return cls(config, encoding, network, run.read_weights(shapes))
        tasks = tuple(each.task for each in run.parse("ensemble.json", Ensemble).members)
        count = config.ensemble.members
        if len(tasks) != count or any(type(each) is not type(task) for each in tasks):
            message = f"has other members than the {count} of resolved.yaml"
            raise RunError(f"{run.path}: its ensemble.json {message}")
        weights = run.read_weights(
            {
                member_weight(number, name): shape
                for number in range(1, count + 1)
                for name, shape in shapes.items()
            }
        )
        return cls(config, encoding, network, weights, tasks)

    @property
    def task(self) -> Task:
        """The prediction task."""
        return self.encoding.task

    def read(self, source: Source) -> Table:
        """Read a table as training read its own.

        Raises:
            UsageError: for a file that isn't there.
            DataError: for a file that is no table.
        """
        data = self.config.data
        words = words_to_predict(data, self.config.input.features or {})
        table = read_table(source, words, data.format)
        return table.written_like(self.encoding.notations)

    def predict(self, table: Table, issues: ValueIssues) -> Predictions:
        """Predict each row of a table.

        Args:
            table: rows with the columns that training read, in any order; the target isn't needed.
            issues: records values that can't be encoded or that training didn't see.

        Returns:
            The predictions, in the order of the rows.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be encoded.
        """
        rows = min(_ROWS_AT_ONCE, max(1, _NUMBERS_AT_ONCE // max(1, self.network.inputs)))
        outputs = [
            self.outputs(self.encoding.transform(part, issues)) for part in table.parts(rows)
        ]
        return self.decode(np.concatenate(outputs))

    def predict_encoded(self, inputs: Inputs) -> Predictions:
        """Predict encoded rows."""
        return self.decode(self.outputs(inputs))

    def outputs(self, inputs: Inputs, numbers: Sequence[int] | None = None) -> Outputs:
        """Return the network's outputs as trained on; for an ensemble their average.

        Args:
            inputs: the encoded rows.
            numbers: the members of an ensemble to average, from 1; all if omitted.

        Returns:
            (rows, units).
        """
        if not self.tasks:
            return self.network.forward(inputs, self.weights)
        chosen = numbers or range(1, len(self.tasks) + 1)
        outputs = [self.network.forward(inputs, self.weights_of(number)) for number in chosen]
        return self.task.average(outputs, [self.tasks[number - 1] for number in chosen])

    def weights_of(self, number: int) -> Mapping[str, NDArray[np.floating[Any]]]:
        """Return the weights of a member by name; those of a single network are of member 1."""
        if not self.tasks:
            return self.weights
        names = [weight.name for weight in self.network.weights]
        return {name: self.weights[member_weight(number, name)] for name in names}

    def decode(self, outputs: Outputs) -> Predictions:
        """Return the predictions of a network's outputs as trained on, (rows, units)."""
        loss = self.config.loss
        assert loss is not None  # resolved
        return Predictions(
            self.task,
            outputs,
            has_margin=loss.output == "margin",
            has_deviance=loss.name == "poisson",
        )

    def unread_columns(self, table: Table, keep: Sequence[str] = ()) -> list[str]:
        """Return the columns of a table that training did not have and that nothing reads.

        Args:
            table: the table.
            keep: columns that are passed through.
        """
        data, features = self.config.data, self.config.input.features or {}
        known = {*features, *data.reserved, *keep}
        return [name for name in table.columns if name not in known]

    def evaluate(self, table: Table, issues: ValueIssues, *, reject: bool = False) -> Evaluation:
        """Predict a table and compare the predictions with its target.

        Args:
            table: rows with the columns that training read, target and weight included.
            issues: records values that can't be encoded or that training didn't see. If it is
                lenient, rows whose target or weight can't be used are omitted.
            reject: omit rows with any other value that can't be encoded, too, and record those
                without a target among them.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be encoded, unless the issues are lenient; or if no row
                is left.
        """
        weight = self.config.data.weight
        needed = [*self.task.columns, weight]
        absent = [column for column in needed if column and column not in table.columns]
        if absent:
            named = ", ".join(f"'{column}'" for column in absent)
            message = f"has no column {named}, which metrics are computed from"
            raise ConfigError([Problem("", message, table.file)])
        warning, data = "", self.config.data
        if data.on_missing_target == "drop" and not reject:
            table, warning = drop_missing_targets(data.target, table)
        self.task.encode(table, issues)
        row_weights(table, weight, issues)
        omitted = issues.bad_indices
        used, predictions = table, self.predict(table, issues)
        omitted = issues.bad_indices if reject else omitted
        if len(omitted):
            rows = np.delete(np.arange(table.rows), omitted)
            if not len(rows):
                bad = next(issues.bad_rows())
                file, row = table.where(bad.index)
                message = f"{bad.reason}; no row is left to compute metrics from"
                raise DataError(message, file=file, row=row, column=bad.column)
            used, predictions = table.take(rows), predictions.take(rows)
        weights = row_weights(used, weight, ValueIssues())
        return Evaluation(table, warning, used.rows, predictions.metrics(used, weights))
