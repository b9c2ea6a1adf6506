"""Files by name: one, a list, or a glob; opened and unpacked, or a word why not."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from dlcli.errors import DataError, UsageError, did_you_mean, listed

Source = str | Path | Sequence[str | Path]
"""A file, a glob such as `part-*.csv`, or a list of these; `-` is standard input."""

HEAD_BYTES = 4096
"""How much of a file tells what it is."""
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""What compressed files begin with."""


@dataclass(frozen=True)
class SourceFile:
    """A file's content, unpacked, to be read from its beginning as often as need be."""

    file: str
    """The file as the user named it."""
    path: Path | None
    """Where it lies; None if all of it is in memory."""
    content: bytes = b""
    """Its bytes as they lie there, if they are in memory."""
    compression: str | None = None
    """How it is packed."""

    def open(self) -> BinaryIO:
        """Opens the content, unpacked; it can be read, and perhaps not be sought in.

        Raises:
            UsageError: for a file that can't be opened.
        """
        raw = io.BytesIO(self.content) if self.path is None else _opened(self.path)
        if self.compression is None:
            return raw
        stream: BinaryIO = pa.CompressedInputStream(raw, self.compression)
        return stream

    def random_access(self) -> pa.NativeFile:
        """Opens the content, unpacked, to be read in any order: in memory, if it is packed.

        Raises:
            DataError: for a damaged archive.
        """
        if self.path is not None and self.compression is None:
            return pa.OSFile(str(self.path))
        return pa.BufferReader(
            self.content if self.compression is None else self.in_memory().content
        )

    def in_memory(self) -> SourceFile:
        """The same content, unpacked and in memory.

        Raises:
            UsageError: for a file that can't be read.
            DataError: for a damaged archive.
        """
        with self.unbroken(), self.open() as stream:
            return SourceFile(self.file, None, stream.read())

    def head(self) -> bytes:
        """The first bytes of the content.

        Raises:
            UsageError: for a file that can't be read.
            DataError: for a damaged archive.
        """
        with self.unbroken(), self.open() as stream:
            return stream.read(HEAD_BYTES)

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Explains what stops the content from being read.

        Raises:
            UsageError: for a file that can't be read.
            DataError: for a damaged archive.
        """
        try:
            yield
        except OSError as error:
            if self.compression is None:
                raise UsageError(f"{self.file}: can't be read: {error.strerror}") from None
            reason = str(error).partition("\n")[0].rstrip(".")
            message = (
                f"is no whole {self.compression} file, it may have been cut off: write it again"
            )
            raise DataError(f"{message} ({reason})", file=self.file) from None


def find(source: Source) -> list[SourceFile]:
    """Finds the files of a source, in the order of their rows.

    Raises:
        UsageError: for a file that isn't there, a glob without a match, or a file named twice.
    """
    if str(source) == "-":
        return [_standard_input()]
    return [_stored(path) for path in expand(source)]


def expand(source: Source) -> list[Path]:
    """The paths of a source: those of a glob sorted, those of a list in its order.

    Raises:
        UsageError: for a glob without a match, or a file named twice.
    """
    named = [source] if isinstance(source, str | Path) else source
    paths = [path for name in named for path in _matches(Path(name))]
    seen: set[str] = set()
    for path in paths:
        place = os.path.abspath(path)
        if place in seen:
            raise UsageError(f"{path}: is named twice, and its rows would count twice")
        seen.add(place)
    return paths


def name_of(source: Source) -> str:
    """What a source is called in messages: its file or glob, or the first of a list."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else str(source)
    rest = len(source) - 1
    return f"{source[0]} and {rest} more" if rest else str(source[0])


def _matches(path: Path) -> list[Path]:
    if not glob.has_magic(str(path)) or _is_there(path):
        return [path]
    # Brackets in the name of a folder that is there are no pattern.
    folder = next(parent for parent in path.parents if _is_there(parent))
    pattern = str(path.relative_to(folder))
    found = [folder / name for name in sorted(glob.glob(pattern, root_dir=folder, recursive=True))]
    files = [each for each in found if not each.is_dir()]
    if not files:
        raise UsageError(f"{path}: matches no file; {_what_is_there(path)}")
    return files


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _what_is_there(path: Path) -> str:
    """The files of the folder in which a glob looks."""
    is_magic = glob.has_magic
    folder = next(p for p in path.parents if _is_there(p) or not is_magic(str(p)))
    if not _is_there(folder):
        return f"there is no folder {folder}"
    names = sorted(_entries(folder))
    return f"{folder} has {listed(names)}" if names else f"{folder} is empty"


def _standard_input() -> SourceFile:
    try:
        return _in_memory("standard input", sys.stdin.buffer.read())
    except OSError as error:
        raise UsageError(f"standard input: can't be read: {error.strerror}") from None


def _stored(path: Path) -> SourceFile:
    with _opened(path) as stream:
        if not path.is_file():  # a pipe gives its bytes only once
            return _in_memory(str(path), stream.read())
        return SourceFile(str(path), path, compression=_compression(stream.read(HEAD_BYTES)))


def _in_memory(file: str, content: bytes) -> SourceFile:
    return SourceFile(file, None, content, _compression(content[:HEAD_BYTES]))


def _compression(head: bytes) -> str | None:
    return next((name for mark, name in _COMPRESSIONS.items() if head.startswith(mark)), None)


def _opened(path: Path) -> BinaryIO:
    """Opens a file for reading, or says why not.

    Raises:
        UsageError: with the nearest name in the folder if the file is not there.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        near = did_you_mean(path.name, _entries(path.parent))
        raise UsageError(f"{path}: no such file{near}") from None
    except IsADirectoryError:
        way = f"for all files in it, name '{path / _every(path)}'"
        raise UsageError(f"{path}: is a folder, a file was expected; {way}") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be opened: {error.strerror}") from None
    except ValueError as error:  # a NUL character in the name
        raise UsageError(f"{str(path)!r}: can't be opened: {error}") from None


def _every(folder: Path) -> str:
    """A glob for the files of a folder, by the ending that most of them have."""
    endings = Counter(Path(name).suffix for name in _entries(folder))
    endings.pop("", None)
    return f"*{max(endings, key=lambda ending: (endings[ending], ending), default='.csv')}"


def _entries(folder: Path) -> list[str]:
    """The names in a folder, none if it can't be listed."""
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
