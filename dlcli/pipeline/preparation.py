"""Read and split the rows that a config names, fit the encoding, and build the network.

This module does not load TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from dlcli import errors
from dlcli.columns.column_type import Decision, direction_of
from dlcli.columns.type_inference import MIN_ROWS
from dlcli.columns.value_problems import Place, ValueNote, ValueProblems, summarize_notes
from dlcli.config import data_section
from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import CompiledEngine, Config, Engine
from dlcli.config.data_section import GroupSplit, RandomSplit, StratifiedSplit, TimeSplit
from dlcli.config.search_space import check_vary, draw_settings, varied_input
from dlcli.data_checks.inspection import inspect_split
from dlcli.data_checks.row_checks import advise_split
from dlcli.data_checks.sample import DataFinding
from dlcli.data_checks.target_checks import refuse_names
from dlcli.encoding import column_types
from dlcli.encoding.encoded_rows import EncodedRows, InputsWriter
from dlcli.encoding.table_encoding import (
    Encoding,
    encode_rows,
    find_differences,
    fit_encoding,
    row_weights,
)
from dlcli.errors import did_you_mean, first_names, plural
from dlcli.network.head import Head, resolve_head
from dlcli.network.layers import Network, Weights, build_network, summarize
from dlcli.network.monotone import bounds_of
from dlcli.pipeline import events as event_types
from dlcli.pipeline.events import Events, WarningEvent
from dlcli.prediction.predictor import Predictor
from dlcli.runs.environment import fingerprint
from dlcli.runs.run_folder import open_run
from dlcli.schema.urls import Location
from dlcli.schema.yaml_document import format_path
from dlcli.splitting import (
    Fold,
    Shares,
    Split,
    assign_rows,
    generator_of,
    make_complete_folds,
    sample_rows,
)
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.databases import QueriedTable, read_query
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.remote_files import each_file
from dlcli.tables.source_files import Source, expand, name_of
from dlcli.tables.stored_columns import IN_MEMORY, Storage
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_header, read_table
from dlcli.tasks import prior_shift
from dlcli.tasks.decision import fit_decision
from dlcli.tasks.inference import drop_missing_targets, infer_task, refuse_constant
from dlcli.tasks.task import Task
from dlcli.training_job import Device, choose_engine

if TYPE_CHECKING:
    from dlcli.training.compiled_engine import ProgramCache
    from dlcli.training.linear_engine import LinearEngine

_NOTABLE_UNSEEN = 0.01
"""Minimum expected share of rows with a rare or unknown category that is reported."""
ReportNotes = Callable[[str, Sequence[ValueNote]], None]
"""Receives the name of rows, such as `test rows of houses.csv`, and notes on them."""
Header = tuple[str, tuple[str, ...]]
"""A table's file, as named in messages, and its columns."""


@dataclass(frozen=True)
class Dataset:
    """All rows of a config, read and split."""

    tables: tuple[Table, ...]
    """The training file, then the validation and test files, if any; without rows that have no
    target, unless the config refuses such rows."""
    whole: Table
    """All rows of the training file in their order, with and without a target; only those of
    `data.sample` if it was drawn."""
    task: Task
    """The task, inferred from all rows with a target, so all folds have the same classes."""
    split: Split
    """The rows of each set for `train`."""
    split_choice: data_section.SplitChoice
    """The split of the rows of the training file."""
    candidate_indices: NDArray[np.int64]
    """The rows of the training file that may be used to select a model: all except test rows.
    Ascending indices from 0, (rows,)."""
    storage: Storage = IN_MEMORY
    """The storage of the rows: memory or a folder."""
    sampled_from: int | None = None
    """The number of rows from which `data.sample` was drawn; `None` if all rows are used."""

    @cached_property
    def candidates(self) -> Table:
        """The rows that may be used to select a model, in the order of their file."""
        train = self.tables[0]
        is_all = len(self.candidate_indices) == train.rows
        return train if is_all else train.take(self.candidate_indices)

    @property
    def test_rows(self) -> int:
        """The number of test rows, which are never used to select a model."""
        return 0 if self.split.test is None else self.split.test.rows

    @property
    def notes(self) -> list[str]:
        """Notes on the files that were read."""
        return [*dict.fromkeys(note for table in self.tables for note in table.notes)]


