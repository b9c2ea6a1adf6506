"""Documents that show their own damage, and that of the files beside them.

They give integrity, not authenticity: whoever changes a file on purpose can write a document to
match.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli import __version__
from dlcli.errors import RunError
from dlcli.runs.json_document import from_json, to_json
from dlcli.runs.storage import damaged, open_regular_file, sha256

FORMAT: Literal[1] = 1
"""Rises whenever an older dlcli could misread a run folder."""

_LIMIT = 2**20


class Part(BaseModel):
    """A part of a document: no field too many, none of another type."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Entry(Part):
    """How one file is known again."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Sealed(Part):
    """A JSON document that holds a digest of itself."""

    format: Literal[1]
    dlcli: str
    """The version of dlcli that wrote it."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a document.

        Raises:
            RunError: if there is none, or it is damaged or of a newer format.
        """
        content = _read(path, _LIMIT)
        fields = parse_object(content, path)
        _check_format(fields, path)
        digest = fields.pop("digest", None)
        try:
            document = cls.model_validate(fields)
        except ValidationError as error:
            raise damaged(path, malformed(error)) from None
        if digest != _digest(fields):
            raise damaged(path, "does not agree with its own digest")
        if content != to_json({**fields, "digest": digest}):
            raise damaged(path, "has other blanks than those that were written")
        return document

    def to_json(self) -> bytes:
        """The document as it stands in the folder, with its digest."""
        fields = self.model_dump(mode="json")
        return to_json({**fields, "digest": _digest(fields)})


def malformed(error: ValidationError) -> str:
    """The first thing that is wrong with a document, to follow on its name."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"is malformed at {place!r}: {first['msg']}"


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """Reads a JSON object that nothing vouches for.

    Args:
        path: the file.
        limit: the most bytes that it can have.

    Raises:
        RunError: if it is anything else.
    """
    return parse_object(_read(path, limit), path)


def parse_object(content: bytes, path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        RunError: if it holds anything else.
    """
    try:
        fields = from_json(content)
    except ValueError as error:
        raise damaged(path, f"is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise damaged(path, "is no JSON object")
    return fields


def describe(path: Path) -> Entry:
    """How a file as it is now will be known again.

    Raises:
        OSError: if it can't be read.
    """
    with path.open("rb") as stream:
        return Entry(sha256=sha256(stream), bytes=os.fstat(stream.fileno()).st_size)


def digest(path: Path, limit: int) -> str:
    """The SHA-256 of a file that nothing vouches for.

    Args:
        path: the file.
        limit: the most bytes that it can have.

    Raises:
        RunError: if it has more, or can't be read.
    """
    return hashlib.sha256(_read(path, limit)).hexdigest()


@contextmanager
def checked(path: Path, entry: Entry, limit: int | None = None) -> Iterator[BufferedReader]:
    """Opens a file once it has proved to be the one that was described.

    Args:
        path: the file.
        entry: what was described.
        limit: the most bytes that such a file can have; one of more is not even read through.

    Raises:
        RunError: if it isn't, is larger, or is no plain file.
    """
    with open_regular_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != entry.bytes:
            raise damaged(path, f"has {size} bytes, {entry.bytes} were expected")
        if limit is not None and size > limit:
            raise damaged(path, f"has {size:,} bytes, where {limit:,} are the most")
        if sha256(stream) != entry.sha256:
            raise damaged(path, "has changed since it was written")
        stream.seek(0)
        yield stream


def _read(path: Path, limit: int) -> bytes:
    with open_regular_file(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise damaged(path, f"has more than {limit:,} bytes")
    return content


def _digest(fields: dict[str, Any]) -> str:
    """The SHA-256 of the fields as JSON with sorted keys and no spaces."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_format(fields: dict[str, Any], path: Path) -> None:
    """Looks at the format before all else, as a newer one may mean anything by the rest.

    Raises:
        RunError: if this dlcli is too old for the folder.
    """
    written = fields.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise RunError(
            f"{path}: is of format {written}, written by dlcli {fields.get('dlcli')!r}; "
            f"dlcli {__version__} reads format {FORMAT}: install the newer one"
        )
