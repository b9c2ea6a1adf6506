"""What is predicted, one noun a file: numbers in their own unit, classes and labels by name."""

from dlcli.encoding.target.classes import ClassTarget
from dlcli.encoding.target.fitting import TargetEncoder, fit_target
from dlcli.encoding.target.kind import TargetKind, infer_target
from dlcli.encoding.target.labels import LabelTarget, mark_labels
from dlcli.encoding.target.numbers import NumberTarget

__all__ = [
    "ClassTarget",
    "LabelTarget",
    "NumberTarget",
    "TargetEncoder",
    "TargetKind",
    "fit_target",
    "infer_target",
    "mark_labels",
]
