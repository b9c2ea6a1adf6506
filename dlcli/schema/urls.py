"""URLs of tables and runs. They must not contain secrets, which runs and messages would reveal."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?#]*)(.*)", re.S)
"""Scheme, host and the rest. A scheme has at least two letters, because `C://` is a drive."""
_HOST = re.compile(r"(?:[^@]*@)?(?:[^@:]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_SECRET = re.compile(
    r"sig|token|secret|pass(?:w|$)|pwd|cred|auth|jwt|session|key|(?:^|[^a-z])user", re.IGNORECASE
)
"""Parameters of signed URLs, such as `X-Amz-Signature` and the `sig` of a SAS token."""
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{40,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+")
"""A value that looks like a secret or a JSON Web Token."""
_WAY_OUT = "it would end up in run folders and messages; pass credentials in environment variables"


class Url(str):
    """A URL of a table or a run, checked by `locate`."""

    __slots__ = ()

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.rstrip('/')}/{name}")

    @property
    def scheme(self) -> str:
        """The scheme: `s3`."""
        return self.partition("://")[0].lower()

    @property
    def path(self) -> str:
        """The part after the scheme, `bucket/bikes.csv`; for HTTP, without the query."""
        rest = self.partition("://")[2]
        return re.split("[?#]", rest, maxsplit=1)[0] if self.is_http else rest

    @property
    def name(self) -> str:
        """The last part of the path: `bikes.csv`."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The extension of the name: `.csv`."""
        return PurePosixPath(self.name).suffix

    @property
    def is_http(self) -> bool:
        """True for a web server, which can't list folders or store files."""
        return self.scheme in ("http", "https")


Location = Path | Url
"""A local path, or a URL."""


def hide_secrets(text: str) -> str:
    """Replace users, passwords and parameters of URLs in a text by dots."""
    text = re.sub(r"(://)[^\s'\"]*@", r"\1...@", text)
    return re.sub(r"(://[^\s'\"?]*\?)[^\s'\"]*=[^\s'\"]*", r"\1...", text)


def locate(name: str | Path) -> Location:
    """Parse a path or URL; a `file://` URL becomes a path.

    The scheme becomes lower case, as file systems expect.

    Raises:
        ValueError: for a URL without a host or with a secret, which the message omits.
    """
    if isinstance(name, Path | Url):
        return name
    parts = _URL.fullmatch(name)
    if parts is None:
        return Path(name)
    scheme, host, rest = parts.groups()
    scheme = scheme.lower()
    if scheme == "file":
        if host not in ("", "localhost"):
            raise ValueError(f"{name}: a URL of a local file begins with file:///")
        from urllib.request import url2pathname

        return Path(url2pathname(rest))
    _refuse_secrets(scheme, host, rest)
    if not host and scheme != "memory":
        raise ValueError(f"{name}: has no host or bucket")
    return Url(f"{scheme}://{host}{rest}")


def _refuse_secrets(scheme: str, host: str, rest: str) -> None:
    user, at, _ = host.rpartition("@")
    is_http = scheme in ("http", "https")
    if ":" in user or not _HOST.fullmatch(host) or (at and is_http):
        raise ValueError(f"a URL of {scheme}:// has a user or password; {_WAY_OUT}")
    path, _, query = rest.partition("?")
    where = f"{scheme}://{host}{path.partition('#')[0]}"
    parameters = parse_qsl(query.partition("#")[0], keep_blank_values=True)
    if not is_http and any(value for _, value in parameters):
        raise ValueError(
            f"{where}: a URL of {scheme}:// can't have parameters after '?'; {_WAY_OUT}"
        )
    for key, value in parameters:
        if _SECRET.search(key) or _RANDOM.fullmatch(unquote(value)):
            raise ValueError(f"{where}: has a secret after '?', as a signed URL has; {_WAY_OUT}")
