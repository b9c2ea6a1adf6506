from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

import dlcli.tables.table
from dlcli.errors import DataError, UsageError
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_header, read_table

IN_MEMORY = "table.parquet"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content: str | bytes, name: str = "data.csv") -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def column(*values, storage=None, missing=()) -> Table:
    """A table with one column `x`, as read from Parquet."""
    data = pa.table({"x": pa.array(values, storage)})
    return Table(IN_MEMORY, data, np.arange(1, len(values) + 1), {"x": tuple(missing)})


def csv_column(*values: str, missing=()) -> Table:
    """A table with one column `x`, as read from CSV."""
    return column(*values, storage=pa.string(), missing=missing)


def message(error: type[Exception], call, *arguments) -> str:
    with pytest.raises(error) as caught:
        call(*arguments)
    return str(caught.value)


class TestReadingCsv:
    def test_fields_stay_text_exactly_as_written(self):
        table = read_table(write("zip,age\n01234, 5 \n"))
        assert table.keep("zip").to_pylist() == ["01234"]
        assert table.keep("age").to_pylist() == [" 5 "]

    def test_columns_and_rows_are_counted(self):
        table = read_table(write("a,b\n1,2\n3,4\n5,6\n"))
        assert (table.columns, table.rows) == (("a", "b"), 3)
        assert table.row_numbers.tolist() == [1, 2, 3]
        assert table.file == "data.csv"

    def test_spaces_around_names_are_stripped(self):
        assert read_table(write(" a , b\n1,2\n")).columns == ("a", "b")

    def test_words_for_null_are_plain_text_to_it(self):
        table = read_table(write("a\nNA\nnull\n"))
        assert table.texts("a").tolist() == ["NA", "null"]

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", ["", "end"])
    def test_any_newline_ends_a_row(self, newline, last):
        content = newline.join(["a,b", "1,2", "3,4"]) + (newline if last else "")
        assert read_table(write(content)).texts("b").tolist() == ["2", "4"]

    def test_blank_lines_are_not_rows(self):
        table = read_table(write("\na,b\n\n1,2\n\n3,4\n\n"))
        assert table.texts("a").tolist() == ["1", "3"]

    def test_a_byte_order_mark_is_not_part_of_the_first_name(self):
        assert read_table(write(b"\xef\xbb\xbfa,b\n1,2\n")).columns == ("a", "b")

    def test_a_name_may_hold_a_newline_and_a_comma(self):
        table = read_table(write('"first\nname, last",b\n1,2\n'))
        assert table.columns == ("first\nname, last", "b")
        assert table.texts("b").tolist() == ["2"]

    def test_an_index_column_without_a_name_gets_one(self):
        table = read_table(write(",a\n0,5\n"))
        assert (table.columns, table.nameless) == (("column_1", "a"), ("column_1",))

    def test_a_table_of_the_index_column_alone_names_it_likewise(self):
        assert read_table(write('""\n5\n')).columns == ("column_1",)

    def test_empty_columns_without_names_after_the_others_get_names(self):
        table = read_table(write("a,b,,\n1,x,,\n2,y, ,\n"))
        assert table.columns == ("a", "b", "column_3", "column_4")
        assert table.nameless == ()

    def test_a_quote_that_is_open_at_the_end_of_the_sample_is_not_an_error_of_the_header(self):
        rows = "".join(f"{row},\n" for row in range(5))
        assert read_table(write(f'a,\n{rows}"6\n7",\n')).columns == ("a", "column_2")

    def test_a_column_that_is_named_column_1_is_not_nameless(self):
        assert read_table(write("column_1,a\n0,5\n")).nameless == ()

    def test_a_tab_separates_the_fields_of_tsv(self):
        table = read_table(write("a\tb\n1,5\t2\n", "data.tsv"))
        assert table.texts("a").tolist() == ["1,5"]

    def test_a_tsv_without_tabs_has_commas(self):
        assert read_table(write("a,b\n1,2\n", "data.tsv")).columns == ("a", "b")

    @pytest.mark.parametrize("name", ["data.txt", "data.csv"])
    def test_a_header_with_tabs_and_no_comma_is_read_as_tsv(self, name):
        table = read_table(write("a\tb\n1,5\t2\n", name))
        assert table.columns == ("a", "b")
        assert table.texts("a").tolist() == ["1,5"]

    def test_standard_input_may_be_tsv(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\tb\n1\t2\n")))
        assert read_table("-").columns == ("a", "b")

    def test_a_tab_in_a_name_between_commas_is_not_a_delimiter(self):
        assert read_table(write("a\tb,c\n1,2\n")).columns == ("a\tb", "c")

    @pytest.mark.parametrize(
        ("content", "columns"),
        [
            ("a;b,c\n1,2\n", ("a;b", "c")),
            ("a;b\tc\n1\t2\n", ("a;b", "c")),
            ('"a;b"\n1\n', ("a;b",)),
        ],
    )
    def test_a_semicolon_may_be_part_of_a_name(self, content, columns):
        assert read_table(write(content)).columns == columns

    def test_standard_input_is_read_as_bytes(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a\né\n".encode())))
        table = read_table("-")
        assert (table.texts("a").tolist(), table.file) == (["é"], "standard input")

    def test_thousands_of_columns_are_read(self):
        names = [f"c{i}" for i in range(5000)]
        table = read_table(write(",".join(names) + "\n" + ",".join("7" * 5000) + "\n"))
        assert table.columns == tuple(names)
        assert table.numbers("c4999").tolist() == [7.0]

    def test_a_column_of_a_small_table_is_parsed_once(self):
        table = csv_column("1", "NA", missing=["NA"])
        assert table.column("x") is table.column("x")
        assert table.missing("x").tolist() == [False, True]
        assert replace(table, missing_words={}).missing("x").tolist() == [False, False]

    def test_a_column_of_a_large_table_is_not_kept(self, monkeypatch):
        monkeypatch.setattr(dlcli.tables.table, "VALUES_KEPT", 1)
        table = csv_column("1", "2")
        assert table.column("x") is not table.column("x")

    def test_a_field_longer_than_the_csv_module_allows_is_read(self):
        table = read_table(write('a,b\n1,"' + "x" * 200_000 + '\n"\n'))
        assert table.keep("b").to_pylist() == ["x" * 200_000 + "\n"]

    @settings(max_examples=50)
    @given(
        st.integers(1, 3).flatmap(
            lambda width: st.lists(
                st.lists(st.text('ab,"\n\r \t;é0', max_size=6), min_size=width, max_size=width),
                min_size=1,
                max_size=5,
            )
        )
    )
    def test_what_the_csv_module_writes_is_read_unchanged(self, records):
        names = [f"c{i}" for i in range(len(records[0]))]
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerows([names, *records])
        table = read_table(write(text.getvalue()))
        assert [table.keep(name).to_pylist() for name in names] == [
            list(values) for values in zip(*records, strict=True)
        ]


class TestRefusingCsv:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            pytest.param("", "is empty, expected a header and rows", id="empty"),
            pytest.param("\n\n", "is empty, expected a header and rows", id="blank"),
            pytest.param(b"\xef\xbb\xbf", "is empty, expected a header and rows", id="mark"),
            pytest.param("a,b", "has a header but no rows", id="header without newline"),
            pytest.param("a,b\n\n\n", "has a header but no rows", id="header and blank lines"),
            pytest.param(
                "Sales 2023,,\n,,\na,b,c\n1,2,3\n",
                "the header has names for 1 of 3 columns; name all columns; if it is a title, set data.skip_lines "
                "(--skip-lines in init and inspect)",
                id="title",
            ),
            pytest.param(
                "a,b\n1,2\n\n3\n",
                "row 2: has 1 field, but the header has 2 (line 4 of the file)",
                id="short row",
            ),
            pytest.param(
                'a,b\n"1\n1",2\n3,4,5\n',
                "row 2: has 3 fields, but the header has 2 (line 4 of the file)",
                id="long row",
            ),
            pytest.param(
                'a,b\n1,2\n3,"x\n5,6\n',
                "row 2: a closing quote is missing or not at the end of its field; see line 3",
                id="open quote in the last column",
            ),
            pytest.param(
                'a,b\n1,2\n"3,4\n5,6\n',
                "row 2: a closing quote is missing or not at the end of its field; see line 3",
                id="open quote in the first column",
            ),
            pytest.param(
                'a,b\n1,2\n3,"x',
                "row 2: a closing quote is missing or not at the end of its field; see line 3",
                id="open quote at the end",
            ),
            pytest.param(
                'a,b\n1,2\n3,"x ""\n',
                "row 2: a closing quote is missing or not at the end of its field; see line 3",
                id="doubled quote at the end",
            ),
            pytest.param(
                'a,"b\n1,2\n3,4\n',
                "in the header, a closing quote is missing or not at the end of its field",
                id="open quote in the header",
            ),
            pytest.param(
                "a,b\n1,2\n3,4\0\n",
                "row 2, column 'b': found a NUL byte, expected text; is the file damaged, or not a "
                "table?",
                id="NUL",
            ),
        ],
    )
    def test_a_bad_file_is_refused_with_its_position(self, content, expected):
        assert message(DataError, read_table, write(content)) == f"data.csv: {expected}"

    def test_a_byte_far_down_is_found(self):
        content = b"a,b\n" + b"\xc3\xa9,2\n" * 50_000 + b"3,\xff\n"
        found = message(DataError, read_table, write(content))
        assert found.startswith("data.csv: row 50001, column 'b': byte 0xff is not UTF-8")

    def test_an_open_quote_far_up_is_found(self):
        content = 'a,b\n1,2\n3,"4\n' + "5,6\n" * 100_000
        found = message(DataError, read_table, write(content))
        assert found.startswith("data.csv: row 2: a closing quote is missing")

    def test_the_csv_modules_limit_is_left_as_it_was(self):
        limit = csv.field_size_limit()
        message(DataError, read_table, write('a,b\n1,"2\n'))
        assert csv.field_size_limit() == limit


