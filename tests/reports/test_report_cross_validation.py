"""The page of a cross-validation: what it says, and that all of it stays text and small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dlcli.errors import RunError
from dlcli.pipeline import Interval
from dlcli.reports import render
from dlcli.reports.blocks import Chart, Page, Table
from dlcli.reports.cross_validation_page import CrossValidated, cross_validation_page
from dlcli.runs import new_run
from tests.reports.browser import PROGRAM, browser
from tests.reports.hand_made_experiments import (
    CLASS_ROWS,
    NUMBER_ROWS,
    cross_validation,
    cross_validation_run,
    fold,
)
from tests.reports.hand_made_runs import HOSTILE


@pytest.fixture
def quick(monkeypatch):
    """Has pages without Vega, which takes seconds to put together."""
    monkeypatch.setattr("dlcli.reports.page.vega_script", lambda: "")


def page_of(run) -> Page:
    """The page, whose drawings are checked against Vega-Lite's schema."""
    return cross_validation_page(CrossValidated.of(run))


def parts(page: Page, anchor: str) -> list:
    (blocks,) = [section.blocks for section in page.sections if section.anchor == anchor]
    return [part for each in blocks for part in getattr(each, "blocks", [each])]


def charts(page: Page, anchor: str) -> dict[str, Chart]:
    return {each.title: each for each in parts(page, anchor) if isinstance(each, Chart)}


def tables(page: Page, anchor: str) -> dict[str, Table]:
    return {each.caption: each for each in parts(page, anchor) if isinstance(each, Table)}


def codes(page: Page) -> list[str]:
    return [each.text for each in parts(page, "next") if each.kind == "code"]


def test_the_verdict_tells_the_main_metric_of_all_rows_beside_the_constant_model(tmp_path):
    assert page_of(cross_validation_run(tmp_path)).verdict == (
        "Predicts kind (2 classes), cross-validated in 2 folds. Each of the 8 rows was predicted "
        "by a network that had not seen it: 87.5 % of the predictions are right (95 % interval: "
        "62.5 % to 100.0 %). It is better than the simplest model: always predicting the same has "
        "50.0 %."
    )


def test_what_is_no_better_than_the_constant_model_is_said_to_be_so(tmp_path):
    found = cross_validation(pooled={"accuracy": Interval(value=0.5, lower=0.25, upper=0.75)})
    assert page_of(cross_validation_run(tmp_path, found)).verdict.endswith(
        "It is no better than always predicting the same: always predicting the same has 50.0 %. "
        "What it has learned is of no use on these rows yet."
    )


def test_a_difference_within_the_interval_is_called_chance(tmp_path):
    found = cross_validation(pooled={"accuracy": Interval(value=0.75, lower=0.5, upper=1.0)})
    assert page_of(cross_validation_run(tmp_path, found)).verdict.endswith(
        "always predicting the same has 50.0 %. But the interval holds that, too, so the "
        "difference may be chance."
    )


def test_of_a_metric_that_is_better_when_lower_the_interval_is_read_so_too(tmp_path):
    found = cross_validation(
        main_metric="log_loss",
        pooled={"log_loss": Interval(value=0.5, lower=0.25, upper=0.625)},
        constant={"log_loss": 0.75},
    )
    assert page_of(cross_validation_run(tmp_path, found)).verdict.endswith(
        "log loss is 0.5 (95 % interval: 0.25 to 0.625). It is better than the simplest model: "
        "always predicting the same has 0.75."
    )


def test_failed_folds_are_counted_and_say_why(tmp_path):
    failed = fold(2, metrics={}, history={}, best_epoch=None, epochs=0, problem="loss is NaN")
    page = page_of(cross_validation_run(tmp_path, cross_validation(results=(fold(1), failed))))
    assert page.verdict.endswith("1 fold of 2 failed; see why below.")
    table = tables(page, "folds")["Rows, epochs and metrics"]
    assert table.header[:2] == ("fold", "problem")
    assert [row[:2] for row in table.rows] == [("fold 1", ""), ("fold 2", "loss is NaN")]


def test_rows_that_judged_are_counted_if_folds_failed(tmp_path):
    failed = fold(2, metrics={}, history={}, best_epoch=None, epochs=0, problem="loss is NaN")
    page = page_of(cross_validation_run(tmp_path, cross_validation(results=(fold(1), failed))))
    assert (
        "4 of the 8 rows were predicted, each by a network that had not seen it: 87.5 %"
        in page.verdict
    )
    assert (
        "so every row is judged once, but for those of folds that failed, and no row by a network "
        "that knows it." in parts(page, "result")[0].text
    )


