"""Comparison of runs: differing settings, metrics, and which differences are significant."""

from dlcli.comparison.baseline_comparison import (
    BaselineComparison,
    BaselineDifference,
    Interval,
    NearlyPerfect,
    SimpleModel,
    compare_to_baseline,
    find_nearly_perfect,
)
from dlcli.comparison.comparison import (
    SPLITS,
    ComparedRun,
    Comparison,
    DataFile,
    HeldOut,
    RunDifference,
    Side,
    compare,
    estimate_difference,
    read_rows,
    to_document,
)
from dlcli.comparison.config_differences import Setting, as_text
from dlcli.comparison.gates import (
    GateResult,
    GateResults,
    check_evaluation,
    check_gate,
    require_gates,
    required_baselines,
)
