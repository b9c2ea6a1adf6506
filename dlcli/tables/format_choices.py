"""The file formats of tables, as a config chooses them in `data.format`."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dlcli.schema.section import Choice, Conflict, Expected, OneOf


def _known_encoding(name: str) -> str:
    """Return the name of an encoding if Python knows it, else raise `ValueError`."""
    try:
        "".encode("utf-8" if name == "auto" else name)
    except LookupError as error:
        raise ValueError(str(error)) from None
    return name


Delimiter = Annotated[
    str,
    Field(pattern=r"^(auto|[\t !#-&(-*,/:-@\[-`{-~])$"),
    Expected("auto, or the character between fields in quotes"),
]


Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Expected("auto, or an encoding such as utf-8, utf-16, latin-1 or cp1252"),
]


class AutoFormat(Choice, name="auto"):
    """Detected for each file."""


class CsvFormat(Choice, name="csv"):
    """Text with a header; what is `auto` is detected for each file, and reported."""

    delimiter: Delimiter = "auto"
    """Character between fields; commas, tabs, semicolons, bars and spaces are detected."""
    encoding: Encoding = "auto"
    """Character encoding; that of Unicode is detected, others such as Latin-1 are guessed."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal sign of numbers."""
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = "auto"
    """Sign between the thousands of numbers, if any."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a sign with two meanings."""
        if self.thousands == self.decimal != "auto":
            yield "thousands", "is also the decimal sign"


class ParquetFormat(Choice, name="parquet"):
    """Parquet."""


class ArrowFormat(Choice, name="arrow"):
    """Arrow IPC as a file or a stream; Feather is the same."""


class JsonLinesFormat(Choice, name="jsonl"):
    """One JSON object per line."""


FormatChoice = Annotated[
    AutoFormat | CsvFormat | ParquetFormat | ArrowFormat | JsonLinesFormat, OneOf("format")
]
