"""Run folders made, resumed and, if a run ends without a result, removed without a trace."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.errors import DlcliError, RunError, UsageError, option
from dlcli.runs import manifest
from dlcli.runs.resume_files import remove_resume_files
from dlcli.runs.run_reader import entries_of, require_folder
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import has_content, not_regular, os_error_text, sync_folder

_CACHE = re.compile(r"\..+-[0-9]+-[0-9a-f]{8}\.cache")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@contextmanager
def new_run(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[RunWriter]:
    """Make a run folder, and remove it at the end unless the run is finished or can be resumed.

    Args:
        folder: the run folder itself, which must not exist; `None` for one named after the run.
        name: the run's name: the folder is `base/name`, or the first free one of `base/name-2`,
            `base/name-3` and so on. No two processes get the same.
        base: where named run folders are made.

    Yields:
        the writer. If the block ends without `finish` or with any exception, nothing remains but a
        folder that can be resumed; empty parents that were made for it are removed, too.

    Raises:
        UsageError: if the folder exists or can't be made, or the name is invalid.
    """
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
    """Open a run that was interrupted. It is never removed.

    Args:
        folder: the run folder, which may come from a stranger.
        kind: expected kind.

    Raises:
        RunError: if there is none, it is finished or of another kind, another process trains it, it
            was ended before training began, or one of its files is a link or anything else.
    """
    require_folder(folder)
    _check_unfinished(folder, kind)  # first, since a lock would remain in any other folder
    writer = RunWriter(folder)
    with writer.locked():
        _check_unfinished(folder, kind)  # again, since another process may have just finished it
        try:
            yield writer
        except RunError:  # the content of the folder is unusable, now and later
            raise
        except BaseException as error:
            _add_resume_note(error, writer)
            raise
        finally:
            writer.close()


def _add_resume_note(error: BaseException, writer: RunWriter) -> None:
    """Add how to resume a run to the exception that ended it, unless that of a part says so."""
    is_named = isinstance(error, DlcliError) and error.names_way_to_resume
    is_named |= writer.way_to_resume in getattr(error, "__notes__", ())
    if writer.can_resume and not writer.finished and not is_named:
        error.add_note(writer.way_to_resume)


def _check_unfinished(folder: Path, kind: manifest.RunKind) -> None:
    """Raise `RunError` unless a folder is an unfinished run of a kind, without links."""
    if os.path.lexists(folder / manifest.MANIFEST):
        manifest.Manifest.of(folder)  # raises an error if it is damaged
        remove_resume_files(folder)  # they may be left by a crash
        raise RunError(f"{folder}: is finished, there is nothing left to train")
    for name in (*manifest.RunFile, manifest.LOCK):
        path = folder / name
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise not_regular(path)
    for name in manifest.ORIGIN:
        if not os.path.lexists(folder / name):
            raise RunError(
                f"{folder}: has no {name}: it is not a run, or was ended before training began; "
                "train it again"
            )
    if (found := manifest.kind_of_unfinished(folder)) != kind:
        what = f"is an unfinished {manifest.KIND_NAMES[found]}, not a {manifest.KIND_NAMES[kind]}"
        raise RunError(f"{folder}: {what}; resume with: {manifest.resume_command(folder)}")


def unfinished_runs_like(writer: RunWriter) -> list[Path]:
    """Return the unfinished runs next to another that have the same resolved config.

    Args:
        writer: the other, whose resolved config is stored.
    """
    path = writer.resolved_path()
    content = path.read_bytes()

    return [
        folder
        for folder in sorted(entries_of(writer.path.parent))
        if folder != writer.path
        and manifest.is_unfinished(folder)
        and manifest.holder_of(folder) is None
        and has_content(folder / path.name, content)
    ]


def existing_folder_advice(folder: Path) -> str:
    """Return what to do about an output folder that exists."""
    if holder := manifest.holder_of(folder):
        return f"process {holder} is training it; name a new folder with {option('output')}"
    if not manifest.is_unfinished(folder):
        return f"name a new folder with {option('output')}, or remove this one first"
    return f"it is unfinished; resume with: {manifest.resume_command(folder)}"


@contextmanager
def cache_folder(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[Path]:
    """Make a folder next to a future run for temporary files.

    It is removed at the end, with empty parents that were made for it. Folders of killed processes
    are removed first.

    Args:
        folder: the run folder; `None` for one named after the run.
        name: the run's name.
        base: where named run folders are made.

    Raises:
        UsageError: if it can't be made.
    """
    parent = base if folder is None else folder.parent
    for old in parent.glob(".*.cache"):
        is_ours = _CACHE.fullmatch(old.name) and (old / manifest.LOCK).is_file()
        if is_ours and not old.is_symlink() and manifest.holder_of(old) is None:
            shutil.rmtree(old, ignore_errors=True)
    *parents, new = _make(parent / f".{name}-{os.getpid()}-{secrets.token_hex(4)}.new")
    cache = new.with_suffix(".cache")
    try:
        with RunWriter(new).locked():
            new.rename(cache)  # so that it is locked whenever it has this name
            yield cache
    finally:
        _remove([*parents, new])
        _remove([*parents, cache])


def _make_named(folder: Path) -> list[Path]:
    try:
        return _make(folder)
    except FileExistsError:
        message = f"{folder}: exists already; {existing_folder_advice(folder)}"
        raise UsageError(message) from None


def _make_numbered(base: Path, name: str) -> list[Path]:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a run: up to 64 of A-Z a-z 0-9 . _ - were expected, the "
            "first a letter or digit; set another with `name` in the config"
        )
    folder, number = base / name, 1
    while True:
        with suppress(FileExistsError):
            return _make(folder)
        number += 1
        folder = base / f"{name}-{number}"


def _make(folder: Path) -> list[Path]:
    """Make a folder and its missing parents.

    Returns:
        All folders made, the run folder last.

    Raises:
        FileExistsError: if the name exists; `mkdir` finds out in the same step, so that no other
            process can interfere.
        UsageError: if it can't be made.
    """
    made: list[Path] = []
    try:
        for parent in [each for each in reversed(folder.parents) if not each.exists()]:
            with suppress(FileExistsError):  # another process may do the same
                parent.mkdir()
                made.append(parent)
        folder.mkdir()
        made.append(folder)
        for each in made:
            sync_folder(each.parent)  # or a power cut could lose all its content
    except FileExistsError:
        raise
    except OSError as error:
        _remove_empty(made)
        raise UsageError(
            f"{folder}: can't be made: {os_error_text(error)}; name another folder with "
            f"{option('output')}"
        ) from error
    return made


def _remove(made: Sequence[Path]) -> None:
    *parents, folder = made
    shutil.rmtree(folder, ignore_errors=True)  # the error that ended the run is the one to show
    _remove_empty(parents)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):  # it may have another run
            folder.rmdir()
