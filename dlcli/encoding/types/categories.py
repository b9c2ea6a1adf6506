"""Columns of text: one of several values, or words."""

from __future__ import annotations

import pyarrow.compute as pc

from dlcli.config import Boolean, Categorical, Text
from dlcli.encoding.types.decision import Decision
from dlcli.encoding.types.held import Held
from dlcli.errors import plural

FEWEST_WORDS = 3
"""Words that texts have on average; names of categories mostly have fewer."""
_MOST_CATEGORIES = Categorical().max_categories
_SAMPLE = 1_000

_ALONE = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_ALONE}]|[^\s{_ALONE}]*\p{{L}}[^\s{_ALONE}]*"
"""Anything with a letter between spaces, or a character of a script without spaces."""


def judge_booleans(held: Held) -> Decision | None:
    """Takes a column for true and false, in these words; yes and no are categories."""
    is_boolean = held.kind == "boolean" or held.table.looks_boolean(held.name)
    return Decision(Boolean(), "all true or false") if is_boolean else None


def judge_words(held: Held) -> Decision | None:
    """Takes a column of text for texts, or else for categories.

    Texts have three words on average, and either differ in at least half of the rows with a value,
    or there are more different ones than a category's encoding keeps.
    """
    if held.kind != "text":
        return None
    distinct, present = held.values.distinct, held.values.present
    if 2 * distinct >= present or distinct > _MOST_CATEGORIES:
        words = _average_words(held)
        if words >= FEWEST_WORDS:
            told = f"text of {words:.0f} words on average"
            return Decision(Text(), f"{told}, {plural(distinct, 'value')}")
    return Decision(Categorical(), f"text, {kept(distinct)}")


def kept(distinct: int) -> str:
    """How many categories there are, and which of them have an input of their own."""
    cut = f"; the {_MOST_CATEGORIES} most frequent are kept" if distinct > _MOST_CATEGORIES else ""
    return f"{plural(distinct, 'value')}{cut}"


def _average_words(held: Held) -> float:
    """Words of a different value, on average over the first thousand."""
    some = held.tally.texts.slice(0, _SAMPLE)
    return float(pc.mean(pc.count_substring_regex(some, _WORD)).as_py())
