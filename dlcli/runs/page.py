"""What is made of a finished run to be looked at.

The manifest doesn't vouch for it and nothing reads it again, so it may be made anew at any time.
"""

from __future__ import annotations

from pathlib import Path

from dlcli.errors import RunError
from dlcli.runs.manifest import CURVES, PAGE
from dlcli.runs.run import Run
from dlcli.runs.storage import os_error_text, write_atomically


def write_page(run: Run, html: str) -> Path:
    """Stores a run's page in its folder, in the place of an earlier one.

    Returns:
        Where it lies.

    Raises:
        RunError: if it can't be stored.
    """
    return _write(run.path / PAGE, html.encode())


def write_curves(run: Run, picture: bytes) -> Path:
    """Stores the picture of a run's curves, PNG, in the place of an earlier one.

    Returns:
        Where it lies.

    Raises:
        RunError: if it can't be stored.
    """
    return _write(run.path / CURVES, picture)


def _write(path: Path, content: bytes) -> Path:
    try:
        with write_atomically(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise RunError(
            f"{path}: could not be stored: {os_error_text(error)}; write the page elsewhere with --output"
        ) from error
    return path
