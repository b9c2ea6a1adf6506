"""Paths as error messages print them, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.errors import printable
from dlcli.schema.yaml_document import Path, format_path, parse_path

PATHS = st.lists(st.text() | st.integers(0, 999_999_999), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("epochs", ("epochs",)),
        ("hidden[1].units", ("hidden", 1, "units")),
        ("input.features.pixel_*", ("input", "features", "pixel_*")),
        ("input.features['a.b'].type", ("input", "features", "a.b", "type")),
        ("class_weight['a=b']", ("class_weight", "a=b")),
        ("class_weight['a]b']", ("class_weight", "a]b")),
        ("class_weight['']", ("class_weight", "")),
        ('class_weight["it\'s"]', ("class_weight", "it's")),
        (r'class_weight["it\'s"]'.replace(r"\'", r"'\""), ("class_weight", "it'\"s")),
        (r'class_weight["a\nb"]', ("class_weight", "a\nb")),
        ("class_weight['C:\\x']", ("class_weight", "C:\\x")),
    ],
)
def test_a_path_is_read_and_written(text: str, path: Path) -> None:
    assert parse_path(text) == path
    assert format_path(path) == text


def test_a_quote_within_a_key_needs_no_brackets() -> None:
    assert parse_path("features.prix d'achat") == ("features", "prix d'achat")
    assert parse_path('features.Kunde "VIP".type') == ("features", 'Kunde "VIP"', "type")


def test_a_key_with_a_quote_is_written_readably() -> None:
    assert format_path(("features", "prix d'été 🏠")) == """features["prix d'été 🏠"]"""


@pytest.mark.parametrize("text", ["", "a..b", "a.", "a[", "a[x]", "a[-1]", "a['b]", "a]", "a[1]b"])
def test_an_invalid_path_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(text)


def test_an_unknown_escape_is_an_error() -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(r'a["\x"]')


@given(PATHS)
def test_a_written_path_is_read_as_equal(path: Path) -> None:
    assert parse_path(format_path(path)) == path


@given(PATHS)
def test_a_written_path_is_one_printable_line(path: Path) -> None:
    assert format_path(path).isprintable()


@given(st.text())
def test_printable_text_is_one_line(text: str) -> None:
    assert printable(text).isprintable()


def test_printable_keeps_visible_characters() -> None:
    assert printable("größe 5\t\x1b\u2028") == "größe 5\\t\\x1b\\u2028"
