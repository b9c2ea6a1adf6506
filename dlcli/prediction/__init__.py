"""A run and a table to predictions and metrics, in NumPy alone."""

from dlcli.prediction.baseline_models import BaselineModels, linear_output
from dlcli.prediction.batch_prediction import (
    Differences,
    PartOptions,
    PredictedPart,
    bad_rows_text,
    bad_values,
    lock_name,
    predict_batch,
    predict_file,
    treatment_of,
    version_of,
)
from dlcli.prediction.conformal import REPORTED_LEVEL, Conformal, RangeCoverage
from dlcli.prediction.prediction_tables import (
    Format,
    assemble,
    check_spreadsheet_safe,
    choose_format,
    format_of,
    rejected_rows,
    write_rows,
)
from dlcli.prediction.predictions import Intervals, Predictions
from dlcli.prediction.predictor import (
    MOST_ROWS,
    Ensemble,
    EnsembleMember,
    Evaluation,
    Predictor,
    member_weight,
)
from dlcli.prediction.training_data import TrainingData
