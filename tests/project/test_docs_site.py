"""The documentation is a site: every page is in its navigation, and every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; pages outside the navigation and wrong links are errors in mkdocs.yml."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    built = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert built.returncode == 0, built.stdout
    return folder


def test_it_has_every_page_and_can_be_searched(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    built = [
        page.parent if page.name == "README.md" else page.with_suffix("")
        for page in map(Path, map(str, pages))
    ]
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")

    assert [page for page in built if not (site / page / "index.html").is_file()] == []
    assert '"location":"reference/' in index


@pytest.mark.parametrize(
    "word",
    [
        *("AutoML", "churn", "data leakage", "Excel", "feature importance", "hyperparameter"),
        *("Jupyter", "neural network", "neuron", "regression", "tabular", "Windows"),
    ],
)
def test_a_search_for_a_word_of_the_field_finds_a_title(site: Path, word: str) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    titles = [part["title"].lower() for part in index["docs"]]

    assert any(word.lower() in title for title in titles)


def test_a_page_leads_to_its_counterpart_in_the_other_language(site: Path) -> None:
    for page, lang, other in (
        ("tutorial/1-line", "en", "../../zh-CN/tutorial/1-line/"),
        ("zh-CN/tutorial/1-line", "zh", "../../../tutorial/1-line/"),
        ("faq", "en", "../zh-CN/"),
    ):
        text = (site / page / "index.html").read_text("utf-8")
        assert f'<html lang="{lang}"' in text
        assert re.search(rf'href="{re.escape(other)}" hreflang="..?" class="md-select', text)


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    """Links may lead to other sites; scripts, styles, fonts and pictures may not come from them."""
    loaded = {
        address
        for page in site.rglob("*.html")
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text("utf-8"))
        for address in re.findall(r'(?:src|href)="((?:https?:)?//[^"]*)"', tag)
    }

    assert loaded == set()


def test_its_formulas_are_shown_without_scripts(site: Path) -> None:
    pages = [page.read_text("utf-8") for page in (site / "tutorial").rglob("*.html")]
    translated = [page.read_text("utf-8") for page in (site / "zh-CN/tutorial").rglob("*.html")]

    for tutorial in (pages, translated):
        assert sum(page.count("<math") for page in tutorial) > 50
        assert [page for page in tutorial if 'class="arithmatex"' in page] == []


def test_its_lines_break_between_words_and_never_within_an_option(site: Path) -> None:
    serve = (site / "how-to/serve/index.html").read_text("utf-8")
    lesson = (site / "tutorial/3-overfitting/index.html").read_text("utf-8")

    assert "<code>dlcli_<wbr>unseen_<wbr>values_<wbr>total</code>" in serve
    assert '<code><span class="option">--limit-rows</span></code>' in serve
    assert "95\u00a0% confidence" in lesson


def test_a_bare_address_is_a_link(site: Path) -> None:
    page = (site / "reference/input/index.html").read_text("utf-8")

    address = "https://arxiv.org/abs/2203.05556"
    assert f'<a href="{address}">{address}</a>, section 3.3' in page


def test_a_wide_table_in_a_code_block_scrolls_and_a_sentence_wraps(site: Path) -> None:
    page = (site / "start/result/index.html").read_text("utf-8")

    for beginning, look in (("weekday ", 'class="columns" '), ("Better than the linear", "")):
        line = rf'<span {look}id="__line-[\d-]+"><span class="go">{beginning}'
        assert re.search(line, page)


def test_output_in_parentheses_is_no_prompt(site: Path) -> None:
    page = (site / "tutorial/mathematics/index.html").read_text("utf-8")

    assert "<span class=\"go\">('hidden_1/kernel'" in page


def test_a_wrong_address_leads_to_the_home_page_in_english(site: Path) -> None:
    page = (site / "404.html").read_text("utf-8")

    assert '<a href="/.">home page</a>' in page
    assert '<html lang="en"' in page
    assert page.count('class="md-tabs__item') == 8


def test_nothing_of_markdown_is_left_in_its_prose(site: Path) -> None:
    found = []
    for page in site.rglob("index.html"):
        article = re.search(r"<article.*</article>", page.read_text("utf-8"), re.DOTALL)
        code = r"<(pre|math)\b.*?</\1>"
        prose = re.sub(code, "", article[0] if article else "", flags=re.DOTALL)
        in_code = re.findall(r"<code>[^<]*\\\|[^<]*</code>", prose)
        prose = re.sub(r"<code.*?</code>", "", prose, flags=re.DOTALL)
        left = re.findall(r"\*\*|\$[^<$]{1,60}\$|\[\^\d|\]\(", prose)
        found += [f"{page.parent.name}: {mark}" for mark in (*in_code, *left)]

    assert found == []
