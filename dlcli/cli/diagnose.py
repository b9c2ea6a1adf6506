"""`dlcli diagnose`: what stands out in a run, and what to try next."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.options import PATH, chosen_run, verbose

if TYPE_CHECKING:
    from dlcli.diagnosis import Finding, Patch
    from dlcli.pipeline import Trial
    from dlcli.runs import Run

_NARROWEST = 40


@click.command()
@click.argument("run", type=PATH, required=False)
@click.option(
    "--try",
    "tries",
    is_flag=True,
    help="Train what is proposed, six runs at most, each in RUN-tries/, and tell which helped on "
    "validation rows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@verbose
def diagnose(run: Path | None, tries: bool, as_json: bool) -> None:
    """Say what stands out in a run, what that means and what to try.

    RUN is a run folder that `dlcli train` made, also one that diverged; if it is left out, the
    latest in runs/. Only what is stored there is looked at, never the data. With --try the
    proposals are trained on the same data and compared on validation rows; test rows stay
    untouched, as rows that choose can no longer judge.
    """
    from dlcli.cli.findings import finding_lines, to_document
    from dlcli.diagnosis import diagnose as look
    from dlcli.runs import open_run

    chosen = chosen_run(None) if run is None else open_run(run)
    chosen.require_training()
    findings = look(chosen)
    if not as_json:
        _print(finding_lines(chosen, findings, _width()))
    if tries:
        _try(chosen, findings, as_json)
    elif as_json:
        _print_json(to_document(chosen, findings, None))


def _try(run: Run, findings: Sequence[Finding], as_json: bool) -> None:
    """Trains what is proposed, and shows what came of it; an interruption leaves what is done."""
    from dlcli.cli.findings import to_document, trial_lines
    from dlcli.pipeline import choose_patches, try_patches

    patches = choose_patches(findings)
    if not patches and findings:
        click.echo("nothing of this can be tried on the same rows", err=True)
    trials: list[Trial] = []
    is_done = False
    try:
        begins = partial(_tell_begin, patches)
        for trial in try_patches(run, patches, _tell_warning, begins) if patches else ():
            trials.append(trial)
        is_done = True
    finally:
        if as_json and (is_done or trials):
            _print_json(to_document(run, findings, trials))
        elif trials:
            _print(trial_lines(run, trials))


def _tell_begin(patches: Sequence[object], place: int, patch: Patch) -> None:
    from dlcli.config import printable

    told = printable(" ".join(patch.overrides))
    click.echo(f"trying {place} of {len(patches)}: {patch.name}: {told}", err=True)


def _tell_warning(event: str, fields: dict[str, object]) -> None:
    from dlcli.cli.narration import tell

    if event == "warning":
        tell(event, fields)


def _print_json(document: dict[str, object]) -> None:
    click.echo(json.dumps(document, allow_nan=False))


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


def _width() -> int:
    """Characters of a line: the terminal's, and without one no end."""
    if not sys.stdout.isatty():
        return sys.maxsize
    return max(shutil.get_terminal_size().columns, _NARROWEST)
