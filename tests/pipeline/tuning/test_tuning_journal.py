"""The file in a run folder in which trials are kept."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from dlcli.errors import RunError
from dlcli.pipeline.search_storage import JOURNAL, LOCK, open_journal, repair_journal
from dlcli.pipeline.search_study import Study
from tests.pipeline.tuning.planned import came_to, plan


@pytest.fixture
def journal(tmp_path):
    """A journal with one trial that has ended."""
    study = Study(plan(), open_journal(tmp_path))
    asked = study.ask()
    study.tell(asked, came_to(asked))
    return tmp_path / JOURNAL


def ended(folder):
    return [result.number for result in Study(plan(), open_journal(folder)).results()]


def test_a_journal_is_gone_on_with(journal, tmp_path):
    assert ended(tmp_path) == [0]


def test_half_a_line_of_a_process_that_was_killed_is_removed(journal, tmp_path):
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"')
    repair_journal(tmp_path)

    assert journal.read_bytes() == whole
    assert ended(tmp_path) == [0]


def test_a_journal_of_nothing_but_half_a_line_is_begun_anew(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b'{"op_code":')
    repair_journal(tmp_path)

    assert ended(tmp_path) == []


HOLDS = """
import os, signal, sys
from pathlib import Path
from dlcli.pipeline.search_storage import JOURNAL, _lock_of
path = Path(sys.argv[1]) / JOURNAL
_lock_of(path).acquire()
with path.open("ab") as stream:
    stream.write(b'{"op_code":4,"worker')
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_as_it_writes_neither_stalls_nor_spoils_the_others(
    journal, tmp_path
):
    study = Study(plan(), open_journal(tmp_path))
    killed = subprocess.run([sys.executable, "-c", HOLDS, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    asked = study.ask()  # waits for no lock, and writes behind whole lines
    study.tell(asked, came_to(asked))

    assert ended(tmp_path) == [0, 1]


def test_a_link_in_the_place_of_the_lock_is_refused(journal, tmp_path):
    (tmp_path / LOCK).unlink()
    (tmp_path / LOCK).symlink_to(tmp_path / "other")
    with pytest.raises(RunError):
        repair_journal(tmp_path)


def test_there_need_not_be_a_journal(tmp_path):
    repair_journal(tmp_path)

    assert ended(tmp_path) == []


def test_a_link_in_the_place_of_a_journal_is_refused_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "other").write_bytes(b"no line")
    (tmp_path / JOURNAL).symlink_to(tmp_path / "other")

    for opened in (repair_journal, open_journal):
        with pytest.raises(RunError) as error:
            opened(tmp_path)
        assert str(error.value) == (
            f"{tmp_path / JOURNAL}: is not a regular file but a link, a folder or a device; "
            "restore the "
            "run from a copy, or train it again"
        )
    assert (tmp_path / "other").read_bytes() == b"no line"


@pytest.mark.parametrize("line", [b"no JSON\n", b"[]\n", b'{"op_code":99}\n', b'{"a":1}\n'])
def test_what_is_no_journal_is_refused(tmp_path, line):
    (tmp_path / JOURNAL).write_bytes(line + b'{"op_code":0}\n')

    with pytest.raises(RunError, match=r"study\.journal: is no journal of Optuna's: "):
        Study(plan(), open_journal(tmp_path)).results()
