"""Decisions, exposures, quantiles, shares of trials and directions survive each way of use."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import dlcli
from benchmarks.kills import REPRODUCIBLE_FILES
from dlcli.cli.program import main
from dlcli.config.config_file import load_config
from dlcli.errors import Interrupted
from dlcli.exports.formats import load_format
from dlcli.pipeline.events import EpochEvent
from dlcli.pipeline.train_run import train
from dlcli.runs.run_folder import open_run
from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import ServedModel
from dlcli.tables.memory_tables import memory_table
from tests.serving.conftest import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_linear_baseline"),
    pytest.mark.filterwarnings("ignore:.*training range:UserWarning"),
]

FEATURES = "input: {features: {a: %s, b: numeric, kind: categorical}}\n"
SMALL = (
    "hidden: [{units: 4, activation: tanh, dropout: 0.1}]\nepochs: 4\n"
    "optimizer: {name: adam, learning_rate: 0.05}\n"
    "explanation: {background_rows: 8}\ncheckpoint: {seconds: 1.0e-9}\n"
)
CONFIGS = {
    "decision": (
        'target: {column: fraud, positive_class: "yes"}',
        "class_weight: balanced\ndecision: {maximize: f1}\n",
    ),
    "costs": ("target: grade", "decision: {costs: {p: {r: 5}, q: {p: 1, r: 1}, r: {p: 9}}}\n"),
    "exposure": ("target: {column: n, type: count}, exposure: years", ""),
    "quantiles": ("target: y", "loss: {name: quantile, levels: [0.1, 0.5, 0.9]}\n"),
    "trials": ("target: won, sample_weight: trials", "loss: binomial\n"),
    "monotone": ("target: y", ""),
}
"""The target and further settings by name."""
HELD_OUT = ", validation: 0.25, test: 0.25"


def config_for(name, more="", held_out=HELD_OUT):
    target, settings = CONFIGS[name]
    a = "{type: numeric, monotone: decreasing}" if name == "monotone" else "numeric"
    path = Path(f"{name}.yaml")
    path.write_text(
        f"data: {{train: t.csv, {target}{held_out}}}\n{FEATURES % a}{SMALL}{settings}{more}"
    )
    return load_config(path)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 160)).round(3)
    years, trials = rng.uniform(0.2, 3, 160).round(2), rng.integers(1, 20, 160)
    noise = rng.normal(size=160)
    columns = {
        "a": a,
        "b": b,
        "kind": rng.choice(["n", "s"], 160),
        "years": years,
        "trials": trials,
        "fraud": np.where(a + noise > 1.2, "yes", "no"),
        "grade": np.array(["p", "q", "r"])[np.digitize(a + noise, [-0.5, 0.7])],
        "n": rng.poisson(np.exp(0.3 * a) * years),
        "y": (2 * a + noise).round(3),
        "won": rng.binomial(trials, 1 / (1 + np.exp(-a))) / trials,
    }
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("paths"))
        Path("t.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
        yield


@pytest.fixture(scope="module")
def runs(folder):
    """Returns the run of a config, which is trained once."""
    trained = {}

    def run(name):
        if name not in trained:
            trained[name] = train(config_for(name), Path(f"run-{name}"))
        return trained[name]

    return run


def rows_of(run):
    """The rows of t.csv with the columns that a run reads, as a client sends them."""

    def value(text):
        return text if text.isalpha() else float(text)

    needed = dlcli.load(run.path).columns
    with Path("t.csv").open() as file:
        return [{name: value(row[name]) for name in needed} for row in csv.DictReader(file)]


def check_resumed(file, whole, part, stop_after):
    """Interrupt a training after some epochs, resume it, and compare it with a whole one."""
    seen = []

    def interrupt(event):
        seen.extend([event] if isinstance(event, EpochEvent) else [])
        if len(seen) == stop_after:
            raise Interrupted("here", 2)

    with pytest.raises(Interrupted):
        train(file, part, interrupt)
    resumed = train(part)
    names = {path.name for path in whole.path.iterdir()}
    assert {path.name for path in resumed.path.iterdir()} == names
    for name in names.intersection(REPRODUCIBLE_FILES):
        assert (whole.path / name).read_bytes() == (resumed.path / name).read_bytes(), name


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "monotone"])
def test_an_interrupted_run_resumes_to_the_bit(name, runs):
    check_resumed(config_for(name), runs(name), Path(f"part-{name}"), stop_after=2)


def test_an_interrupted_ensemble_chooses_the_same_threshold(folder):
    file = config_for("decision", "ensemble: {members: 2}\n", ", test: 0.25")
    whole = train(file, Path("ensemble"))
    assert whole.decision.origin == "out-of-fold"
    check_resumed(file, whole, Path("part-ensemble"), stop_after=6)  # in the second network


@pytest.mark.parametrize(
    ("format", "package"),
    [("onnx", "onnxruntime"), ("litert", "ai_edge_litert"), ("saved_model", "tensorflow")],
)
def test_exported_models_predict_as_the_run_does(format, package, runs):
    pytest.importorskip(package)
    for name in ("exposure", "quantiles", "trials", "decision", "costs"):
        run, target = runs(name), Path(f"{format}-{name}")
        dlcli.export(run.path, format, target)
        rows, module = rows_of(run), load_format(format)
        exported = module.describe(run.predictor)
        table = run.predictor.read(memory_table(pa.Table.from_pylist(rows)))
        found = module.load(target)(module.values(exported, table))
        expected = dlcli.load(run.path).predict(rows)
        if name in ("decision", "costs"):
            classes = [
                each.decode() if isinstance(each, bytes) else str(each)
                for each in found["prediction"]
            ]
            assert classes == [*expected.values], name
        else:
            np.testing.assert_allclose(
                found["prediction"].ravel(), expected.values, rtol=1e-4, err_msg=name
            )


def test_the_readme_of_each_model_states_its_decision(runs):
    border = f"{open_run(runs('decision').path).decision.threshold:.3g}"[:4]
    for format in ("litert", "keras"):
        dlcli.export("run-decision", format, f"readme-{format}")
        text = Path(f"readme-{format}/README.md").read_text()
        assert f"The predicted class: `yes` if its probability is above {border}" in text, format
    dlcli.export(runs("quantiles").path, "keras", "readme-quantiles")
    assert (
        "The quantiles of the levels 0.1, 0.5, 0.9."
        in Path("readme-quantiles/README.md").read_text()
    )


@pytest.mark.parametrize("name", ["trials", "monotone", "decision", "costs"])
def test_every_protocol_of_a_server_predicts_as_the_run_does(name, runs):
    run = runs(name)
    client = Client(make_application(Models({"m": ServedModel.load("m", run.path)})))
    rows = rows_of(run)[:40]
    values = [*dlcli.load(run.path).predict(rows).values]
    is_class = run.task.outcome == "classes"
    expected = values if is_class else pytest.approx(values, rel=1e-5)
    assert [each["prediction"] for each in client.post("/predict/m", rows).json] == expected
    found = client.post("/v1/models/m:predict", {"instances": rows}).json["predictions"]
    assert ([each["prediction"] for each in found] if is_class else found) == expected
    tensors = [
        {
            "name": column,
            "shape": [len(rows)],
            "datatype": "BYTES" if isinstance(rows[0][column], str) else "FP64",
            "data": [row[column] for row in rows],
        }
        for column in rows[0]
    ]
    outputs = client.post("/v2/models/m/infer", {"inputs": tensors}).json["outputs"]
    assert {each["name"]: each["data"] for each in outputs}["prediction"] == expected
    form = client.post("/form/m", rows[0]).json
    if is_class:
        [chosen] = [each["name"] for each in form["names"] if each["is_chosen"]]
        assert chosen == values[0]
    else:
        assert form["numbers"][0]["value"] == pytest.approx(values[0], rel=1e-5)


def test_the_networks_of_a_cross_validation_are_monotone(folder):
    config_for("monotone", held_out="")
    text = Path("monotone.yaml").read_text().replace(", b: numeric, kind: categorical", "")
    Path("monotone.yaml").write_text(text)  # only a, which raises y, but is decreasing
    dlcli.cross_validate("monotone.yaml", folds=2, output="cv", progress=False)
    stored = open_run(Path("cv")).predictions.table.to_pydict()
    with Path("t.csv").open() as file:
        a = np.array([float(row["a"]) for row in csv.DictReader(file)])
    fold, row = np.array(stored["fold"]), np.array(stored["row"])
    for number in {*stored["fold"]}:
        order = np.argsort(a[row[fold == number] - 1])
        assert (np.diff(np.array(stored["prediction"])[fold == number][order]) <= 1e-6).all()


@pytest.mark.parametrize("name", ["exposure", "quantiles"])
def test_the_best_network_of_a_search_keeps_it(name, folder):
    metric = {"exposure": "val_poisson_deviance", "quantiles": "val_pinball_loss"}[name]
    space = "{optimizer.learning_rate: [0.01, 0.05]}"
    config_for(name, f"tune: {{metric: {metric}, trials: 2, space: {space}}}\n")
    dlcli.tune(f"{name}.yaml", output=f"search-{name}", progress=False)
    best = open_run(Path(f"search-{name}/best"))
    model, rows = dlcli.load(best.path), rows_of(best)
    if name == "exposure":
        twice = [{**row, "years": 2 * row["years"]} for row in rows]
        found = np.asarray(model.predict(twice).values) / np.asarray(model.predict(rows).values)
        assert found == pytest.approx(np.full(len(rows), 2), rel=1e-5)
    else:
        stored = best.predictions.table.to_pydict()
        levels = np.array([stored[f"prediction_{level}"] for level in (0.1, 0.5, 0.9)])
        assert (np.diff(levels, axis=0) > 0).all()


def command(*arguments):
    result = CliRunner().invoke(main, [*arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_files_are_evaluated_with_another_rule_as_one_table_is(runs):
    runs("decision")
    header, *lines = Path("t.csv").read_text().splitlines()
    Path("parts").mkdir()
    for name, some in (("1", lines[:70]), ("2", lines[70:])):
        Path(f"parts/{name}.csv").write_text("\n".join([header, *some]) + "\n")
    rule = ("--decision", "threshold: 0.2", "--json")
    one = command("evaluate", "run-decision", "t.csv", *rule)
    assert (
        command("evaluate", "run-decision", "parts/*.csv", *rule).replace("parts/*.csv", "t.csv")
        == one
    )


def test_a_table_of_image_files_can_have_another_rule(folder):
    from PIL import Image

    rng = np.random.default_rng(0)
    lines, is_bright = ["photo,kind"], rng.random(40) < 0.3
    for at, bright in enumerate(is_bright):
        pixels = rng.random((4, 4)) * 120 + 100 * bright
        Image.fromarray(pixels.astype("uint8")).save(f"{at}.png")
        lines.append(f"{at}.png,{'yes' if bright else 'no'}")
    Path("images.csv").write_text("\n".join(lines) + "\n")
    config = (
        'data: {train: images.csv, target: {column: kind, positive_class: "yes"}, validation: 0.4}\n'
        "input: {features: {photo: {type: image, shape: [4, 4, 1]}}}\nhidden: []\nepochs: 3\n"
        "decision: {maximize: f1}\n"
    )
    dlcli.train(config, output="images", progress=False)
    plain = [line.split(",") for line in command("predict", "images", "images.csv").splitlines()]
    scores = np.array([float(row[-1]) for row in plain[1:]])
    chosen = open_run(Path("images")).decision.threshold
    for threshold, arguments in ((chosen, ()), (0.6, ("--decision", "threshold: 0.6"))):
        found = command("predict", "images", "images.csv", *arguments).splitlines()[1:]
        expected = np.where(scores > threshold, "yes", "no").tolist()
        assert [line.split(",")[0] for line in found] == expected
