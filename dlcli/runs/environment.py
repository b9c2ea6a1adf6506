"""The environment of a run: what is needed to reproduce it, nothing that identifies a person."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dlcli import __version__
from dlcli.runs.safe_files import sha256

_PACKAGES = ("tensorflow", "keras", "numpy", "pyarrow")
_GIT_SECONDS = 2.0


def collect_environment(
    *, seed: int, threads: int, device: str, data: Sequence[Path]
) -> dict[str, object]:
    """Return what a run depends on besides its config, for JSON.

    What is unknown is `None`: a finished training must not fail for it.

    Args:
        seed: random seed.
        threads: number of CPU threads.
        device: `cpu` or `gpu`.
        data: the files it read, as the user named them.
    """
    return {
        "dlcli": __version__,
        "python": platform.python_version(),
        **{package: _installed(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "seed": seed,
        "threads": threads,
        "device": device,
        "command": list(sys.argv),
        "data": [fingerprint(path) for path in data],
        "git": _git(),
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)  # from the package's files: importing it would take seconds
    except PackageNotFoundError:
        return None


def _processor() -> str | None:
    """Return the processor's model, on Linux."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None


def fingerprint(path: Path) -> dict[str, object]:
    """Return SHA-256 and size of a file; `None` if it can't be read, or only once."""
    with suppress(OSError):
        if path.is_file():  # a pipe has no more content, and reading it would block
            with path.open("rb") as stream:
                digest = sha256(stream)
                return {"file": str(path), "sha256": digest, "bytes": stream.tell()}
    return {"file": str(path), "sha256": None, "bytes": None}


def _git() -> dict[str, object] | None:
    """Return the commit of the current folder, and whether tracked files differ from it."""
    # With every tag excluded, the description is the commit itself, plus the mark if it is dirty.
    description = ["describe", "--always", "--abbrev=64", "--exclude=*", "--dirty"]
    # A foreign repository may name a program to run as its file system monitor.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *description]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, mark = answer.stdout.strip().partition("-")
    return {"commit": commit, "dirty": mark == "dirty"}
