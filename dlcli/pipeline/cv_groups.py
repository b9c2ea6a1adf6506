"""The metrics of groups of rows over all folds of a cross-validation, and the gates on groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.columns.registry import FeatureEncoder
from dlcli.config.config_schema import Config, Gate
from dlcli.errors import RunError
from dlcli.pipeline.preparation import Dataset
from dlcli.prediction.gates import GateResult, check_group_gate
from dlcli.prediction.groups import Groups, measure_groups
from dlcli.prediction.predictions import HeldOut
from dlcli.tables.table import Table
from dlcli.tasks.task import StoredPredictions, Task


@dataclass(frozen=True, eq=False)
class FoldRows:
    """The rows of all folds, each predicted once, by a network that was not trained on it."""

    task: Task
    table: Table
    """The columns of the rows."""
    held_out: HeldOut
    """Their true values and predictions."""
    encoders: Mapping[str, FeatureEncoder]
    """The encoder of each column that the network of the first fold reads."""

    @classmethod
    def of(
        cls,
        predictions: pa.Table,
        config: Config,
        dataset: Dataset,
        encoders: Mapping[str, FeatureEncoder],
        path: str,
    ) -> FoldRows:
        """Return the rows of the first repeat.

        Args:
            predictions: the predictions of all folds of all repeats.
            config: the resolved config of the folds.
            dataset: all rows.
            encoders: the encoder of each column that the network of the first fold reads.
            path: the run folder, for messages.

        Raises:
            RunError: if the predictions do not belong to the rows.
        """
        once = predictions.filter(pc.field("repeat") == predictions["repeat"][0])
        stored = StoredPredictions(once, f"{path}: its predictions")
        held_out = HeldOut.of(stored, dataset.task.for_folds(config)).decided_by_weights(config)
        table = dataset.candidates
        names = [table.file] * held_out.rows if held_out.files is None else held_out.files
        keys = zip(names, held_out.row.tolist(), strict=True)
        index = {table.where(at): at for at in range(table.rows)}
        try:
            rows = np.array([index[key] for key in keys], np.int64)
        except KeyError:
            message = "belong to other rows; start the cross-validation again"
            raise RunError(f"{stored.path} {message}") from None
        return cls(held_out.task, table.take(rows), held_out, encoders)

    def measure(self, columns: Sequence[str]) -> Groups:
        """Compute the metrics of the groups of columns, see `measure_groups`."""
        return measure_groups(
            self.task, self.table, self.held_out, columns, self.encoders, rows="folds"
        )

    def check(self, name: str, gate: Gate) -> GateResult:
        """Check a gate on each group, see `check_group_gate`."""
        return check_group_gate(name, gate, self.task, self.table, self.held_out, self.encoders)
