"""Finished runs as other packages read them, also from URLs."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.config.config_file import ConfigFile, load_config_of_run
from dlcli.config.urls import Location, Url, hide_secrets
from dlcli.errors import (
    ConfigError,
    DlcliError,
    Problem,
    RunError,
    UsageError,
    by_caller,
    did_you_mean,
    option,
    override,
)
from dlcli.runs import file_formats
from dlcli.runs.file_formats import Array
from dlcli.runs.manifest import (
    DIVERGED,
    KIND_NAMES,
    MANIFEST,
    PAGE,
    Manifest,
    RunFile,
    is_unfinished,
)
from dlcli.safe_files import (
    MAX_DOCUMENT_BYTES,
    AnyDocument,
    damaged,
    decode,
    open_verified,
    os_error_text,
    parse_document,
    parse_object,
    write_atomically,
)

if TYPE_CHECKING:
    import pyarrow as pa

MetricsBySplit = dict[str, dict[str, object]]

_NEEDED = (
    RunFile.RESOLVED,
    RunFile.ENCODING,
    RunFile.WEIGHTS,
    RunFile.ENSEMBLE,
    RunFile.CONFORMAL,
    RunFile.ENVIRONMENT,
    RunFile.METRICS,
)
_OF_BASELINES = (RunFile.BASELINES, RunFile.BASELINE_WEIGHTS)
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Run:
    """A finished run.

    Every method raises `RunError` for a file that the run doesn't have or that has changed: size
    and SHA-256 are compared before a byte of it is interpreted. That shows damage, not intent: the
    folder may come from a stranger, who can write a manifest as well.
    """

    path: Path
    """The folder."""
    manifest: Manifest
    """Files of the run."""

    @property
    def kind(self) -> str:
        """`train`, `diverged`, `cv` or `tune`."""
        return self.manifest.kind

    @property
    def created(self) -> datetime:
        """When the run was finished, in UTC."""
        return self.manifest.created

    def has(self, name: RunFile) -> bool:
        """Return whether the run has a file: without held-out rows, it has no predictions."""
        return name in self.manifest.files

    def require_training(self) -> None:
        """Raise `RunError` for a cross-validation or a search, with the way out."""
        if self.kind == "cv" or self.kind == "tune":
            name = "best" if self.kind == "tune" else "refit"
            way_out = f"name the run that was trained in it: {self.path / name}"
            if not os.path.isdir(self.path / name):
                way_out = f"train a network with: {_train(self.path / f'{name}.yaml')}"
            kind = KIND_NAMES[self.kind]
            raise RunError(f"{self.path}: is a {kind}, which has no weights of its own; {way_out}")

    def require_network(self) -> None:
        """Raise `RunError` for a run without a network to predict with, with the way out.

        That is a cross-validation, a search, or a training that diverged.
        """
        self.require_training()
        if self.kind == DIVERGED:
            raise RunError(
                f"{self.path}: diverged; its last finite weights can be used to start from: "
                f"{initial_weights_option(self.path)}; name another run"
            )

    def verify(self) -> None:
        """Verify every file of the run."""
        for name in self.manifest.files:
            with self._opened(name):
                pass

    def resolved_path(self) -> Path:
        """Return the path of the complete config, verified; `load_config` reads it."""
        with self._opened(RunFile.RESOLVED):
            return self.path / RunFile.RESOLVED

    def read_config(self, overrides: Sequence[str] = ()) -> ConfigFile:
        """Return the complete config.

        Args:
            overrides: settings to change, as `load_config` takes them.

        Raises:
            RunError: if it is damaged.
            ConfigError: if the overrides don't fit it.
        """
        path = self.resolved_path()
        file = read_resolved(path)
        return load_config_of_run(path, overrides) if overrides else file

    def parse(self, name: RunFile, model: type[AnyDocument]) -> AnyDocument:
        """Return a JSON file as the model of its package, such as an `Encoding`.

        Raises:
            RunError: if it does not fit the model.
        """
        return parse_document(model, self.read_text(name), f"{self.path / name}:")

    def read_arrays(self, name: RunFile, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Return float32 arrays by name, read-only, in the order of `shapes`.

        Args:
            name: `weights.npz` or `baselines.npz`.
            shapes: the shape of each array; the file must have exactly these.
        """
        specs = file_formats.weight_specs(shapes)
        with self._opened(name, file_formats.max_archive_bytes(specs)) as stream:
            return file_formats.read_arrays(stream, specs, self.path / name)

    def read_metrics(self) -> MetricsBySplit:
        """Return the final metrics by split, then metric; `None` where one is undefined."""
        metrics = self._read_object(RunFile.METRICS)
        return _by_split(metrics, self.path / RunFile.METRICS)

    def read_baselines(self) -> dict[str, MetricsBySplit]:
        """Return the metrics of the simplest models by model, split, then metric."""
        path = self.path / RunFile.BASELINES
        models = _by_split(self._read_object(RunFile.BASELINES), path)
        return {name: _by_split(metrics, path) for name, metrics in models.items()}

    def read_predictions(self) -> pa.Table:
        """Return row, split, target and prediction of the held-out rows."""
        return self._read_table(RunFile.PREDICTIONS)

    def read_sample(self) -> pa.Table:
        """Return the same for a sample of the training rows."""
        return self._read_table(RunFile.SAMPLE)

    def read_events(self) -> Iterator[dict[str, object]]:
        """Yield the events in order: `time` (ISO 8601, UTC), `event` and its fields.

        A resumed training logs some of them twice.
        """
        with self._opened(RunFile.EVENTS) as stream:
            for line in stream:
                if line.strip():
                    yield parse_object(line, self.path / RunFile.EVENTS)

    def read_history(self) -> dict[str, list[float]]:
        """Return loss and metrics of each epoch by name."""
        return file_formats.parse_history(self._read(RunFile.HISTORY), self.path / RunFile.HISTORY)

    def read_environment(self) -> dict[str, object]:
        """Return versions, machine, command and data files of the run."""
        return self._read_object(RunFile.ENVIRONMENT)

    def _read_object(self, name: RunFile) -> dict[str, object]:
        return parse_object(self._read(name), self.path / name)

    def _read_table(self, name: RunFile) -> pa.Table:
        with self._opened(name) as stream:
            return file_formats.read_parquet(stream, self.path / name)

    def read_text(self, name: RunFile) -> str:
        """Return a file as text."""
        return decode(self._read(name), self.path / name)

    def _read(self, name: RunFile) -> bytes:
        with self._opened(name) as stream:
            return stream.read()

    @contextmanager
    def _opened(self, name: RunFile, limit: int | None = None) -> Iterator[BufferedReader]:
        """Open a file if it is as the manifest describes it.

        Args:
            name: the file.
            limit: its maximum size in bytes, by default that of every such file.
        """
        path = self.path / name
        if (digest := self.manifest.files.get(name)) is None:
            raise RunError(f"{path}: is not part of this run; name a run that has it")
        with open_verified(path, digest, limit or name.limit) as stream:
            yield stream


