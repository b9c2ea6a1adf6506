"""Distributed training: discovery of the workers, rendezvous, and messages between them.

A worker reads the cluster from its environment: `TF_CONFIG`, as set by Kubeflow's TFJob, Vertex AI
and TensorFlow's guides, or the variables of a SLURM job step. Before reading data, all workers
report to worker 0, which compares their versions, configs and data. Then all workers run the same
program and call the same methods of `Workers` in the same order, so they receive the same results
and make the same decisions. This module also starts the workers of one machine, which end with the
process that started them.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import socket
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from dlcli import errors
from dlcli.arrays import Array, np
from dlcli.errors import UsageError, WorkerError

if TYPE_CHECKING:
    import subprocess

TF_CONFIG = "TF_CONFIG"
_ROLES = ("chief", "master", "worker")
"""The roles in `TF_CONFIG` that train, in the order of their ranks."""
_KEYS = ("cluster", "task")
_FIRST_PORT = 20_000
PORTS = 10_000
"""Number of ports that SLURM jobs use; the workers of a node have consecutive ports."""
_LAST_PORT = 65_535
_RETRY_SECONDS = 0.2
SECONDS_TO_GREET = 5.0
"""Time for a connected worker to report; the connection may be from another program."""
_SECONDS_TO_DECLINE = 10.0
"""Time for the other workers, which start at the same time, to reach a worker 0 that can't
train."""
_FAILURE = "_failure"
"""The key, in a greeting, of the reason why worker 0 can't train."""
_LONGEST_LINE = 2**20
_POLL_SECONDS = 0.05
_LAUNCHER_SECONDS = 0.5
SECONDS_TO_NOTICE = 60.0
"""Time for worker 0 on this machine to end after another worker failed."""
SECONDS_TO_NOTICE_AT_START = 2.0
"""Time for worker 0 to connect to the others or end after one of them was killed."""
SECONDS_TO_FOLLOW = 15.0
"""Time for the other workers to end after worker 0 failed."""
_LAUNCHER = "DLCLI_LAUNCHER"
"""The variable with the process that started the workers of this machine."""
_CONNECTED = "DLCLI_CONNECTED"
"""The variable with the file that worker 0 creates when all workers are connected."""
LOST_WORKER = "another worker ended or is unreachable"
"""The message of all workers except the failed one."""
_SIGNAL_EXIT = 128
TERMINATING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""The signals that end training; Windows lacks SIGHUP."""
Handler = Callable[[int, FrameType | None], object] | signal.Handlers


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, from the view of one of them."""

    addresses: tuple[str, ...]
    """`host:port` of each worker, by rank."""
    rank: int
    """The number of this worker, from 0."""

    @property
    def size(self) -> int:
        """The number of workers."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """True for worker 0, the only one that writes the run folder and output."""
        return self.rank == 0

    @property
    def tf_config(self) -> str:
        """The value of `TF_CONFIG` for TensorFlow."""
        task = {"type": "worker", "index": self.rank}
        return json.dumps({"cluster": {"worker": self.addresses}, "task": task})

    @property
    def _hosts(self) -> list[str]:
        return [address.rpartition(":")[0] for address in self.addresses]

    @property
    def neighbors(self) -> int:
        """The number of workers on this worker's host, including itself."""
        return self._hosts.count(self._hosts[self.rank])

    @property
    def local_rank(self) -> int:
        """The index of this worker among the workers on its host, from 0."""
        return self._hosts[: self.rank].count(self._hosts[self.rank])

    @property
    def host_share(self) -> float:
        """The share of the rows on this worker's host."""
        return self.neighbors / self.size


