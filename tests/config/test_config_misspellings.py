"""One typing error in a key or a choice is located, and the correct spelling suggested.

The errors are those of Damerau (1964): a missing, additional or wrong letter, or two exchanged.
For more: `DLCLI_FUZZ=1000 pytest tests/config/test_config_misspellings.py`.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import yaml

from tests.config.schema import SCHEMA

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
COUNT = int(os.environ.get("DLCLI_FUZZ", "100"))
OWN_NAMES = re.compile(r"name|data\.(train|target|missing|split\.column)|data\.target\.column")
"""Paths of values that users choose freely."""
OWN_KEYS = re.compile(r"input\.features|class_weight")
"""Paths whose keys are columns or classes."""


class Word(NamedTuple):
    """A key or a choice in a config."""

    text: str
    start: int
    """Characters before it."""
    position: str
    """Line and column."""


def words(text: str) -> list[Word]:
    """Return the keys and choices of a config, in order."""
    return list(_words(yaml.compose(text, Loader=yaml.SafeLoader), ""))


def _words(node: yaml.Node, path: str) -> Iterator[Word]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}".lstrip(".")
            if not OWN_KEYS.fullmatch(path):
                yield _word(key)
            yield from _words(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for item in [] if path == "input.features" else node.value:
            yield from _words(item, path)
    elif node.tag == "tag:yaml.org,2002:str" and not OWN_NAMES.fullmatch(path):
        yield from (
            [] if node.value[0].isdigit() else [_word(node)]
        )  # this loader reads 1e-3 as text


def _word(node: yaml.ScalarNode) -> Word:
    mark = node.start_mark
    return Word(node.value, mark.index, f"{mark.line + 1}:{mark.column + 1}")


def typing_errors(word: str) -> set[str]:
    """Return all texts with one typing error in a word."""
    letters = f"{ascii_lowercase}_"
    parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    few = {before + after[1:] for before, after in parts if after}
    many = {before + letter + after for before, after in parts for letter in letters}
    other = {before + letter + after[1:] for before, after in parts if after for letter in letters}
    swapped = {b + a[1] + a[0] + a[2:] for b, a in parts if len(a) > 1}
    return (few | many | other | swapped) - {word}


def vocabulary() -> set[str]:
    """Return every key and choice of the schema."""
    found = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            found.update(value.get("properties", {}), value.get("enum", []))
            found.add(value.get("const"))
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(SCHEMA)
    return {word for word in found if isinstance(word, str)}


KNOWN = vocabulary()


def misspellings(seed: int, count: int) -> Iterator[tuple[str, Word]]:
    """Yield configs with one typing error each, and the correct word."""
    draw = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in CONFIGS]
    for _ in range(count):
        text = draw.choice(texts)
        word = draw.choice(words(text))
        accepted = {"", "y", "n", word.text.replace("_", "")}  # Keras's classes lack underscores
        wrong = draw.choice(sorted(typing_errors(word.text) - KNOWN - accepted))
        yield text[: word.start] + wrong + text[word.start + len(word.text) :], word


def test_typing_errors_of_a_word() -> None:
    found = typing_errors("ab")
    assert {"a", "b", "aab", "abz", "a_b", "xb", "ax", "ba"} < found
    assert not found & {"ab", "", "abcd", "xy"}


def test_the_words_of_a_config_are_its_keys_and_choices_without_names() -> None:
    text = "name: a\ndata: {train: b, target: c}\ninput: {features: {d: numeric}}\nhidden: []\n"
    found = words(text)
    assert [word.text for word in found] == [
        *("name", "data", "train", "target", "input", "features", "numeric", "hidden")
    ]
    assert [text[word.start :].startswith(word.text) for word in found] == [True] * len(found)


def test_every_misspelling_is_located_and_nearly_all_are_corrected(
    problems_of: Callable[..., list[str]],
) -> None:
    corrected = 0
    for text, word in misspellings(seed=20, count=COUNT):
        problems = problems_of(text)
        located = [each for each in problems if each.startswith(f"c.yaml:{word.position}: ")]
        assert located, (word, problems)
        corrected += any(f"did you mean '{word.text}'?" in each for each in located)
    assert corrected >= 0.95 * COUNT
