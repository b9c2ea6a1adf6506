"""A run and a table to predictions and metrics, in NumPy alone."""

from dlcli.prediction.prediction_tables import (
    Floats,
    Format,
    StoredPredictions,
    assemble,
    choose_format,
    rejected_rows,
    write_rows,
)
from dlcli.prediction.predictor import (
    Ensemble,
    EnsembleMember,
    Predictions,
    Predictor,
    member_weight,
)
