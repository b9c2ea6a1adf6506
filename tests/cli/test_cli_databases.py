"""Rows of databases as training data."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

CONFIG = "data: {{train: {}, target: y, validation: 0.25}}\nhidden: [{{units: 2}}]\nepochs: 2\n"
QUERY = "{{sql: 'SELECT x, c, d, y FROM t ORDER BY id', url: '{}'}}"
ROWS = [(at, at % 7 / 4, "ab"[at % 2], f"2024-01-{at % 28 + 1:02}", at % 5) for at in range(40)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{x},{c},{d},{y}\n" for _, x, c, d, y in ROWS)
    Path("t.csv").write_text(f"x,c,d,y\n{lines}")
    Path("csv.yaml").write_text(CONFIG.format("t.csv"))


def make_sqlite() -> None:
    database = sqlite3.connect("t.db")
    database.execute("CREATE TABLE t (id INTEGER, x REAL, c TEXT, d TEXT, y INTEGER)")
    database.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", ROWS)
    database.commit()
    database.close()
    Path("sqlite.yaml").write_text(CONFIG.format(QUERY.format("sqlite:///t.db")))


def test_reproduce_reports_changed_rows(dlcli):
    make_sqlite()
    assert dlcli("train", "sqlite.yaml").exit_code == 0
    assert dlcli("reproduce", "runs/sqlite").exit_code == 0
    database = sqlite3.connect("t.db")
    database.execute("UPDATE t SET x = 9 WHERE id = 3")
    database.commit()
    database.close()
    changed = dlcli("reproduce", "runs/sqlite")
    assert changed.exit_code != 0
    assert "'t.db' has changed" in changed.stdout + changed.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            QUERY.format("postgresql://me:hunter2@localhost/shop"),
            "has a password, which would end up in run folders and messages",
        ),
        (QUERY.format("postgresql://localhost/shop?password=hunter2"), "PGPASSWORD"),
        (QUERY.format("mysql://localhost/shop"), "expected sqlite:///FILE, duckdb:///FILE or"),
        (QUERY.format("sqlite://t.db"), "expected sqlite:///FILE, duckdb:///FILE or"),
        ("{sql: DROP TABLE t, url: 'sqlite:///t.db'}", "begins with SELECT or WITH"),
        ("{sql: SELECT 1}", "data.train.url: is required"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(dlcli, source, message):
    Path("wrong.yaml").write_text(CONFIG.format(source))
    result = dlcli("validate", "wrong.yaml")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nope FROM t", "t.db: the query failed: "),
        ("WITH q AS (SELECT 1) DELETE FROM t", "readonly database"),
    ],
)
def test_errors_of_a_query_are_reported(dlcli, sql, message):
    make_sqlite()
    source = f"{{sql: '{sql}', url: 'sqlite:///t.db'}}"
    Path("wrong.yaml").write_text(CONFIG.format(source))
    result = dlcli("train", "wrong.yaml")
    assert result.exit_code == 3
    assert message in result.stderr


def test_a_missing_file_is_not_created(dlcli):
    Path("sqlite.yaml").write_text(CONFIG.format(QUERY.format("sqlite:///t.db")))
    result = dlcli("train", "sqlite.yaml")
    assert (result.exit_code, "t.db: no such file" in result.stderr) == (2, True)
    assert not Path("t.db").exists()
