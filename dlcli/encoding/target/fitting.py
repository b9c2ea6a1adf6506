"""A target's encoder, fitted on training rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlcli.config.scalings import OutputScaling, Unscaled
from dlcli.encoding.findings import Findings
from dlcli.encoding.scaling.linear import LinearScaling, fit_scaling
from dlcli.encoding.target.classes import ClassTarget
from dlcli.encoding.target.kind import TargetKind
from dlcli.encoding.target.labels import LabelTarget
from dlcli.encoding.target.numbers import NumberTarget
from dlcli.table import Table

TargetEncoder = Annotated[NumberTarget | ClassTarget | LabelTarget, Field(discriminator="kind")]


def fit_target(kind: TargetKind, scaling: OutputScaling | None, train: Table) -> TargetEncoder:
    """Fits a target's encoder on training rows.

    Args:
        kind: what the target is.
        scaling: of numbers; without one they stay as they are.
        train: the training rows.
    """
    if kind.classes:
        return ClassTarget(column=kind.columns[0], classes=kind.classes, stored=kind.stored)
    if kind.labels:
        return LabelTarget(
            columns=kind.columns,
            labels=kind.labels,
            stored="boolean" if kind.stored == "boolean" else "integer",
            delimiter=kind.delimiter,
        )
    wanted = scaling or Unscaled()
    bare = tuple(LinearScaling(name=wanted.name) for _ in kind.columns)
    unfitted = NumberTarget(columns=kind.columns, scalings=bare, counts=kind.counts)
    scalings = tuple(fit_scaling(wanted, column) for column in unfitted.values(train, Findings()).T)
    return unfitted.model_copy(update={"scalings": scalings})
