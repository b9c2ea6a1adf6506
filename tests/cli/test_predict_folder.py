"""`dlcli predict` of a folder or glob: a part for each file, written once."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlcli.pipeline import folder_prediction
from dlcli.prediction import predictor

pytestmark = pytest.mark.usefixtures("double")
"""The run runs/double predicts y = 2x + 1."""

PREDICT = ("predict", "runs/double", "data", "--output", "out")


@pytest.fixture
def in_process(monkeypatch):
    """Predict in this process instead of in workers."""

    def run(task, jobs, stop, listener):
        task(listener)

    monkeypatch.setattr(folder_prediction, "run_workers", run)


def write(name, **columns):
    path = Path("data", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def read(name):
    return pq.read_table(Path("out", name)).to_pydict()


def names(folder="out"):
    return sorted(
        str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()
    )


OWN = ["_lock", "_predictions.json"]


@pytest.mark.usefixtures("in_process")
def test_each_file_gets_a_part_of_its_name_and_format(dlcli):
    write("a.parquet", x=[0.0, 1.0], id=["p", "q"])
    write("more/b.parquet", x=[2], id=["r"])
    write("_delta_log/c.parquet", x=[2])
    Path("data/.hidden.csv").write_text("x\n1\n")
    Path("data/d.csv.gz").write_bytes(gzip.compress(b"x,id\n3,s\n4,t\n"))
    Path("data/e.jsonl").write_text('{"x": 5, "id": "u"}\n')

    result = dlcli(*PREDICT, "--keep", "id")

    assert (result.exit_code, result.stdout) == (0, "")
    assert names() == sorted(["a.parquet", "d.csv", "e.jsonl", "more/b.parquet", *OWN])
    assert read("a.parquet") == {"id": ["p", "q"], "prediction": [1, 3]}
    assert read("more/b.parquet") == {"id": ["r"], "prediction": [5]}
    assert Path("out/d.csv").read_text() == "id,prediction\ns,7\nt,9\n"
    assert Path("out/e.jsonl").read_text() == '{"id": "u", "prediction": 11.0}\n'


@pytest.mark.usefixtures("in_process")
def test_the_names_of_folders_give_columns(dlcli):
    write("x=1/id=p/a.parquet", more=[0.5, 0.5])
    write("x=2.5/id=q/a.parquet", more=[0.5])

    assert dlcli(*PREDICT, "--keep", "id").exit_code == 0
    assert read("x=1/id=p/a.parquet") == {"id": ["p", "p"], "prediction": [3, 3]}
    assert read("x=2.5/id=q/a.parquet") == {"id": ["q"], "prediction": [6]}

    write("x=2/id=p/b.parquet", more=["x"])
    write("c.parquet", more=["x"])
    result = dlcli(*PREDICT, "--keep", "id")
    assert result.exit_code == 3
    assert "data/x=1/id=p/a.parquet: is partitioned by 'x', 'id', but c.parquet by no column" in (
        result.stderr
    )


@pytest.mark.usefixtures("in_process")
def test_numbers_in_text_and_the_names_of_folders_are_read_together(dlcli):
    write("id=p/a.parquet", x=["1,5", "2,5"])

    assert dlcli(*PREDICT, "--keep", "id").exit_code == 0
    assert read("id=p/a.parquet") == {"id": ["p", "p"], "prediction": [4, 6]}


@pytest.mark.usefixtures("in_process")
def test_a_glob_is_predicted_into_a_folder_and_otherwise_as_one_table(dlcli):
    for name in ("a.csv", "b.csv"):
        write(name, x=[0.0])
        Path("data", name).write_text("x\n0\n1\n")

    assert dlcli("predict", "runs/double", "data/*.csv", "--output", "out").exit_code == 0
    assert dlcli("predict", "runs/double", "data/*.csv", "--output", "one.csv").exit_code == 0
    assert names() == sorted([*OWN, "a.csv", "b.csv"])
    assert Path("one.csv").read_text() == "prediction\n1\n3\n1\n3\n"


@pytest.mark.usefixtures("in_process")
def test_a_glob_that_matches_the_parts_of_an_earlier_command_omits_them(dlcli):
    Path("data/more").mkdir(parents=True)
    for name in ("a.csv", "more/b.csv", "bad.csv"):
        Path("data", name).write_text("x\n0\n" if name != "bad.csv" else "x\nnone\n")
    rejecting = "--on-bad-row", "reject", "--rejected", "data/bad"
    command = "predict", "runs/double", "data/**/*.csv", "--output", "data/out", *rejecting

    assert dlcli(*command).exit_code == 0
    parts, rejected = names("data/out"), names("data/bad")
    Path("data/out/a.csv").unlink()
    assert dlcli(*command).exit_code == 0
    assert (names("data/out"), names("data/bad")) == (parts, rejected)


@pytest.mark.usefixtures("in_process")
def test_a_single_file_is_predicted_into_a_folder_that_exists(dlcli):
    predict = ("predict", "runs/double", "points.csv", "--output", "out")
    assert "unknown file extension ''" in dlcli(*predict).stderr
    Path("out").mkdir()

    assert dlcli(*predict).exit_code == 0
    assert Path("out/points.csv").read_text() == "prediction\n1\n3\n5\n"
    piped = dlcli("predict", "runs/double", "-", "--output", "out", text="x\n1\n")
    assert (piped.exit_code, "out: already exists" in piped.stderr) == (2, True)


@pytest.mark.usefixtures("in_process")
def test_long_files_are_read_some_rows_at_a_time_with_the_columns_they_need(dlcli, monkeypatch):
    monkeypatch.setattr(predictor, "MAX_ROWS_AT_ONCE", 3)
    write("a.parquet", x=[float(x) for x in range(8)], long=[["list"]] * 8)
    pq.write_table(pq.read_table("data/a.parquet"), "data/a.parquet", row_group_size=2)
    Path("data/b.csv").write_text("x\n" + "".join(f"{x}\n" for x in range(8)))

    result = dlcli(*PREDICT)

    assert result.exit_code == 0
    assert "a.parquet, 8 rows" in result.stderr
    assert read("a.parquet") == {"prediction": [1 + 2 * x for x in range(8)]}
    assert Path("out/b.csv").read_text().split() == ["prediction", *map(str, range(1, 16, 2))]


@pytest.mark.usefixtures("in_process")
def test_rows_in_messages_are_counted_through_the_file(dlcli, monkeypatch):
    monkeypatch.setattr(predictor, "MAX_ROWS_AT_ONCE", 3)
    write("a.parquet", x=[0.0] * 7 + [np.inf])

    result = dlcli(*PREDICT)

    assert result.exit_code == 3
    assert "data/a.parquet: row 8, column 'x': expected a finite number" in result.stderr
    assert "hint: --on-bad-row warn" in result.stderr
    assert names() == OWN


@pytest.mark.usefixtures("in_process")
def test_the_notation_of_numbers_is_that_of_the_whole_file_as_without_a_folder(dlcli, monkeypatch):
    monkeypatch.setattr(predictor, "MAX_ROWS_AT_ONCE", 1)
    Path("data").mkdir()
    Path("data/a.csv").write_text("x;id\n1,234;a\n0,5;b\n")

    assert dlcli(*PREDICT).exit_code == 0
    whole = dlcli("predict", "runs/double", "data/a.csv").stdout
    assert Path("out/a.csv").read_text() == whole
    assert whole.split()[2] == "2"


@pytest.mark.usefixtures("in_process")
def test_a_file_without_rows_gets_a_part_without_rows(dlcli):
    write("a.parquet", x=pa.array([], pa.float64()), id=pa.array([], pa.string()))

    Path("data/b.csv").write_text("x,id\n")

    assert dlcli(*PREDICT, "--keep", "id").exit_code == 0
    assert read("a.parquet") == {"id": [], "prediction": []}
    assert Path("out/b.csv").read_text() == "id,prediction\n"


@pytest.mark.usefixtures("in_process")
def test_the_same_command_skips_parts_that_are_there(dlcli):
    write("a.parquet", x=[1.0])
    dlcli(*PREDICT)
    before = Path("out/a.parquet").stat()
    write("b.parquet", x=[2.0])

    result = dlcli(*PREDICT)

    assert "note: 2 of 2 files: out/b.parquet, 1 row\n" in result.stderr
    assert "skipped 1 file of 2 (already predicted)" in result.stderr
    assert Path("out/a.parquet").stat() == before
    assert read("b.parquet") == {"prediction": [5]}


@pytest.mark.usefixtures("in_process")
def test_a_file_that_has_changed_is_refused_until_its_part_is_removed(dlcli):
    write("a.parquet", x=[1.0])
    dlcli(*PREDICT)
    write("a.parquet", x=[3.0, 4.0])

    result = dlcli(*PREDICT)

    assert result.exit_code == 3
    assert "data/a.parquet: has changed since out/a.parquet was predicted from it" in (
        result.stderr
    )
    assert read("a.parquet") == {"prediction": [3]}
    Path("out/a.parquet").unlink()
    assert dlcli(*PREDICT).exit_code == 0
    assert read("a.parquet") == {"prediction": [7, 9]}


@pytest.mark.usefixtures("in_process")
def test_a_file_that_changes_while_it_is_read_gets_no_part(dlcli, monkeypatch):
    write("a.parquet", x=[1.0])
    predict = predictor.Predictor.predict

    def touched(*arguments):
        os.utime("data/a.parquet", ns=(1, 1))
        return predict(*arguments)

    monkeypatch.setattr(predictor.Predictor, "predict", touched)
    result = dlcli(*PREDICT)

    assert result.exit_code == 3
    assert "data/a.parquet: changed while it was being read; run the command again" in result.stderr
    assert names() == OWN


@pytest.mark.usefixtures("in_process", "pets")
def test_parts_of_another_run_or_with_other_options_are_not_mixed(dlcli):
    write("a.parquet", x=[1.0])
    dlcli(*PREDICT)

    other = dlcli("predict", "runs/pets", "data", "--output", "out")
    assert (other.exit_code, other.stderr) == (
        2,
        "error: out: contains predictions of another run; choose a new folder with --output\n",
    )
    kept = dlcli(*PREDICT, "--keep", "x", "--on-bad-row", "warn")
    assert kept.exit_code == 2
    assert "out: was started with another --keep and --on-bad-row;" in kept.stderr


@pytest.mark.usefixtures("in_process")
def test_a_file_with_another_schema_is_named_and_finished_parts_are_kept(dlcli):
    write("a.parquet", x=[1.0])
    write("b.parquet", X=[1.0])
    write("c.parquet", x=[["list"]])

    result = dlcli(*PREDICT)

    assert result.exit_code == 3
    missing = "data/b.parquet: has no column 'x', which the network reads; did you mean 'X'?"
    assert missing in result.stderr
    assert (
        "1 of 3 files are predicted; run the same command again to predict the rest"
        in result.stderr
    )
    assert names() == sorted([*OWN, "a.parquet"])

    write("b.parquet", x=[5.0])
    listed = dlcli(*PREDICT)
    assert (
        "data/c.parquet: column 'x': expected numbers, but the column holds list" in listed.stderr
    )
    assert read("b.parquet") == {"prediction": [11]}


@pytest.mark.usefixtures("in_process")
def test_bad_values_of_all_files_are_summed_up(dlcli):
    write("a.parquet", x=[1.0, np.inf])
    write("b.parquet", x=[np.inf, 2.0, np.inf], more=[0, 0, 0])

    result = dlcli(*PREDICT, "--on-bad-row", "warn", "--json")

    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["files"], summary["skipped"]) == (5, 2, 0)
    assert summary["bad_rows"] == 3
    assert summary["differences"]["x"]["unreadable"] == 3
    assert "data: ignored a column that the training data did not have: more" in result.stderr
    assert read("b.parquet")["prediction"] == [3, 5, 3]  # of the training rows' mean


@pytest.mark.usefixtures("in_process")
def test_rejected_rows_go_to_a_file_of_the_same_name(dlcli):
    write("a.parquet", x=[1.0, 2.0])
    write("b.parquet", x=[np.inf, 2.0], id=["p", "q"])

    reject = ("--on-bad-row", "reject", "--rejected")
    result = dlcli(*PREDICT, *reject, "bad")

    assert result.exit_code == 0
    assert (
        "1 row has a value that can't be used, rejected and written to bad: data/b.parquet: row 1, column"
        in (result.stderr)
    )
    assert read("b.parquet")["prediction"] == [None, 5]
    assert names("bad") == ["b.parquet"]
    [row] = pq.read_table("bad/b.parquet").to_pylist()
    assert (row["row"], row["id"]) == (1, "p")
    assert "expected a finite number" in row["reason"]
    assert dlcli(*PREDICT, *reject, "bad.csv").exit_code == 2

    write("b.parquet", x=[1.0, 2.0], id=["p", "q"])
    Path("out/b.parquet").unlink()
    assert dlcli(*PREDICT, *reject, "bad").exit_code == 0
    assert names("bad") == []


@pytest.mark.usefixtures("in_process")
def test_a_plan_that_was_being_written_is_no_other_file(dlcli):
    write("a.parquet", x=[1.0])
    Path("out").mkdir()
    Path("out/._predictions.partial.json").write_text("{")
    assert dlcli(*PREDICT).exit_code == 0
    assert names() == sorted([*OWN, "a.parquet"])


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("function", "written", "named", "left"),
    [
        ("fsync", ".a.partial.parquet", "a.parquet", OWN),
        ("fsync", "._predictions.partial.json", "_predictions.json", ["_lock"]),
        ("ftruncate", "_lock", "_lock", ["_lock"]),
    ],
)
def test_a_full_disk_leaves_no_part(function, written, named, left, dlcli, monkeypatch):
    write("a.parquet", x=[1.0])
    call = getattr(os, function)

    def full(descriptor, *others):
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(f"out/{written}")):
                raise OSError(28, "No space left on device")
        call(descriptor, *others)

    monkeypatch.setattr(os, function, full)
    result = dlcli(*PREDICT)

    assert (result.exit_code, result.stderr) == (
        4,
        f"error: out/{named}: No space left on device\n",
    )
    assert names() == left


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ((), (), "data: contains no tables to predict"),
        (("a.csv", "b.txt"), (), "data: contains files that do not look like tables: 'b.txt'"),
        (("a.csv", "a.parquet"), ("--format", "csv"), "has the same output file 'a.csv'"),
        (("a.csv",), ("--output", "data/out"), "data/out: is inside data"),
        (("a.csv",), ("--output", "runs"), "runs: contains other files, 'notes.txt'"),
        (("a.csv",), ("--rejected", "bad"), "--rejected FILE requires --on-bad-row reject"),
        (("a.parquet",), ("--spreadsheet-safe",), "--spreadsheet-safe is for csv"),
    ],
)
@pytest.mark.usefixtures("in_process")
def test_what_can_not_be_carried_out_is_refused(files, options, message, dlcli):
    Path("data").mkdir()
    Path("runs/notes.txt").touch()
    for name in files:
        Path("data", name).write_text("x\n1\n")

    result = dlcli(*PREDICT, *options)

    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()
    assert sorted(os.listdir("runs")) == ["double", "notes.txt"]


def test_a_file_that_is_not_there_is_an_error_of_usage(dlcli):
    Path("out").mkdir()
    result = dlcli("predict", "runs/double", "absent.csv", "--output", "out")
    assert (result.exit_code, result.stderr) == (2, "error: absent.csv: no such file\n")


def test_jobs_are_for_several_files(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--jobs", "2")

    assert result.exit_code == 2
    assert "--jobs applies to predictions of several files" in result.stderr


# Processes


class Running:
    """A command in a process of its own, whose worker waits for a file that is a pipe."""

    def __init__(self, program, *options, folder="out"):
        os.mkfifo("data/b.csv")
        command = [*program, "predict", "runs/double", "data/*.*", "--output", folder, *options]
        self._folder = Path(folder)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.worker = self._wait()

    def _wait(self):
        """Wait until the first part is complete and the second begun."""
        while self.process.poll() is None:
            with suppress(FileNotFoundError, ValueError):
                worker = int((self._folder / ".b.csv.lock").read_text())
                if (self._folder / "a.parquet").exists():
                    return worker
            time.sleep(0.01)
        raise AssertionError(self.process.stderr.read())

    def end(self):
        _, errors = self.process.communicate(timeout=60)
        Path("data/b.csv").unlink()
        return errors


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def files(double):
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes")
    rng = np.random.default_rng(0)
    write("a.parquet", x=rng.normal(size=1000))
    write("c.parquet", x=rng.normal(size=1000))


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_a_command_that_was_killed_is_resumed_by_the_same_command(program, dlcli, in_process):
    running = Running(program)
    running.process.kill()
    running.end()
    deadline = time.monotonic() + 30
    while not has_ended(running.worker):
        assert time.monotonic() < deadline, "the worker has outlived its parent"
        time.sleep(0.01)
    before = Path("out/a.parquet").stat()
    Path("data/b.csv").write_text("x\n1\n2\n")

    resume = ("predict", "runs/double", "data/*.*", "--output")
    assert dlcli(*resume, "out").exit_code == 0
    assert Path("out/a.parquet").stat() == before
    assert dlcli(*resume, "whole").exit_code == 0
    assert names("out") == names("whole") == sorted([*OWN, "a.parquet", "b.csv", "c.parquet"])
    for name in ("a.parquet", "b.csv", "c.parquet"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_a_killed_worker_ends_a_command_without_another_and_keeps_its_parts(program):
    running = Running(program)
    os.kill(running.worker, signal.SIGKILL)
    errors = running.end()

    assert running.process.returncode == 4
    assert "was ended by SIGKILL, perhaps because memory ran out" in errors
    assert "1 of 3 files are predicted; run the same command again to predict the rest" in errors
    assert names() == sorted([*OWN, "a.parquet"])


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_two_processes_share_the_files_also_if_one_is_killed_and_ctrl_c_ends_both(
    program, dlcli, in_process
):
    running = Running(program, "--jobs", "2", folder="two")
    while not Path("two/c.parquet").exists():
        time.sleep(0.01)
    os.kill(running.worker, signal.SIGKILL)
    while int(Path("two/.b.csv.lock").read_text() or running.worker) == running.worker:
        assert running.process.poll() is None
        time.sleep(0.01)
    running.process.send_signal(signal.SIGINT)
    errors = running.end()

    assert running.process.returncode == 130
    assert f"worker process {running.worker} was ended by SIGKILL" in errors
    assert errors.endswith(
        "ended by SIGINT after 2 of 3 files; run the same command again to resume\n"
    )
    assert names("two") == sorted([*OWN, "a.parquet", "c.parquet"])
    dlcli("predict", "runs/double", "data/*.*", "--output", "out")
    for name in ("a.parquet", "c.parquet"):
        assert Path("out", name).read_bytes() == Path("two", name).read_bytes()
