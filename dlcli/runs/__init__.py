"""The run folder: the result of a training. Only this package reads and writes its files.

`new_run` makes a folder and gives a `RunWriter`; `open_run` and `latest_run` give a `Run`. The
manifest is written last: a folder without it is an unfinished run.
"""

from dlcli.runs.file_formats import ArraySpec, weight_specs
from dlcli.runs.manifest import (
    DIVERGED,
    FOLDS,
    LIMITS,
    STUDY,
    RunKind,
    is_unfinished,
    kind_of_unfinished,
    locked,
    resume_command,
)
from dlcli.runs.resume_files import Checkpoint, check_folder
from dlcli.runs.run_folder import (
    cache_folder,
    existing_folder_advice,
    new_run,
    unfinished_run,
    unfinished_runs_like,
)
from dlcli.runs.run_reader import (
    MetricsBySplit,
    Run,
    initial_weights_option,
    is_run_folder,
    latest_run,
    open_run,
    opened_network,
    read_resolved,
    tracked_files,
    write_page,
)
from dlcli.runs.run_writer import (
    RunWriter,
    collect_environment,
    content_id,
    data_entries,
    fingerprint,
    read_mlflow_run,
    tensorboard_folder,
    write_mlflow_run,
)
from dlcli.runs.safe_files import (
    Count,
    Document,
    FileDigest,
    damaged,
    has_content,
    not_regular,
    open_new_file,
    os_error_text,
    parse_document,
    partial_path,
    read_object,
    refuse_existing_file,
    sync,
    write_atomically,
)
