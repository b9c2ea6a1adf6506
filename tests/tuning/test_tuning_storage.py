"""Where trials are kept."""

from __future__ import annotations

import errno

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from dlcli.errors import RunError, TrainingError, UsageError
from dlcli.tuning.storage import (
    JOURNAL,
    LOCK,
    kept_in,
    masked,
    open_database,
    open_journal,
    repair_journal,
)
from dlcli.tuning.study import Study
from tests.tuning.planned import came_to, plan


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


def test_the_lock_of_a_process_that_was_killed_is_removed(journal, tmp_path):
    (tmp_path / LOCK).touch()
    repair_journal(tmp_path)

    assert not (tmp_path / LOCK).exists()


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
            f"{tmp_path / JOURNAL}: is no plain file but a link, a folder or a device; restore the "
            "run from a copy, or train it again"
        )
    assert (tmp_path / "other").read_bytes() == b"no line"


@pytest.mark.parametrize("line", [b"no JSON\n", b"[]\n", b'{"op_code":99}\n', b'{"a":1}\n'])
def test_what_is_no_journal_is_refused(tmp_path, line):
    (tmp_path / JOURNAL).write_bytes(line + b'{"op_code":0}\n')

    with pytest.raises(RunError, match=r"study\.journal: is no journal of Optuna's: "):
        Study(plan(), open_journal(tmp_path)).results()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host:5/db", "postgresql+psycopg://me:***@host:5/db"),
        (
            "postgresql://host/db?password=secret&user=me",
            "postgresql://host/db?password=***&user=me",
        ),
        ("sqlite:///study.db", "sqlite:///study.db"),
        ("me:secret@host", "URL"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert masked(url) == shown


def test_a_missing_driver_is_named_with_what_to_install():
    url = "mysql+pymysql://me:secret@host/db"

    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == (
        "--storage mysql+pymysql://me:***@host/db: needs the module pymysql, which is not "
        "installed; pip install pymysql"
    )


def test_what_is_no_url_is_refused_without_being_shown():
    with pytest.raises(UsageError) as error:
        open_database("me:secret@host")
    assert str(error.value) == (
        "--storage URL: can't be used: Could not parse SQLAlchemy URL from given URL string"
    )


def test_a_database_that_is_not_there_is_an_error_of_usage(tmp_path):
    url = f"sqlite:///{tmp_path}/missing/study.db"

    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == f"--storage {url}: can't be used: unable to open database file"


def test_a_full_disk_ends_a_search_as_one_that_can_go_on(tmp_path):
    with pytest.raises(TrainingError) as error, kept_in(tmp_path, None):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(error.value) == (
        f"{tmp_path / JOURNAL}: could not be stored: No space left on device; make room"
    )


def test_a_database_that_is_gone_ends_a_search_without_telling_its_password(tmp_path):
    url = "postgresql+psycopg://me:secret@host/db"
    gone = OperationalError("SELECT 1", {}, Exception("no connection as me:secret\nmore"))

    with pytest.raises(TrainingError) as error, kept_in(tmp_path, url):
        raise StorageInternalError from gone
    assert str(error.value) == (
        "postgresql+psycopg://me:***@host/db: trials can't be kept there any more: no connection "
        "as me:***"
    )


def test_an_error_of_another_file_is_none_of_the_storage(tmp_path):
    with pytest.raises(FileNotFoundError), kept_in(tmp_path, None):
        raise FileNotFoundError(errno.ENOENT, "No such file", "rows.csv")


@pytest.mark.slow
def test_a_database_is_shared_by_processes_that_know_nothing_of_each_other(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    first, second = (Study(plan(trials=3), open_database(url), name) for name in ("one", "two"))
    asked = [first.ask(), second.ask()]
    first.heartbeat(asked[0])()
    for study, each in zip((first, second), asked, strict=True):
        study.tell(each, came_to(each))

    assert first.is_shared
    assert second.ask().place == 2
    assert first.under_way == 1
    assert first.mend() == 0  # it lives
