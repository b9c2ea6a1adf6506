"""The beeswarm chart of Shapley values in the report."""

import numpy as np
import pytest

import dlcli
from dlcli.explanation.shapley import ShapleyExplainer
from dlcli.reports import shapley_summary
from dlcli.reports.errors_section import errors_section
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.shapley_summary import shapley_chart
from dlcli.runs.run_folder import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("summary"), np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60))
    kind = rng.choice(["x", "y", "z"], 60)
    lines = [f"{i},{j},{k},{3 * i + (k == 'x')}" for i, j, k in zip(a, b, kind, strict=True)]
    (path / "t.csv").write_text("\n".join(["a,b,kind,target", *lines]) + "\n")
    config = "data: {train: t.csv, target: target, test: 0.2}\nhidden: []\nepochs: 30\n"
    (path / "with.yaml").write_text(f"{config}explanation: {{background_rows: 16}}\n")
    (path / "without.yaml").write_text(f"{config}explanation: {{background_rows: 0}}\n")
    for name in ("with", "without"):
        dlcli.train(path / f"{name}.yaml", output=path / name, progress=False)
    return path


def test_each_point_is_a_shapley_value_of_a_background_row(folder):
    run = open_run(folder / "with")
    chart = shapley_chart(run)
    [rows] = {id(each): each for each in chart.spec["datasets"].values() if len(each) > 1}.values()
    values = ShapleyExplainer(run.predictor, run.background).explain(run.background)
    for at, column in enumerate(values.columns):
        points = [row for row in rows if row["y"] == column]
        np.testing.assert_allclose([row["x"] for row in points], values.values[:, at, 0], rtol=1e-5)
    sizes = np.abs(values.values[..., 0]).mean(axis=0)
    assert [*dict.fromkeys(row["y"] for row in rows)] == [
        values.columns[at] for at in np.argsort(-sizes)
    ]
    levels = {column: {row["s"] for row in rows if row["y"] == column} for column in ("a", "kind")}
    assert levels == {"a": {"low", "middle", "high"}, "kind": {"no order"}}
    by_effect = sorted((row for row in rows if row["y"] == "a"), key=lambda row: row["x"])
    in_order = [*dict.fromkeys(row["s"] for row in by_effect)]  # the network is linear
    assert in_order in (["low", "middle", "high"], ["high", "middle", "low"])


def test_points_at_the_same_position_are_stacked(folder):
    offsets = [*shapley_summary._offsets(np.array([0.0, 0.0, 0.0, 1.0]), 1.0)]
    assert sorted(offsets[:3]) == [-0.25, 0, 0.25]
    assert offsets[3] == 0


def test_there_is_no_chart_without_background_rows_or_of_a_large_network(folder, monkeypatch):
    assert shapley_chart(open_run(folder / "without")) is None
    monkeypatch.setattr(shapley_summary, "_MOST_WORK", 1.0)
    assert shapley_chart(open_run(folder / "with")) is None


@pytest.mark.filterwarnings("ignore:.*outside the training range")
def test_the_worst_rows_are_explained_like_other_rows_unless_there_are_no_background_rows(folder):
    worst = open_run(folder / "with").explanation.worst[:4]
    found = dlcli.load(folder / "with").explain(folder / "t.csv")
    for each in worst:
        stored = {one.column: one.shapley for one in each.contributions.columns}
        values = dict(zip(found.columns, found.values[each.row - 1], strict=True))
        assert stored == pytest.approx({name: values[name] for name in stored})
    without = open_run(folder / "without").explanation.worst
    assert {each.contributions for each in without} == {None}
    assert not errors_section(TrainingRecord(open_run(folder / "without"))).blocks[1:]
    [_, charts] = errors_section(TrainingRecord(open_run(folder / "with"))).blocks
    assert len(charts.blocks[1].blocks) == 4
