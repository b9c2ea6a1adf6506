"""The page of a cross-validation: its contents; all of it stays text and small."""

from __future__ import annotations

import json
import re

import pytest

from dlcli.errors import RunError
from dlcli.metrics.intervals import Estimate
from dlcli.reports.cross_validation_report import cross_validation_view
from dlcli.reports.report_files import render_report, to_html
from dlcli.reports.views import render_text
from dlcli.runs.run_folder import new_run
from tests.reports.hand_made_experiments import (
    AGAINST_CONSTANT,
    CLASS_ROWS,
    NUMBER_ROWS,
    cross_validation,
    cross_validation_run,
    fold,
)
from tests.reports.hand_made_runs import HOSTILE
from tests.reports.views import anchors, charts, codes, datasets, figures, parts, tables


def view_of(folder, found=None, *arguments, **changes):
    return cross_validation_view(cross_validation_run(folder, found, *arguments, **changes))


def test_the_main_metric_of_all_rows_is_compared_with_the_constant_model(tmp_path):
    assert view_of(tmp_path).sentences == (
        "Cross-validated in 2 folds (stratified). Each of 8 rows was predicted by a network trained "
        "without it.",
        "Accuracy is 88 % (95 % CI: 62 % to 100 %).",
        "Better than the constant baseline: log loss 0.50 vs 0.75 (95 % CI of the difference: "
        "−0.50 to −0.12).",
        "2 test rows were set aside.",
    )


def test_a_numeric_target_leads_with_r2_and_an_error_in_its_unit(tmp_path):
    pooled = {
        "mae": Estimate(value=0.5, lower=0.25, upper=1.0),
        "r2": Estimate(value=0.875, lower=0.75, upper=1.0),
    }
    found = cross_validation(task="numbers", target=("y",), classes=(), pooled=pooled)
    view = view_of(tmp_path, found, NUMBER_ROWS, target="y")
    assert (
        view.sentences[1]
        == "R² is 0.88 (95 % CI: 0.75 to 1.00) and MAE is 0.50 (95 % CI: 0.25 to 1.00)."
    )


def test_unequal_classes_lead_with_auc_and_the_accuracy_of_the_largest_class(tmp_path):
    rows = {
        "row": [1, 2, 3, 4, 5],
        "repeat": [1, 1, 1, 1, 1],
        "target": ["cat"] * 4 + ["dog"],
        "prediction": ["cat"] * 5,
        "probability_cat": [0.9, 0.8, 0.9, 0.7, 0.6],
        "probability_dog": [0.1, 0.2, 0.1, 0.3, 0.4],
    }
    pooled = {
        "accuracy": Estimate(value=0.8, lower=0.6, upper=1.0),
        "auc": Estimate(value=0.875, lower=0.75, upper=1.0),
    }
    found = cross_validation(classes=("cat", "dog"), pooled=pooled)
    sentence = view_of(tmp_path, found, rows).sentences[1]
    assert sentence == (
        "AUC is 0.88 (95 % CI: 0.75 to 1.00) and accuracy is 80 % (95 % CI: 60 % to 100 %; "
        "always “cat”, the most frequent class of these rows: 80 %)."
    )


def test_a_terminal_shows_the_metrics_the_notes_and_the_way_to_train_on_all_rows(tmp_path):
    run = cross_validation_run(tmp_path, cross_validation(notes=("few rows",)))
    lines = render_text(cross_validation_view(run)).splitlines()
    assert lines[:4] == [
        "          all rows [95 % CI]  mean of folds [95 % CI]  ± over folds  constant",
        "accuracy      88 % [62, 100]           88 % [50, 100]          12 %      50 %",
        "log loss                   -                        -             -         -",
        "",
    ]
    assert "note: Few rows." in lines
    assert lines[-3:] == [
        f"run: {run.path}",
        f"report: dlcli report {run.path}",
        f"train on all rows except the test rows: dlcli train {run.path}/refit.yaml",
    ]


def test_a_network_that_is_no_better_than_the_constant_model_is_reported(tmp_path):
    unclear = AGAINST_CONSTANT.model_copy(update={"upper": 0.125, "verdict": "not_significant"})
    found = cross_validation(against_constant=unclear)
    assert view_of(tmp_path, found).sentences[2:4] == (
        "Not clearly better than the constant baseline: log loss 0.50 vs 0.75 (95 % CI of the "
        "difference: −0.50 to +0.12).",
        "Accuracy 88 % (95 % CI: 62 % to 100 %) shows that the network classifies rows better than "
        "always predicting the most frequent class of these rows (50 %), although its probabilities are not "
        "clearly better than a constant prediction.",
    )


