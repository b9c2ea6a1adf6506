"""Inspection of a table, or of the sets of rows in training, by all checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dlcli.columns.column_type import Decision, Ignored
from dlcli.columns.type_inference import ColumnSummary, summarize_column
from dlcli.config.data_section import Data, Input, Target
from dlcli.data_checks import (
    category_checks,
    feature_checks,
    linear_relations,
    row_checks,
    target_checks,
)
from dlcli.data_checks.sample import DataFinding, Sample, draw_sample
from dlcli.encoding import column_types
from dlcli.errors import (
    ConfigError,
    DataError,
    UsageError,
    did_you_mean,
    known_columns,
    plural,
    printable,
)
from dlcli.splitting import Split
from dlcli.tables.detected_layout import full_names, read_with_layout
from dlcli.tables.memory_tables import MemoryTable
from dlcli.tables.source_files import Source
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_formats import TableFormat
from dlcli.tasks.inference import drop_missing_targets, infer_task
from dlcli.tasks.task import Task

_AUTO = TableFormat()
_REASONS_TO_IGNORE = ("identifiers", "constants")


@dataclass(frozen=True)
class ColumnOverview:
    """A column of a table."""

    name: str
    type: str
    """The inferred feature type, or `target`."""
    reason: str
    """The reason for the type."""
    values: ColumnSummary


@dataclass(frozen=True)
class Inspection:
    """A table's columns, and the findings of checks."""

    file: str
    """The table's file, as the user named it."""
    rows: int
    """Number of rows."""
    target: str | tuple[str, ...] | None
    """The column or columns to predict, if specified."""
    columns: tuple[ColumnOverview, ...]
    """All columns, in order."""
    issues: tuple[DataFinding, ...]
    """The findings, warnings first."""


def read_for_inspection(
    source: Source | MemoryTable,
    target: str | Sequence[str] | None = None,
    form: TableFormat = _AUTO,
) -> tuple[Table, tuple[str, ...] | None]:
    """Read a table without a config, with the same words for missing values as in training.

    Args:
        source: the file, `-` for standard input, or a table in memory.
        target: the column or columns to predict.
        form: the format of the file.

    Returns:
        The table, and the full names of the target's columns.

    Raises:
        UsageError: if the file or the target column does not exist.
        DataError: if the file is not a table.
    """
    section, targets, detected = None, None, list[str]()
    words = column_types.words_to_read()
    table, form = read_with_layout(source, words, form, detected.append)
    if target is not None:
        targets = require_columns(table, full_names(target, table, form))
        section = Data(train=table.file, target=Target(column=targets))
    [table] = column_types.settle_missing_words([table], section)
    notes = [FileNote(message, is_doubtful=True) for message in detected]
    return replace(table, file_notes=(*notes, *table.file_notes)), targets


def inspect_table(table: Table, target: str | Sequence[str] | None = None) -> Inspection:
    """Inspect a table without a config, with inferred column types and task.

    Args:
        table: the table.
        target: the column to predict, or several columns of numbers or labels.

    Raises:
        UsageError: if the target column does not exist.
    """
    task, labelled = None, table
    found: list[DataFinding | None] = []
    targets = () if target is None else require_columns(table, target)
    if targets:
        declared = Target(column=targets)
        try:
            labelled, message = drop_missing_targets(declared, table)
            found.append(_missing_target(targets, table.rows - labelled.rows, message))
            inferred_task = infer_task(declared, [labelled])
            target_checks.refuse_names(inferred_task, labelled)
            task = inferred_task
        except DataError as error:
            found.append(_unusable("target", targets, error))
    features = tuple(column for column in table.columns if column not in targets)
    try:
        inferred = column_types.type_columns(Input(), labelled, targets, table)
    except ConfigError as error:
        inferred = dict.fromkeys(features, Decision(Ignored(), "can't be read"))
        found.append(_unusable("features", features, error))
    decisions = column_types.count_all_rows(inferred, labelled)
    # Also check columns that training ignores as identifiers or constants.
    checked = {column: decision.otherwise or decision for column, decision in decisions.items()}
    sample = draw_sample(labelled, checked, task)
    relation = linear_relations.find_relation(sample)
    advice = row_checks.advise_split(labelled, decisions, task)
    effects: Iterable[DataFinding | None] = ()
    if advice is None or not advice.is_clear:  # else each value may belong to one group
        larger = category_checks.with_more_rows(sample)
        if relation is None:  # else the columns are parts of a sum
            effects = _with_sample_size(larger, *category_checks.find_category_effects(larger))
    found += [
        feature_checks.find_doubtful_types(decisions),
        feature_checks.find_unbounded(decisions),
        *_training_findings(sample, table, Input(), relation),
        *_with_sample_size(
            sample,
            feature_checks.find_missing_words(sample),
            feature_checks.find_zeros(sample),
            feature_checks.find_many_missing(sample),
            feature_checks.find_constants(sample),
            feature_checks.find_near_constants(sample),
            feature_checks.find_copies(sample),
        ),
        *effects,
        target_checks.find_long_tail(sample),
        row_checks.find_duplicates(sample),
        target_checks.find_imbalance(labelled, task),
        target_checks.find_rare_classes({"train": labelled}, task),
        None if advice is None else advice.finding,
    ]
    findings = [_lenient(each, decisions) for each in found if each is not None]
    findings.sort(key=lambda each: each.severity == "note")  # stable: keeps the order of checks
    overviews = (
        _overview(table if name in targets else labelled, name, decisions.get(name), task)
        for name in table.columns
    )
    named = targets if len(targets) > 1 else next(iter(targets), None)
    return Inspection(table.file, table.rows, named, tuple(overviews), tuple(findings))


