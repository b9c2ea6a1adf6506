"""Hide packages that Keras imports wherever they are installed, which takes it two seconds.

The folder is in the PYTHONPATH of the processes that tests start, except of those that need them.
"""

from __future__ import annotations

import sys

HIDDEN = ("pandas", "sklearn", "IPython")


class _Hiding:
    """Finds none of them."""

    hides_packages = True
    """By which a process that needs them knows it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Raise an error for a hidden package, and leave any other to the next finder."""
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


sys.meta_path.insert(0, _Hiding)  # type: ignore[arg-type]
