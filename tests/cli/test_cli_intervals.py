"""`dlcli predict --interval` and `evaluate --interval`, on runs that were trained."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train
from dlcli.prediction.conformal import Conformal
from dlcli.reports.report_files import to_html, view_of
from dlcli.runs.manifest import Manifest, RunFile
from dlcli.runs.run_folder import open_run
from dlcli.tables.table_files import read_table

ROWS = 200
HEAD = "data: {{train: rows.csv, {}}}\ninput: {{features: {{a: numeric, b: numeric}}}}\n"
TAIL = """\
hidden: [{units: 8, activation: tanh}]
optimizer: {name: adam, learning_rate: 0.02}
batch_size: 16
epochs: 20
"""
RUNS = {
    "numbers": "target: y, test: 0.25",
    "pair": "target: [y, z], validation: 0.3",
    "classes": "target: level, test: 0.25",
    "weighted": "target: y, validation: 0.3, sample_weight: w",
    "counts": "target: {column: count, type: count}, validation: 0.3",
    "labels": "target: {column: [up, right], type: multi_label}, validation: 0.3",
    "alone": "target: y",
    "final": "target: y, validation: 0.3, train_on_validation: true",
    "shared": "target: y, validation: 0.3",
}
FOLDS = {"numbers": "auto", "classes": "2", "shared": "none"}
"""Folds of the runs that are ensembles."""

pytestmark = pytest.mark.usefixtures("compiled_once", "no_linear_baseline")


def table():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    y = 5 + 3 * a - b + rng.normal(scale=1.0, size=ROWS)
    noisy = a + rng.normal(scale=0.7, size=ROWS)
    return pa.table(
        {
            "a": a,
            "b": b,
            "y": y,
            "z": 1000 * b + rng.normal(scale=100, size=ROWS),
            "w": np.where(np.arange(ROWS) % 10, 1.0, 0.0),
            "count": rng.poisson(np.exp(0.5 * a)),
            "level": np.array(["low", "middle", "high"])[np.digitize(noisy, [-0.5, 0.5])],
            "up": (a > 0).astype(int),
            "right": (b > 0).astype(int),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the table; runs are trained in it when they are first used."""
    path = tmp_path_factory.mktemp("intervals")
    pyarrow.csv.write_csv(table(), path / "rows.csv")
    return path


@pytest.fixture
def run(folder, monkeypatch):
    """Return the run of a name, trained once."""
    monkeypatch.chdir(folder)

    def trained(name):
        if not Path(name).exists():
            text = HEAD.format(RUNS[name]) + TAIL
            if name in FOLDS:
                text += f"ensemble: {{members: 3, folds: {FOLDS[name]}}}\n"
            Path(f"{name}.yaml").write_text(text)
            train(load_config(Path(f"{name}.yaml")), Path(name))
        return open_run(Path(name))

    return trained


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def fraction_within(rows, column="y"):
    pairs = zip(rows, table()[column].to_pylist(), strict=True)
    return np.mean([float(row["lower"]) <= y <= float(row["upper"]) for row, y in pairs])


@pytest.mark.slow
def test_numbers_get_a_lower_and_an_upper_end(run):
    run("numbers")
    rows = read_csv(call("predict", "numbers", "rows.csv", "--interval", "0.9").stdout)
    assert list(rows[0]) == ["prediction", "lower", "upper"]
    assert 0.85 < fraction_within(rows) < 0.98
    wider = read_csv(call("predict", "numbers", "rows.csv", "--interval", "0.95").stdout)
    assert all(float(w["lower"]) < float(n["lower"]) for w, n in zip(wider, rows, strict=True))


@pytest.mark.slow
def test_the_scores_are_the_errors_of_the_predictions_that_are_stored(run):
    trained = run("numbers")
    scale = trained.predictor.task.scalings[0].scale
    stored = trained.parse(RunFile.CONFORMAL, Conformal)
    scores = np.sort(np.concatenate(stored.scores[0]))
    rows = [each for each in trained.predictions.table.to_pylist() if each["split"] != "test"]
    errors = np.sort([abs(each["target"] - each["prediction"]) for each in rows])
    assert stored.rows == (50, 50, 50)
    np.testing.assert_allclose(scores * scale, errors, rtol=1e-3, atol=1e-4)


def test_intervals_are_around_the_members_that_did_not_have_each_fold(run):
    predictor = run("numbers").predictor_at(0.9)
    rows = read_table(Path("rows.csv"), lambda _: ())
    inputs = predictor.encoding.transform(rows, ValueProblems())
    regions = predictor.predict(rows, ValueProblems()).regions
    folds = [predictor.decode(predictor.outputs(inputs, [number])) for number in (1, 2, 3)]
    expected = predictor.conformal.regions(folds[0], folds, 0.9)
    np.testing.assert_allclose(regions.array, expected.array, rtol=1e-6)


