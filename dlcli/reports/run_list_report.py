"""The page of `dlcli runs`: a sortable list of the runs, and their loss curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dlcli import __version__
from dlcli.errors import RunError, plural
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.charts import MOST_SERIES, series_colors
from dlcli.reports.command_views import runs_view
from dlcli.reports.training_report import lines_chart
from dlcli.runs.run_folder import open_run
from dlcli.runs.run_list import ListedRun

_MOST_CHARTS = 8
"""Maximum number of targets with a chart."""


def run_list_page(folder: Path, runs: Sequence[ListedRun], metric: str | None = None) -> views.View:
    """List runs on a page, with the loss curves of the first runs of each target.

    Args:
        folder: the folder of the runs.
        runs: the runs, in the order of the list.
        metric: see `runs_view`.
    """
    listed = runs_view(folder, runs, metric)
    tables = (block for block in listed.blocks if isinstance(block, views.TableBlock))
    notes = [f"{name}: {note}" for name, note in listed.links]

    def sections() -> Sequence[views.PageSection]:
        sortable = (
            replace(table, header=(*table.header[:-1], "state"), is_sortable=True)
            for table in tables
        )
        return [
            views.section("runs", "Runs", *sortable),
            views.section("training", "Training", *_curves(runs)),
        ]

    return views.View(
        title=plural(len(runs), "run"),
        kicker="dlcli runs",
        lead="Compare results only between runs with the same rows.",
        notes=tuple(notes),
        sections=sections,
        footer=f"Created by dlcli {__version__}.",
    )


def _curves(runs: Sequence[ListedRun]) -> Iterator[views.ViewBlock | str]:
    """Yield the charts of the losses, after their explanation."""
    charts = views.grid(_curve_charts(runs))
    if charts is not None:
        yield (
            "The loss of the validation rows or, without them, of the training rows. Losses are "
            "comparable only if the configs have the same loss and scaling. For each target, at "
            f"most {MOST_SERIES} runs are shown, the first of the list."
        )
        yield charts


def _curve_charts(runs: Sequence[ListedRun]) -> Iterator[views.ChartBlock]:
    """Draw a chart for each target."""
    targets: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for run in runs:
        lines = targets.setdefault(run.target, {})
        if len(lines) < MOST_SERIES and (loss := _loss(run)):
            lines[fmt.shorten_middle(run.path.name, 30)] = loss
    for target, lines in [pair for pair in targets.items() if pair[1]][:_MOST_CHARTS]:
        ends = [f"{name} from {loss[0]:.4g} to {loss[-1]:.4g}" for name, loss in lines.items()]
        yield lines_chart(
            f"Loss: {fmt.join_names(target, 2)}",
            lines,
            series_colors(list(lines)),
            f"{'; '.join(ends)}.",
            name="loss",
        )


def _loss(run: ListedRun) -> list[float]:
    """Return the loss per epoch of a training; empty if there is none or it can't be read."""
    if run.kind == "train" and run.state in ("finished", "diverged"):
        with suppress(RunError):
            history = open_run(run.path).history
            return history.get("val_loss") or history.get("loss") or []
    return []
