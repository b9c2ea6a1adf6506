"""Models of other libraries with their defaults, as a plain script with pandas.

`python -m benchmarks.rivals.tabular_models FOLDER TARGET KIND MODEL...` reads `train.csv` and
`test.csv` of the folder, and writes the predictions of each model to it in the format of `dlcli
predict`. Boosted trees read categories and missing values as they are; the networks get missing
numbers as the median with a column that marks them, and scikit-learn's, which encodes nothing, also
standardized numbers and one column for each category.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import lightgbm
import pandas
from sklearn import compose, ensemble, impute, neural_network, pipeline, preprocessing
from sklearn.base import BaseEstimator

MAX_CATEGORIES = 255
"""The most categories of a column that HistGradientBoosting accepts."""


def main(folder: Path, target: str, kind: str, *names: str) -> None:
    """Fit each model, and print the seconds of each fit: on the clock, and of all cores."""
    warnings.simplefilter("ignore")
    train, test = (pandas.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    rows, test_rows = with_categories(train.drop(columns=target), test.drop(columns=target))
    seconds = {}
    for name in names:
        model = make_model(name, kind, rows)
        start = time.perf_counter(), time.process_time()
        model.fit(rows, train[target])
        seconds[name] = (time.perf_counter() - start[0], time.process_time() - start[1])
        predictions(model, test_rows, kind).to_csv(folder / f"{name}.csv", index=False)
    print(json.dumps(seconds))


def make_model(name: str, kind: str, rows: pandas.DataFrame) -> BaseEstimator:
    """Return a model for `regression` or `classes`.

    Args:
        name: LightGBM, HistGradientBoosting, MLP, RealMLP or TabM.
        kind: the kind of the target.
        rows: the training rows, with the types of the columns.
    """
    is_regression = kind == "regression"
    if name == "LightGBM":
        light = lightgbm.LGBMRegressor if is_regression else lightgbm.LGBMClassifier
        return light(verbose=-1, random_state=0)  # the seed changes nothing by default
    if name == "HistGradientBoosting":
        if is_regression:
            return ensemble.HistGradientBoostingRegressor(random_state=0)
        return ensemble.HistGradientBoostingClassifier(random_state=0)
    fill = impute.SimpleImputer(strategy="median", add_indicator=True)
    if name == "MLP":
        fill = pipeline.make_pipeline(fill, preprocessing.StandardScaler())
        one_hot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        mlp = neural_network.MLPRegressor if is_regression else neural_network.MLPClassifier
        return pipeline.make_pipeline(encode_columns(rows, fill, one_hot), mlp(random_state=0))
    import pytabkit  # takes seconds, and is not always installed

    networks = {
        ("RealMLP", True): pytabkit.RealMLP_TD_Regressor,
        ("RealMLP", False): pytabkit.RealMLP_TD_Classifier,
        ("TabM", True): pytabkit.TabM_D_Regressor,
        ("TabM", False): pytabkit.TabM_D_Classifier,
    }
    network = networks[name, is_regression](random_state=0, device="cpu", n_threads=1)
    return pipeline.make_pipeline(encode_columns(rows, fill, "passthrough"), network)


def encode_columns(
    rows: pandas.DataFrame, numbers: BaseEstimator, others: BaseEstimator | str
) -> compose.ColumnTransformer:
    """Return an encoder of all columns that returns a data frame.

    Args:
        rows: the training rows, with the types of the columns.
        numbers: encodes the columns of numbers.
        others: encodes the other columns.
    """
    is_number = [pandas.api.types.is_numeric_dtype(rows[name]) for name in rows.columns]
    parts = (("numbers", numbers, is_number), ("others", others, [not each for each in is_number]))
    encoder = compose.ColumnTransformer(parts, verbose_feature_names_out=False)
    return encoder.set_output(transform="pandas")


def with_categories(
    train: pandas.DataFrame, test: pandas.DataFrame
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Make columns of text and booleans categorical, with the categories of the training rows.

    Columns with more than `MAX_CATEGORIES` become the categories' ordinal numbers.
    """
    for name in train.columns:
        if not pandas.api.types.is_numeric_dtype(train[name]) or train[name].dtype == bool:
            known = pandas.CategoricalDtype(sorted(train[name].dropna().astype(str).unique()))
            is_ordinal = len(known.categories) > MAX_CATEGORIES
            for rows in (train, test):
                values = rows[name].astype(str).where(rows[name].notna()).astype(known)
                rows[name] = values.cat.codes if is_ordinal else values
    return train, test


def predictions(model: BaseEstimator, rows: pandas.DataFrame, kind: str) -> pandas.DataFrame:
    """Return the column `prediction`, or `probability_<class>` for each class."""
    if kind == "regression":
        return pandas.DataFrame({"prediction": model.predict(rows)})
    columns = [f"probability_{label}" for label in model.classes_]
    return pandas.DataFrame(model.predict_proba(rows), columns=columns)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
