"""Source files: find them by name, list or glob, open and decompress them, detect their format."""

from __future__ import annotations

import glob
import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import unquote

import pyarrow as pa

from dlcli.errors import DataError, UsageError, did_you_mean_file, listed, printable
from dlcli.schema.urls import Location, Url, locate
from dlcli.tables import remote_files, table_formats
from dlcli.tables.header_detection import is_number
from dlcli.tables.table import FileNote

Source = str | Path | Sequence[str | Path]
"""A file or its URL, a glob such as `part-*.csv`, a partitioned folder, or a list of these; `-` is
standard input."""

_HEAD_BYTES = 4096
"""Bytes from which the format is detected."""
_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{b"BZh%d1AY" % level: "bz2" for level in range(1, 10)},
}
_BLOCK_BYTES = 2**20
ALWAYS_ALLOWED = 2**29
"""Bytes that are allowed for any source; the limit for a pipe, which is held in memory."""
_MOST_UNPACKED = 50
"""Limit of the compression ratio; zeros reach 1,000 in gzip."""
Partition = tuple[tuple[str, str | None], ...]
"""Columns that are constant in a file, with their values; None is a missing value."""
_MISSING_VALUE = "__HIVE_DEFAULT_PARTITION__"
_PARQUET = (".parquet", ".pq")
_SQLITE = (".db", ".db3", ".sqlite", ".sqlite3")
ONLY_PARQUET = "in folders such as 'year=2024', only Parquet files are supported"
"""Advice for partitioned folders with files of another format than Parquet."""


