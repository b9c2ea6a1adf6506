"""Diagnosis: rules that look at a run's evidence and say what to try next.

They see what the run folder holds and never the data, so that a run can be diagnosed anywhere.
"""

from dlcli.diagnosis.case import Case, read_config
from dlcli.diagnosis.diagnosing import diagnose, examine
from dlcli.diagnosis.finding import Finding, Patch

__all__ = [
    "Case",
    "Finding",
    "Patch",
    "diagnose",
    "examine",
    "read_config",
]
