"""The page: one file that is safe to open, whatever a run contains, and stays small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from dlcli.glossary import explanation_of
from dlcli.reports.report_files import render_report
from tests.reports.hand_made_runs import HOSTILE, class_run, number_run


@dataclass
class Parsed(HTMLParser):
    """A page as a browser understands it."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Texts with the element that they are in."""

    def __post_init__(self):
        super().__init__()
        self._open = [""]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self._open[-1], data))

    def inside(self, tag):
        return [text for within, text in self.texts if within == tag]


def parsed(html):
    page = Parsed()
    page.feed(html)
    page.close()
    return page


@pytest.fixture(scope="module", params=[number_run, class_run])
def html(request, tmp_path_factory):
    return render_report(request.param(tmp_path_factory.mktemp("run")))


def digests(texts):
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in texts
    ]


def programs(page):
    """The scripts that run; the others are data."""
    kinds = [given.get("type") for tag, given in page.elements if tag == "script"]
    return [text for kind, text in zip(kinds, page.inside("script"), strict=True) if kind is None]


@pytest.mark.slow
def test_the_policy_allows_just_the_scripts_and_styles_of_the_page(html):
    page = parsed(html)
    [policy] = [
        given["content"]
        for tag, given in page.elements
        if given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src {' '.join(digests(programs(page)))}",
        f"style-src {' '.join(digests(page.inside('style')))}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert len(programs(page)) == 2


def test_nothing_in_the_page_asks_for_anything_outside_of_it(html):
    page = parsed(html)
    asking = {"src", "srcset", "action", "formaction", "data", "poster", "background", "style"}
    assert [tag for tag, given in page.elements if asking & given.keys()] == []
    links = [given["href"] for _, given in page.elements if "href" in given]
    assert links
    assert [link for link in links if not link.startswith("#")] == []
    assert re.findall(r"url\(|@import", "".join(page.inside("style"))) == []


def test_no_element_has_a_listener(html):
    names = {name for _, given in parsed(html).elements for name in given}
    assert [name for name in names if name.startswith("on")] == []


def test_a_hostile_name_stays_text(html):
    assert HOSTILE[:34] not in html
    page = parsed(html)
    shown = [text for _, text in page.texts if "alert(1)" in text]
    assert any(
        text.startswith("</script><script>alert(1)</script>\"'`{{131*7}}<!--") for text in shown
    )
    assert "917" not in "".join(text for tag, text in page.texts if tag in ("td", "th", "li", "p"))


def test_embedded_data_hold_no_sign_that_html_could_read(html):
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert len(blocks) > 5
    assert [block for block in blocks if set("<>&") & set(block)] == []
    assert all(isinstance(json.loads(block), dict) for block in blocks)
    assert any("\\u003c/script" in block for block in blocks)


def test_a_long_name_is_cut(html):
    rest = re.sub(r"<pre.*?</pre>|<ul class=.warnings.*?</ul>", "", html, flags=re.DOTALL)
    assert "x" * 100 not in rest


def test_every_chart_has_a_sentence_and_every_section_a_place_in_the_contents(html):
    page = parsed(html)
    roles = [given for _, given in page.elements if given.get("role") == "img"]
    assert roles
    assert all(given["aria-label"] for given in roles)
    sections = [given["id"] for tag, given in page.elements if tag == "section"]
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert links[1:] == [f"#{name}" for name in sections]


def test_terms_have_the_explanation_of_the_glossary(html):
    explained = {given["title"] for tag, given in parsed(html).elements if tag == "abbr"}
    assert explanation_of("epoch") in explained
    assert explanation_of("row") not in explained


def test_headings_leave_no_level_out(html):
    levels = [int(tag[1]) for tag, _ in parsed(html).elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_a_run_always_has_the_same_page(tmp_path):
    run = number_run(tmp_path)
    assert render_report(run) == render_report(run)
