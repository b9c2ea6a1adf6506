"""Parts of views, by where they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from dlcli.reports.views import ChartBlock, PageSection, TableBlock, View, ViewBlock


def flatten(blocks: tuple[Any, ...]) -> Iterator[Any]:
    """Yield blocks and those within them."""
    for block in blocks:
        yield block
        yield from flatten(getattr(block, "blocks", ()))
        for column in getattr(block, "columns", ()):
            if column.chart:
                yield column.chart


def anchors(view: View) -> list[str]:
    """Return the sections that a page shows."""
    return [section.anchor for section in view.sections() if section.blocks]


def parts(view: View, anchor: str) -> list[Any]:
    """Return the blocks of a section and those within them."""
    [section] = [each for each in view.sections() if each.anchor == anchor]
    return list(flatten(section.blocks))


def charts(view: View, anchor: str) -> dict[str, ChartBlock]:
    """Return the charts of a section by title."""
    return {each.title: each for each in parts(view, anchor) if isinstance(each, ChartBlock)}


def all_charts(sections: list[PageSection]) -> list[ChartBlock]:
    """Return the charts of all sections."""
    blocks: list[ViewBlock] = [block for section in sections for block in flatten(section.blocks)]
    return [block for block in blocks if isinstance(block, ChartBlock)]


def tables(view: View, anchor: str) -> dict[str, TableBlock]:
    """Return the tables of a section by caption."""
    return {each.caption: each for each in parts(view, anchor) if isinstance(each, TableBlock)}


def figures(view: View) -> list[tuple[str, str, str]]:
    """Return the figures of a view."""
    return [(each.label, each.value, each.note) for each in view.figures]


def codes(view: View, anchor: str = "next") -> list[str]:
    """Return the commands of a section."""
    return [each.text for each in parts(view, anchor) if each.kind == "code"]


def datasets(chart: ChartBlock) -> dict[str, Any]:
    """Return the rows of a chart, after checking it against the schema of Vega-Lite."""
    alt.Chart.from_dict(dict(chart.spec), validate=True)
    found: dict[str, Any] = chart.spec["datasets"]
    return found