def read_dataset(file: ConfigFile, events: Events, storage: Storage = IN_MEMORY) -> Dataset:
    """Read the tables of a config, and split their rows.

    Args:
        file: the config.
        events: receives warnings about the files, and about rows without a target.
        storage: the storage for the rows.

    Raises:
        UsageError: if a file does not exist.
        ConfigError: if a table lacks a column that `data` names, or a value of `ensemble.vary` is
            invalid.
        DataError: if a file is not a table, or too few rows have a target.
    """
    check_vary(file)
    data = file.config.data

    given: dict[str, Table] = {}
    for key in data.sources:
        source, words = _source(file, key), column_types.words_to_read(data)
        if isinstance(source, QueriedTable) and storage.workers.size > 1:
            raise errors.UsageError(
                f"data.{key}: workers could read other rows of a database; save the rows as Parquet"
            )
        with _naming_key(file, key):
            table = read_table(source, words, data.table_format, storage)
        given[key] = table.written_like(given["train"].notations) if given else table
    check_headers(file.config, [(table.file, table.columns) for table in given.values()])
    config, columns = file.config, given["train"].columns
    features = column_types.choose_features(config.input, columns, config.reserved)
    read_alike = column_types.settle_missing_words([*given.values()], data, features)
    given = dict(zip(given, read_alike, strict=True))
    train = given["train"]
    for warning in dict.fromkeys(text for table in given.values() for text in table.warnings):
        events.warn(warning)
    for name, table in given.items() if data.on_missing_target == "drop" else ():
        given[name], message = drop_missing_targets(data.target, table)
        if message:
            message, columns = f"{table.file}: {message}", data.target.columns
            events.emit(WarningEvent(message=message, check="missing_target", columns=columns))
    target = infer_task(data.target, tuple(given.values()))
    refuse_names(target, given["train"])
    labelled, sampled_from = given["train"], None
    if data.sample is not None and labelled.rows > data.sample:
        rng, sampled_from = generator_of(file.config.seed, "sample"), labelled.rows
        train = given["train"] = sample_rows(labelled, data.sample, rng, target.class_column)
    tables = tuple(given.values())
    split = Split(given["train"], given.get("validation"), given.get("test"))
    split, choice, candidates = split_rows(file.config, split, target)
    return Dataset(tables, train, target, split, choice, candidates, storage, sampled_from)


def read_candidates(file: ConfigFile, events: Events, storage: Storage = IN_MEMORY) -> Dataset:
    """Read the rows for the selection of a model, by cross-validation or a search.

    Args:
        file: the config.
        events: receives warnings, see `read_dataset`.
        storage: the storage for the rows.

    Raises:
        UsageError: if a file does not exist.
        ConfigError: for initial weights or a teacher, which may have been trained on held-out rows;
            or for rows that are to be stored on disk.
        ConfigError, DataError: see `read_dataset`.
    """
    for key in ("initial_weights", "initial_encoding"):
        if getattr(file.config, key) is not None:
            message = (
                "may have been trained on rows that are held out here, so metrics would be too "
                f"optimistic; omit it: {errors.override(key, None)}"
            )
            raise errors.ConfigError([errors.Problem(key, message)])
    if file.config.distill is not None:
        message = (
            "the ensemble was trained on rows that are held out here, so metrics would be too "
            f"optimistic; omit it: {errors.override('distill', None)}"
        )
        raise errors.ConfigError([errors.Problem("distill", message)])
    if file.config.time is not None:
        message = (
            "limits a single training run; cross-validation and search compare networks of equally "
            f"many epochs, so set epochs and omit it: {errors.override('time', None)}; to limit a "
            "search, set tune.time"
        )
        raise errors.ConfigError([errors.Problem("time", message)])
    if file.config.data.storage == "disk":
        message = (
            "'disk' works only for a single training run; cross-validation and search keep rows in "
            f"memory: {errors.override('data.storage', 'memory')}"
        )
        raise errors.ConfigError([errors.Problem("data.storage", message)])
    dataset = read_dataset(file, events, storage)
    events.emit(
        event_types.RowsEvent(
            file=dataset.tables[0].file,
            rows=len(dataset.candidate_indices),
            set_aside=dataset.test_rows,
            split=dataset.split_choice.name,
            seed=file.config.seed,
            notes=dataset.notes,
            sampled_from=dataset.sampled_from,
        )
    )
    return dataset


