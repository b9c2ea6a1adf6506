"""Train and search on the workers of a cluster: all run the same program, worker 0 stores the run.

Each worker reads and encodes its share of the rows. All workers take part in each exchange of a
column, of the gradient of a batch or of predictions, so they have the same results and make the
same decisions. Only worker 0 reports events and writes the run folder; the other workers write to a
temporary folder, which is discarded. In a search, only worker 0 opens the study, and sends each
candidate to the other workers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli import __version__, errors
from dlcli.cluster import Cluster, Workers, available_processors, decline, meet, report_connection
from dlcli.config.config_file import ConfigFile, dump_config, make_config
from dlcli.config.config_schema import CompiledEngine, Config, KerasEngine
from dlcli.errors import ConfigError, DataError, DlcliError
from dlcli.pipeline import run_recording
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.fit import load_tensorflow
from dlcli.pipeline.preparation import data_files
from dlcli.pipeline.run_recording import Recording
from dlcli.pipeline.train_run import is_run_of, join_training, train_recorded
from dlcli.pipeline.worker_pool import threads_per_worker
from dlcli.runs.environment import fingerprint
from dlcli.runs.manifest import RunKind, is_unfinished
from dlcli.runs.run import Run
from dlcli.schema.urls import Url
from dlcli.training_job import handling_terminating

if TYPE_CHECKING:
    from dlcli.pipeline.search_trials import SearchSettings

_COMPARED = ("tensorflow", "keras", "numpy", "pyarrow")
"""The packages whose versions must be the same for all workers."""
_COMPARED_BYTES = 2**20
"""Number of bytes at the beginning and end of each data file that are compared. No worker reads a
whole file, so its hash is unknown."""


@dataclass(frozen=True)
class ClusterRun:
    """A run that the workers of a cluster train together."""

    source: ConfigFile | Path
    """The config, or the unfinished run to resume."""
    output: Path | None
    """The run folder. An unfinished run of the same config is resumed, so workers that a scheduler
    restarts continue."""
    listener: Listener
    """Receives events, on worker 0."""
    cluster: Cluster
    """The workers."""
    seconds: float
    """Time in seconds to wait for the other workers at the start."""
    finish: bool = False
    """Whether an unfinished training ends with what was trained, see `early_end`."""

    def train(self) -> Run | None:
        """Train together with the other workers.

        Returns:
            The finished run on worker 0; `None` on the others.

        Raises:
            WorkerError: if a worker does not start in time, ends, or becomes unreachable.
            DlcliError: see `train`; an error that occurs on all workers is raised by each.
        """
        return self._run("train", train_recorded, join_training)

    def tune(self, settings: SearchSettings) -> Run | None:
        """Search for a better config; the workers train each candidate together.

        Args:
            settings: how the search is run: in one process on each worker, and not nested.

        Returns:
            The finished run on worker 0, of kind `tune`; `None` on the others.

        Raises:
            WorkerError: if a worker does not start in time, ends, or becomes unreachable.
            DlcliError: see `tune`; an error that occurs on all workers is raised by each.
        """
        from dlcli.pipeline.search import join_search, tune_recorded

        lead = partial(tune_recorded, settings=settings)
        return self._run("tune", lead, lambda file, workers, _: join_search(file, workers))

    def _run(
        self,
        kind: RunKind,
        lead: Callable[[Recording], Run],
        join: Callable[[ConfigFile, Workers, bool], object],
    ) -> Run | None:
        """Perform the role of this worker.

        Args:
            kind: the kind of the run.
            lead: the role of worker 0, which stores the run.
            join: the role of the other workers; training may start over, or resume.
        """
        if isinstance(self.source, ConfigFile):
            with self.source.located():
                _check_engine(self.source.config)
        if self.cluster.is_chief:
            return self._lead(kind, lead)
        self._join(join)
        return None

    def _lead(self, kind: RunKind, lead: Callable[[Recording], Run]) -> Run:
        begun, output = self.source, self.output
        if isinstance(begun, ConfigFile) and output is not None and is_unfinished(output):
            begun = output if is_run_of(output, begun) else begun
        recorded = run_recording.recorded(begun, kind, output, self.listener, finish=self.finish)
        with ExitStack() as stack:
            try:
                recording = stack.enter_context(recorded)
            except DlcliError as error:
                decline(self.cluster, str(error))
                raise
            resumed = ""
            if recording.writer is not None:
                config = run_recording.moved_config(recording.file, Path(), keep_tune=True)
                resumed = dump_config(config)
            fields = {"_resumed": resumed, "_starts_over": recording.starts_over}
            meet(self.cluster, {**_greeting(self.source), **fields}, self.seconds)
            recording.workers = _connect(recording.file, self.cluster)
            run = lead(recording)
            recording.workers.finish()
            return run

    def _join(self, join: Callable[[ConfigFile, Workers, bool], object]) -> None:
        answer, file = meet(self.cluster, _greeting(self.source), self.seconds), self.source
        if answer["_resumed"]:
            file = make_config(answer["_resumed"])
        assert isinstance(file, ConfigFile)  # like on worker 0, which has sent the same greeting
        # Only worker 0 handles signals; when it ends, the other workers end.
        with handling_terminating(signal.SIG_IGN):
            with file.located():
                workers = _connect(file, self.cluster)
            try:
                join(file, workers, answer["_starts_over"])
                workers.finish()
            except (errors.UsageError, ConfigError, DataError, errors.DivergenceError) as error:
                error.is_reported = True  # worker 0 reports the same error
                raise


def _check_engine(config: Config) -> None:
    """Refuse engines that do not train in a cluster.

    Raises:
        ConfigError: for the Keras engine, or XLA.
    """
    engine, remedy = config.engine, errors.override("engine", "auto")
    if isinstance(engine, KerasEngine):
        raise ConfigError([errors.Problem("engine", f"'keras' trains on one machine; {remedy}")])
    if isinstance(engine, CompiledEngine) and engine.jit_compile is True:
        message = f"a cluster trains without XLA; {remedy}"
        raise ConfigError([errors.Problem("engine.jit_compile", message)])


def _greeting(source: ConfigFile | Path) -> dict[str, object]:
    """Return the values that must be equal on all workers, before the data are read."""
    config = "resumed"
    if isinstance(source, ConfigFile):
        config = sha256(dump_config(source.config).encode()).hexdigest()[:12]
    versions = {package: version(package) for package in _COMPARED}
    return {"dlcli": __version__, **versions, "the config's hash": config}


def _connect(file: ConfigFile, cluster: Cluster) -> Workers:
    """Load TensorFlow with this worker's threads, connect to the others, and compare the data."""
    # A scheduler may have assigned processors to each worker.
    divides = available_processors() == os.cpu_count()
    threads = threads_per_worker(file.config.threads, cluster.neighbors if divides else 1)
    config = file.config.model_copy(update={"threads": threads})
    load_tensorflow(config, Events(), cluster)
    from dlcli.training.chunked_program import Collectives

    workers = Collectives(cluster)
    _compare_data(file, workers)
    report_connection()
    return workers


def _compare_data(file: ConfigFile, workers: Workers) -> None:
    """Refuse data files that differ between workers.

    Raises:
        DataError: for the first difference.
    """
    first, *others = workers.gather(_data_digests(file))
    for rank, other in enumerate(others, start=1):
        for name in [*first, *other]:
            if first.get(name) != other.get(name):
                here, there = (each.get(name, "absent") for each in (first, other))
                message = f"is {there} on worker {rank} and {here} on worker 0"
                raise DataError(f"{message}; all workers require the same files", file=name)


def _data_digests(file: ConfigFile) -> dict[str, str]:
    """Return a digest of size, beginning and end of each file; empty if one can't be read."""
    found = {}
    with suppress(OSError, DlcliError):
        for path in data_files(file):
            if isinstance(path, Url):
                found[str(path)] = f"version {fingerprint(path).get('version')}"
                continue
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                digest = sha256(stream.read(_COMPARED_BYTES))
                stream.seek(max(size - _COMPARED_BYTES, 0))
                digest.update(stream.read(_COMPARED_BYTES))
            found[str(path)] = f"{size:,} bytes with hash {digest.hexdigest()[:12]}"
    return found
