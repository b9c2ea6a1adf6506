"""Checks of config, data and memory before training; rows are stored on disk if memory is short.

This module does not load TensorFlow.
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
from dlcli.config.search_space import (
    check_tune,
    check_vary,
    draw_settings,
    with_search_space,
    with_settings,
)
from dlcli.config.training_choices import SGD, Optimizer, RMSprop
from dlcli.config.tune_section import Tune
from dlcli.encoding.encoded_rows import MOST_FILLED
from dlcli.errors import ConfigError, Problem, UsageError, override
from dlcli.network.layers import DenseLayer, LayerSummary, Network, build_network, summarize
from dlcli.pipeline import events as event_types
from dlcli.pipeline import preparation
from dlcli.pipeline.distillation import distill_rows, find_teacher
from dlcli.pipeline.events import Events, Listener, ignore
from dlcli.runs.run_folder import cache_folder
from dlcli.schema.urls import Location
from dlcli.schema.yaml_document import format_path
from dlcli.splitting import Split
from dlcli.tables.remote_files import each_file, file_size
from dlcli.tables.stored_columns import Storage

LARGE_BYTES = 20_000_000
"""Size of the data files from which rows are read only on request."""
PROC = Path("/proc")
"""The folder in which Linux reports memory."""
CGROUPS = Path("/sys/fs/cgroup")
"""The folder in which Linux reports containers:
https://docs.kernel.org/admin-guide/cgroup-v2.html."""
GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Files that exist on Linux if there is a GPU, which has separate memory."""
TENSORFLOW = 150_000_000
"""Minimum memory of TensorFlow 2.21 in bytes; 200 to 260 MB were measured on Linux on x86-64."""
TENSORFLOW_ADDRESSES = 1_750_000_000
"""Minimum address space of a training with TensorFlow 2.21 in bytes. On Linux on x86-64, a small
network could be trained with 1.87 GB on one core and with 2.07 GB on two, but with less TensorFlow
ran out of memory, or aborted the process with Keras's `fit`."""
EXPANSION = {".parquet": 8.0, ".pq": 8.0, ".gz": 12.0, ".zst": 12.0, ".bz2": 12.0}
"""Bytes of memory per byte of a compressed file: the rows, the sets of rows, the encoded matrix,
and its copy on the device."""
USUAL_EXPANSION = 4.0
"""The same for other files."""
_FLOAT = 4
"""Bytes of a weight and of an encoded value."""
_SLOTS = {"sgd": 0, "adafactor": 0, "adagrad": 1, "lion": 1, "muon": 1, "rmsprop": 1}
"""Minimum number of values that an optimizer stores per weight; other optimizers store 2."""


@dataclass(frozen=True)
class CheckedConfig:
    """A config without problems."""

    layers: tuple[LayerSummary, ...]
    """The network; values that depend on the rows are `None` if they were not read."""
    rows_read: bool
    """True if the rows were read, and not only the headers."""
    tune: Tune | None
    """The search; without a space if the default space depends on unread rows."""


def check(
    file: ConfigFile, *, read_rows: bool = False, listener: Listener = ignore
) -> CheckedConfig:
    """Check a config with its data, like training before its first step.

    Args:
        file: the config.
        read_rows: whether to also read the rows of large files.
        listener: receives the results.

    Raises:
        UsageError: if a file does not exist.
        ConfigError: with all problems of the search space or the headers, or the first problem of
            the rows; or if the network is too large for the memory.
        DataError: for problems of the rows.
        RunError: if initial weights do not exist or don't fit.
    """
    with file.located():
        check_vary(file)
        check_tune(file)
        preparation.check_headers(file.config, preparation.read_headers(file))
        size = sum(each_file(file_size, preparation.data_files(file)))
        if size > LARGE_BYTES and not read_rows:
            return CheckedConfig(outline(file.config), rows_read=False, tune=file.config.tune)
        events = Events(listener)
        with row_storage(file, None, Events()) as storage:
            rows, plan = preparation.prepare(file, events, storage)
            check_plan(rows, plan, events)
            rows = preparation.encode_sets(rows, events)
            preparation.initial_weights(file, plan.network)
            if (teacher := find_teacher(file)) is not None:
                distill_rows(teacher, rows, plan)
        if file.config.tune is not None:
            data, tables = file.config.data, rows.tables.items()
            sources = {"train": 1.0, "validation": data.validation, "test": data.test}
            of_file = (table.rows for name, table in tables if isinstance(sources[name], float))
            file = with_search_space(file, sum(of_file))
            shares = {"train": 1.0, "validation": data.validation}
            of_search = (
                table.rows for name, table in tables if isinstance(shares.get(name), float)
            )
            check_folds(file.config.tune, sum(of_search))
            check_tune(file)
        return CheckedConfig(summarize(plan.network), rows_read=True, tune=file.config.tune)


