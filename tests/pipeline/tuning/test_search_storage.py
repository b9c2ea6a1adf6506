"""Where trials are stored: in a journal in the run folder, or in a shared database."""

from __future__ import annotations

import errno
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
from inline_snapshot import snapshot
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from dlcli.errors import RunError, TrainingError, UsageError
from dlcli.pipeline.search_study import (
    GRACE_SECONDS,
    JOURNAL,
    LOCK,
    Study,
    explaining_lost_storage,
    mask_password,
    open_database,
    open_journal,
    repair_journal,
)
from dlcli.pipeline.search_trials import SearchAccess
from tests.pipeline.tuning.study_examples import finish, plan


@pytest.fixture
def journal(tmp_path):
    """A journal with one finished trial."""
    study = Study(plan(), open_journal(tmp_path))
    finish(study, study.ask())
    return tmp_path / JOURNAL


def finished(folder):
    return [result.number for result in Study(plan(), open_journal(folder)).results()]


def test_a_journal_is_reopened(journal, tmp_path):
    assert finished(tmp_path) == [0]


def test_the_incomplete_line_of_a_killed_process_is_removed(journal, tmp_path):
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"')
    repair_journal(tmp_path)

    assert journal.read_bytes() == whole
    assert finished(tmp_path) == [0]


def test_a_journal_of_one_incomplete_line_starts_over(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b'{"op_code":')
    repair_journal(tmp_path)

    assert finished(tmp_path) == []


