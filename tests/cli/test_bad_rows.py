"""Rows that differ from the training rows, in `predict` and `evaluate`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from tests.cli.conftest import make_run

BAD = "id,x,y\na,1,3\nb,one,5\nc,2,\nd,two,7\n"
"""Of points.csv's kind; the rows 2 and 4 have an x that is not a number, and row 3 has no y."""
ONE = "row 2, column 'x': expected a finite number, got 'one'"
TWO = "row 4, column 'x': expected a finite number, got 'two'"

OPTIONS_HINT = (
    "hint: --on-bad-row warn treats such values as missing; "
    "--on-bad-row reject --rejected FILE writes their rows to FILE\n"
)
TARGET_HINT = (
    "hint: --on-bad-row warn omits rows with an unusable target, and treats unusable values of "
    "features as missing; --on-bad-row reject --rejected FILE writes all these rows to FILE"
)


@pytest.fixture
def bad(double):
    """bad.csv, next to runs/double."""
    Path("bad.csv").write_text(BAD)


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize("policy", [(), ("--on-bad-row", "error")])
def test_a_bad_row_is_an_error_by_default(dlcli, policy):
    result = dlcli("predict", "runs/double", "bad.csv", *policy)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"error: bad.csv: {ONE}; 1 more row has this problem\n{OPTIONS_HINT}"


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x,y\none,1\n", "row 1, column 'x': expected a finite number, got 'one'"),
        ("x,y\n1,inf\n", "row 1, column 'y': expected a finite number, got 'inf'"),
    ],
)
def test_errors_of_evaluate_mention_the_option_for_bad_rows(dlcli, text, error):
    result = dlcli("evaluate", "runs/double", "-", text=text)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"error: standard input: {error}\n{TARGET_HINT}\n"


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_an_error_of_a_truncated_row_has_no_hint(dlcli, verb):
    result = dlcli(verb, "runs/double", "-", text="x,y\n1,3\n1\n")
    assert result.exit_code == 3
    assert "hint" not in result.stderr


@pytest.mark.usefixtures("bad")
def test_with_warn_a_bad_value_is_missing(dlcli):
    result = dlcli("predict", "runs/double", "bad.csv", "--on-bad-row", "warn")
    assert result.exit_code == 0
    assert result.stdout == "prediction\n3\n3\n5\n3\n"  # x is replaced by the median, 1
    assert result.stderr == (
        "warning: bad.csv: 2 rows have values that can't be used, treated as missing: "
        f"{ONE}; {TWO}\n"
    )


@pytest.mark.usefixtures("bad")
def test_a_rejected_row_keeps_its_position_and_is_written_with_the_reason(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.csv")
    result = dlcli("predict", "runs/double", "bad.csv", *policy, "--keep", "id")
    assert result.exit_code == 0
    assert result.stdout == "id,prediction\na,3\nb,\nc,5\nd,\n"
    assert result.stderr == (
        "warning: bad.csv: 2 rows have values that can't be used, rejected and written to rejected.csv: "
        f"{ONE}; {TWO}\n"
    )
    assert Path("rejected.csv").read_text() == (
        "row,reason,id,x,y\n"
        "2,\"column 'x': expected a finite number, got 'one'\",b,one,5\n"
        f'4,"{TWO[7:]}",d,two,7\n'
    )


@pytest.mark.usefixtures("double")
def test_without_bad_rows_the_file_of_rejected_rows_has_only_a_header(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.csv")
    result = dlcli("predict", "runs/double", "points.csv", *policy)
    assert result.stdout == "prediction\n1\n3\n5\n"
    assert result.stderr == ""
    assert Path("rejected.csv").read_text() == "row,reason,id,x,y\n"


@pytest.mark.usefixtures("bad")
def test_rejected_rows_are_written_in_the_format_of_the_extension(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.parquet")
    assert dlcli("predict", "runs/double", "bad.csv", *policy).exit_code == 0
    assert pq.read_table("rejected.parquet").column("row").to_pylist() == [2, 4]


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--on-bad-row", "reject"), "--on-bad-row reject requires --rejected FILE"),
        (("--rejected", "r.csv"), "--rejected FILE requires --on-bad-row reject"),
        (
            ("--on-bad-row", "warn", "--rejected", "r.csv"),
            "--rejected FILE requires --on-bad-row reject",
        ),
        (
            ("--rejected", "r.docx", "--on-bad-row", "reject"),
            "unknown file extension '.docx'; use one of .csv, .parquet, .pq, .jsonl, .ndjson, .xlsx\n",
        ),
        (("--rejected", "bad.csv", "--on-bad-row", "reject"), "bad.csv: already exists"),
    ],
)
def test_contradicting_options_are_a_usage_error(dlcli, verb, options, message):
    before = sorted(os.listdir())
    result = dlcli(verb, "runs/double", "bad.csv", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("bad")
def test_predictions_and_rejected_rows_need_two_files(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "out.csv")
    result = dlcli("predict", "runs/double", "bad.csv", *policy, "--output", "out.csv")
    assert result.exit_code == 2
    assert "--output and --rejected name the same file" in result.stderr


@pytest.mark.usefixtures("double")
def test_if_rejected_rows_cant_be_written_there_are_no_predictions(dlcli):
    before = sorted(os.listdir())
    policy = ("--on-bad-row", "reject", "--rejected", "none/r.csv")
    result = dlcli("predict", "runs/double", "points.csv", *policy, "--output", "out.csv")
    assert result.exit_code == 2
    assert result.stderr == snapshot(
        "error: none/r.csv: can't be written: No such file or directory\n"
    )
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
@pytest.mark.parametrize(
    "policy", [(), ("--on-bad-row", "warn"), ("--on-bad-row", "reject", "--rejected", "r.csv")]
)
def test_a_missing_column_is_an_error_under_every_policy(dlcli, verb, policy):
    result = dlcli(verb, "runs/double", "-", *policy, text="X,y\n1,3\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        snapshot(
            "error: standard input: has no column 'x', which the network reads; did you mean 'X'?\n"
        )
    )
    assert not Path("r.csv").exists()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    "policy", [(), ("--on-bad-row", "warn"), ("--on-bad-row", "reject", "--rejected", "r.csv")]
)
@pytest.mark.parametrize(("value", "stored"), [("true", "bool"), ("[1]", "list<item: int64>")])
def test_a_column_of_another_type_is_an_error_under_every_policy(dlcli, policy, value, stored):
    Path("in.jsonl").write_text(f'{{"x": {value}}}\n')
    result = dlcli("predict", "runs/double", "in.jsonl", *policy)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"error: in.jsonl: column 'x': expected numbers, but the column holds {stored}\n"
    )


