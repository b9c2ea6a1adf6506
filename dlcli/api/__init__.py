"""The Python API: what `import dlcli` offers, each name loaded when it is used."""

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
