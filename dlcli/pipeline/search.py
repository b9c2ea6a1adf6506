"""Search for a better config: evaluate candidates, select, train the finalists, and save."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from optuna import create_study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial
from pydantic import Field

from dlcli import errors, safe_files
from dlcli.cluster import NO_OTHERS, Workers
from dlcli.comparison import HELD_OUT, ComparedRun, estimate_difference
from dlcli.config import config_file, search_space
from dlcli.config.config_file import ConfigFile, Tables
from dlcli.config.data_section import SPLITS
from dlcli.config.search_space import Dimension, Value, candidate
from dlcli.metrics.definitions import main_metric
from dlcli.metrics.intervals import DifferenceEstimate
from dlcli.metrics.wording import metric_title, versus
from dlcli.network.head import resolve_head
from dlcli.pipeline import (
    events,
    run_recording,
    search_ensemble,
    search_plan,
    search_study,
    search_trials,
)
from dlcli.pipeline.fit import release_memory
from dlcli.pipeline.preflight import prepare_example
from dlcli.pipeline.preparation import data_fingerprints, read_candidates
from dlcli.pipeline.run_recording import Recording
from dlcli.pipeline.search_plan import SearchContext, SearchPlan, TimeBudget
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import SearchAccess, SearchSettings
from dlcli.pipeline.train_run import join_training, train_child_run
from dlcli.pipeline.worker_pool import run_workers, worker_name
from dlcli.runs import documents
from dlcli.runs.environment import content_id
from dlcli.runs.manifest import RunFile, resume_command
from dlcli.runs.run import Run
from dlcli.runs.run_writer import RunWriter
from dlcli.tables.stored_columns import Storage

_TOKEN_BYTES = 8
_WITHOUT_EFFECT: dict[str, object]
_WITHOUT_EFFECT = {"name": None, "device": "auto", "threads": "auto", "checkpoint": {}}
"""Settings that may differ between searches of one study, because candidates do not depend on
them."""
_EDGE = 0.02
"""The share of a range, at each end, that counts as its edge."""
_TOP_SHARE = 0.2
"""The share of the trials that count as good. In simulations with five dimensions, of which one
explains most of the metric, and 100 random trials, this dimension was found in 93 to 100 % of the
simulations; with Optuna's default of a tenth, in 37 to 93 %."""
_FEWEST_TOP = 8
"""Minimum number of trials that count as good; Optuna's documentation requires 5."""
Name = Literal["default", "best", "smallest", "ensemble"]
_NO_ROWS = (
    "there are no held-out rows to compare the best config with the default; set data.test: 0.15"
)


def tune(
    source: ConfigFile | Path,
    settings: SearchSettings = SearchSettings(),  # noqa: B008  (it is frozen)
    output: Path | None = None,
    listener: events.Listener = events.ignore,
    tables: Tables | None = None,
) -> Run:
    """Search for a better config, and compare it with the original one; or resume a search.

    Args:
        source: the config with its search space, or the run folder of an interrupted search, whose
            finished trials are kept.
        settings: jobs, storage and nesting; a resumed search requires the URL of its database.
        output: the folder of a new run, which must not exist. [default: `runs/<name>-tune`, ...]
        listener: receives events.
        tables: the tables in memory of an interrupted search.

    Returns:
        The run, of kind `tune`.

    Raises:
        DlcliError: the folder of a new run is then removed, unless a trial is finished or a signal
            has arrived, so the search can be resumed.
    """
    with run_recording.recorded(source, "tune", output, listener, tables) as recording:
        return tune_recorded(recording, settings)


