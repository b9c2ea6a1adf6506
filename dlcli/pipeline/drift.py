"""Compare new rows with the training rows of a run: by column, by prediction, and as a whole.

The population stability index (PSI) of shares p of training rows and q of new rows is
Σ (q − p)·ln(q/p), see Siddiqi 2006, "Credit risk scorecards". With less than 0.1, rows count as
alike; from 0.25, as different. A normal distribution has these values after a shift of its mean by
0.32 and 0.5 standard deviations.

The tests are SciPy's. Their p-values are adjusted for their number by the method of Benjamini and
Hochberg 1995, "Controlling the false discovery rate". A classifier that is trained to tell new rows
from training rows also finds changes that no single column has (Lopez-Paz & Oquab 2017, "Revisiting
classifier two-sample tests").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.arrays import Floats
from dlcli.columns.column_type import in_input_order
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.value_problems import ColumnProblems, ValueProblems
from dlcli.config.config_file import ConfigFile
from dlcli.config.data_section import TimeSplit
from dlcli.encoding.column_types import matching_name
from dlcli.errors import (
    DataError,
    RequirementError,
    UsageError,
    did_you_mean,
    joined,
    known_columns,
    named_columns,
    option,
)
from dlcli.explanation.explaining import ColumnDescriber, ListedColumn
from dlcli.explanation.explanation_document import ColumnStatistics
from dlcli.metrics.definitions import AUC, statistics_of
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.metric import MarginRows
from dlcli.metrics.statistic import Number, finite
from dlcli.pipeline.events import Events, Listener, ignore
from dlcli.pipeline.preparation import read_dataset
from dlcli.prediction.predictions import HeldOut, Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.safe_files import Count, Document
from dlcli.splitting import sample_rows
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

Level = Literal["none", "moderate", "strong"]
"""No difference beyond chance and above the limits, or a difference of this size."""
Indices = NDArray[np.int64]

MODERATE, STRONG = 0.1, 0.25
"""The PSI from which a difference counts."""
MODERATE_AUC, STRONG_AUC = 0.59, 0.64
"""The AUC of a classifier with the same meaning: that of one normal column with such a PSI."""
FALSE_DISCOVERIES = 0.05
"""Expected share of wrong results among the differences that are reported."""
MOST_ROWS = 100_000
"""Maximum number of rows of each table that columns are compared on."""
MOST_CLASSIFIED = 5_000
"""Maximum number of rows of each table for the classifier."""
_MOST_CLASSIFIED_VALUES = 2 * 10**7
_PARTS = 10
"""Parts of the training rows, with equal numbers, in which numbers are counted."""
MOST_CATEGORIES = 20
"""Number of categories that are counted, the most frequent ones in the training rows."""
_IN_NO_BIN = 0.5
"""Rows that are added to each part, so that no share is 0."""
_LEAST_EXPECTED = 5.0
"""Expected number of rows of a part below which χ² is not exact; such parts are merged."""
_FREE_TEXT = 0.5
"""Share of distinct values from which a column of text has no categories to count."""
_FOLDS = 5
_RANDOM_UNITS = 200
_PENALTY = 0.01


class Difference(Document):
    """The difference of a column, or of a prediction, between new rows and earlier rows."""

    name: str
    """The column; for a prediction, its name in the output of `dlcli predict`."""
    psi: float
    """The population stability index, at least 0."""
    test: Literal["kolmogorov_smirnov", "chi_squared"]
    """The test: Kolmogorov–Smirnov for numbers, χ² for categories. If values are missing, it is
    combined with a χ² test of their share (Bonferroni)."""
    p_value: Annotated[float, Field(ge=0, le=1)]
    """The p-value, adjusted for the number of tests."""
    level: Level
    """`strong` from a PSI of 0.25 and `moderate` from 0.1, if the p-value is below 0.05; else
    `none`."""
    missing_before: float
    missing: float
    """Share of earlier and of new rows without a value."""
    median_before: Number = None
    median: Number = None
    """Medians of earlier and of new rows, for numbers, and for times in seconds since 1970."""
    mean_before: Number = None
    mean: Number = None
    """Their means."""
    value: str | None = None
    """The category whose share changes most; `None` for numbers."""
    share_before: Number = None
    share: Number = None
    """Its shares of earlier and of new rows."""
    outside: Count = 0
    """New rows whose value is outside the range of the training rows."""
    unseen: Count = 0
    """New rows with a category that the training rows do not have."""
    unseen_values: tuple[str, ...] = ()
    """The most frequent of these categories."""
    unreadable: Count = 0
    """New rows whose value can't be read; they count as missing."""


