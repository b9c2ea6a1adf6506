"""The commands on all tables of packages: choice of tables, comparison, grouping of reasons."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import real_tables
from benchmarks.forked import Ended
from benchmarks.real_tables import (
    Step,
    Trial,
    Violation,
    find_package,
    find_tables,
    kind_of_reason,
    refusals,
    violations,
)

pytestmark = pytest.mark.release


def test_an_archive_is_unpacked_without_the_files_of_macos(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "tables.tar.gz", "w:gz") as archive:
        for name in ("data/b/cars.csv", "data/a/cars.csv", "data/a/._cars.csv", "data/a/doc.html"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    folder = tmp_path / "unpacked"

    names = ["tables.tar.gz/data/a/cars.csv", "tables.tar.gz/data/b/cars.csv"]
    expected = {name: folder / name for name in names}
    assert find_tables(tmp_path / "tables.tar.gz", folder) == expected


def test_the_folder_of_a_package_is_found() -> None:
    assert find_package(sys.executable, "benchmarks") == Path(real_tables.__file__).parent


def test_all_tables_of_a_package_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "collection"
    (package / "data").mkdir(parents=True)
    files = ("__init__.py", "a.csv", "data/b.csv.bz2", "data/c.xlsx", "data/d.png", "large.csv")
    for name in files:
        (package / name).touch()
    (package / "large.csv").write_bytes(bytes(101))
    with zipfile.ZipFile(package / "more.zip", "w") as archive:
        archive.writestr("e.tsv", "x\ty\n")
    monkeypatch.setattr(real_tables, "LARGEST_BYTES", 100)

    assert [*find_tables(package, tmp_path / "unpacked")] == [
        *("a.csv", "data/b.csv.bz2", "data/c.xlsx", "more.zip/e.tsv"),
    ]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("error: /tmp/x/cars.csv: row 3: bad", "FILE: row N: bad"),
        ("Error: config.yaml:7:12: epochs: 'ten'", "FILE: epochs: NAME"),
        ("error: /tmp/x/cars.csv.bz2: is a PDF", "FILE: is a PDF"),
        ("error: holds struct<a: list<item: string>>", "holds nested values"),
        ("error: 'a', 'b' and 3 more: 1,000 rows", "NAMES: N rows"),
    ],
)
def test_a_reason_is_grouped_without_paths_names_and_numbers(reason: str, kind: str) -> None:
    assert kind_of_reason(reason) == kind


def test_refusals_are_grouped_by_kind_the_most_frequent_first() -> None:
    steps = [
        Step("init", 3, 0.1, "error: a.csv: row 1: bad"),
        Step("train", 4, 0.1, "error: diverged"),
        Step("init", 3, 0.1, "error: b.csv: row 2: bad"),
        Step("validate", 0, 0.1, ""),
    ]

    assert [
        (group["command"], group["code"], group["reason"], group["count"])
        for group in refusals([Trial("cars", "price", steps)])
    ] == [("init", 3, "FILE: row N: bad", 2), ("train", 4, "diverged", 1)]


def compare(**types: dict[str, str]) -> list[Violation]:
    trial = Trial("cars", "price")
    trial.compare(types, nameless="column_1")
    return trial.violations


def test_commands_that_agree_violate_nothing() -> None:
    types = {"column_1": "ignored", "year": "numeric"}

    assert compare(inspect=types, init=types, train=types) == []


def test_a_feature_without_a_name_is_a_violation() -> None:
    assert compare(inspect={"column_1": "ignored"}, train={"column_1": "numeric"}) == [
        Violation("column without a name is a feature", "ignored for inspect; numeric for train"),
    ]


def test_commands_that_disagree_on_a_column_violate_the_agreement() -> None:
    assert compare(
        inspect={"year": "numeric", "kind": "numeric"},
        init={"year": "numeric", "kind": "categorical"},
        train={"year": "ignored"},
    ) == [
        Violation(
            "ignored by some commands only", "year: numeric for inspect, init; ignored for train"
        ),
        Violation("types differ", "kind: numeric for inspect; categorical for init"),
    ]


def test_types_that_init_decides_are_no_disagreement(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {train: t.csv, target: y, missing: {station: [c168]}}\n"
        "input:\n  features:\n    'a: b': categorical  # codes, not quantities: 1 (7), 3 (7)\n"
        "    s: {type: categorical, encoding: embedding}  # codes, not quantities: 2088 (92)\n"
        "    kind: categorical  # text, 3 values\n"
        "    Year: ignored      # earlier rows do not have the values of later rows\n"
        "    veal: ignored      # only later rows have a value\n"
        "hidden: []\nepochs: 1\n"
    )
    assert real_tables._decided_by_init(path) == {"station", "a: b", "s", "Year", "veal"}


def test_columns_are_kept_by_the_names_that_dlcli_gives_them(tmp_path: Path) -> None:
    path, copy = tmp_path / "t.csv.gz", tmp_path / "copy.csv"
    path.write_bytes(gzip.compress(b"a,y,b,\n1,2,3,4\n"))
    assert real_tables._keep_columns(path, copy, ["a", "b", "column_4"], ["b", "column_4"])
    assert copy.read_text() == "b,column_4\n3,4\n"


def test_violations_are_grouped_by_kind() -> None:
    trial = Trial("cars", "price", violations=[Violation("traceback", "train: KeyError")])

    assert violations([trial]) == {"traceback": ["cars, target price: train: KeyError"]}


@pytest.mark.skipif(sys.platform == "win32", reason="needs forking")
def test_all_commands_run_on_a_table(tmp_path: Path, run_module: Callable[..., Ended]) -> None:
    rows = [f"{row % 7},{row % 7 * 2 + row % 3},{'ab'[row % 2]}" for row in range(60)]
    (tmp_path / "small.csv").write_text("\n".join(["x,y,kind", *rows]) + "\n")
    options = ["--tables", str(tmp_path), "--share", "1", "--jobs", "1", "--epochs", "1"]
    result = tmp_path / "result.json"
    done = run_module("benchmarks.real_tables", *options, "--json", str(result))

    assert done.code == 0, done.errors + done.output
    document = json.loads(result.read_text())
    assert (document["tables"], document["refusals"], document["violations"]) == (1, [], {})
    first, *trials = document["trials"]
    assert (first["target"], trials[-1]["target"], len(trials)) == (None, "kind", 2)
    assert [step["command"] for step in trials[0]["steps"]] == [
        *("inspect", "init", "validate", "train (types inferred)"),
        *("train", "evaluate", "predict", "predict"),
    ]