@dataclass(frozen=True)
class SourceFile:
    """A file's decompressed content, which can be read repeatedly."""

    file: str
    """The file as the user named it."""
    path: Path | None
    """Its path; None if its content is in memory."""
    content: bytes = b""
    """Its bytes if they are in memory, possibly compressed."""
    compression: str | None = None
    remote: remote_files.RemoteFile | None = None
    """The remote file, if the content is read from a URL."""
    partition: Partition = ()
    """The columns that the names of its folders contain."""

    def open(self) -> BinaryIO:
        """Open the decompressed content for reading; seeking may not be possible.

        Raises:
            UsageError: for a file that cannot be opened.
        """
        if self.remote is not None:
            raw = self.remote.open()
        else:
            raw = io.BytesIO(self.content) if self.path is None else _open(self.path)
        if self.compression is None:
            return raw
        unpacked = pa.CompressedInputStream(raw, self.compression)
        most = self.most_bytes(_MOST_UNPACKED)
        message = f"expands to over {most >> 20:,} MiB, far more than usual for its size; "
        error = DataError(f"{message}if it is a table, decompress it first", file=self.file)
        return cast(BinaryIO, _Limited(unpacked, most, error))

    @property
    def size(self) -> int:
        """Size in bytes, possibly compressed."""
        if self.remote is not None:
            return self.remote.size
        return len(self.content) if self.path is None else self.path.stat().st_size

    def most_bytes(self, ratio: int) -> int:
        """Return the maximum number of bytes that the content may expand to.

        Args:
            ratio: bytes for each byte of the content, if it is not small.
        """
        return max(ALWAYS_ALLOWED, ratio * self.size)

    def random_access(self) -> pa.NativeFile:
        """Open the decompressed content for random access: in memory if it is compressed.

        Raises:
            DataError: for a damaged archive.
        """
        if self.compression is not None:
            return pa.BufferReader(self.in_memory().content)
        if self.remote is not None:
            return self.remote.random_access()
        return pa.BufferReader(self.content) if self.path is None else pa.OSFile(str(self.path))

    def in_memory(self) -> SourceFile:
        """Return the same content decompressed and in memory.

        Raises:
            UsageError: for a file that cannot be read.
            DataError: for a damaged archive.
        """
        with self.reading(), self.open() as stream:
            return SourceFile(self.file, None, _read_all(stream), partition=self.partition)

    def head(self) -> bytes:
        """Return the first bytes of the decompressed content.

        Raises:
            UsageError: for a file that cannot be read.
            DataError: for a damaged archive.
        """
        with self.reading(), self.open() as stream:
            return stream.read(_HEAD_BYTES)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Convert the errors of reading within a block.

        Raises:
            UsageError: for a file that cannot be read.
            DataError: for a damaged archive.
        """
        try:
            yield
        except OSError as error:
            if self.compression is None:
                raise UsageError(f"{self.file}: can't be read: {error.strerror}") from None
            raise incomplete(self.compression, self.file, error) from None


class _Limited(remote_files.InputStream):
    """A stream that raises an error beyond a maximum number of bytes."""

    def __init__(self, stream: BinaryIO, most: int, error: DataError) -> None:
        self._stream, self._left, self._error = stream, most, error

    def read(self, size: int = -1) -> bytes:
        """Return some bytes; none once all are read."""
        block: bytes = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise self._error
        return block


def _read_all(stream: BinaryIO) -> bytes:
    return b"".join(iter(partial(stream.read, _BLOCK_BYTES), b""))


def incomplete(kind: str, file: str, error: Exception) -> DataError:
    """Return the error for a damaged file.

    Args:
        kind: the expected format: `Parquet`.
        file: its name.
        error: the error of the library that read it.
    """
    reason = printable(str(error).partition("\n")[0].rstrip("."))
    message = f"is not a complete {kind} file; it may be truncated, so create it again ({reason})"
    return DataError(message, file=file)


# Finding and opening


def find(source: Source) -> list[SourceFile]:
    """Find the files of a source, in the order of their rows.

    Raises:
        UsageError: for a missing file, a glob without a match, a file listed twice, or standard
            input that was read before.
    """
    if str(source) == "-":
        if sys.stdin.buffer.closed:
            raise UsageError("standard input: can be read only once; use a file")
        with SourceFile("standard input", None).reading():
            return [_in_memory("standard input", sys.stdin.buffer)]
    found = _locations(source)
    files = remote_files.each_file(_found, [location for location, _ in found])
    return [replace(file, partition=each[1]) for file, each in zip(files, found, strict=True)]


def _found(path: Location) -> SourceFile:
    if isinstance(path, Url):
        return _remote(path)
    with _open(path) as stream:
        if path.is_file():
            compression = _compression(stream.read(_HEAD_BYTES))
            return SourceFile(str(path), path, compression=compression)
        return _in_memory(str(path), stream)  # a pipe can be read only once


def expand(source: Source) -> list[Location]:
    """Return the files of a source: the matches of a glob sorted, a list in its order.

    Raises:
        UsageError: for a glob without a match, a file listed twice, or a URL that can't be read.
    """
    return [location for location, _ in _locations(source)]


def _locations(source: Source) -> list[tuple[Location, Partition]]:
    named = [source] if isinstance(source, str | Path) else source
    matches = remote_files.each_file(_matches, [*map(locate_table, named)])
    found = [*chain.from_iterable(matches)]
    seen: set[str] = set()
    for path, _ in found:
        absolute = str(path) if isinstance(path, Url) else os.path.abspath(path)
        if absolute in seen:
            raise UsageError(f"{path}: is listed twice, so its rows would count twice")
        seen.add(absolute)
    return found


def locate_table(name: str | Path) -> Location:
    """Convert a text to a path or a URL.

    Raises:
        UsageError: for a URL with a secret.
    """
    try:
        return locate(name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def name_of(source: Source) -> str:
    """Return the name of a source in messages: its file or glob, or the first of a list."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else str(source)
    rest = len(source) - 1
    return f"{source[0]} and {rest} more" if rest else str(source[0])


def _matches(path: Location) -> list[tuple[Location, Partition]]:
    """Return the files of a path, a URL or a glob, each with its partition."""
    if isinstance(path, Url):
        return [*_remote_matches(path)]
    if os.path.isdir(path):
        files = []
        if any("=" in name for name in _entries(path)):  # others may be large
            below = (os.path.join(top, name) for top, _, names in os.walk(path) for name in names)
            names = (PurePath(file).relative_to(path).as_posix() for file in below)
            files = partitions(sorted(names), str(path))
        return [(path / name, partition) for name, partition in files] or [(path, ())]
    return [(file, ()) for file in _glob(path)]