@pytest.mark.slow
def test_members_that_share_validation_rows_have_one_width(run):
    stored = run("shared").parse(RunFile.CONFORMAL, Conformal)
    assert stored.rows == (60,)
    rows = read_csv(call("predict", "shared", "rows.csv", "--interval", "0.9").stdout)
    each = np.array([[float(row[key]) for key in ("lower", "prediction", "upper")] for row in rows])
    np.testing.assert_allclose(
        np.diff(each), np.full((ROWS, 2), each[0, 2] - each[0, 1]), rtol=1e-5
    )


@pytest.mark.slow
def test_several_columns_have_ends_of_their_own(run):
    run("pair")
    rows = read_csv(call("predict", "pair", "rows.csv", "--interval", "0.8").stdout)
    assert list(rows[0]) == [
        *("prediction_y", "prediction_z"),
        *("lower_y", "lower_z", "upper_y", "upper_z"),
    ]
    found = json.loads(call("evaluate", "pair", "rows.csv", "--interval", "0.8", "--json").stdout)
    parts = found["interval"]["by_column"]
    assert parts["z"]["mean_width"] > 50 * parts["y"]["mean_width"]
    text = call("evaluate", "pair", "rows.csv", "--interval", "0.8").stdout
    assert [line.split()[0] for line in text.splitlines()[-4:]] == [
        *("80", "y", "coverage", "mean")
    ]


@pytest.mark.slow
def test_counts_are_never_below_0(run):
    run("counts")
    result = call("predict", "counts", "rows.csv", "--interval", "0.95")
    assert "the level 0.95 is calibrated on only 60 held-out rows; " in result.stderr
    rows = read_csv(result.stdout)
    assert {float(row["lower"]) for row in rows if float(row["prediction"]) < 0.5} == {0.0}
    assert fraction_within(rows, "count") > 0.88


@pytest.mark.slow
def test_classes_get_a_set_in_every_format(run):
    run("classes")
    arguments = ("predict", "classes", "rows.csv", "--interval", "0.9")
    rows = read_csv(call(*arguments).stdout)
    assert list(rows[0])[:2] == ["prediction", "prediction_set"]
    sets = [json.loads(row["prediction_set"]) for row in rows]
    truth = table()["level"].to_pylist()
    assert np.mean([true in each for true, each in zip(truth, sets, strict=True)]) > 0.85
    assert max(map(len, sets)) > 1
    lines = call(*arguments, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["prediction_set"] for line in lines] == sets
    call(*arguments, "--output", "sets.parquet")
    assert pyarrow.parquet.read_table("sets.parquet")["prediction_set"].to_pylist() == sets


@pytest.mark.slow
def test_a_rejected_row_has_no_interval_and_no_set(run):
    for name, column in (("numbers", "lower"), ("classes", "prediction_set")):
        run(name)
        Path("bad.csv").write_text("a,b\n1,1\nx,1\n")
        rejected = ("--on-bad-row", "reject", "--rejected", f"{name}-rejected.csv")
        found = call("predict", name, "bad.csv", "--interval", "0.9", *rejected).stdout
        assert [row[column] != "" for row in read_csv(found)] == [True, False]


def test_evaluate_computes_coverage_and_size(run):
    run("numbers")
    rows = read_csv(call("predict", "numbers", "rows.csv", "--interval", "0.9").stdout)
    widths = [float(row["upper"]) - float(row["lower"]) for row in rows]
    found = call("evaluate", "numbers", "rows.csv", "--interval", "0.9", "--json").stdout
    assert json.loads(found)["interval"] == {
        "level": 0.9,
        "coverage": pytest.approx(fraction_within(rows)),
        "mean_width": pytest.approx(np.mean(widths)),
    }
    lines = call("evaluate", "numbers", "rows.csv", "--interval", "0.9").stdout.splitlines()
    assert lines[-3] == "90 % prediction intervals"
    assert [line.split()[0] for line in lines[-2:]] == ["coverage", "mean"]
    assert "interval" not in call("evaluate", "numbers", "rows.csv").stdout


def test_a_coverage_that_chance_does_not_explain_is_warned_of(run):
    run("numbers")
    assert (
        "fewer than expected"
        not in call("evaluate", "numbers", "rows.csv", "--interval", "0.9").stderr
    )
    later = table()
    at = later.column_names.index("y")
    later = later.set_column(at, "y", pa.compute.add(later["y"], 1000.0))
    pyarrow.csv.write_csv(later, "later.csv")
    warned = call("evaluate", "numbers", "later.csv", "--interval", "0.9").stderr
    assert f"warning: later.csv: only 0 of {later.num_rows} true values are in their" in warned


def test_evaluate_computes_the_mean_size_of_sets(run):
    run("classes")
    rows = read_csv(call("predict", "classes", "rows.csv", "--interval", "0.9").stdout)
    found = call("evaluate", "classes", "rows.csv", "--interval", "0.9", "--json").stdout
    mean = np.mean([len(json.loads(row["prediction_set"])) for row in rows])
    assert json.loads(found)["interval"]["mean_size"] == pytest.approx(mean)


