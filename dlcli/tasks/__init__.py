"""What is predicted, one noun a file: numbers in their own unit, classes and labels by name."""

from dlcli.tasks.classes import ClassTarget
from dlcli.tasks.fitting import TargetEncoder, fit_target
from dlcli.tasks.kind import TargetKind, infer_target
from dlcli.tasks.labels import LabelTarget, mark_labels, split_labels
from dlcli.tasks.numbers import NumberTarget

__all__ = [
    "ClassTarget",
    "LabelTarget",
    "NumberTarget",
    "TargetEncoder",
    "TargetKind",
    "fit_target",
    "infer_target",
    "mark_labels",
    "split_labels",
]
