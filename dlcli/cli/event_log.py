"""Events as a user sees them: lines on standard error, a live view, or JSON lines."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli.messages import ignoring_lost_output, is_terminal, print_line, print_message
from dlcli.errors import plural, printable
from dlcli.reports import formatting as fmt
from dlcli.reports.progress import epoch_line, member_line, progress_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from dlcli.cli.live_view import LiveView
    from dlcli.pipeline.events import Listener
    from dlcli.tables.table import Remark

Fields = Mapping[str, Any]

_LABEL_WIDTH = 9  # of the longest, `features`
_DEFAULT_WIDTH = 80
"""Columns of a terminal that does not report its width."""
_EPOCH_LINES = 10
_MOST_NAMES = 8


@contextmanager
def event_listener(*, as_json: bool, quiet: bool) -> Iterator[Listener]:
    """Give a listener that prints events; with JSON, the result comes last.

    Args:
        as_json: print events as JSON lines on standard output.
        quiet: print only warnings and, with JSON, the result.
    """
    log = _TextLog()
    result: dict[str, object] = {}

    def listen(event: str, fields: dict[str, object]) -> None:
        if event == "result":
            result.update(fields)
        elif quiet:
            print_warning(event, fields)
        elif not as_json:
            with ignoring_lost_output():
                log.add(event, fields)
        elif event != "progress":  # depends on the clock, and repeats what other events contain
            _print_json(event, fields)

    try:
        yield listen
    finally:
        with ignoring_lost_output():
            log.close()
    if as_json and result:  # of several workers, one has it
        _print_json("result", result)


def print_event(event: str, fields: Fields) -> None:
    """Print an event to standard error, wrapped to the width of a terminal."""
    if event == "warning":
        print_message("warning", fields["message"])
    for index, line in enumerate(EVENT_LINES[event](fields) if event in EVENT_LINES else ()):
        label = "" if index else event
        print_line(_wrap(f"{label:<{_LABEL_WIDTH}} {printable(line)}"))


def print_warning(event: str, fields: Fields) -> None:
    """Print an event to standard error if it is a warning."""
    if event == "warning":
        print_event(event, fields)


def print_remarks(remarks: Iterable[Remark]) -> None:
    """Print what was detected in a table's files and is not obvious: notes, then warnings."""
    for remark in sorted(remarks, key=lambda remark: remark.is_doubtful):
        print_message("warning" if remark.is_doubtful else "note", remark.message)


def print_unused_columns(file: str, columns: Sequence[str]) -> None:
    """Print which columns of a file were not known in training."""
    if columns:
        count = "a column" if len(columns) == 1 else f"{len(columns)} columns"
        names = fmt.join_names(columns, _MOST_NAMES)
        print_message("note", f"{file}: ignored {count} not seen in training: {names}")


