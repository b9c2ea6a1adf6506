"""The origin of a run: versions, machine and data files."""

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

VERSIONS = ("tensorflow", "keras", "numpy", "pyarrow")
"""The packages whose versions may affect the bits of the weights."""
GIT_SECONDS = 2.0
"""Time limit for Git in seconds."""


def collect_environment(
    *, seed: int, threads: int, device: str, data: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return everything that a run depends on except its config, for JSON.

    A fact that can't be determined is `None`, because it must not make a training fail.

    Args:
        seed: random seed.
        threads: number of CPU threads.
        device: `cpu` or `gpu`.
        data: the fingerprints of the data files.
    """
    return {
        "dlcli": __version__,
        "python": platform.python_version(),
        **{package: installed_version(package) for package in VERSIONS},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "seed": seed,
        "threads": threads,
        "device": device,
        **({"command": [*map(hide_secrets, sys.argv)]} if is_command_line.get() else {}),
        "data": [*data],
        "git": _git(),
    }


def installed_version(package: str) -> str | None:
    """Return the version of a package, without importing it; `None` if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str | None:
    """Return the model of the processor; `None` on other systems than Linux."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None


def fingerprint(path: Location) -> dict[str, object]:
    """Return the SHA-256 and the size in bytes of a file.

    Both are `None` if the file can't be read, or can be read only once. For a URL, `version`
    replaces the SHA-256.

    Raises:
        UsageError: for a URL that can't be read.
    """
    if isinstance(path, Url):
        from dlcli.tables.remote_files import file_version

        size, version_there = file_version(path)
        return {"file": str(path), "sha256": None, "version": version_there, "bytes": size}
    with suppress(OSError):
        if path.is_file():  # a pipe is empty by now, and reading it would block
            return {"file": str(path), **FileDigest.of(path).model_dump()}
    return {"file": str(path), "sha256": None, "bytes": None}


def data_entries(environment: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the fingerprints of the data files in an environment, in the order of the config.

    Args:
        environment: the environment of a run, untrusted; entries that are not objects are omitted.
    """
    stored = environment.get("data")
    return [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []


def content_id(entry: Mapping[str, object]) -> str | None:
    """Return the SHA-256 of a file, or its version if it is at a URL; `None` if unknown.

    Args:
        entry: the fingerprint of the file, untrusted.
    """
    found = entry.get("sha256") or entry.get("version")
    return found if isinstance(found, str) else None


def _git() -> dict[str, object] | None:
    """Return the commit of the current folder, and whether tracked files differ from it."""
    import subprocess  # slow to import, and predictions do not need it

    # Without tags, Git describes the state by its commit, and by a suffix if files have changed.
    description = ["describe", "--always", "--abbrev=64", "--exclude=*", "--dirty"]
    # An untrusted repository can configure any program as its file system monitor.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *description]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, suffix = result.stdout.strip().partition("-")
    return {"commit": commit, "dirty": suffix == "dirty"}


@dataclass(frozen=True)
class TrainingData:
    """The digests of the files, or of the table in memory, on which a run was trained."""

    run: Location
    """The run folder, or its URL."""
    files: Sequence[Mapping[str, object]]
    """The fingerprints of all data files of the run."""
    held_out: str | None
    """The set of held-out rows whose metrics the run has: `test`, else `validation`."""
    held_out_name: str | None
    """The name of this set in messages: `test`, `validation` or `out-of-fold`."""

    def warning(self, source: Source | MemoryTable, file: str) -> str:
        """Return a warning if the run was trained on a table, else an empty string.

        A file is hashed only if a training file has the same size.

        Args:
            source: the table that is evaluated.
            file: the name of the table in messages.
        """
        from dlcli.tables.memory_tables import MemoryTable
        from dlcli.tables.remote_files import file_size
        from dlcli.tables.source_files import expand

        known = {
            identity: size
            for entry in self.files
            if entry.get("key") == "data.train" and (identity := content_id(entry))
            if not isinstance(size := entry.get("bytes"), list | dict)  # not from dlcli
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
