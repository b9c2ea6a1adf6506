"""Tables of databases in all commands that read tables, and predictions appended to them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from dlcli.prediction.predictor import Predictor

openpyxl = pytest.importorskip("openpyxl")
duckdb = pytest.importorskip("duckdb")
ROWS = [("a", 0.0, 1), ("b", 1.0, 3), ("c", 2.0, 4)]
CREATED = "CREATE TABLE points (id TEXT PRIMARY KEY, x DOUBLE PRECISION, y INTEGER)"
INSERTED = "INSERT INTO points VALUES " + ", ".join(map(repr, ROWS))
NOBODY = 65534
"""A user without rights."""
PREDICTED = [("a", 1.0), ("b", 3.0), ("c", 5.0)]


class Database:
    """A database with the table `points`."""

    def __init__(self, url: str, kind: str) -> None:
        self.url, self.kind = url, kind
        self.run(CREATED, INSERTED)

    def run(self, *statements: str) -> list[tuple]:
        """Return the rows of the last statement, each as one text for PostgreSQL."""
        if self.kind == "postgresql":
            command = ["psql", "-qtAX", "-F", ",", "-v", "ON_ERROR_STOP=1", self.url]
            arguments = [part for each in statements for part in ("-c", each)]
            done = subprocess.run([*command, *arguments], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return [(line,) for line in done.stdout.splitlines()]
        path = self.url.partition(":///")[2]
        connect = sqlite3.connect if self.kind == "sqlite" else duckdb.connect
        with closing(connect(path)) as connection:
            rows = [connection.execute(each).fetchall() for each in statements]
            connection.commit()
        return rows[-1]

    def predictions(self, table: str) -> list[tuple[str, float]]:
        rows = self.run(f"SELECT id, prediction FROM {table}")
        if self.kind == "postgresql":
            rows = [tuple(line.split(",")) for (line,) in rows]
        return [(name, float(value)) for name, value in rows]


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a database of a PostgreSQL server, which this fixture starts."""
    pytest.importorskip("adbc_driver_postgresql")
    installed = map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or next(installed, None)
    if found is None or shutil.which("psql") is None:
        pytest.skip("PostgreSQL's programs initdb and psql are not installed")
    programs, user = Path(os.path.realpath(found)).parent, list[str]()
    # A short path, because that of a socket has at most 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="dlcli-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        (folder / "password").write_text("hunter2\n")
        if os.geteuid() == 0:  # which PostgreSQL refuses
            if shutil.which("setpriv") is None:
                pytest.skip("root can't start PostgreSQL, and setpriv is not installed")
            user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            for path in (folder, folder / "password"):
                os.chown(path, NOBODY, NOBODY)
        data, password = f"--pgdata={folder / 'data'}", f"--pwfile={folder / 'password'}"
        access = ["--username=dlcli", "--auth=scram-sha-256", password]
        made = [*user, str(programs / "initdb"), data, *access, "--encoding=UTF8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True)
        server = [*user, str(programs / "pg_ctl"), data, f"--log={folder / 'log'}", "--wait"]
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        started = subprocess.run(
            [*server, f"--options={options}", "start"], stdout=subprocess.DEVNULL
        )
        assert started.returncode == 0, (folder / "log").read_text()
        patch.setenv("PGHOST", str(folder))
        patch.setenv("PGPASSWORD", "hunter2")
        yield "postgresql://dlcli@/postgres"
        stop = [*server, "--mode=immediate", "stop"]
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(params=["sqlite", "duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request, double):
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        found = Database(server, "postgresql")
        yield found
        found.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    else:
        yield Database(f"{request.param}:///shop.db", request.param)


def test_each_command_reads_a_database(dlcli, database):
    """`dlcli` reads the only table, a named table and a query, as it reads the file."""
    query = ("--sql", "SELECT id, x, y FROM points WHERE x < 5 ORDER BY id;")
    expected = dlcli("predict", "runs/double", "points.csv", "--keep", "id").stdout
    for data in ([database.url], [f"{database.url}/points"], [database.url, *query]):
        predicted = dlcli("predict", "runs/double", *data, "--keep", "id")
        assert (predicted.stdout, predicted.exit_code) == (expected, 0), predicted.stderr
    for command in (["evaluate"], ["explain", "--rows", "2"], ["drift"]):
        name, *options = command
        of_file = dlcli(name, "runs/double", "points.csv", *options, "--json")
        found = dlcli(name, "runs/double", database.url, *options, "--json")
        plain = found.stdout.replace(f"{database.url}", "points.csv").replace(
            "shop.db", "points.csv"
        )
        assert plain == of_file.stdout, found.stderr
    inspected = dlcli("inspect", database.url, "--target", "y", "--json")
    assert '"rows": 3' in inspected.stdout, inspected.stderr
    unclear = dlcli("init", database.url)
    assert "choose one of 'id', 'x', 'y'" in unclear.stderr


def test_init_writes_the_query(dlcli, database):
    database.run("CREATE TABLE other (a INTEGER, b INTEGER, c INTEGER, z INTEGER)")
    unclear = dlcli("init", database.url, "--target", "y")
    assert unclear.exit_code == 2
    assert "has several tables, 'other', 'points'; name one, such as " in unclear.stderr
    assert f"such as {database.url}/points," in unclear.stderr  # 'other' has no column 'y'
    assert f"such as {database.url}/other," in dlcli("init", database.url, "--target", "z").stderr
    written = dlcli("init", f"{database.url}/points", "--target", "y")
    sql = """'SELECT * FROM "points" ORDER BY "id"'"""
    assert f'  train: {{sql: {sql}, url: "{database.url}"}}  # 3 rows' in written.stdout
    unordered = dlcli("init", database.url, "--sql", "SELECT x, y FROM points", "--target", "y")
    assert "# without ORDER BY, the order of the rows may change" in unordered.stdout
    Path("written.yaml").write_text(written.stdout)
    assert dlcli("validate", "written.yaml").exit_code == 0


def test_predictions_are_appended_to_a_table_in_one_transaction(dlcli, database, monkeypatch):
    """Also to a table of the database that is read."""
    target = f"{database.url}/forecast"
    call = ("predict", "runs/double", f"{database.url}/points", "--keep", "id", "--output", target)
    for count in (1, 2):
        done = dlcli(*call)
        assert (done.exit_code, done.stdout) == (0, ""), done.stderr
        assert f"predictions: {target}, 3 rows" in done.stderr
        assert database.predictions("forecast") == PREDICTED * count
    monkeypatch.setattr(Predictor, "rows_at_once", 2)
    sql = "SELECT id, CASE id WHEN 'c' THEN 'one' ELSE '1' END AS x FROM points ORDER BY id"
    read = ("predict", "runs/double", database.url, "--sql", sql, "--keep", "id")
    failed = dlcli(*read, "--output", target)
    assert failed.exit_code == 3
    assert "row 3, column 'x': expected a finite number, got 'one'" in failed.stderr
    assert database.predictions("forecast") == PREDICTED * 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("id TEXT", "the table has no column 'prediction', only 'id'"),
        ("id TEXT, prediction TEXT", "column 'prediction' has the type TEXT, but holds numbers"),
        ("id TEXT, prediction REAL, day DATE", "the table also has column 'day'; copy such"),
    ],
)
def test_a_table_with_other_columns_is_refused(dlcli, double, columns, message):
    database = Database("sqlite:///shop.db", "sqlite")
    database.run(f"CREATE TABLE forecast ({columns})")
    call = ("predict", "runs/double", "points.csv", "--keep", "id")
    refused = dlcli(*call, "--output", "sqlite:///shop.db/forecast")
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert database.run("SELECT count(*) FROM forecast") == [(0,)]


def test_columns_with_a_default_may_be_absent(dlcli, database):
    database.run(
        "CREATE TABLE forecast (id TEXT, prediction NUMERIC(9, 2), source TEXT DEFAULT 'x')"
    )
    call = ("predict", "runs/double", f"{database.url}/points", "--keep", "id")
    done = dlcli(*call, "--output", f"{database.url}/forecast")
    assert done.exit_code == 0, done.stderr
    assert database.predictions("forecast") == PREDICTED
    assert [str(each) for (each,) in database.run("SELECT source FROM forecast")] == ["x"] * 3


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_failed_prediction_creates_no_database(dlcli, double, kind):
    Database("sqlite:///shop.db", "sqlite").run("INSERT INTO points VALUES ('d', 'four', 1)")
    call = ("predict", "runs/double", "shop.db", "--output", f"{kind}:///new.db/forecast")
    failed = dlcli(*call)
    assert failed.exit_code == 3
    assert "shop.db: row 4, column 'x'" in failed.stderr
    assert not Path("new.db").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("double")
def test_a_password_appears_nowhere(dlcli, postgresql, monkeypatch):
    for arguments in (
        ("predict", "runs/double", "postgresql://dlcli:hunter2@/postgres/points"),
        ("predict", "runs/double", "points.csv", "-o", "postgresql://dlcli:hunter2@/postgres/p"),
        ("init", "postgresql:///postgres?password=hunter2", "--target", "y"),
    ):
        refused = dlcli(*arguments)
        assert refused.exit_code == 2
        assert "PGPASSWORD" in refused.stderr
        assert "hunter2" not in refused.stdout + refused.stderr
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    failed = dlcli("predict", "runs/double", f"{postgresql}/points")
    assert failed.exit_code == 3
    assert "password authentication failed" in failed.stderr
    assert "wrong-secret" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["points.csv", "--sql", "SELECT 1"], "points.csv: is not a database, so --sql has no"),
        (
            ["sqlite:///shop.db/points", "--sql", "SELECT 1"],
            "names a table, so --sql has no effect",
        ),
        (["shop.db", "--sql", "DELETE FROM points"], "--sql: expected a query that begins with"),
        (["sqlite:///none.db/points"], "none.db: no such file"),
        (["shop.db/points"], "for a table of a database, write sqlite:///shop.db/points"),
        (["sqlite:///shop.db/none"], "shop.db: has no table 'none'; it has "),
        (["sqlite:///shop.db/pionts"], "shop.db: has no table 'pionts'; did you mean 'points'?"),
        (["shop.db", "--sql", "SELECT x FROM pionts"], "did you mean 'points'?"),
        (["shop.db", "-o", "sqlite:///shop.db"], "name a table"),
        (["shop.db", "-o", "sqlite:///shop.db/p", "--format", "csv"], "--format applies to files"),
        (["shop.db", "-o", "sqlite:///none/shop.db/p"], "the folder none does not exist"),
    ],
)
def test_wrong_databases_and_queries_are_explained(dlcli, double, arguments, message):
    database = Database("sqlite:///shop.db", "sqlite")
    refused = dlcli("predict", "runs/double", *arguments)
    assert refused.exit_code in (2, 3)
    assert message in refused.stderr
    assert database.run("SELECT count(*) FROM points") == [(3,)]


