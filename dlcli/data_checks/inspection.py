"""All checks of a table, as it stands or as it was split for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dlcli.config import Ignored, Input, Target, printable
from dlcli.data_checks.classes import find_imbalance, find_rare_classes
from dlcli.data_checks.constants import find_constants, find_near_constants
from dlcli.data_checks.copies import find_copies
from dlcli.data_checks.dates import find_outlying_dates
from dlcli.data_checks.doubtful_types import find_doubtful_types
from dlcli.data_checks.duplicates import find_duplicates_across, find_repeats
from dlcli.data_checks.finding import DataIssue
from dlcli.data_checks.gaps import find_gaps
from dlcli.data_checks.identifiers import find_identifiers
from dlcli.data_checks.leakage import find_leakage
from dlcli.data_checks.long_numbers import find_long_numbers
from dlcli.data_checks.missing_codes import find_missing_codes, find_missing_words, find_zeros
from dlcli.data_checks.odd_values import find_odd_values
from dlcli.data_checks.overview import ColumnOverview, overview
from dlcli.data_checks.ranges import find_wide_ranges
from dlcli.data_checks.sample import Sample, draw_sample
from dlcli.data_checks.spellings import find_spellings
from dlcli.data_checks.targets import find_constant_target, find_odd_classes, find_two_numbers
from dlcli.data_checks.unbounded import find_unbounded
from dlcli.encoding import Decision, choose_features, decide_types
from dlcli.errors import ConfigError, DataError, UsageError, did_you_mean, plural
from dlcli.splitting import Split
from dlcli.tables import Table
from dlcli.tasks import Task, infer_task

_COLUMNS_NAMED = 12
_REASONS_TO_IGNORE = ("identifiers", "constants")


@dataclass(frozen=True)
class Inspection:
    """What there is to know of a table before one trains on it."""

    file: str
    """The table's file, as the user named it."""
    rows: int
    """How many rows it has."""
    target: str | None
    """The column to predict, if one was named."""
    columns: tuple[ColumnOverview, ...]
    """All columns, in order."""
    issues: tuple[DataIssue, ...]
    """What the checks found, warnings first."""


def inspect_table(table: Table, target: str | None = None) -> Inspection:
    """Looks at a table without a config: types and target as they would be inferred.

    Args:
        table: the table.
        target: the column to predict.

    Raises:
        UsageError: for a target that is no column.
    """
    if target is not None:
        require_column(table, target)
    kind, problems = _target(table, target)
    decisions, more = _decisions(table, target)
    # What training leaves out by a doubt is looked at, too.
    doubted = {column: decision.otherwise or decision for column, decision in decisions.items()}
    sample = draw_sample(table, doubted, kind)
    more += _present([find_doubtful_types(decisions), find_unbounded(decisions)])
    found = [*problems, *more, *_of_training(sample, Input()), *_of_all_rows(sample)]
    found += [*_notes(sample), *_present([find_repeats(sample), find_imbalance(table, kind)])]
    found += _present([find_rare_classes({"train": table}, kind)])
    found = [_left_out(finding, decisions) for finding in found]
    found.sort(key=lambda finding: finding.severity == "note")  # stable: order of checks otherwise
    columns = overview(table, decisions, kind)
    return Inspection(table.file, table.rows, target, columns, tuple(found))


def inspect_split(
    split: Split, target: Task, decisions: Mapping[str, Decision], section: Input
) -> list[DataIssue]:
    """Looks for what is likely to spoil training or its scores: the warnings.

    Args:
        split: the rows of each set.
        target: what is predicted.
        decisions: the type of each column; of ignored ones nothing is said.
        section: what the config says of all features.

    Returns:
        At most one finding for each check. Values that can't be encoded are left to the encoding.
    """
    sample = draw_sample(split.train, decisions, target)
    pairs = (("validation", split.validation), ("test", split.test))
    held_out = {name: table for name, table in pairs if table is not None}
    across = find_duplicates_across(sample, held_out)
    rare = find_rare_classes({"train": split.train, **held_out}, target)
    found = [*_of_training(sample, section), *_of_all_rows(sample), *_present([across, rare])]
    return [finding for finding in found if finding.severity == "warning"]


def require_column(table: Table, column: str) -> None:
    """Refuses a column that isn't there.

    Raises:
        UsageError: with the nearest name, or those there are.
    """
    if column not in table.columns:
        named = ", ".join(table.columns[:_COLUMNS_NAMED])
        near = did_you_mean(column, table.columns) or f"; there are {named}"
        raise UsageError(f"{table.file}: no column '{column}' in the table{near}")


def _target(table: Table, target: str | None) -> tuple[Task | None, list[DataIssue]]:
    """What is predicted, or what is wrong with it."""
    if target is None:
        return None, []
    try:
        return infer_task(Target(column=target), [table]), []
    except DataError as error:
        return None, [_unusable("target", (target,), error)]


def _decisions(table: Table, target: str | None) -> tuple[dict[str, Decision], list[DataIssue]]:
    """What each column is taken for, or why none can be read."""
    reserved = () if target is None else (target,)
    try:
        chosen = choose_features(Input(), table.columns, reserved)
        return decide_types(chosen, table), []
    except ConfigError as error:
        others = [column for column in table.columns if column not in reserved]
        ignored = dict.fromkeys(others, Decision(Ignored(), "can't be read"))
        return ignored, [_unusable("features", tuple(others), error)]


def _left_out(finding: DataIssue, decisions: Mapping[str, Decision]) -> DataIssue:
    """What is found, or a mere note if `auto` has seen it, too, and ignores the columns."""
    ignored = {name for name, item in decisions.items() if isinstance(item.feature, Ignored)}
    if finding.check not in _REASONS_TO_IGNORE or not ignored.issuperset(finding.columns):
        return finding
    advice = "ignored, as long as input.features doesn't name it"
    return replace(finding, severity="note", advice=advice)


def _unusable(check: str, columns: tuple[str, ...], error: DataError | ConfigError) -> DataIssue:
    message = printable(str(error))
    return DataIssue(check, "warning", columns, None, message, "training will refuse it")


def _of_training(sample: Sample, section: Input) -> list[DataIssue]:
    """What the sampled rows show; they may be fewer than there are, which is said."""
    found = [
        find_leakage(sample),
        find_missing_codes(sample),
        find_outlying_dates(sample),
        find_long_numbers(sample),
        find_spellings(sample),
        find_wide_ranges(sample, section),
    ]
    return _of_sample(sample, found)


def _notes(sample: Sample) -> list[DataIssue]:
    found = [
        find_missing_words(sample),
        find_zeros(sample),
        find_gaps(sample),
        find_constants(sample),
        find_near_constants(sample),
        find_copies(sample),
    ]
    return _of_sample(sample, found)


def _of_all_rows(sample: Sample) -> list[DataIssue]:
    """What a sample may suspect, and only all rows can show."""
    of_target = (find_constant_target, find_two_numbers, find_odd_classes)
    checks = (find_odd_values, find_identifiers, *of_target)
    return _present(check(sample) for check in checks)


def _of_sample(sample: Sample, found: Iterable[DataIssue | None]) -> list[DataIssue]:
    if sample.table.rows == sample.whole.rows:
        return _present(found)
    note = f" (in {plural(sample.table.rows, 'row')} looked at)"
    return [replace(finding, message=finding.message + note) for finding in _present(found)]


def _present(found: Iterable[DataIssue | None]) -> list[DataIssue]:
    return [finding for finding in found if finding is not None]
