"""The metrics of groups of rows and their largest differences, for pages and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from dlcli.errors import plural
from dlcli.prediction.groups import FEW_ROWS, ColumnGroups, Groups
from dlcli.reports import formatting as fmt
from dlcli.reports import views

_MOST_METRICS = 6
"""Number of metrics in a table; more are in a second one."""


def groups_view(groups: Groups) -> views.View:
    """Show the groups of each column."""
    return views.View(blocks=views.blocks(_blocks(groups)))


def groups_section(groups: Groups, adjective: str) -> views.PageSection:
    """Show the groups of each column in the HTML report.

    Args:
        groups: the groups.
        adjective: the adjective of the rows: `test`.
    """
    text = f"Metrics of groups of {adjective} rows with their 95 % confidence intervals."
    return views.section("groups", "Groups", text, *_blocks(groups))


def _blocks(groups: Groups) -> Iterator[views.ViewBlock | str]:
    for each in groups.columns:
        yield from _column_blocks(each)
    yield (
        "A difference is not a proof that the model is unfair: groups may differ in their classes, "
        "in the quality of their data or in how hard they are to predict. No significant "
        "difference is not a proof of equality either, above all with few rows. Each interval of a "
        "largest difference allows for the number of groups, but not for the number of metrics and "
        "columns: about one in 20 excludes 0 by chance."
    )


def _column_blocks(column: ColumnGroups) -> Iterator[views.ViewBlock | str]:
    name = fmt.shorten(column.column)
    names = [*dict.fromkeys(name for each in column.groups for name in each.metrics)]
    for start in range(0, len(names), _MOST_METRICS):
        some = names[start : start + _MOST_METRICS]
        rows = tuple(
            (
                fmt.shorten(each.group),
                f"{each.rows:,}",
                *(fmt.estimate(each.metrics.get(metric), metric) for metric in some),
            )
            for each in column.groups
        )
        header = (name, "rows", *map(fmt.metric_title, some))
        caption = f"By {name}" if not start else ""
        yield views.TableBlock(header, rows, caption, wraps=True)
    if column.differences:
        found = tuple(
            (
                fmt.metric_title(metric),
                fmt.shorten(each.lowest),
                fmt.shorten(each.highest),
                fmt.estimate(each.difference, metric, is_difference=True),
                "significant" if each.is_significant else "not significant",
            )
            for metric, each in column.differences.items()
        )
        header = ("", "lowest", "highest", "difference [95 % CI]", "verdict")
        caption = f"Largest differences by {name}"
        yield views.TableBlock(header, found, caption, (0, 1, 2, 3, 4), wraps=True)
    else:
        yield f"No two groups of {name} with at least {FEW_ROWS} rows can be compared."
    if column.small:
        names = [f"{each.group} ({plural(each.rows, 'row')})" for each in column.small]
        yield (
            f"Groups with fewer than {FEW_ROWS} rows are uncertain and not compared: "
            f"{fmt.join_names(names, 10)}."
        )
