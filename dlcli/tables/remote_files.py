"""Files at URLs: found, read in blocks or at random, compared, and written.

A file has a version, by which it is recognized: its ETag, or its size and time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from dlcli.errors import DataError, UsageError, listed
from dlcli.schema.urls import Location, Url
from dlcli.tables import remote_systems
from dlcli.tables.partitions import ONLY_PARQUET, Partition, partitions

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileType

_Result = TypeVar("_Result")
_FIRST_BYTES, _MOST_BYTES = 2**16, 2**24
"""Bytes that are fetched at once: at first, since only the header may be read, and later."""
_SMALL_BYTES = 2**20
"""Bytes of a file that is fetched whole at once."""
_MOST_REQUESTS = 16
"""Requests that are waited for at the same time."""
_OBJECT_STORES = (*remote_systems.BUCKETS, "abfs", "abfss")
"""Schemes where a file appears when it is written completely, and folders are only names."""
_TIME_KEYS = ("Last-Modified", "LastModified", "mtime", "updated", "modified", "created")
"""Of what fsspec knows about a file, what changes when it is written."""


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL, as it was when it was found."""

    url: Url
    size: int
    """Its bytes."""
    version: str | None
    """Its ETag, else its size and time of modification; None if the server states neither."""
    beginning: bytes
    """Its first bytes, for which readers ask several times."""

    def open(self) -> BinaryIO:
        """Open it for reading from the beginning."""
        return cast(BinaryIO, _Stream(self))

    def random_access(self) -> pa.NativeFile:
        """Open it for random access.

        Raises:
            UsageError: if it can't be read.
        """
        file = remote_systems.open_file(self.url)
        # Those of Arrow's own file systems try again by themselves.
        is_retried = not isinstance(file, pa.PythonFile)
        return file if is_retried else pa.PythonFile(_Retried(self.url, file), mode="r")

    def check_unchanged(self) -> None:
        """Refuse a file that was written to since it was found.

        Raises:
            DataError: if it was.
            UsageError: if it is not there any more.
        """
        if file_version(self.url) != (self.size, self.version):
            raise changed(self.url)


def open_url(url: Url) -> BinaryIO:
    """Open a file for reading from the beginning.

    Raises:
        UsageError: if it is not there or can't be read.
    """
    found = open_remote(url)
    return found.open() if isinstance(found, RemoteFile) else found


class InputStream(io.RawIOBase):
    """A stream that can be read, and that closes the one that it reads from."""

    _stream: Any = None
    """The other one; None if it is not open yet."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def close(self) -> None:
        """Close both streams."""
        if self._stream is not None:
            self._stream.close()
        super().close()


class _Stream(InputStream):
    """The content of a file, fetched in blocks that grow."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._fetched, self._block = len(file.beginning), io.BytesIO(file.beginning)

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end, or the rest without a size."""
        if size < 0:
            return b"".join(iter(partial(self.read, _MOST_BYTES), b""))
        block = self._block.read(size)
        if not block and size and self._fetched < self._file.size:
            self._block = io.BytesIO(self._fetch())
            block = self._block.read(size)
        return block

    def _fetch(self) -> bytes:
        self._stream = self._stream or self._file.random_access()
        wanted = min(self._fetched, _MOST_BYTES, self._file.size - self._fetched)
        read = partial(self._stream.read_at, wanted, self._fetched)
        block: bytes = remote_systems.attempt(self._file.url, read)
        if len(block) != wanted:
            raise changed(self._file.url)
        self._fetched += wanted
        return block

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read some bytes into a buffer."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


class _Retried(InputStream):
    """A file for random access, of which a part is fetched again if the connection is lost."""

    def __init__(self, url: Url, file: pa.NativeFile) -> None:
        self._url, self._stream = url, file

    def seekable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end, or the rest without a size."""
        start = self._stream.tell()

        def fetch() -> bytes:
            self._stream.seek(start)
            block: bytes = self._stream.read(None if size < 0 else size)
            return block

        return remote_systems.attempt(self._url, fetch)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position."""
        position: int = self._stream.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Return the position."""
        position: int = self._stream.tell()
        return position


def changed(url: Url) -> DataError:
    """Return the error for a file that was written to while it was read."""
    message = "has changed while it was read; read it again once nothing writes to it"
    return DataError(message, file=url)