class TestOpening:
    def test_a_missing_file_gets_the_nearest_name_of_its_folder(self):
        Path("sub").mkdir()
        write("a\n1\n", "sub/iris.csv")
        expected = snapshot("sub/irs.csv: no such file; did you mean 'iris.csv'?")
        assert message(UsageError, read_table, "sub/irs.csv") == expected
        assert message(UsageError, read_table, "sub/cars.csv") == "sub/cars.csv: no such file"

    def test_no_similar_name_is_suggested_for_a_missing_folder(self):
        assert message(UsageError, read_table, "no/irs.csv") == "no/irs.csv: no such file"

    def test_a_folder_is_refused_as_a_file(self):
        Path("sub").mkdir()
        assert message(UsageError, read_header, "sub") == (
            snapshot(
                "sub: is a folder, expected a file; it contains no files that look like tables, "
                "such as .csv"
            )
        )
        write("a: 1", "sub/config.yaml")
        assert message(UsageError, read_header, "sub").endswith("like tables, such as .csv")

    def test_for_a_folder_the_ending_of_most_of_its_files_is_offered(self):
        Path("sub").mkdir()
        for name in ("_SUCCESS", "a.parquet", "b.parquet", "note.csv"):
            write("", f"sub/{name}")
        assert message(UsageError, read_table, "sub").endswith("use 'sub/*.parquet'")

    def test_for_a_folder_endings_of_tables_are_preferred(self):
        Path("sub").mkdir()
        for name in ("a.csv", "readme.txt", "notes.txt"):
            write("", f"sub/{name}")
        assert message(UsageError, read_table, "sub").endswith("use 'sub/*.csv'")

    def test_a_name_in_other_letters_is_the_first_guess(self):
        write("a\n1\n", "ax.csv")
        write("a\n1\n", "Ab.csv")
        assert message(UsageError, read_table, "ab.csv").endswith("did you mean 'Ab.csv'?")

    def test_an_impossible_file_name_is_explained(self):
        found = message(UsageError, read_table, "a\0b")
        assert found == r"'a\x00b': a file name can't contain a NUL character"

    def test_a_file_in_the_place_of_a_folder_is_explained(self):
        write("a\n1\n")
        found = message(UsageError, read_table, "data.csv/x.csv")
        assert found == "data.csv/x.csv: can't be opened: Not a directory"

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read anything")
    def test_a_file_without_permission_is_explained(self):
        Path(write("a\n1\n")).chmod(0)
        found = message(UsageError, read_table, "data.csv")
        assert found == "data.csv: can't be opened: Permission denied"


