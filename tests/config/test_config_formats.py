"""Formats of the files in the `data` section."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcli.config.config_file import dump_config, load_config
from dlcli.config.config_schema import Config
from dlcli.tables.table_formats import AutoFormat, CsvFormat

MINIMAL = "data: {{train: {files}, format: {form}, target: y}}\nhidden: []\nepochs: 1\n"


@pytest.fixture
def load(config_file: Path) -> Callable[..., Config]:
    """Load a config with a format and files."""

    def load(form: str = "auto", files: str = "a.csv") -> Config:
        config_file.write_text(MINIMAL.format(form=form, files=files), encoding="utf-8")
        return load_config(config_file).config

    return load


def test_formats_are_detected_unless_set(load_with: Callable[..., Config]) -> None:
    assert load_with().data.format == AutoFormat()


def test_a_name_is_a_format_without_parameters(load: Callable[..., Config]) -> None:
    assert load("csv").data.format == load("{name: csv}").data.format == CsvFormat()


def test_parameters_of_csv_are_read(load: Callable[..., Config]) -> None:
    form = '{name: csv, delimiter: "\\t", encoding: cp1252, decimal: ",", thousands: " "}'
    assert load(form).data.format == CsvFormat(
        delimiter="\t", encoding="cp1252", decimal=",", thousands=" "
    )


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl"])
def test_the_other_formats_have_no_parameters(load: Callable[..., Config], form: str) -> None:
    assert load(form).data.format.name == form


@pytest.mark.parametrize(
    "form", ["auto", "jsonl", '{name: csv, delimiter: "|", thousands: none}', "{name: csv}"]
)
def test_a_dumped_format_is_loaded_as_equal(load: Callable[..., Config], form: str) -> None:
    config = load(form, "[a.csv, 'b-*.csv']")
    Path("d.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(Path("d.yaml")).config == config


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "data.format={name: csv, delimiter: ab}",
            "data.format.delimiter: expected auto, spaces, or the delimiter in quotes, got 'ab'",
        ),
        (
            "data.format={name: csv, delimiter: '\"'}",
            "data.format.delimiter: expected auto, spaces, or the delimiter in quotes, got '\"'",
        ),
        (
            "data.format={name: csv, encoding: klingon}",
            "data.format.encoding: expected auto, or an encoding such as utf-8, utf-16, latin-1 or"
            " cp1252, got 'klingon'",
        ),
        (
            "data.format={name: csv, encoding: base64}",
            "data.format.encoding: expected auto, or an encoding such as utf-8, utf-16, latin-1 or"
            " cp1252, got 'base64'",
        ),
        (
            "data.format={name: csv, decimal: ';'}",
            "data.format.decimal: expected 'auto', '.' or ',', got ';'",
        ),
        (
            "data.format={name: csv, decimal: ',', thousands: ','}",
            "data.format.thousands: is also the decimal separator",
        ),
        (
            "data.format={name: parquet, delimiter: ','}",
            "data.format.delimiter: unknown key; allowed: name",
        ),
        ("data.format=tsv", "unknown format 'tsv'; did you mean 'csv'?"),
        ("data.train=[]", "expected a file, got []"),
        ("data.train=[a.csv, '']", 'expected a file, got ["a.csv", ""]'),
    ],
)
def test_invalid_formats_are_rejected(
    problems_with: Callable[..., list[str]], setting: str, problem: str
) -> None:
    (found,) = problems_with("", setting)
    assert found.endswith(problem)


def test_files_of_all_sets_are_listed_in_order(load_with: Callable[..., Config]) -> None:
    config = load_with("", "data.validation=0.2", "data.test=[b.csv, c.csv]")
    assert config.data.files == ("a.csv", ("b.csv", "c.csv"))
    assert config.data.shares == (0.2, 0.0)
