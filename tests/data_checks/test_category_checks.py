"""Codes, repeated amounts, and categories that matter, as far as the target shows."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dlcli.columns.category import Categorical
from dlcli.columns.column_type import Decision
from dlcli.columns.number import Numeric
from dlcli.config.config_file import load_config
from dlcli.config.data_section import Input
from dlcli.data_checks.category_checks import (
    _nearest_errors,
    _own_errors,
    _Rows,
    find_category_effects,
    measure_category_effects,
    with_more_rows,
)
from dlcli.data_checks.inspection import inspect_split, inspect_table
from dlcli.splitting import Split
from dlcli.starter.config_writing import starter_config
from dlcli.tables.table_files import read_table

ROWS = 1200
SCHOOL = np.random.default_rng(5).integers(1, 41, ROWS)
"""The numbers of 40 schools."""
LEVEL = np.random.default_rng(2).normal(size=60)
NOISE = np.random.default_rng(1).normal(size=ROWS)
GRADE_LEVEL = LEVEL[SCHOOL]
GRADE = GRADE_LEVEL + NOISE
"""Grades that depend on the school, and not on its number."""


def kinds(rows):
    return {name: each.kind for name, each in measure_category_effects(rows).items()}


def of_kind(rows, kind):
    return {
        name: each.share
        for name, each in measure_category_effects(rows).items()
        if each.kind == kind
    }


def finding_of(rows, check):
    findings = [
        finding for finding in find_category_effects(rows) if finding and finding.check == check
    ]
    return findings[0] if findings else None


def found(sample, values, target=GRADE, name="x", **types):
    """The kind of a column, if it has one."""
    return [*kinds(sample({name: values, "y": target}, "y", **types)).values()]


def test_codes_are_found_with_the_share_that_they_explain(sample):
    siblings = np.random.default_rng(0).integers(0, 12, ROWS)
    finding = finding_of(sample({"school": SCHOOL, "siblings": siblings, "y": GRADE}, "y"), "codes")
    assert finding is not None
    assert finding.columns == ("school",)
    share = int(
        finding.message.partition("'school' (its single values explain ")[2].partition(" %")[0]
    )
    assert share == pytest.approx(100 * (1 - NOISE.var() / GRADE.var()), abs=5)
    assert finding.severity == "warning"


def curved(rng, rows):
    """Eight numbers, and a target of their products and squares that no linear model explains."""
    x = rng.normal(size=(8, rows))
    return x, x[0] * x[1] + x[2] * x[3] + np.abs(x[4]) + x[5] ** 2 / 2


def test_codes_of_ten_rows_are_found_although_other_columns_explain_most_by_curves(sample):
    rng = np.random.default_rng(0)
    code, level = rng.integers(1000, 1300, 3000), rng.normal(size=300)
    x, curve = curved(rng, 3000)
    y = curve + 0.4 * level[code - 1000] + 0.3 * rng.normal(size=3000)
    columns = {f"x{i}": each for i, each in enumerate(x)}
    assert kinds(sample({**columns, "code": code, "y": y}, "y")) == {"code": "codes"}


def test_amounts_are_not_codes_among_curves(sample):
    rng = np.random.default_rng(0)
    amount = rng.integers(1000, 1300, 3000)
    x, curve = curved(rng, 3000)
    y = curve + np.sin(amount / 40) + 0.3 * rng.normal(size=3000)
    columns = {f"x{i}": each for i, each in enumerate(x)}
    assert kinds(sample({**columns, "amount": amount, "y": y}, "y")) == {}


def test_thousands_of_codes_are_found_in_a_larger_sample(sample):
    rng = np.random.default_rng(0)
    code, level = rng.integers(0, 3000, 25_000), rng.normal(size=3000)
    y = level[code] + 2 * rng.normal(size=25_000)
    small = sample({"code": code, "x": rng.normal(size=25_000), "y": y}, "y")
    larger = with_more_rows(small)
    assert (small.table.rows, larger.table.rows) == (20_000, 25_000)
    assert kinds(larger) == {"code": "codes"}


def test_a_sample_with_enough_rows_of_each_value_stays_as_it_is(sample):
    rng = np.random.default_rng(0)
    code, amount = rng.integers(0, 900, 25_000), rng.normal(size=25_000)
    rows = sample({"code": code, "amount": amount, "y": amount}, "y")
    assert with_more_rows(rows) is rows


def test_what_another_column_explains_does_not_count(sample):
    """As the number of a farm, whose size explains the harvest."""
    size = LEVEL[SCHOOL]
    harvest = 3 * size + NOISE
    assert found(sample, SCHOOL, harvest) == ["codes"]
    assert measure_category_effects(sample({"farm": SCHOOL, "size": size, "y": harvest}, "y")) == {}


@pytest.mark.parametrize("slope", [0.02, 0.1])
def test_amounts_are_not(sample, slope):
    assert found(sample, SCHOOL, slope * SCHOOL + NOISE) == []


def test_neither_is_a_smooth_effect_of_any_form(sample):
    assert found(sample, SCHOOL, np.cos(SCHOOL / 5) + NOISE) == []


@pytest.mark.parametrize(("size", "expected"), [(0, []), (0.18, []), (0.5, ["codes"])])
def test_nor_what_explains_hardly_anything(sample, size, expected):
    """Inputs for values also add noise: they must explain 2 % of the variance for other rows."""
    assert found(sample, SCHOOL, size * GRADE_LEVEL + NOISE) == expected


def test_nor_some_of_many_columns_by_chance(sample):
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.integers(0, 30, ROWS) for i in range(200)}
    assert measure_category_effects(sample({**columns, "y": NOISE}, "y")) == {}


@pytest.mark.parametrize("name", ["year", "pupil_age", "Date", "visit2"])
def test_times_and_ages_never_are(sample, name):
    assert found(sample, SCHOOL) == ["codes"]
    assert found(sample, SCHOOL, name=name) == ["repeated_amounts"]


def test_fractions_and_declared_categories_are_not(sample):
    assert found(sample, SCHOOL + 0.5) == ["repeated_amounts"]
    assert found(sample, SCHOOL, x="categorical") == []


def test_a_value_that_many_rows_have_makes_it_a_count(sample):
    rng = np.random.default_rng(0)
    often = np.where(rng.random(ROWS) < 0.15, 0, SCHOOL)
    assert found(sample, often, LEVEL[often] + NOISE) == ["repeated_amounts"]
    assert found(sample, often, LEVEL[often] + NOISE, name="school_key") == ["codes"]


@pytest.mark.parametrize(("rows", "expected"), [(4, ["codes"]), (3, [])])
def test_each_value_needs_some_rows(sample, rows, expected):
    rng = np.random.default_rng(0)
    level = np.random.default_rng(9).normal(size=ROWS)
    values = rng.permutation(ROWS) // rows
    assert found(sample, values, 3 * level[values] + NOISE) == expected


def test_classes_count_and_missing_values_do_not(sample):
    classes = np.where(GRADE > 0, "good", "bad")
    schools = [None if i % 5 == 0 else int(school) for i, school in enumerate(SCHOOL)]
    assert found(sample, schools, classes) == ["codes"]


def test_one_of_several_targets_is_enough(sample):
    rows = sample({"x": SCHOOL, "y": GRADE, "z": NOISE}, ("y", "z"))
    assert [*of_kind(rows, "codes")] == ["x"]


def test_without_a_target_nothing_is_known(sample):
    assert measure_category_effects(sample({"x": SCHOOL})) == {}


def test_a_row_is_predicted_by_others_only():
    """The sums over values give the errors of predictions that are computed row by row."""
    codes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    target = np.random.default_rng(0).normal(size=(10, 2))
    sums = np.stack([target[codes == code].sum(axis=0) for code in range(4)])
    squares = np.array([(target[codes == code] ** 2).sum() for code in range(4)])
    rows = _Rows(np.bincount(codes), sums, squares)

    def errors(others, penalty):
        predicted = [
            target[others(row)].sum(axis=0) / (np.count_nonzero(others(row)) + penalty)
            for row in range(10)
        ]
        return np.bincount(codes, ((target - predicted) ** 2).sum(axis=1))

    def own(row):
        return (codes == codes[row]) & (np.arange(10) != row)

    def near(width):
        return lambda row: (codes != codes[row]) & (abs(codes - codes[row]) <= width)

    penalties = (0.3, 1, 3, 10, 30, 100)
    least = min((errors(own, penalty) for penalty in penalties), key=np.sum)
    np.testing.assert_allclose(_own_errors(rows), least)
    around = [errors(near(w), penalty) for w in (1, 2, 4, 8) for penalty in penalties]
    around.append(np.bincount(codes, (target**2).sum(axis=1)))  # predicted as 0
    np.testing.assert_allclose(_nearest_errors(rows), min(around, key=np.sum))


# Many categories


def towns(count, rows=6000):
    """Towns of different size, and the level of each row's."""
    rng = np.random.default_rng(3)
    town = np.minimum(rng.integers(0, count, rows), rng.integers(0, count, rows))
    return [f"t{each}" for each in town], rng.normal(size=count)[town], rng.normal(size=rows)