def read_resolved(path: Path) -> ConfigFile:
    """Read the complete config of a run, finished or not.

    Raises:
        RunError: if it is damaged.
    """
    try:
        return load_config_of_run(path)
    except ConfigError as error:
        problem: Problem | UsageError = replace(error.problems[0], position="")
    except UsageError as error:
        problem = error
    raise RunError(f"{path.parent}: its resolved.yaml can't be read: {problem}; train it again")


def _by_split(metrics: Mapping[str, object], file: Path) -> MetricsBySplit:
    splits = {name: values for name, values in metrics.items() if isinstance(values, dict)}
    if len(splits) < len(metrics):
        raise damaged(file, "has something else than metrics by split")
    return splits


def open_run(path: Path) -> Run:
    """Open a finished run; its files are verified as they are read.

    Raises:
        RunError: if there is none, or it is unfinished, damaged or of a newer format.
    """
    require_folder(path)
    return Run(path, Manifest.of(path))


def is_run_folder(path: Path) -> bool:
    """Return whether a path is the folder of a run, finished or not."""
    return os.path.lexists(path / MANIFEST) or is_unfinished(path)


def latest_run(kinds: Collection[str], base: Path = Path("runs")) -> Run | None:
    """Return the run that was finished last, or the last by name of those finished together.

    Args:
        kinds: allowed kinds.
        base: the folder of run folders.

    Returns:
        The run; `None` if there is none.
    """
    runs = []
    for path in entries_of(base):
        if path.is_dir() and not path.is_symlink():  # a link would count a run twice
            with suppress(RunError):
                runs.append(Run(path, Manifest.of(path)))
    runs = [run for run in runs if run.kind in kinds]
    return max(runs, key=lambda run: (run.created, run.path.name), default=None)


