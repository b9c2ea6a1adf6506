"""The Python API beside pandas, polars, scikit-learn and Jupyter; run by test_beside_pandas.py."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ipykernel.inprocess import InProcessKernelManager
from nbclient import NotebookClient
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import f1_score, get_scorer, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import dlcli
from dlcli.cli.program import main
from dlcli.columns.value_problems import ValueProblems
from dlcli.sklearn import DenseClassifier, DenseRegressor
from dlcli.tables.memory_tables import memory_table

pytestmark = [
    pytest.mark.filterwarnings("ignore::dlcli.DataWarning"),
    pytest.mark.usefixtures("compiled_once", "no_linear_baseline"),
]
ROWS = 90
RNG = np.random.default_rng(1)


def make_frame():
    """A frame that mixes numbers, texts, dates and gaps, with an index of its own."""
    size = RNG.normal(size=ROWS)
    frame = pd.DataFrame(
        {
            "size": size,
            "count": pd.array([None if at % 9 == 4 else at % 5 for at in range(ROWS)], "Int64"),
            "color": pd.Categorical(RNG.choice(["red", "green", "blue"], ROWS)),
            "note": RNG.choice(["good", "bad", None], ROWS),
            "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS), "D"),
            "flag": RNG.random(ROWS) < 0.5,
        }
    )
    frame["price"] = 2 * size + (frame["color"] == "red") + RNG.normal(0, 0.1, ROWS)
    frame.loc[::11, "size"] = np.nan
    frame.index = pd.Index(RNG.permutation(ROWS), name="key")
    return frame


FRAME = make_frame()
DATA = {"target": "price", "validation": 0.2, "test": 0.2}
CONFIG = {
    "data": DATA,
    "hidden": [{"units": 8, "activation": "relu"}],
    "epochs": 3,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return dlcli.train(CONFIG, FRAME, output=tmp_path_factory.mktemp("beside") / "run")


def column(values):
    """The Arrow values of a column of pandas."""
    return memory_table(pd.DataFrame({"x": values})).data.column("x").to_pylist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1, "a", 2.5, None, True], dtype=object), ["1", "a", "2.5", None, "true"]),
        (pd.Series([1, None, 3], dtype=object), [1, None, 3]),
        (pd.Series([1, pd.NA, "b"], dtype=object), ["1", None, "b"]),
        (
            pd.Series([pd.NaT, pd.Timestamp("2024-01-02")], dtype=object),
            [None, "2024-01-02 00:00:00"],
        ),
        (pd.array([1, None], "Int64"), [1, None]),
        (pd.cut(pd.Series([1, 4]), [0, 3, 6]), ["(0, 3]", "(3, 6]"]),
        (pd.Categorical(pd.period_range("2024-01", periods=2, freq="M")), ["2024-01", "2024-02"]),
        (pd.array([True, None], "boolean"), [True, None]),
        (pd.array(["a", None], "string"), ["a", None]),
        (pd.Categorical(["a", "b", "a"]), ["a", "b", "a"]),
        (pd.Categorical([1, "a", 2.5, None]), ["1", "a", "2.5", None]),
        (pd.period_range("2024-01", periods=2, freq="M"), ["2024-01", "2024-02"]),
        (pd.arrays.SparseArray([0, 0, 1]), [0, 0, 1]),
        (pd.Series([1.5, np.nan]), [1.5, None]),
        (np.array([1.5, -2.0], ">f8"), [1.5, -2.0]),
        (np.array([1, 70_000], ">i4"), [1, 70_000]),
        (np.array([1.5, -2.0], np.longdouble), [1.5, -2.0]),
        (pd.interval_range(0, 2), ["(0, 1]", "(1, 2]"]),
        (pd.Series([pd.Period("2024-01"), None], dtype=object), ["2024-01", None]),
        (pd.Series([pd.Interval(0, 1), "b"], dtype=object), ["(0, 1]", "b"]),
    ],
)
def test_columns_of_pandas_are_read(values, expected):
    assert column(values) == expected


def test_time_zones_are_kept():
    times = pd.Series(pd.date_range("2024-01-01", periods=2, tz="Europe/Zurich"))
    assert str(memory_table(pd.DataFrame({"x": times})).data.schema.field("x").type.tz) == (
        "Europe/Zurich"
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"x": [1j]}), "column 'x': holds complex128, which is not supported"),
        (pd.DataFrame({"x": ["a", [2]]}), "row 2, column 'x': expected a number, text or a date"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a': is the name of two columns"),
        (pd.Series([1, 2]), "got Series"),
        (pl.Series("x", [1, 2]), "expected a data frame, .*, got Series"),
        (
            pl.DataFrame({"y": [1], "x": pl.Series([1], dtype=pl.Int128)}),
            "column 'x': holds Int128, which is not supported; convert it to numbers or text",
        ),
        (pl.LazyFrame({"x": [1]}), r"got LazyFrame; call collect\(\) first"),
    ],
)
def test_what_can_not_be_read_is_named(frame, message):
    with pytest.raises(dlcli.DataError, match=message):
        memory_table(frame)


LISTS = {"pandas": pd.DataFrame, "polars": pl.DataFrame}


@pytest.mark.parametrize("frame", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("values", [[["a"], ["b", "c"]], [{"k": "a"}, {"k": "b"}], [b"a", b"b"]])
def test_lists_objects_and_bytes_are_ignored_as_in_a_file(frame, values):
    rows = frame({"x": [1.5, 2.5] * 20, "tags": values * 20})
    x, tags = dlcli.inspect(rows).columns
    assert (x["type"], tags["type"]) == ("numeric", "ignored")
    assert re.match("stored as .*, which no feature type supports", tags["reason"])
    with pytest.raises(ValueError, match=r"X\['tags'\] holds .*, which is not supported"):
        DenseRegressor().fit(rows, [1.0, 2.0] * 20)


def test_an_index_is_no_column(run):
    assert "key" not in run.config.input.features


def test_a_frame_predicts_what_its_file_does(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = run.model.predict(FRAME)
    FRAME.to_parquet("rows.parquet", index=False)
    FRAME.to_csv("rows.csv", index=False)
    assert run.model.predict("rows.parquet").values.tobytes() == expected.values.tobytes()
    assert run.model.predict("rows.csv").values == pytest.approx(expected.values, abs=1e-6)
    command = ["predict", str(run.path), "rows.parquet", "--output", "out.parquet"]
    CliRunner().invoke(main, command, catch_exceptions=False)
    found = pq.read_table("out.parquet")
    assert found.column("prediction").to_numpy().tobytes() == expected.values.tobytes()


def test_polars_is_read_as_pandas_is(run):
    plain = {name: FRAME[name].tolist() for name in ("size", "flag")}
    gaps = {
        name: [None if pd.isna(value) else value for value in FRAME[name]]
        for name in ("count", "note")
    }
    times = [time.to_pydatetime() for time in FRAME["sold"]]
    colors = pl.Series(FRAME["color"].tolist(), dtype=pl.Categorical)
    frame = pl.DataFrame({**plain, **gaps, "sold": times, "color": colors})
    found = run.model.predict(frame)
    assert np.array_equal(found.values, run.model.predict(FRAME).values)
    assert pl.DataFrame(found)["prediction"].to_list() == found.values.tolist()


def test_polars_is_trained_on(tmp_path):
    frame = pl.DataFrame(
        {
            "note": ["a", None, "b", "a", "b", "a"] * 5,
            "kind": pl.Series(["x", "y", "x"] * 10, dtype=pl.Categorical),
            "price": np.arange(30.0) % 7,
        }
    )
    config = {"data": {"target": "price"}, "hidden": [], "epochs": 1}
    trained = dlcli.train(config, frame, output=tmp_path / "run")
    again = dlcli.train(config, frame.rechunk(), output=tmp_path / "again")
    hashes = [
        json.loads((each.path / "environment.json").read_text())["data"]
        for each in (trained, again)
    ]
    assert hashes[0] == hashes[1]
    assert set(trained.model.columns) == {"note", "kind"}


def test_predictions_become_a_frame(run):
    prediction = run.model.predict(FRAME, interval=0.8)
    frame = prediction.to_pandas()
    assert list(frame.columns) == ["prediction", "lower", "upper"]
    assert frame.index.equals(FRAME.index)
    assigned = FRAME.assign(predicted=frame["prediction"])
    assert assigned["predicted"].tolist() == prediction.values.tolist()
    of_mapping = run.model.predict(FRAME.to_dict("list")).to_pandas()
    assert of_mapping.index.tolist() == [*range(ROWS)]


def test_batches_of_pandas_and_polars_come_back_as_such(run):
    expected = run.model.predict(FRAME).values

    of_pandas = run.model.predict_batch(FRAME, keep=["color"])
    assert list(of_pandas.columns) == ["color", "prediction"]
    assert of_pandas.index.equals(FRAME.index)
    assert of_pandas["prediction"].tolist() == expected.tolist()
    assert of_pandas["color"].tolist() == FRAME["color"].tolist()
    assert run.model.predict_batch(FRAME.head(0)).columns.tolist() == ["prediction"]

    of_polars = run.model.predict_batch(pl.from_pandas(FRAME))
    assert isinstance(of_polars, pl.DataFrame)
    assert of_polars["prediction"].to_list() == expected.tolist()


# Nothing is imported that a command does not need

REFUSING = """\
import sys

