"""Evidence: what a finished training shows of its data, layers and predictions, within bounds.

`train` stores it as a part of the run, so that whoever looks later needs neither the data nor
TensorFlow, and however large the table was.
"""

from dlcli.evidence.document import (
    ColumnEvidence,
    Dependence,
    Evidence,
    Histogram,
    Importance,
    LayerEvidence,
    Point,
    ValueCount,
    WorstRow,
)

__all__ = [
    "ColumnEvidence",
    "Dependence",
    "Evidence",
    "Histogram",
    "Importance",
    "LayerEvidence",
    "Point",
    "ValueCount",
    "WorstRow",
]
