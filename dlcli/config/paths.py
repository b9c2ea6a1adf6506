"""Where a value stands in a config, as people write it: `hidden[1].units`.

A key that is more than letters, digits and `_ - *` stands in quotes: `input.features['a.b'].type`.
In double quotes it is JSON's text, for keys that hold quotes themselves or can't be printed.
"""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]

_STEP = re.compile(
    r"""\[(?P<index>\d{1,9})\]
    | \['(?P<quoted>[^']*)'\]
    | \[(?P<json>"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")\]
    | (?:^|\.)(?P<key>[^\[\].'"]+)""",
    re.X | re.S,
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
        steps.append(_read_step(step))
        end = step.end()
    if not steps:
        raise ValueError("expected a path such as hidden[0].units, got nothing")
    return tuple(steps)


def _read_step(step: re.Match[str]) -> str | int:
    if step["index"] is not None:
        return int(step["index"])
    if step["json"] is not None:
        return str(json.loads(step["json"], strict=False))
    return step["quoted"] if step["quoted"] is not None else step["key"]


def format_path(path: Path) -> str:
    """Writes a path as `parse_path` reads it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            plain = step.isprintable() and "'" not in step
            text += f"['{step}']" if plain else f"[{json.dumps(step)}]"
    return text


def printable(text: str) -> str:
    """A text on one line: line ends, control characters and the like as escapes."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
