"""CSV files with something wrong: the shipped ones, mangled, and mere bytes.

All follows from a seed, so that what was found can be found again.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"
SHIPPED = sorted(path.name for path in DATA.glob("*.csv"))
MOST_ROWS = 60
"""Rows that are taken of a shipped file: as many as there are, a file is read in no time."""
MOST_CHARACTERS = 2**25
"""A text that was made longer than this, again and again, is cut."""
NAMES = ("t.csv", "t.csv", "t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.parquet", "t.jsonl", "t.arrow")

ODD = (
    *("", " ", "\t", "\u00a0", "\ufeff", "\u202e", "\x00", "\x1a", "\x1b[2J", "\x7f", "\x85"),
    *("inf", "-Infinity", "nan", "NaN", "NA", "null", "?", "-", "1e400", "-1e400", "1e-400"),
    *("1e308", "-0", "+0", "--1", "1e", "e1", ".", "+", "1.", ".5", "1_000", "0x1A", "1/2"),
    *("5 %", "$5", "12 kg", "1,000", "1.000,5", "1'000", "1 000", "1\u202f000"),
    *("\u0661\u0662", "\uff11", "\u00b2", "9" * 30, "9" * 400, "0" * 30 + "1", "1" * 5000),
    *("9007199254740993", "-9223372036854775809", "2024-02-30", "0000-00-00", "1970-01-01"),
    *("9999-12-31T23:59:60Z", "01/02/03", "12:30", "-1", "true", "FALSE", "yes", "=1+1"),
    *("@SUM(A1)", "[red]x[/red]", "<b>", "a|b", "a;b", "../x.png", "a" * 5000),
    *("\U0001f600" * 9, "e\u0301", "\u0130", "\u2028", "\x0b", "\x0c", "\x1c"),
    *('"', '""', "'", "\\", '\\"', ",", ";", "\r", "\n", "\r\n"),
)
"""What stands in a field, and reads like a number, a date, a gap or an end of something."""
HARMLESS = tuple(word for word in ODD if not set(word) & set(',"\r\n\0'))
"""What leaves the fields as many as they are."""
BEGINNINGS = (
    *(b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"),
    *(b"{", b"[{", b'{"a": 1}\n', b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xff\xfe"),
    *(b"\xfe\xff", b"\0", b"\n\n\n", b"sep=;\r\n", b"# comment\n", b" ", b"\x1a", b"+ADw-"),
)
ENCODINGS = (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "latin-1",
    "cp1252",
    "utf-32",
    "utf-7",
    "shift_jis",
)
LINE_ENDS = ("\r", "\r\n", "\n\r", "\n\n", "\x0b", "\x85", "\u2028", "")
DELIMITERS = (",", ";", "\t", "|", " ", ":", "", ", ", '","')


@cache
def _shipped(name: str) -> str:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[: 1 + MOST_ROWS])


def mangled(seed: int) -> tuple[str, bytes]:
    """A file's name and content."""
    draw = random.Random(seed)
    name = draw.choice(NAMES)
    if draw.random() < 0.08:
        return name, draw.choice(BEGINNINGS + (b"",) * 5) + draw.randbytes(
            draw.choice((0, 9, 5000))
        )
    if draw.random() < 0.4:  # gently, so that what comes after reading has something to do
        text = _shipped(draw.choice(SHIPPED))
        for _ in range(draw.choice((1, 2, 4))):
            text = draw.choice((_odd_fields, _around_fields))(draw, text, HARMLESS)
        return name.removesuffix(".gz"), text.encode()
    text = _some_rows(draw)
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        text = draw.choice(OF_TEXT)(draw, text)[:MOST_CHARACTERS]
    content = text.encode(draw.choice(ENCODINGS) if draw.random() < 0.15 else "utf-8", "replace")
    for _ in range(draw.choice((0, 0, 1, 2))):
        content = draw.choice(OF_BYTES)(draw, content)
    if name.endswith(".gz") or draw.random() < 0.05:
        content = gzip.compress(content, 1, mtime=0)
        content = _flip(draw, content) if draw.random() < 0.3 else content
    return name, content


def _some_rows(draw: random.Random) -> str:
    lines = _shipped(draw.choice(SHIPPED)).splitlines(keepends=True)
    return "".join(lines[: draw.choice((0, 1, 2, 3, 10, MOST_ROWS, 1 + MOST_ROWS))])


def _span(draw: random.Random, size: int) -> tuple[int, int]:
    start = draw.randint(0, size)
    return start, min(size, start + draw.choice((1, 1, 2, 10, 100, size)))


