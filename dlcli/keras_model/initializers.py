"""Keras's initializers, each with a stream of its own from the one seed."""

from __future__ import annotations

import inspect
import zlib
from typing import Any

import keras
import numpy as np


def seeded(
    kind: str,
    seed: int,
    weight: str,
    **parameters: Any,  # noqa: ANN401
) -> keras.initializers.Initializer:
    """An initializer for one array.

    Args:
        kind: its class in Keras.
        seed: what the first weights follow from.
        weight: the array's name, so that it follows from nothing but the seed and that.
        parameters: what the class takes.
    """
    initializer = getattr(keras.initializers, kind)
    if "seed" in inspect.signature(initializer).parameters:
        stream = np.random.SeedSequence([seed, zlib.crc32(weight.encode())])
        parameters["seed"] = int(stream.generate_state(1)[0] >> 1)
    return initializer(**parameters)
