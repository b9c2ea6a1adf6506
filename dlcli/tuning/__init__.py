"""The search for a better config: candidates tried by Optuna, in one process or several."""

from dlcli.tuning.settings import Settings
from dlcli.tuning.story import resume, tune

__all__ = ["Settings", "resume", "tune"]
