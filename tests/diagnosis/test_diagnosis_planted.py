"""Faults planted in small trainings are found by their rules; sound trainings have no findings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from dlcli.config.config_file import load_config
from dlcli.diagnosis.findings import diagnose
from dlcli.errors import DivergenceError
from dlcli.pipeline.train_run import train
from dlcli.runs.run_folder import open_run
from tests.diagnosis.planted import PLANTED, SOUND

CONFIGS = Path(__file__).parents[2] / "configs"

FOR_RELEASES = (
    *("learning_rate_too_high sgd", "learning_rate_too_high adam"),
    *("nothing in classes", "nothing in noisy rows"),
)
"""Faults whose rule another one here is found by, too; of sound ones, iris has classes."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_once")]


def each_of(planted):
    """Trainings, of which some are for releases."""
    return [
        pytest.param(
            each, marks=pytest.mark.release if each.name in FOR_RELEASES else (), id=each.name
        )
        for each in planted
    ]


@pytest.mark.parametrize("planted", each_of(PLANTED))
def test_a_planted_fault_is_found_first_with_a_valid_patch(planted, tmp_path):
    with suppress(DivergenceError):
        train(load_config(planted.write(tmp_path)), tmp_path / "run")
    run = open_run(tmp_path / "run")

    findings = diagnose(run)

    assert planted.rule in [finding.rule for finding in findings[: planted.first]]
    for finding in findings:
        for patch in finding.patches:
            load_config(run.resolved_path(), patch.overrides)


@pytest.mark.parametrize("sound", each_of(SOUND))
def test_a_sound_training_has_no_findings(sound, tmp_path):
    run = train(load_config(sound.write(tmp_path)), tmp_path / "run")
    assert diagnose(run) == ()


@pytest.mark.release
@pytest.mark.parametrize("name", ["line", "xor"])
def test_a_shipped_example_has_no_findings(name, tmp_path):
    run = train(load_config(CONFIGS / f"{name}.yaml"), tmp_path / "run")
    assert diagnose(run) == ()


def test_few_test_rows_of_iris_support_no_finding(tmp_path):
    run = train(load_config(CONFIGS / "iris.yaml"), tmp_path / "run")
    assert run.conclusions["linear"].verdict == "not_significant"
    assert diagnose(run) == ()
