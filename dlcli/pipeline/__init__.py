"""Train, cross-validate and search: what is made of one fit of given rows.

Each name is loaded when it is used: training needs no search, and reports need only the results.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.pipeline.cluster_training import train_in_cluster, tune_in_cluster
    from dlcli.pipeline.cross_validation import (
        MOST_FOLDS,
        REFIT_FAILED,
        Plan,
        cross_validate,
        resume_cross_validation,
    )
    from dlcli.pipeline.documents import (
        FEWEST_TRIALS,
        CrossValidation,
        Dimension,
        Finalist,
        FoldResult,
        Interval,
        NestedFold,
        Search,
        TrialResult,
        leaderboard,
        thinned,
    )
    from dlcli.pipeline.events import Events, Listener
    from dlcli.pipeline.fit import hide_unused_packages, quiet_tensorflow
    from dlcli.pipeline.folder_prediction import FolderOptions, predict_folder
    from dlcli.pipeline.preflight import check
    from dlcli.pipeline.preparation import Prepared, prepare
    from dlcli.pipeline.remedies_trial import Trial, choose_patches, try_patches, winner
    from dlcli.pipeline.reproduction import Reproduction, reproduce
    from dlcli.pipeline.search import resume_tuning, tune
    from dlcli.pipeline.search_context import SearchSettings
    from dlcli.pipeline.search_storage import mask_password
    from dlcli.pipeline.train_run import fit_only, resume, train


_NAMES = {
    "cluster_training": ("train_in_cluster", "tune_in_cluster"),
    "cross_validation": (
        *("MOST_FOLDS", "REFIT_FAILED", "Plan", "cross_validate", "resume_cross_validation"),
    ),
    "documents": (
        *("FEWEST_TRIALS", "CrossValidation", "Dimension", "Finalist", "FoldResult", "Interval"),
        *("NestedFold", "Search", "TrialResult", "leaderboard", "thinned"),
    ),
    "events": ("Events", "Listener"),
    "fit": ("hide_unused_packages", "quiet_tensorflow"),
    "folder_prediction": ("FolderOptions", "predict_folder"),
    "preflight": ("check",),
    "preparation": ("Prepared", "prepare"),
    "remedies_trial": ("Trial", "choose_patches", "try_patches", "winner"),
    "reproduction": ("Reproduction", "reproduce"),
    "search": ("resume_tuning", "tune"),
    "search_context": ("SearchSettings",),
    "search_storage": ("mask_password",),
    "train_run": ("fit_only", "resume", "train"),
}
"""The names of each module."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"dlcli.pipeline.{_MODULES[name]}"), name)