def open_remote(url: Url) -> RemoteFile | BinaryIO:
    """Find a file.

    Returns:
        The file; or its content as a stream if it is small, or can only be read from its beginning.

    Raises:
        UsageError: if it is not there or can't be read.
    """
    size, version = file_version(url)
    if size is not None and size > _SMALL_BYTES and (not url.is_http or _takes_ranges(url, size)):
        with remote_systems.open_file(url) as handle:
            beginning = remote_systems.attempt(url, partial(handle.read_at, _FIRST_BYTES, 0))
        return RemoteFile(url, size, version, beginning)
    system, path = remote_systems.file_system(url)
    if url.is_http and (files := remote_systems.fsspec_files(system)) is not None:
        stream = remote_systems.attempt(url, partial(files.open, path, "rb", block_size=0))
    else:
        stream = remote_systems.open_file(url)
    return cast(BinaryIO, _Checked(url, stream))


def _takes_ranges(url: Url, size: int) -> bool:
    """Return whether a web server sends a part of a file; fsspec raises `ValueError` if not."""

    def takes_range() -> bool:
        try:
            return len(handle.read_at(1, size - 1)) == 1
        except ValueError:
            return False

    with remote_systems.open_file(url) as handle:
        return remote_systems.attempt(url, takes_range)


class _Checked(InputStream):
    """A stream whose errors name the URL."""

    def __init__(self, url: Url, stream: BinaryIO) -> None:
        self._url, self._stream = url, stream

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end."""
        with remote_systems.explained(self._url):
            block: bytes = self._stream.read(size)
        return block


def each_file(function: Callable[[Location], _Result], files: Sequence[Location]) -> list[_Result]:
    """Call a function for each file; at the same time for URLs, since servers are waited for."""
    if sum(isinstance(file, Url) for file in files) < 2:
        return [*map(function, files)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_MOST_REQUESTS) as threads:
        return [*threads.map(function, files)]


def file_size(location: Location) -> int:
    """Return the bytes of a file; 0 of one at a URL if its server doesn't state them.

    Raises:
        OSError: if it is a local one that can't be read.
        UsageError: if it can't be read from a URL.
    """
    if isinstance(location, Url):
        return file_version(location)[0] or 0
    return location.stat().st_size


def file_version(url: Url) -> tuple[int | None, str | None]:
    """Return size and version of a file, see `RemoteFile`; no size if the server doesn't state it.

    Raises:
        UsageError: if it is not there or can't be read.
    """
    system, path = remote_systems.file_system(url)
    if (files := remote_systems.fsspec_files(system)) is not None:
        files.invalidate_cache()
        facts = remote_systems.attempt(url, partial(files.info, path))
        if facts.get("type") == "directory":
            raise _is_folder(url)
        size, etag = facts.get("size"), facts.get("ETag")
        modified = next((str(facts[key]) for key in _TIME_KEYS if facts.get(key)), None)
    else:
        with remote_systems.open_file(url) as handle, remote_systems.explained(url):
            size, etag = handle.size(), handle.metadata().get("ETag")
        etag = etag and etag.decode()
        modified = None if etag else str(file_info(url).mtime_ns)
    version = etag or (f"{size} bytes, {modified}" if modified else None)
    return size, version


def _is_folder(url: Url, *, is_partitioned: bool = False) -> UsageError:
    way_out = f"for all files in it, name '{url.rstrip('/')}/*.parquet'"
    if is_partitioned:
        way_out = ONLY_PARQUET
    return UsageError(f"{url}: is a folder, a file was expected; {way_out}")


# Folders and globs


def remote_matches(url: Url) -> Iterator[tuple[Url, Partition]]:
    """Yield the files that a URL or a glob names, each with its partition.

    Raises:
        UsageError: if there is none, or it can't be found out.
        DataError: for a partitioned folder that is partitioned in two ways.
    """
    from pyarrow.fs import FileType

    if url.is_http:
        if "*" in url.path:
            raise UsageError(f"{url}: a web server lists no files; name each of them in a list")
        yield url, ()
    elif has_magic(url.path):
        yield from ((file, ()) for file in _glob(url))
    elif file_info(url).type == FileType.Directory:
        folder = Url(f"{url.rstrip('/')}/")
        # Other folders may be large, and are refused.
        is_partitioned = any("=" in name for name in file_names(folder, FileType.Directory))
        files = partitions(file_names(folder), url) if is_partitioned else []
        if not files:
            raise _is_folder(url, is_partitioned=is_partitioned)
        yield from ((Url(folder + name), partition) for name, partition in files)
    else:
        yield url, ()


def _glob(url: Url) -> list[Url]:
    parts = url.split("/")
    at = next(at for at, part in enumerate(parts) if at > 1 and has_magic(part))
    if at < 3:
        raise UsageError(f"{url}: a pattern can't be in the name of a bucket")
    folder, pattern = Url("/".join(parts[:at])), parts[at:]
    names = file_names(folder)
    if "/".join(pattern) in names:  # a file whose name reads like a glob
        return [url]
    found = [Url(f"{folder}/{name}") for name in names if _is_match(name.split("/"), pattern)]
    if not found:
        content = f"has {listed(names)}" if names else "is empty, or no such folder"
        raise UsageError(f"{url}: matches no file; {folder} {content}")
    return found


def _is_match(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a path matches a glob, in which `**` stands for any number of folders."""
    if not pattern:
        return not names
    if pattern[0] == "**" and len(pattern) > 1:
        return any(_is_match(names[at:], pattern[1:]) for at in range(len(names)))
    hidden = bool(names) and names[0].startswith(".") and not pattern[0].startswith(".")
    is_same = bool(names) and not hidden and fnmatchcase(names[0], pattern[0])
    return is_same and _is_match(names[1:], pattern[1:])


