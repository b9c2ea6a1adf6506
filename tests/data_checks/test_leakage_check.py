"""Columns that give the target away."""

from __future__ import annotations

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.columns.column_type import Decision
from dlcli.columns.number import Numeric
from dlcli.config.data_section import Target
from dlcli.data_checks import target_checks
from dlcli.data_checks.inspection import inspect_table
from dlcli.data_checks.sample import draw_sample
from dlcli.data_checks.target_checks import _binned, explain_by_columns, find_leakage
from dlcli.tasks.inference import infer_task

ROWS = 1000
NOISE = np.random.default_rng(3).normal(size=(4, ROWS))
"""Numbers that have nothing to do with each other."""
CLASSES = np.where(NOISE[0] > 0, "yes", "no")


def leaks(found):
    return found.columns if found else ()


def leakage_of(rows):
    return find_leakage(explain_by_columns(rows), rows.task)


def test_a_category_that_is_the_class_by_another_name_is_found(sample):
    closed = np.where(CLASSES == "yes", "closed", "open")
    found = leakage_of(sample({"x": NOISE[1], "status": closed, "y": CLASSES}, "y"))
    assert found is not None
    assert found.message == snapshot(
        "one column alone predicts nearly all of the target: 'status' (100 % less "
        "error than a constant prediction)"
    )
    assert found.severity == "warning"


def test_several_columns_are_named_as_several():
    found = find_leakage({"x": 0, "copy": 1.0, "echo": 1.0}, None)
    assert found is not None
    assert found.message.startswith("each of several columns alone predicts nearly all")
    assert "check that their values are known" in found.advice


def test_identifiers_are_left_to_their_own_check():
    assert leaks(find_leakage({"x": 0, "n": 1.0, "copy": 1.0}, None, {"n": "a row index"})) == (
        "copy",
    )


def test_a_number_that_separates_the_classes_is_found(sample):
    score = np.where(CLASSES == "yes", 10.0, 0.0) + NOISE[2]
    assert leaks(leakage_of(sample({"x": NOISE[1], "score": score, "y": CLASSES}, "y"))) == (
        "score",
    )


def test_a_number_below_a_limit_that_makes_the_class_is_found(sample):
    weight = np.random.default_rng(5).normal(3000, 700, 200).round()
    columns = {"x": NOISE[1][:200], "weight": weight, "y": np.where(weight < 2500, "low", "normal")}
    rows = sample(columns, "y")
    assert 0.97 <= explain_by_columns(rows)["weight"] < 0.99  # rows next to the limit are wrong
    assert leaks(leakage_of(rows)) == ("weight",)


def test_a_missing_value_that_gives_away_the_class_is_found(sample):
    days = [x if name == "yes" else None for x, name in zip(NOISE[2], CLASSES, strict=True)]
    assert leaks(leakage_of(sample({"x": NOISE[1], "days": days, "y": CLASSES}, "y"))) == ("days",)


@pytest.mark.parametrize("curve", [lambda y: 3 * y - 5, np.exp, lambda y: y.round(1)])
def test_a_number_that_the_target_follows_from_is_found(curve, sample):
    columns = {"x": NOISE[1], "copy": curve(NOISE[0]), "y": NOISE[0]}
    assert leaks(leakage_of(sample(columns, "y"))) == ("copy",)


def test_a_category_with_one_target_each_is_found(sample):
    place = np.arange(ROWS) % 4
    columns = {"x": NOISE[1], "town": [f"t{at}" for at in place], "y": place * 1.5}
    assert leaks(leakage_of(sample(columns, "y"))) == ("town",)


def test_a_name_that_no_other_row_has_is_none(sample):
    names = [f"n{at}" for at in range(ROWS)]
    columns = {"x": NOISE[1], "name": names, "y": CLASSES}
    assert leakage_of(sample(columns, "y", name="categorical")) is None


def test_a_row_number_in_no_order_is_none(sample):
    columns = {"x": NOISE[1], "id": np.random.default_rng(0).permutation(ROWS), "y": CLASSES}
    assert leakage_of(sample(columns, "y", id="numeric")) is None


def test_a_good_predictor_that_errs_in_five_of_a_hundred_rows_is_none(sample):
    answer = CLASSES.copy()
    answer[::20] = "no"
    assert leakage_of(sample({"x": NOISE[1], "answer": answer, "y": CLASSES}, "y")) is None


def test_a_column_that_holds_for_nine_tenths_of_a_number_is_none(sample):
    columns = {"x": NOISE[1], "near": NOISE[0] + NOISE[2] / 3, "y": NOISE[0]}
    assert leakage_of(sample(columns, "y")) is None


def test_a_single_feature_is_not_suspected(sample):
    assert leakage_of(sample({"x": NOISE[0], "y": 2 * NOISE[0]}, "y")) is None


@pytest.mark.parametrize(("rows", "expected"), [(19, ()), (20, ("copy",))])
def test_nothing_is_reported_below_twenty_rows(rows, expected, sample):
    y = NOISE[0][:rows]
    assert leaks(leakage_of(sample({"x": NOISE[1][:rows], "copy": y, "y": y}, "y"))) == expected


