"""Rows that are similar by subject or in time, and must not be split at random."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.column_type import Auto, Decision, Ignored
from dlcli.config.data_section import GroupSplit, Target, TimeSplit
from dlcli.data_checks.inspection import inspect_table
from dlcli.data_checks.row_checks import advise_split
from dlcli.encoding.column_types import decide_types
from dlcli.tasks.inference import infer_task


def normal(seed, *size):
    return np.random.default_rng(seed).normal(size=size)


def panel(subjects=25, visits=4, effect=1.0):
    """Subjects with a number in each of some years, that varies more between than within them."""
    name = np.repeat(np.arange(subjects) + 100, visits)
    value = effect * np.repeat(normal(1, subjects), visits) + 0.3 * normal(2, subjects * visits)
    year = np.tile(np.arange(visits) + 2000, subjects)
    return {"id": name, "year": year, "x": normal(3, subjects * visits), "y": value}


@pytest.fixture
def advise(table):
    """Advises on columns by name, `y` the target, and some of the others ignored."""

    def make(columns, ignored=()):
        rows = table(columns)
        free = [name for name in columns if name != "y" and name not in ignored]
        decisions = {
            **decide_types(dict.fromkeys(free, Auto()), rows, rows),
            **dict.fromkeys(ignored, Decision(Ignored(), "declared")),
        }
        return advise_split(rows, decisions, infer_task(Target(column="y"), [rows]))

    return make


def test_an_identifier_in_blocks_whose_rows_are_alike_is_to_be_split_by(advise):
    advice = advise(panel())
    assert advice.choice == GroupSplit(column="id")
    assert advice.is_clear
    assert advice.finding.columns == ("id",)
    assert advice.finding.message.startswith(
        "rows with the same 'id' are similar, so metrics of a random split are too optimistic: "
        "if a quick model is trained on other rows with the same 'id', its squared error is 7"
    )
    assert advice.finding.advice == (
        "to evaluate on new values of 'id', set data.split: {name: group, column: id}; to evaluate "
        "on later rows, set data.split: {name: time, column: year}"
    )


def test_an_identifier_whose_rows_are_no_more_alike_than_others_is_none(advise):
    assert advise(panel(effect=0)) is None


def test_classes_of_a_subject_are_compared_too(advise):
    columns = panel()
    columns["y"] = np.where(columns["y"] > 0, "high", "low")
    assert advise(columns).choice == GroupSplit(column="id")


@pytest.mark.parametrize(("subjects", "is_clear"), [(19, False), (20, True)])
def test_few_subjects_are_only_suggested(advise, subjects, is_clear):
    assert advise(panel(subjects)).is_clear == is_clear


def test_of_many_rows_some_groups_are_drawn(advise):
    assert advise(panel(subjects=150)).choice == GroupSplit(column="id")


def test_a_column_of_any_name_in_whose_blocks_the_years_count_up_is_suggested(advise):
    columns = panel()
    columns["firm"] = [f"f{number}" for number in columns.pop("id")]
    advice = advise(columns)
    assert (advice.choice, advice.is_clear) == (GroupSplit(column="firm"), False)
    del columns["year"]
    assert advise(columns) is None


def test_a_sorted_measurement_is_no_subject(advise):
    speed = np.repeat(np.arange(25.0), 4)
    assert advise({"speed": speed, "x": normal(1, 100), "y": speed + normal(2, 100)}) is None


@pytest.mark.parametrize(("name", "is_found"), [("subject", True), ("store_id", False)])
def test_out_of_order_only_a_subject_is_suggested(advise, name, is_found):
    columns = panel()
    columns[name] = columns.pop("id")
    order = np.random.default_rng(0).permutation(100)
    advice = advise({key: np.asarray(values)[order] for key, values in columns.items()})
    assert (advice is not None) == is_found
    assert not is_found or not advice.is_clear


def test_an_identifier_with_a_missing_value_is_none(advise):
    columns = panel()
    columns["id"] = [None, *columns["id"][1:].tolist()]
    assert advise(columns) is None


def test_subjects_that_the_network_can_not_recognize_are_none(advise):
    columns = panel()
    assert advise(columns, ignored=["id"]) is None
    columns["x"] = np.repeat(normal(3, 25), 4)  # as a height, by which subjects are recognized
    assert advise(columns, ignored=["id"]).choice == GroupSplit(column="id")


def days(rows):
    return np.datetime_as_string(np.datetime64("2020-01-01") + np.arange(rows))


def test_a_target_that_drifts_along_sorted_dates_suggests_a_split_in_time(advise):
    walk = np.cumsum(normal(1, 160))
    advice = advise({"day": days(160), "x": normal(2, 160), "y": walk})
    assert (advice.choice, advice.is_clear) == (TimeSplit(column="day"), False)
    assert advice.finding.message.startswith("rows of about the same 'day' are similar")
    assert advice.finding.advice == (
        "to evaluate on later rows, set data.split: {name: time, column: day}"
    )


def test_a_few_rows_out_of_order_do_not_hide_that_rows_follow_the_time(advise):
    walk, order = np.cumsum(normal(1, 160)), np.arange(160)
    order[[10, 12, 150, 151]] = 12, 10, 151, 150
    columns = {"day": days(160)[order], "x": normal(2, 160), "y": walk[order]}
    assert advise(columns).choice == TimeSplit(column="day")
    assert advise({name: values[::-1] for name, values in columns.items()}) is not None


def test_dates_without_drift_or_out_of_order_are_none(advise):
    assert advise({"day": days(160), "x": normal(2, 160), "y": normal(1, 160)}) is None
    order = np.random.default_rng(0).permutation(160)
    walk = np.cumsum(normal(1, 160))
    assert advise({"day": days(160)[order], "x": normal(2, 160), "y": walk[order]}) is None


@pytest.mark.parametrize(("first", "is_found"), [(1880, True), (0, False)])
def test_years_are_dates_and_seconds_are_not(advise, first, is_found):
    columns = {"time": first + np.arange(140), "x": normal(2, 140), "y": np.cumsum(normal(1, 140))}
    assert (advise(columns) is not None) == is_found


def test_inspection_reports_it_if_the_target_is_known(table):
    rows = table(panel())
    assert "dependent_rows" in [finding.check for finding in inspect_table(rows, "y").issues]
    assert "dependent_rows" not in [finding.check for finding in inspect_table(rows).issues]
