"""Files at URLs: find, read in blocks or at random, compare and write them.

Arrow provides the file systems of `s3`, `gs`, `abfs` and `hdfs`, fsspec all others. Temporary
failures are retried: for `s3` and `gs` by the provider's library within Arrow, for others here.
Errors contain the URL. These libraries find the credentials in the environment, the provider's
files or the machine's role.

A file's version identifies its content: its ETag, or its size and time.
"""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from dlcli.errors import DataError, DlcliError, UsageError, install_command, truncate
from dlcli.schema.urls import Location, Url

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from pyarrow.fs import FileInfo, FileSystem, FileType

_Result = TypeVar("_Result")
_FIRST_BYTES, _MOST_BYTES = 2**16, 2**24
"""Bytes per request: at first, when possibly only the header is needed, and later."""
_SMALL_BYTES = 2**20
"""Size up to which a file is fetched by a single request."""
_MOST_REQUESTS = 16
"""Maximum number of simultaneous requests."""
_TIME_KEYS = ("Last-Modified", "LastModified", "mtime", "updated", "modified", "created")
"""Keys of fsspec's file information that change when the file is written."""
_WAITS = (0.5, 2.0)
"""Seconds before each retry."""
_MOST_TEXT = 200
"""Maximum number of characters of a library's error message."""
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
"""Seconds without a byte after which a request fails."""
BUCKETS = ("s3", "gs", "gcs")
"""Schemes whose host is a bucket, and whose library retries by itself."""
_OBJECT_STORES = (*BUCKETS, "abfs", "abfss")
"""Schemes in which a file appears only when it is complete, and folders are only names."""
_ARROW_SCHEMES = (*_OBJECT_STORES, "hdfs", "viewfs")
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_FORBIDDEN_STATUS = (401, 403)
_AWS_ERROR = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))?")
_AWS_FORBIDDEN = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")
_AWS_ABSENT = ("NO_SUCH_BUCKET", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND")
_FORBIDDEN = re.compile("PERMISSION_DENIED|UNAUTHENTICATED|AuthorizationFailure")
_NO_CREDENTIALS = re.compile("OAuth2 access token|Failed to get token")
"""Pattern in errors of Google's and Microsoft's libraries, which contain no status."""
_AWS_UNREACHABLE = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT")


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL, as it was when it was found."""

    url: Url
    size: int
    """Size in bytes."""
    version: str | None
    """Its ETag, or its size and time of modification; None if the server sends neither."""
    beginning: bytes
    """Its first bytes, which readers request several times."""

    def open(self) -> BinaryIO:
        """Open the file for reading from the beginning."""
        return cast(BinaryIO, _Stream(self))

    def random_access(self) -> pa.NativeFile:
        """Open the file for random access.

        Raises:
            UsageError: if it can't be read.
        """
        return open_file(self.url)

    def check_unchanged(self) -> None:
        """Check that the file has not changed since it was found.

        Raises:
            DataError: if it has changed.
            UsageError: if it no longer exists.
        """
        if file_version(self.url) != (self.size, self.version):
            raise _changed(self.url)


def open_url(url: Url) -> BinaryIO:
    """Open a file for reading from the beginning.

    Raises:
        UsageError: if it does not exist or can't be read.
    """
    found = open_remote(url)
    return found.open() if isinstance(found, RemoteFile) else found


class InputStream(io.RawIOBase):
    """A readable stream that closes the stream that it reads from."""

    _stream: Any = None
    """The stream that it reads from; None if it is not open yet."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def close(self) -> None:
        """Close both streams."""
        if self._stream is not None:
            self._stream.close()
        super().close()


class _Stream(InputStream):
    """The content of a file, fetched in growing blocks."""

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
        block: bytes = attempt(self._file.url, read)
        if len(block) != wanted:
            raise _changed(self._file.url)
        self._fetched += wanted
        return block


def _changed(url: Url) -> DataError:
    """Return the error for a file that was written to while it was read."""
    message = "changed while it was read; try again when nothing writes to it"
    return DataError(message, file=url)


def open_remote(url: Url) -> RemoteFile | BinaryIO:
    """Find a file.

    Returns:
        The file; or its content as a stream if it is small, or can only be read from its beginning.

    Raises:
        UsageError: if it does not exist or can't be read.
    """
    size, version = file_version(url)
    system, path = file_system(url)
    files = _fsspec_files(system) if url.is_http else None

    def takes_range() -> bool:
        """Return whether a web server supports range requests; fsspec raises an error if not."""
        assert files and size  # a web server's
        with files.open(path, "rb") as handle, suppress(ValueError):
            handle.seek(size - 1)
            return len(handle.read(1)) == 1
        return False

    if size and size > _SMALL_BYTES and (files is None or attempt(url, takes_range)):
        with open_file(url) as handle:
            beginning = attempt(url, partial(handle.read_at, _FIRST_BYTES, 0))
        return RemoteFile(url, size, version, beginning)
    if files is None:
        return cast(BinaryIO, _Checked(url, open_file(url)))
    stream = attempt(url, partial(files.open, path, "rb", block_size=0))
    return cast(BinaryIO, _Checked(url, stream))


class _Checked(InputStream):
    """A stream whose errors name the URL."""

    def __init__(self, url: Url, stream: BinaryIO) -> None:
        self._url, self._stream = url, stream

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end."""
        with explained(self._url):
            block: bytes = self._stream.read(size)
        return block


class _Retried(_Checked):
    """A file for random access; if the connection is lost, the part is fetched again."""

    def seekable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end, or the rest without a size."""
        start = self._stream.tell()

        def fetch() -> bytes:
            self._stream.seek(start)
            block: bytes = self._stream.read(size)
            return block

        return attempt(self._url, fetch)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position."""
        position: int = self._stream.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Return the position."""
        position: int = self._stream.tell()
        return position


def each_file(function: Callable[[Location], _Result], files: Sequence[Location]) -> list[_Result]:
    """Call a function for each file, in parallel for URLs."""
    if sum(isinstance(file, Url) for file in files) < 2:
        return [*map(function, files)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_MOST_REQUESTS) as threads:
        return [*threads.map(function, files)]


def file_size(location: Location) -> int:
    """Return the size of a file in bytes; 0 if the server of a URL does not send it.

    Raises:
        OSError: if a local file can't be read.
        UsageError: if a file at a URL can't be read.
    """
    if isinstance(location, Url):
        return file_version(location)[0] or 0
    return location.stat().st_size


def file_version(url: Url) -> tuple[int | None, str | None]:
    """Return size and version of a file, see `RemoteFile`; None if the server omits the size.

    Raises:
        UsageError: if it does not exist or can't be read.
    """
    system, path = file_system(url)
    if (files := _fsspec_files(system)) is not None:
        files.invalidate_cache()
        facts = attempt(url, partial(files.info, path))
        if facts.get("type") == "directory":
            raise is_folder(url)
        size, etag = facts.get("size"), facts.get("ETag")
        modified = next((str(facts[key]) for key in _TIME_KEYS if facts.get(key)), None)
    else:
        with open_file(url) as handle, explained(url):
            size, etag = handle.size(), handle.metadata().get("ETag")
        etag = etag and etag.decode()
        modified = None if etag else str(file_info(url).mtime_ns)
    version = etag or (f"{size} bytes, {modified}" if modified else None)
    return size, version


def is_folder(url: Url, way_out: str = "") -> UsageError:
    """Return the error for a folder in place of a file."""
    way_out = way_out or f"to read all files in it, use '{url.rstrip('/')}/*.parquet'"
    return UsageError(f"{url}: is a folder, expected a file; {way_out}")


def file_info(url: Url) -> FileInfo:
    """Return the type of the entry at a URL (may be `NotFound`), and its size if it is a file.

    Raises:
        UsageError: if the request fails.
    """
    system, path = file_system(url)
    return attempt(url, partial(system.get_file_info, path))


def file_names(folder: Url, only: FileType | None = None) -> list[str]:
    """Return the files below a folder, relative to it and sorted; empty if it does not exist.

    Args:
        folder: the folder.
        only: `FileType.Directory` to list the subfolders directly in it instead.

    Raises:
        UsageError: if it can't be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    system, path = file_system(folder)
    selector = FileSelector(path, allow_not_found=True, recursive=only is None)
    infos = attempt(folder, partial(system.get_file_info, selector))
    root = f"{path.strip('/')}/"
    files = [info.path.lstrip("/") for info in infos if info.type == (only or FileType.File)]
    return sorted(name.removeprefix(root) for name in files)


# Writing


def check_writable(url: Url) -> None:
    """Check that a new file can be written to a URL.

    Raises:
        UsageError: if the file already exists, the bucket does not, or the URL is a web server's.
    """
    from pyarrow.fs import FileType

    if url.is_http:
        raise UsageError(f"{url}: can't write to a web server; use a file or another kind of URL")
    if file_info(url).type != FileType.NotFound:
        raise UsageError(f"{url}: already exists; use another name or remove it first")
    bucket = Url(f"{url.scheme}://{url.path.partition('/')[0]}")
    if url.scheme in BUCKETS and file_info(bucket).type == FileType.NotFound:
        raise UsageError(f"{url}: no such bucket")


def upload(file: Path, url: Url) -> None:
    """Write a file to a URL, where it appears completely or not at all.

    In an object store, an object appears once it is complete. Elsewhere the file is written under
    another name first.

    Raises:
        UsageError: if it can't be written.
    """
    system, path = file_system(url)
    parent, _, name = path.rpartition("/")
    written = path if url.scheme in _OBJECT_STORES else f"{parent}/.{name}.partial"
    with explained(url):
        content = pa.memory_map(str(file)).read_buffer() if file.stat().st_size else b""
        if url.scheme not in _OBJECT_STORES and parent:
            system.create_dir(parent)
        try:
            sink = system.open_output_stream(written, compression=None)
            # In one call: Arrow completes an object even if writing is interrupted.
            sink.write(content)
            sink.close()
            if written != path:
                system.move(written, path)
        except BaseException:
            if written != path:
                with suppress(Exception):  # only the first error is shown
                    system.delete_file(written)
            raise


# File systems


def file_system(url: Url) -> tuple[FileSystem, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        UsageError: for a scheme that is unknown or not installed, or a missing bucket.
    """
    if url.scheme == "s3":
        get = os.environ.get
        endpoint = get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL") or None
        region = get("AWS_REGION") or get("AWS_DEFAULT_REGION")
        if not region:
            bucket, _, _ = url.path.partition("/")
            region = "us-east-1" if endpoint else attempt(url, partial(_region, bucket))
        return _s3(endpoint, region), url.path.rstrip("/")
    return _arrow(url) if url.scheme in _ARROW_SCHEMES else _fsspec(url)


def open_file(url: Url) -> pa.NativeFile:
    """Open a file for random access.

    Raises:
        UsageError: if it does not exist or can't be read.
    """
    system, path = file_system(url)
    if (files := _fsspec_files(system)) is None:  # files of Arrow's systems retry by themselves
        return attempt(url, partial(system.open_input_file, path))
    return pa.PythonFile(_Retried(url, attempt(url, partial(files.open, path, "rb"))), mode="r")


def _fsspec_files(system: FileSystem) -> AbstractFileSystem | None:
    """Return the wrapped fsspec file system, whose errors are more detailed; None for Arrow's."""
    from pyarrow.fs import PyFileSystem

    return system.handler.fs if isinstance(system, PyFileSystem) else None


@cache
def _region(bucket: str) -> str:
    from pyarrow.fs import resolve_s3_region

    return str(resolve_s3_region(bucket))


@cache
def _s3(endpoint: str | None, region: str) -> FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_READ_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=len(_WAITS) + 1),
    )


