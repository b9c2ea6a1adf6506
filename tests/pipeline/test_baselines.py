"""Every run says what the simplest models make of the same rows."""

from __future__ import annotations

import inspect
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.config.config_schema import CompiledEngine
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, OnDiskInputs
from dlcli.errors import DivergenceError, Interrupted, OutOfMemoryError
from dlcli.pipeline import baselines
from dlcli.pipeline.baselines import (
    PARAMETERS,
    WIDE_RATE,
    batch_size,
    fit_linear,
    is_affordable,
    is_linear,
    stopping_rows,
)
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitResult, fit
from dlcli.pipeline.preparation import encode_sets, prepare
from dlcli.pipeline.train_run import train
from dlcli.training import engines
from dlcli.training_job import NO_CHECKPOINTS, Job
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once", "handles_signals")

LOT = np.random.default_rng(7)
A, B, NOISE = LOT.normal(size=(3, 120))
GRAPH = CompiledEngine(jit_compile=False)
BEND = "hidden: [{units: 3, activation: tanh}]\n"
SMALL = f"{BEND}epochs: 3\nbatch_size: 60\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(config, data="target: y", **columns):
    """Writes rows of the columns, and a config for them."""
    names = list(columns)
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    Path("rows.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    Path("a.yaml").write_text(f"data: {{train: rows.csv, {data}}}\n{config}")
    return load_config(Path("a.yaml"))


def untrained(file):
    """Return the result of a fit that has not trained."""
    events = Events()
    rows, plan = prepare(file, events)
    rows = encode_sets(rows, events)
    train, validation = rows.encoded["train"], rows.encoded.get("validation")
    job = Job(plan.config, plan.network, plan.head, rows.encoding.task, train, validation)
    return FitResult(plan.config, rows, plan, job, None, 0.0)


def linear_weights(result):
    """The weights of the linear baseline: kernel (inputs, outputs) and bias (outputs,)."""
    weights = fit_linear(result, NO_CHECKPOINTS).training.weights
    return weights["output/kernel"], weights["output/bias"]


@pytest.fixture
def linear_job(monkeypatch):
    """Returns what would be trained as the linear baseline, without training it."""

    class Stop(Exception):
        pass

    def train_job(job, *_):
        raise Stop(job)

    def linear_job(result):
        with monkeypatch.context() as patch, pytest.raises(Stop) as caught:
            patch.setattr(engines, "train_job", train_job)
            fit_linear(result, NO_CHECKPOINTS)
        return caught.value.args[0]

    return linear_job


def least_squares(matrix, target, weights=None):
    """Kernel and bias by NumPy, from the rows as they are encoded."""
    roots = np.sqrt(np.ones(len(matrix)) if weights is None else weights)[:, np.newaxis]
    design = np.column_stack([matrix, np.ones(len(matrix))]).astype(np.float64)
    solution = np.linalg.lstsq(design * roots, target * roots, rcond=None)[0]
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(
    ("settings", "constant"),
    [("loss: mean_squared_error", 2.0), ("loss: huber", 0.0), ("output: {scaling: log1p}", 0.0)],
)
def test_the_constant_is_the_best_by_the_error_that_is_compared(settings, constant):
    file = write(f"{SMALL}{settings}\n", a=range(10), y=[0, 0, 0, 0, 0, 0, 0, 0, 8, 12])
    result = untrained(file)
    decoded = result.rows.encoding.task.decode(result.constant_outputs[np.newaxis])
    assert decoded.tolist() == [[pytest.approx(constant)]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "data", "columns"),
    [
        (SMALL, "target: y", {"y": A - 2 * B + NOISE}),
        (SMALL, "target: [y, z]", {"y": A - 2 * B + NOISE, "z": 50 * NOISE - A}),
        (SMALL, "target: y, sample_weight: w", {"y": A + NOISE, "w": np.arange(120) % 7}),
        (f"{SMALL}output: {{scaling: none}}\n", "target: y", {"y": 1e5 + 3e4 * (A + NOISE)}),
        (f"{SMALL}output: {{scaling: none}}\n", "target: y", {"y": 1e-3 * (A + NOISE)}),
    ],
    ids=["a number", "two numbers", "weighted", "far from 0", "very near 0"],
)
def test_of_numbers_the_linear_model_is_that_of_least_squares(config, data, columns):
    result = untrained(write(config, data, a=A, b=3 * A + 2 * B, **columns))
    rows = result.encoded["train"]
    kernel, bias = linear_weights(result)
    wanted, offset = least_squares(rows.inputs.part(0, len(rows.inputs)), rows.target, rows.weights)
    scale = float(rows.target.std(axis=0).max())
    assert kernel == pytest.approx(wanted, abs=2e-3 * scale)
    assert bias == pytest.approx(offset, abs=2e-3 * scale)


