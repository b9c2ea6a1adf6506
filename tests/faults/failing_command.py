"""Run a command of dlcli on a failing disk, in a process that has loaded `failing_disk.c`.

Called as `FOLDER NTH ERROR STAYS REPORT COMMAND...`. It writes to the file REPORT the number of
operations and, after a space, the first one that failed, if any.
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
        count, failed = disk.failing_disk_count(), os.fsdecode(disk.failing_disk_failed())
        Path(report).write_text(f"{count} {failed}")


if __name__ == "__main__":
    sys.exit(main())
