"""What is installed: versions, extras, and missing packages."""

from __future__ import annotations

import os
import platform
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution

from dlcli import __version__
from dlcli.errors import DISTRIBUTIONS, install_command
from dlcli.runs.environment import VERSIONS, installed_version, processor

_PURPOSES = {
    "training": "train, cv, tune, reproduce, distill, export",
    "onnx": "export --format onnx",
    "litert": "export --format litert",
    "serve": "serve",
    "databases": "tables in DuckDB and PostgreSQL",
    "excel": "tables in workbooks",
    "remote": "tables at https:// and similar URLs",
    "tensorboard": "train --tensorboard",
    "mlflow": "train --mlflow",
    "wandb": "train --tracker wandb",
    "postgresql": "tune --storage postgresql+psycopg://...",
    "ray": "predictions in Ray Data",
}
"""The purposes of the packages for training and of the extras; GPUs are listed separately."""
_TRAINING = ("tensorflow", "keras", "optuna", "vl-convert-python")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['\"]([^'\"]+)['\"])?")


@dataclass(frozen=True)
class InstalledPart:
    """A part of dlcli that needs additional packages."""

    name: str
    """The name of the extra, or `training`."""
    purpose: str
    missing: tuple[str, ...]
    """The missing packages; empty if the part can be used."""

    @property
    def way_out(self) -> str:
        """The command that installs the missing packages."""
        if self.name == "training":
            return f"pip install {' '.join(self.missing)}"
        return install_command(self.name)


@dataclass(frozen=True)
class Installation:
    """The versions and parts of dlcli on this machine."""

    distribution: str | None
    """The installed distribution; `None` if dlcli runs from a folder."""
    versions: Mapping[str, str | None]
    """The versions by package; `None` for a missing package."""
    system: Mapping[str, str | int | None]
    """Python, operating system, processor and number of processors."""
    gpus: tuple[str, ...] | None
    """The names of the GPUs that TensorFlow finds; `None` without TensorFlow."""
    parts: tuple[InstalledPart, ...]
    trackers: Mapping[str, Sequence[str]]
    """The names of trackers with the packages that provide them."""

    @property
    def summary(self) -> str:
        """One line for a report of a problem."""
        gpus = "unknown" if self.gpus is None else len(self.gpus)
        packages = (f"{name} {version or 'missing'}" for name, version in self.versions.items())
        system = (f"{name} {value or 'unknown'}" for name, value in self.system.items())
        return ", ".join([*packages, *system, f"GPUs {gpus}"])


def inspect_installation(
    gpus: Sequence[str] | None, trackers: Mapping[str, Sequence[str]]
) -> Installation:
    """Return what is installed, without importing it.

    Args:
        gpus: the names of the GPUs; `None` if unknown.
        trackers: the names of trackers with the packages that provide them.
    """
    found = [(name, [*Distribution.discover(name=name)]) for name in DISTRIBUTIONS]
    distribution = next(((name, each[0]) for name, each in found if each), None)
    needed: dict[str, list[str]] = defaultdict(list, training=[*_TRAINING])
    for name, extra in _requirements(distribution[1]) if distribution else ():
        if extra in _PURPOSES:
            needed[extra].append(name)
    parts = (
        InstalledPart(name, purpose, tuple(n for n in needed[name] if not installed_version(n)))
        for name, purpose in _PURPOSES.items()
        if name in needed
    )
    return Installation(
        distribution=distribution[0] if distribution else None,
        versions={"dlcli": __version__} | {name: installed_version(name) for name in VERSIONS},
        system={
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": processor(),
            "processors": os.cpu_count(),
        },
        gpus=None if gpus is None else tuple(gpus),
        parts=tuple(parts),
        trackers=trackers,
    )


def _requirements(distribution: Distribution) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each required package, and its extra of dlcli, if any."""
    for text in distribution.requires or ():
        if found := _REQUIREMENT.match(text):
            yield found[1], found[2]
