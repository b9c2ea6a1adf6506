"""File systems by the scheme of a URL, with time limits, retries and errors that name the URL.

Arrow has those of `s3`, `gs`, `abfs` and `hdfs`, fsspec all others. What may pass is tried again:
by the provider's own library in Arrow's for `s3` and `gs`, here for others. Credentials come from
where these libraries look for them: the environment, the provider's files, or the machine's role.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar, cast

import pyarrow as pa

from dlcli.errors import DlcliError, UsageError, install_command, truncate
from dlcli.schema.urls import Url

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from pyarrow.fs import FileSystem

_Result = TypeVar("_Result")
_WAITS = (0.5, 2.0)
"""Seconds before what has failed is tried again."""
_MOST_TEXT = 200
"""Most characters of a library's own text."""
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
"""Time without a byte after which a server is given up."""
BUCKETS = ("s3", "gs", "gcs")
"""Schemes whose host is a bucket, and whose library tries again by itself."""
_ARROW_SCHEMES = (*BUCKETS, "abfs", "abfss", "hdfs", "viewfs")
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_FORBIDDEN_STATUS = (401, 403)
_AWS_ERROR = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))?")
_AWS_FORBIDDEN = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")
_AWS_ABSENT = ("NO_SUCH_BUCKET", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND")
_FORBIDDEN = re.compile("PERMISSION_DENIED|UNAUTHENTICATED|AuthorizationFailure")
_NO_CREDENTIALS = re.compile("OAuth2 access token|Failed to get token")
"""In errors of Google's and Microsoft's libraries, which state no status."""
_AWS_UNREACHABLE = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT")


def file_system(url: Url) -> tuple[FileSystem, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        UsageError: for a scheme that is unknown or not installed, or a missing bucket.
    """
    if url.scheme == "s3":
        endpoint = _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        region = _environment("AWS_REGION", "AWS_DEFAULT_REGION")
        if region is None:
            bucket, _, _ = url.path.partition("/")
            region = "us-east-1" if endpoint else attempt(url, partial(_region, bucket))
        return _s3(endpoint, region), url.path.rstrip("/")
    if url.scheme in _ARROW_SCHEMES:
        return _arrow(url)
    return _fsspec(url)


def open_file(url: Url) -> pa.NativeFile:
    """Open a file for random access.

    Raises:
        UsageError: if it is not there or can't be read.
    """
    system, path = file_system(url)
    if (files := fsspec_files(system)) is None:
        return attempt(url, partial(system.open_input_file, path))
    return pa.PythonFile(attempt(url, partial(files.open, path, "rb")), mode="r")


def fsspec_files(system: FileSystem) -> AbstractFileSystem | None:
    """Return the file system of fsspec that one is, whose errors say more; None for Arrow's."""
    from pyarrow.fs import PyFileSystem

    return system.handler.fs if isinstance(system, PyFileSystem) else None


def _environment(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


@cache
def _region(bucket: str) -> str:
    from pyarrow.fs import resolve_s3_region

    region: str = resolve_s3_region(bucket)
    return region


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
        message = f"a URL of {url.scheme}:// needs fsspec; {install_command('remote')}"
        raise UsageError(f"{url}: {message}") from None
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        get_filesystem_class(url.scheme)
    except ValueError:
        known = "s3, gs, abfs, hdfs, https, file"
        message = f"unknown scheme {url.scheme}://; expected one of {known}, or of fsspec's others"
        raise UsageError(f"{url}: {message}") from None
    except ImportError as error:  # fsspec's text names the package to install
        way_out = install_command("remote") if url.is_http else str(error)
        raise UsageError(f"{url}: a package for {url.scheme}:// is missing; {way_out}") from None
    with explained(url):
        files, path = url_to_fs(str(url), **(_web_options() if url.is_http else {}))
        return PyFileSystem(FSSpecHandler(files)), path


def _web_options() -> dict[str, object]:
    """Return options of fsspec's HTTP: time limits, the proxy and `.netrc`, and exact ranges."""
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}, "cache_type": "none"}


# Errors and retries


def attempt(url: Url, action: Callable[[], _Result]) -> _Result:
    """Do something, again after a while if it fails for a reason that may pass.

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
    """Turn the errors of a file system into one that names the URL.

    Raises:
        UsageError: in place of them.
    """
    try:
        yield
    except Exception as error:
        raise failure(url, error) from None


def failure(url: Url, error: Exception) -> DlcliError:
    """Return the error to raise for one of a file system.

    Its own text is not quoted where it may contain a redirection to a signed URL.
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
        return UsageError(
            f"{url}: may not be read or written with the credentials of this environment ({why})"
        )
    if _NO_CREDENTIALS.search(str(cause)):
        return UsageError(f"{url}: there are no credentials for it in this environment")
    if status:
        return UsageError(f"{url}: the server has answered with status {status}")
    if name in _AWS_UNREACHABLE or _is_unreachable(cause):
        return UsageError(f"{url}: can't be reached: {_reason(cause)}")
    return UsageError(f"{url}: can't be read or written: {_reason(cause)}")


def _cause(error: BaseException) -> BaseException:
    """Return what fsspec hides: it reports each failure of a web server as a missing file."""
    if type(error).__name__ == "ClientPayloadError":  # caused by a status of aiohttp's own
        return error
    return error.__cause__ or error


def _status(error: BaseException) -> int | None:
    """Return the status that a web server has answered with."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _is_unreachable(error: BaseException) -> bool:
    kinds = (ConnectionError, TimeoutError, socket.gaierror)
    return isinstance(error, kinds) or "Client" in type(error).__name__


def _may_pass(error: Exception) -> bool:
    cause = _cause(error)
    if status := _status(cause):
        return status in _TRANSIENT_STATUS
    is_unknown_host = isinstance(cause, socket.gaierror) or "DNS" in type(cause).__name__
    return _is_unreachable(cause) and not is_unknown_host


def _reason(error: BaseException) -> str:
    """Return the essence of an error's text, without the URLs in it."""
    text = str(error).partition("\n")[0].partition("; Details:")[0]
    if found := re.search(r"curlCode: \d+, (.*)", text) or _AWS_ERROR.search(text):
        text = found[1]
    text = re.sub(r"\w+://\S+", "...", text).rstrip(". ")
    return truncate(text, _MOST_TEXT) or type(error).__name__