class Drift(Document):
    """The comparison of new rows with the rows that a run was trained on."""

    run: str
    data: str
    reference: str
    """The file of the training rows."""
    training_rows: Count
    rows: Count
    """Number of new rows."""
    level: Level
    """The highest level of a column, of a prediction and of the classifier."""
    columns: tuple[Difference, ...]
    """The columns that the network reads, the largest PSI first."""
    predictions: tuple[Difference, ...]
    """The predictions, compared with those of earlier rows."""
    predicted_rows: str
    """The earlier rows of this comparison: `test`, `validation` or `train`."""
    classifier: Estimate
    """The AUC of the classifier with its 95 % confidence interval, on rows that it was not trained
    on. 0.5: the rows can't be told apart; 1: they always can."""
    classifier_level: Level
    """`strong` from an AUC of 0.64 and `moderate` from 0.59, if the interval is above 0.5."""

    @property
    def changed(self) -> tuple[Difference, ...]:
        """The columns whose level is not `none`."""
        return tuple(each for each in self.columns if each.level != "none")


@dataclass(frozen=True)
class MeasuredDrift:
    """A comparison, with what charts show of it."""

    document: Drift
    statistics: tuple[ColumnStatistics, ...]
    """The columns in the same order, with their distributions."""
    times: tuple[str, ...] = ()
    """The columns with drift that are dates, or the time of the split: later rows always differ."""


def measure_drift(
    run: Run,
    source: Source | MemoryTable,
    reference: Source | MemoryTable | None = None,
    listener: Listener = ignore,
    ignored: Sequence[str] = (),
) -> MeasuredDrift:
    """Compare new rows with the training rows of a run.

    Args:
        run: a finished training.
        source: the new rows, which don't need a target.
        reference: a table to compare with. [default: the training rows, read again from the files
            that the config names]
        listener: receives warnings.
        ignored: columns that are not compared, or patterns such as `day_*`.

    Raises:
        UsageError: if the training table is not there, or was a table in memory; or for ignored
            columns that the network does not read, or if no column is left.
        DataError: if a table lacks columns of the network, or has no rows.
        RunError: if the run has no network, or is damaged.
    """
    run.require_network()
    events, predictor = Events(listener), run.predictor
    encoders = _compared(predictor, ignored)
    before = _reference_rows(run, reference, events)
    after = predictor.read(source, others=())
    problems = ValueProblems(lenient=True)
    predictions = predictor.predict(after, problems)
    held_out, which = earlier_predictions(run)
    earlier: HeldOut | Predictions | None = held_out
    if earlier is None:  # closer to the targets than the predictions of new rows
        some = sample_rows(before, MOST_ROWS)
        earlier = predictor.predict(some, ValueProblems(lenient=True))
    columns = _columns(encoders, before, after, problems)
    of_predictions = [*_prediction_differences(predictor.task, earlier, predictions)]
    adjusted = _adjusted([*columns, *of_predictions])
    columns, of_predictions = adjusted[: len(columns)], adjusted[len(columns) :]
    columns.sort(key=lambda each: -each.psi)
    auc = _classifier_auc(predictor, encoders, before, after)
    classifier_level = _classifier_level(auc)
    document = Drift(
        run=str(run.location),
        data=after.file,
        reference=before.file,
        training_rows=before.rows,
        rows=after.rows,
        level=_highest([*(each.level for each in (*columns, *of_predictions)), classifier_level]),
        columns=tuple(columns),
        predictions=tuple(of_predictions),
        predicted_rows=which,
        classifier=auc,
        classifier_level=classifier_level,
    )
    statistics = _statistics(predictor, document, before, after)
    split = run.config.data.split
    of_split = split.columns if isinstance(split, TimeSplit) else ()
    types = {each.name: each.type for each in statistics}
    names = [each.name for each in document.changed]
    times = tuple(name for name in names if types[name] == "datetime" or name in of_split)
    return MeasuredDrift(document, statistics, times)


