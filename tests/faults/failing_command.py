"""Run a command of dlcli on a failing disk, in a process that has loaded `failing_disk.c`.

Called as `FOLDER NTH ERROR STAYS REPORT COMMAND...`. It writes the first operation that failed to
the file REPORT, which is empty if none did.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from benchmarks.forked import run_command


def main() -> int:
    """Run the command, and return its exit code."""
    folder, nth, number, stays, report, *command = sys.argv[1:]
    disk = ctypes.CDLL(None)
    disk.failing_disk_failed.restype = ctypes.c_char_p
    disk.failing_disk_arm(os.fsencode(folder), ctypes.c_long(int(nth)), int(number), int(stays))
    try:
        return run_command(command)
    finally:
        Path(report).write_bytes(disk.failing_disk_failed())


if __name__ == "__main__":
    sys.exit(main())
