"""The run folder: what a training leaves behind. Only this room knows the names of its files.

`new_run` makes a folder and gives a `RunWriter` to write to; `open_run` and `latest_run` give a `Run`
to read from. A folder is a run once its manifest is there, and the manifest comes last.
"""

from dlcli.runs.arrays import ArraySpec
from dlcli.runs.checkpoints import Checkpoint
from dlcli.runs.run_writer import RunWriter
from dlcli.runs.environment import collect_environment, fingerprint
from dlcli.runs.folder import cache_folder, new_run, unfinished_run, unfinished_runs_like, existing_folder_advice
from dlcli.runs.kinds import DIVERGED, FOLDS, RunKind, STUDY, REPORTABLE
from dlcli.runs.lock import locked
from dlcli.runs.manifest import LIMITS, MANIFEST, is_unfinished, resume_command
from dlcli.runs.page import write_curves, write_page
from dlcli.runs.parts import PartialResult
from dlcli.runs.run import MetricsBySplit, Run, latest_run, open_run, initial_weights_option
from dlcli.runs.sealed import malformed, read_object
from dlcli.runs.storage import damaged, open_regular_file, os_error_text, write_atomically, sync
from dlcli.runs.tracks import tensorboard_folder, tracked_files, read_mlflow_run, write_mlflow_run
from dlcli.runs.weights import Weights

__all__ = [
    "ArraySpec",
    "Checkpoint",
    "DIVERGED",
    "RunWriter",
    "FOLDS",
    "RunKind",
    "LIMITS",
    "MANIFEST",
    "MetricsBySplit",
    "Run",
    "STUDY",
    "PartialResult",
    "REPORTABLE",
    "Weights",
    "cache_folder",
    "collect_environment",
    "damaged",
    "tensorboard_folder",
    "tracked_files",
    "fingerprint",
    "is_unfinished",
    "latest_run",
    "locked",
    "malformed",
    "new_run",
    "open_run",
    "open_regular_file",
    "read_mlflow_run",
    "read_object",
    "os_error_text",
    "write_atomically",
    "resume_command",
    "initial_weights_option",
    "sync",
    "unfinished_run",
    "unfinished_runs_like",
    "existing_folder_advice",
    "write_curves",
    "write_mlflow_run",
    "write_page",
]