ALONE = Cluster(("localhost:0",), 0)
"""The one worker of a training without a cluster."""


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Return the cluster that environment variables describe.

    Returns:
        The cluster; `None` if there is none, or only one worker.

    Raises:
        UsageError: if the description is invalid.
    """
    text = environment.get(TF_CONFIG, "").strip()
    cluster = _of_tf_config(text) if text else _of_slurm(environment)
    return None if cluster is None or cluster.size == 1 else cluster


def _of_tf_config(text: str) -> Cluster | None:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _wrong_tf_config(f"is not valid JSON ({error})") from None
    cluster, task = (value.get(key) or {} if isinstance(value, dict) else None for key in _KEYS)
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise _wrong_tf_config("must be an object with the objects 'cluster' and 'task'")
    if not cluster and not task:
        return None
    role, index = task.get("type"), task.get("index", 0)
    if role == "evaluator":
        raise _wrong_tf_config("an evaluator is not supported: worker 0 evaluates")
    if "ps" in cluster:
        raise _wrong_tf_config("parameter servers ('ps') are not supported; list workers only")
    names: list[tuple[Any, Any]]
    names = [(each, at) for each in _ROLES for at in range(len(_addresses(cluster, each)))]
    addresses = [address for each in _ROLES for address in _addresses(cluster, each)]
    if (role, index) not in names:
        known = ", ".join(f"{name} {at}" for name, at in names)
        message = f"the task is {role} {index!r}, but the cluster has {known or 'no worker'}"
        raise _wrong_tf_config(message)
    if len({*addresses}) < len(addresses):
        raise _wrong_tf_config("two workers have the same address")
    return Cluster(tuple(addresses), names.index((role, index)))


def _addresses(cluster: Mapping[str, object], role: str) -> list[str]:
    given = cluster.get(role, [])
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not all(map(_is_address, found)):
        raise _wrong_tf_config(f"'{role}' must be a list of host:port")
    return found


def _wrong_tf_config(reason: str) -> UsageError:
    example = Cluster(("host-a:2222", "host-b:2222"), 0).tf_config
    return UsageError(f"{TF_CONFIG}: {reason}; expected text such as {example}")


def _is_address(text: object) -> bool:
    found = re.fullmatch(r".+:(\d{1,5})", text) if isinstance(text, str) else None
    return found is not None and 0 < int(found[1]) <= _LAST_PORT


def _of_slurm(environment: Mapping[str, str]) -> Cluster | None:
    """Return the tasks of the SLURM job step that contains this process."""
    names = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST")
    tasks, rank, nodes = (environment.get(name, "") for name in names)
    if not tasks.isdigit() or int(tasks) < 2 or not rank.isdigit():
        return None
    hosts = expand_hosts(nodes)
    counts = _tasks_per_node(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if len(hosts) != len(counts) or sum(counts) != int(tasks):
        message = f"SLURM lists the nodes '{nodes}' for {tasks} tasks, which do not match"
        raise UsageError(f"{message}; or describe the workers in {TF_CONFIG}")
    job, step = (environment.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    number = 97 * int(job) + int(step) if (job + step).isdigit() else 0
    most = max(counts)
    first = _FIRST_PORT + number * most % (PORTS - most)
    addresses = [
        f"{host}:{first + at}"
        for host, count in zip(hosts, counts, strict=True)
        for at in range(count)
    ]
    return Cluster(tuple(addresses), int(rank))


def expand_hosts(text: str) -> list[str]:
    """Expand a SLURM host list: `gpu[01-03,7],head` is gpu01, gpu02, gpu03, gpu7, head."""
    hosts = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        names = [""]
        for plain, ranges in re.findall(r"([^\[]+)|\[([^\]]*)\]", part):
            ends = [plain] if plain else list(_range_members(ranges))
            names = [name + end for name in names for end in ends]
        hosts += names
    return hosts


def _range_members(ranges: str) -> Iterator[str]:
    for each in ranges.split(","):
        first, _, last = each.partition("-")
        if not last:
            yield first
        elif first.isdigit() and last.isdigit():
            for number in range(int(first), int(last) + 1):
                yield str(number).zfill(len(first))


def _tasks_per_node(text: str) -> list[int]:
    """Return the number of tasks per node: `2(x3),1` is 2, 2, 2, 1."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in found for _ in range(int(times or 1))]


# Meeting


def meet(cluster: Cluster, greeting: Mapping[str, object], seconds: float) -> dict[str, Any]:
    """Wait for all workers, compare their greetings, and receive the greeting of worker 0.

    Args:
        cluster: the workers.
        greeting: values that must be the same for all workers, by name: versions, config, data.
            Names that begin with `_` are not compared.
        seconds: the maximum time to wait.

    Returns:
        The greeting of worker 0.

    Raises:
        UsageError: if this worker's port is in use, or a greeting differs from worker 0's.
        WorkerError: if workers don't report in time.
    """
    deadline = time.monotonic() + seconds
    with _listening(cluster.addresses[cluster.rank]) as server:
        if cluster.is_chief:
            return _receive_all(cluster, server, dict(greeting), deadline, seconds)
    return _report(cluster, greeting, deadline, seconds)


def decline(cluster: Cluster, reason: str) -> None:
    """Report to the other workers, which have just started, that worker 0 can't train."""
    with suppress(UsageError, WorkerError):
        meet(cluster, {_FAILURE: f"{LOST_WORKER}: {reason}"}, _SECONDS_TO_DECLINE)


