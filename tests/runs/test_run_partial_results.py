"""Partial results of a cross-validation: stored atomically, and verified when read."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pytest

from dlcli.errors import RunError
from dlcli.runs.manifest import kind_of_unfinished
from dlcli.runs.run_writer import RunWriter, remove_resume_files
from dlcli.safe_files import Document

TABLE = pa.table({"row": [1, 3], "prediction": [0.5, 1e-300]})
WAY_OUT = "restore the run from a copy or train it again"


class Fold(Document):
    """The result of a fold."""

    fold: int = 1


def read(run, number=1):
    return RunWriter(run).read_partial_result(number, Fold, f"fold {number}")


@pytest.fixture
def run(tmp_path):
    """An unfinished cross-validation of two folds, the first of which is finished."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "resolved.yaml").write_text("epochs: 1\n")
    RunWriter(folder).write_plan({"folds": 2})
    RunWriter(folder).write_partial_result(1, Fold(), TABLE)
    return folder


def refused(run, number=1):
    with pytest.raises(RunError) as caught:
        read(run, number)
    return str(caught.value), getattr(caught.value, "__notes__", [])


def test_a_folder_with_a_plan_is_a_cross_validation(tmp_path):
    assert kind_of_unfinished(tmp_path) == "train"
    RunWriter(tmp_path).write_plan({"folds": 2, "repeats": 3})
    assert kind_of_unfinished(tmp_path) == "cv"
    assert RunWriter(tmp_path).read_plan() == {"folds": 2, "repeats": 3}


def test_a_partial_result_is_read(run):
    result, predictions = read(run)
    assert result == Fold()
    assert predictions.equals(TABLE)


def test_a_part_without_predictions_has_none(run):
    RunWriter(run).write_partial_result(2, Fold(fold=2))
    assert read(run, 2) == (Fold(fold=2), None)


def test_an_unfinished_part_is_none(run):
    assert read(run, 2) is None


def test_leftovers_of_a_crash_are_ignored(run):
    half = run / "folds" / ".2.partial"
    half.mkdir()
    (half / "result.json").write_text("{")
    assert read(run, 2) is None
    RunWriter(run).write_partial_result(2, Fold(), TABLE)
    assert read(run, 2)[0] == Fold()
    assert sorted(os.listdir(run / "folds")) == ["1", "2", "plan.json"]


def test_a_part_that_is_no_such_document_is_rejected(run):
    class Trial(Document):
        number: int

    with pytest.raises(RunError) as caught:
        RunWriter(run).read_partial_result(1, Trial, "trial 1")
    problem = "the stored result of trial 1 is malformed at 'number': Field required"
    assert str(caught.value) == f"{run}: {problem}"


def test_a_part_of_another_config_is_an_error_with_advice(run):
    folder = run / "folds" / "1"
    (run / "resolved.yaml").write_text("epochs: 2\n")
    assert refused(run) == (
        f"{folder}: belongs to another config; {WAY_OUT}",
        [f"or remove {folder}; its results are then computed again"],
    )


def test_a_part_under_another_number_is_rejected(run):
    (run / "folds" / "1").rename(run / "folds" / "2")
    assert refused(run, 2)[0] == f"{run / 'folds' / '2'}: belongs to number 1; {WAY_OUT}"


@pytest.mark.parametrize("name", ["result.json", "predictions.parquet"])
def test_a_changed_file_is_rejected(run, name):
    path = run / "folds" / "1" / name
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert refused(run)[0] == f"{path}: has changed since it was written; {WAY_OUT}"


def test_contents_without_a_result_are_rejected(run):
    RunWriter(run).write_partial_result(1, Fold(), TABLE)
    path = run / "folds" / "1" / "contents.json"
    fields = json.loads(path.read_text())
    del fields["files"]["result.json"]
    path.write_text(json.dumps(fields))
    assert refused(run)[0] == f"{path}: does not match its own digest; {WAY_OUT}"


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("folds", "is a link, a file or a device, not a folder"),
        ("folds/1", "is a link, a file or a device, not a folder"),
        ("folds/1/result.json", "is not a regular file but a link, a folder or a device"),
    ],
)
def test_nothing_is_read_through_a_link(run, name, finding, tmp_path):
    path = run / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert refused(run)[0].startswith(f"{path}: {finding}")


def test_nothing_is_written_through_a_link(run, tmp_path):
    (run / "folds").rename(tmp_path / "elsewhere")
    (run / "folds").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError):
        RunWriter(run).write_partial_result(2, Fold(), TABLE)
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["1", "plan.json"]


def test_a_plan_that_is_not_an_object_is_rejected(run):
    (run / "folds" / "plan.json").write_text("[2]")
    with pytest.raises(RunError) as caught:
        RunWriter(run).read_plan()
    assert str(caught.value) == f"{run / 'folds' / 'plan.json'}: is not a JSON object; {WAY_OUT}"


def test_all_parts_are_removed_at_the_end(run):
    remove_resume_files(run)
    assert os.listdir(run) == ["resolved.yaml"]