def _arrow(url: Url) -> tuple[FileSystem, str]:
    with explained(url):
        if url.scheme in ("gs", "gcs"):
            from datetime import timedelta

            from pyarrow.fs import GcsFileSystem

            limit = timedelta(seconds=_CONNECT_SECONDS)
            return GcsFileSystem(retry_time_limit=limit), url.path.rstrip("/")
        from pyarrow.fs import FileSystem

        return cast(tuple["FileSystem", str], FileSystem.from_uri(str(url)))


def _fsspec(url: Url) -> tuple[FileSystem, str]:
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import get_filesystem_class
    except ImportError:
        message = f"{url.scheme}:// requires fsspec; {install_command('remote')}"
        raise UsageError(f"{url}: {message}") from None
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        get_filesystem_class(url.scheme)
    except ValueError:
        known = "s3, gs, abfs, hdfs, https, file"
        message = f"unknown scheme {url.scheme}://; expected {known} or another scheme of fsspec"
        raise UsageError(f"{url}: {message}") from None
    except ImportError as error:  # fsspec's message contains the package to install
        way_out = install_command("remote") if url.is_http else str(error)
        raise UsageError(f"{url}: a package for {url.scheme}:// is missing; {way_out}") from None
    with explained(url):
        files, path = url_to_fs(str(url), **(_web_options() if url.is_http else {}))
        return PyFileSystem(FSSpecHandler(files)), path


