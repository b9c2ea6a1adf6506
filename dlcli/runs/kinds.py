"""What a run folder is of: a training, a cross-validation or a search."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

RunKind = Literal["train", "cv", "tune"]
"""The verb that makes it. A manifest may also say `diverged`, of a training."""
DIVERGED = "diverged"
"""The kind of a run whose training has diverged: what was good of it is there to start from."""
TRAINED = ("train",)
"""The kinds of runs that have a network to predict with."""
REPORTABLE: tuple[RunKind, ...] = ("train", "cv", "tune")
"""The kinds of runs that `dlcli report` takes when none is named."""
FOLDS = "folds"
"""A folder with what each fold of a cross-validation came to, while not all have."""
STUDY = "study.json"
"""What is known of a search before its first trial."""
WORDS: dict[str, str] = {"train": "training", "cv": "cross-validation", "tune": "search"}
"""What messages call it."""


def begun_kind(folder: Path) -> RunKind:
    """What a folder was begun as, which its manifest may not tell yet."""
    if os.path.lexists(folder / STUDY):
        return "tune"
    return "cv" if os.path.lexists(folder / FOLDS) else "train"
