from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from PIL import Image

from dlcli.config.config_file import load_config, make_config
from dlcli.config.config_schema import Config
from dlcli.config.data_section import ScalingLayer
from dlcli.config.search_space import draw_settings, with_search_space, with_settings
from dlcli.data_checks.inspection import read_for_inspection
from dlcli.errors import ConfigError, DataError, UsageError
from dlcli.pipeline.events import Events
from dlcli.pipeline.preflight import check
from dlcli.pipeline.preparation import FitRows, member_folds, prepare
from dlcli.starter.commented_yaml import Line, aligned, scalar
from dlcli.starter.config_writing import starter_config
from dlcli.starter.examples import example_names, write_example
from dlcli.starter.recipes import Preset, seconds_in_words
from dlcli.starter.table_facts import ColumnFacts

ROOT = Path(__file__).parents[2]
SHIPPED = [
    "bikes",
    "breast_cancer",
    "diabetes",
    "digits",
    "digits_png",
    "iris",
    "line",
    "penguins",
    "reviews",
    "shoppers",
    "steering",
    "steering_search",
    "tictactoe",
    "xor",
]
SHARED = {"steering_search": "steering"}


def table(folder: Path, **columns: list[object]) -> Path:
    """Writes columns as CSV."""
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def starter(
    data: Path,
    target: str = "y",
    ignore: tuple[str, ...] = (),
    preset: Preset = "simple",
    split: str = "auto",
    warn: Callable[[str], None] = lambda _: None,
) -> str:
    settings: dict[str, Any] = {"ignore": ignore, "preset": preset, "split": split, "warn": warn}
    return starter_config(data, target, config_folder=data.parent, **settings)


def prepared(text: str, folder: Path) -> tuple[Config, FitRows]:
    path = folder / "table.yaml"
    path.write_text(text, encoding="utf-8")
    file = load_config(path)
    return file.config, prepare(file, Events())[0]


def line(text: str, key: str) -> str:
    """The config's line of a key, with single spaces."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return next(line for line in lines if line.startswith(f"{key}: "))


def test_a_small_table_gets_this_config(tmp_path: Path) -> None:
    data = table(
        tmp_path,
        length=[4.3, 5, "", 7.9],
        colour=["red", "blue", "red", "red"],
        plain=["k"] * 4,
        y=["no", "yes", "no", "no"],
    )
    assert starter(data) == snapshot("""\
data:
  train: table.csv  # 4 rows
  target: "y"       # 2 classes: no (3), yes (1)
  # no validation and test rows: too few rows

input:
  features:
    length: numeric      # all values are numbers, 4.3 to 7.9, 1 missing
    colour: categorical  # text, 2 values: red (3), blue (1)
    plain: ignored       # the same value in all rows: k
    # if predictions must never fall as a number rises, write its line as:
    # length: {type: numeric, monotone: increasing}

hidden:  # for 4 rows, one small layer: more units may overfit
  - {units: 16, activation: relu}
  # against overfitting, replace the line above by this one, which also has dropout:
  # - {units: 16, activation: relu, dropout: 0.2}

# the output, the loss and the metrics follow from the target, as if you had written:
#   output: {units: 1, activation: sigmoid}
#   loss: binary_crossentropy
#   metrics: [accuracy]

optimizer: {name: adam, learning_rate: 0.001}  # Adam's default, 1e-3
epochs: 500                                    # passes over the rows
batch_size: 32                                 # rows per step
# no early_stopping: it needs validation rows

