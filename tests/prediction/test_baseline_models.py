"""The baselines of a run, read again, predict the rows that they were evaluated on alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train
from dlcli.prediction.baseline_comparison import BaselineComparison, compare_to_baseline
from dlcli.runs.manifest import RunFile

RNG = np.random.default_rng(5)
X, NOISE = RNG.normal(size=(2, 160))
GROUPS = np.array(["red", "green", "blue"])[RNG.integers(3, size=160)]
CLASSES = np.where(X + NOISE > 0.8, "high", np.where(GROUPS == "red", "low", "middle"))
SMALL = """\
data: {{train: rows.csv, test: test.csv, target: {target}, {others}}}
input: {{features: {{{x} group: auto}}}}
hidden: [{{units: 3, activation: tanh}}]
optimizer: sgd
epochs: 2
{more}
"""
PERIODIC = "x: {type: numeric, encoding: {name: periodic, frequencies: 2}},"


def write_rows(name: str, rows: slice) -> None:
    lines = ["x,group,y,kind,w"]
    for index in range(160)[rows]:
        y = 1e4 + 300 * X[index] ** 2
        lines.append(f"{X[index]},{GROUPS[index]},{y},{CLASSES[index]},{index % 4}")
    Path(name).write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "handles_signals")
@pytest.mark.parametrize(
    ("target", "others", "more"),
    [
        ("y", "sample_weight: w, validation: 0.2", ""),
        ("kind", "sample_weight: w", "ensemble: {members: 4, folds: 2}"),
        ("y", "validation: 0.2", "ensemble: {members: 2, folds: none}"),
        ("[y, x]", "validation: 0.2", "output: {use_bias: false}"),
    ],
    ids=["one network", "classes, folds", "members without folds", "two numbers, no bias"],
)
def test_the_comparison_on_the_same_rows_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, others: str, more: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows("rows.csv", slice(0, 120))
    write_rows("test.csv", slice(120, 160))
    x = "" if "x" in target else PERIODIC
    Path("a.yaml").write_text(SMALL.format(target=target, others=others, more=more, x=x))

    run = train(load_config(Path("a.yaml")))

    predictor = run.predictor_at(0.8)
    table = predictor.read(Path("test.csv"))
    models = run.baseline_models
    evaluation = predictor.evaluate(table, ValueProblems())
    stored = run.parse(RunFile.VERDICTS, BaselineComparison).on("test")
    decoded = models.decoded(("constant", "linear"), evaluation)
    assert [*decoded] == [*stored] == ["constant", "linear"]
    for name, rows in decoded.items():
        found = compare_to_baseline(
            predictor.task, stored[name].metric, [(evaluation.decoded, rows)]
        )
        assert found.baseline == pytest.approx(stored[name].baseline, rel=1e-5)
        assert found.value == pytest.approx(stored[name].value, rel=1e-3)
        assert found.verdict == stored[name].verdict
    assert replace(models, linear=None).decoded(("linear",), evaluation) == {}
