"""One YAML file in; a trained, explained and portable Dense network out.

::

    import dlcli

    run = dlcli.train("iris.yaml")
    run.metrics["test"]["accuracy"]
    dlcli.load("runs/iris").predict(frame).to_pandas()

Each name is loaded when it is used. TensorFlow is loaded only to train.
"""

import os
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.api.functions import (
        compare,
        cross_validate,
        diagnose,
        export,
        inspect,
        load,
        open_run,
        reproduce,
        resume,
        starter_config,
        train,
        tune,
    )
    from dlcli.api.models import Model, Prediction
    from dlcli.api.notebook import DataWarning
    from dlcli.api.results import (
        ComparisonResult,
        CrossValidationRun,
        DiagnosisResult,
        ExportResult,
        InspectionResult,
        ReproductionResult,
        SearchRun,
        TrainingRun,
    )
    from dlcli.config.config_schema import Config
    from dlcli.errors import (
        ConfigError,
        DataError,
        DivergenceError,
        DlcliError,
        ExportError,
        Interrupted,
        OutOfMemoryError,
        RequirementError,
        RunError,
        TrainingError,
        UsageError,
    )
    from dlcli.pipeline import events

__version__ = "0.1.0"

is_command_line = ContextVar("is_command_line", default=False)
"""True if the process is dlcli's own: its arguments are a command, and it may handle signals."""

# Arrow's usual allocator is no faster here than the system's, and keeps what was freed for each of
# its threads: over 100 MB more for large tables, and a table on disk that is read column by column
# would come to lie in memory after all. It is chosen when Arrow is loaded.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__all__ = [
    "ComparisonResult",
    "Config",
    "ConfigError",
    "CrossValidationRun",
    "DataError",
    "DataWarning",
    "DiagnosisResult",
    "DivergenceError",
    "DlcliError",
    "ExportError",
    "ExportResult",
    "InspectionResult",
    "Interrupted",
    "Model",
    "OutOfMemoryError",
    "Prediction",
    "ReproductionResult",
    "RequirementError",
    "RunError",
    "SearchRun",
    "TrainingError",
    "TrainingRun",
    "UsageError",
    "__version__",
    "compare",
    "cross_validate",
    "diagnose",
    "events",
    "export",
    "inspect",
    "load",
    "open_run",
    "reproduce",
    "resume",
    "starter_config",
    "train",
    "tune",
]
_RESULTS = (
    *("ComparisonResult", "CrossValidationRun", "DiagnosisResult", "ExportResult"),
    *("InspectionResult", "ReproductionResult", "SearchRun", "TrainingRun"),
)
_MODULES = {
    **{name: "api.functions" if name.islower() else "errors" for name in __all__},
    **dict.fromkeys(_RESULTS, "api.results"),
    **dict.fromkeys(("Model", "Prediction"), "api.models"),
    **dict.fromkeys(("DataWarning", "events"), "api.notebook"),
    "Config": "config.config_schema",
}
"""The module of each name."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"dlcli.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
