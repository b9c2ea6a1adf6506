"""Checkpoints: where a training is, so that it can go on after whatever ended it.

A checkpoint is a folder of its own in `checkpoint/`, numbered from 1. It is written under another
name, synced and then renamed, and only then an older one is removed, so that a crash at any point
leaves the two before it, or it and the one before. One more stays as long as these two are of one
epoch: the newest of an earlier one, for a training that diverges in the middle of an epoch to end
with what was good before it.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlcli import __version__
from dlcli.errors import RunError
from dlcli.runs.arrays import Array, ArraySpec, most_bytes, read_arrays, write_arrays
from dlcli.runs.history import dump_history, parse_history
from dlcli.runs.manifest import LIMITS
from dlcli.runs.sealed import FORMAT, Entry, Sealed, checked, describe
from dlcli.runs.storage import damaged, sync, sync_folder

FOLDER = "checkpoint"
KEPT = 2
"""How many there are at least: the newest, and one more if that should be damaged."""

_ARRAYS: Literal["arrays.npz"] = "arrays.npz"
_HISTORY: Literal["history.csv"] = "history.csv"
_SEAL = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is."""

    arrays: Mapping[str, Array]
    """Every variable and counter, by name."""
    history: Mapping[str, Sequence[float]]
    """What was measured at each epoch so far, by name."""


class _Seal(Sealed):
    """What a checkpoint belongs to, and how its files are known again."""

    config: str
    """The SHA-256 of the resolved config that is trained."""
    files: dict[Literal["arrays.npz", "history.csv"], Entry]


def write_checkpoint(run: Path, checkpoint: Checkpoint, config: str) -> None:
    """Writes a checkpoint of an unfinished run, and removes those that nothing needs any more.

    Args:
        run: the run folder.
        checkpoint: where the training is.
        config: the SHA-256 of the resolved config.

    Raises:
        OSError: if it can't be stored; those before are untouched then.
    """
    base = run / FOLDER
    if not _is_folder(base):
        base.mkdir()  # fails for a link, which may lead anywhere
        sync_folder(run)
    numbers = _numbers(base)
    number = max(numbers, default=0) + 1
    temporary = base / f".{number}.partial"
    _remove(temporary)
    try:
        _write(temporary, checkpoint, config)
        os.rename(temporary, base / str(number))
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(base)
    for old in _needless(base, sorted([*numbers, number])):
        _remove(base / str(old))


def read_checkpoint(
    run: Path,
    kinds: Mapping[str, ArraySpec],
    config: str,
    serves: Callable[[Checkpoint], bool] = lambda _: True,
) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole.

    Args:
        run: the run folder.
        kinds: what each array must be, by name.
        config: the SHA-256 of the resolved config.
        serves: whether one that is whole will do; if not, an older one is taken.

    Returns:
        It, or `None` if there never was one, or none that will do.

    Raises:
        RunError: if there are some, and each is damaged or of another config.
    """
    problems, some_whole = [], False
    for folder in _newest_first(run):
        try:
            checkpoint = _read(folder, kinds, config)
        except RunError as error:
            problems.append(error)
            continue
        if serves(checkpoint):
            return checkpoint
        some_whole = True
    if problems and not some_whole:
        raise problems[0]
    return None


def has_checkpoint(run: Path) -> bool:
    """Whether there is a checkpoint, be it damaged."""
    return any(True for _ in _newest_first(run))


def remove_checkpoints(run: Path) -> None:
    """Removes all checkpoints of a run that needs them no more."""
    _remove(run / FOLDER)


def _write(folder: Path, checkpoint: Checkpoint, config: str) -> None:
    folder.mkdir()
    write_arrays(folder / _ARRAYS, checkpoint.arrays)
    (folder / _HISTORY).write_text(dump_history(checkpoint.history), "utf-8")
    files = {name: describe(folder / name) for name in (_ARRAYS, _HISTORY)}
    seal = _Seal(format=FORMAT, dlcli=__version__, config=config, files=files)
    (folder / _SEAL).write_bytes(seal.to_json())
    for name in (_ARRAYS, _HISTORY, _SEAL):
        sync(folder / name)
    sync_folder(folder)


def _read(folder: Path, kinds: Mapping[str, ArraySpec], config: str) -> Checkpoint:
    seal = _Seal.read(folder / _SEAL)
    if seal.config != config:
        raise damaged(folder, "is of another config")
    for name in (_ARRAYS, _HISTORY):
        if name not in seal.files:
            raise damaged(folder / _SEAL, f"does not tell of {name}")
    with checked(folder / _ARRAYS, seal.files[_ARRAYS], most_bytes(kinds)) as stream:
        arrays = read_arrays(stream, kinds, folder / _ARRAYS)
    with checked(folder / _HISTORY, seal.files[_HISTORY], LIMITS[_HISTORY]) as stream:
        history = parse_history(stream.read(), folder / _HISTORY)
    return Checkpoint(arrays, history)


def _needless(base: Path, numbers: Sequence[int]) -> list[int]:
    """Which of the checkpoints, the newest last, are neither of the last nor of the epoch before.

    The history grows with each epoch, so that of an earlier one has fewer bytes.
    """
    size = _history_bytes(base / str(numbers[-1]))
    older = numbers[:-1]
    before = next((n for n in reversed(older) if _history_bytes(base / str(n)) < size), None)
    return [number for number in numbers[:-KEPT] if number != before]


def _history_bytes(folder: Path) -> float:
    """The size of a checkpoint's history; infinite if that is not to be known."""
    try:
        return _Seal.read(folder / _SEAL).files[_HISTORY].bytes
    except (RunError, KeyError):
        return math.inf


def _newest_first(run: Path) -> Iterator[Path]:
    base = run / FOLDER
    for number in sorted(_numbers(base), reverse=True):
        yield base / str(number)


def _numbers(base: Path) -> list[int]:
    """The numbers of the checkpoints; a link is none."""
    if not _is_folder(base):
        return []
    return [int(each.name) for each in base.iterdir() if _is_number(each.name) and _is_folder(each)]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and not name.startswith("0") and len(name) < 10


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # what is left is in nobody's way
