"""Rows and labels for training one network on the predictions of an ensemble.

A network that learns the probabilities or numbers that an ensemble predicts is more accurate than
one that learns only the target, because these contain less noise (Hinton, Vinyals & Dean 2015,
arXiv 1503.02531). Each training row has the out-of-fold prediction: the ensemble's predictions of
rows that it was trained on would contain the noise of the target again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats, Indices, integers
from dlcli.columns.value_problems import ValueProblems
from dlcli.comparison import ComparedRun, row_keys, table_keys
from dlcli.config.config_file import ConfigFile
from dlcli.encoding.table_encoding import Encoding, encode_rows
from dlcli.errors import ConfigError, Problem, RunError, UsageError, listed, override, plural
from dlcli.pipeline.preparation import DistilledRows, FitPlan, FitRows, data_fingerprints, named_run
from dlcli.pipeline.run_recording import check_data
from dlcli.runs.environment import content_id, data_entries
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import open_run
from dlcli.splitting import generator_of
from dlcli.tables.stored_columns import take_rows
from dlcli.tables.table import Table
from dlcli.tasks import prior_shift
from dlcli.tasks.task import Outputs

SWAPPED = 0.3
"""Share of the columns of a synthetic row that have the value of another training row.

On five tables with two splits each, the mean error was 1.01 times that of the ensemble, and 1.02
times with a share of 0.5; see docs/how-to/distill.md."""
MOST_SYNTHETIC = 100_000
"""Maximum number of synthetic rows; a long table has enough rows for a network to learn from."""


def find_teacher(file: ConfigFile) -> Run | None:
    """Return the ensemble that `distill.teacher` names; `None` without the section `distill`.

    Raises:
        RunError: if the run does not exist, or was trained on other data.
        UsageError: if it has no out-of-fold predictions that a network can learn.
    """
    if file.config.distill is None:
        return None
    run = open_run(named_run(file, file.config.distill.teacher))
    require_teacher(run)
    _require_same_data(run, file)
    return run


def _require_same_data(teacher: Run, file: ConfigFile) -> None:
    """Check that an ensemble was trained on the data files of a config.

    Raises:
        RunError: if it was not, or a file can't be compared.
    """
    known, now = data_entries(teacher.environment), data_fingerprints(file)
    ids = [[content_id(each) for each in entries] for entries in (known, now)]
    if None in ids[0] or None in ids[1] or ids[0] == ids[1]:
        check_data(teacher, file)
        return
    trained, read = (
        [*dict.fromkeys(str(entry["file"]) for entry in entries)] for entries in (known, now)
    )
    raise RunError(
        f"{teacher.location}: was trained on {listed(trained)}, whose content differs from "
        f"{listed(read)} in this config; distillation requires the same data: choose another "
        "teacher, or train it again"
    )


def require_teacher(run: Run) -> None:
    """Check that a run is an ensemble with out-of-fold predictions.

    Raises:
        RunError: if it is not the run of a finished training.
        UsageError: for a single network, an ensemble without folds, or margins.
    """
    run.require_network()
    way_out = (
        "only an ensemble with folds can be distilled; create its config with dlcli init, or train "
        f"one without data.validation and with {override('ensemble.members', 8)}"
    )
    if run.config.ensemble is None:
        raise UsageError(f"{run.location}: is a single network; {way_out}")
    if run.config.ensemble_folds is None:
        message = "its members share all training rows, so it has no out-of-fold predictions"
        raise UsageError(f"{run.location}: {message}; {way_out}")
    if run.config.validated_folds != run.config.ensemble_folds:
        message = "its training ended before each fold had a network"
        raise UsageError(f"{run.location}: {message}; {way_out}")
    if run.task.outcome != "numbers" and not run.task.has_probabilities:
        loss = "" if run.config.loss is None else f" its loss '{run.config.loss.name}' gives"
        message = f"{loss} margins, and distillation requires probabilities"
        raise UsageError(f"{run.location}:{message}; use binary_crossentropy")
    run.require(RunFile.PREDICTIONS)


def fingerprint_of(teacher: Run | None) -> dict[str, object]:
    """Return the SHA-256 of a teacher's predictions; empty without a teacher."""
    if teacher is None:
        return {}
    return {"sha256": teacher.manifest.files[RunFile.PREDICTIONS].sha256}


