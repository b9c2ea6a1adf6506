"""What a data file is, and how its text is to be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dlcli.config.section import Conflict, Expected, OneOf, Section


def _known_encoding(name: str) -> str:
    """An encoding that Python knows.

    Raises:
        ValueError: for any other name.
    """
    try:
        "".encode("utf-8" if name == "auto" else name)
    except LookupError as error:
        raise ValueError(str(error)) from None
    return name


Delimiter = Annotated[
    str,
    Field(pattern=r"^(auto|[\t !#-&(-*,/:-@\[-`{-~])$"),
    Expected("auto, or one character in quotes that stands between fields"),
]
Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Expected("auto, or an encoding such as utf-8, utf-16, latin-1 or cp1252"),
]


class AutoFormat(Section):
    """Found out for each file."""

    name: Literal["auto"] = "auto"


class CsvFormat(Section):
    """Text with a header; what is `auto` is found out for each file, and said."""

    name: Literal["csv"] = "csv"
    delimiter: Delimiter = "auto"
    """What stands between fields: a comma, tab, semicolon or bar is found out."""
    encoding: Encoding = "auto"
    """How bytes are characters: UTF-8, UTF-16 and, with a guess, Latin-1 are found out."""
    decimal: Literal["auto", ".", ","] = "auto"
    """What stands before the decimals of a number."""
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = "auto"
    """What stands between the thousands of a number, if anything does."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields one sign with two meanings."""
        if self.thousands == self.decimal != "auto":
            yield "thousands", "is also the decimal sign"


class ParquetFormat(Section):
    """Parquet."""

    name: Literal["parquet"] = "parquet"


class ArrowFormat(Section):
    """Arrow IPC, as a file or a stream; Feather is the same."""

    name: Literal["arrow"] = "arrow"


class JsonLinesFormat(Section):
    """One JSON object a line."""

    name: Literal["jsonl"] = "jsonl"


FormatChoice = Annotated[
    AutoFormat | CsvFormat | ParquetFormat | ArrowFormat | JsonLinesFormat, OneOf("format")
]
