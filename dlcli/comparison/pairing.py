"""Which rows two runs have both predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcli.comparison.held_out import HeldOut
from dlcli.comparison.subject import Subject
from dlcli.errors import plural

Places = NDArray[np.int64]

_ROW_BITS = 40
"""Bits for the number of a row; the file's place stands above them."""
_LEAST_SHARE = 0.5
"""The share of the lesser set of rows that both must have, for pairs to tell more than all rows."""


@dataclass(frozen=True)
class Pairs:
    """The rows that two runs share."""

    first: HeldOut
    second: HeldOut
    """The same rows in the same order."""


@dataclass(frozen=True)
class Unpaired:
    """Rows that can't be compared one by one."""

    reason: str


def pair_rows(
    first: Subject, second: Subject, split: str, rows: tuple[HeldOut, HeldOut]
) -> Pairs | Unpaired:
    """Finds the rows of one set that two runs share: of the same file, number and target.

    Args:
        first: a run.
        second: another.
        split: the set.
        rows: what each has of it.
    """
    if not same_data(first, second):
        return Unpaired("the runs have read other data")
    if _is_file(first, split) != _is_file(second, split):
        return Unpaired("the rows are a file of their own in one of the runs alone")
    keys, others = _keys(first, rows[0]), _keys(second, rows[1])
    if keys is None or others is None:
        return Unpaired("the rows can't be told apart by their numbers")
    _, one, other = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return _checked(rows[0], rows[1], one, other)


def same_data(first: Subject, second: Subject) -> bool:
    """Whether both runs have read the same files, as far as their digests are known."""
    digests = [[file.sha256 for file in each.data] for each in (first, second)]
    return bool(digests[0]) and None not in digests[0] and digests[0] == digests[1]


def _checked(first: HeldOut, second: HeldOut, one: Places, other: Places) -> Pairs | Unpaired:
    least = min(first.rows, second.rows)
    if len(one) < _LEAST_SHARE * least:
        return Unpaired(f"the runs share {plural(len(one), 'row')} of {least:,} only")
    pairs = Pairs(first.take(one), second.take(other))
    if not np.array_equal(_truth(pairs.first), _truth(pairs.second)):
        return Unpaired("the target of their rows is not the same")
    if not np.array_equal(pairs.first.weights, pairs.second.weights):
        return Unpaired("the weights of their rows are not the same")
    return pairs


def _truth(held: HeldOut) -> NDArray[np.generic]:
    """The true values; of classes the names, as their places depend on the run."""
    if held.target.outcome != "classes":
        return held.truth
    return np.asarray(held.target.classes)[held.truth]


def _is_file(subject: Subject, split: str) -> bool:
    """Whether a set is a file of its own, not a share of the rows."""
    return not isinstance(getattr(subject.file.config.data, split), float)


def _keys(subject: Subject, held: HeldOut) -> Places | None:
    """A number for each row, by its file and place there; `None` if one would stand for two."""
    places = _file_places(subject, held)
    if places is None or (held.row < 0).any() or (held.row >> _ROW_BITS).any():
        return None
    keys: Places = (places << _ROW_BITS) | held.row
    return keys if len(np.unique(keys)) == len(keys) else None


def _file_places(subject: Subject, held: HeldOut) -> Places | None:
    """The place of each row's file among those that the run has read, (rows,)."""
    if held.files is None:
        return np.zeros(held.rows, dtype=np.int64)
    place = {file.name: at for at, file in reversed(list(enumerate(subject.data)))}
    found = np.array([place.get(name, -1) for name in held.files], dtype=np.int64)
    return None if (found < 0).any() else found