def require_no_drift(drift: Drift, least: Literal["moderate", "strong"]) -> None:
    """Raise `RequirementError` if the drift has at least a level.

    Args:
        drift: the comparison.
        least: the level from which drift is an error.
    """
    if _LEVELS.index(drift.level) < _LEVELS.index(least):
        return
    columns = [each.name for each in drift.changed if each.level in _from(least)]
    where = [named_columns(columns)] if columns else []
    if any(each.level in _from(least) for each in drift.predictions):
        where.append("the predictions")
    if drift.classifier_level in _from(least):
        where.append("the rows as a whole")
    level = drift.level if drift.level == least else f"{least} or {drift.level}"
    raise RequirementError(f"{drift.data}: {level} drift in {joined(where)}")


_LEVELS: tuple[Level, ...] = ("none", "moderate", "strong")


def _from(least: Level) -> tuple[Level, ...]:
    return _LEVELS[_LEVELS.index(least) :]


def _highest(levels: Sequence[Level]) -> Level:
    return max(levels, key=_LEVELS.index, default="none")


def _classifier_level(auc: Estimate) -> Level:
    if auc.value is None or auc.lower is None or auc.lower <= 0.5 or auc.value < MODERATE_AUC:
        return "none"
    return "strong" if auc.value >= STRONG_AUC else "moderate"


def _compared(predictor: Predictor, ignored: Sequence[str]) -> list[FeatureEncoder]:
    """Return the encoders of the columns to compare.

    Raises:
        UsageError: for a name or pattern of no column that the network reads; if none is left.
    """
    encoders = [*predictor.encoding.features]
    names = [each.column for each in encoders]
    for name in ignored:
        if not any(matching_name(column, [name]) for column in names):
            near = did_you_mean(name, names) or known_columns(names)
            raise UsageError(f"{option('ignore')}: the network reads no column '{name}'{near}")
    compared = [each for each in encoders if matching_name(each.column, ignored) is None]
    if encoders and not compared:
        raise UsageError(f"{option('ignore')}: no column is left to compare")
    return compared


# Earlier rows


def _reference_rows(run: Run, reference: Source | MemoryTable | None, events: Events) -> Table:
    """Return the training rows, or the table to compare with.

    Raises:
        UsageError: if the training table can't be read again.
    """
    if reference is not None:
        return run.predictor.read(reference, others=())
    file: ConfigFile = run.config_file
    try:
        table = read_dataset(file, events).split.train
    except UsageError as error:
        way_out = f"name a table with these rows: {option('reference', 'FILE')}"
        message = f"the training rows can't be read again: {error}; {way_out}"
        raise UsageError(f"{run.location}: {message}") from None
    return table.written_like(run.encoding.notations)


def earlier_predictions(run: Run) -> tuple[HeldOut | None, str]:
    """Return the stored predictions of rows that the network was not trained on, and their set.

    Those of test rows; without test rows, those of validation rows or of out-of-fold rows.
    """
    for split in ("test", "validation") if run.predictions is not None else ():
        stored = run.required_predictions.of_split(split)
        if stored.rows:
            return HeldOut.of(stored, run.task), split
    return None, "train"


