"""The catalogue of bad and odd data: one clear message, and nothing left behind; or it trains."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CONFIG = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"
WEIGHTED = CONFIG.replace("target: y", "target: y, sample_weight: w")
SPLIT = CONFIG.replace("target: y", "target: y, validation: 0.2, test: 0.2")
NUMERIC = f"{CONFIG}input: {{features: {{x: numeric}}}}\n"

LINES = [f"{at / 2},{3 * at}" for at in range(20)]


def csv(lines: list[str], header: str = "x,y") -> str:
    return "".join(f"{line}\n" for line in [header, *lines])


def with_fourth(line: str) -> str:
    """Good rows, but for the fourth."""
    return csv([*LINES[:3], line, *LINES[4:]])


def weights(fourth: str) -> str:
    return csv([f"{line},{fourth if at == 3 else 1}" for at, line in enumerate(LINES)], "x,y,w")


def targets(*values: object, count: int = 20) -> str:
    """Rows with targets that repeat in turn."""
    return csv([f"{at / 2},{values[at % len(values)]}" for at in range(count)])


def parquet() -> bytes:
    content = io.BytesIO()
    numbers = [at / 2 for at in range(20)]
    pq.write_table(pa.table({"x": numbers, "y": numbers}), content)
    return content.getvalue()


GOOD = csv(LINES)

REFUSED = {
    "a missing file": (None, CONFIG, 2, "c.yaml:1:15: data.train: t.csv: no such file"),
    "a missing target": (
        csv(LINES, "x,z"),
        CONFIG,
        2,
        "c.yaml:1:30: data.target.column: no column 'y' in t.csv; the table has x, z",
    ),
    "a missing feature": (
        csv(LINES, "a,y"),
        NUMERIC,
        2,
        "c.yaml:4:23: input.features.x: no such column in the table",
    ),
    "a missing weight": (
        GOOD,
        WEIGHTED,
        2,
        "c.yaml:1:48: data.sample_weight: no column 'w' in t.csv; the table has x, y",
    ),
    "nothing": ("", CONFIG, 3, "t.csv: is empty, expected a header and rows"),
    "blank lines": ("\n\n", CONFIG, 3, "t.csv: is empty, expected a header and rows"),
    "a header alone": ("x,y\n", CONFIG, 3, "t.csv: has a header but no rows"),
    "an unclosed quote": (
        with_fourth('"1.5,9'),
        CONFIG,
        3,
        "t.csv: row 4: a closing quote is missing or not at the end of its field; see line 5",
    ),
    "an unclosed quote in the last field of all": (
        csv([*LINES, '1,"9']),
        CONFIG,
        3,
        "t.csv: row 21: a closing quote is missing or not at the end of its field; see line 22",
    ),
    "a long row": (
        with_fourth("1.5,9,9"),
        CONFIG,
        3,
        "t.csv: row 4: has 3 fields, but the header has 2 (line 5 of the file)",
    ),
    "a short row": (
        with_fourth("1.5"),
        CONFIG,
        3,
        "t.csv: row 4: has 1 field, but the header has 2 (line 5 of the file)",
    ),
    "a NUL": (
        with_fourth("1.5,\0"),
        CONFIG,
        3,
        "t.csv: row 4, column 'y': found a NUL byte, expected text; is the file damaged, or not a table?",
    ),
    "the word inf": (
        with_fourth("inf,9"),
        CONFIG,
        3,
        "t.csv: row 4, column 'x': expected a finite number, got 'inf'; correct it, or "
        "add it to data.missing if it means a missing value",
    ),
    "the word NaN, as no word is missing": (
        with_fourth("NaN,9"),
        CONFIG.replace("target: y", "target: y, missing: []"),
        3,
        "t.csv: row 4, column 'x': expected a finite number, got 'NaN'; if it means a missing "
        'value, add "NaN" to data.missing',
    ),
    "words for a column that is not there": (
        GOOD,
        CONFIG.replace("target: y", "target: y, missing: {z: []}"),
        2,
        "c.yaml:1:46: data.missing.z: no column 'z' in t.csv; the table has x, y",
    ),
    "the word inf as a target": (
        with_fourth("1.5,inf"),
        CONFIG,
        3,
        "t.csv: row 4, column 'y': expected a finite number, got 'inf'",
    ),
    "a word among numbers": (
        with_fourth("many,9"),
        CONFIG,
        3,
        "t.csv: row 4, column 'x': expected a finite number, got 'many'; correct it, or "
        "add it to data.missing if it means a missing value",
    ),
    "a word among declared numbers": (
        with_fourth("many,9"),
        NUMERIC,
        3,
        "t.csv: row 4, column 'x': expected a finite number, got 'many'; correct it, or "
        "add it to data.missing if it means a missing value",
    ),
    "a word among targets": (
        with_fourth("1.5,many"),
        SPLIT,
        3,
        "t.csv: column 'y': each of the 20 classes has only one row; 95 % are numbers, 'many' in 1 "
        "row is not",
    ),
    "a missing target in a row": (
        with_fourth("1.5,"),
        CONFIG.replace("y}", "y, on_missing_target: error}"),
        3,
        "t.csv: row 4, column 'y': the target is missing; remove such rows from the file, or set "
        "data.on_missing_target: drop",
    ),
    "no target in any row": (
        targets("", "   "),
        CONFIG,
        3,
        "t.csv: column 'y': no row has a target: there is nothing to learn from or to compare with",
    ),
    "a missing weight in a row": (
        weights(""),
        WEIGHTED,
        3,
        "t.csv: row 4, column 'w': the weight is missing; fill it in or remove the row",
    ),
    "a negative weight": (
        weights("-1"),
        WEIGHTED,
        3,
        "t.csv: row 4, column 'w': the weight is negative: -1",
    ),
    "weights of nothing": (
        csv([f"{line},0" for line in LINES], "x,y,w"),
        WEIGHTED,
        3,
        "t.csv: column 'w': all weights are 0",
    ),
    "no column that varies": (
        csv([f"7,{at}" for at in range(20)]),
        CONFIG,
        2,
        "c.yaml:1:1: input.features: no column can be used: 'x' (the same value in all rows: 7)",
    ),
    "a single row": (
        csv(["1,2"]),
        CONFIG,
        3,
        "t.csv: training requires at least two training rows",
    ),
    "a single row to deal out": (
        csv(["1,2"]),
        SPLIT,
        3,
        "t.csv: 1 row is too few: validation needs 1, test 1 and training at least 1; add "
        "rows or hold out fewer",
    ),
    "a single class": (
        targets("cat"),
        CONFIG,
        3,
        "t.csv: column 'y': has only the class 'cat'; expected at least two classes",
    ),
    "a constant target": (
        targets(7),
        CONFIG,
        3,
        "t.csv: column 'y': has the same value in all rows, 7: there is nothing to learn",
    ),
    "targets of 30 digits": (
        targets(*range(10**29, 10**29 + 9)),
        CONFIG,
        3,
        "t.csv: column 'y': has the same value in all rows, 1e+29: there is nothing to learn",
    ),
    "a constant target of the earliest rows": (
        csv([f"{at},{at % 3},{max(at, 16)}" for at in range(20)], "x,z,y"),
        SPLIT.replace("}", ", split: {name: time, column: x}}", 1),
        3,
        "t.csv: column 'y': has the same value in all training rows, 16: there is nothing to learn",
    ),
    "a target that is another in each row": (
        csv([f"{at / 2},{chr(97 + at)}" for at in range(20)]),
        SPLIT,
        3,
        "t.csv: column 'y': each of the 20 classes has only one row; is this column really the target?",
    ),
}

TRAINED = {
    "header spaces": (csv(LINES, " x , y "), CONFIG, ["features  1 numeric: x"]),
    "UTF-16": (GOOD.encode("utf-16"), CONFIG, ["          t.csv: is encoded as UTF-16"]),
    "UTF-16 without a mark": (
        GOOD.encode("utf-16-be"),
        CONFIG,
        ["          t.csv: is encoded as UTF-16"],
    ),
    "a byte order mark": (
        GOOD.encode("utf-8-sig"),
        CONFIG,
        ["features  1 numeric: x"],
    ),
    "Latin-1": (
        csv(LINES, "größe,y").encode("latin-1"),
        CONFIG,
        [
            "warning: t.csv: is not UTF-8; read as latin-1, which is a guess; if letters look "
            "wrong, set data.format: {name: csv, encoding: ...}",
            "features  1 numeric: größe",
        ],
    ),
    "CR only": (GOOD.replace("\n", "\r"), CONFIG, ["data      t.csv: 20 training rows"]),
    "CR and LF": (GOOD.replace("\n", "\r\n"), CONFIG, ["data      t.csv: 20 training rows"]),
    "semicolons": (
        GOOD.replace(",", ";"),
        CONFIG,
        ["          t.csv: the delimiter is ';'"],
    ),
    "decimal commas": (
        GOOD.replace(",", ";").replace(".", ","),
        CONFIG,
        [
            "          t.csv: the delimiter is ';'",
            "          t.csv: numbers in 'x' are written with a decimal comma",
        ],
    ),
    "integers of 30 digits": (
        csv([f"{10**29 + at % 15},{at}" for at in range(20)]),
        CONFIG,
        [
            "features  1 numeric: x",
            "warning: t.csv: whole numbers with too many digits to be read exactly: 'x' "
            "('100000000000000000000000000000'); if they are identifiers, declare them ignored or "
            "categorical",
        ],
    ),
    "1,000": (
        csv([f'"{1 + at % 9},000",{at}' for at in range(20)]),
        CONFIG,
        [
            "warning: t.csv: column 'x': 1,000 may mean 1000 or 1.000 and was read as 1000; for the "
            "other meaning, correct the file, or train with data.format: {name: csv, thousands: none}"
        ],
    ),
    "leading zeros": (
        csv([f"{at % 5:05},{at}" for at in range(20)]),
        CONFIG,
        ["features  1 categorical (codes with leading zeros, 5 values): x"],
    ),
    "gz": (gzip.compress(GOOD.encode()), CONFIG, ["data      t.csv: 20 training rows"]),
    "Parquet": (
        parquet(),
        CONFIG,
        ["warning: t.csv: contains a Parquet file, despite its name"],
    ),
    "a missing value": (with_fourth(",9"), CONFIG, ["network   2 → 1 linear, 3 parameters"]),
    "a constant column": (
        csv([f"{line},7" for line in LINES], "x,y,z"),
        CONFIG,
        ["          1 ignored (the same value in all rows: 7): z"],
    ),
    "a class that is seen once": (
        csv([f"{at / 2},{'c' if at == 0 else 'ab'[at % 2]}" for at in range(40)]),
        SPLIT,
        [
            "data      t.csv: 24 training, 8 validation, 8 test rows (stratified, seed 0)",
            "target    y: 3 classes (text): a, b, c",
            "warning: t.csv: classes with few rows: 'c' (1 row); too few to learn from or to "
            "evaluate: collect more such rows, or combine classes",
        ],
    ),
    "numbers with a word among those that repeat": (
        targets(1.5, 2.5, *range(11), "free", count=140),
        CONFIG,
        [
            "warning: t.csv: a target treated as 14 classes: 'y' (92.8 % are numbers, 'free' in 10 "
            "rows is not); correct the values or drop such rows; if they are classes, declare "
            "type: categorical"
        ],
    ),
    "rows without a target": (
        csv([*LINES, "7,", "8,"]),
        SPLIT,
        [
            "data      t.csv: 12 training, 4 validation, 4 test rows (random, seed 0)",
            "warning: t.csv: 2 of 22 rows have no target ('y') and are skipped: row 21, row 22",
        ],
    ),
    "the labels 1 and 2": (
        targets(1, 2),
        CONFIG,
        ["target    y: 2 classes (all 1 or 2): 1, 2"],
    ),
    "the labels 1 to 3": (
        targets(1, 2, 3),
        CONFIG,
        [
            "target    y: numeric",
            "warning: t.csv: a target with few distinct integers is treated as numeric: 'y' (1 to 3); if "
            "they are classes, declare type: categorical; if they count something, type: count; "
            "otherwise, type: numeric",
        ],
    ),
    "the declared labels 1 and 2": (
        targets(1, 2),
        CONFIG.replace("target: y", "target: {column: y, type: categorical}"),
        ["target    y: 2 classes (set in the config): 1, 2"],
    ),
    "the labels yes and no": (
        targets("yes", "no"),
        CONFIG,
        ["target    y: 2 classes (text): no, yes"],
    ),
}


def write(content: str | bytes | None, config: str) -> None:
    Path("c.yaml").write_text(config)
    if content is not None:
        Path("t.csv").write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(("content", "config", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_data_that_can_not_be_trained_on_are_refused(content, config, code, message, refused):
    write(content, config)
    refused(code, message, ["train", "c.yaml"])


@pytest.mark.parametrize(("content", "config", "lines"), TRAINED.values(), ids=TRAINED)
def test_of_data_that_can_be_trained_on_what_is_odd_is_said(content, config, lines, dlcli):
    write(content, config)
    result = dlcli("validate", "c.yaml")
    told = result.stderr.splitlines()
    assert [line for line in lines if line not in told] == []
    warnings = [line for line in told if line.startswith("warning: ")]
    assert warnings == [line for line in lines if line.startswith("warning: ")]
    assert result.exit_code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize(("content", "config", "lines"), TRAINED.values(), ids=TRAINED)
def test_odd_data_that_can_be_trained_on_are(content, config, lines, dlcli):
    write(content, config)
    result = dlcli("train", "c.yaml")
    assert [line for line in lines if line not in result.stderr.splitlines()] == []
    end = ["run: runs/c", "report: dlcli report runs/c"]
    printed = [line for line in result.stdout.splitlines() if not line.startswith("diagnosis: ")]
    assert (result.exit_code, printed[-2:]) == (0, end)


def test_rows_of_views_can_be_held_out(dlcli):
    values = [["red", "blue"][at % 2] for at in range(20)]
    table = pa.table({"x": pa.array(values, pa.string_view()), "y": [at / 2 for at in range(20)]})
    pq.write_table(table, "t.parquet")
    write(None, SPLIT.replace("t.csv", "t.parquet"))
    result = dlcli("validate", "c.yaml")
    assert result.exit_code == 0
    assert "data      t.parquet: 12 training, 4 validation, 4 test rows" in result.stderr