def check_folds(tune: Tune | None, rows: int) -> None:
    """Check that a search has at least one row for each fold.

    Args:
        tune: the search.
        rows: number of rows that candidates are trained and evaluated on.

    Raises:
        ConfigError: if there are more folds than rows.
    """
    if tune is not None and tune.folds is not None and tune.folds > rows:
        message = f"expected at most {rows}, the number of rows, got {tune.folds}"
        raise ConfigError([Problem("tune.folds", message)])


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
    """A memory limit of this process."""

    left: float
    """Remaining memory in bytes."""
    name: str
    """The source of the limit: `the machine's memory`."""
    swap: float = 0.0
    """Additional swap space in bytes."""
    tensorflow: int = TENSORFLOW
    """Memory of TensorFlow in bytes."""

    @property
    def free(self) -> float:
        """Remaining memory for training in bytes; negative if TensorFlow alone does not fit."""
        return self.left + self.swap - self.tensorflow


@contextmanager
def row_storage(
    file: ConfigFile, output: Path | None, events: Events, workers: Workers = NO_OTHERS
) -> Iterator[Storage]:
    """Create a folder if rows are to be stored on disk, and remove it at the end.

    With `data.storage: auto`, rows are stored if they would use more than half of the available
    memory.

    Args:
        file: the config.
        output: the run folder, if specified.
        events: receives the folder.
        workers: the workers that share the rows.

    Yields:
        The storage for the rows.

    Raises:
        UsageError: if the folder can't be created, or files of the config do not exist.
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
    """Return the memory for a file in bytes; 0 if reading it will report an error."""
    with suppress(OSError, ValueError):  # a name that is too long or contains NUL
        return file_size(path) * EXPANSION.get(Path(path).suffix.lower(), USUAL_EXPANSION)
    return 0.0


def check_plan(rows: preparation.FitRows, plan: preparation.FitPlan, events: Events) -> None:
    """Warn about layers without effect, and refuse a training that needs more memory.

    A hidden layer without an activation and the next layer are equivalent to one linear layer. A
    single linear unit is accepted, as the simplest network, such as in configs/line.yaml.

    The minimum memory of a training must not exceed the available memory, including swap space.
    With a GPU, much of it is in the GPU's memory, so it is not checked. A failure on one worker is
    a failure on all.

    Args:
        rows: the rows, encoded or not.
        plan: the network and its training.
        events: receives the warning.

    Raises:
        ConfigError: located at the key that needs most memory.
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
    """Prepare the rows of the first fold, and check that their training fits into memory.

    Warns if similar rows are in different folds.

    Args:
        config: the config.
        dataset: all rows.
        split: the rows of the fold.
        events: receives target, features and network, which are similar for all folds.

    Raises:
        ConfigError, UsageError: see `check_plan`.
        ConfigError, DataError: see `prepare_rows`.
    """
    kinds = event_types.TargetEvent, event_types.FeaturesEvent, event_types.UnseenEvent
    described = events.only(*kinds, event_types.NetworkEvent)
    rows, plan = preparation.prepare_fit(config, dataset, split, described)
    preparation.warn_of_random_split(dataset, config.data.split, rows.decisions, events)
    check_plan(rows, plan, events)
    return rows, plan


