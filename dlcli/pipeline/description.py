"""What was settled about an experiment, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from dlcli.encoding import UNMATCHED, UNMATCHED_REASON, Decision
from dlcli.network import Head, Network
from dlcli.pipeline.summary import summarize
from dlcli.tasks import TargetKind


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


def describe_target(target: TargetKind) -> dict[str, object]:
    """What is predicted, and why it was taken so."""
    return {
        "columns": target.columns,
        "type": target.type,
        "classes": target.classes,
        "labels": target.labels,
        "reason": target.reason,
    }


def describe_features(decisions: Mapping[str, Decision]) -> dict[str, object]:
    """The type of each column, and why."""
    return {
        column: {"type": decision.feature.type, "reason": reason_of(decision)}
        for column, decision in decisions.items()
    }


def reason_of(decision: Decision) -> str:
    """Why a column was taken so; one that is ignored for want of a name was not declared so."""
    return UNMATCHED_REASON if decision.feature is UNMATCHED else decision.reason
