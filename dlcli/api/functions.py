"""Functions of the Python API: each converts its arguments and calls the command's function."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dlcli.api import arguments, results
from dlcli.api.arguments import Progress, Trackers, listening, warn
from dlcli.api.models import Model
from dlcli.config.config_file import ConfigFile, load_config, load_config_of_run, make_config
from dlcli.config.config_schema import Config
from dlcli.config.data_section import MEMORY_ARGUMENTS
from dlcli.errors import ConfigError, UsageError, did_you_mean_file
from dlcli.exports.formats import FormatName
from dlcli.pipeline import cross_validation, retraining, train_run
from dlcli.pipeline.cross_validation import MOST_FOLDS, CrossValidationPlan
from dlcli.runs.manifest import RunFile, is_unfinished, kind_of_unfinished
from dlcli.runs.run_folder import is_run_folder
from dlcli.runs.run_folder import open_run as open_folder
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.source_files import locate_table
from dlcli.tables.table_formats import file_format

ConfigSource = str | Path | Config | Mapping[str, Any]
"""A config: the path of a YAML file, YAML of several lines, a mapping, or a `Config`."""
Data = Any
"""A table: anything with the Arrow PyCapsule interface (`__arrow_c_stream__`: pandas, polars,
pyarrow, DuckDB), a mapping of columns to arrays or lists, or a list of mappings."""


def train(  # noqa: PLR0913  (named by their callers)
    config: ConfigSource,
    data: Data = None,
    *,
    validation_data: Data = None,
    test_data: Data = None,
    overrides: Mapping[str, object] | None = None,
    output: str | Path | None = None,
    progress: Progress = None,
    trackers: Trackers = (),
) -> results.TrainingRun:
    """Train the network of a config and write a run folder.

    Args:
        config: the path of a YAML file, YAML of several lines, a mapping, or a `Config`.
        data: a table to train on instead of the file `data.train`; see `Data`.
        validation_data: a table of validation rows instead of `data.validation`.
        test_data: a table of test rows instead of `data.test`.
        overrides: settings to change: `{"hidden[0].units": 64}`.
        output: the run folder, which must not exist. [default: `runs/NAME`, `runs/NAME-2`, ...]
        progress: `True` or `False` to show or hide progress in a notebook (default: show), or a
            function that is called with each event, an object of a type in `dlcli.events`. Several
            networks may train at the same time, in other threads, but the calls do not overlap.
        trackers: one or more names of installed trackers, such as `"wandb"`, or objects of your own
            subclasses of `dlcli.Tracker`.

    Returns:
        The run.

    Raises:
        DlcliError: `ConfigError`, `DataError`, `TrainingError`, `RunError` or `UsageError`. An
            interrupted training can be resumed from its latest checkpoint, see `resume`.
    """
    file = _config_file(config, overrides, data, validation_data, test_data)
    with listening(progress, trackers) as listener:
        return results.TrainingRun(train_run.train(file, _path(output), listener))


def cross_validate(  # noqa: PLR0913  (named by their callers)
    config: ConfigSource,
    data: Data = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    refit: bool = False,
    by: str | Sequence[str] = (),
    jobs: int = 1,
    test_data: Data = None,
    overrides: Mapping[str, object] | None = None,
    output: str | Path | None = None,
    progress: Progress = None,
    trackers: Trackers = (),
) -> results.CrossValidationRun:
    """Evaluate a config by cross-validation: each fold is predicted by a network not trained on it.

    Args:
        config: see `train`.
        data: a table to use instead of the file `data.train`.
        folds: the number of folds, 2 or more.
        repeats: the number of repetitions, each with new folds.
        refit: also train a final network on the rows of all folds.
        by: one or more columns; also compute the metrics of each group of rows with the same value,
            see `Model.evaluate`.
        jobs: the number of processes; see `tune`.
        test_data: a table of test rows instead of `data.test`; cross-validation does not use them.
        overrides: settings to change.
        output: the run folder, which must not exist. [default: `runs/NAME-cv`, ...]
        progress: see `train`.
        trackers: see `train`.

    Raises:
        DlcliError: see `train`.
    """
    plan = CrossValidationPlan(
        folds=arguments.integer("folds", folds, 2, MOST_FOLDS),
        repeats=arguments.integer("repeats", repeats, 1, MOST_FOLDS),
        refit=arguments.boolean("refit", refit),
        by=tuple(arguments.column_names("by", by)),
    )
    jobs = arguments.job_count(jobs)
    file = _config_file(config, overrides, data, None, test_data)
    with listening(progress, trackers) as listener:
        return results.CrossValidationRun(
            cross_validation.cross_validate(file, plan, _path(output), listener, jobs)
        )


def tune(  # noqa: PLR0913  (named by their callers)
    config: ConfigSource,
    data: Data = None,
    *,
    jobs: int = 1,
    storage: str | None = None,
    nested: bool = False,
    ensemble: int | None = None,
    validation_data: Data = None,
    test_data: Data = None,
    overrides: Mapping[str, object] | None = None,
    output: str | Path | None = None,
    progress: Progress = None,
    trackers: Trackers = (),
) -> results.SearchRun:
    """Search for a better config, in the search space that its section `tune` defines.

    Args:
        config: see `train`.
        data: a table to use instead of the file `data.train`.
        jobs: the number of processes. With more than one, a script requires
            `if __name__ == "__main__":` around the call.
        storage: the URL of a database that stores the trials. [default: a file in the run folder]
        nested: also evaluate the search by nested cross-validation.
        ensemble: the number of the best candidates to train as one ensemble; by default, none.
        validation_data: a table of validation rows instead of `data.validation`.
        test_data: a table of test rows instead of `data.test`.
        overrides: settings to change: `{"tune.trials": 50}`.
        output: the run folder, which must not exist. [default: `runs/NAME-tune`, ...]
        progress: see `train`.
        trackers: see `train`.

    Raises:
        DlcliError: see `train`.
    """
    from dlcli.pipeline import search
    from dlcli.pipeline.search_trials import SearchSettings

    settings = SearchSettings(
        jobs=arguments.job_count(jobs),
        storage=arguments.database_url("storage", storage),
        nested=arguments.boolean("nested", nested),
        ensemble=None if ensemble is None else arguments.integer("ensemble", ensemble, 2, 32),
    )
    file = _config_file(config, overrides, data, validation_data, test_data)
    with listening(progress, trackers) as listener:
        return results.SearchRun(search.tune(file, settings, _path(output), listener))


def resume(  # noqa: PLR0913  (named by their callers)
    run: str | Path | results.AnyResult,
    data: Data = None,
    *,
    validation_data: Data = None,
    test_data: Data = None,
    storage: str | None = None,
    jobs: int = 1,
    finish: bool = False,
    progress: Progress = None,
    trackers: Trackers = (),
) -> results.AnyResult:
    """Resume an interrupted training, cross-validation or search.

    Args:
        run: the run folder, or the run.
        data: the same training table, if you passed it as an object.
        validation_data: the same validation table, if you passed it as an object.
        test_data: the same test table, if you passed it as an object.
        storage: the URL of the database of a search, if you passed one.
        jobs: the number of processes of a cross-validation or a search; see `tune`.
        finish: end an interrupted training now: the best epoch so far, or the finished networks of
            an ensemble, are evaluated and stored. The config of the run then has
            `stop_after_epoch` or `ensemble.stop_after_member`.
        progress: see `train`.
        trackers: see `train`.

    Returns:
        The finished run. A resumed training is bit-identical to an uninterrupted one.

    Raises:
        RunError: if there is nothing to resume or to keep, or the data have changed.
        DlcliError: see `train`.
    """
    folder, tables, jobs = (
        _folder(run),
        _tables(data, validation_data, test_data),
        arguments.job_count(jobs),
    )
    storage = arguments.database_url("storage", storage)
    kind, is_there = kind_of_unfinished(folder), is_unfinished(folder)
    if is_there and kind == "train" and jobs > 1:
        raise UsageError("jobs is only for cross-validation and search, not for training a config")
    if is_there and kind != "tune" and storage is not None:
        raise UsageError("storage is only for a search, not for cross-validation or training")
    finish = arguments.boolean("finish", finish)
    if is_there and kind != "train" and finish:
        raise UsageError("finish is only for training a config, not for cross-validation or search")
    with listening(progress, trackers) as listener:
        if kind == "tune":
            from dlcli.pipeline import search
            from dlcli.pipeline.search_trials import SearchSettings

            settings = SearchSettings(jobs=jobs, storage=storage)
            resumed = search.tune(folder, settings, listener=listener, tables=tables)
        elif kind == "cv":
            resumed = cross_validation.cross_validate(
                folder, listener=listener, jobs=jobs, tables=tables
            )
        else:
            resumed = train_run.train(folder, listener=listener, tables=tables, finish=finish)
        return results.result_of(resumed)


def open_run(run: str | Path | results.AnyResult) -> results.AnyResult:
    """Open the folder of a finished run; its files are verified when they are read.

    Raises:
        RunError: if the run is missing, unfinished or damaged.
    """
    return results.result_of(open_folder(_folder(run)))


def load(run: results.AnyRun) -> Model:
    """Load a trained model for predictions without TensorFlow.

    Args:
        run: the run folder of a training, its URL, or a run object.

    Raises:
        RunError: if the run is missing or damaged, or has no network.
    """
    return Model.of(locate_table(run) if isinstance(run, str) else _folder(run))


def compare(*runs: results.AnyRun, data: object = None) -> results.ComparisonResult:
    """Compare runs with the first one, and test whether they differ significantly.

    Args:
        *runs: two or more runs.
        data: a table with the target, or the path of a file, on which all runs are evaluated. By
            default, each run is evaluated on its held-out rows.

    Raises:
        UsageError: for fewer than two runs, or runs with different targets.
        RunError: for a missing or damaged run.
        DataError: if a run can't be evaluated on the table.
    """
    from dlcli import comparison

    opened = [open_folder(_folder(run)) for run in runs]
    table = None if data is None else arguments.table_source(data)
    return results.ComparisonResult(comparison.compare(opened, table))


def diagnose(run: results.AnyRun) -> results.DiagnosisResult:
    """Find problems in a run and suggest remedies.

    Args:
        run: the run of a training, which may have diverged.

    Raises:
        RunError: if the run is missing, damaged or not a training.
    """
    from dlcli.diagnosis.findings import diagnose as find_problems

    chosen = open_folder(_folder(run))
    chosen.require_training()
    return results.DiagnosisResult(chosen, find_problems(chosen))


def drift(
    run: results.AnyRun,
    data: object,
    *,
    reference: object = None,
    ignore: Sequence[str] = (),
    progress: Progress = None,
) -> results.DriftResult:
    """Compare new rows with the training rows: each column, the predictions, and all together.

    Args:
        run: the run of a training.
        data: a table of new rows, or the path of a file; the target is not required.
        reference: a table to compare with, or the path of a file. [default: the training rows, read
            again from their file]
        ignore: columns that are not compared, or patterns such as `day_*`.
        progress: see `train`.

    Raises:
        RunError: if the run is missing or damaged, or has no network.
        UsageError: if the training rows can't be read again; for ignored columns that the network
            does not read.
        DataError: if a table lacks columns of the network, or has no rows.
    """
    from dlcli.pipeline.drift import measure_drift

    chosen, table = open_folder(_folder(run)), arguments.table_source(data)
    before = None if reference is None else arguments.table_source(reference)
    with listening(progress) as listener:
        return results.DriftResult(measure_drift(chosen, table, before, listener, ignore))


def export(
    run: results.AnyRun,
    format: FormatName,
    output: str | Path,
    *,
    interval: float | None = None,
    quantize: Literal["dynamic"] | None = None,
) -> results.ExportResult:
    """Export a model or a script that works without dlcli.

    Args:
        run: a run of a training.
        format: `onnx`, `saved_model` or `litert` for a model of the original columns; `keras` for a
            model of encoded rows; `python` for a script that trains the same network with pandas
            and Keras; `card` for a model card in Markdown.
        output: the folder to create, or the file for a model card.
        interval: the model also returns prediction intervals or prediction sets with this coverage.
            [default: 0.9, if the run has held-out rows for calibration]
        quantize: `dynamic` to store weights in 8 bits, with the format `litert`.

    Raises:
        UsageError: if the folder exists, or the run has no held-out rows for the level.
        ExportError: if the format does not support the model, or the exported model gives other
            predictions. In that case, nothing is written.
        RunError: for a missing or damaged run, or one without a network.
    """
    training = results.TrainingRun(open_folder(_folder(run)))
    return training.export(format, output, interval=interval, quantize=quantize)


def reproduce(
    run: str | Path | results.TrainingRun,
    data: Data = None,
    *,
    validation_data: Data = None,
    test_data: Data = None,
    tolerance: float | None = None,
    output: str | Path | None = None,
    progress: Progress = None,
) -> results.ReproductionResult:
    """Retrain a run, and compare data, versions, weights and metrics.

    Args:
        run: a run of a training.
        data: the same training table, if you passed it as an object; or the present path of its
            file, if it was moved.
        validation_data: the same for the validation table.
        test_data: the same for the test table.
        tolerance: the largest accepted relative difference of a metric. Weights and versions may
            then differ. By default, everything must be equal.
        output: the new run folder. [default: `runs/NAME-reproduced`, ...]
        progress: see `train`.

    Returns:
        The comparison, with likely causes of differences. Differences do not raise an exception.

    Raises:
        DlcliError: see `train`.
    """
    arguments.check_tolerance(tolerance)
    given = dict(zip(MEMORY_ARGUMENTS, (data, validation_data, test_data), strict=True))
    moved = {key: Path(each) for key, each in given.items() if isinstance(each, str | Path)}
    tables = _tables(*(None if key in moved else each for key, each in given.items()))
    with listening(progress) as listener:
        return results.ReproductionResult(
            retraining.reproduce(
                open_folder(_folder(run)), _path(output), listener, tolerance, tables, moved
            )
        )


def distill(
    run: str | Path | results.TrainingRun,
    data: Data = None,
    *,
    test_data: Data = None,
    overrides: Mapping[str, object] | None = None,
    output: str | Path | None = None,
    progress: Progress = None,
) -> results.TrainingRun:
    """Train one small network on the predictions of an ensemble.

    Args:
        run: the run of an ensemble with folds.
        data: the same training table, if you passed it as an object.
        test_data: the same test table, if you passed it as an object.
        overrides: settings to change: `{"hidden[0].units": 64}`. Paths are relative to the current
            folder.
        output: the new run folder. [default: `runs/NAME-distilled`, ...]
        progress: see `train`.

    Returns:
        The run of the network; its `distillation` is the comparison with the ensemble.

    Raises:
        UsageError: if the run is not an ensemble with folds and probabilities or numbers.
        DlcliError: see `train`.
    """
    tables, changes = _tables(data, None, test_data), arguments.overrides_of(overrides)
    teacher = open_folder(_folder(run))
    with listening(progress) as listener:
        return results.TrainingRun(
            retraining.distill(teacher, _path(output), listener, changes or {}, tables)
        )


def inspect(  # noqa: PLR0913  (named by their callers)
    data: Data | str | Path,
    target: str | Sequence[str] | None = None,
    *,
    sql: str | None = None,
    header: Literal["none"] | int | None = None,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    comment: str | None = None,
    skip_lines: int | None = None,
    footer: str | int | None = None,
    sheet: str | int | None = None,
) -> results.InspectionResult:
    """Check a table before training.

    Args:
        data: a table, the path of a file, or the URL of a database: `sqlite:///sales.db`.
        target: the column or columns to predict. Without a target, data leakage is not checked.
        sql: the query of a database; by default, all rows of its only table.
        header: `none` if the first line of a file is a row, or the number of header lines; by
            default, it is detected. This and the following arguments apply to files.
        names: the names of all columns, if the file has no header.
        delimiter: the character between fields, or `spaces` for aligned columns.
        comment: the beginning of lines that are comments.
        skip_lines: the number of lines above the header.
        footer: the first word of the lines at the end that are not rows, or their number.
        sheet: the sheet of a workbook.

    Raises:
        UsageError: for a missing file or target.
        DataError: for data that are not a table.
    """
    from dlcli.data_checks.inspection import inspect_table, read_for_inspection

    if target is not None:
        arguments.check_columns("target", target)
    source = arguments.table_source(data, sql, target)
    form = arguments.table_format(
        source,
        header=header,
        names=names,
        delimiter=delimiter,
        comment=comment,
        skip_lines=skip_lines,
        footer=footer,
        sheet=sheet,
    )
    table, targets = read_for_inspection(source, target, form)
    for message in table.warnings:
        warn(message)
    return results.InspectionResult(inspect_table(table, targets))


def starter_config(  # noqa: PLR0913  (named by their callers)
    data: Data | str | Path,
    target: str | Sequence[str],
    *,
    preset: Literal["simple", "good", "best"] = "good",
    ignore: str | Sequence[str] = (),
    positive_class: str | None = None,
    type: Literal["auto", "numeric", "count", "categorical"] = "auto",
    split: str = "auto",
    types: Mapping[str, object] | None = None,
    missing: str | Sequence[str] = (),
    sql: str | None = None,
    header: Literal["none"] | int | None = None,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    comment: str | None = None,
    skip_lines: int | None = None,
    footer: str | int | None = None,
    sheet: str | int | None = None,
) -> str:
    """Return a config for a table; `train` accepts it without changes.

    Args:
        data: the table that you will pass to `train`, the path of a file, or the URL of a database.
        target: the column to predict, or several numeric or yes/no columns.
        preset: `good`: an ensemble of eight networks; `simple`: one small network; `best`: an
            ensemble of 32 networks with different settings.
        ignore: one or several columns to exclude, or patterns such as `score_*`.
        positive_class: the positive class of a binary target.
        type: the type of the target, for example `categorical` if its integers are classes.
        split: `time:COLUMN`, `time:YEAR,MONTH`, `group:COLUMN` or `random`; with `auto`, rows are
            split by a time or a group if a random split would be too optimistic.
        types: the types of columns, as in `input.features`: `{"zip": "categorical"}`, or
            `{"day": {"type": "datetime", "format": "%d/%m/%Y"}}`.
        missing: one or several words that mean a missing value.
        sql: the query of a database; by default, all rows of its only table.
        header: `none` if the first line of a file is a row, or the number of header lines; by
            default, it is detected. This and the following arguments apply to files.
        names: the names of all columns, if the file has no header.
        delimiter: the character between fields, or `spaces` for aligned columns.
        comment: the beginning of lines that are comments.
        skip_lines: the number of lines above the header.
        footer: the first word of the lines at the end that are not rows, or their number.
        sheet: the sheet of a workbook.

    Returns:
        YAML with comments. File paths in it are relative to the current folder.

    Raises:
        UsageError: for a missing file or column.
        DataError: for data that are not a table, or a target that can't be learned.
    """
    from dlcli.starter import config_writing

    arguments.check_columns("target", target)
    source = arguments.table_source(data, sql, target)
    form = arguments.table_format(
        source,
        header=header,
        names=names,
        delimiter=delimiter,
        comment=comment,
        skip_lines=skip_lines,
        footer=footer,
        sheet=sheet,
    )
    return config_writing.starter_config(
        source,
        target,
        ignore=arguments.column_names("ignore", ignore),
        positive_class=arguments.class_name("positive_class", positive_class),
        type=type,
        preset=preset,
        split=split,
        form=form,
        missing=arguments.column_names("missing", missing),
        types=types or {},
    )


def _config_file(
    config: ConfigSource,
    overrides: Mapping[str, object] | None,
    data: Data,
    validation_data: Data,
    test_data: Data,
) -> ConfigFile:
    tables, changes = _tables(data, validation_data, test_data), arguments.overrides_of(overrides)
    is_path = isinstance(config, Path) or (isinstance(config, str) and "\n" not in config)
    if is_path:
        path = Path(str(config))
        _refuse_other_file(path)
        try:
            return load_config(path, changes, tables)
        except ConfigError:
            if not is_run_folder(path.parent):
                raise
            return load_config_of_run(path, changes, tables)
    if isinstance(config, str | Config | Mapping):
        return make_config(config, changes, tables)
    kind = type(config).__name__
    raise UsageError(f"expected a path, YAML, a mapping or a Config, got {kind}")


def _refuse_other_file(path: Path) -> None:
    """Raise an error if a path is evidently not a config."""
    if os.path.isdir(path) and is_run_folder(path):
        resolved = path / RunFile.RESOLVED
        raise UsageError(f"{path}: is a run folder, expected a config; its config is {resolved}")
    if not os.path.exists(path):
        is_there = os.path.isdir(path.parent)
        names = [each.name for each in path.parent.glob("*.y*ml")] if is_there else []
        raise UsageError(f"{path}: no such file{did_you_mean_file(path.name, names)}")
    if file_format(path.name) is not None:
        message = "is a table, expected a config; `starter_config` writes one"
        raise UsageError(f"{path}: {message}")


def _tables(data: Data, validation_data: Data, test_data: Data) -> dict[str, MemoryTable]:
    given = [*zip(MEMORY_ARGUMENTS.items(), (data, validation_data, test_data), strict=True)]
    for (key, name), table in given:
        if isinstance(table, str | Path):
            message = f"expected a table, got a path; set data.{key} in the config to a file"
            raise UsageError(f"{name}: {message}")
    return {key: memory_table(table, name) for (key, name), table in given if table is not None}


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else arguments.output_path(path)


def _folder(run: str | Path | results.AnyResult) -> Path:
    if isinstance(run, str | Path):
        return Path(run)
    if isinstance(run, results.AnyResult):
        return run.path
    raise UsageError(f"expected a run folder or a run, got {type(run).__name__}")
