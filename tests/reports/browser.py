"""Chromium without a window, told what to do over a pipe in the DevTools protocol.

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
"""Seconds in which it says something, unless it hangs."""
LISTENER = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Visit:
    """What a page did while it was open."""

    complaints: list[str] = field(default_factory=list)
    """What the console was told: errors, warnings, exceptions."""
    requests: list[str] = field(default_factory=list)
    """All that was asked for, the page itself first."""


class Browser:
    """A browser with one page.

    Args:
        answers: what it says.
        commands: what it listens to.
    """

    def __init__(self, answers: BinaryIO, commands: BinaryIO) -> None:
        self._answers = answers
        self._commands = commands
        self._pending = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")
        self.tell("Page.addScriptToEvaluateOnNewDocument", source=LISTENER)

    _session: str | None = None

    def tell(self, method: str, /, **parameters: object) -> dict[str, Any]:
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
        self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Visit:
        """Opens a file and waits until its script says that all charts are there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._events.clear()
        self.tell("Page.navigate", url=page.absolute().as_uri())
        self._wait("Page.loadEventFired")
        self.ask("document.documentElement.charts")
        for violation in self.ask("violations"):
            self._events.append({"method": "violation", "params": violation})
        return _told(self._events)

    def complaints(self) -> list[str]:
        """What the page has complained of until now, and what its policy has kept it from."""
        violations: list[str] = self.ask("violations")
        return [*_told(self._events).complaints, *violations]

    def ask(self, expression: str) -> Any:
        """The value of an expression on the page, waited for if it is a promise."""
        answer = self.tell(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Takes a picture of the page, down to its end or of what is in the window."""
        data = self.tell("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))

    def _wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self._events):
            self._events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE} s"
            received = os.read(self._answers.fileno(), 2**16)
            assert received, "the browser has ended"
            self._pending += received
        message, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def _told(events: list[dict[str, Any]]) -> Visit:
    visit = Visit()
    for event in events:
        method, told = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            visit.requests.append(told["request"]["url"])
        elif method == "Log.entryAdded":
            visit.complaints.append(told["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            visit.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            visit.complaints.append(json.dumps(told["args"]))
        elif method == "violation":
            visit.complaints.append(str(told))
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
                process.wait(10)
