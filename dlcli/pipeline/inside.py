"""A run that is trained within the folder of another, which goes on where either was ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.config import ConfigFile
from dlcli.errors import DivergenceError, RunError
from dlcli.pipeline.events import Listener
from dlcli.pipeline.loading import without_retracing_warnings
from dlcli.pipeline.story import resume, train
from dlcli.runs import (
    DIVERGED,
    MANIFEST,
    Run,
    is_unfinished,
    open_regular_file,
    open_run,
    resume_command,
)


def train_inside(folder: Path, name: str, file: ConfigFile, listener: Listener) -> Run:
    """Trains a config as the run `folder/name`.

    What an earlier process has finished is kept, and what it has begun goes on, as long as it is of
    the same text.

    Args:
        folder: the other run's, which is held.
        name: of the one that is trained.
        file: its config.
        listener: is told what happens.

    Raises:
        DivergenceError: also of one that has diverged in an earlier process.
        Interrupted: if a signal has come; its message says how the other run goes on.
        DlcliError: of the kind that fits.
    """
    part = folder / name
    with _going_on(folder, part), without_retracing_warnings():
        if not _is_of(part, file):
            if os.path.isdir(part) and not part.is_symlink():
                shutil.rmtree(part)  # of another config, or ended before it was begun
            return train(file, part, listener)
        if is_unfinished(part):
            return resume(part, listener)
        run = open_run(part)
        if run.kind == DIVERGED:
            raise DivergenceError(f"{part}: has diverged", 0)
        return run


def _is_of(folder: Path, file: ConfigFile) -> bool:
    """Whether a folder is a run of a config, finished or with all that it takes to go on."""
    text = file.text.encode()
    with suppress(RunError), open_regular_file(folder / "config.yaml") as stream:
        is_run = is_unfinished(folder) or os.path.lexists(folder / MANIFEST)
        return is_run and stream.read(len(text) + 1) == text
    return False


@contextmanager
def _going_on(folder: Path, part: Path) -> Iterator[None]:
    """Has what ends the training of a part say how the whole goes on."""
    theirs, ours = resume_command(part), resume_command(folder)
    try:
        yield
    except BaseException as error:
        error.args = tuple(
            each.replace(theirs, ours) if isinstance(each, str) else each for each in error.args
        )
        notes = getattr(error, "__notes__", [])
        notes[:] = [note for note in notes if theirs not in note]
        raise
