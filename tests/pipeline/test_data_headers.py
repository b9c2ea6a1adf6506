"""Columns that a config names and its tables don't have."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config.config_file import load_config
from dlcli.config.config_schema import Config
from dlcli.errors import ConfigError
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import Header, check_headers, read_dataset

CONFIG = {"data": {"train": "a.csv", "target": "y"}, "hidden": (), "epochs": 1}
TRAIN = ("a.csv", ("x", "z", "y"))


def problems(config: dict[str, object], *headers: Header) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_headers(Config.model_validate({**CONFIG, **config}), headers)
    return [str(problem) for problem in caught.value.problems]


def data(**keys: object) -> dict[str, object]:
    return {"data": {"train": "a.csv", "target": "y", **keys}}


def test_an_absent_column_is_reported_with_its_file_and_the_nearest() -> None:
    config = data(target="prize")
    assert problems(config, ("data/g.csv", ("x", "price"))) == [
        "data.target.column: no column 'prize' in data/g.csv; did you mean 'price'?"
    ]


def test_where_no_column_is_near_all_are_listed() -> None:
    assert problems(data(sample_weight="w"), ("g.csv", ("x", "y"))) == [
        "data.sample_weight: no column 'w' in g.csv; the table has x, y"
    ]


def test_each_of_several_files_is_reported() -> None:
    config = data(sample_weight="w", test="t.csv")
    assert problems(config, TRAIN, ("t.csv", ("x", "z", "y"))) == [
        "data.sample_weight: no column 'w' in a.csv; the table has x, z, y",
        "data.sample_weight: no column 'w' in t.csv; the table has x, z, y",
    ]


def test_a_file_of_two_sets_is_reported_once() -> None:
    config = data(sample_weight="w", test="a.csv")
    assert problems(config, TRAIN, TRAIN) == [
        "data.sample_weight: no column 'w' in a.csv; the table has x, z, y"
    ]


def test_a_split_by_groups_needs_their_column() -> None:
    config = data(validation=0.2, split={"name": "group", "column": "g"})
    assert problems(config, TRAIN) == [
        "data.split.column: no column 'g' in a.csv; the table has x, z, y"
    ]


def test_a_split_in_time_needs_all_of_its_columns() -> None:
    config = data(validation=0.2, split={"name": "time", "column": ("x", "month")})
    assert problems(config, TRAIN) == [
        "data.split.column: no column 'month' in a.csv; the table has x, z, y"
    ]


def test_a_file_of_held_out_rows_needs_no_column_to_deal_by() -> None:
    config = data(validation=0.2, test="t.csv", split={"name": "group", "column": "g"})
    headers = [("a.csv", ("x", "g", "y")), ("t.csv", ("x", "y"))]
    check_headers(Config.model_validate({**CONFIG, **config}), headers)


def test_held_out_rows_need_the_columns_that_the_network_reads() -> None:
    config = data(validation="data/valid.csv", test="data/test.csv")
    headers = (TRAIN, ("data/valid.csv", ("z", "y")), ("data/test.csv", ("X", "y")))
    assert problems(config, *headers) == [
        "input.features: data/valid.csv has no column 'x', which the network reads; the table has z, y",
        "input.features: data/test.csv has no columns 'x', 'z', which the network reads; did you mean 'X'?",
    ]


def test_the_nearest_column_of_a_held_out_file_is_suggested() -> None:
    headers = (("a.csv", ("width", "y")), ("v.csv", ("widht", "y")))
    assert problems(data(validation="v.csv"), *headers) == [
        "input.features: v.csv has no column 'width', which the network reads;"
        " did you mean 'widht'?"
    ]


def test_a_column_that_is_read_itself_is_not_suggested_for_an_absent_one() -> None:
    headers = (("a.csv", ("income", "home", "y")), ("v.csv", ("home", "y")))
    assert problems(data(validation="v.csv"), *headers) == [
        "input.features: v.csv has no column 'income', which the network reads; the table has home, y"
    ]


def test_held_out_rows_may_lack_what_is_ignored() -> None:
    config = {**data(validation="v.csv"), "input": {"features": {"*": "auto", "z": "ignored"}}}
    check_headers(Config.model_validate({**CONFIG, **config}), [TRAIN, ("v.csv", ("y", "x"))])


def test_reading_names_the_file_as_the_config_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("x,y\n1,2\n")
    Path("v.csv").write_text("y\n1\n")
    Path("c.yaml").write_text(
        "data: {train: a.csv, validation: v.csv, target: y}\nhidden: []\nepochs: 1\n"
    )
    with pytest.raises(ConfigError, match=r"v\.csv has no column 'x', which the network reads"):
        read_dataset(load_config(Path("c.yaml")), Events())