def test_of_rows_dealt_out_again_each_is_judged_by_several_networks(tmp_path):
    failed = {"metrics": {}, "history": {}, "best_epoch": None, "problem": "loss is NaN"}
    results = (fold(1, **failed), fold(2), fold(1, repeat=2), fold(2, repeat=2))
    page = page_of(cross_validation_run(tmp_path, cross_validation(results=results, repeats=2)))
    assert "Each of the 8 rows was predicted by networks that had not seen it: " in page.verdict
    assert (
        "so every row is judged once, each time that they are dealt out, but for those of folds "
        "that failed, and no row" in parts(page, "result")[0].text
    )


def test_of_rows_in_time_the_earliest_judge_nothing(tmp_path):
    found = cross_validation(split="time", column="day", rows=12)
    page = page_of(cross_validation_run(tmp_path, found))
    assert (
        "8 of the 12 rows were predicted, each by a network of earlier ones: 87.5 %" in page.verdict
    )
    lead = parts(page, "result")[0].text
    assert "the earliest rows teach alone. So no row is judged by a network that knows" in lead
    assert "every row is judged" not in lead


def test_without_any_score_the_page_says_so(tmp_path):
    failed = fold(1, metrics={}, history={}, best_epoch=None, epochs=0, problem="loss is NaN")
    nothing = {"pooled": {}, "by_fold": {}, "deviations": {}, "constant": {}, "best_epochs": None}
    found = cross_validation(results=(failed,), main_metric=None, **nothing)
    page = page_of(cross_validation_run(tmp_path, found, None, refit=False))
    assert page.verdict == (
        "Predicts kind (2 classes), cross-validated in 2 folds. Nothing could be scored. 1 fold of "
        "1 failed; see why below."
    )
    assert [each.anchor for each in page.sections] == ["folds", "asked", "next", "reproduce"]


def test_the_cards_tell_repeats_spread_and_rows_that_were_left_alone(tmp_path):
    results = tuple(fold(number, repeat=repeat) for repeat in (1, 2) for number in (1, 2))
    found = cross_validation(results=results, repeats=2)
    cards = page_of(cross_validation_run(tmp_path, found)).summary[0].cards
    assert [(card.label, card.value, card.note) for card in cards] == [
        ("accuracy, all rows together", "87.5 %", "95 %: 62.5 % to 100.0 %"),
        ("accuracy, mean of the folds", "87.5 %", "± 12.5 % from fold to fold"),
        ("Always the same", "50.0 %", "to compare with"),
        ("Folds", "2 × 2", "4 networks trained"),
        ("Rows", "8", "2 test rows not looked at"),
        ("Best epoch", "2", "the median over the folds"),
        ("Parameters", "12", "numbers that are learned"),
        ("Time", "2 s", "of all folds together"),
    ]


def test_notes_and_warnings_of_the_data_stand_above_all(tmp_path):
    notes = ("the folds are small", "refit.yaml: has no schedule", "Two folds failed.")
    page = page_of(cross_validation_run(tmp_path, cross_validation(notes=notes)))
    assert page.summary[1].texts[:3] == (
        "The folds are small.",
        "refit.yaml: has no schedule.",
        "Two folds failed.",
    )
    assert page.summary[1].texts[3].startswith("A warning about </script>")


def test_the_table_of_metrics_sets_all_rows_beside_the_folds_and_the_constant_model(tmp_path):
    table = tables(page_of(cross_validation_run(tmp_path)), "result")["Metrics"]
    assert table.rows == (
        ("accuracy ↑", "0.875 (0.625 to 1)", "0.875 (0.5 to 1)", "0.125", "0.5"),
        ("log_loss ↓", "–", "–", "–", "–"),
    )


def test_the_chart_of_a_metric_has_a_dot_for_each_fold_and_the_means_with_intervals(tmp_path):
    chart = charts(page_of(cross_validation_run(tmp_path)), "result")["Accuracy"]
    assert chart.spec["datasets"] == {
        "folds": [
            {"w": "each fold", "v": 0.75, "f": "fold 1"},
            {"w": "each fold", "v": 1.0, "f": "fold 2"},
        ],
        "means": [
            {"w": "mean of the folds", "v": 0.875, "l": 0.5, "u": 1.0},
            {"w": "all rows together", "v": 0.875, "l": 0.625, "u": 1.0},
        ],
        "constant": [{"w": "always the same", "v": 0.5}],
    }
    assert chart.shows == (
        "2 folds from 0.75 to 1, median 0.875. Mean of the folds: 0.875 (0.5 to 1). All rows "
        "together: 0.875 (0.625 to 1). Always predicting the same has 0.5."
    )


def test_folds_of_several_repeats_are_told_apart(tmp_path):
    results = tuple(fold(number, repeat=repeat) for repeat in (1, 2) for number in (1, 2))
    page = page_of(cross_validation_run(tmp_path, cross_validation(results=results, repeats=2)))
    dots = charts(page, "result")["Accuracy"].spec["datasets"]["folds"]
    assert [dot["f"] for dot in dots] == ["1.1", "1.2", "2.1", "2.2"]