HOLDS = """
import os, signal, sys
from pathlib import Path
from dlcli.pipeline.search_study import JOURNAL, JournalLock
path = Path(sys.argv[1]) / JOURNAL
JournalLock(path).acquire()
with path.open("ab") as stream:
    stream.write(b'{"op_code":4,"worker')
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_neither_blocks_nor_damages_the_journal(journal, tmp_path):
    study = Study(plan(), open_journal(tmp_path))
    killed = subprocess.run([sys.executable, "-c", HOLDS, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    finish(study, study.ask())  # waits for no lock, and appends to complete lines

    assert finished(tmp_path) == [0, 1]


def test_a_link_instead_of_the_lock_is_refused(journal, tmp_path):
    (tmp_path / LOCK).unlink()
    (tmp_path / LOCK).symlink_to(tmp_path / "other")
    with pytest.raises(RunError):
        repair_journal(tmp_path)


def test_a_missing_journal_is_created(tmp_path):
    repair_journal(tmp_path)

    assert finished(tmp_path) == []


def test_many_trials_without_a_process_are_refused(journal, tmp_path, monkeypatch):
    monkeypatch.setattr("dlcli.pipeline.search_study._MOST_LOST", 2)
    study = Study(plan(), open_journal(tmp_path))
    for _ in range(3):
        study.ask()

    with pytest.raises(RunError, match="the study has 3 trials without a process, more than 2"):
        study.retry_lost(lambda _: True)


def test_a_link_instead_of_a_journal_is_refused_and_its_target_unchanged(tmp_path):
    (tmp_path / "other").write_bytes(b"no line")
    (tmp_path / JOURNAL).symlink_to(tmp_path / "other")

    for opened in (repair_journal, open_journal):
        with pytest.raises(RunError) as error:
            opened(tmp_path)
        assert str(error.value) == (
            f"{tmp_path / JOURNAL}: is not a regular file but a link, a folder or a device; "
            "restore the "
            "run from a copy or train it again"
        )
    assert (tmp_path / "other").read_bytes() == b"no line"


MANY_STUDIES = b"".join(
    b'{"op_code":0,"worker_id":"w","study_name":"%d","directions":[1]}\n' % at for at in range(101)
)


@pytest.mark.parametrize(
    "line", [b"no JSON\n", b"[]\n", b'{"op_code":99}\n', b'{"a":1}\n', MANY_STUDIES]
)
def test_another_file_is_refused(tmp_path, line):
    (tmp_path / JOURNAL).write_bytes(line + b'{"op_code":0}\n')

    with pytest.raises(RunError, match=r"study\.journal: is not an Optuna journal: "):
        Study(plan(), open_journal(tmp_path)).results()


def test_a_journal_of_a_study_with_two_objectives_is_refused(tmp_path):
    study = b'{"op_code":0,"worker_id":"w","study_name":"t","directions":[1,1]}\n'
    (tmp_path / JOURNAL).write_bytes(study)
    with pytest.raises(RunError, match="a study has several objectives, or none"):
        open_journal(tmp_path)


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
        ("postgresql://me:se@cret@host:5/db", "URL"),
        ("postgresql://me:se@c/ret@host:5/db", "URL"),
        ("postgresql://me:se%40c%2Fret@host:5/db", "postgresql://me:***@host:5/db"),
        ("sqlite:////home/me@work/study@1.db", "sqlite:////home/me%40work/study%401.db"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert mask_password(url) == shown


def test_a_missing_driver_is_named_with_what_to_install():
    url = "mysql+pymysql://me:secret@host/db"

    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == (
        snapshot(
            "storage=mysql+pymysql://me:***@host/db: needs the module pymysql, which is not "
            "installed; pip install pymysql"
        )
    )


def test_an_invalid_url_is_refused_without_being_shown():
    with pytest.raises(UsageError) as error:
        open_database("me:secret@host")
    assert str(error.value) == (
        snapshot("storage=URL: can't be used: Could not parse SQLAlchemy URL from given URL string")
    )


@pytest.mark.parametrize("password", ["se@cret", "se@c/ret"])
def test_a_password_with_an_at_sign_is_refused_with_the_way_to_write_it(password):
    with pytest.raises(UsageError) as error:
        open_database(f"postgresql://me:{password}@host:5/db")
    assert str(error.value) == snapshot(
        "storage=URL: write %40 for @, and %2F for /, in a user or password"
    )


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == (
        f"storage={mask_password(url)}: exists only in the memory of one process; "
        "use a file: sqlite:///study.db"
    )


def test_a_url_with_an_invalid_port_is_refused_without_being_shown():
    with pytest.raises(UsageError) as error:
        open_database("postgresql://bob:secret@host:notaport/x")
    assert str(error.value) == snapshot("storage=URL: can't be used: invalid URL")


def test_a_missing_database_is_a_usage_error(tmp_path):
    url = f"sqlite:///{tmp_path}/missing/study.db"

    with pytest.raises(UsageError) as error:
        open_database(url)
    assert str(error.value) == f"storage={url}: can't be used: unable to open database file"


def test_a_read_only_database_is_a_usage_error(tmp_path, opened):
    opened(f"sqlite:///{tmp_path}/study.db", "one")
    url = f"sqlite:///file:{tmp_path}/study.db?mode=ro&uri=true"

    with pytest.raises(UsageError) as error:
        SearchAccess(tmp_path, "two", url).open_study(plan())
    assert str(error.value) == (
        f"storage={mask_password(url)}: can't be used: attempt to write a readonly database"
    )


def test_a_full_or_failing_disk_ends_a_search_with_the_way_out(tmp_path):
    with pytest.raises(TrainingError) as error, explaining_lost_storage(tmp_path, None):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(error.value) == (
        f"{tmp_path / JOURNAL}: could not be stored: No space left on device; free some space"
    )

    lock = tmp_path / f"{JOURNAL}.lock"
    with pytest.raises(TrainingError) as error, explaining_lost_storage(tmp_path, None):
        raise OSError(errno.EIO, "Input/output error", lock)
    assert str(error.value) == (
        f"{tmp_path / JOURNAL}: could not be stored: Input/output error; "
        "make sure that it is writable"
    )


def test_a_lost_database_ends_a_search_without_showing_its_password(tmp_path):
    url = "postgresql+psycopg://me:secret@host/db"
    gone = OperationalError("SELECT 1", {}, Exception("no connection as me:secret\nmore"))

    with pytest.raises(TrainingError) as error, explaining_lost_storage(tmp_path, url):
        raise StorageInternalError from gone
    assert str(error.value) == (
        snapshot(
            "postgresql+psycopg://me:***@host/db: trials can no longer be stored: no connection "
            "as me:***"
        )
    )


@pytest.mark.parametrize(
    ("url", "reason", "shown"),
    [
        ("sqlite:///study.db", "None is no type", "None is no type"),
        ("postgresql://host/db?token=ab1&token=cd2", "ab1 and cd2 differ", "*** and *** differ"),
    ],
    ids=["no secret", "a repeated parameter"],
)
def test_the_secrets_of_a_url_alone_are_hidden_in_an_error(tmp_path, url, reason, shown):
    with pytest.raises(TrainingError) as error, explaining_lost_storage(tmp_path, url):
        raise StorageInternalError(reason)
    assert str(error.value).endswith(f": trials can no longer be stored: {shown}")


def test_an_error_of_another_file_is_not_of_the_storage(tmp_path):
    with pytest.raises(FileNotFoundError), explaining_lost_storage(tmp_path, None):
        raise FileNotFoundError(errno.ENOENT, "No such file", "rows.csv")


@pytest.mark.slow
def test_processes_that_do_not_know_of_each_other_share_a_database(tmp_path, opened):
    url = f"sqlite:///{tmp_path}/study.db"
    first, second = (opened(url, name, trials=3) for name in ("one", "two"))
    running = [first.ask(), second.ask()]
    for study, each in zip((first, second), running, strict=True):
        finish(study, each)

    assert first.is_shared
    third = second.ask()
    with second.keep_alive(third):
        assert (third.number, first.unfinished, first.retry_lost()) == (2, 1, 0)
        finish(second, third)


@pytest.fixture
def opened():
    """Opens a study in a database for a process, and closes it at the end."""
    with ExitStack() as stack:

        def opened(url, run, trials=1):
            return stack.enter_context(closing(Study(plan(trials=trials), open_database(url), run)))

        yield opened


@pytest.fixture
def database(tmp_path, opened):
    """A study with a running trial, whose process died before it could keep it alive."""
    path = tmp_path / "study.db"
    opened(f"sqlite:///{path}", "dies").ask()
    return path


def test_a_trial_of_a_process_that_dies_before_it_evaluates_is_retried_after_the_grace_time(
    database, opened
):
    study = opened(f"sqlite:///{database}", "survives")
    assert study.retry_lost() == 0

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, ?)",
            (f"-{GRACE_SECONDS + 1} seconds",),
        )
    assert study.retry_lost() == 1
    again = study.ask()
    assert again.number == 0
    finish(study, again)
    assert [(each.number, each.state) for each in study.results()] == [(0, "complete")]


def test_a_trial_of_a_process_that_dies_before_its_first_heartbeat_is_retried(
    tmp_path, monkeypatch, opened
):
    url, now = f"sqlite:///{tmp_path}/study.db", [1000.0]
    monkeypatch.setattr("dlcli.pipeline.search_study.time.monotonic", lambda: now[0])
    dies, survives = opened(url, "dies"), opened(url, "survives")
    monkeypatch.setattr(dies._storage, "record_heartbeat", die)
    with pytest.raises(KeyboardInterrupt):
        dies.ask()

    assert survives.retry_lost() == 0
    now[0] += GRACE_SECONDS + 1
    assert survives.retry_lost() == 1
    assert survives.ask().number == 0


def test_a_trial_is_kept_alive_after_a_heartbeat_that_could_not_be_stored(
    tmp_path, monkeypatch, opened
):
    monkeypatch.setattr("dlcli.pipeline.search_study.HEARTBEAT_SECONDS", 1)
    path = tmp_path / "study.db"
    study = opened(f"sqlite:///{path}", "one")
    running, lost = study.ask(), threading.Event()
    record = RDBStorage.record_heartbeat

    def fail_once(storage, trial):
        if not lost.is_set():
            lost.set()
            raise StorageInternalError("connection refused")
        record(storage, trial)

    monkeypatch.setattr(RDBStorage, "record_heartbeat", fail_once)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM trial_heartbeats")
        connection.commit()
        with study.keep_alive(running):
            assert lost.wait(10)
            end = time.monotonic() + 10
            while not connection.execute("SELECT * FROM trial_heartbeats").fetchall():
                assert time.monotonic() < end
                time.sleep(0.1)
            finish(study, running)


def die(_):
    raise KeyboardInterrupt