def _web_options() -> dict[str, object]:
    """Return options of fsspec's HTTP client: timeouts, proxy and `.netrc`, exact ranges."""
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}, "cache_type": "none"}


# Errors and retries


def attempt(url: Url, action: Callable[[], _Result]) -> _Result:
    """Run an operation, and retry after temporary failures.

    Raises:
        UsageError: if it fails.
    """
    for seconds in () if url.scheme in BUCKETS else _WAITS:
        try:
            return action()
        except Exception as error:
            if isinstance(error, DlcliError) or not _may_pass(error):
                raise failure(url, error) from None
        time.sleep(seconds)
    with explained(url):
        return action()


@contextmanager
def explained(url: Url) -> Iterator[None]:
    """Convert the errors of a file system to errors that contain the URL.

    Raises:
        UsageError: instead of an error of the file system.
    """
    try:
        yield
    except Exception as error:
        raise failure(url, error) from None


def failure(url: Url, error: Exception) -> DlcliError:
    """Return the error to raise for an error of a file system.

    The original message is omitted where it may contain a redirection to a signed URL.
    """
    if isinstance(error, DlcliError):
        return error
    cause = _cause(error)
    status, aws = _status(cause), _AWS_ERROR.search(str(cause))
    name = aws[1] if aws else ""
    if aws and aws[2]:
        status = int(aws[2])
    if name == "NO_SUCH_BUCKET" or re.search(r"[Bb]ucket '.*' not found", str(cause)):
        return UsageError(f"{url}: no such bucket")
    if isinstance(cause, FileNotFoundError) or status in (404, 410) or name in _AWS_ABSENT:
        return UsageError(f"{url}: no such file")
    is_forbidden = isinstance(cause, PermissionError) or status in _FORBIDDEN_STATUS
    if is_forbidden or name in _AWS_FORBIDDEN or _FORBIDDEN.search(str(cause)):
        why = f"status {status}" if status else name or "access denied"
        return UsageError(f"{url}: the credentials of this environment don't allow access ({why})")
    if _NO_CREDENTIALS.search(str(cause)):
        return UsageError(f"{url}: this environment has no credentials for it")
    if status:
        return UsageError(f"{url}: the server returned status {status}")
    if plain := _connection_failure(url, cause):
        return UsageError(f"{url}: can't be reached: {plain}")
    if name in _AWS_UNREACHABLE or _is_unreachable(cause):
        return UsageError(f"{url}: can't be reached: {_reason(cause)}")
    return UsageError(f"{url}: can't be read or written: {_reason(cause)}")


