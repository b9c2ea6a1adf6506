"""A trained network, ready to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from dlcli.config import Config, load_config
from dlcli.encoding import Encoding, Inputs, row_weights
from dlcli.errors import ConfigError, DataError, Problem, RunError
from dlcli.metrics import Metrics
from dlcli.network import Network, build_network
from dlcli.prediction.predictions import Predictions
from dlcli.preprocessing import ValueIssues
from dlcli.runs import Run
from dlcli.tables import Source, Table, read_table
from dlcli.tasks import ClassTarget, TargetEncoder

ROWS_AT_ONCE = 65_536
"""Most rows that are encoded at once, so that a long table needs no large matrix."""
NUMBERS_AT_ONCE = 2**26
"""Most inputs that are encoded at once, so that a wide one needs none either: 256 MiB."""


@dataclass(frozen=True)
class Judgement:
    """How well rows were predicted."""

    rows: int
    """How many were."""
    scores: Metrics


@dataclass(frozen=True)
class Predictor:
    """A trained network with its encoding."""

    config: Config
    """The run's resolved config."""
    encoding: Encoding
    """How tables become matrices."""
    network: Network
    """The layers."""
    weights: Mapping[str, NDArray[np.floating[Any]]]
    """The trained weights by name."""

    @classmethod
    def load(cls, run: Run) -> Predictor:
        """Rebuilds a run's network from its own config and checked arrays.

        Raises:
            RunError: if the run's files don't fit together.
        """
        try:
            config = load_config(run.resolved_path()).config
            encoding = Encoding.model_validate_json(run.read_encoding())
        except ConfigError as error:
            problem = replace(error.problems[0], position="")
            raise RunError(f"{run.path}: its resolved.yaml can't be read: {problem}") from None
        except ValidationError as error:
            raise RunError(
                f"{run.path}: its encoding.json can't be read: {_fault(error)}"
            ) from None
        if config.output.units is None or config.output.activation is None or config.loss is None:
            raise RunError(f"{run.path}: its resolved.yaml is not complete")
        network = build_network(encoding.layout, config.hidden, config.output)
        _check_outputs(run, network.outputs, encoding.target)
        shapes = {weight.name: weight.shape for weight in network.weights}
        return cls(config, encoding, network, run.read_weights(shapes))

    def read(self, source: Source) -> Table:
        """Reads a table as training read its own.

        Raises:
            UsageError: for a file that isn't there.
            DataError: for a file that is no table.
        """
        data = self.config.data
        table = read_table(source, data.missing, data.format)
        return table.written_like(self.encoding.notations)

    def predict(self, table: Table, issues: ValueIssues) -> Predictions:
        """Predicts each row of a table.

        Args:
            table: rows with the columns that training read, in any order; the target isn't needed.
            issues: takes in what there is to say of values that training didn't see.

        Returns:
            The predictions, in the order of the rows.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be encoded.
        """
        rows = min(ROWS_AT_ONCE, max(1, NUMBERS_AT_ONCE // max(1, self.network.inputs)))
        parts = [self._outputs(self.encoding.transform(part, issues)) for part in table.parts(rows)]
        return self.understand(np.concatenate(parts))

    def predict_encoded(self, inputs: Inputs) -> Predictions:
        """Predicts encoded rows."""
        return self.understand(self._outputs(inputs))

    def _outputs(self, inputs: Inputs) -> NDArray[np.floating[Any]]:
        return self.network.forward(inputs, self.weights)

    def understand(self, outputs: NDArray[np.floating[Any]]) -> Predictions:
        """What outputs as trained on, (rows, outputs), say of the target."""
        loss = self.config.loss
        assert loss is not None  # resolved
        return Predictions(
            self.encoding.target,
            outputs,
            has_margin=loss.output == "margin",
            has_deviance=loss.name == "poisson",
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes by name, in the order of the outputs; none for numbers and labels."""
        target = self.encoding.target
        return target.classes if isinstance(target, ClassTarget) else ()

    def unread_columns(self, table: Table, keep: Sequence[str] = ()) -> list[str]:
        """The columns of a table that training had not and nobody reads.

        Args:
            table: the table.
            keep: columns that are passed through.
        """
        data, features = self.config.data, self.config.input.features or {}
        known = {*features, *data.reserved, *keep}
        return [name for name in table.columns if name not in known]

    def score(self, table: Table, issues: ValueIssues, *, reject: bool = False) -> Judgement:
        """Predicts a table and compares with its target.

        Args:
            table: rows with the columns that training read, target and weight among them.
            issues: takes in what there is to say of values that training didn't see. If it is
                lenient, rows whose target or weight can't be used are left out.
            reject: whether rows with any other value that can't be used are left out, too.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be read, unless the issues are lenient; or if no row
                is left.
        """
        weight = self.config.data.weight
        self._check_scored(table)
        self.encoding.target.encode(table, issues)
        row_weights(table, weight, issues)
        left_out = issues.bad_indices
        predictions = self.predict(table, issues)
        left_out = issues.bad_indices if reject else left_out
        if len(left_out):
            rows = np.delete(np.arange(table.rows), left_out)
            if not len(rows):
                raise _no_row_left(table, issues)
            table, predictions = table.take(rows), predictions.take(rows)
        weights = row_weights(table, weight, ValueIssues())
        return Judgement(table.rows, predictions.score(table, weights))

    def _check_scored(self, table: Table) -> None:
        """Refuses a table without target or weight.

        Raises:
            ConfigError: with all columns that are absent.
        """
        needed = [*self.encoding.target.columns, self.config.data.weight]
        absent = [column for column in needed if column and column not in table.columns]
        if absent:
            named = ", ".join(f"'{column}'" for column in absent)
            message = f"has no column {named}, which scores are taken from"
            raise ConfigError([Problem("", message, table.file)])


def _no_row_left(table: Table, issues: ValueIssues) -> DataError:
    """The error for a table of bad rows only."""
    bad = next(issues.bad_rows())
    file, row = table.where(bad.index)
    message = f"{bad.reason}; no row is left to take scores from"
    return DataError(message, file=file, row=row, column=bad.column)


def _fault(error: ValidationError) -> str:
    """The first thing that is wrong with an encoding, on one line."""
    line = error.errors(include_url=False)[0]
    place = ".".join(map(str, line["loc"]))
    return f"{place}: {line['msg']}" if place else line["msg"]


def _check_outputs(run: Run, outputs: int, target: TargetEncoder) -> None:
    """Refuses a network whose output is not of the target's width.

    Raises:
        RunError: saying both.
    """
    tells_two_apart = outputs == 1 and isinstance(target, ClassTarget) and target.width == 2
    if outputs != target.width and not tells_two_apart:
        has = f"the target of encoding.json has {target.width} {target.kind}"
        message = f"output.units is {outputs}, and {has}"
        raise RunError(f"{run.path}: its files don't fit together: {message}")
