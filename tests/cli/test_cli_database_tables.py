"""Tables of databases in all commands that read tables, and predictions appended to them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from dlcli.prediction.predictor import Predictor

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
    database.run("CREATE TABLE other (x INTEGER)")
    unclear = dlcli("init", database.url, "--target", "y")
    assert unclear.exit_code == 2
    assert "has several tables, 'other', 'points'; name one, such as " in unclear.stderr
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
        (["sqlite:///shop.db/none"], "no such table: none"),
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
