"""The functions of exported scripts, which need pandas, next to what dlcli does.

`tests/api/test_beside_pandas.py` runs this file in a process that can import pandas.
"""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from untrained_runs import make_run

from dlcli.columns.value_problems import ValueProblems
from dlcli.exports.python_script import export_script
from dlcli.runs.run import Run
from dlcli.tables.column import Column
from dlcli.tables.datetime_parsing import parse_times
from dlcli.tables.table import Table


def run_of(folder: Path, name: str, config: str) -> Run:
    (folder / f"{name}.yaml").write_text(config)
    return make_run(folder / f"{name}.yaml", folder / name)


def functions_of(script: Path) -> dict[str, Any]:
    """Return the functions and the settings of a script, which is not run."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    kept = [
        each
        for each in tree.body
        if isinstance(each, ast.FunctionDef | ast.Import)
        or (isinstance(each, ast.Assign) and ast.unparse(each.targets[0]).isupper())
    ]
    found: dict[str, Any] = {"__file__": str(script), "Path": Path}
    exec(compile(ast.Module(kept, []), str(script), "exec"), found)  # noqa: S102
    return found


@pytest.mark.parametrize("scaling", ["standard", "log1p"])
def test_a_constant_column_is_only_shifted(scaling: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "0.1,1\n0.1,2\n" * 7)
    features = f"{{x: {{type: numeric, scaling: {scaling}}}}}"
    config = f"data: {{train: t.csv, target: y}}\ninput: {{features: {features}}}\n"
    run = run_of(tmp_path, "run", f"{config}hidden: []\nepochs: 1\n")
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    spec = script["FEATURES"]["x"]
    fitted = script["fit_number"](pd.Series(["0.1"] * 14), spec)
    encoded = script["encode_number"](pd.Series(["0.1", "0.3"]), spec, fitted)
    table = Table("t.csv", pa.table({"x": [0.1, 0.3]}), np.arange(2))
    expected = run.predictor.encoding.transform(table, ValueProblems()).part(0, table.rows)
    np.testing.assert_allclose(encoded, expected, rtol=1e-6, atol=1e-12)


def test_of_equally_frequent_categories_the_first_in_order_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "c,1\nb,2\na,3\n,4\n" * 5)
    features = "{x: {type: categorical, max_categories: 2, missing: most_frequent}}"
    config = f"data: {{train: t.csv, target: y}}\ninput: {{features: {features}}}\n"
    run = run_of(tmp_path, "run", f"{config}hidden: []\nepochs: 1\n")
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    values, spec = pd.Series(["c", "b", "a", ""] * 5), script["FEATURES"]["x"]
    fitted = script["fit_category"](values, spec)
    [encoder] = run.predictor.encoding.features
    assert (tuple(fitted["categories"]), fitted["most_frequent"]) == (
        encoder.categories,
        encoder.fill,
    )
    assert script["encode_category"](values, spec, fitted).shape == (20, len(encoder.inputs))


@pytest.mark.parametrize(
    ("zone", "format", "values"),
    [
        ("UTC", "iso", ["2024-05-01 10:00:00,5", "9999-12-31", "0900-01-01", "no date"]),
        (
            "Europe/Berlin",
            "iso",
            # One without an offset, also within the hours that clocks skip and repeat.
            ["2024-01-01T10:00+01:00", "2024-07-01T10:00+02", "2024-07-01 10:00", "2024-07-01"]
            + ["2024-03-31 02:30", "2024-10-27 02:30", "2024-07-01T10:00Z"],
        ),
        (
            "America/New_York",
            "%d.%m.%Y %H:%M %z",
            ["01.01.2024 10:00 +0100", "01.07.2024 10:00 +0200"],
        ),
        ("America/New_York", "%H:%M %d-%m-%Y", ["10:30 01-02-2024"]),
    ],
)
def test_times_in_a_script_are_those_of_the_run(
    zone: str, format: str, values: list[str], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("t,y\n" + f'"{values[0]}",1\n"{values[1 % len(values)]}",2\n')
    feature = json.dumps({"type": "datetime", "format": format, "timezone": zone})
    config = f"data: {{train: t.csv, target: y}}\ninput: {{features: {{t: {feature}}}}}\n"
    run = run_of(tmp_path, "run", f"{config}hidden: []\nepochs: 1\n")
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    read = script["as_date"](pd.Series(values), script["FEATURES"]["t"])
    column = Column("t", pa.chunked_array([values]), "t.csv", ())
    times = parse_times(column, (format,), zone)
    expected = pd.Series(times.moments).where(~times.unreadable)
    microseconds = (read - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(microseconds=1)
    pd.testing.assert_series_equal(microseconds, expected, check_dtype=False)


def test_words_in_a_script_are_those_of_the_run(tmp_path: Path) -> None:
    texts = [
        "Don’t STOP -- it's 'quoted' a''b",
        "so\u00adft ze\u200bro \u0301mark e\u0301tude x\ufe0f",
        "ΣΟΦΟΣ İstanbul Größe ﬁ ½ Å Ⅷ",
        "हिन्दी বাংলা தமிழ் שָׁלוֹם مَرْحَبًا 한국어",
        "漢字かなカタカナ人々 ที่นี่ မြန်မာ ខ្មែរ ລາວ",
    ]
    lines = "".join(f'"{text}",{row}\n' for row, text in enumerate(texts * 2))
    (tmp_path / "t.csv").write_text(f"x,y\n{lines}", encoding="utf-8")
    features = "{x: {type: text, encoding: {name: count, min_count: 1, ngrams: 2}}}"
    config = f"data: {{train: t.csv, target: y}}\ninput: {{features: {features}}}\n"
    run = run_of(tmp_path, "run", f"{config}hidden: []\nepochs: 1\n")
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    fitted = script["fit_text"](pd.Series(texts * 2), script["FEATURES"]["x"])
    [encoder] = run.predictor.encoding.features
    assert tuple(fitted["counts"]) == encoder.tokens


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.jsonl.gz"])
def test_large_identifiers_next_to_missing_values_stay_apart_in_a_script(
    name: str, tmp_path: Path
) -> None:
    table = pa.table({"x": [2**60, 2**60 + 1, None] * 4, "y": range(12)})
    pq.write_table(table, tmp_path / "t.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    (tmp_path / "t.jsonl").write_text(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    config = f"data: {{train: {name}, target: y}}\ninput: {{features: {{x: categorical}}}}\n"
    run = run_of(tmp_path, "run", f"{config}hidden: []\nepochs: 1\n")
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    values = script["read"](f"../{name}")["x"]
    fitted = script["fit_category"](values, script["FEATURES"]["x"])
    assert fitted["categories"] == [str(2**60), str(2**60 + 1)]


def test_rows_without_one_of_several_labels_have_no_target_in_a_script(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,big,red\n" + "1,true,false\n2,false,true\n3,,true\n" * 4)
    config = "data: {train: t.csv, target: [big, red]}\nhidden: []\nepochs: 1\n"
    run = run_of(tmp_path, "run", config)
    script = functions_of(export_script(run, tmp_path / "script") / "train.py")
    rows = script["with_target"](script["read"]("../t.csv"))
    assert rows["x"].tolist() == ["1", "2"] * 4
