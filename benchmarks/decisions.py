"""Compare the cost of decisions from stated costs with a threshold tuned by scikit-learn.

    python -m benchmarks.decisions TABLE.csv TARGET POSITIVE [SPLITS]

A false negative costs nine times as much as a false positive. Each network is trained on 60 % of
the rows. Its mean cost on the other rows is that of the threshold 0.1, which follows from the
costs, of `TunedThresholdClassifierCV` around the same network, and of the threshold 0.5.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from sklearn.metrics import make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split

from dlcli.sklearn import DenseClassifier

FALSE_NEGATIVE = 9
THRESHOLD = 1 / (1 + FALSE_NEGATIVE)


def mean_cost(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean cost of a row; both arrays contain 0 and 1."""
    missed, false = (true == 1) & (predicted == 0), (true == 0) & (predicted == 1)
    return float(np.mean(FALSE_NEGATIVE * missed + false))


def costs_of_split(features: pd.DataFrame, target: np.ndarray, seed: int) -> tuple[float, ...]:
    """Return the cost of the threshold from costs, of the tuned one, and of 0.5."""
    train, test, train_target, test_target = train_test_split(
        features, target, test_size=0.4, stratify=target, random_state=seed
    )
    scorer = make_scorer(mean_cost, greater_is_better=False)
    network = DenseClassifier(preset="simple", epochs=15)
    tuned = TunedThresholdClassifierCV(network, scoring=scorer, cv=3).fit(train, train_target)
    probability = np.asarray(tuned.estimator_.predict_proba(test))[:, 1]
    decided = (probability > THRESHOLD, tuned.predict(test), probability > 0.5)
    return tuple(mean_cost(test_target, np.asarray(each, int)) for each in decided)


def main(path: str, column: str, positive: str, splits: str = "10") -> None:
    """Print the mean cost of each rule over splits, and the difference of the first two."""
    table = pd.read_csv(path)
    target = (table.pop(column).astype(str) == positive).to_numpy().astype(int)
    features = table.select_dtypes("number")
    found = np.array([costs_of_split(features, target, seed) for seed in range(int(splits))])
    stated, tuned, usual = found.mean(axis=0)
    differences = found[:, 0] - found[:, 1]
    half = 2.26 * differences.std(ddof=1) / np.sqrt(len(differences))
    print(f"{path}: costs {stated:.3f}, tuned {tuned:.3f}, threshold 0.5 {usual:.3f}")
    print(f"costs minus tuned: {differences.mean():+.3f} ± {half:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