def check_headers(config: Config, headers: Sequence[Header]) -> None:
    """Check that the tables have the columns that the config names.

    Args:
        config: the config, for `data` and `input`.
        headers: the header of each table, the training table first.

    Raises:
        ConfigError: with all missing columns.
    """
    data, (train, *others) = config.data, headers
    problems: list[errors.Problem] = []
    for column in data.split.columns if data.split is not None else ():
        problems += _missing_column("data.split.column", column, train)
    for column in data.missing if isinstance(data.missing, Mapping) else ():
        path = format_path(("data", "missing", column))
        problems += _missing_column(path, column, train)
    for header in headers:
        for at, column in enumerate(data.target.columns):
            index = "" if isinstance(data.target.column, str) else f"[{at}]"
            problems += _missing_column(f"data.target.column{index}", column, header)
        problems += _missing_group_columns(config, header)
        for path, name in _columns_with_roles(config).items():
            problems += _missing_column(path, name, header)
    try:
        chosen = column_types.choose_features(config.input, train[1], config.reserved)
        read = [column for column, feature in chosen.items() if feature.is_read]
        for file, columns in others:
            if message := errors.absent_columns(read, columns):
                problems.append(errors.Problem("input.features", f"{file} {message}"))
    except errors.ConfigError as error:
        problems += error.problems
    if problems:
        raise errors.ConfigError(dict.fromkeys(problems))  # a file may be named twice


def _columns_with_roles(config: Config) -> dict[str, str]:
    """Return the columns of weights, exposures and costs, by their paths in the config."""
    data, decision = config.data, config.decision
    named = {"data.sample_weight": data.sample_weight, "data.exposure": data.exposure}
    for key, column in ({} if decision is None else decision.cost_columns).items():
        named[f"decision.costs.{key}.column"] = column
    return {path: column for path, column in named.items() if column is not None}


def _missing_column(path: str, column: str, header: Header) -> Iterator[errors.Problem]:
    file, columns = header
    if column not in columns:
        hint = did_you_mean(column, columns) or errors.known_columns(columns)
        yield errors.Problem(path, f"no column '{column}' in {file}{hint}")


def read_headers(file: ConfigFile) -> list[Header]:
    """Read the headers of a config's tables, the training table first.

    Raises:
        UsageError: if a file does not exist.
        DataError: if a file is not a table, or files of one table have different columns.
    """
    data = file.config.data
    headers = []
    for key in data.sources:
        source = _source(file, key)
        name = source.name if isinstance(source, MemoryTable) else name_of(source)
        with _naming_key(file, key):
            headers.append((name, read_header(source, data.table_format)))
    return headers


def _missing_group_columns(config: Config, header: Header) -> Iterator[errors.Problem]:
    for column, path in config.group_columns.items():
        for part in [column] if column in header[1] else column.split("*"):
            yield from _missing_column(path, part.strip(), header)


@contextmanager
def _naming_key(file: ConfigFile, key: data_section.SourceKey) -> Iterator[None]:
    """Add the position and the key of `data` to the error for a missing file."""
    try:
        yield
    except errors.UsageError as error:
        problem = file.document.located(errors.Problem(f"data.{key}", str(error)))
        raise errors.UsageError(str(problem)) from None


def data_files(file: ConfigFile) -> list[Location]:
    """Return all data files of a config, as paths relative to the current folder, or as URLs.

    Raises:
        UsageError: if a glob does not match any file.
    """
    found: list[Location] = []
    for key in file.config.data.sources:
        source = _source(file, key)
        if not isinstance(source, MemoryTable):
            with _naming_key(file, key):
                found += expand(source)
    return found


def _source(file: ConfigFile, key: data_section.SourceKey) -> Source | MemoryTable:
    """Return the files of a key of `data`, or its table in memory.

    Raises:
        UsageError: if the key requires a table in memory and the table is missing.
    """
    files = getattr(file.config.data, key)
    if isinstance(files, DatabaseQuery):
        query = file.locate_query(files)
        if query not in file.queried:
            file.queried[query] = read_query(query)
        queried = file.queried[query]
        assert isinstance(queried, QueriedTable)
        return queried
    if files != data_section.MEMORY:
        return file.locate_files(files)
    table = file.tables.get(key)
    if isinstance(table, MemoryTable):
        return table
    raise errors.UsageError(
        f"data.{key} was a table in memory; pass it in Python as the argument "
        f"{data_section.MEMORY_ARGUMENTS[key]}, or set a file: "
        f"{errors.override(f'data.{key}', 'FILE')}"
    )


