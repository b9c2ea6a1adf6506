"""Encoders of single columns, fitted on training rows and written to JSON: one noun each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli.config.features import (
    Boolean,
    Categorical,
    ConstantValue,
    Feature,
    Mean,
    Median,
    MostFrequent,
    MostFrequentCategory,
    Numeric,
    NumericMissing,
    OwnCategory,
    Refuse,
    Scaling,
)
from dlcli.config.paths import format_path
from dlcli.encoding.fitted import Fitted
from dlcli.encoding.numbers import (
    FittedScaling,
    Floats,
    check_range,
    fit_scaling,
    scale_column,
)
from dlcli.encoding.refusal import refuse
from dlcli.errors import ConfigError, DataError, Problem
from dlcli.table import Table

Matrix = NDArray[np.float32]


class _FilledColumn(Fitted):
    """A column that becomes one number, with a stand-in for gaps."""

    column: str
    """The column's name in the table."""
    fill: float | None
    """What stands in for a gap, before scaling; a gap is an error if null."""
    indicator: bool
    """Whether a second input is 1 where there was a gap, else 0."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the column becomes."""
        return (self.column, f"{self.column} is missing") if self.indicator else (self.column,)

    def _filled(self, values: Floats, table: Table, out: Matrix) -> tuple[Floats, str | None]:
        """The values with gaps filled, and what there is to say of gaps without an indicator."""
        gaps = np.isnan(values)
        if self.fill is None:
            _refuse_gaps(gaps, table, self.column)
            return values, None
        if self.indicator:
            out[:, 1] = gaps
        note = None
        if gaps.any() and not self.indicator:
            where = _rows_of(self.column, int(gaps.sum()))
            note = f"{where} without a value: {self.fill:g} stands in, and no input tells"
        return np.where(gaps, self.fill, values), note


class NumericEncoder(_FilledColumn):
    """A number: filled where missing, then scaled."""

    type: Literal["numeric"] = "numeric"
    scaling: FittedScaling
    """How values become inputs."""

    def encode(self, table: Table, out: Matrix) -> str | None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values = table.numbers(self.column)
        check_range(self.scaling.name, values, table, self.column)
        filled, note = self._filled(values, table, out)
        out[:, 0] = scale_column(self.scaling, filled, table, self.column)
        return note


class BooleanEncoder(_FilledColumn):
    """True as 1, false as 0."""

    type: Literal["boolean"] = "boolean"

    def encode(self, table: Table, out: Matrix) -> str | None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        out[:, 0], note = self._filled(table.booleans(self.column), table, out)
        return note


