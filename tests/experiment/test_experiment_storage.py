"""Where rows wait while they are trained on: in memory, or on disk if they are many for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.errors import UsageError
from dlcli.experiment import storage, train
from dlcli.experiment.storage import available_memory, working_folder


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Data, config and run, each in a folder of its own."""
    for name in ("data", "configs", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("../data/t.csv").write_text("x,y\n1,2\n2,4\n3,6\n4,8\n")


def config_for(data, train_file="../data/t.csv"):
    Path("../configs/t.yaml").write_text(
        f"data: {{train: '{train_file}', target: y, {data}}}\nhidden: []\nepochs: 1\n"
    )
    return load_config(Path("../configs/t.yaml"))


class TestDecision:
    """Of `auto`: half of the memory, at most, may be taken by rows."""

    @staticmethod
    def waits_on_disk(monkeypatch, available, data="storage: auto", train_file="../data/t.csv"):
        monkeypatch.setattr(storage, "available_memory", lambda: available)
        with working_folder(config_for(data, train_file=train_file), None) as folder:
            assert folder is None or folder.is_dir()
            return folder is not None

    @pytest.mark.parametrize(
        ("name", "expansion"),
        [
            ("big.csv", 4),
            ("big.jsonl", 4),
            ("big.arrow", 4),
            ("big", 4),
            ("big.parquet", 8),
            ("big.PQ", 8),
            ("big.csv.gz", 12),
            ("big.csv.zst", 12),
        ],
    )
    def test_packed_files_count_more(self, name, expansion, monkeypatch):
        Path("../data", name).write_bytes(bytes(1000))
        half = 1000 * expansion
        assert not self.waits_on_disk(monkeypatch, 2 * half, train_file=f"../data/{name}")
        assert self.waits_on_disk(monkeypatch, 2 * half - 1, train_file=f"../data/{name}")

    def test_all_files_count(self, monkeypatch):
        for name, size in (("a-1.csv", 100), ("a-2.csv", 20), ("v.parquet", 3), ("t.csv", 4)):
            Path("../data", name).write_bytes(bytes(size))
        data = "validation: ../data/v.parquet, test: [../data/t.csv]"
        half = 100 * 4 + 20 * 4 + 3 * 8 + 4 * 4
        assert not self.waits_on_disk(monkeypatch, 2 * half, data, "../data/a-*.csv")
        assert self.waits_on_disk(monkeypatch, 2 * half - 1, data, "../data/a-*.csv")

    def test_what_is_said_counts_more_than_what_there_is(self, monkeypatch):
        assert not self.waits_on_disk(monkeypatch, 0, "storage: memory")
        assert self.waits_on_disk(monkeypatch, float("inf"), "storage: disk")

    @pytest.mark.parametrize(("available", "said"), [(1e12, False), (0, True)])
    def test_rows_on_disk_are_spoken_of(self, available, said, monkeypatch):
        monkeypatch.setattr(storage, "available_memory", lambda: available)
        told = {}
        train(config_for("storage: auto"), None, told.setdefault)
        assert ("storage" in told) == said
        if said:
            assert Path(told["storage"]["folder"]).parent == Path("runs")

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ("../data/tt.csv", r"\.\./data/tt\.csv: no such file; did you mean 't\.csv'\?"),
            ("../data/*.pq", r"\.\./data/\*\.pq: matches no file; \.\./data has 't\.csv'"),
            (f"{300 * 'x'}.csv", r"\.\./configs/x{300}\.csv: can't be opened: File name too long"),
            ("../data", r"\.\./data: is a folder, a file was expected; for all files in it, .*"),
        ],
    )
    @pytest.mark.parametrize("choice", ["auto", "memory", "disk"])
    def test_what_cannot_be_read_is_told_by_the_reader(self, choice, file, message):
        with pytest.raises(UsageError, match=f"^{message}$"):
            train(config_for(f"storage: {choice}", train_file=file))
        assert not Path("runs").exists()


class TestAvailableMemory:
    """The least of what the machine has left and each limit."""

    @pytest.fixture(autouse=True)
    def machine(self, tmp_path, monkeypatch):
        """A machine with 5000 kB left and no limits."""
        resource = pytest.importorskip("resource")
        self.folder = tmp_path
        monkeypatch.setattr(storage, "Path", lambda path: tmp_path / Path(path).name)
        (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
        self.limits = dict.fromkeys(
            (resource.RLIMIT_AS, resource.RLIMIT_DATA), resource.RLIM_INFINITY
        )
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (self.limits[kind], 10**12))

    def test_is_what_the_machine_has_left(self):
        assert available_memory() == 5_120_000

    def test_is_all_there_is_where_the_system_does_not_tell(self, monkeypatch):
        (self.folder / "meminfo").unlink()
        pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
        monkeypatch.setattr(os, "sysconf", pages.get)
        assert available_memory() == 4_096_000

    def test_is_no_more_than_a_container_may_have(self):
        (self.folder / "memory.max").write_text("4000\n")
        assert available_memory() == 4000
        (self.folder / "memory.max").write_text("9000000\n")
        assert available_memory() == 5_120_000
        (self.folder / "memory.max").write_text("max\n")
        assert available_memory() == 5_120_000

    @pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
    def test_is_no_more_than_the_shell_allows(self, kind):
        limited = getattr(pytest.importorskip("resource"), kind)
        self.limits[limited] = 3000
        assert available_memory() == 3000
        self.limits[limited] = 6_000_000
        assert available_memory() == 5_120_000
