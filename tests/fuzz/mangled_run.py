"""A run with one thing in it changed, and a manifest to match, as a forger would."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlcli.runs.manifest import Manifest

FILES = (
    "metrics.json",
    "baselines.json",
    "verdicts.json",
    "explanation.json",
    "environment.json",
    "history.csv",
    "events.jsonl",
    "predictions.parquet",
    "sample.parquet",
)
"""What only those verbs read that look at a run, and not those that predict with it."""
VALUES = (
    *(None, True, 0, -1, -0.0, 5e-324, 1e308, -1e308, 10**400, "", "x", "9" * 400),
    *("__proto__", "</script>", [], {}, [[]], {"a": 1}, [None], ["a", 1]),
)
FIELDS = ("", "nan", "inf", "-1e308", "1e308", "x", "0")
_SHOWN = 6
"""Of how many entries of a list one may be changed."""

Path_ = tuple[Any, ...]


def mangle(run: Path, seed: int) -> str:
    """Changes a file of a run.

    Returns:
        Which, and how.
    """
    draw = random.Random(seed)
    file = run / draw.choice(FILES)
    if file.suffix == ".json":
        changed = _mangle_json(file, draw)
    elif file.suffix == ".csv":
        changed = _mangle_csv(file, draw)
    elif file.suffix == ".jsonl":
        changed = _mangle_lines(file, draw)
    else:
        changed = _mangle_table(file, draw)
    (run / "manifest.json").write_bytes(Manifest.describe(run, "train").to_json())
    return f"{file.name}: {changed}"


def _mangle_json(file: Path, draw: random.Random) -> str:
    value, changed = _changed(json.loads(file.read_text()), draw)
    file.write_text(json.dumps(value))
    return changed


def _mangle_lines(file: Path, draw: random.Random) -> str:
    lines = file.read_text().splitlines()
    at = draw.randrange(len(lines))
    value, changed = _changed(json.loads(lines[at]), draw)
    lines[at] = json.dumps(value)
    file.write_text("\n".join(lines) + "\n")
    return f"line {at + 1}: {changed}"


def _mangle_csv(file: Path, draw: random.Random) -> str:
    lines = [line.split(",") for line in file.read_text().splitlines()]
    row, column = draw.randrange(len(lines)), draw.randrange(len(lines[0]))
    lines[row][column] = draw.choice(FIELDS)
    kept = lines if draw.random() < 0.85 else lines[:1]
    file.write_text("".join(f"{','.join(line)}\n" for line in kept))
    return f"row {row}, column {column} is {lines[row][column]!r}; {len(kept)} rows"


def _mangle_table(file: Path, draw: random.Random) -> str:
    table = pq.read_table(file)
    name = draw.choice(table.column_names)
    at, kind, rows = table.column_names.index(name), table.schema.field(name).type, len(table)
    mangled = {
        "dropped": lambda: table.drop_columns([name]),
        "twice": lambda: table.append_column(name, table.column(name)),
        "empty": lambda: table.set_column(at, name, pa.nulls(rows, kind)),
        "lists": lambda: table.set_column(at, name, pa.array([["a"]] * rows)),
        "no numbers": lambda: table.set_column(at, name, pa.array([float("nan")] * rows)),
        "without rows": lambda: table.slice(0, 0),
    }
    how = draw.choice(list(mangled))
    pq.write_table(mangled[how](), file)
    return f"column {name!r} {how}"


def _changed(value: Any, draw: random.Random) -> tuple[Any, str]:
    """A JSON value with one part of it put otherwise, or left out."""
    path = draw.choice(list(_places(value)))
    new = draw.choice(VALUES)
    if not path:
        return new, f"is {new!r}"
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if isinstance(holder, dict) and draw.random() < 0.2:
        del holder[path[-1]]
        return value, f"{path} is left out"
    holder[path[-1]] = new
    return value, f"{path} is {new!r}"


def _places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yields the ways to all parts of a JSON value."""
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = list(enumerate(value))[:_SHOWN]
    for key, part in pairs:
        yield from _places(part, (*path, key))
