"""Views of Shapley values: for each row, its prediction, and a bar for each of the top columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dlcli.errors import plural
from dlcli.explanation.explanation_document import Unit
from dlcli.explanation.shapley import ShapleyValues
from dlcli.metrics.statistic import Floats
from dlcli.pipeline.wanted_changes import RowChanges
from dlcli.prediction.predictions import Predictions
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.tables.table import Table

_WIDTH = 20
"""Width of the longest bar, in characters."""
_BAR = "█"
_PARTS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def shapley_view(
    values: ShapleyValues,
    texts: Mapping[str, Sequence[str | None]],
    rows: Sequence[int],
    target: str,
    top: int,
) -> views.View:
    """Show the explanation of rows.

    Args:
        values: the Shapley values.
        texts: the values of each column, (rows,).
        rows: the row numbers.
        target: the name of the target.
        top: the maximum number of columns for each row.
    """
    tables = [_table(values, texts, at, row, target, top) for at, row in enumerate(rows)]
    return views.View(blocks=views.blocks([*tables, method_sentence(values)]))


def method_sentence(values: ShapleyValues) -> str:
    """Return a sentence about the meaning and precision of the values."""
    rows = plural(values.background_rows, "training row")
    unit = "" if values.unit == "target" else f" in {_UNITS[values.unit]}"
    meaning = (
        f"Shapley values{unit}: what each column adds to the mean prediction for {rows}, or "
        "subtracts from it."
    )
    if values.pairs is None:
        return f"{meaning} They are exact."
    return (
        f"{meaning} They are estimated from {2 * values.pairs:,} random orders of the columns; "
        "± is one standard error."
    )


_UNITS: Mapping[Unit, str] = {
    "probability": "percentage points of the probability",
    "log-odds": "log-odds",
    "margin": "units of the margin",
}


def format_prediction(unit: Unit, number: float) -> str:
    """Format a prediction in a unit."""
    return fmt.percent(number) if unit == "probability" else fmt.number(number)


def _table(
    values: ShapleyValues,
    texts: Mapping[str, Sequence[str | None]],
    at: int,
    row: int,
    target: str,
    top: int,
) -> views.TableBlock:
    name, prediction, effects, errors = values.shown(at)
    order = top_columns(effects, top)
    shown = format_prediction(values.unit, prediction)
    mean = format_prediction(values.unit, values.shown_mean(at))
    explained = (
        fmt.shorten(target) if name == target else f"{fmt.shorten(target)} = {fmt.shorten(name)}"
    )
    kind = f"{values.unit} of " if values.unit in ("log-odds", "margin") else ""
    caption = f"row {row:,}: {kind}{explained}: {shown} (mean {mean})"
    largest = max((abs(effects[index]) for index in order), default=0.0)
    lines, decimals = [], decimals_of(values.unit, largest)
    for index in order:
        column, effect = values.columns[index], float(effects[index])
        error = None if values.is_exact else float(errors[index])
        text = texts[column][at]
        lines.append(
            (
                f"  {fmt.shorten(column, 30)}",
                "missing" if text is None else fmt.shorten(text, 30),
                *format_effect(values.unit, effect, error, decimals),
                bar(effect, largest),
            )
        )
    rest = np.delete(effects, order)
    if np.any(rest != 0):
        others = plural(len(rest), "other column")
        number, _ = format_effect(values.unit, float(rest.sum()), None, decimals)
        lines.append((f"  {others}", "", number, "", bar(float(rest.sum()), largest)))
    return views.TableBlock(("",) * 5, tuple(lines), caption, text_columns=(0, 1, 3, 4))


def top_columns(effects: Floats, top: int) -> list[int]:
    """Return the indices of the largest effects that are not 0, the largest first."""
    order = np.argsort(-np.abs(effects), kind="stable")[:top]
    return [int(index) for index in order if effects[index] != 0]


def format_effect(unit: Unit, effect: float, error: float | None, decimals: int) -> tuple[str, str]:
    """Format an effect with its sign, and its standard error unless it is exact (`None`)."""
    scale = 100.0 if unit == "probability" else 1.0
    sign = "−" if effect < 0 else "+"
    doubt = "" if error is None else f"± {scale * error:,.{decimals}f}"
    return f"{sign}{abs(scale * effect):,.{decimals}f}", doubt


def decimals_of(unit: Unit, largest: float) -> int:
    """Return the number of decimals with which the largest effect has three digits."""
    if unit == "probability":
        return 1
    digits = 2 - math.floor(math.log10(largest)) if largest > 0 else 2
    return min(max(digits, 0), 12)


def bar(effect: float, largest: float) -> str:
    """Draw a bar whose length is the share of the largest effect."""
    eighths = round(8 * _WIDTH * min(1.0, abs(effect) / largest)) if largest else 0
    return _BAR * (eighths // 8) + _PARTS[eighths % 8]


def changes_view(found: Sequence[RowChanges], table: Table, rows: Sequence[int]) -> views.View:
    """Show the smallest changes of rows that lead to a wanted prediction.

    Args:
        found: the changes of each row.
        table: the rows.
        rows: the row numbers.
    """
    parts: list[views.ViewBlock | str] = []
    for at, (row, each) in enumerate(zip(rows, found, strict=True)):
        caption = f"row {row:,}: {_prediction_text(each.before)}"
        if each.is_met:
            parts.append(f"{caption}; this is the wanted prediction already")
        elif not each.changes:
            parts.append(f"{caption}; no change of up to three columns leads to the wanted one")
        else:
            lines = []
            for change, after in each.changes:
                steps = []
                for column, value in change.values.items():
                    before = table.texts(column)[at]
                    old = "missing" if before is None else fmt.shorten(before, 30)
                    new = fmt.number(value) if isinstance(value, float) else fmt.shorten(value, 30)
                    steps.append(f"{fmt.shorten(column, 30)} {old} → {new}")
                lines.append((f"  {', '.join(steps)}", _prediction_text(after)))
            caption += "; each line is a change that leads to the wanted prediction"
            parts.append(views.TableBlock(("", ""), tuple(lines), caption, text_columns=(0, 1)))
    return views.View(blocks=views.blocks(parts))


def _prediction_text(predictions: Predictions) -> str:
    """Format the prediction of a row, for a class with its probability."""
    first = {name: values[0] for name, values in predictions.lists().items()}
    texts = []
    for name, value in first.items():
        if name.startswith("prediction") and name != "prediction_set":
            label = name.removeprefix("prediction").removeprefix("_")
            text = fmt.number(value) if isinstance(value, float) else fmt.shorten(value)
            share = first.get(f"probability_{value}")
            text += f" ({fmt.percent(share)})" if isinstance(share, float) else ""
            texts.append(f"{label}: {text}" if label else text)
    return ", ".join(texts)