def test_training_has_a_line_for_each_fold_and_set_and_none_of_the_learning_rate(tmp_path):
    drawn = charts(page_of(cross_validation_run(tmp_path)), "training")
    assert list(drawn) == ["Loss", "Best epochs"]
    rows = drawn["Loss"].spec["datasets"]["rows"]
    assert [tuple(row.values()) for row in rows[:6]] == [
        (1, 2.0, "training", "fold 1"),
        (2, 1.0, "training", "fold 1"),
        (3, 0.5, "training", "fold 1"),
        (1, 2.5, "validation", "fold 1"),
        (2, 1.5, "validation", "fold 1"),
        (3, 1.75, "validation", "fold 1"),
    ]
    assert {row["f"] for row in rows[6:]} == {"fold 2"}
    assert drawn["Loss"].shows == (
        "Loss at the end, over the folds: training from 0.5 to 0.5; validation from 1.75 to 1.75."
    )


def test_of_a_history_with_gaps_only_what_is_known_is_drawn(tmp_path):
    history = {"epoch": (1, None, 40), "loss": (2.0, 1.0, None), "val_loss": ()}
    found = cross_validation(results=(fold(1, history=history),))
    rows = charts(page_of(cross_validation_run(tmp_path, found)), "training")["Loss"]
    assert rows.spec["datasets"]["rows"] == [{"e": 1, "v": 2.0, "s": "training", "f": "fold 1"}]


def test_best_epochs_are_drawn_with_their_median(tmp_path):
    results = (fold(1), fold(2, best_epoch=None))
    page = page_of(cross_validation_run(tmp_path, cross_validation(results=results)))
    chart = charts(page, "training")["Best epochs"]
    assert chart.spec["datasets"] == {
        "rows": [{"f": "fold 1", "b": 2, "e": 3}, {"f": "fold 2", "b": 3, "e": 3}],
        "median": [{"b": 2}],
    }
    assert chart.shows == "Weights were best after 2 to 2 epochs; the median is 2."


def test_each_fold_tells_its_rows_epochs_and_metrics(tmp_path):
    table = tables(page_of(cross_validation_run(tmp_path)), "folds")["Rows, epochs and metrics"]
    cells = ("6", "2", "4", "1", "12", "3", "2")
    assert table.rows == (
        ("fold 1", *cells, "0.75", "0.5", "500 ms"),
        ("fold 2", *cells, "1", "0.5", "500 ms"),
    )
    assert table.note.startswith(
        "In rows: the network of a fold learned from the first; the second, if there are any, were "
        "looked at after each epoch, as by early stopping; and the third, which took no part, "
        "judge it."
    )


def test_each_row_counts_once_however_often_it_was_dealt_out(tmp_path):
    page = page_of(cross_validation_run(tmp_path))
    chart = charts(page, "predictions")["What was taken for what"]
    counts = [cell["n"] for cell in chart.spec["datasets"]["rows"]]
    assert counts == [1, 1, 0, 2]  # of the first repeat alone: one cat was not taken for one


def test_numbers_have_a_scatter_plot_of_all_rows(tmp_path):
    found = cross_validation(task="numbers", target=("y",), classes=())
    page = page_of(cross_validation_run(tmp_path, found, NUMBER_ROWS, target="y"))
    chart = charts(page, "predictions")["Predicted against true y"]
    assert chart.spec["datasets"]["rows"] == [
        {"t": 1.0, "p": 1.5},
        {"t": 2.0, "p": 2.0},
        {"t": 4.0, "p": 3.0},
    ]


def test_labels_of_one_column_are_parted_as_the_config_says(tmp_path):
    rows = {
        "repeat": [1, 1, 1, 1],
        "target": ["a|b", "b", "a", ""],
        "prediction": ["a|b", "b", "b", "a"],
        "probability_a": [0.9, 0.1, 0.4, 0.6],
        "probability_b": [0.9, 0.8, 0.7, 0.3],
    }
    target = {"column": "tags", "type": "multi_label", "delimiter": "|"}
    found = cross_validation(task="labels", target=("tags",), classes=("a", "b"))
    page = page_of(cross_validation_run(tmp_path, found, rows, target=target))
    assert page.verdict.startswith("Predicts 2 labels, cross-validated in 2 folds.")
    roc = charts(page, "predictions")["ROC curve"]
    # Of a, three of four pairs of a row with and one without are in order; of b, all are.
    assert [(row[0], row[2]) for row in roc.numbers.rows] == [("a", "0.75"), ("b", "1")]