# tune:  # the default search of `dlcli tune`; uncomment to change it
#   trials: 50
#   folds: 4
#   space:
#     hidden_layers:
#       number: [1, 2, 3]
#       units: [16, 32, 64]
#       dropout: [0.0, 0.1, 0.3]
#     optimizer.learning_rate: {low: 0.0001, high: 0.01, log: true}
""")


@pytest.mark.parametrize(
    ("zeros", "expected", "comment"),
    [(0, "log1p", "# loss: gamma"), (40, None, "# loss: tweedie")],
)
def test_a_target_with_a_long_tail_is_trained_on_its_logarithm(tmp_path, zeros, expected, comment):
    x = np.random.default_rng(0).normal(size=100)
    y = np.where(np.arange(100) < zeros, 0, np.exp(4 + 1.5 * x))
    text = starter(table(tmp_path, x=x.tolist(), y=y.tolist()))
    scaling = prepared(text, tmp_path)[0].output.scaling
    assert (scaling and scaling.name) == expected
    assert comment in text


@pytest.mark.parametrize("preset", get_args(Preset))
@pytest.mark.parametrize("rows", [10, 30, 600, 1_200])
def test_the_search_in_comments_is_that_of_a_config_without_one(
    tmp_path: Path, rows: int, preset: Preset
) -> None:
    columns = {"x": [i / 7 for i in range(rows)], "y": [i / 3 for i in range(rows)]}
    text = starter(table(tmp_path, **columns), preset=preset)
    before, mark, after = text.partition("# tune:")
    assert mark
    path = tmp_path / "table.yaml"
    path.write_text(before + "\n".join(line[2:] for line in (mark + after).splitlines()))
    checked = check(load_config(path))
    assert checked.tune is not None
    assert checked.tune.space is not None
    path.write_text(text)
    default = with_search_space(load_config(path), rows).config.tune
    assert default is not None
    assert checked.tune == default.model_copy(update={"trials": 50})


def test_rows_are_held_out_from_tables_of_twenty_rows_or_more(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=[i / 7 for i in range(20)], y=[i / 3 for i in range(20)]))
    config, ready = prepared(text, tmp_path)
    assert config.early_stopping is not None
    assert ready.split.validation is not None and ready.split.test is not None
    assert (ready.split.train.rows, ready.split.validation.rows, ready.split.test.rows) == (
        14,
        3,
        3,
    )


def test_all_rows_of_a_table_of_fewer_than_twenty_are_training_rows(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=[i / 7 for i in range(19)], y=[i / 3 for i in range(19)]))
    config, ready = prepared(text, tmp_path)
    assert config.early_stopping is None
    assert ready.split.train.rows == 19


def test_classes_that_are_too_small_to_be_held_out_are_only_in_training_rows(
    tmp_path: Path,
) -> None:
    names = [f"c{i % 15}" for i in range(20)]  # 5 rows may be held out, 6 are required
    text = starter(table(tmp_path, x=[i / 7 for i in range(20)], y=names))
    assert "# no validation and test rows: too few rows of some classes" in text
    assert prepared(text, tmp_path)[1].split.train.rows == 20


def test_the_path_to_the_table_starts_at_the_config(tmp_path: Path) -> None:
    data = table(tmp_path, x=[1.5, 2], y=[1, 3])
    text = starter_config(data, "y", config_folder=tmp_path / "configs" / "new")
    assert line(text, "train") == "train: ../../table.csv # 2 rows"


def test_codes_with_leading_zeros_are_categories(tmp_path: Path) -> None:
    text = starter(table(tmp_path, zip=["01234", "04711", "01234"], y=[1, 2, 3.5]))
    expected = "zip: categorical # codes with leading zeros, 2 values: "
    assert line(text, "zip") == expected + "01234 (2), 04711 (1)"
    assert prepared(text, tmp_path)[1].decisions["zip"].feature.type == "categorical"


def test_decimals_below_one_are_not_codes(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=["0.5", "0", "0.25"], y=[1, 2, 3.5]))
    assert line(text, "x") == "x: numeric # all values are numbers, 0 to 0.5"


def test_an_identifier_is_ignored(tmp_path: Path) -> None:
    rows = range(20)
    text = starter(
        table(tmp_path, id=[3 * i for i in rows], x=[i / 7 for i in rows], y=[i / 3 for i in rows])
    )
    assert line(text, "id") == "id: ignored # a different value in each row: an identifier"


def test_whole_numbers_that_happen_to_differ_are_read(tmp_path: Path) -> None:
    values = [i * i for i in range(20)]
    text = starter(table(tmp_path, area=values, y=[i / 3 for i in range(20)]))
    assert line(text, "area") == "area: numeric # all values are numbers, 0 to 361"


def test_the_only_column_is_read_though_it_looks_like_an_identifier(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=list(range(20)), y=[i / 3 for i in range(20)]))
    assert line(text, "x") == "x: numeric # all values are numbers, 0 to 19"


def test_uninformative_columns_are_ignored_with_the_reason(tmp_path: Path) -> None:
    rows = range(20)
    text = starter(
        table(
            tmp_path,
            empty=[""] * 20,
            rare=[i if i < 7 else "" for i in rows],
            wild=["inf" if i == 3 else i for i in rows],
            x=[i / 7 for i in rows],
            y=[i / 3 for i in rows],
        )
    )
    assert line(text, "empty") == "empty: ignored # has no value"
    assert line(text, "rare") == "rare: ignored # 7 values in 20 rows are too few"
    infinite = "all values are numbers, but one is infinite or beyond 3.4e+38"
    assert line(text, "wild") == f"wild: ignored # {infinite}"
    prepared(text, tmp_path)


@pytest.mark.parametrize(
    ("gaps", "rows"),
    [
        ([""], "3 rows with a target; 1 without a target is omitted"),
        (["", "NA"], "3 rows with a target; 2 without a target are omitted"),
        ([], "3 rows"),
    ],
)
def test_rows_without_a_target_are_counted_and_describe_no_column(
    gaps: list[str], rows: str, tmp_path: Path
) -> None:
    text = starter(table(tmp_path, x=[1.5, 2, 4, *[9] * len(gaps)], y=[1, 2, 3.5, *gaps]))
    assert line(text, "train") == f"train: table.csv # {rows}"
    assert line(text, "target") == 'target: "y" # numeric, 1 to 3.5'
    assert line(text, "x") == "x: numeric # all values are numbers, 1.5 to 4"
    assert prepared(text, tmp_path)[1].split.train.rows == 3


def test_a_row_with_totals_is_omitted(tmp_path: Path) -> None:
    numbers = [n + 0.5 for n in range(1, 41)]
    kinds, shops = [*("ab" * 20), ""], [*(f"s{n % 7}" for n in range(40)), "Total"]
    data, warnings = table(tmp_path, shop=shops, kind=kinds, y=[*numbers, sum(numbers)]), []

    text = starter(data, warn=warnings.append)

    assert warnings == [f"{data}: the last row contains totals and is omitted (data.footer: Total)"]
    config, made = prepared(text, tmp_path)
    assert config.data.footer == "Total"
    assert sum(each.rows for each in made.split.tables.values()) == len(numbers)


def test_two_header_lines_are_joined(tmp_path: Path) -> None:
    rows = "".join(f"s{n % 7},{n},{n + 0.5}\n" for n in range(40))
    data, warnings = tmp_path / "prices.csv", list[str]()
    data.write_text(f"shop,size,price\n,(m2),(EUR)\n{rows}Total,780,800\n", "utf-8")

    text = starter_config(data, "price", config_folder=tmp_path, warn=warnings.append)

    assert warnings[:2] == [
        f"{data}: the first row is a second header line; the names of both lines are joined "
        "(data.header: 2)",
        f"{data}: the last row contains totals and is omitted (data.footer: Total)",
    ]
    config, _ = prepared(text, tmp_path)
    assert (config.data.header, config.data.footer) == (2, "Total")
    assert config.data.target.columns == ("price (EUR)",)
    inspected, targets = read_for_inspection(data, "price")
    assert (inspected.rows, inspected.columns) == (40, ("shop", "size (m2)", "price (EUR)"))
    assert (list(inspected.warnings), targets) == (warnings[:2], ("price (EUR)",))


def test_words_for_missing_numbers_are_noted_in_a_comment(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=["1.5", "?", "NA", "4"], y=[1, 2, 3, 4.5]))
    remark = "'?', 'NA' are read as missing: 2 values in 'x'; data.missing: [] turns this off"
    assert f"table.csv: {remark}" in text
    assert line(text, "x") == "x: numeric # all values are numbers, 1.5 to 4, 2 missing"
    assert prepared(text, tmp_path)[1].decisions["x"].feature.type == "numeric"


def test_a_class_named_none_stays_a_class(tmp_path: Path) -> None:
    numbers, y = [1.5, "none", 3, 7], ["none", "some", "none", "many"]
    text = starter(table(tmp_path, x=numbers, z=[1, 2, 4, 8], y=y))
    assert line(text, "target").endswith("none (2), some (1), many (1)")
    assert line(text, "x") == "x: numeric # all values are numbers, 1.5 to 7, 1 missing"
    assert prepared(text, tmp_path)[1].task.classes == ("many", "none", "some")


def test_words_for_missing_dates_are_missing(tmp_path: Path) -> None:
    days = ["31.12.2024", "02.01.2024", "-", "03.01.2024"]
    text = starter(table(tmp_path, day=days, y=[1, 2, 3, 4.5]))
    written = '{type: datetime, format: "%d.%m.%Y"} # dates such as 31.12.2024, 1 missing'
    assert line(text, "day") == f"day: {written}"
    prepared(text, tmp_path)


def test_dates_in_two_forms_get_both_formats(tmp_path: Path) -> None:
    days = ["31.12.2024", "02.01.2024 12:30", "03.01.2024"]
    text = starter(table(tmp_path, day=days, y=[1, 2, 4.5]))
    formats = '["%d.%m.%Y", "%d.%m.%Y %H:%M"]'
    assert line(text, "day").startswith(f"day: {{type: datetime, format: {formats}}} # ")
    assert prepared(text, tmp_path)[1].decisions["day"].feature.type == "datetime"


def test_dates_with_two_readings_are_ignored_with_both(tmp_path: Path) -> None:
    text = starter(table(tmp_path, day=["01/02/2024", "03/04/2024"], x=[1.5, 2], y=[1, 2.5]))
    assert line(text, "day").startswith("day: ignored # dates, but no value shows whether ")
    assert '    # set format: "%d/%m/%Y" or format: "%m/%d/%Y"\n' in text


def test_sentences_are_read_as_text(tmp_path: Path) -> None:
    texts = ["a very good place", "not good at all", "nobody came again"]
    text = starter(table(tmp_path, said=texts, y=["p", "n", "n"]))
    assert line(text, "said") == "said: text # text of 4 words on average, 3 values"
    prepared(text, tmp_path)


def test_images_get_their_own_small_shape(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("L", (9, 8)).save(tmp_path / f"{name}.png")
    text = starter(table(tmp_path, file=["a.png", "b.png", "c.png"], y=["p", "n", "n"]))
    reason = "paths of PNG images, grayscale, 9 × 8 pixels"
    assert line(text, "file") == f"file: {{type: image, shape: [8, 9, 1]}} # {reason}"
    prepared(text, tmp_path)


def test_a_column_of_numbers_with_a_few_words_is_numeric(tmp_path: Path) -> None:
    values = [*range(100, 119), "1.2.3"]
    rows = range(20)
    text = starter(table(tmp_path, a=values, x=[i / 7 for i in rows], y=[i / 3 for i in rows]))
    assert line(text, "a") == "a: numeric # all values are numbers, 100 to 118, 1 missing"
    prepared(text, tmp_path)


def panel(subjects: int, **columns: list[object]) -> dict[str, list[object]]:
    """Subjects with four rows each, in which y differs more between than within them."""
    rows = range(4 * subjects)
    subject = [100 + i // 4 for i in rows]
    y = [(i // 4) * 7 % 23 + i % 4 / 10 for i in rows]
    return {"patient": subject, "x": [i * 13 % 17 for i in rows], **columns, "y": y}


def test_rows_of_many_subjects_are_split_by_subject(tmp_path: Path) -> None:
    text = starter(table(tmp_path, **panel(25)))
    why = "rows with the same value are similar, so they stay in one set"
    assert line(text, "split") == f"split: {{name: group, column: patient}} # {why}"
    assert list(yaml.safe_load(text)["input"]["features"]) == ["x"]
    assert (
        "  # if you will predict for the same 25 values, not for new ones:\n"
        "  #   split: random, and in input.features, patient: {type: categorical, "
        "max_categories: 25}\n"
    ) in text
    found = prepared(text, tmp_path)[1]
    held_out = found.split.test
    assert held_out is not None
    assert not {*held_out.texts("patient")} & {*found.split.train.texts("patient")}


def test_splitting_rows_of_few_subjects_by_subject_is_suggested(tmp_path: Path) -> None:
    warnings: list[str] = []
    data = table(tmp_path, **panel(8))
    text = starter_config(data, "y", config_folder=tmp_path, warn=warnings.append)
    assert len(warnings) == 1
    assert "'patient' are similar, so metrics of a random split are too optimistic" in warnings[0]
    assert "split" not in yaml.safe_load(text)["data"]
    assert "patient" in yaml.safe_load(text)["input"]["features"]
    assert (
        "  # rows with the same 'patient' are similar, so metrics of a random split are "
        "too optimistic\n"
        "  # to evaluate on new values of 'patient', set data.split: {name: group, column: "
        "patient}\n"
        "  #   and in input.features, patient: ignored, because no training row has the values of these rows\n"
    ) in text
    groups = text.replace("  test:", "  split: {name: group, column: patient}\n  test:")
    split = prepared(groups.replace("patient: numeric", "patient: ignored"), tmp_path)[1].split
    assert split.test is not None


def by_day() -> dict[str, list[object]]:
    """A target that drifts from day to day, for ten months of 28 days."""
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(280)]
    level = [(i // 14) * 7 % 23 + i % 4 / 10 for i in range(280)]
    return {"date": days, "x": [i * 13 % 17 for i in range(280)], "y": level}


def test_rows_in_the_order_of_a_date_are_split_in_time(tmp_path: Path) -> None:
    text = starter(table(tmp_path, **by_day()))
    why = "the earliest rows train, the latest rows test"
    assert line(text, "split") == f"split: {{name: time, column: date}} # {why}"
    assert "  # rows of about the same 'date' are similar, so metrics of a random split are" in text
    # No later row has a month or an elapsed time of the earlier ones.
    assert yaml.safe_load(text)["input"]["features"]["date"] == {
        "type": "datetime",
        "parts": ["day", "weekday"],
        "format": "iso",
    }
    made = prepared(text, tmp_path)[1]
    assert made.split.test is not None
    assert made.split.test.texts("date")[0] == "2024-09-15"


def test_rows_by_year_and_month_are_split_in_time_and_months_stay_a_feature(tmp_path: Path) -> None:
    rows = range(240)
    year, month = [1990 + i // 12 for i in rows], [1 + i % 12 for i in rows]
    level = [(i // 12) * 7 % 23 + i % 4 / 10 for i in rows]
    late = ["" if i < 180 else i % 5 for i in rows]
    data = table(
        tmp_path, year=year, month=month, x=[i * 13 % 17 for i in rows], late=late, y=level
    )
    said: list[str] = []
    text = starter(data, warn=said.append)
    assert yaml.safe_load(text)["data"]["split"] == {"name": "time", "column": ["year", "month"]}
    features = yaml.safe_load(text)["input"]["features"]
    assert {name: features[name] for name in ("year", "month")} == {
        "year": "ignored",
        "month": "numeric",
    }
    assert line(text, "late") == "late: ignored # only later rows have a value"
    assert said == [
        f"{data}: rows of about the same 'year' and 'month' are similar, so metrics of a random "
        "split are too optimistic; the config has data.split: {name: time, column: [year, month]}"
    ]
    made = prepared(text, tmp_path)[1]
    assert made.split.test is not None
    assert {*made.split.test.texts("year")} == {"2007", "2008", "2009"}
    assert starter(data, split="time:year,month").splitlines() == [
        each for each in text.splitlines() if "are similar" not in each
    ]


def test_an_option_sets_the_split(tmp_path: Path) -> None:
    said: list[str] = []
    data = table(tmp_path, **panel(25))
    assert yaml.safe_load(starter(data, split="random", warn=said.append))["data"]["split"] == (
        "random"
    )
    classes = starter(table(tmp_path, **{**panel(25), "y": [*"ab" * 50]}), split="random")
    assert yaml.safe_load(classes)["data"]["split"] == "random"  # stratified would cause a warning
    assert "# with stratified, every set has the same share of each class\n" in classes
    text = starter(data, split="group:x")
    assert yaml.safe_load(text)["data"]["split"] == {"name": "group", "column": "x"}
    assert "are similar" not in text and said == []


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("time", "'split': expected time:COLUMN, got 'time'"),
        ("month", "'split': expected time:COLUMN, group:COLUMN or random, got 'month'"),
        ("group:patent", "no column 'patent' in the table; did you mean 'patient'?"),
        ("time:x, yer", "no column 'yer' in the table; the table has patient, x, y"),
        ("time:y", "'split': 'y' is a target, whose values are not known for new rows"),
    ],
)
def test_an_impossible_split_is_refused(tmp_path: Path, split: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        starter(table(tmp_path, **panel(25)), split=split)
    assert message in str(caught.value)


def test_another_name_of_the_group_is_no_feature(tmp_path: Path) -> None:
    code = [f"c{i // 4}" for i in range(100)]
    shared = [f"s{min(i // 4, 23)}" for i in range(100)]
    city = [f"t{i // 8}" for i in range(100)]
    text = starter(table(tmp_path, **panel(25, code=code, shared=shared, city=city)))
    assert line(text, "code") == "code: ignored # another name of patient"
    assert line(text, "shared") == "shared: ignored # another name of patient"
    assert line(text, "city").startswith("city: categorical")


def test_rows_are_not_split_by_subject_if_training_would_lack_a_class(tmp_path: Path) -> None:
    columns = panel(25)
    columns["y"] = [f"c{i // 4}" for i in range(100)]
    assert "split" not in yaml.safe_load(starter(table(tmp_path, **columns)))["data"]


@pytest.mark.parametrize("others", [2, 50])
def test_a_leaking_column_is_noted_in_a_comment(tmp_path: Path, others: int) -> None:
    noise = np.random.default_rng(0).normal(size=(others, 60)).tolist()
    columns = {f"x{i}": each for i, each in enumerate(noise)}
    labels = ["ab"[i % 2] for i in range(60)]
    refunds = [{"a": "yes", "b": "no"}[label] for label in labels]
    text = starter(table(tmp_path, **columns, refund=refunds, y=labels))
    assert (
        "# text, 2 values: yes (30), no (30)\n"
        "    # it alone predicts nearly all of the target; write ignored if it is\n"
        "    # derived from the target or unknown when predictions are made\n"
    ) in text
    assert text.count("it alone") == 1
    assert yaml.safe_load(text)["input"]["features"]["refund"] == "categorical"


def test_an_order_is_suggested_for_the_words_of_a_scale(tmp_path: Path) -> None:
    sizes = ["Large", "small", "medium"] * 10
    text = starter(
        table(tmp_path, size=sizes, x=["a", "b", "c"] * 10, y=[i / 3 for i in range(30)])
    )
    hint = "# if their order matters: {type: categorical, order: [small, medium, Large]}"
    assert [line.strip() for line in text.splitlines() if "order matters" in line] == [hint]


@pytest.mark.parametrize("preset", ["simple", "good"])
def test_the_comment_on_a_monotone_column_can_be_followed(tmp_path: Path, preset: Preset) -> None:
    x = [i * 7 % 60 / 3 for i in range(60)]
    columns = {"name": ["a", "b", "c"] * 20, "x": x, "y": [i % 9 + 0.5 for i in range(60)]}
    text = starter(table(tmp_path, **columns), preset=preset)
    way, written = re.findall("    # (if predictions must.*)\n    # (.*)\n", text)[0]
    assert ("replace silu by relu" in way) == (preset == "good")
    followed = text.replace("activation: silu", "activation: relu").replace(f"# {written}", "")
    config, made = prepared(re.sub("\n    x: .*", f"\n    {written}", followed), tmp_path)
    assert [each.column for each in made.encoding.features if each.direction == 1] == ["x"]
    assert len(config.hidden) >= 1


def test_no_monotone_column_is_suggested_where_it_would_be_refused(tmp_path: Path) -> None:
    x = [i * 7 % 60 / 3 for i in range(60)]
    data = table(tmp_path, x=x, y=[i % 9 + 0.5 for i in range(60)], kind=["a", "b", "c"] * 20)
    assert "monotone" not in starter(data, "kind")  # three classes
    assert "monotone" not in starter(data, preset="best")  # waves in a group
    assert "monotone" in starter(data)


def test_an_embedding_is_suggested_for_very_many_categories(tmp_path: Path) -> None:
    towns = [f"t{i % 51}" for i in range(102)]
    text = starter(table(tmp_path, town=towns, y=[i / 3 for i in range(102)]))
    assert "# with this many values, {type: categorical, encoding: embedding} needs fewer" in text
    assert line(text, "town").startswith("town: categorical # text, 51 values: t0 (2), ")


@pytest.mark.parametrize(("rare", "named"), [(5, False), (4, True)])
def test_classes_that_differ_by_more_than_three_times_may_be_balanced(
    tmp_path: Path, rare: int, named: bool
) -> None:
    names = ["a"] * 15 + ["b"] * rare
    text = starter(table(tmp_path, x=[i / 7 for i in range(15 + rare)], y=names))
    why = f"classes have {rare} to 15 rows; rare ones then weigh as much as the others"
    said = f"# class_weight: balanced  # {why}"
    assert (said in text) == named
    uncommented = text.replace("# class_weight", "class_weight")
    assert prepared(uncommented, tmp_path)[0].class_weight == ("balanced" if named else None)


@pytest.mark.parametrize(
    ("names", "metrics"),
    [
        (["a"] * 90 + ["b"] * 10, None),
        (["a"] * 91 + ["b"] * 9, ("auc",)),
        (["a"] * 60 + ["b"] * 31 + ["c"] * 9, ("balanced_accuracy",)),
    ],
)
def test_a_rare_class_gets_a_metric_that_accuracy_does_not_hide(
    tmp_path: Path, names: list[str], metrics: tuple[str, ...] | None
) -> None:
    text = starter(table(tmp_path, x=[i / 7 for i in range(100)], y=names))
    config = prepared(text, tmp_path)[0]
    assert config.metrics == metrics


def test_whole_numbers_from_zero_on_may_be_counts(tmp_path: Path) -> None:
    visits = [0, 3, 1, 40, 2, 7]
    text = starter(table(tmp_path, x=[i / 7 for i in range(6)], y=visits))
    declared = 'target: {column: "y", type: count}'
    assert f"# if it is a count (never negative): {declared}" in text


@pytest.mark.parametrize("values", [[0.5, 2, 3], [-1, 2, 3], [1500, 3000, 4000]])
def test_fractions_negative_and_large_numbers_are_not_counts(
    tmp_path: Path, values: list[float]
) -> None:
    assert "counts" not in starter(table(tmp_path, x=[1.5, 2, 3], y=values))


def test_few_whole_values_are_flagged_as_codes(tmp_path: Path) -> None:
    text = starter(table(tmp_path, sex=[1, 2] * 3, flag=[0, 1, 1] * 2, y=[5, 7, 9] * 2))
    reason = "integers, 1 to 2; categorical if codes"
    assert line(text, "sex") == f"sex: numeric # {reason}"
    assert line(text, "flag") == "flag: numeric # all values are numbers, 0 to 1"
    hint = 'if its 3 integers are classes: target: {column: "y", type: categorical}'
    assert f"  # {hint}\n" in text
    assert prepared(text, tmp_path)[1].task.classes == ()


def test_the_suggestion_for_codes_is_shown_in_full_next_to_a_long_name(tmp_path: Path) -> None:
    name = "months_since_last_delinquency_grade"
    grades = {name: [100, None, 50, 50, 100, 75, 75], "when": ["2024-01-05"] * 7}
    text = starter(table(tmp_path, **grades, y=[5, 7, 5, 7, 1.5, 2, 3]))
    comment = "integers, 50 to 100; categorical if codes (1 missing)"
    assert line(text, name) == f"{name}: numeric # {comment}"


@pytest.mark.parametrize(("name", "is_named"), [("movieId", True), ("votes", False)])
def test_numbers_called_identifiers_may_be_categories(
    tmp_path: Path, name: str, is_named: bool
) -> None:
    columns = {name: [31 * at % 60 for at in range(120)], "y": [at % 7 / 3 for at in range(120)]}
    encoded = "{type: categorical, encoding: embedding, max_categories: 60}"
    text = starter(table(tmp_path, **columns))
    assert (f"    # if these are IDs, not quantities: {encoded}\n" in text) == is_named
    declared = text.replace(f"{name}: numeric", f"{name}: {encoded}")
    prepared(declared, tmp_path)


def test_large_fractions_have_no_exponent(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=[3139834.26, 11213596.5, 0.5], y=[1.5, 2, 3]))
    assert line(text, "x") == "x: numeric # all values are numbers, 0.5 to 11213596"


def test_a_target_of_numbers_with_a_few_words_is_numeric(tmp_path: Path) -> None:
    prices = [*(f"{at},000.5" for at in range(1, 21)), *(f"{at},000.5" for at in range(1, 19))]
    data = table(tmp_path, x=[1.5 * at for at in range(40)], y=["ask", "ask", *prices])
    text = starter(data)
    assert 'missing: {"y": ["ask"]}' in text
    assert prepared(text, tmp_path)[1].task.type == "numeric"


def test_defaults_that_follow_from_the_target_are_named(tmp_path: Path) -> None:
    text = starter(table(tmp_path, x=[1.5, 2, 3, 4], y=["a", "b", "c", "a"]))
    written = text.replace("\n#   ", "\n")  # uncommented
    settings = "output: {units: 3, activation: softmax}\nloss: sparse_categorical_crossentropy\n"
    assert f"\n{settings}metrics: [accuracy]\n" in written


def test_the_comment_on_a_pattern_counts_the_reasons_of_its_columns(tmp_path: Path) -> None:
    words = {f"word_{at}": ["a", "b", "c", "a"] for at in range(40)}
    flags = {f"word_{at}": ["d", "e", "e", "d"] for at in range(40, 45)}
    text = starter(table(tmp_path, x=[1.5, 2, 3, 4], **words, **flags, y=[1.5, 2, 3, 4]))
    line = '"word_*": categorical  # 45 columns, word_0 to word_44: text, 2 to 3 values each'
    assert line in re.sub(" +#", "  #", text)


def test_many_columns_are_written_as_a_pattern_with_exceptions(tmp_path: Path) -> None:
    pixels = {f"pixel_{i}": [i, 100 + i] for i in range(1, 51)}
    text = starter(table(tmp_path, pixel_0=[0, 0], **pixels, hue=["r", "g"], y=[1, 2]))
    features = yaml.safe_load(text)["input"]["features"]
    assert features == {"hue": "categorical", "pixel_0": "ignored", "pixel_*": "numeric"}
    summary = "50 columns, pixel_1 to pixel_50: all values are numbers, 1 to 150"
    assert line(text, '"pixel_*"') == f'"pixel_*": numeric # {summary}'
    assert len(prepared(text, tmp_path)[1].encoding.features) == 51


def test_many_columns_without_a_common_pattern_are_matched_by_a_star(tmp_path: Path) -> None:
    names = [f"{a}{b}" for a in "abcdef" for b in "ghijklm"]
    columns = {name: [1.5, 2] for name in names}
    text = starter(table(tmp_path, hue=["r", "g"], **columns, y=[1, 2]))
    assert yaml.safe_load(text)["input"]["features"] == {"hue": "categorical", "*": "numeric"}


def test_the_types_of_very_many_columns_are_inferred_in_training(tmp_path: Path) -> None:
    names = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrs"]
    columns = {name: [1.5, 2] if at % 2 else ["r", "g"] for at, name in enumerate(names)}
    data = table(tmp_path, wild=["inf", 1], secret=[3, 1], **columns, y=[1, 2])
    features = yaml.safe_load(starter(data, ignore=("secret",)))["input"]["features"]
    assert features == {"secret": "ignored", "*": "auto"}


def test_a_column_named_like_a_pattern_is_written_as_a_column(tmp_path: Path) -> None:
    columns = {f"p{i}": [i, 1 + i] for i in range(50)}
    text = starter(table(tmp_path, **{"p*": [7, 8], "*": ["r", "g"]}, **columns, y=[1, 2]))
    features = yaml.safe_load(text)["input"]["features"]
    assert len(features) == 52
    assert (features["p*"], features["*"]) == ("numeric", "categorical")


@pytest.mark.parametrize(
    "name",
    [
        "no",
        "Y",
        "1",
        "1e-3",
        "a: b",
        "#x",
        "*star",
        "what?",
        "größe",
        "it's",
        'q"',
        "-",
        "~",
        "a #b",
    ],
)
def test_odd_names_are_read_back_by_yaml_1_1_and_1_2(tmp_path: Path, name: str) -> None:
    text = starter(table(tmp_path, **{name: [1.5, 2], "target, or not": [1, 2]}), "target, or not")
    assert yaml.safe_load(text)["input"]["features"] == {name: "numeric"}
    config, _ = prepared(text, tmp_path)
    assert list(config.input.features or {}) == [name]
    assert config.data.target.columns == ("target, or not",)


def test_values_are_quoted_only_if_necessary() -> None:
    assert [scalar(text) for text in ("../data/iris.csv", "sepal length", "no", "🏠 m²")] == [
        "../data/iris.csv",
        "sepal length",
        '"no"',
        '"🏠 m²"',
    ]


def test_comments_are_aligned_behind_wide_characters() -> None:
    lines = [Line("日期", "datetime", "a"), Line("size", "numeric", "b")]
    assert aligned(lines) == "日期: datetime  # a\nsize: numeric   # b\n"


def test_names_that_are_too_long_for_a_plain_key_are_read_back(tmp_path: Path) -> None:
    text = starter(table(tmp_path, **{"long" * 300: [1.5, 2]}, y=[1, 2]))
    assert list(prepared(text, tmp_path)[0].input.features or {}) == ["long" * 300]


def test_dates_of_a_parquet_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    when = pa.array([0, 1], pa.date32())
    pq.write_table(pa.table({"when": when, "x": [1.5, 2.0], "y": [1.0, 2.0]}), path)
    text = starter(path)
    assert line(text, "when") == "when: datetime # stored as dates"
    prepared(text, tmp_path)


@pytest.mark.parametrize(
    ("targets", "written"),
    [
        ({"y": [2.5, 4], "no": [0, 1]}, 'target: [y, "no"] # 2 numbers: 2.5 to 4, 0 to 1'),
        (
            {"y": [0, 1], "no": [1, 1]},
            'target: [y, "no"] # 2 labels; a row can have any number of them',
        ),
    ],
)
def test_several_target_columns_are_numbers_or_labels(
    tmp_path: Path, targets: dict[str, list[object]], written: str
) -> None:
    data = table(tmp_path, x=[1.5, 2], **targets)
    text = starter_config(data, [*targets], config_folder=tmp_path)
    assert line(text, "target").replace('"y"', "y") == written
    config, _ = prepared(text, tmp_path)
    assert config.data.target.columns == ("y", "no")
    assert [*(config.input.features or {})] == ["x"]


def test_several_target_columns_must_not_be_classes(tmp_path: Path) -> None:
    data = table(tmp_path, x=[1.5, 2], y=[1, 2], color=["red", "blue"])
    with pytest.raises(DataError, match="column 'color': is not numeric; a target of several"):
        starter_config(data, ["y", "color"], config_folder=tmp_path)


def test_the_error_for_an_unknown_target_suggests_the_most_similar_column(tmp_path: Path) -> None:
    data = table(tmp_path, x=[1, 2], species=["a", "b"])
    with pytest.raises(UsageError, match="no column 'speces' in the table; did you mean 'species'"):
        starter(data, "speces")


def test_standard_input_is_refused_as_the_table_of_a_config() -> None:
    with pytest.raises(UsageError, match="not standard input"):
        starter_config(Path("-"), "y", config_folder=Path("."))


def test_a_target_alone_leaves_nothing_to_predict_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the table has no columns other than 'y'"):
        starter(table(tmp_path, y=[1, 2]))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["a", "b", "c"], "each of the 3 classes occurs only once"),
        (["a", "a", "a"], "has only the class"),
        ([1, "inf", 3], "expected a finite number, got 'inf'"),
        ([1, "1e39", 3], r"a number within ±3.4e\+38 \(float32\), got 1e\+39"),
        (["", " ", ""], "no row has a target"),
        ([1, "", ""], "has one row with a target, expected at least two"),
    ],
)
def test_a_target_that_can_not_be_learned_is_a_data_error(
    tmp_path: Path, target: list[object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        starter(table(tmp_path, x=[1.5, 2, 3], y=target))


def test_one_row_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has one row with a target, expected at least two"):
        starter(table(tmp_path, x=[1], y=[2]))


SIGNS = st.characters(codec="utf-8", exclude_characters="\0")  # a NUL is refused by the table
CELLS = [
    st.text(SIGNS, max_size=5),
    st.integers(-2, 3),
    st.floats(-1e38, 1e38) | st.just(float("inf")),
    st.booleans(),
    st.sampled_from(["", "NA", "?", "01", "a", "true", "0", "1"]),
]
NAMES = st.text(SIGNS, min_size=1, max_size=8) | st.from_regex(
    r"[pq*?_]{1,2}[0-9]{1,2}", fullmatch=True
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[object]]]:
    """Names, and as many columns of equal length."""
    names = draw(st.lists(NAMES, min_size=2, max_size=50, unique_by=str.strip))
    rows = draw(st.integers(1, 30))
    kinds = [draw(st.sampled_from(CELLS)) for _ in names]
    return names, [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]


@pytest.mark.slow
@given(tables(), st.data())
def test_every_config_loads_and_fits_its_table(
    drawn: tuple[list[str], list[list[object]]], data: st.DataObject
) -> None:
    names, columns = drawn
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([names, *zip(*columns, strict=True)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "table.csv"
        path.write_bytes(stream.getvalue().encode())
        target = data.draw(st.sampled_from(names)).strip()
        try:
            text = starter(path, target)
        except (DataError, ConfigError, UsageError):
            return  # a table that no config fits
        file_text = yaml.safe_load(text)
        assert file_text["data"]["train"] == "table.csv"
        try:
            prepared(text, folder)
        except DataError:
            return  # what only the drawn training rows show


def test_all_shipped_examples_are_listed() -> None:
    assert example_names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_an_example_is_written_with_its_table_and_is_valid(tmp_path: Path, name: str) -> None:
    written = write_example(name, tmp_path / "new")
    table = SHARED.get(name, name)
    names = [path.name for path in written]
    assert names[:3] == [f"{name}.yaml", f"{table}.csv", f"{table}.md"]
    assert "dlcli.schema.json" in names[3:]
    assert written[1].read_bytes() == (ROOT / "data" / f"{table}.csv").read_bytes()
    assert written[2].read_bytes() == (ROOT / "data" / f"{table}.md").read_bytes()
    prepare(load_config(written[0]), Events())


def test_an_example_brings_the_images_that_its_table_names(tmp_path: Path) -> None:
    table = write_example("digits_png", tmp_path)[1]
    with table.open(newline="", encoding="utf-8") as stream:
        paths = [row["image"] for row in csv.DictReader(stream)]
    assert len(paths) == 1797
    assert all(tmp_path.joinpath(path).is_file() for path in paths)


def test_an_example_differs_from_the_shipped_one_by_its_path_only(tmp_path: Path) -> None:
    written = write_example("iris", tmp_path)[0].read_text(encoding="utf-8").splitlines()
    shipped = (ROOT / "configs" / "iris.yaml").read_text(encoding="utf-8").splitlines()
    changed = [pair for pair in zip(shipped, written, strict=True) if pair[0] != pair[1]]
    assert changed == [("  train: ../data/iris.csv", "  train: iris.csv")]


def test_the_comments_of_an_example_stay_aligned(tmp_path: Path) -> None:
    lines = write_example("line", tmp_path)[0].read_text(encoding="utf-8").splitlines()
    train, target = (line for line in lines if line.startswith(("  train:", "  target:")))
    assert train.startswith("  train: line.csv ")
    assert train.index("#") == target.index("#")


def test_an_example_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "line.md").write_text("mine")
    with pytest.raises(UsageError, match=r"line\.md: already exists"):
        write_example("line", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["line.md"]
    assert (tmp_path / "line.md").read_text() == "mine"


def test_an_example_that_fails_halfway_writes_no_file(tmp_path: Path) -> None:
    os.symlink(tmp_path / "nowhere", tmp_path / "line.md")  # a link to a missing file
    with pytest.raises(UsageError, match="can't be written to"):
        write_example("line", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["line.md"]


def test_the_error_for_an_unknown_example_suggests_the_most_similar_one() -> None:
    with pytest.raises(UsageError, match="no example 'irs'; there are .*did you mean 'iris'"):
        write_example("irs", Path("."))


def test_no_path_outside_the_folder_of_examples_is_an_example() -> None:
    with pytest.raises(UsageError, match="no example"):
        write_example("../configs/iris", Path("."))


@pytest.mark.slow
def test_no_tensorflow_is_loaded() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from dlcli.starter.config_writing import starter_config\n"
        "starter_config(Path('data/iris.csv'), 'species', config_folder=Path('.'))\n"
        "print(*{'tensorflow', 'keras', 'pandas'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("", "")


def good(data: Path) -> str:
    return starter_config(data, "y", config_folder=data.parent, preset="good")


@pytest.mark.parametrize(("rows", "scale"), [(999, ScalingLayer()), (1_000, "auto")])
def test_the_good_preset_tests_the_scaling_layer_if_folds_have_enough_rows(
    tmp_path: Path, rows: int, scale: object
) -> None:
    y = [row * row % 97 + 0.5 for row in range(rows)]
    text = good(table(tmp_path, a=[7 * row % rows for row in range(rows)], y=y))
    config = make_config(text).config
    assert config.input.scaling_layer == scale
    assert config.input.scaling_multiplier == 40


def test_the_good_preset_is_an_ensemble_on_folds_of_all_rows(tmp_path: Path) -> None:
    y = [row % 11 + 0.5 for row in range(60)]
    data = table(tmp_path, a=[7 * row % 60 for row in range(60)], y=y)
    text = good(data)
    assert (
        """\
  # all rows are used for training; for the metrics, each row is predicted by the networks not trained on it
  # test: 0.15  # uncomment it to keep separate test rows for the final metrics
