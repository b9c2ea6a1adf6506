"""The report of a diagnosis: the findings in a run, and the results of the changes to try."""

from __future__ import annotations

from collections.abc import Sequence

from dlcli.diagnosis.remedies import Finding
from dlcli.errors import plural
from dlcli.pipeline.retraining import Trial, winner
from dlcli.reports import formatting as fmt
from dlcli.reports.views import FindingsBlock, TableBlock, TextBlock, View
from dlcli.runs.run import Run


def diagnosis_view(
    run: Run, findings: Sequence[Finding], trials: Sequence[Trial] | None = None
) -> View:
    """Show the findings in a run, or the results of the changes that were tried.

    Args:
        run: the run.
        findings: the most important first.
        trials: the changes that were trained; `None` shows the findings instead.
    """
    title = fmt.shorten(run.path, 200)
    if trials is None:
        count = plural(len(findings), "finding") if findings else "nothing stands out"
        head = TextBlock(f"{run.path}: {count}")
        return View(title, blocks=(head, FindingsBlock(tuple(findings), run.resolved_path())))
    best, rows = winner(trials), run.config.adjective("validation")
    table = TableBlock.of(
        trials,
        {
            "patch": lambda trial: trial.patch.name,
            "metric": lambda trial: trial.metric or fmt.UNDEFINED,
            "before": lambda trial: fmt.number(trial.before),
            "after": lambda trial: fmt.number(trial.after),
            "verdict": _verdict,
            "run": lambda trial: fmt.UNDEFINED if trial.run is None else str(trial.run),
        },
        f"{rows} rows:",
        text_columns=(0, 1, 4, 5),
    )
    if best is None:
        sentence = "Nothing that was tried is significantly better."
        return View(title, sentences=(sentence,), blocks=(table,))
    sentence = (
        "The best of several on the same rows is optimistically biased: evaluate it on test rows, "
        "once, at the end."
    )
    link = ("best change", best.patch.command(run.resolved_path()))
    return View(title, sentences=(sentence,), blocks=(table,), links=(link,))


def _verdict(trial: Trial) -> str:
    if trial.rescued:
        return "better: it no longer diverges"
    if trial.converged and trial.problem:
        return trial.problem
    if trial.difference is not None and trial.difference.verdict in fmt.VERDICTS:
        return fmt.VERDICTS[trial.difference.verdict]
    result = "failed" if trial.run is None else "unknown"
    return f"{result}: {trial.problem or 'there is no interval'}"


def diagnosis_document(
    run: Run, findings: Sequence[Finding], trials: Sequence[Trial] | None = None
) -> dict[str, object]:
    """Return a diagnosis as one object, ready for JSON.

    ::

        run           the run folder
        findings      for each, the most important first:
          rule        its name
          observation  the evidence, with its numbers
          meaning     what that usually means
          patches     for each: name, why, settings (path and value, as --set takes them), command
          source      where that is known from
        trials        for each patch that was trained; absent if none was to be:
          rule, patch  their names
          run         the run folder that was made, or null
          metric      the metric that decides, or null
          before, after  that metric on validation rows
          difference  value, with lower and upper of its 95 % interval, and verdict: better, worse,
                      not_significant, same or unknown; or null
          problem     why it failed or can't be compared, or null
          helped      whether it is significantly better
        winner        the command of the patch that helped most, or null

    Args:
        run: the run.
        findings: the most important first.
        trials: the changes that were trained; `None` if none were to be.
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
    }
    if trials is None:
        return document
    best = winner(trials)
    return {
        **document,
        "trials": [_trial_document(trial) for trial in trials],
        "winner": best and best.patch.command(config),
    }


def _trial_document(trial: Trial) -> dict[str, object]:
    change = trial.difference
    return {
        "rule": trial.rule,
        "patch": trial.patch.name,
        "run": None if trial.run is None else str(trial.run),
        **_fields(trial, "metric", "before", "after"),
        "difference": change and _fields(change, "value", "lower", "upper", "verdict"),
        **_fields(trial, "problem", "helped"),
    }


def _fields(value: object, *names: str) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}
