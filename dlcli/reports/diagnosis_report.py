"""The report of a diagnosis: the findings in a run, and the results of the changes to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlcli.diagnosis import Finding as DiagnosisFinding
from dlcli.errors import plural
from dlcli.pipeline import Trial, winner
from dlcli.reports import formatting as fmt
from dlcli.reports.views import Attempt, Finding, Findings, Table, Text, View
from dlcli.runs import Run


def diagnosis_view(
    run: Run, findings: Sequence[DiagnosisFinding], trials: Sequence[Trial] | None = None
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
        head = Text(f"{run.path}: {count}")
        return View(title, blocks=(head, findings_block(run, findings)))
    best = winner(trials)
    if best is None:
        sentences = ["Nothing that was tried is significantly better."]
    else:
        sentences = [
            "The best of several on the same rows is optimistically biased: evaluate it on test "
            "rows, once, at the end."
        ]
    links = () if best is None else (("best change", best.patch.command(_config(run))),)
    table = Table(
        ("patch", "metric", "before", "after", "verdict", "run"),
        tuple(map(_trial_row, trials)),
        "validation rows:",
        text_columns=(0, 1, 4, 5),
    )
    return View(title, sentences=tuple(sentences), blocks=(table,), links=links)


def findings_block(run: Run, findings: Sequence[DiagnosisFinding]) -> Findings:
    """Show findings, each with what it means and the commands that try to change it."""
    shown = [
        Finding(
            rule=found.rule.replace("_", " "),
            observation=fmt.shorten(found.observation, 600),
            meaning=fmt.shorten(found.meaning, 1_000),
            attempts=tuple(
                Attempt(fmt.shorten(patch.why, 300), patch.command(_config(run)))
                for patch in found.patches
            ),
            source=fmt.shorten(found.source, 300),
        )
        for found in findings
    ]
    return Findings(tuple(shown))


def _trial_row(trial: Trial) -> tuple[str, ...]:
    return (
        trial.patch.name,
        trial.metric or fmt.UNDEFINED,
        fmt.number(trial.before),
        fmt.number(trial.after),
        _verdict(trial),
        fmt.UNDEFINED if trial.run is None else str(trial.run),
    )


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
    run: Run, findings: Sequence[DiagnosisFinding], trials: Sequence[Trial] | None = None
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
    config = _config(run)
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
    found = trial.difference
    return {
        "rule": trial.rule,
        "patch": trial.patch.name,
        "run": None if trial.run is None else str(trial.run),
        **_fields(trial, "metric", "before", "after"),
        "difference": found and _fields(found, "value", "lower", "upper", "verdict"),
        **_fields(trial, "problem", "helped"),
    }


def _fields(value: object, *names: str) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


def _config(run: Run) -> Path:
    return run.path / "resolved.yaml"
