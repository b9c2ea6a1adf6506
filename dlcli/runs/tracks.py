"""What trackers keep in a run folder; the manifest names none of it.

The folder may come from a stranger, so nothing of it may lead elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from dlcli.runs.json_document import to_json
from dlcli.runs.manifest import CURVES, MANIFEST, PAGE
from dlcli.runs.run import Run
from dlcli.runs.sealed import read_object
from dlcli.runs.storage import damaged, write_atomically

_TENSORBOARD = "tensorboard"
_MLFLOW = "mlflow.json"
_MOST_BYTES = 2**10
_RUN_ID = re.compile(r"[0-9a-f]{32}")


def tensorboard_folder(run: Path, part: str = "") -> Path:
    """Makes the folder of a run's TensorBoard event files, or a part's below it.

    Args:
        run: the run folder.
        part: such as `train`; none for what is said of the whole run.

    Raises:
        RunError: if there is something else of that name, as a link.
        OSError: if it can't be made.
    """
    whole = _folder(run / _TENSORBOARD)
    return _folder(whole / part) if part else whole


def write_mlflow_run(run: Path, run_id: str) -> None:
    """Stores which run of MLflow tracks a run.

    Raises:
        OSError: if it can't be stored.
    """
    with write_atomically(run / _MLFLOW) as temporary:
        temporary.write_bytes(to_json({"run_id": run_id}))


def read_mlflow_run(run: Path) -> str | None:
    """The run of MLflow that tracks a run; `None` if none does.

    Raises:
        RunError: if what is stored is no such thing.
    """
    path = run / _MLFLOW
    if not os.path.lexists(path):
        return None
    run_id = read_object(path, _MOST_BYTES).get("run_id")
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise damaged(path, "names no run of MLflow")
    return run_id


def tracked_files(run: Run) -> list[Path]:
    """The files of a finished run that are worth keeping elsewhere, too."""
    names = [*run.manifest.files, MANIFEST, PAGE, CURVES]
    return [path for name in names if (path := run.path / name).is_file()]


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise damaged(path, "is no folder but a link")
    return path
