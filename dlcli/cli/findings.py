"""What `dlcli diagnose` shows: findings and trials, as plain text and as one JSON object.

::

    run           the run folder
    findings      for each, the most important first:
      rule          its name
      saw           the evidence
      means         what that usually means
      patches       for each: name, why, settings (path and value, as --set takes them), command
      source        where that is known from
    trials        with --try, for each patch that was trained; else it is left out:
      rule, patch   the rule's name, and the patch's
      run           the run folder that was made, or null
      metric        what tells whether it has helped, or null
      before, after the metric on validation rows
      difference    value, with lower and upper of its 95 % interval, and verdict: better, worse,
                    not_significant, same or unknown; or null
      problem       why it failed or can't be compared, or null
      helped        whether it did
    winner        with --try, the command of what helped most, or null
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.cli.text import align, number
from dlcli.config import printable
from dlcli.errors import plural
from dlcli.runs import Run

if TYPE_CHECKING:
    from dlcli.diagnosis import Finding
    from dlcli.pipeline import Trial

_LABEL = 8
_VERDICTS = {
    "better": "helped, by more than noise",
    "worse": "worse, by more than noise",
    "not_significant": "no more than noise",
    "same": "no difference",
}


def finding_lines(run: Run, findings: Sequence[Finding], width: int) -> list[str]:
    """What was found in a run.

    Args:
        run: the run.
        findings: the most important first.
        width: characters of a line; commands are never broken, as one pastes them.
    """
    name = printable(str(run.path))
    if not findings:
        return [f"{name}: nothing stands out"]
    lines = [f"{name}: {plural(len(findings), 'finding')}"]
    for place, finding in enumerate(findings, start=1):
        lines += ["", f"{place}. {finding.rule.replace('_', ' ')}"]
        lines += _finding_lines(finding, _config(run), width)
    return lines


def _finding_lines(finding: Finding, config: Path, width: int) -> Iterator[str]:
    yield from _labelled("saw", finding.saw, width)
    yield from _labelled("means", finding.means, width)
    for patch in finding.patches:
        yield f"   {'try':<{_LABEL}}{printable(patch.command(config))}"
        yield from _labelled("", patch.why, width)
    yield from _labelled("source", finding.source, width)


def _labelled(label: str, text: str, width: int) -> list[str]:
    indent = " " * (3 + _LABEL)
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=f"   {label:<{_LABEL}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def trial_lines(run: Run, trials: Sequence[Trial]) -> list[str]:
    """What came of the patches, on validation rows."""
    from dlcli.pipeline import winner

    rows = [["patch", "metric", "before", "after", "verdict", "run"], *map(_trial_row, trials)]
    *_, verdicts, runs = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = align([[*row[:4], row[4].ljust(verdicts), row[5].ljust(runs)] for row in rows])
    best = winner(trials)
    if best is None:
        end = "nothing that was tried helped by more than noise"
    else:
        end = f"what helped most: {printable(best.patch.command(_config(run)))}"
    note = (
        "choosing the best of several by the same rows flatters it: judge it by test rows, once, "
        "at the end"
    )
    return ["", "on validation rows:", *table, "", end, *([note] if best else [])]


def _trial_row(trial: Trial) -> list[str]:
    run = "-" if trial.run is None else printable(str(trial.run))
    metric = trial.metric or "-"
    return [
        trial.patch.name,
        metric,
        number(trial.before),
        number(trial.after),
        _verdict(trial),
        run,
    ]


def _verdict(trial: Trial) -> str:
    if trial.rescued:
        return "helped: it doesn't diverge any more"
    if trial.converged and trial.problem:
        return printable(trial.problem)
    if trial.difference is not None and trial.difference.verdict in _VERDICTS:
        return _VERDICTS[trial.difference.verdict]
    what = "failed" if trial.run is None else "can't be told"
    return f"{what}: {printable(trial.problem or 'there is no interval')}"


def to_document(
    run: Run, findings: Sequence[Finding], trials: Sequence[Trial] | None
) -> dict[str, object]:
    """The object, ready for JSON.

    Args:
        run: the run.
        findings: what was found.
        trials: what came of the patches; `None` if they were not tried.
    """
    config = _config(run)
    document: dict[str, object] = {
        "run": str(run.path),
        "findings": [_finding_document(finding, config) for finding in findings],
    }
    if trials is None:
        return document
    from dlcli.pipeline import winner

    best = winner(trials)
    return {
        **document,
        "trials": [_trial_document(trial) for trial in trials],
        "winner": best and best.patch.command(config),
    }


def _finding_document(finding: Finding, config: Path) -> dict[str, object]:
    patches = [
        {
            "name": patch.name,
            "why": patch.why,
            "settings": [list(setting) for setting in patch.settings],
            "command": patch.command(config),
        }
        for patch in finding.patches
    ]
    return {
        "rule": finding.rule,
        "saw": finding.saw,
        "means": finding.means,
        "patches": patches,
        "source": finding.source,
    }


def _trial_document(trial: Trial) -> dict[str, object]:
    found = trial.difference
    difference = found and {
        "value": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "verdict": found.verdict,
    }
    return {
        "rule": trial.rule,
        "patch": trial.patch.name,
        "run": None if trial.run is None else str(trial.run),
        "metric": trial.metric,
        "before": trial.before,
        "after": trial.after,
        "difference": difference,
        "problem": trial.problem,
        "helped": trial.helped,
    }


def _config(run: Run) -> Path:
    return run.path / "resolved.yaml"