"""
        in text
    )
    config, made = prepared(text, tmp_path)
    assert config.ensemble_folds == 8
    assert config.data.validation is None
    assert (made.split.train.rows, made.split.test) == (60, None)
    _, held_out = prepared(text.replace("# test: 0.15", "test: 0.15"), tmp_path)
    assert held_out.split.test and held_out.split.test.rows == 9
    assert [layer.units for layer in config.hidden] == [128, 128, 128]
    assert config.early_stopping is not None
    stopping = config.early_stopping
    assert (config.epochs, stopping.patience, stopping.tolerance) == (200, 30, 0.1)
    assert "tolerance: 0.1}  # ends if 30 epochs exceed the best by 0.1\n" in text
    assert config.learning_rate_schedule.name == "cosine_decay_restarts"
    assert config.input.scaling_layer == ScalingLayer()
    assert made.encoding.layout.width == 16
    with pytest.raises(ConfigError, match="each member of the ensemble is validated"):
        load_config(tmp_path / "table.yaml", ["data.validation=0.2"])


@pytest.mark.parametrize(
    ("target", "is_written"),
    [("size", False), ("color", True), (["young", "old"], True)],
)
def test_the_good_preset_keeps_probabilities_of_classes_and_labels_from_0(
    tmp_path: Path, target: str | list[str], is_written: bool
) -> None:
    columns = {
        "x": [row * 7 % 60 for row in range(60)],
        "size": [row % 11 + 0.5 for row in range(60)],
        "color": ["red", "green", "blue"] * 20,
        "young": [row % 2 == 0 for row in range(60)],
        "old": [row % 3 == 0 for row in range(60)],
    }
    data = table(tmp_path, **columns)
    text = starter_config(data, target, config_folder=tmp_path, preset="good")
    assert ("\noutput: {probability_floor: auto}" in text) == is_written
    floor = prepared(text, tmp_path)[0].output.probability_floor
    assert floor == ("auto" if is_written else None)
    simple = starter_config(data, target, config_folder=tmp_path, preset="simple")
    assert "probability_floor" not in simple


@pytest.mark.parametrize(
    ("target", "rates"),
    [
        ([0.5 * number for number in range(120)], [0.003, 0.001, 0.001, 0.05]),
        (["a", "b"] * 60, [0.003, 0.001, 0.001, 0.02]),
    ],
)
def test_the_best_preset_weights_groups_of_networks_with_their_own_encoding_and_rate(
    tmp_path: Path, target: list[object], rates: list[float]
) -> None:
    path = table(tmp_path, x=[number % 50 for number in range(120)], y=target)
    text = starter(path, preset="best")
    config, _ = prepared(text, tmp_path)
    groups = [with_settings(config, each) for each in draw_settings(config)]
    assert [each.optimizer.learning_rate for each in groups] == rates
    encodings = ["piecewise_linear", "periodic_linear", "piecewise_linear", "periodic_linear"]
    assert [each.input.encoding.name for each in groups] == encodings
    assert config.ensemble is not None
    assert (config.ensemble.members, config.ensemble.fold_count) == (32, 8)
    good, _ = prepared(starter(path, preset="good"), tmp_path)
    assert groups[0].model_copy(update={"ensemble": good.ensemble}) == good


def test_the_best_preset_has_no_groups_if_no_rows_are_held_out(tmp_path: Path) -> None:
    path = table(tmp_path, x=[*range(9)], y=[*range(9)])
    assert starter(path, preset="best") == starter(path, preset="good")


def test_the_good_preset_keeps_a_group_in_one_fold(tmp_path: Path) -> None:
    text = good(table(tmp_path, **panel(25)))
    why = "rows with the same value are similar, so they stay in one fold"
    assert line(text, "split") == f"split: {{name: group, column: patient}} # {why}"
    config, made = prepared(text, tmp_path)
    assert (config.ensemble_folds, made.split.train.rows, made.split.test) == (8, 100, None)
    folds = member_folds(config, made)
    patients = [{*made.split.train.take(fold.held_out).texts("patient")} for fold in folds]
    assert sum(map(len, patients)) == 25


def test_the_good_preset_holds_out_no_rows_of_small_tables(tmp_path: Path) -> None:
    data = table(tmp_path, a=["u", "v"] * 6, y=[row + 0.5 for row in range(12)])
    config, made = prepared(good(data), tmp_path)
    assert config.ensemble is not None
    assert (config.ensemble_folds, config.ensemble.members) == (None, 8)
    assert config.early_stopping is None
    assert made.split.train.rows == 12
    assert "encoding" not in good(data)  # there are no numbers


@pytest.mark.parametrize(("rows", "epochs", "batch"), [(8_000, 120, 128), (20_000, 150, 256)])
def test_epochs_and_batches_of_the_good_preset_follow_the_rows(
    tmp_path: Path, rows: int, epochs: int, batch: int
) -> None:
    values = [7 * row % rows for row in range(rows)]
    data = table(tmp_path, a=values, y=[value + 0.5 for value in values])
    text = good(data)
    assert line(text, "epochs").startswith(f"epochs: {epochs} ")
    assert line(text, "batch_size").startswith(f"batch_size: {batch} ")


@pytest.mark.parametrize("others", [["b"], ["b", "c", "d"]])
def test_the_good_preset_has_no_folds_if_one_may_lack_a_class_of_the_others(
    tmp_path: Path, others: list[str]
) -> None:
    names = ["a"] * 40 + others
    data = table(tmp_path, x=[row % 7 + 0.5 for row in range(len(names))], y=names)
    config, made = prepared(good(data), tmp_path)
    assert config.ensemble_folds is None
    assert made.split.train.rows == len(names)


def test_the_good_preset_has_small_networks_for_texts(tmp_path: Path) -> None:
    words = ["red", "green", "blue", "old", "new", "large", "small", "round", "flat"]
    texts = [
        f"{words[row % 9]} {words[row * 7 % 8]} thing {row} of {words[row % 5]}"
        for row in range(200)
    ]
    data = table(tmp_path, a=texts, y=[7 * row % 11 + 0.5 for row in range(200)])
    config, _ = prepared(good(data), tmp_path)
    assert config.ensemble_folds == 8
    assert [layer.units for layer in config.hidden] == [16]
    assert config.data.validation is None


def test_the_good_preset_has_large_networks_for_lists_of_names(tmp_path: Path) -> None:
    names = ["action", "comedy", "drama", "horror", "western"]
    lists = [f"{names[row % 5]}|{names[row // 5 % 5]}|{names[row // 25]}" for row in range(125)]
    data = table(tmp_path, a=lists, y=[7 * row % 11 + 0.5 for row in range(125)])
    text = good(data)
    assert line(text, "a").startswith("a: {type: text, encoding: multi_hot} # lists of 5 names, ")
    config, _ = prepared(text, tmp_path)
    assert [layer.units for layer in config.hidden] == [128, 128, 128]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "encoding"),
    [
        (1, "{name: piecewise_linear, bins: 48}"),
        (100, "{name: piecewise_linear, bins: 32}"),
        (201, ""),
    ],
)
def test_the_good_preset_has_fewer_bins_for_more_columns(
    tmp_path: Path, columns: int, encoding: str
) -> None:
    rows = 2_000
    numbers = {f"a{at}": [(7 + at) * row % 1999 for row in range(rows)] for at in range(columns)}
    text = good(table(tmp_path, **numbers, y=[row % 11 + 0.5 for row in range(rows)]))
    assert ("encoding: " + encoding in text) if encoding else ("encoding:" not in text)


def test_the_good_preset_has_no_bins_where_they_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlcli.starter.recipes.MOST_ENCODED", 2_000 * 15)
    rows = range(2_000)
    text = good(table(tmp_path, a=[7 * row % 1999 for row in rows], y=[row + 0.5 for row in rows]))
    assert "encoding:" not in text


def test_the_good_preset_infers_the_type_of_each_column_only_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        ColumnFacts, "type", property(lambda facts: asked.append(facts.name) or facts.feature.type)
    )
    numbers = {f"a{at}": [(7 + at) * row % 199 for row in range(200)] for at in range(50)}
    good(table(tmp_path, **numbers, y=[row % 11 + 0.5 for row in range(200)]))
    assert asked.count("a0") < 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(9.6, "10 s"), (84, "1 min"), (95, "2 min"), (59.9, "60 s"), (4000, "1 h"), (36_000, "10 h")],
)
def test_a_duration_is_rounded_to_a_digit(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds) == words


def test_the_good_preset_states_its_approximate_duration(tmp_path: Path) -> None:
    small, large = (
        good(
            table(
                tmp_path,
                a=[7 * row % rows for row in range(rows)],
                y=[row + 0.5 for row in range(rows)],
            )
        )
        for rows in (100, 3_000)
    )
    assert re.search("# trains in about [89] s on two cores", small)
    assert re.search("# trains in about [2-9]0 s on two cores", large)


def test_categories_that_are_not_kept_take_no_time(tmp_path: Path) -> None:
    few, many = (
        good(
            table(
                tmp_path,
                name=[f"n{row % names}" for row in range(3_000)],
                y=[row + 0.5 for row in range(3_000)],
            )
        )
        for names in (100, 1_000)
    )
    assert "1,000 values; the 100 most frequent are kept" in many
    says = re.compile("trains in about .*")
    assert says.findall(few) == says.findall(many) != []


def test_a_common_positive_class_is_noted_in_a_comment(tmp_path: Path) -> None:
    rows = {"x": [*range(40)], "y": ["low"] * 10 + ["not low"] * 30}
    text = starter(table(tmp_path, **rows))
    assert (
        "  # precision and recall refer to not low; for the rarer class, write\n"
        '  #   target: {column: "y", positive_class: low}\n'
    ) in text
    rare = {**rows, "y": ["not low"] * 10 + ["low"] * 30}
    assert "precision and recall" not in starter(table(tmp_path, **rare))


def test_an_ensemble_that_is_split_by_time_has_no_folds(tmp_path: Path) -> None:
    path = table(tmp_path, **by_day())
    presets: tuple[Preset, ...] = ("good", "best")
    for preset in presets:
        config, made = prepared(starter(path, preset=preset), tmp_path)
        assert config.ensemble is not None
        assert (config.ensemble.members, config.ensemble_folds) == (8, None)
        assert made.split.validation is not None and made.split.test is not None