def test_a_cross_validation_of_before_has_no_verdict(tmp_path):
    sentences = view_of(tmp_path, cross_validation(against_constant=None)).sentences
    assert not any("baseline" in sentence for sentence in sentences)


FAILED = fold(2, metrics={}, history={}, best_epoch=None, epochs=0, problem="loss is NaN")


def test_failed_folds_are_counted_and_say_why(tmp_path):
    view = view_of(tmp_path, cross_validation(results=(fold(1), FAILED)))
    assert view.sentences[0].endswith(
        "4 of 8 rows were predicted, each by a network trained without it."
    )
    assert "1 fold of 2 failed." in view.sentences
    table = tables(view, "folds")["Rows, epochs and metrics"]
    assert table.header[:2] == ("fold", "problem")
    assert [row[:2] for row in table.rows] == [("1", ""), ("2", "loss is NaN")]


def test_rows_of_several_repeats_are_predicted_by_several_networks(tmp_path):
    failed = {"metrics": {}, "history": {}, "best_epoch": None, "problem": "loss is NaN"}
    results = (fold(1, **failed), fold(2), fold(1, repeat=2), fold(2, repeat=2))
    view = view_of(tmp_path, cross_validation(results=results, repeats=2))
    assert view.sentences[0] == (
        "Cross-validated in 2 folds, repeated 2 times (stratified). Each of 8 rows was predicted "
        "by networks trained without it."
    )


def test_the_earliest_of_rows_in_time_evaluate_nothing(tmp_path):
    view = view_of(tmp_path, cross_validation(split="time", column="day", rows=12))
    assert view.sentences[0] == (
        "Cross-validated in 2 folds (time). 8 of 12 rows were predicted, each by a network trained "
        "on earlier rows."
    )
    assert "a network is fitted to all earlier rows" in parts(view, "result")[0].text
    assert "the earliest rows are only used for fitting" in parts(view, "config")[0].text


def test_a_view_without_any_metric_states_it(tmp_path):
    failed = fold(1, metrics={}, history={}, best_epoch=None, epochs=0, problem="loss is NaN")
    nothing = {"pooled": {}, "by_fold": {}, "deviations": {}, "constant": {}, "best_epochs": None}
    found = cross_validation(results=(failed,), main_metric=None, **nothing)
    view = view_of(tmp_path, found, None, refit=False)
    assert view.sentences[1:3] == ("No metric is defined.", "1 fold of 1 failed.")
    assert anchors(view) == ["next", "folds", "config", "reproduce"]


def test_the_figures_show_repeats_spread_and_test_rows(tmp_path):
    results = tuple(fold(number, repeat=repeat) for repeat in (1, 2) for number in (1, 2))
    found = cross_validation(results=results, repeats=2)
    assert figures(view_of(tmp_path, found)) == [
        ("Accuracy, all rows", "88 %", "95 % CI: 62 % to 100 %; constant baseline: 50 %"),
        ("Accuracy, mean of folds", "88 %", "± 12 % standard deviation"),
        ("Folds", "2 × 2", "4 networks trained"),
        ("Rows", "8", "2 test rows were set aside"),
        ("Best epoch", "2", "median of the folds"),
        ("Parameters", "12", "trainable numbers"),
        ("Time", "2 s", "of all folds"),
    ]


def test_notes_and_warnings_are_sentences(tmp_path):
    notes = ("the folds are small", "refit.yaml: has no schedule", "Two folds failed.")
    view = view_of(tmp_path, cross_validation(notes=notes))
    assert view.notes == (
        "The folds are small.",
        "refit.yaml: has no schedule.",
        "Two folds failed.",
    )
    assert view.warnings[0].startswith("A warning about </script>")
    assert "A warning about" in to_html(view)
    assert "A warning about" not in render_text(view)  # which was shown when it was given


def test_the_chart_of_a_metric_has_a_dot_for_each_fold_and_the_means_with_intervals(tmp_path):
    chart = charts(view_of(tmp_path), "result")["Accuracy"]
    rows = datasets(chart)["rows"]
    assert [(row["y"], row["x"], row["f"]) for row in rows] == [
        ("each fold", 0.75, "fold 1"),
        ("each fold", 1.0, "fold 2"),
        ("mean of folds", 0.875, "mean of folds"),
        ("all rows", 0.875, "all rows"),
        ("constant baseline", 0.5, "constant baseline"),
    ]
    assert [(row["l"], row["u"]) for row in rows[2:4]] == [(0.5, 1.0), (0.625, 1.0)]
    assert chart.description == (
        "2 folds from 75 % to 100 %, median 88 %. Mean of folds: 88 % [50, 100]. All rows: 88 % "
        "[62, 100]. Constant baseline: 50 %."
    )