def required_memory(rows: preparation.FitRows, plan: preparation.FitPlan) -> dict[str, int]:
    """Return the minimum memory of a training in bytes, by part, in addition to TensorFlow.

    If the networks of an ensemble have different settings, that of the largest one.

    - weights: trained ones, their best copy if early stopping restores it, and optimizer slots;
      of an ensemble, those of all members;
    - rows: the encoded rows of all sets in compact form, unless they are kept on disk; of sparse
      ones only what is filled with zeros, see `Inputs.is_resident`;
    - batch: input and layer outputs of the rows of one step.
    """
    (config, network), train = _largest_network(plan), rows.split.train
    stopping = config.early_stopping
    copies = 2 if stopping is not None and stopping.restore_best_weights else 1
    slots = optimizer_slots(config.optimizer) * network.trainable_parameters
    members = 0 if config.ensemble is None else config.ensemble.trained
    blocks = rows.encoding.layout.blocks
    width = sum(block.compact_width for block in blocks)
    if train.rows * rows.encoding.layout.width > MOST_FILLED:
        width = sum(block.compact_width for block in blocks if block.kind != "sparse")
    count = sum(table.rows for table in rows.tables.values())
    if config.ensemble_folds is not None:  # members have copies
        count += train.rows
    batch = min(config.batch_size, train.rows)
    outputs = sum(layer.units for layer in network.layers if isinstance(layer, DenseLayer))
    number = _FLOAT if config.precision == "float32" else _FLOAT // 2
    return {
        "weights": _FLOAT * ((copies + members) * network.parameters + slots),
        "rows": 0 if rows.storage.folder is not None else _FLOAT * width * count,
        "batch": batch * (_FLOAT * network.front.units + number * outputs),
    }


def _largest_network(plan: preparation.FitPlan) -> tuple[Config, Network]:
    """Return the settings and layers of the largest network of an ensemble, see `vary`."""
    if plan.config.ensemble is None or plan.config.ensemble.vary is None:
        return plan.config, plan.network
    configs = [with_settings(plan.config, each) for each in draw_settings(plan.config)]
    layout, output = plan.network.layout, plan.head.output
    pairs = [
        (each, build_network(layout.read_with(each.input.encoding), each.hidden, output))
        for each in configs
    ]
    return max(pairs, key=lambda pair: pair[1].parameters)


def optimizer_slots(optimizer: Optimizer) -> int:
    """Return the minimum number of values that an optimizer stores per weight."""
    has_momentum = isinstance(optimizer, SGD | RMSprop) and optimizer.momentum > 0
    return _SLOTS.get(optimizer.name, 2) + has_momentum


def available_memory() -> float:
    """Return the remaining memory of the process in bytes, without swap space."""
    return min((limit.left for limit in memory_limits()), default=math.inf)


def _tightest_limit() -> MemoryLimit:
    limits = [MemoryLimit(math.inf, "an unknown memory"), *memory_limits()]
    return min(limits, key=lambda limit: limit.free)


def memory_limits() -> Iterator[MemoryLimit]:
    """Yield the limits of machine, containers and shell that the system reports."""
    machine = _kilobytes(PROC / "meminfo")
    swap = machine.get("SwapFree", 0.0)
    if "MemAvailable" in machine:
        yield MemoryLimit(machine["MemAvailable"], "the machine's memory", swap)
    elif hasattr(os, "sysconf"):
        total = float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
        yield MemoryLimit(total, "the machine's memory")
    for folder in _control_groups():
        with suppress(ValueError):  # `max` means no limit
            used = float(_read(folder / "memory.current") or 0)
            files = re.findall(r"^(?:in)?active_file (\d+)$", _read(folder / "memory.stat"), re.M)
            used = max(used - sum(map(float, files)), 0.0)  # the file cache is freed on demand
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
    """Yield the folders of the process's control group and its parents.

    In a container, its group is the root, whatever path the process reports.
    """
    for line in _read(PROC / "self" / "cgroup").splitlines():
        if line.startswith("0::"):
            inner = CGROUPS / line.removeprefix("0::").lstrip("/")
            yield from (each for each in (inner, *inner.parents) if each.is_relative_to(CGROUPS))


def _kilobytes(path: Path) -> dict[str, float]:
    """Return bytes by name, from lines such as `MemAvailable:  5000 kB`."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", _read(path), re.MULTILINE)
    return {name: float(number) * 1024 for name, number in found}


def _read(path: Path) -> str:
    """Return a file's text; empty if the file does not exist or can't be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""


def _largest_layer(network: Network) -> str:
    """Return the key of the hidden layer with the most weights; `input` if there are none."""
    dense = [layer for layer in network.layers if isinstance(layer, DenseLayer)]
    if len(dense) == 1:
        return "input"
    at = max(range(len(dense)), key=lambda at: dense[at].inputs * dense[at].units)
    if at and (at == len(dense) - 1 or dense[at].inputs > dense[at].units):
        at -= 1  # its inputs are the units of the previous layer
    return format_path(("hidden", at, "units"))


def _text(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{max(count, 0) / 1e6:.0f} MB"
