"""A training that diverged says why, by what it finds in config and rows, and how to try again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import DivergenceError
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitResult, fit, load_tensorflow
from dlcli.pipeline.members import FitObserver
from dlcli.pipeline.preparation import FitPlan, FitRows, encode_sets, prepare
from dlcli.pipeline.train_run import train
from dlcli.tables.stored_columns import Storage
from dlcli.training_job import Job

pytestmark = pytest.mark.usefixtures("compiled_once", "handles_signals")

ROWS = 60
RANDOM = np.random.default_rng(0)
X, Z = RANDOM.normal(size=(2, ROWS))
LINEAR = "hidden: []\noptimizer: sgd\nepochs: 60\n"
DEEP = LINEAR.replace("[]", 2 * "\n  - {units: 8, activation: leaky_relu}")
CLIP = (
    "the steps of sgd are proportional to the gradients, and gradients are not clipped; "
    "try --set optimizer.clipnorm=1.0"
)


@dataclass(frozen=True)
class Case:
    """A training that diverges."""

    columns: dict[str, object]
    """Of rows.csv."""
    config: str
    """But for its data."""
    causes: tuple[str, ...]
    """The expected causes."""
    data: str = ""
    """Further settings of the data."""


def but(first: object, others: object) -> list[object]:
    """A column with another value in its first row."""
    return [first, *np.broadcast_to(others, ROWS)[1:]]


PLAIN = {"x": X, "z": Z, "y": X - Z}
PEOPLE = {"income": but(2_400_000, 1e6 + 1e5 * Z), "age": 40 + 10 * X, "y": X - Z}
PRICES = {"x": X, "z": Z, "y": but(9_000_000, 5e6 + 1e5 * X)}
CASES = {
    "a learning rate": Case(
        PLAIN,
        LINEAR.replace("sgd", "{name: sgd, learning_rate: 1e6}"),
        (
            "optimizer.learning_rate 1e+06 is 100,000,000 times the usual 0.01 of sgd; "
            "try --set optimizer.learning_rate=0.01",
        ),
    ),
    "rates of a schedule": Case(
        PLAIN,
        LINEAR + "learning_rate_schedule:"
        " {name: piecewise_constant, boundaries: [2, 3], values: [1e6, 1e5]}\n",
        (
            "learning_rate_schedule rises to 1e+06, 100,000,000 times the usual 0.01 of sgd; "
            "try --set learning_rate_schedule=constant",
        ),
    ),
    "a rate that grows": Case(
        PLAIN,
        LINEAR + "learning_rate_schedule:"
        " {name: exponential_decay, decay_epochs: 30, decay_rate: 1e5}\n",
        (
            "learning_rate_schedule rises to 1e+08, 1e+10 times the usual 0.01 of sgd; "
            "try --set learning_rate_schedule=constant",
        ),
    ),
    "inputs": Case(
        PEOPLE,
        LINEAR + "input: {scaling: none}\n",
        (
            "inputs reach 2400000: the column 'income' has scaling none, and 1 column more; "
            "try --set input.scaling=standard",
            CLIP,
        ),
    ),
    "inputs of a feature": Case(
        PEOPLE,
        LINEAR + "input: {features: {income: {type: numeric, scaling: none}, age: auto}}\n",
        (
            "inputs reach 2400000: the column 'income' has scaling none; "
            "try --set input.features.income.scaling=standard",
            CLIP,
        ),
    ),
    "inputs of a pattern": Case(
        {"x": X, "net income": PEOPLE["income"], "y": X},
        LINEAR + "input: {features: {'*': auto, 'net*': auto,"
        " 'net i*': {type: numeric, scaling: {name: divide, by: 2}}}}\n",
        (
            "inputs reach 1200000: the column 'net income' has scaling divide; "
            """try --set 'input.features['"'"'net i*'"'"'].scaling=standard'""",
            CLIP,
        ),
    ),
    "inputs from words": Case(
        {"x": X, "notes": but("no " * 400, ["so " * at for at in range(ROWS)]), "y": X},
        LINEAR + "input: {features: {x: numeric, notes: {type: text, encoding: count}}}\n",
        (
            "inputs reach 400: the column 'notes' has encoding count; "
            "try --set input.features.notes.encoding=tf_idf",
            CLIP,
        ),
    ),
    "inputs of validation": Case(
        {"x": 30 * [-1, 1], "z": Z, "y": X},
        LINEAR,
        (
            "the validation rows' inputs reach 1e+30: the column 'x' has scaling standard; "
            "try --set input.scaling=robust",
        ),
        data="validation: far.csv",
    ),
    "a target": Case(
        PRICES,
        DEEP + "output: {scaling: none}\n",
        (
            "the target 'y' has values up to 9000000, but output.scaling is none; "
            "try --set output.scaling=standard",
            CLIP,
        ),
    ),
    "a target and its activation": Case(
        PRICES,
        DEEP + "output: {activation: relu}\n",
        (
            "the target 'y' has values up to 9000000, but output.scaling is none; "
            "try --set output.activation=linear --set output.scaling=standard",
            CLIP,
        ),
    ),
    "a target, its activation and scaling": Case(
        PRICES,
        DEEP + "output: {activation: relu, scaling: none}\n",
        (
            "the target 'y' has values up to 9000000, but output.scaling is none; "
            "try --set output.activation=linear --set output.scaling=standard",
            CLIP,
        ),
    ),
    "an exponential output": Case(
        {"x": X, "y": but(9000, np.arange(ROWS))},
        LINEAR + "loss: poisson\n",
        (
            "output.activation is exponential, which overflows float32 from exp(89) on; "
            "try --set output.activation=softplus",
            CLIP,
        ),
    ),
    "exponential layers": Case(
        PLAIN,
        LINEAR.replace("[]", 2 * "\n  - {units: 64, activation: exponential}"),
        (
            "hidden[0].activation is exponential, which overflows float32 from exp(89) on; "
            "try --set 'hidden[0].activation=softplus'",
            "hidden[1].activation is exponential, which overflows float32 from exp(89) on; "
            "try --set 'hidden[1].activation=softplus'",
            CLIP,
        ),
    ),
    "a loss that divides": Case(
        {"x": X, "z": Z, "y": but(1e-9, 2 + np.abs(X))},
        DEEP + "loss: mean_absolute_percentage_error\n",
        (
            "the loss divides by the target, and the target closest to 0 is 1e-09; "
            "try --set loss=mean_absolute_error",
            CLIP,
        ),
    ),
    "half precision": Case(
        PLAIN,
        "hidden:"
        + 3 * "\n  - {units: 64, kernel_initializer: {name: random_normal, stddev: 9}}"
        + "\nepochs: 5\nprecision: mixed_float16\n",
        ("precision mixed_float16 overflows beyond 65504; try --set precision=mixed_bfloat16",),
    ),
    "weights of rows": Case(
        {**PLAIN, "w": but(5000, 5000)},
        LINEAR,
        (
            "the mean weight of a row is 5e+03, and steps grow with it; "
            "try --set optimizer.learning_rate=2e-06",
            CLIP,
        ),
        data="sample_weight: w",
    ),
    "first weights": Case(
        PLAIN,
        "hidden:\n  - {units: 4, kernel_initializer: {name: random_normal, stddev: 1e20}}\n"
        "epochs: 5\n",
        (
            "hidden[0].kernel_initializer random_normal has stddev 1e+20; "
            "try --set 'hidden[0].kernel_initializer=glorot_uniform'",
        ),
    ),
    "many inputs that are one": Case(
        {**{f"x{at}": X + Z / 100 for at in range(300)}, "y": X - Z},
        LINEAR,
        (
            CLIP,
            "learning rate, inputs and target are in the usual range: smaller steps may help; "
            "try --set optimizer.learning_rate=0.001",
        ),
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
CONVERGING = (
    *("a learning rate", "rates of a schedule", "inputs", "a target", "an exponential output"),
    "first weights",
)
"""One case for each section of the config that remedies change; the others train for releases."""


def write(case: Case, folder: Path) -> Path:
    """Writes a case's rows and config."""
    cells = zip(*case.columns.values(), strict=True)
    lines = [",".join(case.columns), *(",".join(map(str, row)) for row in cells)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "far.csv").write_text("x,z,y\n1e30,0,1\n0,1,2\n")
    config = folder / "case.yaml"
    config.write_text(f"data: {{train: rows.csv, target: y, {case.data}}}\n{case.config}")
    return config


