"""Pages, messages, help and docstrings use the field's terms, in plain sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TERMS = {
    r"\bdense networks?\b": "neural network, MLP; Dense is the layer",
    r"\boptimistically biased\b": "too optimistic",
    r"\bwhat it depends on\b": "feature importance and partial dependence",
    r"\bthe page of (a|the) run\b": "HTML report",
    r"(?<!^)\bmade-up rows\b|\bmade-up rows\b(?!$)": "synthetic rows",  # the key of export.json stays
    r"\bamounts that repeat\b|\bnumbers that are names\b": "ID-like numeric columns",
    r"\b(a|the|same) rate that restarts\b": "warm restarts",
    r"\ba factor for each column\b|\bfactors? of (each column|columns)\b": "scaling layer",
    r"\bsets of classes\b": "prediction sets",
    r"\b(intervals?|predictions?) and sets\b": "prediction intervals, prediction sets",
    r"\ba leak\b|\bleaks? of the target\b": "data leakage, target leakage",
    r"\balways the same answer\b": "a constant prediction",
    r"\bshare of right (rows|classes|values)\b": "share of correctly classified rows",
    r"\bbeyond the training( rows')? range\b|\bunlike training rows\b": "out of range",
    r"\brests? on\b|\blets? expect\b": "is based on",
    r"\bby lot\b|\bdealt\b": "at random; split",
    r"\bby heart\b": "memorize",
    r"\bgo(es)? on with (a|the) (run|training)\b": "resume",
    r"\bmore than noise\b": "statistically significant",
    r"\banew\b|\bbesides\b": "again; also",
    r"\b(is|are|was|were) none of\b": "is not one of",
    r"\bof (its|their) own\b": "its own …",
    r"\br²|\bR2\b": "R²",
    r"\b(dlcli|the (command|config|server|report|network|page)) (knows|says|asks|tells|answers)\b": (
        "reads, prints, requires, returns"
    ),
}
"""Words that stopped readers, with what to write."""
FRONTED = re.compile(r"(?:^|(?<=[.:;?!] ))Of (?!course\b)[a-z]+ ")
NOT_ENGLISH = ("zh-CN", "benchmarks")


def texts_of_pages() -> Iterator[tuple[str, str]]:
    """Yield the paragraphs of each English page, without code and anchors of headings."""
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/*.md")]):
        name = str(page.relative_to(ROOT))
        if not any(part in name for part in NOT_ENGLISH):
            text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
            for paragraph in re.split(r"\n\s*\n", re.sub(r"`[^`]*`|\]\(#[^)]*\)", "x", text)):
                yield name, " ".join(paragraph.split())


def texts_of_code() -> Iterator[tuple[str, str]]:
    """Yield the texts of the package: messages, help, docstrings and templates."""
    for module in sorted(ROOT.glob("dlcli/**/*.py")):
        name = str(module.relative_to(ROOT))
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield name, " ".join(re.sub(r"`[^`]*`", "x", node.value).split())
    for template in sorted(ROOT.glob("dlcli/**/*.html")):
        yield str(template.relative_to(ROOT)), " ".join(template.read_text("utf-8").split())


TEXTS = [*texts_of_pages(), *texts_of_code()]


@pytest.mark.parametrize("pattern", TERMS)
def test_a_term_that_stopped_readers_is_gone(pattern: str) -> None:
    term = re.compile(pattern, 0 if "R2" in pattern else re.IGNORECASE)

    found = [(name, match[0], text[:120]) for name, text in TEXTS if (match := term.search(text))]

    assert found == [], f"write: {TERMS[pattern]}"


def test_no_sentence_begins_with_of() -> None:
    assert [(name, text[:120]) for name, text in TEXTS if FRONTED.search(text)] == []
