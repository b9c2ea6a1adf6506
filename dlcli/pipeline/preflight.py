"""Whether a training fits into memory, asked before TensorFlow is loaded or a row is encoded.

An error needs proof: what is certainly taken must be more than there is, swap included. What is
usually taken is some twice as much, and is worth a warning where it comes near to what there is.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcli.config import SGD, Config, format_path
from dlcli.errors import ConfigError, Problem, UsageError
from dlcli.network import DenseLayer, EmbeddingLayer, Network
from dlcli.pipeline.events import Events
from dlcli.pipeline.footprint import Footprint, Part, footprint, widest
from dlcli.pipeline.memory import Limit, memory_limits
from dlcli.pipeline.preparation import Prepared

TENSORFLOW = {"pages": (0.15e9, 0.6e9), "addresses": (1.2e9, 1.8e9), "data": (0.15e9, 0.3e9)}
"""What TensorFlow 2.21 takes itself until it has trained a first step, at least and as a rule, by
what a limit counts. Measured on Linux on x86-64, in MB: 200 to 260 of its own and 350 to 420 of its
libraries, which can be dropped and read again; 1,290 of addresses once it is loaded, 1,750 to 2,300
with two threads at work; 170 and 240 to 440 of data."""
USUALLY = 2.0
"""What is usually taken, as a multiple of what is certain: measured 1.4 to 3, by engine, optimizer
and what most of it is for."""
TIGHT = 0.8
"""Share of what there is that is usually taken without trouble."""
DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""What there is on Linux where there is a GPU, which has a memory of its own."""

_MENTIONED = 0.05
"""Share of all that a part must be to be spoken of."""


def check_memory(prepared: Prepared, config: Config, folder: Path | None, events: Events) -> None:
    """Refuses a training that can't fit into memory, and warns of one that may not.

    Args:
        prepared: the network, its engine, and how many rows there are.
        config: reads what a training takes memory for.
        folder: where rows wait on disk; in memory, if there is none.
        events: are told of a training that may not fit.

    Raises:
        ConfigError: at the key that weighs most.
        UsageError: if there is not even room for TensorFlow.
    """
    on_disk = folder is not None
    needs = _needs(prepared, config, on_disk)
    if any(need.lacking > 0 for need in needs):
        _give_back()
        needs = _needs(prepared, config, on_disk)
    need = max(needs, key=lambda need: need.lacking, default=None)
    if need is not None and need.lacking > 0:
        raise _refusal(need, prepared, config)
    tight = max(needs, key=lambda need: need.crowding, default=None)
    if tight is not None and tight.crowding > TIGHT:
        events.emit("warning", message=_warning(tight, prepared.network))


@dataclass(frozen=True)
class _Need:
    """What is needed, against one limit."""

    footprint: Footprint
    with_sgd: Footprint
    """The same with an optimizer that keeps nothing."""
    limit: Limit

    @property
    def least(self) -> float:
        """Bytes that are certainly taken."""
        return self.footprint.total + TENSORFLOW[self.limit.counts][0]

    @property
    def usual(self) -> float:
        """Bytes that are usually taken."""
        return USUALLY * self.footprint.total + TENSORFLOW[self.limit.counts][1]

    @property
    def lacking(self) -> float:
        """Bytes that there are too few of; negative, if there are enough."""
        return self.least - self.limit.left - self.limit.swap

    @property
    def crowding(self) -> float:
        """What is usually taken, over what there is."""
        return self.usual / max(self.limit.left, 1.0)


def _needs(prepared: Prepared, config: Config, on_disk: bool) -> list[_Need]:
    on_device = config.device != "cpu" and any(path.exists() for path in DEVICES)
    least, with_sgd = (
        footprint(prepared, each, on_disk=on_disk, on_device=on_device)
        for each in (config, config.model_copy(update={"optimizer": SGD()}))
    )
    return [_Need(least, with_sgd, limit) for limit in memory_limits()]


