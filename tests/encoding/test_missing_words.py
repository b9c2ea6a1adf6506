"""Words such as NA: where they are missing values, and where they are values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlcli.config.config_schema import Config
from dlcli.encoding import column_types
from dlcli.encoding.column_types import resolved_missing, settle_missing_words, words_to_read
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table

NUMBERS = [f"{at / 4}" for at in range(30)]


def make(**columns: list[str]) -> Table:
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def config(target: object = "y", features: object = None, **data: object) -> Config:
    section = {"train": "t.csv", "target": target, **data}
    document = {"data": section, "input": {"features": features}, "hidden": (), "epochs": 1}
    return Config.model_validate(document)


def missing(table: Table, given: Config | None = None) -> dict[str, list[str]]:
    """The distinct values that count as missing, by column."""
    features = None if given is None else given.input.features
    [settled] = settle_missing_words([table], given and given.data, features)
    found = {
        name: settled.keep(name).filter(pa.array(settled.missing(name))) for name in table.columns
    }
    return {name: sorted(set(values.to_pylist())) for name, values in found.items() if len(values)}


@pytest.mark.parametrize(
    "word",
    ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-", ".", " NA ", "#DIV/0!"],
)
@pytest.mark.parametrize(
    "values",
    [
        NUMBERS,
        ["1", "2", "3"],
        ["007", "012", "140"],
        ["2024-01-31", "2024-02-01"],
        ["TRUE", "FALSE"],
        [f"{kilos} kg" for kilos in range(12)],
        [*NUMBERS, "many"],
    ],
    ids=["numbers", "a few", "codes", "dates", "true and false", "amounts", "a stray value"],
)
def test_a_usual_word_is_missing_among_numbers_dates_and_true_or_false(word, values):
    assert missing(make(x=[*values, word])) == {"x": [word]}


@pytest.mark.parametrize("values", [NUMBERS, ["1. März 2024", "2. Mai 2024"]])
@pytest.mark.parametrize(
    "word",
    ["k.A.", "keine Angabe", "n.d.", "s/d", "N/D", "нет данных", "无", "未知", "—", "unknown"],
)
def test_words_of_other_languages_are_usual(word, values):
    assert missing(make(x=[*values, word])) == {"x": [word]}


def test_it_is_missing_even_if_it_is_frequent():
    assert missing(make(x=["1.5", *["NA"] * 99])) == {"x": ["NA"]}


@pytest.mark.parametrize("word", ["many", "offen", "-999", "n", "Na."])
def test_another_word_is_none(word):
    assert missing(make(x=[*NUMBERS, word])) == {}


def test_a_category_is_not_missing_on_its_own():
    assert missing(make(country=["DE", "NA", "FR"], x=["1", "2", "3"])) == {}


def test_a_category_is_missing_if_the_word_is_missing_among_numbers_too():
    table = make(country=["DE", "NA", "FR", "?"], x=["1", "2", "3", "NA"])
    assert missing(table) == {"country": ["NA"], "x": ["NA"]}


def test_texts_are_read_as_categories_are():
    table = make(notes=["a long note", "NA", "one more of them"], x=["1", "NA", "3"])
    assert missing(table) == {"notes": ["NA"], "x": ["NA"]}


def test_the_one_of_two_categories_is_not_missing():
    assert missing(make(sign=["+", "-", "+"], x=["1", "2", "-"])) == {"x": ["-"]}


def test_a_column_of_nothing_but_the_word_is_missing_if_it_is_elsewhere():
    assert missing(make(z=["NA", "NA"], x=["1", "NA"])) == {"z": ["NA"], "x": ["NA"]}


@pytest.mark.parametrize(
    ("word", "expected"), [("NA", ["NA"]), ("none", []), ("-", []), ("无", [])]
)
def test_a_class_is_missing_only_by_a_clear_word(word, expected):
    table = make(y=["a", "b", word, "a"], x=["1", "2", "3", word])
    assert missing(table, config()).get("y", []) == expected
    assert missing(table, config("x")).get("y") == [word]  # a feature


def test_a_numeric_target_has_missing_values():
    assert missing(make(x=["1", "2", "3"], y=["1.5", "NA", "2.5"]), config()) == {"y": ["NA"]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("auto", {"x": ["?", "NA"], "z": ["NA"]}),
        ((), {}),
        (("NA",), {"x": ["NA"], "z": ["NA"]}),
        ({"x": ()}, {"z": ["NA"]}),
        ({"x": ("?",)}, {"x": ["?"], "z": ["NA"]}),
        ({"z": ("2",)}, {"x": ["?", "NA"], "z": ["2"]}),
    ],
)
def test_what_the_config_lists_counts(words, expected):
    given = config(missing=words)
    table = make(x=["1", "?", "NA"], z=["NA", "2", "3"], y=["1", "2", "3"])
    words_of = words_to_read(given.data)
    read = Table(table.file, table.data, table.row_numbers, {c: words_of(c) for c in "xyz"})
    assert missing(read, given) == expected


def test_dates_in_an_unusual_format_have_missing_values_if_they_are_declared():
    features = {"day": {"type": "datetime", "format": "%d_%m_%Y"}}
    table = make(day=["31_01_2024", "NA"], y=["1", "2"])
    assert missing(table, config(features=features)) == {"day": ["NA"]}
    assert missing(table) == {}


def test_declared_categories_that_are_numbers_have_missing_values():
    table = make(code=["1", "2", "NA"], y=["1", "2", "3"])
    assert missing(table, config(features={"code": "categorical"})) == {"code": ["NA"]}


def test_rows_beyond_those_looked_at_count(monkeypatch):
    monkeypatch.setattr(column_types, "ROWS_LOOKED_AT", 3)
    table = make(x=["1", "NA", "2", "3", "4", "5", "6"], z=["a", "b", "c", "d", "e", "NA", "f"])
    assert missing(table) == {"x": ["NA"], "z": ["NA"]}


def test_one_line_remarks_on_it():
    table = make(x=["1", "?", "NA"], z=["NA", "2", "3"], y=["1", "2", "3"])
    [settled] = settle_missing_words([table])
    assert settled.notes == (
        "t.csv: '?', 'NA' are read as missing: 3 values in 'x', 'z'; data.missing: [] turns this off",
    )
    assert settle_missing_words([make(x=["1", "many"])])[0].file_notes == ()
    assert settle_missing_words([table], config(missing=("NA", "?")).data)[0].file_notes == ()


def test_other_tables_are_read_like_the_training_table():
    train = make(x=["1", "NA", "3"], z=["a", "b", "c"], w=["1", "2", "3"], y=["1", "2", "3"])
    test = make(x=["a", "b", "NA"], z=["NA", "?", "b"], w=["NA", "-", "1"], y=["1", "2", "3"])
    _, settled = settle_missing_words([train, test], config().data)
    masks = {name: settled.missing(name).tolist() for name in "xzw"}
    assert masks == {
        "x": [False, False, True],
        "z": [True, False, False],
        "w": [True, True, False],
    }


@pytest.mark.parametrize("kind", ["quoted", "parquet", "dictionary", "disk"])
def test_every_file_format_is_read_alike(kind, tmp_path):
    columns = {"x": ["1", "NA", "3"], "z": ["a", "b", "NA"]}
    path = tmp_path / "t.csv"
    if kind in ("quoted", "disk"):
        path.write_text('x,z\n"1","a"\n"NA",b\n3,"NA"\n')
    else:
        storage = pa.dictionary(pa.int8(), pa.string()) if kind == "dictionary" else pa.string()
        pq.write_table(pa.table({name: pa.array(v, storage) for name, v in columns.items()}), path)
    folder: Path | None = tmp_path if kind == "disk" else None
    table = read_table(str(path), words_to_read(), storage=Storage(folder))
    [settled] = settle_missing_words([table])
    assert settled.missing("x").tolist() == [False, True, False]
    assert settled.missing("z").tolist() == [False, False, True]


def test_decimal_commas_are_detected_among_missing_words(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n1,5;1\nNA;2\nNA;3\nNA;4\n")
    [settled] = settle_missing_words([read_table(str(path), words_to_read())])
    np.testing.assert_array_equal(settled.numbers("x"), [1.5, np.nan, np.nan, np.nan])


def test_the_resolved_words_are_those_that_types_do_not_imply():
    table = make(x=["1", "NA"], z=["a", "b"], code=["1", "NA"], y=["1", "2"])
    [settled] = settle_missing_words([table])
    features = config(
        {"column": "y", "type": "numeric"},
        {"x": "numeric", "z": "categorical", "code": "categorical"},
    )
    given, types = features.data, features.input.features
    resolved = resolved_missing(given, types, settled)
    assert {*resolved} == {"z", "code"}
    assert resolved["z"] == ("NA",)
    words = words_to_read(given.model_copy(update={"missing": resolved}), types)
    assert words("z") == ("NA",)
    assert "?" in words("x")
    assert "?" in words("y")
    assert words("another") == ()


@pytest.mark.parametrize("words", ["auto", (), ("?",)])
def test_without_words_for_categories_the_resolved_ones_are_those_given(words):
    given = config({"column": "y", "type": "numeric"}, {"z": "categorical"}, missing=words)
    [settled] = settle_missing_words([make(z=["a", "b"], y=["1", "2"])], given.data)
    assert resolved_missing(given.data, given.input.features, settled) == words
