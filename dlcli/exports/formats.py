"""The formats of `dlcli export`; to add one, write a module with a `FORMAT` and list it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from dlcli.exports.model_interface import ModelFormat
    from dlcli.runs.run import Run

FormatName = Literal["onnx", "saved_model", "litert", "keras", "mlflow", "python", "card"]


class Entry(NamedTuple):
    """A format for the help of the command, with its module."""

    module: str
    """The module of this package with its `FORMAT`; it is imported when it is used."""
    summary: str
    """Description of the exported files, in lower case and without a period."""


ENTRIES: Mapping[FormatName, Entry] = {
    "onnx": Entry(
        "onnx_format",
        "preprocessing, network and the conversion of its outputs, in one graph for ONNX Runtime",
    ),
    "saved_model": Entry("saved_model_format", "the same graph as a TensorFlow SavedModel"),
    "litert": Entry(
        "litert_format", "the network for LiteRT; clients encode categories, texts and dates"
    ),
    "keras": Entry("keras_format", "only the network, for encoded rows"),
    "mlflow": Entry("mlflow_format", "a model for MLflow, which predicts without TensorFlow"),
    "python": Entry("python_script", "a script that trains the same network with pandas and Keras"),
    "card": Entry("model_card", "a model card in Markdown"),
}


class FolderFormat(NamedTuple):
    """A format of files that are not compared with dlcli, such as a script."""

    write: Callable[[Run, Path], object]
    """Writes a run to a new folder."""


class TextFormat(NamedTuple):
    """A format of a single text."""

    text: Callable[[Run], str]
    """Returns the text of a run."""


Format: TypeAlias = "ModelFormat | FolderFormat | TextFormat"


def load_format(name: FormatName) -> Format:
    """Import the module of a format, and return the format."""
    module = import_module(f"dlcli.exports.{ENTRIES[name].module}")
    found: Format = module.FORMAT
    return found
