"""scikit-learn's multi-layer perceptron."""

from __future__ import annotations

from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.marks import Mark, Stopwatch
from benchmarks.rows import Rows
from benchmarks.workloads import Workload


def train(workload: Workload, rows: Rows, epochs: int) -> list[Mark]:
    """Trains with `MLPClassifier.fit` or `MLPRegressor.fit`, which tell of no epoch."""
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
    target = rows.target if workload.classes else rows.target.ravel()
    stopwatch.mark(0)
    model.fit(rows.matrix, target)
    stopwatch.mark(epochs)
    return stopwatch.marks