def test_predict_reports_the_mean_width(run):
    run("numbers")
    options = ("--interval", "0.9", "--json", "--output", "widths.csv")
    found = json.loads(call("predict", "numbers", "rows.csv", *options).stdout)
    assert found["interval"]["level"] == 0.9
    assert found["interval"]["mean_width"] > 0


@pytest.mark.slow
def test_rows_of_weight_0_do_not_count(run):
    stored = run("weighted").parse(RunFile.CONFORMAL, Conformal)
    weights = [
        each["weight"]
        for each in open_run(Path("weighted")).predictions.table.to_pylist()
        if each["split"] == "validation"
    ]
    assert stored.rows == (np.count_nonzero(weights),)
    assert stored.rows < (60,)
    whole = call("evaluate", "weighted", "rows.csv", "--interval", "0.9", "--json").stdout
    kept = table().filter(pa.compute.greater(table()["w"], 0))
    pyarrow.csv.write_csv(kept, "kept.csv")
    part = call("evaluate", "weighted", "kept.csv", "--interval", "0.9", "--json").stdout
    assert json.loads(whole)["interval"] == json.loads(part)["interval"]


def test_the_report_shows_the_coverage_of_test_rows_by_prediction(run, monkeypatch):
    trained = run("numbers")
    stored = trained.parse(RunFile.CONFORMAL, Conformal)
    [ranges] = stored.test
    assert sum(each.rows for each in ranges) == 50
    assert [each.rows for each in ranges] == [10] * 5
    tested = [each for each in trained.predictions.table.to_pylist() if each["split"] == "test"]
    places = [each["row"] - 1 for each in tested]
    rows = read_csv(call("predict", "numbers", "rows.csv", "--interval", "0.9").stdout)
    first = sorted((float(rows[at]["prediction"]), at) for at in places)[:10]
    y = table()["y"].to_pylist()
    within = [float(rows[at]["lower"]) <= y[at] <= float(rows[at]["upper"]) for _, at in first]
    assert ranges[0].coverage == pytest.approx(np.mean(within))
    assert ranges[0].highest == pytest.approx(first[-1][0])
    page = to_html(view_of(trained))
    assert "Coverage of 90 % prediction intervals" in page
    assert "They cover about 90\N{NO-BREAK SPACE}% of all rows" in page
    less = tuple(each.model_copy(update={"coverage": 0.5}) for each in ranges)
    changed = stored.model_copy(update={"test": (less,)})
    monkeypatch.setitem(vars(trained), "conformal", changed)
    assert "Only 25 of 50 true values are in their interval" in to_html(view_of(trained))


@pytest.mark.slow
def test_labels_and_runs_without_held_out_rows_are_refused(run):
    run("labels")
    assert not Path("labels/conformal.json").exists()
    result = call("predict", "labels", "rows.csv", "--interval", "0.9", code=2)
    assert "requires a numeric target or classes, but the target is labels" in result.stderr
    run("alone")
    for command in ("predict", "evaluate"):
        result = call(command, "alone", "rows.csv", "--interval", "0.9", code=2)
        assert "there were none; set data.validation, or ensemble: {members: 8};" in result.stderr
        assert result.stdout == ""


def test_validation_rows_that_were_trained_on_are_no_held_out_rows(run):
    run("final")
    result = call("predict", "final", "rows.csv", "--interval", "0.9", code=2)
    assert "there were none; set data.train_on_validation: false;" in result.stderr


def test_a_level_that_the_held_out_rows_do_not_reach_is_refused(run):
    run("numbers")
    result = call("predict", "numbers", "rows.csv", "--interval", "0.999", code=2)
    assert "too few held-out rows, 150; the highest level is 0.993" in result.stderr


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("90", "expected a share between 0 and 1, got 90; for 90 % write 0.9"),
        ("90%", "expected a share between 0 and 1, got 90%; for 90 % write 0.9"),
        ("0.9%", "expected a share between 0 and 1, got 0.9%; for 90 % write 0.9"),
        ("1", "expected a share between 0 and 1, got 1\n"),
        ("0", "expected a share between 0 and 1, got 0"),
        ("nan", "expected a share between 0 and 1, got nan"),
        ("much", "expected a share between 0 and 1, got much\n"),
    ],
)
def test_a_level_is_a_share(run, level, message):
    assert message in call("predict", "x", "rows.csv", "--interval", level, code=2).stderr


@pytest.mark.slow
def test_errors_of_another_run_are_refused(run, tmp_path):
    """A stranger can change a file and the manifest alike."""
    for name, other in (("pair", "numbers"), ("numbers", "pair")):
        run(name)
        run(other)
        path = tmp_path / name
        path.mkdir()
        for file in Path(name).iterdir():
            if file.is_file():
                (path / file.name).write_bytes(file.read_bytes())
        (path / "conformal.json").write_bytes(Path(other, "conformal.json").read_bytes())
        changed = Manifest.describe(path, "train")
        (path / "manifest.json").write_bytes(changed.to_json())
        result = call("predict", path, "rows.csv", "--interval", "0.9", code=5)
        assert "its conformal.json belongs to another run, expected scores of" in result.stderr
        call("predict", path, "rows.csv")
