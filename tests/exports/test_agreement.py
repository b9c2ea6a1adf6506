"""The rows that an exported model is checked on, and the scale by which it is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.exports.agreement import compare, synthetic_rows
from tests.exports.untrained_runs import make_run


@pytest.mark.parametrize("computed", [-np.inf, np.inf, np.nan])
def test_a_number_beyond_32_bits_may_overflow(computed: float) -> None:
    expected = {"prediction": np.array([-7.5e41, 2.0])}
    computed_by_model = {"prediction": np.array([computed, 2.0], np.float32)}
    agreement = compare(expected, computed_by_model, of_numbers=True)
    assert (agreement.failures, agreement.absolute_difference) == ((), {"prediction": 0.0})


@pytest.mark.parametrize("computed", [3e38, 1.0, 0.0])
def test_a_number_beyond_32_bits_is_not_a_finite_one(computed: float) -> None:
    expected = {"prediction": np.array([-7.5e41, 2.0])}
    computed_by_model = {"prediction": np.array([computed, 2.0], np.float32)}
    found = compare(expected, computed_by_model, of_numbers=True)
    assert len(found.failures) == 1


def test_a_number_whose_sums_are_within_32_bits_may_not_overflow() -> None:
    expected, computed = {"prediction": np.array([1e30])}, {"prediction": np.array([np.inf])}
    found = compare(expected, computed, of_numbers=True)
    assert len(found.failures) == 1


def test_extreme_rows_are_compared_by_the_largest_and_others_by_their_own_scale() -> None:
    ordinary, extreme = np.full(58, 300.0), np.full(6, 1e38)
    expected = {"prediction": np.concatenate([extreme, ordinary])}
    near = {"prediction": np.concatenate([extreme * (1 - 5e-3), ordinary])}
    assert compare(expected, near, of_numbers=True).failures == ()
    far = {"prediction": np.concatenate([extreme * (1 - 5e-2), ordinary])}
    assert len(compare(expected, far, of_numbers=True).failures) == 1
    cancelled = {"prediction": np.concatenate([[2e35, *extreme[1:]], ordinary])}
    computed = {"prediction": np.concatenate([[2.0001e35, *extreme[1:]], ordinary])}
    assert compare(cancelled, computed, of_numbers=True).failures == ()
    other = {"prediction": np.concatenate([extreme, [300.01], ordinary[1:]])}
    assert len(compare(expected, other, of_numbers=True).failures) == 1


def test_rows_of_many_columns_have_few_predictions_beyond_the_others(tmp_path: Path) -> None:
    names = [f"x{at}" for at in range(10)]
    rows = [
        ",".join(f"{value:.3f}" for value in row)
        for row in np.random.default_rng(3).normal(0, 1, (40, 11))
    ]
    (tmp_path / "wide.csv").write_text("\n".join([",".join([*names, "y"]), *rows]))
    config = tmp_path / "wide.yaml"
    config.write_text("data: {train: wide.csv, target: y}\nhidden: [{units: 4}]\nepochs: 1\n")
    predictor = make_run(config, tmp_path / "run").predictor

    table = synthetic_rows(predictor, tmp_path)

    sizes = np.abs(predictor.predict(table, ValueProblems(lenient=True)).decoded)
    assert np.quantile(sizes, 0.9) < 1e6
    assert sizes.max() > 1e30


def test_columns_of_numbers_are_compared_each_by_its_own_scale() -> None:
    numbers = np.tile([20.0, 150_000.0], (30, 1))  # degrees, and turns a minute
    expected = {"output": numbers}
    assert compare(expected, {"output": numbers * (1 + 1e-6)}, of_numbers=True).failures == ()
    warmer = compare(expected, {"output": numbers + [0.5, 0.0]}, of_numbers=True)
    assert warmer.failures == ("output: differs by up to 0.5, 2.5e-02 of its scale",)


def test_probabilities_of_a_rare_class_are_compared_by_the_scale_of_all() -> None:
    expected = {"probabilities": np.tile([1 - 1e-9, 1e-9], (30, 1))}
    other = {"probabilities": expected["probabilities"] + [-1e-7, 1e-7]}
    assert compare(expected, other, of_numbers=False).failures == ()


def test_probabilities_of_many_classes_are_compared_by_those_of_the_predicted_ones() -> None:
    expected = {"probabilities": np.eye(100, dtype=np.float32) * 0.9 + np.float32(0.001)}
    other = {"probabilities": expected["probabilities"] + np.float32(5e-6)}
    assert compare(expected, other, of_numbers=False).failures == ()
    other = {"probabilities": expected["probabilities"] + np.float32(5e-5)}
    assert len(compare(expected, other, of_numbers=False).failures) == 1


def test_all_probabilities_of_a_row_depend_on_each_sum_that_overflows() -> None:
    expected = {"probabilities": np.array([[np.nan, np.nan], [0.7, 0.3]])}
    other = {"probabilities": np.array([[np.nan, 0.0], [0.7, 0.3]])}
    assert compare(expected, other, of_numbers=False).failures == ()
    finite = {"probabilities": np.array([[1.0, 0.0], [0.7, 0.3]])}
    assert len(compare(expected, finite, of_numbers=False).failures) == 1
