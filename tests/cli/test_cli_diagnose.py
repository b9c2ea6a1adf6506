"""`dlcli diagnose`: what stands out in a run, and what to try next."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import dump_config, load_config
from dlcli.errors import Interrupted
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.retraining import Trial
from dlcli.pipeline.run_recording import resolved_config
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run

CONFIG = """\
data: {train: slow.csv, target: y, validation: 0.25}
hidden: [{units: 4, activation: relu}]
epochs: 20
"""
COMMAND = (
    "dlcli train runs/slow/resolved.yaml --set optimizer.learning_rate=0.01 "
    "--set name=slow-rate-times-10"
)


@pytest.fixture
def slow(folder):
    """runs/slow, whose loss fell in a straight line: its rate is too low."""
    rows = "".join(f"{at},{2 * at}\n" for at in range(100))
    Path("slow.csv").write_text(f"x,y\n{rows}")
    Path("slow.yaml").write_text(CONFIG)
    file = load_config(Path("slow.yaml"))
    prepared, plan = prepare(file, Events())
    with new_run(None, "slow") as writer:
        writer.write_text(RunFile.CONFIG, file.text)
        writer.write_resolved(
            dump_config(resolved_config(file, prepared, plan, writer.path, threads=1))
        )
        writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json())
        writer.write_json(RunFile.METRICS, {"train": {"r2": 0.4}, "validation": {"r2": 0.4}})
        loss = [1.0 - 0.01 * at for at in range(20)]
        writer.write_history({"loss": loss, "val_loss": loss})
        rows = {"train": 75, "validation": 25}
        writer.log("data", file="slow.csv", rows=rows, split=None, seed=0, notes=[])
        writer.finish()


@pytest.mark.usefixtures("slow")
def test_a_finding_has_an_observation_its_meaning_and_a_change_to_try(dlcli):
    result = dlcli("diagnose", "runs/slow")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:5] == snapshot(
        [
            "runs/slow: 2 findings",
            "",
            "1. learning rate too low",
            "   evidence  training loss fell from 1 to 0.81; its slope in the last third of the epochs "
            "is 100 % of the slope in the first third; optimizer.learning_rate is 0.001",
            "   meaning   steps are so small that training has not converged",
        ]
    )
    assert f"   try       {COMMAND}" in lines
    assert "2. small validation set" in lines


@pytest.mark.usefixtures("double")
def test_a_run_without_findings_is_reported(dlcli):
    result = dlcli("diagnose", "runs/double")
    assert (result.exit_code, result.stdout) == (0, "runs/double: no problems found\n")


@pytest.mark.usefixtures("slow")
def test_json_is_one_object(dlcli):
    document = json.loads(dlcli("diagnose", "runs/slow", "--json").stdout)
    assert list(document) == ["run", "findings", "warnings"]
    first, second = document["findings"]
    assert list(first) == ["rule", "observation", "meaning", "patches", "source"]
    assert (first["rule"], second["rule"]) == ("learning_rate_too_low", "small_validation")
    assert first["patches"][0] == {
        "name": "rate-times-10",
        "why": "multiplies the learning rate by 10",
        "settings": [["optimizer.learning_rate", "0.01"]],
        "command": COMMAND,
    }


@pytest.mark.usefixtures("slow")
def test_a_folder_with_a_quote_in_its_name_is_quoted_for_the_shell(dlcli):
    Path("runs/slow").rename("runs/it's")
    document = json.loads(dlcli("diagnose", "runs/it's", "--json").stdout)
    command = document["findings"][0]["patches"][0]["command"]
    assert shlex.split(command)[2] == "runs/it's/resolved.yaml"


@pytest.mark.usefixtures("slow")
def test_a_config_that_was_made_unreadable_is_the_run_s_fault(dlcli):
    Path("runs/slow/resolved.yaml").write_text("epochs: many\n")
    result = dlcli("diagnose", "runs/slow")
    assert (result.exit_code, result.stdout) == (5, "")


@pytest.fixture
def tried(monkeypatch):
    """Results of trials without training; an exception ends them."""

    def set_up(*outcomes):
        left = iter(outcomes)

        def try_patches(run, patches, listener, begins):
            for place, (outcome, (rule, patch)) in enumerate(zip(left, patches, strict=False), 1):
                begins(place, patch)
                if isinstance(outcome, Exception):
                    raise outcome
                yield Trial(rule, patch, **outcome)

        monkeypatch.setattr("dlcli.pipeline.retraining.try_patches", try_patches)

    return set_up


RESCUED = {"run": Path("runs/slow-tries/x"), "metric": "rmse", "after": 2.0, "converged": True}
FAILED = {"problem": "training diverged: the loss became inf in epoch 2"}


@pytest.mark.usefixtures("slow")
def test_what_no_longer_diverges_but_learns_nothing_is_no_winner(dlcli, tried):
    problem = "no longer diverges, but is not better than a constant prediction"
    poor = {**RESCUED, "after": 50.0, "problem": problem}
    tried(poor)
    shown = dlcli("diagnose", "runs/slow", "--try").stdout.partition("validation rows:\n")[2]
    assert shown.splitlines() == [
        f"suggestion     metric  before  after  {'verdict':<{len(problem)}}  run",
        f"rate-times-10  RMSE         -     50  {problem}  runs/slow-tries/x",
        "",
        "Nothing that was tried is significantly better.",
    ]
    tried(poor)
    document = json.loads(dlcli("diagnose", "runs/slow", "--try", "--json").stdout)
    assert document["winner"] is None
    assert (document["trials"][0]["helped"], document["trials"][0]["problem"]) == (False, problem)


@pytest.mark.usefixtures("slow")
def test_trials_are_a_table_and_the_winner_a_command(dlcli, tried):
    tried(RESCUED, FAILED)
    result = dlcli("diagnose", "runs/slow", "--try")
    rescued = "better: it no longer diverges"
    failed = "failed: training diverged: the loss became inf in epoch 2"
    assert result.exit_code == 0
    assert result.stdout.partition("validation rows:\n")[2].splitlines() == [
        f"suggestion      metric  before  after  {'verdict':<{len(failed)}}  run",
        f"rate-times-10   RMSE         -      2  {rescued:<{len(failed)}}  runs/slow-tries/x",
        f"rate-times-100  -            -      -  {failed}  -",
        "",
        "The best of several suggestions was chosen on these rows, so its metrics are too optimistic: "
        "evaluate it on new rows (`dlcli evaluate`), once, at the end.",
        "",
        f"best suggestion: {COMMAND}",
    ]
    assert result.stderr.splitlines() == [
        "trying 1 of 4: rate-times-10: optimizer.learning_rate=0.01",
        "trying 2 of 4: rate-times-100: optimizer.learning_rate=0.1",
    ]


@pytest.mark.usefixtures("slow")
def test_general_changes_are_tried_if_nothing_else_helped(dlcli, tried):
    tried(*[FAILED] * 20)
    lines = dlcli("diagnose", "runs/slow", "--try").stderr.splitlines()
    names = [line.split(": ")[1] for line in lines]
    assert names[:4] == [
        "rate-times-10",
        "rate-times-100",
        "epochs",
        "averaging (5 times the training time)",
    ]
    assert len(names) > 4
    assert lines[-1].startswith(f"trying {len(names)} of {len(names)}: ")


@pytest.mark.usefixtures("slow")
def test_an_interruption_keeps_the_finished_trials(dlcli, tried):
    tried(FAILED, Interrupted("SIGINT after 3 epochs", 2))
    result = dlcli("diagnose", "runs/slow", "--try")
    assert result.exit_code == 130
    assert "failed: training diverged" in result.stdout
    assert result.stdout.endswith("\nNothing that was tried is significantly better.\n")


@pytest.mark.usefixtures("slow")
def test_trials_are_part_of_the_json_object(dlcli, tried):
    tried(RESCUED, FAILED)
    document = json.loads(dlcli("diagnose", "runs/slow", "--try", "--json").stdout)
    assert list(document) == ["run", "findings", "warnings", "trials", "winner"]
    assert document["winner"] == COMMAND
    assert document["trials"][1] == {
        "rule": "learning_rate_too_low",
        "patch": "rate-times-100",
        "run": None,
        "metric": None,
        "before": None,
        "after": None,
        "difference": None,
        "worse": [],
        "problem": FAILED["problem"],
        "helped": False,
    }


@pytest.mark.usefixtures("double")
def test_without_findings_nothing_is_tried(dlcli):
    result = dlcli("diagnose", "runs/double", "--try")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "runs/double: no problems found\n",
        "",
    )
