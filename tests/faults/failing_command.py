"""Run a command of dlcli in a process that has loaded `failing_disk.c` and `failing_memory.c`.

Called as `FOLDER NTH ERROR STAYS REPORT COMMAND...`. The memory fails if ERROR is ENOMEM, otherwise
the disk. It writes to the file REPORT the number of operations and, after a space, the first one
that failed, if any.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

from benchmarks.forked import run_command

LARGE = 2**17
"""The bytes of an allocation that can fail.

oneDNN in TensorFlow needs less memory at a time. If that fails, TensorFlow 2.21 ignores it, and
continues with a wrong product of two matrices.
"""


def main() -> int:
    """Run the command, and return its exit code."""
    folder, nth, number, stays, report, *command = sys.argv[1:]
    library = ctypes.CDLL(None)
    count, failed = library.failing_disk_count, library.failing_disk_failed
    when = ctypes.c_long(int(nth)), int(stays)
    if int(number) == errno.ENOMEM:
        count, failed = library.failing_memory_count, library.failing_memory_failed
        library.failing_memory_arm(ctypes.c_size_t(LARGE), *when)
    else:
        library.failing_disk_arm(os.fsencode(folder), int(number), *when)
    failed.restype = ctypes.c_char_p
    try:
        return run_command(command)
    finally:
        library.failing_memory_end()
        Path(report).write_text(f"{count()} {os.fsdecode(failed())}")


if __name__ == "__main__":
    sys.exit(main())
