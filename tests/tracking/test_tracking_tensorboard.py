"""TensorBoard's event files, read back by TensorBoard itself."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dlcli.runs.run_writer import RunWriter
from dlcli.tracking import tensorboard_tracker
from dlcli.tracking.tracked_events import tracked_run
from tests.tracking.replay import (
    METRICS,
    RESOLVED,
    epoch,
    fold,
    make_folder,
    replay,
    result,
    resumed,
    run_event,
    trained,
    trial,
)

RUN = Path("runs/line")
PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder(RUN)


def story(*events):
    return replay("tensorboard", [run_event(RUN), *events])


def shown(part=""):
    """The events that TensorBoard reads of a split."""
    events = EventAccumulator(str(RUN / "tensorboard" / part))
    events.Reload()
    return events


def curve(part, tag):
    return [(point.step, point.value) for point in shown(part).Scalars(tag)]


def files():
    return sorted((RUN / "tensorboard").rglob("events*"))


@pytest.mark.slow
def test_curves_have_the_same_tags_for_training_and_validation_rows():
    values = {"loss": 0.5, "val_loss": 0.75, "auc": 0.25, "val_auc": 1.0, "learning_rate": 0.125}
    later = {"loss": 0.25, "val_loss": 1.5, "auc": 0.5, "val_auc": 0.5, "learning_rate": 0.0625}
    story(epoch(1, **values), epoch(2, **later), trained(2))
    assert curve("train", "loss") == [(1, 0.5), (2, 0.25)]
    assert curve("validation", "loss") == [(1, 0.75), (2, 1.5)]
    assert curve("train", "auc") == [(1, 0.25), (2, 0.5)]
    assert curve("validation", "auc") == [(1, 1.0), (2, 0.5)]
    assert curve("train", "learning_rate") == [(1, 0.125), (2, 0.0625)]
    assert shown("validation").Tags()["scalars"] == ["loss", "auc"]


def test_final_metrics_have_a_point_each():
    story(epoch(1, loss=0.5), trained(1), result(RUN, 1))
    assert {part: curve(part, "final/mse") for part in PARTS} == {
        "train": [(1, 0.5)],
        "validation": [(1, 0.75)],
        "test": [(1, 1.5)],
    }
    assert METRICS["train"]["r2"] is None  # and a curve has no such point
    assert "final/r2" not in shown("train").Tags()["scalars"]


def test_folds_and_trials_are_runs_of_their_own():
    story(fold(1, mae=0.5), trial(3, 0.25, units=16))
    assert curve("fold-1", "mae") == [(0, 0.5)]
    assert curve("trial-3", "val_mae") == [(0, 0.25)]
    metadata = shown("trial-3").SummaryMetadata("_hparams_/session_start_info")
    start = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
    assert start.hparams["units"].number_value == 16


def test_the_config_is_shown_as_it_is():
    story()
    (text,) = shown().Tensors("config")
    indented = "".join(f"    {line}\n" for line in RESOLVED.splitlines())
    assert text.tensor_proto.string_val[0].decode() == indented


def test_parameters_are_those_of_the_table_of_runs():
    story()
    metadata = shown().SummaryMetadata("_hparams_/session_start_info")
    start = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
    assert start.hparams["hidden[0].units"].number_value == 3
    assert start.hparams["optimizer.name"].string_value == "sgd"
    assert start.hparams["optimizer.use_ema"].HasField("bool_value")
    assert start.group_name == "runs/line"


def test_its_place_and_the_command_to_view_it_are_reported():
    assert story() == [
        (
            "tracking",
            {
                "tracker": "TensorBoard",
                "place": "runs/line/tensorboard",
                "look": "tensorboard --logdir runs",
            },
        )
    ]


def test_a_resumed_training_replaces_repeated_epochs():
    story(epoch(1, loss=0.5), epoch(2, loss=0.25), epoch(3, loss=0.125))
    story(resumed(1), epoch(2, loss=0.75), epoch(4, loss=1.0))
    assert curve("train", "loss") == [(1, 0.5), (2, 0.75), (4, 1.0)]


def test_an_epoch_is_on_disk_at_once_if_it_took_long(monkeypatch):
    monkeypatch.setattr(tensorboard_tracker, "_SECONDS", 0.0)
    tracker = tensorboard_tracker.TensorBoard()
    tracker.begin(tracked_run(RunWriter(RUN)))
    tracker.log_epoch(1, {"loss": 0.5})
    assert curve("train", "loss") == [(1, 0.5)]
    tracker.close()


def test_a_full_disk_midway_is_reported_once_and_keeps_what_was_written(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    tracker = tensorboard_tracker.TensorBoard
    monkeypatch.setattr(tracker, "log_metrics", full)
    told = story(epoch(1, loss=0.5), trained(1), result(RUN, 1))
    message = "TensorBoard: No space left on device; logging stopped, training continues"
    assert told[1:] == [("warning", {"message": message})]
    assert curve("train", "loss") == [(1, 0.5)]


@pytest.mark.parametrize("link", ["tensorboard", "tensorboard/train"])
def test_a_link_in_a_strangers_run_is_not_followed(link, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (RUN / link).parent.mkdir(exist_ok=True)
    (RUN / link).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    told = story(epoch(1, loss=0.5))
    why = f"TensorBoard: runs/line/{link}: is a link, not a folder; restore the run from a copy"
    assert told[-1][0] == "warning"
    assert told[-1][1]["message"].startswith(why)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_long_config_is_cut():
    (RUN / "resolved.yaml").write_text(RESOLVED + "# more\n" * 20_000)
    story()
    (text,) = shown().Tensors("config")
    content = text.tensor_proto.string_val[0].decode()
    assert content.startswith("    data:\n")
    assert content.endswith("...\n")
    assert len(content) < 2**17
