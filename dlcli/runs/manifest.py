"""The manifest: what makes a folder a finished run, and how its files are known again."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, Field

from dlcli import __version__
from dlcli.config import MAX_BYTES
from dlcli.errors import RunError
from dlcli.runs.kinds import begun_kind
from dlcli.runs.lock import holder_of
from dlcli.runs.sealed import FORMAT, Entry, Sealed, describe

FileName = Literal[
    "config.yaml",
    "resolved.yaml",
    "encoding.json",
    "weights.npz",
    "model.keras",
    "metrics.json",
    "history.csv",
    "baselines.json",
    "predictions.parquet",
    "sample.parquet",
    "explanation.json",
    "events.jsonl",
    "environment.json",
    "cv.json",
    "refit.yaml",
    "study.json",
    "tune.json",
    "best.yaml",
    "smallest.yaml",
]
FILE_NAMES: tuple[FileName, ...] = get_args(FileName)
MANIFEST = "manifest.json"
LIMITS: dict[FileName, int] = {
    "config.yaml": MAX_BYTES,
    "resolved.yaml": MAX_BYTES,
    "encoding.json": 2**28,
    "metrics.json": 2**28,
    "history.csv": 2**30,
    "baselines.json": 2**28,
    "predictions.parquet": 2**36,
    "sample.parquet": 2**30,
    "explanation.json": 2**28,
    "events.jsonl": 2**34,
    "environment.json": 2**28,
    "cv.json": 2**28,
    "refit.yaml": MAX_BYTES,
    "study.json": MAX_BYTES,
    "tune.json": 2**28,
    "best.yaml": MAX_BYTES,
    "smallest.yaml": MAX_BYTES,
}
"""The most bytes of a file that is read; `weights.npz` has those that its network needs."""
PAGE = "report.html"
CURVES = "curves.png"
"""What is made of a finished run and can be made again; the manifest doesn't vouch for them."""
ORIGIN: tuple[FileName, ...] = ("config.yaml", "resolved.yaml", "environment.json")
"""What is there before training begins, and all that it takes to go on."""


class Manifest(Sealed):
    """All files of a finished run."""

    kind: str
    """What the run did: `train`, `diverged`, `cv` or `tune`."""
    created: Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text
    """When the run was finished, in UTC."""
    files: dict[FileName, Entry]

    @classmethod
    def describe(cls, folder: Path, kind: str) -> Self:
        """The manifest of a folder as it is now; files that are not dlcli's are left out.

        Raises:
            OSError: if a file can't be read.
        """
        present = [name for name in FILE_NAMES if (folder / name).exists()]
        files = {name: describe(folder / name) for name in present}
        return cls(
            format=FORMAT,
            dlcli=__version__,
            kind=kind,
            created=datetime.now(UTC),
            files=files,
        )

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The manifest of a finished run.

        Raises:
            RunError: if there is none, or it is damaged or of a newer format.
        """
        if not os.path.lexists(folder / MANIFEST):
            raise RunError(_unfinished(folder))
        return cls.read(folder / MANIFEST)


def is_unfinished(folder: Path) -> bool:
    """Whether there is a run that was begun and not finished."""
    is_finished = os.path.lexists(folder / MANIFEST)
    return not is_finished and all(os.path.lexists(folder / name) for name in ORIGIN)


def resume_command(folder: Path) -> str:
    """What goes on with an unfinished run, as one types it."""
    return shlex.join(["dlcli", begun_kind(folder), "--resume", str(folder)])


def _unfinished(folder: Path) -> str:
    if holder := holder_of(folder):
        return f"{folder}: is not finished, process {holder} is training it; wait until it ends"
    if is_unfinished(folder):
        return f"{folder}: is an unfinished run; go on with: {resume_command(folder)}"
    if any(os.path.lexists(folder / name) for name in FILE_NAMES):
        return (
            f"{folder}: is an unfinished run, it has no {MANIFEST}, and was ended before training "
            "began; train it again"
        )
    return f"{folder}: is not a run folder, it has no {MANIFEST}: name one that `dlcli train` made"
