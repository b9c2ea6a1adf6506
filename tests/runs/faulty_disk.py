"""A disk that fails, or loses its power, from the nth on of all that is done to it."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

CRASHED = 77
"""Exit code of a process that a crash has ended."""

_NAMES = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "write", "ftruncate", "open")
_OPEN, _OS = io.open, {name: getattr(os, name) for name in _NAMES}
_READING = ("r", "rb", "rt")


class Disk:
    """Counts what Python does to the files below a folder, and calls a fault from the nth on.

    A write counts twice, as half of it may be done. What libraries in C write is not seen until it
    is synced or renamed.

    Args:
        root: the folder.
        fault: is called before the nth and all that follow, and told their kinds.
        at: which is the nth, from 0.
    """

    def __init__(self, root: Path, fault: Callable[[Disk, str], None], at: int) -> None:
        self.root = root
        self.kinds: list[str] = []
        """What has been done."""
        self._fault = fault
        self._at = at
        self._synced = {_identity(path): _state(path) for path in _files(root)}
        self._unsynced_names: list[tuple[Path, Path | None, Path | None]] = []

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Has all that Python does to files pass through here."""
        ours = {name: getattr(self, f"_{name}") for name in _NAMES}
        with mock.patch.multiple(os, **ours), mock.patch.object(io, "open", self._open_file):
            yield

    @contextmanager
    def out_of_use(self) -> Iterator[None]:
        """Has nothing pass through here, not even while `in_use`."""
        with mock.patch.multiple(os, **_OS), mock.patch.object(io, "open", _OPEN):
            yield

    def lose_power(self) -> None:
        """Loses what was not synced: names first, then the second half of each file."""
        with self.out_of_use():
            for new, old, replaced in reversed(self._unsynced_names):
                if old is None:
                    _remove(new)
                elif new.exists():
                    new.rename(old)
                if replaced is not None:
                    replaced.rename(new)
            for path in _files(self.root):
                if self._synced.get(_identity(path)) != _state(path):
                    os.truncate(path, path.stat().st_size // 2)

    def _tick(self, kind: str) -> None:
        self.kinds.append(kind)
        if len(self.kinds) > self._at:
            self._fault(self, kind)

    def _mkdir(self, path: Any, *more: Any, **options: Any) -> None:
        self._tick("mkdir")
        _OS["mkdir"](path, *more, **options)
        self._unsynced_names.append((Path(path), None, None))

    def _rename(self, old: Any, new: Any) -> None:
        self._tick("rename")
        replaced = None
        if Path(new).is_file():
            replaced = self.root.parent / f"replaced-{len(self.kinds)}"
            os.link(new, replaced)
        _OS["replace"](old, new)
        self._unsynced_names.append((Path(new), Path(old), replaced))

    _replace = _rename

    def _unlink(self, *path: Any, **options: Any) -> None:
        self._tick("unlink")
        _OS["unlink"](*path, **options)

    def _rmdir(self, *path: Any, **options: Any) -> None:
        self._tick("rmdir")
        _OS["rmdir"](*path, **options)

    def _fsync(self, descriptor: int) -> None:
        self._tick("sync")  # and no more: what a process has written outlives it in any case
        found = os.fstat(descriptor)
        self._synced[_identity(found)] = _state(found)
        if stat.S_ISDIR(found.st_mode):
            self._unsynced_names = [
                each for each in self._unsynced_names if not _is(each[0].parent, found)
            ]

    def _write(self, descriptor: int, content: bytes) -> int:
        self._tick("write")
        return _OS["write"](descriptor, content)

    def _ftruncate(self, descriptor: int, size: int) -> None:
        self._tick("write")
        _OS["ftruncate"](descriptor, size)

    def _open(self, path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            self._create(Path(path))
        return _OS["open"](path, flags, *more, **options)

    def _create(self, path: Path) -> None:
        self._tick("create")
        if not path.exists():
            self._unsynced_names.append((path, None, None))

    def _open_file(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        if mode in _READING:
            return _OPEN(file, mode, buffering, encoding, errors, newline)
        if "r" not in mode:
            self._create(Path(file))
        raw = _Raw(file, mode.replace("b", ""), self._tick)
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffer
        return io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)


class _Raw(io.FileIO):
    """A file each of whose writes is told, and done in halves."""

    def __init__(self, file: Any, mode: str, tick: Callable[[str], None]) -> None:
        super().__init__(os.fspath(file), mode)
        self._tick = tick

    def write(self, content: Any) -> int:
        content = bytes(content)
        half = len(content) // 2
        self._tick("write")
        super().write(content[:half])
        self._tick("write")
        super().write(content[half:])
        return len(content)


def crash(root: Path, at: int, work: Callable[[], None], *, power: bool) -> int:
    """Does something in a process of its own, which is ended before the nth thing that it does.

    Args:
        root: the folder in which it works.
        at: when it is ended, from 0.
        work: what it does.
        power: whether the disk loses its power as well, and with it what was not synced.

    Returns:
        `CRASHED`; 0 if the work was done before it came to that; 1 if it failed.
    """

    def end(disk: Disk, _kind: str) -> None:
        if power:
            disk.lose_power()
        os._exit(CRASHED)  # no cleaning up of any kind

    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        with Disk(root, end, at).in_use():
            work()
        code = 0
    finally:
        os._exit(code)


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


def _identity(found: Any) -> tuple[int, int]:
    found = found.stat() if isinstance(found, Path) else found
    return found.st_dev, found.st_ino


def _state(found: Any) -> tuple[int, int]:
    found = found.stat() if isinstance(found, Path) else found
    return found.st_size, found.st_mtime_ns


def _is(path: Path, found: os.stat_result) -> bool:
    return path.exists() and os.path.samestat(path.stat(), found)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
