"""What is said of rows that can't be dealt out to training, validation and test."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.errors import DataError
from dlcli.experiment.dealing import deal
from dlcli.experiment.tables import read_sources, target_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(data: str, target: list[str]) -> str:
    Path("d.csv").write_text(
        "x,g,y\n" + "".join(f"{i},a,{y}\n" for i, y in enumerate(target)), "utf-8"
    )
    named = data if "target" in data else f"target: y, {data}"
    config = f"data: {{train: d.csv, {named}}}\nhidden: []\nepochs: 1\n"
    Path("c.yaml").write_text(config, "utf-8")
    file = load_config(Path("c.yaml"))
    sources = read_sources(file)
    with pytest.raises(DataError) as caught:
        deal(file, sources, target_of(file, sources))
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "target", "message"),
    [
        (
            "test: 0.5",
            ["a", "b", "c"],
            "d.csv: column 'y': each of the 3 classes is seen once; is it a number or a name?",
        ),
        (
            "test: 0.5",
            [*map(str, range(20)), "NA"],
            "d.csv: column 'y': each of the 21 classes is seen once; 95.2 % are numbers, 'NA' in "
            '1 row is not; say data.missing: ["NA"]',
        ),
        (
            "test: 0.5, target: {column: y, type: categorical}",
            [*map(str, range(20)), "NA"],
            "d.csv: column 'y': each of the 21 classes is seen once; is it a number or a name?",
        ),
        (
            "test: 0.75",
            ["a", "a", "b", "b"],
            "d.csv: column 'y': validation and test need 3 rows, but only 2 of 4 can leave "
            "training, where each of 2 classes keeps one; give more rows, or hold out less",
        ),
        (
            "test: 0.9, validation: 0.05",
            ["1.5", "2.5"],
            "d.csv: 2 rows are too few: validation takes 1, test 2, and training needs at least "
            "1; give more rows, or hold out less",
        ),
        (
            "test: 0.9, split: {name: time, column: x}",
            ["1.5", "2.5"],
            "d.csv: 2 rows are too few: validation takes 0, test 2, and training needs at least "
            "1; give more rows, or hold out less",
        ),
        (
            "test: 0.2, split: {name: group, column: g}",
            ["1.5", "2.5", "3.5"],
            "d.csv: column 'g': 1 group, expected at least 2: one for each set",
        ),
    ],
)
def test_the_file_and_column_are_named(data: str, target: list[str], message: str) -> None:
    assert refusal(data, target) == message
