"""Sections of the page of a run: each chart and table, worked out by hand."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import vl_convert

from dlcli.explanation.explanation_document import (
    ColumnStatistics,
    Explanation,
    Histogram,
    Importance,
    PartialDependence,
    Point,
    ValueCount,
    WorstRow,
)
from dlcli.prediction.conformal import Conformal, RangeCoverage
from dlcli.reports.errors_section import worst_table
from dlcli.reports.explanation_sections import (
    _interactions,
    column_cards,
    column_table,
    dependence_charts,
    importance_chart,
)
from dlcli.reports.report_parts import PredictedNumbers
from dlcli.reports.result_section import (
    Decile,
    _decile_chart,
    _interval_tables,
    _scatter,
    class_table,
    confusion_block,
    confusion_matrix,
    error_by_decile,
    error_distribution,
    thinned_path,
)
from dlcli.reports.training_report import curve_charts, learning_rate_chart
from dlcli.reports.views import ChartBlock, TableBlock
from tests.reports.views import datasets

DAY = 86_400
LEAP_DAY = 1_709_164_800  # `date -u -d 2024-02-29 +%s`
HISTORY = {
    "loss": [4.0, 2.0, 1.0],
    "accuracy": [0.5, 0.75, 1.0],
    "val_loss": [5.0, 3.0, 3.5],
    "learning_rate": [0.1, 0.1, 0.1],
}
MATRIX = np.array([[8.0, 2.0], [1.0, 9.0]])


def times(**changes):
    """A column of times from the leap day of 2024 on."""
    edges = tuple(float(LEAP_DAY + at * DAY) for at in range(3))
    given = {
        "name": "when",
        "role": "feature",
        "type": "datetime",
        "reason": "dates",
        "missing": 0,
        "distinct": 3,
        "minimum": float(LEAP_DAY),
        "maximum": float(LEAP_DAY + DAY + 5_400),
        "histogram": Histogram(edges=edges, train=(3, 1), held_out=(0, 2)),
    }
    return ColumnStatistics(**{**given, **changes})


def explained(outputs, **fields):
    return Explanation(rows={}, sampled_rows={}, outputs=outputs, **fields)


def drawn_dependence(explanation, dependence, *, of_classes=False):
    found = explanation.model_copy(update={"partial_dependences": (dependence,)})
    [drawn] = dependence_charts(found, of_classes=of_classes)
    return drawn.chart


def axis_formats(chart):
    encoding = chart.spec["layer"][0]["encoding"]
    return [encoding[name].get("axis", {}).get("format") for name in "xy"]


def test_times_have_a_histogram_on_a_calendar():
    [card] = column_cards([times()], 4).columns
    assert card.facts == ("dates", "from 2024-02-29 to 2024-03-01 01:30:00")
    assert card.chart.description == "Distribution of when: from 2024-02-29 to 2024-03-01 01:30:00."
    first, second = datasets(card.chart)["rows"]
    assert (first["l"], second["l"]) == (1_709_164_800_000, 1_709_251_200_000)
    assert (first["f"], first["t"]) == ("2024-02-29", "2024-03-01")
    assert (first["y"], second["h"]) == (0.75, 1)
    x = card.chart.spec["layer"][0]["encoding"]["x"]
    assert (x["type"], x["scale"]) == ("temporal", {"type": "utc"})


def test_times_without_a_date_are_shown_without_one():
    clock = times(
        minimum=0.0,
        maximum=34_200.0,
        histogram=Histogram(edges=(0.0, 34_200.0), train=(3,), held_out=(2,)),
    )
    [card] = column_cards([clock], 4).columns
    assert card.facts == ("dates", "from 00:00:00 to 09:30:00")
    assert datasets(card.chart)["rows"][0]["t"] == "09:30:00"


def test_the_table_of_columns_has_the_first_and_the_last_date():
    assert "2024-02-29 to 2024-03-01 01:30:00" in column_table([times()]).rows[0]


def test_years_have_no_separator_of_thousands():
    given = {"type": "numeric", "reason": "", "mean": 1971.25, "histogram": None}
    [card] = column_cards([times(**given, minimum=1928.0, maximum=2011.0)], 4).columns
    assert card.facts == ("mean 1971, from 1928 to 2011",)
    [card] = column_cards([times(**given, minimum=1928.0, maximum=2211.0)], 4).columns
    assert card.facts == ("mean 1,971, from 1,928 to 2,211",)


def test_predictions_have_two_digits_of_their_uncertainty():
    errors_of_50 = numbers([100.0, 200.0, 300.0, 400.0], [150.26, 149.74, 350.26, 349.74])
    assert _scatter(errors_of_50, seed=0, most=100).description == (
        "4 rows: true values from 100 to 400, predictions from 150 to 350."
    )


def test_years_that_are_predicted_have_no_separator_of_thousands():
    years = numbers([1990.0, 2000.0, 2010.0], [1995.5, 2003.0, 2008.5])
    assert _scatter(years, seed=0, most=100).description == (
        "3 rows: true values from 1990 to 2010, predictions from 1996 to 2008."
    )
    assert _decile_chart(error_by_decile(years)).description == (
        "The MAE is largest, 6, for true values of 1990."
    )
    points = tuple(Point(label=str(x), number=x, predictions=(1995.5 + x,)) for x in (1, 4))
    target = times(name="built", role="target", type="numeric", minimum=1990.0, maximum=2010.0)
    dependence = PartialDependence(column="x", points=points)
    explanation = explained(("built",), columns=(target,))
    chart = drawn_dependence(explanation, dependence)
    assert chart.description == (
        "If only x changes, the mean prediction of built is between 1996 and 2000."
    )
    covered = RangeCoverage(lowest=1991.25, highest=1999.75, rows=5, coverage=1, mean_width=9)
    task, conformal = (
        SimpleNamespace(columns=("built",)),
        Conformal(rows=(1,), stride=1, scores=(((1.0,),),), test=((covered,),)),
    )
    run = SimpleNamespace(task=task, conformal=conformal, explanation=explanation)
    [table] = _interval_tables(run)
    assert table.rows[0][0] == "1991 to 2000"


def test_axes_of_years_have_no_separator_of_thousands():
    years = numbers([1990.0, 2010.0], [1995.5, 2008.5])
    assert axis_formats(_scatter(years, seed=0, most=100)) == [".6~g", ".6~g"]
    assert axis_formats(_scatter(numbers([1990, 2210], [1, 2]), seed=0, most=100)) == [None] * 2
    points = tuple(Point(label=str(x), number=x, predictions=(x,)) for x in (1995, 2000))
    year = times(name="year", type="numeric", minimum=1990.0, maximum=2010.0)
    price = year.model_copy(update={"name": "price", "role": "target", "maximum": 2211.0})
    for columns, formats in (
        ([year, price], [".6~g", None]),
        ([price], [None, None]),
        ([year, price.model_copy(update={"maximum": 2010.0})], [".6~g", ".6~g"]),
    ):
        explanation = explained(("price",), columns=tuple(columns))
        dependence = PartialDependence(column="year", points=points)
        chart = drawn_dependence(explanation, dependence)
        assert axis_formats(chart) == formats


def test_without_a_histogram_the_most_frequent_values_are_shown():
    value = ValueCount(value="2024-02-29", train=3, held_out=1)
    bare = times(minimum=None, maximum=None, histogram=None, values=(value,))
    [card] = column_cards([bare], 4, held_out=5).columns
    [bar] = datasets(card.chart)["rows"]
    assert (bar["x"], bar["h"]) == (0.75, 0.2)  # of all rows, also of those of other values
    assert card.facts == ("dates", "3 distinct")
    assert card.chart.description == "Most frequent values of when: 2024-02-29 (3)."


def test_loss_and_each_metric_have_a_chart_with_both_sets():
    loss, accuracy = curve_charts(HISTORY, best_epoch=2)
    assert (loss.title, accuracy.title) == ("Loss", "Accuracy")
    assert [(row["x"], row["y"], row["s"]) for row in datasets(loss)["rows"]] == [
        (1, 4.0, "training"),
        (2, 2.0, "training"),
        (3, 1.0, "training"),
        (1, 5.0, "validation"),
        (2, 3.0, "validation"),
        (3, 3.5, "validation"),
    ]
    assert loss.legend == (("training", "train"), ("validation", "validation"))
    assert accuracy.legend == ()


def test_the_best_epoch_is_marked():
    loss, _ = curve_charts(HISTORY, best_epoch=2)
    assert datasets(loss)["at_x"] == [{"x": 2}]
    assert loss.description == (
        "Loss over 3 epochs: training from 4 to 1 (2 in the best epoch); validation from 5 to 3.5 "
        "(3 in the best epoch). The best epoch is 2."
    )
    assert loss.reading.endswith(" The dashed line marks the epoch whose weights were kept.")


def test_without_a_best_epoch_no_line_is_explained():
    loss, _ = curve_charts({name: values[:1] for name, values in HISTORY.items()}, None)
    assert loss.description == "Loss over 1 epoch: training 4; validation 5."
    assert loss.reading.endswith("training loss still falls, the network overfits.")


def test_a_best_epoch_that_was_never_trained_does_not_stretch_the_chart():
    loss, _ = curve_charts(HISTORY, best_epoch=10**9)
    assert "at_x" not in datasets(loss)


def test_a_loss_that_is_not_finite_is_not_drawn():
    [loss] = curve_charts({"loss": [1.0, math.nan, math.inf]}, None)
    assert [row["y"] for row in datasets(loss)["rows"]] == [1.0]


def test_a_long_training_has_few_points_and_keeps_its_peak():
    values = [1.0] * 100_000
    values[54_321] = 7.0
    [loss] = curve_charts({"loss": values}, None)
    rows = datasets(loss)["rows"]
    assert len(rows) <= 600
    assert (54_322, 7.0) in [(row["x"], row["y"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "values", "is_log", "offers_log"),
    [
        ("loss", [10.0, 1], True, True),
        ("loss", [9.9, 1], False, False),
        ("loss", [100.0, 0], False, False),
        ("accuracy", [0.05, 1], False, False),
        ("accuracy", [0.01, 1], False, True),
    ],
)
def test_the_scale_of_a_loss_that_falls_tenfold_is_logarithmic(name, values, is_log, offers_log):
    [chart] = curve_charts({name: values}, None)
    assert (chart.is_log, bool(chart.log_labels)) == (is_log, offers_log)
    assert (chart.spec["layer"][-1]["encoding"]["y"]["scale"].get("type") == "log") == is_log


@pytest.mark.parametrize(
    ("lowest", "shown", "other"), [(1e-8, {"1e-2", "1e-8"}, "0."), (1e-4, {"0.01", "0.0001"}, "1e")]
)
def test_the_labels_of_a_logarithmic_scale_have_one_notation(lowest, shown, other):
    [chart] = curve_charts({"loss": [1.0, lowest]}, None)
    picture = vl_convert.vegalite_to_svg({**chart.spec, "width": 300})
    labels = set(re.findall(r">([\d.e-]+)</text>", picture))
    assert shown <= labels
    assert not any(label.startswith(other) for label in labels)


@pytest.mark.parametrize(("values", "form"), [([0.95, 0.95], ".5~g"), ([0.9, 0.95], None)])
def test_the_label_of_a_constant_curve_is_not_rounded_to_an_integer(values, form):
    [chart] = curve_charts({"accuracy": values}, None)
    y = chart.spec["layer"][-1]["encoding"]["y"]
    assert y.get("axis", {}).get("format") == form


def test_a_constant_learning_rate_has_no_chart():
    assert learning_rate_chart(HISTORY) is None
    assert learning_rate_chart({"learning_rate": [0.1, 0.01]}) is not None


def test_a_history_without_epochs_has_no_charts():
    assert curve_charts({"loss": []}, None) == []


def test_each_class_has_its_precision_recall_and_f1():
    assert class_table(MATRIX, ["cat", "dog"]).rows == (
        ("cat", "10", "88.9 %", "80.0 %", "0.842"),  # 8 of 9, 8 of 10, 16 of 19
        ("dog", "10", "81.8 %", "90.0 %", "0.857"),
    )


def test_a_small_confusion_matrix_is_drawn_with_counts_and_shares():
    chart = confusion_block(MATRIX, ["cat", "dog"])
    assert isinstance(chart, ChartBlock)
    assert {"y": "cat", "x": "dog", "n": 2.0, "s": 0.2} in datasets(chart)["rows"]
    assert chart.description == (
        "17 of 20 rows are predicted correctly. The most frequent mistake: cat predicted as dog "
        "(2)."
    )


def test_of_many_classes_the_most_frequent_mistakes_are_listed():
    matrix = np.eye(200)
    matrix[3, 7] = 5
    table = confusion_block(matrix, [f"c{at}" for at in range(200)])
    assert isinstance(table, TableBlock)
    assert table.rows == (("c3", "c7", "5", "83.3 %"),)  # of 6 rows


def test_of_many_classes_the_most_frequent_are_listed():
    matrix = np.diag(np.arange(1.0, 201))
    table = class_table(matrix, [f"c{at}" for at in range(200)])
    assert (len(table.rows), table.rows[0][0]) == (50, "c199")
    assert "150 more but rarer classes are not listed" in table.note


@pytest.mark.parametrize("value", [None, [[1]], [[1, -1], [0, 1]]])
def test_anything_but_a_matrix_of_the_classes_is_ignored(value):
    rows = SimpleNamespace(
        task=SimpleNamespace(classes=("a", "b")),
        values=np.array([0, 1, 1]),
        predicted_values=np.array([0, 1, 0]),
        weights=np.array([1.0, 2.0, 3.0]),
    )

    assert confusion_matrix(rows, value).tolist() == [[1.0, 0.0], [3.0, 2.0]]
    assert confusion_matrix(rows, [[7, 0], [0, 9]]).tolist() == [[7.0, 0.0], [0.0, 9.0]]


def numbers(target, prediction, weights=None):
    target = np.asarray(target, dtype=np.float64)
    weights = np.ones(len(target)) if weights is None else np.asarray(weights)
    return PredictedNumbers("y", target, np.asarray(prediction, dtype=np.float64), weights)


def test_the_error_is_shown_from_the_lowest_true_values_to_the_highest():
    parts = error_by_decile(numbers([1, 2, 3, 4], [2, 1, 5, 6]), parts=2)
    assert parts == [Decile(1, 2, 2, 1.0, 0.0, -1.0, 1.0), Decile(3, 4, 2, 2.0, 2.0, 2.0, 2.0)]


def test_rows_of_a_decile_count_by_their_weights():
    [only] = error_by_decile(numbers([1, 2], [1, 6], [3.0, 1]), parts=1)
    assert (only.error, only.bias) == (1.0, 1.0)


def test_rows_of_one_true_value_stay_together():
    parts = error_by_decile(numbers([0, 0, 0, 0, 1], np.zeros(5)))
    assert [(part.lowest, part.highest, part.rows) for part in parts] == [(0, 0, 4), (1, 1, 1)]


def test_a_constant_target_is_one_part():
    assert error_by_decile(numbers([7, 7, 7], [7, 8, 9])) == [Decile(7, 7, 3, 1.0, 1.0, 0.0, 2.0)]


def test_parts_whose_values_read_alike_have_a_bar_each():
    close = numbers([20_000.1, 20_000.2], [20_000.1, 20_001.2])
    rows = datasets(_decile_chart(error_by_decile(close)))["rows"]
    assert [row["y"] for row in rows] == ["20,000 (1)", "20,000 (2)"]


def test_a_distribution_gives_the_share_of_each_bin():
    _, shares = error_distribution(np.array([0.0, 1, 3, 4]), np.array([1.0, 1, 1, 5]), bins=2)
    assert shares.tolist() == [0.25, 0.75]


def test_one_extreme_value_does_not_squeeze_all_others_into_one_bin():
    values = np.append(np.linspace(0, 1, 999), 1e9)
    edges, shares = error_distribution(values, np.ones(1000), bins=10)
    assert edges[-1] < 2
    assert shares.sum() == 1
    assert shares.max() < 0.2


def test_equal_values_have_a_bin_around_them():
    edges, shares = error_distribution(np.full(8, 3.0), np.ones(8), bins=1)
    assert (edges.tolist(), shares.tolist()) == ([2.5, 3.5], [1.0])


@pytest.mark.parametrize(
    ("increases", "features", "sentence"),
    [
        ((4, 3, 2, 1.5, 0, -1), 6, "The predictions depend most on c0, c1, c2."),
        (
            (4, 0.5, 0, -1),
            5,
            "The predictions depend most on c0. 1 more column was not measured.",
        ),
        (
            (0.5, -2),
            299,
            "No column has an importance above its standard deviation. 297 more columns were not "
            "measured.",
        ),
        (
            (2,) * 22,
            None,
            "The predictions depend most on c0, c1, c2. 2 less important columns were not shown.",
        ),
    ],
)
def test_columns_are_named_whose_importance_exceeds_its_deviation(increases, features, sentence):
    found = [
        Importance(column=f"c{at}", increase=increase, deviation=1)
        for at, increase in enumerate(increases)
    ]
    chart = importance_chart(found, "rmse", features)
    assert chart.description == sentence
    assert datasets(chart)["rows"][0]["x"] == increases[0]


def test_the_dependence_on_texts_is_drawn_as_points_above_their_names():
    points = [
        Point(label=label, number=None, predictions=(0.25, value))
        for label, value in (("red", 0.75), ("blue", 0.5))
    ]
    dependence = PartialDependence(column="color", points=tuple(points))
    explanation = explained(("no", "yes"), importance_metric="log_loss")
    chart = drawn_dependence(explanation, dependence, of_classes=True)
    assert [(row["x"], row["y"], row["s"]) for row in datasets(chart)["rows"]] == [
        ("red", 0.75, "yes"),
        ("blue", 0.5, "yes"),
    ]
    assert chart.description == (
        "If only color changes, the mean probability of yes is between 50.0 % and 75.0 %."
    )
    chart = drawn_dependence(
        explanation, dependence.model_copy(update={"missing": (0.9, 0.1)}), of_classes=True
    )
    assert chart.description.endswith("and 75.0 %, and 10.0 % if its value is missing.")


def test_of_two_labels_both_are_drawn():
    points = [
        Point(label=str(value), number=value, predictions=(15 - 5 * value, -value))
        for value in (1, 2)
    ]
    dependence = PartialDependence(column="x", points=tuple(points))
    explanation = explained(("u", "v"), importance_metric="log_loss")
    chart = drawn_dependence(explanation, dependence)
    assert [(row["x"], row["y"], row["s"]) for row in datasets(chart)["rows"]] == [
        (1, 10, "u"),
        (2, 5, "u"),
        (1, -1, "v"),
        (2, -2, "v"),
    ]
    assert (
        chart.description == "If only x changes, the mean prediction of u is between 5.0 and 10.0."
    )


def dependences(**values):
    """The partial dependence of `y` on each column, at 1 and 2."""
    return tuple(
        PartialDependence(
            column=column,
            points=tuple(
                Point(label=str(at), number=at, predictions=(y,)) for at, y in enumerate(each, 1)
            ),
        )
        for column, each in values.items()
    )


def test_all_partial_dependences_have_the_same_vertical_axis():
    explanation = explained(("y",), partial_dependences=dependences(a=(0, 10), b=(4, 5)))
    found = dependence_charts(explanation, of_classes=False)
    domains = [each.chart.spec["layer"][0]["encoding"]["y"]["scale"]["domain"] for each in found]
    assert domains == [[-0.5, 10.5]] * 2
    assert [each.range for each in found] == [10, 1]


@pytest.mark.parametrize(
    ("increase", "texts"),
    [
        (
            2.0,
            [
                "b is important but has a rather flat line: its effect depends on other columns "
                "(an interaction), so it averages out here."
            ],
        ),
        (0.5, []),
    ],
)
def test_an_important_column_with_a_flat_line_is_explained(increase, texts):
    explanation = explained(("y",), partial_dependences=dependences(a=(0, 10), b=(4, 5)))
    importances = [
        Importance(column=column, increase=value, deviation=0)
        for column, value in (("a", 3.0), ("b", increase))
    ]
    found = dependence_charts(explanation, of_classes=False)
    assert list(_interactions(found, importances)) == texts


def test_numbers_with_units_of_their_own_are_drawn_in_standard_deviations():
    points = [
        Point(label=str(value), number=value, predictions=(5000.0 + 10 * value, 20.0 + value))
        for value in (1, 4)
    ]
    dependence = PartialDependence(column="x", points=tuple(points))
    targets = [
        times(name=name, role="target", type="numeric", mean=mean, deviation=deviation)
        for name, mean, deviation in (("revenue", 5000.0, 1000.0), ("degrees", 20.0, 2.0))
    ]
    explanation = explained(("revenue", "degrees"), columns=tuple(targets))
    chart = drawn_dependence(explanation, dependence)
    assert [(row["s"], row["y"], row["v"]) for row in datasets(chart)["rows"]] == [
        ("revenue", 0.01, 5010),
        ("revenue", 0.04, 5040),
        ("degrees", 0.5, 21),
        ("degrees", 2, 24),
    ]
    assert chart.description == (
        "If only x changes, the mean prediction of degrees is between 21.0 and 24.0."
    )


def test_a_row_without_labels_is_shown_as_such():
    row = WorstRow(file=None, row=1, split="test", target="", prediction="", error=1, values={})
    assert worst_table([row], "log loss").rows == (("1", "(none)", "(none)", "1.0"),)


def test_a_path_keeps_its_corners_within_a_step():
    x = np.concatenate([np.zeros(500), np.linspace(0, 1, 500)])
    y = np.concatenate([np.linspace(0, 1, 500), np.ones(500)])
    kept = thinned_path(x, y, 101)
    assert len(kept) <= 101
    assert (kept[0], kept[-1]) == (0, 999)
    assert np.abs(kept - 499).min() <= 5  # the corner
    assert np.diff(x[kept]).max() == pytest.approx(0.02, abs=0.003)
