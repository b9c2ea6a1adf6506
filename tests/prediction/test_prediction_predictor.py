"""A stored run to predictions: the same as ever, or an error that says what doesn't fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import DataError, RunError
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run
from dlcli.tables.table import Table

RESOLVED = """
data: {train: t.csv, target: y, sample_weight: w}
hidden: [{units: 2, activation: relu}]
output: {units: 1, activation: linear, scaling: standard}
loss: mean_squared_error
epochs: 1
"""
ENCODING = {
    "format": 1,
    "features": [
        {
            "encoding": "number",
            "column": "x",
            "low": -1.0,
            "high": 3.0,
            "scaling": {"name": "standard", "offset": 1.0, "scale": 2.0},
            "fill": 1.0,
            "indicator": False,
        },
        {
            "encoding": "one_hot",
            "column": "colour",
            "categories": ["red"],
            "other": False,
            "missing": "category",
            "missing_input": False,
            "unseen": "other",
        },
    ],
    "task": {
        "kind": "regression",
        "columns": ["y"],
        "scalings": [{"name": "standard", "offset": 10.0, "scale": 2.0}],
    },
}
WEIGHTS = {
    "hidden_1/kernel": [[1.0, -1.0], [0.0, 2.0]],
    "hidden_1/bias": [0.0, 0.0],
    "output/kernel": [[1.0], [3.0]],
    "output/bias": [0.5],
}
TWO_CLASSES = {"kind": "binary", "columns": ["y"], "classes": ["a", "b"], "stored": "text"}


@pytest.fixture
def stored(tmp_path: Path):
    """Stores a run of the given parts and returns it."""

    def store(resolved=RESOLVED, encoding=None, weights=None):
        with new_run(tmp_path / "run", "run") as writer:
            writer.write_resolved(resolved)
            text = encoding if isinstance(encoding, str) else json.dumps(encoding or ENCODING)
            writer.write_text(RunFile.ENCODING, text)
            arrays = {n: np.array(a, np.float32) for n, a in (weights or WEIGHTS).items()}
            writer.write_arrays(RunFile.WEIGHTS, arrays)
            return writer.finish()

    return store


def rows(**columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def with_target(target):
    return {**ENCODING, "task": target}


def refusal(stored, **parts):
    run = stored(**parts)
    with pytest.raises(RunError) as caught:
        run.predictor
    assert caught.value.exit_code == 5
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(run.path), "RUN")


def test_a_stored_run_predicts_its_rows_in_order(stored):
    # x to (x - 1)/2: 0, 1, -1. Hidden: relu(z), relu(2·red - z). Output: h₁ + 3h₂ + 1/2.
    # Row 1: 0 + 3·2 + 0.5 = 6.5; row 2: 1 + 0 + 0.5 = 1.5; row 3: 0 + 3·1 + 0.5 = 3.5.
    table = rows(colour=["red", "blue", "blue"], x=[1.0, 3.0, -1.0])
    problems = ValueProblems()
    predictions = stored().predictor.predict(table, problems)
    assert predictions.columns()["prediction"].to_pylist() == [23, 13, 17]  # 2y + 10
    assert [*map(str, problems.notes())] == [
        "column 'colour': 2 rows with an unknown category ('blue'): encoded as zeros"
    ]


def test_the_rows_of_a_shuffled_table_keep_their_predictions(stored):
    predictor = stored().predictor
    x = np.arange(-19.0, 21.0, 2.0)  # sums of whole numbers are exact in any order
    order = np.random.default_rng(0).permutation(20)
    table = rows(x=x, colour=["red"] * 20)
    straight = predictor.predict(table, ValueProblems()).values
    shuffled = predictor.predict(table.take(order), ValueProblems()).values
    np.testing.assert_array_equal(shuffled, straight[order])


def test_the_unit_of_training_is_kept_with_the_run_and_any_other_is_refused(stored, tmp_path):
    encoding = {**ENCODING, "notations": {"x": {"thousands": ",", "unit": "kg"}}}
    predictor, file = stored(encoding=encoding).predictor, tmp_path / "new.csv"
    file.write_text('x,colour\n1 kg,red\n3,blue\n"1,003kg",red\n')
    assert predictor.read(str(file)).numbers("x").tolist() == [1, 3, 1003]
    file.write_text("x,colour\n1 kg,red\n3 lb,blue\n")
    with pytest.raises(DataError, match="row 2, column 'x': .* number in kg, got '3 lb'"):
        predictor.predict(predictor.read(str(file)), ValueProblems())


def test_scores_take_target_and_weights_from_the_table(stored):
    table = rows(x=[1.0, 3.0], colour=["red", "blue"], y=[23.0, 17.0], w=[3, 1])
    problems = ValueProblems()
    evaluation = stored().predictor.evaluate(table, problems)
    assert (evaluation.rows, evaluation.metrics["mae"]) == (2, 1)  # (3·0 + 1·4)/4
    assert len(problems.notes()) == 1


def test_rows_whose_target_or_weight_cant_be_used_are_left_out_if_that_is_allowed(stored):
    table = rows(
        x=["1", "3", "3", "3", "one"],
        colour=["red"] * 5,
        y=["23", "", "many", "17", "25"],
        w=["3", "1", "1", "-1", "1"],
    )
    problems = ValueProblems(lenient=True)
    evaluation = stored().predictor.evaluate(table, problems)
    # The last x counts as missing, so as 1: its prediction is 23, too.
    assert (evaluation.rows, evaluation.metrics["mae"]) == (2, 0.5)  # (3·0 + 1·2)/4
    bad = [(evaluation.table.where(bad.index)[1], bad.column) for bad in problems.bad_rows()]
    assert bad == [(3, "y"), (4, "w"), (5, "x")]
    assert evaluation.warning == "1 of 5 rows has no target ('y') and is skipped: row 2"


def test_rows_with_any_bad_value_are_left_out_of_scores_if_they_are_rejected(stored):
    table = rows(x=["1", "one"], colour=["red", "red"], y=[23.0, 25.0], w=[1, 1])
    evaluation = stored().predictor.evaluate(table, ValueProblems(lenient=True), reject=True)
    assert (evaluation.rows, evaluation.metrics["mae"]) == (1, 0)


def test_scores_of_no_row_are_none(stored):
    table = rows(x=["one"], colour=["red"], y=[23.0], w=[1])
    with pytest.raises(DataError, match="row 1, column 'x': .*; no row is left to compute metrics"):
        stored().predictor.evaluate(table, ValueProblems(lenient=True), reject=True)


def test_scores_need_target_and_weight(stored):
    with pytest.raises(DataError) as caught:
        stored().predictor.evaluate(rows(x=[1.0], colour=["red"]), ValueProblems())
    assert str(caught.value) == snapshot("t.csv: has no columns 'y', 'w', which the metrics need")


def test_predictions_need_the_columns_that_were_read(stored):
    with pytest.raises(DataError, match="t.csv: has no column 'colour', which the network reads"):
        stored().predictor.predict(rows(x=[1.0]), ValueProblems())


def test_a_value_that_cant_be_read_is_told_with_its_row(stored):
    with pytest.raises(DataError, match="t.csv: row 2, column 'x': expected a finite number"):
        table = rows(x=["1", "one"], colour=["red", "red"])
        stored().predictor.predict(table, ValueProblems())


def class_columns(stored, loss, output, weights=None):
    """The columns of a prediction of two classes, beside the class."""
    resolved = RESOLVED.replace("mean_squared_error", loss).replace(
        "units: 1, activation: linear, scaling: standard", output
    )
    predictor = stored(resolved, with_target(TWO_CLASSES), weights).predictor
    predictions = predictor.predict(rows(x=[1.0], colour=["red"]), ValueProblems())
    return list(predictions.columns())[1:]


def test_one_output_for_two_classes_is_a_probability(stored):
    columns = class_columns(stored, "binary_crossentropy", "units: 1, activation: sigmoid")
    assert columns == ["probability_a", "probability_b"]


@pytest.mark.parametrize(
    ("loss", "output", "target", "expected"),
    [
        # The output before the sigmoid is 6.5, so p is 0.9985; 0.8·p + 0.2/2.
        (
            "binary_crossentropy",
            "units: 1, activation: sigmoid",
            TWO_CLASSES,
            [1 - 0.8988, 0.8988],
        ),
        # relu(0) and relu(2) have the shares 0.1192 and 0.8808, and the third class e^−30.
        (
            "categorical_crossentropy",
            "units: 3, activation: softmax",
            {**TWO_CLASSES, "kind": "multiclass", "classes": ["a", "b", "c"]},
            [0.8 * 0.1192 + 0.2 / 3, 0.8 * 0.8808 + 0.2 / 3, 0.2 / 3],
        ),
        (
            "binary_crossentropy",
            "units: 3, activation: sigmoid",
            {
                **{"kind": "multilabel", "columns": ["u", "v", "w"]},
                **{"labels": ["u", "v", "w"], "stored": "integer"},
            },
            [0.8 * 0.5 + 0.1, 0.8 * 0.8808 + 0.1, 0.1],
        ),
    ],
)
def test_a_floor_mixes_probabilities_with_equal_ones(stored, loss, output, target, expected):
    resolved = RESOLVED.replace("mean_squared_error", loss)
    resolved = resolved.replace("scaling: standard", "probability_floor: 0.2")
    resolved = resolved.replace("units: 1, activation: linear", output)
    weights = dict(WEIGHTS)
    if "units: 3" in output:
        kernel = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        weights |= {"output/kernel": kernel, "output/bias": [0.0, 0.0, -30.0]}
    predictor = stored(resolved, with_target(target), weights).predictor
    predictions = predictor.predict(rows(x=[1.0], colour=["red"]), ValueProblems())
    assert predictions.scores.tolist() == [pytest.approx(expected, abs=1e-4)]


def test_a_floor_that_is_not_a_number_yet_is_refused(stored):
    resolved = RESOLVED.replace("scaling: standard", "probability_floor: auto")
    assert refusal(stored, resolved=resolved) == "RUN: its resolved.yaml is not complete"


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_one_output_of_a_hinge_loss_is_a_margin(stored, loss):
    assert class_columns(stored, loss, "units: 1, activation: linear") == ["margin"]


def test_two_outputs_of_a_hinge_loss_are_probabilities(stored):
    weights = {**WEIGHTS, "output/kernel": np.eye(2), "output/bias": [0.0, 0.0]}
    columns = class_columns(stored, "categorical_hinge", "units: 2, activation: softmax", weights)
    assert columns == ["probability_a", "probability_b"]


def test_misshapen_weights_are_refused(stored):
    message = refusal(stored, weights={**WEIGHTS, "output/bias": [0.5, 0.5]})
    assert "weights.npz: " in message
    assert "array 'output/bias' has the shape (2,), expected (1,)" in message


def test_missing_weights_are_refused(stored):
    weights = {name: array for name, array in WEIGHTS.items() if name != "output/bias"}
    assert "lacks array 'output/bias'" in refusal(stored, weights=weights)


def test_an_encoding_of_another_width_is_refused(stored):
    encoding = {**ENCODING, "features": ENCODING["features"][:1]}
    message = refusal(stored, encoding=encoding)
    assert "array 'hidden_1/kernel' has the shape (2, 2), expected (1, 2)" in message


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ({**TWO_CLASSES, "kind": "multiclass", "classes": ["a", "b", "c"]}, "3 classes"),
        (
            {
                "kind": "regression",
                "columns": ["u", "v"],
                "scalings": [{"name": "none"}, {"name": "none"}],
            },
            "2 numbers",
        ),
        (
            {
                "kind": "multilabel",
                "columns": ["u", "v"],
                "labels": ["u", "v"],
                "stored": "integer",
            },
            "2 labels",
        ),
    ],
)
def test_a_target_of_another_width_is_refused(stored, target, what):
    assert refusal(stored, encoding=with_target(target)) == (
        f"RUN: its files do not match: output.units is 1, but the target of encoding.json is {what}"
    )


def test_a_damaged_encoding_is_refused_with_the_place(stored):
    scaling = {"name": "standard", "offset": 1.0, "scale": -2.0}
    feature = {**ENCODING["features"][0], "scaling": scaling}
    message = refusal(stored, encoding={**ENCODING, "features": [feature]})
    assert message == (
        snapshot(
            "RUN/encoding.json: is malformed at 'features.0.number.scaling.standard.scale': Input "
            "should be greater than 0; restore the run from a copy or train it again"
        )
    )


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_what_is_no_encoding_is_refused(stored, text):
    assert refusal(stored, encoding=text).startswith("RUN/encoding.json: is malformed")


@pytest.mark.parametrize(
    "line", ["loss: mean_squared_error\n", "units: 1, ", "activation: linear, "]
)
def test_a_config_that_is_not_resolved_is_refused(stored, line):
    message = refusal(stored, resolved=RESOLVED.replace(line, "", 1))
    assert message == snapshot("RUN: its resolved.yaml is not complete")


@pytest.mark.parametrize(
    ("resolved", "what"),
    [
        (RESOLVED.replace("epochs: 1", "epochs: 0"), "epochs: expected a positive integer, got 0"),
        (RESOLVED + "engine: warp\n", "engine: "),
        ("epochs: [", ""),
    ],
)
def test_a_config_that_cant_be_carried_out_is_refused(stored, resolved, what):
    message = refusal(stored, resolved=resolved)
    assert message.startswith(f"RUN: its resolved.yaml can't be read: {what}")
