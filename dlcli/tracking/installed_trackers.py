"""Trackers by name: the built-in ones, and entry points of installed packages."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dlcli.errors import UsageError, did_you_mean, require_packages, truncate

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from dlcli.tracking.tracker import Tracker

GROUP = "dlcli.trackers"
"""The group of entry points in which a package lists its trackers."""
_BUILT_IN = {
    "mlflow": "dlcli.tracking.mlflow_tracker:MLflow",
    "tensorboard": "dlcli.tracking.tensorboard_tracker:TensorBoard",
    "wandb": "dlcli.tracking.wandb_tracker:WeightsAndBiases",
}
"""The classes of the built-in trackers; their extras and packages have the same names."""
_MOST_LETTERS = 300


def tracker_packages() -> dict[str, list[str]]:
    """Return the names of all trackers with the packages that provide them, in order of names."""
    packages = {name: [_package(entry) for entry in found] for name, found in _entries().items()}
    return dict(sorted(packages.items()))


def find_tracker(name: str) -> EntryPoint:
    """Return the entry point of a tracker, without loading it.

    Raises:
        UsageError: if the name is unknown or ambiguous, or a package of a built-in tracker is not
            installed.
    """
    entries = _entries()
    match entries.get(name, []):
        case [entry]:
            if name in _BUILT_IN:
                require_packages(f"the tracker '{name}'", name, name)
            return entry
        case []:
            known = ", ".join(sorted(entries))
            way_out = did_you_mean(name, [*entries]) or "; install the package that provides it"
            raise UsageError(f"no tracker is named '{name}'; there are {known}{way_out}")
        case several:
            packages = " and ".join(_package(entry) for entry in several)
            raise UsageError(
                f"the tracker '{name}' is provided by {packages}; uninstall all but one of them"
            )


def open_tracker(name: str) -> Tracker:
    """Load a tracker and create it.

    Raises:
        UsageError: see `find_tracker`; also if the tracker can't be loaded or created, for example
            because its server is down.
    """
    from dlcli.tracking.tracker import Tracker

    entry = find_tracker(name)
    try:
        tracker = entry.load()()
    except UsageError:
        raise
    except Exception as error:
        problem = truncate(f"{type(error).__name__}: {error}", _MOST_LETTERS)
        raise UsageError(
            f"the tracker '{name}' of {_package(entry)} can't be started: {problem}"
        ) from error
    if not isinstance(tracker, Tracker):
        raise UsageError(
            f"the tracker '{name}' of {_package(entry)} is not a subclass of dlcli.Tracker: "
            f"{entry.value}"
        )
    return tracker


def _entries() -> dict[str, list[EntryPoint]]:
    from importlib.metadata import EntryPoint, entry_points  # slow, and rarely needed

    entries: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for name, value in _BUILT_IN.items():
        entries[name].append(EntryPoint(name, value, GROUP))
    for entry in entry_points(group=GROUP):
        entries[entry.name].append(entry)
    return entries


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "dlcli"
