"""Sheets of workbooks are read as the CSV files that they would be exported to."""

from __future__ import annotations

import io
import zipfile
import zlib
from base64 import b85decode
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from dlcli.errors import DataError
from dlcli.tables import source_files
from dlcli.tables.detected_layout import read_with_layout
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tables.table_formats import TableFormat
from dlcli.tables.workbook_limits import measure_workbook

openpyxl = pytest.importorskip("openpyxl")
AUTO = TableFormat()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(
    sheets: dict[str, list[list[object]]], merged: tuple[str, ...] = (), hidden: str = ""
) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for cells in merged:
            sheet.merge_cells(cells)
        if name == hidden:
            sheet.sheet_state = "hidden"
    book.save("data.xlsx")


def read(rows: list[list[object]], form: TableFormat = AUTO, merged: tuple[str, ...] = ()) -> Table:
    write({"Data": rows}, merged)
    return read_table("data.xlsx", form=form)


def columns(table: Table) -> dict[str, list[object]]:
    return table.data.to_pydict()


def refusal(form: TableFormat = AUTO) -> str:
    with pytest.raises(DataError) as caught:
        read_table("data.xlsx", form=form)
    return str(caught.value)


def test_cells_become_what_csv_contains():
    table = read(
        [
            ["day", "at", "count", "share", "ok", "code", "clock", "hours", "mixed"],
            [date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5), 3, 0.17, True, "007", time(3, 4)]
            + [timedelta(hours=30), 4],
            [date(2024, 2, 1), date(2024, 1, 3), 4, 1, False, "1", None, None, "n/k"],
        ]
    )
    assert columns(table) == {
        "day": ["2024-01-02", "2024-02-01"],
        "at": ["2024-01-02 03:04:05", "2024-01-03 00:00:00"],
        "count": [3, 4],
        "share": [0.17, 1.0],
        "ok": [True, False],
        "code": ["007", "1"],
        "clock": ["03:04:00", None],
        "hours": [108000, None],  # 30 h in seconds
        "mixed": ["4", "n/k"],
    }


def test_errors_are_missing_and_reported():
    table = read([["a", "b"], [1, "#N/A"], ["#DIV/0!", 2], [3, 4]])
    assert columns(table) == {"a": [1, None, 3], "b": [None, 2, 4]}
    assert table.warnings == (
        "data.xlsx: 2 cells with an error such as #N/A in 'a', 'b' count as missing",
    )


def test_empty_rows_and_columns_are_omitted():
    table = read([[None] * 4, [None, "a", "b", None], [None] * 4, [None, 1, 2, None]])
    assert columns(table) == {"a": [1], "b": [2]}


def test_titles_above_the_header_are_omitted():
    table = read([["Sales 2024", None], [None, None], ["draft", None], ["a", "b"], [1, 2], [3, 4]])
    assert columns(table) == {"a": [1, 3], "b": [2, 4]}
    assert table.notes == (
        "data.xlsx: 2 lines above the header omitted: 'Sales 2024', 'draft'; "
        "row 1 is row 5 of the sheet",
    )


def test_merged_cells_above_the_header_belong_to_each_of_its_names():
    rows = [["city", 2023, None, 2024, None], [None, "low", "high", "low", "high"]]
    table = read([*rows, ["Ulm", 1, 2, 3, 4]], merged=("A1:A2", "B1:C1", "D1:E1"))
    assert list(table.columns) == ["city", "2023 low", "2023 high", "2024 low", "2024 high"]
    assert table.rows == 1


def test_a_merged_cell_applies_to_all_its_rows():
    rows = [["city", "x"], ["Ulm", 1], [None, 2], ["Bern", 3], [None, 4]]
    assert columns(read(rows, merged=("A2:A3",)))["city"] == ["Ulm", "Ulm", "Bern", None]
    tall = [["city", "x"], [None, None], ["Ulm", 1]]  # a header of two rows each
    assert columns(read(tall, merged=("A1:A2", "B1:B2"))) == {"city": ["Ulm"], "x": [1]}


def test_layouts_of_text_apply_to_sheets():
    rows = [["x", 1], ["#", "note"], ["y", 2], ["Total", 3]]
    form = TableFormat(header="none", names=("kind", "n"), comment="#", footer="Total")
    assert columns(read(rows, form)) == {"kind": ["x", "y"], "n": [1, 2]}


