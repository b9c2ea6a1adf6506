"""The glossary: the terms that dlcli prints, for `dlcli help TERM` and for reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from dlcli.errors import most_similar

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_LEAST_SIMILAR = 3
"""Length from which part of a term finds it."""


@dataclass(frozen=True)
class Term:
    """An entry of the glossary."""

    name: str
    aliases: tuple[str, ...]
    text: str
    """Its paragraphs in Markdown; the last one is a link to a page."""

    @property
    def body(self) -> str:
        """The entry as plain text, without the link."""
        *paragraphs, _ = self.text.split("\n\n")
        return "\n\n".join(" ".join(_plain(each).split()) for each in paragraphs)

    def explanation(self) -> str:
        """Return the entry as plain text, with its names."""
        also = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name}{also}\n\n{self.body}"


def _plain(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown).replace("**", "")


def read_glossary() -> list[Term]:
    """Return the terms of the glossary, which is also a page of the documentation."""
    here = Path(__file__)
    page = next(
        each
        for each in (here.with_name("glossary.md"), here.parents[1] / "docs" / "glossary.md")
        if each.is_file()
    )
    return list(_parse(page.read_text(encoding="utf-8")))


def _parse(page: str) -> Iterator[Term]:
    """Yield the term of each heading; a line in italics below it lists its other names."""
    for entry in page.split("\n## ")[1:]:
        name, _, text = entry.strip().partition("\n\n")
        aliases: tuple[str, ...] = ()
        if text.startswith("*Also: "):
            first, _, text = text.partition("\n\n")
            aliases = tuple(first.removeprefix("*Also: ").rstrip("*").split(", "))
        yield Term(name, aliases, text)


def find_term(words: str, others: Sequence[str] = ()) -> tuple[Term | None, str | None]:
    """Find a term of the glossary; capitals, spaces, hyphens and a plural s do not matter.

    Args:
        words: the name of the term.
        others: other names that may be meant.

    Returns:
        The term. If there is none: the most similar name.
    """
    names = _terms_by_name()
    wanted = _key(words)
    for key in (wanted, wanted.removesuffix("s")):
        if key in names:
            return names[key], None
    joined = wanted.replace(" ", "")
    for key, term in names.items():
        if key.replace(" ", "") == joined:
            return term, None
    near = [each for each in (most_similar(wanted, others), most_similar(wanted, [*names])) if each]
    if near:  # the more similar one, or the first
        best = max(near, key=lambda name: SequenceMatcher(None, wanted, name).ratio())
        return None, best if best in others else names[best].name
    parts = [each for key, each in names.items() if len(wanted) >= _LEAST_SIMILAR and wanted in key]
    return None, parts[0].name if parts else None


def explanation_of(words: str) -> str:
    """Return the explanation of a term by its name; empty for anything else."""
    term = _terms_by_name().get(_key(words))
    return "" if term is None else term.body


@cache
def _terms_by_name() -> dict[str, Term]:
    names: dict[str, Term] = {}
    for term in read_glossary():
        for name in (term.name, *term.aliases):
            names.setdefault(_key(name), term)
    return names


def _key(name: str) -> str:
    """Return a name by which terms are compared."""
    plain = name.lower().replace("²", "2").replace("’", "'")
    return " ".join(re.split(r"[\s_-]+", plain.strip()))