@pytest.mark.usefixtures("bad")
def test_at_most_three_bad_values_are_shown_in_row_order(dlcli):
    text = "x\na\n1\nb\nc\nd\n"
    result = dlcli("predict", "runs/double", "-", "--on-bad-row", "warn", text=text)
    shown = [
        f"row {row}, column 'x': expected a finite number, got '{x}'"
        for row, x in [(1, "a"), (3, "b"), (4, "c")]
    ]
    assert result.stderr == (
        "warning: standard input: 4 rows have values that can't be used, treated as missing: "
        f"{'; '.join(shown)}; ...\n"
    )


@pytest.mark.usefixtures("double")
def test_values_beyond_those_shown_are_pointed_to_also_of_few_rows(dlcli):
    text = "x,y\na,b\nc,d\n0,1\n"
    result = dlcli("evaluate", "runs/double", "-", "--on-bad-row", "warn", text=text)
    [warning] = [line for line in result.stderr.splitlines() if "can't be used" in line]
    assert "2 rows have values that can't be used" in warning
    assert (warning.count("column"), warning.endswith("; ...")) == (3, True)


@pytest.mark.usefixtures("double")
def test_differences_from_the_training_rows_are_summarized(dlcli):
    result = dlcli("predict", "runs/double", "-", text="x\n-10\n2\n2.5\n")
    assert result.stderr == (
        snapshot("warning: standard input: column 'x': 2 rows outside the training range, 0 to 2\n")
    )


@pytest.mark.usefixtures("double")
def test_json_is_one_object_on_standard_output(dlcli):
    text = "x,w\none,0\n-1,0\n2,0\n"
    options = ("--on-bad-row", "warn", "--json", "--output", "out.csv")
    result = dlcli("predict", "runs/double", "-", *options, text=text)
    assert Path("out.csv").read_text() == "prediction\n3\n-1\n5\n"
    assert result.stderr.startswith("note: ")
    assert json.loads(result.stdout) == {
        "run": "runs/double",
        "output": "out.csv",
        "rows": 3,
        "bad_rows": 1,
        "differences": {"x": {"unreadable": 1, "outside": 1, "training_range": [0, 2]}},
    }


