"""The memory that there is for this process, whoever bounds it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROC = Path("/proc")
"""Where Linux tells of memory."""
CGROUPS = Path("/sys/fs/cgroup")
"""Where it tells of containers: https://docs.kernel.org/admin-guide/cgroup-v2.html."""

_UNLIMITED = 2**60
"""What version 1 of control groups says where there is no limit is more than this."""


@dataclass(frozen=True)
class Limit:
    """One of the bounds that a process has."""

    left: float
    """Bytes that it may still take."""
    name: str
    """What bounds it, as messages say it: `the machine's memory`."""
    counts: Literal["pages", "addresses", "data"] = "pages"
    """What counts: memory in use, or addresses that were set aside, all or writable ones."""
    swap: float = 0.0
    """Bytes that may be taken beyond, slowly."""


def available_memory() -> float:
    """The bytes that the process may still take."""
    return min((limit.left for limit in memory_limits()), default=float("inf"))


def memory_limits() -> Iterator[Limit]:
    """Yields all bounds that can be found out."""
    swap = _swap()
    yield from _machine(swap)
    yield from _containers(swap)
    yield from _shell()


def _machine(swap: float) -> Iterator[Limit]:
    name = "the machine's memory"
    available = _meminfo().get("MemAvailable")
    if available is not None:
        yield Limit(available, name, swap=swap)
    elif hasattr(os, "sysconf"):
        yield Limit(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"), name)


def _swap() -> float:
    return _meminfo().get("SwapFree", 0.0)


def _meminfo() -> dict[str, float]:
    """The machine's figures in bytes, by name; none where the system doesn't tell."""
    return _kilobytes(_text(PROC / "meminfo"))


def _containers(swap: float) -> Iterator[Limit]:
    """Yields the bounds of the control groups that the process is in, inner ones first."""
    for folder in _groups("", CGROUPS):
        if (most := _number(folder / "memory.max")) is not None:
            used = _number(folder / "memory.current") or 0.0
            yield _group(folder, most, used, ("inactive_file", "active_file"), swap)
    for folder in _groups("memory", CGROUPS / "memory"):
        most = _number(folder / "memory.limit_in_bytes")
        if most is not None and most < _UNLIMITED:
            used = _number(folder / "memory.usage_in_bytes") or 0.0
            yield _group(folder, most, used, ("total_inactive_file", "total_active_file"), swap)


def _group(folder: Path, most: float, used: float, files: tuple[str, str], swap: float) -> Limit:
    """The bound of a group; what it holds of files is given back when it is wanted."""
    held = dict(re.findall(r"^(\w+) (\d+)$", _text(folder / "memory.stat"), re.MULTILINE))
    cached = sum(float(held.get(key, 0)) for key in files)
    return Limit(most - max(used - cached, 0.0), "the container's memory", swap=swap)


def _groups(controller: str, mount: Path) -> Iterator[Path]:
    """Yields the folders of the process's group and of those around it.

    Inside of a container its own group is the root, whatever path the process is said to have.
    """
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inner = mount / path.lstrip("/")
            yield from (
                folder
                for folder in (inner, *inner.parents)
                if folder.is_relative_to(mount) and folder.is_dir()
            )


def _shell() -> Iterator[Limit]:
    """Yields the bounds that a shell has set, less what the process has taken already."""
    if sys.platform == "win32":
        return
    import resource

    taken = _kilobytes(_text(PROC / "self" / "status"))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield Limit(soft - taken.get("VmSize", 0.0), "the address space (ulimit -v)", "addresses")
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        yield Limit(soft - taken.get("VmData", 0.0), "the data segment (ulimit -d)", "data")


def _kilobytes(text: str) -> dict[str, float]:
    """The bytes of all lines such as `MemAvailable:  5000 kB`, by name."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: float(number) * 1024 for name, number in found}


def _number(path: Path) -> float | None:
    """The number that a file holds; none where there is no file, or no number in it."""
    with suppress(ValueError):
        return float(int(_text(path)))
    return None


def _text(path: Path) -> str:
    """A file's text; none where there is no such file or it can't be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""
