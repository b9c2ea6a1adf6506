"""Names and cells that do something in a terminal, a web page or a spreadsheet do nothing here."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hand_made import make_run

from dlcli.config.config_file import load_config

HOSTILE = {
    "HTML": "<script>alert(1)</script>",
    "an escape": "\x1b[2J",
    "an escape of 8 bits": "\x9b2J",
    "a link": "\x1b]8;;https://x.org\x1b\\here\x1b]8;;\x1b\\",
    "a carriage return": "a\rb",
    "a bell": "\a",
    "markup": "[red]x[/red]",
    "a formula": "=cmd|' /C calc'!A0",
    "a sum": "@SUM(A1)",
    "a mark of direction": "\u202eabc",
}
NAMES = [*HOSTILE.values()]
TARGET = "is it \x1b[31mred\x1b[0m?"
SHOWN = {text: text.encode("unicode_escape").decode().replace("\\\\", "\\") for text in NAMES}
"""Each on one line, without any character that a terminal obeys."""


def written(rows: list[list[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


@pytest.fixture(autouse=True)
def table(folder) -> None:
    """t.csv, whose columns, cells and classes are all hostile."""
    rows = [
        [str(at / 2), *(f"{name}{at % 2 or ''}" for name in NAMES), NAMES[at % 10]]
        for at in range(60)
    ]
    Path("t.csv").write_text(written([["x", *NAMES, TARGET], *rows]), "utf-8", newline="")


@pytest.fixture
def config(dlcli) -> str:
    """What init makes of it."""
    return dlcli("init", "t.csv", "--target", TARGET, "--preset", "simple").stdout


@pytest.fixture
def run(config) -> str:
    """runs/hostile, which knows the classes."""
    return str(make_run(config.replace("  - {units: 16, activation: relu}", "  []"), "hostile"))


def assert_inert(text: str) -> None:
    assert text
    assert [line for line in text.split("\n") if not line.isprintable()] == []


def test_a_table_is_shown_inert(dlcli):
    result = dlcli("inspect", "t.csv", "--target", TARGET)
    assert result.exit_code == 0
    assert_inert(result.output)
    assert [name for name in NAMES if SHOWN[name][:37] not in result.stdout] == []


def test_json_gives_names_back_and_is_of_printable_ascii(dlcli):
    text = dlcli("inspect", "t.csv", "--target", TARGET, "--json").stdout
    assert_inert(text)
    assert text.isascii()
    assert [column["name"] for column in json.loads(text)["columns"]] == ["x", *NAMES, TARGET]


def test_a_config_is_inert_and_gives_names_back(config):
    assert_inert(config)
    Path("c.yaml").write_text(config, encoding="utf-8")
    read = load_config(Path("c.yaml")).config
    assert [*(read.input.features or {})] == ["x", *NAMES]
    assert read.data.target.column == TARGET


def test_what_is_told_of_a_config_is_inert(config, dlcli):
    Path("c.yaml").write_text(config, encoding="utf-8")
    result = dlcli("validate", "c.yaml")
    assert result.exit_code == 0
    assert_inert(result.output)
    assert "target    is it \\x1b[31mred\\x1b[0m?: 10 classes (text): " in result.stderr


@pytest.mark.parametrize("text", NAMES, ids=HOSTILE)
def test_errors_name_a_cell_inert(text, refused):
    Path("n.csv").write_text(written([["x", "y"], ["1", "1"], [text, "2"]]), "utf-8", newline="")
    Path("c.yaml").write_text(
        "data: {train: n.csv, target: y}\ninput: {features: {x: numeric}}\nhidden: []\nepochs: 1\n"
    )
    message = f"n.csv: row 2, column 'x': expected a finite number, got '{SHOWN[text]}'"
    message += "; correct it, or add it to data.missing if it means a missing value"
    refused(3, message, ["train", "c.yaml"])


@pytest.mark.parametrize("text", NAMES, ids=HOSTILE)
def test_errors_name_a_column_inert(text, refused):
    Path("n.csv").write_text(written([["x", text], ["1", ""], ["2", "2"]]), "utf-8", newline="")
    Path("c.yaml").write_text(
        f"data: {{train: n.csv, target: {json.dumps(text)}, on_missing_target: error}}\n"
        "hidden: []\nepochs: 1\n"
    )
    message = (
        f"n.csv: row 1, column '{SHOWN[text]}': the target is missing; remove such rows from the "
        "file, or set data.on_missing_target: drop"
    )
    refused(3, message, ["train", "c.yaml"])


@pytest.mark.parametrize("text", [each for each in NAMES if "/" not in each])
def test_errors_name_a_file_inert(text, refused):
    Path(f"{text}.csv").write_text("x\n")
    refused(3, f"{SHOWN[text]}.csv: has a header but no rows", ["inspect", f"{text}.csv"])


@pytest.mark.parametrize("text", NAMES, ids=HOSTILE)
def test_warnings_name_a_cell_inert(text, run, dlcli):
    cells = [f"{text} new", *NAMES[1:]]
    Path("n.csv").write_text(written([["x", *NAMES], ["1", *cells]]), "utf-8", newline="")
    result = dlcli("predict", run, "n.csv")
    assert result.stderr == (
        "warning: n.csv: column '<script>alert(1)</script>': 1 row with an unknown "
        f"category ('{SHOWN[text]} new'), row 1: encoded as zeros\n"
    )


def test_scores_name_classes_inert(run, dlcli):
    result = dlcli("evaluate", run, "t.csv")
    assert_inert(result.output)
    assert "true \\ predicted" in result.stdout
    assert [name for name in NAMES if SHOWN[name] not in result.stdout] == []
    assert dlcli("evaluate", run, "t.csv", "--json").stdout.isascii()


class TestPredictions:
    """They give the names of classes back exactly; a terminal and a spreadsheet are apart."""

    @pytest.fixture(autouse=True)
    def predicted(self, run):
        self.arguments = ["predict", run, "t.csv", "--keep", TARGET]
        self.header = [TARGET, "prediction", *(f"probability_{name}" for name in sorted(NAMES))]

    def test_csv_is_exact(self, dlcli):
        dlcli(*self.arguments, "--output", "p.csv")
        with Path("p.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == self.header
        assert [row[0] for row in rows] == [NAMES[at % 10] for at in range(60)]

    def test_parquet_is_exact(self, dlcli):
        dlcli(*self.arguments, "--output", "p.parquet")
        table = pq.read_table("p.parquet")
        assert table.column_names == self.header
        assert table.column(0).to_pylist() == [NAMES[at % 10] for at in range(60)]

    def test_json_lines_are_exact(self, dlcli):
        dlcli(*self.arguments, "--output", "p.jsonl")
        rows = [json.loads(line) for line in Path("p.jsonl").read_text("utf-8").split("\n")[:-1]]
        assert [*rows[0]] == self.header
        assert [row[TARGET] for row in rows] == [NAMES[at % 10] for at in range(60)]

    def test_a_spreadsheet_that_is_thought_of_runs_no_formula(self, dlcli):
        dlcli(*self.arguments, "--spreadsheet-safe", "--output", "p.csv")
        with Path("p.csv").open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell.startswith(("=", "@", "+", "\r"))] == []
        assert "'=cmd|' /C calc'!A0" in cells

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform == "win32", reason="there is no such terminal")
    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_a_terminal_gets_nothing_to_obey(self, form):
        ours, theirs = os.openpty()
        program = [sys.executable, "-m", "dlcli", *self.arguments, "--format", form]
        running = subprocess.Popen(program, stdout=theirs, stderr=subprocess.PIPE)
        os.close(theirs)
        shown = read_all(ours).decode().replace("\r\n", "\n")
        _, said = running.communicate()
        assert (running.returncode, said) == (0, b"")
        assert_inert(shown)
        assert len(shown.splitlines()) == {"csv": 61, "jsonl": 60}[form]


def read_all(terminal: int) -> bytes:
    """All that a program writes until it ends."""
    parts = []
    try:
        while part := os.read(terminal, 2**16):
            parts.append(part)
    except OSError:  # Linux says so that nobody writes any more
        pass
    finally:
        os.close(terminal)
    return b"".join(parts)
