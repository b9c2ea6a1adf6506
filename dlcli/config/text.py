"""The text of a config: read from its file, every character fit for YAML."""

from __future__ import annotations

import re
from pathlib import Path

from dlcli.errors import ConfigError, Problem, UsageError

MAX_BYTES = 2**23
"""Bytes of a config: room for all that is inferred of some 100,000 columns."""

_NO_TEXT = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML forbids (https://yaml.org/spec/1.2.2/#51-character-set)."""


def read_text(path: Path) -> str:
    """Reads a config's text.

    Raises:
        UsageError: if there is no such file or it can't be read.
        ConfigError: if it is over 8 MiB or not UTF-8 (UTF-16 is taken if it says so).
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        message = f"is over {MAX_BYTES >> 20} MiB, too large for a config"
        raise ConfigError([Problem("", message, f"{path}:1:1")])
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(error.encoding, "replace").lstrip("\ufeff")
        byte = f"byte 0x{error.object[error.start]:02x}"
        message = f"{byte} is not {error.encoding.upper()}; save the file as UTF-8"
        raise ConfigError([Problem("", message, f"{path}:{place_behind(before)}")]) from None


def place_behind(text: str) -> str:
    """Line and column, both counted from 1, of what comes after a text."""
    lines = f"{text}|".splitlines()
    return f"{len(lines)}:{len(lines[-1])}"


def find_forbidden(text: str) -> tuple[str, str] | None:
    """Finds the first character that YAML forbids.

    Returns:
        What is wrong, and the text before it; `None` if all characters are fine.
    """
    if (found := _NO_TEXT.search(text)) is None:
        return None
    sign = found[0]
    if "\ud800" <= sign <= "\udfff":  # an argument's byte that the terminal's encoding doesn't know
        message = "is not UTF-8"
    elif sign == "\0":
        message = "has a NUL character; save the file as UTF-8"
    else:
        message = f"has the character U+{ord(sign):04X}, which YAML forbids; remove it"
    return message, text[: found.start()]
