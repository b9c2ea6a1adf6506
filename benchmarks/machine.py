"""What measured: times mean nothing without it."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from pathlib import Path

from benchmarks.processes import output

_VERSIONS = """
import importlib.metadata as metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: found[name] = metadata.version(name)
    except metadata.PackageNotFoundError: pass
print(json.dumps(found))
"""
"""Asked of both interpreters; only what is installed is in the answer."""


def machine_facts(rivals_python: str) -> dict[str, object]:
    """Describes the machine and what is installed, for JSON.

    Args:
        rivals_python: the interpreter of libraries that dlcli doesn't depend on.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "versions": _versions(sys.executable, "tensorflow", "keras", "numpy"),
        "rivals' versions": _versions(rivals_python, "jax", "torch", "scikit-learn", "numpy"),
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _versions(python: str, *distributions: str) -> object:
    return json.loads(output([python, "-c", _VERSIONS, *distributions]))
