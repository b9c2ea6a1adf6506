"""Numbers, times, names and progress as people read them, alike on a terminal and on a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dlcli.errors import UNDEFINED as UNDEFINED
from dlcli.errors import are_years, plural, printable
from dlcli.errors import number as plain_number
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.statistic import finite_number

if TYPE_CHECKING:
    from dlcli.metrics.intervals import Estimate
    from dlcli.pipeline import events

MINUS = "−"
LONGEST_NAME = 60
"""Characters of a name or value that are shown."""
LONGEST_SENTENCE = 600
"""Characters of a note that are shown."""
LONGEST_TEXT = 1_000
"""Characters of a paragraph that are shown; it may name columns."""
SPLITS = ("test", "validation", "train")
"""The sets of rows, from the most independent of training to the least."""
VERDICTS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "not_significant": "not significant",
    "same": "no difference",
}
"""Differences by their verdict at the level of 95 %, unless that is unknown."""
LEARNING_RATE = "learning_rate"
"""The value of an epoch that is not a loss or a metric."""
_YEAR_1970 = datetime(1970, 1, 1)  # noqa: DTZ001  (all times are in UTC and show no zone)


def number(value: object) -> str:
    """Format a number to four significant digits for people, with a minus sign: `−0.1235`."""
    return _with_minus(plain_number(value))


def format_within(low: float | None, high: float | None) -> Callable[[float | None], str]:
    """Return the format of a column's numbers from its lowest and highest: years as `1971`."""
    return _year if has_years(low, high) else number


def has_years(low: float | None, high: float | None) -> bool:
    """Return whether the numbers of a column are years, by its lowest and highest."""
    if low is None or high is None:
        return False
    return low % 1 == 0 == high % 1 and are_years(low, high)


def _year(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.0f}"


def difference(value: float | None) -> str:
    """Format a number with its sign: `+0.5`, `−2`."""
    return _with_sign(value, number(value))


def decimals_of(uncertainty: float | None) -> int | None:
    """Return the decimals that keep two digits of an uncertainty, such as half an interval.

    They are below 0 if digits before the point are rounded, too.
    """
    if not uncertainty or not math.isfinite(uncertainty):
        return None
    return 1 - math.floor(math.log10(abs(uncertainty)))


def rounded(value: float | None, decimals: int | None) -> str:
    """Format a number to some decimals, at most five digits; as `number` if they are unknown."""
    if value is None or decimals is None or abs(value) >= 1e15:
        return _with_minus(number(value))
    if value == 0:
        return f"{0:.{max(0, decimals)}f}"
    first = -math.floor(math.log10(abs(value)))  # the decimal place of its first digit
    decimals = min(decimals, max(0, 4 + first))
    if first > max(6, decimals):
        return _with_minus(f"{value:.1g}")
    if not round(value, decimals):
        decimals = first
    return _with_minus(f"{round(value, decimals):,.{max(0, decimals)}f}")


def estimate(value: Estimate | None, name: str = "", *, is_difference: bool = False) -> str:
    """Format an estimate with its 95 % confidence interval: `0.850 [0.830, 0.870]`.

    Args:
        value: `None` is undefined.
        name: of the metric, see `metric`.
        is_difference: whether it is a difference, which has a sign: `+1.2 points [−0.5, +2.9]`.
    """
    if value is None or value.value is None:
        return UNDEFINED
    in_percent = _is_in_percent(name)
    unit = "" if not in_percent else " points" if is_difference else " %"
    show = _shown_to(decimals_of_interval(value), in_percent=in_percent, has_sign=is_difference)
    ends = "" if value.ends is None else f" [{', '.join(map(show, value.ends))}]"
    return f"{show(value.value)}{unit}{ends}"


def decimals_of_interval(value: Estimate) -> int | None:
    """Return the decimals that keep two digits of half of a confidence interval."""
    return None if value.ends is None else decimals_of((value.ends[1] - value.ends[0]) / 2)