class OneHotEncoder(Fitted):
    """One input for each category, which is 1 where the row has it."""

    type: Literal["categorical"] = "categorical"
    column: str
    """The column's name in the table."""
    categories: tuple[str, ...]
    """The values with an input of their own, sorted."""
    other: bool
    """Whether one more input stands for every other value: so if training rows had rare ones."""
    missing: Literal["category", "fill", "error"]
    """What a gap gets: an input of its own, `fill`, or an error."""
    fill: str | None = None
    """The category that stands in for a gap."""
    missing_input: bool
    """Whether gaps have an input: so if training rows had any."""
    unseen: Literal["other", "error"]
    """What a value gets that is no category: the input for others, or none; or an error."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category occurs twice")
        if self.missing == "fill" and self.fill not in self.categories:
            raise ValueError("'fill' is none of the categories")
        if self.missing != "fill" and self.fill is not None:
            raise ValueError("'fill' has no effect")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the column becomes."""
        names = [f"{self.column} = {category}" for category in self.categories]
        names += [f"{self.column} is another"] if self.other else []
        names += [f"{self.column} is missing"] if self.missing_input else []
        return tuple(names)

    def encode(self, table: Table, out: Matrix) -> str | None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs).

        Returns:
            What there is to say of values that are no category, or nothing.
        """
        codes, texts = table.codes(self.column)
        place = {category: at for at, category in enumerate(self.categories)}
        other = len(self.categories) if self.other else -1
        places = np.array([place.get(text, other) for text in texts] + [-1], dtype=np.int64)
        inputs = places[codes]
        unseen = np.array([text not in place for text in texts] + [False])[codes]
        self._place_gaps(inputs, codes < 0, table, place)
        if self.unseen == "error":
            message = "'{}' is none of the categories seen in training".format
            refuse(unseen, table, self.column, lambda at: message(texts[codes[at]]))
        rows = np.flatnonzero(inputs >= 0)
        out[rows, inputs[rows]] = 1
        silent = (codes < 0) & (inputs < 0)
        if silent.any() and not unseen.any():
            return f"{_rows_of(self.column, int(silent.sum()))} without a value: no input is set"
        return self._note(int(unseen.sum()), [text for text in texts if text not in place])

    def _place_gaps(
        self,
        inputs: NDArray[np.int64],
        gaps: NDArray[np.bool_],
        table: Table,
        place: dict[str, int],
    ) -> None:
        if self.missing == "error":
            _refuse_gaps(gaps, table, self.column)
        if self.fill is not None:
            inputs[gaps] = place[self.fill]
        elif self.missing_input:
            inputs[gaps] = len(self.inputs) - 1
        elif self.unseen == "error":
            message = "is empty, as no training row was; 'unseen: error' forbids it"
            refuse(gaps, table, self.column, lambda _: message)
        else:
            inputs[gaps] = len(self.categories) if self.other else -1

    def _note(self, rows: int, unseen: Sequence[str]) -> str | None:
        if not rows:
            return None
        some = ", ".join(f"'{text}'" for text in unseen[:3]) + (", ..." if len(unseen) > 3 else "")
        where = _rows_of(self.column, rows)
        what = "the input for other values is set" if self.other else "no input is set"
        return f"{where} with values that are no category ({some}): {what}"


FeatureEncoder = Annotated[
    NumericEncoder | BooleanEncoder | OneHotEncoder, Field(discriminator="type")
]


def fit_feature(column: str, feature: Feature, scaling: Scaling, train: Table) -> FeatureEncoder:
    """Fits the encoder of one column.

    Args:
        column: its name.
        feature: its type, which must be decided.
        scaling: of numbers that have none of their own.
        train: the training rows.

    Raises:
        DataError: for a value that isn't of the type, or a column without values.
        ConfigError: for a stand-in that the scaling has no place for.
    """
    if isinstance(feature, Numeric):
        return _fit_numeric(column, feature, feature.scaling or scaling, train)
    if isinstance(feature, Boolean):
        return _fit_boolean(column, feature, train)
    if isinstance(feature, Categorical):
        return _fit_categorical(column, feature, train)
    raise TypeError(f"no encoder for the feature type '{feature.type}'")


def _fit_numeric(column: str, feature: Numeric, scaling: Scaling, train: Table) -> NumericEncoder:
    _check_constant(column, feature.missing, scaling)
    values = train.numbers(column)
    check_range(scaling.name, values, train, column)
    present = _present(column, values, train)
    return NumericEncoder(
        column=column,
        scaling=fit_scaling(scaling, present),
        fill=_number_for_gaps(feature.missing, present),
        indicator=_wants_indicator(feature.missing, len(present) < len(values)),
    )


def _fit_boolean(column: str, feature: Boolean, train: Table) -> BooleanEncoder:
    values = train.booleans(column)
    present = _present(column, values, train)
    return BooleanEncoder(
        column=column,
        fill=None if isinstance(feature.missing, Refuse) else float(present.mean() > 0.5),
        indicator=_wants_indicator(feature.missing, len(present) < len(values)),
    )


def _fit_categorical(column: str, feature: Categorical, train: Table) -> OneHotEncoder:
    codes, texts = train.codes(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    ranked = sorted(range(len(texts)), key=lambda at: (-counts[at], texts[at]))
    frequent = [texts[at] for at in ranked if counts[at] >= feature.min_count]
    if not frequent:
        message = f"no value occurs in {feature.min_count} training rows; lower min_count"
        raise DataError(message if texts else _NO_VALUE, file=train.file, column=column)
    kept = frequent[: feature.max_categories]
    if feature.unseen == "error" and len(kept) < len(texts):
        message = f"has {len(texts)} values, and 'unseen: error' leaves rare ones no place"
        raise DataError(f"{message}; raise max_categories", file=train.file, column=column)
    has_gaps = bool((codes < 0).any())
    own = isinstance(feature.missing, OwnCategory)
    fill = kept[0] if isinstance(feature.missing, MostFrequentCategory) else None
    return OneHotEncoder(
        column=column,
        categories=tuple(sorted(kept)),
        other=len(kept) < len(texts),
        missing="category" if own else "error" if fill is None else "fill",
        fill=fill,
        missing_input=own and has_gaps,
        unseen=feature.unseen,
    )


_NO_VALUE = "has no value in the training rows; declare it 'ignored'"


def _present(column: str, values: Floats, train: Table) -> Floats:
    present: Floats = values[~np.isnan(values)]
    if not len(present):
        raise DataError(_NO_VALUE, file=train.file, column=column)
    return present


def _check_constant(column: str, policy: NumericMissing, scaling: Scaling) -> None:
    if isinstance(policy, ConstantValue) and scaling.name == "log" and policy.value < 0:
        path = format_path(("input", "features", column, "missing", "value"))
        message = f"scaling 'log' wants 0 or more, got {policy.value:g}"
        raise ConfigError([Problem(path, message)])


def _number_for_gaps(policy: NumericMissing, present: Floats) -> float | None:
    if isinstance(policy, Median):
        return float(np.median(present))
    if isinstance(policy, Mean):
        return float(np.mean(present))
    return policy.value if isinstance(policy, ConstantValue) else None


def _wants_indicator(policy: NumericMissing | MostFrequent, has_gaps: bool) -> bool:
    # An input that is 0 in every training row would keep its random first weights, and add noise
    # to the first row with a gap; so there is one only where there were gaps to learn from.
    if isinstance(policy, Refuse):
        return False
    return has_gaps if policy.indicator == "auto" else policy.indicator


def _refuse_gaps(gaps: NDArray[np.bool_], table: Table, column: str) -> None:
    others = f", as {gaps.sum() - 1} more are" if gaps.sum() > 1 else ""
    refuse(gaps, table, column, lambda _: f"is empty{others}; 'missing: error' forbids it")


def _rows_of(column: str, count: int) -> str:
    return f"column '{column}': {count} {'row' if count == 1 else 'rows'}"
