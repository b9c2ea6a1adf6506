"""The manifest: what makes a folder a finished run, and how its files are known again."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from dlcli import __version__
from dlcli.errors import RunError
from dlcli.run.json_document import from_json, to_json
from dlcli.run.storage import damaged, opened, sha256

FileName = Literal[
    "config.yaml",
    "resolved.yaml",
    "encoding.json",
    "weights.npz",
    "model.keras",
    "metrics.json",
    "history.csv",
    "predictions.parquet",
    "events.jsonl",
    "environment.json",
]
FILE_NAMES: tuple[FileName, ...] = get_args(FileName)
MANIFEST = "manifest.json"
FORMAT: Literal[1] = 1
"""Rises whenever an older dlcli could misread a run folder."""

_LIMIT = 2**20


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Entry(_Part):
    """How one file is known again."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    """All files of a finished run.

    It gives integrity, not authenticity: it shows that a folder was damaged, but whoever changes a
    file on purpose can write the manifest to match.
    """

    format: Literal[1]
    kind: str
    """What the run did: `train`."""
    dlcli: str
    """The version of dlcli that wrote the folder."""
    created: Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text
    """When the run was finished, in UTC."""
    files: dict[FileName, Entry]

    @classmethod
    def describe(cls, folder: Path, kind: str) -> Self:
        """The manifest of a folder as it is now; files that are not dlcli's are left out.

        Raises:
            OSError: if a file can't be read.
        """
        present = [name for name in FILE_NAMES if (folder / name).exists()]
        return cls(
            format=FORMAT,
            kind=kind,
            dlcli=__version__,
            created=datetime.now(UTC),
            files={name: _describe(folder / name) for name in present},
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the manifest of a finished run.

        Raises:
            RunError: if there is none, or it is damaged or of a newer format.
        """
        path = folder / MANIFEST
        if not os.path.lexists(path):
            raise RunError(_unfinished(folder))
        with opened(path) as stream:
            content = stream.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise damaged(path, "is larger than 1 MiB")
        return cls._parse(content, path)

    @classmethod
    def _parse(cls, content: bytes, path: Path) -> Self:
        try:
            fields = from_json(content)
        except ValueError as error:
            raise damaged(path, f"is no JSON: {error}") from None
        if not isinstance(fields, dict):
            raise damaged(path, "is no JSON object")
        _check_format(fields, path)
        digest = fields.pop("digest", None)
        try:
            manifest = cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise damaged(path, f"is malformed at {place!r}: {first['msg']}") from None
        if digest != _digest(fields):
            raise damaged(path, "does not agree with its own digest")
        return manifest

    def to_json(self) -> bytes:
        """The manifest as it stands in the folder, with its digest."""
        fields = self.model_dump(mode="json")
        return to_json({**fields, "digest": _digest(fields)})


def _describe(path: Path) -> Entry:
    with path.open("rb") as stream:
        return Entry(sha256=sha256(stream), bytes=os.fstat(stream.fileno()).st_size)


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


def _unfinished(folder: Path) -> str:
    if any(os.path.lexists(folder / name) for name in FILE_NAMES):
        return (
            f"{folder}: is an unfinished run, it has no {MANIFEST}: "
            "wait if it is still training, else train it again"
        )
    return f"{folder}: is not a run folder, it has no {MANIFEST}: name one that `dlcli train` made"
