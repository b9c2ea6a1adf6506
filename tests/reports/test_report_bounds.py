"""Pages stay small, however large the run."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.errors import RunError
from dlcli.reports.report_files import render_report
from dlcli.reports.report_parts import RunLog
from tests.reports.hand_made_runs import HISTORY, full_explanation, make_run, number_run

MOST_BYTES = 2_100_000  # and Vega's 0.9 million


def size_of(run):
    return len(render_report(run).encode())


def test_five_hundred_columns_and_hundred_thousand_rows_stay_within_bounds(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.normal(size=100_000)
    outputs = {"target": target, "prediction": target + rng.normal(size=100_000)}
    run = number_run(tmp_path, explanation=full_explanation(500), outputs=outputs)
    assert size_of(run) < MOST_BYTES


def test_two_hundred_classes_stay_within_bounds(tmp_path):
    classes = [f"a rather long name of class number {at:03}" for at in range(200)]
    rng = np.random.default_rng(0)
    target, predicted = rng.choice(classes, (2, 5_000)).tolist()
    outputs = {"target": target, "prediction": predicted}
    outputs |= {f"probability_{name}": rng.random(5_000) for name in classes}
    run = make_run(
        tmp_path,
        {"x": range(400), "y": classes * 2},
        "y",
        outputs=outputs,
        explanation=full_explanation(500, outputs=classes),
    )
    assert size_of(run) < MOST_BYTES


@pytest.mark.slow
def test_a_long_training_with_many_metrics_and_warnings_stays_within_bounds(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = [f"{front}metric_{at}" for at in range(40) for front in ("", "val_")]
    monkeypatch.setitem(HISTORY, "loss", rng.random(3_000).tolist())
    for name in ("val_loss", "learning_rate", *names):
        monkeypatch.setitem(HISTORY, name, rng.random(3_000).tolist())
    assert size_of(number_run(tmp_path)) < MOST_BYTES


@pytest.mark.parametrize("event", ["data", "network", "trained"])
def test_a_log_with_other_fields_is_an_error(tmp_path, event, monkeypatch):
    run = number_run(tmp_path)
    logged = {"event": event, "rows": 7, "layers": 7, "epochs": "x"}
    monkeypatch.setattr(type(run), "events", lambda _: [logged])
    with pytest.raises(RunError, match=f"events.jsonl: is malformed at '{event}\\."):
        run.parse_log(RunLog)