def test_categories_matter_beyond_the_most_frequent_ones(sample):
    town, level, noise = towns(180)
    finding = finding_of(sample({"town": town, "y": level + noise}, "y"), "many_categories")
    assert finding is not None
    assert finding.columns == ("town",)
    assert finding.advice == (
        "declare {type: categorical, encoding: embedding, max_categories: 10000}"
    )


@pytest.mark.parametrize(("count", "size"), [(180, 0), (100, 1)])
def test_they_do_not_where_they_explain_nothing_or_are_kept(sample, count, size):
    town, level, noise = towns(count)
    assert measure_category_effects(sample({"town": town, "y": size * level + noise}, "y")) == {}


def test_training_warns_of_them_unless_rows_are_split_by_groups_or_a_number_is_set(sample):
    town, level, noise = towns(180)
    rows = sample({"town": town, "x": noise, "y": level + noise}, "y")
    split = Split(rows.table, None, None)

    def warned(is_grouped, **options):
        decisions = {"town": Decision(Categorical(**options), "declared")}
        findings = inspect_split(split, rows.table, rows.task, decisions, Input(), is_grouped)
        return [finding.check for finding in findings]

    assert warned(is_grouped=False) == ["many_categories"]
    assert warned(is_grouped=True) == []
    assert warned(is_grouped=False, max_categories=50) == []