def versus(name: str, first: float | None, second: float | None, change: Estimate) -> str:
    """Compare two values of a metric: `0.47 vs 1.51 (95 % CI of the difference: −1.17 to −0.91)`.

    Args:
        name: of the metric.
        first: its value for what is compared.
        second: its value for what it is compared with.
        change: the first minus the second; without an interval, the reason stands in its place.
    """
    decimals, in_percent = decimals_of_interval(change), _is_in_percent(name)
    values = " vs ".join(metric(name, value, decimals=decimals) for value in (first, second))
    if change.ends is None:
        return f"{values} ({shorten(change.reason, 200)})" if change.reason else values
    show = _shown_to(decimals, in_percent=in_percent, has_sign=True)
    ends = f"{' to '.join(map(show, change.ends))}{' percentage points' if in_percent else ''}"
    return f"{values} (95 % CI of the difference: {ends})"


def _shown_to(decimals: int | None, *, in_percent: bool, has_sign: bool) -> Callable[[float], str]:
    if decimals is not None and in_percent:
        decimals = max(0, decimals - 2)

    def show(value: float) -> str:
        scaled = 100 * value if in_percent else value
        text = rounded(scaled, decimals)
        return _with_sign(scaled, text) if has_sign else text

    return show


def _with_sign(value: float | None, text: str) -> str:
    return f"+{text}" if value is not None and value > 0 else _with_minus(text)


def _with_minus(text: str) -> str:
    return text if text == UNDEFINED or not text.startswith("-") else f"{MINUS}{text[1:]}"


def count(value: int | None, unknown: str = UNDEFINED) -> str:
    """Format a number of things in full: `1,234,567`."""
    return unknown if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """Format a share of 1 in percent, to one decimal: `95.5 %`."""
    return UNDEFINED if share is None else f"{100 * share:.1f} %"


def metric(
    name: str, value: object, rows: int | None = None, *, decimals: int | None = None
) -> str:
    """Format the value of a metric: accuracy in percent, others as numbers.

    Args:
        name: of the metric.
        value: anything that a document holds.
        rows: the number of rows that it was computed on, from which its digits follow.
        decimals: its decimals, if they are known. [default: two digits of its uncertainty]
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
    """Return the decimals that keep two digits of the uncertainty of a metric on so many rows."""
    finite = finite_number(value)
    if finite is None or not rows or name not in METRICS:
        return None
    return decimals_of(2 * METRICS[name].typical_error(finite, rows))


def _is_in_percent(name: str) -> bool:
    return name in METRICS and METRICS[name].in_percent


def duration(seconds: float | None) -> str:
    """Format a duration: `310 ms`, `1.62 s`, `4 min 12 s`, `2 h 5 min`."""
    if seconds is None or seconds < 0:
        return UNDEFINED
    if seconds < 0.9995:  # from which on three digits are 1,000 ms
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:  # from which on they are 60 s
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def time(seconds: float | None, *, has_date: bool = True) -> str:
    """Format a time in seconds since 1970, in UTC: `2024-02-29`, `2024-02-29 12:30:00`.

    What no calendar has is shown as a number.

    Args:
        seconds: `None` is undefined.
        has_date: false for a time of day: `12:30:00`.
    """
    if seconds is None:
        return UNDEFINED
    try:
        moment = _YEAR_1970 + timedelta(seconds=round(seconds))
    except (OverflowError, ValueError):
        return number(seconds)
    if not has_date:
        return moment.time().isoformat()
    return moment.isoformat(" ").removesuffix(" 00:00:00")


def metric_title(name: str) -> str:
    """Return a metric's name as people write it: `R²`, `log loss`."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def capitalize(text: str) -> str:
    """Return a text with its first letter in upper case and all others as they are."""
    return text[:1].upper() + text[1:]


def shorten(text: object, most: int = LONGEST_NAME) -> str:
    """Return a name or value on one line of printable characters, its end cut off if it is long."""
    shown = printable(str(text)[: 4 * most])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def shorten_middle(text: object, most: int = LONGEST_NAME) -> str:
    """Return a text as `shorten` does, but without its middle, as the ends of paths differ."""
    shown = printable(str(text))
    end = (most - 1) // 2
    return shown if len(shown) <= most else f"{shown[: most - 1 - end]}…{shown[-end:]}"


def shorten_names(names: Iterable[str], most: int = LONGEST_NAME) -> list[str]:
    """Shorten names so that they still differ from one another."""
    shown = [shorten(name, most) for name in names]
    counts, seen = Counter(shown), Counter[str]()
    result = []
    for name in shown:
        seen[name] += 1
        result.append(f"{name} ({seen[name]})" if counts[name] > 1 else name)
    return result


