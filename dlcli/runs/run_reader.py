"""Finished runs found by their paths, and opened at URLs."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.errors import DlcliError, RunError, did_you_mean, option
from dlcli.runs.manifest import MANIFEST, PAGE, Manifest, RunFile, is_unfinished
from dlcli.runs.run import Run, train_command
from dlcli.safe_files import MAX_DOCUMENT_BYTES, os_error_text, write_atomically
from dlcli.schema.urls import Location, Url, hide_secrets

_NEEDED = (
    RunFile.RESOLVED,
    RunFile.ENCODING,
    RunFile.WEIGHTS,
    RunFile.ENSEMBLE,
    RunFile.CONFORMAL,
    RunFile.ENVIRONMENT,
    RunFile.METRICS,
)
_OF_BASELINES = (RunFile.BASELINES, RunFile.BASELINE_WEIGHTS)
_BLOCK_BYTES = 2**20


def open_run(path: Path) -> Run:
    """Open a finished run; its files are verified as they are read.

    Raises:
        RunError: if there is none, or it is unfinished, damaged or of a newer format.
    """
    require_folder(path)
    return Run(path, Manifest.of(path))


def is_run_folder(path: Path) -> bool:
    """Return whether a path is the folder of a run, finished or not."""
    return os.path.lexists(path / MANIFEST) or is_unfinished(path)


def latest_run(kinds: Collection[str], base: Path = Path("runs")) -> Run | None:
    """Return the run that was finished last, or the last by name of those finished together.

    Args:
        kinds: allowed kinds.
        base: the folder of run folders.

    Returns:
        The run; `None` if there is none.
    """
    runs = []
    for path in entries_of(base):
        if path.is_dir() and not path.is_symlink():  # a link would count a run twice
            with suppress(RunError):
                runs.append(Run(path, Manifest.of(path)))
    runs = [run for run in runs if run.kind in kinds]
    return max(runs, key=lambda run: (run.created, run.path.name), default=None)


def require_folder(path: Path) -> None:
    """Raise `RunError` for anything but a readable folder, with the run that may be meant."""
    try:
        os.stat(path / MANIFEST)
    except PermissionError as error:  # also of a folder above
        raise RunError(f"{path}: can't be read: {os_error_text(error)}") from None
    except (OSError, ValueError):  # it is not there, or the name is impossible
        pass
    if os.path.isdir(path):
        return
    meant = _run_of_name(path)
    if not os.path.exists(path):
        # As a path, a URL lost a slash.
        if url := re.match(r"(?!file:)([a-zA-Z][\w+.-]+:)/(?=[^/])", str(path)):
            name = hide_secrets(f"{url[1]}//{str(path)[url.end() :]}")
            message = "only predict, evaluate and dlcli.load take the URL of a run"
            way_out = "copy it to a local folder with the tool of its provider"
            raise RunError(f"{name}: {message}; {way_out}")
        siblings = [entry.name for entry in entries_of(path.parent) if entry.is_dir()]
        runs = [f"runs/{entry.name}" for entry in entries_of(Path("runs"))]
        meant = meant or did_you_mean(path.name, siblings) or did_you_mean(f"runs/{path}", runs)
        raise RunError(f"{path}: no such run folder{meant}")
    is_config = path.suffix.lower() in (".yaml", ".yml")
    if is_config and not meant:
        meant = f"; train it first: {train_command(path)}"
    kind = "config" if is_config else "file"
    raise RunError(f"{path}: is a {kind}, a run folder was expected{meant}")


def _run_of_name(path: Path) -> str:
    """Return the run that a file is part of, or one in `runs` with the name of a path or a file."""
    if is_run_folder(path.parent):
        return f"; did you mean '{path.parent}'?"
    for folder in dict.fromkeys((path.parent / "runs", Path("runs"))):
        for name in (path.name, path.stem):
            if is_run_folder(folder / name):
                return f"; did you mean '{folder / name}'?"
    return ""


def entries_of(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it is none, or may be written to but not listed."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def write_page(run: Run, html: str) -> Path:
    """Store the page of a run in its folder, in place of an earlier one, and return its path.

    Raises:
        RunError: if it can't be stored.
    """
    path = run.path / PAGE
    try:
        with write_atomically(path, is_locked=False) as temporary:
            temporary.write_bytes(html.encode())
    except OSError as error:
        raise RunError(
            f"{path}: could not be stored: {os_error_text(error)}; write the page elsewhere with "
            f"{option('output')}"
        ) from error
    return path


def tracked_files(run: Run) -> list[Path]:
    """Return the files of a finished run that trackers store, too."""
    names = [*run.manifest.files, MANIFEST, PAGE]
    return [path for name in names if (path := run.path / name).is_file()]


# Runs at URLs


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


def _copy(url: Url, names: Sequence[RunFile], folder: Path) -> Run:
    _copy_file(url, MANIFEST, folder, MAX_DOCUMENT_BYTES)
    manifest = Manifest.of(folder)
    for name in names:
        if name in manifest.files:
            most = min(manifest.files[name].bytes, name.limit)
            _copy_file(url, name, folder, most)
    return Run(folder, manifest)


def _copy_file(run: Url, name: str, folder: Path, limit: int) -> None:
    """Copy a file of a run, but at most one byte more than it may have.

    Raises:
        RunError: if it can't be read.
    """
    from dlcli.tables.remote_files import open_url

    url, left = Url(f"{run.rstrip('/')}/{name}"), limit + 1
    try:
        with open_url(url) as source, (folder / name).open("wb") as target:
            while left and (block := source.read(min(left, _BLOCK_BYTES))):
                target.write(block)
                left -= len(block)
    except DlcliError as error:
        raise RunError(f"{error}; expected the folder of a finished run") from None
