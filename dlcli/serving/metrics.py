"""Metrics for Prometheus, in its text format: requests, rows, and how rows differ from training."""

from __future__ import annotations

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from dlcli.columns.value_problems import ColumnProblems

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder by which workers share their metrics; the library reads it when it is loaded."""
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper ends of the buckets of a request's seconds."""


class ServerMetrics:
    """The metrics of a server, or of one of its workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dlcli_requests", "Requests.", ["path", "status"], registry=self._registry
        )
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._seconds = Histogram(
            "dlcli_request_seconds",
            "Seconds from a request's head to its answer.",
            ["path"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._rows = Counter("dlcli_rows", "Predicted rows.", ["model"], registry=self._registry)
        self._refused = Counter(
            "dlcli_refused_rows",
            "Rows with a value that can't be used.",
            ["model"],
            registry=self._registry,
        )

        def by_column(name: str, meaning: str) -> Counter:
            return Counter(name, meaning, ["model", "column"], registry=self._registry)

        self._outside = by_column(
            "dlcli_values_outside_training_range", "Values outside the training rows' range."
        )
        self._unseen = by_column(
            "dlcli_unseen_values", "Values that are none of the training rows' categories."
        )
        self._wordless = by_column(
            "dlcli_texts_without_tokens", "Texts without a word that has an input."
        )
        self._missing = by_column("dlcli_missing_values", "Missing values.")

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: that of its route, with `{name}` in place of the model's.
            status: of the answer.
            seconds: from its head to its answer.
        """
        key = path, status
        if key not in self._of_requests:  # finding them by labels takes longer than counting
            labeled = self._requests.labels(path, str(status)), self._seconds.labels(path)
            self._of_requests[key] = labeled
        requests, took = self._of_requests[key]
        requests.inc()
        took.observe(seconds)

    def add_rows(self, model: str, rows: int, columns: Mapping[str, ColumnProblems]) -> None:
        """Count the rows of an answer, and by column how they differ from the training rows."""
        self._rows.labels(model).inc(rows)
        for name, found in columns.items():
            if found.outside:
                self._outside.labels(model, name).inc(found.outside)
            if found.unseen:
                self._unseen.labels(model, name).inc(found.unseen.total())
            if found.without_tokens:
                self._wordless.labels(model, name).inc(found.without_tokens)
            if found.missing:
                self._missing.labels(model, name).inc(found.missing)

    def add_refused(self, model: str, rows: int) -> None:
        """Count rows that were refused."""
        self._refused.labels(model).inc(rows)

    def text(self) -> bytes:
        """Return all metrics; those of several workers as their sum."""
        registry = self._registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
