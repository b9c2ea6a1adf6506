"""The lock lets one process at a time train a run."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from dlcli.errors import RunError
from dlcli.runs import manifest
from dlcli.runs.manifest import holder_of, locked

HOLD = """
import sys, pathlib
from dlcli.runs.manifest import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding_process(folder):
    """Another process that has the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def refusal(folder):
    with pytest.raises(RunError) as caught, locked(folder):
        pass
    return str(caught.value)


def test_a_folder_without_a_lock_has_no_holder(tmp_path):
    assert holder_of(tmp_path) is None
    assert holder_of(tmp_path / "absent") is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_known_while_it_has_the_lock(tmp_path):
    with locked(tmp_path):
        assert holder_of(tmp_path) == str(os.getpid())
    assert holder_of(tmp_path) is None
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_second_process_gets_an_error_with_the_first(tmp_path):
    with holding_process(tmp_path) as first:
        assert refusal(tmp_path) == (
            f"{tmp_path}: process {first.pid} is training it; wait until it ends, or stop it"
        )
        assert holder_of(tmp_path) == str(first.pid)


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    with holding_process(tmp_path) as first:
        pass
    assert (tmp_path / "lock").read_text() == f"{first.pid}\n"
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", f"{os.getppid()}\n", "no number", "1" * 1000])
def test_the_content_of_a_free_lock_is_ignored(content, tmp_path):
    (tmp_path / "lock").write_text(content)
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", "no number", "\x1b[31m", "٣"])
def test_a_holder_without_a_number_is_unknown(content, tmp_path):
    with locked(tmp_path):
        (tmp_path / "lock").write_text(content, "utf-8")
        assert refusal(tmp_path).startswith(f"{tmp_path}: process ? is training it; ")


def test_a_child_process_does_not_inherit_the_lock(tmp_path):
    program = [sys.executable, "-c", "print(flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with locked(tmp_path):
        started = subprocess.Popen(program, **pipes, close_fds=False)
        started.stdout.readline()
    with started:
        assert holder_of(tmp_path) is None
        started.communicate(b"\n")


def test_testing_the_lock_does_not_block_others(tmp_path, monkeypatch):
    (tmp_path / "lock").write_text("")
    looking = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_EX)
    monkeypatch.setattr(manifest.time, "sleep", lambda _: os.close(looking))
    with locked(tmp_path):
        assert holder_of(tmp_path) == str(os.getpid())


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "mine")
    assert holder_of(tmp_path) is None
    with pytest.raises(OSError, match="symbolic link"), locked(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_removed_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path / "gone"):
        pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_of_the_file_system_all_folders_are_free(code, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path), locked(tmp_path):
        assert holder_of(tmp_path) is None
