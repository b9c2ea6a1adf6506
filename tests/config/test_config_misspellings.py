"""One slip of the pen in a key or a choice: found where it stands, and what was meant is told.

The slips are those of typing (Damerau 1964): a letter too few, too many, another, or two exchanged.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import yaml

from dlcli.config import Config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
COUNT = 200
OWN_NAMES = re.compile(r"name|data\.(train|target|missing|split\.column)|data\.target\.column")
"""Where a value is the author's own word and no choice of dlcli's."""
OWN_KEYS = re.compile(r"input\.features|class_weight")
"""Where keys are columns or classes."""


class Word(NamedTuple):
    """A key or a choice in a config."""

    text: str
    start: int
    """Characters before it."""
    place: str
    """Line and column."""


def words(text: str) -> list[Word]:
    """The keys and choices of a config, in its order."""
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


def slips(word: str) -> set[str]:
    """All that is one slip from a word."""
    letters = f"{ascii_lowercase}_"
    parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    few = {before + after[1:] for before, after in parts if after}
    many = {before + letter + after for before, after in parts for letter in letters}
    other = {before + letter + after[1:] for before, after in parts if after for letter in letters}
    swapped = {b + a[1] + a[0] + a[2:] for b, a in parts if len(a) > 1}
    return (few | many | other | swapped) - {word}


def vocabulary() -> set[str]:
    """Every word that the config's schema knows anywhere."""
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

    collect(Config.model_json_schema())
    return {word for word in found if isinstance(word, str)}


KNOWN = vocabulary()


def misspellings(seed: int, count: int) -> Iterator[tuple[str, Word]]:
    """Texts with one slip each, and the word that was meant."""
    draw = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in CONFIGS]
    for _ in range(count):
        text = draw.choice(texts)
        word = draw.choice(words(text))
        slip = draw.choice(sorted(slips(word.text) - KNOWN - {"", "y", "n"}))
        yield text[: word.start] + slip + text[word.start + len(word.text) :], word


def test_the_slips_of_a_word_are_those_of_typing() -> None:
    found = slips("ab")
    assert {"a", "b", "aab", "abz", "a_b", "xb", "ax", "ba"} < found
    assert not found & {"ab", "", "abcd", "xy"}


def test_the_words_of_a_config_are_its_keys_and_choices_and_no_names() -> None:
    text = "name: a\ndata: {train: b, target: c}\ninput: {features: {d: numeric}}\nhidden: []\n"
    found = words(text)
    assert [word.text for word in found] == [
        *("name", "data", "train", "target", "input", "features", "numeric", "hidden")
    ]
    assert [text[word.start :].startswith(word.text) for word in found] == [True] * len(found)


def test_of_200_misspellings_all_are_found_in_their_places_and_nearly_all_understood(
    problems_of: Callable[..., list[str]],
) -> None:
    understood = 0
    for text, word in misspellings(seed=20, count=COUNT):
        problems = problems_of(text)
        at_place = [each for each in problems if each.startswith(f"c.yaml:{word.place}: ")]
        assert at_place, (word, problems)
        understood += any(f"did you mean '{word.text}'?" in each for each in at_place)
    assert understood >= 0.95 * COUNT