def _host_and_port(address: str) -> tuple[str, int]:
    """Split `host:port` or `[IPv6 address]:port`."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


@contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    host, port = _host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
            server.listen()
        except OSError as error:
            message = f"{address}: this worker can't listen on this address: {error.strerror}"
            raise UsageError(
                f"{message}; stop the program that uses the port, or choose another port"
            ) from None
        yield server


def _receive_all(
    cluster: Cluster,
    server: socket.socket,
    greeting: dict[str, Any],
    deadline: float,
    seconds: float,
) -> dict[str, Any]:
    """Receive the greetings of all other workers, and send the same answer to each."""
    present: dict[int, dict[str, Any]] = {}
    with ExitStack() as stack:
        connections: list[socket.socket] = []
        while len(present) < cluster.size - 1 and (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            try:
                connection = stack.enter_context(server.accept()[0])
                connection.settimeout(SECONDS_TO_GREET)
                received = _read_line(connection)
            except (OSError, ValueError):  # not a worker
                continue
            rank = received.get("_rank")
            if isinstance(rank, int) and 0 < rank < cluster.size:
                present[rank] = received
                connections.append(connection)
        absent = [rank for rank in range(1, cluster.size) if rank not in present]
        failure = greeting.get(_FAILURE, "")
        is_lost = bool(absent or failure)
        error = failure or _first_difference(greeting, present)
        if absent and not failure:
            named = [f"worker {rank} ({cluster.addresses[rank]})" for rank in absent]
            error = f"{', '.join(named)} did not connect within {seconds:g} seconds"
        for connection in connections:
            try:
                _send_line(connection, {**greeting, "_error": error, "_is_lost": is_lost})
            except OSError:
                continue
    _check_reply(error, is_lost=is_lost)
    return greeting


def _first_difference(greeting: Mapping[str, Any], others: Mapping[int, Mapping[str, Any]]) -> str:
    for rank, other in sorted(others.items()):
        for name, value in greeting.items():
            if not name.startswith("_") and other.get(name) != value:
                found = f"{name} is {other.get(name)} on worker {rank} and {value} on worker 0"
                return f"{found}; all workers require the same value"
    return ""


def _report(
    cluster: Cluster, greeting: Mapping[str, object], deadline: float, seconds: float
) -> dict[str, Any]:
    """Report to worker 0, and return its greeting."""
    chief = _host_and_port(cluster.addresses[0])
    while True:
        left = max(deadline - time.monotonic(), 0.001)
        with suppress(OSError, ValueError):  # not started yet, or another program
            with socket.create_connection(chief, timeout=left) as connection:
                _send_line(connection, {**greeting, "_rank": cluster.rank})
                connection.settimeout(max(deadline - time.monotonic(), 0.001) + 5)
                answer = _read_line(connection)
            if "_error" in answer:
                _check_reply(answer.pop("_error"), is_lost=answer.pop("_is_lost"))
                return answer
        if time.monotonic() >= deadline:
            absent = f"worker 0 ({cluster.addresses[0]})"
            raise WorkerError(f"{absent} did not connect within {seconds:g} seconds")
        time.sleep(_RETRY_SECONDS)


def _check_reply(error: str, *, is_lost: bool) -> None:
    if error:
        raise WorkerError(error) if is_lost else UsageError(error)


def _send_line(connection: socket.socket, message: Mapping[str, object]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _read_line(connection: socket.socket) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: if the line is not a JSON object.
    """
    with connection.makefile("rb") as stream:
        message = json.loads(stream.readline(_LONGEST_LINE))
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


# Workers on this machine


def run_local_workers(command: Sequence[str], count: int, report: Callable[[str], None]) -> int:
    """Run a command in several processes that form a cluster; worker 0 uses the standard streams.

    Args:
        command: the program with its arguments.
        count: the number of workers.
        report: prints a line about a worker that failed independently.

    Returns:
        The exit code of worker 0, as in a shell.
    """
    import subprocess  # not needed for predictions

    addresses = tuple(f"localhost:{port}" for port in free_ports(count))
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        # Temporary files of killed workers are removed with this folder.
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dlcli-workers-", ignore_cleanup_errors=True)
        )
        connected = Path(folder, "connected")
        workers: list[subprocess.Popen[bytes]] = []
        stack.enter_context(_forwarding_signals(workers))
        for rank in range(count):
            environment = {**os.environ, _LAUNCHER: str(os.getpid())}
            environment[TF_CONFIG] = Cluster(addresses, rank).tf_config
            streams: dict[str, Any] = {}
            if not rank:
                environment[_CONNECTED] = str(connected)
            else:
                environment["TMPDIR"] = folder
                streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
                streams["stderr"] = logs[rank - 1]
            # A new process group, because Ctrl-C reaches this group and is then forwarded once.
            worker = subprocess.Popen([*command], env=environment, process_group=0, **streams)
            workers.append(worker)
        unstarted = _end_unstarted(workers, connected)
        frozen = _wait_for(workers)
        codes = [worker.returncode for worker in workers]
        if 0 in unstarted:
            codes[0] = WorkerError.exit_code
        for rank, code in enumerate(codes):
            text = ""
            if rank in unstarted:
                continue
            if rank:
                logs[rank - 1].seek(0)
                text = logs[rank - 1].read().decode(errors="replace").strip()
            if rank in frozen:
                report(f"worker {rank} stopped responding and was terminated")
            elif code < 0 and (rank == 0 or codes[0] >= 0):
                report(f"worker {rank} was terminated by {signal.Signals(-code).name}")
            elif text and LOST_WORKER not in text:
                report("\n".join(f"worker {rank}: {line}" for line in text.splitlines()))
    return codes[0] if codes[0] >= 0 else _SIGNAL_EXIT - codes[0]


