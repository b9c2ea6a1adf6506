"""The error when training runs out of memory, with what to reduce."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import tensorflow as tf

from dlcli.config.config_schema import CompiledEngine
from dlcli.errors import OutOfMemoryError
from dlcli.training import compiled_engine
from dlcli.training.engines import train_job

GRAPH = CompiledEngine(jit_compile=False)
LESS = "use fewer units or a smaller batch_size"
ON_DISK = (
    "use a smaller batch_size or fewer units, or keep the rows on disk: "
    "overrides={'data.storage': 'disk'}"
)


def exhausted(message):
    return tf.errors.ResourceExhaustedError(None, None, message)


def shortage(job, engine=GRAPH):
    with pytest.raises(OutOfMemoryError) as caught:
        train_job(job, engine, lambda *_: None)
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.fixture
def fail(monkeypatch):
    """Let the engine fail with an error."""

    def by(error):
        def run(*_):
            raise error

        monkeypatch.setattr(compiled_engine, "run", run)

    return by


def test_a_network_too_large_for_any_machine_is_reported(make_job):
    wide = {"units": 1_000_000}
    message = shortage(make_job({"hidden": (wide, wide)}))
    assert message.startswith("training ran out of memory: ")
    assert "[1000000,1000000]" in message
    assert message.endswith(f"; {LESS}")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            exhausted("Out of memory while trying to allocate 412.11MiB. [Op:__inference_run_1]"),
            ": Out of memory while trying to allocate 412.11MiB",
        ),
        (
            exhausted("Graph execution error:\n\nOOM when allocating tensor\nwith much more\n"),
            ": OOM when allocating tensor",
        ),
        (exhausted("OOM when " + 300 * "a"), ": OOM when " + 191 * "a" + "..."),
        (
            exhausted(
                "{{function_node __wrapped__Mul_device_/job:localhost/device:CPU:0}} OOM when"
            ),
            ": OOM when",
        ),
        (exhausted("OOM \x1b[31m of red"), ": OOM \\x1b[31m of red"),
        (
            tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
            ": CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        ),
        (tf.errors.UnknownError(None, None, "std::bad_alloc"), ": std::bad_alloc"),
        (MemoryError(), ""),
        (MemoryError("Unable to allocate 4. GiB"), ": Unable to allocate 4. GiB"),
    ],
)
def test_the_systems_message_is_shortened_to_a_line(error, found, fail, make_job):
    fail(error)
    assert shortage(make_job()) == f"training ran out of memory{found}; {ON_DISK}"


def test_storage_on_disk_is_proposed_if_the_rows_are_large(fail, make_job):
    fail(MemoryError())
    few = make_job({"hidden": ({"units": 1000},)}, rows=13)
    assert shortage(few) == f"training ran out of memory; {LESS}"
    many = make_job({"hidden": ()}, rows=13)
    assert shortage(many) == f"training ran out of memory; {ON_DISK}"


def test_the_memory_is_released(monkeypatch, make_job):
    held = []

    def run(*_):
        rows = np.zeros(1).view(Rows)
        held.append(weakref.ref(rows))
        raise MemoryError

    monkeypatch.setattr(compiled_engine, "run", run)
    with pytest.raises(OutOfMemoryError) as caught:
        train_job(make_job(), GRAPH, lambda *_: None)
    assert caught.value.__suppress_context__
    assert held[0]() is None


class Rows(np.ndarray):
    """An array that allows weak references."""


@pytest.mark.parametrize(
    "error", [tf.errors.InternalError(None, None, "a bug"), ValueError("out of memory")]
)
def test_other_failures_are_not_reported_as_memory(error, fail, make_job):
    fail(error)
    with pytest.raises(type(error)):
        train_job(make_job(), GRAPH, lambda *_: None)
