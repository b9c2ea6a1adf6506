"""Checkpoints: two are kept, and damaged ones are not used."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from dlcli.errors import RunError
from dlcli.runs.file_formats import ArraySpec
from dlcli.runs.run_writer import Checkpoint, RunWriter, remove_resume_files
from tests.runs.faulty_disk import Disk

KINDS = {
    "model/0": ArraySpec((2, 3), np.dtype(np.float32)),
    "epoch": ArraySpec((), np.dtype(np.int64)),
}
WAY_OUT = "restore the run from a copy or train it again"


@pytest.fixture
def run(tmp_path):
    """A run folder without a checkpoint."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "resolved.yaml").write_text("epochs: 1\n")
    return tmp_path / "run"


@pytest.fixture
def two(run):
    """A run folder with the checkpoints of epochs 1 and 2."""
    for epoch in (1, 2):
        write(run, epoch)
    return run


def write(run, number, **changes):
    arrays = {"model/0": np.full((2, 3), number, np.float32), "epoch": np.array(number)}
    history = {"loss": [1 / each for each in range(1, number + 1)]}
    RunWriter(run).write_checkpoint(Checkpoint({**arrays, **changes}, history))


def epoch_read(run):
    return int(RunWriter(run).read_checkpoint(KINDS).arrays["epoch"])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def message_of(run):
    with pytest.raises(RunError) as caught:
        RunWriter(run).read_checkpoint(KINDS)
    return str(caught.value)


def test_a_new_run_has_no_checkpoint(run):
    assert not RunWriter(run).can_resume
    assert RunWriter(run).read_checkpoint(KINDS) is None


def test_a_checkpoint_is_read_to_the_bit(run):
    arrays = {
        "half": np.array([1.5, -0.0, np.nan], np.float16),
        "random": np.array([[2**32 - 1]], np.uint32),
        "is_stopped": np.array(True),
        "nothing": np.empty((0, 4), np.float64),
    }
    history = {"loss": [0.1, 1e-300], "r2": [math.nan, -math.inf]}
    RunWriter(run).write_checkpoint(Checkpoint(arrays, history))
    kinds = {name: ArraySpec(array.shape, array.dtype) for name, array in arrays.items()}
    found = RunWriter(run).read_checkpoint(kinds)
    for name, array in arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes()
    assert list(found.history) == ["loss", "r2"]
    assert found.history["loss"] == [0.1, 1e-300]
    assert repr(found.history["r2"]) == "[nan, -inf]"


def test_a_checkpoint_before_the_first_epoch_has_no_history(run):
    RunWriter(run).write_checkpoint(Checkpoint({}, {}))
    assert RunWriter(run).read_checkpoint({}) == Checkpoint({}, {})


def test_two_are_kept_and_the_newest_is_read(two):
    write(two, 3)
    assert names(two / "checkpoint") == ["2", "3"]
    assert names(two / "checkpoint" / "3") == ["arrays.npz", "contents.json", "history.csv"]
    assert epoch_read(two) == 3


def test_one_of_an_earlier_epoch_is_kept_while_the_newest_two_are_of_one_epoch(two):
    for _ in range(3):
        write(two, 3)
    assert names(two / "checkpoint") == ["2", "4", "5"]
    write(two, 4)
    assert names(two / "checkpoint") == ["5", "6"]


def test_a_damaged_one_is_not_kept_for_its_epoch(two):
    write(two, 3)
    (two / "checkpoint" / "2" / "contents.json").unlink()
    write(two, 3)
    assert names(two / "checkpoint") == ["3", "4"]


def test_an_older_one_is_read_if_the_newest_is_not_accepted(two):
    def first(checkpoint):
        return len(checkpoint.history["loss"]) == 1

    assert int(RunWriter(two).read_checkpoint(KINDS, first).arrays["epoch"]) == 1
    (two / "checkpoint" / "1" / "arrays.npz").unlink()
    assert RunWriter(two).read_checkpoint(KINDS, first) is None  # 2 is intact, but not accepted
    (two / "checkpoint" / "2" / "arrays.npz").unlink()
    with pytest.raises(RunError, match="checkpoint/2/arrays.npz: is missing"):
        RunWriter(two).read_checkpoint(KINDS, first)


