"""Tables of every kind, from the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.errors import DataError
from dlcli.pipeline import preflight
from dlcli.pipeline.events import DataEvent, Events
from dlcli.pipeline.preparation import data_files, prepare
from dlcli.pipeline.run_recording import resolved_config
from tests.cli.conftest import make_run

CONFIG = """\
data: {train: 'data/part-*.csv', validation: [data/late.csv], target: y}
hidden: []
epochs: 1
"""


@pytest.fixture
def parts(folder):
    """Two files to train on, one to validate with: numbers with decimal commas."""
    Path("data").mkdir()
    Path("data/part-1.csv").write_text("x;y\n0,5;1,5\n1,5;2,5\n")
    Path("data/part-2.csv").write_text("x;y\n2,5;3,5\n3,5;4,5\n")
    Path("data/late.csv").write_text("x,y\n1.5,2.5\n")
    Path("c.yaml").write_text(CONFIG)


@pytest.mark.usefixtures("parts")
class TestExperiment:
    def test_detected_formats_are_printed_with_the_data(self, dlcli):
        lines = dlcli("validate", "c.yaml").stderr.splitlines()
        assert lines[:3] == snapshot(
            [
                "data      data/part-*.csv: 4 training, 1 validation rows",
                "          data/part-*.csv: the delimiter is ';'",
                "          data/part-*.csv: numbers in 'x', 'y' are written with a decimal comma",
            ]
        )

    def test_an_ambiguous_number_is_a_warning(self, dlcli):
        Path("data/part-1.csv").write_text("x;y\n0;1,500\n1;2,500\n")
        Path("data/part-2.csv").unlink()
        first = dlcli("validate", "c.yaml").stderr.splitlines()[0]
        assert first == (
            "warning: data/part-1.csv: column 'y': 1,500 may mean 1500 or 1.500 and was read "
            "as 1.500; for the other meaning, correct the file, or train with data.format: "
            '{name: csv, thousands: ","}'
        )

    def test_an_event_has_the_detected_formats(self):
        emitted = []
        prepare(load_config(Path("c.yaml")), Events(emitted.append))
        [data] = [event for event in emitted if isinstance(event, DataEvent)]
        assert list(data.notes) == [
            "data/part-*.csv: the delimiter is ';'",
            "data/part-*.csv: numbers in 'x', 'y' are written with a decimal comma",
        ]

    def test_a_declaration_reaches_the_files(self, dlcli):
        result = dlcli("validate", "c.yaml", "--set", "data.format={name: csv, decimal: '.'}")
        assert "y: a number" not in result.stderr

    def test_files_that_differ_in_columns_are_a_data_error(self, dlcli):
        Path("data/part-2.csv").write_text("x;z\n1;2\n")
        result = dlcli("validate", "c.yaml")
        expected = "error: data/part-2.csv: has no column 'y', unlike data/part-1.csv"
        assert (result.exit_code, result.stderr.splitlines()) == (3, [expected])

    def test_a_glob_without_a_match_is_a_usage_error(self, dlcli):
        result = dlcli("validate", "c.yaml", "--set", "data.train=data/part-*.parquet")
        assert result.exit_code == 2
        assert "data/part-*.parquet: matches no file; data has 'late.csv', 'part-1" in result.stderr

    def test_every_file_counts_for_whether_the_data_are_large(self, dlcli, monkeypatch):
        sizes = [path.stat().st_size for path in Path("data").iterdir()]
        monkeypatch.setattr(preflight, "LARGE_BYTES", sum(sizes) - 1)
        assert "only their headers were read" in dlcli("validate", "c.yaml").stderr
        monkeypatch.setattr(preflight, "LARGE_BYTES", sum(sizes))
        assert "only their headers were read" not in dlcli("validate", "c.yaml").stderr

    def test_the_environment_knows_every_file(self):
        names = [path.as_posix() for path in data_files(load_config(Path("c.yaml")))]
        assert names == ["data/part-1.csv", "data/part-2.csv", "data/late.csv"]

    def test_the_resolved_config_leads_to_the_same_files_and_finds_formats_out_again(self):
        file = load_config(Path("c.yaml"))
        prepared, plan = prepare(file, Events())
        data = resolved_config(file, prepared, plan, Path("runs/c"), threads=1).data
        assert data.train == "../../data/part-*.csv"
        assert data.validation == ("../../data/late.csv",)
        assert data.format.name == "auto"

    def test_an_error_names_the_file_and_the_row_in_it(self):
        Path("data/part-2.csv").write_text("x;y\n2,5;3,5\nmany;4,5\n")
        text = CONFIG.replace("hidden", "input: {features: {x: numeric}}\nhidden")
        Path("c.yaml").write_text(text)
        with pytest.raises(DataError, match=r"^data/part-2\.csv: row 2, column 'x': "):
            prepare(load_config(Path("c.yaml")), Events())


@pytest.mark.usefixtures("double")
class TestPrediction:
    """Of y = 2x + 1, which was trained on commas and points."""

    def test_the_format_of_another_kind_of_file_is_detected_and_printed(self, dlcli):
        Path("new.csv").write_text("x;id\n0,5;a\n1,5;b\n")
        result = dlcli("predict", "runs/double", "new.csv")
        assert result.stdout == "prediction\n2\n4\n"
        assert result.stderr.splitlines() == [
            "note: new.csv: the delimiter is ';'",
            "note: new.csv: numbers in 'x' are written with a decimal comma",
        ]

    @pytest.mark.parametrize("ending", ["parquet", "arrow", "csv.gz", "jsonl"])
    def test_every_format_is_read(self, dlcli, ending):
        table = pa.table({"x": [0.5, 1.5], "id": ["a", "b"]})
        if ending == "parquet":
            pq.write_table(table, "new.parquet")
        elif ending == "arrow":
            with pa.ipc.new_file("new.arrow", table.schema) as writer:
                writer.write_table(table)
        elif ending == "csv.gz":
            Path("new.csv.gz").write_bytes(gzip.compress(b"x,id\n0.5,a\n1.5,b\n"))
        else:
            Path("new.jsonl").write_text('{"x": 0.5, "id": "a"}\n{"x": 1.5, "id": "b"}\n')
        result = dlcli("predict", "runs/double", f"new.{ending}")
        assert result.stdout == "prediction\n2\n4\n"
        assert "note:" not in result.stderr

    def test_a_glob_is_one_table(self, dlcli):
        Path("new-1.csv").write_text("x,y,id\n0,1,a\n")
        Path("new-2.csv").write_text("x,y,id\n1,3,b\n")
        assert dlcli("predict", "runs/double", "new-*.csv").stdout == "prediction\n1\n3\n"
        result = json.loads(dlcli("evaluate", "runs/double", "--json", "new-*.csv").stdout)
        assert (result["rows"], result["metrics"]["mae"]) == (2, 0)

    def test_an_ambiguous_number_is_a_warning(self, dlcli):
        Path("new.csv").write_text('x,y,id\n"1,500",3001,a\n')
        for verb in ("predict", "evaluate"):
            found = dlcli(verb, "runs/double", "new.csv").stderr
            assert "warning: new.csv: column 'x': 1,500 may mean 1500 or 1.500" in found

    def test_init_writes_detected_formats_as_comments(self, dlcli):
        Path("new.csv").write_text("x;y\n" + "".join(f"{at},5;{at},25\n" for at in range(30)))
        text = dlcli("init", "new.csv", "--target", "y").stdout
        assert "  # new.csv: the delimiter is ';'\n" in text
        assert "  # new.csv: numbers in 'x', 'y' are written with a decimal comma\n" in text


def test_rows_to_predict_are_read_with_the_signs_of_training(folder, dlcli):
    Path("t.csv").write_text("x;y\n" + "".join(f"{x}.000,5;{x}\n" for x in range(1, 7)))
    Path("c.yaml").write_text("data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n")
    Path("new.csv").write_text("x\n4.000\n")
    Path("same.csv").write_text("x\n4000\n")
    make_run("c", kernel=1, bias=0)
    result = dlcli("predict", "runs/c", "new.csv")
    assert result.stdout == dlcli("predict", "runs/c", "same.csv").stdout
    assert "outside" not in result.stderr


def test_a_validation_file_is_read_with_the_signs_of_training(folder):
    Path("t.csv").write_text("x;y\n1.000,5;1\n2.000,5;2\n3.000,5;3\n")
    Path("v.csv").write_text("x;y\n2.000;2\n")
    Path("c.yaml").write_text(
        "data: {train: t.csv, validation: v.csv, target: y}\nhidden: []\nepochs: 1\n"
    )
    prepared, plan = prepare(load_config(Path("c.yaml")), Events())
    assert prepared.split.validation.numbers("x").tolist() == [2000]