class _TextLog:
    """Prints events as text on standard error, with a live view of epochs on a terminal."""

    def __init__(self) -> None:
        self._progress: Live | None = None
        self._epochs: LiveView | _EpochLines | None = None
        self._rows: int | None = None
        self._resumed: dict[int, int] = {}

    def add(self, event: str, fields: dict[str, Any]) -> None:
        if event == "progress":
            self._show_progress(progress_line(fields))
        elif event == "epoch":
            self._stop_progress()
            self._epochs = self._epochs or self._start_epochs()
            self._epochs.show(fields)
        elif event == "member":
            self._epochs = self._epochs or self._start_epochs()
            self._epochs.finish_member(fields)
        else:
            self.close()
            if event == "data":
                self._rows = fields["rows"]["train"]
            elif event == "resumed":
                self._resumed[fields.get("member", 1)] = fields["epochs"]
            print_event(event, fields)

    def close(self) -> None:
        self._stop_progress()
        if self._epochs is not None:
            self._epochs.close()

    def _start_epochs(self) -> LiveView | _EpochLines:
        if (console := _interactive_console()) is None:
            return _EpochLines()
        from dlcli.cli.live_view import LiveView

        return LiveView(console, self._rows, resumed=self._resumed)

    def _show_progress(self, line: str) -> None:
        """Replace the progress line, on a terminal."""
        if self._progress is None:
            if (console := _interactive_console()) is None:
                return
            from dlcli.cli.live_view import start_live

            self._progress = start_live(console)
        from rich.text import Text

        text = Text(line, style="dim", no_wrap=True, overflow="crop")
        self._progress.update(text, refresh=True)

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _EpochLines:
    """Prints the first epoch, the last, and about ten in between; of an ensemble, each member."""

    def __init__(self) -> None:
        self._held: Fields | None = None

    def show(self, fields: Fields) -> None:
        """Print the epoch if it is one of those, else hold it, because it may be the last.

        Epochs of members that are trained at the same time would come in any order.
        """
        if "member" in fields:
            return
        epoch, every = fields["epoch"], -(-fields["of"] // _EPOCH_LINES)
        self._held = fields
        if epoch == 1 or epoch % every == 0:
            self.close()

    def finish_member(self, fields: Fields) -> None:
        """Print a member of an ensemble."""
        print_line(member_line(fields))

    def close(self) -> None:
        """Print the epoch that is held."""
        if self._held is not None:
            fields, self._held = self._held, None
            print_line(epoch_line(fields))


# The lines of each event


def _data(fields: Fields) -> list[str]:
    names = {"train": "training"}
    counts = [f"{count:,} {names.get(name, name)}" for name, count in fields["rows"].items()]
    split = f" ({fields['split']}, seed {fields['seed']})" if fields["split"] else ""
    return [f"{fields['file']}: {', '.join(counts)} rows{split}", *fields["notes"]]


def _target(fields: Fields) -> list[str]:
    columns, reason = fields["columns"], fields["reason"]
    names = fields["classes"] or fields["labels"]
    if names:
        noun = "classes" if fields["classes"] else "labels"
        listed = f": {fmt.join_names(names, _MOST_NAMES)}" if names != columns else ""
        return [f"{fmt.join_names(columns, _MOST_NAMES)}: {len(names)} {noun}, {reason}{listed}"]
    noun = "count" if fields["type"] == "count" else "number"
    count = f"a {noun}" if len(columns) == 1 else f"{len(columns)} {noun}s"
    return [f"{fmt.join_names(columns, _MOST_NAMES)}: {count}, {reason}"]


def _features(fields: Fields) -> list[str]:
    """Return one line for each type: `64 numeric, all numbers: pixel_0_0, pixel_0_1, ...`.

    Columns that `input.features` does not name come last, with the setting that includes them.
    """
    from dlcli.encoding.column_types import UNMATCHED_REASON

    by_type: defaultdict[str, dict[str, str]] = defaultdict(dict)
    unnamed: dict[str, str] = {}
    for column, decision in fields["columns"].items():
        chosen = unnamed if decision["reason"] == UNMATCHED_REASON else by_type[decision["type"]]
        chosen[column] = decision["reason"]
    lines = [_column_line(kind, reasons) for kind, reasons in by_type.items()]
    if unnamed:
        lines.append(_column_line("ignored", unnamed))
        lines.append('"*": auto in input.features (or "*" in a list of names) includes the others')
    return lines


def _column_line(kind: str, reasons: Mapping[str, str]) -> str:
    first, *others = dict.fromkeys(reasons.values())
    if not others:
        return f"{len(reasons)} {kind}, {first}: {fmt.join_names([*reasons], _MOST_NAMES)}"
    named = [f"{column} ({reason})" for column, reason in reasons.items()]
    return f"{len(reasons)} {kind}: {fmt.join_names(named, _MOST_NAMES)}"


def _network(fields: Fields) -> list[str]:
    """Return the widths of the layers, `4 → 16 relu → 3 softmax`, and the loss."""
    layers = fields["layers"]
    chain = [str(fields["inputs"])]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        kind = layer["kind"]
        if kind == "Dense" and following and following["kind"] == "BatchNormalization":
            chain.append(str(layer["units"]))  # its activation follows the normalization
        elif kind == "Dense":
            chain.append(f"{layer['units']} {layer['activation']}")
        elif kind == "Dropout":
            chain[-1] += f", dropout {layer['rate']:g}"
        elif kind in ("Periodic", "Embedding"):
            chain[-1] += f", {kind.lower()} {layer['units']}"
        else:
            name = "batch normalization" if kind == "BatchNormalization" else layer["activation"]
            chain[-1] += f", {name}"
    target = {
        "standard": " of the standardized target",
        "log1p": " of the target's standardized logarithm",
        "none": " of the target as it is",
        None: "",  # classes and labels
    }[fields["target_scaling"]]
    metrics = f"; metrics {', '.join(fields['metrics'])}" if fields["metrics"] else ""
    parameters = plural(fields["parameters"], "parameter")
    lines = [f"{' → '.join(chain)}, {parameters}", f"loss {fields['loss']}{target}{metrics}"]
    if members := fields["members"]:
        folds = fields["folds"]
        where = f", each validated on one of {folds} folds of the training rows" if folds else ""
        lines.append(f"an ensemble of {members} such networks{where}")
    return lines


def _engine(fields: Fields) -> list[str]:
    if fields["name"] != "compiled":
        return [fields["name"]]
    return [f"compiled, {'with XLA' if fields['jit_compile'] else 'as a graph'}"]


def _resumed(fields: Fields) -> list[str]:
    member = f" of member {fields['member']}" if "member" in fields else ""
    return [f"after {plural(fields['epochs'], 'epoch')}{member}"]


def _scaling_layer(fields: Fields) -> list[str]:
    scaled, plain = (fmt.number(fields["val_loss"][name]) for name in ("with", "without"))
    chosen = "with" if fields["kept"] else "without"
    return [f"{chosen} one: val_loss of the first network is {scaled} with and {plain} without it"]


def _trained(fields: Fields) -> list[str]:
    epochs, best = fields["epochs"], fields["best_epoch"]
    kept = f"; the weights of epoch {best} are kept" if best not in (None, epochs) else ""
    if "members" in fields:
        kept = f"; {fields['members']} networks, each with the weights of its best or last epoch"
    lines = [f"{plural(epochs, 'epoch')} in {fmt.duration(fields['seconds'])}{kept}"]
    if cluster := fields.get("cluster"):
        rows, share = cluster["rows_per_second"], cluster["communication_share"]
        speed = f"{cluster['workers']} workers, {rows:,.0f} rows a second in all"
        lines.append(f"{speed}; about {100 * share:.0f} % of the time is communication")
    return lines


def _baselines(fields: Fields) -> list[str]:
    absence = f"; no linear model: {fields['no_linear']}" if fields["no_linear"] else ""
    return [f"{', '.join(fields['models'])} in {fmt.duration(fields['seconds'])}{absence}"]


def _tracking(fields: Fields) -> list[str]:
    look = f"; view with: {fields['look']}" if "look" in fields else ""
    return [f"{fields['tracker']}: {fields['place']}{look}"]


def _rows(fields: Fields) -> list[str]:
    aside = fields["set_aside"]
    kept = f", and {plural(aside, 'test row')} set aside" if aside else ""
    split = f"({fields['split']}, seed {fields['seed']})"
    return [f"{fields['file']}: {plural(fields['rows'], 'row')}{kept} {split}", *fields["notes"]]


def _space(fields: Fields) -> list[str]:
    from dlcli.schema.yaml_document import dump_yaml

    trials = f"{plural(fields['trials'], 'trial')}, " if fields["trials"] is not None else ""
    rows = f"the {fields['held_out']} rows"
    if fields["folds"] is not None:
        rows = plural(fields["folds"], "fold")
    why = f"the default for {plural(fields['rows'], 'row')}, as tune.space is not set"
    lines = dump_yaml(fields["space"], width=2**30).splitlines()
    return [f"{why}: {trials}{rows}", *lines]


def _fold(fields: Fields) -> list[str]:
    repeat = f"repeat {fields['repeat']}, " if fields["repeats"] > 1 else ""
    place = f"{repeat}{fields['fold']}/{fields['of']}"
    if fields["problem"]:
        return [f"{place}  failed: {fields['problem']}"]
    metric, best = fields["metric"], fields["best_epoch"]
    value = f"{metric} {fmt.number(fields['metrics'][metric])}" if metric else "no metric"
    kept = f", best {best}" if best not in (None, fields["epochs"]) else ""
    cost = f"{plural(fields['epochs'], 'epoch')}{kept}, {fmt.duration(fields['seconds'])}"
    return [f"{place}  {value}  ({cost})"]


def _earlier(fields: Fields) -> list[str]:
    of = f" of {fields['of']:,}" if fields["of"] else ""
    return [f"{plural(fields['trials'], 'trial')}{of} finished before"]


def _trial(fields: Fields) -> list[str]:
    from dlcli.reports.search_charts import settings_text

    place = f"{fields['ended']:,}" + (f"/{fields['of']:,}" if fields["of"] else "")
    mark = ", the best so far" if fields["best"] == fields["number"] else ""
    values = settings_text(fields["values"], sys.maxsize)
    return [f"#{fields['number']}  {place}  {_candidate(fields, mark)}: {values}"]


def _candidate(fields: Fields, mark: str = "") -> str:
    """Return the result of a candidate, and its cost."""
    if fields["state"] == "failed":
        return f"failed, {printable(fields['problem'])}"
    value = f"{fields['metric']} {fmt.number(fields['value'])}"
    if fields["state"] == "pruned":
        done, of = len(fields["folds"]), fields["of_folds"]
        first = f" of the first of {of:,} folds" if of else ""
        where = (
            f"after {done:,} of {of:,} folds" if done else f"at epoch {fields['epochs']:,}{first}"
        )
        return f"pruned {where}, with {value}"
    size = f"{plural(fields['parameters'], 'parameter')}, {plural(fields['epochs'], 'epoch')}"
    return f"{value}{mark}  ({size}, {fmt.duration(fields['seconds'])})"


def _finalist(fields: Fields) -> list[str]:
    value = fmt.number(fields["metrics"].get(fields["metric"]))
    result = f"{fields['name']}: {fields['split']} {fields['metric']} {value}"
    gain = fields["gain"]
    if fields["verdict"] is None or gain is None or gain["value"] is None:
        return [result]
    return [f"{result}, {fmt.difference(gain['value'])} against default"]


def _nested(fields: Fields) -> list[str]:
    place = f"outer fold {fields['fold']}/{fields['of']}"
    inner, outer = fmt.number(fields["inner"]), fmt.number(fields["value"])
    return [f"{place}: {inner} in the search, {outer} on rows that it did not use"]


def _device(fields: Fields) -> list[str]:
    others = f" (one of {fields['gpus']})" if fields["gpus"] > 1 else ""
    return [f"{fields['device']}{others}, {plural(fields['threads'], 'thread')}"]


EVENT_LINES: Mapping[str, Callable[[Fields], list[str]]] = {
    "storage": lambda f: [f"rows are on disk during training, in {f['folder']}"],
    "data": _data,
    "target": _target,
    "features": _features,
    "network": _network,
    "engine": _engine,
    "device": _device,
    "resumed": _resumed,
    "scaling_layer": _scaling_layer,
    "tracking": _tracking,
    "trained": _trained,
    "baselines": _baselines,
    "report": lambda f: [f["page"]],
    "rows": _rows,
    "space": _space,
    "kept": lambda f: [f"{f['folds']:,} of {plural(f['of'], 'fold')} finished before"],
    "fold": _fold,
    "earlier": _earlier,
    "default": lambda f: [f"{_candidate(f)}: the original config"],
    "trial": _trial,
    "finalist": _finalist,
    "nested": _nested,
}
"""The lines of an event, by its name, which is also their label."""


# Standard error


def _print_json(event: str, fields: Fields) -> None:
    click.echo(json.dumps({"event": event, **fields}, allow_nan=False))


def _interactive_console() -> Console | None:
    """Return the terminal of standard error, if its lines can be replaced."""
    if not is_terminal():
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_interactive else None


def _wrap(line: str) -> str:
    """Wrap a line to the width of the terminal, with continuation lines below its text."""
    if not is_terminal():
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

    `shutil.get_terminal_size` asks standard output, which may be a file.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError, AttributeError):
        return _DEFAULT_WIDTH
