"""Rows that are similar by subject or in time, and must not be split at random."""

from __future__ import annotations

import calendar

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


@pytest.mark.parametrize(("subjects", "is_clear"), [(9, False), (10, True)])
def test_few_subjects_are_only_suggested(advise, subjects, is_clear):
    columns = panel(subjects, visits=9)
    columns["y"] = columns["id"] % 2 + 0.1 * normal(4, 9 * subjects)
    assert advise(columns).is_clear == is_clear


def test_of_many_rows_some_groups_are_drawn(advise):
    assert advise(panel(subjects=150)).choice == GroupSplit(column="id")


def test_a_column_of_any_name_that_has_each_year_once_is_to_be_split_by(advise):
    columns = panel()
    columns["firm"] = [f"f{number}" for number in columns.pop("id")]
    advice = advise(columns)
    assert (advice.choice, advice.is_clear) == (GroupSplit(column="firm"), True)
    order = np.random.default_rng(0).permutation(100)
    shuffled = {key: np.asarray(values)[order] for key, values in columns.items()}
    assert advise(shuffled) == advice
    years = np.random.default_rng(1).permutation(columns["year"])  # some twice
    assert advise({**columns, "year": years}) is None
    del columns["year"]
    assert advise(columns) is None


def test_a_sorted_measurement_is_no_subject(advise):
    speed = np.repeat(np.arange(25.0), 4)
    assert advise({"speed": speed, "x": normal(1, 100), "y": speed + normal(2, 100)}) is None


@pytest.mark.parametrize(("name", "is_found"), [("subject", True), ("store_id", False)])
def test_out_of_order_only_a_subject_is_to_be_split_by(advise, name, is_found):
    columns = panel()
    columns[name] = columns.pop("id")
    del columns["year"]
    order = np.random.default_rng(0).permutation(100)
    advice = advise({key: np.asarray(values)[order] for key, values in columns.items()})
    assert (advice is not None) == is_found
    assert not is_found or advice.is_clear


def test_a_dose_that_predicts_other_doses_is_no_group(advise):
    dose, trial = np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20)
    columns = {"dose": dose, "trial": trial, "y": dose / 5 + 0.3 * normal(1, 300)}
    assert advise(columns) is None
    columns["y"] = normal(2, 20)[dose] + 0.3 * normal(1, 300)
    assert advise(columns).choice == GroupSplit(column="dose")


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


def test_a_target_that_drifts_along_sorted_dates_is_to_be_split_in_time(advise):
    walk = np.cumsum(normal(1, 160))
    advice = advise({"day": days(160), "x": normal(2, 160), "y": walk})
    assert (advice.choice, advice.is_clear) == (TimeSplit(column="day"), True)
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


def test_the_dates_of_few_stores_one_after_the_other_are_a_time(advise):
    stores, walk = np.repeat([*"abc"], 80), np.tile(np.cumsum(normal(1, 80)), 3)
    columns = {"store": stores, "day": np.tile(days(80), 3), "y": walk + normal(2, 240)}
    assert advise(columns).choice == TimeSplit(column="day")


def test_dates_without_drift_or_out_of_order_are_none(advise):
    assert advise({"day": days(160), "x": normal(2, 160), "y": normal(1, 160)}) is None
    order = np.random.default_rng(0).permutation(160)
    walk = np.cumsum(normal(1, 160))
    assert advise({"day": days(160)[order], "x": normal(2, 160), "y": walk[order]}) is None


@pytest.mark.parametrize(("first", "is_found"), [(1880, True), (0, False)])
def test_years_are_dates_and_seconds_are_not(advise, first, is_found):
    columns = {"time": first + np.arange(140), "x": normal(2, 140), "y": np.cumsum(normal(1, 140))}
    assert (advise(columns) is not None) == is_found


