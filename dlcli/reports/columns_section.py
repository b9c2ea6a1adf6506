"""The section on the data: rows, columns and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from dlcli.explanation import ColumnStatistics, Explanation, Histogram
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, bar_chart, histogram, milliseconds
from dlcli.reports.run_record import DataEvent, FeaturesEvent, TrainingRecord
from dlcli.reports.views import (
    Block,
    Chart,
    ColumnCard,
    ColumnCards,
    Figure,
    Figures,
    Fold,
    Section,
    Table,
    Text,
    Warnings,
)

MOST_CARDS = 60
MOST_OPEN_CARDS = 12
"""The other cards are folded."""
MOST_LISTED = 500
_MOST_WARNINGS = 8
_MOST_VALUES = 8
_LARGE = 10_000
"""Numbers from which `12k` is shorter than all digits."""
_HEIGHT = 90
_USES = {
    "train": ("Training rows", "used to fit the network"),
    "validation": ("Validation rows", "used to decide when to stop"),
    "test": ("Test rows", "used for the final evaluation only"),
}
_SHARES = {"y": "of training rows|.1%", "h": "of held-out rows|.1%"}


def data_section(record: TrainingRecord) -> Section:
    """Describe the data of a run."""
    blocks: list[Block] = []
    if record.log.data:
        blocks += _rows(record.log.data)
    blocks += _warnings(record)
    if record.explanation and record.explanation.columns:
        blocks += _columns(record.explanation)
    elif record.log.features:
        blocks.append(_types(record.log.features))
    return Section("data", "The data", tuple(blocks))


def _rows(event: DataEvent) -> list[Block]:
    total = sum(event.rows.values())
    figures = tuple(
        Figure(title, f"{count:,}", f"{fmt.percent(count / total)}, {use}")
        for name, (title, use) in _USES.items()
        if (count := event.rows.get(name))
    )
    split = f", split by “{fmt.shorten(event.split)}”" if event.split else ""
    return [Text(f"{total:,} rows of {fmt.shorten(event.file, 200)}{split}."), Figures(figures)]


def _warnings(record: TrainingRecord) -> list[Block]:
    texts = tuple(fmt.shorten(text, 600) for text in record.log.warnings)
    shown, rest = texts[:_MOST_WARNINGS], texts[_MOST_WARNINGS:]
    blocks: list[Block] = [Warnings(shown)] if shown else []
    if rest:
        blocks.append(Fold(f"{len(rest):,} more warnings", (Warnings(rest),)))
    return blocks


def _columns(explanation: Explanation) -> list[Block]:
    columns, rows = explanation.columns, explanation.rows.get("train", 0)
    text = "Bars show the distribution of the values in training rows."
    if any(name != "train" for name in explanation.rows):
        text += " The orange line or ticks are the held-out rows: they should look alike."
    blocks: list[Block] = [Text(text), column_cards(columns[:MOST_OPEN_CARDS], rows)]
    if folded := columns[MOST_OPEN_CARDS:MOST_CARDS]:
        blocks.append(Fold(f"{len(folded)} more columns", (column_cards(folded, rows),)))
    blocks.append(Fold("All columns as a table", (column_table(columns),)))
    if explanation.unlisted_columns:
        blocks.append(Text(f"{explanation.unlisted_columns:,} more columns are not described."))
    return blocks


def _types(event: FeaturesEvent) -> Table:
    """List the types of columns where nothing else is known of them."""
    rows = tuple(
        (fmt.shorten(name), fmt.shorten(of.type), fmt.shorten(of.reason))
        for name, of in list(event.columns.items())[:MOST_LISTED]
    )
    note = fmt.omitted(len(event.columns) - len(rows))
    return Table(("column", "type", "reason"), rows, "Columns", range(3), note)


def column_cards(columns: Sequence[ColumnStatistics], rows: int) -> ColumnCards:
    """Make a card for each column.

    Args:
        columns: what is known of them.
        rows: the number of training rows.
    """
    names = fmt.shorten_names(column.name for column in columns)
    cards = [
        ColumnCard(name, _type(column), tuple(_facts(column, rows)), _chart(column))
        for name, column in zip(names, columns, strict=True)
    ]
    return ColumnCards(tuple(cards))


def column_table(columns: Sequence[ColumnStatistics]) -> Table:
    """List columns with their numbers, up to `MOST_LISTED`."""
    shown = columns[:MOST_LISTED]
    rows = tuple(
        (
            name,
            _type(column),
            fmt.shorten(column.reason),
            f"{column.missing:,}",
            fmt.count(column.distinct),
            fmt.number(column.mean),
            _range(column) if column.minimum is not None else "",
            f"{column.inputs:,}" if column.inputs else "",
        )
        for name, column in zip(fmt.shorten_names(each.name for each in shown), shown, strict=True)
    )
    header = ("column", "type", "reason", "missing", "distinct", "mean", "range", "inputs")
    return Table(header, rows, "All columns", range(3))


def _type(column: ColumnStatistics) -> str:
    role = "" if column.role == "feature" else f"{column.role}, "
    return role + fmt.shorten(column.type)


def _facts(column: ColumnStatistics, rows: int) -> list[str]:
    facts = [fmt.shorten(column.reason)] if column.reason else []
    if _is_time(column):
        facts.append(f"from {_range(column)}")
    elif column.mean is not None:
        facts.append(f"mean {fmt.number(column.mean)}, from {_range(column)}")
    elif column.distinct is not None:
        facts.append(f"{column.distinct:,} distinct")
    if column.missing:
        share = f" ({fmt.percent(column.missing / rows)})" if rows else ""
        facts.append(f"{column.missing:,} missing{share}")
    return facts


def _is_time(column: ColumnStatistics) -> bool:
    """Whether its numbers are seconds since 1970."""
    return column.type == "datetime" and column.minimum is not None


def _range(column: ColumnStatistics) -> str:
    format_value = fmt.time if _is_time(column) else fmt.number
    return f"{format_value(column.minimum)} to {format_value(column.maximum)}"


def _chart(column: ColumnStatistics) -> Chart | None:
    if column.histogram is not None and any(column.histogram.train):
        return _distribution(column, column.histogram)
    if any(value.train for value in column.values[:_MOST_VALUES]):
        return _frequencies(column)
    return None


def _distribution(column: ColumnStatistics, found: Histogram) -> Chart:
    """Draw a histogram of numbers or times."""
    edges, train, held_out = found.edges, found.train, found.held_out
    is_time = _is_time(column)
    ends = [milliseconds(edge) if is_time else edge for edge in edges]
    shown = [fmt.time(edge) if is_time else fmt.number(edge) for edge in edges]
    trained, held = max(1, sum(train)), max(1, sum(held_out))
    rows = [
        {
            "l": ends[at],
            "u": ends[at + 1],
            "f": shown[at],
            "t": shown[at + 1],
            "y": count / trained,
            "h": held_out[at] / held if at < len(held_out) else 0,
        }
        for at, count in enumerate(train)
    ]
    is_large = max(abs(edges[0]), abs(edges[-1])) >= _LARGE
    labels = "" if is_time else "~s" if is_large else ".4~g"
    name, mean = fmt.shorten(column.name), fmt.number(column.mean)
    return Chart(
        title=name,
        spec=histogram(
            rows,
            Axis(format=labels, ticks=3, is_time=is_time),
            Axis(zero=True, hidden=True),
            tips={"f": "from", "t": "to", **_SHARES},
            height=_HEIGHT,
        ),
        description=f"Distribution of {name}: from {_range(column)}"
        + ("." if is_time else f", mean {mean}."),
    )


def _frequencies(column: ColumnStatistics) -> Chart:
    """Draw bars of the most frequent values."""
    values = column.values[:_MOST_VALUES]
    names = fmt.shorten_names((value.value for value in values), 24)
    train = max(1, sum(value.train for value in column.values))
    held_out = max(1, sum(value.held_out for value in column.values))
    rows = [
        {
            "y": name,
            "x": value.train / train,
            "n": value.train,
            "h": value.held_out / held_out,
        }
        for name, value in zip(names, values, strict=True)
    ]
    has_held_out = any(value.held_out for value in values)
    listed = ", ".join(f"{name} ({row['n']:,})" for name, row in zip(names[:3], rows, strict=False))
    return Chart(
        title=fmt.shorten(column.name),
        spec=bar_chart(
            rows,
            names,
            Axis(zero=True, hidden=True),
            tips={"y": "value", "n": "training rows|,d", "h": "of held-out rows|.1%"},
            markers=[{**row, "x": row["h"]} for row in rows] if has_held_out else (),
            height=max(_HEIGHT, 17 * len(names)),
        ),
        description=f"Most frequent values of {fmt.shorten(column.name)}: {listed}.",
    )
