"""New run folders, which are removed if the run ends without a result."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcli.errors import DataError, RunError, UsageError
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import (
    existing_folder_advice,
    new_run,
    open_run,
    unfinished_run,
    unfinished_runs_like,
)
from dlcli.runs.run_writer import Checkpoint


def finish(folder, name="iris", base=Path("runs")):
    with new_run(folder, name, base) as writer:
        writer.finish()
    return writer.path


def test_runs_of_one_name_are_numbered_from_the_second(tmp_path):
    folders = [finish(None, base=tmp_path) for _ in range(3)]
    assert folders == [tmp_path / "iris", tmp_path / "iris-2", tmp_path / "iris-3"]


def test_a_free_number_is_used_again(tmp_path):
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris-3").mkdir()
    assert finish(None, base=tmp_path) == tmp_path / "iris-2"


def test_runs_are_in_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_run(None, "iris") as writer:
        writer.finish()
    assert (tmp_path / "runs" / "iris" / "manifest.json").is_file()


def test_a_named_folder_is_made_with_its_parents(tmp_path):
    assert finish(tmp_path / "a" / "b" / "run") == tmp_path / "a" / "b" / "run"


def test_an_existing_folder_is_rejected_and_unchanged(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="run: already exists; choose a new folder with 'output'"):
        finish(tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_broken_link_counts_as_an_existing_folder(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="already exists"):
        finish(tmp_path / "run")


def test_an_existing_file_of_that_name_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"run: can't be created: Not a directory; choose another"):
        finish(tmp_path / "file" / "run")


def test_a_base_that_is_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="can't be created: No such file or directory"):
        finish(None, base=tmp_path / "runs")


def test_parents_are_removed_again_if_the_folder_cannot_be_made(tmp_path):
    with pytest.raises(UsageError, match="can't be created: File name too long"):
        finish(tmp_path / "a" / "b" / ("x" * 300))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_that_may_not_be_written_is_a_usage_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="can't be made: Permission denied"):
        finish(tmp_path / "run")


def test_a_parent_that_may_be_written_but_not_listed_is_no_error(tmp_path, monkeypatch):
    def refuse(_folder):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may list everything
    with new_run(tmp_path / "run", "iris") as writer:
        writer.write_resolved("epochs: 1\n")
        assert unfinished_runs_like(writer) == []


def test_a_read_only_disk_is_a_usage_error(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(UsageError, match="run: can't be created: Read-only file system"):
        finish(tmp_path / "run")


@pytest.mark.parametrize("name", ["", "..", "../evil", "/evil", "a/b", ".hidden", "a b", "ä"])
def test_a_name_cannot_leave_the_base(tmp_path, name):
    with pytest.raises(UsageError, match="is not a valid run name"):
        finish(None, name, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_name_has_up_to_64_characters(tmp_path):
    assert finish(None, "x" * 64, tmp_path).name == "x" * 64
    with pytest.raises(UsageError):
        finish(None, "x" * 65, tmp_path)


@pytest.mark.parametrize("exception", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing_behind(tmp_path, exception):
    with pytest.raises(exception), new_run(None, "iris", tmp_path / "runs") as writer:
        writer.write_text(RunFile.CONFIG, "epochs: 1\n")
        writer.log("start")
        raise exception
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exception", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_a_finished_run_is_kept_after_any_exception(tmp_path, exception):
    with pytest.raises(exception) as caught, new_run(tmp_path / "run", "iris") as writer:
        begin(writer)
        writer.finish()
        raise exception
    assert not hasattr(caught.value, "__notes__")
    open_run(tmp_path / "run").verify()


def test_a_run_that_is_not_finished_leaves_nothing_behind(tmp_path):
    with new_run(tmp_path / "a" / "run", "iris") as writer:
        writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_base_is_kept(tmp_path):
    (tmp_path / "runs").mkdir()
    with new_run(None, "iris", tmp_path / "runs"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_other_runs_in_the_base_are_kept(tmp_path):
    with new_run(None, "first", tmp_path / "runs"):
        finish(None, "second", tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["second"]


@pytest.mark.slow
def test_processes_at_the_same_time_never_share_a_folder(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from dlcli.runs.run_folder import new_run\n"
        "for _ in range(30):\n"
        "    with new_run(None, 'iris', pathlib.Path(sys.argv[1])) as writer:\n"
        "        print(writer.path.name)\n"
        "        writer.finish()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "runs")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    names = "".join(process.communicate()[0] for process in processes).split()
    assert sorted(names) == sorted(["iris", *(f"iris-{number}" for number in range(2, 61))])


def test_the_package_is_imported_quickly():
    program = (
        "import sys, dlcli.runs\n"
        "print(sorted({'tensorflow', 'keras', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout == "[]\n"


def test_no_file_of_a_run_is_named_like_a_temporary_one():
    assert not any(name.startswith(".") for name in RunFile)


def begin(writer):
    """Store what is needed to resume."""
    writer.write_text(RunFile.CONFIG, "epochs: 1\n")
    writer.write_resolved("epochs: 1\n")
    writer.write_json(RunFile.ENVIRONMENT, {})
    writer.write_checkpoint(Checkpoint({"model/0": np.zeros(2)}, {"loss": [0.5]}))


@pytest.mark.parametrize("exception", [ValueError, OSError, MemoryError, KeyboardInterrupt])
def test_a_run_that_can_be_resumed_is_kept_and_the_exception_has_the_command(tmp_path, exception):
    with pytest.raises(exception) as caught, new_run(tmp_path / "run", "iris") as writer:
        begin(writer)
        raise exception
    way_on = f"resume with: dlcli.resume({str(tmp_path / 'run')!r})"
    assert caught.value.__notes__ == [way_on]
    with pytest.raises(exception) as caught, unfinished_run(tmp_path / "run"):
        raise exception
    assert caught.value.__notes__ == [way_on]


def test_a_run_that_is_useless_to_resume_is_removed(tmp_path):
    with pytest.raises(ValueError), new_run(tmp_path / "run", "iris") as writer:  # noqa: PT011
        begin(writer)
        writer.not_resumable = True
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_has_no_checkpoint_and_no_lock(tmp_path):
    with new_run(tmp_path / "run", "iris") as writer:
        begin(writer)
        writer.finish()
    assert sorted(path.name for path in writer.path.iterdir()) == [
        "config.yaml",
        "environment.json",
        "manifest.json",
        "resolved.yaml",
    ]


def test_an_unusable_folder_gets_no_advice_to_resume(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_run(tmp_path / "run", "run") as writer:
        begin(writer)
        raise KeyboardInterrupt
    with pytest.raises(RunError) as caught, unfinished_run(tmp_path / "run"):
        raise RunError("belongs to another config")
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(DataError) as caught, unfinished_run(tmp_path / "run"):
        raise DataError("has no rows")
    assert caught.value.__notes__ == [f"resume with: dlcli.resume({str(tmp_path / 'run')!r})"]


def test_a_folder_in_use_is_not_to_be_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("dlcli.runs.manifest.holder_of", lambda _: 17)
    assert existing_folder_advice(tmp_path).startswith("process 17 is training it; choose a new")
