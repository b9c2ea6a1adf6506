"""Choosing by experiment: what cross-validations and searches came to, and how sure that is.

`CrossValidation` is the contract of `cv.json`, `Search` that of `tune.json`. Nothing here trains.
"""

from dlcli.selection.cross_validation import CrossValidation, FoldResult
from dlcli.selection.folds import combine, fold_intervals, median_epochs
from dlcli.selection.importance import importances
from dlcli.selection.leaderboard import best_trial, leaderboard, smallest_trial
from dlcli.selection.notes import notes_of
from dlcli.selection.pooling import pooled_estimates
from dlcli.selection.search import Dimension, Finalist, NestedFold, Search, TrialResult
from dlcli.selection.standard_errors import (
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
