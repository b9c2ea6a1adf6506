"""The sets of columns (coalitions) that Shapley values compare, and how they are combined."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats, Indices, Matrix

_SEED = 20_170_525
"""Seed of the permutations: the same rows always have the same values."""
_FEWEST_REPEATED = 8
"""Minimum number of background rows with a second pair of permutations, if there are as many."""


@dataclass(frozen=True, eq=False)
class Coalitions:
    """The sets of columns that are evaluated for the background rows."""

    masks: Matrix
    """1 for a column with the row's value, 0 for the background row's, (sets, columns)."""
    owners: Indices
    """The background row of each set, ascending, (sets,)."""
    backgrounds: int
    """The number of background rows."""
    permutations: Indices | None = None
    """The order of the columns in each permutation, (pairs, 2, columns); `None` if the sets of each
    background row are all sets of columns, except the empty and the full one."""

    def combine(self, values: Floats, full: Floats, empty: Floats) -> tuple[Floats, Floats]:
        """Return the Shapley values of a row and their standard errors, (columns, outputs).

        Args:
            values: the prediction for each set, (sets, outputs).
            full: the row's prediction, (outputs,).
            empty: the background rows' predictions, (background rows, outputs).
        """
        if self.permutations is not None:
            return self._estimate(values, full, empty)
        means = values.reshape(self.backgrounds, -1, len(full)).mean(axis=0)
        of_sets = np.concatenate([[empty.mean(axis=0)], means, [full]])
        exact: Floats = _exact_weights(self.masks.shape[1]) @ of_sets
        return exact, np.zeros_like(exact)

    def _estimate(self, values: Floats, full: Floats, empty: Floats) -> tuple[Floats, Floats]:
        """Return the means over permutations: each column changes the prediction at its position.

        Background rows with one pair are assumed to have the mean variance of the other ones.
        """
        assert self.permutations is not None
        pairs, _, columns = self.permutations.shape
        owners = self.owners[:: len(self.owners) // pairs]
        paths = np.empty((pairs, 2, columns + 1, len(full)))
        paths[:, :, 0] = empty[owners, np.newaxis]
        paths[:, :, 1:-1] = values.reshape(pairs, 2, columns - 1, len(full))
        paths[:, :, -1] = full
        steps = np.empty((pairs, 2, columns, len(full)))
        order = self.permutations[..., np.newaxis]
        np.put_along_axis(steps, order, np.diff(paths, axis=2), axis=2)
        of_pairs = steps.mean(axis=1)
        counts = np.bincount(owners, minlength=self.backgrounds)
        starts, sizes = np.cumsum(counts) - counts, counts[:, np.newaxis, np.newaxis]
        means = np.add.reduceat(of_pairs, starts) / sizes
        squares = np.add.reduceat((of_pairs - means[owners]) ** 2, starts)
        variances = squares / np.maximum(sizes - 1, 1)
        variances[counts == 1] = variances[counts > 1].mean(axis=0)
        errors = np.sqrt((variances / sizes).sum(axis=0)) / self.backgrounds
        return means.mean(axis=0), errors


def _exact_weights(columns: int) -> Floats:
    """Return the weight of each set of columns in the value of each column, (columns, 2^columns).

    φ_c = Σ_S∌c |S|! (n − |S| − 1)! / n! · (v(S ∪ {c}) − v(S)) (Shapley 1953).
    """
    has = _all_sets(columns).T
    sizes = has.sum(axis=0).astype(np.int64)
    weights = np.array(
        [1 / (columns * math.comb(columns - 1, size)) for size in range(columns)] + [0.0]
    )
    return np.asarray(np.where(has, weights[sizes - 1], -weights[sizes]))


def _all_sets(columns: int) -> NDArray[np.bool_]:
    """Return all sets of columns, from the empty to the full one, (2^columns, columns)."""
    return (np.arange(2**columns)[:, np.newaxis] >> np.arange(columns) & 1).astype(bool)


def exact_coalitions(columns: int, backgrounds: int) -> Coalitions:
    """Return all sets of columns for each background row, except the empty and the full one."""
    sets = _all_sets(columns)[1:-1].astype(np.float32)
    owners = np.repeat(np.arange(backgrounds), len(sets))
    return Coalitions(np.tile(sets, (backgrounds, 1)), owners, backgrounds)


def fewest_pairs(backgrounds: int) -> int:
    """Return the minimum number of pairs of permutations: half of the background rows have two.

    The difference of the two estimates the standard error. In a network of 12 columns with 32
    background rows, 98 % of the values were within three standard errors of the exact ones, and
    96 % if only a quarter of the background rows had two pairs.
    """
    return backgrounds + min(backgrounds, max(_FEWEST_REPEATED, backgrounds // 2))


def sampled_coalitions(columns: int, backgrounds: int, pairs: int) -> Coalitions:
    """Draw pairs of a random permutation and its reverse.

    The errors of the two largely cancel (antithetic sampling; Mitchell et al. 2022,
    arXiv:2104.12199).

    Args:
        columns: the number of columns.
        backgrounds: the number of background rows.
        pairs: the number of pairs of all background rows, at least `fewest_pairs`.
    """
    rng = np.random.default_rng(_SEED)
    forward = rng.permuted(np.broadcast_to(np.arange(columns), (pairs, columns)), axis=1)
    permutations = np.stack([forward, forward[:, ::-1]], axis=1)
    ranks = np.argsort(permutations, axis=2)[:, :, np.newaxis]
    masks = ranks < np.arange(1, columns)[:, np.newaxis]
    owners = np.arange(pairs) * backgrounds // pairs
    return Coalitions(
        masks.reshape(-1, columns).astype(np.float32),
        np.repeat(owners, 2 * (columns - 1)),
        backgrounds,
        permutations,
    )
