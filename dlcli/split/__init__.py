"""Which rows train, which validate and which test; and which judge in each fold.

Every strategy gives each row to exactly one set. Chance follows from the seed alone, in a stream
of its own, so that no other use of the same seed meets the same draws.
"""

from __future__ import annotations

from dlcli.split.assignment import Assignment, Rows, Shares, Split
from dlcli.split.classes import stratified_split
from dlcli.split.folds import Fold, deal_folds, hold_out
from dlcli.split.groups import group_split
from dlcli.split.lots import random_split
from dlcli.split.strategy import assign
from dlcli.split.times import time_split

__all__ = [
    "Assignment",
    "Fold",
    "Rows",
    "Shares",
    "Split",
    "assign",
    "deal_folds",
    "group_split",
    "hold_out",
    "random_split",
    "stratified_split",
    "time_split",
]