def tune_recorded(recording: Recording, settings: SearchSettings) -> Run:
    """Search for a better config, and store the search.

    Args:
        recording: the run. If several workers train each candidate together, this is worker 0,
            which sends each config to the other workers, see `join_search`.
        settings: jobs, storage and nesting.
    """
    log, workers = recording.events, recording.workers
    if recording.writer is None:
        record = StudyRecord.new(recording.file, settings)
    else:
        record = StudyRecord.read(recording.writer)
        record.check_storage(settings.storage, recording.writer)
    record.check_combination(workers)
    context = _search_context(
        recording.file, log, workers, nested=record.nested, ensemble=record.ensemble
    )
    with recording.begin(
        lambda folder: run_recording.moved_config(context.file, folder, keep_tune=True),
        device=None,
        store_inputs=record.store,
    ) as writer:
        log.emit(events.RunEvent(folder=str(writer.path)))
        with _open_study(writer, context, record, settings, log) as (access, study):
            if recording.writer is not None and not study.has_trials:
                log.warn(record.lost_study(writer))
            # Evaluate candidates, select, train the finalists, evaluate the search.
            _evaluate_candidates(writer, context, study, access, log)
            search = summarize_trials(context, study.results(), study.default)
            _check_any_trained(writer, search)
            configs = _write_selected(writer, access.file, search)
            trials = search_ensemble.best_trials(search, record.ensemble or 0)
            if record.ensemble is not None and len(trials) < record.ensemble:
                note = search_ensemble.missing_note(len(trials), record.ensemble)
                search = search.model_copy(update={"notes": (*search.notes, note)})
            if len(trials) >= search_ensemble.FEWEST:
                configs["ensemble"] = _write_ensemble(writer, access.file, search, trials)
            search = train_finalists(writer.path, configs, search, log, workers, trials)
            workers.gather(None)  # ends the other workers
            if record.nested:
                stop = search_trials.stop_of_search(writer, study)
                outer = search_trials.evaluate_search(access, context, writer, stop, log)
                loss = resolve_head(context.file.config, context.fits.dataset.task).loss
                value = search_trials.combine(outer, search.metric, loss)
                search = search.model_copy(update={"nested": outer, "nested_value": value})
            search = search.model_copy(update={"seconds": round(access.budget.spent, 3)})
            writer.write_text(RunFile.SEARCH, search.model_dump_json())
            log.emit(
                events.SearchResultEvent(
                    run=str(writer.path),
                    result=search,
                    best=search.trial(search.best),
                    smallest=search.trial(search.smallest),
                    trials=len(search.trials),
                )
            )
            search_study.remove_lock(writer.path)
            return writer.finish("tune")


def _search_context(
    file: ConfigFile,
    log: events.Events,
    workers: Workers,
    *,
    nested: bool = False,
    ensemble: int | None = None,
) -> SearchContext:
    """Read the rows, make the search space, and check that a candidate can be trained."""
    own = file.config.tune
    search_space.check_tune(file)
    if ensemble is not None:
        search_ensemble.check_space(file)
    if own is not None and own.space is not None:
        SearchPlan.of(file)  # reports missing settings before the rows are read
    dataset = read_candidates(file, log, Storage(workers=workers))
    is_for_ensemble = ensemble is not None
    file = search_space.with_search_space(
        file, dataset.tables[0].rows, for_ensemble=is_for_ensemble
    )
    context = SearchContext.of(file, dataset, log)
    plan, tune = context.plan, context.plan.tune
    if ensemble is not None:
        search_ensemble.check_size(ensemble, file.config, plan)
        search_ensemble.check_folds(context)
    if tune != own:
        search_space.check_tune(file)
        log.emit(
            events.SpaceEvent(
                rows=dataset.tables[0].rows,
                trials=plan.trials,
                folds=tune.folds,
                held_out=file.config.adjective("validation"),
                space={
                    key: config_file.to_plain(value) for key, value in (tune.space or {}).items()
                },
            )
        )
    search_plan.warn_of_large_grid(plan, log)
    if nested:
        search_trials.check_outer_folds(context)
    prepare_example(file.config, dataset, context.splits[0], log)
    return context


