"""A finished run, whose files are read and verified on demand."""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli import errors, safe_files
from dlcli.config.config_file import ConfigFile, load_config_of_run
from dlcli.config.config_schema import Config
from dlcli.errors import RunError, UsageError, option, plural
from dlcli.metrics.definitions import ACCURACY, AUC, largest_class
from dlcli.runs import file_formats
from dlcli.runs.environment import TrainingData, data_entries
from dlcli.runs.file_formats import Array
from dlcli.runs.manifest import DIVERGED, KIND_NAMES, Manifest, RunFile
from dlcli.schema.urls import Location, Url

if TYPE_CHECKING:
    from dlcli.arrays import Matrix
    from dlcli.config.decision_section import Decision
    from dlcli.encoding.table_encoding import Encoding
    from dlcli.explanation.explanation_document import Explanation
    from dlcli.network.layers import Network
    from dlcli.prediction.baseline_comparison import (
        BaselineComparison,
        BaselineModels,
        Conclusion,
        Skill,
    )
    from dlcli.prediction.conformal import Conformal
    from dlcli.prediction.distillation_document import Distillation
    from dlcli.prediction.gates import GateResult
    from dlcli.prediction.groups import Groups
    from dlcli.prediction.predictor import Ensemble, MemberModel, Predictor
    from dlcli.runs.documents import CrossValidation, Search
    from dlcli.tasks.decision import DecisionEffect, FittedDecision, Origin
    from dlcli.tasks.task import StoredPredictions, Task

MetricsBySplit = dict[str, dict[str, object]]
BACKGROUND_ARRAY = "rows"
"""The name of the array in `background.npz`."""
_MOST_METRICS = 1_000
"""Maximum number of metrics of a split."""


