"""The manifest, which makes a folder a finished run: its files and their digests."""

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
from dlcli.runs.folder_lock import holder_of
from dlcli.runs.safe_files import FORMAT, FileDigest, VerifiedDocument

RunKind = Literal["train", "cv", "tune"]
"""The command that made a run. A manifest may also have `diverged`, for a training."""
DIVERGED = "diverged"
"""The kind of a training that diverged, of which the last finite weights are stored."""
REPORTABLE: tuple[RunKind, ...] = ("train", "cv", "tune")
"""The kinds of runs that `dlcli report` uses if none is named."""
KIND_NAMES: dict[str, str] = {"train": "training", "cv": "cross-validation", "tune": "search"}
"""The kinds in messages."""
FOLDS = "folds"
"""Folder with the partial results of an unfinished cross-validation."""
STUDY = "study.json"
"""Description of a search, stored before its first trial."""

FileName = Literal[
    "config.yaml",  # the config as the user gave it
    "resolved.yaml",  # the complete config
    "encoding.json",  # the fitted encoding
    "weights.npz",  # the weights, float32, by name
    "model.keras",  # the model for the user's own Keras code
    "metrics.json",  # the final metrics by split, then metric
    "history.csv",  # loss and metrics of each epoch
    "baselines.json",  # the metrics of the simplest models by model, split, then metric
    "verdicts.json",  # whether the network is better than these models, and signs of a leak
    "predictions.parquet",  # row, split, target and prediction of the held-out rows
    "sample.parquet",  # the same of a sample of the training rows
    "explanation.json",  # the explanation of the network
    "events.jsonl",  # the log, which an interrupted run keeps
    "environment.json",  # versions, machine, command and data files
    "cv.json",  # the result of a cross-validation
    "refit.yaml",  # the config that trains on the rows of all folds
    "study.json",  # the description of a search, stored before its first trial
    "tune.json",  # the result of a search
    "best.yaml",  # the config of the best candidate of a search
    "smallest.yaml",  # the config of its smallest candidate that is as good
]
FILE_NAMES: tuple[FileName, ...] = get_args(FileName)
MANIFEST = "manifest.json"
LIMITS: dict[FileName, int] = {
    **dict.fromkeys(("encoding.json", "metrics.json", "baselines.json", "explanation.json"), 2**28),
    **dict.fromkeys(("environment.json", "cv.json", "tune.json", "verdicts.json"), 2**28),
    **dict.fromkeys(("config.yaml", "resolved.yaml", "refit.yaml", "study.json"), MAX_BYTES),
    **dict.fromkeys(("best.yaml", "smallest.yaml"), MAX_BYTES),
    "history.csv": 2**30,
    "predictions.parquet": 2**36,
    "sample.parquet": 2**30,
    "events.jsonl": 2**34,
}
"""Maximum size of each file that is read, in bytes; that of `weights.npz` follows from its network,
and `model.keras` is not read."""
PAGE = "report.html"
CURVES = "curves.png"
"""Files that are made from a finished run at any time; the manifest doesn't list them."""
ORIGIN: tuple[FileName, ...] = ("config.yaml", "resolved.yaml", "environment.json")
"""Files that exist before training begins; a run is resumed from them."""


class Manifest(VerifiedDocument):
    """All files of a finished run."""

    kind: str
    """`train`, `diverged`, `cv` or `tune`."""
    created: Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text
    """When the run was finished, in UTC."""
    files: dict[FileName, FileDigest]

    @classmethod
    def describe(cls, folder: Path, kind: str) -> Self:
        """Return the manifest of a folder as it is now, without files that are not dlcli's.

        Raises:
            OSError: if a file can't be read.
        """
        present = [name for name in FILE_NAMES if (folder / name).exists()]
        return cls(
            format=FORMAT,
            dlcli=__version__,
            kind=kind,
            created=datetime.now(UTC),
            files={name: FileDigest.of(folder / name) for name in present},
        )

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the manifest of a finished run.

        Raises:
            RunError: if there is none, or it is damaged or of a newer format.
        """
        if os.path.lexists(folder / MANIFEST):
            return cls.read(folder / MANIFEST)
        if holder := holder_of(folder):
            message = f"is not finished, process {holder} is training it; wait until it ends"
        elif is_unfinished(folder):
            message = f"is an unfinished run; resume with: {resume_command(folder)}"
        elif any(os.path.lexists(folder / name) for name in FILE_NAMES):
            message = (
                f"is an unfinished run, it has no {MANIFEST}, and was ended before training began; "
                "train it again"
            )
        else:
            message = f"is not a run folder, it has no {MANIFEST}: name one that `dlcli train` made"
        raise RunError(f"{folder}: {message}")


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder is a run that was begun and not finished."""
    is_finished = os.path.lexists(folder / MANIFEST)
    return not is_finished and all(os.path.lexists(folder / name) for name in ORIGIN)


def kind_of_unfinished(folder: Path) -> RunKind:
    """Return the kind of an unfinished run, which has no manifest yet."""
    if os.path.lexists(folder / STUDY):
        return "tune"
    return "cv" if os.path.lexists(folder / FOLDS) else "train"


def resume_command(folder: Path) -> str:
    """Return the command that resumes an unfinished run."""
    return shlex.join(["dlcli", kind_of_unfinished(folder), "--resume", str(folder)])
