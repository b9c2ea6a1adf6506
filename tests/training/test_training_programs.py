"""Jobs that share a compiled program train the same weights as alone."""

from __future__ import annotations

import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from threading import Barrier
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf

from dlcli.columns.layout import Block, Layout
from dlcli.columns.scaling import LinearScaling
from dlcli.config.layer_choices import Activation
from dlcli.config.training_choices import Optimizer
from dlcli.network.layers import build_network
from dlcli.schema.section import members_of
from dlcli.tasks.regression import Regression
from dlcli.training import compiled_engine, keras_engine
from dlcli.training.compiled_engine import (
    MOST_PROGRAMS,
    OPTIMIZERS_BY_SHAPE,
    ProgramCache,
    program_key,
)
from dlcli.training.compiled_program import ResidentProgram
from dlcli.training.objectives import build_learner

QUIET = dict(progress=lambda *_: None)


def hidden(**options):
    return {"hidden": ({"units": 4, "activation": "tanh", **options},)}


def adam(**options):
    return {"optimizer": {"name": "adam", "learning_rate": 0.05, **options}}


def momentum(**options):
    """An optimizer with a state, of fewer operations than Adam."""
    return {"optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.5, **options}}


each_compiler = pytest.mark.parametrize(
    "jit_compile",
    # That XLA shares programs of padded rows is tested by a case of its own.
    [False, pytest.param(True, marks=pytest.mark.release)],
)


def alone(job, jit_compile=False):
    return compiled_engine.run(job, jit_compile, **QUIET)


def train_in_turn(jobs, jit_compile=False):
    """Train jobs in turn; return the last result and the number of compiled programs."""
    programs = ProgramCache()
    for job in jobs:
        result = compiled_engine.run(job, jit_compile, programs=programs, **QUIET)
    return result, programs.made


def check_alike(result, expected, tolerance=1e-12):
    for name, weight in expected.weights.items():
        np.testing.assert_allclose(result.weights[name], weight, rtol=0, atol=tolerance)
    assert list(result.history) == list(expected.history)
    for name, values in expected.history.items():
        # The history is rounded to float32 whatever training computes in.
        np.testing.assert_allclose(result.history[name], values, rtol=2e-7, atol=2e-7)
    assert result.best_epoch == expected.best_epoch


STOPPING = {"early_stopping": {"patience": 2, "monitor": "val_loss"}}
COSINE = {"learning_rate_schedule": {"name": "cosine_decay", "warmup_epochs": 1}}
RESTARTS = {"learning_rate_schedule": {"name": "cosine_decay_restarts", "cycles": 2}}
FALLING = {
    "learning_rate_schedule": {"name": "exponential_decay", "decay_epochs": 1, "decay_rate": 0.5}
}
PLATEAU = {"learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 0}}


# Keras rounds some of these to float32 where they are constants, so they are such as that holds.
def with_numbers(rate, seed=0):
    layer = {"dropout": rate, "kernel_regularizer": {"name": "l2", "l2": rate / 4}}
    return {
        **hidden(**layer, bias_regularizer={"name": "l1", "l1": rate / 8}),
        "optimizer": {"name": "adamw", "learning_rate": rate / 8, "weight_decay": rate},
        **STOPPING,
        "epochs": 12,
        "seed": seed,
    }


SHARED = {
    "numbers of layers and optimizer, seed of weights and masks": (
        with_numbers(0.25, seed=1),
        with_numbers(0.5, seed=2),
        {"validation": 9},
    ),
    "rate after a warm-up": (
        {**momentum(), **COSINE},
        {**momentum(learning_rate=0.25), **COSINE},
        {},
    ),
    "rate that falls": (
        {**momentum(), **FALLING},
        {**momentum(learning_rate=0.25), **FALLING},
        {},
    ),
    "epochs of a schedule": (
        {**momentum(), **COSINE, "epochs": 4},
        {**momentum(), **COSINE, "epochs": 7},
        {},
    ),
    "epochs of a schedule with restarts": (
        {**momentum(), **RESTARTS, "epochs": 3},
        {**momentum(), **RESTARTS, "epochs": 5},
        {},
    ),
    "rate on a plateau, and epochs": (
        {**momentum(), **PLATEAU, "epochs": 3},
        {**momentum(learning_rate=0.25), **PLATEAU, "epochs": 9},
        {"validation": 9},
    ),
    "seed of weights that the optimizer copies": (
        {"optimizer": "schedule_free_adamw", "seed": 1},
        {"optimizer": "schedule_free_adamw", "seed": 2},
        {},
    ),
    "class weights, and averaged weights": (
        {"class_weight": {"a": 2.0}, **momentum(use_ema=True, ema_momentum=0.5)},
        {"class_weight": "balanced", **momentum(use_ema=True, ema_momentum=0.5)},
        {"target": "two"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second", "rows"), SHARED.values(), ids=SHARED)
def test_jobs_that_differ_in_a_value_share_a_program_but_not_results(
    first, second, rows, make_job, float64
):
    jobs = [make_job(first, **rows), make_job(second, **rows)]
    result, made = train_in_turn(jobs)
    assert made == 1
    check_alike(result, alone(jobs[-1]))


@pytest.mark.slow
def test_the_factor_of_an_orthogonal_regularizer_is_shared_in_float32(make_job):
    orthogonal = {"name": "orthogonal_regularizer"}
    jobs = [
        make_job(hidden(kernel_regularizer={**orthogonal, "factor": factor}))
        for factor in (0.125, 1.0)
    ]
    result, made = train_in_turn(jobs)
    assert made == 1
    check_alike(result, alone(jobs[-1]), 1e-6)


MORE = ({"rows": 13, "validation": 9}, {"rows": 16, "validation": 12})
WEIGHTED = (
    {"rows": 13, "validation": 9, "weighted": "train validation"},
    {"rows": 15, "validation": 7, "weighted": "train validation"},
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "metrics", "rows"),
    [
        ("number", ("mae", "r2"), MORE),
        ("four", ("accuracy", "f1"), WEIGHTED),
        ("labels", ("macro_f1", "auc"), MORE),
    ],
)
def test_jobs_of_a_few_rows_more_or_less_share_a_program_whose_metrics_ignore_padding(
    target, metrics, rows, make_job, float64
):
    config = {"metrics": metrics, **hidden(dropout=0.3)}
    jobs = [make_job(config, target, **each) for each in rows]
    result, made = train_in_turn(jobs)
    assert made == 1
    check_alike(result, alone(jobs[-1]))


@pytest.mark.slow
def test_a_program_is_shared_under_xla_too(make_job, float64):
    configs = [{**hidden(dropout=rate), **momentum(learning_rate=rate / 4)} for rate in (0.2, 0.5)]
    jobs = [make_job(configs[0], validation=9), make_job(configs[1], rows=14, validation=8)]
    result, made = train_in_turn(jobs, jit_compile=True)
    assert made == 1
    check_alike(result, alone(jobs[-1]))  # in float64 XLA differs by less than the tolerance


@pytest.mark.slow
def test_the_target_of_another_fold_may_have_another_scale(make_job, float64):
    config = {"metrics": ("mae",)}
    other = Regression(
        columns=("y0",), scalings=(LinearScaling(name="standard", offset=-7.0, scale=0.5),)
    )
    first, second = make_job(config, validation=9), make_job(config, validation=9)
    object.__setattr__(second, "task", other)
    result, made = train_in_turn([first, second])
    assert made == 1
    check_alike(result, alone(second))


MULTIPLIERS = {"kernels": "inverse_sqrt_fan_in", "biases": 0.1}
NORMALIZED = hidden(batch_normalization={}, use_bias=False)
DIFFERENT = {
    "units": ({}, {"hidden": ({"units": 5, "activation": "tanh"},)}, {}),
    "activation": ({}, hidden(activation="relu"), {}),
    "batch size": ({}, {"batch_size": 5}, {}),
    "metrics": ({"metrics": ("mae",)}, {"metrics": ("rmse",)}, {}),
    "optimizer": ({}, adam(), {}),
    "momentum": (adam(), adam(beta_1=0.5), {}),
    "loss": ({"loss": "mean_squared_error"}, {"loss": "mean_absolute_error"}, {}),
    "parameter of a loss": (
        {"loss": {"name": "huber", "delta": 0.5}},
        {"loss": {"name": "huber", "delta": 2.0}},
        {},
    ),
    "l1 and l2, one of them 0": (
        hidden(kernel_regularizer={"name": "l1_l2", "l1": 0.1}),
        hidden(kernel_regularizer={"name": "l1_l2", "l2": 0.1}),
        {},
    ),
    "scaling layer": ({}, {"input": {"scaling_layer": {"learning_rate_multiplier": 2.0}}}, {}),
    "multipliers": ({}, {"learning_rate_multipliers": MULTIPLIERS}, {}),
    "decay of other weights": (
        {"optimizer": "adamw"},
        {"optimizer": "adamw", "exclude_from_weight_decay": ("biases",)},
        {},
    ),
    "initializer": ({}, hidden(kernel_initializer="zeros"), {}),
    "patience": (
        {"early_stopping": {"patience": 0}, "epochs": 12, **adam(learning_rate=0.6)},
        {"early_stopping": {"patience": 5}, "epochs": 12, **adam(learning_rate=0.6)},
        {"validation": 9},
    ),
    "warm-up": (COSINE, {"learning_rate_schedule": {"name": "cosine_decay"}}, {}),
    "rates after boundaries": (
        {"learning_rate_schedule": {"name": "piecewise_constant", "boundaries": (2,), "values": v}}
        for v in ((0.01,), (0.3,))
    ),
}
DIFFERENT["rates after boundaries"] = (*DIFFERENT["rates after boundaries"], {})


@pytest.mark.parametrize(("first", "second", "rows"), DIFFERENT.values(), ids=DIFFERENT)
def test_jobs_that_differ_in_structure_have_different_programs(first, second, rows, make_job):
    one, other = make_job(first, **rows), make_job(second, **rows)
    assert program_key(one, False) != program_key(other, False)


def test_scaling_layers_of_different_columns_have_different_programs(make_job):
    config = {"input": {"scaling_layer": {"learning_rate_multiplier": 2.0}}}
    one, other = make_job(config), make_job(config)
    ends = (("a", "b"), ("c",)), (("a",), ("b", "c"))
    for job, blocks in zip((one, other), ends, strict=True):
        layout = Layout(tuple(Block(inputs[0], "numeric", inputs) for inputs in blocks))
        network = build_network(layout, job.config.hidden, job.head.output)
        object.__setattr__(job, "network", network)
    assert program_key(one, False) != program_key(other, False)
    assert program_key(one, False, any_size=True) != program_key(other, False, any_size=True)


@pytest.mark.slow
def test_a_program_of_another_kind_in_between_changes_nothing(make_job, float64):
    job, other = make_job(momentum(), validation=9), make_job(hidden(units=5), validation=9)
    result, made = train_in_turn(
        [job, other, make_job(momentum(learning_rate=0.25), validation=9), job]
    )
    assert made == 2
    check_alike(result, alone(job))


@pytest.mark.slow
@each_compiler
def test_padding_does_not_affect_batch_normalization(make_job, float64, jit_compile):
    jobs = [make_job(NORMALIZED, rows=rows, validation=9) for rows in (16, 13)]
    result, made = train_in_turn(jobs, jit_compile)
    assert made == 1
    check_alike(result, keras_engine.fit(jobs[-1], **QUIET), 1e-9)


def test_rows_with_weights_and_without_have_different_programs(make_job):
    plain, weighted = make_job(), make_job(weighted="train")
    assert program_key(plain, False) != program_key(weighted, False)


@pytest.mark.slow
def test_an_interrupted_training_does_not_affect_the_next(make_job, float64):
    def end_it(epoch, values):
        raise KeyboardInterrupt

    programs = ProgramCache()
    job = make_job({**momentum(), **STOPPING, "metrics": ("mae",)}, validation=9)
    with pytest.raises(KeyboardInterrupt):
        compiled_engine.run(job, False, end_it, programs=programs)
    result = compiled_engine.run(job, False, programs=programs, **QUIET)
    assert programs.made == 1
    check_alike(result, alone(job))


@pytest.mark.slow
def test_two_runs_of_a_job_in_one_program_have_the_same_bits(make_job):
    job = make_job({**hidden(dropout=0.3), **momentum()}, validation=9)
    once, _ = train_in_turn([job])
    again, _ = train_in_turn([job, make_job({**hidden(dropout=0.5), **momentum()}, rows=15), job])
    assert {k: v.tobytes() for k, v in once.weights.items()} == {
        k: v.tobytes() for k, v in again.weights.items()
    }
    assert once.history == again.history


ACTIVATIONS = sorted({*members_of(Activation)} - {"threshold", "linear", "tanh"})
RARER_OPTIMIZERS = sorted(
    {*members_of(Optimizer)} - {*OPTIMIZERS_BY_SHAPE} - {"sgd", "adam", "adamw"}
)
OF_ANY_SIZE = {
    "dropout": {**hidden(dropout=0.3), "metrics": ("mae",)},
    "batch normalization": hidden(batch_normalization=True),
    "regularizers": hidden(kernel_regularizer={"name": "l2", "l2": 0.01}, bias_regularizer="l1"),
    "no bias": hidden(use_bias=False),
    "parameters": hidden(activation={"name": "leaky_relu", "negative_slope": 0.4}),
    "early stopping": {**hidden(), "early_stopping": {"patience": 2}},
    "plateau": {**hidden(), "learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 1}},
    "cosine": {**hidden(), **COSINE},
    "restarts": {**hidden(), **RESTARTS},
    "scaling layer": {**hidden(), "input": {"scaling_layer": {"learning_rate_multiplier": 2.0}}},
    "multipliers": {**hidden(), "learning_rate_multipliers": MULTIPLIERS},
    "multipliers of adam": {**hidden(), **adam(), "learning_rate_multipliers": MULTIPLIERS},
    "falling": {**hidden(), **FALLING},
    "norm": {**hidden(), "optimizer": {"name": "sgd", "global_clipnorm": 0.1}},
    "average": {**hidden(), "optimizer": {"name": "adam", "use_ema": True}},
    "amsgrad": {**hidden(), "optimizer": {"name": "adam", "amsgrad": True}},
    "classes": {**hidden(), **adam(), "metrics": ("accuracy", "f1"), "class_weight": "balanced"},
    "labels": {**hidden(), **adam(), "metrics": ("auc",)},
    "weights": {**hidden(), "metrics": ("r2",)},
    **{name: {**hidden(), "optimizer": name} for name in ("adamw", *RARER_OPTIMIZERS)},
    **{
        " ".join(names): {"hidden": tuple({"activation": name} for name in names), **adam()}
        for names in (ACTIVATIONS[at::6] for at in range(6))
    },
}
"""The units of the layers are chosen by the test; a single layer is meant twice."""
ROWS_OF_ANY_SIZE = {
    "classes": {"target": "four"},
    "labels": {"target": "labels"},
    "weights": {"weighted": "train validation"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        # SGD and Adam are in other cases; the rarer optimizers read no shape either.
        pytest.param(case, marks=pytest.mark.release if case in RARER_OPTIMIZERS else ())
        for case in OF_ANY_SIZE
    ],
)
def test_jobs_of_any_batch_size_and_units_share_a_graph_and_have_the_bits_of_their_own(
    make_job, case
):
    config, rows = OF_ANY_SIZE[case], ROWS_OF_ANY_SIZE.get(case, {})
    programs = ProgramCache(any_size=True)
    for batch_size, units in ((4, (4, 3)), (1, (7, 2)), (30, (2, 5))):
        given = config["hidden"] if len(config["hidden"]) > 1 else 2 * config["hidden"]
        widths = cycle(units)
        layers = tuple({**layer, "units": next(widths)} for layer in given)
        changed = {**config, "hidden": layers, "batch_size": batch_size}
        job = make_job(changed, rows=23, validation=9, **rows)
        result = compiled_engine.run(job, False, programs=programs, **QUIET)
        expected, _ = train_in_turn([job])
        assert result.history == expected.history
        for name, weight in expected.weights.items():
            np.testing.assert_array_equal(result.weights[name], weight, err_msg=name)
    assert programs.made == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {**hidden(), "optimizer": "muon"},
        {**hidden(), "optimizer": {"name": "adam", "gradient_accumulation_steps": 2}},
        hidden(kernel_regularizer="orthogonal_regularizer"),
        {**hidden(), "precision": "mixed_bfloat16"},
    ],
)
def test_jobs_whose_operations_follow_from_shapes_share_no_graph(make_job, config):
    (layer,) = config["hidden"]
    programs = ProgramCache(any_size=True)
    for units in (4, 7):
        job = make_job({**config, "hidden": (layer | {"units": units},), "epochs": 1})
        compiled_engine.run(job, False, programs=programs, **QUIET)
    assert programs.made == 2


@pytest.mark.slow
def test_a_job_that_runs_out_of_memory_leaves_the_graph_to_others(make_job, monkeypatch):
    programs = ProgramCache(any_size=True)
    first, second, third = (make_job({"batch_size": size, "epochs": 1}) for size in (4, 5, 6))
    compiled_engine.run(first, False, programs=programs, **QUIET)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(compiled_engine, "build_learner", Mock(side_effect=MemoryError))
        compiled_engine.run(second, False, programs=programs, **QUIET)
    compiled_engine.run(third, False, programs=programs, **QUIET)
    assert programs.made == 1


@pytest.mark.slow
def test_jobs_with_initial_weights_share_nothing(make_job):
    start = alone(make_job()).weights
    programs = ProgramCache()
    compiled_engine.run(make_job(initial_weights=start), False, programs=programs, **QUIET)
    assert programs.made == 0


@pytest.mark.slow
def test_the_rows_of_a_job_are_released_at_its_end(make_job):
    programs, job = ProgramCache(), make_job(rows=16)
    with programs.program(job, False) as program:
        block = weakref.ref(program.train.matrix)
        assert block() is not None
    gc.collect()
    assert block() is None


@pytest.mark.slow
def test_the_graph_of_a_job_is_released_at_its_end_whatever_its_activations(make_job, monkeypatch):
    graphs, run = [], ResidentProgram.run_epochs

    def recorded(*given):
        graphs.append(weakref.ref(tf.compat.v1.get_default_graph()))
        return run(*given)

    monkeypatch.setattr(ResidentProgram, "run_epochs", recorded)
    names = {*members_of(Activation)} - {"threshold"}  # which has no default
    layers = tuple({"units": 2, "activation": {"name": name}} for name in sorted(names))
    compiled_engine.run(make_job({"hidden": layers, "epochs": 1}), False, **QUIET)
    gc.collect()
    assert [graph() for graph in graphs] == [None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "gpus", "functions"),
    [("float32", [], True), ("mixed_bfloat16", [], False), ("float32", ["GPU:0"], False)],
)
def test_a_graph_keeps_its_loops_as_functions_in_float32_on_one_device(
    make_job, monkeypatch, precision, gpus, functions
):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    traced, make = [], ResidentProgram.traced

    def record(*given):
        traced.append(make(*given))
        return traced[-1]

    monkeypatch.setattr(ResidentProgram, "traced", record)
    compiled_engine.run(make_job({"epochs": 1, "precision": precision}), False, **QUIET)
    nodes = traced[0].graph.as_graph_def().node
    (loop,) = (node for node in nodes if node.op in ("While", "StatelessWhile"))
    assert ("_lower_using_switch_merge" not in loop.attr) is functions


@pytest.mark.slow
@each_compiler
def test_parallel_jobs_share_a_program_and_have_separate_variables(make_job, jit_compile):
    jobs = [make_job({**momentum(), "seed": seed}) for seed in (1, 2, 3)]
    apart = [
        compiled_engine.run(job, jit_compile, programs=ProgramCache(), **QUIET) for job in jobs
    ]
    programs, begun, traced = ProgramCache(), Barrier(3), []

    def train(job):
        def progress(epoch, values):
            if epoch == 1:
                begun.wait(60)  # all of them are between two epochs now

        return compiled_engine.run(job, jit_compile, progress, programs=programs)

    run = ResidentProgram.run_epochs
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(3) as pool:
        patch.setattr(ResidentProgram, "run_epochs", lambda *given: traced.append(1) or run(*given))
        at_once = [*pool.map(train, jobs)]
    assert (programs.made, len(traced)) == (1, 1)
    for one, other in zip(apart, at_once, strict=True):
        assert one.history == other.history
        for name, array in one.weights.items():
            np.testing.assert_array_equal(array, other.weights[name])


@pytest.mark.slow
def test_another_job_follows_one_that_ran_out_of_memory(make_job, monkeypatch):
    programs = ProgramCache()
    first, second = make_job(), make_job({"batch_size": 8})

    def fail(*_):
        raise MemoryError

    compiled_engine.run(first, False, programs=programs, **QUIET)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr("dlcli.training.compiled_program.DeviceRows.of", fail)
        compiled_engine.run(second, False, programs=programs, **QUIET)
    result = compiled_engine.run(first, False, programs=programs, **QUIET)
    check_alike(result, alone(first), 1e-6)


def test_the_least_recently_used_program_is_dropped_first(make_job, monkeypatch):
    monkeypatch.setattr("dlcli.training.compiled_engine.MOST_PROGRAMS", 2)
    programs = ProgramCache()
    jobs = [make_job({"batch_size": size, "epochs": 1}) for size in (2, 3, 4)]
    for job in (jobs[0], jobs[1], jobs[0], jobs[2], jobs[0], jobs[1]):
        with programs.program(job, False):
            pass
    assert programs.made == 4
    assert MOST_PROGRAMS > 2


def test_the_name_of_a_run_makes_no_other_program_but_xla_does(make_job):
    assert program_key(make_job(), False) == program_key(make_job({"name": "other"}), False)
    assert program_key(make_job(), False) != program_key(make_job(), True)


def test_xla_compiles_one_program_at_a_time(make_job, monkeypatch):
    """Each takes a few hundred megabytes while it is compiled."""
    running, most = 0, 0

    def compiling(*_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.05)
        running -= 1

    monkeypatch.setattr(ResidentProgram, "traced", lambda *_: compiling)
    jobs = [make_job(hidden(activation=each)) for each in ("tanh", "relu")]
    programs = [ResidentProgram(job, build_learner(job), jit_compile=True) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(program.run, *[None] * 4) for program in programs]:
            done.result()
    assert most == 1