def test_an_ignored_column_is_not_suspected(sample):
    columns = {"x": NOISE[1], "z": NOISE[2], "copy": NOISE[0], "y": NOISE[0]}
    assert leakage_of(sample(columns, "y", copy="ignored")) is None


def test_each_of_several_targets_is_looked_at(sample):
    columns = {"x": NOISE[1], "copy": NOISE[3], "y": NOISE[0], "z": NOISE[3]}
    assert leaks(leakage_of(sample(columns, ("y", "z"), x="numeric", copy="numeric"))) == ("copy",)


def test_the_largest_share_among_targets_counts(sample):
    columns = {"x": NOISE[0] + NOISE[1], "y": NOISE[0], "z": NOISE[2], "w": NOISE[0] - NOISE[1]}
    each = [explain_by_columns(sample(columns, (name,), x="numeric"))["x"] for name in "yzw"]
    together = explain_by_columns(sample(columns, tuple("yzw"), x="numeric"))["x"]
    assert together == pytest.approx(max(each))


def test_the_bins_of_a_number_are_the_same_for_all_targets(sample, monkeypatch):
    binned = []
    monkeypatch.setattr(
        target_checks, "_binned", lambda *given: binned.append(given) or _binned(*given)
    )
    columns = {"x": NOISE[1], "y": NOISE[0], "z": NOISE[2], "w": NOISE[3]}
    explain_by_columns(sample(columns, ("y", "z", "w"), x="numeric"))
    assert len(binned) == 2  # learned from each half of the rows


def test_infinite_sums_of_squares_raise_no_error(sample):
    x = np.where(NOISE[1] > 0, 1e308, -1e308)
    assert leakage_of(sample({"x": x, "z": NOISE[2], "y": 1e308 * np.sign(NOISE[0])}, "y")) is None


def test_rows_without_a_label_are_a_class_of_their_own(table):
    labels = np.where(NOISE[0] > 0, "a|b", None)
    rows = table({"x": NOISE[1], "answer": NOISE[0], "y": labels})
    target = Target(column="y", type="multi_label", delimiter="|")
    kind = infer_task(target, [rows])
    decisions = {name: Decision(Numeric(), "declared") for name in ("x", "answer")}
    assert leaks(leakage_of(draw_sample(rows, decisions, kind))) == ("answer",)


def test_a_date_that_is_only_filled_for_one_class_is_found(sample):
    """Each date is in one half of the rows only, so no value predicts a class of the other half."""
    days = np.datetime64("2022-01-01") + np.arange(ROWS)
    ended = [str(day) if at % 20 == 0 else None for at, day in enumerate(days)]
    churn = np.where(np.arange(ROWS) % 20 == 0, "yes", "no")
    assert leaks(leakage_of(sample({"x": NOISE[1], "ended": ended, "churn": churn}, "churn"))) == (
        "ended",
    )


def test_a_missing_value_that_gives_away_a_number_is_found(sample):
    notes = [f"note {at}" if at % 2 else None for at in range(ROWS)]
    y = np.arange(ROWS) % 2 * 100 + NOISE[0]
    columns = {"x": NOISE[1], "notes": notes, "y": y}
    assert leaks(leakage_of(sample(columns, "y", notes="categorical"))) == ("notes",)


def test_copies_of_rows_are_not_leakage(table):
    rng = np.random.default_rng(0)
    x = np.tile(rng.normal(size=(20, 4)), (15, 1))
    y = x[:, 0] + x[:, 1] ** 2 + np.tile(rng.normal(size=20), 15)
    columns = {f"x{at}": x[:, at].tolist() for at in range(4)}
    checks = [each.check for each in inspect_table(table({**columns, "y": y.tolist()}), "y").issues]
    assert "target_leakage" not in checks
    assert checks[0] == "duplicates"


@pytest.mark.parametrize(
    ("total", "formula"),
    [
        (lambda fare, tip, tolls: fare + tip + tolls, "'tip' = 'total' − 'fare' − 'tolls'"),
        (lambda fare, tip, tolls: 2 * tip - fare + 3, "'tip' = 0.5 × 'fare' + 0.5 × 'total' − 1.5"),
        (lambda fare, tip, tolls: fare + tip + tolls + NOISE[0, :300], None),
    ],
    ids=["sum", "with factors", "noise"],
)
def test_a_target_that_is_a_sum_of_columns_is_leakage(table, total, formula):
    rng = np.random.default_rng(1)
    fare, tip = rng.gamma(2, 8, 300).round(2), rng.gamma(1, 3, 300).round(2)
    tolls, other = np.where(rng.random(300) < 0.1, 6.5, 0), rng.normal(size=300)
    columns = {"fare": fare, "other": other, "tolls": tolls, "total": total(fare, tip, tolls)}
    rows = table({name: each.tolist() for name, each in {**columns, "tip": tip}.items()})
    found = {each.check: each for each in inspect_table(rows, "tip").issues}
    message = found["linear_relation"].message if "linear_relation" in found else None
    assert message == (formula and f"the target is a sum of columns: {formula}")
