"""The view of a run: its text and the sections of its page, also for incomplete runs."""

from __future__ import annotations

import html
import re
import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from dlcli.config.config_schema import Config
from dlcli.config.data_section import Target
from dlcli.diagnosis.remedies import Finding, Patch
from dlcli.errors import RunError
from dlcli.explanation.explanation_document import Importance, LayerStatistics
from dlcli.metrics.intervals import DifferenceEstimate, Estimate
from dlcli.pipeline.events import BaselinesEvent, DataEvent, TargetEvent, TrainedEvent, WarningEvent
from dlcli.pipeline.retraining import Trial
from dlcli.prediction.baseline_comparison import (
    BaselineComparison,
    BaselineDifference,
    Conclusion,
    NearlyPerfect,
    Skill,
    closer_share,
)
from dlcli.prediction.predictions import HeldOut
from dlcli.prediction.predictor import Ensemble, EnsembleMember
from dlcli.reports import views as blocks
from dlcli.reports.charts import Axis, line_chart
from dlcli.reports.command_views import positive_class
from dlcli.reports.diagnosis_report import diagnosis_document, diagnosis_view
from dlcli.reports.report_files import render_report, to_html, unbroken, view_of
from dlcli.reports.report_parts import TrainingRecord, always, baseline_sentences
from dlcli.reports.training_report import training_view
from dlcli.reports.views import render_text
from dlcli.runs.run_folder import open_run
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task
from tests.reports.hand_made_runs import HOSTILE, class_run, full_explanation, make_run, number_run
from tests.reports.views import all_charts, charts, datasets, parts, tables


def data_event(rows):
    return DataEvent(file="table.csv", rows=rows, split=None, seed=0, notes=())


COLORS = {"x": [1, 2, 3, 4, 5, 6], "y": ["red", "green", "blue"] * 2}
PROBABILITIES = {
    "target": ["red", "green", "blue"],
    "prediction": ["red", "blue", "blue"],
    "probability_blue": [0.1, 0.5, 0.8],
    "probability_green": [0.1, 0.4, 0.1],
    "probability_red": [0.8, 0.1, 0.1],
}
LABELS = {
    "target_a": [1, 0, 1],
    "target_b": [0, 0, 1],
    "prediction_a": [1, 1, 1],
    "prediction_b": [0, 0, 0],
    "probability_a": [0.9, 0.6, 0.7],
    "probability_b": [0.1, 0.2, 0.4],
}
TAGS = {
    "target": ["a|b", "", "b"],
    "probability_a": [0.9, 0.2, 0.4],
    "probability_b": [0.6, 0.1, 0.4],
}
PAIRS = {
    "target_u": [1.0, 2],
    "target_v": [3.0, 4],
    "prediction_u": [1.0, 2],
    "prediction_v": [3.0, 5],
}
SVM = {"target": ["0", "1", "1"], "prediction": ["0", "0", "1"], "margin": [-1.0, -0.5, 2.0]}

