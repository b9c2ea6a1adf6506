"""The search for a better config: candidates tried by Optuna, in one process or several."""

from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.story import resume_tuning, tune

__all__ = ["Settings", "resume_tuning", "tune"]