class TestReadingHeaders:
    def test_only_the_beginning_of_a_csv_is_read_for_its_header(self):
        content = " a ,b\n" + "1,2\n" * 100_000 + "a ragged row\n"
        assert read_header(write(content)) == ("a", "b")

    def test_a_parquet_header_comes_from_the_footer(self):
        pq.write_table(pa.table({"a": [1], "b": ["x"]}), "data.parquet")
        assert read_header("data.parquet") == ("a", "b")

    def test_json_lines_give_the_columns_of_all_rows(self):
        assert read_header(write('{"a": 1}\n{"b": 2}\n', "data.jsonl")) == ("a", "b")

    def test_a_header_that_is_damaged_utf8_is_refused(self):
        found = message(DataError, read_header, write(b"caf\xe9,\xc3\xa9\xc3\xa9\n1,2\n"))
        assert found.startswith("data.csv: in the header: byte 0xe9 is not UTF-8")

    def test_duplicates_are_numbered_as_in_pandas(self):
        assert read_header(write("a,a,b,a.1,a\n1,2,3,4,5\n")) == ("a", "a.2", "b", "a.1", "a.3")


class TestReadingParquet:
    def test_columns_stay_native(self):
        written = pa.table({"a": [1, None], "b": [True, False], "c": [[1], [2]]})
        pq.write_table(written, "data.parquet")
        assert read_table("data.parquet").data.equals(written)

    def test_a_truncated_file_is_refused(self):
        pq.write_table(pa.table({"a": list(range(1000))}), "whole.parquet")
        write(Path("whole.parquet").read_bytes()[:500], "cut.parquet")
        for read in (read_table, read_header):
            found = message(DataError, read, "cut.parquet")
            assert found.startswith("cut.parquet: is not a complete Parquet file; it may be")
            assert "\n" not in found

    def test_damaged_pages_are_refused(self):
        pq.write_table(pa.table({"a": list(range(1000))}), "data.parquet", use_dictionary=False)
        content = bytearray(Path("data.parquet").read_bytes())
        content[4:200] = b"\xff" * 196
        found = message(DataError, read_table, write(bytes(content), "bad.parquet"))
        assert found.startswith("bad.parquet: is not a complete Parquet file")

    def test_no_rows_are_refused(self):
        pq.write_table(pa.table({"a": pa.array([], pa.int64())}), "data.parquet")
        expected = snapshot("data.parquet: has a header but no rows")
        assert message(DataError, read_table, "data.parquet") == expected

    def test_duplicates_are_refused(self):
        twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
        pq.write_table(twice, "data.parquet")
        assert "contains 'a' more than once" in message(DataError, read_table, "data.parquet")


