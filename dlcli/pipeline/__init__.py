"""Train, cross-validate and search: what is made of one fit of given rows."""

from dlcli.pipeline.cross_validation import (
    REFIT_FAILED,
    Plan,
    cross_validate,
    resume_cross_validation,
)
from dlcli.pipeline.cv_document import CrossValidation, FoldResult, Interval, thinned
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.preparation import Prepared, prepare
from dlcli.pipeline.remedies_trial import Trial, choose_patches, try_patches, winner
from dlcli.pipeline.search import resume_tuning, tune
from dlcli.pipeline.search_context import SearchSettings
from dlcli.pipeline.search_document import (
    FEWEST_TRIALS,
    Dimension,
    Finalist,
    NestedFold,
    Search,
    TrialResult,
    Value,
    leaderboard,
)
from dlcli.pipeline.search_storage import mask_password
from dlcli.pipeline.train_run import resume, train
from dlcli.pipeline.validation import check

__all__ = [
    "CrossValidation",
    "Dimension",
    "Events",
    "FEWEST_TRIALS",
    "Finalist",
    "FoldResult",
    "Interval",
    "Listener",
    "NestedFold",
    "Plan",
    "Prepared",
    "REFIT_FAILED",
    "Search",
    "SearchSettings",
    "Trial",
    "TrialResult",
    "Value",
    "check",
    "choose_patches",
    "cross_validate",
    "leaderboard",
    "mask_password",
    "prepare",
    "resume",
    "resume_cross_validation",
    "resume_tuning",
    "thinned",
    "train",
    "try_patches",
    "tune",
    "winner",
]
