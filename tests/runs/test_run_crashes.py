"""Crashes, failing disks and removed folders at any moment of a training."""

from __future__ import annotations

import errno
import mmap
import os
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
from faulty_disk import CRASHED, Disk, crash

from dlcli.errors import RunError, TrainingError, UsageError
from dlcli.runs.file_formats import ArraySpec
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run, open_run, unfinished_run
from dlcli.runs.run_writer import Checkpoint

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="crashes are those of a forked process"),
    # Python 3.12 warns of threads, such as those of NumPy, which no child here has need of.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]

KINDS = {"model/0": ArraySpec((100,), np.dtype(np.float32))}
EPOCHS = 3
FILES = [
    "baselines.json",
    "config.yaml",
    "encoding.json",
    "environment.json",
    "events.jsonl",
    "explanation.json",
    "history.csv",
    "manifest.json",
    "metrics.json",
    "model.keras",
    "predictions.parquet",
    "resolved.yaml",
    "sample.parquet",
    "weights.npz",
]
FULL = os.strerror(errno.ENOSPC)
TIMED = {"events.jsonl", "manifest.json"}
"""Files with times."""
STRIDE = int(os.environ.get("DLCLI_CRASH_STRIDE", "13"))
"""Distance between the moments of crashes that are tried; 1 tries all of them."""


