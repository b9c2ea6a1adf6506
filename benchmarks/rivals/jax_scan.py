"""JAX: one compiled call per epoch, a `lax.scan` over its batches, with Adam written out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import EpochEnd, Stopwatch
from benchmarks.workloads import EncodedData, Workload

Layers = list[tuple[jax.Array, jax.Array]]
"""Kernel (inputs, units) and bias (units,) of each Dense layer."""


class State(NamedTuple):
    """The state that a step updates."""

    layers: Layers
    first: Layers
    """Adam's moving average of the gradients."""
    second: Layers
    """Adam's moving average of the squared gradients."""
    steps: jax.Array
    key: jax.Array


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Train one epoch per call; NumPy draws the row order, because it shuffles faster."""
    stopwatch, rng = Stopwatch(), np.random.default_rng(1)
    matrix, target = jnp.asarray(data.matrix), jnp.asarray(data.target)
    step = partial(_step, partial(_loss, workload))
    epoch = jax.jit(partial(_epoch, step, workload.batch_size), donate_argnums=0)
    state = _start(workload)
    for done in range(1, epochs + 1):
        order = jnp.asarray(rng.permutation(workload.rows).astype(np.int32))
        state, loss = epoch(state, matrix, target, order)
        float(loss)
        stopwatch.record(done)
    return stopwatch.ends


def _start(workload: Workload) -> State:
    key, *keys = jax.random.split(jax.random.key(0), len(workload.layers) + 1)
    glorot = jax.nn.initializers.glorot_uniform()
    layers = [
        (glorot(layer_key, shape), jnp.zeros(shape[1]))
        for layer_key, shape in zip(keys, workload.layers, strict=True)
    ]

    def zeros() -> Layers:  # a new tree each time: an array may be donated only once
        return jax.tree.map(jnp.zeros_like, layers)

    return State(layers, zeros(), zeros(), jnp.zeros((), jnp.int32), key)


def _epoch(
    step: Callable[..., tuple[State, jax.Array]],
    batch: int,
    state: State,
    matrix: jax.Array,
    target: jax.Array,
    order: jax.Array,
) -> tuple[State, jax.Array]:
    """Take a step per full batch and one for the remaining rows; return the mean loss."""

    def batch_step(state: State, index: jax.Array) -> tuple[State, jax.Array]:
        state, loss = step(state, matrix[index], target[index])
        return state, loss * index.shape[0]

    full = len(order) // batch * batch
    state, losses = jax.lax.scan(batch_step, state, order[:full].reshape(-1, batch))
    total = losses.sum()
    if full < len(order):
        state, loss = batch_step(state, order[full:])
        total += loss
    return state, total / len(order)


def _step(
    loss: Callable[..., jax.Array], state: State, matrix: jax.Array, target: jax.Array
) -> tuple[State, jax.Array]:
    key, mask_key = jax.random.split(state.key)
    value, gradients = jax.value_and_grad(loss)(state.layers, matrix, target, mask_key)
    steps = state.steps + 1
    first = jax.tree.map(lambda m, g: m + 0.1 * (g - m), state.first, gradients)
    second = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), state.second, gradients)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)

    def updated(weight: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return weight - rate * m / (jnp.sqrt(v) + 1e-7)

    layers = jax.tree.map(updated, state.layers, first, second)
    return State(layers, first, second, steps, key), value


def _loss(
    workload: Workload, layers: Layers, matrix: jax.Array, target: jax.Array, key: jax.Array
) -> jax.Array:
    for kernel, bias in layers[:-1]:
        matrix = jax.nn.relu(matrix @ kernel + bias)
        if workload.dropout:
            key, mask_key = jax.random.split(key)
            matrix = _dropout(workload.dropout, matrix, mask_key)
    kernel, bias = layers[-1]
    outputs: Any = matrix @ kernel + bias
    if workload.classes:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), target[:, None], axis=1)
        return -chosen.mean()
    return ((outputs - target) ** 2).mean()


def _dropout(rate: float, matrix: jax.Array, key: jax.Array) -> jax.Array:
    mask = jax.random.bernoulli(key, 1 - rate, matrix.shape)
    return jnp.where(mask, matrix / (1 - rate), 0.0)
