"""The comparison of a distilled network with the ensemble that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from dlcli.metrics.intervals import DifferenceEstimate
from dlcli.metrics.statistic import Number
from dlcli.prediction.baseline_comparison import KnownMetric
from dlcli.safe_files import Count, Document


class TeacherDifference(DifferenceEstimate):
    """The metric of a distilled network minus the metric of its teacher on the same rows."""

    network: Number
    """The network's value; `None` where it is undefined."""
    teacher: Number
    """The teacher's value."""


class ModelSize(Document):
    """The size of a model, and the duration of a prediction."""

    weights: Count
    """The number of weights."""
    bytes: Count
    """The size of weights.npz in bytes."""
    milliseconds: float
    """The median duration of the prediction of one row in Python, on the machine that trained the
    network, without the start of the program."""


class Distillation(Document):
    """The comparison of a distilled network with its teacher."""

    format: Literal[1] = 1
    teacher: str
    """The run folder of the teacher."""
    rows: Annotated[int, Field(ge=0)] = 0
    """The number of test rows that both models are evaluated on; 0 if there are none."""
    differences: Mapping[KnownMetric, TeacherDifference] = {}
    """The differences of the metrics that summarize a result, by metric."""
    network: ModelSize
    """The distilled network."""
    ensemble: ModelSize
    """The teacher."""