def join_search(file: ConfigFile, workers: Workers) -> None:
    """Train the configs that worker 0 sends until the search is finished, on another worker.

    Args:
        file: the config with its search space.
        workers: the workers.

    Raises:
        DlcliError: see `tune`; an error that occurs on all workers is raised by each.
    """
    with file.located():
        context = _search_context(file, events.Events(), workers)
        while (task := workers.gather(None)[0]) is not None:
            if "values" in task:
                search_trials.join_trial(context, task["values"])
                continue
            finalist = config_file.make_config(task["config"])
            # The search continues without a run that fails.
            with suppress(errors.ConfigError, errors.DivergenceError):
                join_training(finalist, workers, task["starts_over"])


@contextmanager
def _open_study(
    writer: RunWriter,
    context: SearchContext,
    record: StudyRecord,
    settings: SearchSettings,
    log: events.Events,
) -> Iterator[tuple[SearchAccess, Study]]:
    """Open the study, retry trials of this folder's dead processes, and close it at the end."""
    if record.storage is None:
        search_study.repair_journal(writer.path)
    access = SearchAccess(
        writer.path, record.run, settings.storage, settings.jobs, tables=context.file.tables
    )
    opened = closing(access.open_study(context.plan))
    with search_study.explaining_lost_database(settings.storage), opened as study:
        study.join(search_fingerprint(access.file))
        study.retry_lost(lambda worker: record.storage is None or worker.get("run") == record.run)
        ended = len(study.results())
        writer.has_partial_results = study.default is not None or ended > 0
        if ended:
            log.emit(events.EarlierEvent(trials=ended, of=study.plan.trials))
        budget = TimeBudget(context.plan.tune.time, time.time() - study.spent)
        yield replace(access, budget=budget), study


def _evaluate_candidates(
    writer: RunWriter,
    context: SearchContext,
    study: Study,
    access: SearchAccess,
    log: events.Events,
) -> None:
    """Evaluate candidates in this process, or in several worker processes."""

    def listener(event: events.Event) -> None:
        is_result = isinstance(event, events.DefaultEvent | events.TrialEvent)
        writer.has_partial_results |= is_result
        log.emit(event)

    def retry(process: int) -> None:
        # The number alone is not unique: other machines may have a process with this number.
        lost = {"run": access.run, "name": worker_name(process)}
        study.retry_lost(lambda worker: worker == lost)

    stop = search_trials.stop_of_search(writer, study)
    if access.jobs == 1:
        with stop.handling_signals(), access.explaining_lost_storage():
            search_trials.run_trials(context, study, access.budget, stop, events.Events(listener))
        return
    task = partial(search_trials.run_search_worker, access)
    run_workers(task, access.jobs, stop, listener, retry)
    # A process may be killed before it has stored its name with its trial. Such a trial is lost for
    # certain when all processes of this folder have ended.
    while access.storage is None and study.retry_lost(lambda _: True):
        run_workers(task, access.jobs, stop, listener, retry)


# The study


