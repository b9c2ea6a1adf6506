"""A SLURM cluster of one node on this machine, from Debian's `slurm-wlm` and `munge`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.postgresql import NOT_INSTALLED
from benchmarks.processes import ROOT, environment

MINUTES = 15
"""Time limit for all jobs of a benchmark."""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
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


def require_slurm() -> None:
    """End this program if SLURM is not installed."""
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        print(f"not installed: {', '.join(absent)}: apt-get install slurm-wlm", file=sys.stderr)
        sys.exit(NOT_INSTALLED)


@contextmanager
def cluster(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run SLURM on this machine, and give the environment variables of its commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    for each in (folder, folder.parent):
        each.chmod(0o755)  # else munge refuses the socket as unsafe
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


def with_program(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of jobs that find this checkout as `dlcli`.

    Args:
        folder: the folder in which a folder with the program is created.
        variables: the environment variables of SLURM's commands.
    """
    program = folder / "bin" / "dlcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dlcli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {**environment(), **variables, "PYTHONPATH": str(ROOT), "PATH": path}


class Jobs:
    """SLURM jobs that run in a folder, with a common time limit.

    Args:
        folder: the working folder.
        variables: the environment variables of SLURM's commands.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = with_program(folder, variables)
        self._deadline = time.monotonic() + 60 * MINUTES

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
                raise TimeoutError(f"the jobs have taken {MINUTES} minutes: {self._queue()}")
            time.sleep(0.5)


def processes_of(run: str) -> list[int]:
    """Return the dlcli processes whose arguments contain the name of a run folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"dlcli" in words and any(word.endswith(run.encode()) for word in words):
                found.append(int(path.parent.name))
    return found
