"""The encoding of columns as a graph: what the encoders of `dlcli.encoding` do to a table.

A value that dlcli refuses counts as missing, as it does under `--on-bad-row warn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TypeGuard

import numpy as np

from dlcli.columns.boolean import BooleanEncoder
from dlcli.columns.category import CategoryEncoder, EmbeddingEncoder
from dlcli.columns.column_type import FilledEncoder
from dlcli.columns.date_time import DatetimeEncoder
from dlcli.columns.image import ImageEncoder
from dlcli.columns.number import NumericEncoder, PiecewiseLinearEncoder
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.scaling import LARGEST, LinearScaling, QuantileScaling
from dlcli.columns.text import TextEncoder
from dlcli.exports.date_graph import encode_times
from dlcli.exports.operations import Operations, Value, by_formula
from dlcli.tables.column import missing_numbers, missing_texts
from dlcli.tables.table_files import MissingWords

_WHOLE = re.compile("-?(?:0|[1-9][0-9]*)")
_DECIMALS = ("", ".0", ".00", ".000")
"""Ways to write a whole number that are recognized; pandas writes the second."""


def encode_column(
    ops: Operations, feature: FeatureEncoder, x: Value, missing: Sequence[str]
) -> Value:
    """Encode a column.

    Args:
        ops: the operations of the format.
        feature: the encoder.
        x: the column's values, as `ModelInput` describes them.
        missing: words that count as missing.

    Returns:
        The column's inputs of the network, float32 (rows, inputs).
    """
    if isinstance(feature, NumericEncoder | PiecewiseLinearEncoder):
        return _encode_numbers(ops, feature, x, missing)
    if isinstance(feature, BooleanEncoder):
        return _encode_booleans(ops, feature, x)
    if isinstance(feature, CategoryEncoder):
        return _encode_categories(ops, feature, x, missing)
    if isinstance(feature, TextEncoder):
        return _encode_texts(ops, feature, x, missing)
    if isinstance(feature, DatetimeEncoder):
        return encode_times(ops, feature, x, missing)
    assert isinstance(feature, ImageEncoder)
    return ops.cast(ops.flatten(x, len(feature.inputs)), "float32") / 255.0


# Numbers


def _encode_numbers(
    ops: Operations,
    feature: NumericEncoder | PiecewiseLinearEncoder,
    x: Value,
    missing: Sequence[str],
) -> Value:
    empty = ops.apply("isnan", x) | (ops.apply("abs", x) > LARGEST)
    for number in sorted({*missing_numbers(missing)}):
        empty = empty | ops.equal(x, number)
    if isinstance(feature, NumericEncoder) and feature.scaling.name == "log1p":
        empty = empty | (x < 0.0)
    read, x = x, ops.where(empty, feature.fill or 0.0, x)
    if isinstance(feature, NumericEncoder):
        if isinstance(feature.scaling, QuantileScaling):
            scaled = ops.as_column(_interpolate(ops, feature.scaling, x))
        else:
            scaled = ops.as_column(by_formula(ops, feature.scaling.apply, x))
    else:
        edges = np.array(feature.edges)
        shares = (ops.as_column(x) - ops.constant(edges[None, :-1])) / ops.constant(
            np.diff(edges)[None]
        )
        low, high = np.zeros((1, len(edges) - 1)), np.ones((1, len(edges) - 1))
        low[0, 0], high[0, -1] = -np.inf, np.inf  # the outer bins have no end
        scaled = ops.clip(shares, ops.constant(low), ops.constant(high))
    usable = ops.apply("abs", scaled) <= LARGEST
    parts = [ops.cast(ops.where(usable, scaled, 0.0), "float32")]
    if feature.categories:
        every = ops.constant(np.array(feature.categories, np.float32)[None])
        narrow = ops.as_column(ops.cast(read, "float32"))
        is_category = ops.equal(narrow, every) & ~ops.as_column(empty)
        parts.append(ops.cast(is_category, "float32"))
    return _with_indicator(ops, parts, feature, empty)


def _encode_booleans(ops: Operations, feature: BooleanEncoder, x: Value) -> Value:
    empty = ~(ops.equal(x, 0.0) | ops.equal(x, 1.0))
    filled = ops.where(empty, feature.fill or 0.0, x)
    parts = [ops.as_column(ops.cast(filled, "float32"))]
    return _with_indicator(ops, parts, feature, empty)


def _with_indicator(
    ops: Operations, parts: list[Value], feature: FilledEncoder, empty: Value
) -> Value:
    indicator = [ops.as_column(ops.cast(empty, "float32"))] if feature.indicator else []
    return ops.concat([*parts, *indicator])


def _interpolate(ops: Operations, scaling: QuantileScaling, x: Value) -> Value:
    points, normals = np.array(scaling.points), np.array(scaling.normals)
    if len(points) == 1:
        return x * 0.0 + float(normals[0])
    x = ops.clip(x, float(points[0]), float(points[-1]))
    reached = ops.as_column(x) >= ops.constant(points[None, 1:-1])
    index = (
        ops.sum_last(ops.cast(reached, "int64")) if len(points) > 2 else ops.cast(x * 0.0, "int64")
    )
    # A share, as the slope between points that hardly differ may be infinite.
    share = (x - ops.lookup(points, index)) / ops.lookup(np.diff(points), index)
    return share * ops.lookup(np.diff(normals), index) + ops.lookup(normals, index)


# Texts


def _encode_categories(
    ops: Operations, feature: CategoryEncoder, x: Value, missing: Sequence[str]
) -> Value:
    other, without = other_codes(feature)
    known = {
        spelling: code
        for code, category in enumerate(feature.categories)
        for spelling in _spellings(category)
    }
    known |= dict.fromkeys(missing_texts(missing), without)
    return encode_codes(ops, feature, ops.codes(ops.trimmed(x), known, other))


def other_codes(feature: CategoryEncoder) -> tuple[int, int]:
    """Return the codes of any other value and of a missing one; the number of codes for none."""
    count = len(feature.code_names)
    found = (feature.other_code, feature.missing_code)
    other, missing = (count if code is None or code < 0 else code for code in found)
    return other, missing


def encode_codes(ops: Operations, feature: CategoryEncoder, codes: Value) -> Value:
    """Encode codes of categories, int64; a value without one has their number."""
    if isinstance(feature, EmbeddingEncoder):
        return ops.as_column(ops.cast(codes, "float32"))
    every = ops.constant(np.arange(len(feature.code_names))[None])
    return ops.cast(ops.equal(ops.as_column(codes), every), "float32")


def _spellings(category: str) -> list[str]:
    """Return the texts that become a category when they are read."""
    if category in ("true", "false"):
        return ["".join(each) for each in product(*zip(category, category.upper(), strict=True))]
    return [category + end for end in _DECIMALS] if _WHOLE.fullmatch(category) else [category]


def _encode_texts(ops: Operations, feature: TextEncoder, x: Value, missing: Sequence[str]) -> Value:
    counts = ops.counts(x, feature.tokens)
    words = [word for word in missing_texts(missing) if word]
    if words:
        present = ops.codes(ops.trimmed(x), dict.fromkeys(words, 0), 1)
        counts = counts * ops.as_column(ops.cast(present, "float32"))
    return encode_counts(ops, feature, counts)


def encode_counts(ops: Operations, feature: TextEncoder, counts: Value) -> Value:
    """Encode the numbers of times that texts have each token, float32 (rows, tokens)."""
    if feature.encoding == "count":
        return counts
    if feature.encoding == "multi_hot":
        return ops.minimum(counts, 1.0)
    weighted = counts * ops.constant(np.array([feature.rarity], np.float32))
    norm = ops.apply("sqrt", ops.sum_last(weighted * weighted, keep=True))
    return weighted / ops.maximum(norm, 1e-30)


def encode(
    ops: Operations,
    features: Sequence[FeatureEncoder],
    values: Mapping[str, Value],
    missing: MissingWords,
) -> Value:
    """Encode all columns in the order of the network's inputs, float32 (rows, inputs).

    Numbers that are scaled alike are encoded together, as a runtime takes longer to start an
    operation than to carry it out for a row.
    """
    ordered = in_input_order(features)
    parts: list[Value] = []
    places: dict[str, list[int]] = {}
    width = 0
    for is_log in (False, True):
        group = [each for each in ordered if _is_linear(each, missing(each.column), is_log)]
        if len(group) > 1:
            parts.append(_encode_together(ops, group, values, is_log))
            marked = [each.column for each in group if each.indicator]
            for at, each in enumerate(group):
                places[each.column] = [width + at]
                if each.indicator:
                    mark = width + len(group) + marked.index(each.column)
                    places[each.column].append(mark)
            width += len(group) + len(marked)
    for feature in ordered:
        if feature.column not in places:
            name, count = feature.column, len(feature.inputs)
            parts.append(encode_column(ops, feature, values[name], missing(name)))
            places[name] = [*range(width, width + count)]
            width += count
    order = [at for feature in ordered for at in places[feature.column]]
    matrix = ops.concat(parts)
    return matrix if order == [*range(width)] else ops.columns(matrix, order)


def in_input_order(features: Sequence[FeatureEncoder]) -> list[FeatureEncoder]:
    """Return encoders in the order of the network's inputs: those of texts come last."""
    return sorted(features, key=lambda feature: isinstance(feature, TextEncoder))


