"""Begins two workers that go on for ever, and prints their process numbers; to be killed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from dlcli.errors import Interrupted
from dlcli.run import Draft
from dlcli.tuning.workers import work_together
from tests.tuning.crews import end_well

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    draft = Draft(folder)
    draft.has_parts = True
    try:
        work_together(
            partial(end_well, folder),
            2,
            draft,
            lambda event, fields: print(fields["process"], flush=True),
        )
    except Interrupted as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
