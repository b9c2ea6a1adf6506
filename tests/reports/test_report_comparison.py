"""The view of a comparison: its sections, and that all that a run contains stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dlcli.comparison import Comparison, DataFile, Setting, compare
from dlcli.reports.comparison_report import comparison_view
from dlcli.reports.report_files import to_html
from dlcli.reports.views import render_text
from tests.comparison.hand_made import number_run
from tests.reports.views import anchors, charts, datasets, tables

HOSTILE = "</script><script>alert(1)</script>"
NEAR = {row: row + (0.75 if row % 2 else -0.25) for row in range(1, 41)}
FAR = {row: row + (3.0 if row % 2 else -1.0) for row in range(1, 41)}


@pytest.fixture
def comparison(tmp_path) -> Comparison:
    metrics = {"metrics": {"train": {"mse": 4.0}, "test": {"mse": 5.0}}}
    return compare(
        [
            number_run(tmp_path, "far", FAR, stored=metrics),
            number_run(tmp_path, "near", NEAR, config={"epochs": 3}, stored=metrics),
        ]
    )


def test_the_sentence_names_what_is_significantly_better(comparison):
    view = comparison_view(comparison)
    assert (view.title, view.lead) == ("near against far", "All predict y.")
    assert view.sentences == (
        "Compared with far, near is significantly better in MSE, RMSE, MAE, R² and median absolute "
        "error (at the 95 % level).",
    )


def test_too_few_rows_to_test_for_significance_are_no_finding(tmp_path):
    runs = [number_run(tmp_path, name, {1: 1.5, 2: 2.5}) for name in ("first", "second")]
    view = comparison_view(compare(runs))
    assert view.sentences == ("It is unknown whether second is better than first.",)


def test_runs_on_other_rows_are_neither_better_nor_worse(tmp_path):
    time = {"data": {"split": {"name": "time", "column": "x"}}}
    later = {row + 40: value + 40 for row, value in NEAR.items()}
    runs = [number_run(tmp_path, "a", FAR), number_run(tmp_path, "b", later, config=time)]
    view = comparison_view(compare(runs))
    why = "the runs share none of 40 rows"
    assert view.sentences == (f"It is unknown whether b is better than a: {why}.",)


def test_tables_name_out_of_fold_rows(tmp_path):
    rows = {"split": "validation", "stored": {"metrics": {"validation": {"mse": 1.0}}}}
    folds = {"ensemble": {"members": 2}, "data": {"validation": None}}
    runs = [number_run(tmp_path, name, NEAR, config=folds, **rows) for name in ("a", "b")]
    text = render_text(comparison_view(compare(runs)))
    assert "out-of-fold: 40 rows, with 95 % confidence intervals" in text
    assert "Change from a to b, on the same 40 out-of-fold rows" in text
    assert "validation" not in text


def test_each_metric_has_a_chart_of_its_intervals(comparison):
    drawn = charts(comparison_view(comparison), "result")
    assert list(drawn)[:2] == ["MSE", "RMSE"]
    rows = datasets(drawn["MSE"])["rows"]
    assert [(row["s"], row["x"]) for row in rows] == [("far", 5.0), ("near", 0.3125)]
    assert all(row["l"] < row["x"] < row["u"] for row in rows)


def test_the_curves_of_all_runs_share_a_chart(comparison):
    [chart] = charts(comparison_view(comparison), "curves").values()
    assert chart.title == "Loss, training"
    assert [(row["x"], row["y"], row["s"]) for row in datasets(chart)["rows"]] == [
        (1, 2.0, "far"),
        (2, 1.0, "far"),
        (1, 2.0, "near"),
        (2, 1.0, "near"),
    ]
    assert chart.description == "far from 2 to 1; near from 2 to 1."
    assert chart.numbers.rows[0] == ("far", "2", "2", "1", "2", "1")


def test_only_what_differs_is_in_the_table_of_settings(comparison):
    view = comparison_view(comparison)
    found = [each for each in view.blocks if each.kind == "table" and each.header[0] == "config"]
    assert [table.rows for table in found] == [(("epochs", "2", "3"),)]


def test_baselines_of_different_rows_keep_the_numbers_of_their_runs_within_a_terminal(tmp_path):
    runs = []
    for name, mse in (("first", 123_456.0), ("second", 123_456.0), ("third", 234_567.0)):
        metrics = {"test": {"median_absolute_error": mse}}
        stored = {"baselines": {"linear": metrics, "constant": metrics}}
        runs.append(number_run(tmp_path, name, NEAR, stored=stored))
    lines = render_text(comparison_view(compare(runs)), 80).splitlines()
    at = lines.index("test: baselines; the numbers after a name are positions in the list of runs")
    assert re.split("  +", lines[at + 1].strip()) == [
        "linear 1,2",
        "constant 1,2",
        "linear 3",
        "constant 3",
    ]


@pytest.mark.parametrize(
    ("digest", "caption"),
    [
        ("2" * 64, "The data differ"),
        (None, "The data may differ, because the digest of some files is unknown"),
    ],
)
def test_data_that_differ_are_listed_with_their_digests(comparison, digest, caption):
    far, near = comparison.sides
    near = replace(near, data=(replace(near.data[0], sha256=digest),))
    view = comparison_view(replace(comparison, sides=(far, near), same_data=False))
    assert [row[0] for row in tables(view, "config")[caption].rows] == ["far", "near"]


def test_only_files_that_not_all_runs_have_read_are_listed(comparison):
    january, *months = (DataFile(f"{at:02}.csv", f"{at:064}") for at in range(1, 13))
    far, near = (replace(side, data=(january,)) for side in comparison.sides)
    near = replace(near, data=(january, *months[:1]))
    blocks = comparison_view(replace(comparison, sides=(far, near), same_data=False)).blocks
    assert next(each.rows for each in blocks if each.kind == "table" and each.caption) == (
        ("near", "02.csv", "000000000000…"),
    )
    assert "Same in all runs: 01.csv" in [each.text for each in blocks if each.kind == "text"]


def test_files_beyond_the_first_are_counted(comparison):
    months = tuple(DataFile(f"{at:02}.csv", f"{at:064}") for at in range(1, 8))
    far, near = (replace(side, data=()) for side in comparison.sides)
    near = replace(near, data=months)
    blocks = comparison_view(replace(comparison, sides=(far, near), same_data=False)).blocks
    assert "2 more files not shown." in [each.text for each in blocks if each.kind == "text"]


def test_what_a_run_contains_stays_text(comparison):
    side = comparison.sides[0]
    hostile = replace(
        comparison,
        target=(HOSTILE,),
        sides=(
            replace(side, history={HOSTILE: [1.0, 2.0]}, baselines={HOSTILE: {"test": {}}}),
            *comparison.sides[1:],
        ),
        settings=(Setting(f"input.features['{HOSTILE}']", (HOSTILE, None)),),
    )
    page = to_html(comparison_view(hostile))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert len(re.findall("<script>", page)) == 2


def test_without_held_out_rows_a_note_names_the_runs_that_are_not_compared(tmp_path):
    runs = [
        number_run(tmp_path, name, {}, stored={"metrics": {"train": {}}}) for name in ("a", "b")
    ]
    view = comparison_view(compare(runs))
    assert anchors(view) == ["config", "curves"]
    assert view.notes[0].startswith("2 runs without held-out rows")
