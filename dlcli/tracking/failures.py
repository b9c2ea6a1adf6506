"""Why a tracker has failed, in one line that gives no password away."""

from __future__ import annotations

import re

from dlcli.tracking.parameters import shortened

_SECRET = re.compile(r"(?<=://)[^/@\s]*@")
_MOST = 600


def reason(error: Exception) -> str:
    """The first line of what an exception says, or its kind if it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return without_secrets(f"{where}{error.strerror}")
    lines = [line.strip() for line in str(error).splitlines()]
    said = next((line for line in lines if line), type(error).__name__)
    return shortened(without_secrets(said), _MOST)


def without_secrets(text: str) -> str:
    """The same without the user names and passwords of addresses."""
    return _SECRET.sub("", text)
