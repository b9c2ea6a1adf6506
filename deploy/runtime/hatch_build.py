"""Add the package to the wheel and to the source distribution.

In a checkout, the package is two folders above; in a source distribution, it is next to this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IN_WHEEL = {"dlcli": "dlcli", "docs/glossary.md": "dlcli/glossary.md"}
"""The files of the checkout, with their paths in the wheel."""


class PackageHook(BuildHookInterface):
    """Adds `IN_WHEEL`. A path outside the folder of pyproject.toml works only in a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a build, see `BuildHookInterface`."""
        root = Path(self.root)
        source = root if (root / "dlcli").is_dir() else root.parents[1]
        for file, in_wheel in IN_WHEEL.items():
            target = in_wheel if self.target_name == "wheel" else file
            build_data["force_include"][str(source / file)] = target
