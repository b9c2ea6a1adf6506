"""What a draft stores, byte by byte, and how storing fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlcli
from dlcli.errors import RunError, TrainingError
from dlcli.runs import Checkpoint
from dlcli.runs import Draft


@pytest.fixture
def draft(tmp_path):
    (tmp_path / "run").mkdir()
    draft = Draft(tmp_path / "run")
    yield draft
    draft.close()


def names(draft):
    return sorted(path.name for path in draft.path.iterdir())


def manifest(draft):
    return json.loads((draft.path / "manifest.json").read_bytes())


def fail(code):
    def failing(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return failing


def test_texts_are_stored_as_they_are(draft):
    draft.write_config("# Größe\r\nepochs: 1\r\n")
    draft.write_resolved("epochs: 1\n")
    draft.write_encoding('{"columns": []}\n')
    assert (draft.path / "config.yaml").read_bytes() == b"# Gr\xc3\xb6\xc3\x9fe\r\nepochs: 1\r\n"
    assert (draft.path / "resolved.yaml").read_bytes() == b"epochs: 1\n"
    assert (draft.path / "encoding.json").read_bytes() == b'{"columns": []}\n'


def test_metrics_are_indented_json_in_their_own_order(draft):
    draft.write_metrics({"train": {"rmse": 0.5, "mae": 1.0}, "test": {"r2": None}})
    assert (draft.path / "metrics.json").read_text() == (
        '{\n  "train": {\n    "rmse": 0.5,\n    "mae": 1.0\n  },\n'
        '  "test": {\n    "r2": null\n  }\n}\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_refused(draft, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        draft.write_metrics({"train": {"loss": number}})
    assert names(draft) == []


def test_an_argument_that_is_not_utf_8_can_be_stored(draft):
    draft.write_environment({"command": ["dlcli", "\udcff.yaml"]})
    assert b'"\\udcff.yaml"' in (draft.path / "environment.json").read_bytes()


def test_weights_can_be_loaded_by_numpy(draft):
    draft.write_weights({"hidden_1/kernel": np.array([[1, 2], [3, 4]], np.float32)})
    with np.load(draft.path / "weights.npz", allow_pickle=False) as archive:
        assert archive.files == ["hidden_1/kernel"]
        np.testing.assert_array_equal(archive["hidden_1/kernel"], [[1, 2], [3, 4]])


def test_predictions_are_parquet(draft):
    draft.write_predictions(pa.table({"row": [3, 7], "prediction": [0.5, 1.5]}))
    stored = pq.read_table(draft.path / "predictions.parquet")
    assert stored.to_pydict() == {"row": [3, 7], "prediction": [0.5, 1.5]}


def test_a_model_is_saved_beside_its_place_under_an_ending_that_keras_takes(draft):
    with draft.model_file() as path:
        assert path.parent == draft.path
        assert path.suffix == ".keras"
        path.write_bytes(b"model")
        assert not (draft.path / "model.keras").exists()
    assert names(draft) == ["model.keras"]
    assert (draft.path / "model.keras").read_bytes() == b"model"


def test_a_model_that_could_not_be_saved_leaves_no_file(draft):
    with pytest.raises(ZeroDivisionError), draft.model_file() as path:
        path.write_bytes(b"half of a mod")
        raise ZeroDivisionError
    assert names(draft) == []


def test_a_file_written_again_is_replaced_as_a_whole(draft):
    draft.write_config("a longer text\n")
    draft.write_config("short\n")
    assert (draft.path / "config.yaml").read_text() == "short\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_after(draft, monkeypatch):
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
    draft.write_config("epochs: 1\n")
    assert steps == ["sync .config.partial.yaml", "rename to config.yaml", "sync run"]


def test_the_log_has_a_json_line_for_each_event_at_once(draft):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    draft.log("start", rows=120)
    draft.log("epoch", epoch=1, loss=0.5, val_loss=None)
    first, second = map(json.loads, (draft.path / "events.jsonl").read_text().splitlines())
    assert before <= datetime.fromisoformat(first.pop("time")) <= datetime.now(UTC)
    assert first == {"event": "start", "rows": 120}
    assert second.pop("time").endswith("+00:00")
    assert second == {"event": "epoch", "epoch": 1, "loss": 0.5, "val_loss": None}


def test_a_run_without_events_has_no_log(draft):
    draft.write_config("epochs: 1\n")
    assert names(draft) == ["config.yaml"]


def test_the_manifest_names_every_stored_file_with_size_and_hash(draft):
    draft.write_config("epochs: 1\n")
    draft.log("start")
    draft.finish()
    log = (draft.path / "events.jsonl").read_bytes()
    assert manifest(draft)["files"] == {
        "config.yaml": {
            # printf 'epochs: 1\n' | sha256sum
            "sha256": "156e23091c7992d3fc71d9cb29964c551aae2f1b31f4b7be8a1a30ccedbfaf6a",
            "bytes": 10,
        },
        "events.jsonl": {"sha256": hashlib.sha256(log).hexdigest(), "bytes": len(log)},
    }


def test_the_manifest_names_its_format_kind_version_and_time(draft):
    before = datetime.now(UTC)
    run = draft.finish("train")
    written = manifest(draft)
    assert (written["format"], written["kind"], written["dlcli"]) == (
        1,
        "train",
        dlcli.__version__,
    )
    assert before <= datetime.fromisoformat(written["created"]) <= datetime.now(UTC)
    assert run.created == datetime.fromisoformat(written["created"])


def test_the_manifest_carries_the_hash_of_its_own_other_fields(draft):
    draft.write_config("epochs: 1\n")
    draft.finish()
    fields = manifest(draft)
    digest = fields.pop("digest")
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_files_that_are_not_of_the_format_stay_out_of_the_manifest(draft):
    (draft.path / "notes.txt").write_text("mine")
    draft.finish()
    assert manifest(draft)["files"] == {}


def test_a_finished_draft_gives_the_run(draft):
    draft.write_resolved("epochs: 1\n")
    run = draft.finish()
    assert run.resolved_path().read_text() == "epochs: 1\n"


def test_nothing_can_be_written_once_the_run_is_finished(draft):
    draft.finish()
    with pytest.raises(ValueError, match="no longer agree"):
        draft.log("too late")
    with pytest.raises(ValueError, match="no longer agree"):
        draft.write_config("")
    assert names(draft) == ["manifest.json"]


def test_a_full_disk_is_a_training_error_and_leaves_no_half_file(draft, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail(errno.ENOSPC))
    with pytest.raises(
        TrainingError, match=r"config\.yaml: could not be stored: No space left on device; make"
    ):
        draft.write_config("epochs: 1\n")
    assert names(draft) == []


def test_a_failure_of_a_library_without_a_reason_of_the_system_says_its_own(draft):
    message = r"model\.keras: could not be stored: unable to lock file; make room"
    with pytest.raises(TrainingError, match=message), draft.model_file():
        raise OSError("unable to lock file")


def test_a_model_that_was_never_saved_is_a_training_error(draft):
    with (
        pytest.raises(TrainingError, match="could not be stored: No such file"),
        draft.model_file(),
    ):
        pass


def test_a_log_that_cannot_be_written_is_a_training_error(draft):
    (draft.path / "events.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"events\.jsonl: could not be stored: Is a dir"):
        draft.log("start")


def test_a_manifest_that_cannot_be_stored_leaves_the_run_unfinished(draft, monkeypatch):
    monkeypatch.setattr(os, "replace", fail(errno.EDQUOT))
    with pytest.raises(TrainingError, match=r"manifest\.json: could not be stored: Disk quota"):
        draft.finish()
    assert not draft.finished
    assert names(draft) == []


def test_a_disk_that_may_not_be_written_is_not_said_to_be_full(draft, monkeypatch):
    monkeypatch.setattr(os, "replace", fail(errno.EROFS))
    message = (
        "Read-only file system; see that it can be written, or name another place with --output, "
        "then train again"
    )
    with pytest.raises(TrainingError, match=f"{message}$"):
        draft.write_config("epochs: 1\n")


def test_a_config_that_is_changed_while_it_is_trained_is_not_vouched_for(draft):
    draft.write_resolved("epochs: 1\n")
    (draft.path / "resolved.yaml").write_text("epochs: 2\n")
    with pytest.raises(RunError, match=r"resolved\.yaml: was changed while it was trained"):
        draft.finish()
    assert not draft.finished
    assert names(draft) == ["resolved.yaml"]


def test_a_checkpoint_is_of_the_config_that_training_began_with(draft):
    draft.write_resolved("epochs: 1\n")
    (draft.path / "resolved.yaml").write_text("epochs: 2\n")
    draft.write_checkpoint(Checkpoint({}, {}))
    with pytest.raises(RunError, match="checkpoint/1: is of another config"):
        Draft(draft.path).read_checkpoint({})
    (draft.path / "resolved.yaml").write_text("epochs: 1\n")
    assert Draft(draft.path).read_checkpoint({}) == Checkpoint({}, {})


def test_a_config_may_not_change_once_it_was_asked_for(draft):
    (draft.path / "resolved.yaml").write_text("epochs: 1\n")
    path = draft.resolved_path()
    path.write_text("epochs: 2\n")
    with pytest.raises(RunError, match="was changed while it was trained"):
        draft.finish()


def test_an_environment_of_many_files_is_read(draft):
    environment = {"data": [{"file": "x" * 100}] * 20_000}
    draft.write_environment(environment)
    assert draft.read_environment() == environment


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_a_disk_that_syncs_no_folders_can_be_written(code, draft, monkeypatch):
    sync = os.fsync

    def sync_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files)
    draft.write_config("epochs: 1\n")
    draft.finish()
    assert names(draft) == ["config.yaml", "manifest.json"]


def test_a_folder_that_may_not_be_listed_is_not_synced(draft, monkeypatch):
    real = os.open

    def open_no_folder(path, *more, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *more, **options)

    monkeypatch.setattr(os, "open", open_no_folder)
    draft.write_config("epochs: 1\n")
    assert names(draft) == ["config.yaml"]
