"""Where a value stands in a config, as people write it: `hidden[1].units`.

A key that is more than letters, digits and `_ - *` stands in quotes: `input.features['a.b'].type`.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_STEP = re.compile(
    r"""\[(?P<index>\d{1,9})\]|\[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]|(?:^|\.)(?P<key>[^\[\].'"]+)"""
)
_PLAIN = re.compile(r"[\w*?-]+")


def parse_path(text: str) -> Path:
    """Reads a path.

    Args:
        text: keys after dots, indexes or quoted keys in brackets.

    Returns:
        Keys as text, indexes as integers.

    Raises:
        ValueError: if the text is no path.
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text):
        step = _STEP.match(text, end)
        if step is None:
            raise ValueError(f"can't read '{text}' as a path at '{text[end:]}'")
        index, quoted, key = step["index"], step["quoted"], step["key"]
        steps.append(int(index) if index is not None else quoted if quoted is not None else key)
        end = step.end()
    if not steps:
        raise ValueError("expected a path such as hidden[0].units, got nothing")
    return tuple(steps)


def format_path(path: Path) -> str:
    """Writes a path as `parse_path` reads it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"['{step}']" if "'" not in step else f'["{step}"]'
    return text
