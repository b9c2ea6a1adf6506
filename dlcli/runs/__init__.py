"""The run folder: what a training leaves behind. Only this room knows the names of its files.

`new_run` makes a folder and gives a `Draft` to write to; `open_run` and `latest_run` give a `Run`
to read from. A folder is a run once its manifest is there, and the manifest comes last.
"""

from dlcli.runs.arrays import ArrayKind
from dlcli.runs.checkpoints import Checkpoint
from dlcli.runs.draft import Draft
from dlcli.runs.environment import collect_environment, fingerprint
from dlcli.runs.folder import cache_folder, new_run, unfinished_run, unfinished_twins, way_on
from dlcli.runs.kinds import DIVERGED, FOLDS, Kind, STUDY, WITH_PAGE
from dlcli.runs.lock import locked
from dlcli.runs.manifest import LIMITS, MANIFEST, is_unfinished, resume_command
from dlcli.runs.page import write_curves, write_page
from dlcli.runs.parts import StoredPart
from dlcli.runs.run import MetricsBySplit, Run, latest_run, open_run, start_from
from dlcli.runs.sealed import malformed, read_object
from dlcli.runs.storage import damaged, opened, reason, replaced, sync
from dlcli.runs.tracks import event_folder, files_of, read_mlflow_run, write_mlflow_run
from dlcli.runs.weights import Weights

__all__ = [
    "ArrayKind",
    "Checkpoint",
    "DIVERGED",
    "Draft",
    "FOLDS",
    "Kind",
    "LIMITS",
    "MANIFEST",
    "MetricsBySplit",
    "Run",
    "STUDY",
    "StoredPart",
    "WITH_PAGE",
    "Weights",
    "cache_folder",
    "collect_environment",
    "damaged",
    "event_folder",
    "files_of",
    "fingerprint",
    "is_unfinished",
    "latest_run",
    "locked",
    "malformed",
    "new_run",
    "open_run",
    "opened",
    "read_mlflow_run",
    "read_object",
    "reason",
    "replaced",
    "resume_command",
    "start_from",
    "sync",
    "unfinished_run",
    "unfinished_twins",
    "way_on",
    "write_curves",
    "write_mlflow_run",
    "write_page",
]
