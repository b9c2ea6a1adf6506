"""Weights as a NumPy archive: written the same for the same arrays, read with distrust."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dlcli.errors import RunError
from dlcli.run.storage import damaged

Weights = NDArray[np.float32]

_DTYPE = np.dtype(np.float32)


def write_weights(path: Path, arrays: Mapping[str, Weights]) -> None:
    """Writes arrays in their order, for `numpy.load` to read.

    Equal arrays give equal bytes: no times, no compression, rows before columns.

    Args:
        path: the file to write.
        arrays: float32, by name.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(_member(name))  # dated 1980 unless told otherwise
            with archive.open(member, "w", force_zip64=True) as stream:
                content = np.asarray(array, order="C")
                npy.write_array(stream, content, version=(1, 0), allow_pickle=False)


def read_weights(
    stream: BinaryIO, shapes: Mapping[str, tuple[int, ...]], file: Path
) -> dict[str, Weights]:
    """Reads the arrays that a network needs, neither more nor fewer.

    Args:
        stream: the archive, which anybody may have made.
        shapes: the shape of each array, by name.
        file: where the archive lies, for messages.

    Returns:
        read-only arrays in the order of `shapes`.

    Raises:
        RunError: for an unknown, a missing or a misshapen array, one of another type, or a member
            whose size doesn't fit; nothing is read beyond the size that a shape asks for.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_names([member.filename for member in archive.infolist()], shapes, file)
            return {name: _read(archive, name, shape, file) for name, shape in shapes.items()}
    except RunError:
        raise
    except Exception as error:  # what the parsers raise for bytes made up by a stranger is open
        raise damaged(file, f"is no archive of arrays: {error}") from error


def _check_names(members: list[str], shapes: Mapping[str, object], file: Path) -> None:
    findings = [f"lacks array {name!r}" for name in shapes if _member(name) not in members]
    unknown = set(members).difference(map(_member, shapes))
    findings += [f"holds an unknown {name!r}" for name in sorted(unknown)]
    if len(members) > len(set(members)):
        findings.append("holds a name twice")
    if findings:
        raise damaged(file, findings[0])


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], file: Path) -> Weights:
    member = archive.getinfo(_member(name))
    if member.compress_type != zipfile.ZIP_STORED:
        raise damaged(file, f"array {name!r} is compressed")
    with archive.open(member) as stream:
        _check_header(stream, name, shape, file)
        size = math.prod(shape) * _DTYPE.itemsize
        left = member.file_size - stream.tell()
        if left != size:
            raise damaged(file, f"array {name!r} has {left} bytes of values, {size} were expected")
        return np.ndarray(shape, _DTYPE, buffer=stream.read(size))


def _check_header(stream: IO[bytes], name: str, shape: tuple[int, ...], file: Path) -> None:
    """Reads the lines before the values; pickled objects show there as a type of their own."""
    if npy.read_magic(stream) != (1, 0):
        raise damaged(file, f"array {name!r} is of an unknown format")
    found, by_columns, dtype = npy.read_array_header_1_0(stream)
    if dtype != _DTYPE or by_columns:
        layout = ", column by column" if by_columns else ""
        raise damaged(file, f"array {name!r} is {dtype}{layout}, {_DTYPE} by rows was expected")
    if found != shape:
        raise damaged(file, f"array {name!r} is of shape {found}, {shape} was expected")


def _member(name: str) -> str:
    return f"{name}.npy"
