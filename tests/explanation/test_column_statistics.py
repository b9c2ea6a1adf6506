"""Statistics of columns, and the bins of their histograms."""

import numpy as np
import pytest
from inline_snapshot import snapshot
from small_networks import case, rows_of

from dlcli.explanation import explaining
from dlcli.explanation.explaining import (
    MOST_BINS,
    ColumnDescriber,
    ListedColumn,
    bin_edges,
    count_bins,
    largest_inputs,
    list_columns,
)
from dlcli.explanation.explanation_document import ValueCount


def view(name, table, *held_out, role="feature", type=None, **sections):
    """Looks at a column of training rows."""
    made = case(table, **sections)
    encoding = made.predictor.encoding
    peaks = largest_inputs(encoding.layout, made.encoded().inputs.part(0, table.rows))
    decided = made.decisions.get(name)
    kind = type or decided.feature.type
    listed = ListedColumn(name, role, kind, decided.reason if decided else "declared")
    return ColumnDescriber(table, held_out, encoding, peaks).describe(listed)


NUMBERS = rows_of(x=[1.0, 2.0, None, 3.0, 2.0], y=[0.0, 1.0, 2.0, 3.0, 4.0])


def test_numbers_have_their_moments_without_missing_values():
    found = view("x", NUMBERS)
    assert (found.type, found.reason) == ("numeric", "all values are numbers")
    assert (found.missing, found.distinct) == (1, 3)
    assert (found.mean, found.minimum, found.maximum) == (2, 1, 3)
    assert found.deviation == pytest.approx(0.5**0.5)  # of squares 1, 0, 1 and 0
    assert found.histogram.edges == (0.5, 1.5, 2.5, 3.5)
    assert found.histogram.train == (1, 2, 1)
    assert found.histogram.held_out == (0, 0, 0)
    assert found.values == ()


def test_inputs_are_counted_and_the_largest_is_shown():
    found = view("x", NUMBERS)
    assert (found.inputs, found.largest_input) == (2, 3)  # the number, and whether it is missing
    assert view("x", NUMBERS, input={"scaling": {"name": "divide", "by": 4}}).largest_input == 1


def test_held_out_rows_count_in_the_bins_of_the_training_rows():
    held_out = rows_of(x=[2.0, None, 99.0, -99.0], y=[0.0] * 4), rows_of(x=[2.0], y=[0.0])
    assert view("x", NUMBERS, *held_out).histogram.held_out == (1, 2, 1)


def test_the_target_is_looked_at_too():
    found = view("y", NUMBERS, role="target", type="numeric")
    assert (found.role, found.missing, found.mean, found.inputs) == ("target", 0, 2, 0)
    assert found.largest_input is None