def months(names=False):
    """Forty years of a target that drifts by month, with the parts of the time in columns."""
    month = np.tile(np.arange(1, 13), 40)
    text = np.array([*calendar.month_name])[month]
    year = np.repeat(np.arange(1980, 2020), 12)
    return {
        "year": year,
        "month": text if names else month,
        "quarter": (month + 2) // 3,
        "x": normal(2, 480),
        "y": np.cumsum(normal(1, 480)),
    }


@pytest.mark.parametrize("names", [False, True])
def test_year_and_month_in_two_columns_are_a_time_in_any_order_of_rows(advise, names):
    columns = months(names)
    advice = advise(columns)
    assert (advice.choice, advice.is_clear) == (TimeSplit(column=("year", "month")), True)
    assert advice.finding.message.startswith("rows of about the same 'year' and 'month' are")
    assert advice.finding.advice == (
        "to evaluate on later rows, set data.split: {name: time, column: [year, month]}"
    )
    order = np.random.default_rng(0).permutation(480)
    shuffled = {name: np.asarray(values)[order] for name, values in columns.items()}
    assert advise(shuffled).choice == advice.choice
    assert advise({**shuffled, "y": normal(5, 480)}) is None


def test_year_and_quarter_and_quarters_as_text_are_times(advise):
    columns = {name: np.asarray(values)[::3] for name, values in months().items()}
    del columns["month"]
    assert advise(columns).choice == TimeSplit(column=("year", "quarter"))
    quarters = [f"{y}-Q{q}" for y, q in zip(columns["year"], columns["quarter"], strict=True)]
    rest = {"period": quarters, "x": columns["x"], "y": columns["y"]}
    assert advise(rest).choice == TimeSplit(column="period")


def test_year_month_day_and_hour_are_a_time_and_a_day_of_the_week_is_not(advise):
    times = np.datetime64("2023-11-01T00") + 8 * np.arange(3000)
    date = times.astype("M8[D]")
    columns = {
        "hour": times.astype(int) % 24,
        "day_of_week": (date.astype(int) + 3) % 7,
        "day": (date - times.astype("M8[M]")).astype(int) + 1,
        "month": times.astype("M8[M]").astype(int) % 12 + 1,
        "year": times.astype("M8[Y]").astype(int) + 1970,
        "y": np.cumsum(normal(1, 3000)),
    }
    assert advise(columns).choice == TimeSplit(column=("year", "month", "day", "hour"))
    by_week = {name: columns[name] for name in ("year", "month", "day_of_week", "y")}
    by_week["day"] = by_week.pop("day_of_week") + 1
    by_week["y"] = normal(2, 34)[12 * (columns["year"] - 2023) + columns["month"] - 11]
    assert advise(by_week).choice == TimeSplit(column=("year", "month"))


def test_stores_that_recur_are_split_in_time_and_countries_by_country(advise):
    week = np.repeat(np.arange("2020-01-06", "2021-12-20", 7, dtype="M8[D]"), 30)
    unit = np.tile(np.arange(30), len(week) // 30)
    drift = np.cumsum(normal(1, len(week) // 30))[np.arange(len(week)) // 30]
    y = 2 * normal(2, 30)[unit] + drift + 0.3 * normal(3, len(week))
    columns = {"store": [f"s{each}" for each in unit], "week": week.astype(str), "y": y}
    assert advise(columns).choice == TimeSplit(column="week")
    order = np.argsort(unit, kind="stable")
    by_store = {name: np.asarray(values)[order] for name, values in columns.items()}
    assert advise(by_store).choice == TimeSplit(column="week")
    by_store["country"] = by_store.pop("store")
    assert advise(by_store).choice == GroupSplit(column="country")
    steady = {"country": columns["store"], "week": columns["week"], "y": y - drift}
    assert advise(steady).choice == GroupSplit(column="country")
    steady["store"] = steady.pop("country")
    assert advise(steady) is None


def test_inspection_reports_it_if_the_target_is_known(table):
    rows = table(panel())
    assert "dependent_rows" in [finding.check for finding in inspect_table(rows, "y").issues]
    assert "dependent_rows" not in [finding.check for finding in inspect_table(rows).issues]
