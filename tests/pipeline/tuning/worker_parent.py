"""Start two workers that work forever, and print their process numbers; to be killed."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

from dlcli import is_command_line
from dlcli.errors import Interrupted
from dlcli.pipeline.worker_pool import run_workers
from dlcli.runs.run_writer import RunWriter
from dlcli.training_job import StopOnSignal
from tests.pipeline.tuning.worker_tasks import clean_up

if __name__ == "__main__":
    is_command_line.set(True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
    folder = Path(sys.argv[1])
    stop = StopOnSignal(RunWriter(folder), lambda: "2 trials", resumable=True)
    try:
        run_workers(
            partial(clean_up, folder),
            2,
            stop,
            lambda event: print(event.process, flush=True),
        )
    except Interrupted as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
