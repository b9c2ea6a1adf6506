"""`dlcli explain` on a small run."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import dlcli
from dlcli.cli.program import main


@pytest.fixture
def dlcli_run():
    def call(*arguments, exit_code=0):
        result = CliRunner().invoke(main, [*map(str, arguments)])
        assert result.exit_code == exit_code, result.output
        return result

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(60, 2))
    lines = [f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}" for a, b in numbers]
    (path / "t.csv").write_text("\n".join(["a,b,approved", *lines]) + "\n")
    config = "data: {train: t.csv, target: approved}\nhidden: []\nepochs: 2\n"
    (path / "t.yaml").write_text(config)
    (path / "bare.yaml").write_text(f"{config}explanation: {{background_rows: 0}}\n")
    for name in ("t", "bare"):
        dlcli.train(path / f"{name}.yaml", output=path / name, progress=False)
    return path


def test_the_contributions_of_a_row_add_up(folder, dlcli_run):
    result = dlcli_run("explain", folder / "t", folder / "t.csv", "--rows", "3,17", "--json")
    document = json.loads(result.stdout)
    assert [row["row"] for row in document["rows"]] == [3, 17]
    assert (document["unit"], document["background_rows"]) == ("probability", 32)
    predicted = dlcli.load(folder / "t").predict(folder / "t.csv").probabilities
    for row in document["rows"]:
        total = sum(column["shapley"] for column in row["columns"])
        assert total == pytest.approx(row["prediction"] - row["mean_prediction"])
        assert row["prediction"] == pytest.approx(predicted[row["row"] - 1, 1], abs=1e-6)


def test_without_rows_the_first_five_are_printed(folder, dlcli_run):
    result = dlcli_run("explain", folder / "t", folder / "t.csv")
    assert [line.partition(":")[0] for line in result.stdout.splitlines() if "mean " in line] == [
        *(f"row {row}" for row in range(1, 6)),
        "Shapley values in percentage points of the probability",
    ]
    assert "explained the first 5 rows of 60" in result.stderr


def test_a_file_has_the_values_of_all_rows(folder, dlcli_run, tmp_path):
    file = tmp_path / "e.parquet"
    dlcli_run("explain", folder / "t", folder / "t.csv", "--output", file)
    table = pq.read_table(file)
    explanation = dlcli.load(folder / "t").explain(folder / "t.csv")
    assert table.equals(explanation.to_arrow())
    assert table.num_rows == 60
    assert explanation.values.shape == (60, 2)


def test_without_stored_rows_a_table_is_required(folder, dlcli_run):
    assert not (folder / "bare" / "background.npz").exists()
    arguments = ("explain", folder / "bare", folder / "t.csv", "--rows", "1")
    result = dlcli_run(*arguments, exit_code=2)
    assert "contains no training rows to compare with; add --background FILE" in result.stderr
    assert "row 1: " in dlcli_run(*arguments, "--background", folder / "t.csv").stdout


def test_a_row_that_does_not_exist(folder, dlcli_run):
    result = dlcli_run("explain", folder / "t", folder / "t.csv", "--rows", "61", exit_code=2)
    assert "t.csv has the rows 1 to 60, got 61" in result.stderr


def changes_of(run, folder, *arguments):
    result = run("explain", folder / "t", folder / "t.csv", "--json", *arguments)
    return json.loads(result.stdout)["rows"]


def test_each_change_leads_to_the_wanted_class_and_keeps_fixed_columns(folder, dlcli_run):
    table = [line.split(",") for line in (folder / "t.csv").read_text().splitlines()[1:]]
    model, tried = dlcli.load(folder / "t"), 0
    columns = ([float(line[at]) for line in table] for at in range(2))
    ranges = [(min(column), max(column)) for column in columns]
    for row in changes_of(dlcli_run, folder, "--change", "approved=yes"):
        a, b, _ = table[row["row"] - 1]
        assert row["is_met"] == (row["prediction"] == "yes")
        for change in row["changes"]:
            tried += 1
            values = {"a": float(a), "b": float(b), **change["values"]}
            assert model.predict_rows([values]).values[0] == "yes"
            for (low, high), name in zip(ranges, "ab", strict=True):
                assert low - 1e-9 <= change["values"].get(name, low) <= high + 1e-9
    assert tried
    for row in changes_of(dlcli_run, folder, "--change", "approved=yes", "--fixed", "a"):
        assert all(set(change["values"]) == {"b"} for change in row["changes"])


def test_the_changes_in_python_are_those_of_the_command(folder, dlcli_run):
    model = dlcli.load(folder / "t")
    lines = (folder / "t.csv").read_text().splitlines()[1:6]
    parts = [line.split(",") for line in lines]
    frame = [{"a": float(a), "b": float(b)} for a, b, _ in parts]
    found = model.changes(frame, "approved=yes", fixed="a")
    listed = changes_of(dlcli_run, folder, "--change", "approved=yes", "--fixed", "a")
    assert [{"row": at + 1, **row} for at, row in enumerate(found.rows)] == listed
    assert "is the wanted prediction already" in str(found) or " → " in str(found)
    assert all(
        len(row["changes"]) <= 1 for row in model.changes(frame, "approved=yes", most=1).rows
    )
    with pytest.raises(dlcli.UsageError, match=r"^'fixed': no column 'z'"):
        model.changes(frame, "approved=yes", fixed="z")
    with pytest.raises(dlcli.UsageError, match=r"^'change': no class 'maybe'"):
        model.changes(frame, "approved=maybe")


def test_the_change_of_one_column_is_the_nearest_value_that_suffices(folder, dlcli_run):
    model = dlcli.load(folder / "t")
    rows = changes_of(dlcli_run, folder, "--change", "approved=yes", "--fixed", "b")
    for row in rows:
        for change in row["changes"]:
            line = (folder / "t.csv").read_text().splitlines()[row["row"]]
            a, b = map(float, line.split(",")[:2])
            nearer = a + 0.8 * (change["values"]["a"] - a)
            step = abs(change["values"]["a"] - a)
            if step > 1:  # the values are about 0.2 apart
                assert model.predict_rows([{"a": nearer, "b": b}]).values[0] == "no"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--change", "approved=maybe"], "--change: no class 'maybe'"),
        (["--change", "yes"], "--change: expected approved=VALUE, got yes"),
        (["--change", "approved=yes", "--fixed", "c"], "--fixed: no column 'c'"),
        (["--fixed", "a"], "--fixed applies to --change"),
        (["--rows", "x"], "expected row numbers such as 3,17, got x"),
    ],
)
def test_wrong_options(folder, dlcli_run, arguments, message):
    result = dlcli_run("explain", folder / "t", folder / "t.csv", *arguments, exit_code=2)
    assert message in result.stderr


def test_a_column_of_whole_numbers_changes_to_whole_numbers(tmp_path, dlcli_run):
    draw = np.random.default_rng(1)
    hours, sizes = draw.integers(0, 24, 90), draw.normal(12, 6, 90)
    is_late = hours + sizes + draw.normal(0, 6, 90) > 24
    cells = zip(hours, sizes, is_late, strict=True)
    lines = [f"{hour},{size:.3f},{'yes' if late else 'no'}" for hour, size, late in cells]
    (tmp_path / "t.csv").write_text("\n".join(["hour,size,approved", *lines]) + "\n")
    config = "data: {train: t.csv, target: approved}\nhidden: []\nepochs: 40\n"
    (tmp_path / "t.yaml").write_text(config)
    dlcli.train(tmp_path / "t.yaml", output=tmp_path / "t", progress=False)
    arguments = ["explain", tmp_path / "t", tmp_path / "t.csv", "--json"]
    found = json.loads(dlcli_run(*arguments, "--change", "approved=yes").stdout)
    changed = [change["values"] for row in found["rows"] for change in row["changes"]]
    values = [value["hour"] for value in changed if "hour" in value]
    assert values
    assert all(isinstance(value, int) for value in values)