def test_numbers_are_compared_as_numbers(run):
    for epoch in range(1, 11):
        write(run, epoch)
    assert names(run / "checkpoint") == ["10", "9"]
    assert epoch_read(run) == 10


def test_leftovers_of_crashes_are_removed_by_the_next_checkpoint(two):
    for name in (".3.partial", "1", "0"):
        (two / "checkpoint" / name).mkdir(exist_ok=True)
    (two / "checkpoint" / ".3.partial" / "arrays.npz").write_bytes(b"half of")
    (two / "checkpoint" / "2" / "arrays.npz").unlink()
    write(two, 3)
    assert names(two / "checkpoint") == ["0", "2", "3"]  # 0 is not a number of a checkpoint
    assert epoch_read(two) == 3


def empty(folder):
    for name in names(folder):
        (folder / name).unlink()


def unlinked(name):
    return lambda folder: (folder / name).unlink()


def flipped(name, place):
    def flip(folder):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)

    return flip


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def longer(name, more=b"\n"):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + more)


def linked(name):
    def link(folder):
        (folder / name).rename(folder.parent.parent / name)
        (folder / name).symlink_to(folder.parent.parent / name)

    return link


def with_contents(**changes):
    def change(folder):
        contents = json.loads((folder / "contents.json").read_bytes())
        (folder / "contents.json").write_text(json.dumps(contents | changes))

    return change