def test_values_of_sqlite_keep_their_types_beyond_the_first_rows(dlcli, double):
    """A column that is an integer in 2,000 rows and a fraction later is numeric."""
    database = Database("sqlite:///shop.db", "sqlite")
    count = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
    sql = f"{count} SELECT CASE i WHEN 2000 THEN 0.25 ELSE i END AS x FROM n"
    predicted = dlcli("predict", "runs/double", "shop.db", "--sql", sql)
    assert predicted.stdout.splitlines()[-2:] == ["3999", "1.5"], predicted.stderr
    assert database.run("SELECT count(*) FROM points") == [(3,)]


# The same table from each source

NAMES = ("day", "moment", "city", "rooms", "size", "share", "sold", "price")
CONFIG = """\
data: {{train: {}, validation: 0.25, target: price}}
hidden: [{{units: 4}}]
epochs: 2
"""


def sales() -> list[tuple]:
    """Dates, times, texts, integers, fractions and booleans; some of them are missing."""
    first = datetime(2024, 1, 1, 8, 30)
    return [
        (
            None if at % 17 == 3 else (first + timedelta(days=at * 3 % 50)).date(),
            first + timedelta(hours=7 * at),
            None if at % 13 == 5 else "ABCé"[at % 4],
            None if at % 11 == 2 else at % 5,
            None if at % 19 == 1 else at / 8 + 0.37,
            0.5 if at % 2 else 12.0,
            bool(at % 3),
            at % 5 * 1.7 + at / 16,
        )
        for at in range(60)
    ]


