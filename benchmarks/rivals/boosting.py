"""Gradient-boosted trees with their defaults, as a plain script with pandas.

`python -m benchmarks.rivals.boosting FOLDER TARGET KIND` reads `train.csv` and `test.csv` of the
folder, and writes the predictions of each library to it in the format of `dlcli predict`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import lightgbm
import pandas
from sklearn import ensemble
from sklearn.base import BaseEstimator

MAX_CATEGORIES = 255
"""The most categories of a column that HistGradientBoosting accepts."""


def main(folder: Path, target: str, kind: str) -> None:
    """Fit each library, and print the seconds of each fit: on the clock, and of all cores."""
    train, test = (pandas.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    rows, test_rows = with_categories(train.drop(columns=target), test.drop(columns=target))
    seconds = {}
    for name, model in models(kind).items():
        start = time.perf_counter(), time.process_time()
        model.fit(rows, train[target])
        seconds[name] = (time.perf_counter() - start[0], time.process_time() - start[1])
        predictions(model, test_rows, kind).to_csv(folder / f"{name}.csv", index=False)
    print(json.dumps(seconds))


def models(kind: str) -> dict[str, BaseEstimator]:
    """Return the models for `regression` or `classes`, by name."""
    if kind == "regression":
        histogram, light = ensemble.HistGradientBoostingRegressor, lightgbm.LGBMRegressor
    else:
        histogram, light = ensemble.HistGradientBoostingClassifier, lightgbm.LGBMClassifier
    return {
        "LightGBM": light(verbose=-1, random_state=0),  # the seed changes nothing by default
        "HistGradientBoosting": histogram(random_state=0),
    }


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
