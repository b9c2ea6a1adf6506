"""Measure whether calibration on out-of-fold rows improves the probabilities of an ensemble.

`python -m benchmarks.calibration FOLDER` reads the tables with classes that `FOLDER/tables.json`
lists. Two thirds of the rows are for training, at most 1,500; 1,500 or fewer others are for tests.
`dlcli init` writes a config for the training rows, which is trained without changes. A temperature
T is fitted to the out-of-fold rows: p becomes p^(1/T), divided by the sum over classes (Guo et al.
2017, https://arxiv.org/abs/1706.04599). For two classes, an isotonic function is fitted to the same
rows (Zadrozny and Elkan 2002). Each changed log loss is compared with the unchanged one on the test
rows, with its 95 % confidence interval.

Neither is an improvement beyond noise on any table, so dlcli has no such calibration (December
2026, two CPU cores, `--rows 1000`):

    table                      training rows  log loss     T  change with T            isotonic
    credit_g                             666     .4970  1.09  -.0021 [-.0076, +.0029]    +.0015
    maternal_health_risk                 676     .5844  1.21  -.0018 [-.0171, +.0117]
    website_phishing                     902     .2729  1.05  -.0002 [-.0033, +.0024]
    marketing_campaign                 1,000     .2723  1.10  +.0007 [-.0025, +.0035]    +.0010
    churn                              1,000     .2290  1.08  +.0023 [-.0005, +.0047]    -.0007
    bank_customer_churn                1,000     .3467  1.02  +.0003 [-.0003, +.0009]    -.0014
    online_shoppers_intention          1,000     .2608  1.08  +.0028 [+.0002, +.0049]    +.0050
    in_vehicle_coupon_recom.           1,000     .6056  1.08  +.0003 [-.0018, +.0022]    +.0064
    hr_analytics_job_change            1,000     .4715  1.03  +.0002 [-.0009, +.0012]    -.0013

A single network is more overconfident than the mean of eight, so the temperature of out-of-fold
rows, which single networks predict, is too high for the ensemble.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from scipy.optimize import isotonic_regression, minimize_scalar

from dlcli.arrays import Floats
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.metrics.calibration import CalibrationError
from dlcli.metrics.definitions import CALIBRATION_ERROR, LOG_LOSS
from dlcli.metrics.intervals import DifferenceEstimate, estimate_statistic_differences
from dlcli.pipeline.train_run import train
from dlcli.prediction.predictions import HeldOut
from dlcli.starter.config_writing import starter_config
from dlcli.tasks.task import DecodedRows, Task

Calibration = Callable[[Floats], Floats]
"""Maps decoded probabilities, see `Task.decode`, to calibrated ones."""
_EPS = 1e-7


@dataclass(frozen=True)
class Measured:
    """The effect of calibration on one split of a table."""

    table: str
    rows: int
    """Number of training rows."""
    log_loss: float
    """Log loss of the test rows."""
    error: float
    """Their calibration error."""
    by_chance: float
    """The mean calibration error of exact probabilities on these rows."""
    temperature: float
    with_temperature: DifferenceEstimate
    """Change of the log loss on the test rows."""
    with_isotonic: DifferenceEstimate | None
    """The same for an isotonic function; `None` for more than two classes."""


def measure(name: str, facts: Mapping[str, object], options: argparse.Namespace) -> Measured:
    """Train the default config on a part of a table, and calibrate it on the out-of-fold rows."""
    with open(options.folder / f"{name}.csv", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    random.Random(options.seed).shuffle(rows)
    size = min(options.rows, 2 * len(rows) // 3)
    parts = {"train": rows[:size], "test": rows[size : size + options.rows]}
    with tempfile.TemporaryDirectory(prefix="dlcli-calibration-") as folder_name:
        folder = Path(folder_name)
        for part, some in parts.items():
            with open(folder / f"{part}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *some])
        text = starter_config(
            folder / "train.csv",
            str(facts["target"]),
            config_folder=folder,
            type="categorical",
            preset="good",
        )
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        run = train(load_config(folder / "config.yaml", options.set), folder / "run")
        predictor, task = run.predictor, run.task
        table = predictor.read(folder / "test.csv")
        evaluated = predictor.evaluate(table, ValueProblems(lenient=True)).decoded
        known = HeldOut.of(run.required_predictions.of_split("validation"), task)
    temperature = fit_temperature(known, task)
    error = task.statistics(evaluated)[CALIBRATION_ERROR.name]
    assert isinstance(error, CalibrationError)
    isotonic = fit_isotonic(known) if len(task.classes) == 2 else None
    log_loss = task.statistics(evaluated)[LOG_LOSS.name].value
    assert log_loss is not None and error.value is not None
    return Measured(
        name,
        size,
        log_loss,
        error.value,
        error.by_chance,
        temperature,
        _change(evaluated, task, lambda decoded: tempered(decoded, temperature)),
        _change(evaluated, task, isotonic) if isotonic else None,
    )


def tempered(decoded: Floats, temperature: float) -> Floats:
    """Return probabilities p^(1/T), divided by their sum over classes."""
    each = np.hstack([1 - decoded, decoded]) if decoded.shape[1] == 1 else decoded
    logits = np.log(np.clip(each, _EPS, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares[:, 1:] if decoded.shape[1] == 1 else shares


def fit_temperature(rows: DecodedRows, task: Task) -> float:
    """Return the temperature with the lowest log loss of rows."""

    def loss(logarithm: float) -> float:
        changed = DecodedRows(
            rows.values, tempered(rows.decoded, float(np.exp(logarithm))), rows.weights
        )
        return task.statistics(changed)[LOG_LOSS.name].value or 0.0

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def fit_isotonic(rows: DecodedRows) -> Calibration:
    """Return the isotonic function of the probability that fits rows of two classes best."""
    order = np.argsort(rows.decoded[:, 0])
    x, y = rows.decoded[order, 0], rows.values[order].astype(np.float64)
    weights = None if rows.weights is None else rows.weights[order]
    steps = isotonic_regression(y, weights=weights).x
    # As in practice, no probability is exactly 0 or 1.
    return lambda decoded: np.clip(np.interp(decoded, x, steps), 1 / len(x), 1 - 1 / len(x))


def _change(rows: DecodedRows, task: Task, calibrate: Calibration) -> DifferenceEstimate:
    after = DecodedRows(rows.values, calibrate(rows.decoded), rows.weights)
    first, second = (
        {LOG_LOSS.name: task.statistics(each)[LOG_LOSS.name]} for each in (rows, after)
    )
    return estimate_statistic_differences(first, second, paired=True)[LOG_LOSS.name]


def report(measured: Sequence[Measured]) -> Iterator[Table]:
    """Yield a table of the results."""
    table = Table(box=SIMPLE)
    headings = ("training rows", "log loss", "calibration error (chance)", "T", "change with T")
    for heading in ("table", *headings, "change with isotonic"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for each in measured:
        table.add_row(
            each.table,
            f"{each.rows:,}",
            f"{each.log_loss:.4f}",
            f"{each.error:.3f} ({each.by_chance:.3f})",
            f"{each.temperature:.2f}",
            _shown(each.with_temperature),
            "" if each.with_isotonic is None else _shown(each.with_isotonic),
        )
    yield table


def _shown(change: DifferenceEstimate) -> str:
    ends = "" if change.ends is None else " [{:+.4f}, {:+.4f}]".format(*change.ends)
    return f"{change.value:+.4f}{ends}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each table, one after the other, and print the results."""
    parser = argparse.ArgumentParser("benchmarks.calibration", description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="Folder with tables.json and CSV files.")
    add("--only", nargs="+", metavar="NAME", help="[default: all tables with classes]")
    add("--rows", type=int, default=1_500, metavar="N", help="[default: 1,500]")
    add("--seed", type=int, default=0, metavar="N", help="Seed of the split. [default: 0]")
    add("--set", action="append", default=[], metavar="SETTING", help="For `dlcli train --set`.")
    options = parser.parse_args(arguments)
    known = json.loads((options.folder / "tables.json").read_text(encoding="utf-8"))
    with_classes = [name for name, facts in known.items() if facts["kind"] != "regression"]
    measured = []
    for name in options.only or with_classes:
        measured.append(measure(name, known[name], options))
        print(measured[-1], flush=True)
    for table in report(measured):
        Console(width=150).print(table)


if __name__ == "__main__":
    main()
