"""The README in Chinese says the same as the one in English, as far as that can be counted."""

from __future__ import annotations

import re
from pathlib import Path

from pages import find_blocks

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
)


def prose(page: str) -> str:
    """A page without its fenced parts."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def first_cells(page: str) -> list[str]:
    """What the rows of all tables are about, where it is code or a number."""
    return re.findall(r"^\| ([`\d].*?) \|", prose(page), re.MULTILINE)


def links(page: str) -> set[str]:
    """Where a page leads to, but for its twin."""
    return set(re.findall(r"\]\((\S+?)\)", prose(page))) - {"README.md", "README.zh-CN.md"}


def test_it_has_the_same_commands_outputs_and_configs_with_its_own_comments() -> None:
    in_english, in_chinese = (
        [re.sub(r" *#.*", "", block.text) for block in find_blocks(page)]
        for page in (ENGLISH, CHINESE)
    )

    assert in_chinese == in_english


def test_it_has_the_same_parts() -> None:
    in_english, in_chinese = (
        re.findall(r"^#+ ", prose(page), re.MULTILINE) for page in (ENGLISH, CHINESE)
    )

    assert in_chinese == in_english


def test_its_tables_are_of_the_same_verbs_exit_codes_files_and_measurements() -> None:
    assert first_cells(CHINESE) == first_cells(ENGLISH)


def test_it_names_the_same_keys_files_and_options() -> None:
    in_english, in_chinese = (
        set(re.findall(r"`([^`]+)`", prose(page))) for page in (ENGLISH, CHINESE)
    )

    assert in_chinese == in_english


def test_it_leads_to_the_same_pages() -> None:
    assert links(CHINESE) == links(ENGLISH)


def test_each_leads_to_the_other() -> None:
    assert "](README.zh-CN.md)" in ENGLISH.split("\n## ")[0]
    assert "](README.md)" in CHINESE.split("\n## ")[0]
