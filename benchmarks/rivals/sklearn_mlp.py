"""scikit-learn's multi-layer perceptron."""

from __future__ import annotations

from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.timing import EpochEnd, Stopwatch
from benchmarks.workloads import EncodedData, Workload


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Train with `MLPClassifier.fit` or `MLPRegressor.fit`, which don't report epochs."""
    stopwatch = Stopwatch()
    kind = MLPClassifier if workload.classes else MLPRegressor
    model = kind(
        hidden_layer_sizes=workload.hidden,
        activation="relu",
        solver="adam",
        alpha=0.0,
        batch_size=workload.batch_size,
        learning_rate_init=1e-3,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
    )
    target = data.target if workload.classes else data.target.ravel()
    stopwatch.record(0)
    model.fit(data.matrix, target)
    stopwatch.record(epochs)
    return stopwatch.ends
