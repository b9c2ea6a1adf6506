"""Fit a model of another library to one split of a table, as a plain script with pandas.

`python -m benchmarks.rivals.tabular_models FOLDER TARGET KIND MODEL [--categorical COLUMN...]
[--threads N]` reads `train.csv` and `test.csv` of the folder, writes the predictions to
`MODEL.csv` in the format of `dlcli predict`, and prints the seconds as JSON.

Columns of text, booleans and `--categorical` columns are categories, dates are numbers of days.
Boosted trees and AutoGluon read missing values as they are; RealMLP and TabM get missing numbers
as the median, with a column that marks them. No model is tuned.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas
from sklearn import compose, impute, model_selection, pipeline
from sklearn.base import BaseEstimator

FOLDS = 8
"""Number of folds of a bagged model, as in TabArena."""


def main() -> None:
    """Fit the model, and print its version and the seconds of fitting and predicting."""
    warnings.simplefilter("ignore")
    options = _parse()
    is_regression = options.kind == "regression"
    texts = {} if is_regression else {options.target: str}
    train, test = (
        pandas.read_csv(options.folder / f"{name}.csv", dtype=texts) for name in ("train", "test")
    )
    target = train[options.target]
    rows, test_rows = with_categories(
        train.drop(columns=options.target), test.drop(columns=options.target), options.categorical
    )
    make, package = MODELS[options.model]
    model = make(is_regression, options.threads)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(rows, target)
    fitted = time.perf_counter()
    figures = {"fit_seconds": fitted - start, "cpu_seconds": time.process_time() - cpu}
    predicted = predictions(model, test_rows, is_regression=is_regression)
    figures["predict_seconds"] = time.perf_counter() - fitted
    predicted.to_csv(options.folder / f"{options.model}.csv", index=False)
    version = f"{package} {importlib.metadata.version(package)}"
    print(json.dumps({"version": version, **figures}))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("target")
    parser.add_argument("kind", choices=("regression", "classes"))
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--categorical", nargs="*", default=[])
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def with_categories(
    train: pandas.DataFrame, test: pandas.DataFrame, named: Sequence[str]
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Make dates numbers of days, and other columns of text categorical.

    Categories are the values of the training rows.

    Args:
        train: the training rows.
        test: the test rows.
        named: categorical columns next to the columns of text and booleans.
    """
    for name in train.columns:
        if name not in named and is_number(train[name]):
            continue
        known = pandas.CategoricalDtype(sorted(train[name].dropna().astype(str).unique()))
        is_date = name not in named and are_dates(train[name])
        for rows in (train, test):
            if is_date:
                dates = pandas.to_datetime(rows[name], format="ISO8601")
                rows[name] = (dates - pandas.Timestamp(0)) / pandas.Timedelta(days=1)
            else:
                rows[name] = rows[name].astype(str).where(rows[name].notna()).astype(known)
    return train, test


def are_dates(column: pandas.Series) -> bool:
    """Whether a column of text or booleans contains dates, such as 2013-08-29."""
    if column.dtype == bool:
        return False
    try:
        pandas.to_datetime(column, format="ISO8601")
    except ValueError:
        return False
    return True


def is_number(column: pandas.Series) -> bool:
    """Whether a column contains numbers, not categories, text or booleans."""
    return pandas.api.types.is_numeric_dtype(column) and column.dtype != bool


def predictions(
    model: BaseEstimator, rows: pandas.DataFrame, *, is_regression: bool
) -> pandas.DataFrame:
    """Return the column `prediction`, or `probability_<class>` for each class."""
    if is_regression:
        return pandas.DataFrame({"prediction": model.predict(rows)})
    columns = [f"probability_{label}" for label in model.classes_]
    return pandas.DataFrame(np.asarray(model.predict_proba(rows)), columns=columns)


