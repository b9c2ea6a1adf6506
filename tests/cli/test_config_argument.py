"""The messages for a table, a folder or a missing file instead of a config."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run
from dlcli.tables import table_files

TABLE = "a,b\n1,2\n3,4\n"

both = pytest.mark.parametrize("verb", ["train", "validate"])


def init_command(table, config):
    return f"create one with: dlcli init {table} --target COLUMN --output {config}"


@both
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "text", "shown", "config"),
    [
        ("data.csv", TABLE, "data.csv", "data.yaml"),
        ("one.CSV", "a\n1\n", "one.CSV", "one.yaml"),
        ("my data.csv", TABLE, "'my data.csv'", "'my data.yaml'"),
        ("rows", TABLE, "rows", "rows.yaml"),
        ("rows.txt", "a\tb\n1\t2\n", "rows.txt", "rows.yaml"),
        ("rows.dat", '"a b";"c"\n1;2\n', "rows.dat", "rows.yaml"),
        ("rows.jsonl", '{"a": 1, "b": 2}\n{"a": 1, "b": 2}\n', "rows.jsonl", "rows.yaml"),
    ],
)
def test_a_table_is_answered_with_the_command_that_writes_a_config(
    dlcli, verb, name, text, shown, config
):
    Path(name).write_text(text)
    result = dlcli(verb, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {name}: is a table, expected a config; {init_command(shown, config)}\n"
    )


@pytest.mark.usefixtures("folder")
def test_compressed_and_binary_tables_are_recognized(dlcli):
    Path("t.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    pq.write_table(pa.table({"a": [1], "b": [2]}), "t.parquet")
    Path("old.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    for name, config in (("t.csv.gz", "t"), ("t.parquet", "t"), ("old.csv", "old")):
        command = init_command(name, f"{config}.yaml")
        assert dlcli("train", name).stderr == (
            f"error: {name}: is a table, expected a config; {command}\n"
        )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("config", ["data/houses.yml", "houses.yaml"])
def test_a_table_is_answered_with_the_config_of_its_name(dlcli, config):
    Path("data").mkdir()
    Path("data/houses.csv").write_text(TABLE)
    Path(config).touch()
    assert dlcli("train", "data/houses.csv").stderr == (
        f"error: data/houses.csv: is a table, expected a config; did you mean '{config}'?\n"
    )


@both
@pytest.mark.usefixtures("folder")
def test_a_workbook_is_a_table(dlcli, verb):
    book = openpyxl.Workbook()
    book.active.append(["size", "price"])
    book.active.append([1, 2])
    book.save("houses.xlsx")
    assert dlcli(verb, "houses.xlsx").stderr == (
        "error: houses.xlsx: is a table, expected a config; create one with: "
        "dlcli init houses.xlsx --target COLUMN --output houses.yaml\n"
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", TABLE),
        ("c.yaml", "- data\n"),
        ("config", "data {train: a, target: b}\n"),
        ("config", "# a, b\nepochs, 1\n"),
        ("config", "hello\n"),
    ],
)
def test_a_broken_config_is_not_taken_for_a_table(dlcli, name, text):
    Path(name).write_text(text)
    result = dlcli("train", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {name}:")
    assert "table" not in result.stderr


@pytest.mark.usefixtures("double")
def test_a_run_folder_is_answered_with_the_command_that_trains_it_again(dlcli):
    result = dlcli("train", "runs/double")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        snapshot(
            "error: runs/double: is a run folder, expected a config; "
            "to train it again: dlcli train runs/double/resolved.yaml\n"
        )
    )


@pytest.mark.usefixtures("folder")
def test_a_search_and_a_cross_validation_are_answered_with_the_config_that_they_wrote(dlcli):
    with new_run(Path("found"), "rows") as writer:
        writer.write_text(RunFile.SEARCH, "{}")
        writer.write_text(RunFile.BEST, "epochs: 2\n")
        writer.finish("tune")
    with new_run(Path("folds"), "rows") as writer:
        writer.write_text(RunFile.CROSS_VALIDATION, "{}")
        writer.write_text(RunFile.REFIT, "epochs: 2\n")
        writer.finish("cv")
    expected = "is a run folder, expected a config"
    assert dlcli("train", "found").stderr == (
        f"error: found: {expected}; to train the best config: dlcli train found/best.yaml\n"
    )
    assert dlcli("train", "folds").stderr == (
        f"error: folds: {expected}; to train on all rows: dlcli train folds/refit.yaml\n"
    )


@pytest.mark.usefixtures("double")
def test_any_other_folder_is_answered_with_the_configs_in_it(dlcli):
    assert dlcli("train", "runs").stderr == snapshot(
        "error: runs: is a folder, expected a config\n"
    )
    for name in ("b.yml", "a.yaml", "c.csv"):
        Path("runs", name).touch()
    assert dlcli("train", "runs").stderr == (
        snapshot("error: runs: is a folder, expected a config; try 'runs/a.yaml', 'runs/b.yml'\n")
    )


@both
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("double", "double.yaml"),
        ("double.yml", "double.yaml"),
        ("duoble.yaml", "double.yaml"),
        ("configs/v1.2", "configs/v1.2.yml"),
        ("configs/v2.yaml", "configs/v2.yml"),
    ],
)
def test_a_config_of_a_similar_name_is_suggested(dlcli, verb, name, meant):
    Path("configs").mkdir()
    Path("configs/v1.2.yml").touch()
    Path("configs/v2.yml").touch()
    result = dlcli(verb, name)
    assert result.exit_code == 2
    assert result.stderr == (f"error: {name}: no such file; did you mean '{meant}'?\n")


@both
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["c.yaml", "none/c.yaml", "data.csv"])
def test_without_a_similar_name_there_is_no_suggestion(dlcli, verb, name):
    assert dlcli(verb, name).stderr == f"error: {name}: no such file\n"


@both
def test_a_path_that_cant_be_read_is_not_called_absent(dlcli, verb):
    name = "a" * 300 + ".yaml"
    result = dlcli(verb, name)
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: {name}: can't be read: File name too long\n",
    )


@both
@pytest.mark.usefixtures("folder")
def test_a_pipe_that_holds_no_config_is_not_opened_again(dlcli, verb, monkeypatch):
    monkeypatch.setattr(table_files, "read_header", pytest.fail)  # it would wait forever
    os.mkfifo("pipe")
    writing = threading.Thread(target=Path("pipe").write_text, args=(TABLE,))
    writing.start()
    result = dlcli(verb, "pipe")
    writing.join()
    assert result.exit_code == 2
    assert "pipe:1:1" in result.stderr


def test_the_config_of_a_run_of_an_earlier_version_is_read_with_its_names(dlcli, folder):
    config = (
        "data: {train: a.csv, target: y}\ninput: {scaling: {name: log}}\nhidden: []\nepochs: 0\n"
    )
    Path("runs/old").mkdir(parents=True)
    for path in (Path("resolved.yaml"), Path("runs/old/resolved.yaml")):
        path.write_text(config)
    Path("runs/old/manifest.json").write_text("{}")
    own, of_run = (dlcli("validate", path) for path in ("resolved.yaml", "runs/old/resolved.yaml"))
    assert "unknown scaling 'log'" in own.stderr
    assert (
        of_run.stderr
        == "error: runs/old/resolved.yaml:4:9: epochs: expected a positive integer, got 0\n"
    )