class Refuse:
    @staticmethod
    def find_spec(name, path=None, target=None):
        assert name not in ("pandas", "polars", "sklearn", "IPython"), name

sys.meta_path.insert(0, Refuse)
from dlcli.cli.program import main
from dlcli.columns.value_problems import ValueProblems
for command in sys.argv[1:]:
    try:
        main(command.split(), standalone_mode=False)
    except SystemExit as end:
        assert end.code in (0, None) or "ten" in command, command
    else:
        assert "ten" not in command, command
"""
COMMANDS = (
    "predict run rows.csv --output new.csv",
    "predict run rows.parquet --keep color --interval 0.8 --output new.parquet",
    "evaluate run rows.csv --json",
    "inspect rows.csv --target price",
    "inspect rows.parquet --target color",
    "init rows.csv --target price",
    "init rows.parquet --target color",
    "validate rows.yaml",
    "report run --output page.html",
    "compare run run-2",
    "diagnose run",
    "train rows.yaml --set epochs=ten",
)


def test_no_command_imports_pandas_where_it_is_installed(run, monkeypatch):
    """Keras does, but only training loads Keras."""
    folder = run.path.parent
    monkeypatch.chdir(folder)
    FRAME.to_csv("rows.csv", index=False)
    FRAME.to_parquet("rows.parquet", index=False)
    Path("rows.yaml").write_text(json.dumps({**CONFIG, "data": {**DATA, "train": "rows.csv"}}))
    shutil.copytree("run", "run-2")
    script = [sys.executable, "-c", REFUSING, *COMMANDS]
    answer = subprocess.run(script, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr


# scikit-learn

FAST = {
    "preset": "simple",
    "hidden": [{"units": 32, "activation": "relu"}],
    "epochs": 60,
    "overrides": {
        "data.validation": None,
        "early_stopping": None,
        "optimizer": {"name": "adam", "learning_rate": 0.02},
    },
}
WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "a batch has a number of rows, whatever "
    "their weights are; a row of weight 2 is not drawn twice"
    for kind in ("dense", "sparse")
}


QUICK = {
    *("check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init"),
    *("check_parameters_default_constructible", "check_get_params_invariance", "check_set_params"),
    *("check_valid_tag_types", "check_n_features_in"),
}
"""Checks that need no fit, and one of those that each fit programs of other shapes."""


@pytest.mark.parametrize("kind", [DenseRegressor, DenseClassifier])
def test_estimators_keep_the_conventions_of_scikit_learn(kind):
    found = set()
    for estimator, check in estimator_checks_generator(kind(**FAST)):
        if check.func.__name__ in QUICK:
            found.add(check.func.__name__)
            check(estimator)
    assert found == QUICK


@pytest.mark.release
@pytest.mark.parametrize("kind", [DenseRegressor, DenseClassifier])
def test_estimators_are_what_scikit_learn_expects(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            kind(**FAST), on_skip=None, on_fail=None, expected_failed_checks=WEIGHTS
        )
    failed = [each["check_name"] for each in results if each["status"] == "failed"]
    assert failed == []
    expected = [each["check_name"] for each in results if each["status"] == "xfail"]
    assert expected == [*WEIGHTS]


def test_several_numbers_are_a_target_of_a_regressor():
    rows = RNG.normal(size=(60, 2))
    targets = np.column_stack([1000 * rows[:, 0], rows[:, 1]])
    settings = {**FAST, "epochs": 60, "optimizer": {"name": "adam", "learning_rate": 0.05}}
    model = DenseRegressor(**settings, random_state=0)
    found = model.fit(rows, pd.DataFrame(targets)).predict(rows)
    assert (found.shape, found.dtype) == ((60, 2), np.dtype("float64"))
    assert model.score(rows, targets) == pytest.approx(r2_score(targets, found))
    assert (r2_score(targets, found, multioutput="raw_values") > 0.9).all()
    with pytest.raises(ValueError, match="y contains NaN"):
        model.fit(rows, np.full((60, 2), np.nan))


def test_a_search_varies_keys_of_the_config():
    rows, target = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), DenseRegressor(**FAST, random_state=0))
    grid = {"denseregressor__hidden[0].units": [1, 16], "denseregressor__epochs": [5]}
    search = GridSearchCV(model, grid, cv=2).fit(rows[:200], target[:200])
    assert set(search.best_params_) == set(grid)
    best = search.best_estimator_[-1]
    units = best.predictor_.config.hidden[0].units
    assert units == search.best_params_["denseregressor__hidden[0].units"]
    with pytest.raises(ValueError, match="Invalid parameter 'unit'"):
        model[-1].set_params(unit=3)


def test_sparse_rows_are_those_of_the_dense_matrix():
    texts = RNG.choice(["red", "green", "blue"], (ROWS, 1))
    rows = OneHotEncoder().fit_transform(texts)
    target = (texts[:, 0] == "red").astype(float)
    model = DenseRegressor(**FAST, random_state=0).fit(rows, target)
    assert np.array_equal(model.predict(rows), model.predict(rows.toarray()))
    assert model.score(rows, target) > 0.9


def test_the_history_is_kept_and_a_warm_start_continues_it():
    rows, target = load_iris(return_X_y=True)
    model = DenseClassifier(**{**FAST, "epochs": 3}, random_state=0, warm_start=True)
    first = model.fit(rows, target).predict_proba(rows)
    assert (model.n_iter_, model.loss_curve_) == (3, model.history_["loss"])
    assert set(model.history_) >= {"loss", "accuracy"}
    earlier = model.predictor_.encoding
    model.fit(rows[::2] + 1, target[::2])  # with the first scaling
    assert model.predictor_.encoding.features == earlier.features
    assert model.n_iter_ == 6
    assert model.loss_curve_[3] < model.loss_curve_[0]
    model.set_params(warm_start=False).fit(rows, target)
    assert model.n_iter_ == 3
    assert np.array_equal(model.predict_proba(rows), first)
    model.set_params(warm_start=True)
    with pytest.raises(ValueError, match=r"classes of the previous fit, \[0, 1, 2\], but y has"):
        model.fit(rows, target + 1)
    with pytest.raises(ValueError, match="different network: the shape of 'hidden_1/kernel'"):
        model.set_params(**{"hidden[0].units": 3}).fit(rows, target)
    with pytest.raises(ValueError, match="warm_start requires a single network"):
        DenseRegressor(warm_start=True).fit(rows, target)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_numbers_are_predicted_without_a_table(kind, monkeypatch):
    rows, target = load_diabetes(return_X_y=True)
    model = DenseRegressor(**{**FAST, "epochs": 1}, random_state=0).fit(kind(rows), target)
    gaps = rows.copy()
    gaps[::7, 2] = np.nan
    expected = model.predictor_.predict(
        model.predictor_.read(memory_table(dict(zip(model._names, gaps.T, strict=True)))),
        ValueProblems(),
    )
    monkeypatch.delattr("dlcli.prediction.predictor.read_table")
    found = model.predict(kind(gaps))
    assert np.array_equal(found, expected.values[:, 0])


def test_mixed_frames_are_taken_as_they_are():
    model = DenseRegressor(**FAST, random_state=0)
    features, target = FRAME.drop(columns="price"), FRAME["price"]
    assert cross_val_score(model, features, target, cv=2).mean() > 0.5
    fitted = model.fit(features, target)
    assert list(fitted.feature_names_in_) == list(features.columns)
    restored = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(restored.predict(features), fitted.predict(features))
    numbers = make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="float")), remainder="drop"
    )
    assert make_pipeline(numbers, model).fit(features, target).predict(features).shape == (ROWS,)


def test_classes_keep_their_type_and_weights():
    rows, target = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[target]
    model = DenseClassifier(**FAST, random_state=0, class_weight={"setosa": 2.0})
    model.fit(rows, names)
    assert model.score(rows, names) > 0.9
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.predict_proba(rows).sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert model.predictor_.config.class_weight["0"] == 2.0


def test_margins_rank_rows_as_scores_of_scikit_learn_expect():
    rows, target = load_iris(return_X_y=True)
    names = np.array(["a", "b"])[target[:100]]
    # This preset has a floor, which requires probabilities.
    preset = {"preset": "good", "overrides": {"early_stopping": None}, "ensemble": {"members": 2}}
    model = DenseClassifier(**FAST | preset, loss="hinge", random_state=0).fit(rows[:100], names)
    margins = model.decision_function(rows[:100])
    assert np.array_equal(model.classes_[(margins > 0).astype(int)], model.predict(rows[:100]))
    assert get_scorer("roc_auc")(model, rows[:100], names) == 1
    usual = DenseClassifier(**{**FAST, "epochs": 1}).fit(rows, target)
    assert (hasattr(model, "predict_proba"), hasattr(usual, "predict_proba")) == (False, True)
    assert (hasattr(model, "decision_function"), hasattr(usual, "decision_function")) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("parameters", "has_margins"),
    [
        ({}, False),
        ({"loss": "hinge"}, True),
        ({"loss": {"name": "squared_hinge"}}, True),
        ({"overrides": {"loss": "hinge"}}, True),
        ({"loss": "hinge", "overrides": {"loss": "binary_crossentropy"}}, False),
    ],
)
def test_the_loss_tells_before_training_if_there_will_be_probabilities(parameters, has_margins):
    model = DenseClassifier(**parameters)
    assert hasattr(model, "decision_function") is has_margins
    assert hasattr(model, "predict_proba") is not has_margins


def test_columns_without_the_names_of_training_are_taken_by_position():
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    rows, target = rows.iloc[:50], target.iloc[:50]
    array, numbered = rows.to_numpy(), rows.set_axis(range(rows.shape[1]), axis=1)
    for first in (rows, numbered, array):
        model = DenseRegressor(preset="simple", hidden=[], epochs=1, random_state=0)
        expected = model.fit(first, target).predict(first)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names")
            for other in (rows, numbered, array):
                assert np.array_equal(model.predict(other), expected)
    # Neither are columns of an array taken by the names that it would have in a training.
    names = sorted(f"x{at}" for at in range(11))
    rows = rows.assign(more=1.0).set_axis(names, axis=1)
    model = DenseRegressor(preset="simple", hidden=[], epochs=1, random_state=0).fit(rows, target)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        assert np.array_equal(model.predict(rows.to_numpy()), model.predict(rows))
    rows = rows.drop(columns="x10")
    with pytest.raises(ValueError, match="feature names should match"):
        DenseRegressor(preset="simple", epochs=1).fit(rows, target).predict(
            rows[rows.columns[::-1]]
        )


def test_what_can_not_be_trained_is_a_value_error():
    with pytest.raises(
        ValueError, match="preset: expected 'simple', 'good' or 'best', got 'great'"
    ):
        DenseRegressor(preset="great").fit([[1.0], [2.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match="y has only one class, 'a'"):
        DenseClassifier(**FAST).fit([[1.0], [2.0]], ["a", "a"])
    with pytest.raises(ValueError, match=r"no column may have the name '\(target\)'; rename it"):
        DenseRegressor(**FAST).fit(pd.DataFrame({"(target)": [1.0, 2.0]}), [1.0, 2.0])
    with pytest.raises(ValueError, match="Input contains NaN"):
        DenseClassifier(**FAST).fit([[1.0], [2.0]], pd.Series(["a", None]))
    with pytest.raises(ValueError, match="row 2, column 'a': expected a number"):
        DenseRegressor(**FAST).fit(pd.DataFrame({"a": ["1", [2]]}), [1.0, 2.0])
    for infinite in (pd.DataFrame({"a": [1.0, np.inf]}), pl.DataFrame({"a": [1.0, np.inf]})):
        with pytest.raises(ValueError, match=r"X\['a'\] contains infinity"):
            DenseRegressor(**FAST).fit(infinite, [1.0, 2.0])
    rows, target = load_iris(return_X_y=True)
    weights = {0: 1, 1: 2, 2: 5}
    model = DenseClassifier(**{**FAST, "epochs": 1}, class_weight=weights).fit(
        rows[:100], target[:100]
    )
    assert model.predictor_.config.class_weight == {"0": 1.0, "1": 2.0}
    with pytest.raises(ValueError, match=r"The classes, \['a'\], are not in class_weight"):
        DenseClassifier(class_weight={"A": 2, "b": 3}).fit(rows[:4], ["a", "a", "b", "b"])


def test_the_default_is_an_ensemble_and_a_seed_repeats_it():
    rows, target = load_iris(return_X_y=True)
    models = [
        DenseClassifier(epochs=2, ensemble={"members": 2}, random_state=3).fit(rows, target)
        for _ in range(2)
    ]
    first, second = (model.predict_proba(rows) for model in models)
    assert np.array_equal(first, second)
    assert models[0].predictor_.members == 2


@pytest.mark.parametrize(
    ("parameters", "share", "folds"),
    [
        ({"preset": "simple", "ensemble": {"members": 2}}, None, 2),
        ({"preset": "simple", "overrides": {"ensemble.members": 3}}, None, 3),
        ({"ensemble": {"members": 2, "folds": "none"}}, 0.15, None),
        ({"overrides": {"ensemble": None}}, 0.15, None),
        ({"overrides": {"ensemble": None, "data.validation": 0.3}}, 0.3, None),
        ({"preset": "simple"}, 0.15, None),
    ],
)
def test_rows_to_validate_on_are_those_that_the_ensemble_needs(
    parameters, share, folds, monkeypatch
):
    class Stop(Exception):
        """Nothing is trained."""

    def fit_only(file, earlier):
        raise Stop(file.config, earlier)

    monkeypatch.setattr("dlcli.sklearn.fit_only", fit_only)
    rows, target = load_diabetes(return_X_y=True)
    with pytest.raises(Stop) as caught:
        DenseRegressor(epochs=1, hidden=[], **parameters).fit(rows[:200], target[:200])
    config, earlier = caught.value.args
    assert earlier is None
    assert (config.data.validation, config.ensemble_folds) == (share, folds)


# A notebook

CELLS = (
    "import dlcli, numpy as np",
    "x = np.linspace(-1, 1, 60)\ntable = {'x': x, 'y': 2 * x}",
    "config = {'data': {'target': 'y', 'validation': 0.2},\n"
    "          'hidden': [{'units': 4, 'activation': 'relu'}], 'epochs': 3}\n"
    "run = dlcli.train(config, table)",
    "run",
    "run.model.predict(table)",
)


def run_in_this_process():
    """Run the cells by a kernel in this process, which has loaded TensorFlow; their outputs."""
    manager = InProcessKernelManager()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        return [outputs_of(client, cell) for cell in CELLS]
    finally:
        client.stop_channels()
        manager.kernel.shell.clear_instance()
        manager.shutdown_kernel()


def outputs_of(client, cell):
    """Run a cell, and return what it shows at last: an update replaces what was displayed."""
    client.execute(cell)
    outputs = []
    while client.iopub_channel.msg_ready():
        message = client.iopub_channel.get_msg()
        content = message["content"]
        if message["msg_type"] == "update_display_data":
            updated = content["transient"]["display_id"]
            [shown] = [each for each in outputs if each["transient"]["display_id"] == updated]
            shown["data"] = content["data"]
        elif message["msg_type"] not in ("status", "execute_input"):
            outputs.append({"output_type": message["msg_type"], **content})
    return outputs


def run_in_a_kernel():
    """Run the cells as Jupyter does, in a process of their own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.parametrize(
    "run_cells", [run_in_this_process, pytest.param(run_in_a_kernel, marks=pytest.mark.release)]
)
def test_a_notebook_trains_shows_curves_and_predicts(run_cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zmq and asyncio
        outputs = run_cells()
    assert not any(each["output_type"] == "error" for cell in outputs for each in cell)
    [progress] = [each for each in outputs[2] if "text/html" in each.get("data", {})]
    assert '<progress value="3" max="3">' in progress["data"]["text/html"]
    assert not [each for each in outputs[2] if each.get("name") == "stdout"]
    [card] = outputs[3]
    assert 'src="data:image/png;base64,' in card["data"]["text/html"]
    [table] = outputs[4]
    assert "Prediction of 60 rows" in table["data"]["text/html"]


def test_a_decision_is_as_good_as_a_threshold_that_scikit_learn_tunes():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2_000, 1))
    target = np.where(rows[:, 0] + rng.normal(size=2_000) > 2, "yes", "no")
    train, test = slice(0, 1_000), slice(1_000, None)
    held_out = {"overrides": FAST["overrides"] | {"data.validation": 0.3}}

    def f1_of(scores):
        return f1_score(target[test], scores, pos_label="yes")

    own = DenseClassifier(**FAST | held_out, random_state=0, decision={"maximize": "f1"})
    own.fit(rows[train], target[train])
    scorer = make_scorer(f1_score, pos_label="yes")
    plain = DenseClassifier(**FAST, random_state=0)
    tuned = TunedThresholdClassifierCV(plain, scoring=scorer, cv=2).fit(rows[train], target[train])
    found, expected = (f1_of(model.predict(rows[test])) for model in (own, tuned))
    assert found > expected - 0.05
    assert found > f1_of(tuned.estimator_.predict(rows[test])) + 0.05
    chosen = own.predict_proba(rows[test])[:, 1] > own.predictor_.decision.threshold
    assert (own.predict(rows[test]) == np.where(chosen, "yes", "no")).all()


def test_costs_of_a_decision_are_of_the_classes_of_the_target():
    rows, target = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[target]
    costs = {
        "setosa": {"versicolor": 1, "virginica": 1},
        "versicolor": {"setosa": 1, "virginica": 1},
        "virginica": {"versicolor": 50, "setosa": 50},
    }
    model = DenseClassifier(**FAST, random_state=0, decision={"costs": costs}).fit(rows, names)
    matrix = np.array([[0, 1, 1], [1, 0, 1], [50, 50, 0]])
    expected = (model.predict_proba(rows) @ matrix).argmin(axis=1)
    assert (model.predict(rows) == model.classes_[expected]).all()
    with pytest.raises(ValueError, match="no such class"):
        DenseClassifier(**FAST, decision={"costs": {"rose": {"setosa": 1}}}).fit(rows, names)
