"""Measure the time of `predict` of an estimator for scikit-learn.

    python -m benchmarks.estimators --rounds 200

It requires scikit-learn. The estimators predict the same rows in turn, so other load affects all.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier

from dlcli.sklearn import DenseClassifier

WIDTHS = (128, 128)
"""The units of the hidden layers of the first two estimators."""
ROWS = (569, 1)


def fitted_estimators(rows: Any, classes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the estimators by name, after a few epochs."""
    hidden = [{"units": units, "activation": "relu"} for units in WIDTHS]
    plain: dict[str, Any] = {"preset": "simple", "epochs": 3, "random_state": 0}
    estimators = {
        "MLPClassifier": MLPClassifier(WIDTHS, max_iter=3),
        "DenseClassifier": DenseClassifier(**plain, hidden=hidden),
        "DenseClassifier, good": DenseClassifier(epochs=3, random_state=0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: each.fit(rows, classes) for name, each in estimators.items()}


def median_times(estimators: Mapping[str, Any], rows: Any, rounds: int) -> dict[str, float]:  # noqa: ANN401
    """Return the median time of `predict` in seconds, by estimator."""
    times: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in range(rounds):
        for name, estimator in estimators.items():
            start = time.perf_counter()
            estimator.predict(rows)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    """Print the median times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="number of predictions of each")
    options = parser.parse_args()
    rows, classes = load_breast_cancer(return_X_y=True)
    estimators = fitted_estimators(rows, classes)
    for count in ROWS:
        for name, seconds in median_times(estimators, rows[:count], options.rounds).items():
            print(f"{count:>4} rows  {name:<22} {1000 * seconds:8.2f} ms")


if __name__ == "__main__":
    main()
