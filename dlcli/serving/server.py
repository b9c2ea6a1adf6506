"""The server process: socket, signals, and loaded models."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dlcli.cluster import after_parent
from dlcli.errors import DlcliError, UsageError, require_packages
from dlcli.pipeline.table_prediction import Report
from dlcli.serving.served_model import Limits, ServedModel

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from dlcli.serving.requests import Models

_NEEDED = ("starlette", "uvicorn", "orjson", "prometheus_client")
_BACKLOG = 2048
"""Maximum number of connections that wait to be accepted."""
_HANGUP = "SIGHUP"
_PATIENCE = 60
"""Maximum time for a worker to start, in seconds."""


@dataclass(frozen=True)
class Settings:
    """The settings of a server."""

    runs: Mapping[str, Path]
    """Run folders by name of the model."""
    host: str
    port: int
    """The port; 0 for any free port."""
    limits: Limits
    level: float | None = None
    """Coverage of prediction intervals or prediction sets, if any."""
    key: str | None = field(default=None, repr=False)
    """The API key that clients must send, if any."""
    workers: int = 1
    """Number of processes."""
    allowed_hosts: tuple[str, ...] = ()
    """Names in the header `Host` that requests may have in addition to those of this machine."""
    unix_socket: Path | None = None
    """The path of a Unix socket to listen on instead of host and port."""
    prefix: str = ""
    """A prefix of paths that a proxy keeps."""
    logs_requests: bool = False
    """Whether each request is logged to standard error."""

    @property
    def hosts(self) -> frozenset[str] | None:
        """The accepted names in the header `Host`; `None` for any name.

        A server that other machines can reach accepts any name, unless some are given; a server at
        a Unix socket too, because no web page can reach it without a proxy.
        """
        from dlcli.serving.application import LOCAL_HOSTS

        is_local = self.unix_socket is None and self.host in LOCAL_HOSTS
        if not self.allowed_hosts and not is_local:
            return None
        return LOCAL_HOSTS | {self.host, *(each.lower() for each in self.allowed_hosts)}


def load_models(settings: Settings) -> dict[str, ServedModel]:
    """Load all models.

    Raises:
        RunError, UsageError: see `ServedModel.load`.
    """
    loaded = settings.runs.items()
    return {name: ServedModel.load(name, path, settings.level) for name, path in loaded}


def run_server(settings: Settings, report: Report) -> None:
    """Serve until SIGTERM or SIGINT; requests that have begun are finished first.

    SIGHUP reloads the runs from the same folders, while requests continue. If a run can't be
    loaded, the previous models stay in use.

    Args:
        settings: the settings of the server.
        report: receives notes and warnings: the address when the server listens, and reloads.

    Raises:
        RunError, UsageError: see `ServedModel.load`; or for an unusable address, or a missing
            package.
    """
    require_packages("dlcli serve", "serve", *_NEEDED)
    models = load_models(settings)
    with _listening(settings) as listening:
        if settings.workers == 1:
            _run_one(settings, models, listening, report)
        else:
            del models
            _run_workers(settings, listening, report)


def _run_one(
    settings: Settings, loaded: Mapping[str, ServedModel], listening: socket.socket, report: Report
) -> None:
    """Serve in this process."""
    import uvicorn

    from dlcli.serving.requests import Models

    models, loading = Models(loaded, settings.limits), threading.Lock()

    def load_again() -> None:
        with loading:
            try:
                models.by_name = load_models(settings)
            except DlcliError as error:
                report("warning", f"reload failed, the previous models stay in use: {error}")
            else:
                report("note", f"reloaded: {', '.join(models.by_name)}")

    def reload(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=load_again, daemon=True).start()

    with _handling(_HANGUP, reload):
        server = uvicorn.Server(_config(settings, _application_of(settings, models)))
        _announce(settings, listening, report)  # after this, signals are handled
        server.run(sockets=[listening])


def _run_workers(settings: Settings, listening: socket.socket, report: Report) -> None:
    """Serve in several worker processes, which accept connections on the same socket."""
    from uvicorn.supervisors import Multiprocess

    from dlcli.serving.requests import FOLDER_VARIABLE

    ended_by: list[int] = []

    class Supervisor(Multiprocess):
        def end(self, number: int, frame: FrameType | None) -> None:
            """End at once, also while workers are replaced and other signals wait."""
            ended_by.append(number)
            self.should_exit.set()

        def keep_subprocess_alive(self) -> None:
            for process in self.processes:
                process.child_conn.close()  # so the exit of a starting worker is noticed
            super().keep_subprocess_alive()

        def handle_hup(self) -> None:
            try:
                load_models(settings)
            except DlcliError as error:
                report("warning", f"reload failed, the previous models stay in use: {error}")
                return
            before = {*self.processes}
            super().handle_hup()
            if before.isdisjoint(self.processes):
                report("note", f"reloaded: {', '.join(settings.runs)}")
            else:
                report(
                    "warning", "some workers were not replaced and still serve the previous models"
                )

    handled = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        application = partial(_application, settings)
        supervisor = Supervisor(_config(settings, application, is_factory=True), [listening])
        for number in handled:
            signal.signal(number, supervisor.end)
        _announce(settings, listening, report)
        supervisor.run()
    for number, handler in handled.items():
        signal.signal(number, handler)
    if not ended_by:
        raise UsageError("a worker could not start; its message is above")
    signal.raise_signal(ended_by[0])


def _application(settings: Settings) -> Starlette:
    """Return the application of a worker."""
    from dlcli.serving.requests import Models

    # Without this, workers would occupy the port after the exit of their parent.
    after_parent(partial(signal.raise_signal, signal.SIGTERM))
    try:
        models = load_models(settings)
    except DlcliError as error:  # the supervisor starts another worker
        sys.stderr.write(f"warning: a worker could not start: {error}\n")
        raise SystemExit(1) from None
    return _application_of(settings, Models(models, settings.limits))


def _application_of(settings: Settings, models: Models) -> Starlette:
    from dlcli.serving.application import make_application

    log = _log if settings.logs_requests else None
    return make_application(models, settings.key, settings.hosts, settings.prefix, log)


def _log(line: bytes) -> None:
    """Write a line at once, so lines of several workers do not mix."""
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def _config(settings: Settings, application: Any, *, is_factory: bool = False) -> Any:  # noqa: ANN401
    import uvicorn

    return uvicorn.Config(
        application,
        factory=is_factory,
        workers=settings.workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http="dlcli.serving.application:PatientConnection",
        timeout_graceful_shutdown=int(settings.limits.seconds) + 1,
        timeout_worker_healthcheck=_PATIENCE,
    )


@contextmanager
def _handling(name: str, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal within a block, if the system supports it."""
    number = getattr(signal, name, None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Listen within a block, on a Unix socket or at host and port.

    Raises:
        UsageError: if the address can't be used.
    """
    if (path := settings.unix_socket) is None:
        with _listening_at(settings.host, settings.port) as listening:
            yield listening
        return
    _remove_unused(path)
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(str(path))
        except OSError as error:  # such as a path that is too long
            reason = error.strerror or str(error)
            raise UsageError(f"{path}: can't listen: {reason}; use another path") from None
        try:
            listening.listen(_BACKLOG)
            listening.set_inheritable(True)
            yield listening
        finally:
            path.unlink(missing_ok=True)


def _remove_unused(path: Path) -> None:
    """Remove a Unix socket that a server has left, for example because it was killed.

    Raises:
        UsageError: if a server listens on it, or the file is not a socket.
    """
    if not os.path.lexists(path):
        return
    if not path.is_socket():
        raise UsageError(f"{path}: exists and is not a socket; use another path")
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise UsageError(f"{path}: can't listen: {error.strerror}; use another path") from None
    raise UsageError(f"{path}: another server listens on it; use another path")


def _listening_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: if the address can't be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:  # UnicodeError for a name with an empty part
        reason = getattr(error, "strerror", None) or str(error)
        is_port = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        way_out = f"try another {'--port' if is_port else '--host'}"
        raise UsageError(f"can't listen on {host}:{port}: {reason}; {way_out}") from None
    listening.set_inheritable(True)
    return listening


def _announce(settings: Settings, listening: socket.socket, report: Report) -> None:
    if settings.unix_socket is None:
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.prefix}"
    else:
        address = str(settings.unix_socket)
    report("note", f"serving {', '.join(settings.runs)} at {address}")