def test_folds_of_several_repeats_have_different_names(tmp_path):
    results = tuple(fold(number, repeat=repeat) for repeat in (1, 2) for number in (1, 2))
    view = view_of(tmp_path, cross_validation(results=results, repeats=2))
    rows = datasets(charts(view, "result")["Accuracy"])["rows"]
    assert [row["f"] for row in rows[:4]] == ["1.1", "1.2", "2.1", "2.2"]


def test_training_has_a_line_for_each_fold_and_set_and_none_of_the_learning_rate(tmp_path):
    drawn = charts(view_of(tmp_path), "training")
    assert list(drawn) == ["Loss"]
    rows = datasets(drawn["Loss"])["rows"]
    assert [tuple(row.values()) for row in rows[:6]] == [
        (1, 2.0, "training", "fold 1"),
        (2, 1.0, "training", "fold 1"),
        (3, 0.5, "training", "fold 1"),
        (1, 2.5, "validation", "fold 1"),
        (2, 1.5, "validation", "fold 1"),
        (3, 1.75, "validation", "fold 1"),
    ]
    assert {row["d"] for row in rows[6:]} == {"fold 2"}
    assert drawn["Loss"].description == (
        "Loss in the last epoch, all folds: training 0.5; validation 1.75."
    )


def test_only_the_known_part_of_a_history_is_drawn(tmp_path):
    history = {"epoch": (1, None, 40), "loss": (2.0, 1.0, None), "val_loss": ()}
    view = view_of(tmp_path, cross_validation(results=(fold(1, history=history),)))
    rows = datasets(charts(view, "training")["Loss"])["rows"]
    assert rows == [{"x": 1, "y": 2.0, "s": "training", "d": "fold 1"}]


def test_each_fold_has_its_rows_epochs_and_metrics(tmp_path):
    table = tables(view_of(tmp_path), "folds")["Rows, epochs and metrics"]
    cells = ("6", "2", "4", "1", "12", "3", "2")
    assert table.rows == (
        ("1", *cells, "75 %", "0.50", "500 ms"),
        ("2", *cells, "100 %", "0.50", "500 ms"),
    )


def test_each_row_counts_once_however_often_folds_were_repeated(tmp_path):
    chart = charts(view_of(tmp_path), "predictions")["Confusion matrix"]
    counts = [cell["n"] for cell in datasets(chart)["rows"]]
    assert counts == [1, 1, 0, 2]  # of the first repeat alone: one cat was not predicted as one


def test_numbers_have_a_scatter_chart_of_all_rows(tmp_path):
    found = cross_validation(task="numbers", target=("y",), classes=())
    view = view_of(tmp_path, found, NUMBER_ROWS, target="y")
    rows = datasets(charts(view, "predictions")["Predicted and true y"])["rows"]
    assert [(row["x"], row["y"]) for row in rows] == [(1.0, 1.5), (2.0, 2.0), (4.0, 3.0)]


def test_it_is_said_which_of_two_classes_a_metric_is_of(tmp_path):
    pooled = {"f1": Estimate(value=0.875, lower=0.625, upper=1.0)}
    of_classes = view_of(tmp_path, cross_validation(pooled=pooled))
    assert of_classes.sentences[-1].startswith(f"F1 is for the class {HOSTILE[:20]}")
    labels = cross_validation(pooled=pooled, task="labels", target=("tags",), classes=("a", "b"))
    target = {"column": "tags", "type": "multi_label", "delimiter": "|"}
    of_labels = view_of(tmp_path / "labels", labels, None, target=target)
    assert not [each for each in of_labels.sentences if "for the class" in each]


def test_labels_of_one_column_are_split_at_the_delimiter_of_the_config(tmp_path):
    rows = {
        "row": [1, 2, 3, 4],
        "repeat": [1, 1, 1, 1],
        "target": ["a|b", "b", "a", ""],
        "prediction": ["a|b", "b", "b", "a"],
        "probability_a": [0.9, 0.1, 0.4, 0.6],
        "probability_b": [0.9, 0.8, 0.7, 0.3],
    }
    target = {"column": "tags", "type": "multi_label", "delimiter": "|"}
    found = cross_validation(task="labels", target=("tags",), classes=("a", "b"))
    view = view_of(tmp_path, found, rows, target=target)
    assert view.lead == "Predicts 2 labels."
    roc = charts(view, "predictions")["ROC curve"]
    # Of a, three of four pairs of a row with and one without are in order; of b, all are.
    assert [(row[0], row[2]) for row in roc.numbers.rows] == [("a", "0.750"), ("b", "1.000")]


