"""A run and a table to predictions and scores, in NumPy alone."""

from dlcli.prediction.constant import constant_outputs
from dlcli.prediction.kept import Floats, KeptColumns
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.prediction.rejection import rejected_rows
from dlcli.prediction.writing import Format, assemble, choose_format, write_rows

__all__ = [
    "Floats",
    "Format",
    "KeptColumns",
    "Predictions",
    "Predictor",
    "assemble",
    "choose_format",
    "constant_outputs",
    "rejected_rows",
    "write_rows",
]
