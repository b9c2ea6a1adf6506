"""A megabyte of hostile content in any document of a run folder takes little memory and time.

An invalid document is refused at its first invalid item. If pydantic recorded an error for each
item, a megabyte would take more than 500 MB.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlcli.errors import RunError
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.prediction.gates import GateResults
from dlcli.runs.file_formats import parse_history, read_parquet, write_parquet
from dlcli.safe_files import parse_document

MEMORY = """
from pathlib import Path

def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024
"""
MEASURE = """
import importlib, inspect, json, pkgutil, time
import dlcli
from dlcli.errors import RunError
from dlcli.safe_files import Stored, parse_document

LAZY = ("dlcli.__main__", "dlcli.sklearn", "dlcli.keras_model")
for module in pkgutil.walk_packages(dlcli.__path__, "dlcli."):
    if module.name not in LAZY and not module.name.startswith("dlcli.training"):
        importlib.import_module(module.name)

def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)

SIZE = 10**6
def shapes(size):
    yield "[" + ",".join(["{}"] * (size // 3)) + "]"
    yield "[" + ",".join(['{"":1}'] * (size // 7)) + "]"
    yield "{" + ",".join(f'"{at}":{{}}' for at in range(size // 11)) + "}"

count = 0
for kind in {each.__qualname__: each for each in subclasses(Stored)}.values():
    if inspect.isabstract(kind) or kind.__qualname__ == "RunLog":  # whose fields are lists
        continue
    names = [field.validation_alias or name for name, field in kind.model_fields.items()]
    names = [name for name in names if isinstance(name, str)]
    for shape in shapes(SIZE // max(1, len(names))):
        text = "{" + ",".join(f"{json.dumps(name)}:{shape}" for name in names) + "}"
        Path("/proc/self/clear_refs").write_text("5")
        before, start = megabytes("VmRSS"), time.process_time()
        try:
            parse_document(kind, text, "the file")
        except RunError:
            count += 1
        seconds, memory = time.process_time() - start, megabytes("VmHWM") - before
        if seconds > 2 or memory > 100:
            print(kind.__qualname__, text[:80], round(memory), "MB", round(seconds, 1), "s")
print(count > 100)
"""


def printed(script: str, folder: Path, *arguments: str) -> tuple[str, str]:
    """What a script that measures its memory prints, on standard output and error."""
    command = [sys.executable, "-c", MEMORY + script, *arguments]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return found.stdout, found.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
def test_a_megabyte_in_any_document_takes_little_memory_and_time(tmp_path: Path) -> None:
    assert printed(MEASURE, tmp_path) == ("True\n", "")


LONG = "a" * 100_000


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ([LONG] * 2000, {}, "expands to more than 64 times its size"),
        ([LONG] * 2000, {"compression": "zstd"}, "is encoded as ZSTD"),
        (
            [f"{LONG}{at}" for at in range(2000)],
            {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
            "is encoded as DELTA_BYTE_ARRAY",
        ),
        ([LONG.encode()] * 2000, {}, "column 'text' is of the type binary"),
        ([[0] * 1000] * 2000, {}, "column 'text' is of the type list<element: int64>"),
    ],
)
def test_a_small_table_is_refused_before_it_fills_the_memory(
    column: list[object], options: dict[str, object], message: str
) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"row": np.arange(2000), "text": column}), stream, **options)
    assert len(stream.getvalue()) < 400_000
    with pytest.raises(RunError, match=message):
        read_parquet(stream, "predictions.parquet")


def test_a_lack_of_memory_is_not_a_damaged_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 131072 failed")

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(MemoryError):
        read_parquet(io.BytesIO(), "predictions.parquet")


def test_a_table_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A table with a constant prediction of 100 classes is 60 times as large as row numbers."""
    rows = 20_000
    constant = {f"p{at}": np.full(rows, 0.01, np.float32) for at in range(100)}
    table = pa.table({"row": np.arange(rows), "split": ["validation"] * rows, **constant})
    write_parquet(tmp_path / "predictions.parquet", table)
    with (tmp_path / "predictions.parquet").open("rb") as stream:
        assert read_parquet(stream, "predictions.parquet").equals(table)
    assert (tmp_path / "predictions.parquet").stat().st_size > table.nbytes / 2


def test_unknown_keys_and_empty_objects_are_refused_before_they_fill_the_memory() -> None:
    for text, message in (
        (f'{{"results":[{"{}," * 300_000}{{}}]}}', "has too many lists and objects for its length"),
        (
            "{" + ",".join(f'"{at}":1' for at in range(90_000)) + "}",
            "it has more than 1,000 unknown keys",
        ),
        ('{"results":[],"a":1}', "at 'a': Extra inputs are not permitted"),
    ):
        with pytest.raises(RunError, match=message):
            parse_document(GateResults, text, "gates.json:")


def test_braces_in_texts_are_not_counted_as_objects() -> None:
    texts = '"{[\\"", ' * 100_000
    text = f'{{"a": {{"words": [{texts}"x"]}}}}'
    with pytest.raises(RunError, match="at 'results': Field required"):
        parse_document(GateResults, text, "gates.json:")


LISTS = """
import json, time
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError

def cost(path):
    Path("/proc/self/clear_refs").write_text("5")
    before, start = megabytes("VmRSS"), time.process_time()
    try:
        load_config(path)
    except ConfigError:
        return time.process_time() - start, megabytes("VmHWM") - before
    return "accepted"

pairs = {str(at): "x" for at in range(49_000)}
valid = {"data": {"train": "a.csv", "target": "y"}, "hidden": [], "epochs": 1}
items = [1] * 99_000, [str(at) for at in range(99_000)]
for change in (
    {"hidden": items[1]},
    {"data": {"train": items[0], "target": "y"}},
    {"data": {"train": "a.csv", "target": items[0]}},
    {"evaluate_by": items[0]},
    {"data": {"train": "a.csv", "target": "y", "names": items[0]}},
    {"data": {"train": "a.csv", "target": "y", "validation": items[0]}},
    {"data": {"train": "a.csv", "target": "y", "missing": items[0]}},
    {"data": {"train": "a.csv", "target": "y", "prevalence": pairs}},
    {"decision": {"costs": {"a": pairs}}},
    {"loss": {"name": "quantile", "levels": items[0]}},
):
    Path("long.yaml").write_text(json.dumps(valid | change))
    seconds, memory = cost(Path("long.yaml"))
    if seconds > 2 or memory > 100:
        print(*change, round(memory), "MB", round(seconds, 1), "s")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
def test_a_long_list_in_a_config_takes_little_memory_and_time(tmp_path: Path) -> None:
    assert printed(LISTS, tmp_path) == ("", "")


FILES = """
import io, json, os, shutil, sys, time, zipfile
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from click.testing import CliRunner
from dlcli.cli.program import main
from dlcli.runs.manifest import Manifest

SIZE = 10**6
corpus = Path(sys.argv[1])

def filled(shape, size):
    return {
        "objects": "[" + ",".join(['{"":1}'] * (size // 7)) + "]",
        "numbers": "[" + ",".join(["1"] * (size // 2)) + "]",
        "keys": "{" + ",".join(f'"{at}":1' for at in range(size // 9)) + "}",
        "text": '"' + "a" * size + '"',
    }[shape]

def contents(path):
    known = path.read_bytes()
    shapes = ("objects", "numbers", "keys", "text")
    if path.suffix == ".json":
        keys = [*json.loads(known)]
        for shape in shapes:
            part = filled(shape, SIZE // len(keys))
            yield "{" + ",".join(f"{json.dumps(key)}:{part}" for key in keys) + "}"
        yield known.decode().rstrip()[:-1] + "," + filled("keys", SIZE)[1:]
        yield "[" * SIZE
        yield '{"format":' + "1" * SIZE + "}"
    elif path.suffix == ".yaml":
        start = "data: {train: a.csv, target: y}\\nepochs: 1\\n"
        for shape in shapes:
            yield start + "hidden: " + filled(shape, SIZE)
            yield start + "hidden: []\\ninput: {features: " + filled(shape, SIZE) + "}"
        yield "- " * (SIZE // 2)
    elif path.suffix == ".csv":
        header = known.split(b"\\n")[0].decode()
        yield header + "\\n" + ",".join(["1"] * len(header.split(","))) * 50_000
        yield "epoch" + ",x" * (SIZE // 2)
        yield "epoch,loss\\n" + "".join(f"{at},1\\n" for at in range(1, SIZE // 8))
    elif path.suffix in (".jsonl", ".journal"):
        yield "{}\\n" * (SIZE // 3)
        yield '{"event":"epoch"}\\n' * (SIZE // 18)
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        for rows in (10**5, 10**6, 10**7):
            yield parquet(table.take(np.zeros(rows, np.int64)))
        yield parquet(pa.table({str(at): [1] for at in range(3000)}))
    elif path.suffix in (".npz", ".keras"):
        names = zipfile.ZipFile(path).namelist()
        yield archive(dict.fromkeys(names, bytes(10**7)))
        yield archive({str(at): b"" for at in range(SIZE // 110)})

def parquet(table):
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()

def archive(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()

def cost(arguments):
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        Path("/proc/self/clear_refs").write_text("5")
        before, start = megabytes("VmRSS"), time.process_time()
        result = CliRunner().invoke(main, arguments)
        found = time.process_time() - start, megabytes("VmHWM") - before, result.exit_code
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        found = stream.read()
    os.waitpid(child, 0)
    return json.loads(found)

count = 0
for name in ("classification", "classes", "validated", "searched"):
    run = shutil.copytree(corpus / "runs" / name, Path("runs", name))
    kind = json.loads((run / "manifest.json").read_text())["kind"]
    report = ["report", str(run), "--output", "report.html"]
    commands = [report, ["runs", "runs"]]
    if kind == "train":
        new, table, good_run = corpus / "new.csv", corpus / "table.csv", corpus / "runs" / name
        commands += [
            ["predict", str(run), str(new), "--output", "new.csv"],
            ["evaluate", str(run), str(table)],
            ["drift", str(run), str(new), "--reference", str(table), "--fail-on", "never"],
            ["diagnose", str(run)],
            ["compare", str(run), str(good_run)],
        ]
    for command in commands:
        assert CliRunner().invoke(main, command).exit_code == 0, command  # loads what it needs
    for path in sorted(each for each in run.iterdir() if each.is_file()):
        good, sealed = path.read_bytes(), (run / "manifest.json").read_bytes()
        for content in contents(path):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            if path.name != "manifest.json":
                (run / "manifest.json").write_bytes(Manifest.describe(run, kind).to_json())
            for command in commands:
                Path("report.html").unlink(missing_ok=True)
                Path("new.csv").unlink(missing_ok=True)
                seconds, memory, code = cost(command)
                count += 1
                if seconds > 2 or memory > 100 or code not in (0, 5):
                    print(name, path.name, str(content)[:60], command[0], seconds, memory, code)
        path.write_bytes(good)
        (run / "manifest.json").write_bytes(sealed)
    shutil.rmtree(run)
print(count > 500)
"""
CORPUS = Path(__file__).parents[1] / "compatibility/corpus/0.1.0"


@pytest.mark.release
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
def test_a_megabyte_in_any_file_of_a_run_costs_little_memory_and_time(tmp_path: Path) -> None:
    assert printed(FILES, tmp_path, str(CORPUS)) == ("True\n", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n" * 1_000_000, "does not begin with the column 'epoch'"),
        (b"," * 1_000_000, "does not begin with the column 'epoch'"),
        (b"epoch\n" + b"1\n" * 500_000, "does not number its epochs from 1"),
    ],
)
def test_a_megabyte_without_epochs_is_refused_with_little_memory(
    content: bytes, message: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RunError, match=message):
            parse_history(content, "history.csv")
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()


def test_many_signs_of_leakage_are_counted_but_not_all_listed() -> None:
    comparison = BaselineComparison(leaks={str(at): 1.0 for at in range(100_000)})
    suspicion = comparison.suspicion(out_of_fold=False)
    assert suspicion is not None
    assert len(suspicion.leaks) == 100
