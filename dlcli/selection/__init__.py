"""Choosing by experiment: what cross-validations and searches came to, and how sure that is.

`CrossValidation` is the contract of `cv.json`, `Search` that of `tune.json`. Nothing here trains.
"""

from dlcli.selection.cross_validation import CrossValidation, FoldResult
from dlcli.selection.search import Dimension, Finalist, NestedFold, Search, TrialResult

__all__ = [
    "CrossValidation",
    "Dimension",
    "Finalist",
    "FoldResult",
    "NestedFold",
    "Search",
    "TrialResult",
]