def _glob(path: Path) -> list[Path]:
    if not glob.has_magic(str(path)) or os.path.exists(path):
        return [path]
    # Brackets in the name of an existing folder are not a pattern.
    folder = next(parent for parent in path.parents if os.path.exists(parent))
    pattern = str(path.relative_to(folder))
    found = [folder / name for name in sorted(glob.glob(pattern, root_dir=folder, recursive=True))]
    if files := [each for each in found if not each.is_dir()]:
        return files
    entries = listed(sorted(_entries(folder)))
    content = f"has {entries}" if entries else "is empty"
    raise UsageError(f"{path}: matches no file; {folder} {content}")


def _remote_matches(url: Url) -> Iterator[tuple[Url, Partition]]:
    """Yield the files of a URL or a glob, each with its partition.

    Raises:
        UsageError: if no file matches, or the request fails.
        DataError: for a folder that is partitioned in two ways.
    """
    from pyarrow.fs import FileType

    if url.is_http:
        if "*" in url.path:
            raise UsageError(f"{url}: patterns don't work on web servers; list each URL")
        yield url, ()
    elif glob.has_magic(url.path):
        yield from ((file, ()) for file in _glob_of_urls(url))
    elif remote_files.file_info(url).type == FileType.Directory:
        folder = Url(f"{url.rstrip('/')}/")
        folders = remote_files.file_names(folder, FileType.Directory)
        is_partitioned = any("=" in name for name in folders)  # other folders may be large
        files = partitions(remote_files.file_names(folder), url) if is_partitioned else []
        if not files:
            raise remote_files.is_folder(url, ONLY_PARQUET if is_partitioned else "")
        yield from ((Url(folder + name), partition) for name, partition in files)
    else:
        yield url, ()


def _glob_of_urls(url: Url) -> list[Url]:
    parts = url.split("/")
    at = next(at for at, part in enumerate(parts) if at > 1 and glob.has_magic(part))
    if at < 3:
        raise UsageError(f"{url}: the bucket's name can't contain a pattern")
    folder, pattern = Url("/".join(parts[:at])), parts[at:]
    names = remote_files.file_names(folder)
    if "/".join(pattern) in names:  # a file whose name reads like a glob
        return [url]
    found = [Url(f"{folder}/{name}") for name in names if _is_match(name.split("/"), pattern)]
    if not found:
        content = f"has {listed(names)}" if names else "is empty or does not exist"
        raise UsageError(f"{url}: matches no file; {folder} {content}")
    return found


