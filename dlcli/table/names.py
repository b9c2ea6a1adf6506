"""What a table's column names must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dlcli.errors import DataError

_LISTED = 5


def check_names(names: Sequence[str], file: str) -> None:
    """Refuse names that could not tell the columns apart.

    Raises:
        DataError: an empty name, or one that occurs twice.
    """
    if "" in names:
        position = names.index("") + 1
        raise DataError(f"column {position} of the header has no name; name it", file=file)
    duplicates = [f"'{name}'" for name, count in Counter(names).items() if count > 1]
    if duplicates:
        listed = ", ".join(duplicates[:_LISTED]) + (", ..." if len(duplicates) > _LISTED else "")
        raise DataError(f"the header names {listed} more than once; rename all but one", file=file)
