"""What a training certainly takes of the memory, found out before anything is taken.

Weights, what their optimizer keeps and rows stay from beginning to end. Beside them stands, in
turn, what a step, validation and a checkpoint need; and at the end, what scoring needs. The moment
that takes most counts. What an engine might share, use again or give back sooner is left out, so
that the sum is never too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dlcli.config import SGD, Config, KerasEngine, Optimizer, RMSprop
from dlcli.network import ROWS_AT_ONCE, DenseLayer, Network
from dlcli.pipeline.preparation import Prepared, sets

Part = Literal["weights", "rows", "batch", "judging"]

ROWS_VALIDATED_AT_ONCE = {"compiled": 4096, "keras": 1024}
"""As in `training/program.py` and `training/keras_engine.py`, which can't be loaded without
TensorFlow; a test compares them."""

_SLOTS = {
    "adadelta": 2,
    "adafactor": 1,
    "adagrad": 1,
    "adam": 2,
    "adamax": 2,
    "adamw": 2,
    "ftrl": 2,
    "lamb": 2,
    "lion": 1,
    "muon": 1,
    "nadam": 2,
    "rmsprop": 1,
    "schedule_free_adamw": 2,
    "sgd": 0,
}
"""Numbers that Keras's optimizers keep for each weight of a kernel, if nothing else is asked for;
a test counts them."""
_FLOAT = 4
"""Bytes of a weight, and of an encoded number."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training takes at least, at the moment when it takes most."""

    parts: Mapping[Part, int]
    """What for: weights, the encoded rows, a step's batch, or rows that are judged at once."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    @property
    def heaviest(self) -> Part:
        """What most of it is for."""
        return max(self.parts, key=lambda part: self.parts[part])


def slots(optimizer: Optimizer) -> int:
    """How many numbers an optimizer keeps for each weight of a kernel."""
    asked = [optimizer.use_ema, optimizer.gradient_accumulation_steps is not None]
    asked += [getattr(optimizer, key, False) for key in ("amsgrad", "centered")]
    asked += [isinstance(optimizer, SGD | RMSprop) and optimizer.momentum > 0]
    return _SLOTS[optimizer.name] + sum(asked)


def footprint(
    prepared: Prepared, config: Config, *, on_disk: bool, on_device: bool = False
) -> Footprint:
    """Sums up what a training takes at least.

    Args:
        prepared: the network, its engine, and how many rows there are.
        config: reads optimizer, early stopping, initial weights, batch size and precision.
        on_disk: whether encoded rows wait on disk.
        on_device: whether a device with a memory of its own trains; what lies there doesn't count.
    """
    estimate = _Estimate(prepared, config, on_disk)
    moments = [estimate.scoring(), estimate.checkpoint()]
    moments += [] if on_device else estimate.training()
    return max(map(Footprint, moments), key=lambda moment: moment.total)


def widest(network: Network) -> DenseLayer:
    """The layer that reads and gives most numbers for each row."""
    dense = (layer for layer in network.layers if isinstance(layer, DenseLayer))
    return max(dense, key=lambda layer: layer.inputs + layer.units)


@dataclass(frozen=True)
class _Estimate:
    """Bytes, moment by moment."""

    prepared: Prepared
    config: Config
    on_disk: bool

    def scoring(self) -> dict[Part, int]:
        """What NumPy takes at the end for the result, and for some rows of each set in turn."""
        most = max(self._rows.values())
        judging = self._judging(min(most, ROWS_AT_ONCE), _FLOAT)
        return {"weights": self._result, "rows": self._encoded, "judging": judging}

    def checkpoint(self) -> dict[Part, int]:
        """What a copy of all that training goes on from takes."""
        return {"weights": self._initial + self._trained, "rows": self._encoded}

    def training(self) -> Iterator[dict[Part, int]]:
        """What there is on the device at a checkpoint, at a step and at validation."""
        stays, rows = self._initial + self._trained, self._encoded + self._copied
        yield {"weights": stays + self._trained, "rows": rows}
        gradient = _FLOAT * max(weight.size for weight in self.prepared.network.weights)
        yield {"weights": stays + gradient, "rows": rows, "batch": self._batch}
        at_once = ROWS_VALIDATED_AT_ONCE["keras" if self._is_keras else "compiled"]
        judging = self._judging(min(self._rows.get("validation", 0), at_once), self._number)
        yield {"weights": stays, "rows": rows, "judging": judging}

    @property
    def _trained(self) -> int:
        """Weights, those of the best epoch, and what the optimizer keeps."""
        stopping = self.config.early_stopping
        restores = stopping is not None and stopping.restore_best_weights
        weights = self.prepared.network.weights
        moved = sum(weight.size for weight in weights if weight.trainable)
        return (1 + restores) * self._result + _FLOAT * moved * slots(self.config.optimizer)

    @property
    def _initial(self) -> int:
        """Weights of another run, from which training starts."""
        return 0 if self.config.initial_weights is None else self._result

    @property
    def _result(self) -> int:
        return _FLOAT * self.prepared.network.parameters

    @property
    def _rows(self) -> dict[str, int]:
        return {name: table.rows for name, table in sets(self.prepared.split)}

    @property
    def _encoded(self) -> int:
        """All sets in memory; of what is sparse, nobody knows how much there is."""
        blocks = self.prepared.encoding.layout.blocks
        width = sum(len(block.columns) for block in blocks if block.kind != "sparse")
        return 0 if self.on_disk else _FLOAT * width * sum(self._rows.values())

    @property
    def _copied(self) -> int:
        """What the compiled engine holds as a whole."""
        rows = self._rows["train"] + self._rows.get("validation", 0)
        width = self.prepared.network.inputs
        return 0 if self._is_keras or self._is_fed else _FLOAT * width * rows

    @property
    def _batch(self) -> int:
        """The rows of a step, and what each layer gives, which the gradients are made of."""
        network = self.prepared.network
        rows = min(self.config.batch_size, self._rows["train"])
        given = sum(layer.units for layer in network.layers if isinstance(layer, DenseLayer))
        chunk = network.inputs if self._is_fed else 0  # of the rows of one batch, at least
        return rows * (_FLOAT * (network.front.units + chunk) + self._number * given)

    def _judging(self, rows: int, number: int) -> int:
        """What the widest layer reads and gives of some rows."""
        layer = widest(self.prepared.network)
        return number * rows * (layer.inputs + layer.units)

    @property
    def _number(self) -> int:
        """Bytes of a number between layers."""
        return _FLOAT if self.config.precision == "float32" else _FLOAT // 2

    @property
    def _is_keras(self) -> bool:
        return isinstance(self.prepared.engine, KerasEngine)

    @property
    def _is_fed(self) -> bool:
        """Whether the compiled engine is given its rows some at a time."""
        blocks = self.prepared.encoding.layout.blocks
        is_sparse = any(block.kind == "sparse" for block in blocks)
        return not self._is_keras and (self.on_disk or is_sparse)
