"""The run folder: what a training leaves behind. Only this room knows the names of its files.

`new_run` makes a folder and gives a `Draft` to write to; `open_run` and `latest_run` give a `Run`
to read from. A folder is a run once its manifest is there, and the manifest comes last.
"""

from dlcli.run.arrays import ArrayKind
from dlcli.run.checkpoints import Checkpoint
from dlcli.run.draft import Draft
from dlcli.run.environment import collect_environment, fingerprint
from dlcli.run.folder import cache_folder, new_run, unfinished_run, unfinished_twins, way_on
from dlcli.run.kinds import DIVERGED, Kind
from dlcli.run.manifest import resume_command
from dlcli.run.parts import StoredPart
from dlcli.run.run import Run, latest_run, open_run, start_from

__all__ = [
    "DIVERGED",
    "ArrayKind",
    "Checkpoint",
    "Draft",
    "Kind",
    "Run",
    "StoredPart",
    "cache_folder",
    "collect_environment",
    "fingerprint",
    "latest_run",
    "new_run",
    "open_run",
    "resume_command",
    "start_from",
    "unfinished_run",
    "unfinished_twins",
    "way_on",
]
