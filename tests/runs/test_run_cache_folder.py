"""The cache folder next to a future run, which is removed at the end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlcli.errors import UsageError
from dlcli.runs.run_folder import cache_folder, new_run


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_the_cache_folder_is_next_to_named_runs_and_is_not_one(tmp_path):
    with cache_folder(None, "iris", tmp_path) as folder:
        assert folder.is_dir()
        assert folder.parent == tmp_path
        assert re.fullmatch(r"\.iris-\d+-[0-9a-f]{8}\.cache", folder.name)


def test_the_cache_folder_is_in_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cache_folder(None, "iris") as folder:
        assert folder.parent == Path("runs")
    assert names(tmp_path) == []


def test_the_cache_folder_is_next_to_a_named_run_folder(tmp_path):
    with cache_folder(tmp_path / "a" / "run", "iris", tmp_path / "runs") as folder:
        assert folder.parent == tmp_path / "a"
        assert not (tmp_path / "a" / "run").exists()
    assert names(tmp_path) == []


def test_two_cache_folders_of_one_name_are_separate(tmp_path):
    with cache_folder(None, "iris", tmp_path) as one, cache_folder(None, "iris", tmp_path) as other:
        assert one != other
        (one / "rows").write_text("1")
        assert names(other) == ["lock"]


def test_folders_of_killed_processes_are_removed_and_locked_ones_are_not(tmp_path):
    left = tmp_path / ".iris-1-00000000.cache"
    left.mkdir()
    (left / "lock").write_text("1\n")
    (tmp_path / ".other.cache").mkdir()  # nothing that dlcli has made
    with cache_folder(None, "iris", tmp_path) as one, cache_folder(None, "iris", tmp_path) as two:
        assert sorted(names(tmp_path)) == sorted([".other.cache", one.name, two.name])


@pytest.mark.parametrize("exception", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing_behind(tmp_path, exception):
    with (
        pytest.raises(exception),
        cache_folder(None, "iris", tmp_path / "a" / "runs") as folder,
    ):
        (folder / "rows").write_text("1")
        raise exception
    assert names(tmp_path) == []


def test_the_run_itself_is_kept(tmp_path):
    with cache_folder(None, "iris", tmp_path / "runs") as folder:
        (folder / "rows").write_text("1")
        with new_run(None, "iris", tmp_path / "runs") as writer:
            writer.finish()
    assert names(tmp_path / "runs") == ["iris"]


def test_parents_are_removed_with_a_run_without_result(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        cache_folder(tmp_path / "a" / "run", "iris"),
        new_run(tmp_path / "a" / "run", "iris"),
    ):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_existing_parents_are_kept(tmp_path):
    (tmp_path / "runs").mkdir()
    with cache_folder(None, "iris", tmp_path / "runs"):
        pass
    assert names(tmp_path) == ["runs"]


def test_an_existing_file_of_that_name_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").write_text("")
    message = (
        r"iris-\S+\.new: can't be created: Not a directory; choose another folder with 'output'$"
    )
    with (
        pytest.raises(UsageError, match=message),
        cache_folder(tmp_path / "file" / "run", "iris"),
    ):
        pass
    assert names(tmp_path) == ["file"]
