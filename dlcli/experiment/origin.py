"""What a run is made from: stored before training begins, and compared before it goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcli.config import Config, ConfigFile, dump_config, load_config
from dlcli.errors import ConfigError, Problem, RunError, UsageError
from dlcli.experiment.events import Events
from dlcli.experiment.tables import data_files
from dlcli.run import Draft, collect_environment, fingerprint

if TYPE_CHECKING:
    from dlcli.training import Device

_EXACT = ("dlcli", "tensorflow", "keras", "numpy", "processor", "threads", "device")
"""What the bits of the weights depend on besides config and data."""


def write_origin(draft: Draft, file: ConfigFile, resolved: Config, device: Device) -> None:
    """Stores what a run is made from.

    Args:
        draft: the run.
        file: the config as given.
        resolved: with all that was inferred.
        device: what will train it.
    """
    draft.write_config(file.text)
    draft.write_resolved(dump_config(resolved))
    draft.write_environment(_environment(file, resolved, device))


def read_resolved(draft: Draft) -> ConfigFile:
    """The config of a run that goes on, with all that was inferred.

    Raises:
        RunError: if it is damaged.
    """
    try:
        return load_config(draft.resolved_path())
    except ConfigError as error:
        problem: Problem | UsageError = replace(error.problems[0], position="")
    except UsageError as error:
        problem = error
    raise RunError(f"{draft.path}: its resolved.yaml can't be read: {problem}; train it again")


def check_data(draft: Draft, file: ConfigFile) -> None:
    """Refuses to go on with other rows than those that training began with.

    Args:
        draft: the run.
        file: its resolved config.

    Raises:
        RunError: if a file has changed since, or can't be known again.
    """
    stored = draft.read_environment().get("data")
    files = data_files(file)
    known = stored if isinstance(stored, list) else []
    if len(known) != len(files):
        what = f"began with {len(known)} data files, and there are {len(files)}"
        raise RunError(f"{draft.path}: {what}; train it again")
    for entry, path in zip(known, files, strict=True):
        before = entry.get("sha256") if isinstance(entry, dict) else None
        if before is None:
            raise RunError(
                f"{path}: could be read only once, as a pipe can; store its rows in a file, and "
                "train on that"
            )
        # Of one that is gone or may not be read, its reader tells.
        if os.access(path, os.R_OK) and before != fingerprint(path)["sha256"]:
            raise RunError(
                f"{path}: has changed since the run began; restore it, or train the run again"
            )


def warn_of_changes(draft: Draft, file: ConfigFile, device: Device, events: Events) -> None:
    """Tells what has changed since training began, and may change the last bits of its weights.

    Args:
        draft: the run.
        file: its resolved config.
        device: what will train it.
        events: are told.
    """
    before, now = draft.read_environment(), _environment(file, file.config, device)
    changes = _changes(before, now)
    if changes:
        told = ", ".join(changes)
        message = f"{draft.path}: {told}; the weights may differ from those of an undisturbed run"
        events.tell("warning", message=message)


def _environment(file: ConfigFile, resolved: Config, device: Device) -> dict[str, object]:
    return collect_environment(
        seed=resolved.seed,
        threads=device.threads,
        device=device.name,
        data=data_files(file),
    )


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [
        f"{name} was {before.get(name)} and is {now.get(name)}"
        for name in _EXACT
        if before.get(name) != now.get(name)
    ]
