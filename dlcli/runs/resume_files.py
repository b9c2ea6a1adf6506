"""Files that an interrupted run is resumed from: checkpoints and partial results.

Each is a numbered folder, which is written under another name, synced and then renamed, so that it
exists completely or not at all. Its `contents.json` has the digests of its files.

At least two checkpoints are kept, in case the newest is damaged. If both are of one epoch, the
newest of an earlier epoch is kept, too: a training that diverges within an epoch ends with the
weights from before it.

Partial results are those of finished folds, which are not trained again.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlcli import __version__
from dlcli.errors import RunError
from dlcli.runs import file_formats
from dlcli.runs.file_formats import Array, ArraySpec
from dlcli.runs.manifest import FOLDS, LIMITS
from dlcli.runs.safe_files import (
    FORMAT,
    FileDigest,
    VerifiedDocument,
    damaged,
    is_folder,
    open_verified,
    read_object,
    sync,
    sync_folder,
    to_json,
    write_atomically,
)

if TYPE_CHECKING:
    import pyarrow as pa

CHECKPOINTS = "checkpoint"
_MIN_CHECKPOINTS = 2
_CONTENTS = "contents.json"
_PLAN = "plan.json"
_MAX_PLAN_BYTES = 2**16
_MAX_RESULT_BYTES = 2**28
_File = Literal["arrays.npz", "history.csv", "result.json", "predictions.parquet"]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training."""

    arrays: Mapping[str, Array]
    """Every variable and counter, by name."""
    history: Mapping[str, Sequence[float]]
    """Loss and metrics of each epoch so far, by name."""


@dataclass(frozen=True)
class PartialResult:
    """The result of one fold."""

    result: str
    """JSON, which only the package that made it interprets."""
    predictions: pa.Table | None = None
    """Predictions of the held-out rows, if any."""


class _Contents(VerifiedDocument):
    """The files of a numbered folder."""

    config: str
    """SHA-256 of the resolved config."""
    number: int
    files: dict[_File, FileDigest]


# Checkpoints


def write_checkpoint(run: Path, checkpoint: Checkpoint, config: str) -> None:
    """Write a checkpoint of an unfinished run, and remove those that are no longer needed.

    Args:
        run: the run folder.
        checkpoint: the state of the training.
        config: SHA-256 of the resolved config.

    Raises:
        OSError: if it can't be stored; earlier checkpoints are untouched then.
    """
    base = run / CHECKPOINTS
    if not is_folder(base):
        base.mkdir()  # fails for a link, which may lead anywhere
        sync_folder(run)
    numbers = _numbers(base)
    number = max(numbers, default=0) + 1
    history = file_formats.dump_history(checkpoint.history)
    _write_folder(
        base / str(number),
        config,
        {
            "arrays.npz": lambda path: file_formats.write_arrays(path, checkpoint.arrays),
            "history.csv": lambda path: path.write_text(history, "utf-8"),
        },
    )
    for old in _dispensable(base, sorted([*numbers, number])):
        _remove(base / str(old))


def read_checkpoint(
    run: Path,
    specs: Mapping[str, ArraySpec],
    config: str,
    accept: Callable[[Checkpoint], bool] = lambda _: True,
) -> Checkpoint | None:
    """Read the newest undamaged checkpoint.

    Args:
        run: the run folder.
        specs: shape and type of each array, by name.
        config: SHA-256 of the resolved config.
        accept: whether an undamaged checkpoint can be used; if not, an older one is tried.

    Returns:
        The checkpoint; `None` if there is none, or none that is accepted.

    Raises:
        RunError: if all checkpoints are damaged or of another config.
    """
    problems, any_intact = [], False
    for folder in _newest_first(run):
        try:
            contents = _read_contents(folder, config)
            limit = file_formats.max_archive_bytes(specs)
            with _open(folder, contents, "arrays.npz", limit) as stream:
                arrays = file_formats.read_arrays(stream, specs, folder / "arrays.npz")
            with _open(folder, contents, "history.csv", LIMITS["history.csv"]) as stream:
                history = file_formats.parse_history(stream.read(), folder / "history.csv")
        except RunError as error:
            problems.append(error)
            continue
        checkpoint = Checkpoint(arrays, history)
        if accept(checkpoint):
            return checkpoint
        any_intact = True
    if problems and not any_intact:
        raise problems[0]
    return None


def has_checkpoint(run: Path) -> bool:
    """Return whether there is a checkpoint, damaged or not."""
    return any(True for _ in _newest_first(run))


def remove_checkpoints(run: Path) -> None:
    """Remove all checkpoints."""
    _remove(run / CHECKPOINTS)


def _dispensable(base: Path, numbers: Sequence[int]) -> list[int]:
    """Return the checkpoints that can be removed, given all in order.

    The history grows with each epoch, so that of an earlier epoch is smaller.
    """
    size = _history_bytes(base / str(numbers[-1]))
    older = reversed(numbers[:-1])
    before = next((n for n in older if _history_bytes(base / str(n)) < size), None)
    return [number for number in numbers[:-_MIN_CHECKPOINTS] if number != before]


