"""Tables to matrices: fitted on training rows only, written to JSON, the same ever after."""

from dlcli.encoding.differences import Difference, differences, lines_of
from dlcli.encoding.encoding import Encoding, fit_encoding, row_weights
from dlcli.encoding.findings import Findings
from dlcli.encoding.inputs import HeldInputs, Inputs
from dlcli.encoding.layout import Block, Layout
from dlcli.encoding.notes import in_short
from dlcli.encoding.rows import Rows, encode_rows
from dlcli.encoding.target import (
    ClassTarget,
    LabelTarget,
    NumberTarget,
    TargetEncoder,
    TargetKind,
    fit_target,
    infer_target,
)
from dlcli.encoding.types import Decision, choose_features, decide_types, type_warnings

__all__ = [
    "Block",
    "ClassTarget",
    "Decision",
    "Difference",
    "Encoding",
    "Findings",
    "HeldInputs",
    "Inputs",
    "LabelTarget",
    "Layout",
    "NumberTarget",
    "Rows",
    "TargetEncoder",
    "TargetKind",
    "choose_features",
    "decide_types",
    "differences",
    "encode_rows",
    "fit_encoding",
    "fit_target",
    "in_short",
    "infer_target",
    "lines_of",
    "row_weights",
    "type_warnings",
]
