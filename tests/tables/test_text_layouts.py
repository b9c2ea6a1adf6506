"""Delimited text without a header, with comments, titles, row names, aligned columns or totals."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.errors import DataError
from dlcli.tables.header_detection import values_among_names
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tables.table_formats import CsvFormat, TableFormat

IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,versicolor\n"
LAYOUT = TableFormat(header="none", names=("length", "width", "kind"), absent=("kind",))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(content: str, form: TableFormat = TableFormat()) -> Table:  # noqa: B008
    Path("data.csv").write_text(content)
    return read_table("data.csv", form=form)


def rows(table: Table) -> list[list[object]]:
    return [list(row.values()) for row in table.data.to_pylist()]


def refusal(content: str, form: TableFormat = TableFormat()) -> str:  # noqa: B008
    with pytest.raises(DataError) as caught:
        read(content, form)
    return str(caught.value)


@pytest.mark.parametrize(
    "first",
    [
        "39, State-gov, 77516, Bachelors",  # adult: 77516 occurs once
        "no-recurrence,30-39,premeno,Bachelors",  # breast-cancer: no numbers at all
        "1,Braund,male,A/5 21171",  # titanic: a name occurs once
    ],
)
def test_a_first_line_that_is_a_row_is_refused(first):
    below = {
        "39": "50, State-gov, 83311, Bachelors\n38, Private, 215646, HS-grad\n",
        "no": "no-recurrence,30-39,premeno,Bachelors\nrecurrence,40-49,premeno,HS-grad\n",
        "1,": "0,Cumings,male,A/5 1\n1,Heikkinen,female,C/2 3101282\n",
    }
    assert "first line looks like a row" in refusal(f"{first}\n{below[first[:2]]}")


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("country,2001,2003", [["Chad", "5", "6"], ["Mali", "7", "4"]]),
        ("2001,2002,2003", [["5", "6", "7"], ["7", "4", "1"]]),
        ("sex,age", [["sex", "12"], ["age", "13"]]),
        ("color,size", [["red", "L"], ["blue", "M"]]),
    ],
)
def test_a_header_is_not_taken_for_a_row(header, values):
    assert values_among_names(header.split(","), values) == []


def test_a_header_that_looks_like_a_row_can_be_declared():
    table = read("7,3\n1,2\n3,1\n", TableFormat(header=1))
    assert (table.columns, table.rows) == (("7", "3"), 2)


def test_names_can_be_declared_for_a_file_without_a_header():
    table = read(IRIS, LAYOUT)
    assert table.columns == ("length", "width", "kind")
    assert rows(table)[0] == ["5.1", "3.5", "setosa"]
    assert read(IRIS, TableFormat(header="none")).columns == ("column_1", "column_2", "column_3")


def test_the_number_of_names_must_fit():
    form = TableFormat(header="none", names=("a", "b"))
    assert refusal(IRIS, form) == (
        "data.csv: data.names has 2 names, but the first row has 3 fields"
    )


def test_rows_to_predict_may_lack_the_target_or_have_a_header():
    assert read("5.1,3.5\n4.9,3.0\n", LAYOUT).columns == ("length", "width")
    table = read("width,length\n3.5,5.1\n", LAYOUT)
    assert (table.columns, rows(table)) == (("width", "length"), [["3.5", "5.1"]])


def test_names_of_a_header_can_be_replaced():
    assert read("a,b\n1,2\n", TableFormat(header=1, names=("x", "y"))).columns == ("x", "y")


def test_r_writes_row_names_without_a_name():
    frame = '"a" "b"\n"1" 5 "x y"\n"2" 6 "z"\n'
    table = read(frame)
    assert (table.columns, table.nameless) == (("row_name", "a", "b"), ("row_name",))
    assert rows(table) == [["1", "5", "x y"], ["2", "6", "z"]]


def test_rows_that_are_too_long_have_no_row_names():
    for rows in ("1,2,3\n", "1,2,3\n1,4,5\n", "1,2,\n3,4,\n"):
        assert "row 1: has 3 fields, but the header has 2" in refusal("a,b\n" + rows)


def test_comments_are_omitted_except_in_quotes():
    content = '# made in May\n#\na,b\n1,x\n# half\n2,"y\n#z"\n'
    table = read(content, TableFormat(comment="#"))
    assert (table.columns, rows(table)) == (("a", "b"), [["1", "x"], ["2", "y\n#z"]])


def test_lines_above_the_header_are_skipped():
    table = read("Sales, all\nof 2024\n\na,b\n1,2\n", TableFormat(skip_lines=2))
    assert (table.columns, rows(table)) == (("a", "b"), [["1", "2"]])


def test_aligned_columns_are_read_as_pandas_reads_them():
    content = ' mpg   year name\n 18.0  70   "amc gremlin"\n  9.5 \t 71  audi\n'
    form = TableFormat(CsvFormat(delimiter="spaces"))
    assert rows(read(content, form)) == [["18.0", "70", "amc gremlin"], ["9.5", "71", "audi"]]
    table = read("a    b\n1    2\n33   4\n")
    assert (rows(table), table.notes) == (
        [["1", "2"], ["33", "4"]],
        ("data.csv: the delimiter is one or more spaces",),
    )


def test_two_header_lines_are_joined():
    content = "region,sales,,cost\n,2020,2021,2020\nN,1,2,3\n"
    assert read(content, TableFormat(header=2)).columns == (
        *("region", "sales 2020", "sales 2021", "cost 2020"),
    )


def test_a_second_header_line_is_reported():
    content = "a;;b\nname;2023 units;kg\nx;1,5;3 %\ny;2,5;4 %\nz;3,5;5 %\n"
    assert read(content.replace("2023 units", "units")).warnings[0] == (
        "data.csv: the first row, 'name', 'units', 'kg', looks like a second header line; "
        "if it is one, set data.header: 2 (--header 2 in init and inspect)"
    )
    for row in (";(EUR);", ";[kg];[kg]", ";EUR;EUR", "name;%;"):
        found = read(content.replace("name;2023 units;kg", row)).warnings
        assert "second header line" in str(found), row
    for row in (
        *("name;2023 units;kg", "name;NA;kg", "name;;", "y;1,5;kg"),
        *("y;units;kg", "name;late;late", "name;late;", ";(1,5);"),
    ):
        found = read(content.replace("name;2023 units;kg", row)).warnings
        assert "second header line" not in str(found), row


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("x", "y", "Total"), 1),
        (("x", "y", "Grand total:"), 1),
        (("x", "y", "总计"), 1),
        (("x", "Total", "Total"), 0),  # a category
        (("x", "y", "Total Recall"), 0),
        (("Total", "x", "y"), 0),
    ],
)
def test_a_row_with_totals_at_the_end_is_reported(words, count):
    content = "a,b\n" + "".join(f"{word},{number}\n" for number, word in enumerate(words))
    found = read(content).warnings
    assert found == count * (
        f"data.csv: the last row begins with '{words[2]}'; if it contains totals "
        f"instead of data, set data.footer: {words[2]} (--footer in init and inspect)",
    )
    assert read(content, TableFormat(footer=words[2])).warnings == ()


SALES = "shop,kind,amount\n" + "".join(f"s{n},x,{n}.5\n" for n in range(1, 6))


@pytest.mark.parametrize(
    ("last", "remedy"),
    [
        ("Total,,17.5\n", "set data.footer: Total (--footer in init and inspect)"),
        (",,17.5\n", "set data.footer: 1 (--footer 1 in init and inspect), or remove the row"),
        (",,18.5\n", None),
        ("s6,x,17.5\n", None),  # no cell is empty
    ],
)
def test_sums_in_the_last_row_are_totals(last, remedy):
    found = read(SALES + last)
    message = f"data.csv: the last row contains the totals of 'amount'; {remedy}"
    assert found.warnings == (() if remedy is None else (message,))
    settings = [setting for note in found.file_notes for setting in note.settings]
    footer = "Total" if last.startswith("Total") else 1
    assert settings == [("footer", footer)] * len(found.warnings)
    if settings:
        assert read(SALES + last, TableFormat(footer=footer)).rows == 5


def test_the_last_rows_of_all_files_are_compared_with_their_own_sums():
    for name, last in {"a.csv": "Total,,17.5\n", "b.csv": "Total,,35\n"}.items():
        Path(name).write_text(SALES + last, "utf-8")
    assert [warning.split(";")[0] for warning in read_table(("a.csv", "b.csv")).warnings] == [
        "a.csv: the last row contains the totals of 'amount'",
        "b.csv: the last row begins with 'Total'",
    ]


def test_a_footer_is_omitted_where_it_is():
    form = TableFormat(footer="Total")
    assert rows(read("a,b\nx,1\ny,2\nTotal,3\nsource: z\n", form)) == [["x", "1"], ["y", "2"]]
    assert rows(read("a,b\nx,1\ny,2\n", form)) == [["x", "1"], ["y", "2"]]
    assert rows(read("a,b\nx,1\nTotally,2\n", form)) == [["x", "1"], ["Totally", "2"]]
    assert rows(read("a,b\nx,1\ny,2\n,3\n,\n\n", TableFormat(footer=1))) == [["x", "1"], ["y", "2"]]
    to_predict = TableFormat(footer="Total", columns=("a", "b"))
    assert rows(read("a,b\nx,1\nTotal,2\n", to_predict)) == [["x", "1"]]


def test_a_plain_file_to_predict_is_read_without_the_layout():
    form = TableFormat(skip_lines=2, comment="#", columns=("a", "b"))
    assert rows(read("a,b,c\n1,2,3\n#4,5,6\n", form)) == [["1", "2", "3"], ["#4", "5", "6"]]
    assert rows(read("Title\n\na,b\n1,2\n#4,5\n", form)) == [["1", "2"]]


def test_repeated_and_missing_names_are_completed_with_a_warning():
    table = read("x,x,,y\n1,2,3,4\n")
    assert table.columns == ("x", "x.1", "column_3", "y")
    assert table.warnings == (
        "data.csv: columns without a name are called 'column_3'",
        "data.csv: the header repeats names; renamed: 'x.1'",
    )


def test_an_error_names_row_and_line_below_skipped_lines():
    form = TableFormat(comment="#", skip_lines=1)
    assert refusal("Title\n# one\na,b\n1,2\n# two\n3,4,5\n", form) == (
        "data.csv: row 2: has 3 fields, but the header has 2 (line 6 of the file)"
    )
    assert refusal("1,2\n3\n", TableFormat(header="none")) == (
        "data.csv: row 2: has 1 field, but the header has 2 (line 2 of the file)"
    )
