"""Predictions follow the direction of monotone columns, whatever the training rows say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

import dlcli
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, ExportError, Interrupted
from dlcli.exports.formats import load_format
from dlcli.network.monotone import bounds_of
from dlcli.pipeline.events import EpochEvent
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run
from dlcli.tables.memory_tables import memory_table
from tests.pipeline.test_baselines import linear_weights, untrained

pytestmark = [
    pytest.mark.usefixtures("compiled_once", "no_linear_baseline"),
    pytest.mark.filterwarnings("ignore:.*training r:UserWarning"),
]

PAIRS = 10_000
ORDER = np.array(["low", "mid", "high"])
FEATURES = {
    "a": "{type: numeric, monotone: increasing}",
    "b": "{type: numeric, monotone: decreasing, encoding: {name: piecewise_linear, bins: 8}}",
    "size": "{type: categorical, order: [low, mid, high], monotone: increasing}",
    "c": "numeric",
    "kind": "categorical",
}
FREE = {name: each.partition(", monotone")[0] + "}" for name, each in FEATURES.items()}
FREE |= {"size": "categorical", "c": "numeric", "kind": "categorical"}
HIDDEN = "[{units: 16, activation: relu, dropout: 0.1}, {units: 12, activation: elu}]"
ADAM = "optimizer: {name: adam, learning_rate: 0.02}\n"


@dataclass
class Rows:
    """Random rows, whose columns `a`, `b` and `size` have effects in both directions."""

    count: int
    seed: int = 0

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.a, self.b, self.c = rng.uniform(-1, 1, (3, self.count)).round(4)
        self.size = rng.integers(0, 3, self.count)
        self.kind = rng.choice(["x", "y", "z"], self.count)

    @property
    def columns(self):
        size = ORDER[self.size].tolist()
        numbers = {"a": self.a.tolist(), "b": self.b.tolist(), "c": self.c.tolist()}
        return {**numbers, "size": size, "kind": self.kind.tolist()}

    def better(self):
        """Return the rows after changes of all monotone columns that may only raise predictions."""
        rng, other = np.random.default_rng(self.seed + 1), Rows(self.count, self.seed)
        other.a = self.a + rng.exponential(0.3, self.count)
        other.b = self.b - rng.exponential(0.3, self.count)
        other.size = np.minimum(self.size + rng.integers(0, 3, self.count), 2)
        return other


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("monotone"), Rows(240)
    y = np.sin(4 * rows.a) + np.cos(5 * rows.b) - 0.8 * (rows.size == 1) + rows.c * rows.b
    y = (y + 0.3 * np.random.default_rng(2).normal(size=240)).round(4)
    columns = {**rows.columns, "y": y, "win": np.where(y > 0.5, "yes", "no")}
    columns |= {"count": np.maximum(y * 3, 0).round(), "other": (y + rows.a).round(4)}
    columns |= {"grade": np.array(["p", "q", "r"])[np.digitize(y, [0, 1])]}
    columns |= {"tags": np.where(y > 0, np.where(rows.a > 0, "s;t", "s"), "t")}
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    (folder / "t.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def config_for(more="", features=FEATURES, target="y", hidden=HIDDEN, data=""):
    lines = "".join(f"    {name}: {each}\n" for name, each in features.items())
    Path("t.yaml").write_text(
        f"data: {{train: t.csv, target: {target}{data}}}\n"
        f"input:\n  features:\n{lines}hidden: {hidden}\nepochs: 12\n"
        + more
        + ("" if "optimizer:" in more else f"\n{ADAM}")
    )
    return load_config(Path("t.yaml"))


@pytest.fixture
def trained(tmp_path):
    """Trains a config; returns the run."""
    return lambda *given, **options: train(config_for(*given, **options), tmp_path / "run")


ROUNDING = -1e-5
"""Predictions may fall by this share of their spread, by rounding in float32."""


def outputs_of(run, rows):
    """Return numbers, or probabilities of the second class or of labels, (rows, outputs)."""
    found = dlcli.load(run.path).predict(rows.columns)
    values = found.values if found.probabilities is None else found.probabilities
    return np.asarray(values, float).reshape(rows.count, -1)


def least_change(run):
    """Return the smallest change of a prediction over all pairs, as a share of their spread."""
    rows = Rows(PAIRS, seed=9)
    before, after = outputs_of(run, rows), outputs_of(run, rows.better())
    if run.predictor.task.outcome == "classes":
        before, after = before[:, 1:], after[:, 1:]
    return ((after - before) / before.std(axis=0)).min()


CASES = {
    "compiled": "",
    "xla": "engine: {name: compiled, jit_compile: true}",
    "keras": "engine: keras",
    "ensemble": "ensemble: {members: 2}",
    "quantiles": "loss: {name: quantile, levels: [0.2, 0.6]}",
    "schedule free": "optimizer: {name: schedule_free_adamw, learning_rate: 0.02}",
    "moving average": "optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9, use_ema: true}",
}


@pytest.mark.parametrize("case", CASES)
def test_no_pair_of_rows_contradicts_a_direction(case, trained):
    more = CASES[case]
    assert least_change(trained(more)) >= ROUNDING


def test_without_directions_pairs_contradict_them(trained):
    assert least_change(trained(features=FREE)) < -0.1


@pytest.mark.parametrize("target", ["win", "count", "[y, other]", "tags"])
def test_directions_hold_for_each_kind_of_target(target, trained):
    if target == "tags":
        target = '{column: tags, type: multi_label, delimiter: ";"}'
    assert least_change(trained(target=target)) >= ROUNDING


@pytest.mark.parametrize(
    "hidden",
    [
        "[]",
        "[{units: 1, activation: sigmoid}]",
        "[{units: 12, activation: tanh, batch_normalization: true}, {units: 9, activation: relu6}]",
        "[{units: 8, kernel_initializer: orthogonal, activation: selu}]",
    ],
)
def test_directions_hold_for_any_layers(hidden, trained):
    assert least_change(trained(hidden=hidden)) >= ROUNDING


def test_a_scaling_layer_does_not_turn_a_column(tmp_path):
    layer = {"input.scaling_layer": {"learning_rate_multiplier": 100}}
    config_for()
    dlcli.train("t.yaml", overrides=layer, output=tmp_path / "run", progress=False)
    assert least_change(open_run(tmp_path / "run")) >= ROUNDING


def test_each_weight_is_within_its_bounds(trained):
    run = trained()
    bounds = bounds_of(run.predictor.network)
    weights = run.predictor.weights
    assert {*bounds} == {"hidden_1/kernel", "hidden_2/kernel", "output/kernel"}
    assert all(each.contain(weights[name]) for name, each in bounds.items())
    assert (weights["output/kernel"][2::3] < 0).any()  # of units without monotone columns


def test_the_linear_baseline_is_monotone():
    kernel, _ = linear_weights(untrained(config_for()))
    assert kernel[0] >= 0  # a
    assert (kernel[1:9] <= 0).all()  # the bins of b


def problem_of(*given, **options):
    with pytest.raises(ConfigError) as caught:
        check(config_for(*given, **options))
    [problem] = caught.value.problems
    return f"{problem.path}: {problem.message}"


def test_an_activation_that_falls_somewhere_is_refused():
    assert problem_of(hidden="[{units: 4, activation: gelu}]") == snapshot(
        "hidden[0].activation: 'gelu' falls for some inputs, so 'a' can't be monotone; use relu, elu, softplus, tanh or another one that never falls"
    )


def test_the_best_network_of_a_search_is_monotone(tmp_path):
    space = "{optimizer.learning_rate: [0.01, 0.02]}"
    config_for(f"tune: {{trials: 2, space: {space}}}", data=", validation: 0.2")
    dlcli.tune("t.yaml", output=tmp_path / "search", progress=False)
    assert least_change(open_run(tmp_path / "search" / "best")) >= ROUNDING


def test_a_periodic_encoding_is_refused():
    features = {"a": "{type: numeric, monotone: increasing, encoding: periodic}", "c": "numeric"}
    assert problem_of(features=features) == snapshot(
        "input.features.a.monotone: can't be combined with encoding: periodic; use encoding: piecewise_linear or none"
    )


def test_one_hot_values_are_refused():
    features = {"a": "{type: numeric, monotone: increasing, one_hot_values: 5}"}
    assert problem_of(features=features) == snapshot(
        "input.features.a.monotone: can't be combined with one_hot_values, which treats single values separately; omit it"
    )


def test_categories_without_an_order_are_refused():
    features = {"size": "{type: categorical, monotone: increasing}"}
    assert problem_of(features=features) == snapshot(
        "input.features.size.monotone: requires the order of the categories; set order: [low, high]"
    )


def test_another_type_of_column_is_refused():
    assert problem_of(features={"kind": "{type: text, monotone: increasing}"}) == snapshot(
        "input.features.kind.monotone: unknown key; only numbers and ordered categories can be monotone; declare the column numeric, or categorical with order"
    )


def test_several_classes_are_refused():
    assert problem_of(features={"a": FEATURES["a"]}, target="grade") == snapshot(
        "input.features.a.monotone: can't be guaranteed with the output activation 'softmax'; use a target of two classes, labels or numbers, or omit it"
    )


def test_initial_weights_of_the_other_sign_are_refused(tmp_path):
    free = {"a": "{type: numeric}", "c": "numeric"}
    train(config_for(features=free), tmp_path / "run")
    features = {"a": FEATURES["a"], "c": "numeric"}
    more = f"initial_weights: {tmp_path / 'run'}"
    assert "was trained without these monotone columns" in problem_of(more, features=features)


def test_a_script_is_refused(trained, tmp_path):
    with pytest.raises(ExportError, match="monotone"):
        dlcli.export(trained().path, "python", tmp_path / "script")


PACKAGES = {"onnx": "onnxruntime", "litert": "ai_edge_litert", "saved_model": "tensorflow"}


@pytest.mark.parametrize("name", PACKAGES)
def test_an_exported_model_keeps_the_directions(name, trained, tmp_path):
    pytest.importorskip(PACKAGES[name])
    run, rows = trained(), Rows(PAIRS, seed=9)
    dlcli.export(run.path, name, tmp_path / name)
    format, predictor = load_format(name), run.predictor
    runner, exported = format.load(tmp_path / name), format.describe(predictor)

    def predict(columns):
        table = predictor.read(memory_table(pa.table(columns)))
        found = runner(format.values(exported, table))
        return found["prediction"].astype(float).ravel()

    before, after = predict(rows.columns), predict(rows.better().columns)
    assert before == pytest.approx(outputs_of(run, rows)[:, 0], abs=1e-4)
    assert ((after - before) / before.std()).min() >= ROUNDING


def test_an_interrupted_run_resumes_to_the_bit(tmp_path):
    file = config_for("checkpoint: {seconds: 1.0e-9}")
    whole = train(file, tmp_path / "whole")

    def interrupt(event):
        if isinstance(event, EpochEvent) and event.epoch == 4:
            raise Interrupted("here", 2)

    with pytest.raises(Interrupted):
        train(file, tmp_path / "part", interrupt)
    resumed = train(tmp_path / "part")
    for name in (RunFile.WEIGHTS, RunFile.HISTORY, RunFile.METRICS):
        assert (whole.path / name).read_bytes() == (resumed.path / name).read_bytes(), name
