"""What a page tells of a run, also of one that lacks something."""

from __future__ import annotations

import re
from dataclasses import replace

import altair as alt
import pytest

from dlcli.diagnosis import Finding, Patch
from dlcli.errors import RunError
from dlcli.explanation import Importance, LayerStatistics, WorstRow
from dlcli.reports import blocks, render
from dlcli.reports.importance import importance_chart, worst_table
from dlcli.reports.record import Record
from dlcli.reports.report import run_page
from dlcli.runs import open_run
from tests.reports.hand_made_runs import class_run, full_explanation, make_run, number_run


def page_of(run):
    return run_page(Record.of(run), ())


def each_block(parts):
    for part in parts:
        yield part
        yield from each_block(getattr(part, "blocks", ()))
        for column in getattr(part, "columns", ()):
            if column.chart:
                yield column.chart


def charts(page):
    found = each_block(block for section in page.sections for block in section.blocks)
    return [block for block in found if isinstance(block, blocks.Chart)]


def anchors(page):
    return [section.anchor for section in page.sections]


COLOURS = {"x": [1, 2, 3, 4, 5, 6], "y": ["red", "green", "blue"] * 2}
CHANCES = {
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
    "three classes": lambda folder: make_run(folder, COLOURS, "y", outputs=CHANCES),
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


@pytest.fixture(params=RUNS)
def run(request, tmp_path):
    return RUNS[request.param](tmp_path)


def test_every_chart_is_valid_vega_lite(run):
    found = charts(page_of(run))  # Altair checks each part
    assert len(found) >= 4
    for chart in found:
        alt.Chart.from_dict(dict(chart.spec), validate=True)


def test_no_name_of_a_field_comes_from_the_data(run):
    for chart in charts(page_of(run)):
        fields = re.findall(r"'field': '(.*?)'", str(chart.spec))
        assert fields
        assert all(re.fullmatch(r"[a-z]\d?", name) for name in fields)


def test_every_kind_of_target_renders(run):
    assert "The result" in render(run, with_curves=False).page


def test_the_curves_are_a_png(tmp_path):
    curves = render(number_run(tmp_path)).curves
    assert curves is not None
    assert curves.startswith(b"\x89PNG")


def test_a_page_tells_all_in_order(tmp_path):
    page = page_of(number_run(tmp_path))
    assert anchors(page) == ["asked", "data", "training", "result", "mattered", "reproduce"]
    assert page.verdict == ("Predicts y. On the test rows, mean absolute error (mae) is 0.5.")


def test_the_network_is_compared_with_the_simplest_models(tmp_path):
    record = Record.of(class_run(tmp_path))
    linear = {"linear": {"test": {"accuracy": 0.5}}, "constant": {"test": {"accuracy": 0.25}}}
    page = run_page(replace(record, baselines=linear), ())
    assert page.verdict.endswith(
        "It is no better than a linear model: always predicting the same has 25.0 % and a linear "
        "model has 50.0 %. Its layers add nothing yet."
    )


def verdict_beside(folder, scores, **simple):
    record = Record.of(class_run(folder))
    baselines = {name: {"test": each} for name, each in simple.items()}
    return run_page(replace(record, metrics={"test": scores}, baselines=baselines), ()).verdict


def test_layers_are_blamed_only_where_a_linear_model_is_better(tmp_path):
    verdict = verdict_beside(
        tmp_path, {"accuracy": 0.5}, linear={"accuracy": 0.25}, constant={"accuracy": 0.625}
    )
    assert verdict.endswith(
        "It is no better than always predicting the same: always predicting the same has 62.5 % "
        "and a linear model has 25.0 %. What it has learned is of no use on these rows yet."
    )


def test_a_network_that_has_learned_of_a_rare_class_is_not_condemned(tmp_path):
    verdict = verdict_beside(
        tmp_path, {"accuracy": 0.865, "auc": 0.88}, constant={"accuracy": 0.935, "auc": 0.5}
    )
    assert verdict.endswith(
        "86.5 % of the predictions are right. That is no better: always predicting the same has "
        "93.5 %. But accuracy hides what was learned, as a class is rare: area under ROC is 0.88, "
        "and always predicting the same has 0.5."
    )


def test_an_older_run_without_evidence_has_a_page_with_what_there_is(tmp_path):
    page = page_of(number_run(tmp_path, explanation=None))
    assert anchors(page) == ["asked", "data", "training", "result", "reproduce"]
    assert charts(page)


def test_a_run_that_diverged_has_a_page_that_says_so(tmp_path):
    run = number_run(tmp_path, metrics=None, outputs=None)
    page = page_of(run)
    assert anchors(page) == ["asked", "data", "training", "mattered", "reproduce"]
    assert "diverged" in page.verdict
    assert "diverged" in render(run).page


def test_the_data_are_not_needed(tmp_path):
    run = number_run(tmp_path)
    (tmp_path / "table.csv").unlink()
    assert render(open_run(run.path), with_curves=False).page


def test_a_table_of_other_classes_is_told(tmp_path):
    outputs = {**CHANCES, "target": ["red", "green", "pink"]}
    run = make_run(tmp_path, COLOURS, "y", outputs=outputs)
    with pytest.raises(RunError) as error:
        render(run)
    assert str(error.value) == (
        f"{run.path}: its predictions: column 'target' holds a value that its encoding.json "
        "doesn't know; train it again"
    )


def test_a_table_without_a_column_is_told(tmp_path):
    outputs = {name: values for name, values in CHANCES.items() if name != "probability_red"}
    run = make_run(tmp_path, COLOURS, "y", outputs=outputs)
    with pytest.raises(RunError) as error:
        render(run)
    assert str(error.value) == (
        f"{run.path}: its predictions: column 'probability_red' is missing, or there twice; train "
        "it again"
    )


def test_rows_of_weight_zero_are_left_out(tmp_path):
    outputs = {"weight": [1.0, 0.0], "target": [1.0, 9.0], "prediction": [2.0, 9.0]}
    [judged] = Record.of(number_run(tmp_path, outputs=outputs)).judged
    assert (judged.rows, judged.weighted) == (1, True)
    [(column, target, prediction, weights)] = judged.numbers
    assert (column, target.tolist(), prediction.tolist(), weights.tolist()) == ("y", [1], [2], [1])


def test_labels_of_one_column_are_taken_apart(tmp_path):
    run = RUNS["labels in one column"](tmp_path)
    [judged] = Record.of(run).judged
    assert judged.has_label("a").tolist() == [True, False, False]
    assert judged.has_label("b").tolist() == [True, False, True]


def table_headed(page, caption):
    found = each_block(block for section in page.sections for block in section.blocks)
    return next(each for each in found if getattr(each, "caption", "") == caption)


def test_an_output_is_not_called_saturated(tmp_path):
    layers = tuple(
        LayerStatistics(name=name, kind="Dense", units=1, parameters=2, saturated=0.846)
        for name in ("hidden_1", "output")
    )
    explanation = full_explanation().model_copy(update={"layers": layers})
    page = page_of(number_run(tmp_path, explanation=explanation))
    table = table_headed(page, "Each layer after training")
    assert [row[6] for row in table.rows] == ["84.6 %", "–"]
    assert "saturated outputs of hidden layers" in table.note


@pytest.mark.parametrize(
    ("increases", "features", "sentence"),
    [
        ((4, 3, 2, 1.5, 0, -1), 6, "It relies most on c0, c1, c2."),
        ((4, 0.5, 0, -1), 5, "It relies most on c0. 1 more column was not measured."),
        (
            (0.5, -2),
            299,
            "It relies on no column by more than noise. 297 more columns were not measured.",
        ),
        (
            (2,) * 22,
            None,
            "It relies most on c0, c1, c2. 2 less important columns were not shown.",
        ),
    ],
)
def test_columns_are_named_that_matter_by_more_than_noise(increases, features, sentence):
    found = [
        Importance(column=f"c{at}", increase=increase, deviation=1)
        for at, increase in enumerate(increases)
    ]
    assert importance_chart(found, "rmse", features).shows == sentence


def test_a_column_that_is_read_and_was_not_measured_is_counted(tmp_path):
    importances = (Importance(column="x", increase=1, deviation=0.5),)
    explanation = full_explanation().model_copy(update={"importances": importances})
    page = page_of(number_run(tmp_path, explanation=explanation))  # of two columns
    [chart] = [each for each in charts(page) if each.title == "Which columns it relies on"]
    assert chart.shows == "It relies most on x. 1 more column was not measured."


def test_no_labels_at_all_are_shown_as_such():
    row = WorstRow(file=None, row=1, split="test", target="", prediction="", error=1, values={})
    assert worst_table([row], of_numbers=False).rows == (("1", "test", "(none)", "(none)", "1"),)


def test_what_to_try_next_comes_with_a_command_to_paste(tmp_path):
    run = number_run(tmp_path)
    patch = Patch("wider", "more units see more", (("hidden[0].units", "64"),))
    found = Finding(
        "underfitting", "r2 is 0.1", "the network is too small", (patch,), "a book, 2016"
    )
    page = run_page(Record.of(run), [found])
    [section] = [section for section in page.sections if section.anchor == "next"]
    config = run.path / "resolved.yaml"
    assert section.blocks[1] == blocks.Findings(
        (
            blocks.Finding(
                title="r2 is 0.1",
                text="the network is too small",
                attempts=(
                    blocks.Attempt(
                        "more units see more",
                        f"dlcli train {config} --set 'hidden[0].units=64'",
                    ),
                ),
                source="a book, 2016",
            ),
        )
    )