def require_folder(path: Path) -> None:
    """Raise `RunError` for anything but a readable folder, with the run that may be meant."""
    try:
        os.stat(path / MANIFEST)
    except PermissionError as error:  # also of a folder above
        raise RunError(f"{path}: can't be read: {os_error_text(error)}") from None
    except (OSError, ValueError):  # it is not there, or the name is impossible
        pass
    if os.path.isdir(path):
        return
    meant = _run_of_name(path)
    if not os.path.exists(path):
        # As a path, a URL lost a slash.
        if url := re.match(r"(?!file:)([a-zA-Z][\w+.-]+:)/(?=[^/])", str(path)):
            name = hide_secrets(f"{url[1]}//{str(path)[url.end() :]}")
            message = "only predict, evaluate and dlcli.load take the URL of a run"
            way_out = "copy it to a local folder with the tool of its provider"
            raise RunError(f"{name}: {message}; {way_out}")
        siblings = [entry.name for entry in entries_of(path.parent) if entry.is_dir()]
        runs = [f"runs/{entry.name}" for entry in entries_of(Path("runs"))]
        meant = meant or did_you_mean(path.name, siblings) or did_you_mean(f"runs/{path}", runs)
        raise RunError(f"{path}: no such run folder{meant}")
    is_config = path.suffix.lower() in (".yaml", ".yml")
    if is_config and not meant:
        meant = f"; train it first: {_train(path)}"
    kind = "config" if is_config else "file"
    raise RunError(f"{path}: is a {kind}, a run folder was expected{meant}")


def _train(config: Path) -> str:
    """Return what trains a config."""
    return by_caller(shlex.join(["dlcli", "train", str(config)]), f"dlcli.train({str(config)!r})")


def _run_of_name(path: Path) -> str:
    """Return the run that a file is part of, or one in `runs` with the name of a path or a file."""
    if is_run_folder(path.parent):
        return f"; did you mean '{path.parent}'?"
    for folder in dict.fromkeys((path.parent / "runs", Path("runs"))):
        for name in (path.name, path.stem):
            if is_run_folder(folder / name):
                return f"; did you mean '{folder / name}'?"
    return ""


def entries_of(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it is none, or may be written to but not listed."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def initial_weights_option(path: Path) -> str:
    """Return the option, or the argument, that starts a training from the weights of a run."""
    return override("initial_weights", str(path))


def write_page(run: Run, html: str) -> Path:
    """Store the page of a run in its folder, in place of an earlier one, and return its path.

    Raises:
        RunError: if it can't be stored.
    """
    path = run.path / PAGE
    try:
        with write_atomically(path, is_locked=False) as temporary:
            temporary.write_bytes(html.encode())
    except OSError as error:
        raise RunError(
            f"{path}: could not be stored: {os_error_text(error)}; write the page elsewhere with "
            f"{option('output')}"
        ) from error
    return path


def tracked_files(run: Run) -> list[Path]:
    """Return the files of a finished run that trackers store, too."""
    names = [*run.manifest.files, MANIFEST, PAGE]
    return [path for name in names if (path := run.path / name).is_file()]


# Runs at URLs


@contextmanager
def opened_network(location: Location, *, with_baselines: bool = False) -> Iterator[Run]:
    """Open a run that has a network to predict with, at a path or at a URL.

    Of a run at a URL, what predictions need is copied to a temporary folder. It is verified there
    as any other run, and removed at the end.

    Args:
        location: the run folder, or its URL.
        with_baselines: whether its baselines are copied, too.

    Raises:
        RunError: if there is none, or it is unfinished, damaged, of a newer format or without one.
    """
    if not isinstance(location, Url):
        run = open_run(location)
        run.require_network()
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="dlcli-") as folder:
        try:
            needed = (*_NEEDED, *(_OF_BASELINES if with_baselines else ()))
            run = _copy(location, needed, Path(folder))
            run.require_network()
            yield run
        except RunError as error:
            error.args = (str(error).replace(folder, location.rstrip("/")),)
            raise


def _copy(url: Url, names: Sequence[RunFile], folder: Path) -> Run:
    _copy_file(url, MANIFEST, folder, MAX_DOCUMENT_BYTES)
    manifest = Manifest.of(folder)
    for name in names:
        if name in manifest.files:
            most = min(manifest.files[name].bytes, name.limit)
            _copy_file(url, name, folder, most)
    return Run(folder, manifest)


def _copy_file(run: Url, name: str, folder: Path, limit: int) -> None:
    """Copy a file of a run, but at most one byte more than it may have.

    Raises:
        RunError: if it can't be read.
    """
    from dlcli.tables.remote_files import open_url

    url, left = Url(f"{run.rstrip('/')}/{name}"), limit + 1
    try:
        with open_url(url) as source, (folder / name).open("wb") as target:
            while left and (block := source.read(min(left, _BLOCK_BYTES))):
                target.write(block)
                left -= len(block)
    except DlcliError as error:
        raise RunError(f"{error}; expected the folder of a finished run") from None
