"""Folders whose names give columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlcli.errors import DataError, UsageError
from dlcli.tables.source_files import expand
from dlcli.tables.table_files import read_header, read_table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, **columns):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def rows(source):
    return read_table(source).data.to_pydict()


def test_the_names_of_folders_are_columns_of_text():
    write("d/year=2024/month=02/b.parquet", x=[3])
    write("d/year=2024/month=01/a.parquet", x=[1, 2])
    assert rows("d") == {"x": [1, 2, 3], "year": ["2024"] * 3, "month": ["01", "01", "02"]}
    assert read_header(Path("d")) == ("x", "year", "month")


def test_numbers_in_names_are_numbers_where_they_are_read():
    write("d/year=2024/a.parquet", x=[1])
    write("d/year=2025/a.parquet", x=[1])
    assert read_table("d").column("year").looks_numeric()


def test_a_table_is_read_as_arrow_has_written_it():
    from pyarrow import dataset

    table = pa.table({"x": [1, 2, 3], "city": ["São Paulo/SP", None, "São Paulo/SP"]})
    form = dataset.partitioning(pa.schema([("city", pa.string())]), flavor="hive")
    dataset.write_dataset(table, "d", format="parquet", partitioning=form)
    found = rows("d")
    assert sorted(zip(found["x"], found["city"], strict=True)) == [
        (1, "São Paulo/SP"),
        (2, None),
        (3, "São Paulo/SP"),
    ]


def test_markers_of_those_who_wrote_a_folder_are_no_rows():
    write("d/k=1/a.parquet", x=[1])
    write("d/k=1/_tmp.parquet", x=[2])
    write("d/.old/k=2/a.parquet", x=[3])
    Path("d/_SUCCESS").touch()
    assert expand("d") == [Path("d/k=1/a.parquet")]


def test_a_folder_without_such_names_is_refused_as_before():
    write("d/a.parquet", x=[1])
    with pytest.raises(UsageError, match=r"d: is a folder, expected a file; .*\*.parquet"):
        read_table("d")


def test_of_partitions_only_parquet_is_read():
    Path("d/year=2024").mkdir(parents=True)
    Path("d/year=2024/a.csv").write_text("x\n1\n")
    message = r"^d: is a folder, expected a file; .* 'year=2024', only Parquet files are supported$"
    with pytest.raises(UsageError, match=message):
        read_table("d")


def test_other_folders_are_not_searched(monkeypatch):
    write("d/deeper/k=1/a.parquet", x=[1])
    monkeypatch.setattr("os.walk", lambda _: pytest.fail("reads all folders"))
    with pytest.raises(UsageError, match="d: is a folder"):
        read_table("d")


def test_a_file_that_is_partitioned_otherwise():
    write("d/year=2024/a.parquet", x=[1])
    write("d/b.parquet", x=[1])
    message = r"^d/year=2024/a.parquet: is partitioned by 'year', but b.parquet by no column$"
    with pytest.raises(DataError, match=message):
        read_table("d")


def test_a_partition_with_another_schema_is_named():
    write("d/k=1/a.parquet", x=[1])
    write("d/k=2/a.parquet", z=[1])
    with pytest.raises(DataError, match=r"^d/k=2/a.parquet: has no column 'x', unlike d/k=1/a.par"):
        read_table("d")


def test_a_partition_with_another_type_is_named():
    write("d/k=1/a.parquet", x=[1])
    write("d/k=2/a.parquet", x=["text"])
    with pytest.raises(
        DataError, match=r"^d/k=2/a.parquet: can't be combined with d/k=1/a.parquet"
    ):
        read_table("d")


def test_a_column_that_is_in_the_file_and_in_its_folder():
    write("d/k=1/a.parquet", x=[1], k=[1])
    with pytest.raises(DataError, match=r"a.parquet: column 'k': is both in the file and in"):
        read_table("d")


def test_columns_are_read_by_their_exact_names(tmp_path):
    write("a.parquet", **{"a": [1], "a.b": [2], "c": [3]})
    assert read_table("a.parquet", columns=["a"]).columns == ("a",)
    assert read_table("a.parquet", columns=["a.b"]).data.to_pydict() == {"a.b": [2]}
