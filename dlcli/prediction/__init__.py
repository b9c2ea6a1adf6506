"""A run and a table to predictions and scores, in NumPy alone."""

from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor

__all__ = ["Predictions", "Predictor"]