def test_the_next_step_is_to_train_on_all_rows(tmp_path):
    run = cross_validation_run(tmp_path)
    view = cross_validation_view(run)
    assert codes(view) == [f"dlcli train {run.path}/refit.yaml", "dlcli tune CONFIG"]
    assert parts(view, "next")[0].text == (
        "The networks of the folds are only used to evaluate the config and are not saved. To predict, train "
        "a network on all rows except the test rows, for 2 epochs:"
    )


def test_without_test_rows_the_final_network_is_trained_on_all_rows(tmp_path):
    run = cross_validation_run(tmp_path, cross_validation(set_aside=0))
    assert cross_validation_view(run).links[-1][0] == "train on all rows"
    assert parts(cross_validation_view(run), "next")[0].text.endswith("on all rows, for 2 epochs:")


def test_of_an_ensemble_each_member_has_its_own_number_of_epochs_on_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("dlcli.config.config_schema.Config.ensemble_folds", 3)
    assert parts(view_of(tmp_path), "next")[0].text.endswith(
        "train a network on all rows except the test rows:"
    )


def test_without_a_config_for_all_rows_the_same_config_is_trained(tmp_path):
    run = cross_validation_run(tmp_path, refit=False)
    assert codes(cross_validation_view(run))[0] == f"dlcli train {run.path}/resolved.yaml"


def test_a_network_that_was_trained_on_all_rows_predicts(tmp_path):
    run = cross_validation_run(tmp_path)
    with new_run(run.path / "refit", "refit") as writer:
        writer.finish()
    refit = run.path / "refit"
    assert (
        codes(cross_validation_view(run))[0] == f"dlcli predict {refit} DATA\ndlcli report {refit}"
    )


def test_a_failed_training_on_all_rows_is_not_recommended(tmp_path):
    view = view_of(tmp_path, refit_problem="training diverged")
    assert codes(view) == ["dlcli tune CONFIG"]
    assert parts(view, "next")[0].text == (
        "The networks of the folds are only used to evaluate the config and are not saved. Training a "
        "network on all rows except the test rows failed: see the warning above."
    )


def test_predictions_of_a_class_that_is_unknown_are_an_error(tmp_path):
    rows = {**CLASS_ROWS, "target": ["dog", *CLASS_ROWS["target"][1:]]}
    run = cross_validation_run(tmp_path, rows=rows)
    with pytest.raises(RunError) as error:
        cross_validation_view(run).sections()
    assert str(error.value) == (
        f"{run.path}/predictions.parquet: column 'target' holds a value that its cv.json doesn't "
        "list; train it again"
    )


def test_classes_of_the_same_name_are_an_error(tmp_path):
    run = cross_validation_run(tmp_path, cross_validation(classes=("cat", "cat")))
    with pytest.raises(RunError) as error:
        cross_validation_view(run).sections()
    assert str(error.value) == (
        f"{run.path}: its cv.json describes an impossible target; run the cross-validation again"
    )


def test_what_it_contains_stays_text(tmp_path):
    run = cross_validation_run(tmp_path)
    html = render_report(run)
    assert "<script>alert" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert len(re.findall("<script>", html)) == 2
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert [block for block in blocks if set("<>&") & set(block)] == []
    assert all(isinstance(json.loads(block), dict) for block in blocks)


def test_a_long_name_is_cut(tmp_path):
    html = render_report(cross_validation_run(tmp_path))
    rest = re.sub(r"<pre.*?</pre>|<ul class=.warnings.*?</ul>", "", html, flags=re.DOTALL)
    assert "x" * 100 not in rest


@pytest.mark.slow
def test_many_long_folds_stay_within_bounds(tmp_path):
    names = [f"{front}metric_{at}" for at in range(6) for front in ("", "val_")]
    values = tuple(float(at % 97) + 1 / 3 for at in range(200))
    history = {"epoch": tuple(range(1, 201)), **dict.fromkeys(names, values)}
    results = tuple(fold(at % 10 + 1, repeat=at // 10 + 1, history=history) for at in range(300))
    found = cross_validation(results=results, folds=10, repeats=30, notes=("a note",) * 1_000)
    html = render_report(cross_validation_run(tmp_path, found))
    assert 500_000 < len(html.encode()) < 2_000_000  # Vega adds less than a million
