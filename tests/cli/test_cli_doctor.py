"""`dlcli doctor`: what is installed, and what is missing for which command."""

from __future__ import annotations

import json
import re
from importlib.metadata import version

import pytest

from dlcli.cli import config_commands
from dlcli.runs import installation
from dlcli.runs.installation import inspect_installation
from dlcli.tracking import installed_trackers


@pytest.fixture
def without(monkeypatch):
    """Let packages be missing."""

    def hide(*names):
        found = installation.installed_version
        monkeypatch.setattr(
            installation, "installed_version", lambda name: None if name in names else found(name)
        )

    return hide


def test_a_missing_package_is_listed_with_its_parts_and_the_way_to_install_it(dlcli, without):
    without("onnxruntime", "keras")
    text = dlcli("doctor").stdout
    assert "onnx         export --format onnx                         lacks onnxruntime" in text
    assert "for onnx: in the folder of dlcli's source: pip install '.[onnx]'" in text
    assert "for training: pip install keras" in text
    assert "serve        serve                                        ready" in text
    summary = text.splitlines()[-1]
    assert f"numpy {version('numpy')}, " in summary
    assert "keras missing" in summary


def test_trackers_are_listed_with_their_packages(dlcli, monkeypatch):
    packages = {"mlflow": ["dlcli"], "wandb": ["dlcli", "other 1.0"]}
    monkeypatch.setattr(installed_trackers, "tracker_packages", lambda: packages)
    assert re.search("trackers +mlflow, wandb \\(dlcli, other 1.0\\)\n", dlcli("doctor").stdout)


def test_json_has_the_same_facts(dlcli, monkeypatch):
    monkeypatch.setattr(config_commands, "_gpus", lambda: ["A100"])
    found = json.loads(dlcli("doctor", "--json").stdout)
    assert found["gpus"] == ["A100"]
    assert found["versions"]["keras"] == version("keras")
    assert {each["name"] for each in found["parts"]} >= {"training", "serve", "onnx"}


def test_gpus_are_unknown_without_tensorflow(monkeypatch, dlcli):
    monkeypatch.setattr(config_commands, "find_spec", lambda name: None)
    assert "unknown without TensorFlow" in dlcli("doctor").stdout
    assert inspect_installation(None, {}).summary.endswith("GPUs unknown")


def test_every_extra_for_users_has_a_purpose():
    [found] = installation.Distribution.discover(name="dlcli-keras")
    extras = {extra for _, extra in installation._requirements(found) if extra}
    assert extras - {"dev", "benchmark", "gpu"} <= {*installation._PURPOSES}
