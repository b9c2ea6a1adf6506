"""Lines of YAML, each with a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dlcli import errors

_WIDTH = 108
"""Width of lines, if that leaves space for a short comment."""
_MAX_COMMENT_COLUMN = 50
_MIN_COMMENT_WIDTH = 40
_LONGEST_KEY = 1000  # a longer one needs a question mark: YAML 1.2.2, section 7.4
_PLAIN = re.compile(r"(?:\.\./)*[^\W\d][\w./-]*(?: [\w./-]+)*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True)
class Line:
    """A line of YAML."""

    key: str
    """The key in YAML; empty for a line that is only a comment."""
    value: str
    """The value in YAML."""
    comment: str = ""

    @property
    def code(self) -> str:
        """The line without its comment."""
        if len(self.key) > _LONGEST_KEY:
            return f"? {self.key}\n: {self.value}"
        return f"{self.key}: {self.value}" if self.key else ""


def comment(text: str) -> Line:
    """Return a line that is only a comment."""
    return Line("", "", text)


def aligned(lines: Sequence[Line], indent: int = 0) -> str:
    """Write indented lines, with their comments aligned in one column."""
    widths = [errors.display_width(line.code) for line in lines if line.comment]
    column = max((width for width in widths if width <= _MAX_COMMENT_COLUMN), default=0)
    return "".join(_commented(line, column, " " * indent) for line in lines)


def _commented(line: Line, column: int, margin: str) -> str:
    code = line.code.replace("\n", f"\n{margin}")
    if not line.comment:
        return f"{margin}{code}\n"
    if not code:
        return f"{margin}# {errors.printable(line.comment)}\n"
    before = f"{margin}{errors.padded(code, column)}  # "
    width = max(_WIDTH - len(before), _MIN_COMMENT_WIDTH)
    return before + _shortened(errors.printable(line.comment), width) + "\n"


def _shortened(text: str, most: int) -> str:
    """Truncate a comment, after the last whole item if it lists values: `a (50), b (49), ...`."""
    if len(text) <= most:
        return text
    items = text[: most - len("...")].rpartition("), ")[0]
    return f"{items}), ..." if items else errors.truncate(text, most)


def scalar(text: str) -> str:
    """Return a text in YAML, quoted if YAML 1.1 or 1.2 would read something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON is YAML. Also escape unprintable characters, such as text direction marks.
    return errors.printable(json.dumps(text, ensure_ascii=False))
