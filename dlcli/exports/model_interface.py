"""The inputs and outputs of an exported model, and the values that clients send.

There is one input for each column that the network reads. A format that can't express a step either
refuses the export with the column's name, or describes the step in the model's documentation for
the client to perform. `ModelFormat.values` performs these steps.
"""

from __future__ import annotations

import keyword
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.column_exports import ModelInput, as_code
from dlcli.columns.registry import FeatureEncoder
from dlcli.prediction.predictions import Intervals, Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table
from dlcli.tasks.classification import Multilabel
from dlcli.tasks.task import Task

Arrays = Mapping[str, NDArray[Any]]
"""Values of inputs or outputs by name; the first axis is the rows."""
Runner = Callable[[Arrays], dict[str, NDArray[Any]]]
"""A loaded model, a function from inputs to outputs."""

TOLERANCE = 1e-5
"""Maximum accepted difference of a number, as a share of the output's scale."""


@dataclass(frozen=True)
class ModelOutput:
    """One output of an exported model, with one entry per row."""

    name: str
    type: str
    """NumPy's name of the type; `string` for texts."""
    shape: tuple[int, ...]
    """The shape of a row's entry; () for a single value."""
    meaning: str


def outputs_of(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Return predictions as the outputs of an exported model."""
    task, regions = predictions.task, predictions.regions
    found: dict[str, NDArray[Any]] = {}
    if task.outcome == "numbers":
        found["prediction"] = predictions.values
        if isinstance(regions, Intervals):
            found |= {"lower": regions.array[:, :, 0], "upper": regions.array[:, :, 1]}
        if task.width == 1:
            found = {name: values[:, 0] for name, values in found.items()}
        return {**found, "quantiles": predictions.decoded} if task.levels else found
    if task.outcome == "classes":
        found["prediction"] = task.class_values[predictions.values]
    else:
        is_boolean = isinstance(task, Multilabel) and task.stored == "boolean"
        found["prediction"] = predictions.values.astype(np.bool_ if is_boolean else np.int64)
    if predictions.probabilities is None:
        found["margin"] = predictions.decoded[:, 0].astype(np.float32)
    else:
        found["probabilities"] = predictions.probabilities.astype(np.float32)
    if regions is not None:
        found["prediction_set"] = regions.array
    return found


def outputs_of_model(predictor: Predictor) -> tuple[ModelOutput, ...]:
    """Describe the outputs of an exported model, derived from one row."""
    outputs, meanings = outputs_of(predictor.predict_zeros()), _meanings(predictor)
    return tuple(
        ModelOutput(name, type_name(values), values.shape[1:], meanings[name])
        for name, values in outputs.items()
    )


def type_name(values: NDArray[Any]) -> str:
    """Return NumPy's name of the type of values; `string` for texts."""
    return "string" if values.dtype == object else str(values.dtype)


def _meanings(predictor: Predictor) -> dict[str, str]:
    task = predictor.task
    each = [*map(as_code, task.names or task.columns)]
    names = ", ".join(each)
    of_columns = f": {names}" if task.width > 1 else ""
    prediction = {
        "numbers": f"The predicted value in the target's unit{of_columns}.",
        "classes": class_meaning(task),
        "labels": f"1 for each label that the row has: {names}.",
    }[task.outcome]
    level = f"{100 * predictor.level:g} %"
    return {
        "prediction": prediction,
        "quantiles": quantiles_meaning(task),
        "probabilities": f"The probabilities of {names}.",
        "margin": f"Above 0 for {each[-1]}.",
        "lower": f"The lower end of the {level} prediction interval.",
        "upper": f"The upper end of the {level} prediction interval.",
        "prediction_set": f"Whether each class is in the {level} prediction set: {names}.",
    }


def quantiles_meaning(task: Task) -> str:
    """Return the meaning of predicted quantiles."""
    return f"The quantiles of the levels {', '.join(map(str, task.levels))}."


def class_meaning(task: Task) -> str:
    """Return the meaning of a predicted class, with the decision."""
    if task.decision is None:
        return "The predicted class."
    return f"The predicted class: {task.decision.describe([*map(as_code, task.classes)])}."


@dataclass(frozen=True)
class Exported:
    """A run's predictor with its inputs and outputs in an exported model."""

    predictor: Predictor
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]


