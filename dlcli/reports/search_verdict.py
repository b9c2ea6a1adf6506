"""What came of a search, in a few sentences, without flattery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dlcli.errors import plural
from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.pipeline import Finalist, Search, TrialResult
from dlcli.reports.candidates import Candidates, value_of
from dlcli.reports.comparison_charts import in_words
from dlcli.reports.verdict import shown_score
from dlcli.reports.wording import number, plain, short


def finalists_of(search: Search) -> Mapping[str, Finalist]:
    """Those that were trained in full, by name."""
    return {each.name: each for each in search.finalists}


def verdict(candidates: Candidates) -> Iterator[str]:
    """Yields what came out, as sentences."""
    search, best = candidates.search, candidates.best
    tried = f"Tried {plural(len(search.trials), 'candidate')} for {short(search.name, 40)}"
    if best is None:
        yield f"{tried}; none came to a value."
        return
    yield f"{tried}. {_found(candidates, best)}"
    yield _on_new_rows(search)
    if (small := _smaller(candidates, best)) is not None:
        yield small


def _found(candidates: Candidates, best: TrialResult) -> str:
    """What the search itself says."""
    search, default = candidates.search, candidates.default
    rows = f"over {plural(search.folds, 'fold')}" if search.folds else "on the validation rows"
    told = f"By {short(search.metric, 40)} {rows} the best has {number(best.value)}"
    if default is None:
        return f"{told}."
    if candidates.is_better(value_of(best), value_of(default)):
        return f"{told}, the config as given {number(default.value)}."
    return f"{told}, no better than the config as given with {number(default.value)}."


def _on_new_rows(search: Search) -> str:
    """Whether the tuned network beats the default one on rows that took no part."""
    finalists = finalists_of(search)
    best, default = finalists.get("best"), finalists.get("default")
    if best is None:
        return "Rows that chose nothing have not judged it, and those that chose it flatter."
    if best.split != "test":
        return "There are no test rows, and the rows that chose it flatter it."
    if default is None or best.metric is None:
        return f"On test rows it can't be compared with the config as given{_reason(best)}."
    values = [shown_score(best.metric, each.metrics) for each in (best, default)]
    lower = "" if HIGHER_IS_BETTER.get(best.metric, True) else " (lower is better)"
    beside = f"{plain(best.metric)} {values[0]} against {values[1]}{lower}"
    return _judgement(best, beside)


def _judgement(best: Finalist, beside: str) -> str:
    gain = "" if best.gain is None or best.gain.value is None else in_words(best.gain)
    difference = f"; the difference is {gain}" if gain else ""
    if best.verdict == "better":
        return (
            "On the test rows, which chose nothing, the tuned network beats the default one by "
            f"more than noise: {beside}{difference}."
        )
    if best.verdict == "worse":
        return (
            "On the test rows, which chose nothing, the tuned network is worse than the default "
            f"one by more than noise: {beside}{difference}. Keep the default."
        )
    if best.verdict in ("not_significant", "same"):
        return (
            "On the test rows, which chose nothing, the tuned network does not beat the default "
            f"one by more than noise: {beside}{difference}."
        )
    return (
        "Whether the tuned network beats the default one can't be told from the test rows"
        f"{_reason(best)}: {beside}."
    )


def _reason(best: Finalist) -> str:
    reason = best.gain.reason if best.gain else None
    return f" ({short(reason, 200)})" if reason else ""


def _smaller(candidates: Candidates, best: TrialResult) -> str | None:
    """The smallest that is good enough, if it is another one."""
    small = candidates.smallest
    if small is None or small is best or small.parameters is None or best.parameters is None:
        return None
    return (
        f"The smallest network within one standard error of the best has {small.parameters:,} "
        f"parameters, the best {best.parameters:,}."
    )
