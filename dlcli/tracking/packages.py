"""The packages that trackers need, looked for without loading them."""

from __future__ import annotations

from importlib.util import find_spec

from dlcli.errors import UsageError


def check_installed(extra: str, *packages: str) -> None:
    """Refuses what the packages of an extra are missing for.

    Args:
        extra: of dlcli; the option that needs it has the same name.
        packages: as they are imported.

    Raises:
        UsageError: with what installs them.
    """
    for package in packages:
        if not _is_installed(package):
            raise UsageError(
                f"--{extra} needs the package {package}, which is not installed; install it with: "
                f"pip install 'dlcli[{extra}]'"
            )


def _is_installed(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.origin is not None  # a mere folder of that name has none