def distill_rows(teacher: Run, rows: FitRows, plan: FitPlan) -> DistilledRows:
    """Return the rows that a distilled network is trained on, with their labels.

    A training row has the label w·y + (1 − w)·p with the true label y, the out-of-fold prediction
    p and the weight w, `distill.target_weight`. A training row of weight 0 keeps its true label. A
    synthetic row is a training row in which random columns have the values of other training rows.
    Its label is the prediction of all members, since no member was trained on it.

    Args:
        teacher: the ensemble, see `find_teacher`.
        rows: the encoded rows.
        plan: the network, and the config with `distill`.

    Raises:
        ConfigError: for a loss that can't use the predictions, several workers, or synthetic rows
            that would be stored on disk.
        UsageError: if the teacher has another target, or was not trained on a training row.
    """
    head, units, distill = plan.head, plan.network.outputs, plan.config.distill
    assert distill is not None
    train, encoded = rows.split.train, rows.encoded["train"]
    if rows.storage.workers.size > 1:
        raise _refused("distill", "can't be combined with several workers; use one process")
    task, known = rows.encoding.task.for_loss(head.loss), teacher.task
    if (known.columns, known.names) != (task.columns, task.names):
        raise UsageError(f"{teacher.location}: has another target; choose a run with {task.name}")
    labels = task.loss_labels(encoded.target, head.loss, units)
    if labels.ndim == 1 or known.has_probabilities != task.has_probabilities:
        way_out = "categorical_crossentropy" if labels.ndim == 1 else "binary_crossentropy"
        raise _refused("loss", f"'{head.loss.name}' can't use probabilities; use {way_out}")
    if task.levels:
        raise _refused("distill", f"can't be combined with the loss '{head.loss.name}'; omit it")
    found, predicted = _out_of_fold(teacher, train, encoded.weights)
    soft, weight = labels.astype(np.float32), np.float32(distill.target_weight)
    fitted = task.with_frequencies(encoded.target, encoded.weights, plan.config)
    is_corrected = teacher.config.class_weight is None or known.class_weights
    weights = fitted.class_weights if is_corrected else ()

    def soft_labels(predicted: Outputs) -> NDArray[np.float32]:
        for ratios in filter(None, (known.unshifted_ratios, weights)):  # as in the loss
            predicted = prior_shift.shift(predicted, ratios)
        return task.soft_labels(predicted, units)

    soft[found] = weight * soft[found] + (1 - weight) * soft_labels(predicted)
    count = min(distill.synthetic_rows * train.rows, MOST_SYNTHETIC)
    if not count:
        return DistilledRows(encoded, soft)
    if rows.storage.folder is not None:
        message = "requires data.storage: memory; set distill.synthetic_rows: 0"
        raise _refused("distill.synthetic_rows", message)
    table = _with_synthetic(train, rows.encoding, count, plan.config.seed)
    both = encode_rows(rows.encoding, table, rows.weight, ValueProblems(lenient=True))
    added = table.take(np.arange(train.rows, table.rows))
    decoded = teacher.predictor.predict(added, ValueProblems(lenient=True)).decoded
    target = both.target.copy()
    target[train.rows :] = task.encode_predictions(task.predict(decoded))
    soft = np.concatenate([soft, soft_labels(decoded)])
    return DistilledRows(replace(both, target=target), soft)


def _out_of_fold(
    teacher: Run, train: Table, weights: Floats | None
) -> tuple[Indices, NDArray[np.floating[Any]]]:
    """Return the indices of the training rows that a teacher has predicted, and the predictions.

    Raises:
        UsageError: if it has not predicted a row whose weight is above 0.
    """
    compared = ComparedRun.of(teacher)
    held = compared.rows_of("validation")
    keys, known = table_keys(train), row_keys(compared, held)
    if known is None:
        raise UsageError(f"{teacher.location}: its row numbers are not unique; train it again")
    _, here, there = np.intersect1d(keys, known, assume_unique=True, return_indices=True)
    is_missing = np.ones(len(keys), np.bool_) if weights is None else weights > 0
    is_missing[here] = False
    if is_missing.any():
        file, row = train.where(int(np.flatnonzero(is_missing)[0]))
        count = plural(int(is_missing.sum()), "training row")
        raise UsageError(
            f"{teacher.location}: has no out-of-fold prediction of {count}, such as row {row} of "
            f"{file}; use the same seed, data.split and data.test as there"
        )
    return here, held.decoded[there]


def _with_synthetic(train: Table, encoding: Encoding, count: int, seed: int) -> Table:
    """Return training rows followed by synthetic rows.

    Args:
        train: the training rows.
        encoding: names the features.
        count: the number of synthetic rows.
        seed: the random seed.
    """
    rng = generator_of(seed, "synthetic rows")
    rows = np.arange(train.rows + count) % train.rows
    data = take_rows(train.data, rows)
    for feature in encoding.features:
        chosen = rows.copy()
        swapped = train.rows + np.flatnonzero(rng.random(count) < SWAPPED)
        chosen[swapped] = rng.integers(0, train.rows, len(swapped))
        values = train.data.column(feature.column).take(integers(chosen))
        data = data.set_column(data.schema.get_field_index(feature.column), feature.column, values)
    return replace(train.take(rows), data=data)


def _refused(path: str, message: str) -> ConfigError:
    return ConfigError([Problem(path, message)])
