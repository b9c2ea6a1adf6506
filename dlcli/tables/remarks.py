"""What was understood of a file and is not plain to see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Remark(NamedTuple):
    """Something that was found out about a file, or guessed."""

    message: str
    """For people: `fields are separated by ';'`."""
    is_doubtful: bool = False
    """Whether it could also be otherwise, so that somebody should look."""
    column: str | None = None
    """The one column that it is about."""


def gather(remarks: Iterable[tuple[str, Remark]], name: str, files: int) -> tuple[Remark, ...]:
    """Remarks with the file that each is about, said once where it is about all.

    Args:
        remarks: each with its file.
        name: what all the files together are called.
        files: how many there are.
    """
    about: dict[Remark, list[str]] = {}
    for file, remark in remarks:
        about.setdefault(remark, []).append(file)
    return tuple(
        remark._replace(message=f"{file}: {remark.message}")
        for remark, named in about.items()
        for file in _together(named, name, files)
    )


def _together(named: Sequence[str], name: str, files: int) -> Sequence[str]:
    return [name] if len(named) == files else named