def report_connection() -> None:
    """Report to the launcher that all workers are connected."""
    if path := os.environ.pop(_CONNECTED, ""):
        with suppress(OSError):
            Path(path).touch()


def end_with_launcher() -> None:
    """If this is a worker of `run_local_workers`, end it soon after the launcher has ended.

    It receives SIGTERM, so worker 0 stores a checkpoint.
    """
    launcher = os.environ.pop(_LAUNCHER, "")
    if not launcher.isdigit() or os.name != "posix":
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(_LAUNCHER_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def after_parent(end: Callable[[], object]) -> None:
    """Call a function in a thread after the parent process has ended, even if it was killed.

    Works in processes of `multiprocessing`, and does nothing in other processes.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    if (parent := parent_process()) is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        end()

    threading.Thread(target=watch, daemon=True).start()


def available_processors() -> int:
    """Return the number of processors that this process may use, or of all if unknown."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that are currently not in use.

    They are below the ports for outgoing connections, which could occupy a port before its worker.

    Raises:
        UsageError: if there are not enough ports.
    """
    found: list[int] = []
    with ExitStack() as stack:
        for port in SystemRandom().sample(range(_FIRST_PORT, _FIRST_PORT + PORTS), PORTS):
            if len(found) == count:
                return found
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("", port))
                found.append(port)
    raise UsageError(f"this machine does not have {count} free ports from {_FIRST_PORT} upwards")


@contextmanager
def _forwarding_signals(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Forward signals that end training to the workers, and end the workers with the block."""

    def forward(number: int, _frame: object) -> None:
        for worker in workers:
            worker.send_signal(number)

    try:
        with replacing_handlers(TERMINATING, forward):
            yield
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


@contextmanager
def replacing_handlers(numbers: Iterable[int], handler: Handler) -> Iterator[None]:
    """Replace signal handlers within a block, in the main thread.

    Ignored signals, such as by `nohup`, stay ignored.

    Args:
        numbers: the signals.
        handler: the function to call, or the action.
    """
    handled = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _end_unstarted(workers: Sequence[subprocess.Popen[bytes]], connected: Path) -> set[int]:
    """Wait until all workers are connected; end them soon if one is killed before.

    Until then, worker 0 may be in TensorFlow's code, where it neither notices that another worker
    is lost nor handles signals.

    Args:
        workers: the processes.
        connected: the file that worker 0 creates.

    Returns:
        The ranks of workers that were ended, because another one was killed.
    """
    first, *others = workers
    deadline = math.inf
    while first.poll() is None and not connected.exists():
        codes = [code for worker in others if (code := worker.poll()) is not None]
        if any(code >= 0 for code in codes):  # it has reported its error to worker 0
            break
        if codes and deadline == math.inf:
            deadline = time.monotonic() + SECONDS_TO_NOTICE_AT_START
        if time.monotonic() > deadline:
            running = {rank for rank, worker in enumerate(workers) if worker.poll() is None}
            for rank in running:
                workers[rank].kill()
            return running
        time.sleep(_POLL_SECONDS)
    return set()


def _wait_for(workers: Sequence[subprocess.Popen[bytes]]) -> set[int]:
    """Wait for all workers; after one has failed, the others have some time to end.

    Returns:
        The ranks of workers that did not end and were killed, such as frozen processes.
    """
    first, *others = workers
    deadline, is_asked = math.inf, False
    while first.poll() is None:
        if deadline == math.inf and any(worker.poll() for worker in others):
            deadline = time.monotonic() + SECONDS_TO_NOTICE
        if time.monotonic() > deadline:
            if is_asked:
                break
            first.terminate()
            deadline, is_asked = time.monotonic() + SECONDS_TO_FOLLOW, True
        time.sleep(_POLL_SECONDS)
    deadline = time.monotonic() + (SECONDS_TO_FOLLOW if first.poll() else math.inf)
    while first.poll() is not None and any(worker.poll() is None for worker in others):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    frozen = {rank for rank, worker in enumerate(workers) if worker.poll() is None}
    for rank in frozen:
        workers[rank].kill()
    for worker in workers:
        worker.wait()
    return frozen


# Messages


Arrays = Mapping[str, Array]
Result = TypeVar("Result")


class Workers:
    """The workers of a training, from the view of one of them; this class is a single worker.

    Args:
        cluster: the addresses, and the rank of this worker.
    """

    def __init__(self, cluster: Cluster = ALONE) -> None:
        self.cluster = cluster

    @property
    def rank(self) -> int:
        """The number of this worker, from 0."""
        return self.cluster.rank

    @property
    def size(self) -> int:
        """The number of workers."""
        return self.cluster.size

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Return the value of each worker; values must be JSON-serializable.

        Raises:
            TrainingError: if a worker has ended or is unreachable.
        """
        return [value]

    def gather_arrays(self, arrays: Arrays) -> list[Arrays]:
        """Return the arrays of each worker, by name."""
        return [arrays]

    def gather_bytes(self, message: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """Return the message of each worker."""
        return [message]

    def seconds_per_sum(self, numbers: int) -> float:
        """Measure the time to sum an array of `numbers` numbers over all workers."""
        return 0.0

    def agree(self, work: Callable[[], Result]) -> Result:
        """Run a function on each worker; if it fails on one, it fails on all.

        Args:
            work: the function, which must not exchange messages.

        Raises:
            DlcliError: the error of the first worker on which it failed.
        """
        return work()

    def finish(self) -> None:
        """Wait until each worker has received its last message, so processes may end."""


NO_OTHERS = Workers()
"""The one worker of a training without a cluster."""


class ConnectedWorkers(Workers, ABC):
    """Several workers that exchange messages."""

    @abstractmethod
    def gather_bytes(self, message: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """Return the message of each worker; all workers must call it.

        Raises:
            TrainingError: if a worker has ended or is unreachable.
        """

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Return the value of each worker, sent as JSON."""
        messages = self.gather_bytes(json.dumps(value).encode())
        return [json.loads(bytes(each)) for each in messages]

    def gather_arrays(self, arrays: Arrays) -> list[Arrays]:
        """Return the arrays of each worker, sent in NumPy's format."""
        stream = io.BytesIO()
        named = {f"_{name}": array for name, array in arrays.items()}
        np.savez(stream, **named)  # type: ignore[arg-type]
        found: list[Arrays] = []
        for each in self.gather_bytes(stream.getbuffer()):
            with np.load(io.BytesIO(each), allow_pickle=False) as stored:
                found.append({name[1:]: stored[name] for name in stored})
        return found

    def agree(self, work: Callable[[], Result]) -> Result:
        """Run a function on each worker, and exchange errors; see `Workers`."""
        results: list[Result] = []
        self.gather_results(lambda: results.append(work()))
        return results[0]

    def gather_results(self, work: Callable[[], Any]) -> list[Any]:
        """Return the JSON-serializable result of `work` on each worker; see `agree`."""
        result = None
        error: errors.DlcliError | None = None
        try:
            result = work()
        except errors.DlcliError as failed:
            error = failed
        except MemoryError:
            error = WorkerError("out of memory; use more workers, or data.storage: disk")
        failure = error and [type(error).__name__, str(error), getattr(error, "__notes__", [])]
        found = self.gather([failure, result])
        for rank, (each, _) in enumerate(found):
            if each is not None:
                raise (error if rank == self.rank else None) or _error_of(rank, *each)
        return [result for _, result in found]


def _error_of(rank: int, name: str, message: str, notes: Sequence[str]) -> errors.DlcliError:
    """Return the error of another worker, with the same exit code."""
    kinds = {
        kind.__name__: kind for kind in (errors.DataError, errors.RunError, errors.TrainingError)
    }
    error: errors.DlcliError
    if name == "ConfigError":
        error = errors.ConfigError([errors.Problem("", message)])
    elif name == "UsageError":
        error = UsageError(message)
    else:
        error = kinds.get(name, errors.WorkerError)("")
        # Rows are the same on all workers, but a disk belongs to one worker.
        error.args = (message if name == "DataError" else f"worker {rank}: {message}",)
    for note in notes:
        error.add_note(note)
    return error
