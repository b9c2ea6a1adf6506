"""README, start pages and tutorial in Chinese have the content of the English ones, as counted.

The tests that run the commands and the Python of the pages omit the Chinese pages, which have the
same as the English ones.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pages import TRANSLATED_START, TRANSLATED_TUTORIAL, find_blocks

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
TRANSLATIONS = {
    ROOT / "README.md": ROOT / "README.zh-CN.md",
    **{ROOT / "docs" / "start" / page.name: page for page in sorted(TRANSLATED_START.glob("*.md"))},
    **{page: TRANSLATED_TUTORIAL / page.name for page in sorted(TUTORIAL.glob("*.md"))},
}
"""Pages in English with those in Chinese."""
ORIGINALS = {chinese: english for english, chinese in TRANSLATIONS.items()}

each_page = pytest.mark.parametrize("english", TRANSLATIONS, ids=lambda page: page.stem)


def both(english: Path) -> tuple[str, str]:
    """A page in English and in Chinese."""
    pages = (english, TRANSLATIONS[english])
    return pages[0].read_text(encoding="utf-8"), pages[1].read_text(encoding="utf-8")


def prose(page: str) -> str:
    """A page without its fenced parts."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def without_comments(text: str) -> str:
    """A fenced part without the comments after its lines; the name of a file above them stays."""
    return re.sub(r"(?<=.) *# .*", "", text)


def tables(page: str) -> list[list[str]]:
    """The rows of all tables; of their cells, only code, formulas and numbers."""
    rows = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", prose(page), re.MULTILINE)]
    wordless = re.compile(r"\d|[`$\d−].*[`$\d]")
    return [[cell if wordless.fullmatch(cell) else "" for cell in row] for row in rows]


def formulas(page: str) -> set[str]:
    """The formulas of a page, displayed or in a line."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    return set(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.DOTALL))


def decimals(page: str) -> set[str]:
    """The numbers with a point or thousands, which no language spells as words."""
    return set(re.findall(r"\d+(?:[.,]\d+)+", prose(page)))


def targets(path: Path) -> set[str | Path]:
    """The pages and pictures that a page leads to, those in Chinese as their originals."""
    links = re.findall(r"\]\((\S+?)\)", prose(path.read_text(encoding="utf-8")))
    local = set()
    for link in (link for link in links if "://" not in link):
        page, _, anchor = link.partition("#")
        target = (path.parent / page).resolve()
        is_translated = target in ORIGINALS or target in TRANSLATIONS  # so are its headings
        local.add(ORIGINALS.get(target, target if is_translated else f"{target}#{anchor}"))
    return {link for link in links if "://" in link} | local


def test_every_page_of_the_tutorial_and_two_to_start_with_are_translated() -> None:
    assert {page.name for page in TRANSLATED_START.glob("*.md")} == {"result.md", "understand.md"}
    assert {page.name for page in TRANSLATED_TUTORIAL.glob("*.md")} == {
        page.name for page in TUTORIAL.glob("*.md")
    }


@each_page
def test_it_has_the_same_commands_outputs_and_configs_with_its_own_comments(english: Path) -> None:
    in_english, in_chinese = (
        [(block.language, without_comments(block.text)) for block in find_blocks(page)]
        for page in both(english)
    )

    assert in_chinese == in_english


@each_page
def test_it_has_the_same_parts(english: Path) -> None:
    in_english, in_chinese = (
        re.findall(r"^#+ ", prose(page), re.MULTILINE) for page in both(english)
    )

    assert in_chinese == in_english


@each_page
def test_its_tables_have_the_same_rows_columns_and_numbers(english: Path) -> None:
    in_english, in_chinese = map(tables, both(english))

    assert in_chinese == in_english


@each_page
def test_it_names_the_same_keys_files_and_options(english: Path) -> None:
    in_english, in_chinese = (set(re.findall(r"`([^`]+)`", prose(page))) for page in both(english))

    assert in_chinese == in_english


@each_page
def test_it_has_the_same_formulas_and_numbers(english: Path) -> None:
    in_english, in_chinese = both(english)

    assert formulas(in_chinese) == formulas(in_english)
    assert decimals(in_chinese) == decimals(in_english)


@each_page
def test_it_leads_to_the_same_pages_and_pictures(english: Path) -> None:
    assert targets(TRANSLATIONS[english]) == targets(english)


@each_page
def test_each_leads_to_the_other(english: Path) -> None:
    chinese = TRANSLATIONS[english]
    in_english, in_chinese = (page.split("\n## ")[0] for page in both(english))

    assert f"English | [简体中文]({os.path.relpath(chinese, english.parent)})" in in_english
    assert f"[English]({os.path.relpath(english, chinese.parent)}) | 简体中文" in in_chinese
