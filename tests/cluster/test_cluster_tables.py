"""Tables of which each worker reads a share: together they are the whole table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlcli.cluster import NO_OTHERS, Workers
from dlcli.config.config_file import load_config
from dlcli.config.data_section import Input
from dlcli.encoding.column_types import (
    ROWS_LOOKED_AT,
    settle_missing_words,
    type_columns,
    words_to_read,
)
from dlcli.encoding.encoded_rows import ShardedInputs
from dlcli.errors import DataError, UsageError
from dlcli.pipeline.events import Event, Events, WarningEvent
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.tables.stored_columns import ShardedColumns, Storage
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from tests.cluster.exchanges import on_workers

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "whole": [*range(23)],
    "number": [0.5 * n for n in range(22)] + [None],
    "text": [f"word {n % 5}" for n in range(23)],
    "flag": [n % 3 == 0 for n in range(23)],
}


def _write_csv(path: Path, table: pa.Table) -> None:
    header, rows = ",".join(table.column_names), table.to_pylist()
    lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")


def _sources(folder: Path) -> dict[str, str | Path]:
    """Write the same table in several forms; return them by name."""
    table = pa.table(COLUMNS)
    _write_csv(folder / "one.csv", table)
    pq.write_table(table, folder / "one.parquet")
    pq.write_table(table, folder / "groups.parquet", row_group_size=4)
    for part, start in enumerate(range(0, 23, 5)):
        _write_csv(folder / f"part-{part}.csv", table.slice(start, 5))
        pq.write_table(table.slice(start, 5), folder / f"part-{part}.parquet")
    (folder / "one.jsonl").write_text("\n".join(_json_lines(table)) + "\n")
    names = ["one.csv", "one.parquet", "groups.parquet", "one.jsonl"]
    return {name: str(folder / name) for name in [*names, "part-*.csv", "part-*.parquet"]}


def _json_lines(table: pa.Table) -> list[str]:
    return [json.dumps(row) for row in table.to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("on_disk", [False, True])
def test_shares_of_rows_are_the_whole_table(tmp_path: Path, count: int, on_disk: bool) -> None:
    for name, source in _sources(tmp_path).items():
        whole = read_table(source)

        def read(workers: Workers, source: str | Path = source) -> tuple[Table, list[object]]:
            folder = tmp_path / f"{Path(str(source)).name}-{workers.rank}" if on_disk else None
            if folder is not None:
                folder.mkdir(exist_ok=True)
            table = read_table(source, storage=Storage(folder, workers))
            columns = [table.keep(column).to_pylist() for column in table.columns]
            some = table.take(np.array([20, 3, 3, 11]))
            slices = [part.keep("whole").to_pylist() for part in table.parts(9)]
            return table, [columns, some.keep("text").to_pylist(), some.texts("whole"), slices]

        results = on_workers(count, read)
        expected = [whole.keep(column).to_pylist() for column in whole.columns]
        held = 0
        for result in results:
            assert not isinstance(result, Exception), (name, result)
            table, (columns, words, numbers, slices) = result
            assert isinstance(table.data, ShardedColumns)
            assert columns == expected
            assert words == [expected[2][at] for at in (20, 3, 3, 11)]
            assert [*numbers] == ["20", "3", "3", "11"]  # type: ignore[misc]
            assert sum(slices, []) == expected[0]  # type: ignore[arg-type]
            assert table.rows == whole.rows
            assert table.place(22) == whole.place(22)
            held += table.data.stored.num_rows
            assert 0 < table.data.stored.num_rows < whole.rows
        assert held == whole.rows


def test_row_groups_and_files_are_read_by_one_worker_each(tmp_path: Path) -> None:
    sources = _sources(tmp_path)
    for name in ("groups.parquet", "part-*.csv"):
        (first, second) = on_workers(
            2, lambda e, s=sources[name]: read_table(s, storage=Storage(workers=e)).data
        )
        assert isinstance(first, ShardedColumns) and isinstance(second, ShardedColumns)
        assert (np.diff(first.shares.owners) >= 0).all()  # adjacent rows
        assert first.stored.num_rows % (4 if "groups" in name else 5) == 0


def test_the_rows_of_others_are_not_held_in_memory(tmp_path: Path) -> None:
    table = pa.table({"number": np.linspace(0.5, 1.0, 4000)})
    _write_csv(tmp_path / "one.csv", table)
    pq.write_table(table, tmp_path / "one.parquet")
    for path in (tmp_path / "one.csv", tmp_path / "one.parquet"):
        whole = read_table(path).data
        for found in on_workers(
            4, lambda e, p=path: read_table(p, storage=Storage(workers=e)).data
        ):
            assert isinstance(found, ShardedColumns) and isinstance(found.stored, pa.Table)
            assert found.stored.num_rows == 1000
            assert found.stored.get_total_buffer_size() < whole.get_total_buffer_size() / 3


def test_a_file_that_one_worker_cannot_read_ends_all(tmp_path: Path) -> None:
    sources = _sources(tmp_path)
    (tmp_path / "part-3.csv").write_text("whole,number,text,flag\n1,2\n")
    errors = on_workers(
        2, lambda workers: read_table(sources["part-*.csv"], storage=Storage(workers=workers))
    )
    assert all(isinstance(error, DataError) for error in errors)
    assert len({str(error) for error in errors}) == 1
    assert "part-3.csv" in str(errors[0])
    absent = on_workers(
        2, lambda workers: read_table(tmp_path / "no.csv", storage=Storage(workers=workers))
    )
    assert all(isinstance(error, UsageError) for error in absent)


def test_files_whose_types_differ_are_one_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1, 2, 3], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [0.5, 1.5]}), tmp_path / "b.parquet")
    source = str(tmp_path / "*.parquet")
    for result in on_workers(
        2, lambda e: read_table(source, storage=Storage(workers=e)).keep("x").to_pylist()
    ):
        assert result == [1.0, 2.0, 3.0, 0.5, 1.5]
    pq.write_table(pa.table({"x": [2**53 + 1]}), tmp_path / "a.parquet")
    for error in on_workers(2, lambda e: read_table(source, storage=Storage(workers=e))):
        assert isinstance(error, DataError) and "can't hold all values exactly" in str(error)


CONFIG = """
data:
  train: table.csv
  validation: 0.2
  test: 0.2
  target: price
  sample_weight: weight