@pytest.mark.slow
def test_of_classes_the_linear_model_is_logistic_regression():
    """At the least loss the predicted chances have the truth's moments: Xᵀ(p - y) = 0."""
    result = untrained(write(SMALL, a=A, b=B, y=(A + NOISE > 0.3).astype(int)))
    kernel, bias = linear_weights(result)
    inputs = result.encoded["train"].inputs
    matrix = np.column_stack([inputs.part(0, 120), np.ones(120)])
    chance = 1 / (1 + np.exp(-(matrix @ np.append(kernel, bias))))
    assert matrix.T @ (chance - result.encoded["train"].target) / 120 == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_of_counts_the_linear_model_is_poisson_regression():
    counts = LOT.poisson(np.exp(3 + 0.5 * A))
    result = untrained(write(SMALL, "target: {column: y, type: count}", a=A, b=B, y=counts))
    kernel, bias = linear_weights(result)
    inputs = result.encoded["train"].inputs
    matrix = np.column_stack([inputs.part(0, 120), np.ones(120)])
    mean = np.exp(matrix @ np.append(kernel, bias))
    assert matrix.T @ (mean - counts) / counts.sum() == pytest.approx(0, abs=1e-3)


def test_the_linear_model_has_the_weights_of_rows_and_classes_and_nothing_else_of_the_config(
    linear_job,
):
    file = write(
        f"{BEND}output: {{kernel_regularizer: {{name: l2, l2: 9}}, use_bias: false}}\n"
        "optimizer: {name: sgd, learning_rate: 1e-9}\nclass_weight: {1: 3.0}\n"
        "epochs: 1\nbatch_size: 1\nmetrics: [auc]\nengine: keras\nprecision: mixed_bfloat16\n",
        "target: y, sample_weight: w",
        a=A,
        w=np.arange(120) % 3 + 1,
        y=(A > 0).astype(int),
    )
    job = linear_job(untrained(file))
    config = job.config
    assert (config.optimizer.name, config.learning_rate_schedule.name) == ("adam", "cosine_decay")
    assert (config.epochs, config.batch_size, config.engine.name) == (1000, 120, "auto")
    assert (config.precision, config.early_stopping, job.head.metrics) == ("float32", None, ())
    assert config.output.kernel_regularizer is None
    assert [weight.name for weight in job.network.weights] == ["output/kernel", "output/bias"]
    assert job.loss_weights.tolist() == [
        float((at % 3 + 1) * (3 if a > 0 else 1)) for at, a in enumerate(A)
    ]


def test_validation_rows_choose_the_best_epoch(linear_job):
    job = linear_job(untrained(write(SMALL, "target: y, validation: 0.25", a=A, y=A + NOISE)))
    assert job.config.early_stopping.monitor == "val_loss"
    assert job.config.early_stopping.patience == job.config.epochs


@pytest.mark.parametrize(("rows", "is_lower"), [(101, False), (100, False), (99, True)])
def test_with_more_inputs_than_rows_the_first_rate_is_lower(rows, is_lower, linear_job):
    rng = np.random.default_rng(1)
    columns = {f"x{at}": each for at, each in enumerate(rng.normal(size=(100, rows)))}
    result = untrained(write(SMALL, y=rng.normal(size=rows), **columns))
    sums = np.abs(result.encoded["train"].inputs.part(0, rows)).sum(axis=1)
    expected = WIDE_RATE / sums.mean() if is_lower else 0.1
    assert linear_job(result).config.optimizer.learning_rate == pytest.approx(expected)


def test_more_inputs_than_rows_do_not_make_it_worse_than_the_constant_model():
    rng = np.random.default_rng(1)
    wide = {f"x{at}": each for at, each in enumerate(rng.normal(size=(600, 90)).round(3))}
    file = write(SMALL, "target: y, validation: 0.2, test: 0.3", y=rng.normal(size=90), **wide)
    result = untrained(file)
    linear = fit_linear(result, NO_CHECKPOINTS)
    constant = linear.predictor.task.metrics(linear.constant_decoded("test"))
    assert linear.metrics("test")["rmse"] < 1.1 * constant["rmse"]


