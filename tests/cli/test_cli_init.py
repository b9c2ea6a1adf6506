"""`dlcli init`: a config to start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.pipeline import train

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def houses(folder):
    rows = "".join(f"{size},{3 * size + size % 7}\n" for size in range(50, 90))
    Path("houses.csv").write_text("size,price\n" + rows)


@pytest.mark.usefixtures("houses")
def test_the_config_is_printed_and_is_valid(dlcli):
    result = dlcli("init", "houses.csv", "--target", "price")
    assert (result.exit_code, result.stderr) == (0, "")
    Path("houses.yaml").write_text(result.stdout)
    assert dlcli("validate", "houses.yaml").exit_code == 0


@pytest.mark.usefixtures("houses")
def test_a_config_elsewhere_leads_to_its_data(dlcli):
    Path("configs").mkdir()
    result = dlcli("init", "houses.csv", "--target", "price", "--output", "configs/houses.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "../houses.csv" in Path("configs/houses.yaml").read_text()
    assert dlcli("validate", "configs/houses.yaml").exit_code == 0


@pytest.mark.usefixtures("houses")
def test_nothing_is_overwritten(dlcli):
    Path("houses.yaml").write_text("precious")
    result = dlcli("init", "houses.csv", "--target", "price", "--output", "houses.yaml")
    assert result.exit_code == 2
    assert Path("houses.yaml").read_text() == "precious"


@pytest.mark.usefixtures("houses")
@pytest.mark.parametrize(
    ("output", "reason"),
    [("houses.csv/a.yaml", "Not a directory"), ("none/a.yaml", "No such file or directory")],
)
def test_an_output_that_cannot_be_made_is_a_mistake(output, reason, dlcli):
    result = dlcli("init", "houses.csv", "--target", "price", "--output", output)
    assert result.exit_code == 2
    assert result.stderr == f"error: {output}: can't be written: {reason}\n"


@pytest.mark.usefixtures("houses")
def test_a_target_that_is_no_column_is_a_mistake(dlcli):
    result = dlcli("init", "houses.csv", "--target", "prize")
    assert result.exit_code == 2
    assert "did you mean 'price'?" in result.stderr


@pytest.mark.usefixtures("folder")
def test_an_example_is_copied_with_its_data(dlcli):
    result = dlcli("init", "--example", "line")
    assert result.exit_code == 0
    written = result.stdout.splitlines()
    assert written[0] == "line.yaml"
    assert all(Path(name).is_file() for name in written)
    assert dlcli("validate", "line.yaml").exit_code == 0


@pytest.mark.usefixtures("folder")
def test_an_unknown_example_lists_those_there_are(dlcli):
    result = dlcli("init", "--example", "lines")
    assert result.exit_code == 2
    assert "iris" in result.stderr
    assert "xor" in result.stderr


@pytest.mark.usefixtures("houses")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["houses.csv"],
        ["--target", "price"],
        ["houses.csv", "--target", "price", "--example", "line"],
        ["--example", "line", "--output", "a.yaml"],
    ],
)
def test_a_table_needs_a_target_and_an_example_no_other_option(arguments, dlcli):
    result = dlcli("init", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected DATA and --target COLUMN, or --example NAME alone" in result.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("table", sorted(DATA.glob("*.csv")), ids=lambda path: path.stem)
def test_the_config_of_a_shipped_table_is_valid(table, dlcli):
    target = TARGETS[table.stem]
    assert dlcli("init", str(table), "--target", target, "--output", "a.yaml").exit_code == 0
    assert dlcli("validate", "a.yaml").exit_code == 0


TARGETS = {
    "breast_cancer": "diagnosis",
    "diabetes": "progression",
    "digits": "digit",
    "digits_png": "digit",
    "iris": "species",
    "line": "y",
    "penguins": "Species",
    "reviews": "sentiment",
    "steering": "steering_angle",
    "tictactoe": "x_wins",
    "xor": "xor",
}
GOOD = {
    "diabetes": ("r2", 0.3),
    "digits_png": ("r2", 0.85),
    "penguins": ("accuracy", 0.95),
    "reviews": ("accuracy", 0.7),
}
"""For tables of numbers, images, categories and texts a metric of the simplest good model."""


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", GOOD)
def test_the_config_of_a_shipped_table_trains_well_as_it_is(name, dlcli):
    metric, least = GOOD[name]
    table = str(DATA / f"{name}.csv")
    written = dlcli("init", table, "--target", TARGETS[name], "--output", "a.yaml")
    assert written.exit_code == 0
    metrics = json.loads((train(load_config(Path("a.yaml"))).path / "metrics.json").read_text())
    assert metrics.get("test", metrics["train"])[metric] >= least
