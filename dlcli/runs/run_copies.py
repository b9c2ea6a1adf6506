"""Runs at URLs: copied to a temporary folder, as far as they are needed to predict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlcli.config import Location, Url
from dlcli.errors import DlcliError, RunError
from dlcli.runs.manifest import LIMITS, MANIFEST, FileName, Manifest
from dlcli.runs.run_reader import Run, open_run
from dlcli.runs.safe_files import MAX_DOCUMENT_BYTES

_NEEDED: Sequence[FileName] = (
    "resolved.yaml",
    "encoding.json",
    "weights.npz",
    "ensemble.json",
    "conformal.json",
    "environment.json",
    "metrics.json",
)
_OF_BASELINES: Sequence[FileName] = ("baselines.json", "baselines.npz")
_BLOCK_BYTES = 2**20
_MOST_BYTES = 2**34
"""Of a file without a limit of its own."""


@contextmanager
def opened_network(location: Location, *, with_baselines: bool = False) -> Iterator[Run]:
    """Open a run that has a network to predict with, at a path or at a URL.

    Of a run at a URL, what predictions need is copied to a temporary folder. It is verified there
    as any other run, and removed at the end.

    Args:
        location: the run folder, or its URL.
        with_baselines: whether its baselines are copied, too.

    Raises:
        RunError: if there is none, or it is unfinished, damaged, of a newer format or without one.
    """
    if not isinstance(location, Url):
        run = open_run(location)
        run.require_network()
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="dlcli-") as folder:
        try:
            needed = (*_NEEDED, *(_OF_BASELINES if with_baselines else ()))
            run = _copy(location, needed, Path(folder))
            run.require_network()
            yield run
        except RunError as error:
            error.args = (str(error).replace(folder, location.rstrip("/")),)
            raise


def _copy(url: Url, names: Sequence[FileName], folder: Path) -> Run:
    _copy_file(url, MANIFEST, folder, MAX_DOCUMENT_BYTES)
    manifest = Manifest.of(folder)
    for name in names:
        if name in manifest.files:
            most = min(manifest.files[name].bytes, LIMITS.get(name, _MOST_BYTES))
            _copy_file(url, name, folder, most)
    return Run(folder, manifest)


def _copy_file(run: Url, name: str, folder: Path, limit: int) -> None:
    """Copy a file of a run, but at most one byte more than it may have.

    Raises:
        RunError: if it can't be read.
    """
    from dlcli.tables import open_url

    url, left = Url(f"{run.rstrip('/')}/{name}"), limit + 1
    try:
        with open_url(url) as source, (folder / name).open("wb") as target:
            while left and (block := source.read(min(left, _BLOCK_BYTES))):
                target.write(block)
                left -= len(block)
    except DlcliError as error:
        raise RunError(f"{error}; expected the folder of a finished run") from None
