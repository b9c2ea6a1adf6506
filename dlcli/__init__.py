"""Neural networks for tables, from one YAML file.

::

    import dlcli

    run = dlcli.train("iris.yaml")
    run.metrics["test"]["accuracy"]
    dlcli.load("runs/iris").predict(frame).to_pandas()

Names are loaded at their first use, and TensorFlow only for training.
"""

import os
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.api.functions import compare as compare
    from dlcli.api.functions import cross_validate as cross_validate
    from dlcli.api.functions import diagnose as diagnose
    from dlcli.api.functions import distill as distill
    from dlcli.api.functions import drift as drift
    from dlcli.api.functions import export as export
    from dlcli.api.functions import inspect as inspect
    from dlcli.api.functions import load as load
    from dlcli.api.functions import open_run as open_run
    from dlcli.api.functions import reproduce as reproduce
    from dlcli.api.functions import resume as resume
    from dlcli.api.functions import starter_config as starter_config
    from dlcli.api.functions import train as train
    from dlcli.api.functions import tune as tune
    from dlcli.api.models import Model as Model
    from dlcli.api.models import Prediction as Prediction
    from dlcli.api.models import PredictionChanges as PredictionChanges
    from dlcli.api.models import PredictionExplanation as PredictionExplanation
    from dlcli.api.results import ComparisonResult as ComparisonResult
    from dlcli.api.results import CrossValidationRun as CrossValidationRun
    from dlcli.api.results import DiagnosisResult as DiagnosisResult
    from dlcli.api.results import DriftResult as DriftResult
    from dlcli.api.results import ExportResult as ExportResult
    from dlcli.api.results import InspectionResult as InspectionResult
    from dlcli.api.results import ReproductionResult as ReproductionResult
    from dlcli.api.results import SearchRun as SearchRun
    from dlcli.api.results import TrainingRun as TrainingRun
    from dlcli.config.config_schema import Config as Config
    from dlcli.errors import ConfigError as ConfigError
    from dlcli.errors import DataError as DataError
    from dlcli.errors import DataWarning as DataWarning
    from dlcli.errors import DivergenceError as DivergenceError
    from dlcli.errors import DlcliError as DlcliError
    from dlcli.errors import ExportError as ExportError
    from dlcli.errors import Interrupted as Interrupted
    from dlcli.errors import OutOfMemoryError as OutOfMemoryError
    from dlcli.errors import RequirementError as RequirementError
    from dlcli.errors import RunError as RunError
    from dlcli.errors import TrainingError as TrainingError
    from dlcli.errors import UsageError as UsageError
    from dlcli.pipeline import events as events
    from dlcli.tracking.tracker import TrackedRun as TrackedRun
    from dlcli.tracking.tracker import Tracker as Tracker

__version__ = "0.1.0"

is_command_line = ContextVar("is_command_line", default=False)
"""True if the process is dlcli's own: its arguments are a command, and it may handle signals."""

# Arrow's usual allocator is no faster here than the system's, and keeps what was freed for each of
# its threads: over 100 MB more for large tables, and a table on disk that is read column by column
# would come to lie in memory after all. It is chosen when Arrow is loaded.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

_MODULES = {
    name: module
    for module, names in (
        ("api.functions", "compare cross_validate diagnose distill drift export inspect load"),
        ("api.functions", "open_run reproduce resume starter_config train tune"),
        ("api.models", "Model Prediction PredictionChanges PredictionExplanation"),
        ("api.arguments", "events"),
        (
            "api.results",
            "ComparisonResult CrossValidationRun DiagnosisResult DriftResult ExportResult",
        ),
        ("api.results", "InspectionResult ReproductionResult SearchRun TrainingRun"),
        ("config.config_schema", "Config"),
        ("errors", "ConfigError DataError DivergenceError DlcliError ExportError Interrupted"),
        (
            "errors",
            "DataWarning OutOfMemoryError RequirementError RunError TrainingError UsageError",
        ),
        ("tracking.tracker", "TrackedRun Tracker"),
    )
    for name in names.split()
}
"""The module of each public name."""
__all__ = ["__version__", *_MODULES]


_METHODS = {
    "predict": "dlcli.load(run).predict(table)",
    "evaluate": "dlcli.load(run).evaluate(table)",
    "report": "dlcli.open_run(run).report()",
    "init": "dlcli.starter_config(table, target)",
    "cv": "dlcli.cross_validate(config)",
}
"""The Python call of commands that are not functions of the same name."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        advice = f"; use {_METHODS[name]}" if name in _METHODS else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{advice}")
    return getattr(import_module(f"dlcli.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