class TestReadingJsonLines:
    def test_values_stay_native_and_an_absent_key_is_missing(self):
        table = read_table(write('{"a": 1, "b": "x"}\n\n{"a": 2.5, "c": true}\n', "data.jsonl"))
        assert table.keep("a").to_pylist() == [1.0, 2.5]
        assert table.keep("b").to_pylist() == ["x", None]
        assert table.keep("c").to_pylist() == [None, True]

    def test_dates_in_json_are_text_and_keep_the_order_of_columns(self):
        table = read_table(write('{"a": 1, "day": "2024-03-31"}\n', "data.jsonl"))
        assert table.columns == ("a", "day")
        assert table.texts("day").tolist() == ["2024-03-31"]

    def test_a_column_of_nulls_is_missing_text(self):
        table = read_table(write('{"a": null}\n', "data.jsonl"))
        assert (table.column("a").kind, table.missing("a").tolist()) == ("text", [True])
        assert table.texts("a").tolist() == [None]

    def test_nested_values_are_refused_only_when_they_are_read(self):
        table = read_table(write('{"a": 1, "b": {"c": 2}}\n', "data.jsonl"))
        assert table.numbers("a").tolist() == [1.0]
        expected = "column 'b': expected single values, but the column holds struct<c: int64>"
        assert message(DataError, table.texts, "b") == f"data.jsonl: {expected}"

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            pytest.param(
                '{"a": 1}\n\n{"a": }\n',
                "row 2: expected one JSON object per line: Expecting value at character 7",
                id="bad line",
            ),
            pytest.param(
                '{"a": 1}\n[1]\n', "row 2: expected one JSON object per line: got a list", id="list"
            ),
            pytest.param(
                '{"a": 1}\n3\n', "row 2: expected one JSON object per line: got a number", id="3"
            ),
            pytest.param(  # at both of these, pyarrow 26 crashes
                '{"a": 1}\n\tnull\n', "row 2: expected one JSON object per line: got null", id="nul"
            ),
            pytest.param(
                '{"a": 1} null\n',
                "row 1: expected one JSON object per line: Extra data at character 10",
                id="null after an object",
            ),
            pytest.param(
                '{"a": 1}\n{"a": 1, "a": 2}\n',
                "row 2: expected one JSON object per line: key 'a' occurs twice",
                id="key twice",
            ),
            pytest.param(
                '{"a": 1}\n{"a": null}\n{"a": "x"}\n',
                "row 3, column 'a': expected a number as in earlier rows, got text",
                id="mixed types",
            ),
            pytest.param(
                '[{"a": 1},\n{"a": 2}',
                "expected a comma or the end of the JSON array after row 2",
                id="array without end",
            ),
            pytest.param(
                '[{"a": 1},\n{"a": }]',
                "row 2: expected a JSON object: Expecting value, in line 2",
                id="array with an error",
            ),
        ],
    )
    def test_a_bad_file_is_refused_with_its_position(self, content, expected):
        found = message(DataError, read_table, write(content, "data.jsonl"))
        assert found == f"data.jsonl: {expected}"

    def test_a_json_array_is_read_like_json_lines(self):
        objects = ['{"a": 1, "b": "x, ]\\n"}', '{"a": 2.5,\n "c": [{"d": 1}]}', "{}"]
        lines = "\n".join(each.replace("\n", "") for each in objects)
        array = read_table(write(f" [\n{', '.join(objects)} ]\n", "data.json"))
        assert array.data.equals(read_table(write(lines, "data.jsonl")).data)
        assert array.file_notes == ()

    def test_a_null_within_a_text_or_an_object_is_not_a_null_line(self):
        table = read_table(write('{"a": "} null"}\n{"a":\tnull}\n', "data.jsonl"))
        assert table.texts("a").tolist() == ["} null", None]

    def test_bytes_that_are_not_utf8_are_refused(self):
        found = message(DataError, read_table, write(b'{"a": 1}\n{"b": "\xe9"}\n', "data.jsonl"))
        assert found == "data.jsonl: row 2: byte 0xe9 is not UTF-8; save the file as UTF-8"

    def test_truncated_json_is_reported_with_its_position(self):
        found = message(DataError, read_table, write('{"a": 1}\n{"a": \n', "data.jsonl"))
        assert found == (
            "data.jsonl: row 2: expected one JSON object per line: Expecting value at character 7"
        )

    def test_empty_objects_are_not_a_table(self):
        found = message(DataError, read_table, write("{}\n{}\n", "data.jsonl"))
        assert found == "data.jsonl: has no columns"


