"""How to make the run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from dlcli.reports.blocks import Block, Code, Fold, Section, Table, Text
from dlcli.reports.record import Record
from dlcli.reports.wording import number, short

_MOST_FILES = 100
_VERSIONS = ("dlcli", "python", "tensorflow", "keras", "numpy", "pyarrow")
_MACHINE = ("platform", "machine", "processor", "device", "threads", "seed")


def reproduce(record: Record) -> Section:
    """The section."""
    blocks: list[Block] = [
        Text(
            "On the same machine with the same versions, data and threads, the resolved config "
            "trains the same weights again, to the bit:"
        ),
        Code("\n".join(_commands(record))),
    ]
    blocks += made_with(record.environment)
    return Section("reproduce", "How to reproduce it", tuple(blocks))


def made_with(environment: Mapping[str, object]) -> list[Block]:
    """The command, the data and the versions that a run was made with."""
    blocks: list[Block] = []
    if command := _command(environment):
        blocks.append(Code(command, "It was made by:"))
    files = environment.get("data")
    if isinstance(files, list) and files:
        blocks.append(_data(files))
    versions = _facts(environment, _VERSIONS), _facts(environment, _MACHINE)
    rows = (*versions[0], *versions[1], *_commit(environment))
    table = Table(("what", "which"), rows, "Versions and machine", texts=2)
    return [*blocks, Fold("Versions", (table,))]


def _commands(record: Record) -> list[str]:
    run = record.run.path
    resolved = record.run.resolved_path()
    lines = [["dlcli", "train", str(resolved)], ["dlcli", "report", str(run)]]
    if not record.diverged:
        lines.insert(1, ["dlcli", "predict", str(run), "DATA"])
    return [shlex.join(line) for line in lines]


def _command(environment: Mapping[str, object]) -> str | None:
    words = environment.get("command")
    if not isinstance(words, list) or not words:
        return None
    return short(shlex.join(["dlcli", *map(str, words[1:])]), 2_000)


def _data(files: list[object]) -> Table:
    rows = tuple(
        (short(each.get("file"), 120), short(each.get("sha256"), 64), number(each.get("bytes")))
        for each in files[:_MOST_FILES]
        if isinstance(each, dict)
    )
    rest = (
        f"{len(files) - len(rows):,} more files are not listed." if len(files) > len(rows) else ""
    )
    header = ("file", "SHA-256", "bytes")
    return Table(header, rows, "The data, known again by their digest", texts=2, note=rest)


def _facts(environment: Mapping[str, object], names: tuple[str, ...]) -> list[tuple[str, str]]:
    known = ((name, environment.get(name)) for name in names)
    return [(name, short(value, 120)) for name, value in known if value is not None]


def _commit(environment: Mapping[str, object]) -> list[tuple[str, str]]:
    git = environment.get("git")
    if not isinstance(git, Mapping) or not git.get("commit"):
        return []
    changed = ", with changes" if git.get("dirty") else ""
    return [("git commit", short(git["commit"], 64) + changed)]
