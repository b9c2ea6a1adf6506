"""Formats of numbers, times, names and progress, the same for terminal and page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from dlcli.errors import UNDEFINED as UNDEFINED
from dlcli.errors import are_years, plural, printable, truncate
from dlcli.errors import number as plain_number
from dlcli.metrics.wording import OF_VALIDATION, with_minus
from dlcli.metrics.wording import decimals_of as decimals_of
from dlcli.metrics.wording import decimals_of_interval as decimals_of_interval
from dlcli.metrics.wording import decimals_on as decimals_on
from dlcli.metrics.wording import difference as difference
from dlcli.metrics.wording import estimate as estimate
from dlcli.metrics.wording import metric as metric
from dlcli.metrics.wording import metric_title as metric_title
from dlcli.metrics.wording import percent as percent
from dlcli.metrics.wording import rounded as rounded
from dlcli.metrics.wording import versus as versus
from dlcli.schema.section import shown

if TYPE_CHECKING:
    from dlcli.pipeline import events

LONGEST_NAME = 60
"""Maximum number of characters shown of a name or value."""
LONGEST_SENTENCE = 600
"""Maximum number of characters shown of a note."""
LONGEST_TEXT = 1_000
"""Maximum number of characters shown of a paragraph, which may name columns."""
VERDICTS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "not_significant": "not significant",
    "same": "no difference",
}
"""Descriptions of differences by verdict at the 95 % level, except `unknown`."""
LEARNING_RATE = "learning_rate"
"""The value of an epoch that is not a loss or a metric."""
_YEAR_1970 = datetime(1970, 1, 1)  # noqa: DTZ001  (all times are in UTC and show no zone)


def number(value: object) -> str:
    """Format a number to four significant digits for people, with a minus sign: `−0.1235`."""
    return with_minus(plain_number(value))


def to_doubt(doubt: float) -> Callable[[float | None], str]:
    """Return the format of numbers with two digits of their uncertainty, such as half an interval.

    Without uncertainty, they are formatted as by `number`.
    """
    return partial(rounded, decimals=decimals_of(doubt))


def of_epoch(name: str, value: float, rows: int | None = None) -> str:
    """Format a loss or metric of an epoch as a sentence shows it.

    Args:
        name: of the loss or metric.
        value: its value.
        rows: the number of rows that it was computed on, from which the digits of a metric follow;
            a loss, whose uncertainty is unknown, has three.
    """
    if decimals_on(name, value, rows) is not None:
        return metric(name, value, rows)
    return number(float(f"{value:.3g}"))


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


_LONGEST_SETTING = 60


def settings(values: Mapping[str, object]) -> str:
    """Format the settings that differ from a config, by path: `batch_size: 64, epochs: 5`.

    A choice that is a list or a mapping is the text of its YAML.
    """
    texts = {key: each if isinstance(each, str) else shown(each) for key, each in values.items()}
    pairs = (f"{key}: {truncate(text, _LONGEST_SETTING)}" for key, text in texts.items())
    return ", ".join(pairs) or "settings of the config"


def count(value: int | None, unknown: str = UNDEFINED) -> str:
    """Format a number of things in full: `1,234,567`."""
    return unknown if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Format a duration: `310 ms`, `1.62 s`, `4 min 12 s`, `2 h 5 min`."""
    if seconds is None or seconds < 0:
        return UNDEFINED
    if seconds < 0.9995:  # 1,000 ms in three digits
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:  # 60 s in three digits
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def time(seconds: float | None, *, has_date: bool = True) -> str:
    """Format a time in seconds since 1970, in UTC: `2024-02-29`, `2024-02-29 12:30:00`.

    Times outside the calendar are shown as numbers.

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


def capitalize(text: str) -> str:
    """Change the first letter of a text to upper case, and only that one."""
    return text[:1].upper() + text[1:]


def shorten(text: object, most: int = LONGEST_NAME) -> str:
    """Return a name or value in one line of printable characters, with its end cut off if long."""
    shown = printable(str(text)[: 4 * most])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def shorten_middle(text: object, most: int = LONGEST_NAME) -> str:
    """Shorten a text by removing its middle, because the ends of paths differ."""
    shown = printable(str(text))
    end = (most - 1) // 2
    return shown if len(shown) <= most else f"{shown[: most - 1 - end]}…{shown[-end:]}"


def shorten_names(names: Iterable[str], most: int = LONGEST_NAME) -> list[str]:
    """Shorten names, and keep them different from each other."""
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
    """Return a note on omitted items of a list: `3 more files are not listed.`; empty for 0.

    Args:
        count: the number of omitted items.
        noun: the noun for an item, if the list doesn't make it clear: `file`, `class`.
    """
    if count <= 0:
        return ""
    ending = "" if count == 1 or not noun else "es" if noun.endswith("s") else "s"
    things = f"{count:,} more {noun}{ending}".rstrip()
    return f"{things} {'is' if count == 1 else 'are'} not listed."


def type_reason(reason: str) -> str:
    """Return the reason for the type of a column, as people read it."""
    return "set in the config" if reason == "declared" else reason


def span(low: str, high: str, *, first: str = "") -> str:
    """Return a range of formatted values: `3 to 7`, or one value if both are the same.

    Args:
        low: the first value.
        high: the last value.
        first: a word before two different values, such as `from`.
    """
    if low == high:
        return low
    return f"{first} {low} to {high}".lstrip()


def sentence(text: str) -> str:
    """Return a note as a sentence; a name at the beginning is not capitalized."""
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
        from dlcli.pipeline import events  # slow to import

        if isinstance(event, events.MemberEvent):
            self._finished.add(event.member)
        elif isinstance(event, events.EpochEvent):
            self._epochs[event.member or 1] = event.epoch
            self._of, self._members = event.of, event.members or 1

    @property
    def done(self) -> int:
        """The number of epochs that are finished or not needed."""
        running = (count for member, count in self._epochs.items() if member not in self._finished)
        return len(self._finished) * self._of + sum(running)

    @property
    def total(self) -> int:
        """The maximum number of epochs."""
        return self._members * self._of


def epoch_line(event: events.EpochEvent) -> str:
    """Describe an epoch: `member 2/8  epoch  3/40  loss 0.1234  validation: loss 0.2345`."""
    place = f"epoch {event.epoch:>{len(str(event.of))}}/{event.of}"
    if event.member is not None:
        place = f"member {event.member}/{event.members}  {place}"
    values = ["", ""]
    for name in metric_names(event):
        bare = name.removeprefix(OF_VALIDATION)
        values[bare != name] += f"  {metric_title(bare)} {number(event.values[name]):<9}"
    of_training, of_validation = values
    validation = f"  validation:{of_validation[1:]}" if of_validation else ""
    return f"{place}{of_training}{validation}".rstrip()


def time_limit(event: events.TimeLimitEvent) -> str:
    """Describe a time limit: `the limit of 10 min 0 s allows 37 of 100 epochs (16.1 s each)`."""
    allowed = f"{event.epochs:,} of {plural(event.of, 'epoch')}"
    each = f" ({duration(event.seconds_per_epoch)} each)" if event.seconds_per_epoch else ""
    return f"the limit of {duration(event.limit)} allows {allowed}{each}"


def member_line(event: events.MemberEvent) -> str:
    """Describe a member of an ensemble: `member 2/8  best epoch 31 of 40`."""
    of, epochs = event.members, trained_epochs(event.epochs, event.best_epoch)
    return f"member {event.member:>{len(str(of))}}/{of}  {epochs}"


def trained_epochs(epochs: int, best: int | None) -> str:
    """Describe the epochs of a training: `best epoch 31 of 40`, or `40 epochs` without a best one.

    Args:
        epochs: the number of epochs.
        best: the epoch whose weights were kept, if training looks for the best one.
    """
    return plural(epochs, "epoch") if best is None else f"best epoch {best:,} of {epochs:,}"


def progress_line(event: events.Event) -> str | None:
    """Describe the progress of a cross-validation or a search; `None` for another event.

    Returns:
        `fold 3/10  epoch 40/100`, or `trial 13/50  best validation loss 0.1234 (#4)`.
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
                name = metric_title(event.metric)
                best = f"  best {name} {number(event.best_value)} (#{event.best})"
            return f"trial {event.trial:,}{of}{best}"
    return None
