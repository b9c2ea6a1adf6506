"""Intervals and sets of classes: the quantiles of the literature, worked out in other ways."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from dlcli.config.config_schema import Output
from dlcli.config.training_choices import Hinge, QuantileLoss
from dlcli.errors import RunError, UsageError
from dlcli.prediction import conformal
from dlcli.prediction.conformal import Conformal
from dlcli.prediction.predictions import Predictions
from dlcli.safe_files import parse_document
from dlcli.tasks.classification import Binary, Multiclass
from dlcli.tasks.regression import Counts, Regression

NUMBER = Regression(columns=("y",))
PETS = Multiclass(columns=("pet",), classes=("cat", "dog", "emu"))


def output(activation="linear", scaling="none"):
    return Output.model_validate({"units": 1, "activation": activation, "scaling": scaling})


def column(*values):
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def fit(task, *folds, section=None):
    """Fit on folds of outputs and encoded true values."""
    each = [(Predictions(task, outputs), values) for outputs, values in folds]
    return Conformal.fit(each, section or output())


def split(task, outputs, values, **options):
    """Fit on validation rows, which are one fold."""
    return fit(task, (outputs, values), **options)


def ends(fitted, task, level, *folds):
    each = [Predictions(task, outputs) for outputs in folds]
    regions = fitted.regions(each[0], each, level)
    return regions.array[:, :, 0], regions.array[:, :, 1]


@pytest.mark.parametrize(
    ("level", "half"),
    [(0.9, 9), (0.89, 9), (0.8, 8), (0.5, 5), (0.01, 1)],
)
def test_of_nine_errors_the_one_at_the_rank_of_ten_times_the_level_decides(level, half):
    errors = split(NUMBER, column(*[0] * 9), column(1, -2, 3, -4, 5, -6, 7, -8, 9))
    lower, upper = ends(errors, NUMBER, level, column(100))
    assert lower == pytest.approx(100 - half, rel=1e-5)
    assert upper == pytest.approx(100 + half, rel=1e-5)


def test_a_level_is_the_decimal_that_was_written():
    errors = split(NUMBER, column(*[0] * 99), column(*range(1, 100)))
    assert 100 * 0.07 > 7  # in floats, which would make it the eighth
    assert ends(errors, NUMBER, 0.07, column(0))[1] == pytest.approx(7, rel=1e-5)


def cv_plus(folds, new, level):
    """Barber et al. 2021, section 3, by its definition with quantiles of all n candidates."""
    lowers, uppers = [], []
    for (outputs, values), center in zip(folds, new, strict=True):
        for predicted, true in zip(outputs[:, 0], values[:, 0], strict=True):
            lowers.append(center - abs(true - predicted))
            uppers.append(center + abs(true - predicted))
    n = len(lowers)
    at = math.floor((1 - level) * (n + 1) + 1e-9)
    return sorted(lowers)[at - 1], sorted(uppers)[math.ceil(level * (n + 1) - 1e-9) - 1]


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_folds_give_the_intervals_of_cv_plus(level):
    rng = np.random.default_rng(0)
    folds = [(rng.normal(size=(n, 1)), rng.normal(size=(n, 1))) for n in (13, 12, 9)]
    new = [rng.normal(size=(20, 1)) for _ in folds]
    lower, upper = ends(fit(NUMBER, *folds), NUMBER, level, *new)
    for row in range(20):
        expected = cv_plus(folds, [each[row, 0] for each in new], level)
        assert (lower[row, 0], upper[row, 0]) == pytest.approx(expected, abs=1e-5)


def test_intervals_of_fewer_stored_scores_are_slightly_wider(monkeypatch):
    rng = np.random.default_rng(1)
    folds = [(rng.normal(size=(n, 1)), rng.normal(size=(n, 1))) for n in (401, 400, 399)]
    new = [rng.normal(size=(300, 1)) for _ in folds]
    exact = ends(fit(NUMBER, *folds), NUMBER, 0.9, *new)
    monkeypatch.setattr(conformal, "MOST_SCORES", 150)
    thinned = fit(NUMBER, *folds)
    assert thinned.stride == 8
    assert [len(scores) for scores in thinned.scores[0]] == [51, 50, 50]
    lower, upper = ends(thinned, NUMBER, 0.9, *new)
    assert (lower <= exact[0]).all()
    assert (upper >= exact[1]).all()
    more = ends(fit(NUMBER, *folds), NUMBER, 0.9 + 4 * 8 / 1200, *new)
    assert (upper <= more[1]).all()


def test_nine_of_ten_new_rows_are_covered():
    """Lines, each fitted to the rows of the other folds, over many samples of 40 rows."""
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(200):
        x, noise = rng.normal(size=540), rng.standard_t(3, size=540)
        y = 2 * x + noise
        fold = np.arange(40) % 5
        lines = [np.polyfit(x[:40][fold != k], y[:40][fold != k], 1) for k in range(5)]
        held_out = [
            (np.polyval(line, x[:40][fold == k])[:, None], y[:40][fold == k][:, None])
            for k, line in enumerate(lines)
        ]
        new = [np.polyval(line, x[40:])[:, None] for line in lines]
        lower, upper = ends(fit(NUMBER, *held_out), NUMBER, 0.9, *new)
        shares.append(np.mean((lower[:, 0] <= y[40:]) & (y[40:] <= upper[:, 0])))
    assert 0.89 < np.mean(shares) < 0.93  # the standard error is 0.004


def test_each_column_has_intervals_in_its_own_unit():
    scaled = {"name": "standard", "offset": 10.0, "scale": 2.0}
    task = Regression.model_validate(
        {"columns": ("u", "v"), "scalings": (scaled, {"name": "none"})}
    )
    values = np.tile(np.arange(1.0, 10)[:, np.newaxis], 2)
    errors = split(task, np.zeros((9, 2)), values, section=output(scaling="standard"))
    predictions = Predictions(task, np.array([[0.0, 5.0]]))
    regions = errors.regions(predictions, [predictions], 0.9)
    columns = {name: each.to_pylist() for name, each in regions.columns().items()}
    assert list(columns) == ["lower_u", "lower_v", "upper_u", "upper_v"]
    assert columns["upper_u"] == pytest.approx([10 + 2 * 9], rel=1e-5)
    assert columns["lower_v"] == pytest.approx([5 - 9], rel=1e-5)
    assert regions.summary(np.array([[28.1, 5.0]])) == {
        "by_column": {
            "u": {"coverage": 0.0, "mean_width": pytest.approx(36, rel=1e-5)},
            "v": {"coverage": 1.0, "mean_width": pytest.approx(18, rel=1e-5)},
        }
    }


def test_intervals_under_a_logarithmic_scaling_grow_with_the_prediction():
    task = Regression.model_validate({"columns": ("y",), "scalings": ({"name": "log1p"},)})
    errors = split(task, column(*[3] * 9), column(*[4] * 9), section=output(scaling="log1p"))
    lower, upper = ends(errors, task, 0.9, column(math.log(8), math.log(1.5)))
    assert upper[:, 0] == pytest.approx([8 * math.e - 1, 1.5 * math.e - 1], rel=1e-4)
    assert lower[:, 0] == pytest.approx([8 / math.e - 1, 0], rel=1e-4)  # not 1.5 / e - 1


@pytest.mark.parametrize(
    ("task", "section", "bounds"),
    [
        (NUMBER, output("sigmoid"), (0, 1)),
        (NUMBER, output("relu"), (0, 6)),
        (NUMBER, output("linear"), (-5, 6)),
        (Counts(columns=("y",)), output("linear"), (0, 6)),
    ],
)
def test_intervals_end_where_no_number_can_be(task, section, bounds):
    errors = split(task, column(*[0.5] * 9), column(*[0.25] * 8, 1), section=section)
    errors = errors.model_copy(update={"scores": ((tuple([5.5] * 9),),)})
    lower, upper = ends(errors, task, 0.9, column(0.5))
    assert (lower.item(), upper.item()) == pytest.approx(bounds)


def test_a_true_value_that_the_output_can_not_reach_is_not_cut_off():
    errors = split(NUMBER, column(*[0] * 9), column(*[-3] * 9), section=output("relu"))
    assert ends(errors, NUMBER, 0.9, column(1))[0] == pytest.approx(-2, abs=1e-4)


def test_equal_values_are_within_despite_rounding():
    scaled = Regression.model_validate(
        {"columns": ("y",), "scalings": ({"name": "standard", "offset": 0.1, "scale": 0.3},)}
    )
    true = np.float32([[(7 - 0.1) / 0.3]] * 20)
    guess = np.float32([[(3 - 0.1) / 0.3]])
    errors = split(scaled, np.repeat(guess, 20, axis=0), true)
    assert ends(errors, scaled, 0.9, guess)[1] >= 7


def class_sets(folds, new, level):
    """Romano et al. 2020, algorithm 2, with the score 1 - p: the classes of each new row."""
    rows = []
    for row in range(len(new[0])):
        chosen = []
        for label in range(3):
            lower = 0
            for (outputs, values), each in zip(folds, new, strict=True):
                for held_out, true in zip(outputs, values, strict=True):
                    lower += bool(held_out[true] > each[row][label] + 1e-6)
            if lower < level * (sum(len(values) for _, values in folds) + 1):
                chosen.append(label)
        rows.append(chosen)
    return rows


def probabilities(rng, rows):
    weights = rng.gamma(0.5, size=(rows, 3))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("level", [0.6, 0.9])
def test_sets_have_the_classes_that_few_held_out_rows_speak_against(level):
    rng = np.random.default_rng(3)
    folds = [(probabilities(rng, n), rng.integers(0, 3, n)) for n in (11, 10, 8)]
    new = [probabilities(rng, 15) for _ in folds]
    each = [Predictions(PETS, outputs) for outputs in new]
    all_networks = Predictions(PETS, np.mean(new, axis=0))
    regions = fit(PETS, *folds).regions(all_networks, each, level)
    found = [np.flatnonzero(row).tolist() for row in regions.array]
    predicted = np.mean(new, axis=0).argmax(axis=1).tolist()
    expected = class_sets(folds, new, level)
    assert found == [sorted({*row, at}) for row, at in zip(expected, predicted, strict=True)]
    names = [[PETS.classes[at] for at in row] for row in found]
    assert regions.columns()["prediction_set"].to_pylist() == names
    truth = np.zeros(15, np.int64)
    assert regions.summary(truth) == {
        "coverage": np.mean([0 in row for row in found]),
        "mean_size": np.mean([len(row) for row in found]),
    }


def test_sets_of_margins_compare_the_side_and_the_distance():
    task = Binary(columns=("y",), classes=("no", "yes")).for_loss(Hinge())
    margins, truth = column(*[2, 2, 2, 2, -2, -2, -2, 0.5, -0.5]), np.array([1] * 4 + [0] * 5)
    fitted = split(task, margins, truth)  # the score at rank 9 is 0.5
    new = Predictions(task, column(3, 0.4, -0.4, -3))
    assert fitted.regions(new, [new], 0.9).array.tolist() == [
        [False, True],
        [True, True],
        [True, True],
        [True, False],
    ]


def test_no_set_is_empty_as_each_has_the_predicted_class():
    outputs, truth = np.tile([0.9, 0.06, 0.04], (9, 1)), np.zeros(9, np.int64)
    new = Predictions(PETS, np.array([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4]]))
    regions = split(PETS, outputs, truth).regions(new, [new], 0.9)  # 1 - p may be at most 0.1
    assert regions.columns()["prediction_set"].to_pylist() == [["cat"], ["dog"]]


def test_without_rows_there_is_no_coverage_and_no_size():
    numbers = split(NUMBER, column(*[0] * 9), column(*[1] * 9))
    none = Predictions(NUMBER, np.empty((0, 1)))
    summary = numbers.regions(none, [none], 0.9).summary(np.empty((0, 1)))
    assert summary == {"coverage": None, "mean_width": None}
    classes = split(PETS, np.full((9, 3), 1 / 3), np.zeros(9, np.int64))
    none = Predictions(PETS, np.empty((0, 3)))
    regions = classes.regions(none, [none], 0.9)
    assert regions.summary(np.empty(0, np.int64)) == {"coverage": None, "mean_size": None}
    assert regions.columns()["prediction_set"].to_pylist() == []


def test_test_rows_of_weight_0_and_without_a_finite_interval_are_left_out():
    errors = split(NUMBER, column(*[0] * 9), column(*[1] * 9))
    outputs = column(0, 10, 20, 30, 40, math.inf, 50)
    new = Predictions(NUMBER, outputs)
    new = replace(new, regions=errors.regions(new, [new], 0.9))
    weights = np.array([1, 1, 1, 1, 1, 1, 0])
    [ranges] = errors.with_test(new, column(0, 0, 20, 31, 39, 0, 0), weights).test
    assert [(each.lowest, each.rows, each.coverage) for each in ranges] == [
        (0, 1, 1),
        (10, 1, 0),
        (20, 1, 1),
        (30, 1, 1),
        (40, 1, 1),
    ]
    assert errors.with_test(new, outputs, 0 * weights).test == ()


@pytest.mark.parametrize(
    ("rows", "level", "highest"), [(9, 0.91, 0.9), (8, 0.9, 0.888), (19, 0.99, 0.95)]
)
def test_too_few_held_out_rows_for_a_level_are_refused(rows, level, highest):
    fitted = split(NUMBER, column(*[0] * rows), column(*range(rows)))
    with pytest.raises(UsageError, match=rf"too few held-out rows, {rows}; .* is {highest}$"):
        fitted.require(level)
    fitted.require(highest)


def test_few_held_out_rows_leave_the_coverage_uncertain():
    few = split(NUMBER, column(*[0] * 17), column(*range(17)))
    # The largest of 17 errors decides, and exceeds a share q of all with probability q^17.
    low, high = (100 * tail ** (1 / 17) for tail in (0.05, 0.95))
    assert few.uncertainty(0.9) == (
        "the level 0.9 is calibrated on only 17 held-out rows; for similar rows, the true "
        f"coverage may be {math.floor(low)} to {math.ceil(high)} %"
    )
    assert split(NUMBER, column(*[0] * 100), column(*range(100))).uncertainty(0.9) == ""


def test_a_coverage_that_chance_does_not_explain_is_remarked():
    many = split(NUMBER, column(*[0] * 200), column(*range(200)))
    assert [many.shortfall(0.9, share, 100) for share in (1.0, 0.9, 0.82)] == ["", "", ""]
    assert many.shortfall(0.9, 0.5, 100) == (
        "only 50 of 100 true values are in their interval or set, fewer than expected at "
        "level 0.9: these rows may differ from the rows used for calibration, for example because "
        "they are newer; if rows are split at random, the reason is chance, or that the rows used "
        "for calibration also chose the epoch"
    )
    assert many.shortfall(0.9, 0.5, 4) == ""
    few = split(NUMBER, column(*[0] * 17), column(*range(17)))
    assert few.shortfall(0.9, 0.82, 100) == ""
    assert few.shortfall(0.95, 0.0, 100) == ""  # which it does not reach


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [[[2.0, 1.0]]]}, "scores are not in ascending order"),
        ({"scores": [[[1.0, 2.0, 3.0]]]}, "number of scores does not match"),
        ({"rows": [0]}, "greater than or equal to 1"),
        ({"stride": 0}, "greater than or equal to 1"),
        ({"scores": [[["1"]]]}, "valid number"),
        ({"more": 1}, "not permitted"),
    ],
)
def test_a_document_that_no_training_writes_is_refused(change, message):
    fields = {"format": 1, "rows": [2], "stride": 1, "scores": [[[1.0, 2.0]]], **change}
    with pytest.raises(RunError, match=message):
        parse_document(Conformal, json.dumps(fields), "conformal.json:")


QUANTILES = NUMBER.for_loss(QuantileLoss(levels=(0.2, 0.8)))


def cqr(folds, new, level):
    """Romano et al. 2019, by its definition, with all candidates of CV+ if there are folds."""
    lowers, uppers = [], []
    for (outputs, values), (low, high) in zip(folds, new, strict=True):
        for (first, second), true in zip(np.sort(outputs), values[:, 0], strict=True):
            score = max(first - true, true - second)
            lowers.append(low - score)
            uppers.append(high + score)
    rank = math.ceil(level * (len(lowers) + 1) - 1e-9)
    return sorted(lowers)[-rank], sorted(uppers)[rank - 1]


@pytest.mark.parametrize("sizes", [(40,), (13, 12, 9)], ids=["validation rows", "folds"])
@pytest.mark.parametrize("level", [0.6, 0.9])
def test_quantiles_are_corrected_by_conformalized_quantile_regression(level, sizes):
    rng = np.random.default_rng(4)
    folds = [(rng.normal(0, 0.5, (n, 2)) + [0.5, -0.5], rng.normal(size=(n, 1))) for n in sizes]
    new = [rng.normal(size=(20, 2)) for _ in folds]
    lower, upper = ends(fit(QUANTILES, *folds), QUANTILES, level, *new)
    for row in range(20):
        expected = cqr(folds, [sorted(each[row]) for each in new], level)
        assert (lower[row, 0], upper[row, 0]) == pytest.approx(sorted(expected), abs=1e-5)


def test_quantiles_that_cover_too_much_are_narrowed():
    values, wide = column(*range(-10, 11)), np.tile([[-30.0, 30.0]], (21, 1))
    lower, upper = ends(split(QUANTILES, wide, values), QUANTILES, 0.5, wide[:1])
    assert -12 < lower[0, 0] < -4
    assert 4 < upper[0, 0] < 12


def test_narrow_quantiles_do_not_change_places():
    values, wide = column(*range(-10, 11)), np.tile([[-30.0, 30.0]], (21, 1))
    fitted = split(QUANTILES, wide, values)
    lower, upper = ends(fitted, QUANTILES, 0.5, np.array([[0.0, 1.0]]))
    assert lower < upper
