"""The reference has every key of the config with its default and meaning, and every command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dlcli.config.config_file import EDITOR_COMMENT, load_config
from dlcli.config.config_schema import json_schema
from dlcli.pipeline import events
from dlcli.schema.section import Section
from docs import generate_commands, generate_events
from docs.generate_reference import SCHEMA as SCHEMA_FILE
from docs.generate_reference import reference
from tests.config.schema import SCHEMA

DOCS = Path(__file__).parents[2] / "docs"
PAGES = reference()
LINES = [line.strip() for page in PAGES.values() for line in page.splitlines()]
SECTIONS: dict[str, dict[str, Any]] = {"Config": SCHEMA, **SCHEMA["$defs"]}


def test_the_schema_that_shipped_configs_name_is_that_of_the_command() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema()
    for config in SCHEMA_FILE.parent.glob("*.yaml"):
        assert config.read_text(encoding="utf-8").startswith(EDITOR_COMMENT), config.name


def repeated_defaults(section: Section) -> Iterator[str]:
    """Yield the keys of a config that set what they have without it."""
    for key in section.model_fields_set - {"name", "type"}:
        value = getattr(section, key)
        if not section.differs(key):
            yield key
        parts = value.values() if isinstance(value, Mapping) else value
        for part in parts if isinstance(value, Mapping | tuple) else [value]:
            if isinstance(part, Section):
                yield from repeated_defaults(part)


def test_shipped_configs_repeat_no_default() -> None:
    for path in SCHEMA_FILE.parent.glob("*.yaml"):
        if path.stem == "line":  # the first network shows all that it has
            continue
        assert [*repeated_defaults(load_config(path).config)] == [], path.name


def one_line(text: str) -> str:
    return " ".join(text.split())


def keys() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of every section that is not the name of a choice."""
    for section in SECTIONS.values():
        for key, part in section["properties"].items():
            if "const" not in part:
                yield key, part


def choices() -> Iterator[tuple[str, str]]:
    """Every name of a choice, with what is said of it."""
    for section in SECTIONS.values():
        for part in section["properties"].values():
            if "const" in part:
                yield part["const"], section["description"]


def lines_of(key: str, meaning: str) -> list[str]:
    ending = f"<br>{one_line(meaning)}"
    named = (f"**`{key}`**", f".{key}`**")
    return [line for line in LINES if line.endswith(ending) and any(name in line for name in named)]


def stored(folder: str) -> dict[str, str]:
    """The overview of a reference and the pages of its sections, as they are in docs/."""
    paths = [DOCS / f"{folder}.md", *(DOCS / folder).glob("*.md")]
    return {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_it_is_what_the_schema_gives() -> None:
    assert stored("reference") == PAGES, "out of date; run: python docs/generate_reference.py"


def test_the_commands_are_those_of_the_program() -> None:
    assert stored("commands") == generate_commands.commands_pages(), (
        "out of date; run: python docs/generate_commands.py"
    )


def test_the_page_of_events_is_what_their_types_give() -> None:
    page = generate_events.PAGE.read_text(encoding="utf-8")

    assert generate_events.events_page() == page, "out of date; run: python docs/generate_events.py"
    named = " ".join(block[2] for block in generate_events.BLOCK.finditer(page)).split()
    kinds = {
        name
        for name, kind in vars(events).items()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
    }
    assert sorted(named) == sorted(kinds)


def test_it_has_every_key_with_its_meaning() -> None:
    pairs = [(key, part["description"]) for key, part in keys()]

    assert len(pairs) > 200
    assert [key for key, meaning in pairs if not lines_of(key, meaning)] == []


def test_it_has_every_choice_with_its_meaning() -> None:
    def has(name: str, meaning: str) -> bool:
        # A name with several meanings is followed by the features that each of them is for.
        line = rf"- \*\*`{name}`\*\*(?: of [a-z]+ features)?: {re.escape(one_line(meaning))}"
        return any(re.fullmatch(line, each) for each in LINES)

    assert [name for name, meaning in choices() if not has(name, meaning)] == []


def test_choices_of_the_same_name_are_distinguished() -> None:
    for part in re.split("\n## ", "\n".join(PAGES.values())):
        names = re.findall(r"(?m)^- (\*\*`\w+`\*\*[^:\n]*): ", part)
        assert len(set(names)) == len(names)


def test_it_has_every_plain_default() -> None:
    plain = [
        (key, part["description"], json.dumps(part["default"]).strip('"'))
        for key, part in keys()
        if isinstance(part.get("default"), bool | int | float | str)
    ]

    assert len(plain) > 100
    assert [
        key
        for key, meaning, default in plain
        if not any(f" · default `{default}`<br>" in line for line in lines_of(key, meaning))
    ] == []


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("**`data.train`**", "**required**"),
        ("**`hidden[i].units`**", "a positive integer up to 1,000,000"),
        ("**`hidden[i].dropout`**", "a number of 0 or more and below 1"),
        ("[**`optimizer`**](reference/optimizer.md)", "(reference/optimizer.md#optimizers)"),
        ("**`output.activation`**", "[one of the activations](hidden.md#activations)"),
        ("**`precision`**", "`float32` | `mixed_float16` | `mixed_bfloat16`"),
    ],
)
def test_a_key_has_its_range(key: str, says: str) -> None:
    [found] = [line for line in LINES if line.startswith(f"- {key} · ")]

    assert says in found.partition("<br>")[0]
