"""Types of columns that are not declared, as training infers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcli.config import load_config
from dlcli.data_checks import inspect_table
from dlcli.encoding import column_types
from dlcli.errors import DataError
from dlcli.pipeline import Events, prepare
from dlcli.pipeline.preparation import prepare_rows, read_candidates
from dlcli.splitting import Split
from dlcli.starter import starter_config
from dlcli.tables import read_table

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
        events = Events(lambda event, fields: told.append((event, fields)))
        try:
            prepare(load_config(Path("t.yaml")), events)
        except DataError as error:
            told.append(("error", {"message": str(error)}))
        return [fields["message"] for event, fields in told if event in ("warning", "error")]

    return run


def test_a_column_ignored_for_its_units_is_a_warning(prepared):
    assert prepared([*(f"{number} kg" for number in range(20)), *["9 lb"] * 5]) == [
        "t.csv: ignored, since as categories they would not be amounts: "
        "'x' (numbers with the units 'kg', 'lb'; write them in one unit)"
    ]


def test_another_unit_here_and_there_ends_training_with_the_row(prepared):
    assert prepared([*(f"{number} kg" for number in range(30)), "9 lb"])[-1] == (
        "t.csv: row 31, column 'x': expected a finite number in kg, got '9 lb'"
    )


def test_words_among_numbers_end_training_with_the_row(prepared):
    warning, error = prepared([*(3 * at for at in range(19)), "many"])
    assert warning.startswith("t.csv: read as numbers, so training will refuse the other values; ")
    assert error == "t.csv: row 20, column 'x': expected a finite number, got 'many'"


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
    assert types_of(prepare(file, Events()).decisions) == expected
    dataset = read_candidates(file, Events())
    for rows in np.split(np.arange(40), 4):  # as folds do
        split = Split(dataset.candidates.take(rows), None, None)
        decisions = prepare_rows(file.config, dataset, split, Events()).decisions
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
    assert "x: numeric  # all numbers (in 50 rows looked at), 0.5 to 9999" in text


def test_a_word_in_a_row_that_is_not_looked_at_is_found_with_the_range(long_table):
    path = long_table("few")
    [issue] = inspect_table(read_table(path), "y").issues
    assert (issue.check, issue.columns) == ("odd_values", ("x",))


def test_an_index_is_recognized_by_rows_without_a_target_too(sorted_prices):
    lines = [f"{at},{'' if at % 3 else at / 7},{at % 5}" for at in range(90)]
    sorted_prices.write_text("\n".join(["house,price,rooms", *lines]) + "\n")
    reason = "a whole number that rises by row: a row index"
    inspected = {
        each.name: each for each in inspect_table(read_table(sorted_prices), "price").columns
    }
    assert (inspected["house"].type, inspected["house"].reason) == ("ignored", reason)
    text = starter_config(sorted_prices, "price", config_folder=sorted_prices.parent)
    assert f"house: ignored  # {reason}" in text
    config = sorted_prices.with_name("c.yaml")
    config.write_text(text)
    file = load_config(config, ('input.features={"*": auto}',))
    assert types_of(prepare(file, Events()).decisions)["house"] == ("ignored", reason)


def test_a_declared_index_of_sorted_rows_is_a_warning(sorted_prices):
    config = sorted_prices.with_name("c.yaml")
    config.write_text(
        "data: {train: houses.csv, target: price, validation: 0.2}\n"
        "input: {features: {column_1: numeric, size: numeric}}\nhidden: []\nepochs: 1\n"
    )
    told = []
    prepare(load_config(config), Events(lambda event, fields: told.append((event, fields))))
    [warning] = [fields["message"] for event, fields in told if event == "warning"]
    assert "'column_1' (no name in the header: row names or a row index; it alone predicts" in (
        warning
    )