class TestMissing:
    def test_blank_fields_and_declared_words_are_missing(self):
        table = read_table(write('a,b\n"",\n  ,x\n ?,y\nNA,z\n'), missing=lambda _: ("?",))
        assert table.missing("a").tolist() == [True, True, True, False]
        assert table.missing("b").tolist() == [True, False, False, False]

    def test_nulls_and_nan_are_missing_numbers(self):
        assert column(1.0, None, float("nan")).missing("x").tolist() == [False, True, True]

    def test_declared_words_count_in_dictionaries_too(self):
        storage = pa.dictionary(pa.int8(), pa.string())
        table = column("a", "?", None, storage=storage, missing=("?",))
        assert table.missing("x").tolist() == [False, True, True]
        assert table.column("x").kind == "text"

    @pytest.mark.parametrize("word", ["-999", "-999.0", " -9.99e2 "])
    @pytest.mark.parametrize(
        "storage", [pa.int16(), pa.int64(), pa.float16(), pa.float64(), pa.decimal128(5, 2)]
    )
    def test_declared_numbers_count_by_their_value_in_numbers(self, word, storage):
        values = [np.float16(v) if storage == pa.float16() else v for v in (-999, 1)]
        table = column(*values, None, storage=storage, missing=("NA", word))
        assert table.missing("x").tolist() == [True, False, True]
        np.testing.assert_array_equal(table.numbers("x"), [np.nan, 1.0, np.nan])
        assert table.codes("x")[0].tolist() == [-1, 0, -1]
        assert table.texts("x").tolist() == [None, "1", None]

    def test_a_declared_fraction_is_found_among_32_bit_floats(self):
        table = column(0.1, 0.2, storage=pa.float32(), missing=("0.1",))
        assert table.missing("x").tolist() == [True, False]

    def test_a_declared_fraction_is_not_rounded_to_an_integer(self):
        assert column(0, 1, missing=("0.5",)).missing("x").tolist() == [False, False]

    @pytest.mark.parametrize("storage", [pa.float16(), pa.float32(), pa.float64()])
    def test_declared_infinities_are_found_among_numbers(self, storage):
        values = [np.float16(v) if storage == pa.float16() else v for v in (np.inf, 1, -np.inf)]
        table = column(*values, storage=storage, missing=("inf", "-Infinity"))
        assert table.missing("x").tolist() == [True, False, True]
        np.testing.assert_array_equal(table.numbers("x"), [np.nan, 1.0, np.nan])

    @pytest.mark.parametrize("word", ["-999", "-999.0"])
    def test_a_declared_whole_number_counts_with_and_without_point_in_text(self, word):
        table = csv_column("-999", "-999.0", "-9990", missing=(word,))
        assert table.missing("x").tolist() == [True, True, False]

    def test_it_follows_the_offset_of_a_slice(self):
        data = pa.table({"x": [1, None, None, 4, 5]}).slice(2)
        table = Table(IN_MEMORY, data, np.array([3, 4, 5]))
        assert table.missing("x").tolist() == [True, False, False]
        assert table.numbers("x")[1:].tolist() == [4.0, 5.0]
        assert table.texts("x").tolist() == [None, "4", "5"]


class TestKind:
    @pytest.mark.parametrize(
        ("storage", "kind"),
        [
            (pa.string(), "text"),
            (pa.large_string(), "text"),
            (pa.dictionary(pa.int32(), pa.string()), "text"),
            (pa.null(), "text"),
            (pa.uint8(), "number"),
            (pa.float16(), "number"),
            (pa.decimal128(5, 2), "number"),
            (pa.bool_(), "boolean"),
            (pa.date32(), "other"),
            (pa.timestamp("us"), "other"),
            (pa.list_(pa.int64()), "other"),
            (pa.binary(), "other"),
        ],
    )
    def test_the_storage_gives_the_kind(self, storage, kind):
        assert column(storage=storage).column("x").kind == kind


