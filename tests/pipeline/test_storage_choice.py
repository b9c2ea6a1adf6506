"""Where rows wait while they are trained on: in memory, or on disk if they are many for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.cluster import Cluster, Workers
from dlcli.config.config_file import load_config
from dlcli.errors import UsageError
from dlcli.pipeline import preflight
from dlcli.pipeline.events import Events
from dlcli.pipeline.preflight import row_storage
from dlcli.pipeline.train_run import train

pytestmark = pytest.mark.usefixtures("compiled_once")


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
    def waits_on_disk(
        monkeypatch, available, data="storage: auto", train_file="../data/t.csv", share=1.0
    ):
        monkeypatch.setattr(preflight, "available_memory", lambda: available)
        file = config_for(data, train_file=train_file)
        # Of one host for each worker, each has a share of the rows.
        hosts = tuple(f"host-{number}:1" for number in range(round(1 / share)))
        workers = Workers(Cluster(hosts, 0))
        with row_storage(file, None, Events(), workers) as storage:
            assert storage.folder is None or storage.folder.is_dir()
            return storage.folder is not None

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

    def test_rows_of_other_machines_of_a_cluster_do_not_count(self, monkeypatch):
        Path("../data/big.csv").write_bytes(bytes(1000))
        half = 1000 * 4 / 5
        big = "../data/big.csv"
        assert not self.waits_on_disk(monkeypatch, 2 * half, train_file=big, share=1 / 5)
        assert self.waits_on_disk(monkeypatch, 2 * half - 1, train_file=big, share=1 / 5)

    def test_the_setting_overrides_what_is_available(self, monkeypatch):
        assert not self.waits_on_disk(monkeypatch, 0, "storage: memory")
        assert self.waits_on_disk(monkeypatch, float("inf"), "storage: disk")

    @pytest.mark.slow
    @pytest.mark.parametrize(("available", "said"), [(1e12, False), (0, True)])
    def test_rows_on_disk_are_reported(self, available, said, monkeypatch):
        monkeypatch.setattr(preflight, "available_memory", lambda: available)
        told = {}
        train(config_for("storage: auto"), None, lambda event: told.setdefault(event.kind, event))
        assert ("storage" in told) == said
        if said:
            assert Path(told["storage"].folder).parent == Path("runs")

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ("../data/tt.csv", r"\.\./data/tt\.csv: no such file; did you mean 't\.csv'\?"),
            ("../data/*.pq", r"\.\./data/\*\.pq: matches no file; \.\./data has 't\.csv'"),
            (f"{300 * 'x'}.csv", r"\.\./configs/x{300}\.csv: can't be opened: File name too long"),
            ("../data", r"\.\./data: is a folder, expected a file; to read all files in it, .*"),
        ],
    )
    @pytest.mark.parametrize("choice", ["auto", "memory", "disk"])
    def test_what_cannot_be_read_is_reported_by_the_reader(self, choice, file, message):
        with pytest.raises(
            UsageError, match=rf"^\.\./configs/t\.yaml:1:15: data\.train: {message}$"
        ):
            train(config_for(f"storage: {choice}", train_file=file))
        assert not Path("runs").exists()
