"""Creation, resumption and lookup of run folders, by paths and URLs.

The folder of a run that ends without a result is removed completely. This module also contains the
files that the manifest does not list: the report and the files of trackers.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli import safe_files
from dlcli.errors import DlcliError, RunError, UsageError, did_you_mean, most_similar, option
from dlcli.runs import manifest
from dlcli.runs.manifest import MANIFEST, PAGE, Manifest, RunFile, is_unfinished
from dlcli.runs.run import Run, train_command
from dlcli.schema.urls import Location, Url, hide_secrets

if TYPE_CHECKING:
    from dlcli.runs.run_writer import RunWriter  # not needed for predictions

_CACHE = re.compile(r"\..+-[0-9]+-[0-9a-f]{8}\.cache")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TRACKERS = "trackers.json"
_MAX_TRACKERS_BYTES = 2**14
_TRACKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@contextmanager
def new_run(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[RunWriter]:
    """Create a run folder, and remove it at the end unless the run is finished or can be resumed.

    Args:
        folder: the run folder, which must not exist; `None` for a folder in `base`.
        name: the name of the run. Without `folder`, the folder is the first of `base/name`,
            `base/name-2`, `base/name-3`, ... that does not exist. No two processes get the same
            folder.
        base: the folder of run folders.

    Yields:
        The writer. If the block ends without `finish` or with an exception, only a folder that can
        be resumed remains; new empty parents are also removed.

    Raises:
        UsageError: if the folder exists or can't be created, or the name is invalid.
    """
    from dlcli.runs.run_writer import RunWriter

    made = _make_numbered(base, name) if folder is None else _make_named(folder)
    writer = RunWriter(made[-1])
    try:
        with writer.locked():
            yield writer
    except BaseException as error:
        _add_resume_note(error, writer)
        raise
    finally:
        writer.close()
        if not writer.finished and not writer.can_resume:
            _remove(made)


@contextmanager
def unfinished_run(folder: Path, kind: manifest.RunKind = "train") -> Iterator[RunWriter]:
    """Open an interrupted run, which is never removed.

    Args:
        folder: the run folder, untrusted.
        kind: the expected kind.

    Raises:
        RunError: if the run is missing, finished, of another kind or being trained by another
            process, if it ended before training began, or if one of its files is not a regular
            file.
    """
    from dlcli.runs.run_writer import RunWriter

    require_folder(folder)
    _check_unfinished(folder, kind)  # first, because a lock would remain in another folder
    writer = RunWriter(folder)
    with writer.locked():
        _check_unfinished(folder, kind)  # again, because another process may have just finished it
        try:
            yield writer
        except RunError:  # the content of the folder is permanently unusable
            raise
        except BaseException as error:
            _add_resume_note(error, writer)
            raise
        finally:
            writer.close()


def _add_resume_note(error: BaseException, writer: RunWriter) -> None:
    """Add the command that resumes a run to the exception that ended it, without repetition."""
    is_named = isinstance(error, DlcliError) and error.names_way_to_resume
    is_named |= writer.way_to_resume in getattr(error, "__notes__", ())
    if writer.can_resume and not writer.finished and not is_named:
        error.add_note(writer.way_to_resume)


def _check_unfinished(folder: Path, kind: manifest.RunKind) -> None:
    """Raise `RunError` unless a folder is an unfinished run of a kind, without links."""
    from dlcli.runs.run_writer import remove_resume_files

    if os.path.lexists(folder / MANIFEST):
        Manifest.of(folder)  # raises an error if it is damaged
        remove_resume_files(folder)  # which may remain after a crash
        raise RunError(f"{folder}: is finished; there is nothing to train")
    for name in (*RunFile, manifest.LOCK):
        path = folder / name
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise safe_files.not_regular(path)
    for name in manifest.ORIGIN:
        if not os.path.lexists(folder / name):
            raise RunError(
                f"{folder}: has no {name}, so it is not a run, or it ended before training "
                "started; train it again"
            )
    if (found := manifest.kind_of_unfinished(folder)) != kind:
        what = f"is an unfinished {manifest.KIND_NAMES[found]}, not a {manifest.KIND_NAMES[kind]}"
        raise RunError(f"{folder}: {what}; resume with: {manifest.resume_command(folder)}")


def unfinished_runs_like(writer: RunWriter) -> list[Path]:
    """Return the unfinished runs next to a run with the same resolved config.

    Args:
        writer: the run, whose resolved config is stored.
    """
    path = writer.path / RunFile.RESOLVED
    content = path.read_bytes()

    return [
        folder
        for folder in sorted(entries_of(writer.path.parent))
        if folder != writer.path
        and is_unfinished(folder)
        and manifest.holder_of(folder) is None
        and safe_files.has_content(folder / path.name, content)
    ]


def existing_folder_advice(folder: Path) -> str:
    """Return a hint on an existing output folder."""
    if holder := manifest.holder_of(folder):
        return f"process {holder} is training it; choose a new folder with {option('output')}"
    if not is_unfinished(folder):
        return f"choose a new folder with {option('output')}, or remove this one first"
    return f"it is unfinished; resume with: {manifest.resume_command(folder)}"


@contextmanager
def cache_folder(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[Path]:
    """Create a folder for temporary files next to a future run.

    It is removed at the end, with new empty parents. Folders of killed processes are removed first.

    Args:
        folder: the run folder; `None` for a folder in `base`.
        name: the name of the run.
        base: the folder of run folders.

    Raises:
        UsageError: if the folder can't be created.
    """
    from dlcli.runs.run_writer import RunWriter

    parent = base if folder is None else folder.parent
    for old in parent.glob(".*.cache"):
        is_ours = _CACHE.fullmatch(old.name) and (old / manifest.LOCK).is_file()
        if is_ours and not old.is_symlink() and manifest.holder_of(old) is None:
            shutil.rmtree(old, ignore_errors=True)
    *parents, new = _make(parent / f".{name}-{os.getpid()}-{secrets.token_hex(4)}.new")
    cache = new.with_suffix(".cache")
    try:
        with RunWriter(new).locked():
            new.rename(cache)  # so it is always locked under this name
            yield cache
    finally:
        _remove([*parents, new])
        _remove([*parents, cache])


def _make_named(folder: Path) -> list[Path]:
    try:
        return _make(folder)
    except FileExistsError:
        message = f"{folder}: already exists; {existing_folder_advice(folder)}"
        raise UsageError(message) from None


def _make_numbered(base: Path, name: str) -> list[Path]:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid run name: expected up to 64 characters (A-Z a-z 0-9 . _ -), "
            "beginning with a letter or digit; set another with `name` in the config"
        )
    folder, number = base / name, 1
    while True:
        with suppress(FileExistsError):
            return _make(folder)
        number += 1
        folder = base / f"{name}-{number}"


def _make(folder: Path) -> list[Path]:
    """Create a folder and its missing parents.

    Returns:
        All created folders, the run folder last.

    Raises:
        FileExistsError: if the name exists; `mkdir` checks this atomically.
        UsageError: if the folder can't be created.
    """
    made: list[Path] = []
    try:
        for parent in [each for each in reversed(folder.parents) if not each.exists()]:
            with suppress(FileExistsError):  # created by another process
                parent.mkdir()
                made.append(parent)
        folder.mkdir()
        made.append(folder)
        for each in made:
            safe_files.sync_folder(each.parent)  # else a power failure could lose its content
    except FileExistsError:
        raise
    except OSError as error:
        _remove_empty(made)
        raise UsageError(
            f"{folder}: can't be created: {safe_files.os_error_text(error)}; choose another folder "
            f"with {option('output')}"
        ) from error
    return made


def _remove(made: Sequence[Path]) -> None:
    *parents, folder = made
    shutil.rmtree(folder, ignore_errors=True)  # show only the error that ended the run
    _remove_empty(parents)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):  # it may contain another run
            folder.rmdir()


_NEEDED = (
    RunFile.RESOLVED,
    RunFile.ENCODING,
    RunFile.WEIGHTS,
    RunFile.ENSEMBLE,
    RunFile.CONFORMAL,
    RunFile.DECISION,
    RunFile.ENVIRONMENT,
    RunFile.METRICS,
)
_OF_EXPLANATIONS = (RunFile.EXPLANATION, RunFile.BACKGROUND)
_OF_BASELINES = (RunFile.BASELINES, RunFile.BASELINE_WEIGHTS)
_BLOCK_BYTES = 2**20


def open_run(path: Path) -> Run:
    """Open a finished run; its files are verified when they are read.

    Raises:
        RunError: if the run is missing, unfinished, damaged or of a newer format.
    """
    require_folder(path)
    return Run(path, Manifest.of(path))


def is_run_folder(path: Path) -> bool:
    """Return whether a path is the folder of a run, finished or not."""
    return os.path.lexists(path / MANIFEST) or is_unfinished(path)


def latest_run(kinds: Collection[str], base: Path = Path("runs")) -> Run | None:
    """Return the run that was finished last; ties go to the last name in alphabetical order.

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
    """Raise `RunError` for anything except a readable folder, with a suggested run."""
    try:
        os.stat(path / MANIFEST)
    except PermissionError as error:  # also for a parent folder
        raise RunError(f"{path}: can't be read: {safe_files.os_error_text(error)}") from None
    except (OSError, ValueError):  # missing, or an impossible name
        pass
    if os.path.isdir(path):
        return
    meant = _run_of_name(path)
    if not os.path.exists(path):
        # A URL loses a slash if it is parsed as a path.
        if url := re.match(r"(?!file:)([a-zA-Z][\w+.-]+:)/(?=[^/])", str(path)):
            name = hide_secrets(f"{url[1]}//{str(path)[url.end() :]}")
            message = "only predict, evaluate and dlcli.load accept the URL of a run"
            way_out = "download it to a local folder first"
            raise RunError(f"{name}: {message}; {way_out}")
        siblings = [entry.name for entry in entries_of(path.parent) if entry.is_dir()]
        runs = [f"runs/{entry.name}" for entry in entries_of(Path("runs"))]
        similar = most_similar(path.name, siblings)
        meant = meant or (f"; did you mean '{path.parent / similar}'?" if similar else "")
        meant = meant or did_you_mean(f"runs/{path}", runs)
        raise RunError(f"{path}: no such run folder{meant}")
    is_config = path.suffix.lower() in (".yaml", ".yml")
    if is_config and not meant:
        meant = f"; train it first: {train_command(path)}"
    kind = "config" if is_config else "file"
    raise RunError(f"{path}: expected a run folder, got a {kind}{meant}")


