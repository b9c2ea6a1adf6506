"""`dlcli predict`: one row out for each row in."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli.prediction.prediction_tables import write_rows


@pytest.mark.usefixtures("double")
def test_each_row_is_predicted_in_order(dlcli):
    result = dlcli("predict", "runs/double", "points.csv")
    assert result.exit_code == 0
    assert result.stdout == "prediction\n1\n3\n5\n"
    assert result.stderr == ""


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("option", "shown"), [((), "predictions: new.csv, 3 rows\n"), (("--quiet",), "")]
)
def test_the_file_of_predictions_is_printed_with_its_rows(dlcli, option, shown):
    result = dlcli("predict", "runs/double", "points.csv", "--output", "new.csv", *option)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", shown)


@pytest.mark.usefixtures("double")
def test_standard_input_is_read(dlcli):
    assert dlcli("predict", "runs/double", "-", text="x\n0.25\n").stdout == "prediction\n1.5\n"


@pytest.mark.usefixtures("pets")
def test_classes_come_with_their_probabilities(dlcli):
    assert dlcli("predict", "runs/pets", "-", text="x\n0\n50\n").stdout == (
        "prediction,probability_cat,probability_dog\ncat,0.5,0.5\ndog,0,1\n"
    )


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_probabilities_have_the_digits_of_a_float32(dlcli, form):
    text = dlcli("predict", "runs/pets", "-", "--format", form, text="x\n1.3\n").stdout
    single = np.float32(1) / (np.float32(1) + np.exp(np.float32(-1.3)))
    [written] = re.findall(r"0\.7\d+", text)
    assert len(written) <= 10
    assert np.float32(written) == pytest.approx(single)


@pytest.mark.usefixtures("double")
def test_numbers_in_the_unit_of_the_target_have_the_digits_of_a_float64(dlcli):
    text = dlcli("predict", "runs/double", "-", text="x\n0.1\n").stdout
    assert float(text.splitlines()[1]) == float(np.float32(2) * np.float32(0.1) + np.float32(1))


@pytest.mark.usefixtures("double")
def test_kept_columns_come_first_and_unchanged(dlcli):
    text = 'x,key,note\n0,007,"a, ""b"""\n1,-5,\n'
    result = dlcli("predict", "runs/double", "-", "--keep", "note", "--keep", "key", text=text)
    assert result.stdout == 'note,key,prediction\n"a, ""b""",007,1\n,-5,3\n'
    assert result.stderr == ""


@pytest.mark.usefixtures("double")
def test_a_kept_column_that_is_not_there_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--keep", "idd")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == snapshot(
        "error: points.csv: has no column 'idd' to keep; did you mean 'id'?\n"
    )


@pytest.mark.usefixtures("double")
def test_a_pattern_of_kept_columns_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--keep", "*")
    assert result.exit_code == 2
    assert "write the names of the columns, because patterns are not supported" in result.stderr


@pytest.mark.usefixtures("double")
def test_a_kept_column_may_not_be_called_like_a_prediction(dlcli):
    text = "x,prediction\n1,2\n"
    result = dlcli("predict", "runs/double", "-", "--keep", "prediction", text=text)
    assert result.exit_code == 2
    assert "'prediction' can't be kept" in result.stderr


@pytest.mark.usefixtures("double")
def test_columns_new_since_training_are_ignored_with_a_word(dlcli):
    result = dlcli("predict", "runs/double", "-", text="w,y,x,id,v\n7,0,1,a,8\n")
    assert result.stdout == "prediction\n3\n"
    assert result.stderr == (
        snapshot(
            "note: standard input: ignored 2 columns that the training data did not have: w, v\n"
        )
    )


@pytest.mark.usefixtures("double")
def test_a_missing_column_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "-", text="X\n1\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "standard input: has no column 'x'" in result.stderr


