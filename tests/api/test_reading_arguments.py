"""`dlcli.inspect` and `dlcli.starter_config` read files and databases as the commands do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import dlcli

ROWS = "".join(f"{at},{'ab'[at % 2]};{at % 7},{at * 3 % 5}\n" for at in range(30))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_database() -> None:
    with closing(sqlite3.connect("shop.db")) as database:
        database.execute("CREATE TABLE sales (size INTEGER, price INTEGER)")
        database.execute("CREATE TABLE staff (name TEXT)")
        database.executemany("INSERT INTO sales VALUES (?, ?)", [(at, at % 7) for at in range(30)])
        database.commit()


def test_a_file_without_a_header_is_read_with_names():
    Path("plain.data").write_text(ROWS.replace(",", "\t"))
    names = ["size", "color", "price"]
    found = dlcli.inspect("plain.data", "price", names=names, delimiter="\t")
    assert [column["name"] for column in found.columns] == names
    assert found.inspection.rows == 30
    text = dlcli.starter_config(
        "plain.data",
        "price",
        names=names,
        delimiter="\t",
        types={"size": "categorical"},
        missing="a;2",
        preset="simple",
    )
    for line in ("header: none", "names: [size, color, price]", 'delimiter: "\\t"', "a;2"):
        assert line in text
    assert "size: categorical" in text


def test_lines_around_a_table_are_omitted():
    Path("report.txt").write_text(f"Sales\nsize,color,price\n# note\n{ROWS}Total,,60\n")
    found = dlcli.inspect("report.txt", skip_lines=1, comment="#", footer="Total")
    assert ([column["name"] for column in found.columns], found.inspection.rows) == (
        ["size", "color", "price"],
        30,
    )


def test_a_database_is_read():
    make_database()
    assert dlcli.inspect("sqlite:///shop.db/sales").inspection.rows == 30
    sql = "SELECT price, size FROM sales WHERE size < 20 ORDER BY size"
    assert dlcli.inspect("shop.db", "price", sql=sql).inspection.rows == 20
    text = dlcli.starter_config("shop.db", "price", sql=sql)
    assert f"train: {{sql: '{sql}', url: \"sqlite:///shop.db\"}}" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dlcli.inspect({"x": [1]}, header="none"), "header: applies to files"),
        (lambda: dlcli.inspect({"x": [1]}, sql="SELECT 1"), "sql: is the query of a database"),
        (lambda: dlcli.inspect("plain.csv", sql="SELECT 1"), "so 'sql' has no effect"),
        (lambda: dlcli.inspect("plain.csv", header=9), "header: expected auto, none, or the"),
        (lambda: dlcli.inspect("plain.csv", delimiter="ab"), "delimiter: expected auto, spaces"),
        (lambda: dlcli.inspect("plain.csv", names=3), "names: expected the name of a column or"),
        (lambda: dlcli.inspect("shop.db"), "name one, such as sqlite:///shop.db/sales, or set a"),
        (lambda: dlcli.inspect("postgresql://me:hunter2@h/shop/t"), "has a password, which would"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    make_database()
    Path("plain.csv").write_text(f"size,color,price\n{ROWS}")
    with pytest.raises(dlcli.UsageError) as error:
        call()
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)