def lightgbm(is_regression: bool, threads: int | None, **settings: object) -> BaseEstimator:
    """Return LightGBM; without further settings, with its defaults: 100 trees of 31 leaves."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    light = LGBMRegressor if is_regression else LGBMClassifier
    return light(verbose=-1, random_state=0, n_jobs=threads, **settings)


class BaggedLightGBM(BaseEstimator):
    """The mean of LightGBM models that were trained without one fold each.

    The settings are AutoGluon's: a learning rate of 0.05, and at most 10,000 trees until the RMSE
    or the log loss of the own fold has not improved for 300 trees. Folds are stratified by class.
    """

    def __init__(self, is_regression: bool, threads: int | None) -> None:
        self.is_regression = is_regression
        self.threads = threads

    def fit(self, rows: pandas.DataFrame, target: pandas.Series) -> BaggedLightGBM:
        """Fit a model without each fold."""
        from lightgbm import early_stopping

        kind = model_selection.KFold if self.is_regression else model_selection.StratifiedKFold
        self.models_ = []
        for train, held_out in kind(FOLDS, shuffle=True, random_state=0).split(rows, target):
            model = lightgbm(
                self.is_regression, self.threads, learning_rate=0.05, n_estimators=10_000
            )
            model.fit(
                rows.iloc[train],
                target.iloc[train],
                eval_set=[(rows.iloc[held_out], target.iloc[held_out])],
                callbacks=[early_stopping(300, verbose=False)],
            )
            self.models_.append(model)
        if not self.is_regression:
            self.classes_ = self.models_[0].classes_
        return self

    def predict(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the mean prediction of each row."""
        return np.mean([model.predict(rows) for model in self.models_], axis=0)

    def predict_proba(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the mean probability of each row and class."""
        return np.mean([model.predict_proba(rows) for model in self.models_], axis=0)


class CatBoost(BaseEstimator):
    """CatBoost with its defaults and its encoding of categories: 1,000 trees, one model."""

    def __init__(self, is_regression: bool, threads: int | None) -> None:
        self.is_regression = is_regression
        self.threads = threads

    def fit(self, rows: pandas.DataFrame, target: pandas.Series) -> CatBoost:
        """Fit the model."""
        from catboost import CatBoostClassifier, CatBoostRegressor

        categories = [name for name in rows if not is_number(rows[name])]
        model = CatBoostRegressor if self.is_regression else CatBoostClassifier
        self.model_ = model(
            cat_features=categories,
            thread_count=self.threads or -1,
            random_seed=0,
            verbose=False,
            allow_writing_files=False,
        ).fit(self._texts(rows), target)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the prediction of each row."""
        return self.model_.predict(self._texts(rows))

    def predict_proba(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the probability of each row and class."""
        return self.model_.predict_proba(self._texts(rows))

    @staticmethod
    def _texts(rows: pandas.DataFrame) -> pandas.DataFrame:
        """Write categories as texts, as CatBoost refuses missing values in them."""
        return rows.assign(
            **{
                name: rows[name].astype(object).where(rows[name].notna(), "missing").astype(str)
                for name in rows
                if not is_number(rows[name])
            }
        )


def real_mlp(is_regression: bool, threads: int | None) -> BaseEstimator:
    """Return RealMLP-TD of 8 folds; for classes, it minimizes the log loss, without smoothing."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    if is_regression:
        return _network(RealMLP_TD_Regressor, threads)
    settings = {"use_ls": False, "val_metric_name": "cross_entropy"}
    return _network(RealMLP_TD_Classifier, threads, **settings)


def tabm(is_regression: bool, threads: int | None) -> BaseEstimator:
    """Return TabM-D of 8 folds; for classes, early stopping is on the log loss."""
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    if is_regression:
        return _network(TabM_D_Regressor, threads)
    return _network(TabM_D_Classifier, threads, val_metric_name="cross_entropy")


def _network(
    network: type[BaseEstimator], threads: int | None, **settings: object
) -> pipeline.Pipeline:
    """Return a network of pytabkit of 8 folds behind an encoder of missing numbers."""
    fill = impute.SimpleImputer(strategy="median", add_indicator=True)
    numbers = compose.make_column_selector(dtype_include="number")
    encoder = compose.ColumnTransformer(
        [("numbers", fill, numbers)], remainder="passthrough", verbose_feature_names_out=False
    )
    model = network(n_cv=FOLDS, random_state=0, device="cpu", n_threads=threads, **settings)
    return pipeline.make_pipeline(encoder.set_output(transform="pandas"), model)


class AutoGluon(BaseEstimator):
    """AutoGluon with the preset `medium`: an ensemble of several kinds of models, not bagged."""

    def __init__(self, is_regression: bool, threads: int | None) -> None:
        self.is_regression = is_regression
        self.threads = threads

    def fit(self, rows: pandas.DataFrame, target: pandas.Series) -> AutoGluon:
        """Fit the ensemble in a temporary folder; the metric is the error of the benchmark."""
        from autogluon.tabular import TabularPredictor

        classes = target.nunique()
        metric = "roc_auc" if classes == 2 else "log_loss"
        self._folder = tempfile.TemporaryDirectory()
        self.model_ = TabularPredictor(
            "target of the table",
            eval_metric="rmse" if self.is_regression else metric,
            problem_type="regression" if self.is_regression else None,
            path=self._folder.name,
            verbosity=0,
        ).fit(
            rows.assign(**{"target of the table": target}),
            presets="medium_quality",
            num_cpus=self.threads or "auto",
        )
        self.classes_ = self.model_.class_labels
        return self

    def predict(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the prediction of each row."""
        return self.model_.predict(rows).to_numpy()

    def predict_proba(self, rows: pandas.DataFrame) -> np.ndarray:
        """Return the probability of each row and class."""
        return self.model_.predict_proba(rows)[self.classes_].to_numpy()


MODELS: dict[str, tuple[Callable[[bool, int | None], BaseEstimator], str]] = {
    "LightGBM-bagged": (BaggedLightGBM, "lightgbm"),
    "LightGBM": (lightgbm, "lightgbm"),
    "CatBoost": (CatBoost, "catboost"),
    "RealMLP": (real_mlp, "pytabkit"),
    "TabM": (tabm, "pytabkit"),
    "AutoGluon": (AutoGluon, "autogluon.tabular"),
}
"""What makes each model from `is_regression` and the number of threads, and its package."""


if __name__ == "__main__":
    main()