# Differences


def _columns(
    encoders: Sequence[FeatureEncoder], before: Table, after: Table, problems: ValueProblems
) -> list[Difference]:
    """Compare columns; p-values are not adjusted yet."""
    old, new = sample_rows(before, MOST_ROWS), sample_rows(after, MOST_ROWS)
    found = []
    for encoder in encoders:
        record = problems.columns.get(encoder.column, ColumnProblems())
        found.append(_column(encoder, old, new).model_copy(update=_counts(record)))
    return found


def _counts(record: ColumnProblems) -> dict[str, object]:
    frequent = tuple(value for value, _ in record.unseen.most_common(3))
    return {
        "outside": record.outside,
        "unseen": record.unseen.total(),
        "unseen_values": frequent,
        "unreadable": record.unreadable,
    }


def _column(encoder: FeatureEncoder, old: Table, new: Table) -> Difference:
    if encoder.axis is not None:
        return _numbers(encoder.column, encoder.axis_values(old), encoder.axis_values(new))
    return _categories(encoder.column, *_texts(encoder.column, old, new))


def _texts(
    column: str, old: Table, new: Table
) -> tuple[NDArray[Any], NDArray[Any], Sequence[str | None]]:
    """Return the codes of the texts of both tables, -1 where missing, and the texts.

    A column of free text has one code without a text, so only missing values are compared.
    """
    try:
        codes, texts = old.codes(column)
        new_codes, new_texts = new.codes(column)
    except DataError:  # lists of numbers, such as the pixels of an image
        return _presence(old.missing(column)), _presence(new.missing(column)), [None]
    if len(texts) > max(MOST_CATEGORIES, _FREE_TEXT * np.count_nonzero(codes >= 0)):
        return _presence(codes < 0), _presence(new_codes < 0), [None]
    index = {text: at for at, text in enumerate(texts)}
    known = [index.setdefault(text, len(index)) for text in new_texts]
    return codes, np.array([*known, -1], np.int64)[new_codes], [*index]


def _presence(missing: NDArray[np.bool_]) -> Indices:
    """Return 0 where there is a value, else -1."""
    return -missing.astype(np.int64)


def _prediction_differences(
    task: Task, before: HeldOut | Predictions, after: Predictions
) -> Iterator[Difference]:
    """Compare predictions: numbers, the predicted class, or probabilities.

    Args:
        task: the task, see `Task.for_loss`.
        before: the predictions of earlier rows.
        after: the predictions of new rows.
    """
    if task.outcome == "classes":
        old, new = (task.predict_by_cost(each.decoded, each.costs) for each in (before, after))
        yield _categories("prediction", old, new, [*task.classes])
    if task.outcome == "classes" and task.width > 2:
        return
    each = zip(task.decoded_columns, before.decoded.T, after.decoded.T, strict=True)
    for name, old, new in each:
        yield _numbers(name, old.astype(np.float64), new.astype(np.float64))


def _numbers(name: str, before: Floats, after: Floats) -> Difference:
    """Compare numbers, which are NaN where missing."""
    from scipy.stats import ks_2samp

    old, new = before[~np.isnan(before)], after[~np.isnan(after)]
    counts = _part_counts(old, new)
    counts = np.column_stack([counts, [len(before) - len(old), len(after) - len(new)]])
    p_value = float(ks_2samp(old, new).pvalue) if len(old) and len(new) else 1.0
    if counts[:, -1].any():
        present = np.array([[len(old)], [len(new)]])
        p_value = min(1.0, 2 * min(p_value, _chi_squared(np.hstack([present, counts[:, -1:]]))))
    return Difference(
        name=name,
        psi=stability_index(*counts),
        test="kolmogorov_smirnov",
        p_value=p_value,
        level="none",
        missing_before=counts[0, -1] / len(before),
        missing=counts[1, -1] / len(after),
        median_before=finite(np.median(old)) if len(old) else None,
        median=finite(np.median(new)) if len(new) else None,
        mean_before=finite(float(np.mean(old))) if len(old) else None,
        mean=finite(float(np.mean(new))) if len(new) else None,
    )


