"""What `dlcli validate` does: all that can be found out about a config without training."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.config import ConfigFile, check_tune
from dlcli.pipeline.earlier import initial_weights
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.preflight import check_memory
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.storage import working_folder
from dlcli.pipeline.summary import LayerSummary, outline, summarize
from dlcli.pipeline.tables import check_headers, data_files, read_headers

LARGE_BYTES = 20_000_000
"""Size of the data files from which on their rows are read only if that is asked for."""


@dataclass(frozen=True)
class Checked:
    """A config in which nothing was found to be wrong."""

    layers: tuple[LayerSummary, ...]
    """Its network; what only the rows can tell is `None` if they were not read."""
    rows_read: bool
    """Whether the rows were read, or the headers alone."""


def check(
    file: ConfigFile, *, read_rows: bool = False, listener: Listener = lambda *_: None
) -> Checked:
    """Checks a config with its data, as training would before its first step.

    Args:
        file: the config.
        read_rows: read the rows also of large files.
        listener: is told what was found.

    Raises:
        UsageError: for a file that isn't there.
        ConfigError: with every problem of the config's search space, or with the headers, or the
            first with the rows, a network too large for the memory among them.
        DataError: for what only the rows can show.
        RunError: for initial weights that are not there or don't fit.
    """
    with file.located():
        check_tune(file)
        check_headers(file.config, read_headers(file))
        size = sum(path.stat().st_size for path in data_files(file))
        if size > LARGE_BYTES and not read_rows:
            return Checked(outline(file.config), rows_read=False)
        events = Events(listener)
        with working_folder(file, None) as folder:
            prepared = prepare(file, events, folder)
            check_memory(prepared, file.config, folder, events)
            encode_sets(file.config.data.weight, prepared, events, folder)
            initial_weights(file, prepared.network)
        return Checked(summarize(prepared.network), rows_read=True)