@pytest.mark.usefixtures("double")
def test_a_value_that_is_not_a_number_is_named_with_its_row(dlcli):
    result = dlcli("predict", "runs/double", "-", text="x\n1\none\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "row 2, column 'x'" in result.stderr


@pytest.mark.usefixtures("pets")
def test_the_ending_of_the_output_names_the_format(dlcli):
    assert dlcli("predict", "runs/pets", "pets.csv", "--output", "out.parquet").stdout == ""
    table = pq.read_table("out.parquet")
    assert table.column_names == ["prediction", "probability_cat", "probability_dog"]
    assert table.column("prediction").to_pylist() == ["cat", "cat", "dog", "dog"]


@pytest.mark.usefixtures("double")
def test_an_ending_that_names_no_format_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--output", "out.docx")
    assert result.exit_code == 2
    assert "add --format csv" in result.stderr
    assert not Path("out.docx").exists()


@pytest.mark.usefixtures("double")
def test_a_named_format_outdoes_the_ending(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--output", "o.txt", "--format", "jsonl")
    assert result.exit_code == 0
    assert Path("o.txt").read_text().splitlines()[0] == '{"prediction": 1.0}'


@pytest.mark.usefixtures("double")
def test_nothing_is_overwritten(dlcli):
    Path("out.csv").write_text("precious")
    result = dlcli("predict", "runs/double", "points.csv", "--output", "out.csv")
    assert result.exit_code == 2
    assert "out.csv: already exists" in result.stderr
    assert Path("out.csv").read_text() == "precious"


@pytest.mark.usefixtures("double")
def test_a_failure_leaves_no_output(dlcli):
    before = sorted(os.listdir())
    assert dlcli("predict", "runs/double", "pets.csv", "--output", "out.csv").exit_code == 2
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("double")
def test_an_output_that_cannot_be_made_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--output", "none/out.csv")
    assert result.exit_code == 2
    assert result.stderr == snapshot(
        "error: none/out.csv: can't be written: No such file or directory\n"
    )


@pytest.mark.usefixtures("double")
def test_an_output_below_a_file_is_a_mistake(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--output", "points.csv/out.csv")
    assert result.exit_code == 2
    assert result.stderr == snapshot(
        "error: points.csv/out.csv: can't be written: Not a directory\n"
    )


@pytest.mark.usefixtures("double")
def test_a_name_of_the_users_can_break_no_line(dlcli):
    result = dlcli("predict", "runs/double", "-", text='x,"a\x1b[2J\nb"\n1,2\n')
    assert result.stderr == (
        snapshot(
            "note: standard input: ignored a column that the training data did not have: a\\x1b[2J\\nb\n"
        )
    )
    Path("p\x1b.csv").write_text("x,w\n1,2\n")
    assert dlcli("predict", "runs/double", "p\x1b.csv").stderr == (
        snapshot("note: p\\x1b.csv: ignored a column that the training data did not have: w\n")
    )


@pytest.mark.usefixtures("double")
def test_json_lines_hold_numbers_truth_and_gaps(dlcli):
    columns = {
        "x": pa.array([0.0, 0.5]),
        "good": pa.array([True, None]),
        "day": pa.array([0, 1], pa.date32()),
        "share": pa.array([float("nan"), 2.0]),
        "name": pa.array(["é", None]),
    }
    pq.write_table(pa.table(columns), "in.parquet")
    keep = [part for name in ("good", "day", "share", "name") for part in ("--keep", name)]
    result = dlcli("predict", "runs/double", "in.parquet", "--format", "jsonl", *keep)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"good": True, "day": "1970-01-01", "share": None, "name": "é", "prediction": 1.0},
        {"good": None, "day": "1970-01-02", "share": 2.0, "name": None, "prediction": 2.0},
    ]


@pytest.mark.usefixtures("double")
def test_csv_holds_truth_in_words_and_whole_numbers_whole(dlcli):
    columns = {
        "x": pa.array([0.0, 0.5]),
        "good": pa.array([True, False]),
        "key": pa.array([9007199254740993, None]),
        "code": pa.array(["a", "b"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), "in.parquet")
    keep = [part for name in ("good", "key", "code") for part in ("--keep", name)]
    result = dlcli("predict", "runs/double", "in.parquet", *keep)
    assert result.stdout == ("good,key,code,prediction\ntrue,9007199254740993,a,1\nfalse,,b,2\n")


@pytest.mark.usefixtures("double")
def test_a_list_has_no_form_in_csv(dlcli):
    pq.write_table(pa.table({"x": pa.array([1.0]), "tags": pa.array([["a", "b"]])}), "in.parquet")
    result = dlcli("predict", "runs/double", "in.parquet", "--keep", "tags")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the column 'tags' holds list" in result.stderr


@pytest.mark.usefixtures("double")
def test_what_a_spreadsheet_would_run_is_neutralised_on_request(dlcli):
    text = 'x,=k\n0,=1+1\n0,"@a"\n0,-5\n0,"\tb"\n0,a=b\n0,\n'
    arguments = ("predict", "runs/double", "-", "--keep", "=k")
    assert dlcli(*arguments, text=text).stdout.splitlines()[:2] == ["=k,prediction", "=1+1,1"]
    assert dlcli(*arguments, "--spreadsheet-safe", text=text).stdout == (
        "'=k,prediction\n'=1+1,1\n'@a,1\n'-5,1\n'\tb,1\na=b,1\n,1\n"
    )


@pytest.mark.usefixtures("double")
def test_a_negative_prediction_is_no_formula(dlcli):
    result = dlcli("predict", "runs/double", "-", "--spreadsheet-safe", text="x\n-3\n")
    assert result.stdout == "prediction\n-5\n"


@pytest.mark.usefixtures("double")
def test_spreadsheet_safe_has_no_meaning_outside_csv(dlcli):
    result = dlcli(
        "predict", "runs/double", "points.csv", "--spreadsheet-safe", "--format", "jsonl"
    )
    assert result.exit_code == 2
    assert "--spreadsheet-safe is for csv" in result.stderr


@pytest.mark.usefixtures("double")
def test_a_folder_without_a_run_ends_with_5(dlcli):
    result = dlcli("predict", "runs/doubel", "points.csv")
    assert result.exit_code == 5
    assert "did you mean 'runs/double'?" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("double")
def test_a_reader_who_has_seen_enough_ends_it_quietly(program):
    Path("many.csv").write_text("x\n" + "1\n" * 200_000)
    process = subprocess.Popen(
        [*program, "predict", "runs/double", "many.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"prediction\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full disk at hand")
def test_a_full_disk_is_reported(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*program, "predict", "runs/double", "points.csv"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 4
    assert done.stderr == snapshot("error: standard output: No space left on device\n")


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_an_output_that_the_disk_has_no_room_for_is_named(name):
    start = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4));"
        "from dlcli.cli.program import main; main(prog_name='dlcli')"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", start, "predict", "runs/double", "points.csv"]
        + ["--output", name],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, f"error: {name}: File too large\n")
    assert sorted(os.listdir()) == ["double.yaml", "points.csv", "runs"]


class _Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1 / 3, "0.333333"), (12345678.9, "12345679"), (2e-9, "2e-09"), (-0.25, "-0.25")],
)
def test_a_terminal_shows_six_significant_digits(number, shown):
    rows = pa.table({"prediction": pa.array([1.5, number], pa.float64())})
    terminal, pipe = _Terminal(), io.BytesIO()
    for stream in (terminal, pipe):
        write_rows(rows, "csv", stream)
    assert terminal.getvalue().decode() == f"prediction\n1.5\n{shown}\n"
    read = csv.DictReader(pipe.getvalue().decode().splitlines())
    assert [float(row["prediction"]) for row in read] == [1.5, number]