class StudyRecord(safe_files.Document):
    """The study of a run folder, and its storage."""

    study: str
    """The name of the study."""
    run: str
    """The token that identifies the trials of this folder in a shared storage."""
    storage: str | None
    """The URL of the database without a password; `None` for a file in the run folder."""
    nested: bool
    ensemble: Annotated[int, Field(ge=search_ensemble.FEWEST)] | None = None
    """The number of the best candidates to combine into an ensemble."""

    @classmethod
    def new(cls, file: ConfigFile, settings: SearchSettings) -> Self:
        """Return the record of a new search."""
        url = settings.storage
        storage = None if url is None else search_study.mask_password(url)
        token = secrets.token_hex(_TOKEN_BYTES)
        return cls(
            study=file.name,
            run=token,
            storage=storage,
            nested=settings.nested,
            ensemble=settings.ensemble,
        )

    @classmethod
    def read(cls, writer: RunWriter) -> Self:
        """Read the record of an interrupted search.

        Raises:
            RunError: if it is damaged.
        """
        stored, name = RunFile.STUDY.read_object(writer.path), f"{writer.path / RunFile.STUDY}:"
        return safe_files.parse_document(cls, stored, name, "; search again")

    def check_combination(self, workers: Workers) -> None:
        """Refuse options that can't be combined.

        Raises:
            UsageError: with the options.
        """
        ensemble, nested, workers_option = map(errors.option, ("ensemble", "nested", "workers"))
        if self.ensemble is not None and self.nested:
            reason = "outer folds evaluate the best candidate; remove one of them"
            raise errors.UsageError(f"{ensemble} can't be combined with {nested}: {reason}")
        if workers.size > 1 and (self.nested or self.ensemble is not None):
            kind = "a nested search" if self.nested else f"a search with {ensemble}"
            raise errors.UsageError(f"{kind} trains on one machine; remove {workers_option}")

    def check_storage(self, url: str | None, writer: RunWriter) -> None:
        """Refuse to resume in another storage.

        The user must give the URL of a database again: its password is not stored, and an untrusted
        folder could name any server.

        Raises:
            UsageError: with the command to type.
        """
        problem = ""
        if self.storage is not None and url is None:
            named = resume_command(writer.path)
            problem = f"its trials are in a shared storage; repeat the option: {named}"
        elif self.storage is None and url is not None:
            problem = f"its trials are in this folder; omit {errors.option('storage')}"
        if problem:
            raise errors.UsageError(f"{writer.path}: {problem}")

    def lost_study(self, writer: RunWriter) -> str:
        """Return the warning that a storage has no trials of the interrupted search."""
        message = (
            f"the study '{self.study}' has no trials in this storage, so the search starts over"
        )
        if self.storage is None:
            return message
        command = resume_command(writer.path)
        way_out = (
            f"If the trials are in another storage, stop this search and resume with: {command}"
        )
        return f"{message}. {way_out}"

    def store(self, writer: RunWriter) -> None:
        """Store the record in the run folder."""
        writer.write_json(RunFile.STUDY, self.model_dump())


def search_fingerprint(file: ConfigFile) -> dict[str, object]:
    """Return a fingerprint that all trials of a study must share, for JSON.

    It does not depend on the machine: it has a hash of the config without the paths of its files,
    and a hash of the content of each file.
    """

    def without_path(source: object) -> object:
        return source if isinstance(source, float) else source is not None

    # Functions validate `tune.space`, so pydantic can't check what it serializes there.
    fields = file.config.model_dump(mode="json", by_alias=True, warnings=False)
    fields.update(_WITHOUT_EFFECT)
    fields["data"].update({name: without_path(fields["data"][name]) for name in SPLITS})
    return {
        "config": sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest(),
        "data": [content_id(each) for each in data_fingerprints(file)],
    }


# What the trials show


def _check_any_trained(writer: RunWriter, search: documents.Search) -> None:
    """Refuse a search without a complete trial, and mark it as not resumable.

    Raises:
        TrainingError: with the first problem.
    """
    if search.best is not None:
        return
    writer.not_resumable = True
    problems = [trial.problem for trial in search.trials if trial.problem is not None]
    count = len(search.trials)
    what = "the only candidate failed" if count == 1 else f"all {count} candidates failed"
    first = f"; {'' if count == 1 else 'the first problem: '}{problems[0]}" if problems else ""
    raise errors.TrainingError(f"{what} to train{first}")


def _write_selected(
    writer: RunWriter, file: ConfigFile, search: documents.Search
) -> dict[Name, ConfigFile]:
    """Write the selected configs, and return those to train and compare.

    The written configs use all rows. For the comparison, they are trained on the same rows as the
    candidates, see `_compared_config`.
    """
    default = replace(writer.config_file, tables=file.tables)
    configs: dict[Name, ConfigFile] = {"default": default}
    numbers: dict[Literal["best", "smallest"], int | None] = {
        "best": search.best,
        "smallest": search.smallest,
    }
    for name, number in numbers.items():
        trial = search.trial(number)
        assert trial is not None
        config = run_recording.moved_config(candidate(file, trial.values), writer.path)
        text = config_file.dump_config(config.on_all_rows())
        written = RunFile.BEST if name == "best" else RunFile.SMALLEST
        writer.write_text(written, text)
        if name == "best" or number != search.best:
            configs[name] = _compared_config(writer.path / written, file)
    return configs


