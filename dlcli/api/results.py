"""Results of the functions of the Python API: runs, comparisons, diagnoses, inspections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import pyarrow as pa

from dlcli.api.arguments import check_level, output_path
from dlcli.api.models import Model
from dlcli.config.config_schema import Config
from dlcli.errors import check_word
from dlcli.exports.formats import FormatName
from dlcli.pipeline.retraining import Reproduction
from dlcli.reports import command_views, diagnosis_report
from dlcli.reports.comparison_report import comparison_view
from dlcli.reports.drift_report import drift_view
from dlcli.reports.report_files import to_card, training_curves, view_of, write_report
from dlcli.reports.views import View, render_text
from dlcli.runs.documents import CrossValidation, Search
from dlcli.runs.run import MetricsBySplit, Run
from dlcli.runs.run_folder import open_run

if TYPE_CHECKING:
    from dlcli.comparison import Comparison
    from dlcli.data_checks.inspection import Inspection
    from dlcli.diagnosis.remedies import Finding
    from dlcli.pipeline.drift import MeasuredDrift


class _Shown:
    """A result with a view: printed like the command's output, shown as a card in notebooks."""

    def _view(self) -> View:
        raise NotImplementedError

    def __str__(self) -> str:
        return render_text(self._view())

    def _repr_html_(self) -> str:
        return to_card(self._view())


@dataclass(frozen=True)
class _FinishedRun(_Shown):
    """A run folder, whose files are read and verified on demand."""

    folder: Run = field(repr=False)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def config(self) -> Config:
        """The complete config."""
        return self.folder.config

    @cached_property
    def gates(self) -> list[dict[str, Any]]:
        """The results of the config's gates as in JSON: `gate`, `value` and `failures` of each."""
        return [each.model_dump() for each in self.folder.gates]

    def report(self, output: str | Path | None = None) -> Path:
        """Write the HTML report of the run to its folder or to a new file.

        Raises:
            UsageError: if the file exists or can't be created.
            RunError: if a file of the run is damaged, or the report can't be written.
        """
        return write_report(self.folder, None if output is None else output_path(output))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _view(self) -> View:
        return view_of(self.folder)


class SetMetrics(dict[str, Any]):
    """The metrics of one set of rows, by name.

    A metric is a number, or `None` if it is undefined. `confusion` is a list of lists of numbers of
    rows, with a list for each true class. `by_label` and `by_column` are the metrics of each label
    or target column.
    """

    @overload
    def __getitem__(self, name: Literal["confusion"]) -> list[list[float]]: ...
    @overload
    def __getitem__(
        self, name: Literal["by_label", "by_column"]
    ) -> dict[str, dict[str, float | Any]]: ...
    @overload
    # `float | Any` instead of `float | None`, because few metrics are ever undefined.
    def __getitem__(self, name: str) -> float | Any: ...  # noqa: ANN401
    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return super().__getitem__(name)


def _typed(metrics: MetricsBySplit) -> dict[str, SetMetrics]:
    return {split: SetMetrics(values) for split, values in metrics.items()}


class TrainingRun(_FinishedRun):
    """The run of a training."""

    @property
    def metrics(self) -> dict[str, SetMetrics]:
        """The final metrics by split (`train`, `validation`, `test`), then metric."""
        return _typed(self.folder.metrics)

    @property
    def baselines(self) -> dict[str, dict[str, SetMetrics]]:
        """The metrics of the constant and linear model, by model, split, then metric."""
        return {name: _typed(metrics) for name, metrics in self.folder.baselines.items()}

    @property
    def distillation(self) -> dict[str, Any] | None:
        """The comparison of a distilled network with its ensemble; `None` for other networks."""
        found = self.folder.distillation
        return None if found is None else found.model_dump(mode="json")

    @property
    def history(self) -> dict[str, list[float]]:
        """Loss and metrics of each epoch, by name; for an ensemble, means over its members."""
        return self.folder.history

    @cached_property
    def model(self) -> Model:
        """The trained model."""
        return Model.of(self.path)

    def export(
        self,
        format: FormatName,
        output: str | Path,
        *,
        interval: float | None = None,
        quantize: Literal["dynamic"] | None = None,
    ) -> ExportResult:
        """Export the run, see `dlcli.export`."""
        from dlcli.exports.export_folder import export_run

        folder = output_path(output)
        check_word("format", format, get_args(FormatName))
        if interval is not None:
            check_level(interval)
        check_word("quantize", quantize, ("dynamic", None))
        is_quantized = quantize is not None
        exported = export_run(self.folder, format, folder, interval, quantize=is_quantized)
        if exported.document is None:
            return ExportResult(folder)
        return ExportResult(folder, exported.document.model_dump(mode="json"))

    def _repr_html_(self) -> str:
        return to_card(view_of(self.folder), training_curves(self.folder, is_transparent=True))