@pytest.mark.parametrize(("values", "expected"), [(None, []), (40, ["codes"])])
def test_training_warns_of_codes_whose_type_is_inferred(sample, values, expected):
    rows = sample({"x": SCHOOL, "amount": SCHOOL / 8, "y": GRADE}, "y")
    inferred = rows.columns["x"].decision
    declared = Decision(Numeric(), "declared")
    decisions = {"x": inferred if values else declared, "amount": declared}
    split = Split(rows.table, None, None)
    findings = inspect_split(split, rows.table, rows.task, decisions, Input())
    assert [finding.check for finding in findings] == expected


def test_neither_do_those_of_nearly_one_row_each(sample):
    town, level, noise = towns(3000, rows=3000)
    assert measure_category_effects(sample({"town": town, "y": 3 * level + noise}, "y")) == {}


def test_of_columns_that_explain_the_same_one_is_found(sample):
    """That which explains most: the school, and neither its name nor what is nearly its number."""
    rng = np.random.default_rng(0)
    school = rng.integers(1, 401, 6000)
    level = np.random.default_rng(2).normal(size=401)
    grade = level[school] + rng.normal(size=6000)
    size = np.where(school < 30, 4, school)  # some have the same
    columns = {"size": size, "school": school, "name": [f"school {each}" for each in school]}
    assert kinds(sample({**columns, "y": grade}, "y")) == {"school": "codes"}


def test_of_columns_that_explain_something_else_each_is_found(sample):
    rng = np.random.default_rng(1)
    school, teacher = rng.integers(1, 101, 3000), rng.integers(1, 101, 3000)
    levels = rng.normal(size=(2, 101))
    grade = levels[0][school] + levels[1][teacher] + rng.normal(size=3000)
    rows = sample({"school": school, "teacher": teacher, "y": grade}, "y")
    assert kinds(rows) == {"school": "codes", "teacher": "codes"}


def routes(rng, slope=1.0):
    """Distances of 60 routes, and fares that depend on both distance and route."""
    kilometers = rng.permutation(600)[:60] * 7.5
    route = rng.integers(0, 60, 1500)
    level = rng.normal(size=60)[route]
    distance = kilometers[route]
    return distance, slope * distance / 1000 + level + rng.normal(size=1500)


def test_repeated_amounts_are_found_with_the_share_that_each_explains(sample):
    distance, fare = routes(np.random.default_rng(0))
    rows = sample({"distance": distance, "y": fare}, "y")
    finding = finding_of(rows, "repeated_amounts")
    assert finding is not None
    assert finding.columns == ("distance",)
    assert "declare {type: numeric, one_hot_values: 60}" in finding.advice
    assert kinds(rows) == {"distance": "repeated_amounts"}


