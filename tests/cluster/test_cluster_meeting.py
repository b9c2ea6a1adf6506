"""What a worker learns from its environment, and how workers meet."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dlcli.cluster import Cluster, expand_hosts, find_cluster, free_ports, meet, run_local_workers
from dlcli.config.config_file import make_config
from dlcli.errors import ConfigError, DlcliError, UsageError, WorkerError
from dlcli.pipeline.cluster_training import ClusterRun
from dlcli.pipeline.events import ignore

ADDRESSES = ["one:2222", "two:2222"]


def _tf_config(**task: object) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": ADDRESSES}, "task": task})}


def test_tf_config_describes_the_cluster() -> None:
    cluster = find_cluster(_tf_config(type="worker", index=1))
    assert cluster == Cluster(("one:2222", "two:2222"), 1)
    assert not cluster.is_chief and cluster.neighbors == 1 and cluster.local_rank == 0
    spec = {"chief": ["a:1"], "worker": ["b:1", "a:2"]}
    text = json.dumps({"cluster": spec, "task": {"type": "worker", "index": 1}})
    cluster = find_cluster({"TF_CONFIG": text})
    assert cluster == Cluster(("a:1", "b:1", "a:2"), 2)
    assert cluster.neighbors == 2 and cluster.local_rank == 1


@pytest.mark.parametrize("text", ["", " ", "{}", '{"cluster": {}, "task": {}}'])
def test_no_cluster(text: str) -> None:
    assert find_cluster({"TF_CONFIG": text}) is None
    assert find_cluster({}) is None


def test_a_single_worker_is_no_cluster() -> None:
    task = {"type": "worker", "index": 0}
    text = json.dumps({"cluster": {"worker": ["a:1"]}, "task": task})
    assert find_cluster({"TF_CONFIG": text}) is None
    assert find_cluster({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "must be an object"),
        ('{"cluster": [], "task": 3}', "must be an object"),
        (_tf_config(type="worker", index=2)["TF_CONFIG"], "worker 0, worker 1"),
        (_tf_config(type="worker", index="0")["TF_CONFIG"], "the task is worker '0'"),
        (_tf_config(type="chief", index=0)["TF_CONFIG"], "the task is chief 0"),
        (_tf_config(type="evaluator", index=0)["TF_CONFIG"], "worker 0 evaluates"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker"}}', "host:port"),
        ('{"cluster": {"worker": {"a": 1}}, "task": {"type": "worker"}}', "host:port"),
        ('{"cluster": {"worker": ["a:65536"]}, "task": {"type": "worker"}}', "host:port"),
        ('{"cluster": {"worker": ["a:0"]}, "task": {"type": "worker"}}', "host:port"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker"}}', "same address"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker"}}', "'ps'"),
    ],
)
def test_a_wrong_tf_config_is_explained(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="^TF_CONFIG: ") as caught:
        find_cluster({"TF_CONFIG": text})
    assert message in str(caught.value)


def test_a_job_step_of_slurm_describes_the_cluster() -> None:
    step = {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "gpu[01-02]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
    }
    cluster = find_cluster(step)
    assert cluster is not None
    hosts, ports = zip(*(address.split(":") for address in cluster.addresses), strict=True)
    assert hosts == ("gpu01", "gpu01", "gpu02") and cluster.rank == 2
    assert int(ports[1]) == int(ports[0]) + 1 and 1024 < int(ports[0]) < 32_768
    other = find_cluster({**step, "SLURM_STEP_ID": "1"})
    assert other is not None and not {*other.addresses} & {*cluster.addresses}
    with pytest.raises(UsageError, match="which do not match"):
        find_cluster({**step, "SLURM_STEP_TASKS_PER_NODE": "2"})


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", ["a"]),
        ("a,b-1", ["a", "b-1"]),
        ("n[08-10,7],head", ["n08", "n09", "n10", "n7", "head"]),
        ("r[1-2]n[3-4]", ["r1n3", "r1n4", "r2n3", "r2n4"]),
    ],
)
def test_hosts_are_expanded(text: str, hosts: list[str]) -> None:
    assert expand_hosts(text) == hosts


def test_free_ports_are_none_of_outgoing_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = free_ports(3)
    assert len({*ports}) == 3 and all(20_000 <= port < 30_000 for port in ports)
    monkeypatch.setattr("dlcli.cluster.PORTS", 2)
    with pytest.raises(UsageError, match="does not have 3 free ports from 20000 upwards"):
        free_ports(3)


def _free_addresses(count: int, host: str = "localhost") -> tuple[str, ...]:
    return tuple(f"{host}:{port}" for port in free_ports(count))


def _meet(
    greetings: list[dict[str, object] | None], seconds: float = 60, host: str = "localhost"
) -> list[Any]:
    """Return what each worker hears, or its error; those without a greeting do not come."""
    addresses = _free_addresses(len(greetings), host)

    def come(rank: int) -> object:
        greeting = greetings[rank]
        if greeting is None:
            return None
        try:
            return meet(Cluster(addresses, rank), greeting, seconds)
        except (UsageError, WorkerError) as error:
            return error

    with ThreadPoolExecutor(len(greetings)) as pool:
        return list(pool.map(come, range(len(greetings))))


def test_all_hear_worker_0() -> None:
    results = _meet([{"dlcli": "1", "_run": "a"}, {"dlcli": "1"}, {"dlcli": "1"}])
    assert [result["_run"] for result in results] == ["a", "a", "a"]


def test_workers_meet_at_addresses_of_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6")
    results = _meet([{"_run": "a"}, {}], host="[::1]", seconds=5)
    assert [result["_run"] for result in results] == ["a", "a"]


def test_a_difference_is_the_error_of_all() -> None:
    results = _meet([{"numpy": "2.0"}, {"numpy": "2.0"}, {"numpy": "1.0"}])
    assert all(type(result) is UsageError for result in results)
    assert {str(each) for each in results} == {
        "numpy is 1.0 on worker 2 and 2.0 on worker 0; all workers require the same value"
    }


@pytest.mark.parametrize("absent", [1, 2])
def test_a_worker_that_does_not_come_is_named(absent: int) -> None:
    greetings: list[dict[str, object] | None] = [{}, {}, {}]
    greetings[absent] = None
    results = [each for each in _meet(greetings, seconds=0.5) if each is not None]
    assert len(results) == 2 and all(isinstance(result, WorkerError) for result in results)
    assert all(f"worker {absent} (localhost:" in str(result) for result in results)
    assert "did not connect within 0.5 seconds" in str(results[0]) and results[0].exit_code == 4


def test_others_name_worker_0() -> None:
    (_, result) = _meet([None, {}], seconds=0.5)
    assert isinstance(result, WorkerError) and "worker 0 (localhost:" in str(result)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_port_in_use(rank: int) -> None:
    addresses = _free_addresses(2)
    with socket.socket() as taken:
        taken.bind(("", int(addresses[rank].split(":")[1])))
        taken.listen()
        with pytest.raises(
            UsageError, match="can't listen on this address: Address already in use"
        ):
            meet(Cluster(addresses, rank), {}, 0.5)


def _connected(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("localhost", port), timeout=60)
        except ConnectionRefusedError:  # nobody listens yet
            continue


def test_strangers_at_the_port_are_ignored() -> None:
    addresses = _free_addresses(2)

    def lead() -> dict[str, Any]:
        return meet(Cluster(addresses, 0), {"_run": "a"}, 60)

    with ThreadPoolExecutor(1) as pool:
        leading = pool.submit(lead)
        for message in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"_rank": 7}\n', b""):
            with _connected(int(addresses[0].split(":")[1])) as stranger:
                stranger.sendall(message)
        assert meet(Cluster(addresses, 1), {}, 60) == {"_run": "a"}
        assert leading.result() == {"_run": "a"}


def test_something_else_at_the_port_of_worker_0_is_not_asked_for_ever() -> None:
    addresses = _free_addresses(2)
    with (
        socket.create_server(("", int(addresses[0].split(":")[1]))) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.settimeout(0.1)
        reporting = pool.submit(meet, Cluster(addresses, 1), {}, 0.5)
        while not reporting.done():
            with suppress(TimeoutError), other.accept()[0] as connection:
                connection.makefile("rb").readline()
                connection.sendall(b"{}\n")
        with pytest.raises(WorkerError, match="^worker 0 .* did not connect within 0.5 seconds$"):
            reporting.result()


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("keras", "engine: 'keras' trains on one machine"),
        ("{name: compiled, jit_compile: true}", "engine.jit_compile: a cluster trains without"),
    ],
)
def test_an_engine_for_one_machine_is_refused_before_anything_else(
    engine: str, message: str
) -> None:
    text = f"data: {{train: absent.csv, target: y}}\nhidden: []\nepochs: 1\nengine: {engine}\n"
    cluster = Cluster(("localhost:1", "localhost:2"), 0)
    with pytest.raises(ConfigError) as caught:
        ClusterRun(make_config(text), None, ignore, cluster, 1).train()
    assert message in str(caught.value)


def test_nobody_waits_for_a_worker_0_that_can_not_begin() -> None:
    file = make_config("data: {train: absent-*.csv, target: y}\nhidden: []\nepochs: 1")
    addresses = _free_addresses(2)

    def train(rank: int) -> Exception:
        with pytest.raises(DlcliError) as caught:
            ClusterRun(file, None, ignore, Cluster(addresses, rank), 60).train()
        return caught.value

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(train, range(2))
    assert isinstance(first, UsageError) and "matches no file" in str(first)
    assert isinstance(second, WorkerError) and str(second).endswith(f" unreachable: {first}")


def test_a_stranger_that_says_nothing_does_not_delay_workers_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dlcli.cluster.SECONDS_TO_GREET", 0.2)
    addresses = _free_addresses(2)
    with ThreadPoolExecutor(1) as pool:
        leading = pool.submit(lambda: meet(Cluster(addresses, 0), {"_run": "a"}, 30))
        with _connected(int(addresses[0].split(":")[1])):
            started = time.monotonic()
            assert meet(Cluster(addresses, 1), {}, 30) == {"_run": "a"}
        assert time.monotonic() - started < 10
        assert leading.result() == {"_run": "a"}


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("killed", "code"), [(0, 137), (1, 4)])
def test_a_local_worker_that_is_killed_is_named(killed: int, code: int) -> None:
    worker = (
        "import json, os, signal, sys\n"
        f"if json.loads(os.environ['TF_CONFIG'])['task']['index'] == {killed}:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.exit(4)"
    )
    reports: list[str] = []
    assert run_local_workers([sys.executable, "-c", worker], 2, reports.append) == code
    assert reports == [f"worker {killed} was terminated by SIGKILL"]


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_workers_that_are_not_connected_end_soon_after_one_was_killed() -> None:
    worker = (
        "import json, os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # as in TensorFlow's code
        "if json.loads(os.environ['TF_CONFIG'])['task']['index'] == 1:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "time.sleep(60)"
    )
    reports: list[str] = []
    start = time.monotonic()
    assert run_local_workers([sys.executable, "-c", worker], 3, reports.append) == 4
    assert time.monotonic() - start < 20
    assert reports == ["worker 1 was terminated by SIGKILL"]


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("frozen", "code"), [(0, 137), (1, 4)])
def test_a_local_worker_that_is_frozen_is_ended(
    frozen: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("dlcli.cluster.SECONDS_TO_NOTICE", 0.5)
    monkeypatch.setattr("dlcli.cluster.SECONDS_TO_FOLLOW", 0.5)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = (
        "import json, os, signal, sys, tempfile\n"
        "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "if index: tempfile.mkdtemp()\n"
        f"if index == {frozen}: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "sys.exit(4)"
    )
    reports: list[str] = []
    assert run_local_workers([sys.executable, "-c", worker], 2, reports.append) == code
    assert reports == [f"worker {frozen} stopped responding and was terminated"]
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_local_workers_end_after_the_process_that_started_them(tmp_path: Path) -> None:
    worker = (
        "import os, pathlib, time\n"
        "from dlcli.cluster import end_with_launcher\n"
        "end_with_launcher()\n"
        "pathlib.Path(str(os.getpid())).touch()\n"
        "time.sleep(120)"
    )
    launcher = (
        "import sys\n"
        "from dlcli.cluster import run_local_workers\n"
        f"run_local_workers([sys.executable, '-c', {worker!r}], 2, print)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", launcher], cwd=tmp_path, env=environment) as all_:
        deadline = time.monotonic() + 60
        while len(workers := [*tmp_path.iterdir()]) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        all_.send_signal(signal.SIGKILL)
    assert len(workers) == 2
    while any(_runs(int(path.name)) for path in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(int(path.name)) for path in workers)


def _runs(process: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
