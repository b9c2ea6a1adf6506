"""Check a search by a job array of `deploy/tune.slurm` on a cluster of one node, this machine.

`python -m benchmarks.slurm_search` starts munge, SLURM and a PostgreSQL server of its own in
temporary folders. It needs root, Debian's packages `slurm-wlm`, `munge` and `postgresql`, and the
driver of the extra `postgresql`. While two tasks search, the process of one is killed with SIGKILL
and requeued, and the other gets the SIGTERM that precedes a time limit, and is requeued, too.

In the end, both must have each candidate once, with the same results, and no file the password.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.kills import write_rows
from benchmarks.postgresql import CONFIG, NOT_INSTALLED, server, server_tools
from benchmarks.processes import ROOT, environment

SCRIPT = ROOT / "deploy" / "tune.slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue")
SETTINGS = """\
ClusterName=one
SlurmctldHost=HOST
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=FOLDER/munge.sock
CredType=cred/munge
StateSaveLocation=FOLDER/state
SlurmdSpoolDir=FOLDER/spool
SlurmctldPidFile=FOLDER/slurmctld.pid
SlurmdPidFile=FOLDER/slurmd.pid
SlurmctldLogFile=FOLDER/slurmctld.log
SlurmdLogFile=FOLDER/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName=HOST CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES State=UP
"""
MINUTES = 15
"""Time after which the search counts as one that hangs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, and fail if a candidate is lost or duplicated, or a file has the password."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm_search", description=__doc__)
    parser.add_argument("--trials", type=int, default=24, metavar="N", help="[default: 24]")
    options = parser.parse_args(arguments)
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        print(f"not installed: {', '.join(absent)}: apt-get install slurm-wlm", file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    tools = server_tools()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-slurm-"))
    try:
        with server(tools) as url, cluster(folder / "slurm") as variables:
            problems = Search(folder, url, variables).check(options.trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(*problems or ["no problems"], sep="\n")
    sys.exit(bool(problems))


@contextmanager
def cluster(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run SLURM on this machine, and give the environment variables of its commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    for each in (folder, folder.parent):
        each.chmod(0o755)  # or munge finds its socket unsafe
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    host = os.uname().nodename.partition(".")[0]
    settings = SETTINGS.replace("FOLDER", str(folder)).replace("HOST", host)
    (folder / "slurm.conf").write_text(settings, encoding="utf-8")
    variables = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    files = {"key-file": key, "socket": folder / "munge.sock", "pid-file": folder / "munged.pid"}
    files |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
    munge = ["munged", "--force", *(f"--{name}={path}" for name, path in files.items())]
    try:
        for command in (munge, ["slurmctld", "-i"], ["slurmd", "-N", host]):
            subprocess.run(command, env=variables, check=True, capture_output=True)
        yield variables
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


class Search:
    """A job array of two tasks.

    Args:
        folder: for the config, the rows and the runs.
        url: of the database, with its password.
        variables: the environment variables of SLURM's commands.
    """

    def __init__(self, folder: Path, url: str, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._password = urlsplit(url).password or ""
        program = folder / "bin" / "dlcli"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dlcli "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        self._variables = {
            **environment(),
            **variables,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PGPASSWORD": self._password,
            "STORAGE": url.replace(f":{self._password}@", "@"),
        }
        self._deadline = time.monotonic() + 60 * MINUTES

    def check(self, trials: int) -> list[str]:
        """Search while tasks are ended, and return what is wrong in the end."""
        write_rows(self._folder / "rows.csv")
        config = CONFIG.replace("TRIALS", str(trials))
        (self._folder / "rows.yaml").write_text(config, encoding="utf-8")
        resources = ["--array=1-2", "--cpus-per-task=1", "--mem=400M"]
        job = self._run("sbatch", *resources, str(SCRIPT), "rows.yaml").split()[-1]
        runs = [self._folder / "runs" / f"rows-tune-{job}-{task}" for task in (1, 2)]
        self._wait(lambda: _completed(runs) >= trials // 6)
        for number in _processes(runs[1].name):
            os.kill(number, signal.SIGKILL)
        self._wait(lambda: f"{job}_2" not in self._queue())
        self._run("scontrol", "requeue", f"{job}_2")
        self._wait(lambda: _completed(runs) >= trials // 3)
        self._run("scancel", "--signal=TERM", "--batch", f"{job}_1")
        self._wait(lambda: f"{job}_1" not in self._queue())
        self._run("scontrol", "requeue", f"{job}_1")
        self._wait(lambda: not self._queue())
        return [*self._problems(runs, trials)]

    def _problems(self, runs: Sequence[Path], trials: int) -> Iterator[str]:
        results = []
        for run in runs:
            if not (run / "tune.json").exists():
                logs = [path.read_text("utf-8") for path in self._folder.glob("slurm-*.out")]
                yield "\n".join([f"{run.name} is not finished:", *logs])
                continue
            found = json.loads((run / "tune.json").read_text("utf-8"))["trials"]
            states = [(trial["number"], trial["state"]) for trial in found]
            if states != [(number, "complete") for number in range(trials)]:
                yield f"{run.name}: expected {trials} complete trials, got {states}"
            results.append(found)
        if results[1:] and results[0] != results[1]:
            yield "the tasks report different trials"
        secret = self._password.encode()
        for path in self._folder.rglob("*"):
            if path.is_file() and "slurm" not in path.parts and secret in path.read_bytes():
                yield f"{path} contains the password"

    def _queue(self) -> str:
        return self._run("squeue", "--noheader", "--array", "--format=%i")

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"the search has taken {MINUTES} minutes: {self._queue()}")
            time.sleep(0.5)


def _completed(runs: Sequence[Path]) -> int:
    logs = [run / "events.jsonl" for run in runs]
    return sum(log.read_text("utf-8").count('"event": "trial"') for log in logs if log.exists())


def _processes(run: str) -> list[int]:
    """The processes of dlcli whose arguments have the name of a run folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"dlcli" in words and any(word.endswith(run.encode()) for word in words):
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    main()
