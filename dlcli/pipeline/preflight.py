"""Check a config, its data and the memory before training, and keep rows on disk if it is short.

Nothing here loads TensorFlow.
"""

from __future__ import annotations

import gc
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from dlcli.cluster import NO_OTHERS, Workers
from dlcli.columns.layout import plain_layout
from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import Linear
from dlcli.config.search_space import check_tune, with_search_space
from dlcli.config.training_choices import SGD, Optimizer, RMSprop
from dlcli.config.tune_section import Tune
from dlcli.encoding.encoded_rows import MOST_FILLED
from dlcli.errors import ConfigError, Problem, UsageError, override
from dlcli.network.layers import DenseLayer, LayerSummary, Network, build_network, summarize
from dlcli.pipeline import events as event_types
from dlcli.pipeline import preparation
from dlcli.pipeline.events import Events, Listener, ignore
from dlcli.runs.run_folder import cache_folder
from dlcli.schema.urls import Location
from dlcli.schema.yaml_document import format_path
from dlcli.splitting import Split
from dlcli.tables.remote_files import each_file, file_size
from dlcli.tables.stored_columns import Storage

LARGE_BYTES = 20_000_000
"""Size of the data files from which on rows are read only on request."""
PROC = Path("/proc")
"""Where Linux reports memory."""
CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux reports containers: https://docs.kernel.org/admin-guide/cgroup-v2.html."""
GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Present on Linux where there is a GPU, which has separate memory."""
TENSORFLOW = 150_000_000
"""Bytes that TensorFlow 2.21 takes at least; 200 to 260 MB were measured on Linux on x86-64."""
TENSORFLOW_ADDRESSES = 1_200_000_000
"""Bytes of address space that it takes at least; 1.29 GB were measured."""
EXPANSION = {".parquet": 8.0, ".pq": 8.0, ".gz": 12.0, ".zst": 12.0}
"""Bytes of memory for each byte of a compressed file: its rows, the sets that they are split into,
the encoded matrix, and its copy on the device."""
USUAL_EXPANSION = 4.0
"""The same for any other file."""
_FLOAT = 4
"""Bytes of a weight and of an encoded value."""
_SLOTS = {"sgd": 0, "adafactor": 0, "adagrad": 1, "lion": 1, "muon": 1, "rmsprop": 1}
"""Values that an optimizer stores for each weight at least; the others store 2."""


@dataclass(frozen=True)
class CheckedConfig:
    """A config in which no problem was found."""

    layers: tuple[LayerSummary, ...]
    """Its network; what only the rows can show is `None` if they were not read."""
    rows_read: bool
    """True if the rows were read, and not the headers alone."""
    tune: Tune | None
    """Its search; without a space, if only the rows can show the default one."""


def check(
    file: ConfigFile, *, read_rows: bool = False, listener: Listener = ignore
) -> CheckedConfig:
    """Check a config with its data, as training does before its first step.

    Args:
        file: the config.
        read_rows: whether to also read the rows of large files.
        listener: receives what was found.

    Raises:
        UsageError: for a file that does not exist.
        ConfigError: with every problem of the config's search space, or with the headers, or the
            first with the rows; or for a network too large for the memory.
        DataError: for what only the rows can show.
        RunError: for initial weights that do not exist or don't fit.
    """
    with file.located():
        check_tune(file)
        preparation.check_headers(file.config, preparation.read_headers(file))
        size = sum(each_file(file_size, preparation.data_files(file)))
        if size > LARGE_BYTES and not read_rows:
            return CheckedConfig(outline(file.config), rows_read=False, tune=file.config.tune)
        events = Events(listener)
        with row_storage(file, None, Events()) as storage:
            rows, plan = preparation.prepare(file, events, storage)
            check_plan(rows, plan, events)
            preparation.encode_sets(rows, events)
            preparation.initial_weights(file, plan.network)
        if file.config.tune is not None:
            data, tables = file.config.data, rows.tables.items()
            sources = {"train": 1.0, "validation": data.validation, "test": data.test}
            of_file = (table.rows for name, table in tables if isinstance(sources[name], float))
            file = with_search_space(file, sum(of_file))
            check_tune(file)
        return CheckedConfig(summarize(plan.network), rows_read=True, tune=file.config.tune)


def outline(config: Config) -> tuple[LayerSummary, ...]:
    """Summarize the layers of a config without its data."""
    target, output = config.data.target, config.output
    is_counted = target.type in ("numeric", "count") or len(target.columns) > 1
    units = output.units or (len(target.columns) if is_counted else None)
    stand_in = {"units": units or 1, "activation": output.activation or Linear()}
    complete = output.model_copy(update=stand_in)
    *body, last = summarize(build_network(plain_layout(1), config.hidden, complete))
    parameters = last.parameters if units else None
    activation = output.activation.name if output.activation else None
    last = replace(last, units=units, parameters=parameters, activation=activation)
    first, *rest = [*body, last]
    return (replace(first, inputs=None, parameters=None), *rest)


@dataclass(frozen=True)
class MemoryLimit:
    """A limit of the memory of this process."""

    left: float
    """Bytes that it may still take."""
    name: str
    """The source of the limit: `the machine's memory`."""
    swap: float = 0.0
    """Bytes of swap space that it may take in addition."""
    tensorflow: int = TENSORFLOW
    """Bytes that TensorFlow itself takes of it."""

    @property
    def free(self) -> float:
        """Bytes that are left for a training; negative if TensorFlow alone does not fit."""
        return self.left + self.swap - self.tensorflow


@contextmanager
def row_storage(
    file: ConfigFile, output: Path | None, events: Events, workers: Workers = NO_OTHERS
) -> Iterator[Storage]:
    """Make a folder for rows if they are to be kept on disk, and remove it at the end.

    With `data.storage: auto` they are if they would take more than half of the available memory.

    Args:
        file: the config.
        output: the run folder, if one was named.
        events: receives the folder.
        workers: those that share the rows.

    Yields:
        Where to keep the rows.

    Raises:
        UsageError: if it can't be made, or the config names files that do not exist.
    """
    storage = file.config.data.storage
    if storage == "auto":
        sizes = each_file(_expanded_size, preparation.data_files(file))
        needed = workers.cluster.host_share * sum(sizes)
        storage = "disk" if needed > available_memory() / 2 else "memory"
    if storage == "memory":
        yield Storage(None, workers)
        return
    with cache_folder(output, file.name) as folder:
        events.emit(event_types.StorageEvent(folder=str(folder)))
        yield Storage(folder, workers)


def _expanded_size(path: Location) -> float:
    """Return the bytes of memory that a file takes; 0 if reading it will report an error."""
    with suppress(OSError, ValueError):  # such as a name that is too long, or with a NUL character
        return file_size(path) * EXPANSION.get(Path(path).suffix.lower(), USUAL_EXPANSION)
    return 0.0


def check_plan(rows: preparation.FitRows, plan: preparation.FitPlan, events: Events) -> None:
    """Warn of layers that do nothing, and refuse a training that the memory is too small for.

    A hidden layer without an activation is one linear layer with the next. A single linear unit is
    no mistake: it is the simplest network, as in configs/line.yaml.

    What a training certainly needs must not exceed the available memory, swap space included. With
    a GPU, much of what is counted lies in its own memory, and nothing is checked. What fails on one
    worker fails on all.

    Args:
        rows: the rows, encoded or not.
        plan: the network, and how it is trained.
        events: receives the warning.

    Raises:
        ConfigError: at the key that takes most memory.
        UsageError: if TensorFlow alone does not fit.
    """
    linear = [
        f"hidden[{index}]"
        for index, layer in enumerate(plan.config.hidden)
        if isinstance(layer.activation, Linear) and layer.units > 1
    ]
    if linear:
        message = "a layer without an activation and the next layer act as one linear layer"
        way_out = override(f"{linear[0]}.activation", "relu")
        events.warn(f"{', '.join(linear)}: {message}; try {way_out}")
    rows.storage.workers.agree(lambda: _check_memory(rows, plan))


def _check_memory(rows: preparation.FitRows, plan: preparation.FitPlan) -> None:
    config = plan.config
    if config.device != "cpu" and any(path.exists() for path in GPUS):
        return
    needed = required_memory(rows, plan)
    needed["rows"] = round(rows.storage.workers.cluster.host_share * needed["rows"])
    total = sum(needed.values())
    if _tightest_limit().free < total:
        gc.collect()
        pa.default_memory_pool().release_unused()
    limit = _tightest_limit()
    if limit.free >= total:
        return
    left = f"{limit.name} has {_text(limit.free + limit.tensorflow)} left"
    if limit.free < 0:
        message = f"TensorFlow alone requires at least {_text(limit.tensorflow)}, but {left}"
        raise UsageError(f"{message}; raise that limit, or close other programs")
    path, way_out = {
        "weights": (_largest_layer(plan.network), "use fewer units"),
        "rows": ("data.storage", "set data.storage: disk"),
        "batch": ("batch_size", "use a smaller batch_size"),
    }[max(needed, key=lambda part: needed[part])]
    message = (
        f"training requires at least {_text(total + limit.tensorflow)}, but {left}: "
        f"{_text(needed['weights'])} for {plan.network.parameters:,} parameters with "
        f"{config.optimizer.name}, {_text(needed['rows'])} for encoded rows, "
        f"{_text(needed['batch'])} for a batch, {_text(limit.tensorflow)} for TensorFlow; "
        f"{way_out}"
    )
    raise ConfigError([Problem(path, message)])


def prepare_example(
    config: Config, dataset: preparation.Dataset, split: Split, events: Events
) -> tuple[preparation.FitRows, preparation.FitPlan]:
    """Prepare the rows of the first fold, and check that a fit of them fits into memory.

    Folds of rows that resemble each other are warned of.

    Args:
        config: the config.
        dataset: all rows.
        split: the rows of the fold.
        events: receives target, features and network, which are much the same for all folds.

    Raises:
        ConfigError, UsageError: see `check_plan`.
        ConfigError, DataError: see `prepare_rows`.
    """
    kinds = event_types.TargetEvent, event_types.FeaturesEvent, event_types.NetworkEvent
    rows, plan = preparation.prepare_fit(config, dataset, split, events.only(*kinds))
    preparation.warn_of_random_split(dataset, rows.decisions, events)
    check_plan(rows, plan, events)
    return rows, plan


def required_memory(rows: preparation.FitRows, plan: preparation.FitPlan) -> dict[str, int]:
    """Return the bytes that a training takes at least, by part, in addition to TensorFlow's own.

    - weights: trained ones, their best copy if early stopping restores it, and optimizer slots;
      of an ensemble, those of all members;
    - rows: the encoded rows of all sets, unless they are kept on disk; of sparse ones only what is
      filled with zeros, see `Inputs.is_resident`;
    - batch: input and layer outputs of the rows of one step.
    """
    config, network, train = plan.config, plan.network, rows.split.train
    stopping = config.early_stopping
    copies = 2 if stopping is not None and stopping.restore_best_weights else 1
    slots = optimizer_slots(config.optimizer) * network.trainable_parameters
    members = 0 if config.ensemble is None else config.ensemble.members
    blocks = rows.encoding.layout.blocks
    width = sum(len(block.inputs) for block in blocks)
    if train.rows * width > MOST_FILLED:
        width = sum(len(block.inputs) for block in blocks if block.kind != "sparse")
    count = sum(table.rows for table in rows.tables.values())
    if config.ensemble_folds is not None:  # those of one member are copies
        count += train.rows
    batch = min(config.batch_size, train.rows)
    outputs = sum(layer.units for layer in network.layers if isinstance(layer, DenseLayer))
    number = _FLOAT if config.precision == "float32" else _FLOAT // 2
    return {
        "weights": _FLOAT * ((copies + members) * network.parameters + slots),
        "rows": 0 if rows.storage.folder is not None else _FLOAT * width * count,
        "batch": batch * (_FLOAT * network.front.units + number * outputs),
    }


def optimizer_slots(optimizer: Optimizer) -> int:
    """Return how many values an optimizer stores for each weight at least."""
    has_momentum = isinstance(optimizer, SGD | RMSprop) and optimizer.momentum > 0
    return _SLOTS.get(optimizer.name, 2) + has_momentum


def available_memory() -> float:
    """Return the bytes that the process may still take, without swap space."""
    return min((limit.left for limit in memory_limits()), default=math.inf)


def _tightest_limit() -> MemoryLimit:
    limits = [MemoryLimit(math.inf, "an unknown memory"), *memory_limits()]
    return min(limits, key=lambda limit: limit.free)


def memory_limits() -> Iterator[MemoryLimit]:
    """Yield the limits of machine, containers and shell, as far as the system reports them."""
    machine = _kilobytes(PROC / "meminfo")
    swap = machine.get("SwapFree", 0.0)
    if "MemAvailable" in machine:
        yield MemoryLimit(machine["MemAvailable"], "the machine's memory", swap)
    elif hasattr(os, "sysconf"):
        total = float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
        yield MemoryLimit(total, "the machine's memory")
    for folder in _control_groups():
        with suppress(ValueError):  # `max` stands for no limit
            used = float(_read(folder / "memory.current") or 0)
            files = re.findall(r"^(?:in)?active_file (\d+)$", _read(folder / "memory.stat"), re.M)
            used = max(used - sum(map(float, files)), 0.0)  # cached files are given up when needed
            limit = float(int(_read(folder / "memory.max")))
            yield MemoryLimit(limit - used, "the container's memory", swap)
    if sys.platform != "win32":
        import resource

        taken = _kilobytes(PROC / "self" / "status")
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            left, name = most - taken.get("VmSize", 0.0), "the address space (ulimit -v)"
            yield MemoryLimit(left, name, tensorflow=TENSORFLOW_ADDRESSES)
        most, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if most != resource.RLIM_INFINITY:
            yield MemoryLimit(most - taken.get("VmData", 0.0), "the data segment (ulimit -d)")


def _control_groups() -> Iterator[Path]:
    """Yield the folders of the process's control group and of those around it.

    Within a container its own group is the root, whatever path the process reports.
    """
    for line in _read(PROC / "self" / "cgroup").splitlines():
        if line.startswith("0::"):
            inner = CGROUPS / line.removeprefix("0::").lstrip("/")
            yield from (each for each in (inner, *inner.parents) if each.is_relative_to(CGROUPS))


def _kilobytes(path: Path) -> dict[str, float]:
    """Return the bytes of all lines such as `MemAvailable:  5000 kB`, by name."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", _read(path), re.MULTILINE)
    return {name: float(number) * 1024 for name, number in found}


def _read(path: Path) -> str:
    """Return a file's text; empty if the file does not exist or can't be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""


def _largest_layer(network: Network) -> str:
    """Return the key of the hidden layer with most weights; `input` without hidden layers."""
    dense = [layer for layer in network.layers if isinstance(layer, DenseLayer)]
    if len(dense) == 1:
        return "input"
    at = max(range(len(dense)), key=lambda at: dense[at].inputs * dense[at].units)
    if at and (at == len(dense) - 1 or dense[at].inputs > dense[at].units):
        at -= 1  # its inputs are the units of the one before
    return format_path(("hidden", at, "units"))


def _text(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{max(count, 0) / 1e6:.0f} MB"
