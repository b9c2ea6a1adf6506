"""What was asked: the config, and the network that it describes."""

from __future__ import annotations

from dlcli.reports.blocks import Block, Code, Fold, Group, Layer, Layers, Section, Text
from dlcli.reports.log import LoggedLayer, NetworkEvent
from dlcli.reports.record import Record
from dlcli.reports.wording import number, short, some

MOST_SIGNS = 60_000
"""Of a config; one of many columns has more."""
_MOST_LAYERS = 60


def asked(record: Record) -> Section:
    """The section."""
    blocks: list[Block] = [Text(f"Predict {predicted(record)}.")]
    if record.log.network:
        network = record.log.network
        scaled = network.target_scaling
        trained_on = f" of the target scaled by “{scaled}”" if scaled not in (None, "none") else ""
        text = (
            f"The network has {network.parameters:,} parameters, the numbers that training "
            f"adjusts. It makes the loss small: {short(network.loss)}{trained_on}."
        )
        blocks += [Group("The network", (Text(text), Layers(tuple(_layers(network)))))]
    given = Code(whole_lines(record.config_text), "As it was given:")
    resolved = Fold("With everything filled in", (Code(whole_lines(record.resolved_text)),))
    return Section("asked", "What was asked", (*blocks, Group("The config", (given, resolved))))


def in_short(record: Record) -> str:
    """What is predicted, in a few words: `species (3 classes)`."""
    target, columns = record.target, some(record.target.columns, 3)
    if target.outcome == "numbers":
        return columns
    return target.words if target.outcome == "labels" else f"{columns} ({target.words})"


def predicted(record: Record) -> str:
    """What is predicted: `species, one of 3 classes: setosa, ...`."""
    return record.target.describe(some(record.target.columns), some(record.target.names))


def _layers(network: NetworkEvent) -> list[Layer]:
    inputs = Layer("input", "Input", f"{network.inputs:,} numbers", "the encoded columns", "")
    shown = [_layer(layer) for layer in network.layers[:_MOST_LAYERS]]
    rest = len(network.layers) - len(shown)
    more = [Layer(f"{rest:,} more layers", "…", "", "", "")] if rest else []
    return [inputs, *shown, *more]


def _layer(layer: LoggedLayer) -> Layer:
    widths = [f"{width:,}" if width is not None else "?" for width in (layer.inputs, layer.units)]
    count = layer.parameters
    return Layer(
        name=short(layer.name, 40),
        kind=short(layer.kind, 40),
        shape=" → ".join(widths),
        detail=_detail(layer),
        parameters=f"{count:,} parameters" if count else "",
    )


def _detail(layer: LoggedLayer) -> str:
    if layer.rate is not None:
        return f"silences {number(100 * layer.rate)} % in training"
    if layer.column is not None:
        return f"of {short(layer.column, 40)}"
    return short(layer.activation or "", 40)


def whole_lines(text: str) -> str:
    """A text up to `MOST_SIGNS`, whole lines."""
    if len(text) <= MOST_SIGNS:
        return text
    kept = text[:MOST_SIGNS].rpartition("\n")[0]
    return f"{kept}\n# ... and {text.count(chr(10)) - kept.count(chr(10)):,} more lines"