def test_a_plain_workbook_with_another_sheet_can_be_predicted():
    trained = TableFormat(sheet="2023", skip_lines=2, footer="Total", columns=("a", "b"))
    assert columns(read([["b", "a"], [1, 2]], trained)) == {"b": [1], "a": [2]}
    with_totals = read([["b", "a"], ["Totally", 2], ["Total", 2]], trained)
    assert columns(with_totals) == {"b": ["Totally"], "a": [2]}


def test_a_second_header_line_below_a_title_is_found():
    rows = [[f"s{at}", at] for at in range(1, 6)]
    write({"Data": [["Prices"], [], ["shop", "price"], [None, "(EUR)"], *rows, ["Total", 15]]})
    said = list[str]()
    table, form = read_with_layout(Path("data.xlsx"), lambda _: (), AUTO, said.append)
    assert columns(table) == {
        "shop": [shop for shop, _ in rows],
        "price (EUR)": [price for _, price in rows],
    }
    assert form == TableFormat(header=2, skip_lines=2, footer="Total")
    assert [message.rpartition(" (")[2] for message in said] == [
        "data.header: 2)",
        "data.skip_lines: 2)",
        "data.footer: Total)",
    ]


def test_a_sheet_must_be_chosen_if_there_are_several():
    rows = [["a"], [1]]
    longer = [["a"], [2], [3]]
    write({"2023": rows, "2024": longer, "Notes": rows, "Empty": []}, hidden="Notes")
    assert refusal() == (
        "data.xlsx: has several sheets, '2023', '2024'; set data.sheet "
        "(--sheet in init and inspect); '2024' is the largest"
    )
    assert columns(read_table("data.xlsx", form=TableFormat(sheet="2024"))) == {"a": [2, 3]}
    assert refusal(TableFormat(sheet="Sales")) == (
        "data.xlsx: has no sheet 'Sales'; it has '2023', '2024', 'Notes', 'Empty'"
    )
    assert refusal(TableFormat(sheet="2042")) == (
        "data.xlsx: has no sheet '2042'; did you mean '2024'?"
    )


OPEN_DOCUMENT = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body>'
    '<office:spreadsheet><table:table table:name="T">{}</table:table></office:spreadsheet>'
    "</office:body></office:document-content>"
)


