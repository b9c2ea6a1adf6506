"""The process that serves: its socket, its signals, and the models that it loads."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.errors import UsageError, install_command

if TYPE_CHECKING:
    from dlcli.serving.requests import Limits
    from dlcli.serving.served_model import ServedModel

_NEEDED = ("starlette", "uvicorn", "orjson", "prometheus_client")
_BACKLOG = 2048
"""Connections that may wait to be accepted."""


@dataclass(frozen=True)
class Settings:
    """What is served, and how."""

    runs: Mapping[str, Path]
    """Run folders by the names of their models."""
    host: str
    port: int
    """0 for any free one."""
    limits: Limits
    level: float | None = None
    """Level of intervals or sets of classes, if there are to be any."""
    key: str | None = field(default=None, repr=False)
    """The API key that clients must send, if there is one."""


def check_installed() -> None:
    """Check that what the server needs is installed.

    Raises:
        UsageError: naming the extra.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise UsageError(f"dlcli serve needs the extra 'serve'; {install_command('serve')}")


def load_models(settings: Settings) -> dict[str, ServedModel]:
    """Load all models.

    Raises:
        RunError, UsageError: see `ServedModel.load`.
    """
    from dlcli.serving.served_model import ServedModel

    loaded = settings.runs.items()
    return {name: ServedModel.load(name, path, settings.level) for name, path in loaded}


def run_server(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until a signal ends it; requests that were begun are answered first.

    Args:
        settings: what is served.
        announce: takes the server's address, once it listens.

    Raises:
        RunError, UsageError: see `ServedModel.load`; or for an address that can't be used.
    """
    import uvicorn

    from dlcli.serving.application import make_application
    from dlcli.serving.model_set import Models

    models = Models(load_models(settings), settings.limits)
    with _listening(settings.host, settings.port) as listening:
        announce(_address(listening))
        config = uvicorn.Config(
            make_application(models, settings.key),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
        )
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: if the address can't be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"can't listen at {host}:{port}: {reason}; try another --port") from None
    listening.set_inheritable(True)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
