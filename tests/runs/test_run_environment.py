"""The recorded environment of a run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys

import pytest

import dlcli
from dlcli import is_command_line
from dlcli.runs.environment import collect_environment, fingerprint

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def outside_of_any_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


def collect(*data):
    fingerprints = [*map(fingerprint, data)]
    return collect_environment(seed=7, threads=2, device="cpu", data=fingerprints)


def git(*arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    answer = subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def commit_a_file(tmp_path):
    (tmp_path / "code.py").write_text("1\n")
    git("init")
    git("add", "code.py")
    git("commit", "-m", "first")
    return git("rev-parse", "HEAD")


def test_the_environment_can_be_written_as_json(tmp_path):
    (tmp_path / "data.csv").write_text("x\n1\n")
    environment = collect(tmp_path / "data.csv")
    assert json.loads(json.dumps(environment, allow_nan=False)) == environment


def test_versions_are_those_of_installed_packages():
    environment = collect()
    assert environment["dlcli"] == dlcli.__version__
    assert environment["python"] == platform.python_version()
    for package in ("tensorflow", "keras", "numpy", "pyarrow"):
        assert environment[package] == importlib.metadata.version(package)


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    assert collect()["keras"] is None


def test_versions_are_found_without_importing():
    program = (
        "import sys; from dlcli.runs.environment import collect_environment\n"
        "collect_environment(seed=0, threads=1, device='cpu', data=[])\n"
        "print(sorted({'tensorflow', 'keras', 'pyarrow'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert answer.stdout == "[]\n"


def test_seed_threads_device_and_command_are_kept(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dlcli", "train", "iris.yaml"])
    environment = collect()
    assert (environment["seed"], environment["threads"], environment["device"]) == (7, 2, "cpu")
    assert "command" not in environment  # of another program, which uses the library
    token = is_command_line.set(True)
    assert collect()["command"] == ["dlcli", "train", "iris.yaml"]
    is_command_line.reset(token)


def test_data_files_have_digest_and_size(tmp_path):
    (tmp_path / "abc.csv").write_bytes(b"abc")
    assert collect(tmp_path / "abc.csv")["data"] == [
        {
            "file": str(tmp_path / "abc.csv"),
            # the first example of FIPS 180-2, appendix B.1
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "bytes": 3,
        }
    ]


def test_a_removed_file_has_its_name_only(tmp_path):
    gone = {"file": str(tmp_path / "gone.csv"), "sha256": None, "bytes": None}
    assert collect(tmp_path / "gone.csv")["data"] == [gone]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    pipe = {"file": str(tmp_path / "pipe"), "sha256": None, "bytes": None}
    assert collect(tmp_path / "pipe")["data"] == [pipe]


@needs_git
def test_a_clean_commit_is_named(tmp_path):
    commit = commit_a_file(tmp_path)
    assert collect()["git"] == {"commit": commit, "dirty": False}


@needs_git
def test_a_tag_does_not_replace_the_commit(tmp_path):
    commit = commit_a_file(tmp_path)
    git("tag", "-a", "v1", "-m", "first")
    assert collect()["git"] == {"commit": commit, "dirty": False}


@needs_git
def test_a_changed_file_makes_the_commit_dirty(tmp_path):
    commit = commit_a_file(tmp_path)
    (tmp_path / "code.py").write_text("2\n")
    assert collect()["git"] == {"commit": commit, "dirty": True}


@needs_git
def test_an_untracked_file_does_not_make_it_dirty(tmp_path):
    commit_a_file(tmp_path)
    (tmp_path / "new.py").write_text("2\n")
    assert collect()["git"]["dirty"] is False


def test_outside_of_a_repository_there_is_no_commit():
    assert collect()["git"] is None


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert collect()["git"] is None


def test_a_git_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("dlcli.runs.environment.GIT_SECONDS", 0.1)
    assert collect()["git"] is None
