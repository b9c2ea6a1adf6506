"""Rows held out by lot."""

from __future__ import annotations

import hashlib

import numpy as np

from dlcli.splitting.assignment import Assignment, Shares, assigned, held_out


def random_split(rows: int, shares: Shares, seed: int) -> Assignment:
    """Draw the held-out rows with equal chance.

    Args:
        rows: how many rows there are.
        shares: how much is held out.
        seed: what the draw follows from.

    Raises:
        DataError: too few rows for a row in every set.
    """
    validation, test = held_out(rows, shares)
    order = generator_of(seed).permutation(rows)
    return assigned(rows, order[test : test + validation], order[:test])


def generator_of(seed: int | tuple[int, ...], stream: str = "split") -> np.random.Generator:
    """What draws in a stream of its own, which no other use of the same seed meets."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, stream)))


def key_of(seed: int | tuple[int, ...], stream: str) -> int:
    """A number of 128 bits for a seed in a stream."""
    digest = hashlib.blake2b(f"{stream} {seed}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")