def join_names(names: Sequence[str], most: int = 5) -> str:
    """Join the first few names: `a, b and 3 more`."""
    shown = ", ".join(shorten(name, 40) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def omitted(count: int, noun: str = "") -> str:
    """Say how many of a list are omitted: `3 more files are not listed.`; empty if none are.

    Args:
        count: how many.
        noun: what one of them is, if the list doesn't say that: `file`, `class`.
    """
    if count <= 0:
        return ""
    ending = "" if count == 1 or not noun else "es" if noun.endswith("s") else "s"
    things = f"{count:,} more {noun}{ending}".rstrip()
    return f"{things} {'is' if count == 1 else 'are'} not listed."


def span(low: str, high: str, *, first: str = "") -> str:
    """Return a range of formatted values: `3 to 7`, or one value if both are the same.

    Args:
        low: the first value.
        high: the last value.
        first: a word before two different ones, `from`.
    """
    if low == high:
        return low
    return f"{first} {low} to {high}".lstrip()


def sentence(text: str) -> str:
    """Return a note as a sentence; a name at its beginning stays as it is."""
    shown = shorten(text.strip(), LONGEST_SENTENCE)
    end = "" if shown.endswith((".", "!", "?", "…")) else "."
    is_word = shown.partition(" ")[0].isalpha()
    return f"{capitalize(shown) if is_word else shown}{end}"


# Progress


def metric_names(event: events.EpochEvent) -> list[str]:
    """Return the names of the losses and metrics of an epoch."""
    return [name for name in event.values if name != LEARNING_RATE]


class EpochCount:
    """Counts the epochs of a training, over all members of an ensemble."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._finished: set[int] = set()
        self._of = 0
        self._members = 1

    def add(self, event: events.Event) -> None:
        """Count an epoch, or a member of an ensemble that needs no more epochs."""
        from dlcli.pipeline import events  # whose many types take long to make

        if isinstance(event, events.MemberEvent):
            self._finished.add(event.member)
        elif isinstance(event, events.EpochEvent):
            self._epochs[event.member or 1] = event.epoch
            self._of, self._members = event.of, event.members or 1

    @property
    def done(self) -> int:
        """The number of epochs that have ended or are not needed."""
        running = (count for member, count in self._epochs.items() if member not in self._finished)
        return len(self._finished) * self._of + sum(running)

    @property
    def total(self) -> int:
        """The number of epochs at most."""
        return self._members * self._of


def epoch_line(event: events.EpochEvent) -> str:
    """Describe an epoch: `member 2/8  epoch  3/40  loss 0.1234`."""
    place = f"epoch {event.epoch:>{len(str(event.of))}}/{event.of}"
    if event.member is not None:
        place = f"member {event.member}/{event.members}  {place}"
    names = metric_names(event)
    values = "  ".join(f"{name} {number(event.values[name]):<9}" for name in names)
    return f"{place}  {values.rstrip()}"


def member_line(event: events.MemberEvent) -> str:
    """Describe a member of an ensemble: `member 2/8  40 epochs, best 31`."""
    of, best = event.members, event.best_epoch
    kept = f", best {best}" if best not in (None, event.epochs) else ""
    return f"member {event.member:>{len(str(of))}}/{of}  {plural(event.epochs, 'epoch')}{kept}"


def progress_line(event: events.Event) -> str | None:
    """Describe the progress of a cross-validation or a search; `None` for another event.

    Returns:
        `fold 3/10  epoch 40/100`, or `trial 13/50  best val_loss 0.1234 (#4)`.
    """
    from dlcli.pipeline import events

    match event:
        case events.FoldProgressEvent():
            place = f"fold {event.done + 1}/{event.folds}"
            return f"{place}  epoch {event.epoch:,}/{event.of:,}"
        case events.FinalistProgressEvent():
            return f"training {event.finalist} in full"
        case events.TrialProgressEvent():
            of = f"/{event.of:,}" if event.of else ""
            best = ""
            if event.best is not None:
                best = f"  best {event.metric} {number(event.best_value)} (#{event.best})"
            return f"trial {event.trial:,}{of}{best}"
    return None
