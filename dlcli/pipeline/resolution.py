"""The config with all that was inferred, which trains the same run again."""

from __future__ import annotations

import os
from pathlib import Path

from dlcli.config import Config, ConfigFile, Files
from dlcli.pipeline.earlier import earlier_run
from dlcli.pipeline.preparation import Prepared


def moved_config(file: ConfigFile, folder: Path, *, keep_tune: bool = False) -> Config:
    """The config as given, for a file in another folder.

    Args:
        file: the config as given.
        folder: where the config will stand, so that its paths lead to the same files.
        keep_tune: whether what to search for is kept, which training doesn't read.
    """

    def moved(source: float | Files | None) -> float | Files | None:
        if isinstance(source, tuple):
            return tuple(_path_from(folder, file.resolve(each)) for each in source)
        return _path_from(folder, file.resolve(source)) if isinstance(source, str) else source

    config = file.config
    sources = {key: moved(getattr(config.data, key)) for key in ("train", "validation", "test")}
    earlier = config.initial_weights
    update = {
        "name": file.name,
        "data": config.data.model_copy(update=sources),
        "initial_weights": earlier and _path_from(folder, earlier_run(file, earlier)),
    }
    if not keep_tune:
        update["tune"] = None
    return config.model_copy(update=update)


def resolved_config(file: ConfigFile, prepared: Prepared, folder: Path, threads: int) -> Config:
    """The config with all that was inferred, for a file in another folder.

    Args:
        file: the config as given.
        prepared: what followed from its data.
        folder: where the resolved config will stand, so that its paths lead to the same files.
        threads: how many train.
    """
    config = moved_config(file, folder)
    data = config.data
    data = data.model_copy(
        update={
            "split": prepared.dealt if any(data.shares) else data.split,
            "target": data.target.model_copy(update={"type": prepared.target.type}),
        }
    )
    features = {column: decision.feature for column, decision in prepared.decisions.items()}
    return config.model_copy(
        update={
            "data": data,
            "input": config.input.model_copy(update={"features": features}),
            "output": prepared.head.output,
            "loss": prepared.head.loss,
            "metrics": prepared.head.metrics,
            "engine": prepared.engine,
            "threads": threads,
        }
    )


def _path_from(folder: Path, file: Path) -> str:
    """A file's path from a folder; absolute where no relative one leads, as between drives."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.absolute().as_posix()
