"""Types of columns that are not declared, as training infers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.data_checks.inspection import inspect_table
from dlcli.encoding import column_types
from dlcli.errors import DataError
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare, prepare_fit, read_candidates
from dlcli.splitting import Split
from dlcli.starter.config_writing import starter_config
from dlcli.tables.table_files import read_table
from tests.recorded import recorded_in

CONFIG = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares training on a column `x` beside another, and gives what was told."""
    monkeypatch.chdir(tmp_path)

    def run(values):
        rows = "".join(f"{value},{at / 7},{at / 3}\n" for at, value in enumerate(values))
        Path("t.csv").write_text(f"x,z,y\n{rows}")
        Path("t.yaml").write_text(CONFIG)
        told = []
        events = Events(recorded_in(told))
        try:
            prepare(load_config(Path("t.yaml")), events)
        except DataError as error:
            told.append(("error", {"message": str(error)}))
        return [fields["message"] for event, fields in told if event in ("warning", "error")]

    return run


def test_a_column_ignored_for_its_units_is_a_warning(prepared):
    assert prepared([*(f"{number} kg" for number in range(20)), *["9 lb"] * 5]) == [
        "t.csv: ignored instead of read as categories: "
        "'x' (numbers with the units 'kg', 'lb'; convert them to one unit)"
    ]


STRAY = (
    "t.csv: ignored, because training would refuse the other values; correct them, add them to "
    "data.missing, or declare the column categorical: 'x' ({} % are numbers, '{}' in 1 row is not)"
)


def test_another_unit_here_and_there_makes_a_column_ignored(prepared):
    values = [*(f"{number} kg" for number in range(30)), "9 lb"]
    assert prepared(values) == [STRAY.format(96.7, "9 lb")]


@pytest.fixture
def sorted_prices(tmp_path):
    """A file of houses as R writes it, sorted by price, with a nameless index that has holes."""
    rng = np.random.default_rng(0)
    index = np.sort(rng.permutation(80)[:60])
    lines = [f'"{at}",{1000 * at + 7},{rng.random():.3f}' for at in index]
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(['"","price","size"', *lines]) + "\n")
    return path


def types_of(decisions):
    return {name: (each.feature.type, each.reason) for name, each in decisions.items()}


def test_a_row_index_is_ignored_alike_by_all_commands(sorted_prices):
    table = read_table(sorted_prices)
    inspected = inspect_table(table, "price").columns
    expected = {each.name: (each.type, each.reason) for each in inspected if each.type != "target"}
    assert expected["column_1"] == ("ignored", "no name in the header: row names or a row index")
    text = starter_config(sorted_prices, "price", config_folder=sorted_prices.parent)
    assert "column_1: ignored  # no name in the header: row names or a row index" in text
    config = sorted_prices.with_name("c.yaml")
    config.write_text(text)
    file = load_config(config, ('input.features={"*": auto}',))
    assert types_of(prepare(file, Events())[0].decisions) == expected
    dataset = read_candidates(file, Events())
    for rows in np.split(np.arange(40), 4):  # as folds do
        split = Split(dataset.candidates.take(rows), None, None)
        decisions = prepare_fit(file.config, dataset, split, Events())[0].decisions
        assert types_of(decisions) == expected


