"""`python -m benchmarks.postgresql`: processes that share one study in a PostgreSQL database.

That is how several machines search together. A database of its own is made for it, in a temporary
folder, with a password, and removed again: it takes Debian's package `postgresql`, or what installs
`initdb` and `pg_ctl` elsewhere, and the driver of `dlcli[postgresql]`.

In the end, the study must have its trials: each place of the budget once, none lost, none twice;
also after a process was killed with SIGKILL at a moment drawn by lot, and went on. The password
must stand in no file of any run.
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
from benchmarks.processes import environment
from benchmarks.whole import DLCLI
from dlcli.runs import MANIFEST, is_unfinished

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
    hidden: {layers: {low: 1, high: 2}, units: [16, 32]}
    batch_size: [8, 16]
"""
USER = "postgres"
"""Who runs the server where root must not."""
MISSING = 2
"""Exit code where something is not installed."""


@dataclass
class Tally:
    """What has come of a study."""

    name: str
    trials: Counter[str] = field(default_factory=Counter)
    """How many trials each process has ended, in the order of the processes."""
    killed: list[int] = field(default_factory=list)
    """How many trials had ended by each kill."""
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches undisturbed and with kills, and fails if a trial is lost or there twice."""
    options = _options(arguments)
    tools = _tools()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-postgresql-"))
    random = np.random.default_rng(options.seed)
    try:
        write_rows(folder / "rows.csv")
        with server(tools) as url:
            bench = Bench(folder, url, options.trials)
            tallies = [bench.undisturbed()]
            tallies += [bench.killed(number, random) for number in range(1, options.kills + 1)]
    finally:
        shutil.rmtree(folder)
    Console().print(report(tallies))
    wrong = [f"{tally.name}: {line}" for tally in tallies for line in tally.wrong]
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        sys.exit(1)


def report(tallies: Sequence[Tally]) -> Table:
    """A row for each study."""
    title = "two processes on one study in PostgreSQL"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("study", "killed after", "trials by process", "trials"):
        table.add_column(name, justify="left" if name == "study" else "right")
    table.add_column("wrong", justify="right")
    for tally in tallies:
        killed = ", ".join(map(str, tally.killed)) or "-"
        shares = " + ".join(map(str, tally.trials.values()))
        total = str(tally.trials.total())
        table.add_row(tally.name, killed, shares, total, str(len(tally.wrong)))
    return table


class Bench:
    """Searches that share a database.

    Args:
        folder: with the rows.
        url: of the database, with its password.
        trials: how many each study has.
    """

    def __init__(self, folder: Path, url: str, trials: int) -> None:
        self._folder = folder
        self._url = url
        self._trials = trials

    def undisturbed(self) -> Tally:
        """Two processes begin at once, and both end."""
        tally = Tally("undisturbed")
        runs = self._begun("undisturbed")
        for run in runs:
            tally.wrong += run.end()
        return self._looked_at(tally, runs)

    def killed(self, number: int, random: np.random.Generator) -> Tally:
        """One of two is killed once so many trials have ended, and goes on."""
        tally = Tally(f"killed {number}")
        runs = self._begun(f"killed-{number}")
        victim = runs[int(random.integers(2))]
        after = int(random.integers(0, self._trials // 2))
        tally.killed.append(victim.kill(after, float(random.uniform(0, 0.5))))
        victim.go_on()
        for run in runs:
            tally.wrong += run.end()
        return self._looked_at(tally, runs)

    def _begun(self, study: str) -> list[Process]:
        config = self._folder / f"{study}.yaml"
        config.write_text(CONFIG.replace("TRIALS", str(self._trials)), "utf-8")
        return [
            Process(config, self._folder / f"{study}-{letter}", self._url) for letter in ("a", "b")
        ]

    def _looked_at(self, tally: Tally, runs: Sequence[Process]) -> Tally:
        """Counts the trials, as each of the two documents has them."""
        documents = [run.document() for run in runs if run.has_ended]
        for document in documents:
            numbers = [trial["number"] for trial in document["trials"]]
            if numbers != list(range(self._trials)):
                tally.wrong.append(f"{self._trials} trials were expected, but there are {numbers}")
            failed = [each["number"] for each in document["trials"] if each["state"] != "complete"]
            if failed:
                tally.wrong.append(f"the trials {failed} did not end well")
        if len({json.dumps(each["trials"]) for each in documents}) > 1:
            tally.wrong.append("the processes tell of different trials")
        if documents:
            tally.trials.update(trial["worker"] for trial in documents[0]["trials"])
        password = self._url.split(":")[2].split("@")[0].encode()
        files = [path for run in runs for path in run.folder.rglob("*") if path.is_file()]
        tally.wrong += [
            f"{path} holds the password" for path in files if password in path.read_bytes()
        ]
        return tally


class Process:
    """A search in a process of its own.

    Args:
        config: what it searches.
        folder: its run folder.
        url: of the database.
    """

    def __init__(self, config: Path, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url
        self._command = ("tune", config, "--output", folder)
        self._begin(*self._command)

    @property
    def has_ended(self) -> bool:
        """Whether its run is finished."""
        return (self.folder / MANIFEST).exists()

    def kill(self, after: int, moment: float) -> int:
        """Kills it when so many trials of its own have ended, and a moment has gone by.

        Returns:
            how many of its own had.
        """
        while self._process.poll() is None and self._ended() < after:
            time.sleep(0.01)
        time.sleep(moment)
        ended = self._ended()
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        return ended

    def go_on(self) -> None:
        """Goes on with what was killed; begins it anew where there is nothing to go on from."""
        if is_unfinished(self.folder):
            self._begin("tune", "--resume", self.folder)
        elif not self.has_ended:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._begin(*self._command)

    def end(self) -> list[str]:
        """Waits for its end; gives what it complains of."""
        _, errors = self._process.communicate()
        if self._process.returncode and not self.has_ended:
            return [f"ended with {self._process.returncode}: {errors.strip()}"]
        return []

    def document(self) -> Mapping[str, Any]:
        """What its search came to."""
        found: Mapping[str, Any] = json.loads((self.folder / "tune.json").read_text("utf-8"))
        return found

    def _begin(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [*DLCLI, *arguments, "--storage", self._url, "--quiet"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self) -> int:
        log = self.folder / "events.jsonl"
        return log.read_text("utf-8").count('"event": "trial"') if log.exists() else 0


@contextmanager
def server(tools: Path) -> Iterator[str]:
    """Runs a database server for as long as it is needed, which only this machine reaches.

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
    """Runs a command as one who may run the server."""
    before = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*before, *command], cwd="/", capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stdout}{done.stderr}")


def _tools() -> Path:
    """The folder of the server's programs; without them, or the driver, there is nothing to do."""
    if importlib.util.find_spec("psycopg") is None:
        _give_up("the driver is not installed: pip install 'dlcli[postgresql]'")
    places = [Path(found).parent for found in [shutil.which("initdb")] if found]
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    places += sorted((path.parent for path in versions), key=lambda path: path.parts[-2])[::-1]
    if not places:
        _give_up("there is no PostgreSQL server: apt-get install postgresql, Debian's package")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        _give_up("root can't run the server, and there is no runuser to run it as another")
    return places[0]


def _give_up(words: str) -> NoReturn:
    print(words, file=sys.stderr)
    sys.exit(MISSING)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgresql", description=__doc__)
    for name, value, words in (
        ("trials", 20, "trials of each study"),
        ("kills", 3, "studies of which a process is killed"),
        ("seed", 0, "draws the moments"),
    ):
        help = f"{words}; {value}, if left out"
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
