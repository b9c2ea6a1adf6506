"""The tutorial's first network as a plain Keras script; it prints the seconds of `fit`."""

from __future__ import annotations

import time

import keras
import numpy as np

x = np.array([[0.0], [1.0], [2.0], [3.0]])
y = np.array([[0.0], [1.0], [2.0], [3.0]])

model = keras.Sequential(
    [
        keras.Input((1,)),
        keras.layers.Dense(1, activation="linear"),
        keras.layers.Dense(1, activation="linear"),
    ]
)
model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mean_squared_error")
start = time.perf_counter()
model.fit(x, y, epochs=1000, verbose=0)
print(time.perf_counter() - start)
model.predict(x, verbose=0)