class TestNumbers:
    def test_text_is_parsed(self):
        table = csv_column("1.5", " 2 ", "1e-3", "-.5", "+4", "5.", "", "n", missing=["n"])
        expected = [1.5, 2.0, 0.001, -0.5, 4.0, 5.0, np.nan, np.nan]
        np.testing.assert_array_equal(table.numbers("x"), expected)

    @pytest.mark.parametrize("text", ["abc", "0x1A", "1_000", "1,5", "1 2", "nan", "nan(1)", "1e"])
    def test_text_that_is_not_a_number_is_refused_with_its_row(self, text):
        found = message(DataError, csv_column("1", "", text, "zzz").numbers, "x")
        expected = f"row 3, column 'x': expected a finite number, got '{text}'"
        assert found.startswith(f"{IN_MEMORY}: {expected}")

    @pytest.mark.parametrize("text", ["inf", "-Infinity", "1e400"])
    def test_an_infinity_is_refused_with_its_row(self, text):
        found = message(DataError, csv_column("1", text).numbers, "x")
        assert found.endswith(f"row 2, column 'x': expected a finite number, got '{text}'")

    def test_a_native_infinity_is_refused_with_its_row(self):
        found = message(DataError, column(1.0, float("-inf")).numbers, "x")
        assert found.endswith("row 2, column 'x': expected a finite number, got '-inf'")

    @pytest.mark.parametrize("word", ["NA", "N/A", "nan", "NaN", "null", "None", "?", "-"])
    def test_a_usual_word_for_missing_gets_a_suggestion(self, word):
        found = message(DataError, csv_column("1", word).numbers, "x")
        assert found.endswith(
            f"got '{word}'; if it means a missing value, add \"{word}\" to data.missing"
        )

    def test_a_long_value_is_cut(self):
        found = message(DataError, csv_column("y" * 99).numbers, "x")
        assert found.endswith(f"got '{'y' * 40}...'")

    @pytest.mark.parametrize(
        ("values", "storage"),
        [
            ([1, None], pa.int8()),
            ([1, None], pa.uint64()),
            ([1.0, None], pa.float32()),
            ([np.float16(1), None], pa.float16()),
            ([Decimal("1.00"), None], pa.decimal128(5, 2)),
            (["1", None], pa.large_string()),
        ],
    )
    def test_numbers_of_every_storage_type_are_read(self, values, storage):
        numbers = column(*values, storage=storage).numbers("x")
        np.testing.assert_array_equal(numbers, [1.0, np.nan])
        assert numbers.dtype == np.float64

    def test_large_integers_are_rounded_to_floats(self):
        assert column(2**60 + 1).numbers("x").tolist() == [2.0**60]

    @pytest.mark.parametrize(
        ("value", "held"), [(True, "bool"), (date(2024, 3, 31), "date32[day]")]
    )
    def test_other_kinds_are_refused(self, value, held):
        found = message(DataError, column(value).numbers, "x")
        assert found == f"{IN_MEMORY}: column 'x': expected numbers, but the column holds {held}"

    def test_a_result_may_be_changed_in_place(self):
        table = column(1.0, 2.0)
        table.numbers("x")[0] = 9.0
        assert table.numbers("x").tolist() == [1.0, 2.0]

    @pytest.mark.parametrize(
        ("values", "looks"),
        [
            (["1", "", "2.5"], True),
            (["1", "inf"], True),
            (["1", "nan"], False),
            (["1", "NA"], False),
            (["", " "], False),
            ([1, None], True),
            ([float("nan")], False),
            ([True], False),
            ([date(2024, 3, 31)], False),
        ],
    )
    def test_a_column_looks_numeric_if_all_its_values_are_numbers(self, values, looks):
        assert column(*values).column("x").looks_numeric() is looks


class TestBooleans:
    @pytest.mark.parametrize(
        "values",
        [
            ["true", "FALSE", ""],
            [" True", "false ", None],
            ["1", "0", ""],
            ["1.0", "0.0", ""],
            [1, 0, None],
            [1.0, 0.0, float("nan")],
            [True, False, None],
        ],
    )
    def test_words_and_digits_are_read_as_booleans(self, values):
        np.testing.assert_array_equal(column(*values).booleans("x"), [1.0, 0.0, np.nan])

    @pytest.mark.parametrize(("value", "shown"), [("yes", "yes"), (2, "2"), (0.5, "0.5")])
    def test_another_value_is_refused_with_its_row(self, value, shown):
        found = message(DataError, column(None, value).booleans, "x")
        expected = f"row 2, column 'x': expected true, false, 1 or 0, got '{shown}'"
        assert found == f"{IN_MEMORY}: {expected}"

    def test_other_kinds_are_refused(self):
        found = message(DataError, column(date(2024, 3, 31)).booleans, "x")
        assert found.endswith("expected booleans, but the column holds date32[day]")

    @pytest.mark.parametrize(
        ("values", "looks"),
        [
            (["true", "", "False"], True),
            (["true", "1"], False),
            (["1", "0"], False),
            (["", ""], False),
            ([True, None], True),
            ([1, 0], False),
        ],
    )
    def test_a_column_looks_boolean_if_all_its_values_are_booleans(self, values, looks):
        assert column(*values).column("x").looks_boolean() is looks


