"""`dlcli train` in the environment of a cluster that does not come about."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from dlcli.cluster import free_ports

Dlcli = Callable[..., Result]
CONFIG = "data: {train: table.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config, in which the commands run."""
    (tmp_path / "line.yaml").write_text(CONFIG)
    (tmp_path / "table.csv").write_text("x,y\n" + "".join(f"{n},{n}\n" for n in range(20)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _set_cluster(monkeypatch: pytest.MonkeyPatch, rank: int, *ports: int) -> None:
    workers = [f"localhost:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": workers}, "task": task}))


def _has_no_run(folder: Path) -> bool:
    return sorted(each.name for each in folder.iterdir()) == ["line.yaml", "table.csv"]


@pytest.mark.parametrize("rank", [0, 1])
def test_workers_that_do_not_come(
    dlcli: Dlcli, folder: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    _set_cluster(monkeypatch, rank, *free_ports(2))
    result = dlcli("train", "line.yaml", "--worker-timeout", "0.3")
    assert result.exit_code == 4
    assert f"error: worker {1 - rank} (localhost:" in result.stderr
    assert "did not connect within 0.3 seconds" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and _has_no_run(folder)


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_a_timeout_that_is_no_duration(dlcli: Dlcli, folder: Path, seconds: str) -> None:
    result = dlcli("train", "line.yaml", "--worker-timeout", seconds)
    assert result.exit_code == 2
    assert f"'--worker-timeout': expected more than 0 seconds, got {seconds}\n" in result.stderr


def test_a_port_in_use_and_a_wrong_description(
    dlcli: Dlcli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        _set_cluster(monkeypatch, 0, taken.getsockname()[1], *free_ports(1))
        result = dlcli("train", "line.yaml")
    assert result.exit_code == 2 and "this worker can't listen on this address" in result.stderr
    monkeypatch.setenv("TF_CONFIG", "{")
    result = dlcli("train", "line.yaml")
    assert result.exit_code == 2 and "error: TF_CONFIG: is not valid JSON" in result.stderr
    assert _has_no_run(folder)


def test_workers_of_two_kinds_are_refused(dlcli: Dlcli, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_cluster(monkeypatch, 0, *free_ports(2))
    result = dlcli("train", "line.yaml", "--workers", "3")
    assert result.exit_code == 2
    assert "the environment describes 2 workers; use --workers 2" in result.stderr
    monkeypatch.delenv("TF_CONFIG")
    assert dlcli("train", "line.yaml", "--workers", "1").exit_code == 2


def test_other_commands_do_not_join(dlcli: Dlcli, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_cluster(monkeypatch, 0, *free_ports(2))
    assert dlcli("validate", "line.yaml").exit_code == 0


@pytest.mark.parametrize("other", [("--jobs", "2"), ("--nested",)])
def test_workers_of_a_search_train_one_candidate_at_a_time(
    dlcli: Dlcli, folder: Path, other: tuple[str, ...]
) -> None:
    result = dlcli("tune", "line.yaml", "--workers", "2", *other)
    assert result.exit_code == 2 and _has_no_run(folder)
    assert f"--workers can't be combined with {other[0]}" in result.stderr


def test_a_search_joins_a_cluster_only_with_the_option(
    dlcli: Dlcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cluster(monkeypatch, 1, *free_ports(2))
    monkeypatch.setattr("dlcli.pipeline.cluster_training.ClusterRun.tune", lambda *_: None)
    result = dlcli("tune", "line.yaml", "--workers", "2", "--json")
    assert (result.exit_code, result.stdout) == (0, "")
    space = "tune.space={epochs: [1, 2]}"
    result = dlcli("tune", "line.yaml", "--quiet", "--set", space)
    assert result.exit_code == 2 and "tune.folds: is missing" in result.stderr


def test_only_the_worker_that_reports_prints_a_result(
    dlcli: Dlcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cluster(monkeypatch, 1, *free_ports(2))
    monkeypatch.setattr("dlcli.pipeline.cluster_training.ClusterRun.train", lambda *_: None)
    result = dlcli("train", "line.yaml", "--json")
    assert (result.exit_code, result.stdout) == (0, "")
