"""Which characters the bytes of a text are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

from dlcli.tables.remarks import Remark

UTF_8 = "utf-8"
_BLOCK_BYTES = 2**20
_MARKS = {b"\xef\xbb\xbf": UTF_8, b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks; Python's `utf-16` takes the order from the mark."""
_FEWEST_NULS = 0.3
"""Share of one half of the bytes of UTF-16 that is NUL, where text is partly Latin."""
_ASCII = bytes(range(0x80))
_HIGH = bytes(range(0x80, 0x100))
_NOT_C1 = _ASCII + bytes(range(0xA0, 0x100))
_UNDEFINED_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A character of several bytes in UTF-8 (RFC 3629), and a few that it doesn't allow."""
_OPEN_SEQUENCE = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
"""A character that a block's end cuts in two."""


def detect(stream: BinaryIO) -> str:
    """Finds out the encoding of a text.

    A byte order mark tells it, and so do the NUL bytes of UTF-16. What is valid UTF-8 is UTF-8, and
    so is what is mostly valid: a damaged file. The rest is one of the encodings of Western Europe,
    in which any byte is a character, so that nothing in the text can show them to be wrong.

    Args:
        stream: the text, from its beginning; it is read to its end if need be.

    Returns:
        The name by which Python knows the encoding.
    """
    head = stream.read(_BLOCK_BYTES)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    return _order_of_utf_16(head) or _of_bytes(chain([head], blocks(stream)))


def remark_on(encoding: str) -> Iterator[Remark]:
    """Yields what is to be said of a text whose encoding was found out."""
    if encoding.startswith("utf-16"):
        yield Remark("is UTF-16")
    elif encoding != UTF_8:
        message = f"is not UTF-8; read as {encoding}, which is a guess: if letters look wrong, say "
        yield Remark(message + "data.format: {name: csv, encoding: ...}", True)


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the rest of a stream, some at a time."""
    return iter(partial(stream.read, _BLOCK_BYTES), b"")


def _order_of_utf_16(head: bytes) -> str | None:
    """Which half of each 16 bits is NUL, if one often is and the other never."""
    even, odd = head[::2], head[1::2]
    if not even.count(0) and odd.count(0) > _FEWEST_NULS * len(odd):
        return "utf-16-le"
    if not odd.count(0) and even.count(0) > _FEWEST_NULS * len(even):
        return "utf-16-be"
    return None


def _of_bytes(read: Iterator[bytes]) -> str:
    """The encoding of a text that has no mark and isn't UTF-16."""
    sequences, strays, controls = 0, 0, set[int]()
    rest = b""
    for block in read:
        whole, rest = _whole_characters(rest + block)
        found, others = _taken_as_utf_8(whole)
        sequences += found
        strays += len(others)
        controls.update(others.translate(None, _NOT_C1))
    strays += len(rest)
    if strays == 0 or sequences > strays:
        return UTF_8
    return "cp1252" if controls and not controls & _UNDEFINED_IN_CP1252 else "latin-1"


def _whole_characters(block: bytes) -> tuple[bytes, bytes]:
    """A block up to a character that its end may cut in two, and the beginning of that one."""
    cut = _OPEN_SEQUENCE.search(block, max(len(block) - 3, 0))
    return (block[: cut.start()], block[cut.start() :]) if cut else (block, b"")


def _taken_as_utf_8(block: bytes) -> tuple[int, bytes]:
    """How many characters of several bytes there are, and the bytes that belong to none."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        others, found = _SEQUENCE.subn(b"", block)
        return found, others.translate(None, _ASCII)
    return (0 if text.isascii() else len(text) - len(block.translate(None, _HIGH))), b""