def data_fingerprints(file: ConfigFile) -> list[dict[str, object]]:
    """Return key, SHA-256 and size of each file and table in memory of a config, in order.

    A file at a URL has a `version` instead of the SHA-256.

    Raises:
        UsageError: if a glob does not match any file, or a table in memory is missing.
    """
    found = []
    for key in file.config.data.sources:
        source = _source(file, key)
        if isinstance(source, MemoryTable):
            entries = [source.fingerprint]
        else:
            with _naming_key(file, key):
                entries = each_file(fingerprint, expand(source))
        found += [{"key": f"data.{key}", **entry} for entry in entries]
    return found


def split_rows(
    config: Config, given: Split, target: Task
) -> tuple[Split, data_section.SplitChoice, NDArray[np.int64]]:
    """Split the rows of the training file if validation or test rows are a share of them.

    Args:
        config: the config, for `data` and `seed`.
        given: the table of each file.
        target: the task.

    Returns:
        The rows of each set, the kind of split, and the indices of the rows of the training file
        that are not test rows, (rows,).

    Raises:
        ConfigError: for a stratified split if the target has no classes.
        DataError: if there are too few rows.
    """
    data, train = config.data, given.train
    classes = target.class_column
    if classes:
        _, names = train.codes(classes)
        if len(names) == train.rows > 1:
            raise _single_row_classes(train, target, len(names))
    choice = data.split or (StratifiedSplit() if classes else RandomSplit())
    if isinstance(choice, StratifiedSplit) and not classes:
        what = "labels" if target.labels else "a number"
        message = f"'stratified' requires classes, but {target.name} is {what}; use random"
        raise errors.ConfigError([errors.Problem("data.split", message)])
    split, candidates = given, np.arange(train.rows)
    if any(data.shares):
        rows = assign_rows(train, choice, classes, Shares(*data.shares), config.seed)
        candidates = np.sort(np.concatenate([rows.train, rows.validation]))
        validates = len(rows.validation) and not data.train_on_validation
        split = Split(
            train.take(rows.train if validates else candidates),
            train.take(rows.validation) if validates else given.validation,
            train.take(rows.test) if len(rows.test) else given.test,
        )
    _check_training_rows(split.train, target)
    return split, choice, candidates


def _check_training_rows(train: Table, target: Task) -> None:
    """Refuse a single training row, a target with a single class or number, and one-row classes.

    Raises:
        DataError: with the problem.
    """
    if train.rows < 2:
        raise errors.DataError("training requires at least two training rows", file=train.file)
    if target.outcome == "numbers":
        refuse_constant(target, [train], "training ")
    if target.classes:
        codes, names = train.codes(target.columns[0])
        counts = np.bincount(codes)
        if len(names) < 2:
            message = (
                f"all training rows have the class '{names[0]}'; use another data.split or seed"
            )
            raise errors.DataError(message, file=train.file, column=target.columns[0])
        if counts.max() == 1:
            raise _single_row_classes(train, target, len(names))


def _single_row_classes(table: Table, target: Task, classes: int) -> errors.DataError:
    """Return the error for classes of one row each, with the texts in a numeric target, if any."""
    column = target.columns[0]
    decision = column_types.infer_type(column, table)
    decision = decision.otherwise or decision
    is_doubtful = decision.warning and target.reason != "declared"
    doubt = decision.reason if is_doubtful else "is this column really the target?"
    message = f"each of the {classes} classes has only one row; {doubt}"
    return errors.DataError(message, file=table.file, column=column)


@dataclass(frozen=True)
class FitRows:
    """The rows of a fit, with the inferred types and the fitted encoding."""

    split: Split
    """The rows of each set."""
    split_choice: data_section.SplitChoice
    """The kind of split."""
    task: Task
    """The task."""
    decisions: Mapping[str, Decision]
    """The type of each column, with the reason."""
    encoding: Encoding
    """The encoding, fitted on the training rows or on those of an earlier run."""
    weight: str | None
    """The column of row weights, if there is one."""
    findings: Sequence[DataFinding] = ()
    """Problems that are likely to affect training or its metrics."""
    storage: Storage = IN_MEMORY
    """The storage of raw and encoded rows."""
    is_fitted: bool = True
    """Whether the encoding was fitted on these training rows, see `initial_encoding`."""
    encoded: Mapping[str, EncodedRows] = field(default_factory=dict)
    """The encoded rows by set, `train`, `validation`, `test`; empty before `encode_sets`."""

    @property
    def tables(self) -> dict[str, Table]:
        """The rows of each nonempty set, by name."""
        return self.split.tables


