"""The functions of `import dlcli`, on tables in memory and in files."""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
import shutil
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot
from PIL import Image

import dlcli
from dlcli.cli.program import main
from dlcli.encoding.encoded_rows import InMemoryInputs

RNG = np.random.default_rng(0)
ROWS = 120
SIZE = RNG.normal(size=ROWS)
COLORS = RNG.choice(["red", "green", "blue"], ROWS)
TABLE = pa.table(
    {
        "size": pa.array([None if at % 17 == 3 else value for at, value in enumerate(SIZE)]),
        "color": pa.array(COLORS.tolist()),
        "day": pa.array(np.arange(ROWS) * 7 + 19000, pa.int32()).cast(pa.date32()),
        "big": pa.array((SIZE + (COLORS == "red") > 0).tolist()),
        "price": pa.array((3 * SIZE + (COLORS == "red") + RNG.normal(0, 0.1, ROWS)).tolist()),
    }
)
CONFIG = {
    "data": {"target": "price", "validation": 0.2, "test": 0.2},
    "input": {"features": {"size": "numeric", "color": "categorical", "day": "datetime"}},
    "hidden": [{"units": 8, "activation": "relu"}],
    "optimizer": "sgd",
    "epochs": 4,
}
pytestmark = [
    pytest.mark.usefixtures("compiled_once", "no_linear_baseline"),
    pytest.mark.filterwarnings("ignore::dlcli.DataWarning"),  # as the rows are few
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder in which all runs of this module are made."""
    return tmp_path_factory.mktemp("api")


@pytest.fixture(autouse=True)
def folder(runs, monkeypatch):
    monkeypatch.chdir(runs)
    return runs


@pytest.fixture(scope="module")
def run(runs):
    """A training from a table in memory."""
    return dlcli.train(CONFIG, TABLE, output=runs / "first")


@pytest.mark.slow
def test_a_table_in_memory_trains_the_same_network_as_its_file(run, runs):
    pq.write_table(TABLE, runs / "rows.parquet")
    (runs / "rows.yaml").write_text(json.dumps(CONFIG))
    CliRunner().invoke(
        main,
        ["train", "rows.yaml", "--set", "data.train=rows.parquet", "--output", "by-command"],
        catch_exceptions=False,
    )
    by_command = dlcli.open_run("by-command")
    assert by_command.metrics == run.metrics
    assert by_command.history == run.history
    expected = (runs / "by-command/weights.npz").read_bytes()
    assert (run.path / "weights.npz").read_bytes() == expected
    assert dlcli.load("by-command").predict(TABLE).values.tobytes() == (
        run.model.predict(TABLE).values.tobytes()
    )


@pytest.mark.slow
def test_dates_as_text_of_pandas_are_those_of_a_date_column(run):
    """Its texts are large strings of Arrow."""
    texts = TABLE["day"].cast(pa.string()).cast(pa.large_string())
    at = TABLE.column_names.index("day")
    expected = run.model.predict(TABLE).values
    assert run.model.predict(TABLE.set_column(at, "day", texts)).values.tolist() == (
        expected.tolist()
    )


def test_a_run_is_read_as_it_was_stored(run):
    assert set(run.metrics) == {"train", "validation", "test"}
    assert len(run.history["val_loss"]) == 4
    assert run.config.hidden[0].units == 8
    assert set(run.baselines) == {"constant"}
    assert str(run.path) in str(run)
    assert repr(run) == f"TrainingRun({str(run.path)!r})"


def test_the_run_says_that_its_table_was_in_memory(run):
    assert run.config.data.train == ":memory:"
    environment = json.loads((run.path / "environment.json").read_text())
    [data] = environment["data"]
    assert data["file"] == "data"
    assert len(data["sha256"]) == 64
    assert "command" not in environment


def test_a_command_requires_a_file_instead_of_a_table_in_memory(run):
    config = str(run.path / "resolved.yaml")
    result = CliRunner().invoke(main, ["train", config])
    assert result.exit_code == 2
    assert "data.train was a table in memory; pass it in Python" in result.output


@pytest.mark.slow
def test_overrides_are_values_by_path(folder):
    changed = dlcli.train(
        CONFIG, TABLE, overrides={"hidden[0].units": 3, "optimizer.learning_rate": 0.1}, output="u"
    )
    assert changed.config.hidden[0].units == 3
    assert changed.config.optimizer.learning_rate == 0.1


def test_validation_and_test_tables_can_be_given(folder):
    parts = TABLE.slice(0, 80), TABLE.slice(80, 20), TABLE.slice(100)
    config = {**CONFIG, "data": {"target": "price"}}
    found = dlcli.train(config, parts[0], validation_data=parts[1], test_data=parts[2], output="v")
    assert set(found.metrics) == {"train", "validation", "test"}
    assert found.config.data.validation == found.config.data.test == ":memory:"
    with pytest.warns(dlcli.DataWarning, match="trained on rows of this table.* the test rows"):
        found.model.evaluate(parts[0])
    with pytest.warns(dlcli.DataWarning) as caught:  # of later days
        test_metrics = found.model.evaluate(parts[2])
    assert not any("trained on" in str(each.message) for each in caught)
    assert test_metrics == pytest.approx(found.metrics["test"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"data": {"target": "price"}, "hidden": [{"unit": 1}]}, "hidden[0].unit: unknown key"),
        ({**CONFIG, "epochs": "ten"}, "epochs: expected"),
        ({**CONFIG, "data": {"target": "prize"}}, "no column 'prize' in data; did you mean"),
        ("epochs: 1\n", "data.target: is required"),
    ],
)
def test_a_wrong_config_is_explained_without_positions(config, message):
    with pytest.raises(dlcli.ConfigError) as caught:
        dlcli.train(config, TABLE)
    assert message in str(caught.value)
    assert "yaml" not in str(caught.value)


def test_a_config_without_a_table_can_get_one_as_an_argument():
    config = {**CONFIG, "data": {"target": "price"}}
    with pytest.raises(dlcli.ConfigError, match="data.train: is required; .*pass a table instead"):
        dlcli.train(config)


def test_the_suggested_next_step_is_a_python_call(run, folder):
    unfinished = folder / "unfinished"
    unfinished.mkdir()
    for name in ("config.yaml", "resolved.yaml", "environment.json"):
        shutil.copy(run.path / name, unfinished / name)
    with pytest.raises(dlcli.RunError) as error:
        dlcli.load("unfinished")
    assert str(error.value) == (
        snapshot("unfinished: is an unfinished run; resume with: dlcli.resume('unfinished', data)")
    )
    (folder / "empty").mkdir()
    with pytest.raises(dlcli.RunError, match=r"choose a folder that `dlcli\.train` created"):
        dlcli.load("empty")
    with pytest.warns(dlcli.DataWarning) as warned:
        dlcli.load(run.path).evaluate(TABLE)
    shown = (
        f"`dlcli.open_run({str(run.path)!r}).metrics['test']` shows the metrics of the test rows"
    )
    assert str(warned[0].message).endswith(shown)


def test_errors_name_arguments_and_overrides_as_python_has_them(run, folder):
    with pytest.raises(dlcli.UsageError, match="choose a new folder with 'output'"):
        dlcli.train(CONFIG, TABLE, output=run.path)
    with pytest.raises(dlcli.UsageError, match="^interval=0.99: the run has too few held-out"):
        run.model.predict(TABLE, interval=0.99)
    config = {**CONFIG, "data": {**CONFIG["data"], "storage": "disk"}}
    with pytest.raises(dlcli.ConfigError, match="overrides={'data.storage': 'memory'}$"):
        dlcli.cross_validate(config, TABLE)
    with pytest.raises(dlcli.DivergenceError) as caught:
        dlcli.train({**CONFIG, "optimizer": {"name": "sgd", "learning_rate": 1e30}}, TABLE)
    assert caught.value.__notes__[0].endswith(
        "is 1e+32 times the usual 0.01 of sgd; try overrides={'optimizer.learning_rate': 0.01}"
    )


@pytest.mark.parametrize(
    ("config", "data", "message"),
    [
        (7, TABLE, "expected a path, YAML, a mapping or a Config, got int"),
        ("first", TABLE, "first: is a run folder, expected a config; its config is first/resolved"),
        ("iris.csv", None, "iris.csv: is a table, expected a config; `starter_config` writes one"),
        ("iris.csv.gz", None, "iris.csv.gz: is a table, expected a config"),
        (f"{{epochs: {'1' * 300}}}", None, ".epochs: 1{300}.: no such file"),
        ("flowre.yaml", None, "flowre.yaml: no such file; did you mean 'flower.yaml'"),
        ("w.yaml", None, "w.yaml: no such file$"),  # the extension alone is not similar
        (CONFIG, "iris.csv", "data: expected a table, got a path; set data.train in the config to"),
    ],
)
def test_anything_other_than_a_config_is_refused(run, folder, config, data, message):
    (folder / "iris.csv").write_text("x,y\n1,2\n")
    (folder / "iris.csv.gz").touch()
    (folder / "flower.yaml").touch()
    with pytest.raises(dlcli.UsageError, match=f"^{message}"):
        dlcli.train(config, data)


def test_arguments_of_a_wrong_kind_are_named(run):
    with pytest.raises(dlcli.UsageError, match="interval: expected a share between 0 and 1, got '"):
        run.model.predict(TABLE, interval="0.9")
    with pytest.raises(
        dlcli.UsageError, match="preset: expected 'simple', 'good' or 'best', got 'great'"
    ):
        dlcli.starter_config(TABLE, "price", preset="great")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda run: dlcli.train(CONFIG, TABLE, overrides="epochs=3"),
            r"overrides: expected a mapping such as {'epochs': 3}, got str",
        ),
        (
            lambda run: dlcli.train(CONFIG, TABLE, overrides={3: "epochs"}),
            r"overrides: expected a mapping such as {'epochs': 3}, got the key 3",
        ),
        (lambda run: dlcli.train(CONFIG, TABLE, output=3), "output: expected a path, got int"),
        (lambda run: run.report(3), "output: expected a path, got int"),
        (lambda run: dlcli.compare(run, run), ".*: is the same run as .*; name each run once"),
        (
            lambda run: dlcli.reproduce(run, TABLE, tolerance=-1),
            "tolerance: expected a share of at least 0 and below 1, got -1",
        ),
        (
            lambda run: dlcli.reproduce(run, TABLE, tolerance="x"),
            "tolerance: expected a share of at least 0 and below 1, got 'x'",
        ),
        (lambda run: dlcli.compare([run, run]), "expected a run folder or a run, got list"),
        (lambda run: dlcli.load(None), "expected a run folder or a run, got NoneType"),
        (
            lambda run: dlcli.inspect(TABLE, ["price", 3]),
            "target: expected the name of a column or a list of them, got list",
        ),
        (
            lambda run: dlcli.starter_config(TABLE, {"price"}),
            "target: expected the name of a column or a list of them, got set",
        ),
        (
            lambda run: dlcli.starter_config(TABLE, "price", ignore=3),
            "ignore: expected the name of a column or a list of them, got int",
        ),
        (
            lambda run: dlcli.starter_config(TABLE, "price", positive_class=1.5),
            "positive_class: expected the name of a class, got 1.5",
        ),
        (
            lambda run: dlcli.starter_config(TABLE, "price", type="number"),
            "type: expected 'auto', 'numeric', 'count' or 'categorical', got 'number'",
        ),
        (
            lambda run: dlcli.starter_config(TABLE, "price", preset=np.ones(2)),
            "preset: expected 'simple', 'good' or 'best', got ndarray",
        ),
        (
            lambda run: dlcli.tune(CONFIG, TABLE, nested=np.ones(2)),
            "nested: expected True or False, got ndarray",
        ),
        (
            lambda run: dlcli.tune(CONFIG, TABLE, storage=Path("trials.db")),
            "storage: expected the URL of a database, got PosixPath",
        ),
        (
            lambda run: dlcli.resume(run, TABLE, storage=3),
            "storage: expected the URL of a database, got int",
        ),
        (
            lambda run: run.model.predict_batch(TABLE, keep=[3]),
            "keep: expected the name of a column or a list of them, got list",
        ),
    ],
)
def test_wrong_arguments_are_explained_before_any_work(run, call, message):
    with pytest.raises(dlcli.UsageError, match=f"^{message}$"):
        call(run)


def test_a_run_may_stand_for_its_folder(run):
    assert dlcli.open_run(run).path == run.path
    with pytest.raises(dlcli.RunError, match="first: is finished"):
        dlcli.resume(run, TABLE)


def test_one_pattern_of_columns_to_ignore_may_be_a_text():
    text = dlcli.starter_config(TABLE, "price", ignore="b*")
    assert text == dlcli.starter_config(TABLE, "price", ignore=["b*"])


def test_a_positive_class_may_be_an_integer_of_numpy():
    table = {"a": [1.5, 2.5] * 20, "y": [0, 1] * 20}
    text = dlcli.starter_config(table, "y", positive_class=np.int64(0))
    assert text == dlcli.starter_config(table, "y", positive_class="0")


class TestResume:
    """An interrupted training from a table in memory."""

    @pytest.fixture
    def interrupted(self, folder, request):
        def stop(event):
            if event.kind == "epoch" and event.epoch == 2:
                raise KeyboardInterrupt

        path = folder / request.node.name
        with pytest.raises(KeyboardInterrupt):
            dlcli.train(
                {**CONFIG, "checkpoint": {"seconds": 0.001}}, TABLE, output=path, progress=stop
            )
        return path

    def test_asks_for_the_table(self, interrupted):
        with pytest.raises(dlcli.UsageError, match="data.train was a table in memory; pass it"):
            dlcli.resume(interrupted)

    def test_refuses_a_table_that_it_was_not_begun_with(self, interrupted):
        with pytest.raises(
            dlcli.RunError, match="data.test was not a table in memory; omit the table"
        ):
            dlcli.resume(interrupted, TABLE, test_data=TABLE)

    def test_refuses_jobs_for_a_single_training(self, interrupted):
        with pytest.raises(dlcli.UsageError, match="jobs is only for cross-validation and search"):
            dlcli.resume(interrupted, TABLE, jobs=2)

    def test_refuses_a_storage_for_what_is_no_search(self, interrupted):
        with pytest.raises(dlcli.UsageError, match="^storage is only for a search, not for"):
            dlcli.resume(interrupted, TABLE, storage="sqlite:///a.db")
        with pytest.raises(dlcli.RunError, match="^runs/abse: "):
            dlcli.resume("runs/abse", storage="sqlite:///a.db", jobs=2)

    def test_refuses_another_table(self, interrupted):
        with pytest.raises(dlcli.RunError, match="data: has changed since the run started"):
            dlcli.resume(interrupted, TABLE.slice(1))

    @pytest.mark.slow
    def test_ends_as_if_it_had_not_been_interrupted(self, interrupted, run):
        resumed = dlcli.resume(interrupted, TABLE)
        assert (resumed.path / "weights.npz").read_bytes() == (
            (run.path / "weights.npz").read_bytes()
        )


class TestPredictions:
    """What a model predicts."""

    def test_are_numbers_in_the_form_of_the_target(self, run):
        predictions = run.model.predict(TABLE)
        assert predictions.values.shape == (ROWS,)
        assert np.array_equal(np.asarray(predictions), predictions.to_numpy())
        assert predictions.to_arrow().column_names == ["prediction"]
        assert predictions.probabilities is None
        assert predictions.lower is None
        assert predictions.classes == ()
        assert pa.table(predictions).equals(predictions.to_arrow())
        assert len(predictions) == ROWS
        assert repr(predictions).startswith("Prediction of 120 rows:\nprediction\n")

    def test_are_those_of_the_network_for_encoded_rows(self, run):
        model = run.model
        rows = model.encode(TABLE)
        assert (rows.dtype, rows.shape) == (np.float32, (ROWS, len(model.inputs)))
        predicted = model.predictor.predict_encoded(InMemoryInputs(rows)).decoded
        assert np.array_equal(predicted[:, 0], model.predict(TABLE).values)

    def test_encode_names_inputs_after_columns(self, run):
        names = run.model.inputs
        assert len(set(names)) == len(names)
        assert [name for name in names if not name.startswith(run.model.columns)] == []

    def test_encode_refuses_values_that_can_not_be_read(self, run):
        rows = [{**TABLE.to_pylist()[0], "size": "high"}]
        with pytest.raises(dlcli.DataError, match="high"):
            run.model.encode(rows)
        with pytest.warns(dlcli.DataWarning, match="treated as missing"):
            assert np.isfinite(run.model.encode(rows, on_bad_row="warn")).all()

    def test_have_intervals(self, run):
        with pytest.warns(dlcli.DataWarning, match="only 24 held-out rows"):
            predictions = run.model.predict(TABLE, interval=np.float64(0.8))
        assert predictions.to_arrow().column_names == ["prediction", "lower", "upper"]
        assert (predictions.lower < predictions.values).all()
        assert (predictions.upper > predictions.values).all()
        assert run.model.evaluate(TABLE, interval=0.8)["interval"]["level"] == 0.8
        with pytest.raises(dlcli.UsageError, match="interval: expected a share between 0 and 1"):
            run.model.predict(TABLE, interval=80)

    def test_have_the_intervals_that_were_asked_for_where_the_run_is_not(self, run, tmp_path):
        folder = shutil.copytree(run.path, tmp_path / "copy")
        model = dlcli.load(folder)
        expected = model.predict_batch(TABLE, interval=0.8)
        sent = pickle.dumps(model)
        shutil.rmtree(folder)

        received = pickle.loads(sent)

        assert received.predict_batch(TABLE, interval=0.8).equals(expected)
        assert received.predict_batch(TABLE.slice(0, 0), interval=0.8).schema == expected.schema
        with pytest.raises(dlcli.RunError, match="copy: no such run folder"):
            received.predict_batch(TABLE, interval=0.7)

    @pytest.mark.slow
    def test_of_classes_have_names_and_probabilities(self, folder):
        data = {"target": "color", "validation": 0.3}
        config = {**CONFIG, "data": data, "input": {}, "hidden": []}
        model = dlcli.train(config, TABLE, output="colors").model
        predictions = model.predict({name: TABLE[name] for name in model.columns})
        assert set(predictions.values) <= set(COLORS)
        assert predictions.probabilities.shape == (ROWS, 3)
        best = np.array(predictions.classes)[predictions.probabilities.argmax(axis=1)]
        assert best.tolist() == predictions.values.tolist()
        assert model.classes == predictions.classes
        assert "accuracy" in model.evaluate(TABLE)
        shown = repr(model.predict(TABLE.slice(0, 1), interval=0.95))
        assert "red" in shown
        assert "–" not in shown

    @pytest.mark.parametrize(("storage", "dtype"), [(pa.bool_(), bool), (pa.int64(), np.int64)])
    def test_of_classes_have_the_type_of_the_target(self, storage, dtype):
        big = TABLE["big"].cast(storage)
        table = TABLE.drop_columns(["big", "price"]).append_column("price", big)
        found = dlcli.train({**CONFIG, "hidden": [], "epochs": 1}, table).model.predict(table)
        assert found.values.dtype == dtype
        assert found.values.tolist() == found.to_arrow()["prediction"].to_pylist()

    def test_read_files_and_records_alike(self, run, folder):
        pq.write_table(TABLE, folder / "new.parquet")
        expected = run.model.predict(TABLE).values
        assert np.array_equal(run.model.predict(folder / "new.parquet").values, expected)
        assert np.array_equal(run.model.predict("new.parquet").values, expected)
        assert np.array_equal(run.model.predict(TABLE.to_pylist()).values, expected)

    def test_of_a_wrong_value_are_refused_or_warned_of(self, run):
        rows = [{"size": "much", "color": "red", "day": "2024-01-01"}] * 2
        with pytest.raises(dlcli.DataError, match="data: row 1, column 'size': expected a fin"):
            run.model.predict(rows)
        message = "2 rows have values that can't be used, treated as missing: row 1, column 'size'"
        with pytest.warns(dlcli.DataWarning, match=message) as found:
            run.model.predict(rows, on_bad_row="warn")
        assert found[0].filename == __file__

    def test_of_a_wrong_target_are_skipped_in_an_evaluation(self, run):
        rows = TABLE.slice(0, 3).to_pylist()
        rows[1]["price"] = "much"
        message = "1 row has a value that can't be used, skipped: row 2, column 'price'"
        with pytest.warns(dlcli.DataWarning, match=message):
            run.model.evaluate(rows, on_bad_row="warn")

    def test_of_few_rows_are_those_of_a_table(self, run):
        rows = TABLE.slice(0, 3).to_pylist()
        expected = run.model.predict(rows, interval=0.8)
        found = run.model.predict_rows(rows, interval=0.8)
        assert np.array_equal(found.values, expected.values)
        assert np.array_equal(found.upper, expected.upper)
        many = TABLE.to_pylist()
        assert np.array_equal(run.model.predict_rows(many).values, run.model.predict(many).values)

    def test_of_few_rows_have_the_warnings_of_a_table(self, run):
        rows = [{"size": 1e6, "color": "mauve", "day": "2024-01-01"}]
        with pytest.warns(dlcli.DataWarning) as expected:
            run.model.predict(rows)
        with pytest.warns(dlcli.DataWarning) as found:
            run.model.predict_rows(rows)
        assert [str(each.message) for each in found] == [str(each.message) for each in expected]
        assert found[0].filename == __file__

    def test_of_few_wrong_rows_are_refused_as_those_of_a_table(self, run):
        rows = [{"size": "much", "color": "red", "day": "2024-01-01"}]
        with pytest.raises(dlcli.DataError, match="data: row 1, column 'size': expected a fin"):
            run.model.predict_rows(rows)
        with pytest.warns(dlcli.DataWarning, match="1 row has a value that can't be used"):
            run.model.predict_rows(rows, on_bad_row="warn")
        with pytest.raises(dlcli.DataError, match="data: expected a data frame, an Arrow table"):
            run.model.predict_rows(None)

    def test_of_other_columns_are_refused(self, run):
        with pytest.raises(dlcli.DataError, match="data: has no columns 'size', 'day', which"):
            run.model.predict({"color": ["red"]})

    def test_of_several_threads_are_those_of_one(self, run):
        model = dlcli.load(run.path)
        parts = [TABLE.slice(start, 30) for start in range(0, ROWS, 30)] * 4
        with ThreadPoolExecutor(8) as pool:
            found = [each.values for each in pool.map(model.predict, parts)]
        expected = [run.model.predict(part).values for part in parts]
        assert all(map(np.array_equal, found, expected))


@pytest.mark.slow
def test_cross_validation_and_search_work_on_tables_in_memory(folder):
    validated = dlcli.cross_validate(CONFIG, TABLE, folds=np.int64(2), refit=True, output="cv")
    assert validated.predictions.num_rows == len(TABLE) - 24
    assert validated.metrics["rmse"] > 0
    assert dlcli.load(validated.path / "refit").predict(TABLE).values.shape == (ROWS,)
    assert "RMSE" in str(validated)
    space = {"optimizer.learning_rate": [0.001, 0.01]}
    searched = dlcli.tune({**CONFIG, "tune": {"trials": 2, "space": space}}, TABLE, output="tune")
    assert set(searched.best_settings) == {"optimizer.learning_rate"}
    assert searched.best.model.predict(TABLE).values.shape == (ROWS,)
    assert searched.result.trials


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "folds: expected an integer from 2 to 100,000, got 1"),
        ({"folds": 2.5}, "folds: expected an integer from 2 to 100,000, got 2.5"),
        ({"folds": "3"}, "folds: expected an integer from 2 to 100,000, got '3'"),
        ({"repeats": 10**6}, "repeats: expected an integer from 1 to 100,000, got 1000000"),
        ({"refit": "yes"}, "refit: expected True or False, got 'yes'"),
        ({"jobs": None}, "jobs: expected an integer from 1 to 1,024, got None"),
    ],
)
def test_numbers_of_a_cross_validation_are_checked(arguments, message):
    with pytest.raises(dlcli.UsageError, match=f"^{message}$"):
        dlcli.cross_validate(CONFIG, TABLE, **arguments)


def test_numbers_of_a_search_are_checked():
    message = "^jobs: expected an integer from 1 to 1,024, got "
    with pytest.raises(dlcli.UsageError, match=f"{message}1.5$"):
        dlcli.tune(CONFIG, TABLE, jobs=1.5)
    with pytest.raises(dlcli.UsageError, match=f"{message}0$"):
        dlcli.resume("first", jobs=0)
    with pytest.raises(dlcli.UsageError, match="^nested: expected True or False, got 'no'$"):
        dlcli.tune(CONFIG, TABLE, nested="no")


@pytest.fixture(scope="module")
def short_run(runs):
    """A training of one epoch."""
    return dlcli.train(CONFIG, TABLE, overrides={"epochs": 1}, output=runs / "short")


@pytest.mark.slow
def test_runs_are_compared_and_diagnosed(run, short_run):
    compared = dlcli.compare(run, short_run.path)
    assert "RMSE" in str(compared)
    assert compared.to_dict()["target"] == ["price"]
    found = dlcli.diagnose(short_run)
    assert found.to_dict()["findings"]
    assert str(short_run.path) in str(found)


def test_a_command_can_not_try_suggestions_on_a_table_in_memory(short_run):
    result = CliRunner().invoke(main, ["diagnose", "short", "--try"])
    assert result.exit_code == 2
    assert "short: was trained on a table in memory, so no command can try its" in result.output


@pytest.mark.slow
def test_a_table_in_memory_is_inspected_and_gets_a_starter_config(folder):
    found = dlcli.inspect(TABLE, target="price")
    assert [column["name"] for column in found.columns] == TABLE.column_names
    assert str(found).startswith("data: 120 rows, 5 columns")
    text = dlcli.starter_config(TABLE, "price", preset="simple")
    assert 'train: ":memory:"' in text
    trained = dlcli.train(text, TABLE, overrides={"epochs": 1, "hidden": []}, output="started")
    assert trained.config.data.target.column == "price"


@pytest.mark.slow
def test_a_report_is_written_to_the_given_path(run, folder):
    page = run.report(folder / "page.html")
    assert "<html" in page.read_text()
    assert run.report() == run.path / "report.html"


@pytest.mark.slow
def test_in_a_notebook_results_are_cards(run):
    card = run._repr_html_()
    assert "RMSE" in card
    [picture] = re.findall(r'src="data:image/png;base64,([^"]+)', card)
    corner = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA").getpixel((0, 0))
    assert corner == (0, 0, 0, 0)  # readable on a light and on a dark page
    assert "<script" not in card
    for shown in (run.model.predict(TABLE), dlcli.inspect(TABLE), dlcli.diagnose(run)):
        assert shown._repr_html_().strip().startswith('<div class="dlcli-card">')


def test_progress_needs_a_notebook_or_a_function():
    with pytest.raises(dlcli.UsageError, match="progress=True works in notebooks only"):
        dlcli.train(CONFIG, TABLE, progress=True)


@pytest.mark.slow
def test_nothing_is_printed_and_no_signal_is_handled(folder, capfd):
    seen = []

    def listen(event):
        seen.append((event.kind, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    dlcli.train(CONFIG, TABLE, output="silent", progress=listen)
    assert {event[1:] for event in seen} == {before}
    assert {"data", "epoch", "result"} <= {event[0] for event in seen}
    assert capfd.readouterr() == ("", "")


def test_every_public_name_is_there_and_documented():
    for name in dlcli.__all__:
        assert name == "__version__" or getattr(dlcli, name).__doc__
    assert set(dlcli.__all__) <= set(dir(dlcli))
    with pytest.raises(AttributeError, match=r"use dlcli\.load\(run\)\.evaluate\(table\)$"):
        dlcli.evaluate  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'fit'$"):
        dlcli.fit  # noqa: B018


@pytest.mark.slow
def test_importing_and_predicting_load_no_tensorflow(run):
    script = f"""
import sys
import dlcli
assert not {{"numpy", "pyarrow", "pydantic"}} & set(sys.modules)
prediction = dlcli.load({str(run.path)!r}).predict({TABLE.slice(0, 2).to_pylist()!r})
assert len(prediction) == 2
assert not {{"tensorflow", "keras", "pandas", "polars", "optuna"}} & set(sys.modules)
""".replace("datetime.date", "__import__('datetime').date")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_files_that_exist_or_have_no_folder_are_refused(run, folder):
    (folder / "taken").touch()
    for write in (run.report, lambda path: run.export("card", path)):
        with pytest.raises(dlcli.UsageError, match="^taken: already exists; use another name"):
            write("taken")
        with pytest.raises(dlcli.UsageError, match="^no/such: can't be written: No such file"):
            write("no/such")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "foo"}, "format: expected 'onnx', .*, 'python' or 'card', got 'foo'"),
        ({"format": np.ones(2)}, "format: expected 'onnx', .* or 'card', got ndarray"),
        ({"interval": np.ones(2)}, "interval: expected a share between 0 and 1, got ndarray"),
        ({"quantize": False}, "quantize: expected 'dynamic' or None, got False"),
        ({"interval": "0.9"}, "interval: expected a share between 0 and 1, got '0.9'"),
        ({"interval": 0.5, "format": "card"}, "'interval' has no effect with format=card"),
        ({"quantize": "dynamic", "format": "python"}, "'quantize' has no effect with .*=python"),
    ],
)
def test_arguments_of_an_export_are_checked(run, arguments, message):
    with pytest.raises(dlcli.UsageError, match=f"^{message}$"):
        dlcli.export(run, **{"format": "litert", "output": "unmade", **arguments})


def test_an_exported_model_predicts_the_same(run, runs):
    exported = run.export("onnx", runs / "onnx", interval=0.5)

    session = onnxruntime.InferenceSession(exported.path / "model.onnx")
    rows = TABLE.slice(0, 50)
    days = rows["day"].cast(pa.string()).to_pylist()
    inputs = {
        "size": np.array(rows["size"].to_pylist(), dtype=np.float64),
        "color": np.array(rows["color"].to_pylist(), dtype=object),
        "day": np.array(days, dtype=object),
    }
    lower, prediction = session.run(["lower", "prediction"], inputs)
    expected = run.model.predict(rows, interval=0.5)
    np.testing.assert_allclose(prediction, expected.values, rtol=1e-5)
    np.testing.assert_allclose(lower, expected.lower, rtol=1e-5)
    assert exported.document["interval"] == 0.5
    exported = dlcli.export(run, "card", runs / "card.md")
    assert str(exported) == f"export: {runs / 'card.md'}"
    card = exported.path.read_text(encoding="utf-8")
    assert card.startswith("# Model card: first\n")
    with pytest.raises(dlcli.UsageError, match="interval: expected a share"):
        dlcli.export(run, "onnx", runs / "other", interval=90)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "keras"])
def test_no_warning_of_keras_reaches_the_caller(folder, engine):
    """Such a warning would fail the tests of a project that turns warnings into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dlcli.train(CONFIG, TABLE, overrides={"epochs": 2, "engine": engine}, output=f"w-{engine}")
