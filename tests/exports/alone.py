"""A script in a process that can import pandas, and can't import dlcli.

`python -m tests.exports.alone SCRIPT ARGUMENT ...`, in a fork of a process that has TensorFlow.
"""

from __future__ import annotations

import runpy
import sys


def main(script: str) -> None:
    """Run a script where dlcli may have been loaded, and pandas be hidden."""
    found = [name for name in sys.modules if name.partition(".")[0] == "dlcli"]
    sys.modules.update(dict.fromkeys({*found, "dlcli"}))  # type: ignore[arg-type]
    sys.meta_path[:] = [each for each in sys.meta_path if not hasattr(each, "hides_packages")]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    del sys.argv[0]
    main(sys.argv[0])