def _give_back() -> None:
    """Gives back what the process holds without need: garbage, and what Arrow keeps for later."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()


def _refusal(need: _Need, prepared: Prepared, config: Config) -> ConfigError | UsageError:
    alone = TENSORFLOW[need.limit.counts][0]
    left = f"{_size(need.limit.left + need.limit.swap)} are left of {need.limit.name}"
    if need.lacking > need.footprint.total:
        message = f"TensorFlow alone needs {_size(alone)} at least, and {left}"
        return UsageError(f"{message}; raise that limit, or end what else runs")
    path, way_out = _way_out(need, prepared.network)
    parts = ", ".join(_parts(need, prepared, config))
    message = f"training needs {_size(need.least)} at least, and {left}: {parts}; {way_out}"
    return ConfigError([Problem(path, message)])


def _warning(need: _Need, network: Network) -> str:
    usual, left = _size(need.usual), _size(need.limit.left)
    message = f"training may not fit: it usually takes {usual}, and {left} are left"
    path, way_out = _way_out(need, network)
    return f"{message} of {need.limit.name}; {way_out} ({path})"


def _parts(need: _Need, prepared: Prepared, config: Config) -> Iterator[str]:
    """What the bytes are for, the most first."""
    parameters, rows = prepared.network.parameters, prepared.split.train.rows
    parts = need.footprint.parts
    bytes_each = round(parts["weights"] / parameters)
    words: dict[Part, str] = {
        "weights": f"{parameters:,} parameters, {bytes_each} bytes each"
        f" with {config.optimizer.name}",
        "rows": "encoded rows",
        "batch": f"a batch of {min(config.batch_size, rows):,} rows",
        "judging": "rows that are judged at once",
    }
    sizes = {words[part]: float(size) for part, size in parts.items()}
    sizes["TensorFlow"] = TENSORFLOW[need.limit.counts][0]
    for noun, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size > _MENTIONED * need.least:
            yield f"{_size(size)} for {noun}"


def _way_out(need: _Need, network: Network) -> tuple[str, str]:
    """The key that weighs most, and what to do about it."""
    heaviest = need.footprint.heaviest
    if heaviest == "rows":
        return "data.storage", "set data.storage: disk"
    if heaviest == "batch":
        return "batch_size", "take a smaller batch_size"
    if heaviest == "judging":
        return _of_the_layer(widest(network), network)
    path, way_out = _of_the_layer(_heaviest_layer(network), network)
    if 0 < need.lacking <= need.footprint.total - need.with_sgd.total:
        way_out += ", or an optimizer that keeps less, such as sgd"
    return path, way_out


def _heaviest_layer(network: Network) -> DenseLayer | EmbeddingLayer:
    layers: list[DenseLayer | EmbeddingLayer] = [*_dense(network)]
    layers += [layer for layer in network.front.trained if isinstance(layer, EmbeddingLayer)]
    return max(layers, key=lambda layer: sum(weight.size for weight in layer.weights))


def _of_the_layer(layer: DenseLayer | EmbeddingLayer, network: Network) -> tuple[str, str]:
    """The key that makes a layer wide, and what to do about it."""
    if isinstance(layer, EmbeddingLayer):
        path = format_path(("input", "features", layer.column))
        return path, "give its embedding fewer units"
    dense = _dense(network)
    at, last = dense.index(layer), len(dense) - 1
    if at and (at == last or layer.inputs > layer.units):
        at -= 1  # its inputs are the units of the one before
    if at == last:
        return "input", "read fewer columns, or less of them"
    return format_path(("hidden", at, "units")), "take fewer units"


def _dense(network: Network) -> list[DenseLayer]:
    return [layer for layer in network.layers if isinstance(layer, DenseLayer)]


def _size(count: float) -> str:
    """Bytes as people read them: `640 MB`, `6.40 GB`."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{max(count, 0) / 1e6:.0f} MB"
