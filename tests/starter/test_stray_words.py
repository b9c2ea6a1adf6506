"""`dlcli init` for tables with a few words in columns of numbers or dates."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config.config_file import make_config
from dlcli.config.config_schema import Config
from dlcli.errors import UsageError
from dlcli.starter.config_writing import starter_config


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marked = {5: "**", 9: "see note", 60: "**"}
    rows = [
        f"{marked.get(at, at / 4)},{'NA' if at == 2 else at * 7 % 31},{at * at}"
        for at in range(100)
    ]
    rows[17] = "4.25,17,n/k"
    Path("t.csv").write_text("\n".join(["a,b,y", *rows]))


def config_of(text: str) -> Config:
    return make_config(text).config


def test_words_among_numbers_are_declared_as_missing_with_their_rows():
    warnings: list[str] = []
    text = starter_config(Path("t.csv"), "y", warn=warnings.append)
    config = config_of(text)
    assert config.data.missing == {"a": ("**", "see note"), "y": ("n/k",)}
    assert "# a: '**', 'see note' in rows 6, 10, 61; correct them if they are values" in text
    assert [config.input.features[name].type for name in "ab"] == ["numeric", "numeric"]
    assert warnings == [
        "t.csv: words in 2 columns are declared as missing: 'a' ('**', 'see note' in rows 6, 10, "
        "61), 'y' ('n/k' in row 18)"
    ]


def test_given_words_keep_the_usual_words_of_the_table():
    text = starter_config(Path("t.csv"), "y", missing=("**", "see note", "n/k"))
    assert config_of(text).data.missing == ("**", "see note", "n/k", "NA")


def test_given_types_are_written():
    text = starter_config(Path("t.csv"), "y", types={"a": "categorical", "b": "ignored"})
    config = config_of(text)
    assert config.data.missing == {"y": ("n/k",)}
    assert [config.input.features[name].type for name in "ab"] == ["categorical", "ignored"]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"q": "numeric"}, "t.csv: no column 'q' in the table; the table has a, b, y"),
        ({"y": "numeric"}, "t.csv: 'y' is a target, whose type is set without its name"),
        ({"a": {"type": "datetime", "format": "%Q"}}, "'type': unknown '%Q' in '%Q'"),
    ],
)
def test_invalid_types_are_refused(types, message):
    with pytest.raises(UsageError) as caught:
        starter_config(Path("t.csv"), "y", types=types)
    assert str(caught.value).startswith(message)