class DistilledRows(NamedTuple):
    """The rows for the training of a distilled network: training rows, then synthetic rows."""

    encoded: EncodedRows
    labels: NDArray[np.float32]
    """The labels of the loss, from target and teacher, (rows, units)."""


@dataclass(frozen=True)
class FitPlan:
    """The network of a fit, and its training."""

    config: Config
    """The config, for seed, optimizer, schedule, epochs, batch size, early stopping and precision;
    with the output, loss and metrics of the head."""
    head: Head
    """Output, loss and metrics."""
    network: Network
    """The layers."""
    engine: Engine | LinearEngine
    """The engine that trains it."""
    programs: ProgramCache | None = None
    """Compiled programs of earlier fits, which are reused."""
    device: Device | None = None
    """The device, to train members of an ensemble in parallel; without it, one after the other."""
    device_inputs: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """Encoded rows that are on the device; fits on the same rows share them."""
    initial_weights: Weights | None = None
    """The initial weights; if omitted, the initializers are used."""
    distilled: DistilledRows | None = None
    """The rows on which a distilled network is trained, instead of the training rows."""
    until: int | None = None
    """The epoch after which to end, from 1, if it is not the last; schedules do not change."""
    finished: int = 0
    """With `until`, the number of members that are fully trained and are not trained again."""


def prepare(
    file: ConfigFile,
    events: Events,
    storage: Storage = IN_MEMORY,
    earlier: Predictor | None = None,
) -> tuple[FitRows, FitPlan]:
    """Read the rows of a config, and plan the fit of a network on them.

    Args:
        file: the config.
        events: receives inferred settings and warnings.
        storage: the storage for the rows.
        earlier: a network whose encoding is used instead of that in `initial_encoding`.

    Raises:
        UsageError: if a file does not exist.
        ConfigError, DataError: see `read_dataset` and `prepare_rows`.
    """
    dataset, config = read_dataset(file, events, storage), file.config
    events.emit(
        event_types.DataEvent(
            file=dataset.split.train.file,
            rows={name: table.rows for name, table in dataset.split.tables.items()},
            split=dataset.split_choice.name if any(config.data.shares) else None,
            seed=config.seed,
            notes=dataset.notes,
            sampled_from=dataset.sampled_from,
        )
    )
    encoding = initial_encoding(file) if earlier is None else earlier.encoding
    rows, plan = prepare_fit(config, dataset, dataset.split, events, encoding)
    has_folds = config.ensemble_folds is not None
    if has_folds:
        member_folds(config, rows)  # refuses too few rows
    if has_folds or any(config.data.shares):
        warn_of_random_split(dataset, config.data.split, rows.decisions, events)
    return rows, plan


def prepare_fit(
    config: Config,
    dataset: Dataset,
    split: Split,
    events: Events,
    fitted: Encoding | None = None,
) -> tuple[FitRows, FitPlan]:
    """Infer types, fit the encoding, and plan a fit on given rows.

    Args:
        config: the config.
        dataset: see `prepare_rows`.
        split: the rows of each set.
        events: receives the inferred settings and the network.
        fitted: see `prepare_rows`.

    Raises:
        ConfigError, DataError: see `prepare_rows`.
    """
    rows = prepare_rows(config, dataset, split, events, fitted)
    plan = plan_fit(config, rows, config.networks)
    network, head, settings = plan.network, plan.head, draw_settings(config)
    events.emit(
        event_types.NetworkEvent(
            inputs=network.inputs,
            layers=summarize(network),
            parameters=network.parameters,
            loss=head.loss.name,
            target_scaling=None if head.output.scaling is None else head.output.scaling.name,
            metrics=head.metrics,
            members=None if config.ensemble is None else config.ensemble.members,
            folds=config.ensemble_folds,
            groups=len(settings) if len(settings) > 1 else None,
            varied=[*dict.fromkeys(chain.from_iterable(settings))],
        )
    )
    events.emit(event_types.EngineEvent(**cast("Engine", plan.engine).model_dump()))
    return rows, plan


def plan_fit(config: Config, rows: FitRows, fits: int) -> FitPlan:
    """Build the network of a config for encoded rows, and choose the engine that trains it.

    In a cluster, it is a graph without XLA, which would compile a program for each number of rows
    that a worker has in a batch.

    Args:
        config: the config.
        rows: the rows and their encoding.
        fits: approximate number of fits that share the compiled program.
    """
    train = rows.split.train
    head = resolve_head(config, rows.task).for_rows(train.rows)
    layout = rows.encoding.layout.read_with(config.input.encoding)
    network = build_network(layout, config.hidden, head.output)
    engine: Engine = CompiledEngine(jit_compile=False)
    if train.shares is None:
        engine = choose_engine(config, network, train.rows, fits)
    return FitPlan(head.resolve(config), head, network, engine)


