"""Curves of training."""

from __future__ import annotations

import math

from dlcli.reports.curves import curve_charts, rate_chart

HISTORY = {
    "loss": [4.0, 2.0, 1.0],
    "accuracy": [0.5, 0.75, 1.0],
    "val_loss": [5.0, 3.0, 3.5],
    "learning_rate": [0.1, 0.1, 0.1],
}


def test_loss_and_each_metric_have_a_chart_with_both_sets():
    loss, accuracy = curve_charts(HISTORY, best_epoch=2)
    assert (loss.title, accuracy.title) == ("Loss", "Accuracy")
    assert loss.spec["datasets"]["rows"] == [
        {"e": 1, "v": 4.0, "s": "training"},
        {"e": 2, "v": 2.0, "s": "training"},
        {"e": 3, "v": 1.0, "s": "training"},
        {"e": 1, "v": 5.0, "s": "validation"},
        {"e": 2, "v": 3.0, "s": "validation"},
        {"e": 3, "v": 3.5, "s": "validation"},
    ]
    assert loss.legend == (("training", "train"), ("validation", "validation"))
    assert accuracy.legend == ()


def test_the_best_epoch_is_marked_and_told():
    loss, _ = curve_charts(HISTORY, best_epoch=2)
    assert loss.spec["datasets"]["best"] == [{"e": 2}]
    assert loss.shows == (
        "Over 3 epochs, loss: training from 4 to 1, 2 at the best; validation from 5 to 3.5, 3 at "
        "the best. The best epoch is 2."
    )


def test_a_best_epoch_that_was_never_trained_does_not_stretch_the_chart():
    loss, _ = curve_charts(HISTORY, best_epoch=10**9)
    assert "best" not in loss.spec["datasets"]


def test_what_is_no_number_is_left_out():
    [loss] = curve_charts({"loss": [1.0, math.nan, math.inf]}, None)
    assert loss.spec["datasets"]["rows"] == [{"e": 1, "v": 1.0, "s": "training"}]


def test_a_long_training_has_few_points_and_keeps_its_peak():
    values = [1.0] * 100_000
    values[54_321] = 7.0
    [loss] = curve_charts({"loss": values}, None)
    rows = loss.spec["datasets"]["rows"]
    assert len(rows) <= 600
    assert {"e": 54_322, "v": 7.0, "s": "training"} in rows


def test_a_logarithmic_scale_is_offered_where_values_span_decades():
    wide, narrow, zero = (
        curve_charts({"loss": values}, None)[0] for values in ([100.0, 1], [99.0, 1], [100.0, 0])
    )
    assert (wide.offers_log, narrow.offers_log, zero.offers_log) == (True, False, False)


def test_a_constant_learning_rate_has_no_chart():
    assert rate_chart(HISTORY) is None
    assert rate_chart({"learning_rate": [0.1, 0.01]}) is not None


def test_a_history_without_epochs_has_no_charts():
    assert curve_charts({"loss": []}, None) == []