input:
  features:
    size: {type: numeric, missing: median}
    area: {type: numeric, encoding: {name: piecewise_linear, bins: 4}}
    color: categorical
    notes: text
    day: {type: datetime, parts: [month, weekday]}
hidden: []
epochs: 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("on_disk", [False, True])
def test_rows_are_encoded_as_on_one_machine(tmp_path: Path, count: int, on_disk: bool) -> None:
    rng = np.random.default_rng(1)
    lines = ["size,area,color,notes,day,weight,price"]
    for row in range(60):
        size = "" if row % 7 == 0 else f"{rng.normal():.3f}"
        color = "violet" if row == 55 else rng.choice(["red", "green", "blue"])
        text = " ".join(rng.choice(["old", "new", "large"], 2))
        day = f"2024-{1 + row % 12:02}-{1 + row % 28:02}"
        lines.append(f"{size},{rng.exponential():.3f},{color},{text},{day},{1 + row % 3},{row}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    file = load_config(tmp_path / "config.yaml")

    def encode(workers: Workers) -> tuple[object, dict[str, object], list[str]]:
        warnings: list[str] = []

        def listen(event: Event) -> None:
            if isinstance(event, WarningEvent):
                warnings.append(event.message)

        events, folder = Events(listen), None
        if on_disk:
            folder = tmp_path / f"{workers.size}-{workers.rank}"
            folder.mkdir()
        rows, _ = prepare(file, events, Storage(folder, workers))
        encoded = encode_sets(rows, events).encoded
        arrays = {
            name: (each.inputs.part(0, len(each.inputs)), each.target, each.weights)
            for name, each in encoded.items()
        }
        if workers.size > 1:
            assert isinstance(encoded["train"].inputs, ShardedInputs)
            some = encoded["train"].select(np.array([30, 2, 9]))
            np.testing.assert_array_equal(
                some.inputs.take(np.array([2, 0])), arrays["train"][0][[9, 30]]
            )
        return rows.encoding, arrays, warnings

    encoding, expected, warnings = encode(NO_OTHERS)
    for result in on_workers(count, encode):
        assert not isinstance(result, Exception), result
        assert result[0] == encoding
        assert result[2] == warnings
        for name, arrays in expected.items():
            for found, array in zip(result[1][name], arrays, strict=True):  # type: ignore[call-overload]
                np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_set_may_have_fewer_rows_than_there_are_workers(tmp_path: Path, on_disk: bool) -> None:
    (tmp_path / "train.csv").write_text("x,y\na,1\nb,2\na,3\n")
    (tmp_path / "test.csv").write_text("x,y\nb,4\n")
    config = "data: {train: train.csv, test: test.csv, target: y}\nhidden: []\nepochs: 1\n"
    (tmp_path / "config.yaml").write_text(config)
    file = load_config(tmp_path / "config.yaml")

    def encode(workers: Workers) -> list[list[float]]:
        events, folder = Events(), None
        if on_disk:
            folder = tmp_path / str(workers.rank)
            folder.mkdir()
        rows, _ = prepare(file, events, Storage(folder, workers))
        encoded = encode_sets(rows, events).encoded
        return [*map(list, encoded["test"].inputs.part(0, 1))]

    assert on_workers(3, encode) == [[[0, 1]]] * 3


@pytest.mark.parametrize("count", [2, 3])
def test_types_of_a_long_table_are_those_of_one_machine(tmp_path: Path, count: int) -> None:
    rows = ROWS_LOOKED_AT + 1_000
    numbers = np.arange(rows) % 977
    texts = [str(number) for number in numbers]
    columns: dict[str, object] = {
        "plain": numbers / 8,
        "few": numbers % 3,
        "written": texts,
        "stray": [*texts[:-2], "oops", "5"],  # in a row that is not looked at
        "huge": [*(numbers / 8)[:-2], 1e300, 0.5],
        "flag": [text == "1" for text in texts],
        "word": [f"word {number % 40}" for number in numbers],
        "empty": [None] * (rows - 2) + ["NA", "1"],
    }
    pq.write_table(pa.table(columns), tmp_path / "table.parquet", row_group_size=9_000)

    def infer(workers: Workers) -> dict[str, object]:
        table = read_table(
            tmp_path / "table.parquet", words_to_read(), storage=Storage(workers=workers)
        )
        (table,) = settle_missing_words([table])
        return dict(type_columns(Input(), table, ()))

    expected = infer(NO_OTHERS)
    for found in on_workers(count, infer):
        assert found == expected


@pytest.mark.parametrize("count", [2, 3])
def test_each_worker_computes_some_columns(tmp_path: Path, count: int) -> None:
    source = _sources(tmp_path)["part-*.csv"]
    names = [*COLUMNS, "text", "whole"]
    expected = [f"{name}: {len({*COLUMNS[name]} - {None})}" for name in names]

    def describe(workers: Workers) -> object:
        own = []

        def count(name: str, table: Table) -> str:
            own.append(name)
            assert table.columns == (name,) and table.shares is None
            return f"{name}: {len(table.codes(name)[1])}"

        table = read_table(source, storage=Storage(workers=workers))
        return own, table.by_column(names, count, str, str)

    results = on_workers(count, describe)
    assert [own for own, _ in results] == [names[rank::count] for rank in range(count)]  # type: ignore[misc]
    assert [found for _, found in results] == [expected] * count  # type: ignore[misc]


def test_all_workers_have_the_error_of_the_first_column(tmp_path: Path) -> None:
    source = _sources(tmp_path)["one.csv"]

    def fail(name: str, table: Table) -> str:
        if name == "whole":
            return name
        raise DataError(f"{name} can't be read", file=table.file)

    def describe(workers: Workers) -> object:
        return read_table(source, storage=Storage(workers=workers)).by_column(
            [*COLUMNS], fail, str, str
        )

    for error in on_workers(3, describe):
        assert isinstance(error, DataError) and "number can't be read" in str(error)


def test_a_wrong_value_of_one_share_is_the_error_of_all(tmp_path: Path) -> None:
    lines = [f"{n},{n}" for n in range(20)]
    (tmp_path / "train.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join(["x,y", *lines[:9], "oops,3"]) + "\n")
    (tmp_path / "config.yaml").write_text(
        "data: {train: train.csv, test: test.csv, target: y}\ninput: {features: {x: numeric}}\n"
        "hidden: []\nepochs: 1\n"
    )
    file, events = load_config(tmp_path / "config.yaml"), Events()

    def encode(workers: Workers) -> object:
        return encode_sets(prepare(file, events, Storage(workers=workers))[0], events)

    errors = on_workers(2, encode)
    assert all(isinstance(error, DataError) for error in errors), errors
    assert {str(error) for error in errors} == {str(errors[0])}
    assert "test.csv" in str(errors[0]) and "row 10" in str(errors[0]) and "oops" in str(errors[0])


def test_workers_that_read_different_columns_are_noticed(tmp_path: Path) -> None:
    source = _sources(tmp_path)["one.csv"]

    def read(workers: Workers) -> object:
        table = read_table(source, storage=Storage(workers=workers))
        return table.keep(table.columns[workers.rank])

    with pytest.raises(RuntimeError, match="read different columns: whole, number"):
        on_workers(2, read)


READ_AND_HASH = """
from dlcli.config.config_file import make_config
from dlcli.data_checks.row_checks import _stable_hash
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.tables.stored_columns import Storage
from dlcli.tables.stored_columns import ShardedColumns
from dlcli.cluster import ConnectedWorkers

class OnlyWorker(ConnectedWorkers):
    def gather_bytes(self, message):
        return [message]

read = []
column = ShardedColumns.column
ShardedColumns.column = lambda self, name: read.append(name) or column(self, name)
TARGETS = {"penguins": "Species", "steering": "steering_angle", "tictactoe": "x_wins"}
for table, target in TARGETS.items():
    text = f"data: {{train: data/{table}.csv, target: {target}, validation: 0.2}}"
    events = Events()
    file = make_config(text + "\\nhidden: []\\nepochs: 1")
    rows, _ = prepare(file, events, Storage(workers=OnlyWorker()))
    encode_sets(rows, events)
print(read)
print(_stable_hash("größer"))
"""


@pytest.mark.slow
def test_each_process_reads_columns_in_the_same_order_and_hashes_rows_alike() -> None:
    """Python's own hash of a text, and with it the order of a set, differs between processes."""
    orders, hashes = set(), set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", READ_AND_HASH]
        answer = subprocess.check_output(command, env=environment, cwd=ROOT, text=True)
        read, hashed = answer.splitlines()
        orders.add(read)
        hashes.add(hashed)
    assert len(orders) == len(hashes) == 1
    assert len(orders.pop()) > 2_000