def columns_of(predictor: Predictor) -> Iterator[tuple[FeatureEncoder, Notation]]:
    """Yield the encoders of a run with the notation of each column."""
    for feature in predictor.encoding.features:
        yield feature, predictor.notation(feature.column)


def with_signature_names(inputs: Iterable[ModelInput]) -> tuple[ModelInput, ...]:
    """Return inputs with names that TensorFlow can load in a signature.

    TensorFlow converts the names to names of Python parameters. `_` is appended to a name that
    becomes a keyword or another input's name, and replaces characters such as `²` in `km²`.
    """
    taken, named = {*keyword.kwlist}, []
    for each in inputs:
        name = "".join(c if f"a{c}".isidentifier() or not c.isalnum() else "_" for c in each.name)
        while (parameter := _parameter(name)) in taken:
            name += "_"
        taken.add(parameter)
        advice = each.advice if name == each.name else (f"Column '{each.name}'.", *each.advice)
        named.append(replace(each, name=name, advice=advice))
    return tuple(named)


def _parameter(name: str) -> str:
    """Return the parameter name that TensorFlow derives from a name."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain[0].isalpha() else f"arg_{plain}"


class ModelFormat(ABC):
    """A format of models that a runtime can run."""

    usage: ClassVar[str]
    """An example in Python, for the documentation, with `{inputs}` and `{outputs}` to fill in, or
    with the number of inputs as `{width}`."""
    tolerance = TOLERANCE
    """Maximum accepted difference of a number, as a share of the output's scale."""
    bad_values = (
        "A value that `dlcli predict` refuses counts as missing here, as with "
        "`--on-bad-row warn`. If that matters, reject such values first."
    )
    """The treatment of values that can't be read, for the documentation."""
    has_intervals = True
    """True if models also compute prediction intervals or prediction sets."""
    quantized: ModelFormat | None = None
    """The same format with 8-bit weights, if there is one."""

    @property
    def has_extremes(self) -> bool:
        """True if the model is checked on numbers far outside the training range.

        With coarser rounding, no digit of such numbers is correct, or they determine the rounding
        of all other numbers in a row.
        """
        return self.tolerance == TOLERANCE

    def describe(self, predictor: Predictor) -> Exported:
        """Describe a predictor with its inputs and outputs in this format.

        Raises:
            ExportError: for a column that a model can't read, with its name.
        """
        inputs = (each.model_input(notation) for each, notation in columns_of(predictor))
        return Exported(predictor, tuple(inputs), outputs_of_model(predictor))

    @abstractmethod
    def write(self, exported: Exported, folder: Path) -> Runner | None:
        """Write the model to a folder, and return the model itself if it can't be loaded.

        Raises:
            UsageError: if required packages are not installed.
            ExportError: if the format can't express the model.
        """

    @abstractmethod
    def load(self, folder: Path) -> Runner | None:
        """Load the model from a folder; `None` if loading its files may run code.

        Raises:
            UsageError: if required packages are not installed.
            ExportError: if the files are not a model of this format.
        """

    def values(self, exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
        """Return the values that a client sends for the rows of a table, by input.

        Args:
            exported: the model, whose inputs are the table's columns.
            table: the table, read by the run's predictor.

        Returns:
            Arrays (rows,), or (rows, height, width, channels) for pixels; texts are objects.
        """
        pairs = zip(exported.inputs, exported.predictor.encoding.features, strict=True)
        return {each.name: feature.client_values(table) for each, feature in pairs}

    def outputs(self, predictions: Predictions) -> dict[str, NDArray[Any]]:
        """Return the expected outputs of the model for predicted rows."""
        return outputs_of(predictions)

    def example(self, each: ModelInput) -> str:
        """Return an example value of an input, as Python code."""
        raise NotImplementedError

    def usage_of(self, exported: Exported) -> str:
        """Return the example for a model, with all its inputs."""
        lines = []
        if "{inputs}" in self.usage:
            lines = [f"        {each.name!r}: {self.example(each)}," for each in exported.inputs]
        return self.usage.format(
            inputs="\n".join(lines),
            outputs=[each.name for each in exported.outputs],
            width=exported.predictor.network.inputs,
        )