def as_text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_csv(name: str, rows: list[tuple]) -> None:
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows([NAMES, *([as_text(each) for each in row] for row in rows)])


def train(dlcli, name: str, source: str) -> None:
    Path(f"{name}.yaml").write_text(CONFIG.format(source))
    trained = dlcli("train", f"{name}.yaml")
    assert trained.exit_code == 0, trained.stderr


def assert_same_run(name: str, other: str) -> None:
    for file in ("weights.npz", "encoding.json", "metrics.json", "predictions.parquet"):
        assert Path("runs", name, file).read_bytes() == Path("runs", other, file).read_bytes(), file


def create(numeric: str = "DOUBLE PRECISION") -> str:
    types = ("DATE", "TIMESTAMP", "TEXT", "INTEGER", numeric, numeric, "BOOLEAN", numeric)
    columns = (f"{name} {kind}" for name, kind in zip(NAMES, types, strict=True))
    return f"CREATE TABLE sales (id INTEGER, {', '.join(columns)})"


@pytest.mark.slow
def test_each_source_of_a_table_gives_the_same_run_to_the_bit(dlcli, folder):
    rows = sales()
    write_csv("sales.csv", rows)
    columns = zip(NAMES, map(list, zip(*rows, strict=True)), strict=True)
    parquet.write_table(pa.table(dict(columns)), "sales.parquet")
    book = openpyxl.Workbook()
    for row in [NAMES, *rows]:
        book.active.append(row)
    book.save("sales.xlsx")
    numbered = [(at, *row) for at, row in enumerate(rows)]
    marks = ", ".join("?" * len(numbered[0]))
    with duckdb.connect("sales.duckdb") as connection:
        connection.execute(create())
        connection.executemany(f"INSERT INTO sales VALUES ({marks})", numbered)
    with closing(sqlite3.connect("sales.db")) as connection:
        connection.execute(create())
        for row in numbered:
            stored = [str(each) if isinstance(each, date) else each for each in row]
            connection.execute(f"INSERT INTO sales VALUES ({marks})", stored)
        connection.commit()
    sql = f"SELECT {', '.join(NAMES)} FROM sales ORDER BY id"
    for name, source, data in (
        ("csv", "sales.csv", ["sales.csv"]),
        ("parquet", "sales.parquet", ["sales.parquet"]),
        ("xlsx", "sales.xlsx", ["sales.xlsx"]),
        ("sqlite", f"{{sql: {sql!r}, url: 'sqlite:///sales.db'}}", ["sales.db", "--sql", sql]),
        ("duckdb", f"{{sql: {sql!r}, url: 'duckdb:///sales.duckdb'}}", ["sales.duckdb"]),
    ):
        train(dlcli, name, source)
        assert_same_run("csv", name)
        expected = dlcli("predict", f"runs/{name}", "sales.csv").stdout
        assert dlcli("predict", "runs/csv", *data).stdout == expected
    [entry] = json.loads(Path("runs/sqlite/environment.json").read_text())["data"]
    assert (entry["query"], entry["rows"], len(entry["sha256"])) == (sql, 60, 64)


@pytest.mark.slow
def test_postgresql_gives_the_same_run_as_csv(dlcli, folder, postgresql):
    """Also for NUMERIC, which the driver returns as texts."""
    database, rows = Database(postgresql, "postgresql"), sales()
    write_csv("sales.csv", rows)
    literals = (
        f"({at}, {', '.join('NULL' if each is None else repr(as_text(each)) for each in row)})"
        for at, row in enumerate(rows)
    )
    database.run(create("NUMERIC"), f"INSERT INTO sales VALUES {', '.join(literals)}")
    sql = f"SELECT {', '.join(NAMES)} FROM sales ORDER BY id"
    train(dlcli, "csv", "sales.csv")
    train(dlcli, "postgresql", f"{{sql: {sql!r}, url: '{postgresql}'}}")
    assert_same_run("csv", "postgresql")
    stored = (path.read_bytes() for path in Path("runs/postgresql").iterdir() if path.is_file())
    assert not any(b"hunter2" in content for content in stored)
    database.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
