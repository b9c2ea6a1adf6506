"""Layers, a loss and optimizers of Keras with fewer or faster operations, for the compiled engine.

A program is traced operation by operation, at half a millisecond each, and as a graph starts each
of them in every step. What is here has the mathematics of Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

MOST_SUMMED_INPUTS = 1024
"""Most inputs of a unit whose products are summed: with more, the product of matrix and vector is
the faster one, as these come from the gathered rows, which sums would gather twice."""


@dataclass
class BatchShare:
    """A share of the rows of a batch."""

    positions: tf.Tensor | None = None
    """Their indices in the whole batch, int64 (rows,); `None` if it has all of them."""
    real: tf.Tensor | None = None
    """1 for a row, 0 for padding, (rows,); `None` if there is no padding."""


def silu(x: tf.Tensor) -> tf.Tensor:
    """Return `x σ(x)`, as Keras's `silu` does.

    TensorFlow's own function registers its gradient permanently, and with it the graph of each
    training: a program that trains again and again would need more and more memory.
    """
    return x * tf.sigmoid(x)


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the mean and variance of the whole batch without padding.

    Args:
        share: the rows of a batch.
        sum_over_workers: in a cluster, adds up the same tensor of all workers.
        settings: the arguments of Keras's layer.
    """

    def __init__(
        self,
        share: BatchShare,
        sum_over_workers: Callable[[tf.Tensor], tf.Tensor] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**settings)
        self._share = share
        self._sum = sum_over_workers

    def _moments(self, inputs: tf.Tensor, mask: None) -> tuple[tf.Tensor, tf.Tensor]:
        if self._sum is None and self._share.real is None:
            moments: tuple[tf.Tensor, tf.Tensor] = super()._moments(inputs, mask)
            return moments
        # In float32 at least, as Keras computes them, and around the mean, so that little cancels.
        kind = tf.float32 if inputs.dtype in (tf.float16, tf.bfloat16) else inputs.dtype
        add_up = self._sum or tf.identity
        x, real = tf.cast(inputs, kind), self._share.real
        real = tf.ones(tf.shape(x)[:1], kind) if real is None else tf.cast(real, kind)
        weights = real[:, tf.newaxis]
        total = add_up(tf.concat([tf.reduce_sum(weights * x, 0), tf.reduce_sum(weights, 0)], 0))
        mean = total[:-1] / total[-1]
        deviations = add_up(tf.reduce_sum(weights * tf.square(x - mean), 0))
        return tf.cast(mean, inputs.dtype), tf.cast(deviations / total[-1], inputs.dtype)


class SummedDense(keras.layers.Dense):
    """A Dense layer of one unit, as products that are summed over the inputs.

    XLA would fuse the activation before it into the product of matrix and vector, and compute it
    anew for each term of the kernel's gradient, column by column: half of a step's time with 4,096
    rows of 825 units. It fuses the sums as well, but in the order of the rows in memory.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ANN401
        """Map (rows, inputs) to (rows, 1)."""
        if inputs.shape[-1] > MOST_SUMMED_INPUTS:
            return super().call(inputs, training=training)
        x = keras.ops.sum(inputs * keras.ops.transpose(self.kernel), axis=-1, keepdims=True)
        if self.bias is not None:
            x += self.bias
        return x if self.activation is None else self.activation(x)


class BiasedDense(keras.layers.Dense):
    """A Dense layer that adds the bias as Keras does, where the number of units is not known."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ANN401
        """Map (rows, inputs) to (rows, units)."""
        x = keras.ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            x = tf.nn.bias_add(x, self.bias)
        return x if self.activation is None else self.activation(x)


class OneHotCrossentropy(keras.losses.CategoricalCrossentropy):
    """Keras's sparse categorical cross-entropy, by way of one-hot labels.

    Where operations have to be deterministic, TensorFlow gathers the probability of each row's
    class by some 30 operations, and its gradient by 140. Here it is a product and a sum.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Map class indices (rows,) and probabilities (rows, classes) to losses (rows,)."""
        labels = tf.one_hot(tf.cast(y_true, tf.int32), y_pred.shape[-1], dtype=y_pred.dtype)
        # Keras's softmax leaves these for its losses.
        if (logits := getattr(y_pred, "_keras_logits", None)) is None:
            return super().call(labels, y_pred)
        return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, which computes once a step what Keras computes for each weight.

    That is the rate: that of the schedule, and that after the correction of bias. AMSGrad is left
    to Keras, and gradients of some rows of a weight alone, as those of embeddings.
    """

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        if self.weight_decay is None:
            return
        kind = variables[0].dtype
        decay, rate = tf.cast(self.weight_decay, kind), tf.cast(self.learning_rate, kind)
        for variable in variables:
            if self._use_weight_decay(variable):
                variable.value.assign_sub(variable.value * decay * rate, read_value=False)

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: tf.Tensor
    ) -> None:
        kind = trainable_variables[0].dtype
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, kind)
        power1, power2 = (tf.pow(tf.cast(beta, kind), step) for beta in (self.beta_1, self.beta_2))
        rate = tf.cast(learning_rate, kind) * tf.sqrt(1 - power2) / (1 - power1)
        share1, share2 = (tf.constant(1 - beta, kind) for beta in (self.beta_1, self.beta_2))
        epsilon = tf.constant(self.epsilon, kind)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
                self.update_step(gradient, variable, learning_rate)
                continue
            index = self._get_variable_index(variable)
            momentum, velocity = self._momentums[index].value, self._velocities[index].value
            m, v = momentum.value(), velocity.value()
            m += (gradient - m) * share1
            v += (tf.square(gradient) - v) * share2
            momentum.assign(m, read_value=False)
            velocity.assign(v, read_value=False)
            variable.value.assign_sub(m * rate / (tf.sqrt(v) + epsilon), read_value=False)


class FusedAdamW(FusedAdam, keras.optimizers.AdamW):
    """The same with decoupled weight decay."""


COMPACT: Mapping[str, Any] = {
    "Adam": FusedAdam,
    "AdamW": FusedAdamW,
    "SparseCategoricalCrossentropy": OneHotCrossentropy,
}
"""The losses and optimizers by the names of Keras's classes."""
