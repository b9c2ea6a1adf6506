"""Rejected rows as they are written: whole, in order, each with all that is wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dlcli.columns.value_problems import ValueProblems
from dlcli.prediction.prediction_tables import rejected_rows
from dlcli.tables.table import Table


def table_of(first_row=1, **columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(first_row, first_row + data.num_rows))


def refuse(problems, table, column, *places, reason="is bad"):
    wrong = np.isin(np.arange(table.rows), places)
    problems.refuse(wrong, table, column, lambda at: f"{reason} at {at}")


def test_each_row_comes_once_with_all_its_reasons_and_its_own_columns_unchanged():
    table = table_of(11, a=["1", "x", "y"], b=[[1], [2], None])
    problems = ValueProblems(lenient=True)
    refuse(problems, table, "b", 1, 2)
    refuse(problems, table, "a", 2, reason="is worse")
    assert rejected_rows(table, problems).to_pydict() == {
        "row": [12, 13],
        "reason": [
            "column 'b': is bad at 1",
            "column 'b': is bad at 2; column 'a': is worse at 2",
        ],
        "a": ["x", "y"],
        "b": [[2], None],
    }


def test_rows_of_later_parts_are_found_in_the_whole_table():
    table = table_of(a=["1", "2", "x", "4"])
    problems = ValueProblems(lenient=True)
    for part in table.parts(2):
        refuse(problems, part, "a", *np.flatnonzero([v == "x" for v in part.texts("a")]))
        problems.rows += part.rows
    assert rejected_rows(table, problems).to_pydict() == {
        "row": [3],
        "reason": ["column 'a': is bad at 0"],
        "a": ["x"],
    }


def test_a_column_of_the_same_name_keeps_it():
    table = table_of(row=["a"], reason=["b"], _row=["c"])
    problems = ValueProblems(lenient=True)
    refuse(problems, table, "row", 0)
    assert rejected_rows(table, problems).column_names == [
        "__row",
        "_reason",
        "row",
        "reason",
        "_row",
    ]


def test_rows_of_several_files_tell_theirs():
    data = pa.table({"a": ["1", "x"]})
    files = ("one.csv", "two.csv")
    table = Table(
        "*.csv", data, np.array([1, 1]), files=files, file_numbers=np.array([0, 1], np.int32)
    )
    problems = ValueProblems(lenient=True)
    refuse(problems, table, "a", 1)
    rejected = rejected_rows(table, problems)
    assert rejected.select(["file", "row"]).to_pydict() == {"file": ["two.csv"], "row": [1]}


def test_without_bad_rows_the_columns_are_there_all_the_same():
    rejected = rejected_rows(table_of(a=["1"]), ValueProblems(lenient=True))
    assert rejected.column_names == ["row", "reason", "a"]
    assert rejected.num_rows == 0
