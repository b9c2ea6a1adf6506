"""Which rows train, which validate and which test; and which judge in each fold.

Every strategy gives each row to exactly one set. Chance follows from the seed alone, in a stream
of its own, so that no other use of the same seed meets the same draws.
"""

from dlcli.splitting.assignment import Assignment, Rows, Shares, Split
from dlcli.splitting.classes import stratified_split
from dlcli.splitting.folds import Fold, deal_folds, hold_out
from dlcli.splitting.groups import group_split
from dlcli.splitting.lots import random_split
from dlcli.splitting.strategy import assign
from dlcli.splitting.times import time_split

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
