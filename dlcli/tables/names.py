"""What a table's column names must be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dlcli.errors import DataError, listed
from dlcli.tables.notation import Notation
from dlcli.tables.remarks import Remark

_NUMBER = re.compile(Notation().pattern)
_WRITE_HEADER = "if that is the first row, write a header above it"


def check_names(names: Sequence[str], file: str) -> None:
    """ErrorIfMissing names that could not tell the columns apart.

    Raises:
        DataError: an empty name, or one that occurs twice.
    """
    if "" in names:
        position = names.index("") + 1
        raise DataError(f"column {position} of the header has no name; name it", file=file)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        way = _WRITE_HEADER if all(map(_NUMBER.match, twice)) else "rename all but one"
        raise DataError(f"the header names {listed(twice)} more than once; {way}", file=file)


def remark_on_names(names: Sequence[str]) -> Iterator[Remark]:
    """Yields what is to be said of names that may be a row: a fraction, or numbers and no words.

    Whole numbers that follow each other are how programs name columns that have no name.

    Args:
        names: the columns' names, of a file whose header may be left out.
    """
    numbers = [name for name in names if _NUMBER.match(name)]
    fractions = [name for name in numbers if not name.isdecimal()]
    if fractions or (len(numbers) == len(names) > 1 and not _are_counted(numbers)):
        shown = listed(fractions or numbers)
        yield Remark(f"the header names columns {shown}; {_WRITE_HEADER}", True)


def _are_counted(numbers: Sequence[str]) -> bool:
    first = int(numbers[0])
    return [int(number) for number in numbers] == [*range(first, first + len(numbers))]