def _history_bytes(folder: Path) -> float:
    """Return the size of a checkpoint's history; infinite if it is damaged."""
    try:
        return _Contents.read(folder / _CONTENTS).files["history.csv"].bytes
    except (RunError, KeyError):
        return math.inf


def _newest_first(run: Path) -> Iterator[Path]:
    base = run / CHECKPOINTS
    for number in sorted(_numbers(base), reverse=True):
        yield base / str(number)


def _numbers(base: Path) -> list[int]:
    """Return the numbers of the checkpoints, without links."""
    if not is_folder(base):
        return []
    return [int(each.name) for each in base.iterdir() if _is_number(each.name) and is_folder(each)]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and not name.startswith("0") and len(name) < 10


# Partial results


def write_plan(run: Path, plan: Mapping[str, object]) -> None:
    """Store the planned folds; from then on the folder is a cross-validation.

    Raises:
        OSError: if they can't be stored.
    """
    (run / FOLDS).mkdir()
    with write_atomically(run / FOLDS / _PLAN) as temporary:
        temporary.write_bytes(to_json(plan))
    sync_folder(run)


def read_plan(run: Path) -> dict[str, object]:
    """Read the planned folds.

    Raises:
        RunError: if they are not a JSON object.
    """
    _check_folder(run / FOLDS)
    return read_object(run / FOLDS / _PLAN, _MAX_PLAN_BYTES)


def write_partial_result(run: Path, number: int, part: PartialResult, config: str) -> None:
    """Store a partial result, and replace an earlier one of this number.

    Args:
        run: the run folder, which is unfinished.
        number: number of the result, from 1.
        part: the result.
        config: SHA-256 of the resolved config.

    Raises:
        OSError: if it can't be stored; the others are untouched then.
        RunError: if the folder of partial results is a link.
    """
    base = run / FOLDS
    base.mkdir(exist_ok=True)
    _check_folder(base)
    contents: dict[_File, Callable[[Path], object]] = {
        "result.json": lambda path: path.write_text(part.result, "utf-8")
    }
    if part.predictions is not None:
        contents["predictions.parquet"] = lambda path: file_formats.write_parquet(
            path, part.predictions
        )
    _write_folder(base / str(number), config, contents)


def read_partial_result(run: Path, number: int, config: str) -> PartialResult | None:
    """Read a partial result, which a stranger may have written.

    Args:
        run: the run folder.
        number: number of the result, from 1.
        config: SHA-256 of the resolved config.

    Returns:
        The result; `None` if there is none of this number.

    Raises:
        RunError: if it is damaged or of another config; the way out is to remove it.
    """
    _check_folder(run / FOLDS)
    folder = run / FOLDS / str(number)
    if not os.path.lexists(folder):
        return None
    try:
        _check_folder(folder)
        contents = _read_contents(folder, config)
        with _open(folder, contents, "result.json", _MAX_RESULT_BYTES) as stream:
            try:
                result = stream.read().decode()
            except UnicodeDecodeError as error:
                raise damaged(folder / "result.json", f"is not UTF-8: {error}") from None
        name: Literal["predictions.parquet"] = "predictions.parquet"
        if name not in contents.files:
            return PartialResult(result)
        with _open(folder, contents, name, LIMITS["predictions.parquet"]) as stream:
            return PartialResult(result, file_formats.read_parquet(stream, folder / name))
    except RunError as error:
        error.add_note(f"or remove {folder}: what is missing there is computed again")
        raise


def remove_partial_results(run: Path) -> None:
    """Remove all partial results."""
    _remove(run / FOLDS)


# Numbered folders


def _write_folder(
    folder: Path, config: str, contents: Mapping[_File, Callable[[Path], object]]
) -> None:
    """Write a numbered folder atomically, given a function that writes each of its files."""
    temporary = folder.with_name(f".{folder.name}.partial")
    _remove(temporary)
    try:
        temporary.mkdir()
        for name, write in contents.items():
            write(temporary / name)
        document = _Contents(
            format=FORMAT,
            dlcli=__version__,
            config=config,
            number=int(folder.name),
            files={name: FileDigest.of(temporary / name) for name in contents},
        )
        (temporary / _CONTENTS).write_bytes(document.to_json())
        for path in temporary.iterdir():
            sync(path)
        sync_folder(temporary)
        _remove(folder)
        os.rename(temporary, folder)
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(folder.parent)


def _read_contents(folder: Path, config: str) -> _Contents:
    contents = _Contents.read(folder / _CONTENTS)
    if contents.config != config:
        raise damaged(folder, "is of another config")
    if contents.number != int(folder.name):
        raise damaged(folder, f"is that of number {contents.number}")
    return contents


def _open(
    folder: Path, contents: _Contents, name: _File, limit: int
) -> AbstractContextManager[BufferedReader]:
    if name not in contents.files:
        raise damaged(folder / _CONTENTS, f"does not list {name}")
    return open_verified(folder / name, contents.files[name], limit)


def _check_folder(path: Path) -> None:
    """Raise `RunError` for anything but a folder: a link may lead anywhere."""
    if not os.path.lexists(path):
        raise damaged(path, "is missing")
    if not is_folder(path):
        raise damaged(path, "is not a folder but a link, a file or a device")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # leftovers do no harm