def inspect_split(
    split: Split,
    whole: Table,
    task: Task,
    decisions: Mapping[str, Decision],
    section: Input,
    is_grouped: bool = False,
    has_folds: bool = False,
) -> list[DataFinding]:
    """Find problems that are likely to spoil training or its metrics; returns only warnings.

    Args:
        split: the rows of each set.
        whole: all rows of the table that contains the training rows.
        task: the task.
        decisions: the type of each column; ignored ones are not checked.
        section: the `input` section of the config.
        is_grouped: whether the split keeps groups of rows whole.
        has_folds: whether training rows are held out by folds.

    Returns:
        At most one finding per check. The encoding reports values that can't be encoded.
    """
    sample = draw_sample(split.train, decisions, task)
    relation = linear_relations.find_relation(sample)
    sets = (("validation", split.validation), ("test", split.test))
    held_out = {name: table for name, table in sets if table is not None}
    found = [
        *_training_findings(sample, whole, section, relation),
        row_checks.find_duplicates_across(sample, held_out, is_grouped),
        row_checks.find_duplicates(sample) if has_folds and not (held_out or is_grouped) else None,
        target_checks.find_rare_classes({"train": split.train, **held_out}, task),
    ]
    if not is_grouped and relation is None:
        larger = category_checks.with_more_rows(sample)
        effects = category_checks.find_category_effects(larger, warnings_only=True)
        found += _with_sample_size(larger, *effects)
    return [finding for finding in found if finding is not None and finding.severity == "warning"]


def require_columns(table: Table, names: str | Sequence[str]) -> tuple[str, ...]:
    """Return one or more column names without repetition, if the table has these columns.

    Raises:
        UsageError: for an unknown column; the message contains similar names, or all of them.
    """
    columns = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for column in columns:
        if column not in table.columns:
            near = did_you_mean(column, table.columns) or known_columns(table.columns)
            if column in table.data.slice(0, 1).to_pylist()[0].values():
                near = (
                    "; it is a value in row 1: if the header has two lines, set data.header: 2 "
                    "(--header 2 in init and inspect)"
                )
            raise UsageError(f"{table.file}: no column '{column}' in the table{near}")
    return columns


def _training_findings(
    sample: Sample,
    whole: Table,
    section: Input,
    relation: linear_relations.LinearRelation | None,
) -> list[DataFinding | None]:
    """Run the checks whose findings may be warnings about training rows."""
    identities = feature_checks.find_identities(sample, whole)
    explained = target_checks.explain_by_columns(sample)
    return [
        *_with_sample_size(sample, linear_relations.find_linear_relation(relation)),
        *_with_sample_size(
            sample,
            target_checks.find_leakage(explained, sample.task, identities),
            feature_checks.find_missing_codes(sample),
            feature_checks.find_outlying_dates(sample),
            feature_checks.find_long_numbers(sample),
            feature_checks.find_spellings(sample),
            feature_checks.find_wide_ranges(sample, section),
        ),
        # These check all rows.
        feature_checks.find_odd_values(sample),
        feature_checks.find_identifiers(identities, explained),
        target_checks.find_constant_target(sample),
        target_checks.find_far_target(sample),
        target_checks.find_class_numbers(sample),
        target_checks.find_odd_classes(sample),
    ]


def _with_sample_size(sample: Sample, *found: DataFinding | None) -> Iterable[DataFinding | None]:
    """Add the number of sampled rows to findings, unless all rows were checked."""
    if sample.table.rows == sample.whole.rows:
        return found
    note = f" (in {plural(sample.table.rows, 'row')} looked at)"
    return [replace(each, message=each.message + note) if each else None for each in found]


def _missing_target(targets: tuple[str, ...], rows: int, message: str) -> DataFinding | None:
    advice = "fill them in if you can; data.on_missing_target: error refuses such rows"
    finding = DataFinding("missing_target", "warning", targets, rows, printable(message), advice)
    return finding if rows else None


def _unusable(check: str, columns: tuple[str, ...], error: DataError | ConfigError) -> DataFinding:
    message = printable(str(error))
    return DataFinding(check, "warning", columns, None, message, "training stops with this error")


def _lenient(finding: DataFinding, decisions: Mapping[str, Decision]) -> DataFinding:
    """Turn a warning into a note if `auto` ignores its columns."""
    ignored = {name for name, item in decisions.items() if not item.feature.is_read}
    if finding.check not in _REASONS_TO_IGNORE or not ignored.issuperset(finding.columns):
        return finding
    advice = "ignored unless input.features names it"
    return replace(finding, severity="note", advice=advice)


def _overview(
    table: Table, name: str, decision: Decision | None, task: Task | None
) -> ColumnOverview:
    if decision is not None:
        assert decision.values is not None  # set by count_all_rows
        return ColumnOverview(name, decision.feature.type, decision.reason, decision.values)
    reason = f"{task.type}: {task.reason}" if task is not None else ""
    return ColumnOverview(name, "target", reason, summarize_column(table, name))