class TestCategories:
    @pytest.mark.parametrize(
        ("values", "storage", "texts"),
        [
            ([" a ", "01", "3.0", ""], pa.string(), ["a", "01", "3", None]),
            (["-12.00", "0.0", "-0.0"], pa.string(), ["-12", "0", "0"]),
            (
                ["01.0", "3.", "3.10", "v3.0", "1.0.0"],
                None,
                ["01.0", "3.", "3.10", "v3.0", "1.0.0"],
            ),
            (["True", "TRUE", " false", "Truer"], None, ["true", "true", "false", "Truer"]),
            (["False", "3.0"], pa.large_string(), ["false", "3"]),
            ([3, None, -1], pa.int64(), ["3", None, "-1"]),
            ([3.0, 0.5, -0.0, 1e15, None], pa.float64(), ["3", "0.5", "0", "1" + "0" * 15, None]),
            ([float("nan"), float("inf")], pa.float64(), [None, "inf"]),
            ([3.0, 0.1], pa.float32(), ["3", "0.1"]),
            ([np.float16(3), np.float16(0.5)], pa.float16(), ["3", "0.5"]),
            ([Decimal("3.00"), Decimal("3.50"), Decimal("30.00")], None, ["3", "3.5", "30"]),
            ([True, False, None], pa.bool_(), ["true", "false", None]),
            ([date(2024, 3, 31)], pa.date32(), ["2024-03-31"]),
            (["a", None], pa.dictionary(pa.int8(), pa.string()), ["a", None]),
            ([b"a"], pa.binary(), ["a"]),
        ],
    )
    def test_equal_values_have_equal_texts_whatever_their_storage(self, values, storage, texts):
        assert column(*values, storage=storage).texts("x").tolist() == texts

    def test_codes_number_the_texts_in_the_order_of_their_first_row(self):
        codes, categories = csv_column("b", " a", "", "b ", "?", "a", missing=("?",)).codes("x")
        assert codes.tolist() == [0, 1, -1, 0, -1, 1]
        assert codes.dtype == np.int64
        assert categories == ["b", "a"]

    def test_spellings_of_one_value_are_one_category(self):
        codes, categories = csv_column("3.0", "True", "3", "true").codes("x")
        assert (codes.tolist(), categories) == ([0, 1, 0, 1], ["3", "true"])

    def test_values_as_stored_are_kept(self):
        assert csv_column("True", "3.0").keep("x").to_pylist() == ["True", "3.0"]

    def test_codes_span_the_chunks_of_a_column(self):
        chunks = pa.chunked_array([["a", "b"], [None, "b", "c"]])
        table = Table(IN_MEMORY, pa.table({"x": chunks}), np.arange(1, 6))
        codes, categories = table.codes("x")
        assert (codes.tolist(), categories) == ([0, 1, -1, 1, 2], ["a", "b", "c"])

    def test_bytes_that_are_not_text_are_refused(self):
        found = message(DataError, column(b"\xff").texts, "x")
        assert found.endswith(
            "'x': expected values that can be written as text, but the column holds binary"
        )


RECORDS = st.fixed_dictionaries(
    {
        "number": st.none() | st.integers(-4000, 4000).map(lambda quarters: quarters / 4),
        "whole": st.none() | st.integers(-3, 3).map(float),
        "flag": st.none() | st.booleans(),
        "text": st.none() | st.sampled_from(["a", " b ", "", "True", "TRUE", "01", "3.0", 'é,"']),
    }
)
STORAGE = pa.schema(
    {"number": pa.float64(), "whole": pa.float64(), "flag": pa.bool_(), "text": pa.string()}
)


class TestFormats:
    @pytest.mark.slow
    @given(st.lists(RECORDS, min_size=1, max_size=8), st.sampled_from(["3", "-2.0", "a", "?"]))
    def test_one_table_is_the_same_in_every_format(self, records, missing):
        with Path("data.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, STORAGE.names)
            writer.writeheader()
            writer.writerows(records)
        pq.write_table(pa.Table.from_pylist(records, STORAGE), "data.parquet")
        write("".join(json.dumps(record) + "\n" for record in records), "data.jsonl")
        first, *others = (
            read_table(f"data.{ending}", lambda _: (missing,))
            for ending in ("csv", "parquet", "jsonl")
        )
        for other in others:
            for name in STORAGE.names:
                assert other.missing(name).tolist() == first.missing(name).tolist()
                assert other.texts(name).tolist() == first.texts(name).tolist()
                assert other.codes(name)[0].tolist() == first.codes(name)[0].tolist()
                assert other.codes(name)[1] == first.codes(name)[1]
            for name in ("number", "whole"):
                np.testing.assert_array_equal(other.numbers(name), first.numbers(name))
            np.testing.assert_array_equal(other.booleans("flag"), first.booleans("flag"))


class TestTake:
    def test_selected_rows_are_in_the_given_order_and_keep_their_numbers(self):
        table = csv_column("a", "b", "c", "zz").take(np.array([3, 1, 0]))
        assert table.texts("x").tolist() == ["zz", "b", "a"]
        assert table.row_numbers.tolist() == [4, 2, 1]
        assert "row 4, column 'x'" in message(DataError, table.numbers, "x")

    def test_a_table_may_have_no_rows(self):
        table = csv_column("a").take(np.array([], dtype=np.int64))
        assert table.rows == 0
        assert table.numbers("x").tolist() == []
        assert table.texts("x").tolist() == []
        assert not table.column("x").looks_numeric()
        assert not table.column("x").looks_boolean()

    def test_missing_words_are_kept(self):
        table = csv_column("a", "?", missing=("?",)).take(np.array([1]))
        assert table.missing("x").tolist() == [True]


@pytest.mark.slow
def test_pandas_is_not_imported_even_where_it_is_installed(tmp_path):
    write("", "pandas.py")
    write('a,b,c\n1.5,x,true\n,"y",false\n')
    pq.write_table(pa.table({"a": [1.5, None], "b": ["x", "y"], "c": [True, None]}), "p.parquet")
    write('{"a": 1.5, "b": "x", "c": true}\n', "data.jsonl")
    write(gzip.compress('a;b;c\n"1,5";é;true\n1.234,5;ü;false\n'.encode("latin-1")), "text.gz")
    schema = pa.schema({"a": pa.int8(), "b": pa.string(), "c": pa.bool_()})
    with pa.ipc.new_file("data.arrow", schema) as writer:
        writer.write_table(pa.table({"a": [1], "b": ["x"], "c": [True]}, schema))
    script = """if True:
        import sys
        import numpy as np
        from dlcli.tables.table_files import read_header, read_table
        files = ["data.csv", "p.parquet", "data.jsonl", "data.arrow", "text.gz"]
        for file in [*files, files[1::2]]:
            read_header(file)
            table = read_table(file, lambda _: ("?",)).take(np.array([0]))
            table.numbers("a"), table.missing("b"), table.texts("b"), table.booleans("c")
            b, c = table.column("b"), table.column("c")
            b.looks_numeric(), c.looks_boolean(), table.codes("a"), table.keep("a")
            table.file_notes, table.where(0), table.file_names(), b.numbers()
        assert "pandas" not in sys.modules
    """
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": path}
    )


