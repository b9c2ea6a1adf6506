"""What a run is made from: stored before training begins, and compared before it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.config import Config, ConfigFile, dump_config, load_config
from dlcli.encoding import MAX_ROWS_AT_ONCE, ImageEncoder, image_files
from dlcli.errors import ConfigError, DataError, Problem, RunError, UsageError
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import Prepared, sets
from dlcli.pipeline.tables import data_files
from dlcli.runs import Run, RunWriter, collect_environment, fingerprint

if TYPE_CHECKING:
    from dlcli.training import Device

_EXACT = ("dlcli", "tensorflow", "keras", "numpy", "processor", "threads", "device")
"""What the bits of the weights depend on besides config and data."""

Images = Mapping[str, Mapping[str, object]]
"""How the image files of each column of such are known again: how many `files`, and a `sha256`."""
Stamps = Mapping[Path, tuple[int, ...] | None]
"""What of each data file changes whenever it is written to; nothing of what can't be looked at."""


def stamps_of(file: ConfigFile) -> Stamps:
    """The data files as they are now, before they are read.

    Raises:
        UsageError: for a glob that matches nothing.
    """
    return {path: _stamp(path) for path in data_files(file)}


def check_unchanged(before: Stamps) -> None:
    """Refuses files that were written to while they were read.

    The rows that training gets might not be those whose hash is known.

    Raises:
        DataError: for the first of them.
    """
    for path, stamp in before.items():
        if _stamp(path) != stamp:
            message = "has changed while it was read; train again once nothing writes to it"
            raise DataError(message, file=path)


def image_fingerprints(prepared: Prepared) -> Images:
    """Reads the image files through, before they are encoded, so as to know them again.

    Which they are, the tables say. The SHA-256 of a column is that of those of its files, in the
    order of the rows.
    """
    images = {}
    for feature in prepared.encoding.features:
        if isinstance(feature, ImageEncoder):
            digests = [*_image_digests(prepared, feature.column)]
            whole = sha256(b"".join(digests)).hexdigest()
            images[feature.column] = {"files": len(digests), "sha256": whole}
    return images


def write_origin(
    writer: RunWriter, file: ConfigFile, resolved: Config, device: Device, images: Images
) -> None:
    """Stores what a run is made from.

    Args:
        writer: the run.
        file: the config as given.
        resolved: with all that was inferred.
        device: what will train it.
        images: the image files that it reads.
    """
    writer.write_config(file.text)
    writer.write_resolved(dump_config(resolved))
    environment = _environment(resolved, device, data_files(file))
    writer.write_environment({**environment, **({"images": images} if images else {})})


def read_resolved(writer: RunWriter) -> ConfigFile:
    """The config of a run that goes on, with all that was inferred.

    Raises:
        RunError: if it is damaged.
    """
    try:
        return load_config(writer.resolved_path())
    except ConfigError as error:
        problem: Problem | UsageError = replace(error.problems[0], position="")
    except UsageError as error:
        problem = error
    raise RunError(f"{writer.path}: its resolved.yaml can't be read: {problem}; train it again")


def check_data(writer: RunWriter | Run, file: ConfigFile) -> None:
    """Refuses to go on with other rows than those that training began with.

    Args:
        writer: the run, finished or not.
        file: its resolved config.

    Raises:
        RunError: if a file has changed since, or can't be known again.
    """
    stored = writer.read_environment().get("data")
    files = data_files(file)
    known = stored if isinstance(stored, list) else []
    if len(known) != len(files):
        what = f"began with {len(known)} data files, and there are {len(files)}"
        raise RunError(f"{writer.path}: {what}; train it again")
    for entry, path in zip(known, files, strict=True):
        before = entry.get("sha256") if isinstance(entry, dict) else None
        if before is None:
            raise RunError(
                f"{path}: could be read only once, as a pipe can; store its rows in a file, and "
                "train on that"
            )
        # Of one that is gone or may not be read, its reader tells.
        if os.access(path, os.R_OK) and before != fingerprint(path)["sha256"]:
            raise RunError(
                f"{path}: has changed since the run began; restore it, or train the run again"
            )


def check_images(writer: RunWriter, images: Images) -> None:
    """Refuses to go on with other images than those that training began with.

    Args:
        writer: the run.
        images: as they are now.

    Raises:
        RunError: if one has changed since.
    """
    stored = writer.read_environment().get("images")
    known = stored if isinstance(stored, dict) else {}
    for column, now in images.items():
        if known.get(column) != now:
            raise RunError(
                f"{writer.path}: an image of the column '{column}' has changed since the run began;"
                " restore it, or train the run again"
            )


def warn_of_changes(writer: RunWriter, file: ConfigFile, device: Device, events: Events) -> None:
    """Tells what has changed since training began, and may change the last bits of its weights.

    Args:
        writer: the run.
        file: its resolved config.
        device: what will train it.
        events: are told.
    """
    before, now = writer.read_environment(), _environment(file.config, device)
    changes = _changes(before, now)
    if changes:
        told = ", ".join(changes)
        message = f"{writer.path}: {told}; the weights may differ from those of an undisturbed run"
        events.emit("warning", message=message)


def _environment(resolved: Config, device: Device, data: Sequence[Path] = ()) -> dict[str, object]:
    return collect_environment(
        seed=resolved.seed, threads=device.threads, device=device.name, data=data
    )


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Place, size and time of the last change of a file; none of what is read only once."""
    with suppress(OSError):
        if path.is_file():
            status = path.stat()
            return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _image_digests(prepared: Prepared, column: str) -> Iterator[bytes]:
    """The SHA-256 of each of a column's files; of one that can't be read, its encoder tells."""
    for _, table in sets(prepared.split):
        for part in table.parts(MAX_ROWS_AT_ONCE):
            for path in image_files(part, column)[1]:
                if path.is_file():  # a pipe would be waited for
                    with suppress(OSError), path.open("rb") as stream:
                        yield file_digest(stream, "sha256").digest()


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [
        f"{name} was {before.get(name)} and is {now.get(name)}"
        for name in _EXACT
        if before.get(name) != now.get(name)
    ]
