"""The scripts of the pages, run one command after the other with what their reader has."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import openpyxl
from pages import EXIT_CODE, Block, Run

NOT_RUN = {
    r"python3 -m venv|bin/activate|pip install|pip wheel|uv tool|pipx install": (
        "installs packages; .ci/run does, and tests/cli has messages"
    ),
    r"sudo |--cacert": "needs root; tests/serving compares the files of deploy/ with the server",
    r"python -m benchmarks": "takes minutes; the benchmarks have tests of their own",
    r"export TF_CONFIG": "needs several machines; tests/cluster has workers on one",
    r"sbatch|kubectl|--storage postgresql": "needs a scheduler or a database of several machines",
    r"postgresql://\w+@db": "needs a server; tests/cli starts one",
    r"aws s3|s3://": "needs a bucket; tests/remote has one",
    r"--against-me": "waits for a person at the keyboard; tests/starter types the moves",
    r"dlcli runs --remove": "asks the person at the keyboard; tests/cli answers",
    r"wandb": "needs an account; tests/tracking has offline runs",
    r"tensorboard --logdir|mlflow ui": "another program's pages, shown until it is stopped",
}
"""Commands, or whole scripts that set a variable for them, that no test can run, with reasons."""
NOTHING_TO_RESUME = "is finished; there is nothing to train"
CONFIG = """\
data: {train: data/bikes.csv, target: rentals, test: 0.2, validation: 0.2}
hidden: [{units: 8, activation: relu}]
epochs: 5
batch_size: 512
tune: {trials: 5, space: {optimizer.learning_rate: [0.001, 0.002, 0.003, 0.005, 0.01]}}
"""


class Scripts:
    """Runs the scripts of a page.

    Args:
        run: runs a command line.
        folder: the reader's.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._server: subprocess.Popen[str] | None = None
        self._port = 0

    def failures(self, block: Block) -> Iterator[str]:
        """Run the commands of a script, and yield those that fail, with what they print."""
        if is_run(block.text) or "export " not in block.text:
            for command in filter(is_run, block.commands):
                printed = self._run_command(command)
                if re.search(r"^exit code", printed, re.M) and NOTHING_TO_RESUME not in printed:
                    yield f"{command}\n{printed}"

    def close(self) -> None:
        """End the server, if the scripts have started one."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            assert self._server.wait(30) == 128 + signal.SIGTERM
            self._server.stderr.close()
            self._server = None

    def _run_command(self, command: str) -> str:
        if command.startswith("dlcli serve"):
            return self._serve(command)
        self._prepare(command)
        if self._server is not None:
            command = command.replace("curl localhost:8000", f"curl -sSf localhost:{self._port}")
            command = command.replace("SERVER", str(self._server.pid))
        return self._run(command + EXIT_CODE, self._folder)

    def _prepare(self, command: str) -> None:
        """Write or remove what the command's reader has, or doesn't have yet."""
        runs = self._folder / "runs"
        if "--output bikes.yaml" in command:
            # It writes no config over another one, and its reader has none yet.
            (self._folder / "bikes.yaml").unlink(missing_ok=True)
        if "bikes.yaml" in command and "dlcli init" not in command:
            self._write_bikes()
        if command.startswith("dlcli schema --output"):  # `init --example` has written it, too
            (self._folder / "dlcli.schema.json").unlink(missing_ok=True)
        if "train --resume runs/bikes" in command and not (runs / "bikes").exists():
            self._write_bikes()
            self._run("dlcli train bikes.yaml", self._folder)
        if "distill runs/bikes" in command and not (runs / "bikes-distilled").exists():
            shutil.rmtree(runs / "bikes")  # a single network
            ensemble = "--set ensemble.members=2 --set data.validation=null --output runs/bikes"
            self._run(f"dlcli train bikes.yaml {ensemble}", self._folder)
        if "runs/shoppers" in command and not (runs / "shoppers").exists():
            self._run("dlcli train configs/shoppers.yaml --set epochs=1", self._folder)

    def _write_bikes(self) -> None:
        """Write a config for the bikes that is trained in seconds, unless the page has one."""
        path = self._folder / "bikes.yaml"
        if not path.exists():
            path.write_text(CONFIG, encoding="utf-8")

    def _serve(self, command: str) -> str:
        """Start a server at any free port, and wait until it listens."""
        self.close()
        arguments = [*shlex.split(command)[1:], "--port", "0"]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "dlcli", *arguments],
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self._server.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)$", line)
        if found is None:
            return f"{line}exit code {self._server.wait(30)}"
        self._port = int(found[1])
        return line


def is_run(command: str) -> bool:
    """Whether a test can run a command or script."""
    return not any(re.search(part, command) for part in NOT_RUN)


def write_tables(folder: Path) -> None:
    """Write the tables that the pages name.

    Args:
        folder: has the shipped data already.
    """
    rng = np.random.default_rng(0)
    rows = 120
    size = rng.uniform(30, 150, rows).round(1)
    color = rng.choice(["red", "blue", "green"], rows)
    price = (1000 * size + 20_000 * (color == "red") + rng.normal(0, 5000, rows)).round()
    paid = np.where(price > np.median(price), "yes", "no")
    new = {"id": range(20)}
    bikes = (folder / "data" / "bikes.csv").read_text(encoding="utf-8")
    header, *hours = (line.split(",") for line in bikes.splitlines())
    new |= dict(zip(header, zip(*hours[:20], strict=True), strict=True))
    for name in ("new.csv", "folder/1.csv", "folder/2.csv"):
        write_csv(folder / name, **new)
    some = [hours[at] for at in rng.choice(len(hours), 400, replace=False)]
    write_csv(folder / "new_hours.csv", **dict(zip(header, zip(*some, strict=True), strict=True)))
    (folder / "moved").mkdir()
    shutil.copy(folder / "data" / "bikes.csv", folder / "moved")
    people = zip(size.round().astype(int), color, paid, strict=True)
    lines = "".join(f"{age},{work},{income}\n" for age, work, income in people)
    (folder / "adult.data").write_text(lines, encoding="utf-8")
    book = openpyxl.Workbook()
    for name in ("2023", "2024"):
        sheet = book.create_sheet(name)
        sheet.append(["size", "color", "revenue"])
        for row in zip(size.tolist(), color.tolist(), price.tolist(), strict=True):
            sheet.append(row)
    book.save(folder / "sales.xlsx")
    with closing(sqlite3.connect(folder / "sales.db")) as database:
        columns = "(id INTEGER PRIMARY KEY, size REAL, color TEXT, price REAL, year INTEGER)"
        for table, kept in (("orders", rows), ("new_orders", 5)):
            database.execute(f"CREATE TABLE {table} {columns}")
            years = (2023 + at * 2 // rows for at in range(rows))
            values = zip(
                range(rows), size.tolist(), color.tolist(), price.tolist(), years, strict=True
            )
            insertion = f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)"
            database.executemany(insertion, islice(values, kept))
        database.execute("ALTER TABLE new_orders DROP COLUMN price")
        database.commit()
    with closing(sqlite3.connect(folder / "bikes.db")) as database:
        database.execute(f"CREATE TABLE new ({', '.join(new)})")
        marks = ", ".join("?" * len(new))
        database.executemany(f"INSERT INTO new VALUES ({marks})", zip(*new.values(), strict=True))
        database.commit()
    write_csv(folder / "loans.csv", size=size, after_rate=price, paid=paid)
    write_csv(folder / "robot.csv", distance=size, left=size - 30, right=150 - size)
    shutil.copy(folder / "data" / "diabetes.csv", folder / "later.csv")


def write_csv(path: Path, **columns: Iterable[object]) -> None:
    """Write a table."""
    path.parent.mkdir(exist_ok=True)
    rows = [columns, *zip(*columns.values(), strict=True)]
    lines = [",".join(map(str, row)) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