def _cause(error: BaseException) -> BaseException:
    """Return the cause behind fsspec's error: it reports every HTTP failure as a missing file."""
    if type(error).__name__ == "ClientPayloadError":  # caused by a status of aiohttp's own
        return error
    return error.__cause__ or error


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an error."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _connection_failure(url: Url, error: BaseException) -> str:
    """Return why there is no connection to a web server, or an empty string if it is not clear."""
    if not url.is_http:
        return ""  # the host in the URL may be a bucket
    host = url.path.partition("/")[0].rpartition("@")[2]
    cause = getattr(error, "os_error", error)  # of aiohttp
    if _is_unknown_host(error) or _is_unknown_host(cause):
        return f"the host '{host}' was not found"
    if isinstance(cause, ConnectionRefusedError):
        return f"'{host}' refused the connection"
    if isinstance(cause, TimeoutError):
        return f"'{host}' did not respond in time"
    return ""


def _is_unknown_host(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or "DNS" in type(error).__name__


def _is_unreachable(error: BaseException) -> bool:
    kinds = (ConnectionError, TimeoutError, socket.gaierror)
    return isinstance(error, kinds) or "Client" in type(error).__name__


def _may_pass(error: Exception) -> bool:
    cause = _cause(error)
    if status := _status(cause):
        return status in _TRANSIENT_STATUS
    return _is_unreachable(cause) and not _is_unknown_host(cause)


def _reason(error: BaseException) -> str:
    """Return the main part of an error's message, without URLs."""
    text = str(error).partition("\n")[0].partition("; Details:")[0]
    if found := re.search(r"curlCode: \d+, (.*)", text) or _AWS_ERROR.search(text):
        text = found[1]
    text = re.sub(r"\w+://\S+", "...", text).rstrip(". ")
    return truncate(text, _MOST_TEXT) or type(error).__name__
