"""Check a training of two tasks by `deploy/train.slurm` on a cluster of one node, this machine.

`python -m benchmarks.slurm_training` starts munge and SLURM in temporary folders. It requires root,
and Debian's packages `slurm-wlm` and `munge`. The same training runs as three jobs: one is
uninterrupted, in one a task is killed with SIGKILL, and one receives the SIGTERM that precedes a
time limit. The last two are requeued.

In the end, all must have bit-identical weights, equal to the weights of one process except for
rounding.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.kills import write_rows
from benchmarks.processes import DLCLI, ROOT
from benchmarks.slurm import Jobs, cluster, processes_of, require_slurm

SCRIPT = ROOT / "deploy" / "train.slurm"
RESOURCES = ("--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--mem=900M")
CONFIG = """\
seed: 3
data: {train: rows.csv, target: y, validation: 0.2}
input: {features: {"x*": numeric}}
hidden: [{units: 16, activation: tanh, dropout: 0.1}]
batch_size: 256
epochs: EPOCHS
checkpoint: {seconds: 0.5}
"""
ROUNDING = 1e-4
"""The largest difference between weights of one process and of two, in float32."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and fail if the weights differ."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.slurm_training", description=__doc__
    )
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="[default: 40]")
    options = parser.parse_args(arguments)
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="dlcli-slurm-"))
    try:
        with cluster(folder / "slurm") as variables:
            problems = list(Trainings(folder, variables).check(options.epochs))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(*problems or ["no problems"], sep="\n")
    sys.exit(bool(problems))


class Trainings(Jobs):
    """Jobs that train the same network.

    Args:
        folder: for the config, the rows and the runs.
        variables: the environment variables of SLURM's commands.
    """

    def check(self, epochs: int) -> Iterator[str]:
        """Train, kill tasks, and yield the problems at the end."""
        write_rows(self._folder / "rows.csv")
        config = CONFIG.replace("EPOCHS", str(epochs))
        (self._folder / "rows.yaml").write_text(config, encoding="utf-8")
        self._run(*DLCLI, "train", "rows.yaml", "--output", "alone", "--quiet")

        self._submit("whole")
        self._wait(lambda: not self._queue())

        job = self._submit("killed")
        self._wait(lambda: self._epochs("killed") >= epochs // 4)
        os.kill(max(processes_of("killed")), signal.SIGKILL)
        self._wait(lambda: not self._queue())
        if self._is_finished("killed"):
            yield "killed: expected an unfinished run after SIGKILL"
        self._run("scontrol", "requeue", job)
        self._wait(lambda: not self._queue())

        job = self._submit("stopped")
        self._wait(lambda: self._epochs("stopped") >= epochs // 4)
        self._run("scancel", "--signal=TERM", job)  # to the tasks, like `--signal=TERM@120`
        self._wait(lambda: not self._queue())
        if self._is_finished("stopped"):
            yield "stopped: expected an unfinished run after SIGTERM"
        self._run("scontrol", "requeue", job)
        self._wait(lambda: not self._queue())

        yield from self._problems()

    def _problems(self) -> Iterator[str]:
        for name in ("whole", "killed", "stopped"):
            if not self._is_finished(name):
                logs = [path.read_text("utf-8") for path in self._folder.glob("slurm-*.out")]
                yield "\n".join([f"{name} is not finished:", *logs])
                return
        whole = self._folder / "whole" / "weights.npz"
        for name in ("killed", "stopped"):
            if (self._folder / name / "weights.npz").read_bytes() != whole.read_bytes():
                yield f"{name}: other weights than those of the training that nothing happened to"
        alone, together = np.load(self._folder / "alone" / "weights.npz"), np.load(whole)
        difference = max(float(np.abs(alone[name] - together[name]).max()) for name in alone)
        print(f"largest difference to the weights of one process: {difference:.1e}")
        if not difference < ROUNDING:
            yield f"weights of one process and of two tasks differ by {difference:.1e}"

    def _submit(self, run: str) -> str:
        return self._run("sbatch", *RESOURCES, str(SCRIPT), "rows.yaml", run).split()[-1]

    def _epochs(self, run: str) -> int:
        log = self._folder / run / "events.jsonl"
        return log.read_text("utf-8").count('"event": "epoch"') if log.exists() else 0

    def _is_finished(self, run: str) -> bool:
        return (self._folder / run / "manifest.json").exists()


if __name__ == "__main__":
    main()
