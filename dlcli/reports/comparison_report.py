"""The report of a comparison: differences between runs, and their significance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from dlcli import __version__
from dlcli.comparison import HELD_OUT, ComparedRun, Comparison, DataFile, RunDifference
from dlcli.errors import first_names, joined, plural, printable
from dlcli.metrics.intervals import DifferenceEstimate
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.charts import MOST_SERIES, interval_chart, series_colors
from dlcli.reports.command_views import direction_mark, metric_table
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.training_report import MOST_CURVES, lines_chart
from dlcli.schema.yaml_document import dump_yaml

Sides = Mapping[str, ComparedRun]
"""The runs by name; all others are compared with the first."""
_MOST_SETTINGS = 100
_MOST_FILES = 5
_MOST_ITEMS = 8
_MOST_SETTING_CHARACTERS = 80
"""Maximum numbers of items and characters of a setting's value."""
_MOST_CHARTS = 8
"""Maximum number of metrics with a chart."""


def comparison_view(comparison: Comparison) -> views.View:
    """Show runs side by side; all others are compared with the first."""
    names = run_names([side.run.path for side in comparison.sides])
    sides = dict(zip(names, comparison.sides, strict=True))
    runs = views.TableBlock.of(
        names,
        {
            "run": str,
            "finished": lambda name: f"{sides[name].run.created:%Y-%m-%d %H:%M}",
            "epochs": lambda name: f"{sides[name].run.epochs:,}",
        },
        text_columns=(0, 1),
    )
    differing = views.blocks(_what_differs(comparison, sides))
    metrics, others = tuple(_metrics(comparison, sides)), tuple(_other_sets(comparison, sides))

    def sections() -> Sequence[views.PageSection]:
        drawn = dict(islice(sides.items(), MOST_SERIES))
        curves, intervals = views.grid(_curve_charts(drawn)), views.grid(_interval_charts(drawn))
        lead = "Losses are comparable only if the configs have the same loss and scaling."
        if len(names) > MOST_SERIES:
            lead += f" Only the first {MOST_SERIES} runs are shown."
        result = (_INTERVALS, intervals, *metrics) if metrics else ()
        return [
            views.section("result", "Result", *result),
            views.section("config", "Differences", runs, *differing),
            views.section("curves", "Training", lead if curves else None, curves),
            views.section("splits", "Other rows", *others),
        ]

    return views.View(
        title=f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names)} runs",
        kicker="dlcli compare",
        lead=f"All predict {fmt.join_names(comparison.target)}.",
        sentences=tuple(_sentences(comparison, names)),
        notes=tuple(fmt.sentence(note) for note in comparison.notes),
        blocks=(runs, *differing, *metrics, *others),
        sections=sections,
        footer=f"Created by dlcli {__version__}.",
    )


def run_names(paths: Sequence[Path]) -> list[str]:
    """Name runs by their folders, or by whole paths if folders have the same name."""
    own = [path.resolve().name for path in paths]
    names = own if len(set(own)) == len(own) else list(map(str, paths))
    return fmt.shorten_names(fmt.shorten_middle(name, 30) for name in names)


_INTERVALS = "The 95 % confidence intervals cover the metric on other held-out rows."


