"""Check a config and its data as far as that is possible without training: `dlcli validate`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dlcli.config import Config, ConfigFile, Linear, check_tune
from dlcli.encoding import plain_layout
from dlcli.network import LayerSummary, build_network, summarize
from dlcli.pipeline.data_loading import check_headers, data_files, read_headers
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.memory_check import check_memory, working_folder
from dlcli.pipeline.preparation import encode_sets, initial_weights, prepare

LARGE_BYTES = 20_000_000
"""Size of the data files from which on rows are read only on request."""


@dataclass(frozen=True)
class Checked:
    """A config in which no problem was found."""

    layers: tuple[LayerSummary, ...]
    """Its network; what only the rows can show is `None` if they were not read."""
    rows_read: bool
    """Whether the rows were read, or the headers alone."""


def check(
    file: ConfigFile, *, read_rows: bool = False, listener: Listener = lambda *_: None
) -> Checked:
    """Check a config with its data, as training does before its first step.

    Args:
        file: the config.
        read_rows: whether to read the rows of large files, too.
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
        check_headers(file.config, read_headers(file))
        size = sum(path.stat().st_size for path in data_files(file))
        if size > LARGE_BYTES and not read_rows:
            return Checked(outline(file.config), rows_read=False)
        events = Events(listener)
        with working_folder(file, None, Events()) as folder:
            prepared = prepare(file, events, folder)
            check_memory(prepared, file.config, on_disk=folder is not None)
            encode_sets(file.config.data.weight, prepared, events, folder)
            initial_weights(file, prepared.network)
        return Checked(summarize(prepared.network), rows_read=True)


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
