"""The code of Vega that pages contain, so that their charts work offline."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from dlcli.runs import write_atomically

_REQUEST = "window.vegaEmbed = vegaEmbed;"
"""The statement that pages need at the end of it."""


@cache
def vega_script() -> str:
    """Return the code of Vega, Vega-Lite and Vega-Embed that vl-convert ships: some 900 KB.

    Nothing in it may end its element: `</script` and `<!--` could only occur in strings and regular
    expressions, where a backslash before a character that needs none changes nothing.
    """
    return _bundle().replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _bundle() -> str:
    """Return vl-convert's bundle, from the user's cache if it is there.

    Making it takes about as long as all the rest of a small page. A file in the cache that is
    damaged, or was made by another request, has another digest and is replaced.
    """
    import vl_convert

    path = _cache_folder() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        content = path.read_bytes().decode()
        bundle = content.partition("\n")[2]
        if content == _stored(bundle):
            return bundle
    bundle = vl_convert.javascript_bundle(_REQUEST)
    with suppress(OSError):  # without it, the next page takes longer
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path, is_locked=False) as temporary:
            temporary.write_bytes(_stored(bundle).encode())
    return bundle


def _stored(bundle: str) -> str:
    """Return a bundle as it is in the cache: below a digest of it and the request."""
    digest = hashlib.sha256(f"{_REQUEST}\n{bundle}".encode()).hexdigest()
    return f"// {digest}\n{bundle}"


def _cache_folder() -> Path:
    """Return the user's folder for what dlcli can make again at any time.

    On Linux it is that of the XDG Base Directory Specification.
    """
    given = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given, "dlcli")
    caches = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.path.expanduser(caches), "dlcli")