@pytest.mark.usefixtures("double")
def test_rows_like_the_training_rows_have_no_differences(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--json", "--output", "out.csv")
    found = json.loads(result.stdout)
    assert (found["rows"], found["bad_rows"], found["differences"]) == (3, 0, {})


@pytest.mark.usefixtures("double")
def test_json_needs_a_file_for_the_predictions(dlcli):
    result = dlcli("predict", "runs/double", "points.csv", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --json requires --output FILE, ")


@pytest.mark.usefixtures("bad")
def test_rows_without_a_target_are_left_out_and_other_bad_values_are_missing(dlcli):
    result = dlcli("evaluate", "runs/double", "bad.csv", "--on-bad-row", "warn")
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: bad.csv: 1 of 4 rows has no target ('y') and is skipped: row 3\n"
        "warning: bad.csv: 2 rows have values that can't be used, treated as missing: "
        f"{ONE}; {TWO}\n"
    )
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["rows"] == "3"
    assert float(lines["MAE"].split()[0]) == 2  # |3 - 3|, |5 - 3|, |7 - 3|


@pytest.mark.usefixtures("double")
def test_rows_whose_target_cant_be_read_are_skipped(dlcli):
    text = "x,y\n,\none,inf\n0,1\none,3\n"
    result = dlcli("evaluate", "runs/double", "-", "--on-bad-row", "warn", text=text)
    assert result.stderr == snapshot("""\
warning: standard input: 1 of 4 rows has no target ('y') and is skipped: row 1
warning: standard input: 2 rows have values that can't be used, 1 of them skipped, the rest treated as missing: row 2, column 'y': expected a finite number, got 'inf'; row 2, column 'x': expected a finite number, got 'one'; row 4, column 'x': expected a finite number, got 'one'
""")


@pytest.mark.usefixtures("bad")
def test_rejected_rows_are_not_evaluated(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.csv")
    result = dlcli("evaluate", "runs/double", "bad.csv", *policy, "--json")
    scores = json.loads(result.stdout)
    assert (scores["rows"], scores["left_out"], scores["bad_rows"]) == (1, 3, 3)
    assert scores["metrics"]["mae"] == 0
    assert scores["differences"] == {"x": {"unreadable": 2}}
    rows = Path("rejected.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["row", "2", "3", "4"]


@pytest.mark.usefixtures("double")
def test_evaluating_only_rejected_rows_is_an_error(dlcli):
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.csv")
    result = dlcli("evaluate", "runs/double", "-", *policy, text="x,y\none,1\n")
    assert result.exit_code == 3
    assert result.stderr == (
        snapshot(
            "error: standard input: row 1, column 'x': expected a finite number, got 'one'; "
            "no row is left to compute metrics from\n"
        )
    )


@pytest.mark.usefixtures("double")
def test_rejected_rows_of_several_files_name_their_file(dlcli):
    Path("day1.csv").write_text("x\n1\n")
    Path("day2.csv").write_text("x\none\n")
    policy = ("--on-bad-row", "reject", "--rejected", "rejected.csv")
    result = dlcli("predict", "runs/double", "day*.csv", *policy)
    assert result.stdout == 'prediction\n3\n""\n'
    assert "rejected and written to rejected.csv: day2.csv: row 1, column 'x'" in result.stderr
    assert Path("rejected.csv").read_text().splitlines()[1].startswith("day2.csv,1,")


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("options", [(), ("--on-bad-row", "warn")])
def test_rows_without_a_target_are_left_out_of_metrics(options, dlcli):
    text = "x,y\n0,1\n1,\n2,NA\n3,9\n"
    result = dlcli("evaluate", "runs/double", "-", "--json", *options, text=text)
    scores = json.loads(result.stdout)
    assert (scores["rows"], scores["left_out"], scores["bad_rows"]) == (2, 2, 0)
    assert scores["metrics"]["mae"] == 1  # |1 - 1|, |9 - 7|
    assert result.stderr == (
        snapshot(
            "warning: standard input: 2 of 4 rows have no target ('y') and are skipped: row 2, row 3\n"
        )
    )


@pytest.mark.usefixtures("double")
def test_without_any_target_there_is_nothing_to_evaluate(dlcli):
    result = dlcli("evaluate", "runs/double", "-", text="x,y\n0,\n1,\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: standard input: column 'y': no row has a target")


@pytest.mark.usefixtures("double")
def test_a_run_that_refuses_rows_without_a_target_refuses_them_in_metrics(dlcli):
    config = Path("double.yaml").read_text()
    Path("strict.yaml").write_text(config.replace(": y}", ": y, on_missing_target: error}"))
    make_run("strict", kernel=2, bias=1)
    result = dlcli("evaluate", "runs/strict", "-", text="x,y\n0,1\n1,\n")
    assert (result.exit_code, result.stdout) == (3, "")
    message = "row 2, column 'y': the target is missing; remove such rows from the file"
    assert result.stderr == f"error: standard input: {message}\n{TARGET_HINT}\n"
