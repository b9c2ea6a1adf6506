"""Check a search by a job array of `deploy/tune.slurm` on a cluster of one node, this machine.

`python -m benchmarks.slurm_search` starts munge, SLURM and a PostgreSQL server in temporary
folders. It requires root, Debian's packages `slurm-wlm`, `munge` and `postgresql`, and the driver
of the extra `postgresql`. While two tasks search, one process is killed with SIGKILL, and the other
receives the SIGTERM that precedes a time limit. Both tasks are requeued.

In the end, both must contain each candidate once, with the same results, and no file may contain
the password.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.kills import write_rows
from benchmarks.postgresql import CONFIG, server, server_tools
from benchmarks.processes import ROOT
from benchmarks.slurm import Jobs, cluster, processes_of, require_slurm

SCRIPT = ROOT / "deploy" / "tune.slurm"


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, and fail if a candidate is lost or duplicated, or a file contains the password."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm_search", description=__doc__)
    parser.add_argument("--trials", type=int, default=24, metavar="N", help="[default: 24]")
    options = parser.parse_args(arguments)
    require_slurm()
    tools = server_tools()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-slurm-"))
    try:
        with server(tools) as url, cluster(folder / "slurm") as variables:
            problems = Search(folder, url, variables).check(options.trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(*problems or ["no problems"], sep="\n")
    sys.exit(bool(problems))


class Search(Jobs):
    """A job array of two tasks.

    Args:
        folder: for the config, the rows and the runs.
        url: the URL of the database, with its password.
        variables: the environment variables of SLURM's commands.
    """

    def __init__(self, folder: Path, url: str, variables: Mapping[str, str]) -> None:
        super().__init__(folder, variables)
        self._password = urlsplit(url).password or ""
        self._variables["PGPASSWORD"] = self._password
        self._variables["STORAGE"] = url.replace(f":{self._password}@", "@")

    def check(self, trials: int) -> list[str]:
        """Search while tasks are killed, and return the problems at the end."""
        write_rows(self._folder / "rows.csv")
        config = CONFIG.replace("TRIALS", str(trials))
        (self._folder / "rows.yaml").write_text(config, encoding="utf-8")
        resources = ["--array=1-2", "--cpus-per-task=1", "--mem=400M"]
        job = self._run("sbatch", *resources, str(SCRIPT), "rows.yaml").split()[-1]
        runs = [self._folder / "runs" / f"rows-tune-{job}-{task}" for task in (1, 2)]
        self._wait(lambda: _completed(runs) >= trials // 6)
        for number in processes_of(runs[1].name):
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


def _completed(runs: Sequence[Path]) -> int:
    logs = [run / "events.jsonl" for run in runs]
    return sum(log.read_text("utf-8").count('"event": "trial"') for log in logs if log.exists())


if __name__ == "__main__":
    main()
