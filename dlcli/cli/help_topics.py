"""What `dlcli help` explains apart from commands: exit codes, shell completion and terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from dlcli.errors import most_similar

EXIT_CODES: Mapping[str, str] = {
    "0": "success",
    "1": "unexpected failure",
    "2": "wrong usage or invalid config",
    "3": "invalid data, for example a missing column",
    "4": "training diverged, ran out of memory, lost a worker or filled the disk",
    "5": "a run folder is missing, unfinished or damaged",
    "6": "a quality gate failed, or a run was not reproduced",
    "7": "the model can't be exported, or its export predicts something else",
    "130, 143, 129": "ended by SIGINT (Ctrl-C), SIGTERM or SIGHUP",
}
"""The meaning of each exit code."""
COMPLETION = """\
To complete commands, options and paths with the Tab key, add this line to the start-up file
of your shell:

  bash (~/.bashrc)                   eval "$(_DLCLI_COMPLETE=bash_source dlcli)"
  zsh (~/.zshrc)                     eval "$(_DLCLI_COMPLETE=zsh_source dlcli)"
  fish (~/.config/fish/config.fish)  _DLCLI_COMPLETE=fish_source dlcli | source
"""
TOPICS = ("completion", "exit-codes", "glossary")
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

    def explanation(self) -> str:
        """Return the entry as plain text."""
        *paragraphs, link = self.text.split("\n\n")
        target = link.partition("](")[2].partition(")")[0]
        body = "\n\n".join(" ".join(_plain(each).split()) for each in paragraphs)
        also = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name}{also}\n\n{body}\n\nMore: docs/{target}"


def _plain(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown).replace("**", "")


def read_glossary() -> list[Term]:
    """Return the terms of the glossary, which is also a page of the documentation."""
    here = Path(__file__)
    page = next(
        each
        for each in (here.with_name("glossary.md"), here.parents[2] / "docs" / "glossary.md")
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
    """Find a term of the glossary; capitals, hyphens and a plural s do not matter.

    Args:
        words: the name of the term.
        others: other names that may be meant.

    Returns:
        The term. If there is none: the most similar name.
    """
    names: dict[str, Term] = {}
    for term in read_glossary():
        for name in (term.name, *term.aliases):
            names.setdefault(_key(name), term)
    wanted = _key(words)
    for key in (wanted, wanted.removesuffix("s")):
        if key in names:
            return names[key], None
    near = [each for each in (most_similar(wanted, others), most_similar(wanted, [*names])) if each]
    if near:  # the more similar one, or the first
        best = max(near, key=lambda name: SequenceMatcher(None, wanted, name).ratio())
        return None, best if best in others else names[best].name
    parts = [each for key, each in names.items() if len(wanted) >= _LEAST_SIMILAR and wanted in key]
    return None, parts[0].name if parts else None


def _key(name: str) -> str:
    """Return a name by which terms are compared."""
    plain = name.lower().replace("²", "2").replace("’", "'")
    return " ".join(re.split(r"[\s_-]+", plain.strip()))