def _is_match(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a path matches a glob; `**` matches any number of folders."""
    if not pattern:
        return not names
    if pattern[0] == "**" and len(pattern) > 1:
        return any(_is_match(names[at:], pattern[1:]) for at in range(len(names)))
    hidden = bool(names) and names[0].startswith(".") and not pattern[0].startswith(".")
    is_same = bool(names) and not hidden and fnmatchcase(names[0], pattern[0])
    return is_same and _is_match(names[1:], pattern[1:])


def _remote(url: Url) -> SourceFile:
    found = remote_files.open_remote(url)
    if not isinstance(found, remote_files.RemoteFile):
        with found:
            return _in_memory(str(url), found, "a server without range requests")
    compression = _compression(found.beginning)
    return SourceFile(str(url), None, compression=compression, remote=found)


def _in_memory(file: str, stream: BinaryIO, origin: str = "a pipe") -> SourceFile:
    """Read a stream that can be read only once.

    Raises:
        DataError: if it exceeds the limit.
    """
    message = f"exceeds {ALWAYS_ALLOWED >> 20} MiB, the limit for {origin}; "
    error = DataError(f"{message}save it to a file and use that", file=file)
    content = _read_all(cast(BinaryIO, _Limited(stream, ALWAYS_ALLOWED, error)))
    return SourceFile(file, None, content, _compression(content[:_HEAD_BYTES]))


def _compression(head: bytes) -> str | None:
    return next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)


def _open(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        UsageError: if that fails; with the most similar name in the folder if the file is missing.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise UsageError(f"{path}: is a device or a socket, expected a file or a pipe")
        return path.open("rb")
    except FileNotFoundError:
        near = did_you_mean_file(path.name, _entries(path.parent))
        raise UsageError(f"{path}: no such file{near}") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a file; {_way_out(path)}") from None
    except OSError as error:
        is_table = isinstance(error, NotADirectoryError) and path.parent.suffix in _SQLITE
        way_out = f"; for a table of a database, write sqlite:///{path}" if is_table else ""
        raise UsageError(f"{path}: can't be opened: {error.strerror}{way_out}") from None
    except ValueError:
        raise UsageError(f"{str(path)!r}: a file name can't contain a NUL character") from None


def _way_out(folder: Path) -> str:
    """Return advice on how to read the tables in a folder."""
    names = _entries(folder)
    if any("=" in name and (folder / name).is_dir() for name in names):
        return ONLY_PARQUET
    endings = Counter(Path(name).suffix for name in names)
    tables = [ending for ending in endings if table_formats.may_be_table(f"table{ending}")]
    if not tables:
        return "it contains no files that look like tables, such as .csv"
    usual = max(tables, key=lambda ending: (endings[ending], ending))
    return f"to read all files in it, use '{folder / f'*{usual}'}'"


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder; empty if it can't be listed."""
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


# Partitioned folders


def partitions(names: Iterable[str], folder: str) -> list[tuple[str, Partition]]:
    """Return the files of a partitioned folder with their partitions; empty for other folders.

    Args:
        names: all files below the folder, relative to it.
        folder: its name in messages.

    Raises:
        DataError: for a file with other partition columns than the first file.
    """
    found = []
    for name in names:
        *folders, file = name.split("/")
        is_hidden = any(part.startswith(("_", ".")) for part in (*folders, file))
        if not is_hidden and PurePosixPath(file).suffix.lower() in _PARQUET:
            found.append((name, tuple(filter(None, map(_key_and_value, folders)))))
    if not any(partition for _, partition in found):
        return []
    first, expected = found[0][0], [key for key, _ in found[0][1]]
    for name, partition in found:
        if (keys := [key for key, _ in partition]) != expected:
            columns = [listed(each) if each else "no column" for each in (keys, expected)]
            message = f"is partitioned by {columns[0]}, but {first} by {columns[1]}"
            raise DataError(message, file=f"{folder.rstrip('/')}/{name}")
    return found


def _key_and_value(folder: str) -> tuple[str, str | None] | None:
    key, sign, value = folder.partition("=")
    if not (key and sign):
        return None
    return unquote(key), None if value == _MISSING_VALUE else unquote(value)


# Opened files

WRITE_HEADER = "if that is the first row of data, add a header above it"


@dataclass(frozen=True)
class Batches:
    """An opened file.

    Reading the rows may raise a DataError that names the file and, where it is known, the row.
    """

    schema: pa.Schema
    """The columns' names and types."""
    rows: Iterator[pa.RecordBatch]
    """All rows, in the order of the file; can be read once."""
    delimiter: str | None = None
    """The delimiter of text; None for formats whose values have types."""
    file_notes: tuple[FileNote, ...] = ()
    nameless: tuple[str, ...] = ()
    """The names that dlcli gave to nameless columns of the file."""
    unread: tuple[str, ...] = ()
    """The columns of the file that are not among the rows."""


def contradictions(stored: SourceFile, form: table_formats.TableFormat) -> Iterator[FileNote]:
    """Yield notes on contradictions between a file's content and its name or the config."""
    format = table_formats.recognize(stored.head(), stored.file)
    found = f"contains {table_formats.FORMAT_NAMES[format]}"
    if stored.compression is None and table_formats.is_compressed(stored.file):
        yield FileNote("is not compressed, despite its name", True)
    if table_formats.file_format(stored.file) not in (None, format):
        yield FileNote(f"{found}, despite its name", True)
    if form.format.name not in ("auto", format):
        yield FileNote(f"{found}, but data.format is {form.format.name}", True)


def check_names(names: Sequence[str], file: str) -> None:
    """Check that column names are not empty and not repeated.

    Raises:
        DataError: for an empty name, or a name that occurs twice.
    """
    if "" in names:
        position = names.index("") + 1
        raise DataError(f"column {position} has no name in the header; add one", file=file)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        way = WRITE_HEADER if all(map(is_number, twice)) else "rename all but one"
        raise DataError(f"the header contains {listed(twice)} more than once; {way}", file=file)
