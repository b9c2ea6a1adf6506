"""Check searches of several processes that share one study in a PostgreSQL database.

Several machines would share a search in the same way. `python -m benchmarks.postgresql` starts a
database server in a temporary folder, with a password. This requires Debian's package `postgresql`,
or another source of `initdb` and `pg_ctl`, and the driver of the extra `postgresql`.

In the end, the study must contain each trial number once, even after a process was killed with
SIGKILL at a random time and resumed. No file of a run may contain the password.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.kills import write_rows
from benchmarks.processes import DLCLI, add_numbers, environment
from dlcli.runs.manifest import MANIFEST, is_unfinished

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.2, test: 0.1}
hidden: [{units: 32, activation: relu}]
epochs: 40
tune:
  trials: TRIALS
  sampler: random
  pruner: none
  space:
    optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}
    hidden_layers: {number: {low: 1, high: 2}, units: [16, 32]}
    batch_size: [8, 16]
"""
USER = "postgres"
"""User that runs the server if this script is run by root."""
NOT_INSTALLED = 2
"""Exit code of this script if something is not installed."""


@dataclass
class Tally:
    """The results of a study."""

    name: str
    trials: Counter[str] = field(default_factory=Counter)
    """Trials completed by each process."""
    killed: list[int] = field(default_factory=list)
    """Trials of the killed process that were completed by then."""
    problems: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    """Search with and without kills, and fail if a trial is lost or duplicated."""
    options = _options(arguments)
    tools = server_tools()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-postgresql-"))
    rng = np.random.default_rng(options.seed)
    try:
        write_rows(folder / "rows.csv")
        with server(tools) as url:
            bench = Bench(folder, url, options.trials)
            tallies = [bench.uninterrupted()]
            tallies += [bench.killed(number, rng) for number in range(1, options.kills + 1)]
    finally:
        shutil.rmtree(folder)
    Console().print(report(tallies))
    problems = [f"{tally.name}: {line}" for tally in tallies for line in tally.problems]
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        sys.exit(1)


def report(tallies: Sequence[Tally]) -> Table:
    """Return a row per study."""
    title = "two processes on one study in PostgreSQL"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("study", "killed after", "trials by process", "trials"):
        table.add_column(name, justify="left" if name == "study" else "right")
    table.add_column("problems", justify="right")
    for tally in tallies:
        killed = ", ".join(map(str, tally.killed)) or "-"
        shares = " + ".join(map(str, tally.trials.values()))
        total = str(tally.trials.total())
        table.add_row(tally.name, killed, shares, total, str(len(tally.problems)))
    return table


