"""How training went."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from dlcli.explanation import LayerStatistics
from dlcli.reports.blocks import Block, Card, Cards, Chart, Grid, Group, Section, Table, Text
from dlcli.reports.curves import curve_charts, rate_chart
from dlcli.reports.drawing import base, coloured, finished, hints, layered, listed, quantity
from dlcli.reports.record import Record
from dlcli.reports.wording import duration, number, percent, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

_MOST_LAYERS = 40
_STEPS = ("at the beginning", "at the end")
_STEP_COLOURS = ("validation", "train")


def training(record: Record) -> Section:
    """The section."""
    blocks: list[Block] = [_cards(record)]
    if record.diverged:
        epochs = max((len(values) for values in record.history.values()), default=0)
        text = (
            "Training diverged: its loss or weights became no numbers any more. What is shown is "
            f"what was finite, {epochs:,} epochs. Likely causes are a learning rate that is too "
            "high, and inputs or targets that are not scaled."
        )
        blocks.append(Text(text))
    best = best_epoch(record)
    charts = curve_charts(record.history, best)
    rate = rate_chart(record.history)
    blocks.append(Grid(tuple([*charts, *([rate] if rate else [])])))
    layers = record.explanation.layers[:_MOST_LAYERS] if record.explanation else ()
    whole = len(layers) == len(record.explanation.layers) if record.explanation else True
    return Section("training", "The training", (*blocks, *_layer_blocks(layers, whole=whole)))


def best_epoch(record: Record) -> int | None:
    """The epoch whose weights were kept, if one was chosen."""
    return record.log.trained.best_epoch if record.log.trained else None


def _cards(record: Record) -> Cards:
    epochs = max((len(values) for values in record.history.values()), default=0)
    asked = record.config.epochs
    cards = [Card("Epochs", f"{epochs:,}", f"of {asked:,} at most" if epochs < asked else "")]
    if best := best_epoch(record):
        cards.append(Card("Best epoch", f"{best:,}", "its weights were kept"))
    trained = record.log.trained
    if trained and trained.seconds is not None and not record.log.resumed:
        each = duration(trained.seconds / max(1, trained.epochs))
        cards.append(Card("Training time", duration(trained.seconds), f"{each} an epoch"))
    if record.log.device:
        device, threads = record.log.device.device, record.log.device.threads
        cards.append(Card("Device", short(device, 20).upper(), f"{threads:,} threads"))
    if record.log.engine:
        cards.append(Card("Engine", short(record.log.engine.name, 20)))
    return Cards(tuple(cards))


def _layer_blocks(layers: tuple[LayerStatistics, ...], *, whole: bool) -> list[Block]:
    if not layers:
        return []
    chart = _gradients(layers)
    blocks = (*((chart,) if chart else ()), _layer_table(layers, whole=whole))
    return [Group("Inside the network", blocks)]


def _gradients(layers: tuple[LayerStatistics, ...]) -> Chart | None:
    names = shorts((layer.name for layer in layers), 30)
    rows = [
        {"l": name, "g": rounded(norm), "w": step}
        for name, layer in zip(names, layers, strict=True)
        for step, norm in zip(_STEPS, (layer.first_gradient, layer.last_gradient), strict=True)
        if norm is not None and norm > 0
    ]
    if not rows:
        return None
    order = tuple(name for name in names if any(row["l"] == name for row in rows))
    return Chart(
        title="How strongly each layer is pulled",
        spec=finished(_gradient_drawing(order), rows=rows),
        shows="Size of the loss's gradient for each layer's weights, where training began and "
        f"where it ended, from {number(min(_sizes(layers)))} to {number(max(_sizes(layers)))}.",
        reading="Layers should be pulled about alike. If the first are pulled a thousand times "
        "less than the last, gradients vanish and the first hardly learn; very large ones "
        "explode. At the end all should be smaller.",
        legend=tuple(zip(_STEPS, _STEP_COLOURS, strict=True)),
    )


def _sizes(layers: tuple[LayerStatistics, ...]) -> list[float]:
    pairs = ((layer.first_gradient, layer.last_gradient) for layer in layers)
    return [norm for pair in pairs for norm in pair if norm is not None and norm > 0]


@cache
def _gradient_drawing(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    y = listed("l", names, grid=True)
    scale = alt.Scale(type="log", nice=True)
    x = quantity("g", "norm of the gradient", scale=scale, axis=alt.Axis(format=".0e", tickCount=5))
    points = base().mark_circle(size=90, opacity=0.9)
    tips = hints(l="layer", w="when", g="norm|.3~e")
    encoded = points.encode(x=x, y=y, color=coloured("w", _STEPS, _STEP_COLOURS), tooltip=tips)
    return layered(encoded, height=max(80, 30 * len(names)))


def _layer_table(layers: tuple[LayerStatistics, ...], *, whole: bool) -> Table:
    """The layers in numbers.

    Args:
        layers: at least one.
        whole: whether these are all, so that the last one is the output.
    """
    output = layers[-1] if whole else None
    rows = tuple(
        (
            name,
            short(layer.activation or "", 30),
            f"{layer.units:,}",
            number(layer.output_mean),
            number(layer.output_deviation),
            percent(layer.dead),
            percent(None if layer is output else layer.saturated),  # an output may well be sure
            number(layer.weight_norm),
        )
        for name, layer in zip(shorts(layer.name for layer in layers), layers, strict=True)
    )
    return Table(
        (
            "layer",
            "activation",
            "units",
            "mean output",
            "deviation",
            "dead",
            "saturated",
            "weights",
        ),
        rows,
        caption="Each layer after training",
        texts=2,
        note="Dead units (of relu) give the same for every row and have stopped learning; "
        "saturated outputs of hidden layers (of sigmoid and tanh) lie at an end of their range, "
        "where they hardly learn. “Weights” is their Euclidean norm.",
    )
