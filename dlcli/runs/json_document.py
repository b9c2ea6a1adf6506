"""JSON as RFC 8259 has it: without NaN and infinity."""

from __future__ import annotations

import json
import math
from typing import NoReturn


def to_json(value: object) -> bytes:
    """A value as indented JSON, keys in their own order.

    Pure ASCII, since a command line may hold bytes that no other encoding could write.

    Raises:
        ValueError: for NaN and infinity; what is undefined is `None`.
    """
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def from_json(content: bytes) -> object:
    """The value of a JSON text that anybody may have written.

    Raises:
        ValueError: for what is no JSON, or is nested too deeply to read.
    """
    try:
        value: object = json.loads(content, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return value


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