class Bench:
    """Searches that share a database.

    Args:
        folder: contains the rows, and receives the runs.
        url: the URL of the database, with its password.
        trials: number of trials of each study.
    """

    def __init__(self, folder: Path, url: str, trials: int) -> None:
        self._folder = folder
        self._url = url
        self._trials = trials

    def uninterrupted(self) -> Tally:
        """Run two processes to their end."""
        tally = Tally("uninterrupted")
        runs = self._start("uninterrupted")
        for run in runs:
            tally.problems += run.wait()
        return self._check(tally, runs)

    def killed(self, number: int, rng: np.random.Generator) -> Tally:
        """Run two processes; kill one of them after a random number of trials, and resume it."""
        tally = Tally(f"killed {number}")
        runs = self._start(f"killed-{number}")
        victim = runs[int(rng.integers(2))]
        after = int(rng.integers(0, self._trials // 2))
        tally.killed.append(victim.kill(after, float(rng.uniform(0, 0.5))))
        victim.resume()
        for run in runs:
            tally.problems += run.wait()
        return self._check(tally, runs)

    def _start(self, study: str) -> list[Process]:
        config = self._folder / f"{study}.yaml"
        config.write_text(CONFIG.replace("TRIALS", str(self._trials)), "utf-8")
        return [
            Process(config, self._folder / f"{study}-{letter}", self._url) for letter in ("a", "b")
        ]

    def _check(self, tally: Tally, runs: Sequence[Process]) -> Tally:
        """Check the trials in the results, and that no file contains the password."""
        documents = [run.document() for run in runs if run.is_finished]
        for document in documents:
            numbers = [trial["number"] for trial in document["trials"]]
            if numbers != list(range(self._trials)):
                tally.problems.append(f"expected {self._trials} trials, got {numbers}")
            failed = [
                trial["number"] for trial in document["trials"] if trial["state"] != "complete"
            ]
            if failed:
                tally.problems.append(f"the trials {failed} are not complete")
        if len({json.dumps(document["trials"]) for document in documents}) > 1:
            tally.problems.append("the processes report different trials")
        if documents:
            tally.trials.update(trial["worker"] for trial in documents[0]["trials"])
        password = self._url.split(":")[2].split("@")[0].encode()
        files = [path for run in runs for path in run.folder.rglob("*") if path.is_file()]
        tally.problems += [
            f"{path} contains the password" for path in files if password in path.read_bytes()
        ]
        return tally


class Process:
    """A search in a separate process.

    Args:
        config: the config of the search.
        folder: its run folder.
        url: the URL of the database.
    """

    def __init__(self, config: Path, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url
        self._command = ("tune", config, "--output", folder)
        self._launch(*self._command)

    @property
    def is_finished(self) -> bool:
        """True if its run is finished."""
        return (self.folder / MANIFEST).exists()

    def kill(self, after: int, delay: float) -> int:
        """Kill the process.

        Args:
            after: number of trials that it completes before.
            delay: seconds to wait in addition.

        Returns:
            The number of trials that it had completed.
        """
        while self._process.poll() is None and self._completed() < after:
            time.sleep(0.01)
        time.sleep(delay)
        completed = self._completed()
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        return completed

    def resume(self) -> None:
        """Resume the killed search, or restart it if there is nothing to resume."""
        if is_unfinished(self.folder):
            self._launch("tune", "--resume", self.folder)
        elif not self.is_finished:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._launch(*self._command)

    def wait(self) -> list[str]:
        """Wait for the process to end; return its problems."""
        _, errors = self._process.communicate()
        if self._process.returncode and not self.is_finished:
            return [f"ended with {self._process.returncode}: {errors.strip()}"]
        return []

    def document(self) -> Mapping[str, Any]:
        """Return the result of the search."""
        result: Mapping[str, Any] = json.loads((self.folder / "tune.json").read_text("utf-8"))
        return result

    def _launch(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [*DLCLI, *arguments, "--storage", self._url, "--quiet"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _completed(self) -> int:
        log = self.folder / "events.jsonl"
        return log.read_text("utf-8").count('"event": "trial"') if log.exists() else 0


@contextmanager
def server(tools: Path) -> Iterator[str]:
    """Run a database server temporarily, accessible from this machine only.

    Args:
        tools: the folder of `initdb` and `pg_ctl`.

    Yields:
        The URL of its database, with a password.
    """
    folder = Path(tempfile.mkdtemp(prefix="dlcli-postgresql-server-"))
    data, password, port = folder / "data", secrets.token_hex(16), _free_port()
    secret = folder / "password"
    secret.write_text(password + "\n", "utf-8")
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        for path in (folder, secret):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    control = [str(tools / "pg_ctl"), "-D", str(data), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        _as_user(
            *(str(tools / "initdb"), "-D", str(data), "-U", "dlcli", "--auth=scram-sha-256"),
            *("--pwfile", str(secret), "--encoding=UTF8", "--locale=C"),
        )
        _as_user(*control, "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql+psycopg://dlcli:{password}@127.0.0.1:{port}/postgres"
        finally:
            _as_user(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(*command: str) -> None:
    """Run a command as a user who may run the server."""
    prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *command], cwd="/", capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stdout}{done.stderr}")


def server_tools() -> Path:
    """Return the folder of the server's programs; exit if they or the driver are not installed."""
    if importlib.util.find_spec("psycopg") is None:
        _exit("the driver is not installed: pip install -e '.[postgresql]'")
    folders = [Path(program).parent for program in [shutil.which("initdb")] if program]
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    folders += sorted((path.parent for path in versions), key=lambda path: path.parts[-2])[::-1]
    if not folders:
        _exit("no PostgreSQL server is installed: apt-get install postgresql, Debian's package")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        _exit("root can't run the server, and `runuser` is not installed to change the user")
    return folders[0]


def _exit(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(NOT_INSTALLED)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgresql", description=__doc__)
    add_numbers(
        parser,
        (
            ("trials", 20, "Number of trials of each study."),
            ("kills", 3, "Number of studies in which a process is killed."),
            ("seed", 0, "Random seed."),
        ),
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
