"""Numbers and names, as people read them on a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dlcli.config import printable
from dlcli.metrics import finite_number

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (all are in UTC, and say no zone)
MOST_SIGNS = 60
"""The most of a name or value that is shown."""


def number(value: object) -> str:
    """A number to four significant digits, or a dash for what is undefined or no number."""
    known = finite_number(value)
    if known is None:
        return "–"
    if abs(known) >= 1e15 or 0 < abs(known) < 1e-4:
        return f"{known:.3e}"
    return f"{float(f'{known:.4g}'):,.12g}" if abs(known) < 1e5 else f"{known:,.0f}"


def percent(value: float | None) -> str:
    """A share of 1 in percent, to one decimal."""
    return "–" if value is None else f"{100 * value:.1f} %"


def short(text: object, most: int = MOST_SIGNS) -> str:
    """A name or value on one line, its end cut off if it is long."""
    shown = printable(str(text)[: 4 * most])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def shorts(names: Iterable[str], most: int = MOST_SIGNS) -> list[str]:
    """Names that stay different from one another when they are short."""
    shown = [short(name, most) for name in names]
    counts, seen = Counter(shown), Counter[str]()
    result = []
    for name in shown:
        seen[name] += 1
        result.append(f"{name} ({seen[name]})" if counts[name] > 1 else name)
    return result


def some(names: Sequence[str], most: int = 5) -> str:
    """The first few of some names."""
    shown = ", ".join(short(name, 40) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def duration(seconds: float | None) -> str:
    """A time as one says it: `310 ms`, `4 min 12 s`, `2 h 5 min`."""
    if seconds is None or seconds < 0:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def moment(seconds: float | None) -> str:
    """A time in seconds since 1970, in UTC: `2024-02-29`, or with the clock `2024-02-29 12:30:00`.

    What no calendar has is shown as a number.
    """
    if seconds is None:
        return "–"
    try:
        time = _EPOCH + timedelta(seconds=round(seconds))
    except (OverflowError, ValueError):
        return number(seconds)
    return time.isoformat(" ").removesuffix(" 00:00:00")


def rounded(value: float) -> float | None:
    """A number as a chart needs it, to six significant digits; nothing for NaN and infinity."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


SPLITS = ("test", "validation", "train")
"""The sets of rows, from the most independent of training to the least."""
ROWS_OF = {"test": "Test rows", "validation": "Validation rows", "train": "Training rows"}
ADJECTIVES = {"test": "test", "validation": "validation", "train": "training"}

_PLAIN = {
    "mae": "mean absolute error (mae)",
    "mse": "mean squared error",
    "rmse": "rmse",
    "r2": "r²",
    "auc": "area under ROC",
    "log_loss": "log loss",
}


def plain(metric: str) -> str:
    """A metric's name as one reads it: `balanced accuracy`."""
    return _PLAIN.get(metric, metric.replace("_", " "))