def file_info(url: Url) -> FileInfo:
    """Return the type of what is at a URL, `NotFound` included, and its size if it is a file.

    Raises:
        UsageError: if that can't be found out.
    """
    system, path = remote_systems.file_system(url)
    return remote_systems.attempt(url, partial(system.get_file_info, path))


def file_names(folder: Url, only: FileType | None = None) -> list[str]:
    """Return the files below a folder, relative to it and sorted; none if there is no such folder.

    Args:
        folder: the folder.
        only: `FileType.Directory` for the folders that are directly in it instead.

    Raises:
        UsageError: if it can't be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    system, path = remote_systems.file_system(folder)
    selector = FileSelector(path, allow_not_found=True, recursive=only is None)
    infos = remote_systems.attempt(folder, partial(system.get_file_info, selector))
    root = f"{path.strip('/')}/"
    files = [info.path.lstrip("/") for info in infos if info.type == (only or FileType.File)]
    return sorted(name.removeprefix(root) for name in files)


# Writing


def check_writable(url: Url) -> None:
    """Check that a file can be made at a URL.

    Raises:
        UsageError: if it exists already, or the URL is of a web server or a missing bucket.
    """
    from pyarrow.fs import FileType

    if url.is_http:
        raise UsageError(f"{url}: a web server takes no files; name a file or another URL")
    if file_info(url).type != FileType.NotFound:
        raise UsageError(f"{url}: exists already; name another file, or remove this one first")
    bucket = Url(f"{url.scheme}://{url.path.partition('/')[0]}")
    if url.scheme in remote_systems.BUCKETS and file_info(bucket).type == FileType.NotFound:
        raise UsageError(f"{url}: no such bucket")


def upload(file: Path, url: Url) -> None:
    """Write a file to a URL, where it appears completely or not at all.

    An object store shows an object once all of it was sent. Elsewhere it is written under another
    name first.

    Raises:
        UsageError: if it can't be written.
    """
    system, path = remote_systems.file_system(url)
    parent, _, name = path.rpartition("/")
    written = path if url.scheme in _OBJECT_STORES else f"{parent}/.{name}.partial"
    with remote_systems.explained(url):
        content = pa.memory_map(str(file)).read_buffer() if file.stat().st_size else b""
        if url.scheme not in _OBJECT_STORES and parent:
            system.create_dir(parent)
        try:
            sink = system.open_output_stream(written, compression=None)
            # At once: Arrow completes an object even if what is written to it is interrupted.
            sink.write(content)
            sink.close()
            if written != path:
                system.move(written, path)
        except BaseException:
            if written != path:
                with suppress(Exception):  # the first error is the one to show
                    system.delete_file(written)
            raise
