"""The pages lead where they say, and GitHub shows their formulas."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pages import find_blocks

from dlcli.cli.program import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose_with_code(page: Path) -> str:
    """A page without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`]*`", "", prose_with_code(page))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes places of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@each_page
def test_every_link_to_this_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)(\S+?)\)", prose(page))

    assert [link for link in links if not is_there(page, link)] == []


@each_page
def test_every_picture_for_light_and_dark_pages_exists_and_has_words(page: Path) -> None:
    text = prose_with_code(page)
    sources = re.findall(r'<(?:source|img)\b[^>]*\bsrc(?:set)?="([^"]+)"', text)
    alone = re.findall(r"!\[\]|<img (?!alt=\"[^\"])", text)

    assert [source for source in sources if not is_there(page, source)] == []
    assert alone == []


@each_page
def test_every_formula_ends_and_has_nothing_that_markdown_takes_away(page: Path) -> None:
    """Of a backslash before punctuation, GitHub leaves the punctuation only."""
    text = re.sub(r"\$\$.*?\$\$", "", prose(page), flags=re.DOTALL)
    formulas = re.findall(r"\$.*?\$", prose(page), re.DOTALL)

    assert all(paragraph.count("$") % 2 == 0 for paragraph in re.split(r"\n\n|\n\| ", text))
    assert [part for part in formulas if re.search(r"\\[^a-zA-Z ]", part)] == []


@each_page
def test_every_formula_in_a_line_stands_where_github_reads_it_as_one(page: Path) -> None:
    """After a space, also in Chinese, where punctuation has none; and not before a letter."""
    text = re.sub(r"\$\$.*?\$\$", "", prose(page), flags=re.DOTALL)

    formulas = re.findall(r"(?:(?<=(.)))?(\$[^$]+\$)(?=(.))?", text)

    assert [part for part in formulas if part[0].strip() or part[2].isalnum()] == []


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every line of dlcli on a page, also of those that no test runs."""
    text = page.read_text(encoding="utf-8")
    scripts = [block.text for block in find_blocks(text, "sh")]
    lines = [line for script in scripts for line in script.splitlines()]
    for line in [*lines, *re.findall(r"`(dlcli [^`]+)`", prose_with_code(page))]:
        for part in re.split(r" \|\|? | && ", line.replace("\\|", "|")):
            if part.startswith("dlcli "):
                yield shlex.split(part, comments=True)[1:]


def problem_of(arguments: list[str]) -> str:
    """What is wrong with a command and its options; files and values are not looked at."""
    name = arguments[0]
    if name.startswith("-"):
        return "" if name in ("--help", "-V") else f"dlcli {name}"
    command = main.commands.get(name)
    if command is None:
        return f"dlcli {name}"
    context = click.Context(command, info_name=name, **main.context_settings)
    try:
        command.make_parser(context).parse_args(arguments[1:])
    except click.NoSuchOption as error:
        return f"dlcli {' '.join(arguments)}: {error.message}"
    except click.UsageError:
        pass  # the value of an option is omitted in prose
    return ""


@each_page
def test_every_command_and_option_exists(page: Path) -> None:
    assert [problem for problem in map(problem_of, commands(page)) if problem] == []


def linked(page: Path) -> set[Path]:
    links = re.findall(r"\]\(([^\s#)]+)", prose(page))
    return {(page.parent / link).resolve() for link in links}


def test_the_indexes_lead_to_every_page() -> None:
    """Each to all in its language; the pages of a folder that has an overview are found there."""
    english = ROOT / "docs" / "README.md"
    chinese = ROOT / "docs" / "zh-CN" / "README.md"
    translated = {*chinese.parent.rglob("*.md")}
    others = {*english.parent.rglob("*.md")} - translated

    for index, pages in ((english, others), (chinese, translated)):
        found = linked(index)
        for page in [page for page in found if page.with_suffix("").is_dir()]:
            found |= linked(page)
        assert sorted(page.name for page in pages - found - {index}) == []
