"""All of an experiment that comes before TensorFlow: a config to an encoding and a network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dlcli.config import Config, ConfigFile
from dlcli.config.data import Files, SplitChoice
from dlcli.config.training import Engine
from dlcli.encoding import (
    Decision,
    Encoding,
    Findings,
    Rows,
    TargetKind,
    choose_features,
    decide_types,
    encode_rows,
    fit_encoding,
    fit_target,
    type_warnings,
)
from dlcli.encoding.stored import InputsWriter
from dlcli.errors import ConfigError, Problem
from dlcli.experiment.events import Events
from dlcli.experiment.summary import summarize
from dlcli.experiment.tables import deal, read_sources, target_of
from dlcli.inspection import inspect_split
from dlcli.network import (
    Head,
    Network,
    build_network,
    check_values,
    choose_engine,
    resolve_head,
    unreachable,
)
from dlcli.prediction import Predictor
from dlcli.run import open_run
from dlcli.run.weights import Weights
from dlcli.split import Split
from dlcli.table import Table


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
        events.tell("warning", message=warning)
    target = target_of(file, sources)
    split, dealt = deal(file, sources, target)
    notes = dict.fromkeys(text for table in sources.tables for text in table.notes)
    events.tell("data", **_rows(file, split, dealt), notes=[*notes])
    chosen = choose_features(config.input, split.train.columns, config.data.reserved)
    decisions = decide_types(chosen, split.train)
    events.tell("target", **_target(target))
    events.tell("features", columns=_described(decisions))
    for warning in type_warnings(decisions):
        events.tell("warning", message=f"{split.train.file}: {warning}")
    head = resolve_head(config, target)
    check_values(head, target, sources.tables)
    for warning in unreachable(head, target, split.train):
        events.tell("warning", message=f"{split.train.file}: {warning}")
    fitted = fit_target(target, head.output.scaling, split.train)
    encoding = fit_encoding(decisions, config.input, split.train, fitted)
    for finding in inspect_split(split, target, decisions, config.input):
        events.tell("warning", message=f"{split.train.file}: {finding}")
    network = build_network(encoding.layout, config.hidden, head.output)
    events.tell("network", **describe_network(network, head))
    engine = choose_engine(config, network, split.train.rows)
    events.tell("engine", **engine.model_dump())
    return Prepared(split, dealt, target, decisions, head, encoding, network, engine)


def encode_sets(
    file: ConfigFile, prepared: Prepared, events: Events, folder: Path | None = None
) -> dict[str, Rows]:
    """Encodes the rows of each set.

    Args:
        file: the config.
        prepared: what followed from its data.
        events: are told what there is to say of values that training didn't see.
        folder: where to keep rows that are not to be in memory.

    Raises:
        ConfigError, DataError: for columns and values that fitting the training rows let pass.
    """
    encoded = {}
    for name, table in sets(prepared.split):
        findings = Findings()
        weight = file.config.data.weight
        writer = None if folder is None else InputsWriter(folder, name)
        encoded[name] = encode_rows(prepared.encoding, table, weight, findings, writer)
        # What is rare or missing in training rows was said when their types were decided.
        for note in findings.notes() if name != "train" else ():
            events.tell("warning", message=f"{name} rows of {table.file}: {note}")
    return encoded


def initial_weights(file: ConfigFile, network: Network) -> Mapping[str, Weights] | None:
    """The weights to start from, which must have the network's names and shapes.

    Raises:
        ConfigError: if they haven't.
        RunError: if there is no such run.
    """
    if file.config.initial_weights is None:
        return None
    run = open_run(_earlier_run(file, file.config.initial_weights))
    earlier = Predictor.load(run)
    theirs, ours = ({w.name: w.shape for w in net.weights} for net in (earlier.network, network))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            message = f"{run.path} is of another network: '{name}' there and here"
            shapes = " and ".join(str(w.get(name, "absent")) for w in (theirs, ours))
            raise ConfigError([Problem("initial_weights", f"{message}: {shapes}")])
    return earlier.weights


def _earlier_run(file: ConfigFile, folder: str) -> Path:
    """A run folder relative to the config, or else to the current folder, where runs are made."""
    beside = file.resolve(folder)
    return beside if beside.exists() else Path(folder)


def sets(split: Split) -> Iterator[tuple[str, Table]]:
    """Yields the sets that there are, by name."""
    for name in ("train", "validation", "test"):
        table = getattr(split, name)
        if table is not None:
            yield name, table


def resolved_config(file: ConfigFile, prepared: Prepared, folder: Path, threads: int) -> Config:
    """The config with all that was inferred, for a file in another folder.

    Args:
        file: the config as given.
        prepared: what followed from its data.
        folder: where the resolved config will stand, so that its paths lead to the same files.
        threads: how many train.
    """

    def moved(source: float | Files | None) -> float | Files | None:
        if isinstance(source, tuple):
            return tuple(_path_from(folder, file.resolve(each)) for each in source)
        return _path_from(folder, file.resolve(source)) if isinstance(source, str) else source

    config, data = file.config, file.config.data
    data = data.model_copy(
        update={
            "train": moved(data.train),
            "validation": moved(data.validation),
            "test": moved(data.test),
            "split": prepared.dealt if any(data.shares) else None,
            "target": data.target.model_copy(update={"type": prepared.target.type}),
        }
    )
    features = {column: decision.feature for column, decision in prepared.decisions.items()}
    return config.model_copy(
        update={
            "name": file.name,
            "data": data,
            "input": config.input.model_copy(update={"features": features}),
            "output": prepared.head.output,
            "loss": prepared.head.loss,
            "metrics": prepared.head.metrics,
            "engine": prepared.engine,
            "threads": threads,
            "initial_weights": config.initial_weights
            and _path_from(folder, _earlier_run(file, config.initial_weights)),
        }
    )


def _path_from(folder: Path, file: Path) -> str:
    """A file's path from a folder; absolute where no relative one leads, as between drives."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.absolute().as_posix()


def describe_network(network: Network, head: Head) -> dict[str, object]:
    """A network's layers, sizes, loss and metrics, for JSON."""
    layers = [
        {key: value for key, value in asdict(layer).items() if value is not None}
        for layer in summarize(network)
    ]
    return {
        "inputs": network.inputs,
        "layers": layers,
        "parameters": network.parameters,
        "loss": head.loss.name,
        "target_scaling": head.output.scaling and head.output.scaling.name,
        "metrics": head.metrics,
    }


def _rows(file: ConfigFile, split: Split, dealt: SplitChoice) -> dict[str, object]:
    counts = {name: table.rows for name, table in sets(split)}
    how = dealt.name if any(file.config.data.shares) else None
    return {"file": split.train.file, "rows": counts, "split": how, "seed": file.config.seed}


def _target(target: TargetKind) -> dict[str, object]:
    return {
        "columns": target.columns,
        "type": target.type,
        "classes": target.classes,
        "labels": target.labels,
        "reason": target.reason,
    }


def _described(decisions: Mapping[str, Decision]) -> dict[str, object]:
    return {
        column: {"type": decision.feature.type, "reason": decision.reason}
        for column, decision in decisions.items()
    }
