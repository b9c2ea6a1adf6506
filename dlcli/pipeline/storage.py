"""Where rows wait while they are trained on: in memory, or on disk beside the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlcli.config import ConfigFile
from dlcli.pipeline.memory import available_memory
from dlcli.pipeline.tables import data_files
from dlcli.runs import cache_folder

EXPANSION = {".parquet": 8.0, ".pq": 8.0, ".gz": 12.0, ".zst": 12.0}
"""How much memory a byte of a packed file takes: its rows, the sets that they are dealt out to, the
matrix, and its copy on the device."""
USUAL_EXPANSION = 4.0
"""The same of other files."""


@contextmanager
def working_folder(file: ConfigFile, output: Path | None) -> Iterator[Path | None]:
    """Makes a folder for rows if they are to wait on disk, and removes it at the end.

    Args:
        file: the config.
        output: the run folder, if one was named.

    Yields:
        The folder, or `None` if rows wait in memory.

    Raises:
        UsageError: if it can't be made, or the config names files that aren't there.
    """
    storage = file.config.data.storage
    if storage == "memory" or (storage == "auto" and not _is_large(data_files(file))):
        yield None
        return
    with cache_folder(output, file.name) as folder:
        yield folder


def _is_large(files: Sequence[Path]) -> bool:
    """Whether rows would take more than half of the memory that there is."""
    needed = sum(
        _size(path) * EXPANSION.get(path.suffix.lower(), USUAL_EXPANSION) for path in files
    )
    return needed > available_memory() / 2


def _size(path: Path) -> int:
    """Bytes of a file; none if it can't be looked at, which the reader will tell."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # such as a name that is too long, or with a NUL character
        return 0
