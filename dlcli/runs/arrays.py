"""Arrays as a NumPy archive: written the same for the same arrays, read with distrust."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dlcli.errors import RunError
from dlcli.runs.storage import damaged

Array = NDArray[Any]

_AROUND = 1024
"""More bytes than stand around an array's values, its name aside: headers of ZIP and of NumPy."""


class ArraySpec(NamedTuple):
    """What an array must be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays in their order, for `numpy.load` to read.

    Equal arrays give equal bytes: no times, no compression, rows before columns.

    Args:
        path: the file to write.
        arrays: by name; of numbers.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(_member(name))  # dated 1980 unless told otherwise
            with archive.open(member, "w", force_zip64=True) as stream:
                content = np.asarray(array, order="C")
                npy.write_array(stream, content, version=(1, 0), allow_pickle=False)


def most_bytes(kinds: Mapping[str, ArraySpec]) -> int:
    """The most bytes that an archive of such arrays has."""
    named = sum(_size(kind) + 2 * len(name.encode()) + _AROUND for name, kind in kinds.items())
    return named + _AROUND


def read_arrays(stream: BinaryIO, kinds: Mapping[str, ArraySpec], file: Path) -> dict[str, Array]:
    """Reads the arrays that are needed, neither more nor fewer.

    Args:
        stream: the archive, which anybody may have made.
        kinds: what each array must be, by name.
        file: where the archive lies, for messages.

    Returns:
        read-only arrays in the order of `kinds`.

    Raises:
        RunError: for an unknown, a missing or a misshapen array, one of another type, or a member
            whose size doesn't fit; nothing is read beyond the size that a shape asks for.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_names([member.filename for member in archive.infolist()], kinds, file)
            return {name: _read(archive, name, kind, file) for name, kind in kinds.items()}
    except RunError:
        raise
    except Exception as error:  # what the parsers raise for bytes made up by a stranger is open
        raise damaged(file, f"is no archive of arrays: {error}") from error


def _check_names(members: list[str], kinds: Mapping[str, object], file: Path) -> None:
    findings = [f"lacks array {name!r}" for name in kinds if _member(name) not in members]
    unknown = set(members).difference(map(_member, kinds))
    findings += [f"holds an unknown {name!r}" for name in sorted(unknown)]
    if len(members) > len(set(members)):
        findings.append("holds a name twice")
    if findings:
        raise damaged(file, findings[0])


def _read(archive: zipfile.ZipFile, name: str, kind: ArraySpec, file: Path) -> Array:
    member = archive.getinfo(_member(name))
    if member.compress_type != zipfile.ZIP_STORED:
        raise damaged(file, f"array {name!r} is compressed")
    with archive.open(member) as stream:
        _check_header(stream, name, kind, file)
        size = _size(kind)
        left = member.file_size - stream.tell()
        if left != size:
            raise damaged(file, f"array {name!r} has {left} bytes of values, {size} were expected")
        return np.ndarray(kind.shape, kind.dtype, buffer=stream.read(size))


def _check_header(stream: IO[bytes], name: str, kind: ArraySpec, file: Path) -> None:
    """Reads the lines before the values; pickled objects show there as a type of their own."""
    if npy.read_magic(stream) != (1, 0):
        raise damaged(file, f"array {name!r} is of an unknown format")
    found, by_columns, dtype = npy.read_array_header_1_0(stream)
    if dtype != kind.dtype or by_columns:
        layout = ", column by column" if by_columns else ""
        raise damaged(file, f"array {name!r} is {dtype}{layout}, {kind.dtype} by rows was expected")
    if found != kind.shape:
        raise damaged(file, f"array {name!r} is of shape {found}, {kind.shape} was expected")


def _size(kind: ArraySpec) -> int:
    return math.prod(kind.shape) * kind.dtype.itemsize


def _member(name: str) -> str:
    return f"{name}.npy"
