"""Formats of metrics, their intervals and differences for people.

A number is shown to two digits of its uncertainty: half of its 95 % confidence interval, or an
approximate standard error if the interval is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from dlcli.errors import UNDEFINED, number, printable, truncate
from dlcli.metrics.definitions import LOG_LOSS, METRICS
from dlcli.metrics.statistic import finite_number

if TYPE_CHECKING:
    from dlcli.metrics.intervals import Estimate

MINUS = "−"
OF_VALIDATION = "val_"
"""Keras's prefix of a loss or metric on validation rows."""
_LONGEST_REASON = 200


def metric_title(name: str) -> str:
    """Return the name of a loss or metric for people: `R²`, `log loss`, `validation loss`."""
    bare = name.removeprefix(OF_VALIDATION)
    label = METRICS[bare].label if bare in METRICS else bare.replace("_", " ")
    return label if bare == name else f"validation {label}"


def percent(share: float | None) -> str:
    """Format a share of 1 in percent, to one decimal: `95.5 %`."""
    return UNDEFINED if share is None else f"{100 * share:.1f} %"


def metric(
    name: str, value: object, rows: int | None = None, *, decimals: int | None = None
) -> str:
    """Format the value of a metric: accuracy in percent, others as numbers.

    Args:
        name: the name of the metric.
        value: any value from a document.
        rows: the number of evaluated rows, which determines the digits.
        decimals: the number of decimals. [default: two digits of the uncertainty]
    """
    finite = finite_number(value)
    if decimals is None:
        decimals = decimals_on(name, finite, rows)
    if not _is_in_percent(name):
        return rounded(finite, decimals)
    if finite is None or decimals is None:
        return percent(finite)
    return f"{_shown_to(decimals, in_percent=True, has_sign=False)(finite)} %"


def decimals_on(name: str, value: object, rows: int | None) -> int | None:
    """Return the decimals for two digits of the uncertainty of a metric on `rows` rows."""
    finite = finite_number(value)
    if finite is None or not rows or name not in METRICS:
        return None
    return decimals_of(2 * METRICS[name].typical_error(finite, rows))


def _is_in_percent(name: str) -> bool:
    return name in METRICS and METRICS[name].in_percent


def difference(value: float | None) -> str:
    """Format a number with its sign: `+0.5`, `−2`."""
    return _with_sign(value, number(value))


def decimals_of(uncertainty: float | None) -> int | None:
    """Return the decimals for two digits of an uncertainty, such as half an interval.

    The result is negative if digits before the decimal point are rounded, and `None` if the
    uncertainty is 0, unknown or not finite.
    """
    if not uncertainty or not math.isfinite(uncertainty):
        return None
    return 1 - math.floor(math.log10(abs(uncertainty)))


def rounded(value: float | None, decimals: int | None) -> str:
    """Format a number with `decimals`, at most five digits; without `decimals`, as `number`."""
    if value is None or decimals is None or abs(value) >= 1e15:
        return with_minus(number(value))
    if value == 0:
        return f"{0:.{max(0, min(decimals, 4))}f}"
    first = -math.floor(math.log10(abs(value)))  # the decimal place of its first digit
    decimals = min(decimals, max(0, 4 + first))
    if first > 6:
        return with_minus(f"{value:.{max(1, decimals - first + 1)}g}")
    if not round(value, decimals):
        decimals = first
    return with_minus(f"{round(value, decimals):,.{max(0, decimals)}f}")


def estimate(value: Estimate | None, name: str = "", *, is_difference: bool = False) -> str:
    """Format an estimate with its 95 % confidence interval: `0.850 [0.830, 0.870]`.

    Args:
        value: the estimate; `None` if undefined.
        name: the name of the metric, see `metric`.
        is_difference: whether it is a difference, which has a sign: `+1.2 points [−0.5, +2.9]`.
    """
    if value is None or value.value is None:
        return UNDEFINED
    in_percent = _is_in_percent(name)
    unit = "" if not in_percent else " points" if is_difference else " %"
    decimals = None if _is_open(name, value) else decimals_of_interval(value)
    show = _shown_to(decimals, in_percent=in_percent, has_sign=is_difference)
    ends = ""
    if value.ends is not None:
        ends = f" [{', '.join(_end(name, each, show) for each in value.ends)}]"
    return f"{show(value.value)}{unit}{ends}"


def _is_open(name: str, value: Estimate) -> bool:
    """Return whether an end of an interval of log loss is only limited by clipped probabilities.

    Log loss has no upper limit. That of clipped probabilities, 36, contains no information.
    """
    return value.ends is not None and any(_is_limit(name, each) for each in value.ends)


def _is_limit(name: str, end: float) -> bool:
    return name == LOG_LOSS.name and abs(end) >= LOG_LOSS.bounds[1]


def _end(name: str, value: float, show: Callable[[float], str]) -> str:
    if _is_limit(name, value):
        return f"{MINUS}∞" if value < 0 else "∞"
    return show(value)


def decimals_of_interval(value: Estimate) -> int | None:
    """Return the decimals for two digits of half a confidence interval; `None` without it."""
    return None if value.ends is None else decimals_of((value.ends[1] - value.ends[0]) / 2)


def versus(
    name: str,
    first: float | None,
    second: float | None,
    change: Estimate,
    *,
    where: str = "",
    names_interval: bool = True,
) -> str:
    """Compare two values of a metric: `0.47 vs 1.51 (95 % CI of the difference: −1.17 to −0.91)`.

    Args:
        name: the name of the metric.
        first: the value for the compared model.
        second: the value for the reference.
        change: the first value minus the second; without an interval, its reason is shown.
        where: the rows, if any: `on 150 test rows`.
        names_interval: whether to write `95 % CI of the difference`; false for a repetition.
    """
    decimals = None if _is_open(name, change) else decimals_of_interval(change)
    in_percent = _is_in_percent(name)
    values = " vs ".join(
        metric(name, value, decimals=_least_decimals(value, decimals)) for value in (first, second)
    )
    values = f"{values} {where}".rstrip()
    if change.ends is None:
        return (
            f"{values} ({printable(truncate(change.reason, _LONGEST_REASON))})"
            if change.reason
            else values
        )
    show = _shown_to(decimals, in_percent=in_percent, has_sign=True)
    ends = " to ".join(_end(name, each, show) for each in change.ends)
    ends += " percentage points" if in_percent else ""
    return f"{values} ({'95 % CI of the difference: ' if names_interval else ''}{ends})"


def _least_decimals(value: float | None, decimals: int | None) -> int | None:
    """Return the decimals that leave three digits of a value if digits before the point round."""
    if not value or decimals is None or decimals >= 0:
        return decimals
    return max(decimals, min(0, 2 - math.floor(math.log10(abs(value)))))


def _shown_to(decimals: int | None, *, in_percent: bool, has_sign: bool) -> Callable[[float], str]:
    if decimals is not None and in_percent:
        decimals = max(0, decimals - 2)

    def show(value: float) -> str:
        scaled = 100 * value if in_percent else value
        text = rounded(scaled, decimals)
        return _with_sign(scaled, text) if has_sign else text

    return show


def _with_sign(value: float | None, text: str) -> str:
    return f"+{text}" if value is not None and value > 0 else with_minus(text)


def with_minus(text: str) -> str:
    """Replace the hyphen of a formatted number by a minus sign."""
    return text if text == UNDEFINED or not text.startswith("-") else f"{MINUS}{text[1:]}"
