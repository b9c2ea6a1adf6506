"""Tables of many columns that differ from training all in the same way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import encode_sets, prepare


@pytest.fixture
def towns(folder):
    """400 rows of 90 towns, some of them in a single row; towns of a region are neighbors."""
    rng = np.random.default_rng(0)
    town = np.minimum(rng.geometric(0.04, 400), 90)
    rows = zip(town, town // 10, rng.random(400).round(3), strict=True)
    lines = [f"town {town},{region},{x}" for town, region, x in rows]
    Path("towns.csv").write_text("\n".join(["town,region,y", *lines]))


TOWNS = """\
data: {{train: towns.csv, target: y, validation: 0.2, test: 0.2, split: {split}}}
input: {{features: {{town: categorical}}}}
hidden: []
epochs: 1
"""


@pytest.mark.usefixtures("towns")
def test_unknown_categories_that_are_expected_are_reported_once(dlcli):
    Path("c.yaml").write_text(TOWNS.format(split="random"))
    lines = dlcli("validate", "c.yaml").stderr
    assert "warning" not in lines
    assert "\nunseen    expected share of new rows with a rare or unknown category: town " in lines


@pytest.mark.usefixtures("towns")
def test_more_unknown_categories_than_expected_are_warned_of(dlcli):
    Path("c.yaml").write_text(TOWNS.format(split="{name: group, column: region}"))
    warning = "rows of towns.csv: column 'town': "
    assert warning in dlcli("validate", "c.yaml").stderr


@pytest.mark.usefixtures("colors")
def test_many_columns_that_differ_are_summed_up_and_all_listed_as_json(dlcli):
    result = dlcli("predict", "runs/colors", "new.csv")
    lines = result.stderr.splitlines()
    kind = "with an unknown category"
    unseen = f"{kind} ('blue'), the first in row 1: encoded as zeros"
    assert lines == [
        f"warning: new.csv: column 'g': 7 rows {unseen}",
        f"warning: new.csv: column 'f': 6 rows {unseen}",
        f"warning: new.csv: column 'e': 5 rows {unseen}",
        f"warning: new.csv: column 'd': 4 rows {unseen}",
        f"warning: new.csv: 3 more columns: up to 3 rows each {kind}; --json lists all",
        "warning: new.csv: column 'day': 7 rows outside the training range, "
        "2024-01-01 to 2024-01-31",
    ]
    summary = dlcli("predict", "runs/colors", "new.csv", "--json", "--output", "out.csv")
    found = json.loads(summary.stdout)["differences"]
    counts = {column: found[column]["unseen"] for column in "abcdefg"}
    assert counts == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7}


@pytest.mark.usefixtures("colors")
def test_held_out_rows_with_many_columns_that_differ_are_summed_up(dlcli):
    unseen = "with an unknown category ('blue'), the first in row 1 of the table: encoded as zeros"
    warnings = [
        line for line in dlcli("validate", "colors.yaml").stderr.splitlines() if "rows of" in line
    ]
    start = "warning: validation rows of new.csv"
    assert warnings == [
        f"{start}: column 'g': 7 rows {unseen}",
        f"{start}: column 'f': 6 rows {unseen}",
        f"{start}: column 'e': 5 rows {unseen}",
        f"{start}: column 'd': 4 rows {unseen}",
        f"{start}: 3 more columns: up to 3 rows each with an unknown category",
    ]


@pytest.mark.usefixtures("colors")
def test_the_event_has_the_summary_of_held_out_rows():
    emitted = []
    file = load_config(Path("colors.yaml"))
    events = Events(lambda event: emitted.append(event.to_json()))
    encode_sets(prepare(file, events)[0], events)
    (rest,) = [fields["rest"] for fields in emitted if "rest" in fields]
    kind = "with an unknown category ('blue')"
    assert rest == [
        f"column 'c': 3 rows {kind}, the first in row 1 of the table: encoded as zeros",
        f"column 'b': 2 rows {kind}, the first in row 1 of the table: encoded as zeros",
        f"column 'a': 1 row {kind}, row 1 of the table: encoded as zeros",
    ]
