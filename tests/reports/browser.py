"""Chromium without a window, controlled over a pipe by the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SWITCHES = (
    "--headless",
    "--no-sandbox",  # which root would need
    "--disable-gpu",
    "--disable-dev-shm-usage",  # small in containers
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
PATIENCE = 120.0
"""Seconds after which a silent browser is considered to hang."""
LISTENER = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Visit:
    """The messages and requests of a page while it was open."""

    complaints: list[str] = field(default_factory=list)
    """Errors, warnings and exceptions on the console."""
    requests: list[str] = field(default_factory=list)
    """The URLs of all requests, the page itself first."""


class Browser:
    """A browser with one page.

    Args:
        answers: the pipe from it.
        commands: what it listens to.
    """

    def __init__(self, answers: BinaryIO, commands: BinaryIO) -> None:
        self._answers = answers
        self._commands = commands
        self._pending = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=LISTENER)

    _session: str | None = None

    def send(self, method: str, /, **parameters: object) -> dict[str, Any]:
        """Gives a command and waits for its result; what happens meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def visit(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Visit:
        """Opens a file or a URL, and waits until a report's script has drawn all charts."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._events.clear()
        url = page if isinstance(page, str) else page.absolute().as_uri()
        self.send("Page.navigate", url=url)
        self._wait("Page.loadEventFired")
        self.ask("document.documentElement.charts")
        for violation in self.ask("violations"):
            self._events.append({"method": "violation", "params": violation})
        return _told(self._events)

    def complaints(self) -> list[str]:
        """Complaints of the page so far, and what its policy has blocked."""
        violations: list[str] = self.ask("violations")
        return [*_told(self._events).complaints, *violations]

    def ask(self, expression: str) -> Any:
        """The value of an expression on the page, waited for if it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Takes a picture of the page, down to its end or of what is in the window."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))

    def _wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self._events):
            self._events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, f"the browser has been silent for {PATIENCE} s"
            received = os.read(self._answers.fileno(), 2**16)
            assert received, "the browser has ended"
            self._pending += received
        message, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def _told(events: list[dict[str, Any]]) -> Visit:
    visit = Visit()
    for event in events:
        method, given = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            visit.requests.append(given["request"]["url"])
        elif method == "Log.entryAdded":
            visit.complaints.append(given["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            visit.complaints.append(json.dumps(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            visit.complaints.append(json.dumps(given["args"]))
        elif method == "violation":
            visit.complaints.append(str(given))
    return visit


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Runs Chromium until the block ends.

    Args:
        profile: a folder for what it keeps.
    """
    assert PROGRAM is not None
    to_it, from_us = os.pipe()
    to_us, from_it = os.pipe()
    command = [PROGRAM, *SWITCHES, f"--user-data-dir={profile}"]

    def take_ends() -> None:
        """Gives the browser the two ends where it looks for them: 3 to listen, 4 to answer."""
        spare_in, spare_out = os.dup2(to_it, 100), os.dup2(from_it, 101)
        os.dup2(spare_in, 3)
        os.dup2(spare_out, 4)

    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(
            command, preexec_fn=take_ends, pass_fds=(3, 4), stdout=log, stderr=log
        )
        os.close(to_it)
        os.close(from_it)
        with os.fdopen(to_us, "rb", 0) as answers, os.fdopen(from_us, "wb", 0) as commands:
            try:
                yield Browser(answers, commands)
            finally:
                process.terminate()
                process.wait(60)
