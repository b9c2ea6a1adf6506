"""The shipped examples: each config has its data, each data file its description."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
ROWS = {
    "bikes": 8645,
    "breast_cancer": 569,
    "diabetes": 442,
    "digits": 1797,
    "digits_png": 1797,
    "iris": 150,
    "line": 4,
    "penguins": 344,
    "reviews": 1000,
    "shoppers": 5000,
    "steering": 3000,
    "tictactoe": 958,
    "xor": 4,
}

SHARED = {"steering_search": "steering"}
"""Examples that train on the table of another one."""

each_example = pytest.mark.parametrize("name", ROWS)


def read_table(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(folder: Path) -> dict[str, bytes]:
    """The pixels of each image; its bytes also depend on the version of zlib."""
    return {path.name: Image.open(path).tobytes() for path in folder.iterdir()}


def test_the_examples_are_the_ones_listed_here():
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {*ROWS, *SHARED}
    assert {path.stem for path in DATA.glob("*.csv")} == set(ROWS)


@pytest.mark.parametrize("name", [*ROWS, *SHARED])
def test_a_config_is_named_after_its_data_unless_it_shares_them(name):
    config = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))

    assert config["name"] == name
    assert config["data"]["train"] == f"../data/{SHARED.get(name, name)}.csv"


@each_example
def test_a_table_has_the_number_of_rows_of_its_description(name):
    description = (DATA / f"{name}.md").read_text(encoding="utf-8")

    assert len(read_table(name)) == ROWS[name]
    assert f"\n{ROWS[name]:,} rows" in description


@each_example
def test_a_description_names_every_column(name):
    description = (DATA / f"{name}.md").read_text(encoding="utf-8")

    assert [column for column in read_table(name)[0] if f"`{column}`" not in description] == []


@each_example
def test_a_description_gives_source_licence_and_citation(name):
    lines = (DATA / f"{name}.md").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.startswith("## ")] == [
        "## Source",
        "## License",
        "## Citation",
    ]


@each_example
def test_a_table_ends_its_lines_with_line_feeds_and_has_no_empty_field(name):
    content = (DATA / f"{name}.csv").read_bytes()

    assert b"\r" not in content
    assert content.endswith(b"\n")
    assert all(value for row in read_table(name) for value in row.values())


@pytest.mark.slow
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


def test_the_reviews_are_to_the_byte_those_of_their_source():
    digits = {"positive": "1", "negative": "0"}
    rows = read_table("reviews")

    source = "".join(f"{row['review']}\t{digits[row['sentiment']]}\n" for row in rows)

    assert len(source.encode()) == 61320
    assert hashlib.sha256(source.encode()).hexdigest() == (
        "c76468b7b5c6e56a0804d728345c5f84aa2142ddb214420f61cc9cfd4c00d2ea"
    )


def test_half_of_the_reviews_are_positive():
    sentiments = Counter(row["sentiment"] for row in read_table("reviews"))

    assert sentiments == {"positive": 500, "negative": 500}


def test_the_penguins_are_of_three_species():
    assert Counter(row["Species"] for row in read_table("penguins")) == {
        "Adelie Penguin (Pygoscelis adeliae)": 152,
        "Gentoo penguin (Pygoscelis papua)": 124,
        "Chinstrap penguin (Pygoscelis antarctica)": 68,
    }


@pytest.mark.parametrize(
    ("column", "missing", "mean"),
    [  # as the R package palmerpenguins gives them
        ("Culmen Length (mm)", 2, 43.92193),
        ("Culmen Depth (mm)", 2, 17.15117),
        ("Flipper Length (mm)", 2, 200.91520),
        ("Body Mass (g)", 2, 4201.75439),
        ("Delta 15 N (o/oo)", 14, 8.73338),
        ("Delta 13 C (o/oo)", 13, -25.68629),
    ],
)
def test_the_penguins_measure_what_they_do_elsewhere(column, missing, mean):
    values = [float(row[column]) for row in read_table("penguins") if row[column] != "NA"]

    assert len(values) == 344 - missing
    assert sum(values) / len(values) == pytest.approx(mean, abs=1e-5)


def test_the_penguins_have_the_number_of_missing_values_of_their_description():
    rows = read_table("penguins")
    description = (DATA / "penguins.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split(" | ") for line in description if line.startswith("| `")]

    counted = {f"| `{name}`": sum(row[name] == "NA" for row in rows) for name in rows[0]}

    assert {cells[0]: int(cells[-1].removesuffix(" |")) for cells in listed} == counted


def test_adults_of_one_nest_share_its_date():
    nests = {}
    for row in read_table("penguins"):
        nest = (row["studyName"], row["Species"], row["Individual ID"][:-2])
        nests.setdefault(nest, []).append(row["Date Egg"])

    assert len(nests) == 172
    assert all(first == second for first, second in nests.values())


def test_the_first_digit_as_an_image_has_the_pixels_of_the_table():
    # The second row of pixels there is 0 0 13 15 10 15 5 0.
    image = Image.open(DATA / "digits_png" / "0001.png")

    assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
    assert list(image.tobytes()[8:16]) == [0, 0, 207, 239, 159, 239, 80, 0]


@pytest.mark.slow
def test_the_images_come_pixel_for_pixel_from_their_script(tmp_path):
    subprocess.run(
        [sys.executable, DATA / "generate_digits_png.py", tmp_path / "digits_png.csv"], check=True
    )

    assert (tmp_path / "digits_png.csv").read_bytes() == (DATA / "digits_png.csv").read_bytes()
    assert pixels(tmp_path / "digits_png") == pixels(DATA / "digits_png")


def test_each_digit_has_its_image_and_each_image_its_digit():
    images = {row["image"]: row["digit"] for row in read_table("digits_png")}

    assert set(images) == {f"digits_png/{path.name}" for path in DATA.glob("digits_png/*")}
    assert list(images.values()) == [row["digit"] for row in read_table("digits")]