def open_document(rows: str) -> None:
    with zipfile.ZipFile("data.ods", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", OPEN_DOCUMENT.format(rows))


def text_cell(text: str, more: str = "") -> str:
    start = f'<table:table-cell office:value-type="string"{more}>'
    return f"{start}<text:p>{text}</text:p></table:table-cell>"


def test_open_document_sheets_are_read():
    number = '<table:table-cell office:value-type="percentage" office:value="0.17"/>'
    rows = [text_cell("a") + text_cell("b"), number + text_cell("x")]
    empty = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/>'
    open_document(
        "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
        + f"{empty}</table:table-row>"
    )
    assert columns(read_table("data.ods")) == {"a": [0.17], "b": ["x"]}


# Small files with large contents


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(source_files, "ALWAYS_ALLOWED", 2**20)


def rewrite(part: str, content: bytes) -> None:
    """Replace a part of data.xlsx."""
    with zipfile.ZipFile("data.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("data.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, old in {**parts, part: content}.items():
            archive.writestr(name, old)


STRINGS = "xl/sharedStrings.xml"
SHEET = "xl/worksheets/sheet1.xml"
CELL = b'<c r="%b" t="s"><v>0</v></c>'


def sheet_of(cells: bytes) -> bytes:
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return b'<worksheet xmlns="%b"><sheetData><row>%b</row></sheetData></worksheet>' % (main, cells)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    ("part", "content"),
    [
        (SHEET, sheet_of(CELL % b"A1" + CELL % b"XFD1048576")),  # 17 billion cells
        (SHEET, b" " * (2 << 20)),  # zeros
    ],
    ids=["far_apart", "blanks"],
)
def test_a_workbook_that_expands_too_far_is_refused(part, content):
    write({"Data": [["a"], [1]]})
    rewrite(part, content)
    assert "expands to over 1 MiB" in refusal()


@pytest.mark.usefixtures("little_memory")
def test_a_text_that_many_cells_share_counts_for_each():
    write({"Data": [["a"], [1]]})
    rewrite(STRINGS, b"<sst><si><t>%b</t></si></sst>" % (b"y" * 32_000))
    rewrite(SHEET, sheet_of(b"".join(CELL % f"A{row}".encode() for row in range(1, 100))))
    assert "expands to over 1 MiB" in refusal()


@pytest.mark.usefixtures("little_memory")
def test_repeated_cells_count_each_time():
    repeated = ' table:number-columns-repeated="16384"'
    row = f'<table:table-row table:number-rows-repeated="9">{text_cell("x", repeated)}'
    open_document(f"{row}</table:table-row>")
    with pytest.raises(DataError, match="expands to over"):
        read_table("data.ods")


def test_a_part_that_is_larger_than_the_directory_says_is_refused():
    write({"Data": [["a"], [1]]})
    content = bytearray(Path("data.xlsx").read_bytes())
    with zipfile.ZipFile("data.xlsx") as archive:
        sheet = archive.getinfo(SHEET)
    at = content.rindex(SHEET.encode()) - 46  # its entry in the directory
    content[at + 24 : at + 28] = (sheet.file_size - 1).to_bytes(4, "little")
    Path("data.xlsx").write_bytes(content)
    assert "expands to over" in refusal()


def test_binary_sheets_are_measured():
    def record(kind: int, data: bytes) -> bytes:
        return bytes([kind, len(data)]) + data

    row, column = (1_048_575).to_bytes(4, "little"), (16_383).to_bytes(4, "little")
    sheet = record(0, row + bytes(8)) + record(5, column + bytes(12)) + record(3, column + bytes(5))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("xl/worksheets/sheet1.bin", sheet)
    [size] = measure_workbook(archive, 2**50, "data.xlsb").values()
    assert (size.rows, size.columns, size.errors) == (1_048_576, 16_384, {16_383: 1})


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 no"])
def test_damaged_workbooks_are_refused(content):
    Path("data.xlsx").write_bytes(content)
    assert "is not a complete workbook" in refusal()


# .xls, as xlwt 1.3 writes a header and two rows
OLD = zlib.decompress(
    b85decode(
        "c-rk)J!n%=6#ni_()`foM^m8{LMT|Zwu891v`?klDW&S*4}vBpgH%!p4#q*NHKQOnDK3RNxKv&IK?lXf"
        "L8#~;2tuNxlc3O{&GVe|-m6JOXg~{<`-OY%x#!;R-jn-t-h21$LZUkRu(yU5jKGJw9Y#lkO;HMag*d3*"
        "wpsP^5GC7ST_GHzh3p96S=XB&uOY8@4H^&pFG&KQDV@MMj87E{={3YY@gb|&hhdTmcgPY&k9f5~<Y|!`"
        "Mc$W|&qeML%XN{%)V8XQW5F69*zNA(qq<M(qTqfX3+JO)cA^`vc^6;4p`5k>>@A(io?T}ZDSs#CKnprn"
        "C>Bawj^QpMz%jy5CNnfTT1Ao;dk#PBH1OR!)i2V<zP5G+vM)B<gMYAxXc1fOH?<#_hJ8v7NreJ58+b1q"
        "UP6jC1SHY^$WqGrfPA)0+67AG2uE~@0P&^>&?P6MlVlz-(Gzk$;^e~8y>IU_xe4o}Sf(ZFJI{tKGO~>;"
        "%ph`9YJ4klKo~njUX@-qi{2|TNq$n^Khf<f2WF(rHL2~VadrvbTU#6SZKPMe9(<Cje6hBZK0j8wn4JG$"
        "&7zN{B2Rq&&0tUss@u01Pc1K3ZXEd}vgfy$64G(kciVjc#<0w%h>#HJlz4X3N=dtO#cb8WzN8~!OUNv9"
        "dnIh19j8u{Pmf+{VQcBFnXQE#aoNtw@T`w$;&CNKzh8*Jz`(%3z`(%3zyK|GI@*0d_q*Q;{B9a_?{$_b"
        ")y*}@e~UwyqThM?sN9bt<t3Ec+CQ5RP+nhZl^pNBka2`YFJTfn@nf>>{YzhPs`3A<ni&6kN2uNL>+SgY"
        "kH`NB(2mZ3"
    )
)


def test_old_workbooks_are_read():
    Path("data.xls").write_bytes(OLD)
    assert columns(read_table("data.xls")) == {
        "a": [1, 2],
        "b": ["x", "y"],
        "day": ["2024-01-02", None],
    }