RUNS = {
    "a number": number_run,
    "two classes": class_run,
    "three classes": lambda folder: make_run(folder, COLORS, "y", outputs=PROBABILITIES),
    "labels in columns": lambda folder: make_run(
        folder,
        {"x": [1, 2, 3], "a": [1, 0, 1], "b": [0, 0, 1]},
        ["a", "b"],
        outputs=LABELS,
    ),
    "labels in one column": lambda folder: make_run(
        folder,
        {"x": [1, 2, 3], "tags": ["a|b", "b", "a"]},
        {"column": "tags", "type": "multi_label", "delimiter": "|"},
        outputs={**TAGS, "prediction": TAGS["target"]},
    ),
    "several numbers": lambda folder: make_run(
        folder, {"x": [1, 2], "u": [1.5, 2], "v": [3.5, 4]}, ["u", "v"], outputs=PAIRS
    ),
    "margins": lambda folder: make_run(
        folder, {"x": [1, 2, 3], "y": [0, 1, 1]}, "y", outputs=SVM, config={"loss": "hinge"}
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    return RUNS[request.param](tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run that predicts a number."""
    return number_run(tmp_path_factory.mktemp("plain"))


def anchors(view):
    return [section.anchor for section in view.sections() if section.blocks]


@pytest.mark.slow
def test_every_chart_is_valid_vega_lite_and_no_name_of_a_field_comes_from_the_data(run):
    found = all_charts(view_of(run).sections())
    assert len(found) >= 4
    for chart in found:
        datasets(chart)
        fields = re.findall(r"'field': '(.*?)'", str(chart.spec))
        assert fields
        assert all(re.fullmatch(r"[a-z]\d?", name) for name in fields)


def test_every_kind_of_target_renders(run):
    assert ">Result</h2>" in render_report(run)


@pytest.mark.parametrize(("epochs", "ticks"), [([1, 2, 3], [1, 2, 3]), ([0, 60], None)])
def test_few_epochs_are_each_labeled_once(epochs, ticks):
    rows = [{"x": epoch, "y": 0.5, "s": "training"} for epoch in epochs]
    spec = line_chart(rows, {"training": "train"}, Axis("epoch", whole=True), Axis("loss"))
    assert spec["layer"][0]["encoding"]["x"]["axis"].get("values") == ticks


ORDER = ["result", "explanation", "next", "errors", "network", "training", "data"]
ORDER += ["config", "reproduce"]


def test_a_page_shows_the_result_first_and_the_config_last(plain):
    view = view_of(plain)
    assert anchors(view) == ORDER
    assert (view.lead, view.sentences[0]) == (
        "Predicts y.",
        "On the test rows, R² is 0.95 and MAE is 0.5.",
    )


METRICS = {
    "train": {"accuracy": 1.0, "log_loss": 0.125, "confusion": [[1]]},
    "validation": {"accuracy": 0.75, "log_loss": 0.25, "confusion": [[1]]},
    "test": {"accuracy": 0.75, "log_loss": 0.5, "confusion": [[1]]},
}


def model(accuracy, log_loss):
    """Metrics on the test rows; on other rows far better ones, which must not be shown."""
    best = {"accuracy": 1.0, "log_loss": 0.0}
    test = {"accuracy": accuracy, "log_loss": log_loss}
    return {"train": best, "validation": best, "test": test}


def text_of(folder, metrics, baselines=None, named=None, comparison=None):
    """The text of a run with some metrics; its path is `RUN`."""
    config = {"metrics": named} if named else None
    shutil.rmtree(folder / "run", ignore_errors=True)
    changes = {"metrics": metrics, "baselines": baselines, "config": config}
    changes["comparison"] = comparison
    run = make_run(folder, COLORS, "y", outputs=None, **changes)
    return render_text(view_of(run)).replace(str(run.path), "RUN").splitlines()


LINKS = ["", "run: RUN", "report: dlcli report RUN"]


def difference(verdict, value=-0.25, ends=(-0.5, 0.125), **more):
    """The log loss of a network, 0.5, compared with that of a baseline."""
    lower, upper = ends
    known = {"metric": "log_loss", "network": 0.5, "baseline": 0.5 - value, "value": value}
    return BaselineDifference(**known, lower=lower, upper=upper, verdict=verdict, **more)


def test_baselines_are_next_to_the_network_on_the_most_independent_rows(tmp_path):
    baselines = {"constant": model(0.5, 0.75), "linear": model(0.625, 0.625)}
    worse, better = difference("worse", 9.0), difference("better", ends=(-0.5, -0.125))
    comparison = BaselineComparison(
        differences={model: {"validation": worse, "test": better} for model in baselines}
    )
    assert text_of(tmp_path, METRICS, baselines, ["accuracy"], comparison) == [
        "          train  validation    test  linear  constant",
        "accuracy  100 %      75.0 %  75.0 %  62.5 %    50.0 %",
        "log loss   0.12        0.25     0.5   0.625      0.75",
        "",
        "On the test rows, accuracy is 75.0 %.",
        *(
            f"Better than the {name} baseline: log loss 0.50 vs 0.75 (95 % CI of the difference: "
            "−0.50 to −0.12)."
            for name in ("linear", "constant")
        ),
        *LINKS,
    ]


def concluded(**differences):
    """The conclusion from differences on some sets, of an ensemble with folds."""
    return Conclusion.of(differences, counts_out_of_fold=True)


VALUES = "baseline: log loss 0.50 vs 0.75"
CHANGE = " (95 % CI of the difference: −0.50 to +0.12)."


@pytest.mark.parametrize(
    ("linear", "constant", "sentences"),
    [
        (
            "not_significant",
            "better",
            [
                f"Not clearly better than the linear {VALUES}{CHANGE}",
                f"Better than the constant {VALUES}{CHANGE}",
                "The held-out rows are too few to show whether the hidden layers help.",
            ],
        ),
        (
            "worse",
            "not_significant",
            [
                f"Worse than the linear {VALUES}{CHANGE}",
                f"Not clearly better than the constant {VALUES}{CHANGE}",
                "The held-out rows do not show that the network has learned anything.",
            ],
        ),
        (
            "unknown",
            "worse",
            [
                f"No confidence interval of the difference from the linear {VALUES}{CHANGE}",
                f"Worse than the constant {VALUES}{CHANGE}",
                "The network has not learned anything useful for these rows yet.",
            ],
        ),
    ],
)
def test_a_network_is_compared_with_each_baseline(linear, constant, sentences):
    verdicts = {"constant": constant, "linear": linear}
    found = {name: concluded(test=difference(verdict)) for name, verdict in verdicts.items()}
    assert list(baseline_sentences(found)) == sentences


def test_a_network_with_a_larger_loss_is_not_better_although_the_difference_is_uncertain():
    found = concluded(test=difference("not_significant", 0.125, (-0.125, 0.5)))
    first, *_ = baseline_sentences({"linear": found})
    assert first.startswith("Not better than the linear baseline: log loss 0.50 vs 0.38")


def test_hidden_layers_do_not_clearly_help_if_the_largest_plausible_gain_is_small():
    found = concluded(test=difference("not_significant", -0.01, (-0.02, 0.01)))
    *_, sentence = baseline_sentences({"linear": found})
    assert sentence == "The hidden layers do not clearly help."


@pytest.mark.parametrize(
    ("lower", "sentence"),
    [
        (
            0.55,
            "AUC 0.70 (95 % CI: 0.55 to 0.81) shows that the network ranks rows better than "
            "guessing, although its probabilities are not clearly better than a constant "
            "prediction.",
        ),
        (0.45, "The held-out rows do not show that the network has learned anything."),
    ],
)
def test_a_network_that_ranks_rows_has_learned_something(lower, sentence):
    found = {"constant": concluded(test=difference("not_significant"))}
    auc = Estimate(value=0.7, lower=lower, upper=0.81)
    assert list(baseline_sentences(found, skill=Skill(auc=auc)))[-1] == sentence


@pytest.mark.parametrize(
    ("lower", "sentence"),
    [
        (
            0.72,
            "Accuracy 91 % (95 % CI: 72 % to 97 %) shows that the network classifies rows better "
            "than always predicting the most frequent class of these rows (36 %), although its probabilities are "
            "worse than a constant prediction.",
        ),
        (0.35, "The network has not learned anything useful for these rows yet."),
    ],
)
def test_an_accuracy_above_the_most_frequent_class_shows_that_something_was_learned(
    lower, sentence
):
    found = {"constant": concluded(test=difference("worse"))}
    accuracy = Estimate(value=0.91, lower=lower, upper=0.97)
    skill = Skill(accuracy=accuracy, largest_share=0.36)
    assert list(baseline_sentences(found, skill=skill))[-1] == sentence


def test_a_single_row_has_no_most_frequent_class():
    assert always(["a", "b"], {"confusion": [[1, 0], [0, 0]]}, 1) == ""


def test_a_diagnosis_without_findings_has_the_verdict_of_the_report(tmp_path):
    comparison = BaselineComparison(
        differences={
            "linear": {"test": difference("not_significant")},
            "constant": {"test": difference("better")},
        }
    )
    run = make_run(tmp_path, COLORS, "y", outputs=None, metrics=METRICS, comparison=comparison)
    *_, text = diagnosis_view(run, ()).blocks
    assert text.text == (
        f"Not clearly better than the linear {VALUES}{CHANGE} "
        "The held-out rows are too few to show whether the hidden layers help."
    )


def test_a_diagnosis_repeats_that_the_split_is_too_optimistic(tmp_path):
    message = "t.csv: rows with the same 'store' are similar"
    warning = WarningEvent(message=message, check="dependent_rows", columns=["store"])
    run = make_run(tmp_path, COLORS, "y", outputs=None, metrics=METRICS, logged=[warning])
    found = [each.text for each in diagnosis_view(run, ()).blocks if hasattr(each, "text")]
    assert found == [f"{run.path}: metrics may be too optimistic", f"warning: {message}"]
    assert diagnosis_document(run, ())["warnings"] == [message]


@pytest.mark.parametrize("verdict", ["better", "not_significant", "worse", "same"])
def test_a_diagnosis_is_suggested_if_a_network_is_not_better_than_a_baseline(tmp_path, verdict):
    differences = {"linear": {"test": difference(verdict)}}
    comparison = BaselineComparison(differences=differences)
    lines = text_of(tmp_path, METRICS, named=["accuracy"], comparison=comparison)
    wanted = verdict in ("worse", "same")
    assert ("diagnosis: dlcli diagnose RUN" in lines) == wanted


def test_an_unknown_difference_has_its_reason():
    found = difference("unknown", ends=(None, None), reason="fewer than 10 rows")
    assert list(baseline_sentences({"linear": concluded(test=found)})) == [
        "No confidence interval of the difference from the linear baseline: log loss 0.5 vs 0.75 "
        "(fewer than 10 rows)."
    ]


def test_a_result_that_is_too_good_to_be_true_is_the_first_line_after_the_result(tmp_path):
    leak = BaselineComparison(leaks={"copy": 0.9997})
    result, doubt, *_ = text_of(tmp_path, METRICS, named=["accuracy"], comparison=leak)[4:]
    assert result == "On the test rows, accuracy is 75.0 %."
    assert doubt == (
        "Possible leak: the column 'copy' alone predicts the target with 99.9 % less error than a "
        "constant prediction; check that its value is known when predictions are made, and is not derived from the target."
    )


def test_a_nearly_perfect_linear_model_is_called_normal_for_a_formula(tmp_path):
    line = NearlyPerfect(model="linear", split="test", metric="r2", value=1, column="x", share=1)
    comparison = BaselineComparison(nearly_perfect=line)
    assert text_of(tmp_path, METRICS, named=["accuracy"], comparison=comparison)[5] == (
        "A linear model is nearly perfect: R² 1.0000 on test rows, most of it by the column 'x', "
        "which alone predicts the target with 100 % less error than a constant prediction; this is "
        "normal if the target follows a formula; for measured data, check that no column is derived from the target (target leakage)."
    )


def test_without_test_rows_validation_rows_decide_and_without_these_training_rows(tmp_path):
    held = {name: METRICS[name] for name in ("train", "validation")}
    simple = {"constant": {"train": {"accuracy": 0.25}, "validation": {"accuracy": 0.5}}}
    assert text_of(tmp_path, held, simple)[:2] == [
        "          train  validation  constant",
        "accuracy  100 %      75.0 %    50.0 %",
    ]
    lines = text_of(tmp_path, {"train": METRICS["train"]}, simple)
    assert lines[1] == "accuracy  100 %      25 %"
    # A share of 6 rows would be too few to evaluate, so the sentence does not advise it.
    assert "No rows were held out, so performance on new rows is unknown." in lines


def test_a_network_that_is_linear_itself_has_no_linear_baseline(tmp_path):
    metrics, constant = {"train": {"rmse": 1.0}}, {"constant": {"train": {"rmse": 2.0}}}
    reason = BaselinesEvent(models=(), no_linear="the network itself is linear", seconds=1.0)
    given = {"metrics": metrics, "baselines": constant, "logged": [reason]}
    run = make_run(tmp_path, COLORS, "y", outputs=None, **given)
    sentence = "There is no linear baseline: the network itself is linear."
    assert sentence in training_view(run).sentences


def test_an_undefined_metric_is_compared_with_nothing(tmp_path):
    metrics = {"test": {"accuracy": None, "log_loss": None}}
    assert text_of(tmp_path, metrics, {"constant": metrics})[:5] == [
        "          test  constant",
        "accuracy     -         -",
        "log loss     -         -",
        "",
        "No metric is defined.",
    ]


def test_the_accuracy_of_unequal_classes_is_next_to_that_of_the_largest(tmp_path):
    scores = {"accuracy": 0.9, "auc": 0.75, "average_precision": 0.5, "confusion": [[7, 1], [1, 1]]}
    logged = [data_event({"train": 90, "test": 10})]
    columns = {"x": [1, 2, 3, 4], "y": ["no", "yes"] * 2}
    run = make_run(tmp_path, columns, "y", metrics={"test": scores}, logged=logged, outputs=None)
    view = training_view(run)
    no = "always “no”, the most frequent class of these rows: 80 %"
    assert view.sentences[0] == f"On 10 test rows, AUC is 0.75 and accuracy is 90 % ({no})."
    assert [(each.label, each.value) for each in view.figures] == [
        ("AUC, test rows", "0.75"),
        ("Accuracy, test rows", "90 %"),
        ("Average precision, test rows", "0.50"),
        ("Parameters", "2"),
    ]
    assert view.figures[1].note == no


def test_metrics_of_few_rows_are_called_uncertain(tmp_path):
    config = {"data": {"train": "table.csv", "target": "y", "test": 0.34}}
    metrics = {"test": {"accuracy": 0.5}}
    run = make_run(tmp_path, COLORS, "y", metrics=metrics, outputs=None, config=config)
    assert view_of(run).sentences == (
        "On 2 test rows, accuracy is 50 %.",
        "With only 2 test rows, these metrics are uncertain.",
    )


def test_a_single_row_is_singular_in_every_sentence(tmp_path):
    metrics = {"test": {"accuracy": 0.0}}
    logged = [data_event({"train": 5, "test": 1})]
    run = make_run(tmp_path, COLORS, "y", metrics=metrics, outputs=None, logged=logged)
    assert training_view(run).sentences == (
        "On 1 test row, accuracy is 0 %.",
        "With only 1 test row, these metrics are uncertain.",
    )


@pytest.mark.parametrize("columns", [2, 5])
def test_a_target_of_a_few_columns_has_the_metric_of_each(tmp_path, columns):
    each = {f"y{at}": {"r2": at / 10} for at in range(columns)}
    metrics = {"test": {"r2": 0.5, "by_column": each}}
    run = make_run(tmp_path, COLORS, "y", metrics=metrics, outputs=None)
    sentence = training_view(run).sentences[0]
    assert sentence == f"On the test rows, R² is 0.5{': y0 0, y1 0.1' if columns == 2 else ''}."


def sentences_of_ensemble(tmp_path, test, validation, **config):
    """The sentences after the first of an ensemble's page: 90 training and 10 test rows."""
    comparison = BaselineComparison(
        differences={"constant": {"test": test, "validation": validation}}
    )
    given = {
        "metrics": METRICS,
        "comparison": comparison,
        "config": {"ensemble": {"members": 2}, **config},
        "logged": [data_event({"train": 90, "test": 10})],
    }
    return training_view(make_run(tmp_path, COLORS, "y", outputs=None, **given)).sentences[1:]


def test_few_test_rows_leave_the_verdict_to_out_of_fold_rows(tmp_path):
    better = difference("better", ends=(-0.5, -0.125))
    assert sentences_of_ensemble(tmp_path, difference("not_significant"), better) == (
        "Better than the constant baseline: log loss 0.50 vs 0.75 on 10 test rows (95 % CI of the "
        "difference: −0.50 to +0.12), 0.50 vs 0.75 on 90 out-of-fold rows (−0.50 to −0.12).",
    )


def test_test_rows_alone_are_not_named_again(tmp_path):
    better = difference("better", ends=(-0.5, -0.125))
    assert sentences_of_ensemble(tmp_path, better, better) == (
        "Better than the constant baseline: log loss 0.50 vs 0.75 (95 % CI of the difference: "
        "−0.50 to −0.12).",
    )


def test_out_of_fold_rows_do_not_decide_if_test_rows_are_later(tmp_path):
    better = difference("better", ends=(-0.5, -0.125))
    split = {"name": "time", "column": "x"}
    data = {"train": "table.csv", "target": "y", "test": 0.1, "split": split}
    config = {"data": data, "input": {"features": {"x": "categorical"}}}
    open_verdict = difference("not_significant")
    sentences = sentences_of_ensemble(tmp_path, open_verdict, better, **config)
    assert sentences[-1] == "With only 10 test rows, these metrics are uncertain."


def test_out_of_fold_rows_do_not_refute_a_significant_gain_on_test_rows(tmp_path):
    better = difference("better", ends=(-0.5, -0.125))
    assert sentences_of_ensemble(tmp_path, better, difference("worse")) == (
        "Better than the constant baseline: log loss 0.50 vs 0.75 on 10 test rows (95 % CI of the "
        "difference: −0.50 to −0.12), 0.50 vs 0.75 on 90 out-of-fold rows (−0.50 to +0.12).",
    )


def test_the_time_of_an_epoch_of_an_ensemble_is_that_of_one_member(tmp_path):
    trained = TrainedEvent(epochs=4, best_epoch=None, seconds=6.0)
    run = number_run(tmp_path, logged=[trained])
    member = partial(EnsembleMember, task=run.task, rows=3, best_epoch=1)
    histories = [{"loss": losses} for losses in ((4.0, 3.0, 2.0, 1.0), (2.0, 1.0))]
    members = tuple(member(seed=0, history=history) for history in histories)
    vars(run)["ensemble"] = Ensemble(members=members, learning_rate_multiplier=None)
    [figures] = [each for each in parts(training_view(run), "training") if each.kind == "figures"]
    [time] = [each for each in figures.figures if each.label == "Training time"]
    assert (time.value, time.note) == ("6 s", "1 s an epoch of a member")


def test_an_ignored_column_is_listed_without_a_chart(tmp_path):
    full = full_explanation()
    *others, last = full.columns
    ignored = last.model_copy(update={"type": "ignored", "minimum": 2.0, "maximum": 2.0})
    columns = (*others, ignored)
    view = view_of(number_run(tmp_path, explanation=full.model_copy(update={"columns": columns})))
    [cards] = [each for each in parts(view, "data") if isinstance(each, blocks.ColumnCardsBlock)]
    assert len(cards.columns) == len(others)
    [row] = [row for row in tables(view, "data")["All columns"].rows if row[0] == last.name]
    assert row[1] == "ignored"
    assert row[6] == "2"  # its range, of one value


@pytest.mark.parametrize(
    ("split", "end"),
    [("random", "similar."), ("time", "similar except for changes over time.")],
)
def test_rows_of_another_time_need_not_look_alike(tmp_path, split, end):
    chosen = {"name": "time", "column": "x"} if split == "time" else split
    data = {"train": "table.csv", "target": "y", "test": 0.25, "split": chosen}
    view = view_of(number_run(tmp_path, config={"data": data}))
    texts = [each.text for each in parts(view, "data") if isinstance(each, blocks.TextBlock)]
    assert any(text.endswith(f"held-out rows, which should look {end}") for text in texts)


def test_without_values_of_other_rows_no_line_is_explained(tmp_path):
    full = full_explanation()
    columns = tuple(
        each.model_copy(update={"histogram": None, "values": ()}) for each in full.columns
    )
    view = view_of(number_run(tmp_path, explanation=full.model_copy(update={"columns": columns})))
    assert "Bars show the distribution of the values in training rows." in [
        each.text for each in parts(view, "data") if isinstance(each, blocks.TextBlock)
    ]


def test_rows_of_other_files_are_not_said_to_be_of_the_training_file(tmp_path):
    config = {"data": {"train": "table.csv", "target": "y", "validation": 0.5, "test": "table.csv"}}
    logged = [data_event({"train": 2, "validation": 2, "test": 4})]
    view = training_view(number_run(tmp_path, config=config, logged=logged))
    texts = [each.text for each in parts(view, "data") if each.kind == "text"]
    assert texts[0] == "8 rows from table.csv and the files of test rows."


def test_a_single_column_more_than_have_charts_at_once_is_one_column(tmp_path):
    view = view_of(number_run(tmp_path, explanation=full_explanation(columns=13)))
    folds = [each.title for each in parts(view, "data") if isinstance(each, blocks.FoldBlock)]
    assert folds[0] == "1 more column"


def test_the_parts_of_the_rows_are_counted_as_they_are_drawn(tmp_path):
    outputs = {"target": [0.0, 0.0, 0.0, 8.5], "prediction": [1.0, 3.0, 4.0, 8.0]}
    chart = charts(view_of(number_run(tmp_path, outputs=outputs)), "result")[
        "Error by size of the true value"
    ]
    assert len(chart.numbers.rows) == 2
    assert chart.reading.startswith("Rows are divided into 2 parts, from the lowest true values")


def test_few_rows_may_not_show_a_learned_relation():
    *_, conclusion = baseline_sentences(
        {"constant": concluded(test=difference("not_significant"))}, are_few=True
    )
    assert (
        conclusion
        == "The held-out rows are too few to show whether the network has learned anything."
    )


def test_a_page_that_was_written_is_named(plain):
    page = plain.path / "report.html"
    page.write_text("", encoding="utf-8")
    assert view_of(plain).links == (("run", str(plain.path)), ("report", str(page)))
    page.unlink()


def test_a_run_without_an_explanation_has_a_page(tmp_path):
    view = view_of(number_run(tmp_path, explanation=None))
    assert anchors(view) == [each for each in ORDER if each not in ("explanation", "errors")]
    assert all_charts(view.sections())


def test_the_page_of_a_diverged_run_states_it(tmp_path):
    run = number_run(tmp_path, metrics=None, outputs=None)
    view = view_of(run)
    assert anchors(view) == [each for each in ORDER if each != "result"]
    assert "diverged" in view.sentences[0]
    assert "diverged" in render_report(run)


def test_the_data_are_not_needed(tmp_path):
    run = number_run(tmp_path)
    (tmp_path / "table.csv").unlink()
    assert render_report(open_run(run.path))


def test_predictions_of_other_classes_are_an_error(tmp_path):
    outputs = {**PROBABILITIES, "target": ["red", "green", "pink"]}
    run = make_run(tmp_path, COLORS, "y", outputs=outputs)
    with pytest.raises(RunError) as error:
        render_report(run)
    assert str(error.value) == (
        f"{run.path}/predictions.parquet: column 'target' holds a value that its encoding.json "
        "doesn't list; train it again"
    )


def test_predictions_without_a_column_are_an_error(tmp_path):
    outputs = {name: values for name, values in PROBABILITIES.items() if name != "probability_red"}
    run = make_run(tmp_path, COLORS, "y", outputs=outputs)
    with pytest.raises(RunError) as error:
        render_report(run)
    assert str(error.value) == (
        f"{run.path}/predictions.parquet: column 'probability_red' is missing or occurs twice; "
        "train it again"
    )


def test_rows_of_weight_zero_are_omitted(tmp_path):
    outputs = {"weight": [1.0, 0.0], "target": [1.0, 9.0], "prediction": [2.0, 9.0]}
    [rows] = TrainingRecord(number_run(tmp_path, outputs=outputs)).predicted
    assert (rows.rows, rows.is_weighted) == (1, True)
    [output] = rows.numbers
    assert output.column == "y"
    assert [each.tolist() for each in (output.target, output.prediction, output.weights)] == [
        [1],
        [2],
        [1],
    ]


def test_rows_of_weight_zero_are_not_counted_in_the_sentences(tmp_path):
    outputs = {"weight": [1.0, 0.0], "target": [1.0, 9.0], "prediction": [2.0, 9.0]}
    config = {"data": {"train": "table.csv", "target": "y", "sample_weight": "x", "test": 0.5}}
    logged = [data_event({"train": 2, "test": 2})]
    run = number_run(tmp_path, outputs=outputs, config=config, logged=logged)
    sentences = training_view(run).sentences
    assert sentences[0] == "On 1 test row, R² is 0.95 and MAE is 0.5."
    assert sentences[-1] == "With only 1 test row, these metrics are uncertain."


def test_the_range_of_errors_counts_rows_by_their_weights(tmp_path):
    outputs = {
        "weight": [8.0, 1.0, 1.0, 90.0],
        "target": [0.0, 0.0, 0.0, 0.0],
        "prediction": [-5.0, -2.0, 2.0, 1.0],
    }
    drawn = charts(view_of(number_run(tmp_path, outputs=outputs)), "result")
    assert drawn["Errors"].description == (
        "The mean error (prediction − true value) is 0.5; 80 % of the errors are between 1.0 and 1.0."
    )


@pytest.mark.parametrize(
    ("all_rows", "text"),
    [
        (2, "Based on 1 training row."),
        (
            9,
            "The charts and their descriptions are based on a random sample of 1 of the 9 training "
            "rows, so their values differ slightly from those of all rows. The table above is "
            "based on all of them.",
        ),
    ],
)
def test_rows_of_weight_zero_are_not_taken_for_rows_outside_a_sample(tmp_path, all_rows, text):
    sample = {"weight": [1.0, 0.0], "target": [1.0, 9.0], "prediction": [2.0, 9.0]}
    logged = [data_event({"train": all_rows})]
    view = training_view(number_run(tmp_path, outputs=None, sample=sample, logged=logged))
    texts = [each.text for each in parts(view, "result") if each.kind == "text"]
    weights = "Rows are weighted; 1 row of weight 0 is omitted."
    assert texts == [f"{text} {weights}"]


def test_a_chart_of_sampled_rows_has_the_area_of_all_rows_as_the_table(tmp_path):
    metrics = {"train": {"auc": 0.8752, "average_precision": 0.4321}}
    chances = [0.1, 0.2, 0.8, 0.9]
    sample = {
        "target": ["cat", HOSTILE] * 2,
        "probability_cat": chances,
        f"probability_{HOSTILE}": [1 - chance for chance in chances],
    }
    run = class_run(tmp_path, metrics=metrics, outputs=None, sample=sample)
    drawn = charts(view_of(run), "result")
    assert drawn["ROC curve"].description == "The AUC for cat is 0.875."  # of the sample: 0.25
    precision = drawn["Precision and recall"].description
    assert precision == "The average precision for cat is 0.432."


def test_labels_of_one_column_are_split(tmp_path):
    run = RUNS["labels in one column"](tmp_path)
    [rows] = TrainingRecord(run).predicted
    assert rows.scores["a"].is_positive.tolist() == [True, False, False]
    assert rows.scores["b"].is_positive.tolist() == [True, False, True]


def test_the_curves_of_two_classes_are_those_of_the_second(tmp_path):
    drawn = charts(view_of(class_run(tmp_path)), "result")
    # Of the pairs of a hostile and a cat row, 0.4 and 0.1, 0.4 and 0.6, 0.9 and both: one is wrong.
    assert drawn["ROC curve"].description.startswith("The AUC for cat is 0.750.")
    # All rows are in one group: (0.4 + 0.1 + 0.9 + 0.6) / 4 is predicted, 2 of 4 are observed.
    calibration = drawn["Calibration of probabilities"]
    assert calibration.numbers.rows == (("50.0 %", "50.0 %", "15.0 %", "85.0 %", "4"),)
    assert calibration.description.startswith("There are too few rows")


def test_the_page_states_to_which_of_two_classes_a_metric_refers():
    assert [*positive_class(["accuracy", "recall", "precision", "f1"], ["no", "<b>"])] == [
        "Precision, recall and F1 are for the class <b>."
    ]
    assert [*positive_class(["recall"], ["no", "yes"])] == ["Recall is for the class yes."]
    assert [*positive_class(["auc"], ["no", "yes"])] == []
    assert [*positive_class(["f1"], ["a", "b", "c"])] == []


def test_the_summary_states_to_which_of_two_classes_its_metrics_refer(tmp_path):
    target = TargetEvent(
        columns=["kind"], type="categorical", classes=["cat", HOSTILE], labels=(), reason="text"
    )
    run = class_run(tmp_path, logged=[target])
    vars(run)["metrics"] = {"test": {"accuracy": 0.5, "f1": 0.5}}
    assert training_view(run).sentences[-1].startswith(f"F1 is for the class {HOSTILE[:20]}")


def test_errors_of_several_numbers_name_their_unit(tmp_path):
    columns = {"x": [1, 2], "u": [1.5, 2], "v": [3.5, 4]}
    explanation = full_explanation(outputs=("u", "v"))
    run = make_run(tmp_path, columns, ["u", "v"], outputs=PAIRS, explanation=explanation)
    view = view_of(run)
    importance = charts(view, "explanation")["Permutation importance"]
    assert importance.numbers.header[1] == "increase in RMSE (in standard deviations)"
    worst = tables(view, "errors")["Test rows with the largest errors"]
    assert worst.header[3] == "error (in standard deviations)"


def test_the_largest_errors_of_margins_are_those_of_the_hinge(tmp_path):
    columns = {"x": [1, 2, 3], "y": [0, 1, 1]}
    explanation = full_explanation().model_copy(update={"importance_metric": "hinge"})
    fields = {"outputs": SVM, "config": {"loss": "hinge"}, "explanation": explanation}
    worst = tables(view_of(make_run(tmp_path, columns, "y", **fields)), "errors")
    assert worst["Test rows with the largest errors"].header[3] == "hinge"


def test_the_largest_errors_of_an_ensemble_are_of_out_of_fold_rows(tmp_path, monkeypatch):
    full = full_explanation()
    of_test, row = full.worst[0], full.worst[0].model_copy(update={"split": "validation"})
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    run = number_run(tmp_path, explanation=full.model_copy(update={"worst": (row,)}))
    [caption] = tables(view_of(run), "errors")
    assert caption == "Out-of-fold rows with the largest errors"
    both = full.model_copy(update={"worst": (row, of_test)})
    folder = tmp_path / "both"
    folder.mkdir()
    run = number_run(folder, explanation=both)
    worst = tables(view_of(run), "errors")["Held-out rows with the largest errors"]
    assert [each[1] for each in worst.rows] == ["out-of-fold", "test"]


def test_changes_of_an_ensemble_are_compared_on_out_of_fold_rows(tmp_path, monkeypatch):
    run = number_run(tmp_path)
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    patch = Patch("wider", "more units see more", (("hidden[0].units", "64"),))
    [table] = diagnosis_view(run, (), [Trial("underfitting", patch)]).blocks
    assert table.caption == "out-of-fold rows:"


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        ("better", "significantly better; significantly worse: log loss, Brier score"),
        ("worse", "significantly worse; also significantly worse: log loss, Brier score"),
    ],
)
def test_the_verdict_on_a_change_names_other_metrics_that_it_worsens(tmp_path, verdict, shown):
    change = Trial(
        "imbalance",
        Patch("balanced", "equal weights", (("class_weight", "balanced"),)),
        tmp_path,
        difference=DifferenceEstimate(value=0.1, lower=0.05, upper=0.15, verdict=verdict),
        worse=("log_loss", "brier"),
    )
    [table, *_] = diagnosis_view(number_run(tmp_path), (), [change]).blocks
    assert table.rows[0][4] == shown


@pytest.mark.parametrize(
    ("early_stopping", "splits", "words"),
    [
        (
            {"patience": 3},
            ("validation",),
            "to them. Validation rows were used for early stopping.",
        ),
        (
            None,
            ("validation",),
            "to them. Validation rows were not used for training, but configs are selected",
        ),
        (None, ("test",), "the network was fitted to them. Test rows were used for nothing"),
        (None, (), "because the network was fitted to them."),
    ],
)
def test_a_page_states_the_use_of_each_existing_set(tmp_path, early_stopping, splits, words):
    metrics = {name: {"rmse": 1.0} for name in ("train", *splits)}
    data = {"train": "table.csv", "target": "y", "validation": 0.5}
    run = number_run(
        tmp_path,
        metrics=metrics,
        outputs=None,
        config={"data": data, "early_stopping": early_stopping},
    )
    note = next(each.note for each in parts(view_of(run), "result") if each.kind == "table")
    assert words in note
    stops = ": decide when to stop" in to_html(view_of(run))
    assert stops is (early_stopping is not None)


@pytest.mark.parametrize(
    ("early_stopping", "splits", "rows", "is_noted"),
    [
        ({"patience": 3}, ("validation",), 1_999, True),
        ({"patience": 3}, ("validation",), 2_000, False),
        ({"patience": 3}, ("validation", "test"), 1_999, False),
        (None, ("validation",), 1_999, False),
    ],
)
def test_few_out_of_fold_rows_that_chose_the_epoch_are_noted(
    tmp_path, monkeypatch, early_stopping, splits, rows, is_noted
):
    metrics = {name: {"rmse": 1.0} for name in ("train", *splits)}
    data = {"train": "table.csv", "target": "y", "validation": 0.5}
    config = {"data": data, "early_stopping": early_stopping}
    run = number_run(tmp_path, metrics=metrics, outputs=None, config=config)
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    monkeypatch.setattr(TrainingRecord, "rows", lambda *_: rows)
    words = "The best epoch of each network was chosen on its out-of-fold rows, so the out-of-fold"
    assert any(words in sentence for sentence in training_view(run).sentences) is is_noted


def test_no_line_of_a_page_ends_between_a_number_and_its_percent_sign(tmp_path):
    page = to_html(training_view(make_run(tmp_path, COLORS, "y", metrics=METRICS, outputs=None)))
    assert not re.search(r"<li>[^<]*\d %", page)
    assert unbroken("94 % of 5 %, %d") == "94\xa0% of 5\xa0%, %d"


def test_a_date_on_a_page_is_not_broken_and_other_text_is_escaped() -> None:
    assert unbroken("to 2009-12-01, <b>") == 'to <span class="whole">2009-12-01</span>, &lt;b&gt;'


def test_labels_are_not_called_classes(tmp_path):
    drawn = charts(view_of(RUNS["labels in columns"](tmp_path)), "result")
    assert drawn["ROC curve"].description == ("The AUC of each of the 2 labels is 1.000.")
    assert drawn["Precision and recall"].numbers.header[0] == "label"


def test_an_output_is_not_called_saturated(tmp_path):
    layers = tuple(
        LayerStatistics(name=name, kind="Dense", units=1, parameters=2, saturated=0.846)
        for name in ("hidden_1", "output")
    )
    explanation = full_explanation().model_copy(update={"layers": layers})
    view = view_of(number_run(tmp_path, explanation=explanation))
    table = tables(view, "training")["Each layer after training"]
    assert [row[6] for row in table.rows] == ["84.6 %", "-"]
    assert "Saturated: share of sigmoid or tanh outputs" in table.note


def test_a_column_that_is_read_and_was_not_measured_is_counted(tmp_path):
    importances = (Importance(column="x", increase=1, deviation=0.5),)
    explanation = full_explanation().model_copy(update={"importances": importances})
    view = view_of(number_run(tmp_path, explanation=explanation))  # of two columns
    assert charts(view, "explanation")["Permutation importance"].description == (
        "The predictions depend most on x. 1 more column was not measured."
    )


def test_what_a_command_changed_in_the_config_is_shown_below_it(tmp_path, monkeypatch):
    run = number_run(tmp_path)
    command = ["dlcli", "train", "c.yaml", "--set", "epochs=3", "-q", "--set=data.target=[y, d]"]
    monkeypatch.setattr(type(run), "environment", {"command": command})
    _given, changed, _resolved = (
        each for each in parts(view_of(run), "config") if isinstance(each, blocks.CodeBlock)
    )
    assert changed == blocks.CodeBlock("epochs=3\ndata.target=[y, d]", "Changed with --set:")


def test_a_file_without_a_digest_has_a_dash_for_it(tmp_path, monkeypatch):
    run = number_run(tmp_path)
    data = [{"file": "gone.csv", "sha256": None, "bytes": None}]
    monkeypatch.setattr(type(run), "environment", {"data": data})
    assert tables(view_of(run), "reproduce")["Data files"].rows == (("gone.csv", "-", "-"),)


def test_a_change_to_try_has_a_command_to_paste(plain, monkeypatch):
    patch = Patch("wider", "more units see more", (("hidden[0].units", "64"),))
    found = Finding("too_small", "r2 is 0.1", "the network is too small", (patch,), "a book, 2016")
    monkeypatch.setattr("dlcli.reports.training_report.diagnose", lambda _: [found])
    config = plain.path / "resolved.yaml"
    assert parts(view_of(plain), "next")[1] == blocks.FindingsBlock((found,), config)
    page = html.unescape(to_html(view_of(plain)))
    assert (
        f"<code>dlcli train {config} --set 'hidden[0].units=64' --set name=run-wider</code>" in page
    )
    texts = ("r2 is 0.1", "the network is too small", "more units see more", "a book, 2016")
    assert all(f">{text}</" in page for text in texts)


@pytest.mark.parametrize("has_learned", [True, False])
def test_a_few_large_errors_do_not_hide_that_numbers_are_predicted(has_learned):
    rng = np.random.default_rng(0)
    target = np.exp(3 * rng.normal(size=90))
    predicted = 1.1 * target if has_learned else np.full(90, target.mean())
    predicted[np.argsort(-target)[:4]] = 0  # these rows decide the squared error
    rows = np.arange(90)
    task = infer_task(Target(column="y"), [Table("t.csv", pa.table({"y": target}), rows)])
    columns = target[:, np.newaxis], predicted[:, np.newaxis]
    closer = closer_share(HeldOut(*columns, None, task=task, row=rows))
    better = np.abs(target - predicted) < np.abs(target - np.median(target))
    expected = scipy.stats.binomtest(int(better.sum()), 90).proportion_ci(method="wilson")
    assert closer.ends == pytest.approx(expected)
    found = {"constant": concluded(test=difference("not_significant"))}
    *_, sentence = baseline_sentences(found, skill=Skill(closer=closer))
    if has_learned:
        assert sentence == (
            "92.2 % of the predictions (95 % CI: 84.8 % to 96.2 %) are closer to the target than "
            "the median of these rows, so the network has learned something, although its log loss "
            "is not clearly better than that of a constant prediction."
        )
    else:  # a constant, however far from the median, is closer in less than half of the rows
        assert sentence == "The held-out rows do not show that the network has learned anything."
