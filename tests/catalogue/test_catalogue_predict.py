"""The catalogue of what is given to `predict`: odd tables, and runs that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hand_made import make_run

from dlcli import __version__

CONFIG = """\
data: {train: points.csv, target: y}
input: {features: {x: numeric, colour: categorical}, scaling: none}
hidden: []
output: {scaling: none}
epochs: 1
"""
"""y = x / 2 + 1, as each of the two colours adds 0.5, and so does the bias."""


@pytest.fixture(autouse=True)
def run(folder) -> Path:
    """runs/points, which knows red and blue."""
    rows = [f"{at / 2},{['red', 'blue'][at % 2]},{at / 4}\n" for at in range(20)]
    Path("points.csv").write_text("x,colour,y\n" + "".join(rows))
    return make_run(CONFIG, "points")


PREDICTED = {
    "a missing value": ("x,colour\n3,\n", "2", []),
    "one column more": (
        "x,colour,size\n3,red,9\n",
        "2.5",
        ["note: new.csv: ignored a column that the training data did not have: size"],
    ),
    "other columns more": (
        "size,x,n,colour,y\n9,3,9,red,9\n",
        "2.5",
        ["note: new.csv: ignored 2 columns that the training data did not have: size, n"],
    ),
    "another order": ("colour,x\nred,3\n", "2.5", []),
    "a category that training didn't see": (
        "x,colour\n3,green\n",
        "2",
        [
            "warning: new.csv: column 'colour': 1 row with an unknown category ('green'), "
            "row 1: encoded as zeros"
        ],
    ),
    "a number in the place of a category": (
        "x,colour\n3,7\n",
        "2",
        [
            "warning: new.csv: column 'colour': 1 row with an unknown category ('7'), "
            "row 1: encoded as zeros"
        ],
    ),
}


@pytest.mark.parametrize(("rows", "prediction", "told"), PREDICTED.values(), ids=PREDICTED)
def test_odd_rows_are_predicted_and_what_is_odd_is_said(rows, prediction, told, dlcli):
    Path("new.csv").write_text(rows)
    result = dlcli("predict", "runs/points", "new.csv")
    assert result.stdout == f"prediction\n{prediction}\n"
    assert result.stderr.splitlines() == told
    assert result.exit_code == 0


@pytest.mark.parametrize("count", [3000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_row_of_very_many_columns_is_predicted(count, dlcli):
    names = ",".join(f"c{at}" for at in range(count))
    Path("new.csv").write_text(f"x,colour,{names}\n3,red{',0' * count}\n")
    result = dlcli("predict", "runs/points", "new.csv")
    assert result.stdout == "prediction\n2.5\n"
    assert result.stderr.splitlines() == [
        f"note: new.csv: ignored {count} columns that the training data did not have: "
        f"c0, c1, c2, c3, c4, c5, c6, c7 and {count - 8:,} more"
    ]


@pytest.mark.parametrize("count", [3000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_very_many_columns_that_are_none_of_training_are_refused_in_a_line(count, refused):
    Path("new.csv").write_text(
        f"{','.join(f'c{at}' for at in range(count))}\n1{',0' * (count - 1)}\n"
    )
    first = "c0, c1, c2, c3, c4, c5, c6, c7, c8, c9"
    message = (
        "new.csv: has no columns 'x', 'colour', which the network reads; the table has "
        f"{first} and {count - 10:,} more"
    )
    refused(3, message, ["predict", "runs/points", "new.csv"])


REFUSED_ROWS = {
    "a column that is missing": (
        "x\n3\n",
        3,
        "new.csv: has no column 'colour', which the network reads; the table's only column is x",
    ),
    "a column that is misspelt": (
        "x,color\n3,red\n",
        3,
        "new.csv: has no column 'colour', which the network reads; did you mean 'color'?",
    ),
    "text in the place of a number": (
        "x,colour\nmany,red\n",
        3,
        "new.csv: row 1, column 'x': expected a finite number, got 'many'",
    ),
    "an infinity": (
        "x,colour\n3,red\ninf,red\n-inf,red\n",
        3,
        "new.csv: row 2, column 'x': expected a finite number, got 'inf'; 1 more row has this problem",
    ),
    "no rows": ("x,colour\n", 3, "new.csv: has a header but no rows"),
    "nothing": ("", 3, "new.csv: is empty, expected a header and rows"),
    "a row that is too long": (
        "x,colour\n3,red,9\n",
        3,
        "new.csv: row 1: has 3 fields, but the header has 2 (line 2 of the file)",
    ),
}


@pytest.mark.parametrize(("rows", "code", "message"), REFUSED_ROWS.values(), ids=REFUSED_ROWS)
def test_rows_that_can_not_be_predicted_are_refused(rows, code, message, refused):
    Path("new.csv").write_text(rows)
    refused(code, message, ["predict", "runs/points", "new.csv", "--output", "predicted.csv"])


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (pa.array([True]), "bool"),
        (pa.array([0], pa.timestamp("s")), "timestamp[ms]"),
        (pa.array([[1]], pa.list_(pa.int64())), "list<element: int64>"),
        (pa.array([{"a": 1}]), "struct<a: int64>"),
    ],
)
def test_other_types_than_those_of_training_are_refused(values, held, refused):
    pq.write_table(pa.table({"x": values, "colour": ["red"]}), "new.parquet")
    message = f"new.parquet: column 'x': expected numbers, but the column holds {held}"
    refused(3, message, ["predict", "runs/points", "new.parquet"])


def test_text_of_numbers_is_as_good_as_numbers(dlcli):
    pq.write_table(pa.table({"x": ["3"], "colour": ["red"]}), "new.parquet")
    assert dlcli("predict", "runs/points", "new.parquet").stdout == "prediction\n2.5\n"


def nothing(run: Path) -> None:
    shutil.rmtree(run)


def unfinished(run: Path) -> None:
    """A run that was ended before training began."""
    (run / "manifest.json").unlink()
    (run / "environment.json").unlink()


def damaged(run: Path) -> None:
    weights = bytearray((run / "weights.npz").read_bytes())
    weights[100] ^= 1
    (run / "weights.npz").write_bytes(weights)


def cut(run: Path) -> None:
    (run / "encoding.json").write_text((run / "encoding.json").read_text()[:-9])


def without_weights(run: Path) -> None:
    (run / "weights.npz").unlink()


def swapped(run: Path) -> None:
    """Files of another run, in which there are three colours."""
    Path("other.csv").write_text("x,colour,y\n" + "1.5,red,2\n2.5,blue,3\n3.5,grey,5\n" * 5)
    other = make_run(CONFIG.replace("points.csv", "other.csv"), "other")
    shutil.copy(other / "weights.npz", run / "weights.npz")


def linked(run: Path) -> None:
    (run / "weights.npz").rename("weights.npz")
    (run / "weights.npz").symlink_to(Path("weights.npz").absolute())


def altered(run: Path) -> None:
    """A manifest that somebody has written in."""
    fields = json.loads((run / "manifest.json").read_text())
    fields["kind"] = "tune"
    (run / "manifest.json").write_text(json.dumps(fields))


def newer(run: Path) -> None:
    fields = json.loads((run / "manifest.json").read_text())
    newer = {**fields, "format": 2, "dlcli": "9.0", "what": "nobody knows yet"}
    (run / "manifest.json").write_text(json.dumps(newer))


def foreign(run: Path) -> None:
    """The model of another program."""
    shutil.rmtree(run)
    run.mkdir()
    (run / "saved_model.pb").write_bytes(b"\0")


def foreign_manifest(run: Path) -> None:
    (run / "manifest.json").write_text('{"name": "a web page"}')


def no_folder(run: Path) -> None:
    shutil.rmtree(run)
    run.write_text("")


AGAIN = "restore the run from a copy or train it again"
REFUSED_RUNS: dict[Callable[[Path], None], str] = {
    nothing: "runs/points: no such run folder",
    damaged: f"runs/points/weights.npz: has changed since it was written; {AGAIN}",
    without_weights: f"runs/points/weights.npz: is missing; {AGAIN}",
    linked: "runs/points/weights.npz: is not a regular file but a link, a folder or a device; "
    f"{AGAIN}",
    altered: f"runs/points/manifest.json: does not match its own digest; {AGAIN}",
    newer: "runs/points/manifest.json: has format 2, written by dlcli '9.0', but "
    f"dlcli {__version__} reads format 1; install the newer version",
    foreign: "runs/points: is not a run folder: it has no manifest.json; choose a folder that `dlcli "
    "train` created",
    foreign_manifest: f"runs/points/manifest.json: is malformed at 'format': Field required; "
    f"{AGAIN}",
    no_folder: "runs/points: expected a run folder, got a file",
}


@pytest.mark.parametrize("spoil", REFUSED_RUNS, ids=lambda spoil: spoil.__name__)
def test_runs_that_are_none_are_refused(spoil, run, refused):
    Path("new.csv").write_text("x,colour\n3,red\n")
    spoil(run)
    refused(5, REFUSED_RUNS[spoil], ["predict", "runs/points", "new.csv"])


@pytest.mark.parametrize(
    ("spoil", "beginning"),
    [
        (unfinished, "error: runs/points: is an unfinished run without manifest.json"),
        (cut, "error: runs/points/encoding.json: has "),
        (swapped, "error: runs/points/weights.npz: has "),
    ],
)
def test_runs_that_are_not_whole_are_refused(spoil, beginning, run, dlcli):
    Path("new.csv").write_text("x,colour\n3,red\n")
    spoil(run)
    result = dlcli("predict", "runs/points", "new.csv")
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith(beginning)
    assert len(result.stderr.splitlines()) == 1
