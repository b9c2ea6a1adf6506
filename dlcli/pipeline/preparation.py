"""All of an experiment that comes before TensorFlow: a config to an encoding and a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcli.config import Config, ConfigFile, Engine, SplitChoice
from dlcli.data_checks import inspect_split
from dlcli.encoding import (
    Decision,
    EncodedRows,
    Encoding,
    InputsWriter,
    choose_features,
    decide_types,
    encode_rows,
    fit_encoding,
    type_warnings,
)
from dlcli.network import (
    Head,
    Network,
    build_network,
    check_values,
    choose_engine,
    resolve_head,
    unreachable,
)
from dlcli.pipeline.dealing import deal
from dlcli.pipeline.description import describe_features, describe_network, describe_target
from dlcli.pipeline.events import Events
from dlcli.pipeline.tables import read_sources, target_of
from dlcli.preprocessing import ValueIssues, summarize_notes
from dlcli.splitting import Split
from dlcli.tables import Table
from dlcli.tasks import TargetKind, fit_target


@dataclass(frozen=True)
class Prepared:
    """A config with everything filled in that follows from its data."""

    split: Split
    """The rows of each set."""
    dealt: SplitChoice
    """How they were dealt out."""
    target: TargetKind
    """What is predicted."""
    decisions: Mapping[str, Decision]
    """What each column was taken for."""
    head: Head
    """Output, loss and metrics."""
    encoding: Encoding
    """Fitted on the training rows."""
    network: Network
    """The layers."""
    engine: Engine
    """What will train it."""


def prepare(file: ConfigFile, events: Events, folder: Path | None = None) -> Prepared:
    """Reads the data and settles all that follows from them.

    Args:
        file: the config.
        events: are told what was found.
        folder: where to keep rows that are not to be in memory.

    Raises:
        UsageError, ConfigError, DataError: see the rooms that it passes through.
    """
    config = file.config
    sources = read_sources(file, folder)
    for warning in dict.fromkeys(text for table in sources.tables for text in table.warnings):
        events.emit("warning", message=warning)
    target = target_of(file, sources)
    split, dealt = deal(file, sources, target)
    notes = dict.fromkeys(text for table in sources.tables for text in table.notes)
    events.emit("data", **_rows(file, split, dealt), notes=[*notes])
    return settle(config, split, dealt, target, sources.tables, events)


def settle(
    config: Config,
    split: Split,
    dealt: SplitChoice,
    target: TargetKind,
    tables: Sequence[Table],
    events: Events,
) -> Prepared:
    """Settles all that follows from rows that have been dealt out.

    Args:
        config: the config.
        split: the rows of each set; statistics and vocabularies are those of the training rows.
        dealt: how they were dealt out.
        target: what is predicted.
        tables: all labelled rows, whose targets must suit the loss.
        events: are told what was found.

    Raises:
        ConfigError, DataError: see the rooms that it passes through.
    """
    chosen = choose_features(config.input, split.train.columns, config.reserved)
    decisions = decide_types(chosen, split.train)
    events.emit("target", **describe_target(target))
    events.emit("features", columns=describe_features(decisions))
    for warning in type_warnings(decisions):
        events.emit("warning", message=f"{split.train.file}: {warning}")
    head = resolve_head(config, target)
    check_values(head, target, tables)
    for warning in unreachable(head, target, split.train):
        events.emit("warning", message=f"{split.train.file}: {warning}")
    fitted = fit_target(target, head.output.scaling, split.train)
    encoding = fit_encoding(decisions, config.input, split.train, fitted)
    for finding in inspect_split(split, target, decisions, config.input):
        events.emit("warning", message=f"{split.train.file}: {finding}")
    network = build_network(encoding.layout, config.hidden, head.output)
    events.emit("network", **describe_network(network, head))
    engine = choose_engine(config, network, split.train.rows)
    events.emit("engine", **engine.model_dump())
    return Prepared(split, dealt, target, decisions, head, encoding, network, engine)


def encode_sets(
    weight: str | None, prepared: Prepared, events: Events, folder: Path | None = None
) -> dict[str, EncodedRows]:
    """Encodes the rows of each set.

    Args:
        weight: the column of row weights, if there is one.
        prepared: what followed from the data.
        events: are told what there is to say of values that training didn't see.
        folder: where to keep rows that are not to be in memory.

    Raises:
        ConfigError, DataError: for columns and values that fitting the training rows let pass.
    """
    encoded = {}
    for name, table in sets(prepared.split):
        issues = ValueIssues()
        writer = None if folder is None else InputsWriter(folder, name)
        encoded[name] = encode_rows(prepared.encoding, table, weight, issues, writer)
        # What is rare or missing in training rows was said when their types were decided.
        for line in summarize_notes(issues.notes()) if name != "train" else ():
            rest = {"rest": [*map(str, line.rest)]} if line.rest else {}
            events.emit("warning", message=f"{name} rows of {table.file}: {line.text}", **rest)
    return encoded


def sets(split: Split) -> Iterator[tuple[str, Table]]:
    """Yields the sets that there are, by name."""
    for name in ("train", "validation", "test"):
        table = getattr(split, name)
        if table is not None:
            yield name, table


def _rows(file: ConfigFile, split: Split, dealt: SplitChoice) -> dict[str, object]:
    counts = {name: table.rows for name, table in sets(split)}
    how = dealt.name if any(file.config.data.shares) else None
    return {"file": split.train.file, "rows": counts, "split": how, "seed": file.config.seed}