def member_folds(config: Config, rows: FitRows) -> tuple[Fold, ...]:
    """Assign training rows to the folds on which members of an ensemble are validated.

    Raises:
        DataError: if there are too few rows, groups or times, or all weights of a fold are 0; its
            note suggests a setting.
    """
    assert config.ensemble_folds is not None
    train, choice, classes = rows.split.train, rows.split_choice, rows.task.class_column
    try:
        return complete_folds(config, train, choice, classes, config.ensemble_folds)
    except errors.DataError as error:
        # No number of folds helps a class with a single row.
        is_class = classes is not None and error.column == classes
        fewer = "" if is_class else "fewer ensemble.folds, or "
        error.add_note(f"  set {fewer}ensemble.folds: none with data.validation")
        raise


def complete_folds(
    config: Config,
    train: Table,
    choice: data_section.SplitChoice,
    classes: str | None,
    count: int,
) -> tuple[Fold, ...]:
    """Assign rows to the folds of an ensemble.

    Args:
        config: the config, for the column of the weights and the seed.
        train: the rows.
        choice: the kind of split.
        classes: the column of the classes; `None` for other targets.
        count: the number of folds.

    Raises:
        DataError: see `member_folds`.
    """
    weights = row_weights(train, config.data.sample_weight, ValueProblems())
    folds = make_complete_folds(train, choice, classes, count, config.seed)
    if weights is not None:
        _check_weights(weights, folds, train.file, config.data.sample_weight)
    return folds


def _check_weights(
    weights: NDArray[np.float64], folds: Sequence[Fold], file: str, column: str | None
) -> None:
    """Check that each fold has training and validation rows with positive weights.

    Raises:
        DataError: for the first fold without such rows.
    """
    for number, fold in enumerate(folds, start=1):
        for rows, purpose in ((fold.train, "to train on"), (fold.held_out, "held out")):
            if not weights[rows].any():
                where = f"in fold {number} of {len(folds)}"
                message = f"all weights of the rows {purpose} {where} are 0"
                raise errors.DataError(message, file=file, column=column)


def warn_of_random_split(
    dataset: Dataset,
    split: data_section.SplitChoice | None,
    decisions: Mapping[str, Decision],
    events: Events,
) -> None:
    """Warn if similar rows are split at random, into sets or folds, unless the config chose it.

    Args:
        dataset: all rows; the rows of the training file are split.
        split: the split in the config; `stratified` is about classes, so it is no such choice.
        decisions: the type of each column.
        events: receives the warning.
    """
    if isinstance(split, GroupSplit | TimeSplit | RandomSplit):
        return
    table = dataset.tables[0]
    if advice := advise_split(table, decisions, dataset.task):
        events.emit(finding_warning(table.file, advice.finding))


def prepare_rows(
    config: Config,
    dataset: Dataset,
    split: Split,
    events: Events,
    fitted: Encoding | None = None,
) -> FitRows:
    """Infer types and fit the encoding for given rows.

    Args:
        config: the config.
        dataset: the task, and all rows with a target, whose values must suit the loss.
        split: the rows of each set; statistics and vocabularies are computed on the training rows.
        events: receives the inferred settings.
        fitted: the encoding of an earlier run; if omitted, it is fitted to the training rows.

    Raises:
        ConfigError: if the config contradicts the data, or the encoding.
        DataError: if values can't be encoded or do not suit the loss.
    """
    train, task, whole = split.train, dataset.task, dataset.whole
    labelled, reserved = dataset.tables[0], config.reserved
    decisions = column_types.type_columns(config.input, labelled, reserved, whole, train)
    events.emit(
        event_types.TargetEvent(
            columns=task.columns,
            type=task.type,
            classes=task.classes,
            labels=task.labels,
            reason=task.reason,
        )
    )
    types = {
        column: event_types.TypedColumn(decision.feature.type, type_reason(decision))
        for column, decision in decisions.items()
    }
    events.emit(event_types.FeaturesEvent(columns=types))
    for warning in column_types.type_warnings(decisions):
        events.warn(f"{train.file}: {warning}")
    head = resolve_head(config, task)
    task.check_values(head.loss, dataset.tables)
    if config.decision is not None and config.decision.cost_columns:
        for table in dataset.tables:
            fit_decision(config.decision, task.classes).row_costs(table, ValueProblems())
    for warning in task.training_warnings(head.output, train):
        events.warn(f"{train.file}: {warning}")
    if fitted is None:
        of_train = task.fit(head.output.scaling, train)
        exposure = config.data.exposure
        encoding = fit_encoding(decisions, varied_input(config), train, of_train, exposure)
        _report_unseen(encoding, train, events)
    else:
        encoding = _checked_encoding(fitted, decisions, task, config.data.exposure)
    choice = dataset.split_choice
    is_grouped = isinstance(choice, GroupSplit)
    has_folds = config.ensemble_folds is not None
    findings = inspect_split(split, whole, task, decisions, config.input, is_grouped, has_folds)
    for finding in findings:
        events.emit(finding_warning(train.file, finding))
    weight, storage = config.data.sample_weight, dataset.storage
    return FitRows(
        *(split, choice, task, decisions, encoding, weight, findings, storage),
        is_fitted=fitted is None,
    )