class Done:
    """What a process has done by the time that it ends, which another can read."""

    def __init__(self):
        self._shared = mmap.mmap(-1, 3)

    def begin(self):
        self._shared[0] = 1

    def store(self, epoch):
        self._shared[1] = epoch

    def finish(self):
        self._shared[2] = 1

    has_begun = property(lambda self: self._shared[0] == 1)
    stored = property(lambda self: self._shared[1])
    has_finished = property(lambda self: self._shared[2] == 1)


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch):
    """Does not wait for the real disk: what is written outlives the process that wrote it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of a run that nothing has happened to."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    train(run, Done())
    return contents(run)


def contents(run):
    return {name: (run / name).read_bytes() for name in names(run) if name not in TIMED}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def train(run, done, ends_after=EPOCHS):
    """Stands for a training: all that one stores, in its order."""
    with new_run(run, "run") as writer:
        writer.write_text(RunFile.CONFIG, "epochs: 3\n")
        writer.write_resolved("epochs: 3\nseed: 0\n")
        writer.write_json(RunFile.ENVIRONMENT, {"seed": 0})
        done.begin()
        go_on(writer, done, ends_after)


def resume(run, done):
    with unfinished_run(run) as writer:
        go_on(writer, done)


def go_on(writer, done, ends_after=EPOCHS):
    for epoch in range(newest(writer) + 1, EPOCHS + 1):
        writer.log("epoch", epoch=epoch)
        store(writer, epoch)
        done.store(epoch)
        if ends_after == epoch < EPOCHS:
            raise KeyboardInterrupt
    writer.write_text(RunFile.ENCODING, "{}\n")
    writer.write_arrays(RunFile.WEIGHTS, {"output/kernel": np.full(50, EPOCHS, np.float32)})
    writer.write_history({"loss": [0.5] * EPOCHS})
    with writer.stored(RunFile.MODEL) as path:
        path.write_bytes(b"a model")
    writer.write_table(RunFile.SAMPLE, pa.table({"row": [3, 4]}))
    writer.write_json(RunFile.METRICS, {"train": {"mse": 0.25}})
    writer.write_table(RunFile.PREDICTIONS, pa.table({"row": [1, 2]}))
    writer.write_json(RunFile.BASELINES, {"constant": {"train": {"mse": 0.5}}})
    writer.write_text(RunFile.EXPLANATION, "{}\n")
    writer.finish()
    done.finish()


def store(writer, epoch):
    arrays = {"model/0": np.full(100, epoch, np.float32)}
    writer.write_checkpoint(Checkpoint(arrays, {"loss": [0.5] * epoch}))


def newest(writer):
    """The epoch to resume from."""
    checkpoint = writer.read_checkpoint(KINDS)
    if checkpoint is None:
        return 0
    assert checkpoint.history["loss"] == [0.5] * int(checkpoint.arrays["model/0"][0])
    return len(checkpoint.history["loss"])


def check_whole(run, undisturbed):
    open_run(run).verify()
    assert names(run) == FILES
    assert contents(run) == undisturbed


def finish(run, done):
    """Goes on with what a crash has left, and holds it against what was done before."""
    try:
        with unfinished_run(run) as writer:
            assert done.stored <= newest(writer) <= done.stored + 1
            assert not done.has_finished
            go_on(writer, Done())
    except RunError as error:
        if "is finished" in str(error):
            assert done.stored == EPOCHS
            return
        assert not done.has_begun, error
        assert "no such run folder" in str(error) or "before training started" in str(error)
        shutil.rmtree(run, ignore_errors=True)
        train(run, Done())


def ended_at_each(root, work, power, before=lambda _: None):
    """Has a crash at each moment of some work, and yields what was done until then.

    Args:
        root: the folder of all runs.
        work: what is ended; notes what is done.
        power: whether the crash is a power cut.
        before: what is done before, without a crash; notes it, too.
    """
    at, code = 0, CRASHED
    while code == CRASHED:  # until the work ends before the crash
        shutil.rmtree(root.parent, ignore_errors=True)
        root.mkdir(parents=True)
        before(done := Done())
        code = crash(root, at, lambda done=done: work(done), power=power)
        yield done
        at += STRIDE
    assert code == 0
    assert at > 50, "too few moments to be all of them"


POWER = pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])


@pytest.mark.slow
@POWER
def test_a_crashed_run_can_be_resumed_or_is_finished(power, tmp_path, undisturbed):
    root = tmp_path / "here" / "runs"
    run = root / "run"
    for done in ended_at_each(root, lambda done: train(run, done), power):
        finish(run, done)
        check_whole(run, undisturbed)


@pytest.mark.slow
@POWER
def test_a_resumed_run_that_crashes_again_can_be_resumed(power, tmp_path, undisturbed):
    root = tmp_path / "here" / "runs"
    run = root / "run"

    def interrupted(done):
        with pytest.raises(KeyboardInterrupt):
            train(run, done, ends_after=1)

    for done in ended_at_each(root, lambda done: resume(run, done), power, interrupted):
        finish(run, done)
        check_whole(run, undisturbed)


def failing(number, *but):
    """What a disk does from some moment on, except for some kinds of things."""

    def fault(_disk, kind):
        if kind not in but:
            raise OSError(number, os.strerror(number))

    return fault


FAULTS = {
    "full": failing(errno.ENOSPC, "unlink", "rmdir", "rename", "sync"),
    "read-only": failing(errno.EROFS),
    "broken": failing(errno.EIO),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_disk_ends_a_run_with_one_error(fault, tmp_path, undisturbed):
    """A checkpoint that was stored is still there, and the run goes on once there is room."""
    root = tmp_path / "here" / "runs"
    run = root / "run"
    for done, error in failed_at_each(root, lambda done: train(run, done), FAULTS[fault]):
        check_told(error, run, done)
        if run.exists():
            finish(run, done)
        else:
            train(run, Done())
        check_whole(run, undisturbed)


@pytest.mark.slow
def test_a_removed_folder_ends_a_run_with_one_error(tmp_path):
    root = tmp_path / "here" / "runs"
    run = root / "run"
    for _, error in failed_at_each(root, lambda done: train(run, done), vanishing):
        assert re.match(rf"{root}[^:]*: (could not be stored|can't be [a-z]+): ", str(error))


def vanishing(disk, _kind):
    with disk.out_of_use():
        shutil.rmtree(disk.root, ignore_errors=True)


def failed_at_each(root, work, fault):
    """Has a disk fail from each moment of some work on, and yields what was done, and the error.

    A fault that costs nothing, such as one while what is left is removed, yields nothing.
    """
    at, is_over = 0, False
    while not is_over:
        shutil.rmtree(root.parent, ignore_errors=True)
        root.mkdir(parents=True)
        disk, done, error = Disk(root, fault, at), Done(), None
        try:
            with disk.in_use():
                work(done)
        except (RunError, TrainingError, UsageError) as caught:
            error = caught
        is_over = len(disk.kinds) <= at
        if error is None:
            assert done.has_finished
        else:
            yield done, error
        at += STRIDE
    assert at > 50, "too few moments to be all of them"


def check_told(error, run, done):
    """Holds an error against what there is to go on from."""
    if done.stored:
        assert run.exists()
        way_on = f"resume with: dlcli.resume({str(run)!r})"
        remedy = "free some space" if FULL in str(error) else "make sure that it is writable"
        assert str(error).endswith(f"; {remedy}, then {way_on}")
    elif not done.has_begun and isinstance(error, UsageError):
        assert str(error).endswith("; choose another folder with 'output'")  # as in Python
    else:
        assert isinstance(error, TrainingError)
