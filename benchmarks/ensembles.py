"""Compare the time of an ensemble of eight networks, eight trainings, one network, and TabM.

`python -m benchmarks.ensembles` trains random rows of several shapes, each case in a fresh process:

- `ensemble`: `ensemble: {members: 8}`, as many members at a time as dlcli chooses;
- `one at a time`: the same, one member after the other;
- `8 trainings`: eight seeds one after the other, which share their compiled program;
- `one network`: a single training;
- `TabM`: eight members that share most of their weights, in PyTorch (Gorishniy et al. 2024,
  https://arxiv.org/abs/2410.24210), with `--rivals-python` if it has `tabm` and `torch`.

All have three hidden layers of 128 units, the same batches and epochs, and AdamW. The time includes
reading, encoding, tracing, compiling and training, but not imports. Epochs and rows are few, so
compiling has the same share as in a training on a small table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.workloads import EncodedData, Workload, random_data

MEMBERS = 8
CASES = ("ensemble", "one at a time", "8 trainings", "one network", "TabM")
SHAPES = {
    "1,000 × 10": Workload("small", 1_000, 10, (128,) * 3, 0, 128, epochs=100, long=100),
    "8,000 × 8": Workload("medium", 8_000, 8, (128,) * 3, 0, 128, epochs=20, long=20),
    "100,000 × 50": Workload("large", 100_000, 50, (128,) * 3, 0, 512, epochs=4, long=4),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print medians and ratios."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from benchmarks.runner import Case, run

    options = _options(arguments)
    title = f"{MEMBERS} networks of 128-128-128-1: seconds (times one network)"
    table = Table(box=SIMPLE, title=title, padding=(0, 1, 0, 0))
    table.add_column("rows × inputs", no_wrap=True)
    for case in CASES:
        table.add_column(case, justify="right", no_wrap=True)
    results = {}
    for shape in options.only:
        cases = [Case(name, partial(_measured, name, shape, options)) for name in CASES]
        outcome = run("ensembles", shape, cases, options.rounds)
        results[shape] = outcome.rounds
        cells = []
        for case in CASES:
            seconds = outcome.median(case, "seconds")
            ratio = outcome.ratio(case, "one network", "seconds")
            known = seconds is not None and ratio is not None
            cells.append(f"{seconds:.1f} ({ratio:.1f})" if known else "-")
        table.add_row(shape, *cells)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    Console(width=100).print(table)


def _measured(case: str, shape: str, options: argparse.Namespace) -> dict[str, float]:
    from benchmarks.processes import output

    python = options.rivals_python if case == "TabM" else sys.executable
    figures: dict[str, float] = json.loads(
        output([python, "-m", "benchmarks.ensembles", "--case", case, "--only", shape])
    )
    return figures


def seconds_of(case: str, workload: Workload) -> float:
    """Train once, and return the seconds that it took."""
    data = random_data(workload)
    return _tabm(workload, data) if case == "TabM" else _dlcli(case, workload, data)


def _dlcli(case: str, workload: Workload, data: EncodedData) -> float:
    import pyarrow as pa
    from pyarrow import parquet

    from dlcli.config.config_file import load_config
    from dlcli.pipeline import members
    from dlcli.pipeline.fit import quiet_tensorflow
    from dlcli.pipeline.train_run import fit_only

    with quiet_tensorflow():
        import dlcli.training.engines  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        columns = {f"x{at}": column for at, column in enumerate(data.matrix.T)}
        parquet.write_table(pa.table({**columns, "y": data.target[:, 0]}), path / "rows.parquet")
        (path / "config.yaml").write_text(_config(case, workload), "utf-8")
        if case == "one at a time":
            members.networks_at_once = lambda *_: 1  # type: ignore[assignment]
        start = time.perf_counter()
        for seed in range(MEMBERS if case == "8 trainings" else 1):
            fit_only(load_config(path / "config.yaml", [f"seed={seed}"]))
        return time.perf_counter() - start


def _config(case: str, workload: Workload) -> str:
    has_members = case in ("ensemble", "one at a time")
    hidden = ", ".join(f"{{units: {units}, activation: silu}}" for units in workload.hidden)
    lines = [
        "data: {train: rows.parquet, target: y"
        + ("}" if has_members else f", validation: {1 / MEMBERS}}}"),
        f"hidden: [{hidden}]",
        "optimizer: {name: adamw, learning_rate: 1.0e-3}",
        f"epochs: {workload.epochs}",
        f"batch_size: {workload.batch_size}",
        f"early_stopping: {{patience: {workload.epochs}}}",
    ]
    if has_members:
        lines.append(f"ensemble: {{members: {MEMBERS}}}")
    return "\n".join(lines) + "\n"


def _tabm(workload: Workload, data: EncodedData) -> float:
    import torch
    from tabm import TabM

    start = time.perf_counter()
    rows = workload.rows - workload.rows // MEMBERS  # the same number as for a member in dlcli
    matrix, target = torch.from_numpy(data.matrix[:rows]), torch.from_numpy(data.target[:rows])
    others = torch.from_numpy(data.matrix[rows:]), torch.from_numpy(data.target[rows:])
    first, *_ = workload.hidden
    model = TabM.make(
        n_num_features=workload.inputs,
        d_out=1,
        k=MEMBERS,
        n_blocks=len(workload.hidden),
        d_block=first,
        dropout=0.0,
        activation="SiLU",
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(workload.epochs):
        model.train()
        for index in torch.randperm(rows).split(workload.batch_size):
            optimizer.zero_grad()
            errors = model(matrix[index]) - target[index][:, None]  # (rows, members, 1)
            errors.square().mean().backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            (model(others[0]).mean(dim=1) - others[1]).square().mean().item()
    return time.perf_counter() - start


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensembles", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="Measurements. [default: 3]")
    add("--only", nargs="+", default=[*SHAPES], choices=[*SHAPES], help="These shapes.")
    python_help = "Interpreter that has tabm and torch. [default: this one]"
    add("--rivals-python", default=sys.executable, metavar="PATH", help=python_help)
    add("--json", type=Path, metavar="FILE", help="Write all measurements to a file.")
    add("--case", choices=CASES, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    given = _options(None)
    if given.case:
        print(json.dumps({"seconds": seconds_of(given.case, SHAPES[given.only[0]])}))
    else:
        main()