def _compared_config(path: Path, file: ConfigFile) -> ConfigFile:
    """Load a written config with the `data.sample` of the search."""
    sample = file.config.data.sample
    overrides = {} if sample is None else {"data.sample": sample}
    return config_file.load_config(path, overrides, file.tables)


def _write_ensemble(
    writer: RunWriter,
    file: ConfigFile,
    search: documents.Search,
    trials: Sequence[documents.TrialResult],
) -> ConfigFile:
    """Write the config of the ensemble of the best candidates."""
    text = search_ensemble.ensemble_config(file, trials, search.metric, writer.path)
    writer.write_text(RunFile.BEST_ENSEMBLE, text)
    return _compared_config(writer.path / RunFile.BEST_ENSEMBLE, file)


def summarize_trials(
    context: SearchContext,
    trials: tuple[documents.TrialResult, ...],
    default: documents.TrialResult | None,
) -> documents.Search:
    """Return the document of a search, without its finalists and outer folds.

    Args:
        context: the state that all trials share.
        trials: the results of the trials.
        default: the result of the original config.
    """
    dataset, plan = context.fits.dataset, context.plan
    dimensions = tuple(map(documents.StoredDimension.of, plan.dimensions))
    best = documents.best_trial(trials, plan.direction)
    return documents.Search(
        name=context.file.name,
        study=plan.name,
        metric=plan.tune.metric,
        direction=plan.direction,
        sampler=plan.tune.sampler.name,
        folds=context.plan.tune.folds,
        rows=_count_rows(context),
        set_aside=dataset.test_rows,
        seed=plan.seed,
        dimensions=dimensions,
        trials=trials,
        default=default,
        best=None if best is None else best.number,
        smallest=documents.smallest_trial(trials, plan.direction),
        importances=importances(dimensions, trials, plan.direction),
        workers=len({trial.worker for trial in trials} - {""}) or 1,
        seconds=0.0,
        notes=tuple(_notes(context, trials, default, best)),
    )


def _count_rows(context: SearchContext) -> int:
    if context.plan.tune.folds is not None:
        return context.fits.dataset.candidates.rows
    tables = ((split.train, split.validation) for split in context.splits)
    return sum(table.rows for split in tables for table in split if table is not None)


def _notes(
    context: SearchContext,
    trials: Sequence[documents.TrialResult],
    default: documents.TrialResult | None,
    best: documents.TrialResult | None,
) -> Iterator[str]:
    plan, ended = context.plan, len(trials)
    if plan.trials is not None and ended < plan.trials:
        yield f"the time limit was reached after {ended} of {errors.plural(plan.trials, 'trial')}"
    if ended and ended == plan.combinations:
        yield f"all {ended:,} combinations were tried"
    failed = sum(trial.state == "failed" for trial in trials)
    if failed:
        yield f"{errors.plural(failed, 'candidate')} failed to train"
    if best is not None:
        direction = plan.direction
        if default is not None and documents.to_loss(best, direction) >= documents.to_loss(
            default, direction
        ):
            yield (
                f"no candidate is better than the config as given: {plan.tune.metric} "
                f"{errors.number(best.value)} vs {errors.number(default.value)}"
            )
        yield from _edge_notes(plan.dimensions, best)
    if not plan.prunes_at_epochs and plan.tune.pruner.name != "none":
        yield (
            "no candidate was stopped early: regularizers vary, and the val_loss of an epoch "
            "includes their penalty"
        )


def _edge_notes(dimensions: Sequence[Dimension], best: documents.TrialResult) -> Iterator[str]:
    """Yield a note for each range whose best value is at its edge."""
    for dimension in dimensions:
        position = _position(dimension, best.values.get(dimension.path))
        if position is not None and not _EDGE <= position <= 1 - _EDGE:
            end = "low" if position < _EDGE else "high"
            yield (
                f"the best {dimension.path} is at the {end} end of its range; a wider range may "
                "contain a better value"
            )


