"""A search told on one page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from dlcli.errors import plural
from dlcli.pipeline import FEWEST_TRIALS, Search
from dlcli.reports.blocks import Block, Card, Cards, Code, Fold, Grid, Page, Section, Text
from dlcli.reports.candidates import Candidates
from dlcli.reports.comparison_charts import in_words
from dlcli.reports.experiment import SAME, Experiment, asked, reproduce, to_bear_in_mind
from dlcli.reports.parallel_chart import parallel_chart
from dlcli.reports.search_charts import history_chart, importance_chart, size_chart
from dlcli.reports.search_tables import (
    failed_table,
    finalist_table,
    leaderboard_table,
    nested_table,
)
from dlcli.reports.search_verdict import finalists_of, verdict
from dlcli.reports.setting_charts import setting_charts
from dlcli.reports.titles import footer_of, title_of
from dlcli.reports.verdict import shown_score
from dlcli.reports.wording import duration, number, plain, short
from dlcli.runs import Run


@dataclass(frozen=True)
class Searched:
    """What a page tells of a search."""

    experiment: Experiment
    search: Search
    candidates: Candidates

    @classmethod
    def of(cls, run: Run) -> Searched:
        """Reads it.

        Raises:
            RunError: if a file of it is damaged.
        """
        search = Search.of(run)
        return cls(Experiment.of(run), search, Candidates(search))


def search_page(record: Searched) -> Page:
    """The page of a search."""
    experiment, search = record.experiment, record.search
    sections = [
        _result(search),
        _board(record.candidates),
        _size(record.candidates),
        _settings(record.candidates),
        _course(record.candidates),
        asked(experiment, Text(_how(search))),
        _next(record),
        reproduce(experiment, SAME if _is_repeatable(record) else _NOT_THE_SAME),
    ]
    return Page(
        title=title_of(experiment.run),
        kicker="dlcli report: search",
        verdict=" ".join(verdict(record.candidates)),
        summary=(_cards(record.candidates), *to_bear_in_mind(experiment, search.notes)),
        sections=tuple(section for section in sections if section is not None),
        footer=footer_of(experiment.run),
    )


def _cards(candidates: Candidates) -> Cards:
    search = candidates.search
    metric = short(search.metric, 30)
    states: list[str] = [each.state for each in search.trials]
    told = [
        f"{count:,} {word}"
        for state, word in (("pruned", "ended early"), ("failed", "failed"))
        if (count := states.count(state))
    ]
    cards = [
        *_best_cards(candidates, metric),
        *_judged_cards(search),
        Card("Candidates", f"{len(states):,}", ", ".join(told)),
        Card("Rows", f"{search.rows:,}", _set_aside(search)),
    ]
    at_once = f"{search.workers:,} processes" if search.workers > 1 else ""
    return Cards((*cards, Card("Time", duration(search.seconds), at_once)))


def _best_cards(candidates: Candidates, metric: str) -> Iterator[Card]:
    best, smallest, default = candidates.best, candidates.smallest, candidates.default
    if best is not None:
        error = best.standard_error
        note = "" if error is None else f"± {number(error)} (one standard error)"
        yield Card(f"{metric} of the best", number(best.value), note)
    if default is not None:
        yield Card(f"{metric} of the config as given", number(default.value), "to compare with")
    if best is not None and best.parameters is not None:
        small = smallest if smallest is not None and smallest.parameters is not None else best
        yield Card(
            "Parameters",
            f"{small.parameters or 0:,}",
            f"of the smallest good one; the best has {best.parameters:,}"
            if small is not best
            else "of the best, which is the smallest good one, too",
        )


def _judged_cards(search: Search) -> Iterator[Card]:
    """What new rows say of the best."""
    finalists = finalists_of(search)
    best, default = finalists.get("best"), finalists.get("default")
    if best is None or best.metric is None:
        return
    theirs = "" if default is None else f"as given: {shown_score(best.metric, default.metrics)}"
    value = shown_score(best.metric, best.metrics)
    yield Card(f"{plain(best.metric)} of the best, {best.split} rows", value, theirs)


def _set_aside(search: Search) -> str:
    aside = plural(search.set_aside, "test row")
    return f"{aside} chose nothing" if search.set_aside else "no test rows"


def _result(search: Search) -> Section | None:
    """What rows say that took no part in the choice."""
    blocks: list[Block] = []
    if search.finalists:
        why = _JUDGED if search.finalists[0].split == "test" else _FLATTERED
        blocks += [Text(why), finalist_table(search.finalists)]
    if search.nested:
        blocks += [Text(_NESTED), nested_table(search)]
    if search.nested_value is not None:
        worth = in_words(search.nested_value)
        blocks.append(Text(f"What the whole search is worth on new rows: {worth}."))
    return Section("result", "What new rows say", tuple(blocks)) if blocks else None


_JUDGED = (
    "Of many candidates, the one that comes first is partly lucky on the rows that chose it, so "
    "their value flatters. The test rows chose nothing. After the choice was made, these networks "
    "were trained in full and predicted them once; an interval that leaves 0 out is more than "
    "noise."
)
_FLATTERED = (
    "No test rows were set aside, so that only validation rows could judge, which have chosen: "
    "they flatter what was found. Set data.test aside to know."
)
_NESTED = (
    "The whole search was done again without each outer fold, and what it chose was judged by the "
    "fold, which had no part in it. So the last column tells what such a search gives on new rows; "
    "the one before it is what the search believed."
)


def _board(candidates: Candidates) -> Section | None:
    blocks: list[Block] = []
    if candidates.complete:
        blocks.append(leaderboard_table(candidates))
    if (failed := failed_table(candidates.search)) is not None:
        blocks.append(Fold(failed.caption, (failed,)))
    return Section("candidates", "The candidates", tuple(blocks)) if blocks else None


def _size(candidates: Candidates) -> Section | None:
    chart = size_chart(candidates)
    return None if chart is None else Section("size", "How small may it be?", (Text(_SMALL), chart))


_SMALL = (
    "The value of a candidate depends on which rows happened to judge it; the standard error tells "
    "by how much. Whatever lies within one standard error of the best is as good as far as anyone "
    "can tell, and of equals the one with the fewest parameters is to be preferred: it has the "
    "least room to learn its rows by heart, is faster, and is easier to understand (Breiman et al. "
    "1984)."
)


def _settings(candidates: Candidates) -> Section | None:
    """What each setting has to do with the value."""
    importance, parallel = importance_chart(candidates), parallel_chart(candidates)
    charts = setting_charts(candidates)
    blocks: list[Block] = [each for each in (importance, parallel) if each is not None]
    if charts and importance is None:
        count = len(candidates.complete)
        why = (
            ": too few to tell which settings mattered."
            if count < FEWEST_TRIALS
            else ", and no setting stands out from what chance does."
        )
        blocks.insert(0, Text(f"{plural(count, 'candidate')} came to an end{why}"))
    if charts:
        text = (
            "Each point is a candidate, the large one the best; the other settings differ, too. "
            "Lines mark the median of a choice."
        )
        blocks += [Text(text), Grid(tuple(charts))]
    return Section("varied", "What the settings do", tuple(blocks)) if blocks else None


def _course(candidates: Candidates) -> Section | None:
    chart = history_chart(candidates)
    return None if chart is None else Section("course", "The search", (chart,))


_SAMPLERS = {
    "random": "drawn at random",
    "grid": "all combinations of the lists, in turn",
    "tpe": "drawn where earlier good candidates lie more densely than bad ones (TPE)",
}


def _how(search: Search) -> str:
    """How candidates were chosen and judged."""
    judged = (
        f"the mean over {plural(search.folds, 'fold')}, the same for all"
        if search.folds
        else "the validation rows, the same for all"
    )
    better = "lower" if search.direction == "minimize" else "higher"
    aside = (
        f" {plural(search.set_aside, 'test row')} took no part in the choice."
        if search.set_aside
        else ""
    )
    return (
        f"Candidates were {_SAMPLERS[search.sampler]}, from seed {search.seed:,}. Each was judged "
        f"by {short(search.metric, 40)} on {judged}; {better} is better.{aside}"
    )


def _next(record: Searched) -> Section | None:
    """How to go on with what was found."""
    experiment, run = record.experiment, record.experiment.run
    blocks: list[Block] = []
    if experiment.trained("best"):
        best, default = str(run.path / "best"), str(run.path / "default")
        has_default = experiment.trained("default")
        is_lost = has_default and _is_worse(record.search)
        chosen = default if is_lost else best
        lines = [["dlcli", "predict", chosen, "DATA"], ["dlcli", "report", chosen]]
        if has_default:
            lines.append(["dlcli", "compare", default, best])
        text = _KEEP if is_lost else _PREDICT
        blocks += [Text(text), Code("\n".join(map(shlex.join, lines)))]
    found = [name for name in ("best.yaml", "smallest.yaml") if run.has(name)]
    if found:
        text = "Train what was found again, or change it; these are ordinary configs:"
        lines = [["dlcli", "train", str(run.path / name)] for name in found]
        blocks += [Text(text), Code("\n".join(map(shlex.join, lines)))]
    return Section("next", "How to go on", tuple(blocks)) if blocks else None


_PREDICT = "The best config was trained in full; predict with it, look at it, compare it:"
_KEEP = (
    "Both were trained in full, and the config as given is better than what was found; predict "
    "with it, look at it, compare them:"
)


def _is_worse(search: Search) -> bool:
    """Whether rows say that what was found is worse than the config as given."""
    best = finalists_of(search).get("best")
    return best is not None and best.verdict == "worse"


def _is_repeatable(record: Searched) -> bool:
    """Whether no clock, and no other process, had a say in which candidates there were."""
    tune = record.experiment.config.tune
    is_timed = tune is not None and tune.time is not None
    command = record.experiment.environment.get("command")
    words = command if isinstance(command, list) else []
    is_shared = any(str(word).startswith("--storage") for word in words)
    return not is_timed and not is_shared and record.search.workers <= 1


_NOT_THE_SAME = (
    "Which candidates there were depended on how fast they were trained, too, so that the same "
    "search may find another config. What was found gives the same when it is trained again: "
    "best.yaml with the same data, versions and threads on the same machine."
)
