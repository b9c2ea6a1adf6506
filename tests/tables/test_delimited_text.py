"""Delimited text: what stands between fields, and which characters its bytes are."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.errors import DataError
from dlcli.tables import delimited_text
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_header, read_table
from dlcli.tables.table_formats import CsvFormat, TableFormat

GUESS = (
    "data.csv: is not UTF-8; read as {}, which is a guess; if letters look wrong, set data.format: "
    "{{name: csv, encoding: ...}}"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(content: str | bytes, name: str = "data.csv", **declared: str) -> Table:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(name, form=TableFormat(CsvFormat(**declared)))


def refusal(content: bytes, **declared: str) -> str:
    with pytest.raises(DataError) as caught:
        read(content, **declared)
    return str(caught.value)


class TestDelimiter:
    @pytest.mark.parametrize(("delimiter", "called"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
    def test_it_is_found_and_reported(self, delimiter, called):
        table = read(f"a{delimiter}b\n1,5{delimiter}x\n2,5{delimiter}y\n")
        assert table.columns == ("a", "b")
        assert table.keep("a").to_pylist() == ["1,5", "2,5"]
        assert table.notes[0] == f"data.csv: the delimiter is {called}"

    def test_commas_are_not_reported(self):
        assert read("a,b\n1,2\n").file_notes == ()

    def test_tabs_are_not_reported_in_a_tsv(self):
        assert read("a\tb\n1\t2\n", "data.tsv").file_notes == ()

    def test_commas_in_a_tsv_are_reported(self):
        table = read("a,b\n1,2\n", "data.tsv")
        assert table.columns == ("a", "b")
        assert table.notes == ("data.tsv: the delimiter is ','",)

    def test_a_note_for_excel_is_no_header(self):
        assert refusal(b"sep=;\r\na;b\r\n1;2\r\n") == (
            snapshot("data.csv: its first line, 'sep=;', is meant for Excel; delete it")
        )

    def test_a_header_of_one_field_above_rows_of_more_is_doubted(self):
        assert refusal(b"# made in May\na,b\n1,2\n") == (
            snapshot(
                "data.csv: row 1: has 2 fields, but the header has 1 (line 2 of the file); is the header further down (data.skip_lines; --skip-lines in init and inspect), or are quotes missing around text?"
            )
        )

    def test_a_first_line_of_counts_above_rows_of_more_fields_is_doubted(self):
        message = refusal(b"178,4,class_0\n1.2,1.7,2.4,2.1,0\n1.3,1.8,2.1,3.2,1\n")
        assert "but the header has 3 (line 2 of the file); is the header further down" in message

    def test_spaces_may_follow_a_closing_quote_at_the_end_of_a_line(self):
        assert read('"a","1969  " \n"x" ,1 \n"y","2" \n').columns == ("a", "1969")
        assert refusal(b'"a","1969  " \n"x",1\nSource\n') == (
            "data.csv: row 2: has 1 field, but the header has 2 (line 3 of the file)"
        )

    def test_a_single_column_has_none(self):
        table = read("a\n1\n2\n")
        assert (table.columns, table.file_notes) == (("a",), ())

    def test_rows_decide_where_the_header_could_be_split_in_two_ways(self):
        table = read('"a;b",c;d\n1;2,3;4\n5,6;7\n')
        assert table.columns == ("a;b", "c;d")

    def test_a_delimiter_inside_quotes_separates_nothing(self):
        table = read('a;b\n"1;2";"x\n;y"\n')
        assert table.keep("a").to_pylist() == ["1;2"]
        assert table.keep("b").to_pylist() == ["x\n;y"]

    def test_two_that_fit_are_reported_and_the_one_with_more_columns_is_taken(self):
        table = read("a|b, c|d\n1|2, 3|4\n")
        assert table.columns == ("a", "b, c", "d")
        assert table.warnings == (
            "data.csv: the delimiter could be ',' or '|'; '|' was chosen; to choose, set "
            "data.format: {name: csv, delimiter: ...}",
        )

    def test_a_title_above_the_header_is_suspected(self):
        table = read("Sales of 2024\ndate;units;price\n3 May;3;4.5\n4 May;4;4.7\n")
        assert table.columns == ("Sales of 2024",)
        assert table.warnings == (
            "data.csv: the first line has no ';', but all other lines have 2; if it is a title, set "
            "data.skip_lines (--skip-lines in init and inspect)",
        )
        assert read("tags\na;b\nc\n").warnings == ()

    def test_spaces_separate_numbers_and_not_words(self):
        table = read("mpg year name\n18.0 70 amc\n15.5 71 audi\n")
        assert table.columns == ("mpg", "year", "name")
        assert table.notes == ("data.csv: the delimiter is a space",)
        assert read("full name\nAnn Lee\nBo Li\n").columns == ("full name",)
        assert read("a b\n1 2\n4 5 6\n").columns == ("a b",)

    def test_a_ragged_row_does_not_hide_it(self):
        assert refusal(b"a;b\n1,5;2\n3;4;5\n") == (
            snapshot("data.csv: row 2: has 3 fields, but the header has 2 (line 3 of the file)")
        )

    @pytest.mark.parametrize("delimiter", [":", " ", "~"])
    def test_any_other_may_be_declared(self, delimiter):
        table = read(f"a{delimiter}b\n1{delimiter}2\n", delimiter=delimiter)
        assert (table.columns, table.file_notes) == (("a", "b"), ())
        assert read_header("data.csv", TableFormat(CsvFormat(delimiter=delimiter))) == ("a", "b")

    def test_a_declaration_is_stronger_than_what_is_found(self):
        assert read("a,b;c\n1,2;3\n", delimiter=";").columns == ("a,b", "c")

    def test_the_first_records_are_cut_with_care(self):
        long = "x" * 100_000
        assert read(f"a;b\n1;{long}\n").columns == ("a", "b")


class TestHeader:
    @pytest.mark.parametrize(
        ("header", "shown"),
        [
            ("5.1,3.5,setosa", "'5.1', '3.5'"),
            ("7,3,2", "'7', '3', '2'"),
            ("-1,2", "'-1'"),
        ],
    )
    def test_numbers_for_names_are_reported_as_they_may_be_the_first_row(self, header, shown):
        assert read(f"{header}\n{header}\n").warnings == (
            f"data.csv: the header contains the names {shown}; if that is the first row of data, add a "
            "header above it",
        )

    @pytest.mark.parametrize("header", ["0,1,2", "x,2019,2020", "2019,2020", "12", "v1.2,1.2.3"])
    def test_other_names_with_digits_are_not_reported(self, header):
        assert read(f"{header}\n{header}\n").file_notes == ()


class TestQuotes:
    @pytest.mark.parametrize("field", [r'"say \"hi\""', r'"5\" pipe"'])
    def test_a_backslash_does_not_keep_a_quote_from_closing(self, field):
        assert refusal(f"a,b\n1,x\n2,{field}\n".encode()) == (
            snapshot(
                "data.csv: row 2: a closing quote is missing or not at the end of its field; see line 3"
            )
        )

    def test_so_it_is_where_the_file_is_read_in_blocks(self, monkeypatch):
        text = b'a,b\n1,x\n2,"5\\" pipe"\n'
        monkeypatch.setattr(delimited_text, "HEAD_BYTES", text.index(b"\\") + 1)
        assert refusal(text).startswith("data.csv: row 2: a closing quote is missing")

    def test_a_backslash_may_end_a_quoted_field(self):
        table = read('a,b\n"C:\\dir\\",1\n')
        assert table.keep("a").to_pylist() == ["C:\\dir\\"]

    def test_a_damaged_byte_before_a_backslash_and_a_quote_is_what_is_reported(self):
        rows = "ä,é\n1,ü\n".encode()
        assert refusal(rows + b'\xa4,"\\"\n') == (
            snapshot(
                "data.csv: row 2, column 'ä': byte 0xa4 is not UTF-8; save the file as UTF-8, or set "
                "its encoding: data.format: {name: csv, encoding: ...}"
            )
        )


class TestEncoding:
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize(
        "encoding",
        ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]
        + ["utf-32", "utf-32-le", "utf-32-be"],
    )
    def test_it_is_found(self, encoding, newline):
        text = newline.join(["näme;b", 'é;"ü', '"', ""])
        table = read(text.encode(encoding))
        assert table.columns == ("näme", "b")
        assert table.texts("näme").tolist() == ["é"]
        assert read_header("data.csv") == ("näme", "b")

    def test_a_byte_order_mark_is_not_reported(self):
        assert read("a,é\n1,2\n".encode("utf-8-sig")).file_notes == ()

    @pytest.mark.parametrize(
        "encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-le", "utf-32-be"]
    )
    def test_utf_16_and_utf_32_are_reported(self, encoding):
        assert read("a,b\n1,2\n".encode(encoding)).notes == (
            f"data.csv: is encoded as {encoding[:6].upper()}",
        )

    def test_a_big_endian_mark_is_used(self):
        assert read(b"\xfe\xff" + "a,é\n1,2\n".encode("utf-16-be")).columns == ("a", "é")

    def test_a_single_byte_encoding_is_a_guess(self):
        assert read("a\né\n".encode("latin-1")).warnings == (GUESS.format("latin-1"),)

    def test_a_euro_sign_identifies_cp1252(self):
        table = read("a\n5 €\n".encode("cp1252"))
        assert table.texts("a").tolist() == ["5 €"]
        assert table.warnings == (GUESS.format("cp1252"),)

    def test_a_byte_that_cp1252_has_not_leaves_latin_1(self):
        assert read(b"a\n\x80\n\x81\n").warnings == (GUESS.format("latin-1"),)

    def test_a_letter_at_the_end_of_the_file_counts(self):
        table = read("a\né".encode("latin-1"))
        assert table.texts("a").tolist() == ["é"]

    @pytest.mark.parametrize(
        ("encoding", "word"),
        [
            ("cp1251", "качество было плохое"),
            ("koi8_r", "качество было плохое"),
            ("cp1253", "η ποιότητα ήταν κακή"),
            ("cp866", "Москва"),
            ("gb18030", "北京"),
            ("gb18030", "王伟"),
            ("gb18030", "iPhone 手机 64GB"),
            ("cp1251", "Samsung Galaxy Новый"),
            ("big5", "臺北"),
            ("cp932", "東京"),
            ("cp932", "アパート"),
            ("cp949", "서울"),
        ],
    )
    def test_another_script_is_recognized(self, encoding, word):
        table = read(("a\n" + f"{word}\n" * 20).encode(encoding))
        assert table.texts("a")[0] == word
        assert table.warnings == (GUESS.format(encoding),)

    def test_names_of_columns_and_few_values_are_enough(self):
        rows = "".join(f"{at},{'男女'[at % 2]},yes\n" for at in range(20))
        table = read(f"年龄,性别,married\n{rows}".encode("gbk"))
        assert (table.columns, table.texts("性别")[1]) == (("年龄", "性别", "married"), "女")
        assert table.warnings == (GUESS.format("gb18030"),)

    @pytest.mark.parametrize(
        "word", ["Straße, Größe", "la qualité était mauvaise", "año", "é", "été", "élève", "°C"]
    )
    def test_western_text_is_not_taken_for_another_script(self, word):
        table = read(("a;b\n" + f"1;{word}\n" * 20).encode("latin-1"))
        assert table.texts("b")[0] == word
        assert table.warnings == (GUESS.format("latin-1"),)

    def test_mostly_valid_utf_8_is_damaged_utf_8(self):
        assert refusal(b"a,b\n1,\xc3\xa9\n2,\xc3\xa9\n3,x\xe9\n") == (
            snapshot(
                "data.csv: row 3, column 'b': byte 0xe9 is not UTF-8; save the file as UTF-8, or set "
                "its encoding: data.format: {name: csv, encoding: ...}"
            )
        )

    def test_a_character_across_blocks_is_whole(self):
        start = "a\n" + "x" * (2**20 - 3)  # the block ends within the next character
        assert read(start + "é\n" + "é\n").file_notes == ()

    def test_declared_it_is_used_and_not_reported(self):
        table = read("a\nж\n".encode("cp1251"), encoding="cp1251")
        assert (table.texts("a").tolist(), table.file_notes) == (["ж"], ())
        assert read_header("data.csv", TableFormat(CsvFormat(encoding="cp1251"))) == ("a",)

    def test_a_byte_that_the_declared_one_has_not_is_refused_with_its_place(self):
        assert refusal(b"a;b\n1;2\n3;\x81\n", encoding="cp1252") == (
            snapshot(
                "data.csv: row 2, column 'b': byte 0x81 is not CP1252; save the file as UTF-8, or set "
                "its encoding: data.format: {name: csv, encoding: ...}"
            )
        )

    def test_declared_utf_8_that_is_none_is_refused_with_its_place(self):
        found = refusal(b"a,b\n1,\xe9\n", encoding="utf-8")
        assert found.startswith("data.csv: row 1, column 'b': byte 0xe9 is not UTF-8")

    def test_declared_utf_16_that_is_none_is_refused(self):
        found = refusal(b"a,b\n1,2\n", encoding="utf-16")
        assert found.startswith("data.csv: is not encoded as utf-16, which data.format sets: ")

    def test_a_malformed_row_has_its_place_in_utf_16_too(self):
        found = refusal('a,b\n1,"2\n"\n3\n'.encode("utf-16"))
        assert found == "data.csv: row 2: has 1 field, but the header has 2 (line 4 of the file)"

    def test_standard_input_is_looked_at_too(self, monkeypatch):
        content = io.BytesIO("a;b\né;1,5\n".encode("latin-1"))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
        assert read_table("-").texts("a").tolist() == ["é"]


def quoted(field: str, special: set[str] | None) -> str:
    """A field as RFC 4180 has it: in quotes where it holds anything special, or always."""
    if special is None or special & set(field):
        return '"' + field.replace('"', '""') + '"'
    return field


FIELDS = st.text('ab é;,|\t"\n\r€', max_size=5)


@settings(max_examples=60)
@given(
    delimiter=st.sampled_from(",;|\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    sparingly=st.booleans(),
    records=st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=5),
    ended=st.booleans(),
)
def test_what_was_written_is_read(delimiter, encoding, newline, sparingly, records, ended):
    special = {*'"\r\n', delimiter} if sparingly else None
    lines = [["key", "one", "two"], *(["1", *record[1:]] for record in records)]
    written = newline.join(delimiter.join(quoted(f, special) for f in line) for line in lines)
    declared = {"delimiter": delimiter}
    if encoding == "cp1252":  # a text without any such letter is UTF-8 as well
        declared["encoding"] = encoding
    table = read((written + newline * ended).encode(encoding), **declared)
    assert table.keep("key").to_pylist() == ["1" for _ in records]
    assert table.keep("one").to_pylist() == [record[1] for record in records]
    assert table.keep("two").to_pylist() == [record[2] for record in records]


@settings(max_examples=40)
@given(
    delimiter=st.sampled_from(",;|\t"),
    records=st.lists(
        st.lists(st.text("abc 1.5", min_size=1, max_size=5), min_size=3, max_size=3),
        min_size=1,
        max_size=30,
    ),
)
def test_a_delimiter_is_found_where_no_other_occurs(delimiter, records):
    lines = [delimiter.join(record) for record in [["x", "y", "z"], *records]]
    assert read("\n".join(lines)).columns == ("x", "y", "z")


class TestReadingAhead:
    """pyarrow's thread, which aborts the process if Python ends before it has read its end."""

    def test_to_close_the_stream_is_to_wait_for_its_reader(self):
        stream, blocks = delimited_text._EndingWithNewline(io.BytesIO(b"x" * 10)), []

        def read_slowly():
            while block := stream.read(4):
                blocks.append(block)
                time.sleep(0.05)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        stream.close()
        assert stream._is_read.is_set()
        reader.join()
        assert blocks == [b"xxxx"]

    def test_it_waits_for_a_block_that_takes_long(self, monkeypatch):
        monkeypatch.setattr(delimited_text, "_SECONDS_TO_READ", 0.02)
        has_begun = threading.Event()

        class Slow(io.BytesIO):
            def read(self, size=-1):
                has_begun.set()
                time.sleep(0.2)
                return super().read(size)

        stream, blocks = delimited_text._EndingWithNewline(Slow(b"x")), []
        reader = threading.Thread(target=lambda: blocks.append(stream.read(4)))
        reader.start()
        has_begun.wait()
        stream.close()
        assert blocks == [b"x"]
        reader.join()

    def test_it_does_not_wait_for_a_reader_that_is_far_enough_ahead(self):
        stream = delimited_text._EndingWithNewline(io.BytesIO(b"x" * 10))
        stream.read(4)
        stream.close()
        assert stream.closed

    def test_a_refused_file_is_read_to_its_end(self, monkeypatch):
        ends, close = [], delimited_text._EndingWithNewline.close

        def spy(stream):
            close(stream)
            ends.append(stream._is_read.is_set())

        monkeypatch.setattr(delimited_text._EndingWithNewline, "close", spy)
        assert "row 2: has 1 field" in refusal(b"x,y\n1,2\n3\n")
        assert ends[0]