@pytest.mark.parametrize(
    ("rows", "width", "size", "updates"),
    [
        (4, 1, 4, 1000),
        (512, 50, 512, 1000),
        (100_000, 50, 512, 980),  # 5 epochs of 196 steps
        (10_000_000, 50, 10_000, 1000),  # one epoch
        (2_000, 5_000, 107, 1007),  # 53 epochs of 19 steps
        (2_000, 1_000_000, 32, 1008),
    ],
)
def test_there_are_about_a_thousand_steps_whatever_the_table(rows, width, size, updates):
    assert batch_size(rows, width) == size
    steps = -(-rows // size)
    assert round(1000 / steps) * steps == updates


@pytest.mark.parametrize(
    ("rows", "epochs", "some"),
    [
        (16_777, 1_000, 16_777),
        (16_778, 1_000, 16_777),  # 2²⁹ / (1,000 · 32)
        (16_778, 32, 16_778),  # few epochs read them all
    ],
)
def test_of_very_many_validation_rows_some_choose_the_best_epoch(rows, epochs, some):
    numbers = np.arange(rows, dtype=np.float32)
    whole = EncodedRows(InMemoryInputs(numbers[:, np.newaxis]), numbers + 0.5, numbers + 0.25)
    found = stopping_rows(whole, epochs)
    taken = found.inputs.dense[:, 0]
    assert (len(taken), len(np.unique(taken))) == (some, some)
    assert (found.target == taken + 0.5).all()
    assert (found.weights == taken + 0.25).all()
    assert (stopping_rows(whole, epochs).inputs.dense == found.inputs.dense).all()


def test_the_rows_that_choose_are_the_same_on_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(baselines, "VALUES", 0)
    monkeypatch.setattr(baselines, "BATCH_ROWS", 5)
    result = untrained(write(SMALL, "target: y, validation: 0.25", a=A, y=A + NOISE))
    held = result.encoded["validation"]
    matrix = held.inputs.dense
    matrix.tofile(tmp_path / "inputs")
    on_disk = replace(held, inputs=OnDiskInputs(tmp_path / "inputs", matrix.shape))
    found = stopping_rows(on_disk, 100).inputs.dense
    assert found.shape == (5, 1)
    assert (found == stopping_rows(held, 100).inputs.dense).all()


def test_a_small_table_with_many_validation_rows_is_validated_on_some(monkeypatch, linear_job):
    monkeypatch.setattr(baselines, "VALUES", 0)
    monkeypatch.setattr(baselines, "BATCH_ROWS", 5)
    result = untrained(write(SMALL, "target: y, validation: 0.25", a=A, y=A + NOISE))
    assert len(linear_job(result).validation.inputs) == 5
    assert len(result.encoded["validation"].inputs) == 30


def baselines_of(config, data="target: y", **columns):
    told = []
    run = train(write(config, data, **columns), Path("run"), recorded_in(told))
    return run, dict(told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hidden", ["[]", "[{units: 2, activation: linear, batch_normalization: true, dropout: 0.1}]"]
)
def test_a_linear_network_has_only_the_constant_baseline_and_an_event_says_why(hidden):
    run, told = baselines_of(f"hidden: {hidden}\nepochs: 1\n", a=A, y=A)
    assert run.baselines.keys() == {"constant"}
    assert told["baselines"]["models"] == ["constant"]
    assert told["baselines"]["no_linear"] == "the network itself is linear"


@pytest.mark.slow
def test_every_set_of_rows_is_scored_with_the_metrics_of_the_network():
    run, told = baselines_of(
        SMALL, "target: y, validation: 0.25, test: 0.25", a=A, y=np.where(A > 0, "u", "v")
    )
    baselines, metrics = run.baselines, run.metrics
    assert baselines.keys() == {"constant", "linear"}
    for model in baselines.values():
        assert {split: list(scores) for split, scores in model.items()} == {
            split: list(scores) for split, scores in metrics.items()
        }
    assert told["result"]["baselines"] == baselines
    assert baselines["constant"]["test"]["auc"] == 0.5
    assert baselines["linear"]["test"]["accuracy"] > 0.9


@pytest.mark.slow
def test_the_rows_of_each_set_are_decoded_once_for_the_constant_model(monkeypatch):
    decoded, names = FitResult.constant_decoded, []

    def record(result, name):
        names.append(name)
        return decoded(result, name)

    monkeypatch.setattr(FitResult, "constant_decoded", record)
    train(write(SMALL, "target: y, validation: 0.2, test: 0.2", a=A, y=A + NOISE))
    assert names == ["train", "validation", "test"]


@pytest.mark.slow
def test_equal_runs_have_equal_baselines_and_so_has_a_resumed_one():
    file = write(SMALL, "target: y, validation: 0.25", a=A, y=A + NOISE)
    for name in ("one", "two"):
        train(file, Path(name))

    def end(event):
        if event.kind == "baselines":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(file, Path("three"), end)
    train(Path("three"))
    one, *others = (Path(name, "baselines.json").read_bytes() for name in ("one", "two", "three"))
    assert others == [one, one]


def failing(error):
    def train_job(*_):
        raise error

    return train_job


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergenceError("training diverged: the loss became nan in epoch 3", 3), "it diverged"),
        (OutOfMemoryError("training ran out of memory"), "it ran out of memory"),
    ],
)
def test_a_linear_model_that_fails_is_omitted_with_one_warning(error, reason, monkeypatch):
    file, whole, told = write(SMALL, a=A, y=A), engines.train_job, []

    def train_job(job, *rest):
        if job.network.layers[:-1]:
            return whole(job, *rest)
        raise error

    monkeypatch.setattr(engines, "train_job", train_job)
    run = train(file, Path("run"), recorded_in(told))
    assert run.baselines.keys() == {"constant"}
    warnings = [fields["message"] for event, fields in told if event == "warning"]
    assert warnings == [f"there is no linear baseline: {error}"]
    assert dict(told)["baselines"]["no_linear"] == reason