@pytest.fixture
def long_table(tmp_path, monkeypatch):
    """Writes a table of which every second row is looked at, with a value in another one."""
    monkeypatch.setattr(column_types, "ROWS_LOOKED_AT", 50)

    def write(odd):
        values = [*(f"{at}.5" for at in range(100))]
        values[1] = odd
        rows = "".join(f"{value},{at % 7 / 3}\n" for at, value in enumerate(values))
        (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
        return tmp_path / "t.csv"

    return write


def test_the_range_of_a_column_is_that_of_all_rows(long_table):
    path = long_table("9999")
    x, _ = inspect_table(read_table(path), "y").columns
    assert x.values.bounds == (0.5, 9999)
    text = starter_config(path, "y", config_folder=path.parent)
    assert "x: numeric  # all values are numbers (from 50 rows), 0.5 to 9999" in text


def test_a_word_in_a_row_that_is_not_looked_at_is_found_with_the_range(long_table):
    path = long_table("few")
    [finding] = inspect_table(read_table(path), "y").issues
    assert (finding.check, finding.columns) == ("odd_values", ("x",))


def test_an_index_is_recognized_by_rows_without_a_target_too(sorted_prices):
    lines = [f"{at},{'' if at % 3 else at / 7},{at % 5}" for at in range(90)]
    sorted_prices.write_text("\n".join(["house,price,rooms", *lines]) + "\n")
    reason = "an integer that increases from row to row: a row index"
    inspected = {
        each.name: each for each in inspect_table(read_table(sorted_prices), "price").columns
    }
    assert (inspected["house"].type, inspected["house"].reason) == ("ignored", reason)
    text = starter_config(sorted_prices, "price", config_folder=sorted_prices.parent)
    assert f"house: ignored  # {reason}" in text
    config = sorted_prices.with_name("c.yaml")
    config.write_text(text)
    file = load_config(config, ('input.features={"*": auto}',))
    assert types_of(prepare(file, Events())[0].decisions)["house"] == ("ignored", reason)


@pytest.mark.parametrize(
    ("values", "declared", "reason"),
    [
        ([*range(3, 42), "many"], "many", "97.5 % are numbers, 'many' in 1 row is not"),
        (
            [*range(3, 42), "inf"],
            None,
            "all values are numbers, but one is infinite or beyond 3.4e+38",
        ),
        ([*[""] * 33, *range(7)], None, "7 values in 40 rows are too few"),
        (
            [*(f"2024-01-{day}" for day in range(10, 29)), "late"] * 2,
            "late",
            "95 % are dates such as",
        ),
    ],
    ids=["numbers", "infinite", "few", "dates"],
)
def test_a_column_that_training_might_fail_on_is_ignored_alike_by_all_commands(
    values, declared, reason, tmp_path
):
    """`dlcli init` declares a few words as missing instead."""
    rows = "".join(f"{value},{at / 3},{at % 9},{at % 7}\n" for at, value in enumerate(values))
    path, config = tmp_path / "t.csv", tmp_path / "c.yaml"
    path.write_text(f"x,time,z,y\n{rows}")
    x, *_ = inspect_table(read_table(path), "y").columns
    assert x.type == "ignored"
    assert x.reason.startswith(reason)
    if declared is None:
        text = starter_config(path, "y", config_folder=tmp_path)
        assert f"x: ignored # {reason}" in " ".join(text.split())
    config.write_text(
        "data: {train: t.csv, target: y, split: {name: time, column: time}, test: 0.15}\n"
        "hidden: [{units: 2, activation: relu}]\nepochs: 1\n"
    )
    file = load_config(config)
    every = [
        prepare(file, Events())[0].decisions
    ]  # the last rows, and their words, are for the test
    dataset = read_candidates(file, Events())
    for rows in np.split(np.arange(24), 3):  # as folds do
        split = Split(dataset.candidates.take(rows), None, None)
        every.append(prepare_fit(file.config, dataset, split, Events())[0].decisions)
    assert [each["x"].feature.type for each in every] == ["ignored"] * 4


def test_a_stray_word_of_the_only_column_may_be_in_a_held_out_row(tmp_path):
    values = enumerate([*range(39), "many"])
    rows = "".join(f"{value},{at / 3},{at % 7 / 2}\n" for at, value in values)
    (tmp_path / "t.csv").write_text(f"x,time,y\n{rows}")
    data = "{train: t.csv, target: y, test: 0.2, split: {name: time, column: time}}"
    (tmp_path / "c.yaml").write_text(f"data: {data}\nhidden: []\nepochs: 1\n")
    warnings = []

    def listener(event):
        if event.kind == "warning":
            warnings.append(event.message)

    x = prepare(load_config(tmp_path / "c.yaml"), Events(listener))[0].decisions["x"]
    assert (x.feature.type, x.reason) == ("numeric", "97.5 % are numbers, 'many' in 1 row is not")
    [warning] = warnings
    assert "read as numbers, so training will refuse the other values" in warning


def test_a_declared_index_of_sorted_rows_is_a_warning(sorted_prices):
    config = sorted_prices.with_name("c.yaml")
    config.write_text(
        "data: {train: houses.csv, target: price, validation: 0.2}\n"
        "input: {features: {column_1: numeric, size: numeric}}\nhidden: []\nepochs: 1\n"
    )
    told = []
    prepare(load_config(config), Events(recorded_in(told)))
    [warning] = [fields["message"] for event, fields in told if event == "warning"]
    assert "'column_1' (no name in the header: row names or a row index; it alone predicts" in (
        warning
    )
