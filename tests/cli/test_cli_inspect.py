"""`dlcli inspect`: what a table holds, and what may be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot


@pytest.fixture
def staff(folder):
    rows = "".join(f"{20 + at % 40},{'HQ' if at % 3 else 'hq'},{at % 2}\n" for at in range(100))
    rows += "-999,HQ,0\n" * 6
    Path("staff.csv").write_text("age,site,left\n" + rows)


@pytest.mark.usefixtures("staff")
def test_columns_and_findings_are_printed_and_the_exit_code_is_zero(dlcli):
    result = dlcli("inspect", "staff.csv", "--target", "left")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:6] == snapshot(
        [
            "staff.csv: 106 rows, 3 columns",
            "",
            "column  type         missing  distinct  values            why this type",
            "age     numeric                     41  −999 to 59        all values are numbers",
            "site    categorical                  2  HQ (72), hq (34)  text, 2 values",
            "left    target                       2  0 (56), 1 (50)    categorical: all 0 or 1",
        ]
    )
    assert "warning: a repeated value far from all others: 'age' (-999 in 6 rows)" in lines
    spelled = (
        "warning: categories that differ only in capital letters or spaces: 'site' ('hq', 'HQ')"
    )
    at = lines.index(spelled)
    assert (
        lines[at + 1]
        == "         if they mean the same, spell them the same: the network learns each separately"
    )


@pytest.mark.usefixtures("folder")
def test_a_table_without_problems_is_reported(dlcli):
    Path("points.csv").write_text("x,y\n1.5,2\n2,3\n")
    result = dlcli("inspect", "points.csv")
    assert result.stdout.endswith("\n\nno problems found\n")


@pytest.mark.usefixtures("folder")
def test_of_many_columns_numbered_ones_of_the_same_type_are_listed_together(dlcli):
    names = [*(f"pixel_{at}" for at in range(38)), "label", "note1", "note2"]
    lines = [",".join(names)]
    for row in range(30):
        values = [*(f"{at + row / 10}" for at in range(38)), f"{row % 2}", "ab"[row % 2], "-"]
        lines.append(",".join(["" if row else values[0], *values[1:]]))
    Path("many.csv").write_text("\n".join(lines) + "\n")
    shown = dlcli("inspect", "many.csv").stdout.splitlines()
    assert [" ".join(line.split()) for line in shown[2:8]] == snapshot(
        [
            "column type missing distinct values why this type",
            "pixel_0 ignored 96.7 % 1 0 (1) 1 value in 30 rows is too few",
            "pixel_1 to pixel_37 (37) numeric 30 1 to 39.9 all values are numbers",
            "label numeric 2 0 (15), 1 (15) all values are numbers",
            "note1 categorical 2 a (15), b (15) text, 2 values",
            "note2 ignored 1 - (30) the same value in all rows: -",
        ]
    )
    fewer = "\n".join(line.split(",", 1)[1] for line in lines)
    Path("many.csv").write_text(fewer + "\n")
    assert len(dlcli("inspect", "many.csv").stdout.splitlines()) > 40


@pytest.mark.usefixtures("folder")
def test_numbered_columns_of_years_are_listed_without_a_separator_of_thousands(dlcli):
    lines = [",".join(f"opened_{at}" for at in range(41))]
    lines += [",".join(f"{1950 + row + at}" for at in range(41)) for row in range(30)]
    Path("years.csv").write_text("\n".join(lines) + "\n")
    shown = dlcli("inspect", "years.csv").stdout.splitlines()
    assert " ".join(shown[3].split()).endswith("numeric 30 1950 to 2019 all values are numbers")


@pytest.mark.usefixtures("staff")
def test_json_is_one_object(dlcli):
    result = dlcli("inspect", "staff.csv", "--target", "left", "--json")
    document = json.loads(result.stdout)
    assert (document["rows"], document["target"], len(document["columns"])) == (106, "left", 3)
    assert document["columns"][1]["values"]["frequent"] == [["HQ", 72], ["hq", 34]]
    codes = next(item for item in document["issues"] if item["check"] == "missing_codes")
    assert (codes["severity"], codes["columns"], codes["rows"]) == ("warning", ["age"], 6)


@pytest.mark.usefixtures("staff")
def test_a_target_that_is_no_column_is_a_mistake(dlcli):
    result = dlcli("inspect", "staff.csv", "--target", "lft")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == snapshot(
        "error: staff.csv: no column 'lft' in the table; did you mean 'left'?\n"
    )
    for verb in ("inspect", "init"):
        result = dlcli(verb, "staff.csv", "--target", "")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(
            "error: staff.csv: no column '' in the table; the table has "
        )


def test_a_name_of_other_letters_is_not_suggested(dlcli):
    result = dlcli("inspect", "-", "--target", "churn", text="month,hour\n1,2\n2,3\n")
    assert result.stderr == snapshot(
        "error: standard input: no column 'churn' in the table; the table has month, hour\n"
    )
    result = dlcli("inspect", "-", "--target", "RNETED", text="rented,hour\n1,2\n2,3\n")
    assert result.stderr == snapshot(
        "error: standard input: no column 'RNETED' in the table; did you mean 'rented'?\n"
    )


def test_standard_input_is_read(dlcli):
    result = dlcli("inspect", "-", text="x,y\n1.5,2\n2,3\n")
    assert result.exit_code == 0
    assert result.stdout.startswith("standard input: 2 rows, 2 columns\n")


@pytest.mark.usefixtures("staff")
def test_what_is_found_is_a_warning_of_training_too(dlcli):
    Path("staff.yaml").write_text("data: {train: staff.csv, target: left}\nhidden: []\nepochs: 1\n")
    result = dlcli("validate", "staff.yaml")
    assert result.exit_code == 0
    found = "a repeated value far from all others: 'age' (-999 in 6 rows)"
    assert f"warning: staff.csv: {found}; if it means that the value is missing" in result.stderr
