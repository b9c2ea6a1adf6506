"""Events as text lines on standard error, as a live view, or as JSON lines."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import singledispatch
from threading import Timer
from typing import TYPE_CHECKING

from dlcli.cli import console
from dlcli.cli.loss_chart import LossChart
from dlcli.errors import joined, plural, printable
from dlcli.metrics.definitions import is_higher_better
from dlcli.pipeline import events
from dlcli.reports import formatting as fmt
from dlcli.reports.views import TableBlock, render_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from dlcli.runs.documents import TrialResult
    from dlcli.tables.table import FileNote

_LABEL_WIDTH = 9  # of the longest, `baselines`
_LABELS = {
    events.EarlyEndEvent.kind: "finish",
    events.ScalingLayerEvent.kind: "scaling",
    events.TimeLimitEvent.kind: "time",
}
"""Labels of lines that differ from the kind of the event."""
_DEFAULT_WIDTH = 80
"""Width in columns if the terminal does not report it."""
_EPOCH_LINES = 10
_MOST_NAMES = 8
_WAITING_AFTER: dict[type[events.Event], str] = {
    events.EngineEvent: "starting TensorFlow",
    events.DeviceEvent: "preparing the first epoch",
}
"""What takes seconds on a busy machine after an event, shown on a terminal until it is done."""
_OBVIOUS = ("all values are numbers", "several columns")
"""Reasons for numeric columns that are not worth printing."""


@contextmanager
def event_listener(*, as_json: bool, quiet: bool) -> Iterator[events.Listener]:
    """Return a listener that prints events; with JSON, it prints the result last.

    Args:
        as_json: print events as JSON lines on standard output.
        quiet: print only warnings and, with JSON, the result.
    """
    log = _TextLog()
    if not (as_json or quiet):
        log.wait_for_data()
    result: dict[str, object] = {}

    def listen(event: events.Event) -> None:
        if event.kind == events.RESULT:
            result.update(event.to_json())
        elif quiet:
            print_warning(event)
        elif not as_json:
            with console.ignoring_lost_output():
                log.add(event)
        elif event.is_logged:
            console.print_json({"event": event.kind, **event.to_json()})

    try:
        yield listen
    finally:
        with console.ignoring_lost_output():
            log.close()
    if as_json and result:  # only one of several workers has it
        console.print_json({"event": events.RESULT, **result})


def print_event(event: events.Event) -> None:
    """Print an event to standard error, wrapped to the width of a terminal."""
    print_warning(event)
    for index, line in enumerate(event_lines(event)):
        label = "" if index else _LABELS.get(event.kind, event.kind)
        console.print_line(_wrap(f"{label:<{_LABEL_WIDTH}} {printable(line)}"))


def print_warning(event: events.Event) -> None:
    """Print an event to standard error if it is a warning."""
    if isinstance(event, events.WarningEvent):
        console.print_message("warning", event.message)


def print_file_notes(file_notes: Iterable[FileNote]) -> None:
    """Print what was detected in the files of a table: notes, then warnings."""
    for note in sorted(file_notes, key=lambda note: note.is_doubtful):
        console.print_message("warning" if note.is_doubtful else "note", note.message)


class _TextLog:
    """Prints events as text on standard error.

    On a terminal, a live view below the lines of the epochs shows the current one.
    """

    def __init__(self) -> None:
        self._progress = ProgressLine()
        self._live_view: LiveView | None = None
        self._epoch_lines: EpochLines | None = None
        self._chart = LossChart() if console.is_terminal() else None
        self._rows: int | None = None
        self._resumed: dict[int, int] = {}

    def wait_for_data(self) -> None:
        self._progress.show_if_slow(READING)

    def add(self, event: events.Event) -> None:
        if (line := fmt.progress_line(event)) is not None:
            self._progress.show(line)
            return
        if isinstance(event, events.EpochEvent | events.MemberEvent):
            if isinstance(event, events.EpochEvent):
                self._progress.close()
            self._add_epoch(event)
            return
        self.close()
        if isinstance(event, events.DataEvent):
            self._rows = event.rows["train"]
        elif isinstance(event, events.ResumedEvent):
            self._resumed[event.member or 1] = event.epochs
        print_event(event)
        if isinstance(event, events.TrainedEvent) and self._chart is not None:
            for line in self._chart.lines(_terminal_width()):
                console.print_line(line)
            self._chart = None
        if (waiting := _WAITING_AFTER.get(type(event))) is not None:
            self._progress.show(waiting)

    def close(self) -> None:
        self._progress.close()
        if self._live_view is not None:
            self._live_view.close()
        if self._epoch_lines is not None:
            self._epoch_lines.close()

    def _add_epoch(self, event: events.EpochEvent | events.MemberEvent) -> None:
        if self._epoch_lines is None:
            write = console.print_line
            if (terminal := _interactive_console()) is not None:
                self._live_view = LiveView(terminal, self._rows, resumed=self._resumed)
                write = self._live_view.print_above
            self._epoch_lines = EpochLines(write)
        if self._chart is not None and isinstance(event, events.EpochEvent):
            self._chart.add(event)
        if self._live_view is not None:
            self._live_view.add(event)
        self._epoch_lines.add(event)


class ProgressLine:
    """One line on a terminal that says what is being done, and is removed afterwards."""

    def __init__(self) -> None:
        self._frame: Live | None = None
        self._timer: Timer | None = None

    def show(self, line: str) -> None:
        """Show a line in place of the present one."""
        self._stop_waiting()
        self._draw(line)

    def show_if_slow(self, line: str) -> None:
        """Show a line unless another one or the end comes within `SLOW` seconds."""
        if console.is_terminal():
            self._timer = Timer(SLOW, self._draw_late, [line])
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Remove the line."""
        self._stop_waiting()
        if self._frame is not None:
            self._frame.stop()
            self._frame = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None

    def _draw_late(self, line: str) -> None:
        with console.ignoring_lost_output():
            self._draw(line)

    def _draw(self, line: str) -> None:
        if self._frame is None and (terminal := _interactive_console()) is not None:
            self._frame = start_live(terminal)
        if self._frame is None:
            return
        from rich.text import Text

        text = Text(line, style="dim", no_wrap=True, overflow="crop")
        self._frame.update(text, refresh=True)


