"""What finished folds came to, so that a cross-validation can go on after whatever ended it.

They lie in `folds/`, a folder each, numbered from 1, beside the plan that they are part of. Each is
written under another name, synced and then renamed: it is there whole, or not at all.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlcli import __version__
from dlcli.errors import RunError
from dlcli.runs.json_document import to_json
from dlcli.runs.kinds import FOLDS
from dlcli.runs.manifest import LIMITS
from dlcli.runs.sealed import FORMAT, Entry, Sealed, checked, describe, read_object
from dlcli.runs.storage import damaged, write_atomically, sync, sync_folder
from dlcli.runs.tables import read_parquet, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

_PLAN = "plan.json"
_File = Literal["result.json", "predictions.parquet"]
_RESULT: Literal["result.json"] = "result.json"
_PREDICTIONS: Literal["predictions.parquet"] = "predictions.parquet"
_SEAL = "part.json"
_MOST_BYTES = {"plan": 2**16, "result": 2**28}


@dataclass(frozen=True)
class PartialResult:
    """What one fold came to."""

    result: str
    """JSON, which only the room that made it understands."""
    predictions: pa.Table | None = None
    """Those of the rows that were held out, if there are any."""


class _Seal(Sealed):
    """What a part belongs to, and how its files are known again."""

    config: str
    """The SHA-256 of the resolved config that is trained."""
    number: int
    files: dict[_File, Entry]


def write_plan(run: Path, plan: Mapping[str, object]) -> None:
    """Stores how many parts there will be, and what of; from then on the folder is of its kind.

    Raises:
        OSError: if it can't be stored.
    """
    (run / FOLDS).mkdir()
    with write_atomically(run / FOLDS / _PLAN) as temporary:
        temporary.write_bytes(to_json(plan))
    sync_folder(run)


def read_plan(run: Path) -> dict[str, object]:
    """What was planned.

    Raises:
        RunError: if that is no JSON object.
    """
    _check_folder(run / FOLDS)
    return read_object(run / FOLDS / _PLAN, _MOST_BYTES["plan"])


def write_partial_result(run: Path, number: int, part: PartialResult, config: str) -> None:
    """Stores what a part came to; another one of that number is replaced.

    Args:
        run: the run folder, which is unfinished.
        number: which part it is, from 1.
        part: what it came to.
        config: the SHA-256 of the resolved config.

    Raises:
        OSError: if it can't be stored; the others are untouched then.
        RunError: if the folder for parts is a link.
    """
    base = run / FOLDS
    base.mkdir(exist_ok=True)
    _check_folder(base)
    temporary = base / f".{number}.partial"
    _remove(temporary)
    try:
        _write(temporary, number, part, config)
        _remove(base / str(number))
        os.rename(temporary, base / str(number))
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(base)


def read_partial_result(run: Path, number: int, config: str) -> PartialResult | None:
    """Reads what a part came to, which a stranger may have written; `None` if it isn't there.

    Args:
        run: the run folder.
        number: which part, from 1.
        config: the SHA-256 of the resolved config.

    Raises:
        RunError: if it is damaged, or of another config; the way out is to remove it.
    """
    _check_folder(run / FOLDS)
    folder = run / FOLDS / str(number)
    if not os.path.lexists(folder):
        return None
    try:
        _check_folder(folder)
        return _read(folder, number, config)
    except RunError as error:
        error.add_note(f"or remove {folder}: what is missing there is done again")
        raise


def remove_partial_results(run: Path) -> None:
    """Removes all parts of a run that needs them no more."""
    _remove(run / FOLDS)


def _write(folder: Path, number: int, part: PartialResult, config: str) -> None:
    folder.mkdir()
    (folder / _RESULT).write_text(part.result, "utf-8")
    files: dict[_File, Entry] = {_RESULT: describe(folder / _RESULT)}
    if part.predictions is not None:
        write_parquet(folder / _PREDICTIONS, part.predictions)
        files[_PREDICTIONS] = describe(folder / _PREDICTIONS)
    seal = _Seal(format=FORMAT, dlcli=__version__, config=config, number=number, files=files)
    (folder / _SEAL).write_bytes(seal.to_json())
    for name in (*files, _SEAL):
        sync(folder / name)
    sync_folder(folder)


def _read(folder: Path, number: int, config: str) -> PartialResult:
    seal = _Seal.read(folder / _SEAL)
    if seal.config != config:
        raise damaged(folder, "is of another config")
    if seal.number != number:
        raise damaged(folder, f"is that of number {seal.number}")
    if _RESULT not in seal.files:
        raise damaged(folder / _SEAL, f"does not tell of {_RESULT}")
    with checked(folder / _RESULT, seal.files[_RESULT], _MOST_BYTES["result"]) as stream:
        try:
            result = stream.read().decode()
        except UnicodeDecodeError as error:
            raise damaged(folder / _RESULT, f"is not UTF-8: {error}") from None
    if _PREDICTIONS not in seal.files:
        return PartialResult(result)
    path, limit = folder / _PREDICTIONS, LIMITS[_PREDICTIONS]
    with checked(path, seal.files[_PREDICTIONS], limit) as stream:
        return PartialResult(result, read_parquet(stream, path))


def _check_folder(path: Path) -> None:
    """Refuses a link, which may lead anywhere, and anything else that is no folder."""
    try:
        is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        raise damaged(path, "is missing") from None
    if not is_folder:
        raise damaged(path, "is no folder but a link, a file or a device")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # what is left is in nobody's way
