"""Files that are written completely or not at all, and verified when they are read.

JSON documents contain a digest of themselves. The digest reveals damage, not manipulation: anyone
who changes a file on purpose can also write a matching digest.
"""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NoReturn, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from dlcli import __version__
from dlcli.errors import RunError, UsageError

FORMAT: Literal[1] = 1
"""Version of the run folder's format; raised when an older dlcli could misread the folder."""

_WAY_OUT = "restore the run from a copy or train it again"
AnyDocument = TypeVar("AnyDocument", bound=BaseModel)

MAX_DOCUMENT_BYTES = 2**20
_COLLECTIONS = {"list", "tuple", "set", "frozenset"}
if "fail_fast" in inspect.signature(core_schema.dict_schema).parameters:  # not in all versions
    _COLLECTIONS.add("dict")
_MOST_ERRORS = 10_000
"""Maximum number of errors of a document of which the first is shown; it takes all in memory."""
_NO_SCHEMAS = ("default", "expected", "metadata")
"""Keys of a pydantic schema whose values are not schemas."""
_CHARACTERS_PER_COLLECTION = 6
"""Lower bound of the usual number of characters of a list or an object in JSON."""
_FEW_COLLECTIONS = 10_000
"""Number of lists and objects that a short text may have."""
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.S)
"""A string in JSON, perhaps without its end."""
_NO_SYNC = (errno.EBADF, errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that can't sync folders, such as some network file systems."""


def partial_path(path: Path, own: str = "") -> Path:
    """Return the temporary file that holds another file's content until it is complete.

    Args:
        path: the other file.
        own: a suffix of its name, needed if several processes may write the file.
    """
    return path.with_name(f".{path.stem}{own}.partial{path.suffix}")


@contextmanager
def write_atomically(path: Path, *, is_locked: bool = True) -> Iterator[Path]:
    """Write a file that exists completely or not at all.

    Args:
        path: the file.
        is_locked: whether no other process writes this file. If others may, each process has a
            separate temporary file, which remains after a crash.

    Yields:
        a path next to it, with the same ending, to write the content to.

    Raises:
        OSError: if the content can't be stored; no file remains then.
    """
    temporary = partial_path(path, "" if is_locked else f"-{secrets.token_hex(4)}")
    with suppress(OSError):
        temporary.unlink()  # from a crash; or a link, which may lead anywhere
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # an earlier error matters more
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def refuse_existing_file(path: Path) -> None:
    """Raise `UsageError` if a path that is about to be written exists."""
    if os.path.lexists(path):
        raise UsageError(f"{path}: already exists; use another name or remove it first")


@contextmanager
def open_new_file(path: Path, *, is_locked: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that appears under its name when the block succeeds.

    Args:
        path: the file.
        is_locked: see `write_atomically`.

    Raises:
        UsageError: if the file can't be created.
        OSError: with the file's name, if it can't be written.
    """
    temporary = None
    try:
        with write_atomically(path, is_locked=is_locked) as temporary:
            try:
                stream = temporary.open("wb")
            except OSError as error:
                raise UsageError(f"{path}: can't be written: {os_error_text(error)}") from None
            with stream:
                yield stream
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(temporary):
            raise  # of another file that the block reads or writes
        raise OSError(error.errno, os_error_text(error), str(path)) from error


def sync(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("rb+") as stream:  # some systems sync only files opened for writing
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, if the system supports it."""
    if os.name == "nt":  # folders can't be opened there
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # writable, but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def open_regular_file(path: Path) -> Iterator[BufferedReader]:
    """Open a file of a run for reading.

    Raises:
        RunError: if it is missing, can't be read, or is not a regular file; a link could expose a
            file that the user did not intend to share.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise not_regular(path)
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise damaged(path, "is missing") from None
    except OSError as error:
        raise RunError(f"{path}: can't be read: {os_error_text(error)}") from error


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def damaged(path: Path | str, finding: str) -> RunError:
    """Return the error for a file of a run that differs from what dlcli wrote."""
    return RunError(f"{path}: {finding}; {_WAY_OUT}")


def not_regular(path: Path) -> RunError:
    """Return the error for a path of a run that is not a regular file."""
    return damaged(path, "is not a regular file but a link, a folder or a device")


def os_error_text(error: OSError) -> str:
    """Return the system's message without number and path."""
    return error.strerror or str(error)


def way_to_write(error: OSError) -> str:
    """Return what makes a failed write possible; a library may raise an error without a number."""
    is_full = error.errno in (None, errno.ENOSPC, errno.EDQUOT)
    return "free some space" if is_full else "make sure that it is writable"


# JSON


def to_json(value: object) -> bytes:
    """Return a value as indented JSON (RFC 8259), with keys in their order.

    The result is ASCII, since a command line may contain bytes that other encodings can't
    represent.

    Raises:
        ValueError: for NaN and infinity; use `None` for undefined numbers.
    """
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def parse_object(content: bytes, path: Path | str) -> dict[str, Any]:
    """Parse the JSON object in a file from an untrusted source.

    Raises:
        RunError: if the content is anything else, contains NaN or infinity, or is nested too
            deeply.
    """
    try:
        fields = _DECODER.decode(content.decode(json.detect_encoding(content), "surrogatepass"))
    except RecursionError:
        raise damaged(path, "is not JSON: nested too deeply") from None
    except ValueError as error:
        raise damaged(path, f"is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise damaged(path, "is not a JSON object")
    return fields


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """Read a JSON object from a file without a known digest.

    Args:
        path: the file.
        limit: its maximum size in bytes.

    Raises:
        RunError: if it is anything else.
    """
    return parse_object(read_bytes(path, limit), path)


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file without a known digest.

    Raises:
        RunError: if it has more than `limit` bytes, or can't be read.
    """
    with open_regular_file(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise damaged(path, f"has more than {limit:,} bytes")
    return content


def has_content(path: Path, content: bytes) -> bool:
    """Return whether a regular file has this content; no more bytes than needed are read."""
    with suppress(RunError), open_regular_file(path) as stream:
        return stream.read(len(content) + 1) == content
    return False


def decode(content: bytes, path: Path | str) -> str:
    """Return the text of a file's content, or raise `RunError` if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, f"is not UTF-8: {error}") from None


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_json(text)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_not_json, parse_float=_finite)


# Digests


class _TooManyUnknownKeysError(Exception):
    """Ends a validation, because it is not an error that pydantic collects."""


def _refuse_unknown_key(_: object, info: ValidationInfo) -> NoReturn:
    """Refuse the value of an unknown key, as pydantic does with `extra="forbid"`."""
    if info.context is not None:
        info.context[_UNKNOWN_KEYS] = count = info.context.get(_UNKNOWN_KEYS, 0) + 1
        if count > _MOST_UNKNOWN_KEYS:
            raise _TooManyUnknownKeysError
    raise PydanticKnownError("extra_forbidden")


_UNKNOWN_KEYS = "unknown_keys"
"""The number of unknown keys so far, in the context of a validation."""
_MOST_UNKNOWN_KEYS = 1_000


def _failing_fast(schema: Any, *, is_closed: bool = False) -> Any:  # noqa: ANN401
    """Return a copy of a schema in which validation ends at the first invalid item.

    Args:
        schema: a part of a pydantic schema.
        is_closed: whether it belongs to a model that forbids unknown keys.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(_failing_fast(part, is_closed=is_closed) for part in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if kind == "model":
        is_closed = schema.get("config", {}).get("extra_fields_behavior") == "forbid"
    copy = {
        key: part if key in _NO_SCHEMAS else _failing_fast(part, is_closed=is_closed)
        for key, part in schema.items()
    }
    if isinstance(kind, str) and kind in _COLLECTIONS:
        copy["fail_fast"] = True
    if kind == "model" and is_closed:
        copy["config"] = {**schema["config"], "extra_fields_behavior": "allow"}
    if kind == "model-fields" and is_closed:
        copy["extra_behavior"] = "allow"  # to the following schema, which refuses them
        copy["extras_schema"] = core_schema.with_info_before_validator_function(
            _refuse_unknown_key, core_schema.any_schema()
        )
    return copy


class Stored(BaseModel):
    """A part of a file in a run folder, which may come from a stranger.

    Validation ends at the first invalid item of a collection, and after 1,000 unknown keys: an
    error object for each of a million items would take 500 MB.
    """

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Return the schema that pydantic derives, in which collections fail fast."""
        schema: CoreSchema = _failing_fast(handler(source))
        return schema


class Document(Stored):
    """A document in a run folder or a part of one: strict types, no additional fields, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


Count = Annotated[int, Field(ge=0, le=2**53)]
"""A count in a document, small enough for an exact float."""


class FileDigest(Document):
    """Digest and size of a file."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Compute the digest of a file, or raise `OSError` if it can't be read."""
        with path.open("rb") as stream:
            return cls(sha256=sha256(stream), bytes=os.fstat(stream.fileno()).st_size)


class VerifiedDocument(Document):
    """A JSON document that contains a digest of itself."""

    format: Literal[1]
    dlcli: str
    """Version of dlcli that wrote it."""

    @classmethod
    def read(cls, path: Path, location: Path | str | None = None) -> Self:
        """Read and verify a document.

        Args:
            path: the file.
            location: where it was copied from, for messages. [default: `path`]

        Raises:
            RunError: if it is missing, damaged or of a newer format.
        """
        content, named = read_bytes(path, MAX_DOCUMENT_BYTES), location or path
        fields = parse_object(content, named)
        # The format is checked first, since a newer one may change the meaning of all else.
        version = fields.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise RunError(
                f"{named}: has format {version}, written by dlcli {fields.get('dlcli')!r}, but "
                f"dlcli {__version__} reads format {FORMAT}; install the newer version"
            )
        digest = fields.pop("digest", None)
        document = parse_document(cls, fields, f"{named}:")
        if digest != _digest_of_fields(fields):
            raise damaged(named, "does not match its own digest")
        if content != to_json({**fields, "digest": digest}):
            raise damaged(named, "does not have the whitespace that dlcli writes")
        return document

    def to_json(self) -> bytes:
        """Return the content of the document's file, with its digest."""
        fields = self.model_dump(mode="json")
        return to_json({**fields, "digest": _digest_of_fields(fields)})


def parse_document(
    kind: type[AnyDocument],
    stored: str | Mapping[str, object],
    name: str,
    way_out: str = f"; {_WAY_OUT}",
) -> AnyDocument:
    """Parse a document of a run folder, which may come from a stranger.

    Args:
        kind: the model.
        stored: JSON, or the fields.
        name: the file or the part of it, at the beginning of the message.
        way_out: the end of the message.

    Raises:
        RunError: if it is anything else.
    """
    try:
        if isinstance(stored, str):
            if _has_too_many_collections(stored):
                message = "has too many lists and objects for its length"
                raise RunError(f"{name} is malformed: it {message}{way_out}")
            return kind.model_validate_json(stored, context={})
        return kind.model_validate(stored, context={})
    except _TooManyUnknownKeysError:
        message = f"is malformed: it has more than {_MOST_UNKNOWN_KEYS:,} unknown keys"
        raise RunError(f"{name} {message}{way_out}") from None
    except ValidationError as error:
        if (count := error.error_count()) > _MOST_ERRORS:
            raise RunError(f"{name} is malformed: it has {count:,} errors{way_out}") from None
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        where = place and f" at {place!r}"
        raise RunError(f"{name} is malformed{where}: {first['msg']}{way_out}") from None


def _has_too_many_collections(text: str) -> bool:
    """Whether a JSON text has more lists and objects than dlcli writes into one of its length.

    The parser takes 350 bytes for each of them, even if it is empty.
    """
    most = len(text) // _CHARACTERS_PER_COLLECTION + _FEW_COLLECTIONS
    if text.count("{") + text.count("[") <= most:
        return False
    outside = _STRING.sub("", text)
    return outside.count("{") + outside.count("[") > most


@contextmanager
def open_verified(
    path: Path,
    digest: FileDigest,
    limit: int | None = None,
    location: Path | str | None = None,
) -> Iterator[BufferedReader]:
    """Open a file whose content has a known digest.

    Args:
        path: the file.
        digest: its digest and size.
        limit: maximum size in bytes; a larger file is refused without hashing.
        location: where it was copied from, for messages. [default: `path`]

    Raises:
        RunError: if digest or size differ, it is too large, or it is not a regular file.
    """
    named = location or path
    with open_regular_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != digest.bytes:
            raise damaged(named, f"has {size} bytes, expected {digest.bytes}")
        if limit is not None and size > limit:
            raise damaged(named, f"has {size:,} bytes, but the limit is {limit:,}")
        if sha256(stream) != digest.sha256:
            raise damaged(named, "has changed since it was written")
        stream.seek(0)
        yield stream


def sha256(stream: BufferedReader) -> str:
    """Return the SHA-256 of the rest of a stream, as 64 hexadecimal digits."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_of_fields(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of fields as JSON with sorted keys and without spaces."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
