"""Rows on disk lie beside the run, leave no trace, and are explained where the disk is full."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.config.config_file import load_config
from dlcli.encoding.encoded_rows import InputsWriter
from dlcli.errors import DataError, TrainingError
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train

pytestmark = pytest.mark.usefixtures("compiled_once")

ROWS = "".join(f"{x},{2 * x + 1}\n" for x in range(8))
ON_DISK = [
    "lock",
    "rows.arrow",
    "rows.arrow",
    "test_dense.bin",
    "train_dense.bin",
    "validation_dense.bin",
]
"""The files of the folder during training, without a random part of the rows' names."""


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Data, config and run, each in a folder of its own."""
    for name in ("data", "configs", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "t.csv").write_text(f"x,y\n{ROWS}")
    (tmp_path / "data" / "test.csv").write_text("x,y\n1,3\n")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def config_for(more=""):
    Path("../configs/t.yaml").write_text(
        "data: {train: ../data/t.csv, validation: 0.25, test: ../data/test.csv, target: y,"
        " storage: disk}\n"
        f"input: {{features: {{x: numeric}}}}\nhidden: []\nepochs: 2\n{more}"
    )
    return load_config(Path("../configs/t.yaml"))


def everything(root):
    """All that lies in the folders."""
    return {path.relative_to(root) for path in root.rglob("*")}


def interrupt_at(wanted):
    """A listener that breaks off."""

    def listen(event):
        if event.kind == wanted:
            raise KeyboardInterrupt

    return listen


@pytest.mark.slow
@pytest.mark.parametrize(("output", "beside"), [(None, "work/runs"), ("../out/a/run", "out/a")])
def test_it_lies_beside_the_run_and_nowhere_else(output, beside, root):
    file, before, found = config_for(), everything(root), []
    before |= {Path(beside), *Path(beside).parents}

    def look(event):
        if event.kind == "epoch":
            found[:] = everything(root) - before

    run = train(file, output and Path(output), look).path.resolve().relative_to(root)
    [folder] = {path.parent for path in found if path.suffix == ".bin"}
    assert folder.parent == run.parent == Path(beside)
    assert re.fullmatch(r"\.t-\d+-[0-9a-f]{8}\.cache", folder.name)
    names = [path.name for path in found if path.parent == folder]
    assert sorted(re.sub("_[0-9a-f]{16}", "", name) for name in names) == ON_DISK
    assert [path for path in found if not {folder, run} & {path, *path.parents}] == []
    left = everything(root) - before
    assert [path for path in left if run not in {path, *path.parents}] == []


def test_a_check_leaves_nothing_behind(root):
    file, before = config_for(), everything(root)
    assert check(file).rows_read
    assert everything(root) == before


@pytest.mark.parametrize("output", [None, "../out/a/run"])
@pytest.mark.parametrize("event", ["storage", "data", "device"])
def test_an_interruption_leaves_nothing_behind(event, output, root):
    file, before = config_for(), everything(root)
    with pytest.raises(KeyboardInterrupt):
        train(file, output and Path(output), interrupt_at(event))
    assert everything(root) == before


@pytest.mark.slow
@pytest.mark.parametrize(("event", "output"), [("epoch", None), ("result", "../out/a/run")])
def test_an_interruption_of_a_training_leaves_what_it_takes_to_go_on(event, output, root):
    file, before = config_for(), everything(root)
    with pytest.raises(KeyboardInterrupt):
        train(file, output and Path(output), interrupt_at(event))
    run = Path(output or "runs/t")
    assert (run / "checkpoint" / "1").is_dir()
    inside = (root / "work" / run).resolve()
    outside = [path for path in everything(root) - before if inside not in (root / path).parents]
    assert {(root / path).resolve() for path in outside} <= {inside, *inside.parents}
    assert train(run).metrics


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3", "row 9: has 3 fields, but the header has 2 (line 10 of the file)"),
        ("one,2", "row 9, column 'x': expected a finite number, got 'one'"),
        ("1,inf", "row 9, column 'y': expected a finite number, got 'inf'"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "test.csv"])
def test_a_row_that_is_wrong_leaves_nothing_behind(name, row, message, root):
    (root / "data" / name).write_text(f"x,y\n{ROWS}{row}\n")
    file, before = config_for(), everything(root)
    with pytest.raises(DataError) as caught:
        train(file)
    assert str(caught.value).startswith(f"../data/{name}: {message}")
    assert everything(root) == before


def test_a_divergence_leaves_nothing_behind(root):
    file = config_for("optimizer: {name: sgd, learning_rate: 1e30}\nbatch_size: 1\n")
    before = everything(root)
    with pytest.raises(TrainingError, match="^training diverged: the loss became"):
        train(file)
    assert everything(root) == before


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] ...")


class FullWriter:
    """A writer of Arrow files that fails at a method."""

    def __init__(self, file, schema, fails_at):
        self._writer = pa.RecordBatchFileWriter(file, schema)
        setattr(self, fails_at, no_space)

    def write(self, batch):
        self._writer.write(batch)

    def close(self):
        self._writer.close()


class LateFile(pa.OSFile):
    """A file of which only closing tells that it has no room, as on a network's disk."""

    def close(self):
        super().close()
        no_space()


def full_device(_path, mode, original=pa.OSFile):
    """Linux's own full disk, of which Arrow tells in its own words."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no such device here")
    return original("/dev/full", mode)


def full_writer(fails_at):
    return lambda *args: FullWriter(*args, fails_at)


FULL = {
    "a name": (Path, "touch", no_space),
    "a file": (pa, "OSFile", no_space),
    "a header": (pa.ipc, "new_file", no_space),
    "rows": (pa.ipc, "new_file", full_writer("write")),
    "a footer": (pa.ipc, "new_file", full_writer("close")),
    "a file at its end": (pa, "OSFile", LateFile),
    "a device": (pa, "OSFile", full_device),
    "encoded inputs": (InputsWriter, "_append", no_space),
}
"""For what there may be no room on a disk, and what fails then."""


@pytest.mark.parametrize("output", [None, "../out/a/run"])
@pytest.mark.parametrize("what", FULL)
def test_an_error_on_a_full_disk_names_the_way_out_and_leaves_no_files(
    what, output, root, monkeypatch
):
    file, before, events = config_for(), everything(root), []
    monkeypatch.setattr(*FULL[what])
    with pytest.raises(TrainingError) as caught:
        train(file, output and Path(output), events.append)
    assert str(caught.value) == (
        f"{events[0].folder}: can't store rows: No space left on device;"
        " free some space or set another folder with 'output'"
    )
    assert everything(root) == before


def test_a_full_disk_ends_the_program_with_4(root, monkeypatch):
    config_for()
    before = everything(root)
    monkeypatch.setattr(*FULL["rows"])
    ended = CliRunner().invoke(main, ["train", "../configs/t.yaml", "--quiet"])
    assert ended.exit_code == 4
    assert ended.stdout == ""
    assert re.fullmatch(
        r"error: runs/\.t-\d+-[0-9a-f]{8}\.cache: can't store rows: No space left on"
        r" device; free some space or set another folder with --output\n",
        ended.stderr,
    )
    assert everything(root) == before
