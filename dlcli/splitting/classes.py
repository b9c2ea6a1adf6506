"""Rows held out by lot within each class."""

from __future__ import annotations

import numpy as np

from dlcli.errors import DataError
from dlcli.splitting.assignment import Assignment, Rows, Shares, assigned, held_out
from dlcli.splitting.lots import generator_of


def stratified_split(classes: Rows, shares: Shares, seed: int) -> Assignment:
    """Draw the held-out rows so that each set has the classes in the table's proportions.

    Every class keeps a training row; a class too small for its share stays in training.

    Args:
        classes: the class of each row, (rows,).
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: too few rows for a row in every set, or every class occurs only once.
    """
    validation, test = held_out(len(classes), shares)
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    spare = sizes - 1
    if not spare.any():
        raise DataError(f"each of the {len(sizes)} classes is seen once; is it a number or a name?")
    if spare.sum() < validation + test:
        raise DataError(
            f"validation and test need {validation + test} rows, but only {spare.sum()} of "
            f"{len(classes)} can leave training, where each of {len(sizes)} classes keeps one; "
            "give more rows, or hold out less"
        )
    generator = generator_of(seed)
    tested = _apportion(test, sizes, spare, generator)
    validated = _apportion(validation, sizes, spare - tested, generator)
    shuffled = generator.permutation(len(classes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place = np.arange(len(classes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    test_end, validation_end = (np.repeat(end, sizes) for end in (tested, tested + validated))
    is_test = place < test_end
    return assigned(len(classes), order[~is_test & (place < validation_end)], order[is_test])


def _apportion(total: int, sizes: Rows, spare: Rows, generator: np.random.Generator) -> Rows:
    """Share rows out over classes in proportion to their sizes, by largest remainder.

    Args:
        total: how many rows to share out; no more than are spare.
        sizes: how many rows each class has, (classes,).
        spare: the most that each class can give, (classes,).
        generator: what equal remainders are decided by.

    Returns:
        how many rows each class gives, (classes,).
    """
    quota = total * sizes / sizes.sum()
    given: Rows = np.minimum(np.floor(quota).astype(np.int64), spare)
    while (short := total - int(given.sum())) > 0:
        # Where a class could not give its share, the next nearest to another row step in.
        able = generator.permutation(np.flatnonzero(given < spare))
        nearest = able[np.argsort(given[able] - quota[able], kind="stable")]
        given[nearest[:short]] += 1
    return given
