"""The memory that there is: the least of what machine, containers and shell leave."""

from __future__ import annotations

import os
import sys

import pytest

from dlcli.pipeline import memory
from dlcli.pipeline.memory import available_memory, memory_limits

resource = pytest.importorskip("resource")


@pytest.fixture(autouse=True)
def system(tmp_path, monkeypatch):
    """Writes what a system tells: of a machine with 5000 kB left, and of a process in no group."""
    limits = dict.fromkeys((resource.RLIMIT_AS, resource.RLIMIT_DATA), resource.RLIM_INFINITY)

    def tell(file="", text="", **shell):
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
        limits.update({getattr(resource, f"RLIMIT_{name}"): value for name, value in shell.items()})

    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], 10**12))
    tell("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    5000 kB\nHugePages_Total:   0\n")
    tell("proc/self/status", "Name:\tdlcli\nVmSize:\t   1000 kB\nVmData:\t    200 kB\n")
    return tell


def test_is_what_the_machine_has_left():
    assert available_memory() == 5_120_000


def test_is_all_there_is_where_the_system_does_not_tell(tmp_path, monkeypatch):
    (tmp_path / "proc/meminfo").unlink()
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    assert available_memory() == 4_096_000


class TestContainers:
    """Of control groups, in both of their versions."""

    @pytest.fixture(params=["v2", "v1"])
    def group(self, request, system):
        """Writes what is said of a group, and of the process, which is in /outer/inner."""
        keys = {
            "v2": ("", "memory.max", "memory.current", "", ""),
            "v1": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "memory"),
        }
        controller, most, current, total, mount = keys[request.param]
        system("proc/self/cgroup", f"1:cpu,cpuacct:/other\n0:{controller}:/outer/inner\n")

        def tell(path, limit, used=None, files=0):
            folder = f"groups/{mount}/{path}"
            system(f"{folder}/{most}", f"{limit}\n")
            if used is not None:
                system(f"{folder}/{current}", f"{used}\n")
            half = files // 2
            stat = f"{total}inactive_file {half}\n{total}active_file {half}\nshmem 7\n"
            system(f"{folder}/memory.stat", stat)

        return tell

    def test_is_what_a_group_has_left(self, group):
        group("outer/inner", 4000, used=1000)
        assert available_memory() == 3000

    def test_files_are_given_back(self, group):
        group("outer/inner", 4000, used=1000, files=600)
        assert available_memory() == 3600

    def test_a_group_around_counts_too(self, group):
        group("outer/inner", 4000, used=500)
        group("outer", 4000, used=1500)
        assert available_memory() == 2500

    def test_a_group_that_is_the_root_within_a_container_counts(self, group):
        group("", 4000, used=1000)
        assert available_memory() == 3000

    def test_other_groups_do_not_count(self, group):
        group("other", 4000, used=1000)
        group("outer/inner/within", 4000, used=1000)
        assert available_memory() == 5_120_000

    @pytest.mark.parametrize("limit", ["max", 2**63 - 4096, "", "?"])
    def test_no_limit_is_none(self, limit, group):
        group("outer/inner", limit, used=1000)
        assert available_memory() == 5_120_000

    def test_a_group_may_tell_nothing_of_its_use(self, group):
        group("outer/inner", 4000)
        assert available_memory() == 4000

    def test_it_has_the_machines_swap(self, group, system):
        group("outer/inner", 4000)
        system("proc/meminfo", "MemAvailable: 5 kB\nSwapTotal: 20 kB\nSwapFree: 10 kB\n")
        limits = [(limit.name, limit.swap) for limit in memory_limits()]
        assert limits == [("the machine's memory", 10_240), ("the container's memory", 10_240)]
        assert available_memory() == 4000


class TestShell:
    """Of limits that a shell sets, less what the process has."""

    def test_addresses(self, system):
        system(AS=3_000_000)
        assert available_memory() == 3_000_000 - 1_024_000
        *_, limit = memory_limits()
        assert (limit.name, limit.counts) == ("the address space (ulimit -v)", "addresses")

    def test_data(self, system):
        system(DATA=3_000_000)
        assert available_memory() == 3_000_000 - 204_800
        *_, limit = memory_limits()
        assert (limit.name, limit.counts) == ("the data segment (ulimit -d)", "data")

    def test_a_limit_beyond_the_machine_changes_nothing(self, system):
        system(AS=10_000_000, DATA=10_000_000)
        assert available_memory() == 5_120_000

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
    def test_what_the_process_has_is_read_from_the_system(self, system, monkeypatch):
        monkeypatch.undo()
        assert all(limit.left > 0 for limit in memory_limits())
        assert {limit.name for limit in memory_limits()} >= {"the machine's memory"}
