"""The page of a comparison: all that a run holds stays text, and every chart is drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dlcli.comparison import Comparison, Setting, compare
from dlcli.reports import comparison_page, to_html
from dlcli.reports.blocks import Chart, Page, Table
from tests.comparison.hand_made import number_run
from tests.reports.browser import PROGRAM, browser

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


def blocks(page: Page, anchor: str) -> list:
    (found,) = [section.blocks for section in page.sections if section.anchor == anchor]
    return [
        part for block in found for part in (block.blocks if hasattr(block, "blocks") else [block])
    ]


def test_the_verdict_names_what_is_better_by_more_than_noise(comparison):
    page = comparison_page(comparison)
    assert page.title == "near against far"
    assert page.verdict == (
        "All predict y. By more than noise, near is better in mean squared error, rmse, mean "
        "absolute error (mae), r², median absolute error than far."
    )


def test_each_metric_has_a_chart_of_its_intervals(comparison):
    charts = [
        each for each in blocks(comparison_page(comparison), "result") if isinstance(each, Chart)
    ]
    assert [chart.title for chart in charts][:2] == ["Mean squared error", "Rmse"]
    rows = charts[0].spec["datasets"]["rows"]
    assert [(row["s"], row["v"]) for row in rows] == [("far", 5.0), ("near", 0.3125)]
    assert all(row["l"] < row["v"] < row["u"] for row in rows)


def test_curves_of_all_runs_lie_on_one_another(comparison):
    (chart,) = [
        each for each in blocks(comparison_page(comparison), "curves") if isinstance(each, Chart)
    ]
    assert chart.title == "Loss, training"
    assert [tuple(row.values()) for row in chart.spec["datasets"]["rows"]] == [
        (1, 2.0, "far"),
        (2, 1.0, "far"),
        (1, 2.0, "near"),
        (2, 1.0, "near"),
    ]
    assert chart.shows == "far from 2 to 1; near from 2 to 1."


def test_only_what_differs_is_in_the_table_of_settings(comparison):
    table = next(
        each for each in blocks(comparison_page(comparison), "config") if isinstance(each, Table)
    )
    assert table.rows == (("epochs", "2", "3"),)


def test_what_a_run_holds_stays_text(comparison):
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
    page = to_html(comparison_page(hostile))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert len(re.findall("<script>", page)) == 2


def test_without_held_out_rows_the_page_says_what_it_can_not_tell(tmp_path):
    runs = [
        number_run(tmp_path, name, {}, stored={"metrics": {"train": {}}}) for name in ("a", "b")
    ]
    page = comparison_page(compare(runs))
    assert [section.anchor for section in page.sections] == ["config", "curves"]
    assert page.summary[0].texts[0].startswith("2 runs without held-out rows")


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_browser_draws_every_chart_and_complains_of_nothing(comparison, tmp_path, width, dark):
    path = tmp_path / "page.html"
    path.write_text(to_html(comparison_page(comparison)), encoding="utf-8")
    (tmp_path / "profile").mkdir()
    with browser(tmp_path / "profile") as chromium:
        visit = chromium.visit(path, width=width, dark=dark)
        marks = "document.querySelectorAll('figure .canvas svg .role-mark').length"
        charts = "document.querySelectorAll('figure .canvas').length"
        assert chromium.ask(marks) >= chromium.ask(charts) == 6
        assert chromium.ask("document.documentElement.scrollWidth") <= width
        assert (visit.complaints, chromium.complaints()) == ([], [])
        assert visit.requests == [path.as_uri()]