@dataclass(frozen=True)
class Run:
    """A finished run, whose files are read once, on demand.

    Reading a file raises `RunError` if the file has changed or is invalid: size and SHA-256 are
    compared before its content is parsed. This detects damage, but not manipulation: the folder is
    untrusted, and its author can also write a manifest.

    Results that a run lacks are empty or `None`: a diverged training has no metrics, and a run
    without held-out rows has no predictions.
    """

    path: Path
    """The folder."""
    manifest: Manifest
    """The files of the run."""
    url: Url | None = None
    """The URL from which the folder was copied, if it is a copy."""

    @property
    def location(self) -> Location:
        """The folder, or the URL of the original, for messages."""
        return self.url or self.path

    @property
    def kind(self) -> str:
        """`train`, `diverged`, `cv` or `tune`."""
        return self.manifest.kind

    @property
    def is_diverged(self) -> bool:
        """True if training stopped because its loss or weights became NaN or infinite."""
        return self.kind == DIVERGED

    @property
    def created(self) -> datetime:
        """The time at which the run was finished, in UTC."""
        return self.manifest.created

    def _error(self, message: str) -> RunError:
        return RunError(f"{self.location}: {message}")

    def has(self, name: RunFile) -> bool:
        """Return whether the run has a file."""
        return name in self.manifest.files

    def require(self, *names: RunFile) -> None:
        """Raise `RunError` unless the run has these files."""
        for name in names:
            if not self.has(name):
                message = "is not part of this run; choose a run that has it"
                raise RunError(f"{self.location / name}: {message}")

    def require_training(self) -> None:
        """Raise `RunError` for a cross-validation or a search, with a hint."""
        if self.kind == "cv" or self.kind == "tune":
            name = "best" if self.kind == "tune" else "refit"
            way_out = f"choose the trained run in it: {self.location / name}"
            if not os.path.isdir(self.path / name):
                way_out = f"train a network with: {train_command(self.location / f'{name}.yaml')}"
            kind = KIND_NAMES[self.kind]
            raise self._error(f"is a {kind}, which has no weights; {way_out}")

    def require_network(self) -> None:
        """Raise `RunError` for a run without a network for predictions, with a hint.

        Such runs are cross-validations, searches, and diverged trainings.
        """
        self.require_training()
        if self.is_diverged:
            start = initial_weights_option(self.location)
            message = f"to start from its last finite weights: {start}"
            raise self._error(f"diverged; {message}; or choose another run")

    def verify(self, names: Iterable[RunFile] | None = None) -> None:
        """Verify files of the run, by default every file."""
        for name in self.manifest.files if names is None else names:
            with self._opened(name):
                pass

    @property
    def data_files(self) -> list[dict[str, object]]:
        """The fingerprints of the data files of the run."""
        return data_entries(self.environment)

    @property
    def trained_on(self) -> TrainingData:
        """The digests of the training table, for warnings before an evaluation on training rows."""
        held_out = next((split for split in ("test", "validation") if split in self.metrics), None)
        name = None if held_out is None else self.config.adjective(held_out)
        return TrainingData(self.location, self.data_files, held_out, name)

    # Origin: config, environment, events

    def resolved_path(self) -> Path:
        """Return the path of the complete config, verified; `load_config_of_run` reads it."""
        with self._opened(RunFile.RESOLVED):
            return self.path / RunFile.RESOLVED

    @cached_property
    def config_file(self) -> ConfigFile:
        """The complete config, with its path."""
        return read_resolved(self.resolved_path(), self.location)

    @property
    def config(self) -> Config:
        """The complete config."""
        return self.config_file.config

    @cached_property
    def environment(self) -> dict[str, object]:
        """Versions, machine, command and data files of the run."""
        return self._read_object(RunFile.ENVIRONMENT)

    def events(self) -> Iterator[dict[str, object]]:
        """Yield the events in order: `time` (ISO 8601, UTC), `event` and its fields.

        A resumed training logs some events twice.
        """
        if not self.has(RunFile.EVENTS):
            return
        with self._opened(RunFile.EVENTS) as stream:
            for line in stream:
                if line.strip():
                    event = safe_files.parse_object(line, self.location / RunFile.EVENTS)
                    if not isinstance(event.get("event"), str):
                        raise safe_files.damaged(
                            self.location / RunFile.EVENTS, "has a line without 'event'"
                        )
                    yield event

    def parse_log(self, model: type[safe_files.AnyDocument]) -> safe_files.AnyDocument:
        """Return the log as a model with a field for each required kind of event.

        A field is parsed from the list of all events of its kind, in order.

        Raises:
            RunError: if the log is damaged or does not fit the model.
        """
        kinds = {field.validation_alias or name for name, field in model.model_fields.items()}
        logged = defaultdict(list)
        for event in self.events():
            if (kind := str(event["event"])) in kinds:
                logged[kind].append(event)
        return safe_files.parse_document(model, logged, f"{self.location / RunFile.EVENTS}:")

    # The trained network

    @cached_property
    def encoding(self) -> Encoding:
        """The fitted encoding."""
        from dlcli.encoding.table_encoding import Encoding

        return self.parse(RunFile.ENCODING, Encoding)

    @property
    def network(self) -> Network:
        """The layers, without their weights."""
        return self._network_and_task[0]

    @property
    def task(self) -> Task:
        """The fitted task, see `Task.for_loss`."""
        return self._network_and_task[1]

    @cached_property
    def _network_and_task(self) -> tuple[Network, Task]:
        """The network and the task; raises `RunError` unless config and encoding match."""
        from dlcli.network.layers import build_network

        config, task = self.config, self.encoding.task
        output = config.output
        is_open = None in (output.units, output.activation, config.loss)
        if is_open or output.probability_floor == "auto":
            raise self._error(f"its {RunFile.RESOLVED} is not complete")
        layout = self.encoding.layout.read_with(config.input.encoding)
        network = build_network(layout, config.hidden, config.output)
        trained = task.for_loss(config.loss)
        if not trained.accepts_units(network.outputs):
            has = f"the target of {RunFile.ENCODING} is {task.words}"
            message = f"output.units is {network.outputs}, but {has}"
            raise self._error(f"its files do not match: {message}")
        return network, self._decided(trained)

    def _decided(self, task: Task) -> Task:
        """Return the task with the decision of the run.

        Raises:
            RunError: if the decision does not fit the classes.
        """
        if self.decision is None:
            return task
        if not (task.classes and task.has_probabilities and self.decision.fits(task.width)):
            raise self._error(f"its files do not match: {RunFile.DECISION} is of another target")
        return task.decided_by(self.decision)

    @cached_property
    def decision(self) -> FittedDecision | None:
        """The decision for a class; `None` for the most probable class, and for other targets."""
        from dlcli.tasks.decision import FittedDecision

        if self.config.decision is None or self.is_diverged:
            return None
        return self.parse(RunFile.DECISION, FittedDecision)

    @cached_property
    def ensemble(self) -> Ensemble | None:
        """The members of an ensemble; `None` for a single network."""
        from dlcli.prediction.predictor import Ensemble

        return self._find(RunFile.ENSEMBLE, Ensemble)

    @cached_property
    def predictor(self) -> Predictor:
        """The network with its checked weights, which predicts rows.

        Raises:
            RunError: if the run's files don't fit together.
        """
        from dlcli.prediction.predictor import Ensemble, Predictor

        config, network, task = self.config, self.network, self.encoding.task
        models: tuple[MemberModel, ...] = ()
        if config.ensemble is not None:
            count = config.ensemble.trained
            ensemble = self.ensemble or self.parse(RunFile.ENSEMBLE, Ensemble)
            tasks = tuple(each.task for each in ensemble.members)
            is_whole = config.ensemble.fits(len(tasks))
            if not is_whole or any(type(each) is not type(task) for each in tasks):
                message = f"does not have the {count} members of {RunFile.RESOLVED}"
                raise self._error(f"its {RunFile.ENSEMBLE} {message}")
            models = tuple(self._models(config, ensemble))
            config, network = ensemble.chosen(config), models[0].network
        decision = self.task.decision
        predictor = Predictor(config, self.encoding, network, {}, models, decision=decision)
        weights = self.read_arrays(RunFile.WEIGHTS, predictor.weight_shapes)
        return replace(predictor, weights=weights)

    def _models(self, config: Config, ensemble: Ensemble) -> Iterator[MemberModel]:
        """Yield the members of an ensemble.

        Raises:
            RunError: for settings that `ensemble.vary` does not have.
        """
        from dlcli.config.search_space import with_settings
        from dlcli.network.layers import build_network
        from dlcli.prediction.predictor import MemberModel

        networks: dict[str, Network] = {}
        for member in ensemble.members:
            key = repr(member.settings)
            if key not in networks:
                try:
                    own = with_settings(config, member.settings)
                except errors.ConfigError as error:
                    message = f"its {RunFile.ENSEMBLE} has other settings: {error}"
                    raise self._error(message) from None
                layout = self.encoding.layout.read_with(own.input.encoding)
                networks[key] = build_network(layout, own.hidden, own.output)
            yield MemberModel(networks[key], member.task, member.weight)

    def decided_by(self, decision: Decision | None) -> Run:
        """Return the run with another decision for a class.

        Args:
            decision: the decision; a threshold is chosen on the held-out rows of the run, except
                test rows. `None`: the most probable class.

        Raises:
            UsageError: if the target has no classes, or the run has no such rows.
        """
        from dlcli.prediction.predictions import HeldOut
        from dlcli.tasks.decision import fit_decision

        task, fitted, known = self.task, None, None
        if not task.has_probabilities or not task.classes:
            kind = "margins" if task.classes else task.outcome
            message = f"requires probabilities of classes, but the run predicts {kind}"
            raise UsageError(f"{self.location}: {option('decision')} {message}")
        if decision is not None:
            for key, problem in task.decision_problems(decision):
                raise UsageError(f"{option('decision')}: {f'{key}: ' if key else ''}{problem}")
            stored = None if self.predictions is None else self.predictions.of_split("validation")
            if stored is not None and stored.rows and self.config.distill is None:
                known = task.at_prevalence(HeldOut.of(stored, task))
            elif decision.needs_rows:
                message = (
                    "maximize chooses the threshold on rows that were not used for training, but "
                    "the run has no validation rows"
                )
                raise UsageError(f"{self.location}: {option('decision')}: {message}")
            folds = self.config.ensemble_folds
            origin: Origin = "validation" if folds is None else "out-of-fold"
            fitted = fit_decision(decision, task.classes, known, origin)
        other = replace(self)
        vars(other)["decision"] = fitted  # instead of reading it from the file
        return other

    def with_prevalence(self, predictor: Predictor, prevalence: Mapping[str, float]) -> Predictor:
        """Return a predictor of the run for other frequencies of the classes.

        A threshold that maximizes a metric is chosen again for them, see `choose_again`.

        Args:
            predictor: the predictor.
            prevalence: see `Predictor.with_prevalence`.

        Raises:
            UsageError: see `Predictor.with_prevalence`.
        """
        from dlcli.prediction.predictions import HeldOut
        from dlcli.tasks.decision import choose_again

        shifted, decision = predictor.with_prevalence(prevalence), predictor.decision
        stored = None if self.predictions is None else self.predictions.of_split("validation")
        if decision is None or not decision.is_chosen or stored is None or not stored.rows:
            return shifted
        rows = self.task.at_prevalence(HeldOut.of(stored, self.task))
        return replace(shifted, decision=choose_again(decision, rows, shifted.prior_ratios))

    def predictor_at(self, level: float | None) -> Predictor:
        """Return the network with prediction intervals or prediction sets at a level.

        Args:
            level: the coverage, from 0 to 1; `None` for predictions without intervals.

        Raises:
            RunError: if the run's files don't fit together.
            UsageError: if the run has no or too few held-out rows for intervals.
        """
        if level is None:
            return self.predictor
        conformal = self._required_conformal()
        conformal.require(level)
        return replace(self.predictor, conformal=conformal, level=level)

    def predictor_with_intervals(self, level: float | None) -> Predictor:
        """Return the network with intervals at a level, by default `REPORTED_LEVEL` if possible.

        Raises:
            RunError, UsageError: see `predictor_at`; without a level, a run that has no or too few
                held-out rows has no intervals.
        """
        from dlcli.prediction.conformal import REPORTED_LEVEL

        if level is None:
            with suppress(UsageError):  # for labels, or too few held-out rows
                return self.predictor_at(REPORTED_LEVEL)
        return self.predictor_at(level)

    @cached_property
    def conformal(self) -> Conformal | None:
        """The errors of held-out rows, for prediction intervals and prediction sets."""
        from dlcli.prediction.conformal import Conformal

        return self._find(RunFile.CONFORMAL, Conformal)

    def _required_conformal(self) -> Conformal:
        """Return the held-out errors.

        Raises:
            RunError: if they belong to another run.
            UsageError: if the run has no held-out errors.
        """
        config, task, conformal = self.predictor.config, self.task, self.conformal
        needing = option("interval")
        if task.outcome == "labels":
            raise UsageError(
                f"{needing} requires a numeric target or classes, but the target is labels"
            )
        if conformal is None and config.distill is not None:
            raise UsageError(
                f"{self.location}: {needing} requires rows that were not used for training, but "
                "the ensemble in distill.teacher was trained on all of them; choose the run of the "
                f"ensemble: {self.config_file.resolve(config.distill.teacher)}"
            )
        if conformal is None:
            message = f"has no {RunFile.CONFORMAL}, which {needing} requires"
            if not config.has_validation:
                is_trained_on = config.data.train_on_validation
                usual = "data.validation, or ensemble: {members: 8}"
                way_out = "data.train_on_validation: false" if is_trained_on else usual
                message = (
                    f"{needing} requires rows that were not used for training, but there were none"
                )
                message += f"; set {way_out}"
            raise UsageError(f"{self.location}: {message}; train it again")
        columns = task.width if task.outcome == "numbers" else 1
        folds = config.validated_folds or 1
        if (len(conformal.scores), len(conformal.rows)) != (columns, folds):
            wanted = f"scores of {plural(columns, 'column')} and {plural(folds, 'fold')}"
            message = f"belongs to another run, expected {wanted}; train it again"
            raise self._error(f"its {RunFile.CONFORMAL} {message}")
        return conformal

    @cached_property
    def baseline_models(self) -> BaselineModels:
        """The baselines, with their weights.

        Raises:
            RunError: if they are damaged or missing.
        """
        from dlcli.prediction.baseline_comparison import BaselineModels

        if not self.has(RunFile.BASELINE_WEIGHTS):
            lacks = (
                f"has no {RunFile.BASELINE_WEIGHTS}, which quality gates with better_than require"
            )
            raise self._error(f"{lacks}; train it again")
        read = partial(self.read_arrays, RunFile.BASELINE_WEIGHTS)
        return BaselineModels.read(self.predictor, "linear" in self.baselines, read)

    # Results

    @cached_property
    def metrics(self) -> MetricsBySplit:
        """The final metrics by split, then metric; an undefined metric is `None`."""
        return self._metrics(RunFile.METRICS)

    @cached_property
    def baselines(self) -> dict[str, MetricsBySplit]:
        """The metrics of the baselines by model, split, then metric."""
        models, path = self._metrics(RunFile.BASELINES), self.location / RunFile.BASELINES
        return {name: _by_split(metrics, path) for name, metrics in models.items()}

    @cached_property
    def verdicts(self) -> BaselineComparison:
        """The comparison with the baselines on held-out rows."""
        from dlcli.prediction.baseline_comparison import BaselineComparison

        return self._find(RunFile.VERDICTS, BaselineComparison) or BaselineComparison()

    @property
    def conclusions(self) -> dict[str, Conclusion]:
        """The conclusion for each baseline, see `Conclusion`."""
        return self.verdicts.conclude(self.config)

    @cached_property
    def skill(self) -> Skill:
        """What shows on the decisive rows that the network has learned something.

        Empty if the network is better than the constant baseline.
        """
        from dlcli.metrics.intervals import estimate_statistics
        from dlcli.prediction.baseline_comparison import Skill, closer_share
        from dlcli.prediction.predictions import HeldOut

        found = self.conclusions.get("constant")
        if found is None or found.verdict == "better" or self.predictions is None:
            return Skill()
        stored = self.predictions.of_split(found.decisive)
        if not stored.rows:
            return Skill()
        held = HeldOut.of(stored, self.task)
        known = estimate_statistics(held.statistics([AUC.name, ACCURACY.name]))
        scores = self.metrics.get(found.decisive, {})
        largest = largest_class(scores, len(self.task.classes)) if self.task.classes else None
        share = None if largest is None else largest[1]
        return Skill(known.get(AUC.name), known.get(ACCURACY.name), share, closer_share(held))

    @cached_property
    def decision_effect(self) -> DecisionEffect | None:
        """What the decision changes on the test rows; `None` without both.

        Validation rows are not used, because the threshold was chosen on them.
        """
        from dlcli.prediction.predictions import HeldOut

        if self.decision is None or self.predictions is None:
            return None
        stored = self.predictions.of_split("test")
        return self.task.decision_effect(HeldOut.of(stored, self.task)) if stored.rows else None

    @cached_property
    def distillation(self) -> Distillation | None:
        """The comparison of a distilled network with its teacher; `None` for other networks."""
        from dlcli.prediction.distillation_document import Distillation

        return self._find(RunFile.DISTILLATION, Distillation)

    @cached_property
    def groups(self) -> Groups | None:
        """The metrics of groups of held-out rows; `None` without `evaluate_by`."""
        from dlcli.prediction.groups import Groups

        return self._find(RunFile.GROUPS, Groups)

    @cached_property
    def gates(self) -> tuple[GateResult, ...]:
        """The results of the quality gates."""
        from dlcli.prediction.gates import GateResults

        found = self._find(RunFile.GATES, GateResults)
        return found.results if found else ()

    @cached_property
    def cross_validation(self) -> CrossValidation:
        """The result of a cross-validation."""
        from dlcli.runs.documents import CrossValidation

        return self.parse(RunFile.CROSS_VALIDATION, CrossValidation)

    @cached_property
    def search(self) -> Search:
        """The result of a search."""
        from dlcli.runs.documents import Search

        return self.parse(RunFile.SEARCH, Search)

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """Loss, metrics and learning rate of each epoch by name; for an ensemble, means."""
        if not self.has(RunFile.HISTORY):
            return {}
        content = self._read(RunFile.HISTORY)
        return file_formats.parse_history(content, self.location / RunFile.HISTORY)

    @property
    def epochs(self) -> int:
        """The number of epochs trained; for an ensemble, the maximum of its members."""
        return max(map(len, self.history.values()), default=0)

    @cached_property
    def predictions(self) -> StoredPredictions | None:
        """The row, split, target and prediction of each held-out row."""
        return self._predictions(RunFile.PREDICTIONS)

    @property
    def required_predictions(self) -> StoredPredictions:
        """The held-out predictions; raises `RunError` if there are none."""
        self.require(RunFile.PREDICTIONS)
        assert self.predictions is not None
        return self.predictions

    @cached_property
    def sample(self) -> StoredPredictions | None:
        """The row, split, target and prediction of a sample of the training rows."""
        return self._predictions(RunFile.SAMPLE)

    @cached_property
    def explanation(self) -> Explanation:
        """The explanation of the data, the layers and the predictions."""
        from dlcli.explanation.explanation_document import Explanation

        found = self._find(RunFile.EXPLANATION, Explanation)
        return found or Explanation(rows={}, sampled_rows={})

    @cached_property
    def background(self) -> Matrix | None:
        """Encoded training rows for explanations, (rows, inputs); `None` if there are none.

        Raises:
            RunError: if they are damaged, or do not fit the network.
        """
        from dlcli.explanation.background import background_problem

        rows = self.explanation.background_rows
        if not rows or not self.has(RunFile.BACKGROUND):
            return None
        shapes = {BACKGROUND_ARRAY: (rows, self.network.inputs)}
        background: Matrix = self.read_arrays(RunFile.BACKGROUND, shapes)[BACKGROUND_ARRAY]
        if problem := background_problem(self.encoding.layout, background):
            raise safe_files.damaged(self.location / RunFile.BACKGROUND, problem)
        return background

    # Files

    def parse(self, name: RunFile, model: type[safe_files.AnyDocument]) -> safe_files.AnyDocument:
        """Return a JSON file as the model of its package, such as a `CrossValidation`.

        Raises:
            RunError: if the file does not fit the model.
        """
        return safe_files.parse_document(model, self.read_text(name), f"{self.location / name}:")

    def _find(
        self, name: RunFile, model: type[safe_files.AnyDocument]
    ) -> safe_files.AnyDocument | None:
        return self.parse(name, model) if self.has(name) else None

    def read_text(self, name: RunFile) -> str:
        """Return a file as text."""
        return safe_files.decode(self._read(name), self.location / name)

    def read_arrays(self, name: RunFile, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Return float32 arrays by name, read-only, in the order of `shapes`.

        Args:
            name: the file.
            shapes: the shape of each array; the file must contain exactly these arrays.
        """
        specs = file_formats.weight_specs(shapes)
        with self._opened(name, file_formats.max_archive_bytes(specs)) as stream:
            return file_formats.read_arrays(stream, specs, self.location / name)

    def _predictions(self, name: RunFile) -> StoredPredictions | None:
        from dlcli.tasks.task import StoredPredictions

        if not self.has(name):
            return None
        with self._opened(name) as stream:
            table = file_formats.read_parquet(stream, self.location / name)
        source = RunFile.CROSS_VALIDATION if self.kind == "cv" else RunFile.ENCODING
        return StoredPredictions(table, str(self.location / name), source)

    def _metrics(self, name: RunFile) -> MetricsBySplit:
        return _by_split(self._read_object(name), self.location / name)

    def _read_object(self, name: RunFile) -> dict[str, object]:
        """Return a JSON object; empty if the run lacks the file."""
        if not self.has(name):
            return {}
        return safe_files.parse_object(self._read(name), self.location / name)

    def _read(self, name: RunFile) -> bytes:
        with self._opened(name) as stream:
            return stream.read()

    @contextmanager
    def _opened(self, name: RunFile, limit: int | None = None) -> Iterator[BufferedReader]:
        """Open a file if it matches the manifest.

        Args:
            name: the file.
            limit: its maximum size in bytes. [default: by file name]
        """
        self.require(name)
        digest = self.manifest.files[name]
        path, most = self.path / name, limit or name.limit
        with safe_files.open_verified(path, digest, most, self.location / name) as stream:
            yield stream


def read_resolved(path: Path, run: Location) -> ConfigFile:
    """Read the complete config of a run, finished or not.

    Args:
        path: the file.
        run: the folder or its URL, for messages.

    Raises:
        RunError: if it is damaged.
    """
    try:
        return load_config_of_run(path)
    except errors.ConfigError as error:
        problem: errors.Problem | UsageError = replace(
            error.problems[0], position=errors.Position()
        )
    except UsageError as error:
        problem = error
    raise RunError(f"{run}: its {path.name} can't be read: {problem}; train it again")


def _by_split(metrics: Mapping[str, object], file: Location) -> MetricsBySplit:
    splits = {name: values for name, values in metrics.items() if isinstance(values, dict)}
    if len(splits) < len(metrics):
        raise safe_files.damaged(file, "does not contain metrics by split")
    if any(len(values) > _MOST_METRICS for values in splits.values()):
        raise safe_files.damaged(file, f"has more than {_MOST_METRICS:,} metrics of a split")
    return splits


def train_command(config: Location) -> str:
    """Return the command that trains a config."""
    return errors.by_caller(
        shlex.join(["dlcli", "train", str(config)]), f"dlcli.train({str(config)!r})"
    )


def initial_weights_option(run: Location) -> str:
    """Return the option or argument that starts a training from the weights of a run."""
    return errors.override("initial_weights", str(run))
