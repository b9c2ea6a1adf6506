"""The breast cancer table as a plain Keras script, as `whole_processes.SMALL_CONFIG` trains it."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import keras
import numpy as np

EPOCHS = 100

with Path("data/breast_cancer.csv").open(newline="") as stream:
    _, *lines = csv.reader(stream)
x = np.array([line[:-1] for line in lines], np.float32)
y = np.array([line[-1] == "malignant" for line in lines], np.float32)
order = np.random.default_rng(7).permutation(len(x))
train, validation, test = np.split(order, [round(0.7 * len(x)), round(0.85 * len(x))])
x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)

model = keras.Sequential(
    [
        keras.Input((x.shape[1],)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(
    x[train],
    y[train],
    epochs=EPOCHS,
    validation_data=(x[validation], y[validation]),
    verbose=0,
)
model.evaluate(x[test], y[test], verbose=0)
with tempfile.TemporaryDirectory() as folder:
    model.save(Path(folder, "model.keras"))
