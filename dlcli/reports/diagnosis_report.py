"""The views of a diagnosis: its findings, and the results of trained changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dlcli.data_checks.row_checks import SPLIT_CHECKS
from dlcli.diagnosis.remedies import Finding
from dlcli.errors import plural
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.training_report import verdict_sentences
from dlcli.runs.run import Run

if TYPE_CHECKING:
    from dlcli.pipeline.retraining import Trial


def diagnosis_view(
    run: Run, findings: Sequence[Finding], trials: Sequence[Trial] | None = None
) -> views.View:
    """Show the findings in a run, or the results of trained changes.

    Args:
        run: the run.
        findings: the findings, the most important first.
        trials: the trained changes; `None` shows the findings instead.
    """
    title = fmt.shorten(run.path, 200)
    if trials is None:
        doubts = _split_warnings(run)
        count = plural(len(findings), "finding") if findings else "no problems found"
        if doubts and not findings:
            count = "metrics may be too optimistic"
        listed = views.FindingsBlock(tuple(findings), run.resolved_path())
        found: list[views.ViewBlock | str] = [
            f"{run.path}: {count}",
            listed,
            *(f"warning: {message}" for message in doubts),
            *_open_verdicts(run, findings),
        ]
        return views.View(title, blocks=views.blocks(found))
    from dlcli.pipeline.retraining import winner

    best, rows = winner(trials), run.config.adjective("validation")
    table = views.TableBlock.of(
        trials,
        {
            "suggestion": lambda trial: trial.patch.name,
            "metric": lambda trial: fmt.metric_title(trial.metric or fmt.UNDEFINED),
            "before": lambda trial: fmt.number(trial.before),
            "after": lambda trial: fmt.number(trial.after),
            "verdict": _trial_verdict,
            "run": lambda trial: fmt.UNDEFINED if trial.run is None else str(trial.run),
        },
        f"{rows} rows:",
        text_columns=(0, 1, 4, 5),
    )
    if best is None:
        sentence = "Nothing that was tried is significantly better."
        return views.View(title, sentences=(sentence,), blocks=(table,))
    others = "new rows (`dlcli evaluate`)" if run.config.data.test is None else "test rows"
    sentence = (
        "The best of several suggestions was chosen on these rows, so its metrics are too "
        f"optimistic: evaluate it on {others}, once, at the end."
    )
    link = ("best suggestion", best.patch.command(run.resolved_path()))
    return views.View(title, sentences=(sentence,), blocks=(table,), links=(link,))


def _split_warnings(run: Run) -> tuple[str, ...]:
    """Return the warnings of training that held-out rows resemble training rows."""
    warnings = TrainingRecord(run).log.warning
    return tuple(each.message for each in warnings if each.check in SPLIT_CHECKS)


def _open_verdicts(run: Run, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the sentences of the report on baselines that the run is not better than.

    They are not findings if these rows can't show it, or a simple model is good enough.
    """
    known = {finding.rule.removeprefix("no_better_than_") for finding in findings}
    others = {name: each for name, each in run.conclusions.items() if each.verdict != "better"}
    if others and not known & {"constant", "linear"}:
        yield " ".join(verdict_sentences(TrainingRecord(run), others))


def _trial_verdict(trial: Trial) -> str:
    if trial.rescued:
        return "better: it no longer diverges"
    if trial.converged and trial.problem:
        return trial.problem
    if trial.difference is not None and trial.difference.verdict in fmt.VERDICTS:
        verdict = fmt.VERDICTS[trial.difference.verdict]
        worse = fmt.join_names([fmt.metric_title(name) for name in trial.worse])
        also = "also " if trial.difference.verdict == "worse" else ""
        return f"{verdict}; {also}significantly worse: {worse}" if worse else verdict
    result = "failed" if trial.run is None else "unknown"
    return f"{result}: {trial.problem or 'there is no interval'}"


def diagnosis_document(
    run: Run, findings: Sequence[Finding], trials: Sequence[Trial] | None = None
) -> dict[str, object]:
    """Return a diagnosis as one object, ready for JSON.

    ::

        run           the run folder
        findings      for each finding, the most important first:
          rule        the name of the rule
          observation  the evidence, with its numbers
          meaning     the usual meaning
          patches     for each: name, why, settings (path and value, as in --set), command
          source      the literature
        warnings      the warnings of training that metrics are too optimistic
        trials        for each trained patch; absent if training was not requested:
          rule, patch  the names of rule and patch
          run         the new run folder, or null
          metric      the decisive metric, or null
          before, after  that metric on validation rows
          difference  value, with lower and upper of its 95 % interval, and verdict: better, worse,
                      not_significant, same or unknown; or null
          worse       the names of other metrics that are significantly worse
          problem     why it failed or can't be compared, or null
          helped      whether it is significantly better
        winner        the command of the patch that helped most, or null

    Args:
        run: the run.
        findings: the most important first.
        trials: the trained changes; `None` if training was not requested.
    """
    config = run.resolved_path()
    document: dict[str, object] = {
        "run": str(run.path),
        "findings": [
            {
                **_fields(finding, "rule", "observation", "meaning"),
                "patches": [
                    {**_fields(patch, "name", "why", "settings"), "command": patch.command(config)}
                    for patch in finding.patches
                ],
                "source": finding.source,
            }
            for finding in findings
        ],
        "warnings": list(_split_warnings(run)),
    }
    if trials is None:
        return document
    from dlcli.pipeline.retraining import winner

    best = winner(trials)
    return {
        **document,
        "trials": [
            {
                "rule": trial.rule,
                "patch": trial.patch.name,
                "run": None if trial.run is None else str(trial.run),
                **_fields(trial, "metric", "before", "after"),
                "difference": trial.difference
                and _fields(trial.difference, "value", "lower", "upper", "verdict"),
                "worse": list(trial.worse),
                **_fields(trial, "problem", "helped"),
            }
            for trial in trials
        ],
        "winner": best and best.patch.command(config),
    }


def _fields(value: object, *names: str) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}
