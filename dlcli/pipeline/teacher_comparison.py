"""Compare a distilled network with its teacher: accuracy, size and prediction time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from dlcli.columns.value_problems import ValueProblems
from dlcli.comparison import ComparedRun, keyed_rows, pair_by_keys, row_keys
from dlcli.config.config_file import relative_path
from dlcli.metrics.intervals import estimate_statistic_differences
from dlcli.pipeline.fit import FitResult
from dlcli.prediction.distillation_document import Distillation, ModelSize, TeacherDifference
from dlcli.prediction.predictions import HeldOut
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import FileDigest
from dlcli.tables.table import Table

_MOST_TIMED = 201
"""Number of predictions of which the median duration is taken."""
_MOST_SECONDS = 2.0
"""Time for all these predictions; then fewer are made."""
_WARM_UP = 5
"""Number of predictions before that, which are not timed."""


def save_comparison(result: FitResult, teacher: Run, writer: RunWriter) -> Distillation:
    """Compare a distilled network with its teacher, and store the result.

    Args:
        result: the network.
        teacher: the ensemble.
        writer: the run, in which the network is stored already.
    """
    models = result.predictor, teacher.predictor
    digests = FileDigest.of(writer.path / RunFile.WEIGHTS), teacher.manifest.files[RunFile.WEIGHTS]
    network, ensemble = (
        ModelSize(
            weights=sum(values.size for values in model.weights.values()),
            bytes=digest.bytes,
            milliseconds=round(1000 * seconds, 4),
        )
        for model, digest, seconds in zip(
            models, digests, _time_predictions(models, result.tables["train"]), strict=True
        )
    )
    pair = _test_rows(result, teacher)
    document = Distillation(
        teacher=relative_path(teacher.path, Path()),
        rows=0 if pair is None else pair[0].rows,
        differences={} if pair is None else _differences(result, *pair),
        network=network,
        ensemble=ensemble,
    )
    writer.write_text(RunFile.DISTILLATION, document.model_dump_json(indent=2))
    return document


def _test_rows(result: FitResult, teacher: Run) -> tuple[HeldOut, HeldOut] | None:
    """Return the test rows as predicted by teacher and network; `None` if there are none."""
    compared = ComparedRun.of(teacher)
    if "test" not in result.tables or "test" not in compared.metrics:
        return None
    decoded, task = result.decoded("test"), result.predictor.task
    rows, known = keyed_rows(result.tables["test"], decoded, task), compared.rows_of("test")
    keys = row_keys(compared, known)
    pair = "" if keys is None else pair_by_keys((known, rows), keys, rows.row)
    return None if isinstance(pair, str) else pair


def _differences(result: FitResult, known: HeldOut, rows: HeldOut) -> dict[str, TeacherDifference]:
    """Return the difference of each metric that summarizes a result, by name."""
    task, statistics = result.predictor.task, rows.statistics()
    values = {name: each.value for name, each in statistics.items()}
    names = task.figures(result.config.metrics or (), values)
    before, after = known.statistics(names), rows.statistics(names)
    differences = estimate_statistic_differences(before, after, paired=True)
    return {
        name: TeacherDifference(
            **dict(differences[name]), network=after[name].value, teacher=before[name].value
        )
        for name in names
    }


def _time_predictions(models: Sequence[Predictor], table: Table) -> list[float]:
    """Return the median duration in seconds of the prediction of one row by each model.

    The models predict in turn, so the load of the machine affects all of them alike.

    Args:
        models: the models.
        table: training rows, the first of which is predicted.
    """
    row = next(table.parts(1))
    record = {name: row.data.column(name)[0].as_py() for name in row.columns}
    durations: list[list[float]] = [[] for _ in models]
    begin = time.perf_counter()
    for number in range(_WARM_UP + _MOST_TIMED):
        for model, own in zip(models, durations, strict=True):
            start = time.perf_counter()
            rows = model.few_rows([record], lambda: row, table.file)
            model.predict(rows, ValueProblems(lenient=True))
            if number >= _WARM_UP:
                own.append(time.perf_counter() - start)
        if number > _WARM_UP and time.perf_counter() - begin > _MOST_SECONDS:
            break
    return [*map(median, durations)]
