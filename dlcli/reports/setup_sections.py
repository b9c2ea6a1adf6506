"""The sections on how a run was made: config, network, data and versions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from dlcli import __version__
from dlcli.reports import formatting as fmt
from dlcli.reports.run_record import LoggedLayer, NetworkEvent, RunRecord
from dlcli.reports.views import Block, Code, Fold, Group, Layer, Layers, Section, Table, Text

MOST_CHARACTERS = 60_000
"""Of a config; one of very many columns is longer."""
_MOST_LAYERS = 60
_MOST_FILES = 100
_MOST_NOTES = 20
_VERSIONS = ("dlcli", "python", "tensorflow", "keras", "numpy", "pyarrow")
_MACHINE = ("platform", "machine", "processor", "device", "threads", "seed")
REPEATABLE = "The same config, data, versions and threads on the same machine give the same result."


def footer(record: RunRecord) -> str:
    """Return what made the page, and when the run was finished."""
    time = f"{record.run.created:%Y-%m-%d %H:%M} UTC"
    return f"Made by dlcli {__version__} of a run finished on {time}."


def notes_of(record: RunRecord, notes: Sequence[str]) -> tuple[str, ...]:
    """Return the notes of a result and the warnings of its log as sentences."""
    shown = [fmt.sentence(note) for note in (*notes, *record.log.warnings) if note.strip()]
    rest = len(shown) - _MOST_NOTES
    return (*shown[:_MOST_NOTES], *([f"And {rest:,} more."] if rest > 0 else []))


def commands_block(commands: Sequence[Sequence[str]]) -> Code:
    """Show commands to copy, a line each."""
    return Code("\n".join(map(shlex.join, commands)))


def name_target(columns: Sequence[str], classes: int, labels: int) -> str:
    """Name a target in a few words: `species (3 classes)`."""
    names = fmt.join_names(columns, 3)
    if classes:
        return f"{names} ({classes:,} classes)"
    return f"{labels:,} labels" if labels else names


def config_section(record: RunRecord, *blocks: Block) -> Section:
    """Show the config.

    Args:
        record: the run.
        blocks: what comes before the config.
    """
    given = Code(_whole_lines(record.run.config_text()), "As given:")
    resolved = Code(_whole_lines(record.run.resolved_path().read_text("utf-8")))
    config = Group("The config", (given, Fold("With all defaults filled in", (resolved,))))
    return Section("config", "The config", (*blocks, config))


def network_block(network: NetworkEvent) -> Group:
    """Draw a network, with its loss."""
    scaled = network.target_scaling
    of_target = f" of the target scaled by “{scaled}”" if scaled not in (None, "none") else ""
    text = (
        f"The network has {network.parameters:,} trainable parameters. Training minimizes "
        f"{fmt.shorten(network.loss)}{of_target}."
    )
    inputs = Layer("input", "Input", f"{network.inputs:,} numbers", "the encoded columns", "")
    layers = [inputs, *map(_layer, network.layers[:_MOST_LAYERS])]
    if (rest := len(network.layers) - _MOST_LAYERS) > 0:
        layers.append(Layer(f"{rest:,} more layers", "…", "", "", ""))
    return Group("The network", (Text(text), Layers(tuple(layers))))


def _layer(layer: LoggedLayer) -> Layer:
    widths = (f"{width:,}" if width is not None else "?" for width in (layer.inputs, layer.units))
    detail = fmt.shorten(layer.activation or "", 40)
    if layer.rate is not None:
        detail = f"drops {fmt.number(100 * layer.rate)} % of the units in training"
    elif layer.column is not None:
        detail = f"of {fmt.shorten(layer.column, 40)}"
    return Layer(
        name=fmt.shorten(layer.name, 40),
        kind=fmt.shorten(layer.kind, 40),
        shape=" → ".join(widths),
        detail=detail,
        parameters=f"{layer.parameters:,} parameters" if layer.parameters else "",
    )


def _whole_lines(text: str) -> str:
    """Cut a text after whole lines."""
    if len(text) <= MOST_CHARACTERS:
        return text
    kept = text[:MOST_CHARACTERS].rpartition("\n")[0]
    return f"{kept}\n# ... and {text.count(chr(10)) - kept.count(chr(10)):,} more lines"


def reproduction_section(record: RunRecord, *blocks: Block) -> Section:
    """Show the command, the data and the versions that a run was made with.

    Args:
        record: the run.
        blocks: how to make it again.
    """
    environment = record.environment
    shown: list[Block] = list(blocks)
    words = environment.get("command")
    if isinstance(words, list) and words:
        command = fmt.shorten(shlex.join(["dlcli", *map(str, words[1:])]), 2_000)
        shown.append(Code(command, "It was made by:"))
    files = environment.get("data")
    if isinstance(files, list) and files:
        shown.append(_data_table(files))
    facts = [(name, environment.get(name)) for name in (*_VERSIONS, *_MACHINE)]
    rows = [(name, fmt.shorten(value, 120)) for name, value in facts if value is not None]
    git = environment.get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        changed = ", with uncommitted changes" if git.get("dirty") else ""
        rows.append(("git commit", fmt.shorten(git["commit"], 64) + changed))
    table = Table(("name", "value"), tuple(rows), "Versions and machine", range(2))
    return Section("reproduce", "How to reproduce it", (*shown, Fold("Versions", (table,))))


def _data_table(files: Sequence[object]) -> Table:
    rows = tuple(
        (
            fmt.shorten(each.get("file"), 120),
            fmt.shorten(each.get("sha256"), 64),
            fmt.number(each.get("bytes")),
        )
        for each in files[:_MOST_FILES]
        if isinstance(each, dict)
    )
    note = fmt.omitted(len(files) - len(rows), "files")
    return Table(("file", "SHA-256", "bytes"), rows, "Data files", range(2), note)