def _position(dimension: Dimension, value: Value) -> float | None:
    """Return the position of a value in a range, from 0 to 1; `None` for a choice."""
    low, high = dimension.low, dimension.high
    if low is None or high is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if dimension.log:
        low, high, value = (math.log(each) for each in (low, high, value))
    return (value - low) / (high - low)


def importances(
    dimensions: Sequence[documents.StoredDimension],
    trials: Sequence[documents.TrialResult],
    direction: documents.Direction,
) -> dict[str, float]:
    """Return the importance of each dimension for a trial being good, by Optuna's PED-ANOVA.

    Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces, IJCAI 2023. It compares the values in the best fifth of the trials with the
    values in all trials, separately for each dimension. A few good trials also differ from all
    trials by chance, so no importance is 0. With 20 to 50 trials, only an importance that is much
    larger than all others is reliable.

    Args:
        dimensions: the dimensions of the search space.
        trials: the trials; only complete ones are used.
        direction: the direction in which the metric is optimized.

    Returns:
        Importances with sum 1 by path, the largest first; empty for fewer than `FEWEST_TRIALS`
        complete trials.
    """
    distributions = {
        each.path: search_plan.distribution_of(each, range(len(each.choices)))
        for each in dimensions
    }
    with search_study.quiet_optuna():
        study = create_study(direction=direction)
        for trial in documents.complete_trials(trials):
            try:
                params = {each.path: _value(each, trial.values[each.path]) for each in dimensions}
                study.add_trial(
                    create_trial(value=trial.value, params=params, distributions=distributions)
                )
            except (KeyError, ValueError):  # the study was started with other dimensions
                continue
        complete = len(study.trials)
        if complete < documents.FEWEST_TRIALS or not dimensions:
            return {}
        share = max(_TOP_SHARE, _FEWEST_TOP / complete)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        found = get_param_importances(study, evaluator=evaluator, params=[*distributions])
    return {} if any(math.isnan(value) for value in found.values()) else found


def _value(dimension: documents.StoredDimension, value: Value) -> Value:
    """Return a value for Optuna; choices as indices, because `True` and `1` are equal."""
    if dimension.kind != "choice":
        return value
    known = [(type(choice), choice) for choice in dimension.choices]
    return known.index((type(value), value))


def train_finalists(
    folder: Path,
    configs: Mapping[Name, ConfigFile],
    search: documents.Search,
    log: events.Events,
    workers: Workers = NO_OTHERS,
    of_ensemble: Sequence[documents.TrialResult] = (),
) -> documents.Search:
    """Train each config as the run `folder/NAME`, and compare it with the original config.

    Finished runs are kept, and interrupted ones are resumed, see `train_child_run`. Without
    held-out rows, the original config is not trained.

    Args:
        folder: the run folder of the search, which is locked.
        configs: the configs to train; `smallest` only if it is not the best.
        search: the document of the search.
        log: receives `progress`, each finalist, and each warning once.
        workers: the workers that train each config together; this is worker 0.
        of_ensemble: the candidates of the config `ensemble`, in the order of its groups.

    Returns:
        The document with the finalists that have held-out rows, the original config first, and with
        notes on caveats and on configs that could not be trained.

    Raises:
        Interrupted: if a signal has arrived; the message contains the command to resume the search.
        DlcliError: see `train`.
    """
    runs: dict[Name, Run] = {}
    notes = [*search.notes]
    for name in sorted(configs, key=get_args(Name).index):
        config = configs[name].config
        if name == "default" and config.data.test is None and not config.has_validation:
            continue
        log.emit(events.FinalistProgressEvent(finalist=name))
        try:
            # Warnings about the rows, which are the same as in the search, are not repeated.
            runs[name] = train_child_run(folder, name, configs[name], log.warn_once, workers)
        except (errors.ConfigError, errors.DivergenceError, errors.OutOfMemoryError) as error:
            if isinstance(error, errors.OutOfMemoryError) and workers.size > 1:
                raise  # the other workers would wait forever
            reason = release_memory(error)
            notes.append(f"the {name} config could not be trained in full: {reason}")
    compared = {name: ComparedRun.of(run) for name, run in runs.items()}
    finalists = tuple(_finalists(compared, search.metric))
    for finalist in finalists:
        held_out = compared[finalist.name].run.config.adjective(finalist.split)
        log.emit(events.FinalistEvent(held_out=held_out, result=finalist))
        notes += _baseline_notes(finalist, compared[finalist.name])
    if biased := [each.name for each in finalists if each.split == "validation"]:
        rows = compared[biased[0]].run.config.adjective("validation")
        notes.append(
            f"there are no test rows; the config was selected on the {rows} rows, so their metrics "
            "are too optimistic: set data.test: 0.15"
        )
    if runs and all(each.name == "ensemble" for each in finalists):
        notes.append(_NO_ROWS)
    found = None
    if "ensemble" in runs:
        found = search_ensemble.summarize_ensemble(runs["ensemble"], of_ensemble)
    update = {"finalists": finalists, "ensemble": found, "notes": tuple(notes)}
    return search.model_copy(update=update)