@pytest.mark.slow
def test_a_signal_ends_it_as_it_ends_training_and_the_run_can_be_resumed(monkeypatch):
    file, whole = write(SMALL, a=A, y=A + NOISE), engines.train_job

    def train_job(job, *rest):
        if not job.network.layers[:-1]:
            signal.raise_signal(signal.SIGINT)
        return whole(job, *rest)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:
        patch.setattr(engines, "train_job", train_job)
        train(file, Path("run"))
    signal.signal(signal.SIGINT, before)
    way_on = "resume with: dlcli train --resume run"
    assert str(caught.value) == f"SIGINT after 3 epochs; {way_on}"
    assert train(Path("run")).baselines.keys() == {"constant", "linear"}


@pytest.mark.slow
def test_a_training_that_diverges_has_no_baselines():
    config = f"{BEND}optimizer: {{name: sgd, learning_rate: 1e30}}\nepochs: 9\nbatch_size: 120\n"
    with pytest.raises(DivergenceError):
        train(write(config, a=A, y=A), Path("run"))
    assert not Path("run/baselines.json").exists()


def test_a_linear_model_that_is_far_larger_than_the_network_is_omitted():
    file = write(SMALL, a=A, b=B, y=A)
    network = untrained(file).plan.network
    assert is_affordable(network)
    wide = replace(network, front=replace(network.front, unchanged=tuple(range(PARAMETERS))))
    assert not is_affordable(wide)
    assert not is_linear(network)


@pytest.mark.slow
def test_the_rows_lie_on_the_device_once_for_both(monkeypatch):
    monkeypatch.setattr(engines, "train_job", inspect.unwrap(engines.train_job))  # without a cache
    file = write(f"{SMALL}loss: huber\n", a=A, y=A)  # which the linear engine does not know
    given = untrained(file)
    result = fit(given.rows, replace(given.plan, engine=GRAPH))
    placed = dict(result.job.placed)
    assert [inputs for inputs, _ in placed.values()] == [given.encoded["train"].inputs]
    linear = fit_linear(result, NO_CHECKPOINTS)
    assert list(linear.job.placed) == list(placed)
    assert all(linear.job.placed[key][1] is held for key, (_, held) in placed.items())


# The verdict, and signs of a leak


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "perfect", "leaks"),
    [
        ({"y": A + NOISE / 2}, None, []),
        ({"y": 2 * A - 1}, ("linear", "r2", "a"), ["a"]),
        ({"y": 2 * A - B}, ("linear", "r2", "a"), []),
        ({"y": np.sign(A) / 2, "known": np.sign(A) * 7}, ("linear", "r2", "known"), ["known"]),
    ],
    ids=["noise", "a line", "two columns", "a copy"],
)
def test_a_network_is_compared_on_held_out_rows_and_leaks_are_named(columns, perfect, leaks):
    config = f"{BEND}epochs: 60\noptimizer: {{name: adam, learning_rate: 0.05}}\n"
    run = train(write(config, "target: y, validation: 0.5", a=A, b=B, **columns))
    found = run.verdicts
    assert {name: [*each] for name, each in found.differences.items()} == {
        "constant": ["validation"],
        "linear": ["validation"],
    }
    assert found.differences["constant"]["validation"].verdict == "better"
    model = found.nearly_perfect
    assert (model and (model.model, model.metric, model.column)) == perfect
    assert [*found.leaks] == leaks
