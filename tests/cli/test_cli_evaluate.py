"""`dlcli evaluate`: the metrics of a run on other rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.cli.conftest import DOUBLE, make_run


@pytest.mark.usefixtures("double")
def test_scores_are_a_table(dlcli):
    result = dlcli("evaluate", "runs/double", "-", text="x,y\n0,1\n1,3\n2,4\n3,7\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == snapshot(
        [  # only the third row is missed, by 1
            "rows                       4",
            "MSE                     0.25",
            "RMSE                    0.50",
            "MAE                     0.25",
            "R²                     0.947",  # 1 - 1 / 18.75
            "median absolute error      0",
        ]
    )


@pytest.mark.usefixtures("folder")
def test_rows_of_weight_0_are_counted_separately(dlcli):
    Path("points.csv").write_text("id,x,y,w\na,0,1,1\nb,1,3,1\nc,2,4,2\n")
    Path("weighted.yaml").write_text(DOUBLE.replace("target: y", "target: y, sample_weight: w"))
    make_run("weighted", kernel=2, bias=1)
    text = "x,y,w\n0,1,1\n1,3,1\n2,9,0\n3,7,2\n"
    lines = dlcli("evaluate", "runs/weighted", "-", text=text).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["rows", "rows of weight 0"]
    assert [line.split()[-1] for line in lines[:3]] == ["3", "1", "0"]


@pytest.mark.usefixtures("pets")
def test_json_is_one_object(dlcli):
    result = dlcli("evaluate", "runs/pets", "pets.csv", "--json")
    scores = json.loads(result.stdout)
    assert scores["rows"] == 4
    assert scores["metrics"]["accuracy"] == 0.75
    assert scores["metrics"]["confusion"] == [[2, 1], [0, 1]]


@pytest.mark.usefixtures("pets")
def test_the_confusion_names_the_classes(dlcli):
    lines = dlcli("evaluate", "runs/pets", "pets.csv").stdout.splitlines()
    assert lines[-5:] == [
        "true \\ predicted  cat  dog",
        "cat                 2    1",
        "dog                 0    1",
        "",
        "Average precision, precision, recall and F1 are for the class dog.",
    ]


@pytest.mark.usefixtures("double")
def test_the_training_file_is_warned_of_by_its_content(dlcli):
    Path("copy.csv").write_bytes(Path("points.csv").read_bytes())
    assert dlcli("evaluate", "runs/double", "copy.csv").stderr == (
        snapshot(
            "warning: copy.csv: runs/double was trained on rows of this table, so these metrics are too optimistic; to hold rows out, set data.test and train again\n"
        )
    )
    Path("other.csv").write_text(Path("points.csv").read_text().replace("4", "5"))
    assert dlcli("evaluate", "runs/double", "other.csv").stderr == ""


@pytest.mark.usefixtures("double")
def test_a_table_without_the_target_is_a_mistake(dlcli):
    result = dlcli("evaluate", "runs/double", "-", text="x\n1\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "'y'" in result.stderr


@pytest.mark.usefixtures("pets")
def test_a_class_that_training_did_not_have_is_named_with_its_row(dlcli):
    result = dlcli("evaluate", "runs/pets", "-", text="x,pet\n1,cat\n1,cow\n")
    assert result.exit_code == 3
    assert "row 2, column 'pet'" in result.stderr
    assert "to include rows of a new class, train on a table that contains this class" in (
        result.stderr
    )
