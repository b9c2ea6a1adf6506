"""One table from several files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.errors import DataError, UsageError
from dlcli.tables.source_files import Source, expand
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table_files import read_header, read_table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("parts").mkdir()


def write(name: str, content: str) -> str:
    Path(name).write_text(content, encoding="utf-8")
    return name


def refusal(error: type[Exception], call, *arguments) -> str:
    with pytest.raises(error) as caught:
        call(*arguments)
    return str(caught.value)


class TestFinding:
    def test_the_files_of_a_glob_are_sorted(self):
        for name in ("b.csv", "c.csv", "a.csv", "d.txt"):
            write(f"parts/{name}", "x\n1\n")
        assert [path.name for path in expand("parts/*.csv")] == ["a.csv", "b.csv", "c.csv"]

    def test_the_files_of_a_list_keep_its_order_and_may_be_globs(self):
        for name in ("b.csv", "c.csv", "a.csv"):
            write(f"parts/{name}", "x\n1\n")
        paths = expand(["parts/c.csv", Path("parts/[ab].csv")])
        assert [path.name for path in paths] == ["c.csv", "a.csv", "b.csv"]

    def test_a_glob_determines_how_deep_folders_are_searched(self):
        Path("parts/2024/01").mkdir(parents=True)
        write("parts/2024/01/a.csv", "x\n1\n")
        assert [str(path) for path in expand("parts/**/*.csv")] == ["parts/2024/01/a.csv"]

    def test_a_file_whose_name_reads_like_a_glob_is_that_file(self):
        write("a[1].csv", "x\n1\n")
        write("a1.csv", "x\n2\n")
        assert read_table("a[1].csv").texts("x").tolist() == ["1"]

    def test_brackets_in_the_name_of_a_folder_are_no_pattern(self):
        Path("run[1]/sub").mkdir(parents=True)
        for name in ("run[1]/b.csv", "run[1]/a.csv", "run[1]/sub/c.csv"):
            write(name, "x\n1\n")
        paths = expand("run[1]/*.csv") + expand("run[1]/*/*.csv")
        assert [str(path) for path in paths] == ["run[1]/a.csv", "run[1]/b.csv", "run[1]/sub/c.csv"]

    def test_a_glob_without_a_match_names_a_folder_with_brackets(self):
        Path("run[1]").mkdir()
        write("run[1]/a.csv", "x\n1\n")
        found = refusal(UsageError, expand, "run[1]/*.tsv")
        assert found == "run[1]/*.tsv: matches no file; run[1] has 'a.csv'"

    def test_a_glob_without_a_match_is_reported_with_what_is_there(self):
        write("parts/a.csv", "x\n1\n")
        write("parts/b.csv", "x\n1\n")
        found = refusal(UsageError, read_table, "parts/*.parquet")
        assert found == "parts/*.parquet: matches no file; parts has 'a.csv', 'b.csv'"

    def test_a_glob_in_an_empty_folder_is_reported(self):
        found = refusal(UsageError, read_header, "parts/*/*.csv")
        assert found == "parts/*/*.csv: matches no file; parts is empty"

    def test_a_glob_in_a_missing_folder_is_reported(self):
        found = refusal(UsageError, read_table, "no/*.csv")
        assert found == "no/*.csv: matches no file; . has 'parts'"

    def test_a_file_named_twice_in_two_ways_is_refused(self):
        write("parts/a.csv", "x\n1\n")
        found = refusal(UsageError, read_table, ["parts/a.csv", "parts/../parts/a.csv"])
        assert found == "parts/../parts/a.csv: is listed twice, so its rows would count twice"

    def test_a_file_named_twice_is_refused(self):
        write("parts/a.csv", "x\n1\n")
        found = refusal(UsageError, read_table, ["parts/a.csv", "parts/*.csv"])
        assert found == "parts/a.csv: is listed twice, so its rows would count twice"


class TestJoining:
    def test_columns_are_matched_by_name(self):
        write("a.csv", "x,y\n1,u\n")
        write("b.csv", "y,x\nv,2\n")
        table = read_table(["a.csv", "b.csv"])
        assert table.columns == ("x", "y")
        assert table.texts("x").tolist() == ["1", "2"]
        assert table.texts("y").tolist() == ["u", "v"]
        assert read_header(["a.csv", "b.csv"]) == ("x", "y")

    @pytest.mark.parametrize("read", [read_table, read_header])
    def test_a_file_without_a_column_is_refused(self, read):
        write("a.csv", "x,price\n1,2\n")
        write("b.csv", "x,prize\n1,2\n")
        write("c.csv", "x\n1\n")
        assert refusal(DataError, read, ["a.csv", "b.csv"]) == (
            snapshot("b.csv: has no column 'price', unlike a.csv; did you mean 'prize'?")
        )
        assert refusal(DataError, read, ["a.csv", "c.csv"]) == (
            snapshot("c.csv: has no column 'price', unlike a.csv")
        )

    @pytest.mark.parametrize("read", [read_table, read_header])
    def test_a_file_with_another_column_is_refused(self, read):
        write("a.csv", "x\n1\n")
        write("b.csv", "x,y,z\n1,2,3\n")
        assert refusal(DataError, read, ["a.csv", "b.csv"]) == (
            snapshot("b.csv: has columns 'y', 'z', unlike a.csv")
        )

    def test_rows_are_counted_within_their_own_file(self):
        write("a.csv", "x\n1\n2\n")
        write("b.csv", "x\n3\n\n4\nfive\n")
        table = read_table(["a.csv", "b.csv"])
        assert table.row_numbers.tolist() == [1, 2, 1, 2, 3]
        assert [table.where(at) for at in (1, 2, 4)] == [("a.csv", 2), ("b.csv", 1), ("b.csv", 3)]
        assert table.file_names().to_pylist() == ["a.csv", "a.csv", "b.csv", "b.csv", "b.csv"]
        assert refusal(DataError, table.numbers, "x") == (
            snapshot("b.csv: row 3, column 'x': expected a finite number, got 'five'")
        )

    def test_selected_rows_keep_their_file_and_row_number(self):
        write("a.csv", "x\n1\n2\n")
        write("b.csv", "x\n3\nfour\n")
        table = read_table(["a.csv", "b.csv"]).take(np.array([3, 0]))
        assert [table.where(at) for at in (0, 1)] == [("b.csv", 2), ("a.csv", 1)]
        parts = list(read_table(["a.csv", "b.csv"]).parts(3))
        assert parts[1].where(0) == ("b.csv", 2)

    def test_a_malformed_row_is_reported_with_its_own_file(self):
        write("parts/a.csv", "x,y\n1,2\n")
        write("parts/b.csv", "x,y\n1,2\n3\n")
        assert refusal(DataError, read_table, "parts/*.csv") == (
            snapshot("parts/b.csv: row 2: has 1 field, but the header has 2 (line 3 of the file)")
        )

    @pytest.mark.parametrize("on_disk", [None, Path()])
    def test_columns_that_are_omitted_of_parquet_may_be_in_files_of_another_format(self, on_disk):
        table = pa.table({"x": [1, 2], "more": [3, 4], "y": [5, 6]})
        pq.write_table(table, "parts/a.parquet")
        write("parts/b.jsonl", '{"x": 7, "more": 8, "y": 9}\n')
        found = read_table("parts/*", storage=Storage(on_disk), columns=["x", "y"])
        assert (found.columns, found.unread) == (("x", "y"), ("more",))
        assert found.data.column("x").to_pylist() == [1, 2, 7]
        assert found.data.column("y").to_pylist() == [5, 6, 9]

    def test_one_file_may_have_no_rows(self):
        write("a.csv", "x\n")
        write("b.csv", "x\n1\n")
        assert read_table(["a.csv", "b.csv"]).where(0) == ("b.csv", 1)

    def test_all_files_without_rows_are_refused(self):
        write("parts/a.csv", "x\n")
        write("parts/b.csv", "x\n")
        found = refusal(DataError, read_table, "parts/*.csv")
        assert found == "parts/*.csv: has a header but no rows"

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("parts/*.csv", "parts/*.csv"),
            (["parts/a.csv", "parts/b.csv"], "parts/a.csv and 1 more"),
            (["parts/a.csv"], "parts/a.csv"),
            ("parts/a*", "parts/a.csv"),
        ],
    )
    def test_several_files_have_one_name(self, source: Source, name):
        write("parts/a.csv", "x\n1\n")
        write("parts/b.csv", "x\n1\n")
        assert read_table(source).file == name

    def test_all_files_share_one_notation_of_numbers(self):
        write("a.csv", "x;y\n1,5;u\n2,5;u\n")
        write("b.csv", "x;y\n1,234;u\n")
        table = read_table(["a.csv", "b.csv"])
        assert table.numbers("x").tolist() == [1.5, 2.5, 1.234]

    def test_a_remark_on_all_files_is_made_once(self):
        write("parts/a.csv", "x;y\n1;u\n")
        write("parts/b.csv", "x;y\n2;u\n")
        assert read_table("parts/*.csv").notes == ("parts/*.csv: the delimiter is ';'",)

    def test_a_remark_on_one_file_names_it(self):
        write("parts/a.csv", "x;y\n1;u\n")
        write("parts/b.csv", "x,y\n2,u\n")
        assert read_table("parts/*.csv").notes == ("parts/a.csv: the delimiter is ';'",)


class TestTypes:
    def test_numbers_of_several_types_are_joined(self):
        pq.write_table(pa.table({"x": [1, 2]}), "a.parquet")
        pq.write_table(pa.table({"x": [0.5, None]}), "b.parquet")
        table = read_table(["a.parquet", "b.parquet"])
        np.testing.assert_array_equal(table.numbers("x"), [1, 2, 0.5, np.nan])

    def test_a_column_without_a_value_takes_any_type(self):
        pq.write_table(pa.table({"x": pa.nulls(1), "y": ["u"]}), "a.parquet")
        pq.write_table(pa.table({"x": [1], "y": pa.array(["v"], pa.large_string())}), "b.parquet")
        table = read_table(["a.parquet", "b.parquet"])
        np.testing.assert_array_equal(table.numbers("x"), [np.nan, 1])
        assert table.texts("y").tolist() == ["u", "v"]

    def test_numbers_in_one_file_and_text_in_another_are_refused(self):
        pq.write_table(pa.table({"x": [1, 2]}), "a.parquet")
        pq.write_table(pa.table({"x": ["u"]}), "b.parquet")
        assert refusal(DataError, read_table, ["a.parquet", "b.parquet"]) == (
            snapshot(
                "b.parquet: can't be combined with a.parquet: Unable to merge: Field x has incompatible "
                "types: int64 vs string"
            )
        )

    @pytest.mark.parametrize("stored", [None, Path("stored")])
    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            (
                pa.array([1, 2**53 + 1]),
                pa.array([0.5]),
                snapshot(
                    "a.parquet: column 'x': holds int64; because of the other files, it is read as "
                    "double, which can't hold all values exactly; save all files with the same type"
                ),
            ),
            (
                pa.array([-1]),
                pa.array([2**63], pa.uint64()),
                snapshot(
                    "b.parquet: column 'x': holds uint64; because of the other files, it is read as "
                    "int64, which can't hold all values exactly; save all files with the same type"
                ),
            ),
        ],
    )
    def test_numbers_without_a_common_type_are_refused(self, first, second, expected, stored):
        Path("stored").mkdir()
        pq.write_table(pa.table({"x": first}), "a.parquet")
        pq.write_table(pa.table({"x": second}), "b.parquet")

        def read():
            read_table(["a.parquet", "b.parquet"], storage=Storage(stored))

        assert refusal(DataError, read) == expected

    @pytest.mark.parametrize("stored", [None, Path("stored")])
    def test_integers_that_fit_a_double_are_joined_with_fractions(self, stored):
        Path("stored").mkdir()
        pq.write_table(pa.table({"x": [1, 2**53]}), "a.parquet")
        pq.write_table(pa.table({"x": [0.5]}), "b.parquet")
        table = read_table(["a.parquet", "b.parquet"], storage=Storage(stored))
        assert table.numbers("x").tolist() == [1, 9007199254740992, 0.5]

    @pytest.mark.parametrize("stored", [None, Path("stored")])
    def test_text_and_typed_values_in_one_table_are_refused(self, stored):
        Path("stored").mkdir()
        write("a.csv", "x\n1\n")
        pq.write_table(pa.table({"x": [1, 2]}), "b.parquet")

        def read():
            read_table(["a.csv", "b.parquet"], storage=Storage(stored))

        assert refusal(DataError, read) == (
            snapshot(
                "b.parquet: can't be combined with a.csv: either all files must be text, such "
                "as CSV, or none; convert some"
            )
        )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5).filter(any))
def test_several_files_are_one_table(counts):
    rows = iter(range(99))
    parts = [[f"{next(rows)}" for _ in range(count)] for count in counts]
    for at, part in enumerate(parts):
        write(f"{at}.csv", "\n".join(["x", *part]))
    table = read_table([f"{at}.csv" for at in range(len(parts))])
    assert table.texts("x").tolist() == [value for part in parts for value in part]
    places = [
        (f"{at}.csv", row) for at, part in enumerate(parts) for row in range(1, 1 + len(part))
    ]
    assert [table.where(index) for index in range(table.rows)] == places
