"""A run is resumed only with the rows and images that it began with."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot
from PIL import Image

from dlcli.config.config_file import load_config
from dlcli.errors import DataError, RunError
from dlcli.pipeline import preparation, train_run
from dlcli.pipeline.train_run import train
from dlcli.runs.run_folder import open_run

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25, storage: STORAGE}
input:
  features:
    x: numeric
    photo: {type: image, shape: [2, 2, 1]}
    scan: {type: image, shape: [2, 2, 1]}
hidden: []
epochs: 3
batch_size: 8
engine: {name: compiled, jit_compile: false}
"""
CHANGED = "restore the file, or train again"
RUN = Path("runs/t")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Rows with two columns of images each, in another folder than the current one."""
    monkeypatch.chdir(tmp_path)
    Path("data/images").mkdir(parents=True)
    lines = ["x,photo,scan,y"]
    for at in range(12):
        for kind in ("photo", "scan"):
            save(f"{kind}{at % 8}", 10 * at)  # some serve twice
        lines.append(f"{at},images/photo{at % 8}.png,images/scan{at % 8}.png,{at * at}")
    Path("data/rows.csv").write_text("\n".join(lines) + "\n")
    write_config("memory")
    return tmp_path


def write_config(storage):
    Path("t.yaml").write_text(
        CONFIG.replace("rows.csv", "data/rows.csv").replace("STORAGE", storage)
    )


def path_of(name):
    return Path(f"data/images/{name}.png")


def save(name, grey):
    Image.fromarray(np.full((2, 2), grey, np.uint8)).save(path_of(name))


def started(listener=lambda _: None):
    return train(load_config(Path("t.yaml")), listener=listener)


class Stopped(Exception):
    """Something has ended training."""


UNFINISHED = {}
"""The files of an unfinished run, by its config: it is trained once."""


def unfinished():
    """A run that was interrupted after its first epoch."""

    def stop(event):
        if event.kind == "epoch":
            raise Stopped

    config = Path("t.yaml").read_text()
    if config not in UNFINISHED:
        with pytest.raises(Stopped):
            started(stop)
        UNFINISHED[config] = contents(RUN)
    for path, content in UNFINISHED[config].items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not False:
            path.write_bytes(content)
    return contents(RUN)


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def refusal(kind=RunError):
    """The error on resuming the run, which leaves everything as it was."""
    before = contents(Path())
    with pytest.raises(kind) as caught:
        train(RUN)
    assert contents(Path()) == before
    return str(caught.value)


class TestImages:
    """Their content is part of what a run began with."""

    @pytest.mark.slow
    @pytest.mark.parametrize("storage", ["memory", "disk"])
    def test_that_are_unchanged_let_it_be_resumed(self, storage):
        write_config(storage)
        uninterrupted = train(load_config(Path("t.yaml")), Path("uninterrupted"))
        unfinished()
        assert train(RUN).path == RUN
        assert (RUN / "weights.npz").read_bytes() == (
            uninterrupted.path / "weights.npz"
        ).read_bytes()

    @pytest.mark.slow
    @pytest.mark.parametrize("at", [0, 7])
    def test_that_have_changed_are_refused_by_their_column(self, at):
        unfinished()
        save(f"scan{at}", 255)
        assert refusal() == (
            f"runs/t: an image of the column 'scan' has changed since the run started; {CHANGED}"
        )

    @pytest.mark.slow
    def test_that_have_changed_places_are_refused(self):
        unfinished()
        one, other = path_of("photo1"), path_of("photo2")
        before = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(before)
        assert "the column 'photo' has changed" in refusal()

    def test_of_which_nothing_is_known_are_refused(self):
        unfinished()
        file = RUN / "environment.json"
        fields = json.loads(file.read_text())
        del fields["images"]
        file.write_text(json.dumps(fields))
        assert "the column 'photo' has changed" in refusal()

    def test_that_are_gone_are_missed(self):
        unfinished()
        path_of("photo3").unlink()
        assert "no such file: 'data/images/photo3.png'" in refusal(DataError)

    @pytest.mark.slow
    def test_are_known_by_a_hash_of_their_hashes(self):
        """In the order of the training rows, then of the others; no file counts twice in a set."""
        Path("t.yaml").write_text(Path("t.yaml").read_text().replace("0.25", "null"))
        run = started()
        parts = [path_of(f"scan{at}").read_bytes() for at in range(8)]
        whole = b"".join(hashlib.sha256(part).digest() for part in parts)
        images = run.environment["images"]
        assert list(images) == ["photo", "scan"]
        assert images["scan"] == {"files": 8, "sha256": hashlib.sha256(whole).hexdigest()}

    @pytest.mark.slow
    def test_are_not_reported_where_there_are_none(self):
        text = Path("t.yaml").read_text().replace("type: image, shape: [2, 2, 1]", "type: ignored")
        Path("t.yaml").write_text(text)
        assert "images" not in started().environment


@pytest.fixture
def written_to(monkeypatch):
    """Another program writes to the rows between their reading and the beginning of training."""
    prepare_device = train_run.load_tensorflow

    def write(content):
        def device(*arguments):
            content()
            return prepare_device(*arguments)

        monkeypatch.setattr(train_run, "load_tensorflow", device)

    return write


def other_number():
    """A change that leaves the size as it was."""
    rows = Path("data/rows.csv")
    rows.write_text(rows.read_text().replace("121", "122"))


def another_file():
    """A file of the same size and time in the place of this one."""
    rows, time = Path("data/rows.csv"), Path("data/rows.csv").stat().st_mtime_ns
    content = rows.read_text().replace("121", "122")
    rows.rename("before.csv")
    rows.write_text(content)
    os.utime(rows, ns=(time, time))


class TestWriters:
    """Rows that change while they are read are not those whose hash is known."""

    @pytest.mark.parametrize("change", [other_number, another_file, Path("data/rows.csv").unlink])
    def test_stop_a_training(self, change, written_to):
        written_to(change)
        with pytest.raises(DataError) as caught:
            started()
        assert str(caught.value) == (
            snapshot(
                "data/rows.csv: changed while it was read; train again when nothing writes to it"
            )
        )
        assert caught.value.exit_code == 3
        assert not Path("runs").exists()

    def test_stop_a_run_that_is_resumed(self, written_to):
        before = unfinished()
        written_to(other_number)
        with pytest.raises(DataError, match="changed while it was read"):
            train(RUN)
        assert contents(RUN) == before

    def test_of_other_files_do_not(self, written_to):
        written_to(lambda: Path("data/other.csv").write_text("x\n1\n"))
        started()


def test_resuming_hashes_the_data_only_once(monkeypatch):
    unfinished()
    read, of = [], preparation.fingerprint
    monkeypatch.setattr(preparation, "fingerprint", lambda path: read.append(path) or of(path))
    train(RUN)
    assert read == [Path("data/rows.csv")]
    assert open_run(RUN).kind == "train"