def _edited(draw: random.Random, text: str, change: Callable[[str], str]) -> str:
    """A text with some of its fields changed: one, a few, or those of a column."""
    rows = [line.split(",") for line in text.split("\n")]
    columns = range(max(map(len, rows)))
    at, share = draw.choice(columns), draw.choice((0.02, 0.3, 0.95, 1.0))
    with_header = draw.random() < 0.3
    for number, row in enumerate(rows):
        if at < len(row) and (number > 0 or with_header) and draw.random() < share:
            row[at] = change(row[at])
    return "\n".join(map(",".join, rows))


def _odd_fields(draw: random.Random, text: str, words: Sequence[str] = ODD) -> str:
    several = draw.random() < 0.5
    word = draw.choice(words)
    return _edited(draw, text, lambda _: draw.choice(words) if several else word)


def _around_fields(draw: random.Random, text: str, words: Sequence[str] = ODD) -> str:
    before, after = draw.choice(words), draw.choice(words)
    return _edited(draw, text, lambda field: before + field + after)


def _quoted_fields(draw: random.Random, text: str) -> str:
    pair = draw.choice(('""', "''", '" ', ' "', '"\n', '"\\'))
    return _edited(draw, text, lambda field: pair[0] + field + draw.choice((pair[1], '"')))


def _cut_text(draw: random.Random, text: str) -> str:
    start, stop = _span(draw, len(text))
    return text[:start] + text[stop:]


def _repeated_text(draw: random.Random, text: str) -> str:
    start, stop = _span(draw, len(text))
    return text[:stop] + text[start:stop] * draw.choice((1, 2, 30)) + text[stop:]


def _inserted_text(draw: random.Random, text: str) -> str:
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice(ODD) * draw.choice((1, 1, 3)) + text[at:]


def _other_delimiter(draw: random.Random, text: str) -> str:
    sign, share = draw.choice(DELIMITERS), draw.choice((0.1, 1.0, 1.0))
    return "".join(sign if c == "," and draw.random() < share else c for c in text)


def _other_line_ends(draw: random.Random, text: str) -> str:
    sign, share = draw.choice(LINE_ENDS), draw.choice((0.1, 1.0, 1.0))
    return "".join(sign if c == "\n" and draw.random() < share else c for c in text)


def _decimal_commas(draw: random.Random, text: str) -> str:
    return text.replace(",", draw.choice(";\t,")).replace(".", ",")


def _other_order(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    draw.shuffle(lines)
    return "".join(lines)


def _wide(draw: random.Random, text: str) -> str:
    """Many more columns."""
    count = draw.choice((10, 300, 2000))
    lines = text.split("\n")
    names = ",".join(f"c{at}" for at in range(count))
    rows = [f"{line},{draw.choice(('0', 'a', ''))}" + ",1" * (count - 1) for line in lines[1:3]]
    return "\n".join([f"{lines[0]},{names}", *rows])


def _long(draw: random.Random, text: str) -> str:
    """Many more rows."""
    head, _, rows = text.partition("\n")
    return f"{head}\n" + rows * draw.choice((10, 100))


def _huge_field(draw: random.Random, text: str) -> str:
    at = draw.randint(0, len(text))
    size = draw.choice((10**5, 10**6, 10**6, 17 * 2**20))
    return text[:at] + draw.choice(("a", "1", "a ", "\u00e4", '"', "1,")) * size + text[at:]


def _without_header(draw: random.Random, text: str) -> str:
    return text.partition("\n")[2]


def _cut(draw: random.Random, content: bytes) -> bytes:
    start, stop = _span(draw, len(content))
    return content[:start] + content[stop:]


def _cut_short(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randint(0, len(content))]


def _repeated(draw: random.Random, content: bytes) -> bytes:
    start, stop = _span(draw, len(content))
    return content[:stop] + content[start:stop] + content[stop:]


def _flip(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 5, 100)) if content else 0):
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _inserted(draw: random.Random, content: bytes) -> bytes:
    at = draw.randint(0, len(content))
    what = draw.choice((b"\0", b"\xff", b"\xc3", b"\x1a", draw.randbytes(1), draw.randbytes(50)))
    return content[:at] + what * draw.choice((1, 1, 1000)) + content[at:]


def _begun(draw: random.Random, content: bytes) -> bytes:
    return draw.choice(BEGINNINGS) + content


OF_TEXT = (
    *(_odd_fields, _odd_fields, _odd_fields, _around_fields, _quoted_fields, _cut_text),
    *(_repeated_text, _inserted_text, _other_delimiter, _other_line_ends, _decimal_commas),
    *(_other_order, _wide, _long, _huge_field, _without_header),
)
OF_BYTES = (_cut, _cut_short, _repeated, _flip, _inserted, _begun)