@pytest.mark.slow
@each_case
def test_causes_are_found_in_config_and_rows(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert causes(write(case, tmp_path)) == case.causes


def prepared_for(
    config: Path, folder: Path | None = None, *settings: str
) -> tuple[FitRows, FitPlan]:
    """Return the encoded rows and the plan of a config."""
    file, events = load_config(config, settings), Events()
    rows, plan = prepare(file, events, Storage(folder))
    return encode_sets(rows, events), plan


def causes(config: Path, folder: Path | None = None) -> tuple[str, ...]:
    """Return the causes that are reported for a config, without training it."""
    rows, plan = prepared_for(config, folder)
    train, held_out = rows.encoded["train"], rows.encoded.get("validation")
    job = Job(plan.config, plan.network, plan.head, rows.encoding.task, train, held_out)
    error = DivergenceError("", 1)
    FitObserver().diverged(error, job)
    return notes_of(error)


def notes_of(error: DivergenceError) -> tuple[str, ...]:
    """Return the causes among a divergence's notes."""
    notes = (note for note in error.__notes__ if "are kept in" not in note)
    return tuple(note.removeprefix("  ") for note in notes)


def fit_only(config: Path, *settings: str) -> FitResult:
    """Fit a config, without all that `train` stores and compares afterwards."""
    rows, plan = prepared_for(config, None, *settings)
    load_tensorflow(plan.config, Events())
    return fit(rows, plan, observer=FitObserver())


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if name in CONVERGING else pytest.mark.release, id=name)
        for name, case in CASES.items()
    ],
)
def test_each_suggested_remedy_converges(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write(case, tmp_path)
    with pytest.raises(DivergenceError) as caught:
        fit_only(config)
    assert notes_of(caught.value) == case.causes
    for cause in case.causes:
        arguments = shlex.split(cause.partition("; try ")[2])
        settings = [argument for argument in arguments if argument != "--set"]
        assert len(arguments) == 2 * len(settings)
        history = fit_only(config, *settings).training.history
        assert np.isfinite(list(history.values())).all()


@pytest.mark.slow
def test_training_that_diverged_says_its_causes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = CASES["inputs"]
    with pytest.raises(DivergenceError) as caught:
        train(load_config(write(case, tmp_path)))
    assert notes_of(caught.value) == case.causes


def test_the_three_farthest_values_are_named(tmp_path):
    config = """\
hidden: []
input: {scaling: none}
output: {scaling: none}
optimizer: {name: sgd, learning_rate: 100}
precision: mixed_float16
epochs: 9
"""
    columns = {"x": but(300, X), "y": but(5000, Z)}
    assert causes(write(Case(columns, config, ()), tmp_path)) == (
        "optimizer.learning_rate 100 is 10,000 times the usual 0.01 of sgd; "
        "try --set optimizer.learning_rate=0.01",
        "inputs reach 300: the column 'x' has scaling none; try --set input.scaling=standard",
        "the target 'y' has values up to 5000, but output.scaling is none; try --set output.scaling=standard",
    )


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        ("{name: adam, learning_rate: 0.002}", "optimizer.learning_rate=0.0002"),
        ("{name: adam, learning_rate: 0.0021}", "optimizer.learning_rate=0.001"),
        ("{name: adadelta, learning_rate: 2.0}", "optimizer.learning_rate=0.2"),
        ("{name: adadelta, learning_rate: 2.1}", "optimizer.learning_rate=1"),
        ("{name: sgd, clipvalue: 2.0}", "optimizer.learning_rate=0.001"),
        ("{name: sgd, global_clipnorm: 2.0}", "optimizer.learning_rate=0.001"),
    ],
)
def test_what_is_usual_is_the_optimizers_own(optimizer, said, tmp_path):
    config = write(Case(PLAIN, LINEAR.replace("sgd", optimizer), ()), tmp_path)
    (cause,) = causes(config)
    assert cause.endswith(f"try --set {said}")