@contextmanager
def showing_progress(line: str) -> Iterator[None]:
    """Show a line on a terminal while the block runs for longer than `SLOW` seconds."""
    progress = ProgressLine()
    if not console.is_quiet():
        progress.show_if_slow(line)
    try:
        yield
    finally:
        with console.ignoring_lost_output():
            progress.close()


class EpochLines:
    """Prints the first epoch, the last and about ten in between; for ensembles, each member.

    Args:
        write: prints a line.
    """

    def __init__(self, write: Callable[[str], None] = console.print_line) -> None:
        self._write = write
        self._held: events.EpochEvent | None = None

    def add(self, event: events.EpochEvent | events.MemberEvent) -> None:
        """Print the epoch if it is one of these, else keep it, because it may be the last.

        Epochs of ensemble members are not printed, because several members train at a time.
        """
        if isinstance(event, events.MemberEvent):
            self._write(fmt.member_line(event))
        elif event.member is None:
            self._held = event
            if event.epoch == 1 or event.epoch % -(-event.of // _EPOCH_LINES) == 0:
                self.close()

    def close(self) -> None:
        """Print the epoch that was kept."""
        if self._held is not None:
            event, self._held = self._held, None
            self._write(fmt.epoch_line(event))


# The lines of each event


@singledispatch
def event_lines(event: events.Event) -> list[str]:
    """Return the lines of an event; the log labels them with its kind. Epochs have none."""
    return []


@event_lines.register
def _data(event: events.DataEvent) -> list[str]:
    names = {"train": "training"}
    counts = [f"{count:,} {names.get(name, name)}" for name, count in event.rows.items()]
    split = f" ({event.split}, seed {event.seed})" if event.split else ""
    return [f"{event.file}: {', '.join(counts)} rows{split}", *_sample(event), *event.notes]


def _sample(event: events.DataEvent | events.RowsEvent) -> list[str]:
    """Return the line about `data.sample`, if it was drawn."""
    if event.sampled_from is None:
        return []
    return [f"{event.file}: sample of {event.sampled_from:,} rows (data.sample)"]


@event_lines.register
def _target(event: events.TargetEvent) -> list[str]:
    columns, reason = event.columns, event.reason
    names = event.classes or event.labels
    if names:
        noun = "classes" if event.classes else "labels"
        listed = f": {fmt.join_names(names, _MOST_NAMES)}" if names != columns else ""
        return [
            f"{fmt.join_names(columns, _MOST_NAMES)}: {len(names)} {noun}{_because(reason)}{listed}"
        ]
    kind = "count" if event.type == "count" else "numeric"
    count = kind if len(columns) == 1 else f"{len(columns)} {kind} columns"
    return [f"{fmt.join_names(columns, _MOST_NAMES)}: {count}{_because(reason)}"]


@event_lines.register
def _features(event: events.FeaturesEvent) -> list[str]:
    """Return one line for each type: `64 numeric: pixel_0_0, pixel_0_1, ...`.

    Columns that `input.features` omits are last, with the setting that includes them.
    """
    from dlcli.encoding.column_types import UNMATCHED_REASON

    by_type: defaultdict[str, dict[str, str]] = defaultdict(dict)
    unnamed: dict[str, str] = {}
    for column, decision in event.columns.items():
        chosen = unnamed if decision.reason == UNMATCHED_REASON else by_type[decision.type]
        chosen[column] = decision.reason
    lines = [_column_line(kind, reasons) for kind, reasons in by_type.items()]
    if unnamed:
        lines.append(_column_line("ignored", unnamed))
        lines.append('to include them, add "*": auto to input.features (or "*", if it is a list)')
    return lines


@event_lines.register
def _unseen(event: events.UnseenEvent) -> list[str]:
    ranked = sorted(event.columns.items(), key=lambda each: -each[1])
    named = [f"{column} {fmt.percent(share)}" for column, share in ranked]
    shown = fmt.join_names(named, _MOST_NAMES)
    return [f"expected share of new rows with a rare or unknown category: {shown}"]


def _because(reason: str) -> str:
    """Return the reason for a type in parentheses, unless it is obvious."""
    return "" if reason in _OBVIOUS else f" ({fmt.type_reason(reason)})"


def _column_line(kind: str, reasons: Mapping[str, str]) -> str:
    first, *others = dict.fromkeys(reasons.values())
    if not others:
        return f"{len(reasons)} {kind}{_because(first)}: {fmt.join_names([*reasons], _MOST_NAMES)}"
    named = [f"{column} ({fmt.type_reason(reason)})" for column, reason in reasons.items()]
    return f"{len(reasons)} {kind}: {fmt.join_names(named, _MOST_NAMES)}"


@event_lines.register
def _network(event: events.NetworkEvent) -> list[str]:
    """Return the widths of the layers, `4 → 16 relu → 3 softmax`, and the loss."""
    layers = event.layers
    chain = [str(event.inputs)]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        kind = layer.kind
        if kind == "Dense" and following and following.kind == "BatchNormalization":
            chain.append(str(layer.units))  # its activation follows the normalization
        elif kind == "Dense":
            chain.append(f"{layer.units} {layer.activation}")
        elif kind == "Dropout":
            chain[-1] += f", dropout {layer.rate:g}"
        elif kind in ("Periodic", "Embedding"):
            chain[-1] += f", {kind.lower()} {layer.units}"
        else:
            name = "batch normalization" if kind == "BatchNormalization" else layer.activation
            chain[-1] += f", {name}"
    target = {
        "standard": " (on the standardized target)",
        "log1p": " (on the standardized logarithm of the target)",
        "mean": " (on the target divided by its mean)",
        "none": " (on the unscaled target)",
        None: "",  # classes and labels
    }[event.target_scaling]
    noun = "metric" if len(event.metrics) == 1 else "metrics"
    titles = ", ".join(map(fmt.metric_title, event.metrics))
    metrics = f", {noun} {titles}" if titles else ""
    parameters = plural(event.parameters, "parameter")
    lines = [f"{' → '.join(chain)}, {parameters}", f"loss {event.loss}{target}{metrics}"]
    if members := event.members:
        folds = event.folds
        where = f", each validated on one of {folds} folds of the training rows" if folds else ""
        if event.groups is None:
            lines.append(f"ensemble of {members} such networks{where}")
        else:
            lines.append(f"ensemble of {members} networks in {event.groups} groups{where}")
            lines.append(f"groups differ in {joined(event.varied)}; the first is shown")
    return lines


@event_lines.register
def _engine(event: events.EngineEvent) -> list[str]:
    if event.name != "compiled":
        return [event.name]
    return [f"compiled, {'with XLA' if event.jit_compile else 'as a TensorFlow graph'}"]


@event_lines.register
def _resumed(event: events.ResumedEvent) -> list[str]:
    member = "" if event.member is None else f" of member {event.member}"
    return [f"after {plural(event.epochs, 'epoch')}{member}"]


@event_lines.register
def _early_end(event: events.EarlyEndEvent) -> list[str]:
    return [f"training ends after {event.unit} {event.after:,} of {event.of:,}"]


@event_lines.register
def _scaling_layer(event: events.ScalingLayerEvent) -> list[str]:
    scaled, plain = (fmt.number(event.val_loss[name]) for name in ("with", "without"))
    chosen = "removed, because it is clearly worse"
    if event.kept:
        one, other = event.val_loss["with"], event.val_loss["without"]
        is_worse = one is not None and other is not None and one > other
        chosen = "kept, because it is not clearly worse" if is_worse else "kept"
    losses = f"validation loss {scaled} with it, {plain} without it"
    return [f"the scaling layer is {chosen}: {losses}"]


@event_lines.register
def _selected(event: events.SelectedEvent) -> list[str]:
    """Return the result of the selection, and a line for each kept group of networks."""
    found, metric = event.result, event.result.metric or ""
    kept = [each for each in found.groups if each.share]
    lines = [f"{len(kept)} of {len(found.groups)} groups of networks"]
    if found.metric is not None:
        gain = fmt.estimate(found.difference, metric, is_difference=True)
        value = f"{fmt.metric_title(metric)} {fmt.estimate(found.value, metric)}"
        lines.append(f"out-of-fold {value}, {gain} against the settings of the config")
    for each in sorted(kept, key=lambda group: -group.share):
        lines.append(f"{100 * each.share:.0f} %: {fmt.settings(each.settings)}")
    return lines


@event_lines.register
def _decision(event: events.DecisionEvent) -> list[str]:
    return [event.words]


@event_lines.register
def _trained(event: events.TrainedEvent) -> list[str]:
    epochs, best = event.epochs, event.best_epoch
    kept = f"; kept the best weights (epoch {best})" if best not in (None, epochs) else ""
    if event.members is not None:
        kept = f"; {plural(event.members, 'network')}"
    lines = [f"{plural(epochs, 'epoch')} in {fmt.duration(event.seconds)}{kept}"]
    if cluster := event.cluster:
        share = cluster.communication_share
        speed = f"{cluster.workers} workers, {cluster.rows_per_second:,.0f} rows/s in total"
        lines.append(f"{speed}; communication takes about {100 * share:.0f} % of the time")
    return lines


@event_lines.register
def _baselines(event: events.BaselinesEvent) -> list[str]:
    absence = f"; no linear model: {event.no_linear}" if event.no_linear else ""
    return [f"{joined(event.models)}, computed in {fmt.duration(event.seconds)}{absence}"]


@event_lines.register
def _tracking(event: events.TrackingEvent) -> list[str]:
    look = f"; view with: {event.look}" if event.look else ""
    return [f"{event.tracker}: {event.place}{look}"]


@event_lines.register
def _time_limit(event: events.TimeLimitEvent) -> list[str]:
    return [fmt.time_limit(event)]


@event_lines.register
def _rows(event: events.RowsEvent) -> list[str]:
    aside = event.set_aside
    kept = f", {plural(aside, 'test row')} set aside" if aside else ""
    split = f"({event.split}, seed {event.seed})"
    return [
        f"{event.file}: {plural(event.rows, 'row')}{kept} {split}",
        *_sample(event),
        *event.notes,
    ]


@event_lines.register
def _space(event: events.SpaceEvent) -> list[str]:
    from dlcli.schema.yaml_document import dump_yaml

    trials = f"{plural(event.trials, 'trial')}, " if event.trials is not None else ""
    rows = f"the {event.held_out} rows"
    if event.folds is not None:
        rows = plural(event.folds, "fold")
    why = f"default for {plural(event.rows, 'row')} (tune.space is not set)"
    lines = dump_yaml(event.space, width=2**30).splitlines()
    return [f"{why}: {trials}on {rows}", *lines]


@event_lines.register
def _fold(event: events.FoldEvent) -> list[str]:
    fold, metric = event.result, event.metric
    repeat = f"repeat {fold.repeat}, " if event.repeats > 1 else ""
    place = f"{repeat}{fold.fold}/{event.of}"
    if fold.problem:
        return [f"{place}  failed: {fold.problem}"]
    value = "no metric"
    if metric:
        shown = fmt.metric(metric, fold.metrics[metric], fold.held_out)
        value = f"{fmt.metric_title(metric)} {shown}"
    cost = f"{fmt.trained_epochs(fold.epochs, fold.best_epoch)}, {fmt.duration(fold.seconds)}"
    return [f"{place}  {value}  ({cost})"]


@event_lines.register
def _kept(event: events.KeptEvent) -> list[str]:
    return [f"{event.folds:,} of {plural(event.of, 'fold')} finished before"]


@event_lines.register
def _refit(event: events.RefitEvent) -> list[str]:
    rows = "all rows except the test rows" if event.has_test else "all rows"
    return [f"the final network, trained on {rows}: {event.run}"]


@event_lines.register
def _earlier(event: events.EarlierEvent) -> list[str]:
    of = f" of {event.of:,}" if event.of else ""
    return [f"{plural(event.trials, 'trial')}{of} finished before"]


@event_lines.register
def _trial(event: events.TrialEvent) -> list[str]:
    from dlcli.reports.search_charts import settings_text

    done = f"{event.ended:,}" + (f" of {event.of:,}" if event.of else "")
    mark = ", the best so far" if event.best == event.number else ""
    values = settings_text(event.result.values, sys.maxsize)
    result = _candidate(event.result, event.metric, mark, event.of_folds)
    return [f"#{event.number:,} ({done} done)  {result}: {values}"]


@event_lines.register
def _default(event: events.DefaultEvent) -> list[str]:
    return [f"{_candidate(event.result, event.metric)}: the original config"]


def _candidate(
    result: TrialResult, metric: str, mark: str = "", of_folds: int | None = None
) -> str:
    """Return the result of a candidate, and its cost."""
    if result.state == "failed":
        return f"failed, {printable(result.problem or '')}"
    value, epochs = f"{fmt.metric_title(metric)} {fmt.number(result.value)}", result.epochs or 0
    if result.state == "pruned":
        done = len(result.folds)
        first = f" of the first of {of_folds:,} folds" if of_folds else ""
        where = f"after {done:,} of {of_folds:,} folds" if done else f"at epoch {epochs:,}{first}"
        return f"pruned {where}, with {value}"
    size = f"{plural(result.parameters or 0, 'parameter')}, {plural(epochs, 'epoch')}"
    return f"{value}{mark}  ({size}, {fmt.duration(result.seconds)})"


@event_lines.register
def _finalist(event: events.FinalistEvent) -> list[str]:
    found, metric = event.result, event.result.metric or ""
    gain = found.gain
    decimals = None if gain is None else fmt.decimals_of_interval(gain)
    value = fmt.metric(metric, found.metrics.get(metric), decimals=decimals)
    result = f"{found.name}: {event.held_out} {fmt.metric_title(metric)} {value}"
    if found.verdict is None or gain is None or gain.value is None:
        return [result]
    return [f"{result}, {fmt.estimate(gain, metric, is_difference=True)} against default"]


@event_lines.register
def _nested(event: events.NestedEvent) -> list[str]:
    inner, outer = fmt.number(event.result.inner), fmt.number(event.result.value)
    place = f"outer fold {event.result.fold}/{event.of}"
    return [f"{place}: {inner} in the search, {outer} on rows that the search did not use"]


@event_lines.register
def _storage(event: events.StorageEvent) -> list[str]:
    return [f"rows are stored on disk during training, in {event.folder}"]


@event_lines.register
def _report(event: events.ReportEvent) -> list[str]:
    return [event.page]


@event_lines.register
def _device(event: events.DeviceEvent) -> list[str]:
    others = f" (one of {event.gpus})" if event.gpus > 1 else ""
    return [f"{event.device}{others}, {plural(event.threads, 'thread')}"]


# Standard error


def _interactive_console() -> Console | None:
    """Return the terminal of standard error if its lines can be replaced."""
    if not console.is_terminal():
        return None
    from rich.console import Console

    terminal = Console(stderr=True)
    return terminal if terminal.is_interactive else None


def _wrap(line: str) -> str:
    """Wrap a line to the width of the terminal, with an indent below its text."""
    if not console.is_terminal():
        return line.rstrip()
    return textwrap.fill(
        line,
        max(_terminal_width(), 3 * _LABEL_WIDTH),
        subsequent_indent=" " * (_LABEL_WIDTH + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _terminal_width() -> int:
    """Return COLUMNS, or the width of the terminal of standard error.

    `shutil.get_terminal_size` reads the width of standard output, which may be a file.
    """
    given, width = os.environ.get("COLUMNS", ""), 0
    if given.isdecimal() and int(given):
        return int(given)
    with suppress(OSError, ValueError, AttributeError):
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    return width or _DEFAULT_WIDTH


# The live view

SECONDS = 0.1
"""Minimum time between two frames."""
SLOW = 2.0
"""Seconds after which a terminal shows what is being done."""
READING = "reading and checking the data"
_RECENT = 50
"""Frames over which the speed is averaged: about five seconds."""
_OTHER_LINES = 4
"""Lines of a frame without its measures, including the last line of the terminal."""
_LEAST_NAME = 5


@dataclass(slots=True)
class Measure:
    """A loss or metric with its latest and best value."""

    name: str
    """`val_loss`."""
    higher_is_better: bool
    now: float | None = None
    best: float | None = None
    best_epoch: int = 0

    def add(self, value: float | None, epoch: int) -> None:
        """Add the value of an epoch; `None` is undefined."""
        self.now, best = value, self.best
        if value is None:
            return
        if best is None or (value > best if self.higher_is_better else value < best):
            self.best, self.best_epoch = value, epoch


class LiveView:
    """A frame that is updated at the end of epochs, without a thread that slows training down.

    If several members of an ensemble train at a time, it shows the first one.

    Args:
        terminal: the terminal.
        rows: number of training rows, if known.
        clock: returns the time in seconds.
        resumed: epochs before training was resumed, whose values are unknown, by member of an
            ensemble (1 for a single network).
    """

    def __init__(
        self,
        terminal: Console,
        rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        resumed: Mapping[int, int] | None = None,
    ) -> None:
        self._rows = rows
        self._resumed = resumed or {}
        self._console = terminal
        self._clock = clock
        self._live: Live | None = None
        self._due = 0.0
        self._count = fmt.EpochCount()
        self._latest: dict[int, events.EpochEvent] = {}
        self._measures_of: dict[int, list[Measure]] = {}
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RECENT)

    def add(self, event: events.EpochEvent | events.MemberEvent) -> None:
        """Add an epoch and draw a frame if it is due, or remove a member that has ended."""
        self._count.add(event)
        if isinstance(event, events.MemberEvent):
            self._latest.pop(event.member, None)
            self._measures_of.pop(event.member, None)
            return
        member = event.member or 1
        if member not in self._measures_of:
            self._measures_of[member] = [
                Measure(name, is_higher_better(name)) for name in fmt.metric_names(event)
            ]
        for measure in self._measures_of[member]:
            measure.add(event.values[measure.name], event.epoch)
        self._latest[member] = event
        now = self._clock()
        if now >= self._due or event.epoch == event.of:
            self._due = now + SECONDS
            self._recent.append((now, self._count.done))
            self._live = self._live or start_live(self._console)
            self._live.update(self.frame(), refresh=True)

    @property
    def _shown(self) -> events.EpochEvent:
        return self._latest[min(self._latest)]

    @property
    def _measures(self) -> list[Measure]:
        return self._measures_of[min(self._latest)]

    def print_above(self, line: str) -> None:
        """Print a line that stays on the terminal, above the frame."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the frame; the values are kept."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._recent.clear()  # a pause must not affect the speed

    def frame(self) -> RenderableType:
        """Compose the current frame, within the size of the terminal."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Column, Table
        from rich.text import Text

        event, speed = self._shown, self._speed()
        done, total = self._count.done, self._count.total
        left = "" if speed is None else f"{clock_time((total - done) / speed)} left"
        place = f"epoch {event.epoch:,}/{event.of:,}"
        if event.member is not None:
            place = f"member {event.member}/{event.members}, {place}"
        columns = (Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True))
        head = Table.grid(*columns, padding=(0, 1), expand=True)
        head.add_row(place, ProgressBar(total=total, completed=done), left)

        shown = self._shown_measures()
        lines = [*self._measure_lines(shown), self._pace_line(speed)]
        texts = [Text(line, no_wrap=True, overflow="crop") for line in lines]
        for text, measure in zip(texts[1:-1], shown, strict=True):
            if measure.best_epoch == event.epoch:
                text.stylize("bold green")
        texts[0].stylize("dim")
        texts[-1].stylize("dim")
        return Group(head, *texts)

    def _shown_measures(self) -> list[Measure]:
        """Return the measures that fit on the terminal, losses first if some do not fit."""
        available = max(1, self._console.height - _OTHER_LINES)
        if len(self._measures) <= available:
            return self._measures
        losses = ("loss", "val_loss")
        losses_first = sorted(self._measures, key=lambda each: each.name not in losses)
        return losses_first[:available]

    def _measure_lines(self, shown: list[Measure]) -> list[str]:
        """Return a header and a line for each measure; long names are truncated."""
        rows = []
        for measure in shown:
            mark = "*" if measure.best_epoch == self._shown.epoch else " "
            best = [fmt.number(measure.best), f"{measure.best_epoch:,}"]
            now = f"{fmt.number(measure.now)}{mark}"
            name = fmt.metric_title(measure.name)
            rows.append([name, now, *(best if measure.best_epoch else ["", ""])])
        since = self._resumed.get(min(self._latest))
        header = ("", "now ", f"best since {since}" if since else "best", "at")
        lines = _table_lines(header, rows)
        if max(map(len, lines)) > self._console.width:
            for row in rows:
                row[0] = row[0].replace("validation ", "val ")
            lines = _table_lines(header, rows)
        if (excess := max(map(len, lines)) - self._console.width) > 0:
            longest = max(_LEAST_NAME, max(len(row[0]) for row in rows) - excess)
            for row in rows:
                if len(row[0]) > longest:
                    row[0] = f"{row[0][: longest - 1]}~"
            lines = _table_lines(header, rows)
        return lines

    def _pace_line(self, speed: float | None) -> str:
        """Return the learning rate and the speed, in rows if an epoch takes over a second."""
        rate = f"learning rate {fmt.number(self._shown.values[fmt.LEARNING_RATE])}"
        if speed is None:
            return rate
        if speed < 1 and self._rows is not None:
            return f"{rate}  {_round(speed * self._rows)} rows/s"
        return f"{rate}  {_round(speed)} epochs/s"

    def _speed(self) -> float | None:
        """Return the recent speed in epochs per second; None before the second frame."""
        if len(self._recent) < 2:  # noqa: PLR2004
            return None
        (before, first), (now, last) = self._recent[0], self._recent[-1]
        return (last - first) / (now - before) if last > first and now > before else None


def start_live(terminal: Console) -> Live:
    """Start a frame that is drawn on request and removed at its end."""
    from rich.live import Live

    class Frame(Live):
        """A frame that is dropped if it can't be written, for example to a closed terminal."""

        def refresh(self) -> None:
            try:
                super().refresh()
            except OSError:  # Rich would keep it and render it again with each later frame
                self.console.quiet = True
                self.console.print()
                self.console.quiet = False
                raise

    live = Frame(console=terminal, auto_refresh=False, transient=True, redirect_stdout=False)
    live.start()
    return live


def clock_time(seconds: float) -> str:
    """Format a duration such as `0:07` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _table_lines(header: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return render_table(TableBlock(header, tuple(map(tuple, rows))))


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004
