"""The inputs and outputs of an exported model, and what to send.

There is one input for each column that the network reads.
What a format can't express is either refused, by the column's name, or left to the client, in a
sentence of the model's documentation. `client_values` does what these sentences ask for.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.columns.boolean import BooleanEncoder
from dlcli.columns.category import CategoryEncoder
from dlcli.columns.date_time import DatetimeEncoder
from dlcli.columns.image import ImageEncoder
from dlcli.columns.image_files import image_files, read_images
from dlcli.columns.number import NumberEncoder
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.text import TextEncoder
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.encoding.encoding import Encoding
from dlcli.errors import ExportError, first_names
from dlcli.exports.agreement import TOLERANCE, Arrays, Runner, outputs_of
from dlcli.exports.date_graph import is_supported
from dlcli.exports.markdown import code
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.tables.arrow_arrays import strings
from dlcli.tables.datetime_parsing import UNIX_TICKS
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table

_INVISIBLE = re.compile("[\ufe00-\ufe0f]")
"""Variation selectors; the other invisible characters are those of Unicode's category Cf."""
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_SHOWN = 20
"""Categories that are listed, at most."""
_SHOWN_INPUTS = 12
"""Inputs of an example, at most."""


@dataclass(frozen=True)
class ModelInput:
    """One input of an exported model: a column of the table, one value a row."""

    name: str
    """The column's name, as far as the format allows it."""
    type: str
    """NumPy's name of the values' type; `string` for texts."""
    advice: tuple[str, ...]
    """The values to send, in sentences."""
    shape: tuple[int, ...] = ()
    """The shape of a row's value; of a plain one ()."""


def input_of(feature: FeatureEncoder, encoding: Encoding) -> ModelInput:
    """Describe the input of a column.

    Raises:
        ExportError: if its values can't be read within a model, with its name.
    """
    notation = encoding.notations.get(feature.column, Notation())
    shape = feature.shape if isinstance(feature, ImageEncoder) else ()
    return ModelInput(feature.column, _type_of(feature), tuple(_advice(feature, notation)), shape)


@dataclass(frozen=True)
class ModelOutput:
    """One output of an exported model, of one entry a row."""

    name: str
    type: str
    """NumPy's name of the type; `string` for texts."""
    shape: tuple[int, ...]
    """The shape of a row's entry; of a plain one ()."""
    meaning: str


def outputs_of_model(predictor: Predictor) -> tuple[ModelOutput, ...]:
    """Describe the outputs of an exported model, as those of one row show."""
    row = np.zeros((1, predictor.network.inputs), np.float32)
    outputs = outputs_of(predictor.predict_encoded(InMemoryInputs(row, ())))
    meanings = _meanings(predictor)
    return tuple(
        ModelOutput(name, type_name(values), values.shape[1:], meanings[name])
        for name, values in outputs.items()
    )


def type_name(values: NDArray[Any]) -> str:
    """Return NumPy's name of the type of values; `string` for texts."""
    return "string" if values.dtype == object else str(values.dtype)


def _meanings(predictor: Predictor) -> dict[str, str]:
    task = predictor.task
    each = [*map(code, task.names or task.columns)]
    names = ", ".join(each)
    of_columns = f": {names}" if task.width > 1 else ""
    prediction = {
        "numbers": f"The predicted value in the target's unit{of_columns}.",
        "classes": "The predicted class.",
        "labels": f"1 for each label that the row has: {names}.",
    }[task.outcome]
    share = f"contains the true value of {100 * predictor.level:g} % of rows like the training rows"
    return {
        "prediction": prediction,
        "probabilities": f"The probability of each: {names}.",
        "margin": f"Above 0 for {each[-1]}.",
        "lower": f"The lower end of the interval that {share}.",
        "upper": "Its upper end.",
        "prediction_set": f"Whether each class is in the set that {share}: {names}.",
    }


@dataclass(frozen=True)
class Exported:
    """A run's predictor with the inputs and outputs that it has in an exported model."""

    predictor: Predictor
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]

    @classmethod
    def of(cls, predictor: Predictor) -> Exported:
        """Describe a predictor as an exported model.

        Raises:
            ExportError: for a column whose values can't be read within a model, with its name.
        """
        encoding = predictor.encoding
        inputs = tuple(input_of(feature, encoding) for feature in encoding.features)
        return cls(predictor, inputs, outputs_of_model(predictor))


def with_signature_names(inputs: Iterable[ModelInput]) -> tuple[ModelInput, ...]:
    """Return inputs with names that TensorFlow can load as those of a signature.

    It makes parameters of Python of them: a name that becomes a keyword, or the same as another,
    gets `_` at its end, and a digit as in `km²` becomes `_`.
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
    """Return the parameter that TensorFlow makes of a name."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain[0].isalpha() else f"arg_{plain}"


def _type_of(feature: FeatureEncoder) -> str:
    if isinstance(feature, BooleanEncoder | NumberEncoder):
        return "float64"
    if isinstance(feature, ImageEncoder):
        return "uint8"
    if not isinstance(feature, DatetimeEncoder):
        return "string"
    if feature.timezone != "UTC":
        raise ExportError(
            f"column '{feature.column}': an exported model can't convert to the time zone "
            f"{feature.timezone}; train with timezone: UTC, or with parts of the date as columns"
        )
    if feature.formats in (("unix",), ("unix_ms",)):
        return "float64"
    if all(each not in UNIX_TICKS and is_supported(each) for each in feature.formats):
        return "string"
    formats = " or ".join(feature.formats)
    raise ExportError(
        f"column '{feature.column}': an exported model can't read dates written as {formats}; "
        "write them as 2024-12-31T23:59 and train with format: iso"
    )


