"""Run folders made and, if nothing came of the run, removed without a trace."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.errors import RunError, UsageError
from dlcli.runs.run_writer import RunWriter, remove_scaffold
from dlcli.runs.kinds import WORDS, RunKind, begun_kind
from dlcli.runs.lock import LOCK, holder_of
from dlcli.runs.manifest import FILE_NAMES, MANIFEST, ORIGIN, Manifest, is_unfinished, resume_command
from dlcli.runs.run import check_is_folder
from dlcli.runs.storage import damaged, open_regular_file, os_error_text, sync_folder

_CACHE = re.compile(r"\..+-[0-9]+-[0-9a-f]{8}\.cache")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@contextmanager
def new_run(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[RunWriter]:
    """Makes a run folder, and removes it again unless the run is finished or can go on in it.

    Args:
        folder: the run folder itself, which must not exist; `None` for one named after the run.
        name: the run's name: the folder is `base/name`, or the first free one of `base/name-2`,
            `base/name-3` and so on. No two processes get the same.
        base: where named run folders lie.

    Yields:
        the writer to write to. If the block ends without `finish`, or by any exception at all,
        nothing stays behind but what has a checkpoint to go on from; nor do parents that were made
        for it and are empty.

    Raises:
        UsageError: if the folder exists or can't be made, or the name is none for a folder.
    """
    made = _make_numbered(base, name) if folder is None else _make_named(folder)
    writer = RunWriter(made[-1])
    try:
        with writer.held():
            yield writer
    except BaseException as error:
        _add_way_on(error, writer)
        raise
    finally:
        writer.close()
        if not writer.finished and not writer.can_resume:
            _remove(made)


@contextmanager
def unfinished_run(folder: Path, kind: RunKind = "train") -> Iterator[RunWriter]:
    """Opens a run that was ended before it was finished. It stays, whatever happens.

    Args:
        folder: the run folder, which a stranger may have made.
        kind: what it must have been begun as.

    Raises:
        RunError: if there is none, it is finished or of another kind, another process trains it, it
            was ended before training began, or what should be a file of it is a link or anything
            else.
    """
    check_is_folder(folder)
    _check_unfinished(folder, kind)  # first, as a lock would stay behind in what is no such run
    writer = RunWriter(folder)
    with writer.held():
        _check_unfinished(folder, kind)  # again, as another process may just have finished it
        try:
            yield writer
        except RunError:  # what lies in the folder won't do, and will not the next time
            raise
        except BaseException as error:
            _add_way_on(error, writer)
            raise
        finally:
            writer.close()


def _add_way_on(error: BaseException, writer: RunWriter) -> None:
    """Notes on what has ended a training how it goes on, unless that is said already."""
    if writer.can_resume and not writer.finished and "--resume" not in str(error):
        error.add_note(f"go on with: {resume_command(writer.path)}")


@contextmanager
def cache_folder(folder: Path | None, name: str, base: Path = Path("runs")) -> Iterator[Path]:
    """Makes a folder beside a run that is to come, for what is needed only until then.

    It is removed at the end, and so are parents that were made for it and are empty. What a process
    left behind that was killed is removed before.

    Args:
        folder: the run folder; `None` for one named after the run.
        name: the run's name.
        base: where named run folders lie.

    Raises:
        UsageError: if it can't be made.
    """
    beside = base if folder is None else folder.parent
    _sweep(beside)
    *parents, new = _make(beside / f".{name}-{os.getpid()}-{secrets.token_hex(4)}.new")
    folder = new.with_suffix(".cache")
    try:
        with RunWriter(new).held():
            new.rename(folder)  # it never goes by this name and is not held
            yield folder
    finally:
        _remove([*parents, new])
        _remove([*parents, folder])


def _sweep(base: Path) -> None:
    """Removes the caches that no process holds any more."""
    for folder in base.glob(".*.cache"):
        is_ours = _CACHE.fullmatch(folder.name) and (folder / LOCK).is_file()
        if is_ours and not folder.is_symlink() and holder_of(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_unfinished(folder: Path, kind: RunKind) -> None:
    """Refuses a finished run, of which a crash may have left what it needs no more."""
    if os.path.lexists(folder / MANIFEST):
        Manifest.of(folder)  # or it says what is wrong with it
        remove_scaffold(folder)
        raise RunError(f"{folder}: is finished, there is nothing left to train")
    _check_entries(folder)
    if (begun := begun_kind(folder)) != kind:
        what = f"is an unfinished {WORDS[begun]}, not a {WORDS[kind]}"
        raise RunError(f"{folder}: {what}; go on with: {resume_command(folder)}")


def _check_entries(folder: Path) -> None:
    """Refuses what could lead out of the folder, and a run that has nothing to go on from."""
    for name in (*FILE_NAMES, LOCK):
        path = folder / name
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise damaged(path, "is no plain file but a link, a folder or a device")
    for name in ORIGIN:
        if not os.path.lexists(folder / name):
            raise RunError(
                f"{folder}: has no {name}: it is no run, or was ended before training began; train "
                "it again"
            )


def _make_named(folder: Path) -> list[Path]:
    try:
        return _make(folder)
    except FileExistsError:
        raise UsageError(f"{folder}: exists already; {existing_folder_advice(folder)}") from None


def unfinished_runs_like(writer: RunWriter) -> list[Path]:
    """The runs beside another that were begun with the same config and ended before their end.

    Args:
        writer: the other, whose resolved config is stored.
    """
    mine = writer.resolved_path().read_bytes()
    return [
        folder
        for folder in sorted(writer.path.parent.iterdir())
        if folder != writer.path
        and is_unfinished(folder)
        and holder_of(folder) is None
        and _begins_alike(folder / writer.resolved_path().name, mine)
    ]


def _begins_alike(path: Path, content: bytes) -> bool:
    with suppress(RunError), open_regular_file(path) as stream:
        return stream.read(len(content) + 1) == content
    return False


def existing_folder_advice(folder: Path) -> str:
    """What to do about a run folder that is there."""
    if not is_unfinished(folder):
        return "name a new folder with --output, or remove this one first"
    if holder := holder_of(folder):
        return f"process {holder} is training it; name a new folder with --output"
    return f"it is unfinished; go on with: {resume_command(folder)}"


def _make_numbered(base: Path, name: str) -> list[Path]:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a run: up to 64 of A-Z a-z 0-9 . _ - were expected, the "
            "first a letter or digit; set another with `name` in the config"
        )
    folder, number = base / name, 1
    while True:
        with suppress(FileExistsError):
            return _make(folder)
        number += 1
        folder = base / f"{name}-{number}"


def _make(folder: Path) -> list[Path]:
    """Makes a folder and what is missing above it.

    Returns:
        all that was made, the run folder last.

    Raises:
        FileExistsError: if there is something of that name; `mkdir` finds out and makes in one
            step, so that no other process can come between.
        UsageError: if it can't be made.
    """
    made: list[Path] = []
    try:
        for parent in [each for each in reversed(folder.parents) if not each.exists()]:
            with suppress(FileExistsError):  # another process may be as far
                parent.mkdir()
                made.append(parent)
        folder.mkdir()
        made.append(folder)
        for each in made:
            sync_folder(each.parent)  # or a power cut would take all that is in it
    except FileExistsError:
        raise
    except OSError as error:
        _remove_empty(made)
        raise UsageError(
            f"{folder}: can't be made: {os_error_text(error)}; name another place with --output"
        ) from error
    return made


def _remove(made: Sequence[Path]) -> None:
    *parents, folder = made
    shutil.rmtree(folder, ignore_errors=True)  # what ended the run is the error to show
    _remove_empty(parents)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):  # another run may have moved in
            folder.rmdir()
