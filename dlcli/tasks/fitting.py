"""A target's encoder, fitted on training rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlcli.config import OutputScaling, Unscaled
from dlcli.preprocessing import LinearScaling, ValueIssues, fit_scaling
from dlcli.tables import Table
from dlcli.tasks.classes import ClassTarget
from dlcli.tasks.kind import TargetKind
from dlcli.tasks.labels import LabelTarget
from dlcli.tasks.numbers import NumberTarget

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
    scalings = tuple(
        fit_scaling(wanted, column) for column in unfitted.values(train, ValueIssues()).T
    )
    return unfitted.model_copy(update={"scalings": scalings})