WORDS = rows_of(x=["b", "a", None, "a", "c", "b", "a"], y=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_the_most_frequent_values_come_first_and_equals_as_they_came():
    found = view("x", WORDS, rows_of(x=["a", "d"], y=[0.0, 0.0]))
    assert found.values == (
        ValueCount(value="a", train=3, held_out=1),
        ValueCount(value="b", train=2, held_out=0),
        ValueCount(value="c", train=1, held_out=0),
    )
    assert (found.missing, found.distinct, found.mean, found.histogram) == (1, 3, None, None)


def test_there_are_ten_values_at_most_and_none_is_long():
    table = rows_of(
        x=[f"{n}" * 500 for n in range(10)] * 2 + ["z"], y=[float(n) for n in range(21)]
    )
    found = view("x", table)
    assert found.distinct == 11
    assert [len(each.value) for each in found.values] == [80] * 10
    assert found.values[3].value == "3" * 77 + "..."


def test_an_embedding_has_no_largest_input():
    table = rows_of(x=["a", "b", "a"], y=[0.0, 1.0, 2.0])
    features = {"x": {"type": "categorical", "encoding": {"name": "embedding", "units": 2}}}
    found = view("x", table, input={"features": features})
    assert (found.inputs, found.largest_input) == (1, None)


IGNORED = rows_of(
    id=[7, 8, 9],
    tags=[["a"], [], ["b"]],
    x=[1.0, 2.0, 3.0],
    y=[1.0, 2.0, 4.0],
    e=[None, None, None],
)


def test_what_nobody_reads_is_shown_as_far_as_it_can_be():
    no_ids = rows_of(x=[1.0], y=[1.0])
    features = {"input": {"features": {"x": "numeric"}, "scaling": "none"}}
    found = view("id", IGNORED, no_ids, **features)
    assert (found.type, found.inputs, found.mean, found.missing) == ("ignored", 0, 8, 0)
    assert found.histogram.held_out == (0, 0, 0)
    lists = view("tags", IGNORED, **features)
    assert (lists.distinct, lists.values) == (None, ())
    empty = view("e", IGNORED, **features)
    assert (empty.missing, empty.distinct, empty.values) == (3, 0, ())


def test_numbers_whose_distance_is_infinite_have_no_histogram():
    rows = rows_of(x=[1.0, 2.0], far=[1e308, -1e308], y=[1.0, 2.0])
    features = {"input": {"features": {"x": "numeric"}, "scaling": "none"}}
    found = view("far", rows, **features)
    assert (found.minimum, found.maximum, found.histogram) == (-1e308, 1e308, None)


def test_what_nobody_reads_may_be_stored_otherwise_in_another_file():
    other = rows_of(id=[True], x=[1.0], y=[1.0])
    features = {"input": {"features": {"x": "numeric"}, "scaling": "none"}}
    assert view("id", IGNORED, other, **features).histogram.held_out == (0, 0, 0)


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_of_a_long_table_moments_are_exact_and_counts_are_scaled(scaling, monkeypatch):
    monkeypatch.setattr(explaining, "MOST_ROWS", 50)
    table = rows_of(x=[0.0, 1.0, 2.0, 5.0] * 50, y=[0.0, 1.0] * 100)
    found = view("x", table, table, input={"scaling": scaling})
    assert (found.mean, found.minimum, found.maximum) == (2, 0, 5)
    assert found.deviation == pytest.approx(3.5**0.5)  # squares 4, 1, 0 and 9
    assert found.distinct is None
    assert sum(found.histogram.train) == 200
    assert found.histogram.train == found.histogram.held_out
    assert all(count % 4 == 0 for count in found.histogram.train)


def test_of_a_long_table_a_constant_column_has_no_deviation(monkeypatch):
    monkeypatch.setattr(explaining, "MOST_ROWS", 50)
    table = rows_of(x=[4.0] * 100, y=[0.0, 1.0] * 50)
    found = view("x", table, input={"features": {"x": "numeric"}, "scaling": "standard"})
    assert (found.mean, found.deviation) == (4, 0)


def test_target_and_weight_are_listed_before_what_is_read_and_that_before_the_rest():
    table = rows_of(const=["a"] * 3, x=[1.0, 2.0, 3.0], w=[1.0, 1.0, 2.0], y=[0.0, 1.0, 2.0])
    made = case(table, data={"train": "t.csv", "target": "y", "sample_weight": "w"})
    listed, rest = list_columns(made.target, "w", made.decisions)
    assert [(each.name, each.role, each.type) for each in listed] == [
        ("y", "target", "numeric"),
        ("w", "weight", "weight"),
        ("x", "feature", "numeric"),
        ("const", "feature", "ignored"),
    ]
    assert listed[-1].reason == snapshot("the same value in all rows: a")
    assert rest == 0


def test_no_more_than_200_columns_are_listed():
    table = rows_of(**{f"x{n}": [1.0, 2.0, 3.5] for n in range(300)}, y=[0.0, 1.0, 2.0])
    made = case(table)
    listed, rest = list_columns(made.target, None, made.decisions)
    assert (len(listed), rest) == (200, 101)


def test_many_labels_leave_room_for_the_features():
    labels = {f"label{n}": [0.0, 1.0, 1.0] for n in range(250)}
    table = rows_of(const=["a"] * 3, x=[1.0, 2.0, 3.0], **labels)
    made = case(table, data={"train": "t.csv", "target": {"column": tuple(labels)}})
    listed, rest = list_columns(made.target, None, made.decisions)
    names = [each.name for each in listed]
    assert names[:12] == [*list(labels)[:10], "x", "label10"]
    assert (len(listed), rest) == (200, 52)


DATES = rows_of(
    x=["2024-02-29", "2024-03-01", None, "2024-03-02", "2024-03-02"], y=[0.0, 1.0, 2.0, 3.0, 4.0]
)
LEAP_DAY = 1_709_164_800.0  # `date -u -d 2024-02-29 +%s`


def filled(counts):
    return {at: count for at, count in enumerate(counts) if count}


def test_times_have_a_histogram_of_seconds():
    held_out = rows_of(x=["2024-03-01", None, "2031-01-01", "2020-01-01"], y=[0.0] * 4)
    found = view("x", DATES, held_out, input={"features": {"x": "datetime"}})
    assert (found.type, found.missing, found.distinct, found.values) == ("datetime", 1, 3, ())
    assert (found.minimum, found.maximum) == (LEAP_DAY, LEAP_DAY + 2 * 86_400)
    assert (found.mean, found.deviation) == (None, None)
    assert found.histogram.edges[0] == LEAP_DAY  # and not half a second before
    assert filled(found.histogram.train) == {0: 1, 11: 1, 23: 2}  # a bin has 7,201 seconds
    assert filled(found.histogram.held_out) == {0: 1, 11: 1, 23: 1}


def test_held_out_values_that_are_no_times_are_left_out():
    held_out = rows_of(x=["yesterday", "2024-03-01"], y=[0.0] * 2)
    found = view("x", DATES, held_out, input={"features": {"x": "datetime"}})
    assert sum(found.histogram.held_out) == 1


def test_of_a_long_table_the_range_of_times_is_exact_and_counts_are_scaled(monkeypatch):
    monkeypatch.setattr(explaining, "MOST_ROWS", 50)
    dates = ["2024-01-01", *["2024-02-29", "2024-03-01"] * 99, "2025-01-01"]
    table = rows_of(x=dates, y=[0.0, 1.0] * 100)
    found = view("x", table, table, input={"features": {"x": "datetime"}})
    assert (found.minimum, found.maximum) == (1_704_067_200.0, 1_735_689_600.0)
    assert found.distinct is None
    assert sum(found.histogram.train) == 200
    assert found.histogram.train == found.histogram.held_out


def histogram(*values):
    values = np.array(values, dtype=np.float64)
    edges = bin_edges(values)
    return edges.tolist(), count_bins(edges, values).tolist()


def test_whole_numbers_lie_in_the_middle_of_bins():
    assert histogram(0, 0, 1, 3) == ([-0.5, 0.5, 1.5, 2.5, 3.5], [2, 1, 0, 1])


def test_many_whole_numbers_share_bins_as_many_in_each():
    edges, counts = histogram(*range(1, 61))
    assert edges[:3] == [0.5, 3.5, 6.5]
    assert counts == [3] * 20


def test_other_numbers_have_bins_by_the_cube_root_of_how_many_they_are():
    edges, counts = histogram(0.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 8.0)  # 2·∛8 bins
    assert edges == [0, 2, 4, 6, 8]
    assert counts == [3, 2, 2, 1]


@pytest.mark.parametrize(
    ("value", "edges"), [(5.0, [4.5, 5.5]), (2.5, [2.0, 3.0]), (1e20, [0.999e20, 1.001e20])]
)
def test_a_constant_column_has_one_bin(value, edges):
    found, counts = histogram(value, value, value)
    assert found == pytest.approx(edges)
    assert counts == [3]


def test_an_outlier_does_not_press_the_rest_into_one_bin_and_is_counted():
    values = np.append(np.linspace(0.25, 1.25, 99), [1e6])
    edges = bin_edges(values)
    assert (edges[0], edges[-1]) == (0.25, 1.25)
    counts = count_bins(edges, values)
    assert counts.sum() == 100
    assert counts.max() <= 12


def test_a_long_tail_of_many_rows_is_shown_to_its_end():
    values = np.append(np.linspace(0.25, 1.25, 90), np.linspace(50.5, 100.5, 10))
    assert bin_edges(values)[-1] == 100.5


def test_what_lies_outside_counts_in_the_outermost_bins():
    assert count_bins(np.array([0.0, 1.0, 2.0]), np.array([-9.0, 0.5, 9.0, 9.0])).tolist() == [2, 2]


@pytest.mark.parametrize("values", [np.arange(1e6), np.linspace(0, 1, 10**6) ** 2])
def test_there_are_never_many_bins(values):
    assert MOST_BINS / 2 < len(bin_edges(values)) - 1 <= MOST_BINS
