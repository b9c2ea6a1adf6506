"""Choosing by experiment: what cross-validations and searches came to, and how sure that is.

`CrossValidation` is the contract of `cv.json`, `Search` that of `tune.json`. Nothing here trains.
"""

from dlcli.pipeline.selection.cross_validation import CrossValidation, FoldResult
from dlcli.pipeline.selection.folds import combine, fold_intervals, median_epochs
from dlcli.pipeline.selection.importance import importances
from dlcli.pipeline.selection.leaderboard import best_trial, leaderboard, smallest_trial
from dlcli.pipeline.selection.notes import notes_of
from dlcli.pipeline.selection.pooling import pooled_estimates
from dlcli.pipeline.selection.search import Dimension, Finalist, NestedFold, Search, TrialResult
from dlcli.pipeline.selection.standard_errors import (
    standard_error_of_folds,
    standard_error_of_mean,
    standard_error_of_rows,
)

__all__ = [
    "CrossValidation",
    "Dimension",
    "Finalist",
    "FoldResult",
    "NestedFold",
    "Search",
    "TrialResult",
    "best_trial",
    "combine",
    "fold_intervals",
    "importances",
    "leaderboard",
    "median_epochs",
    "notes_of",
    "pooled_estimates",
    "smallest_trial",
    "standard_error_of_folds",
    "standard_error_of_mean",
    "standard_error_of_rows",
]
