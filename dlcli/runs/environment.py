"""The origin of a run: versions, machine, and the data that its metrics are biased on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcli import __version__, is_command_line
from dlcli.errors import by_caller
from dlcli.safe_files import FileDigest
from dlcli.schema.urls import Location, Url, hide_secrets

if TYPE_CHECKING:
    from dlcli.tables.memory_tables import MemoryTable
    from dlcli.tables.source_files import Source

_PACKAGES = ("tensorflow", "keras", "numpy", "pyarrow")
GIT_SECONDS = 2.0


def collect_environment(
    *, seed: int, threads: int, device: str, data: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return everything except the config that a run depends on, for JSON.

    What is unknown is `None`: a finished training must not fail for it.

    Args:
        seed: random seed.
        threads: number of CPU threads.
        device: `cpu` or `gpu`.
        data: the fingerprints of the files it read.
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
        **({"command": [*map(hide_secrets, sys.argv)]} if is_command_line.get() else {}),
        "data": [*data],
        "git": _git(),
    }


def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

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


def fingerprint(path: Location) -> dict[str, object]:
    """Return SHA-256 and size of a file; `None` if it can't be read, or only once.

    A file at a URL has its `version` in place of the SHA-256.

    Raises:
        UsageError: for a URL that can't be read.
    """
    if isinstance(path, Url):
        from dlcli.tables.remote_files import file_version

        size, version_there = file_version(path)
        return {"file": str(path), "sha256": None, "version": version_there, "bytes": size}
    with suppress(OSError):
        if path.is_file():  # a pipe has no more content, and reading it would block
            return {"file": str(path), **FileDigest.of(path).model_dump()}
    return {"file": str(path), "sha256": None, "bytes": None}


def data_entries(environment: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the fingerprints of the data files in an environment, in the order of the config.

    Args:
        environment: of a run, which may come from a stranger; anything else than objects is
            omitted.
    """
    stored = environment.get("data")
    return [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []


def content_id(entry: Mapping[str, object]) -> str | None:
    """Return what identifies the content of a file: its SHA-256, or the version of one at a URL.

    Args:
        entry: a fingerprint, which may come from a stranger's run.

    Returns:
        It; `None` if it is not known.
    """
    found = entry.get("sha256") or entry.get("version")
    return found if isinstance(found, str) else None


def _git() -> dict[str, object] | None:
    """Return the commit of the current folder, and whether tracked files differ from it."""
    import subprocess  # takes long, and prediction needs none

    # With every tag excluded, the description is the commit itself, plus the mark if it is dirty.
    description = ["describe", "--always", "--abbrev=64", "--exclude=*", "--dirty"]
    # A foreign repository may name a program to run as its file system monitor.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *description]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, mark = answer.stdout.strip().partition("-")
    return {"commit": commit, "dirty": mark == "dirty"}


@dataclass(frozen=True)
class TrainingData:
    """The files or the table in memory that a run was trained on, by their digests."""

    run: Location
    """The run folder, or its URL."""
    files: Sequence[Mapping[str, object]]
    """The fingerprints of all data files of the run."""
    held_out: str | None
    """The rows of which the run has unbiased metrics: `test` or else `validation`."""
    held_out_name: str | None
    """Their name for people: `test`, `validation` or `out-of-fold`."""

    def warning(self, source: Source | MemoryTable, file: str) -> str:
        """Return a warning for a table that the run was trained on, else an empty text.

        A file is hashed only if a training file has the same size.

        Args:
            source: what is evaluated.
            file: its name in messages.
        """
        from dlcli.tables.memory_tables import MemoryTable
        from dlcli.tables.remote_files import file_size
        from dlcli.tables.source_files import expand

        known = {
            identity: entry.get("bytes")
            for entry in self.files
            if entry.get("key") == "data.train" and (identity := content_id(entry))
        }
        if isinstance(source, MemoryTable):
            is_known = source.fingerprint["sha256"] in known
        else:
            sizes = {*known.values()}
            files = [each for each in expand(source) if isinstance(each, Url) or each.is_file()]
            same_size = [each for each in files if file_size(each) in sizes]
            is_known = any(content_id(fingerprint(each)) in known for each in same_size)
        if not is_known:
            return ""
        way_out = "to hold rows out, set data.test and train again"
        if self.held_out:
            call = f"dlcli.open_run({str(self.run)!r}).metrics[{self.held_out!r}]"
            shown = by_caller(f"dlcli report {self.run}", call)
            way_out = f"`{shown}` shows the metrics of the {self.held_out_name} rows"
        what = f"{self.run} was trained on rows of this table, so"
        if len(known) > 1:  # all rows of the latest month may be test rows
            what = f"has rows that {self.run} may have been trained on; unless all were held out,"
        return f"{file}: {what} these metrics are too optimistic; {way_out}"
