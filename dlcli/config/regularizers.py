"""Regularizers: a price on large weights, added to the loss, under Keras's names."""

from __future__ import annotations

from typing import Annotated, Literal

from dlcli.config.section import NonNegative, OneOf, Section


class L1(Section):
    """l1 · Σ|w|: drives small weights to 0."""

    name: Literal["l1"] = "l1"
    l1: NonNegative = 0.01
    """Factor."""


class L2(Section):
    """l2 · Σw²: keeps weights small."""

    name: Literal["l2"] = "l2"
    l2: NonNegative = 0.01
    """Factor."""


class L1L2(Section):
    """l1 · Σ|w| + l2 · Σw²."""

    name: Literal["l1_l2"] = "l1_l2"
    l1: NonNegative = 0.0
    """Factor of the absolute values."""
    l2: NonNegative = 0.0
    """Factor of the squares."""


class OrthogonalRegularizer(Section):
    """Makes the rows or columns of a kernel orthogonal to each other."""

    name: Literal["orthogonal_regularizer"] = "orthogonal_regularizer"
    factor: NonNegative = 0.01
    """Factor."""
    mode: Literal["rows", "columns"] = "rows"
    """What becomes orthogonal."""


KernelRegularizer = Annotated[L1 | L2 | L1L2 | OrthogonalRegularizer, OneOf("regularizer")]
BiasRegularizer = Annotated[L1 | L2 | L1L2, OneOf("regularizer")]