def _advice(feature: FeatureEncoder, notation: Notation) -> Iterator[str]:
    """Yield what a client must know about a column."""
    if isinstance(feature, NumberEncoder):
        unit = f" in {notation.unit}" if notation.unit else ""
        yield f"A number{unit}; NaN if it is missing."
    elif isinstance(feature, BooleanEncoder):
        yield "1 for true, 0 for false; NaN if it is missing."
    elif isinstance(feature, DatetimeEncoder):
        yield _date_advice(feature)
    elif isinstance(feature, ImageEncoder):
        height, width, channels = feature.shape
        colors = "gray" if channels == 1 else "red, green, blue"
        yield (
            f"The pixels from 0 to 255 ({colors}) of the image, turned upright, on white where it "
            f"is transparent, and resized to {height} by {width} with Pillow's BILINEAR filter."
        )
    elif isinstance(feature, TextEncoder):
        yield (
            "Text; empty if it is missing. If it may have characters beyond ASCII, apply "
            "unicodedata.normalize('NFKC', text) first, then remove invisible characters: those "
            "of category Cf but U+200B, and U+FE00 to U+FE0F. A text that is only a whole number "
            "has no decimal point."
        )
    elif isinstance(feature, CategoryEncoder):
        yield "Text; empty if it is missing. Write whole numbers without a decimal point: 3."
        if feature.unseen == "error":
            known = first_names([*map(code, feature.categories)], _SHOWN)
            yield f"dlcli refuses any other value than its categories: {known}."
    if not (feature.accepts_missing or isinstance(feature, ImageEncoder)):  # pixels are there
        yield "dlcli refuses a missing value: refuse it before."


def _date_advice(feature: DatetimeEncoder) -> str:
    if feature.formats[0] in UNIX_TICKS:
        unit = "milliseconds" if feature.formats[0] == "unix_ms" else "seconds"
        return f"The {unit} since 1970-01-01T00:00Z; NaN if it is missing."
    written = " or ".join("ISO 8601" if each == "iso" else each for each in feature.formats)
    return (
        f"A date as {written}, in UTC, without an offset other than Z; empty if it is missing. Any "
        "other text counts as missing."
    )


def client_values(exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
    """Return what a client sends for the rows of a table, by input.

    Args:
        exported: the model, which takes the table's own columns.
        table: read by the run's predictor.

    Returns:
        Arrays of (rows,), for pixels (rows, height, width, channels); texts are objects.
    """
    pairs = zip(exported.inputs, exported.predictor.encoding.features, strict=True)
    return {each.name: values_of(feature, table) for each, feature in pairs}


def values_of(feature: FeatureEncoder, table: Table) -> NDArray[Any]:
    """Return what a client sends for one column of a table."""
    column = table.column(feature.column)
    if isinstance(feature, BooleanEncoder):
        return column.booleans().values
    if isinstance(feature, ImageEncoder):
        codes, files = image_files(table, feature.column)
        pixels, _ = read_images(files, feature.shape)
        padded = np.concatenate([pixels, np.zeros((1, pixels.shape[1]), np.uint8)])
        return padded[codes].reshape(-1, *feature.shape)
    if _type_of(feature) == "float64":
        return column.numbers().values
    texts = column.values if column.kind == "text" else column.canonical()
    values = pc.fill_null(texts, strings([""], texts.type)[0]).to_pylist()
    if isinstance(feature, TextEncoder):
        values = [*map(plain_text, values)]
    return np.array(values, dtype=object)


def example_inputs(exported: Exported, example: Callable[[ModelInput], str]) -> Iterator[str]:
    """Yield the lines of the first inputs in an example in Python.

    Args:
        exported: the model.
        example: returns the code of a value of an input.
    """
    for each in exported.inputs[:_SHOWN_INPUTS]:
        yield f"        {each.name!r}: {example(each)},"
    if len(exported.inputs) > _SHOWN_INPUTS:
        yield "        ...,"


def plain_text(text: str) -> str:
    """Do what the documentation asks for texts: normalize them, and remove what is invisible."""
    if whole := _WHOLE.fullmatch(text.strip()):
        return whole[1]
    if text.isascii():
        return text
    normal = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    kept = (sign for sign in normal if unicodedata.category(sign) != "Cf" or sign == "\u200b")
    return "".join(kept)


@dataclass(frozen=True)
class ModelFormat:
    """A format of models that run."""

    describe: Callable[[Predictor], Exported]
    """Describes a predictor with the inputs and outputs that it has in this format."""
    write: Callable[[Exported, Path], Runner | None]
    """Writes the model to a folder; returns the model itself if it can't be loaded."""
    load: Callable[[Path], Runner] | None
    """Loads it from there; `None` for a format whose files may run code when they are loaded."""
    usage: Callable[[Exported], str]
    """An example in Python, for the documentation."""
    values: Callable[[Exported, Table], Arrays] = client_values
    """Returns what a client sends for the rows of a table."""
    outputs: Callable[[Predictions], Arrays] = outputs_of
    """Returns what the model should compute for predicted rows."""
    tolerance: float = TOLERANCE
    """Largest difference of a number, as a share of the output's scale."""
