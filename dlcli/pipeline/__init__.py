"""The experiment: what `dlcli train` does, told once."""

from dlcli.pipeline.cross_validation import Plan, cross_validate, resume_cross_validation
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.preparation import LayerSummary, Prepared, prepare
from dlcli.pipeline.remedies_trial import Trial, choose_patches, try_patches, winner
from dlcli.pipeline.selection.cross_validation import CrossValidation, FoldResult
from dlcli.pipeline.selection.importance import FEWEST
from dlcli.pipeline.selection.leaderboard import leaderboard
from dlcli.pipeline.selection.notes import REFIT_FAILED
from dlcli.pipeline.selection.part import Interval
from dlcli.pipeline.selection.search import (
    Dimension,
    Finalist,
    NestedFold,
    Search,
    TrialResult,
    Value,
)
from dlcli.pipeline.selection.thinning import thinned, thinned_path
from dlcli.pipeline.train_run import resume, train
from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.storage import masked
from dlcli.pipeline.tuning.story import resume_tuning, tune
from dlcli.pipeline.validation import check

__all__ = [
    "CrossValidation",
    "Dimension",
    "Events",
    "FEWEST",
    "Finalist",
    "FoldResult",
    "Interval",
    "LayerSummary",
    "Listener",
    "NestedFold",
    "Plan",
    "Prepared",
    "REFIT_FAILED",
    "Search",
    "Settings",
    "Trial",
    "TrialResult",
    "Value",
    "check",
    "choose_patches",
    "cross_validate",
    "leaderboard",
    "masked",
    "prepare",
    "resume",
    "resume_cross_validation",
    "resume_tuning",
    "thinned",
    "thinned_path",
    "train",
    "try_patches",
    "tune",
    "winner",
]
