"""The shipped examples: each config has its data, each data file its description."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
ROWS = {
    "breast_cancer": 569,
    "diabetes": 442,
    "digits": 1797,
    "iris": 150,
    "line": 4,
    "steering": 3000,
    "tictactoe": 958,
    "xor": 4,
}

each_example = pytest.mark.parametrize("name", ROWS)


def read_table(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_examples_are_the_ones_listed_here():
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == set(ROWS)
    assert {path.stem for path in DATA.glob("*.csv")} == set(ROWS)


@each_example
def test_a_config_is_named_after_its_data(name):
    config = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))

    assert config["name"] == name
    assert config["data"]["train"] == f"../data/{name}.csv"


@each_example
def test_a_table_has_as_many_rows_as_its_description_says(name):
    description = (DATA / f"{name}.md").read_text(encoding="utf-8")

    assert len(read_table(name)) == ROWS[name]
    assert f"\n{ROWS[name]} rows" in description


@each_example
def test_a_description_names_every_column(name):
    description = (DATA / f"{name}.md").read_text(encoding="utf-8")

    assert [column for column in read_table(name)[0] if f"`{column}`" not in description] == []


@each_example
def test_a_description_gives_source_licence_and_citation(name):
    lines = (DATA / f"{name}.md").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.startswith("## ")] == [
        "## Source",
        "## Licence",
        "## Citation",
    ]


@each_example
def test_a_table_ends_its_lines_with_line_feeds_and_has_no_empty_field(name):
    content = (DATA / f"{name}.csv").read_bytes()

    assert b"\r" not in content
    assert content.endswith(b"\n")
    assert all(value for row in read_table(name) for value in row.values())


@pytest.mark.parametrize("name", ["steering", "tictactoe"])
def test_generated_data_come_byte_for_byte_from_their_script(name, tmp_path):
    output = tmp_path / "again.csv"

    subprocess.run([sys.executable, DATA / f"generate_{name}.py", output], check=True)

    assert output.read_bytes() == (DATA / f"{name}.csv").read_bytes()


def test_x_wins_626_of_the_958_distinct_final_boards():
    boards = read_table("tictactoe")

    assert len({tuple(board.values()) for board in boards}) == 958
    assert Counter(board["x_wins"] for board in boards) == {"true": 626, "false": 332}


def test_the_simulated_car_never_leaves_its_lane():
    # From inside a lane 3.5 m wide, a ray to the side meets an edge long before the sensor's 60 m.
    for row in read_table("steering"):
        assert float(row["distance_left_60"]) < 10
        assert float(row["distance_right_60"]) < 10
