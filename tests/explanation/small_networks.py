"""Networks with weights given by hand, over tables in sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dlcli.columns.column_type import Decision
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config
from dlcli.encoding.column_types import choose_features, decide_types
from dlcli.encoding.encoded_rows import EncodedRows
from dlcli.encoding.table_encoding import encode_rows, fit_encoding
from dlcli.network.head import resolve_head
from dlcli.network.layers import build_network
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task
from dlcli.tasks.task import Task


@dataclass(frozen=True)
class Case:
    """A network with its training rows."""

    predictor: Predictor
    table: Table
    target: Task
    decisions: dict[str, Decision]

    def encoded(self, table: Table | None = None) -> EncodedRows:
        """Rows, encoded."""
        weight = self.predictor.config.data.sample_weight
        return encode_rows(self.predictor.encoding, table or self.table, weight, ValueProblems())

    def sets(self, **tables: Table):
        """Tables with their encoded rows, by set."""
        return {name: (table, self.encoded(table)) for name, table in tables.items()}


def rows_of(**columns) -> Table:
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def case(table: Table, weights: dict[str, list] | None = None, **sections) -> Case:
    """Fits an encoding on a table and takes weights as given, zeros where they aren't.

    Numbers are left as they are, unless the sections say otherwise.
    """
    given = {
        "data": {"train": "t.csv", "target": "y"},
        "input": {"scaling": "none"},
        "hidden": (),
        "epochs": 1,
        **sections,
    }
    config = Config.model_validate(given)
    target = infer_task(config.data.target, [table])
    decisions = decide_types(choose_features(config.input, table.columns, config.reserved), table)
    head = resolve_head(config, target)
    config = config.model_copy(update={"loss": head.loss, "output": head.output})
    fitted = target.fit(head.output.scaling, table)
    encoding = fit_encoding(decisions, config.input, table, fitted)
    network = build_network(encoding.layout, config.hidden, head.output)
    arrays = {each.name: np.zeros(each.shape, np.float32) for each in network.weights}
    for name, values in (weights or {}).items():
        assert arrays[name].shape == np.shape(values), name
        arrays[name] = np.array(values, np.float32)
    return Case(Predictor(config, encoding, network, arrays), table, target, decisions)


UNSCALED = {"output": {"scaling": "none"}}
"""A target that is predicted in its own unit."""