def _is_linear(
    feature: FeatureEncoder, missing: Sequence[str], is_log: bool
) -> TypeGuard[NumericEncoder]:
    """Return whether a column is of numbers with a linear scaling alone, of logarithms or not."""
    if not isinstance(feature, NumericEncoder) or not isinstance(feature.scaling, LinearScaling):
        return False
    if feature.categories:
        return False
    return not missing_numbers(missing) and (feature.scaling.name == "log1p") == is_log


def _encode_together(
    ops: Operations, features: Sequence[NumericEncoder], values: Mapping[str, Value], is_log: bool
) -> Value:
    """Encode several columns of numbers: all scaled, then the indicators of missing values."""
    scalings = [each.scaling for each in features if isinstance(each.scaling, LinearScaling)]
    fills, offsets, scales = (
        ops.constant(np.array([numbers], dtype=np.float64))
        for numbers in (
            [each.fill or 0.0 for each in features],
            [each.offset for each in scalings],
            [each.scale for each in scalings],
        )
    )
    x = ops.concat([ops.as_column(values[each.column]) for each in features])
    empty = ops.apply("isnan", x) | (ops.apply("abs", x) > LARGEST)
    empty = empty | (x < 0.0) if is_log else empty
    x = ops.where(empty, fills, x)
    scaled = ((ops.log1p(x) if is_log else x) - offsets) / scales
    scaled = ops.where(ops.apply("abs", scaled) <= LARGEST, scaled, 0.0)
    parts = [ops.cast(scaled, "float32")]
    if marked := [at for at, each in enumerate(features) if each.indicator]:
        parts.append(ops.columns(ops.cast(empty, "float32"), marked))
    return ops.concat(parts)
