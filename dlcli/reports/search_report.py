"""The report of a search for a better config."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from dlcli.errors import plural
from dlcli.metrics.definitions import METRICS, is_higher_better
from dlcli.metrics.intervals import Estimate
from dlcli.reports import command_views, report_parts, search_charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.search_charts import Candidates, settings_text, value_of, value_text
from dlcli.runs.documents import FEWEST_TRIALS, Finalist, Search, TrialResult
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.safe_files import Stored

MOST_CANDIDATES_LISTED = 50
"""Maximum number of candidates in the leaderboard."""
_MOST_FAILED = 20
_MOST_OUTER_FOLDS = 100
_MOST_SETTINGS = 8
"""Maximum number of settings with a column; further settings share one."""
_MOST_METRICS = 5
_SAMPLERS = {
    "random": "sampled at random",
    "grid": "all combinations of the lists",
    "tpe": "sampled where earlier good candidates are more frequent than bad ones (TPE)",
}


def search_view(run: Run) -> views.View:
    """Show a search: the best config next to the default, and the results of all candidates.

    Raises:
        RunError: if one of its files is damaged; sections raise it also.
    """
    search = run.search
    candidates = Candidates(search, run.config.adjective("validation"))
    summary, of_ensemble = _summary_table(candidates), [*_ensemble_tables(search)]
    if "best" in candidates.finalists:
        network = str(run.path / ("default" if candidates.prefers_default else "best"))
        link = ("predict", shlex.join(["dlcli", "predict", network, "DATA"]))
    else:
        link = ("train the best", shlex.join(["dlcli", "train", str(run.path / RunFile.BEST)]))
    links = [link]
    if search.ensemble is not None:
        command = ["dlcli", "predict", str(run.path / search.ensemble.run), "DATA"]
        links.append(("predict with the ensemble", shlex.join(command)))

    def sections() -> Sequence[views.PageSection]:
        evaluations, listed = _evaluations(candidates), _candidate_tables(candidates)
        size, history = (
            search_charts.size_chart(candidates),
            search_charts.history_chart(candidates),
        )
        return [
            views.section("result", "Result", summary, *evaluations),
            views.section("ensemble", "Ensemble", *of_ensemble),
            views.section("next", "Next steps", *_next_steps(run, candidates)),
            views.section("candidates", "Candidates", *listed),
            views.section(
                "size",
                "Smallest good network",
                _WHY_SMALL.format(candidates.metric) if size else None,
                size,
            ),
            views.section("varied", "Settings", *_setting_blocks(candidates)),
            views.section("course", "Course of the search", history),
            report_parts.config_section(run, _how_it_searched(candidates)),
            report_parts.reproduction_section(run, _repeatability(run, search)),
        ]

    view = views.View(
        kicker="dlcli report: search",
        sentences=tuple(_sentences(candidates)),
        figures=tuple(_figures(candidates)),
        notes=report_parts.as_sentences(search.notes),
        warnings=report_parts.as_sentences(run.parse_log(report_parts.RunLog).warnings),
        blocks=(summary, *of_ensemble[:1]),
        links=tuple(links),
        sections=sections,
    )
    return report_parts.run_view(run, view)


def _summary_table(candidates: Candidates) -> views.TableBlock:
    """Compare the default, the best and the smallest good candidate in columns."""
    search, trained = candidates.search, candidates.finalists
    named = {"default": search.default, "best": candidates.best, "smallest": candidates.smallest}
    if candidates.default_is_smallest and candidates.smallest is candidates.best:
        del named["smallest"]
    shown = {name: trial for name, trial in named.items() if trial is not None}
    trials = shown.values()
    rows = [
        (candidates.metric, *(candidates.shown(each.value) for each in trials)),
        ("± standard error", *(candidates.shown(each.standard_error) for each in trials)),
        ("parameters", *(fmt.count(each.parameters) for each in trials)),
    ]
    if trained:
        first = next(iter(trained.values()))
        if candidates.smallest is candidates.best and "best" in trained:
            trained = {**trained, "smallest": trained["best"]}
        finals = map(trained.get, shown)
        scores = (candidates.final_value(each) if each else "" for each in finals)
        name = f"{candidates.adjective(first)} {fmt.metric_title(first.metric or '')}"
        rows.append((name, *scores))
    header = ("", *shown)
    if (ensemble := trained.get("ensemble")) is not None:
        value, parameters = candidates.final_value(ensemble), f"{ensemble.parameters:,}"
        header = (*header, "ensemble")
        rows = [(*row, cell) for row, cell in zip(rows, ("", "", parameters, value), strict=True)]
    return views.TableBlock(header, tuple(rows), note="“Default” is the config as given.")


def _ensemble_tables(search: Search) -> Iterator[views.TableBlock]:
    """Yield the table of the candidates that the ensemble combines."""
    if search.ensemble is not None:
        names = [f"candidate #{number:,}" for number in search.ensemble.trials]
        yield report_parts.selection_table(search.ensemble.selection, names, "")


def _sentences(candidates: Candidates) -> Iterator[str]:
    search, best, smallest = candidates.search, candidates.best, candidates.smallest
    tried = f"Tried {plural(len(search.trials), 'candidate')} for {fmt.shorten(search.name, 40)}"
    if best is None:
        yield f"{tried}; none has a value."
        return
    rows = f"on the {candidates.held_out} rows"
    if search.folds:
        rows = f"over {plural(search.folds, 'fold')}"
    value = f"a {candidates.metric} of {candidates.shown(best.value)} {rows}"
    compared = ""
    if (default := candidates.default) is not None:
        is_better = candidates.is_better(value_of(best), value_of(default))
        given = "the config as given (“default”)"
        compared = f"; {given} has" if is_better else f", no better than {given} with"
        compared += f" {candidates.shown(default.value)}"
    yield f"{tried}. The best is candidate #{best.number:,}, with {value}{compared}."
    yield f"Its settings: {settings_text(best.values, 600)}."
    kind = "network"
    if default is not None and candidates.default_is_smallest:
        kind = "candidate"
        yield (
            "The smallest network within one standard error is the default, with "
            f"{fmt.count(default.parameters)} parameters instead of {fmt.count(best.parameters)}."
        )
    if smallest is not None and smallest is not best:
        sizes = (
            f"{fmt.count(smallest.parameters)} parameters instead of {fmt.count(best.parameters)}"
        )
        yield (
            f"The smallest {kind} within one standard error is candidate "
            f"#{smallest.number:,}, with {sizes}: "
            f"{settings_text(smallest.values, 600)}."
        )
    elif not candidates.default_is_smallest:
        yield "No smaller network is within one standard error."
    if search.ensemble is not None:
        single = "the best candidate alone, with the same folds"
        yield report_parts.selection_sentence(search.ensemble.selection, single)
    yield _evaluation_sentence(candidates.finalists)
    if search.nested_value is not None:
        value = fmt.estimate(search.nested_value)
        rows = "On rows that the search did not use (nested cross-validation)"
        yield f"{rows}, the {candidates.metric} is {value}."


def _evaluation_sentence(finalists: Mapping[str, Finalist]) -> str:
    """State whether the best config is better than the default on rows outside the search."""
    best, default = finalists.get("best"), finalists.get("default")
    if best is None:
        return (
            "The best was not evaluated on independent rows; its value is too optimistic because "
            "it was selected on the same rows."
        )
    if best.split != "test":
        return (
            "There are no test rows; the value of the best is too optimistic because it was "
            "selected on the same rows."
        )
    reason = f" ({fmt.shorten(best.gain.reason, 200)})" if best.gain and best.gain.reason else ""
    if default is None or best.metric is None:
        return f"On test rows it can't be compared with the default{reason}."
    first, second = best.metrics.get(best.metric), default.metrics.get(best.metric)
    change = fmt.versus(best.metric, first, second, best.gain or Estimate())
    lower = "" if is_higher_better(best.metric) else ", lower is better"
    compared = f"{fmt.metric_title(best.metric)} {change}{lower}"
    if best.verdict not in fmt.VERDICTS:
        return (
            f"It is unknown whether the best is better than the default on test rows: {compared}."
        )
    is_clear = best.verdict in ("better", "worse")
    verdict = fmt.VERDICTS[best.verdict] if is_clear else "not significantly better"
    keep = " Keep the default." if best.verdict == "worse" else ""
    return (
        "On test rows, which the search did not use, the best is "
        f"{verdict} than the default (at 95 %): {compared}.{keep}"
    )


def _figures(candidates: Candidates) -> Iterator[views.Figure]:
    search, best, default = candidates.search, candidates.best, candidates.default
    metric = fmt.capitalize(candidates.metric)
    if best is not None:
        note = f"± {candidates.shown(best.standard_error)} (standard error)"
        note = "" if best.standard_error is None else note
        yield views.Figure(f"{metric} of the best", candidates.shown(best.value), note)
    if default is not None:
        yield views.Figure(f"{metric} of the default", candidates.shown(default.value))
    if best is not None and best.parameters is not None:
        small = candidates.smallest or best
        note = "of the best"
        if not candidates.default_is_smallest:
            note += ", which is also the smallest within one standard error"
        if small is not best:
            note = f"of the smallest within one standard error; the best has {best.parameters:,}"
        yield views.Figure("Parameters", fmt.count(small.parameters), note)
    final, default_run = map(candidates.finalists.get, ("best", "default"))
    if final is not None and final.metric is not None:
        value, other = (
            candidates.final_value(each) if each else "" for each in (final, default_run)
        )
        rows = f"{candidates.adjective(final)} rows"
        title = f"{fmt.capitalize(fmt.metric_title(final.metric))} of the best, {rows}"
        yield views.Figure(title, value, f"default: {other}" if other else "")
    states = Counter(each.state for each in search.trials)
    ends = {"stopped early": states["pruned"], "failed": states["failed"]}
    parts = [f"{count:,} {name}" for name, count in ends.items() if count]
    yield views.Figure("Candidates", f"{len(search.trials):,}", ", ".join(parts))
    aside = report_parts.set_aside(search.set_aside) or "no test rows"
    yield views.Figure("Rows", f"{search.rows:,}", aside)
    workers = f"{search.workers:,} processes" if search.workers > 1 else ""
    yield views.Figure("Time", fmt.duration(search.seconds), workers)


def _evaluations(candidates: Candidates) -> Iterator[views.ViewBlock | str]:
    """Yield the metrics on rows that were not used for the selection."""
    search = candidates.search
    if search.finalists:
        is_unbiased = search.finalists[0].split == "test"
        yield _UNBIASED if is_unbiased else _BIASED.format(candidates.held_out)
        yield _finalist_table(candidates)
    if search.nested:
        yield _WHY_NESTED
        yield _nested_table(candidates)


_UNBIASED = (
    "The best of many candidates is partly best by chance on the rows used to select it, so its "
    "value is too optimistic. The search did not use the test rows: after the selection, these "
    "networks were fully trained and evaluated once on the test rows. A difference is "
    "statistically significant if its 95 % confidence interval excludes 0."
)
_BIASED = (
    "No test rows were set aside: these networks were evaluated on the {} rows that were used to "
    "choose them, so their metrics are too optimistic. Set data.test to get unbiased metrics."
)
_WHY_SMALL = (
    "The {} of a candidate depends on the evaluation rows; the standard error estimates by how "
    "much. Candidates within one standard error of the best are equally good within this "
    "uncertainty. Prefer the one with the fewest parameters: it overfits least, is faster and is "
    "easier to understand (Breiman et al. 1984)."
)
_WHY_NESTED = (
    "The whole search was repeated without each outer fold, and its best config was evaluated on "
    "that fold. The last column therefore estimates the result of such a search on new rows; the "
    "column before it shows the value that the search itself measured."
)


def _finalist_table(candidates: Candidates) -> views.TableBlock:
    finalists = candidates.search.finalists
    names = dict.fromkeys(name for each in finalists for name in each.metrics)
    first = finalists[0].metric
    metrics = sorted(filter(METRICS.__contains__, names), key=lambda name: name != first)
    difference = f"{fmt.metric_title(first or '')} − default’s [95 %]".lstrip()
    columns: dict[str, Callable[[Finalist], str]] = {
        "network": lambda each: each.name,
        "verdict": lambda each: fmt.VERDICTS.get(each.verdict, "unknown") if each.verdict else "",
        difference: lambda each: (
            fmt.estimate(each.gain, first or "", is_difference=True) if each.gain else ""
        ),
        "parameters": lambda each: f"{each.parameters:,}",
        "epochs": lambda each: f"{each.epochs:,}",
    }
    for name in metrics[:_MOST_METRICS]:
        title = f"{fmt.metric_title(name)}\N{NO-BREAK SPACE}{command_views.direction_mark(name)}"
        columns[title] = partial(candidates.final_value, metric=name)
    caption = f"Trained in full, evaluated on {candidates.adjective(finalists[0])} rows"
    return views.TableBlock.of(finalists, columns, caption, text_columns=range(2))


def _nested_table(candidates: Candidates) -> views.TableBlock:
    return views.TableBlock.of(
        candidates.search.nested,
        {
            "outer fold": lambda each: f"fold {each.fold:,}",
            "chosen without it": lambda each: settings_text(each.values),
            "rows": lambda each: f"{each.held_out:,}",
            "candidates": lambda each: f"{each.trials:,}",
            "in the search": lambda each: candidates.shown(each.inner),
            "on the fold": lambda each: candidates.shown(each.value),
        },
        "Nested cross-validation of the search",
        text_columns=range(2),
        most=_MOST_OUTER_FOLDS,
    )


def _candidate_tables(candidates: Candidates) -> Iterator[views.ViewBlock]:
    if candidates.complete:
        yield leaderboard_table(candidates)
    if failed := [each for each in candidates.search.trials if each.state == "failed"]:
        table = views.TableBlock.of(
            failed,
            {
                "candidate": lambda each: fmt.count(each.number),
                "problem": lambda each: fmt.shorten(each.problem or "", 160),
                "settings": lambda each: settings_text(each.values),
            },
            text_columns=range(3),
            most=_MOST_FAILED,
        )
        yield views.fold("Failed candidates", table)


def leaderboard_table(candidates: Candidates) -> views.TableBlock:
    """List the best candidates, and the default at its rank among them."""
    paths = [each.path for each in candidates.dimensions]
    shown, others = paths[:_MOST_SETTINGS], paths[_MOST_SETTINGS:]
    listed = candidates.complete[:MOST_CANDIDATES_LISTED]

    def cells(trial: TrialResult) -> tuple[str, ...]:
        marks = "★" if trial is candidates.best else ""
        marks += "◆" if trial is candidates.smallest else ""
        values = trial.values
        rest = settings_text({path: values[path] for path in others if path in values})
        return (
            "default" if trial.number is None else f"{trial.number:,} {marks}".rstrip(),
            candidates.shown(trial.value),
            candidates.shown(trial.standard_error),
            fmt.count(trial.parameters),
            fmt.count(trial.epochs),
            *(value_text(values[path], 30) if path in values else fmt.UNDEFINED for path in shown),
            *([rest] if others else []),
        )

    rows = [(f"{rank:,}", *cells(trial)) for rank, trial in enumerate(listed, start=1)]
    if (default := candidates.default) is not None:
        rank = sum(candidates.is_better(value_of(each), value_of(default)) for each in listed)
        rows.insert(rank, (fmt.UNDEFINED, *cells(default)))
    more = fmt.omitted(len(candidates.complete) - len(listed))
    keys = (path.rpartition(".")[2] or path for path in shown)
    names = ("layers" if key == "number" else key for key in keys)  # of hidden layers
    settings = fmt.shorten_names(names, 24)
    return views.TableBlock(
        (
            *("rank", "candidate", candidates.metric, "± standard error"),
            *("parameters", "epochs", *settings, *(["other settings"] if others else [])),
        ),
        tuple(rows),
        "Best candidates",
        text_columns=range(2),
        note="★ best; ◆ smallest good one: the fewest parameters within one standard error of the "
        f"best. “Default” is the config as given. {more}",
    )


def _setting_blocks(candidates: Candidates) -> Iterator[views.ViewBlock | str | None]:
    """Show the dependence of the value on each setting."""
    importance, drawn = (
        search_charts.setting_importance_chart(candidates),
        views.grid(search_charts.setting_charts(candidates)),
    )
    count = len(candidates.complete)
    yield importance
    if drawn and not importance and count < FEWEST_TRIALS:
        finished = f"{plural(count, 'candidate')} finished"
        yield f"{finished}: too few to estimate the importance of settings."
    if drawn:
        yield (
            "Each point is a candidate, the large point the best one. Other settings also vary. "
            "Lines mark the median of a choice."
        )
    yield drawn


def _how_it_searched(candidates: Candidates) -> str:
    search, rows = candidates.search, f"on {candidates.held_out} rows"
    if search.folds:
        rows = f"as the mean over {plural(search.folds, 'fold')}"
    better = "lower" if candidates.minimizes else "higher"
    aside = report_parts.set_aside(search.set_aside)
    return (
        f"Candidates were {_SAMPLERS[search.sampler]}, with random seed {search.seed}. All were "
        f"evaluated by {candidates.metric} {rows}; {better} is better."
        + (f" {aside} in the search." if aside else "")
    )


def _next_steps(run: Run, candidates: Candidates) -> Iterator[views.ViewBlock | str]:
    if report_parts.is_trained(run, "best"):
        best, default = str(run.path / "best"), str(run.path / "default")
        has_default = report_parts.is_trained(run, "default")
        is_worse = has_default and candidates.prefers_default
        chosen = default if is_worse else best
        lines = [["predict", chosen, "DATA"], ["report", chosen]]
        if has_default:
            lines.append(["compare", default, best])
        text = "The best config was trained in full:"
        if is_worse:
            text = (
                "Both were trained in full, and the best candidate is not better than the default:"
            )
        yield text
        yield report_parts.commands_block(lines)
    if candidates.search.ensemble is not None:
        ensemble = str(run.path / candidates.search.ensemble.run)
        yield "The best candidates were also trained as one ensemble:"
        yield report_parts.commands_block(
            [
                ["predict", ensemble, "DATA"],
                ["report", ensemble],
                ["compare", str(run.path / "best"), ensemble],
            ]
        )
    found = (RunFile.BEST, RunFile.SMALLEST, RunFile.BEST_ENSEMBLE)
    if configs := [name for name in found if run.has(name)]:
        yield "You can train or change the configs that were found:"
        yield report_parts.commands_block([["train", str(run.path / name)] for name in configs])


class _Study(Stored):
    """The fields of study.json that the report uses."""

    storage: str | None = None
    """The URL of a database, which other processes may share."""


def _repeatability(run: Run, search: Search) -> str:
    """State whether the same search would find the same config again."""
    tune = run.config.tune
    is_shared = run.has(RunFile.STUDY) and run.parse(RunFile.STUDY, _Study).storage is not None
    is_timed = tune is not None and tune.time is not None
    if not is_timed and not is_shared and search.workers <= 1:
        return report_parts.REPEATABLE
    return (
        "Which candidates were tried also depended on the training speed, so the same search may "
        f"find another config. Training {RunFile.BEST} again with the same data, versions and "
        "threads on the same machine gives the same network."
    )