def _report_unseen(encoding: Encoding, train: Table, events: Events) -> None:
    """Report columns in which rare or unknown categories are expected, once for all sets."""
    shares = {each.column: each.expected_unseen for each in encoding.features}
    shares = {name: share for name, share in shares.items() if share >= _NOTABLE_UNSEEN}
    if shares and train.rows >= MIN_ROWS:
        events.emit(event_types.UnseenEvent(columns=shares))


def encode_sets(rows: FitRows, events: Events, report: ReportNotes | None = None) -> FitRows:
    """Encode the rows of each set.

    Args:
        rows: the rows, and the encoding fitted to the training rows.
        events: receives warnings about values that the training rows do not have.
        report: receives notes on such values instead, with the name of the rows.

    Returns:
        `rows` with the encoded rows.

    Raises:
        ConfigError, DataError: if columns or values can't be encoded.
    """
    encoded, weight, folder = {}, rows.weight, rows.storage.folder
    for name, table in rows.tables.items():
        problems = ValueProblems()
        writer = None if folder is None else InputsWriter(folder, name)
        try:
            encoded[name] = encode_rows(rows.encoding, table, weight, problems, writer)
        except errors.DataError as error:
            if weight is None or (error.column, error.row) != (weight, None) or name == "train":
                raise
            way_out = "use another data.split or seed, or omit data.sample_weight"
            message = f"{error.message} in the {name} rows; {way_out}"
            raise errors.DataError(message, file=table.file, column=weight) from None
        # Rare and missing values of training rows were reported when their types were decided.
        is_known = name == "train" and rows.is_fitted
        notes = [] if is_known else _notes_beyond_chance(rows, table, problems)
        if notes and report is not None:
            report(f"{name} rows of {table.file}", notes)
        else:
            warn_of_notes(f"{name} rows of {table.file}", notes, events)
    return replace(rows, encoded=encoded)


def _notes_beyond_chance(rows: FitRows, table: Table, problems: ValueProblems) -> list[ValueNote]:
    """Return notes on values that the training rows do not have, unless chance explains them.

    Args:
        rows: the rows of all sets; chance explains no difference from those of an earlier run.
        table: the encoded rows.
        problems: recorded when they were encoded.
    """
    differences = find_differences(rows.encoding, table.rows, problems.columns)
    found = {each.column: each for each in differences if rows.is_fitted}
    return [
        note
        for note in problems.notes(_place_in(table))
        if note.column not in found or not found[note.column].is_by_chance(note.kind)
    ]


def _place_in(table: Table) -> Place:
    """Return the names of rows in messages about a split, whose rows are some rows of a table."""
    return table.place if table.files else lambda index: f"{table.place(index)} of the table"


def warn_of_notes(rows: str, notes: Sequence[ValueNote], events: Events) -> None:
    """Report notes on values that the training rows do not have, in a few lines.

    Args:
        rows: the name of the rows, such as `test rows of houses.csv`.
        notes: all notes on these rows.
        events: receives the warnings.
    """
    for line in summarize_notes(notes):
        rest = tuple(map(str, line.rest))
        events.emit(WarningEvent(message=f"{rows}: {line.text}", rest=rest))


