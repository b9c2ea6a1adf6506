"""How much is computed to look at a network: a function of shapes alone, never of a timing."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.network import Network

WORK = 3e9
"""Multiplications that looking at predictions may take, for each of the ways to look."""
OF_A_UNIT = 16
"""What a number that a layer reads or gives costs besides its products, in multiplications: it is
copied, added to and put through an activation."""


@dataclass(frozen=True)
class Plan:
    """How often what is looked at."""

    repeats: int
    rows: int
    columns: int


def cost_of_a_row(network: Network) -> int:
    """About how many multiplications a prediction costs."""
    numbers = network.inputs + network.front.units + sum(layer.units for layer in network.layers)
    products = sum(weight.size for layer in network.layers for weight in layer.weights)
    return products + OF_A_UNIT * numbers


def affordable(network: Network) -> int:
    """How many rows can be predicted."""
    return max(1, int(WORK // cost_of_a_row(network)))


def plan(network: Network, most: Plan, fewest_rows: int) -> Plan:
    """Fits the predictions of each row, for each column, several times, into `WORK`.

    First repeats are saved, then rows, then columns; one of each is left.

    Args:
        network: what predicts.
        most: what would be looked at, if it cost nothing.
        fewest_rows: fewer say too little, so columns are saved before.
    """
    predictions = affordable(network)
    rows, columns = max(most.rows, 1), max(most.columns, 1)
    repeats = max(1, min(most.repeats, predictions // (rows * columns)))
    rows = min(rows, max(fewest_rows, predictions // (repeats * columns)))
    columns = min(columns, max(1, predictions // (repeats * rows)))
    return Plan(repeats, rows, columns)
