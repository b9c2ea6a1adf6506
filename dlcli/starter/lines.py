"""Lines of YAML with comments, and texts as YAML's scalars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from dlcli.config import CoreDumper, printable

WIDTH = 108
"""Where comments end, if what they stand behind leaves room."""
_FURTHEST_COMMENT = 50
_SHORTEST_COMMENT = 40
_LONGEST_KEY = 1000  # a longer one must be announced: YAML 1.2.2, section 7.4
_NO_LINE_BREAK = 2**31 - 1

_PLAIN = re.compile(r"(?:\.\./)*[^\W\d][\w./-]*(?: [\w./-]+)*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True)
class Line:
    """A line of YAML."""

    key: str
    """As YAML; empty for a line that is only a comment."""
    value: str
    """As YAML."""
    comment: str = ""

    @property
    def code(self) -> str:
        """The line without its comment."""
        if len(self.key) > _LONGEST_KEY:
            return f"? {self.key}\n: {self.value}"
        return f"{self.key}: {self.value}" if self.key else ""


def aligned(lines: Sequence[Line], indent: int = 0) -> str:
    """Lines with their comments one below the other.

    Args:
        lines: the lines.
        indent: how far to the right they stand, in spaces.
    """
    widths = [len(line.code) for line in lines if line.comment]
    column = max((width for width in widths if width <= _FURTHEST_COMMENT), default=0)
    return "".join(_written(line, column, " " * indent) for line in lines)


def _written(line: Line, column: int, margin: str) -> str:
    code = line.code.replace("\n", f"\n{margin}")
    if not line.comment:
        return f"{margin}{code}\n"
    if not code:
        return f"{margin}# {printable(line.comment)}\n"
    before = f"{margin}{code.ljust(column)}  # "
    room = max(WIDTH - len(before), _SHORTEST_COMMENT)
    return before + cut(printable(line.comment), room) + "\n"


def cut(text: str, length: int) -> str:
    """A text of at most `length` characters, with dots where it was cut."""
    return text if len(text) <= length else text[: length - 3] + "..."


def scalar(text: str) -> str:
    """A text as YAML, in quotes where YAML 1.1 or 1.2 would take it for something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    dumped: str = yaml.dump(
        text, Dumper=CoreDumper, default_style='"', allow_unicode=True, width=_NO_LINE_BREAK
    )
    return printable(dumped.rstrip("\n"))  # what YAML lets stand, such as marks of direction
