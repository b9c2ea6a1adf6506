"""Take the picture of a report, light and dark.

`python docs/draw_report.py RUN` saves the upper part of the HTML report of a finished training as
pictures/report.png and pictures/report-dark.png. It needs Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from draw_screens import screenshot
from picture_theme import PICTURES

from dlcli.reports import views
from dlcli.reports.report_files import to_html, view_of
from dlcli.runs.run_folder import open_run

SIZE = 1240, 1330
"""Width and height of the picture in pixels of the page."""
CHARTS = 2
"""Charts of predictions that are shown."""


def shortened(section: views.PageSection) -> views.PageSection:
    """Return a section with what fits: of the result, only the first charts."""
    if section.anchor == "result":
        return replace(section, blocks=tuple(_first(section.blocks)))
    return section


def _first(blocks: tuple[views.ViewBlock, ...]) -> Iterator[views.ViewBlock]:
    group = next(each for each in blocks if isinstance(each, views.GroupBlock))
    grid = next(each for each in group.blocks if isinstance(each, views.GridBlock))
    yield replace(grid, blocks=grid.blocks[:CHARTS])


def draw_report(run: Path) -> None:
    """Save the pictures of a run's report."""
    view = view_of(open_run(run))
    sections = [shortened(each) for each in view.sections() if each.blocks]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text(to_html(replace(view, sections=lambda: sections)), encoding="utf-8")
        screenshot(page.as_uri(), "report", *SIZE)
    (PICTURES / "report-light.png").replace(PICTURES / "report.png")


if __name__ == "__main__":
    draw_report(Path(sys.argv[1]))