def initial_weights(
    file: ConfigFile, network: Network, earlier: Predictor | None = None
) -> Weights | None:
    """Return the weights of the run in `initial_weights`; `None` if it is not set.

    Their probabilities are those of its training rows, without class weights and `prevalence`.

    Args:
        file: the config.
        network: the network to train.
        earlier: the network to use instead of the run's, from a previous fit in memory.

    Raises:
        ConfigError: if names or shapes differ from the network's.
        RunError: if the run does not exist.
    """
    name = "the previous fit"
    if earlier is None:
        if file.config.initial_weights is None:
            return None
        run = open_run(named_run(file, file.config.initial_weights))
        run.require_training()  # it may have diverged
        earlier, name = run.predictor, str(run.path)
    if earlier.models:
        count = plural(len(earlier.models), "network")
        message = f"{name} is an ensemble of {count}; choose a single one"
        raise errors.ConfigError([errors.Problem("initial_weights", message)])
    networks = earlier.network, network
    there, here = ({weight.name: weight.shape for weight in net.weights} for net in networks)
    for weight in [*here, *there]:
        if here.get(weight) != there.get(weight):
            message = (
                f"{name} has a different network: the shape of '{weight}' is "
                f"{there.get(weight, 'absent')} there and {here.get(weight, 'absent')} here"
            )
            raise errors.ConfigError([errors.Problem("initial_weights", message)])
    for weight, bounds in bounds_of(network).items():
        if not bounds.contain(earlier.weights[weight]):
            message = (
                f"{name} was trained without these monotone columns: '{weight}' has weights of "
                "the other sign; omit monotone, or omit initial_weights"
            )
            raise errors.ConfigError([errors.Problem("initial_weights", message)])
    ratios = earlier.task.unshifted_ratios
    return prior_shift.shift_bias(earlier.weights, ratios) if ratios else earlier.weights


def initial_encoding(file: ConfigFile) -> Encoding | None:
    """Return the encoding of the run in `initial_encoding`; `None` if it is not set.

    Raises:
        RunError: if the run does not exist, or has no network.
    """
    if file.config.initial_encoding is None:
        return None
    run = open_run(named_run(file, file.config.initial_encoding))
    run.require_training()
    return run.encoding


def _checked_encoding(
    encoding: Encoding, decisions: Mapping[str, Decision], task: Task, exposure: str | None
) -> Encoding:
    """Return the encoding of an earlier run if it fits the columns and the target.

    Raises:
        ConfigError: if types of columns, classes or columns of the target differ.
    """
    there = {each.column: each.type for each in encoding.features}
    here = {name: each.feature.type for name, each in decisions.items() if each.feature.is_read}
    exposures = [each.column for each in encoding.features if each.is_exposure]
    here |= dict.fromkeys(exposures, "numeric")
    message = ""
    if exposures != [exposure] * (exposure is not None):
        message = f"data.exposure is {', '.join(exposures) or 'not set'} there"
    for name in [*there, *here]:
        if there.get(name) != here.get(name):
            types = (known.get(name, "not used") for known in (there, here))
            message = "column '{}' is {} there and {} here; set its type in input.features"
            message = message.format(name, *types)
            break
    for each in encoding.features:
        given = decisions[each.column].feature.direction if each.column in decisions else None
        if not message and each.direction != direction_of(given):
            message = f"column '{each.column}' has another 'monotone' there; set the same here"
    earlier = encoding.task
    if (earlier.type, earlier.columns, earlier.names) != (task.type, task.columns, task.names):
        message = f"its target {earlier.name} is {earlier.words}, and here {task.words}"
        if earlier.columns == task.columns and earlier.names != task.names:
            message += f": {first_names(earlier.names)} there, {first_names(task.names)} here"
    if message:
        raise errors.ConfigError([errors.Problem("initial_encoding", message)])
    return encoding


def named_run(file: ConfigFile, folder: str) -> Path:
    """Return a run folder relative to the config or, if it does not exist, the current folder."""
    from_config = file.resolve(folder)
    return from_config if from_config.exists() else Path(folder)


def finding_warning(file: str, finding: DataFinding) -> WarningEvent:
    """Return the warning for the finding of a data check."""
    return WarningEvent(message=f"{file}: {finding}", check=finding.check, columns=finding.columns)


def type_reason(decision: Decision) -> str:
    """Return the reason for a column's type, also for columns that `input.features` omits."""
    return (
        column_types.UNMATCHED_REASON
        if decision.feature is column_types.UNMATCHED
        else decision.reason
    )