def readings(table: Table, name: str) -> list[object]:
    """All values that are read from a column of text."""
    column = table.column(name)
    parsed = column.numbers()
    codes, categories = column.codes()
    return [
        column.missing().tolist(),
        np.array2string(parsed.values),
        parsed.unreadable.tolist(),
        column.looks_numeric(),
        column.looks_boolean(),
        column.canonical_texts().to_pylist(),
        column.present_texts().to_pylist(),
        column.usual_missing_words(),
        column.is_written(column.notation),
        column.is_written(Notation(",", ".")),
        (codes.tolist(), categories),
        (column.distinct.texts.to_pylist(), column.distinct.counts.tolist()),
        column.distinct.matches("[0-9]").tolist(),
    ]


CELL = st.none() | st.sampled_from(
    [
        "",
        " ",
        "NA",
        " NA ",
        "1",
        "2.50",
        "3.0",
        "007",
        "-1e3",
        "inf",
        "nan",
        "TRUE",
        "x",
        " é ",
        "1,5",
    ]
)


@pytest.mark.slow
@given(
    st.integers(1, 6).flatmap(
        lambda rows: st.lists(st.lists(CELL, min_size=rows, max_size=rows), min_size=8, max_size=20)
    )
)
@pytest.mark.parametrize("notation", [Notation(), Notation(decimal=",")])
def test_columns_that_are_parsed_together_are_read_as_each_alone(notation, columns):
    names = [f"x{at}" for at in range(len(columns))]
    data = pa.table(
        {name: pa.array(each, pa.string()) for name, each in zip(names, columns, strict=True)}
    )
    words = {name: ("NA", "1") if at % 3 else () for at, name in enumerate(names)}
    notations = dict.fromkeys(names[::2], notation)
    alone = Table(IN_MEMORY, data, np.arange(1, len(columns[0]) + 1), words, notations=notations)
    together = replace(alone)
    together.parse_together()
    for name in names:
        assert readings(together, name) == readings(alone, name)


def test_columns_parsed_for_a_table_are_reused_where_they_are_read_alike():
    data = pa.table({name: ["1", "NA", "x"] for name in "abcdefgh"})
    earlier = Table(IN_MEMORY, data, np.arange(1, 4))
    earlier.parse_together()
    table = replace(earlier, missing_words={"a": ("NA",)}, notations={"b": Notation(decimal=",")})
    table.reuse(earlier)
    reused = [name for name in "abcdefgh" if table.column(name) is earlier.column(name)]
    assert reused == list("cdefgh")
    assert table.missing("a").tolist() == [False, True, False]


def test_what_was_parsed_is_reused_with_other_usual_words_where_a_column_holds_none():
    data = pa.table({name: ["1", "NA" if name == "d" else "x"] for name in "abcdefgh"})
    earlier = Table(IN_MEMORY, data, np.arange(1, 3), dict.fromkeys("abcdefgh", ("NA",)))
    earlier.parse_together()
    table = replace(earlier, missing_words={"b": ("?",), "c": ("1",)})
    table.reuse(earlier)
    texts = [(table.column(name).distinct, earlier.column(name).distinct) for name in "abcd"]
    assert [ours is theirs for ours, theirs in texts] == [True, True, False, False]
    assert table.column("b").missing_words == ("?",)
    assert table.missing("c").tolist() == [True, False]
    assert table.missing("d").tolist() == [False, False]


def test_many_short_columns_take_few_calls_of_arrow(monkeypatch):
    # Each takes longer than the work on some hundred values: 10,000 columns took 30 seconds.
    calls = []
    trim = dlcli.tables.column.pc.utf8_trim_whitespace

    def counted(values):
        calls.append(len(values))
        return trim(values)

    monkeypatch.setattr(dlcli.tables.column.pc, "utf8_trim_whitespace", counted)
    header = ",".join(f"x{at}" for at in range(200))
    rows = "".join(",".join(f"{row}.{at}" for at in range(200)) + "\n" for row in range(3))
    table = read_table(write(f"{header}\n{rows}"))
    assert all(table.column(name).looks_numeric() for name in table.columns)
    assert len(calls) < 10 + 200