@pytest.mark.parametrize("scaling", ["standard", "log1p", "minmax", "robust", "quantile"])
def test_what_is_scaled_is_not_blamed(scaling, tmp_path):
    config = write(Case(PEOPLE, LINEAR + f"input: {{scaling: {scaling}}}\n", ()), tmp_path)
    assert causes(config)[0] == CLIP


def test_places_of_categories_are_no_sizes(tmp_path):
    columns = {"code": [f"c{at % 30}" for at in range(ROWS)], "y": X}
    features = "{code: {type: categorical, encoding: embedding}}"
    config = write(Case(columns, LINEAR + f"input: {{features: {features}}}\n", ()), tmp_path)
    assert causes(config)[0] == CLIP


def test_of_rows_on_disk_the_first_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("dlcli.training_job.NUMBERS_AT_ONCE", 20)
    (tmp_path / "cache").mkdir()
    rows = {"x": [*X[:10], 70, *X[10:-2], 800], "z": Z, "y": X}
    config = write(Case(rows, LINEAR + "input: {scaling: none}\n", ()), tmp_path)
    cause = "inputs reach {}: the column 'x' has scaling none; try --set input.scaling=standard"
    assert causes(config)[0] == cause.format(800)
    assert causes(config, tmp_path / "cache")[0] == CLIP
    monkeypatch.setattr("dlcli.training_job.NUMBERS_AT_ONCE", 22)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    assert causes(config, tmp_path / "cache")[0] == cause.format(70)