def _sentences(comparison: Comparison, names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence per run with the metrics that are significantly better or worse."""
    for run, difference in zip(names[1:], comparison.differences, strict=False):
        if all(change.verdict == "unknown" for change in difference.metrics.values()):
            why = f": {difference.reason}" if difference.reason else ""
            yield f"It is unknown whether {run} is better than {names[0]}{why}."
            continue
        parts = []
        for verdict in ("better", "worse"):
            changes = difference.metrics.items()
            metrics = [fmt.metric_title(name) for name, each in changes if each.verdict == verdict]
            if metrics:
                parts.append(f"significantly {verdict} in {joined(metrics)}")
        result = ", and ".join(parts) or "neither significantly better nor significantly worse"
        yield f"Compared with {names[0]}, {run} is {result} (at the 95 % level)."


def _what_differs(comparison: Comparison, sides: Sides) -> Iterator[views.ViewBlock | str]:
    """Yield the differences in configs, versions, machines and data."""
    texts, wraps = range(len(sides) + 1), len(sides) > 2
    if settings := comparison.settings[:_MOST_SETTINGS]:
        rows = [(each.path, *map(setting_text, each.values)) for each in settings]
        yield views.TableBlock(
            ("config", *sides), _shortened(rows, 200), text_columns=texts, wraps=wraps
        )
    else:
        yield "The configs are the same."
    if (rest := len(comparison.settings) - len(settings)) > 0:
        yield f"{plural(rest, 'more setting')} not shown; --json lists all of them."
    if facts := comparison.facts.items():
        rows = [(name, *(value or fmt.UNDEFINED for value in values)) for name, values in facts]
        yield views.TableBlock(
            ("environment", *sides), _shortened(rows, 100), text_columns=texts, wraps=wraps
        )
    if comparison.same_data:
        yield f"The data are the same: {_file_names(comparison.sides[0].data)}"
    else:
        yield from _differing_files(sides)


def setting_text(value: object) -> str:
    """Format a setting's value as YAML in one line, shortened if long; a dash for `None`."""
    if value is None:
        return "-"
    dumped = dump_yaml([_few_items(value)], flow=True, width=2**31 - 1)
    return printable(dumped.strip()[1:-1])


def _few_items(value: object) -> object:
    """Shorten long lists, mappings and strings in a value."""
    if isinstance(value, list):
        rest = ["…"] if len(value) > _MOST_ITEMS else []
        return [*map(_few_items, value[:_MOST_ITEMS]), *rest]
    if isinstance(value, dict):
        kept = {key: _few_items(item) for key, item in islice(value.items(), _MOST_ITEMS)}
        return {**kept, **({"…": "…"} if len(value) > _MOST_ITEMS else {})}
    is_long = isinstance(value, str) and len(value) > _MOST_SETTING_CHARACTERS
    return f"{str(value)[: _MOST_SETTING_CHARACTERS - 1]}…" if is_long else value


def _differing_files(sides: Sides) -> Iterator[views.ViewBlock | str]:
    """Yield the data files that differ between runs, then the equal files."""
    files = [file for side in sides.values() for file in side.data]
    read = [{file.sha256 for file in side.data} for side in sides.values()]
    common = set.intersection(*read) - {None}
    if all(file.sha256 in common for file in files):
        common = set()  # only their order differs
    rows = []
    for name, side in sides.items():
        own = (file for file in side.data if file.sha256 not in common)
        rows += [
            (name, fmt.shorten_middle(file.name, 40), fmt.shorten(file.sha256 or fmt.UNDEFINED, 13))
            for file in islice(own, _MOST_FILES)
        ]
    caption = "The data differ"
    if not all(file.sha256 for file in files):
        caption = "The data may differ, because the digest of some files is unknown"
    yield views.TableBlock(("run", "file", "SHA-256"), tuple(rows), caption, range(3))
    if (rest := sum(file.sha256 not in common for file in files) - len(rows)) > 0:
        yield f"{plural(rest, 'more file')} not shown."
    first = next(iter(sides.values())).data
    if same := [file for file in first if file.sha256 in common]:
        yield f"Same in all runs: {_file_names(same)}"


def _file_names(files: Sequence[DataFile]) -> str:
    return first_names([fmt.shorten_middle(file.name) for file in files], _MOST_FILES)


def _shortened(rows: Sequence[tuple[str, ...]], most: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(fmt.shorten(cell, most) for cell in row) for row in rows)


def _metrics(comparison: Comparison, named: Sides) -> Iterator[views.TableBlock]:
    """Yield the metrics of held-out rows, the metrics of baselines, and the differences."""
    split, rows_name, sides = comparison.split, comparison.rows_name, comparison.sides
    if split is None:
        return
    names = list(named)
    counts = [plural(side.rows or 0, "row") for side in sides]
    counted = counts[0] if len(set(counts)) == 1 else ", ".join(counts)
    rows: list[tuple[str, ...]] = []
    marks: list[str] = []
    for name in dict.fromkeys(name for side in sides for name in side.estimates):
        cells = [fmt.estimate(side.estimates.get(name), name) for side in sides]
        label = fmt.metric_title(name)
        if len(sides) <= 2:
            rows.append((label, *cells))
        else:  # with many runs, intervals are in a separate line
            parts = [cell.partition(" [") for cell in cells]
            rows.append((label, *(value for value, _, _ in parts)))
            rows.append(("", *(f"[{ends}" if ends else "" for *_, ends in parts)))
        marks += [direction_mark(name), *[""] * (len(rows) - len(marks) - 1)]
    caption = f"{rows_name}: {counted}, with 95 % confidence intervals"
    yield views.TableBlock(("", *names), tuple(rows), caption, marks=tuple(marks), wraps=True)
    yield from _baseline_tables(comparison, split)
    for name, difference in zip(names[1:], comparison.differences, strict=False):
        caption = f"Change from {names[0]} to {name}, {_compared_rows(comparison, difference)}"
        yield _difference_table(caption, difference)


def _baseline_tables(comparison: Comparison, split: str) -> Iterator[views.TableBlock]:
    """Yield the metrics of the baselines; runs with the same values share a column."""
    groups: dict[tuple[str, tuple[tuple[str, float | None], ...]], list[int]] = {}
    for at, side in enumerate(comparison.sides, start=1):
        for model, metrics in side.baselines.items():
            if split in metrics:
                groups.setdefault((model, tuple(metrics[split].items())), []).append(at)
    if not groups:
        return
    several = Counter(model for model, _ in groups)
    heads = [
        fmt.shorten(model, 12) + (f" {','.join(map(str, runs))}" if several[model] > 1 else "")
        for (model, _), runs in groups.items()
    ]
    numbered = "; the numbers after a name are positions in the list of runs"
    caption = f"{comparison.rows_name}: baselines{numbered if max(several.values()) > 1 else ''}"
    counts = [comparison.sides[runs[0] - 1].rows for runs in groups.values()]
    columns = [dict(metrics) for _, metrics in groups]
    yield replace(metric_table(heads, columns, counts, caption=caption), wraps=True)


def _compared_rows(comparison: Comparison, difference: RunDifference) -> str:
    """Describe the rows of a difference: `on the same 150 test rows`."""
    if difference.rows is None:
        return f"not on the same rows, because {difference.reason}"
    which = "same" if difference.rows == comparison.sides[0].rows else "shared"
    if comparison.split in HELD_OUT:
        return f"on the {which} {plural(difference.rows, f'{comparison.rows_name} row')}"
    return f"on the {which} {plural(difference.rows, 'row')} of {comparison.split}"


def _difference_table(caption: str, difference: RunDifference) -> views.TableBlock:
    """List the differences in each metric between a run and the first."""
    table = views.TableBlock.of(
        list(difference.metrics.items()),
        {
            "": lambda pair: fmt.metric_title(pair[0]),
            "change [95 % CI]": lambda pair: fmt.estimate(pair[1], pair[0], is_difference=True),
            "verdict": lambda pair: _verdict(pair[1]),
        },
        caption,
        text_columns=(0, 2),
    )
    return replace(table, marks=tuple(map(direction_mark, difference.metrics)))


_VERDICTS = {**fmt.VERDICTS, "better": "better", "worse": "worse"}
"""Short verdicts for a narrow column; a sentence below the tables names the level."""


def _verdict(difference: DifferenceEstimate) -> str:
    if difference.value is None:
        return "undefined"
    return _VERDICTS.get(difference.verdict, f"unknown: {difference.reason}")


def _other_sets(comparison: Comparison, sides: Sides) -> Iterator[views.TableBlock]:
    """Yield the metrics of the other sets of rows, without intervals."""
    for split in dict.fromkeys(split for side in sides.values() for split in side.metrics):
        columns = [side.metrics.get(split, {}) for side in sides.values()]
        if split != comparison.split and any(columns):
            rows = [TrainingRecord(side.run).counted_rows(split) for side in sides.values()]
            caption = fmt.shorten(comparison.rows_name_of(split))
            yield replace(metric_table([*sides], columns, rows, caption=caption), wraps=True)


def _interval_charts(sides: Sides) -> Iterator[views.ChartBlock]:
    """Draw each metric of all runs with its 95 % confidence intervals."""
    metrics = dict.fromkeys(name for side in sides.values() for name in side.estimates)
    for metric in islice(metrics, _MOST_CHARTS):
        estimates = {name: side.estimates.get(metric) for name, side in sides.items()}
        known = {name: each for name, each in estimates.items() if each and each.value is not None}
        rows = [
            {"y": name, "s": name, "x": each.value, "l": each.lower, "u": each.upper}
            for name, each in known.items()
        ]
        tips = {"s": "run", "x": "value|.5~g", "l": "from|.5~g", "u": "to|.5~g"}
        texts = [f"{name} {fmt.estimate(each, metric)}" for name, each in known.items()]
        yield views.ChartBlock(
            title=fmt.capitalize(fmt.metric_title(metric)),
            spec=interval_chart(rows, list(known), series_colors(list(sides)), tips=tips),
            description=f"{'; '.join(texts)}.",
        )


def _curve_charts(sides: Sides) -> Iterator[views.ChartBlock]:
    """Draw the loss and each metric by epoch, a line for each run."""
    measured = dict.fromkeys(name for side in sides.values() for name in side.history)
    for name in islice(measured, MOST_CURVES):
        lines = {run: side.history[name] for run, side in sides.items() if side.history.get(name)}
        if not lines:
            continue
        bare = name.removeprefix("val_")
        words, split = fmt.metric_title(fmt.shorten(bare)), ", validation"
        if bare == name:
            split = "" if bare == fmt.LEARNING_RATE else ", training"
        show = partial(fmt.of_epoch, bare)
        header = ("run", "epochs", "first", "lowest", "highest", "last")
        table = views.TableBlock(
            header,
            tuple(
                (run, f"{len(line):,}", *map(show, (line[0], min(line), max(line), line[-1])))
                for run, line in lines.items()
            ),
        )
        parts = [f"{run} from {first} to {last}" for run, _, first, _, _, last in table.rows]
        title, description = fmt.capitalize(f"{words}{split}"), f"{'; '.join(parts)}."
        measured_name = "" if bare == fmt.LEARNING_RATE else bare
        colors = series_colors(list(sides))
        chart = lines_chart(title, lines, colors, description, name=measured_name)
        yield replace(chart, numbers=table)