def _part_counts(old: Floats, new: Floats) -> Indices:
    """Count numbers in ten parts that have equally many old rows, (2, parts)."""
    ends = np.linspace(0, 1, _PARTS + 1)[1:-1]
    inner = np.unique(np.quantile(old, ends)) if len(old) else np.empty(0)
    counts = (
        np.bincount(np.searchsorted(inner, each, side="left"), minlength=len(inner) + 1)
        for each in (old, new)
    )
    return np.array([*counts])


def _categories(
    name: str, before: Indices, after: Indices, texts: Sequence[str | None]
) -> Difference:
    """Compare categories.

    Args:
        name: the name of the column.
        before: the index of the text of each earlier row, -1 where missing.
        after: the same of new rows.
        texts: the categories; `None` for a group without a name.
    """
    counts = np.array([np.bincount(each + 1, minlength=len(texts) + 1) for each in (before, after)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    order = 1 + np.argsort(-counts[0, 1:], kind="stable")
    kept, rest = order[:MOST_CATEGORIES], order[MOST_CATEGORIES:]
    pooled = np.column_stack([counts[:, kept], counts[:, rest].sum(axis=1), counts[:, 0]])
    at = 1 + int(np.argmax(np.abs(np.diff(shares[:, 1:], axis=0)[0]))) if len(texts) else 0
    return Difference(
        name=name,
        psi=stability_index(*pooled),
        test="chi_squared",
        p_value=_chi_squared(pooled),
        level="none",
        missing_before=float(shares[0, 0]),
        missing=float(shares[1, 0]),
        value=texts[at - 1] if at else None,
        share_before=float(shares[0, at]) if at else None,
        share=float(shares[1, at]) if at else None,
    )


def stability_index(before: Indices, after: Indices) -> float:
    """Return the population stability index of two rows of counts.

    Args:
        before: the number of earlier rows in each part, (parts,).
        after: the number of new rows in each part, (parts,).
    """
    filled = (before + after) > 0
    old, new = (each[filled] + _IN_NO_BIN for each in (before, after))
    p, q = old / old.sum(), new / new.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def _chi_squared(counts: Indices) -> float:
    """Return the p-value of the χ² test that two rows of counts have the same shares.

    Parts with fewer than 5 expected rows are merged, the rarest first.
    """
    from scipy.stats import chi2_contingency

    sizes = counts.sum(axis=1)
    if not sizes.all():
        return 1.0
    ordered = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
    least = _LEAST_EXPECTED * sizes.sum() / sizes.min()
    totals = np.cumsum(ordered.sum(axis=0))
    merged = min(int(np.searchsorted(totals, least)), len(totals) - 1)
    while merged + 1 < len(totals) and ordered[:, merged + 1].sum() < least:
        merged += 1
    parts = np.column_stack([ordered[:, : merged + 1].sum(axis=1), ordered[:, merged + 1 :]])
    if parts.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(parts, correction=False).pvalue)


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Adjust the p-values for their number, and set the levels."""
    from scipy.stats import false_discovery_control

    values = false_discovery_control([each.p_value for each in differences])
    return [
        each.model_copy(update={"p_value": float(p_value), "level": _level(each.psi, p_value)})
        for each, p_value in zip(differences, values, strict=True)
    ]


def _level(psi: float, p_value: float) -> Level:
    if p_value >= FALSE_DISCOVERIES or psi < MODERATE:
        return "none"
    return "strong" if psi >= STRONG else "moderate"


# Classifier


def _classifier_auc(
    predictor: Predictor, encoders: Sequence[FeatureEncoder], before: Table, after: Table
) -> Estimate:
    """Return the AUC of a classifier of training rows and new rows.

    It is a linear discriminant of the encoded columns and of 200 random rectified units, which see
    several columns at once (Rahimi & Recht 2008, "Random features for large-scale kernel
    machines"). Each row is scored by a classifier that was trained on other rows, in five folds;
    equal rows are in the same fold.
    """
    width = max(predictor.network.inputs, 1)
    most = min(MOST_CLASSIFIED, max(_FOLDS, _MOST_CLASSIFIED_VALUES // width))
    old, new = (
        _classified_rows(predictor, encoders, sample_rows(each, most)) for each in (before, after)
    )
    if min(len(old), len(new)) < 2 * _FOLDS:
        return Estimate(reason=f"fewer than {2 * _FOLDS} rows")
    values = np.concatenate([old, new])
    is_new = np.repeat([0.0, 1.0], [len(old), len(new)])
    generator = np.random.default_rng(0)
    inputs = _random_features(values, generator)
    _, group = np.unique(values, axis=0, return_inverse=True)
    fold = generator.permutation(group.max() + 1)[group.ravel()] % _FOLDS
    scores = np.empty(len(inputs))
    for number in range(_FOLDS):
        held_out = fold == number
        weights = _fit_discriminant(inputs[~held_out], is_new[~held_out])
        scores[held_out] = inputs[held_out] @ weights
    rows = MarginRows.of(is_new, scores)
    return estimate_statistics({AUC.name: statistics_of(rows)[AUC.name]})[AUC.name]


def _classified_rows(
    predictor: Predictor, encoders: Sequence[FeatureEncoder], table: Table
) -> Floats:
    """Return the inputs of some columns, and for each column 1 where its value is missing."""
    compared = {each.column for each in encoders}
    ordered = in_input_order(predictor.encoding.features)
    is_kept = np.repeat(
        [each.column in compared for each in ordered], [len(each.inputs) for each in ordered]
    )
    encoded = predictor.encode(table, ValueProblems(lenient=True))[:, is_kept]
    missing = [table.missing(each.column) for each in encoders]
    return np.column_stack([encoded.astype(np.float64), *missing])


def _random_features(values: Floats, generator: np.random.Generator) -> Floats:
    """Return standardized columns, and random rectified units of them, (rows, features)."""
    scale = values.std(axis=0)
    standard = (values - values.mean(axis=0))[:, scale > 0] / scale[scale > 0]
    standard = np.clip(standard, -5, 5)
    directions = generator.standard_normal((standard.shape[1], _RANDOM_UNITS))
    directions /= math.sqrt(max(standard.shape[1], 1))
    units = np.maximum(standard @ directions + generator.uniform(-1, 1, _RANDOM_UNITS), 0)
    return np.hstack([standard, units - units.mean(axis=0)])


def _fit_discriminant(inputs: Floats, labels: Floats) -> Floats:
    """Fit Fisher's linear discriminant with an L2 penalty; both classes have the same weight.

    Returns:
        The weights, (features,).
    """
    weight = np.where(labels > 0, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))[:, np.newaxis]
    weighted = inputs * weight / len(labels)
    centered = inputs - weighted.sum(axis=0)
    products = (centered * weight / len(labels)).T @ centered
    sides = weighted.T @ (2 * labels - 1)
    return np.asarray(np.linalg.solve(products + _PENALTY * np.eye(len(products)), sides))


# Charts


def _statistics(
    predictor: Predictor, drift: Drift, before: Table, after: Table
) -> tuple[ColumnStatistics, ...]:
    """Return the distributions of the compared columns, in their order."""
    describer = ColumnDescriber(before, [after], predictor.encoding, {})
    types = {each.column: each.type for each in predictor.encoding.features}
    return tuple(
        describer.describe(ListedColumn(each.name, "feature", types[each.name], ""))
        for each in drift.columns
    )
