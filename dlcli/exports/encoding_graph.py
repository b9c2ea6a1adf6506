"""The encoding of all columns as a graph, in the order of the network's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlcli.columns.column_type import ColumnEncoder
from dlcli.columns.graph_operations import Operations, Value
from dlcli.tables.table_files import MissingWords


def encode(
    ops: Operations,
    features: Sequence[ColumnEncoder],
    values: Mapping[str, Value],
    missing: MissingWords,
) -> Value:
    """Encode all columns in the order of the network's inputs, float32 (rows, inputs).

    Columns of the same `graph_group` are encoded together.
    """
    ordered = in_input_order(features)
    groups: dict[str, list[ColumnEncoder]] = {}
    for feature in ordered:
        if (name := feature.graph_group(missing(feature.column))) is not None:
            groups.setdefault(name, []).append(feature)
    parts: list[Value] = []
    indices: dict[str, list[int]] = {}
    width = 0
    for group in [groups[name] for name in sorted(groups) if len(groups[name]) > 1]:
        of_group = [values[each.column] for each in group]
        part, places = group[0].graph_together(ops, group, of_group)
        parts.append(part)
        for each, own in zip(group, places, strict=True):
            indices[each.column] = [width + at for at in own]
        width += sum(map(len, places))
    for feature in ordered:
        if feature.column not in indices:
            name, count = feature.column, len(feature.inputs)
            parts.append(feature.graph(ops, values[name], missing(name)))
            indices[name] = [*range(width, width + count)]
            width += count
    order = [at for feature in ordered for at in indices[feature.column]]
    matrix = ops.concat(parts)
    return matrix if order == [*range(width)] else ops.columns(matrix, order)


def in_input_order(features: Sequence[ColumnEncoder]) -> list[ColumnEncoder]:
    """Return encoders in the order of the network's inputs: sparse ones come last."""
    return sorted(features, key=lambda feature: feature.is_sparse)
