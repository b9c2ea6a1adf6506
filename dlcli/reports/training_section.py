"""The section on training: curves by epoch, and statistics of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli.errors import plural
from dlcli.explanation.explanation_document import LayerStatistics
from dlcli.pipeline.documents import thinned
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.charts import Axis, Guides, line_chart, spans_decades
from dlcli.reports.run_record import TrainingRecord

Lines = Mapping[str, Sequence[float]]
"""Values at each epoch, by the name of the line."""
Points = Sequence[tuple[int, float]]
"""Epochs, from 1, with their values."""
MOST_CURVES = 20
MOST_POINTS = 600
"""Of a line."""
MOST_BUNDLE_POINTS = 5_000
"""Of all lines of a chart that has one for each network."""
LEARNING_RATE = "learning_rate"
SET_COLORS = {"training": "train", "validation": "validation"}
EPOCH = Axis("epoch", whole=True)
_MOST_LAYERS = 40
_MOST_LISTED = 12


def training_section(record: TrainingRecord) -> views.PageSection:
    """Describe how training went."""
    blocks: list[views.ViewBlock] = [_figures(record)]
    if record.run.is_diverged:
        text = (
            "Training diverged: its loss or weights became NaN or infinite. The charts show the "
            f"{plural(record.epochs, 'epoch')} before."
        )
        blocks.append(views.TextBlock(text))
    charts = _member_charts(record) or curve_charts(record.run.history, record.best_epoch)
    if rate := learning_rate_chart(record.run.history):
        charts.append(rate)
    blocks.append(views.GridBlock(tuple(charts)))
    if layers := record.run.explanation.layers:
        table = _layer_table(layers, is_first=record.run.ensemble is not None)
        blocks.append(views.GroupBlock("Inside the network", (table,)))
    return views.PageSection("training", "The training", tuple(blocks))


def _figures(record: TrainingRecord) -> views.FiguresBlock:
    log, epochs, most = record.log, record.epochs, record.run.config.epochs
    figures = [
        views.Figure("Epochs", f"{epochs:,}", f"of at most {most:,}" if epochs < most else "")
    ]
    if record.run.ensemble:
        bests = [each.best_epoch or each.epochs for each in record.run.ensemble.members]
        range_ = fmt.span(f"{min(bests):,}", f"{max(bests):,}")
        figures.append(views.Figure("Best epochs", range_, f"of the {len(bests):,} members"))
        if record.run.config.input.scaling_layer == "auto":
            rate = record.run.ensemble.learning_rate_multiplier
            scale = "left out" if rate is None else f"learning rate ×{rate:g}"
            figures.append(views.Figure("Scaling layer", scale, "chosen by the first network"))
    if best := record.best_epoch:
        figures.append(views.Figure("Best epoch", f"{best:,}", "its weights were kept"))
    if log.trained and log.trained.seconds is not None and not log.is_resumed:
        seconds = log.trained.seconds
        done, what = log.trained.epochs, "an epoch"
        if record.run.ensemble:
            done = sum(each.epochs for each in record.run.ensemble.members)
            what = "an epoch of a member"
        each = f"{fmt.duration(seconds / max(1, done))} {what}"
        figures.append(views.Figure("Training time", fmt.duration(seconds), each))
    if log.device:
        device = fmt.shorten(log.device.device, 20).upper()
        figures.append(views.Figure("Device", device, plural(log.device.threads, "thread")))
    if log.trained and (cluster := log.trained.cluster):
        speed = f"{cluster.rows_per_second:,.0f} rows a second in all"
        figures.append(views.Figure("Workers", f"{cluster.workers:,}", speed))
        share = fmt.percent(cluster.communication_share)
        figures.append(views.Figure("Communication", share, "of the training time, about"))
    if log.engine:
        figures.append(views.Figure("Engine", fmt.shorten(log.engine.name, 20)))
    return views.FiguresBlock(tuple(figures))


def curve_charts(history: Lines, best_epoch: int | None) -> list[views.ChartBlock]:
    """Draw the loss and each metric of training and validation rows.

    Args:
        history: what was measured at each epoch, by name.
        best_epoch: the epoch whose weights were kept, if one was chosen.
    """
    names = [
        name
        for name, values in history.items()
        if len(values) and not name.startswith("val_") and name != LEARNING_RATE
    ]
    return [_curve_chart(name, history, best_epoch) for name in names[:MOST_CURVES]]


def _member_charts(record: TrainingRecord) -> list[views.ChartBlock]:
    members = record.run.ensemble.members if record.run.ensemble else ()
    networks = {
        f"member {number}": {
            name: [*enumerate(values, start=1)] for name, values in member.history.items()
        }
        for number, member in enumerate(members, start=1)
    }
    reading = (
        "Each line is a member of the ensemble, on its own rows. All have different initial "
        "weights; their predictions are averaged."
    )
    return bundle_charts(networks, "member", reading, MOST_CURVES)


def bundle_charts(
    networks: Mapping[str, Mapping[str, Points]], each: str, reading: str, most: int
) -> list[views.ChartBlock]:
    """Draw the loss and each metric of several networks, a line for each network and set of rows.

    Args:
        networks: by name: the epochs with their values of each column of history.csv.
        each: what a network is: `fold`, `member`.
        reading: explains the chart of the loss.
        most: the number of charts.
    """
    names = dict.fromkeys(
        name.removeprefix("val_") for columns in networks.values() for name in columns
    )
    charts = []
    for name in names:
        lines = [
            (network, split, points)
            for network, columns in networks.items()
            for split, column in (("training", name), ("validation", f"val_{name}"))
            if (points := columns.get(column))
        ]
        if lines and name != LEARNING_RATE:
            charts.append(_bundle_chart(name, lines, each, reading))
    return charts[:most]


def _bundle_chart(
    name: str, lines: Sequence[tuple[str, str, Points]], each: str, reading: str
) -> views.ChartBlock:
    most = max(4, MOST_BUNDLE_POINTS // len(lines))
    rows = [
        {"x": points[at][0], "y": points[at][1], "s": split, "d": network}
        for network, split, points in lines
        for at in thinned(np.array([value for _, value in points]), most).tolist()
    ]
    splits = [split for split in SET_COLORS if any(line[1] == split for line in lines)]
    colors = {split: SET_COLORS[split] for split in splits}
    parts = []
    for split in splits:
        last = [points[-1][1] for _, of, points in lines if of == split]
        ends = fmt.span(fmt.number(min(last)), fmt.number(max(last)), first="from")
        parts.append(f"{split} {ends}")
    title = fmt.shorten(name).replace("_", " ")
    return views.ChartBlock(
        title=fmt.capitalize(title),
        spec=line_chart(
            rows, colors, EPOCH, Axis(title), tips={"d": each, "s": "rows"}, kind="bundle"
        ),
        description=f"{fmt.capitalize(title)} at the end, over the {each}s: {'; '.join(parts)}.",
        reading=reading if name == "loss" and len(splits) > 1 else "",
        legend=tuple(colors.items()),
        offers_log=spans_decades([value for _, _, points in lines for _, value in points]),
    )


def learning_rate_chart(history: Lines) -> views.ChartBlock | None:
    """Draw the learning rate if it changed."""
    rates = history.get(LEARNING_RATE, ())
    if len(set(rates)) < 2:
        return None
    lines = {"learning rate": rates}
    return views.ChartBlock(
        title="Learning rate",
        spec=curves_spec(lines, {"learning rate": "accent"}),
        description=f"The learning rate is {fmt.number(rates[0])} in the first epoch, "
        f"{fmt.number(rates[-1])} in the last one, and between {fmt.number(min(rates))} and "
        f"{fmt.number(max(rates))}.",
        reading="The learning rate scales each training step. Where it falls, smaller steps let "
        "the weights settle.",
        numbers=_listed_epochs(lines),
        offers_log=spans_decades(rates),
    )


def _curve_chart(name: str, history: Lines, best_epoch: int | None) -> views.ChartBlock:
    measured = {"training": history[name], "validation": history.get(f"val_{name}", ())}
    lines = {split: values for split, values in measured.items() if len(values)}
    title = fmt.shorten(name).replace("_", " ")
    parts = []
    for split, values in lines.items():
        at_best = ""
        if best_epoch is not None and 0 < best_epoch <= len(values):
            at_best = f", {fmt.number(values[best_epoch - 1])} at the best"
        ends = fmt.span(fmt.number(values[0]), fmt.number(values[-1]), first="from")
        parts.append(f"{split} {ends}{at_best}")
    best = f" The best epoch is {best_epoch:,}." if best_epoch else ""
    epochs = len(history[name])
    reading = _READING + (_READING_OF_BEST if best else "")
    return views.ChartBlock(
        title=fmt.capitalize(title),
        spec=curves_spec(lines, SET_COLORS, title, best_epoch),
        description=f"{fmt.capitalize(title)} over {plural(epochs, 'epoch')}: "
        f"{'; '.join(parts)}.{best}",
        reading=reading if len(lines) > 1 and name == "loss" else "",
        numbers=_listed_epochs(lines),
        legend=tuple(SET_COLORS.items()) if len(lines) > 1 else (),
        offers_log=spans_decades([value for values in lines.values() for value in values]),
    )


_READING = (
    "Training minimizes the loss. Both lines should fall; where the training loss still falls and "
    "the validation loss rises, the network overfits."
)
_READING_OF_BEST = " The dashed line marks the epoch whose weights were kept."


def curves_spec(
    lines: Lines, colors: Mapping[str, str], title: str = "", best_epoch: int | None = None
) -> Mapping[str, object]:
    """Draw lines by epoch, of long ones the points that keep their peaks.

    Args:
        lines: the values at each epoch, not empty.
        colors: of the lines.
        title: of the vertical axis.
        best_epoch: the epoch to mark, unless it is beyond the last one.
    """
    rows = [
        {"x": at + 1, "y": values[at], "s": name}
        for name, values in lines.items()
        for at in thinned(np.asarray(values, dtype=np.float64), MOST_POINTS).tolist()
    ]
    longest = max(len(values) for values in lines.values())
    return line_chart(
        rows,
        {name: colors[name] for name in lines},
        EPOCH,
        Axis(title),
        guides=Guides(x=best_epoch if best_epoch and best_epoch <= longest else None),
    )


def _listed_epochs(lines: Lines) -> views.TableBlock:
    """List some epochs at even distances, the first and the last among them."""
    epochs = max(len(values) for values in lines.values())
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, _MOST_LISTED)).astype(int))
    rows = [
        (
            f"{at + 1:,}",
            *(fmt.number(values[at]) if at < len(values) else "" for values in lines.values()),
        )
        for at in shown.tolist()
    ]
    return views.TableBlock(("epoch", *lines), tuple(rows))


def _layer_table(layers: Sequence[LayerStatistics], *, is_first: bool) -> views.TableBlock:
    """List the layers of a network, which may be the first member of an ensemble."""
    shown = layers[:_MOST_LAYERS]
    rows = tuple(
        (
            name,
            fmt.shorten(layer.activation or "", 30),
            f"{layer.units:,}",
            fmt.number(layer.output_mean),
            fmt.number(layer.output_deviation),
            fmt.percent(layer.dead),
            # The output may well be confident.
            fmt.percent(None if layer is layers[-1] else layer.saturated),
            fmt.number(layer.weight_norm),
            fmt.number(layer.first_gradient),
            fmt.number(layer.last_gradient),
        )
        for name, layer in zip(fmt.shorten_names(each.name for each in shown), shown, strict=True)
    )
    sizes = ("units", "mean output", "deviation", "dead", "saturated", "norm of weights")
    gradients = ("gradient at first", "at the end")
    return views.TableBlock(
        ("layer", "activation", *sizes, *gradients),
        rows,
        caption=f"Each layer {'of the first member ' if is_first else ''}after training",
        text_columns=range(2),
        note="Dead units (of relu) give the same output for every row and have stopped learning; "
        "saturated outputs of hidden layers (of sigmoid and tanh) are at an end of their range, "
        "where they hardly learn. Norms are Euclidean. Gradients of the loss with respect to the "
        "weights of each layer should have about the same size: a thousand times smaller ones in "
        "the first layers vanish, so that these hardly learn; very large ones explode.",
    )