NO_FILE = "is not a regular file but a link, a folder or a device"
DAMAGES = {
    "nothing in it": (empty, "contents.json: is missing"),
    "no contents": (unlinked("contents.json"), "contents.json: is missing"),
    "no arrays": (unlinked("arrays.npz"), "arrays.npz: is missing"),
    "no history": (unlinked("history.csv"), "history.csv: is missing"),
    "a bit of the arrays": (flipped("arrays.npz", 99), "arrays.npz: has changed since it was "),
    "a bit of the history": (flipped("history.csv", -2), "history.csv: has changed since it was "),
    "a bit of the contents": (flipped("contents.json", -5), "contents.json: does not match "),
    "one byte less": (cut("arrays.npz"), "arrays.npz: has 541 bytes, expected 542"),
    "a longer history": (longer("history.csv"), "history.csv: has 24 bytes, expected 23"),
    "huge contents": (
        lambda folder: (folder / "contents.json").write_bytes(b" " * (2**20 + 1)),
        "contents.json: has more than 1,048,576 bytes",
    ),
    "no JSON": (longer("contents.json", b"}"), "contents.json: is not JSON: Extra data: line "),
    "other fields": (with_contents(more=1), "contents.json: is malformed at 'more': Extra inputs"),
    "other files": (
        with_contents(files={"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}),
        "contents.json: is malformed at 'files./etc/passwd.[key]': Input should be 'arrays.npz'",
    ),
    "no files": (with_contents(files={}), "contents.json: does not match its own digest"),
    "linked arrays": (linked("arrays.npz"), f"arrays.npz: {NO_FILE}"),
    "a linked history": (linked("history.csv"), f"history.csv: {NO_FILE}"),
    "linked contents": (linked("contents.json"), f"contents.json: {NO_FILE}"),
}
"""Kinds of damage to a checkpoint, and the message for each."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_previous_one_is_read_if_the_newest_is_damaged(damage, two):
    DAMAGES[damage][0](two / "checkpoint" / "2")
    assert epoch_read(two) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_all_are_damaged_the_error_names_the_newest(damage, two):
    harm, finding = DAMAGES[damage]
    (two / "checkpoint" / "1" / "arrays.npz").unlink()
    harm(two / "checkpoint" / "2")
    message = message_of(two)
    assert message.startswith(f"{two}/checkpoint/2/{finding}")
    assert message.endswith(f"; {WAY_OUT}")


def test_the_error_for_a_newer_format_names_the_version(run):
    write(run, 1)
    with_contents(format=2, dlcli="9.9")(run / "checkpoint" / "1")
    assert message_of(run).startswith(
        f"{run}/checkpoint/1/contents.json: has format 2, written by dlcli '9.9', but dlcli "
    )


def test_checkpoints_of_another_config_are_rejected(two):
    (two / "resolved.yaml").write_text("epochs: 2\n")
    assert message_of(two) == (f"{two}/checkpoint/2: belongs to another config; {WAY_OUT}")


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"model/1": np.zeros(1)}, "has an unknown 'model/1.npy'"),
        (
            {"model/0": np.zeros((3, 2), np.float32)},
            "array 'model/0' has the shape (3, 2), expected (2, 3)",
        ),
        ({"model/0": np.zeros((2, 3))}, "array 'model/0' is float64, expected float32"),
        ({"epoch": np.array([1])}, "array 'epoch' has the shape (1,), expected ()"),
    ],
)
def test_unknown_arrays_are_rejected(changes, finding, run):
    write(run, 1, **changes)
    assert message_of(run).startswith(f"{run}/checkpoint/1/arrays.npz: {finding}")


def test_a_missing_array_is_an_error(run):
    RunWriter(run).write_checkpoint(Checkpoint({"epoch": np.array(1)}, {}))
    assert message_of(run) == (f"{run}/checkpoint/1/arrays.npz: lacks array 'model/0'; {WAY_OUT}")


@pytest.mark.parametrize("name", ["notes", "01", "-3", "3.0", "٣", "²", "3 ", "1234567890", ".3"])
def test_other_names_are_neither_read_nor_removed(name, two):
    (two / "checkpoint" / "2").rename(two / "checkpoint" / name)
    assert epoch_read(two) == 1
    write(two, 2)
    write(two, 3)
    assert names(two / "checkpoint") == sorted(["2", "3", name])


def test_a_file_with_a_number_as_its_name_is_not_a_checkpoint(two):
    (two / "checkpoint" / "7").write_text("mine")
    assert epoch_read(two) == 2
    write(two, 3)
    assert (two / "checkpoint" / "3").is_dir()


def test_a_link_to_a_checkpoint_is_ignored(two, tmp_path):
    (two / "checkpoint" / "2").rename(tmp_path / "elsewhere")
    (two / "checkpoint" / "2").symlink_to(tmp_path / "elsewhere")
    assert epoch_read(two) == 1
    assert RunWriter(two).can_resume


def test_a_link_instead_of_the_folder_is_not_read_written_or_removed(two, tmp_path):
    (two / "checkpoint").rename(tmp_path / "elsewhere")
    (two / "checkpoint").symlink_to(tmp_path / "elsewhere")
    assert not RunWriter(two).can_resume
    assert RunWriter(two).read_checkpoint(KINDS) is None
    with pytest.raises(RunError, match="checkpoint: is a link, a file or a device, not a folder"):
        write(two, 3)
    remove_resume_files(two)
    assert names(tmp_path / "elsewhere") == ["1", "2"]


def test_a_finished_member_replaces_its_checkpoints_and_outlives_a_power_cut(run):
    arrays = {"model/0": np.ones((2, 3), np.float32), "epoch": np.array(1)}
    disk = Disk(run, lambda *_: None, at=0)
    with disk.in_use():
        RunWriter(run).write_checkpoint(Checkpoint(arrays, {"loss": [0.5]}), member=1)
        RunWriter(run).write_member(1, Checkpoint(arrays, {"loss": [0.5]}))
    disk.lose_power()
    assert names(run / "checkpoint") == []
    assert RunWriter(run).read_member(1, KINDS).history == {"loss": [0.5]}


def test_removed_checkpoints_leave_nothing(two):
    remove_resume_files(two)
    assert names(two) == ["resolved.yaml"]
    remove_resume_files(two)  # of a crash between that and the end


def test_an_intact_checkpoint_of_other_arrays_may_be_of_another_version(run):
    write(run, 1, **{"model/1": np.zeros(1)})
    with pytest.raises(RunError) as caught:
        RunWriter(run).read_checkpoint(KINDS)
    assert caught.value.__notes__ == [
        "  it was not damaged; another version of dlcli may have written it: resume with that version, "
        "or train the run again"
    ]
