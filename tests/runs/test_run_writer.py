"""The files that a writer stores, and the errors of storing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlcli
from dlcli.errors import RunError, TrainingError
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import Checkpoint, RunWriter
from dlcli.safe_files import open_new_file


@pytest.fixture
def writer(tmp_path):
    (tmp_path / "run").mkdir()
    writer = RunWriter(tmp_path / "run")
    yield writer
    writer.close()


def names(writer):
    return sorted(path.name for path in writer.path.iterdir())


def manifest(writer):
    return json.loads((writer.path / "manifest.json").read_bytes())


def fail(code):
    def failing(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return failing


def test_texts_are_stored_as_they_are(writer):
    writer.write_text(RunFile.CONFIG, "# Größe\r\nepochs: 1\r\n")
    writer.write_resolved("epochs: 1\n")
    writer.write_text(RunFile.ENCODING, '{"columns": []}\n')
    assert (writer.path / "config.yaml").read_bytes() == b"# Gr\xc3\xb6\xc3\x9fe\r\nepochs: 1\r\n"
    assert (writer.path / "resolved.yaml").read_bytes() == b"epochs: 1\n"
    assert (writer.path / "encoding.json").read_bytes() == b'{"columns": []}\n'


def test_metrics_are_indented_json_in_their_own_order(writer):
    writer.write_json(RunFile.METRICS, {"train": {"rmse": 0.5, "mae": 1.0}, "test": {"r2": None}})
    assert (writer.path / "metrics.json").read_text() == (
        '{\n  "train": {\n    "rmse": 0.5,\n    "mae": 1.0\n  },\n'
        '  "test": {\n    "r2": null\n  }\n}\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_without_json_form_is_rejected(writer, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        writer.write_json(RunFile.METRICS, {"train": {"loss": number}})
    assert names(writer) == []


def test_an_argument_that_is_not_utf_8_can_be_stored(writer):
    writer.write_json(RunFile.ENVIRONMENT, {"command": ["dlcli", "\udcff.yaml"]})
    assert b'"\\udcff.yaml"' in (writer.path / "environment.json").read_bytes()


def test_weights_can_be_loaded_by_numpy(writer):
    writer.write_arrays(
        RunFile.WEIGHTS, {"hidden_1/kernel": np.array([[1, 2], [3, 4]], np.float32)}
    )
    with np.load(writer.path / "weights.npz", allow_pickle=False) as archive:
        assert archive.files == ["hidden_1/kernel"]
        np.testing.assert_array_equal(archive["hidden_1/kernel"], [[1, 2], [3, 4]])


def test_predictions_are_parquet(writer):
    writer.write_table(RunFile.PREDICTIONS, pa.table({"row": [3, 7], "prediction": [0.5, 1.5]}))
    stored = pq.read_table(writer.path / "predictions.parquet")
    assert stored.to_pydict() == {"row": [3, 7], "prediction": [0.5, 1.5]}


def test_a_model_is_saved_under_a_temporary_name_that_keras_accepts(writer):
    with writer.stored(RunFile.MODEL) as path:
        assert path.parent == writer.path
        assert path.suffix == ".keras"
        path.write_bytes(b"model")
        assert not (writer.path / "model.keras").exists()
    assert names(writer) == ["model.keras"]
    assert (writer.path / "model.keras").read_bytes() == b"model"


def test_a_model_that_could_not_be_saved_leaves_no_file(writer):
    with pytest.raises(ZeroDivisionError), writer.stored(RunFile.MODEL) as path:
        path.write_bytes(b"half of a mod")
        raise ZeroDivisionError
    assert names(writer) == []


def test_a_file_written_again_is_replaced_as_a_whole(writer):
    writer.write_text(RunFile.CONFIG, "a longer text\n")
    writer.write_text(RunFile.CONFIG, "short\n")
    assert (writer.path / "config.yaml").read_text() == "short\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_a_file_is_synced_before_and_its_folder_after_the_rename(writer, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        steps.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_replace(source, target):
        steps.append(f"rename to {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    assert steps == ["sync .config.partial.yaml", "rename to config.yaml", "sync run"]


@pytest.mark.parametrize("other", [None, "full/bad.csv"])
def test_an_error_of_the_system_names_the_file_that_it_is_of(tmp_path, other):
    path = tmp_path / "good.csv"
    with pytest.raises(OSError, match="No space left") as caught, open_new_file(path):
        raise OSError(28, "No space left on device", other)
    assert caught.value.filename == (other or str(path))
    assert not path.exists()


def test_two_processes_that_write_one_file_do_not_publish_each_others_half(tmp_path):
    path = tmp_path / "rows.csv"
    with ExitStack() as other_process:
        with open_new_file(path) as first:
            first.write(b"first")
            second = other_process.enter_context(open_new_file(path))
            second.write(b"sec")
            second.flush()
        assert path.read_bytes() == b"first"
        second.write(b"ond")
    assert path.read_bytes() == b"second"
    assert [*tmp_path.iterdir()] == [path]


def test_the_log_has_a_json_line_for_each_event_at_once(writer):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    writer.log("start", rows=120)
    writer.log("epoch", epoch=1, loss=0.5, val_loss=None)
    first, second = map(json.loads, (writer.path / "events.jsonl").read_text().splitlines())
    assert before <= datetime.fromisoformat(first.pop("time")) <= datetime.now(UTC)
    assert first == {"event": "start", "rows": 120}
    assert second.pop("time").endswith("+00:00")
    assert second == {"event": "epoch", "epoch": 1, "loss": 0.5, "val_loss": None}


def test_a_run_without_events_has_no_log(writer):
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    assert names(writer) == ["config.yaml"]


def test_the_manifest_names_every_stored_file_with_size_and_hash(writer):
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    writer.log("start")
    writer.finish()
    log = (writer.path / "events.jsonl").read_bytes()
    assert manifest(writer)["files"] == {
        "config.yaml": {
            # printf 'epochs: 1\n' | sha256sum
            "sha256": "156e23091c7992d3fc71d9cb29964c551aae2f1b31f4b7be8a1a30ccedbfaf6a",
            "bytes": 10,
        },
        "events.jsonl": {"sha256": hashlib.sha256(log).hexdigest(), "bytes": len(log)},
    }


def test_the_manifest_names_its_format_kind_version_and_time(writer):
    before = datetime.now(UTC)
    run = writer.finish("train")
    written = manifest(writer)
    assert (written["format"], written["kind"], written["dlcli"]) == (
        1,
        "train",
        dlcli.__version__,
    )
    assert before <= datetime.fromisoformat(written["created"]) <= datetime.now(UTC)
    assert run.created == datetime.fromisoformat(written["created"])


def test_the_manifest_carries_the_hash_of_its_own_other_fields(writer):
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    writer.finish()
    fields = manifest(writer)
    digest = fields.pop("digest")
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_the_manifest_omits_files_that_are_not_of_the_format(writer):
    (writer.path / "notes.txt").write_text("mine")
    writer.finish()
    assert manifest(writer)["files"] == {}


def test_a_finished_writer_returns_the_run(writer):
    writer.write_resolved("epochs: 1\n")
    run = writer.finish()
    assert run.resolved_path().read_text() == "epochs: 1\n"


def test_nothing_can_be_written_once_the_run_is_finished(writer):
    writer.finish()
    with pytest.raises(ValueError, match="no longer match"):
        writer.log("too late")
    with pytest.raises(ValueError, match="no longer match"):
        writer.write_text(RunFile.CONFIG, "")
    assert names(writer) == ["manifest.json"]


def test_a_full_disk_is_a_training_error_and_leaves_no_half_file(writer, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail(errno.ENOSPC))
    with pytest.raises(
        TrainingError, match=r"config\.yaml: could not be stored: No space left on device; free"
    ):
        writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    assert names(writer) == []


def test_an_os_error_without_a_number_keeps_its_message(writer):
    message = r"model\.keras: could not be stored: unable to lock file; free some space"
    with pytest.raises(TrainingError, match=message), writer.stored(RunFile.MODEL):
        raise OSError("unable to lock file")


def test_a_model_that_was_never_saved_is_a_training_error(writer):
    with (
        pytest.raises(TrainingError, match="could not be stored: No such file"),
        writer.stored(RunFile.MODEL),
    ):
        pass


def test_a_log_that_cannot_be_written_is_a_training_error(writer):
    (writer.path / "events.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"events\.jsonl: could not be stored: Is a dir"):
        writer.log("start")


def test_a_manifest_that_cannot_be_stored_leaves_the_run_unfinished(writer, monkeypatch):
    monkeypatch.setattr(os, "replace", fail(errno.EDQUOT))
    with pytest.raises(TrainingError, match=r"manifest\.json: could not be stored: Disk quota"):
        writer.finish()
    assert not writer.finished
    assert names(writer) == []


def test_the_error_for_a_read_only_disk_does_not_name_a_full_disk(writer, monkeypatch):
    monkeypatch.setattr(os, "replace", fail(errno.EROFS))
    message = (
        "Read-only file system; make sure that it is writable, or choose another folder with "
        "'output', then train again"
    )
    with pytest.raises(TrainingError, match=f"{message}$"):
        writer.write_text(RunFile.CONFIG, "epochs: 1\n")


def test_a_config_that_changes_during_training_is_an_error(writer):
    writer.write_resolved("epochs: 1\n")
    (writer.path / "resolved.yaml").write_text("epochs: 2\n")
    with pytest.raises(RunError, match=r"resolved\.yaml: was changed during training"):
        writer.finish()
    assert not writer.finished
    assert names(writer) == ["resolved.yaml"]


def test_a_checkpoint_is_of_the_config_that_training_began_with(writer):
    writer.write_resolved("epochs: 1\n")
    (writer.path / "resolved.yaml").write_text("epochs: 2\n")
    writer.write_checkpoint(Checkpoint({}, {}))
    with pytest.raises(RunError, match="checkpoint/1: belongs to another config"):
        RunWriter(writer.path).read_checkpoint({})
    (writer.path / "resolved.yaml").write_text("epochs: 1\n")
    assert RunWriter(writer.path).read_checkpoint({}) == Checkpoint({}, {})


def test_a_config_may_not_change_after_its_first_use(writer):
    (writer.path / "resolved.yaml").write_text("epochs: 1\n")
    writer.write_checkpoint(Checkpoint({}, {}))
    (writer.path / "resolved.yaml").write_text("epochs: 2\n")
    with pytest.raises(RunError, match="was changed during training"):
        writer.finish()


def test_an_environment_of_many_files_is_read(writer):
    environment = {"data": [{"file": "x" * 100}] * 20_000}
    writer.write_json(RunFile.ENVIRONMENT, environment)
    assert writer.environment == environment


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_a_disk_that_syncs_no_folders_can_be_written(code, writer, monkeypatch):
    sync = os.fsync

    def sync_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files)
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    writer.finish()
    assert names(writer) == ["config.yaml", "manifest.json"]


def test_an_unlistable_folder_is_not_synced(writer, monkeypatch):
    real = os.open

    def open_no_folder(path, *more, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *more, **options)

    monkeypatch.setattr(os, "open", open_no_folder)
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    assert names(writer) == ["config.yaml"]
