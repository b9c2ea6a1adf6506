"""Initial weights, engine, device, threads, and equal bits of two trainings."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.forked import Process
from dlcli.columns.layout import plain_layout
from dlcli.config.config_file import load_config
from dlcli.config.config_schema import CompiledEngine, KerasEngine
from dlcli.errors import ConfigError, UsageError
from dlcli.network.layers import build_network
from dlcli.pipeline.train_run import train as train_config
from dlcli.training import engines
from dlcli.training.engines import prepare_device
from dlcli.training_job import choose_engine
from tests.training.own_process import ENGINES, REPEATED, fingerprint


def chosen(job, rows=None):
    return choose_engine(job.config, job.network, rows or len(job.train.inputs))


TUTORIAL = {"hidden": ({"units": 1},), "epochs": 1000, "batch_size": 32}
LONG = {"epochs": 20_000, "batch_size": 4}


def test_the_tutorials_job_is_a_graph(make_job):
    assert chosen(make_job(TUTORIAL, rows=4)) == CompiledEngine(jit_compile=False)


def test_many_steps_are_worth_compiling(make_job):
    assert chosen(make_job(LONG, rows=13)) == CompiledEngine(jit_compile=True)


def test_large_steps_are_worth_compiling(make_job):
    wide = {"hidden": ({"units": 1000}, {"units": 1000}), "epochs": 20, "batch_size": 1024}
    assert chosen(make_job(wide), rows=100_000) == CompiledEngine(jit_compile=True)


def test_early_stopping_leaves_fewer_steps(make_job):
    settings = {**LONG, "epochs": 2000}
    stopping = {"early_stopping": {"patience": 10, "monitor": "loss"}}
    assert chosen(make_job(settings), rows=13) == CompiledEngine(jit_compile=True)
    assert chosen(make_job({**settings, **stopping}), rows=13) == CompiledEngine(jit_compile=False)


def test_many_weights_are_worth_compiling_for_fewer_steps(make_job):
    settings = {"hidden": ({"units": 64},), "epochs": 20, "batch_size": 32}
    few = make_job(settings)
    wide = build_network(plain_layout(5000), few.config.hidden, few.head.output)
    many = dataclasses.replace(few, network=wide)
    assert chosen(few, rows=2000) == CompiledEngine(jit_compile=False)
    assert chosen(many, rows=2000) == CompiledEngine(jit_compile=True)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_a_graph_however_long(precision, make_job):
    job = make_job({**LONG, "precision": precision})
    assert chosen(job) == CompiledEngine(jit_compile=False)


def test_the_keras_engine_is_used_on_request(make_job):
    assert chosen(make_job({**LONG, "engine": {"name": "keras"}})) == KerasEngine()


@pytest.mark.parametrize("jit_compile", [True, False])
def test_an_explicit_choice_is_kept(jit_compile, make_job):
    engine = {"name": "compiled", "jit_compile": jit_compile}
    for config in (TUTORIAL, LONG):
        assert chosen(make_job({**config, "engine": engine})).jit_compile is jit_compile


def test_a_gpu_that_is_not_there_is_a_config_error():
    with pytest.raises(ConfigError) as caught:
        prepare_device("gpu", "auto")
    assert caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert problem.path == "device"
    assert problem.message.startswith("TensorFlow finds no GPU on this machine; use auto or cpu")


@pytest.mark.parametrize(("worker", "chosen"), [(0, "GPU:0"), (1, "GPU:1"), (5, "GPU:1")])
def test_each_worker_of_a_machine_takes_one_of_its_gpus(worker, chosen, monkeypatch):
    visible = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0", "GPU:1"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda gpus, _: visible.extend(gpus))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)

    device = prepare_device("auto", "auto", worker)

    assert (device.name, device.gpus, visible) == ("gpu", 2, [chosen])


def test_threads_are_set_before_the_first_operation(make_job, train):
    train(make_job({"epochs": 1}), "graph")
    running = prepare_device("auto", "auto").threads
    assert prepare_device("auto", running).threads == running
    with pytest.raises(UsageError, match=f"with threads: {running}; set this number"):
        prepare_device("auto", 63)


def test_a_fork_of_a_process_that_trains_is_refused_as_it_would_hang(tmp_path):
    def train_in_fork():
        with pytest.raises(UsageError, match=r"forked process.*get_context\('spawn'\)"):
            prepare_device("cpu", "auto")
        return 0

    prepare_device("cpu", "auto")
    ended = Process(train_in_fork, tmp_path, tmp_path).wait(60)
    assert (ended.code, ended.errors) == (0, "")


@pytest.mark.parametrize(
    "scope",
    [lambda: tf.Graph().as_default(), lambda: tf.distribute.OneDeviceStrategy("cpu").scope()],
    ids=["graph", "strategy"],
)
def test_training_within_another_program_is_refused(scope):
    with scope(), pytest.raises(UsageError, match="can't train inside tf.Graph.as_default"):
        prepare_device("cpu", "auto")


@pytest.mark.parametrize("before", [(False, False), (True, True)])
def test_settings_of_the_process_are_the_programs_again_when_no_training_goes_on(before):
    trainings = engines._Trainings()
    engines._change(*before)
    try:
        with trainings.deterministic():
            with trainings.deterministic():
                pass
            assert engines._settings() == (True, True)
        assert engines._settings() == before
    finally:
        engines._change(True, True)


@pytest.mark.slow
def test_a_program_uses_tensorflow_as_before_a_training(forks):
    assert forks.run("a host", module="tests.training.own_process").output == "as before\n"


@pytest.mark.slow
def test_device_and_threads_are_recorded(forks):
    everything = len(os.sched_getaffinity(0))
    recorded = {
        case: forks.run(case, module="tests.training.own_process")
        for case in ("one thread", "all threads", "threads taken before")
    }
    assert {case: ended.output for case, ended in recorded.items()} == {
        "one thread": "cpu 1\n",
        "all threads": f"cpu {everything}\n",
        "threads taken before": f"cpu {everything}\n",
    }


@pytest.mark.slow
def test_training_starts_from_given_weights(make_job, train, engine):
    # A step of 1e-30 is lost in float32, so that the weights stay where they started.
    still = {"optimizer": {"name": "sgd", "learning_rate": 1e-30}, "epochs": 1}
    shapes = {weight.name: weight.shape for weight in make_job().network.weights}
    start = {name: np.full(shape, 0.25, np.float32) for name, shape in shapes.items()}
    result = train(make_job(still, initial_weights=start), engine)
    assert {name: set(array.ravel()) for name, array in result.weights.items()} == {
        name: {0.25} for name in shapes
    }


@pytest.mark.slow
@pytest.mark.usefixtures("no_linear_baseline")
def test_initial_weights_of_another_shape_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("line.csv").write_text("x,y\n1,1\n2,2\n3,3\n4,4\n")
    text = "data: {train: line.csv, target: y}\nhidden: [{units: 3}]\nepochs: 2\n"
    Path("c.yaml").write_text(text)
    begin = "initial_weights=first"
    train_config(load_config(Path("c.yaml")), Path("first"))
    train_config(load_config(Path("c.yaml"), [begin]), Path("second"))
    wider = load_config(Path("c.yaml"), [begin, "hidden[0].units=4"])
    with pytest.raises(ConfigError) as caught:
        train_config(wider, Path("third"))
    assert caught.value.exit_code == 2
    shapes = "a different network: the shape of 'hidden_1/kernel' is (1, 3) there and (1, 4) here"
    assert shapes in str(caught.value)
    assert Path("second").exists()
    assert not Path("third").exists()


@pytest.mark.slow
def test_a_process_of_its_own_trains_the_same_bits(make_job, train, forks):
    """Though it has trained nothing before, and this one may have."""
    here = {engine: fingerprint(train(make_job(**REPEATED), engine)) for engine in ENGINES}
    ended = forks.run("fingerprints", module="tests.training.own_process")
    assert ended.output == "".join(f"{engine} {bits}\n" for engine, bits in here.items()), (
        ended.errors
    )
    assert len({*here.values()}) == len(here)


@pytest.mark.slow
def test_another_seed_trains_other_weights(make_job, train):
    first = train(make_job({"seed": 0}), "graph")
    second = train(make_job({"seed": 1}), "graph")
    assert (first.weights["hidden_1/kernel"] != second.weights["hidden_1/kernel"]).all()
