"""Where trials are kept."""

from __future__ import annotations

import errno

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from dlcli.errors import TrainingError, UsageError
from dlcli.pipeline import mask_password
from dlcli.pipeline.search_storage import JOURNAL, kept_in, open_database
from dlcli.pipeline.search_study import Study
from tests.pipeline.tuning.planned import came_to, plan


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
    assert mask_password(url) == shown


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


def test_a_url_with_a_port_that_is_none_is_refused_without_being_shown():
    with pytest.raises(UsageError) as error:
        open_database("postgresql://bob:secret@host:notaport/x")
    assert str(error.value) == "--storage URL: can't be used: it is no URL"


def test_a_database_that_is_not_there_is_an_error_of_usage(tmp_path):
    url = f"sqlite:///{tmp_path}/missing/study.db"

    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == f"--storage {url}: can't be used: unable to open database file"


def test_a_full_disk_ends_a_search_as_one_that_can_go_on(tmp_path):
    with pytest.raises(TrainingError) as error, kept_in(tmp_path, None):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(error.value) == (
        f"{tmp_path / JOURNAL}: could not be stored: No space left on device; free some space"
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