def test_one_goes_on_with_the_config_for_all_rows(tmp_path):
    run = cross_validation_run(tmp_path)
    page = page_of(run)
    assert codes(page) == [f"dlcli train {run.path}/refit.yaml", "dlcli tune CONFIG"]
    assert parts(page, "next")[0].text == (
        "The networks of the folds have judged the config, and are not kept. To predict, train one "
        "on all rows, for 2 epochs:"
    )


def test_without_one_one_goes_on_with_the_same_config(tmp_path):
    run = cross_validation_run(tmp_path, refit=False)
    assert codes(page_of(run))[0] == f"dlcli train {run.path}/resolved.yaml"


def test_one_goes_on_with_the_network_that_was_trained_on_all_rows_if_there_is_one(tmp_path):
    run = cross_validation_run(tmp_path)
    with new_run(run.path / "refit", "refit") as writer:
        writer.finish()
    refit = run.path / "refit"
    assert codes(page_of(run))[0] == f"dlcli predict {refit} DATA\ndlcli report {refit}"


def test_a_training_on_all_rows_that_has_failed_is_not_recommended(tmp_path):
    warning = "training on all rows failed: training diverged"
    page = page_of(cross_validation_run(tmp_path, warning=warning))
    assert codes(page) == ["dlcli tune CONFIG"]
    assert parts(page, "next")[0].text == (
        "The networks of the folds have judged the config, and are not kept. Training one on all "
        "rows failed: see the warning above."
    )


def test_predictions_of_a_class_that_is_unknown_are_an_error(tmp_path):
    rows = {**CLASS_ROWS, "target": ["dog", *CLASS_ROWS["target"][1:]]}
    run = cross_validation_run(tmp_path, rows=rows)
    with pytest.raises(RunError) as error:
        page_of(run)
    assert str(error.value) == (
        f"{run.path}: its predictions: column 'target' holds a value that its cv.json doesn't "
        "know; train it again"
    )


def test_classes_that_can_not_be_told_apart_are_an_error(tmp_path):
    run = cross_validation_run(tmp_path, cross_validation(classes=("cat", "cat")))
    with pytest.raises(RunError) as error:
        page_of(run)
    assert str(error.value) == (
        f"{run.path}: its cv.json tells of a target that can't be; make it again"
    )


@pytest.mark.usefixtures("quick")
def test_what_it_holds_stays_text(tmp_path):
    run = cross_validation_run(tmp_path)
    html = render(run).page
    assert "<script>alert" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert len(re.findall("<script>", html)) == 2
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert [block for block in blocks if set("<>&") & set(block)] == []
    assert all(isinstance(json.loads(block), dict) for block in blocks)


@pytest.mark.usefixtures("quick")
def test_a_long_name_is_cut(tmp_path):
    html = render(cross_validation_run(tmp_path)).page
    rest = re.sub(r"<pre.*?</pre>|<ul class=.warnings.*?</ul>", "", html, flags=re.DOTALL)
    assert "x" * 100 not in rest


@pytest.mark.usefixtures("quick")
def test_many_long_folds_stay_within_bounds(tmp_path):
    names = [f"{front}metric_{at}" for at in range(6) for front in ("", "val_")]
    values = tuple(float(at % 97) + 1 / 3 for at in range(200))
    history = {"epoch": tuple(range(1, 201)), **dict.fromkeys(names, values)}
    results = tuple(fold(at % 10 + 1, repeat=at // 10 + 1, history=history) for at in range(300))
    found = cross_validation(results=results, folds=10, repeats=30, notes=("a note",) * 1_000)
    html = render(cross_validation_run(tmp_path, found)).page
    assert 500_000 < len(html.encode()) < 2_000_000  # Vega adds less than a million


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in")
def test_a_browser_draws_every_chart_and_complains_of_nothing(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render(cross_validation_run(tmp_path)).page, encoding="utf-8")
    (tmp_path / "profile").mkdir()
    with browser(tmp_path / "profile") as chromium:
        for width, dark in ((1280, False), (390, True)):
            visit = chromium.visit(path, width=width, dark=dark)
            look(chromium, visit, path, width)


def look(chromium, visit, path: Path, width: int) -> None:
    """Looks at a page that is open."""
    without_marks = """
        [...document.querySelectorAll("figure.chart")]
          .filter((each) => !each.querySelector(".canvas svg .role-mark > *"))
          .map((each) => each.querySelector("figcaption").textContent)
    """
    assert (visit.complaints, chromium.complaints()) == ([], [])
    assert visit.requests == [path.as_uri()]
    assert chromium.ask("document.querySelectorAll('.canvas svg').length") >= 6
    assert chromium.ask(without_marks) == []
    assert chromium.ask("document.documentElement.scrollWidth") == width
    assert HOSTILE[:34] in chromium.ask("document.body.innerText")
