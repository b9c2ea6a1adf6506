"""Texts read from left to right, all rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]

_ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = 0x20
"""The bit that makes an ASCII letter a lower one."""


class Scanner:
    """Goes through texts from left to right, all at the same time but each at its own pace.

    Args:
        letters: the bytes of all texts, one behind the other.
        starts: where each text starts, and where the last one ends, (rows + 1,).
    """

    def __init__(self, letters: NDArray[np.uint8], starts: Integers) -> None:
        self._letters = np.append(letters, np.uint8(0))
        self._at, self._end = starts[:-1].copy(), starts[1:]
        self.all: Mask = np.ones(len(self._at), dtype=np.bool_)
        self.read = self.all.copy()
        """Where all that was expected was found so far, (rows,)."""

    @property
    def is_lost(self) -> bool:
        """Whether no text can be read any more."""
        return not self.read.any()

    def accept(self, letters: bytes, where: Mask) -> Mask:
        """Passes over a letter, if it is one of those given; gives where it was."""
        here = self._here()
        found: Mask = here == letters[0]
        for letter in letters[1:]:
            found |= here == letter
        found &= where
        self._at += found
        return found

    def expect(self, letters: bytes, where: Mask) -> None:
        """Passes over a letter, which must be one of those given."""
        self.read &= self.accept(letters, where) | ~where

    def digits(self, least: int, most: int, where: Mask) -> tuple[Integers, Integers]:
        """Passes over a number of so many digits; gives its value, and how many there were."""
        values, counts = np.zeros((2, len(where)), dtype=np.int64)
        if not where.any():
            return values, counts
        going = where
        for _ in range(most):
            digit = self._here() - np.uint8(ord("0"))  # wraps around for what comes before
            going = going & (digit <= 9)
            values = np.where(going, values * 10 + digit, values)
            counts += going
            self._at += going
        self.read &= (counts >= least) | ~where
        return values, counts

    def number(self, least: int, most: int, where: Mask, bounds: tuple[int, int]) -> Integers:
        """Passes over a number of so many digits, which must be within bounds; gives its value."""
        values, _ = self.digits(least, most, where)
        self.read &= ((values >= bounds[0]) & (values <= bounds[1])) | ~where
        return values

    def is_digit(self) -> Mask:
        """Where a digit comes next."""
        return self._here() - np.uint8(ord("0")) <= 9

    def word(self) -> None:
        """Passes over ASCII letters, of which there must be some."""
        going = found = self.accept(_ALPHABET, self.all)
        while going.any():
            going = self.accept(_ALPHABET, going)
        self.read &= found

    def any_of(self, words: tuple[str, ...], shortest: int) -> Integers:
        """Passes over one of some words in any case, or its first letters; gives its place.

        Args:
            words: in lower case; the first letters of no two are the same.
            shortest: the number of letters that tell words apart.
        """
        places = np.full(len(self.all), -1)
        start = [self._ahead(at) | _LOWER for at in range(shortest)]
        for place, word in enumerate(words):
            begins = np.logical_and.reduce([start[at] == ord(word[at]) for at in range(shortest)])
            whole = begins
            for at in range(shortest, len(word) if begins.any() else 0):
                whole = whole & (self._ahead(at) | _LOWER == ord(word[at]))
            places[begins] = place
            self._at += np.where(whole, len(word), np.where(begins, shortest, 0))
        self.read &= places >= 0
        return places

    def expect_end(self) -> None:
        """Holds that nothing is left of any text."""
        self.read &= self._at == self._end

    def _here(self) -> NDArray[np.uint8]:
        return self._ahead(0)

    def _ahead(self, count: int) -> NDArray[np.uint8]:
        """The letter that comes behind so many others, 0 behind the end, (rows,)."""
        at = self._at + count
        return np.where(at < self._end, self._letters[np.minimum(at, self._end)], np.uint8(0))
