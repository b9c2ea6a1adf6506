"""A store of MLflow's that is a folder of the test's own."""

from __future__ import annotations

import pytest

# What MLflow reads from where tests run must not decide, and what dlcli sets is taken back.
_OURS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_THEIRS = (
    *("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"),
    *("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"),
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The tracking URI of a folder; the current folder is another."""
    for name, value in _OURS.items():
        monkeypatch.setenv(name, value)
    for name in _THEIRS:
        monkeypatch.delenv(name, raising=False)
    uri = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return uri