def test_so_are_whole_numbers_whose_neighbours_are_alike_as_well(sample):
    """Neither codes, as their order explains something, nor amounts alone."""
    school = np.random.default_rng(0).integers(0, 60, 3000)
    level = np.cos(np.arange(60) / 9) + np.random.default_rng(1).normal(size=60)
    grade = level[school] + np.random.default_rng(2).normal(size=3000)
    assert found(sample, school, grade) == ["repeated_amounts"]


def test_amounts_that_a_code_determines_are_its_copies(sample):
    school = np.random.default_rng(0).integers(1, 41, 3000)
    size = np.random.default_rng(1).normal(size=41)[school]
    grade = np.random.default_rng(2).normal(size=41)[school] + np.random.default_rng(3).normal(
        size=3000
    )
    columns = {"size": size, "school": school, "y": grade}
    assert kinds(sample(columns, "y")) == {"school": "codes"}


# In a starter config


def write(folder, columns):
    path = folder / "t.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))
    return path


def test_a_starter_config_has_them_as_categories(tmp_path):
    rng = np.random.default_rng(0)
    many = rng.integers(1, 131, 3000)
    level = np.random.default_rng(4).normal(size=131)
    town = rng.integers(1, 31, 3000)
    grade = level[many] + level[town] + rng.normal(size=3000)
    path = write(
        tmp_path, {"x": many, "town": town, "noise": rng.integers(0, 50, 3000), "y": grade.round(4)}
    )
    text = starter_config(path, "y", config_folder=tmp_path)
    (tmp_path / "t.yaml").write_text(text)
    features = load_config(tmp_path / "t.yaml").config.input.features
    assert features is not None
    assert [each.type for each in features.values()] == ["categorical", "categorical", "numeric"]
    assert "x: {type: categorical, max_categories: 130}  # codes, not quantities: " in text
    assert "    town: categorical  # codes, not quantities: " in re.sub(" +#", "  #", text)
    assert (
        "    # its single values explain 48 % of what other columns leave unexplained, "
        "its neighboring values 0 %\n"
    ) in text


def test_it_has_repeated_amounts_as_numbers_with_categories(tmp_path):
    distance, fare = routes(np.random.default_rng(0))
    other = np.random.default_rng(5).integers(0, 900, 1500) / 8
    path = write(tmp_path, {"distance": distance, "other": other, "y": fare.round(4)})
    text = starter_config(path, "y", config_folder=tmp_path)
    (tmp_path / "t.yaml").write_text(text)
    features = load_config(tmp_path / "t.yaml").config.input.features
    assert features == {"distance": Numeric(one_hot_values=60), "other": Numeric()}
    assert "# numbers that act like IDs, " in text


def test_it_has_fewer_inputs_for_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("dlcli.starter.table_facts.MOST_ENCODED", 1500 * 40)
    distance, fare = routes(np.random.default_rng(0))
    path = write(tmp_path, {"distance": distance, "y": fare.round(4)})
    text = starter_config(path, "y", config_folder=tmp_path)
    assert "distance: {type: numeric, one_hot_values: 40}" in text


def test_it_keeps_rare_categories_that_matter(tmp_path):
    town, level, noise = towns(180)
    path = write(tmp_path, {"town": town, "x": noise.round(3), "y": (level + noise).round(4)})
    text = starter_config(path, "y", config_folder=tmp_path)
    most = len({*town})
    feature = f"{{type: categorical, max_categories: {most}}}"
    assert f"town: {feature}  # text whose rare values " in text
    assert re.search("    # its rare values explain [0-9]+ % of what other columns leave", text)


def test_they_are_no_categories_where_rows_are_split_by_subjects(tmp_path):
    subject = np.repeat(np.arange(1, 41), 15)
    level = np.random.default_rng(6).normal(size=41)
    grade = 3 * level[subject] + np.random.default_rng(7).normal(size=600)
    columns = {"patient": subject, "clinic": (subject * 7) % 41, "y": grade.round(4)}
    path = write(tmp_path, columns)
    text = starter_config(path, "y", config_folder=tmp_path)
    assert "split: {name: group, column: patient}" in text
    assert "clinic: numeric" in text
    findings = inspect_table(read_table(path), "y").issues
    assert "codes" not in [finding.check for finding in findings]
    other = write(tmp_path, {**columns, "patient": np.random.default_rng(8).permutation(subject)})
    assert "codes" in [finding.check for finding in inspect_table(read_table(other), "y").issues]
