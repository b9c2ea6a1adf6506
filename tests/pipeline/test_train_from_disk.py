"""Training from disk gives what training from memory gives, to the bit."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from mixed_table import FEATURES, mixed_table, write_images
from pyarrow import parquet

from dlcli.config.config_file import load_config
from dlcli.encoding import encoded_rows, table_encoding
from dlcli.pipeline import baselines
from dlcli.pipeline.events import Events
from dlcli.pipeline.preflight import row_storage
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.train_run import train
from dlcli.tables import stored_columns
from dlcli.training import compiled_program, randomness
from tests.recorded import recorded_in

EQUAL = {
    "weights.npz",
    "history.csv",
    "encoding.json",
    "metrics.json",
    "baselines.json",
    "predictions.parquet",
    "sample.parquet",
    "explanation.json",
    "types.json",
}
"""Files of a run that do not depend on time and folder."""
ROWS = 40
WORDS = ("red", "blue", "Größe", "don't", "007")


def draw_columns():
    """Columns of all kinds, with gaps where a feature may have some."""
    lot = np.random.default_rng(3)
    days = [datetime(2020, 1, 1) + timedelta(days=int(day)) for day in lot.permutation(ROWS)]
    columns = {
        "size": lot.normal(size=ROWS).round(3).tolist(),
        "rooms": lot.integers(0, 9, ROWS).tolist(),
        "colour": lot.choice(WORDS, ROWS).tolist(),
        "fresh": lot.choice(["true", "false"], ROWS).tolist(),
        "when": [day.isoformat() for day in days],
        "notes": [" ".join(lot.choice(WORDS, 3)) for _ in range(ROWS)],
        "title": [" ".join(lot.choice(WORDS, 2)) for _ in range(ROWS)],
    }
    for name, values in columns.items():
        gaps = lot.random(ROWS) < 0.15
        columns[name] = [None if gap else v for v, gap in zip(values, gaps, strict=True)]
    return columns | {
        "kind": lot.choice(["cat", "dog", "emu"], ROWS).tolist(),
        "tags": ["|".join(sorted(set(lot.choice(["sun", "rain"], 2)))) for _ in range(ROWS)],
        "house": lot.choice(list("abcdefgh"), ROWS).tolist(),
        "day": [day.date().isoformat() for day in days],
        "weight": (lot.random(ROWS) + 0.1).round(2).tolist(),
        "y": lot.normal(50, 10, ROWS).round(2).tolist(),
    }


COLUMNS = draw_columns()


def write_csv(path, columns, rows=slice(None), delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, delimiter=delimiter)
        lines.writerow(columns)
        lines.writerows(zip(*(values[rows] for values in columns.values()), strict=True))


def write_comma_decimals(folder):
    """Files in which 1.234 is a thousand or, as those of the training rows show, is not."""
    sizes = {"t": [f"{at},25" for at in range(ROWS)], "v": ["1,234", "5,678"], "s": ["", "1.000,5"]}
    for name, texts in sizes.items():
        columns = {"size": texts, "y": [*range(len(texts))]}
        write_csv(folder / f"comma-{name}.csv", columns, delimiter=";")


def typed_columns():
    """Some of the columns with types, a few of them rare."""
    given = COLUMNS
    when = [text and datetime.fromisoformat(text) for text in given["when"]]
    return pa.table(
        {
            "size": pa.array(given["size"], pa.float64()).cast(pa.float16()),
            "rooms": pa.array(given["rooms"], pa.int8()),
            "colour": pa.array(given["colour"], pa.large_string()),
            "fresh": [text and text == "true" for text in given["fresh"]],
            "when": pa.array(when, pa.timestamp("ms")),
            "price": [Decimal(f"{weight:.3f}") for weight in given["weight"]],
            "empty": pa.nulls(ROWS),
            "kind": pa.array(given["kind"]).dictionary_encode(),
            "y": pa.array(given["y"], pa.float32()),
        }
    )


def write_json_lines(folder):
    """Two files, in the first of which all rooms are whole."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    for name, part, more in (("1", rows[:15], 0), ("2", rows[15:], 0.5)):
        lines = [json.dumps(row | {"rooms": more + at}) for at, row in enumerate(part)]
        (folder / f"lines-{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of all cases."""
    folder = tmp_path_factory.mktemp("data")
    write_csv(folder / "t.csv", COLUMNS)
    write_csv(folder / "v.csv", COLUMNS, slice(5, 15))
    for at, columns in enumerate((COLUMNS, dict(reversed(COLUMNS.items())), COLUMNS)):
        write_csv(folder / f"part-{at}.csv", columns, slice(14 * at, 14 * at + 14))
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    parquet.write_table(typed_columns(), folder / "t.parquet", row_group_size=11)
    write_comma_decimals(folder)
    write_json_lines(folder)
    write_images(folder)
    mixed = mixed_table()
    parquet.write_table(mixed.slice(0, 20), folder / "mixed-1.parquet")
    parquet.write_table(mixed.slice(20), folder / "mixed-2.parquet")
    return folder


@pytest.fixture
def small_parts(monkeypatch):
    """Read, encode, train and validate a few rows at once, so that each step takes several."""
    monkeypatch.setattr(stored_columns, "ROWS_PER_BATCH", 7)
    monkeypatch.setattr(table_encoding, "MAX_ROWS_AT_ONCE", 5)
    monkeypatch.setattr(encoded_rows, "BLOCK_ROWS", 4)
    monkeypatch.setattr(randomness, "GROUP", 2)
    monkeypatch.setattr(randomness, "WHOLE_GROUPS", 1)
    monkeypatch.setattr(compiled_program, "CHUNK_BYTES", 256)
    monkeypatch.setattr(compiled_program, "ROWS_VALIDATED_AT_ONCE", 3)


@pytest.fixture
def short_baselines(monkeypatch):
    """Train the linear model, to which a run is compared, as shortly as the networks."""
    monkeypatch.setattr(baselines, "UPDATES", 10)


SHARES = "validation: 0.2, test: 0.2"
FEW = "input: {features: [size, rooms, colour]}\n"
TEXTS = "input:\n  features: {notes: {type: text, encoding: tf_idf}, title: {type: text}"
CASES = {
    "a CSV": (f"train: t.csv, {SHARES}, target: y", ""),
    "several CSV": (f"train: 'part-*.csv', {SHARES}, target: y", FEW),
    "Parquet": (f"train: t.parquet, {SHARES}, target: kind", "class_weight: balanced\n"),
    "held-out files": (
        "train: comma-t.csv, validation: comma-v.csv, test: [comma-s.csv], target: y",
        "",
    ),
    "strata and weights": (
        f"train: t.csv, {SHARES}, split: stratified, target: kind, sample_weight: weight",
        FEW,
    ),
    "texts": (f"train: t.csv, {SHARES}, target: y", f"{TEXTS}, size: numeric}}\n"),
    "all rows": ("train: t.csv, target: y", FEW),
    "a share and a file": ("train: t.csv, validation: 0.2, test: [v.csv], target: y", FEW),
    "groups": (f"train: t.csv, {SHARES}, split: {{name: group, column: house}}, target: y", FEW),
    "time": (f"train: t.csv, {SHARES}, split: {{name: time, column: day}}, target: y", FEW),
    "labels": (
        f"train: t.csv, {SHARES}, target: {{column: tags, type: multi_label, delimiter: '|'}}",
        FEW,
    ),
    "numbers": (f"train: t.csv, {SHARES}, target: [y, weight]", FEW),
    "packed": (f"train: t.csv.gz, {SHARES}, target: y, missing: [red]", FEW),
    "JSON lines": (f"train: 'lines-*.jsonl', {SHARES}, target: y", FEW),
    "every type of column": (f"train: 'mixed-*', {SHARES}, target: y", f"input:\n{FEATURES}"),
    "texts alone": (f"train: t.csv, {SHARES}, target: y", f"{TEXTS}}}\n"),
}
WEIGHTED = f"train: t.csv, {SHARES}, split: stratified, target: kind, sample_weight: weight"
TRAINED = {
    "strata and weights": (WEIGHTED, f"{FEW}class_weight: balanced\n"),
    "texts": CASES["texts"],
    "rows that are read at once": CASES["texts"],
    "XLA": (WEIGHTED, FEW + "engine: {name: compiled, jit_compile: true}\n"),
    "Keras": (WEIGHTED, FEW + "engine: keras\nprecision: mixed_bfloat16\n"),
}

FOR_RELEASES = ("XLA", "strata and weights", "rows that are read at once")
"""The rows of the case with Keras, under other engines, and those of the texts in one part."""


def write_config(folder, storage, data, more):
    path = folder / "t.yaml"
    path.write_text(
        f"data: {{{data}, storage: {storage}}}\n{more}"
        "hidden: [{units: 2, activation: tanh}]\nepochs: 2\nbatch_size: 8\n"
    )
    return load_config(path)


def encoded(folder, storage, data, more):
    """Return the encoded rows that training receives, and the events until then."""
    events = []
    file = write_config(folder, storage, data, more)
    with row_storage(file, folder / "run", Events()) as kept:
        assert (kept.folder is not None) == (storage == "disk")
        listener = Events(recorded_in(events))
        rows, plan = prepare(file, listener, kept)
        rows = encode_sets(rows, listener)
        arrays = {
            name: [np.asarray(each.inputs.take(np.arange(len(each.inputs)))), each.target]
            + ([] if each.weights is None else [each.weights])
            for name, each in rows.encoded.items()
        }
    numbers = {name: table.row_numbers.tolist() for name, table in rows.tables.items()}
    return (events, numbers, rows.encoding, plan.network), arrays


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("case", CASES)
def test_rows_on_disk_are_split_and_encoded_as_rows_in_memory_are(case, folder):
    facts, memory = encoded(folder, "memory", *CASES[case])
    facts_of_disk, disk = encoded(folder, "disk", *CASES[case])
    assert facts_of_disk == facts
    assert disk.keys() == memory.keys()
    for name, arrays in memory.items():
        for ours, theirs in zip(disk[name], arrays, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def trained(folder, output, storage, data, more):
    """A run's files, and the events of it."""
    events = []
    file = write_config(folder, storage, data, more)
    run = train(file, output / storage, recorded_in(events))
    return {file.name: file.read_bytes() for file in run.path.iterdir()}, events


def timeless(event):
    """An event without seconds and the run's folder."""
    name, fields = event
    return name, {
        key: field for key, field in fields.items() if key not in ("seconds", "run", "folder")
    }


@pytest.mark.usefixtures("short_baselines")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.release if case in FOR_RELEASES else pytest.mark.slow)
        for case in TRAINED
    ],
)
def test_a_run_from_disk_has_the_files_of_one_from_memory(case, folder, tmp_path, request):
    """Under XLA, test_training_streaming compares the weights."""
    if case != "rows that are read at once":
        request.getfixturevalue("small_parts")
    data, more = TRAINED[case]
    memory, events = trained(folder, tmp_path, "memory", data, more)
    disk, events_of_disk = trained(folder, tmp_path, "disk", data, more)
    assert events_of_disk.pop(0)[0] == "storage"
    assert [*map(timeless, events_of_disk)] == [*map(timeless, events)]
    assert disk.keys() == memory.keys() >= EQUAL
    assert disk.pop("resolved.yaml") == memory.pop("resolved.yaml").replace(
        b"\n  storage: memory\n", b"\n  storage: disk\n"
    )
    for name in EQUAL:
        assert disk[name] == memory[name], name
