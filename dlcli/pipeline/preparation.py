"""Infer types, fit the encoding, and build the network: rows to all that a fit needs.

Nothing here loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dlcli.config import Config, ConfigFile, Engine, SplitChoice
from dlcli.data_checks import inspect_split
from dlcli.encoding import (
    UNMATCHED,
    UNMATCHED_REASON,
    Decision,
    EncodedRows,
    Encoding,
    InputsWriter,
    encode_rows,
    fit_encoding,
    type_columns,
    type_warnings,
)
from dlcli.errors import ConfigError, Problem
from dlcli.network import Head, Network, build_network, choose_engine, resolve_head, summarize
from dlcli.pipeline.data_loading import Dataset, load_dataset
from dlcli.pipeline.events import Events
from dlcli.prediction import Predictor
from dlcli.preprocessing import ValueIssues, summarize_notes
from dlcli.runs import Weights, open_run
from dlcli.splitting import Split
from dlcli.tables import Table
from dlcli.tasks import Task


@dataclass(frozen=True)
class Prepared:
    """Rows, with all that a config leaves to be inferred from them."""

    split: Split
    """The rows of each set."""
    split_choice: SplitChoice
    """How they were split."""
    task: Task
    """What is predicted."""
    decisions: Mapping[str, Decision]
    """The type of each column, and why."""
    head: Head
    """Output, loss and metrics."""
    encoding: Encoding
    """Fitted on the training rows."""
    network: Network
    """The layers."""
    engine: Engine
    """What will train it."""


def prepare(file: ConfigFile, events: Events, folder: Path | None = None) -> Prepared:
    """Read the data that a config names, and prepare them for a fit.

    Args:
        file: the config.
        events: receives what was found and inferred.
        folder: where to keep rows on disk; in memory if `None`.

    Raises:
        UsageError: for a file that does not exist.
        ConfigError, DataError: see `read_dataset` and `prepare_rows`.
    """
    dataset = load_dataset(file, events, folder)
    return prepare_rows(file.config, dataset, dataset.split, events)


def prepare_rows(
    config: Config, dataset: Dataset, split: Split, events: Events, fits: int = 1
) -> Prepared:
    """Infer types, fit the encoding and build the network for given rows.

    Args:
        config: the config.
        dataset: gives the target, and all labelled rows, whose values must suit the loss.
        split: the rows of each set; statistics and vocabularies are those of the training rows.
        events: receives what was inferred.
        fits: about how many fits will share a compiled program.

    Raises:
        ConfigError: for a config that contradicts the data.
        DataError: for values that can't be encoded or don't suit the loss.
    """
    train, task = split.train, dataset.task
    decisions = type_columns(config.input, train, config.reserved)
    events.emit("target", **describe_target(task))
    events.emit("features", columns=describe_features(decisions))
    for warning in type_warnings(decisions):
        events.emit("warning", message=f"{train.file}: {warning}")
    head = resolve_head(config, task)
    task.check_values(head.loss, dataset.tables)
    for warning in task.training_warnings(head.output, train):
        events.emit("warning", message=f"{train.file}: {warning}")
    fitted = task.fit(head.output.scaling, train)
    encoding = fit_encoding(decisions, config.input, train, fitted)
    for finding in inspect_split(split, task, decisions, config.input):
        events.emit("warning", message=f"{train.file}: {finding}")
    network = build_network(encoding.layout, config.hidden, head.output)
    events.emit("network", **describe_network(network, head))
    engine = choose_engine(config, network, train.rows, fits)
    events.emit("engine", **engine.model_dump())
    return Prepared(split, dataset.split_choice, task, decisions, head, encoding, network, engine)


def encode_sets(
    weight: str | None, prepared: Prepared, events: Events, folder: Path | None = None
) -> dict[str, EncodedRows]:
    """Encode the rows of each set.

    Args:
        weight: the column of row weights, if there is one.
        prepared: the rows, and the encoding fitted to the training rows.
        events: receives warnings about values that training rows do not have.
        folder: where to keep encoded rows on disk; in memory if `None`.

    Returns:
        The encoded rows by set: `train`, `validation`, `test`.

    Raises:
        ConfigError, DataError: for columns and values that can't be encoded.
    """
    encoded = {}
    for name, table in sets(prepared.split):
        issues = ValueIssues()
        writer = None if folder is None else InputsWriter(folder, name)
        encoded[name] = encode_rows(prepared.encoding, table, weight, issues, writer)
        # Rare and missing values of training rows were reported when their types were decided.
        for line in summarize_notes(issues.notes()) if name != "train" else ():
            rest = {"rest": [*map(str, line.rest)]} if line.rest else {}
            events.emit("warning", message=f"{name} rows of {table.file}: {line.text}", **rest)
    return encoded


def sets(split: Split) -> Iterator[tuple[str, Table]]:
    """Yield the name and the rows of each set that is not empty."""
    for name in ("train", "validation", "test"):
        table = getattr(split, name)
        if table is not None:
            yield name, table


def initial_weights(file: ConfigFile, network: Network) -> Mapping[str, Weights] | None:
    """Return the weights of the run that `initial_weights` names; `None` if it names none.

    Raises:
        ConfigError: if names or shapes differ from those of the network.
        RunError: if there is no such run.
    """
    if file.config.initial_weights is None:
        return None
    run = open_run(initial_weights_run(file, file.config.initial_weights))
    run.require_training()  # a diverged one will do
    earlier = Predictor.load(run)
    theirs, ours = ({w.name: w.shape for w in net.weights} for net in (earlier.network, network))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            message = f"{run.path} is of another network: '{name}' there and here"
            shapes = " and ".join(str(w.get(name, "absent")) for w in (theirs, ours))
            raise ConfigError([Problem("initial_weights", f"{message}: {shapes}")])
    return earlier.weights


def initial_weights_run(file: ConfigFile, folder: str) -> Path:
    """Return a run folder relative to the config, or else to the current folder."""
    from_config = file.resolve(folder)
    return from_config if from_config.exists() else Path(folder)


def describe_network(network: Network, head: Head) -> dict[str, object]:
    """Describe a network's layers, sizes, loss and metrics, for JSON."""
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


def describe_target(target: Task) -> dict[str, object]:
    """Describe the target's columns and type, and why it was taken so, for JSON."""
    return {
        "columns": target.columns,
        "type": target.type,
        "classes": target.classes,
        "labels": target.labels,
        "reason": target.reason,
    }


def describe_features(decisions: Mapping[str, Decision]) -> dict[str, object]:
    """Describe the type of each column, and why it was taken so, for JSON."""
    return {
        column: {"type": decision.feature.type, "reason": type_reason(decision)}
        for column, decision in decisions.items()
    }


def type_reason(decision: Decision) -> str:
    """Return why a column has its type; one ignored because it is not named was not declared so."""
    return UNMATCHED_REASON if decision.feature is UNMATCHED else decision.reason
