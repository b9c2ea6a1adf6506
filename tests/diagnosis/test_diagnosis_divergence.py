"""The causes of a divergence are reported by `train` and by `diagnose` in the same words."""

from __future__ import annotations

import math

import pytest

from dlcli.config.config_file import load_config
from dlcli.diagnosis.case import Magnitudes
from dlcli.diagnosis.findings import diagnose
from dlcli.errors import DivergenceError, RunError
from dlcli.pipeline.train_run import train
from dlcli.runs.run_folder import open_run

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25, sample_weight: w}
input: {features: {x: {type: numeric, scaling: none}}}
hidden: []
optimizer: {name: sgd, learning_rate: 0.05}
epochs: 40
"""


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """Train until divergence: the notes of the error, and the run folder."""
    folder = tmp_path_factory.mktemp("diverged")
    rows = [f"{at},{2 * at},20" for at in range(60)]
    (folder / "rows.csv").write_text("\n".join(["x,y,w", *rows]) + "\n")
    path = folder / "case.yaml"
    path.write_text(CONFIG)
    with pytest.raises(DivergenceError) as caught:
        train(load_config(path), folder / "run")
    return caught.value.__notes__[:-1], open_run(folder / "run")


@pytest.mark.slow
def test_diagnose_gives_the_advice_that_training_ended_with(diverged):
    notes, run = diverged
    findings = diagnose(run)[: len(notes)]
    assert [f"  {each.observation}; try {each.patches[0].advice}" for each in findings] == notes
    assert [each.rule for each in findings] == [
        "unscaled_inputs",
        "large_row_weights",
        "learning_rate_too_high",
    ]
    assert findings[0].meaning.startswith("the gradient scales with the inputs")
    assert "training diverged in epoch " in findings[1].meaning


@pytest.mark.parametrize(
    "stored", [{}, {"inputs": {"x": -1}}, {"epoch": 1, "row_weight": math.inf}]
)
def test_malformed_magnitudes_of_a_stranger_are_refused(diverged, stored, monkeypatch):
    _, run = diverged
    monkeypatch.setattr(type(run), "events", lambda _: iter([{"event": "diverged", **stored}]))
    with pytest.raises(RunError, match=r"events\.jsonl: .*diverged"):
        diagnose(run)


def test_a_divergence_without_its_event_is_diagnosed_by_the_explanation(diverged, monkeypatch):
    _, run = diverged
    monkeypatch.setattr(type(run), "events", lambda _: iter([]))
    rules = [each.rule for each in diagnose(run)]
    assert rules[:2] == ["unscaled_inputs", "learning_rate_too_high"]
    assert "large_row_weights" not in rules


def test_magnitudes_survive_json():
    found = Magnitudes(epoch=3, inputs={"x": 3.4e38}, target_range=(0.0, 2.0))
    assert Magnitudes.model_validate_json(found.model_dump_json()) == found
