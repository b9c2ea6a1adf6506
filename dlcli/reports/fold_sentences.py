"""What rows did in a cross-validation, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from dlcli.errors import plural
from dlcli.pipeline import CrossValidation
from dlcli.reports.wording import number, short


def who_judged(found: CrossValidation) -> str:
    """Which rows have judged which networks, as the beginning of a sentence."""
    judged, rows = rows_that_judged(found), plural(found.rows, "row")
    networks = "networks" if found.repeats > 1 else "a network"
    if found.split == "time":
        return f"{judged:,} of the {rows} were predicted, each by {networks} of earlier ones"
    if judged < found.rows:
        return f"{judged:,} of the {rows} were predicted, each by {networks} that had not seen it"
    return f"Each of the {rows} was predicted by {networks} that had not seen it"


def rows_that_judged(found: CrossValidation) -> int:
    """How many rows did: of the repeat with the most, as folds may have failed."""
    counts = dict.fromkeys((each.repeat for each in found.results), 0)
    for each in found.results:
        if each.problem is None:
            counts[each.repeat] += each.held_out
    return max(counts.values(), default=0)


def how_it_works(found: CrossValidation) -> str:
    """What folds are for."""
    if found.split == "time":
        way = (
            "The rows are dealt out to folds along time. For each fold a network learns from all "
            "rows before it and then predicts the fold's own, which it has never seen; the "
            "earliest rows teach alone. So no row is judged by a network that knows it, or what "
            "came later."
        )
    else:
        again = ", each time that they are dealt out" if found.repeats > 1 else ""
        failed = any(each.problem is not None for each in found.results)
        but = ", but for those of folds that failed" if failed else ""
        way = (
            "The rows are dealt out to folds. For each fold a network learns from the rows of all "
            "others and then predicts the fold's own, which it has never seen; so every row is "
            f"judged once{again}{but}, and no row by a network that knows it."
        )
    return (
        f"{way} One split into training and test rows is one draw of the lot; the folds show how "
        "much depends on the draw."
    )


_WAYS: Mapping[str, str] = {
    "random": "at random",
    "stratified": "at random within each class, so that each fold has the classes' shares",
    "group": "group by group, so that the rows of one group are never on both sides",
    "time": "along time: each network learns from rows that come before those that judge it",
}


def how_dealt(found: CrossValidation) -> str:
    """How rows were dealt out."""
    way = _WAYS.get(found.split, short(found.split, 40))
    by = f" (column {short(found.column, 40)})" if found.column else ""
    text = f"Rows were dealt out to folds {way}{by}, from seed {number(found.seed)}."
    if found.set_aside:
        text += (
            f" {plural(found.set_aside, 'test row')} took no part at all, so that they can still "
            "judge what is chosen in the end."
        )
    return text
