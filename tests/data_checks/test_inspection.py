"""All checks combined: the inspection of a table, and the warnings of training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.columns.column_type import Decision, Ignored
from dlcli.columns.number import Numeric
from dlcli.config.config_file import load_config
from dlcli.config.data_section import Input, Target
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.inspection import inspect_split, inspect_table
from dlcli.encoding.column_types import choose_features, decide_types, words_to_read
from dlcli.errors import UsageError
from dlcli.splitting import Split
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tasks.inference import infer_task

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("configs/*.yaml"))
NUMBER = Decision(Numeric(), "all values are numbers")


def checks(findings):
    return [finding.check for finding in findings]


def test_each_column_is_shown_in_order_with_what_it_holds(table):
    rows = table({"age": ["31", "", "45"], "y": ["a", "b", "a"], "town": ["x", "y", "x"]})
    shown = inspect_table(rows, "y")
    assert (shown.file, shown.rows, shown.target) == ("t.csv", 3, "y")
    assert [(c.name, c.type) for c in shown.columns] == [
        ("age", "numeric"),
        ("y", "target"),
        ("town", "categorical"),
    ]
    age = shown.columns[0].values
    assert (age.missing, age.distinct, age.bounds) == (1, 2, (31.0, 45.0))


def test_several_targets_are_no_features_and_a_leak_of_either_is_found(table):
    x, y = np.random.default_rng(1).normal(size=(2, 60))
    rows = table({"x": x, "y": y, "z": x + y, "copy": y.round(2)})
    shown = inspect_table(rows, ["y", "z"])
    assert shown.target == ("y", "z")
    assert [each.type for each in shown.columns] == ["numeric", "target", "target", "numeric"]
    assert [(each.check, each.columns) for each in shown.issues] == [("target_leakage", ("copy",))]


def test_warnings_come_before_notes(table):
    x = np.random.default_rng(1).normal(size=60)
    columns = {"x": x, "half": [1.5] * 29 + [None] * 31, "copy": x.round(2), "y": x}
    found = inspect_table(table(columns), "y").issues
    assert [finding.severity for finding in found] == ["warning", "note"]
    assert checks(found) == ["target_leakage", "many_missing"]


def test_a_target_that_is_no_column_is_an_error(table):
    with pytest.raises(UsageError, match="t.csv: no column 'prize' in the table; did you mean"):
        inspect_table(table({"price": [1, 2], "x": [1, 2]}), "prize")


def test_a_target_named_in_a_second_header_line_is_an_error_with_the_way_out(table):
    with pytest.raises(UsageError, match="no column 'EUR' in the table; it is a value in row 1"):
        inspect_table(table({"price": ["EUR", "2"], "x": ["cm", "2"]}), "EUR")


def test_a_target_that_training_would_refuse_is_a_finding(table):
    found = inspect_table(table({"x": [1.5, 2, 4], "y": ["a", "a", "a"]}), "y").issues
    assert checks(found) == ["target"]
    assert "t.csv: column 'y': has only the class 'a'" in found[0].message


def test_rows_without_a_target_are_counted_and_left_out_as_in_training(table):
    shown = inspect_table(table({"x": [1.5, 2, 9], "y": ["a", "b", None]}), "y")
    [finding] = shown.issues
    assert (finding.check, finding.severity, finding.rows) == ("missing_target", "warning", 1)
    assert finding.message == snapshot("1 of 3 rows has no target ('y') and is skipped: row 3")
    assert shown.rows == 3
    x, y = (column.values for column in shown.columns)
    assert (x.bounds, y.present, y.missing) == ((1.5, 2), 2, 1)


def test_a_table_without_features_is_a_finding(table):
    assert checks(inspect_table(table({"y": [1.5, 2, 4]}), "y").issues) == ["features"]


def test_a_finding_of_an_ignored_column_is_only_a_note(table):
    columns = {"id": np.arange(60), "c": [1] * 60, "x": np.random.default_rng(0).normal(size=60)}
    found = inspect_table(table(columns)).issues
    assert [(item.check, item.severity) for item in found] == [
        ("identifiers", "note"),
        ("constants", "note"),
    ]
    assert found[0].advice == "ignored unless input.features names it"


def test_an_identifier_that_is_read_gives_a_warning(table):
    rows = table({"id": np.arange(60), "y": ["a", "b"] * 30})
    kind = infer_task(Target(column="y"), [rows])
    [found] = inspect_split(Split(rows, None, None), rows, kind, {"id": NUMBER}, Input())
    assert (found.check, found.severity) == ("identifiers", "warning")


def test_training_reports_only_warnings_and_each_once(table):
    rng = np.random.default_rng(2)
    y = rng.normal(size=200)
    columns = {"x": rng.normal(size=200), "half": [1.5] * 50 + [None] * 150}
    columns |= {"one": y, "two": -y, "id": np.arange(200.0), "y": y}
    train = table(columns)
    decisions = dict.fromkeys(("x", "half", "one", "two"), NUMBER)
    decisions["id"] = Decision(Ignored(), "declared")
    kind = infer_task(Target(column="y"), [train])
    found = inspect_split(Split(train, None, None), train, kind, decisions, Input())
    assert checks(found) == ["target_leakage"]
    assert found[0].columns == ("one", "two")


def test_held_out_rows_are_compared_with_training_rows(table):
    rng = np.random.default_rng(2)
    rows = table({"x": rng.normal(size=50), "z": rng.normal(size=50), "y": rng.normal(size=50)})
    split = Split(rows.take(np.arange(40)), None, rows.take(np.arange(30, 50)))
    kind = infer_task(Target(column="y"), [rows])
    found = inspect_split(split, rows, kind, {"x": NUMBER, "z": NUMBER}, Input())
    assert checks(found) == ["duplicates_across_split"]
    assert "10 of 20 test rows (50 %) equal a training row" in found[0].message


def test_of_a_large_table_some_rows_are_looked_at_and_their_number_is_reported(table, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_ROWS", 100)
    x = np.random.default_rng(1).normal(size=300)
    found = inspect_table(table({"x": x[::-1], "copy": 2 * x, "y": x}), "y").issues
    assert found[0].check == "target_leakage"
    assert found[0].message.endswith("constant prediction) (in 100 rows looked at)")


def test_a_single_word_in_a_large_column_of_numbers_is_found(table, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_ROWS", 100)
    z = [*map(str, range(999)), "n/a"]
    rows = table({"x": np.random.default_rng(1).normal(size=1000), "z": z, "y": ["a", "b"] * 500})
    found = inspect_table(rows, "y").issues
    assert "odd_values" in checks(found)
    assert "'z' ('n/a' in row 1000)" in found[checks(found).index("odd_values")].message


def test_a_column_that_is_ignored_for_its_form_is_found(table):
    kilos = [f"{number} kg" for number in range(11)]
    found = inspect_table(table({"x": [*range(11)], "weight": kilos})).issues
    assert checks(found) == ["doubtful_types"]
    assert "'weight' (numbers with a unit, such as '0 kg'; remove the unit)" in found[0].message


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_example_gives_a_warning(path):
    file = load_config(path)
    data = file.config.data
    table = read_table(file.resolve(data.train), words_to_read(data))
    kind = infer_task(data.target, [table])
    chosen = choose_features(file.config.input, table.columns, data.reserved)
    decisions = decide_types(chosen, table)
    order = np.random.default_rng(0).permutation(table.rows)
    held_out = table.take(np.sort(order[: table.rows // 4]))
    split = Split(table.take(np.sort(order[table.rows // 4 :])), None, held_out)
    assert inspect_split(split, table, kind, decisions, file.config.input) == []


CELLS = st.one_of(
    st.none(),
    st.integers(-3, 3).map(str),
    st.floats().map(repr),
    st.sampled_from(["-999", "1e308", "-1e308", "?", "NA", " ", "2024-01-01", "9999-12-31", "Ä"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
)


@example([(None, "1e308", "0"), (None, "-1e308", "0")], 1)  # their distance is infinite
@example([(None, "inf", "0"), (None, "-inf", "0")] * 10, 1)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=60), st.integers(1, 20))
def test_no_table_makes_a_check_fail(rows, times):
    names = ("id", "year", "c") if times % 2 else ("a", "b", "c")
    columns = dict(zip(names, map(list, zip(*rows * times, strict=True)), strict=True))
    numbers = np.arange(1, len(rows) * times + 1)
    shown = inspect_table(Table("t.csv", pa.table(columns), numbers), "c")
    json.dumps(asdict(shown), allow_nan=False)
    assert all("\n" not in str(finding) for finding in shown.issues)