def _finalists(runs: Mapping[Name, ComparedRun], metric: str) -> Iterator[documents.Finalist]:
    for name, run in runs.items():
        split = next((split for split in HELD_OUT if split in run.metrics), None)
        if split is None or run.run.predictions is None:
            continue
        metrics = run.metrics[split]
        compared_by = finalist_metric(metric, run.run.config.metrics or (), metrics)
        gain = None
        if name != "default" and (name != "ensemble" or "default" in runs):
            gain = _difference(runs.get("default"), run, split, compared_by)
        yield documents.Finalist(
            name=name,
            run=name,
            split="test" if split == "test" else "validation",
            metrics=metrics,
            parameters=_count_parameters(run.run),
            epochs=run.run.epochs,
            metric=compared_by,
            gain=gain,
            verdict=None if gain is None else gain.verdict,
        )


def _count_parameters(run: Run) -> int:
    """Return the number of trainable parameters of all networks of a run."""
    if run.ensemble is not None and run.ensemble.selection is not None:  # of different sizes
        return sum(model.network.trainable_parameters for model in run.predictor.models)
    return run.network.trainable_parameters * run.config.networks


def finalist_metric(
    metric: str, named: tuple[str, ...], metrics: Mapping[str, float | None]
) -> str | None:
    """Return the metric by which finalists are compared.

    Args:
        metric: the metric that the search optimizes. `val_accuracy` is compared by accuracy;
            `val_loss`, which finished runs do not store, by the main metric.
        named: the metrics that the config names.
        metrics: the metrics of the held-out rows.
    """
    name = metric.removeprefix("val_")
    return name if metrics.get(name) is not None else main_metric(named, metrics)


def _difference(
    default: ComparedRun | None, run: ComparedRun, split: str, metric: str | None
) -> DifferenceEstimate:
    """Return the difference of a run's metric from the original config's, on the same rows."""
    if default is None or default.run.predictions is None:
        return DifferenceEstimate(reason="the default config could not be trained")
    if metric is None:
        return DifferenceEstimate(reason="all metrics are undefined")
    return estimate_difference(default, run, split, metric)


def _baseline_notes(finalist: documents.Finalist, run: ComparedRun) -> Iterator[str]:
    """Yield a note if the best network is not better than a baseline."""
    if finalist.name != "best":
        return
    for name, found in run.run.verdicts.on(finalist.split).items():
        if found.verdict == "better" or found.network is None or found.baseline is None:
            continue
        words = "worse" if found.verdict == "worse" else "not clearly better"
        values = versus(found.metric, found.network, found.baseline, found)
        yield (
            f"the best network is {words} than the {name} baseline on {finalist.split} rows: "
            f"{metric_title(found.metric)} {values}"
        )
