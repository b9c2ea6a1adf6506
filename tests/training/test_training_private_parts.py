"""The private parts of Keras and TensorFlow that dlcli uses.

They can change in any release. After an upgrade, these tests show which of them did.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.distribute import collective_all_reduce_strategy
from tensorflow.python.eager import context
from tensorflow.python.framework import config

PACKAGE = Path(__file__).parents[2] / "dlcli"
COLLECTIVES = collective_all_reduce_strategy.CollectiveAllReduceExtended

FUNCTIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "optimization_barrier": (xla.optimization_barrier, ["args"]),
    "enable_op_determinism": (config.enable_op_determinism, []),
    "disable_op_determinism": (config.disable_op_determinism, []),
    "is_op_determinism_enabled": (config.is_op_determinism_enabled, []),
    "wait_at_barrier": (
        context.Context.wait_at_barrier,
        ["self", "barrier_id", "timeout_in_ms"],
    ),
    "_initialize": (keras.Variable._initialize, ["self", "value"]),
    "_get_variable_index": (keras.optimizers.Adam._get_variable_index, ["self", "variable"]),
    "_use_weight_decay": (keras.optimizers.Adam._use_weight_decay, ["self", "variable"]),
    "_apply_weight_decay": (keras.optimizers.Adam._apply_weight_decay, ["self", "variables"]),
    "_all_reduce_sum_gradients": (
        keras.optimizers.Adam._all_reduce_sum_gradients,
        ["self", "grads_and_vars"],
    ),
    "_backend_update_step": (
        keras.optimizers.Adam._backend_update_step,
        ["self", "grads", "trainable_variables", "learning_rate"],
    ),
    "_moments": (keras.layers.BatchNormalization._moments, ["self", "inputs", "mask"]),
}
"""The functions and methods, with their parameters."""

OVERRIDDEN = {"_apply_weight_decay", "_backend_update_step", "_moments"}
"""The methods that classes of dlcli replace."""

IMPORTED = {
    "tensorflow.compiler.tf2xla.python.xla",
    "tensorflow.python.distribute.collective_all_reduce_strategy",
    "tensorflow.python.eager",
    "tensorflow.python.framework",
}
"""The private modules."""

ATTRIBUTES = {
    "_check_health_interval",
    "_iterations",
    "_keras_logits",
    "_learning_rate",
    "_momentums",
    "_velocities",
}
"""The private attributes; tests below use each of them."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_private_function_has_its_parameters(name: str) -> None:
    function, parameters = FUNCTIONS[name]

    assert [*inspect.signature(function).parameters] == parameters


def test_adam_has_its_variables() -> None:
    optimizer = keras.optimizers.Adam(0.25)
    weight = keras.Variable([1.0, 2.0])
    optimizer.build([weight])

    assert float(optimizer._learning_rate) == 0.25
    assert int(optimizer._iterations) == 0
    assert [each.shape for each in (*optimizer._momentums, *optimizer._velocities)] == [(2,), (2,)]
    assert optimizer._get_variable_index(weight) == 0


def test_an_optimizer_sums_gradients_by_the_replaced_method() -> None:
    """`list` takes its place, and must receive the pairs."""
    optimizer, received = keras.optimizers.SGD(1.0), []
    optimizer._all_reduce_sum_gradients = lambda pairs: received.extend(pairs) or received
    weight = keras.Variable([1.0])

    optimizer.apply([tf.constant([0.25])], [weight])

    assert [gradient.numpy().tolist() for gradient, _ in received] == [[0.25]]
    assert weight.numpy().tolist() == [0.75]


def test_softmax_attaches_its_logits() -> None:
    logits = tf.constant([[1.0, 2.0]])

    assert keras.activations.softmax(logits)._keras_logits is logits


def test_the_strategy_checks_the_workers_at_an_interval() -> None:
    assert COLLECTIVES._check_health_interval > 0


def test_no_other_private_part_is_used() -> None:
    used = {name for path in sources() for name in private_attributes(path)}
    defined = {name for path in sources() for name in definitions(path)}

    assert used - defined == ATTRIBUTES | {*filter(is_private, FUNCTIONS)} - OVERRIDDEN
    assert {name for path in PACKAGE.rglob("*.py") for name in private_imports(path)} == IMPORTED


def test_no_other_private_method_is_overridden() -> None:
    overridden = {name for path in sources() for name in overridden_in(path)}

    assert overridden == OVERRIDDEN


def sources() -> list[Path]:
    """The modules that load TensorFlow at import; a test of the architecture names them."""
    return [PACKAGE / "keras_model.py", *sorted((PACKAGE / "training").glob("*.py"))]


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def private_attributes(path: Path) -> Iterator[str]:
    """The private attributes in a module, except of named tuples."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(attr=name):
                pass
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"),
                args=[_, ast.Constant(value=name), *_],
            ):
                pass
            case _:
                continue
        if is_private(name) and name not in {"_asdict", "_fields", "_replace"}:
            yield name


def definitions(path: Path) -> Iterator[str]:
    """The private names that a module defines itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def private_imports(path: Path) -> Iterator[str]:
    """The private modules of Keras and TensorFlow that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(name)):
                names = [name]
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case _:
                continue
        for name in names:
            if name.startswith(("keras.src", "tensorflow.python", "tensorflow.compiler")):
                yield name


def overridden_in(path: Path) -> Iterator[str]:
    """The private names of Keras and TensorFlow that classes of a module define again."""
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    for _, kind in inspect.getmembers(module, inspect.isclass):
        bases = [base for base in kind.__mro__ if base.__module__.startswith(("keras", "tensor"))]
        if kind.__module__ == module.__name__:
            yield from (
                each
                for each in vars(kind)
                if is_private(each) and any(each in vars(base) for base in bases)
            )
