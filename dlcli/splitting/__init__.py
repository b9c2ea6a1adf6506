"""Assignment of rows to training, validation and test sets, and to folds.

Every strategy assigns each row to exactly one set. Random choices follow from the seed alone, by a
generator for each purpose, so that the same seed used elsewhere does not draw the same numbers.
"""

from dlcli.splitting.row_folds import Fold, hold_out, make_folds
from dlcli.splitting.row_splits import Shares, Split, assign_rows