def _run_of_name(path: Path) -> str:
    """Return the run that contains a file, or a run in `runs` with the name of a path or file."""
    if is_run_folder(path.parent):
        return f"; did you mean '{path.parent}'?"
    for folder in dict.fromkeys((path.parent / "runs", Path("runs"))):
        for name in (path.name, path.stem):
            if is_run_folder(folder / name):
                return f"; did you mean '{folder / name}'?"
    return ""


def entries_of(folder: Path) -> list[Path]:
    """Return the entries of a folder; empty if it is not a folder or can't be listed."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def write_page(run: Run, html: str) -> Path:
    """Store the HTML report of a run in its folder, replacing an earlier one; return its path.

    Raises:
        RunError: if the report can't be written.
    """
    path = run.path / PAGE
    try:
        with safe_files.write_atomically(path, is_locked=False) as temporary:
            temporary.write_bytes(html.encode())
    except OSError as error:
        reason = safe_files.os_error_text(error)
        way_out = f"write the report elsewhere with {option('output')}"
        raise RunError(f"{path}: could not be stored: {reason}; {way_out}") from error
    return path


def tracked_files(run: Run) -> list[Path]:
    """Return the files of a finished run that trackers also store."""
    names = [*run.manifest.files, MANIFEST, PAGE]
    return [path for name in names if (path := run.path / name).is_file()]


# Files of trackers, which the manifest doesn't list


def tensorboard_folder(run: Path, part: str = "") -> Path:
    """Create the folder of a run's TensorBoard event files, or a subfolder.

    Args:
        run: the run folder.
        part: the subfolder, such as `train`; empty for the whole run.

    Raises:
        RunError: if the name exists and is not a folder, such as a link.
        OSError: if the folder can't be created.
    """
    folder = run / "tensorboard"
    for path in (folder, folder / part) if part else (folder,):
        path.mkdir(exist_ok=True)
        if not safe_files.is_folder(path):
            raise safe_files.damaged(path, "is a link, not a folder")
    return folder / part


def write_tracker_id(run: Path, tracker: str, run_id: str) -> None:
    """Store the ID that a tracker has given to a run.

    Raises:
        RunError: if the file with the IDs of other trackers is damaged.
        ValueError: if the ID has other characters than letters, digits and dashes, or too many.
        OSError: if the file can't be written.
    """
    if not _TRACKER_ID.fullmatch(run_id):
        raise ValueError(f"the ID of the run has invalid characters: {run_id!r}")
    ids = {**_tracker_ids(run), tracker: run_id}
    with safe_files.write_atomically(run / _TRACKERS) as temporary:
        temporary.write_bytes(safe_files.to_json(ids))


def read_tracker_id(run: Path, tracker: str) -> str | None:
    """Return the ID that a tracker has given to a run, if any.

    Raises:
        RunError: if the stored ID is invalid.
    """
    run_id = _tracker_ids(run).get(tracker)
    if run_id is None:
        return None
    if not isinstance(run_id, str) or not _TRACKER_ID.fullmatch(run_id):
        raise safe_files.damaged(run / _TRACKERS, f"does not contain an ID of {tracker}")
    return run_id


def _tracker_ids(run: Path) -> Mapping[str, object]:
    path = run / _TRACKERS
    return safe_files.read_object(path, _MAX_TRACKERS_BYTES) if os.path.lexists(path) else {}


# Runs at URLs


@contextmanager
def opened_network(
    location: Location, *, with_baselines: bool = False, with_background: bool = False
) -> Iterator[Run]:
    """Open a run with a network for predictions, at a path or URL.

    For a run at a URL, the files for predictions are copied to a temporary folder, which is
    verified like any other run and removed at the end.

    Args:
        location: the run folder, or its URL.
        with_baselines: whether to also copy the baselines.
        with_background: whether to also copy the files that explanations require.

    Raises:
        RunError: if the run is missing, unfinished, damaged or of a newer format, or has no
            network.
    """
    if not isinstance(location, Url):
        run = open_run(location)
        run.require_network()
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="dlcli-") as folder:
        others = (*_OF_BASELINES * with_baselines, *_OF_EXPLANATIONS * with_background)
        run = _copy(location, (*_NEEDED, *others), Path(folder))
        run.require_network()
        yield run


def copy_for_predictions(run: Run, folder: Path) -> None:
    """Copy the files of a run that predictions require; no file with rows is among them.

    Args:
        run: a run with a network.
        folder: an existing folder.

    Raises:
        RunError: if a copied file is damaged.
        OSError: if a file can't be written.
    """
    names = [name for name in _NEEDED if run.has(name)]
    for name in (MANIFEST, *names):
        shutil.copyfile(run.path / name, folder / name)
    Run(folder, Manifest.of(folder)).verify(names)


def _copy(url: Url, names: Sequence[RunFile], folder: Path) -> Run:
    _copy_file(url, MANIFEST, folder, safe_files.MAX_DOCUMENT_BYTES)
    manifest = Manifest.read(folder / MANIFEST, url / MANIFEST)
    for name in names:
        if name in manifest.files:
            most = min(manifest.files[name].bytes, name.limit)
            _copy_file(url, name, folder, most)
    return Run(folder, manifest, url)


def _copy_file(run: Url, name: str, folder: Path, limit: int) -> None:
    """Copy a file of a run, at most one byte more than its maximum size.

    Raises:
        RunError: if the file can't be read.
    """
    from dlcli.tables.remote_files import open_url

    left = limit + 1
    try:
        with open_url(run / name) as source, (folder / name).open("wb") as target:
            while left and (block := source.read(min(left, _BLOCK_BYTES))):
                target.write(block)
                left -= len(block)
    except DlcliError as error:
        raise RunError(f"{error}; expected the folder of a finished run") from None