class CrossValidationRun(_FinishedRun):
    """The run of a cross-validation."""

    @cached_property
    def result(self) -> CrossValidation:
        """All folds and their combined metrics, as in cv.json."""
        return self.folder.cross_validation

    @property
    def metrics(self) -> dict[str, float | Any]:
        """The metrics on the rows of all folds; no network was trained on a row it predicts.

        An undefined metric is `None`.
        """
        return {name: interval.value for name, interval in self.result.pooled.items()}

    @property
    def groups(self) -> list[dict[str, Any]] | None:
        """The groups of each column of `by` or `evaluate_by`, in the form of `Model.evaluate`."""
        found = self.folder.groups
        return None if found is None else [each.model_dump(mode="json") for each in found.columns]

    @property
    def predictions(self) -> pa.Table:
        """A table with a line for each row: its number, fold, target and prediction."""
        return self.folder.required_predictions.table


class SearchRun(_FinishedRun):
    """The run of a search."""

    @cached_property
    def result(self) -> Search:
        """All trials and the best ones, as in tune.json."""
        return self.folder.search

    @property
    def best_settings(self) -> Mapping[str, Any]:
        """The settings of the best candidate, by path in the search space."""
        trial = self.result.trial(self.result.best)
        return {} if trial is None else trial.values

    @property
    def best(self) -> TrainingRun:
        """The best candidate, trained in full.

        Raises:
            RunError: if its training failed.
        """
        return TrainingRun(open_run(self.path / "best"))

    @property
    def ensemble(self) -> TrainingRun:
        """The best candidates as one ensemble.

        Raises:
            RunError: if the search has none, or its training failed.
        """
        return TrainingRun(open_run(self.path / "ensemble"))


AnyRun = str | Path | TrainingRun
"""The path of a run folder, or the run of a training."""


AnyResult = TrainingRun | CrossValidationRun | SearchRun


def result_of(run: Run) -> AnyResult:
    """Return the result object for the kind of a run."""
    if run.kind == "cv":
        return CrossValidationRun(run)
    return SearchRun(run) if run.kind == "tune" else TrainingRun(run)


@dataclass(frozen=True)
class ExportResult:
    """An exported run."""

    path: Path
    """The folder, or the file of a model card. The folder of a model contains a `README.md` that
    describes inputs and outputs."""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The content of `export.json` of a model: the compared rows and the largest differences."""

    def __str__(self) -> str:
        """Return the last line that `dlcli export` prints."""
        return f"export: {self.path}"


@dataclass(frozen=True)
class ComparisonResult(_Shown):
    """Runs side by side."""

    comparison: Comparison = field(repr=False)

    def to_dict(self) -> Mapping[str, Any]:
        """Return the object that `dlcli compare --json` prints."""
        from dlcli.comparison import to_document

        return to_document(self.comparison)

    def _view(self) -> View:
        return comparison_view(self.comparison)


@dataclass(frozen=True)
class DiagnosisResult(_Shown):
    """The findings in a run, the most important first."""

    run: Run = field(repr=False)
    findings: Sequence[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `dlcli diagnose --json` prints."""
        return diagnosis_report.diagnosis_document(self.run, self.findings)

    def _view(self) -> View:
        return diagnosis_report.diagnosis_view(self.run, self.findings)


@dataclass(frozen=True)
class DriftResult(_Shown):
    """The comparison of new rows with the training rows."""

    measured: MeasuredDrift = field(repr=False)

    @property
    def level(self) -> Literal["none", "moderate", "strong"]:
        """The highest level of a column, of a prediction and of the classifier."""
        return self.measured.document.level

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `dlcli drift --json` prints."""
        return self.measured.document.model_dump(mode="json")

    def _view(self) -> View:
        return drift_view(self.measured)


@dataclass(frozen=True)
class ReproductionResult(_Shown):
    """A retrained run, compared with the original."""

    reproduction: Reproduction = field(repr=False)

    @property
    def reproduced(self) -> bool:
        """True if everything is equal or within the tolerance."""
        return not self.reproduction.differing

    @property
    def run(self) -> TrainingRun:
        """The new run."""
        return TrainingRun(self.reproduction.again)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as `dlcli reproduce --json` prints it."""
        return self.reproduction.event.to_json()

    def _view(self) -> View:
        return command_views.reproduction_view(self.reproduction)


@dataclass(frozen=True)
class InspectionResult(_Shown):
    """The columns of a table, and the findings of checks."""

    inspection: Inspection = field(repr=False)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Name, inferred type, reason and values of each column."""
        return [asdict(column) for column in self.inspection.columns]

    @property
    def issues(self) -> list[dict[str, Any]]:
        """The findings of checks, warnings first, each with a message and advice."""
        return [asdict(finding) for finding in self.inspection.issues]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `dlcli inspect --json` prints."""
        return asdict(self.inspection)

    def _view(self) -> View:
        return command_views.inspection_view(self.inspection)
