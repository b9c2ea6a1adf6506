"""Export to TensorFlow's SavedModel: a graph of lookup tables and `tf.strings`, without Python.

The model has the format of TensorFlow 1, which all loaders read. Its signatures keep the columns'
names as far as loaders support them; the inputs of a `tf.function` are Python arguments and are
renamed if they are not identifiers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.column_exports import ModelInput
from dlcli.columns.graph_operations import BLANKS, NO_DIGITS, Dtype, Function, Operations, Value
from dlcli.columns.tokens import WORD
from dlcli.errors import ExportError, require_packages
from dlcli.exports import model_interface as interface
from dlcli.exports.model_graph import encode, predict
from dlcli.exports.model_interface import Arrays, Exported, Runner
from dlcli.prediction.predictor import Predictor

FOLDER = "model"
_EXAMPLES = "serving_examples"
"""The signature for serialized `tf.train.Example` messages."""
SIGNATURE = "serving_default"
"""The name of the signature that servers use."""
_FUNCTIONS: dict[str, str] = {"isnan": "is_nan"}


@contextmanager
def tensorflow_loaded() -> Iterator[Any]:
    """Load TensorFlow, and suppress its log of deprecation warnings.

    Yields:
        `tf`.
    """
    from dlcli.pipeline.fit import hide_unused_packages, quiet_tensorflow, without_array_warnings

    require_packages("this export", None, "tensorflow", "keras")
    with quiet_tensorflow(), hide_unused_packages():
        import tensorflow as tf
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with without_array_warnings():
            yield tf
    finally:
        logger.setLevel(level)


def store_saved_model(
    folder: Path,
    signatures: Mapping[str, tuple[Mapping[str, Value], Mapping[str, Value]]],
    start: Value = None,
) -> None:
    """Write the graph that is being built as a SavedModel.

    Args:
        folder: the folder to create.
        signatures: the inputs and outputs of each signature, by name.
        start: the operation to run when the model is loaded.

    Raises:
        OSError: if the model can't be written.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    define = v1.saved_model.signature_def_utils.predict_signature_def
    defined = {name: define(*each) for name, each in signatures.items()}
    builder = v1.saved_model.Builder(str(folder))
    with v1.Session() as session:
        builder.add_meta_graph_and_variables(session, ["serve"], defined, main_op=start)
    try:
        builder.save()
    except tf.errors.OpError as error:  # its message contains the path and the system's text
        raise OSError(error.message.rpartition("; ")[2]) from error


class TensorflowOperations(Operations):
    """The operations of TensorFlow, which is imported at the first one."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf

    def constant(self, array: NDArray[Any]) -> Value:
        is_text = array.dtype == object
        return self._tf.constant(array.tolist() if is_text else array)

    def cast(self, x: Value, dtype: Dtype) -> Value:
        return self._tf.cast(x, dtype)

    def where(self, condition: Value, x: Value, y: Value) -> Value:
        dtype = next(each.dtype for each in (x, y) if hasattr(each, "dtype"))
        chosen = [self._tf.convert_to_tensor(each, dtype) for each in (x, y)]
        return self._tf.where(condition, *chosen)

    def equal(self, x: Value, y: Value) -> Value:
        return self._tf.equal(x, self._tf.convert_to_tensor(y, x.dtype))

    def apply(self, function: Function, *operands: Value) -> Value:
        first, *others = operands
        tensors = [self._tf.convert_to_tensor(each, first.dtype) for each in others]
        return getattr(self._tf.math, _FUNCTIONS.get(function, function))(first, *tensors)

    def lookup(self, table: NDArray[Any], index: Value) -> Value:
        return self._tf.gather(self.constant(table), index)

    def columns(self, x: Value, indices: Sequence[int]) -> Value:
        return self._tf.gather(x, [*indices], axis=1)

    def column(self, x: Value, index: int) -> Value:
        return x[:, index]

    def as_column(self, x: Value) -> Value:
        return self._tf.expand_dims(x, -1)

    def concat(self, parts: Sequence[Value]) -> Value:
        return self._tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]

    def flatten(self, x: Value, width: int) -> Value:
        return self._tf.reshape(x, [-1, width])

    def sum_last(self, x: Value, *, keep: bool = False) -> Value:
        return self._tf.reduce_sum(x, axis=-1, keepdims=keep)

    def max_last(self, x: Value) -> Value:
        return self._tf.reduce_max(x, axis=-1, keepdims=True)

    def argmax(self, x: Value) -> Value:
        return self._tf.argmax(x, axis=1)

    def matmul(self, x: Value, kernel: NDArray[Any]) -> Value:
        return self._tf.matmul(x, self.constant(kernel))

    def ranked(self, x: Value, rank: int, width: int) -> Value:
        if rank <= width - rank:
            return -self._tf.math.top_k(-x, rank).values[:, rank - 1]
        count = width - rank + 1
        return self._tf.math.top_k(x, count).values[:, count - 1]

    # Texts

    def trimmed(self, x: Value) -> Value:
        return self._tf.strings.regex_replace(x, f"^[{BLANKS}]+|[{BLANKS}]+$", "")

    def codes(self, x: Value, known: Mapping[str, int], default: int) -> Value:
        tf = self._tf
        values = tf.constant([*known.values()], tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(tf.constant([*known]), values)
        return tf.lookup.StaticHashTable(initializer, default).lookup(x)

    def matches(self, x: Value, pattern: str) -> Value:
        return self._tf.strings.regex_full_match(x, pattern)

    def digits(self, x: Value, count: int) -> Value:
        strings = self._tf.strings
        runs = strings.regex_replace(x, "[^0-9]+", " ")
        runs = strings.split(strings.regex_replace(runs, "([0-9]{18})", r"\1 "))
        filled = runs.to_tensor(NO_DIGITS, shape=[None, count])
        return self._tf.ensure_shape(filled, [None, count])

    def number(self, x: Value) -> Value:
        return self._tf.strings.to_number(x, self._tf.int64)

    def fraction(self, x: Value) -> Value:
        digits = self.where(self.equal(x, NO_DIGITS), "0", x)
        return self._tf.strings.to_number(self._tf.strings.join(["0.", digits]), self._tf.float64)

    def counts(self, x: Value, tokens: Sequence[str]) -> Value:
        tf = self._tf
        text = tf.strings.lower(tf.strings.regex_replace(x, "İ", "i"), encoding="utf-8")
        text = tf.strings.regex_replace(text, f"(?s)({WORD})|.", r"\1 ")
        for written, plain in (("’", "'"), ("ς", "σ")):
            text = tf.strings.regex_replace(text, written, plain)
        words = tf.strings.split(text)
        rows, width = tf.shape(x, out_type=tf.int64)[0], len(tokens)
        known = {token: at for at, token in enumerate(tokens)}
        keys = []
        for length in sorted({token.count(" ") + 1 for token in tokens}):
            found = tf.strings.ngrams(words, length)
            at = self.codes(found.flat_values, known, -1)
            owners = found.value_rowids()
            keys.append(tf.boolean_mask(owners * width + at, at >= 0))
        hits = tf.concat(keys, axis=0)
        ones = tf.ones_like(hits, dtype=tf.float32)
        sums = tf.math.unsorted_segment_sum(ones, hits, rows * width)
        return tf.reshape(sums, [-1, width])


class SavedModelFormat(interface.ModelFormat):
    """A run's predictor as a SavedModel in `model/`."""

    usage = f"""\
import numpy as np
import tensorflow as tf

model = tf.saved_model.load("{FOLDER}")
outputs = model.signatures["{SIGNATURE}"](
    **{{{{
{{inputs}}
    }}}}
)
"""

    def describe(self, predictor: Predictor) -> Exported:
        exported = super().describe(predictor)
        return replace(exported, inputs=interface.with_signature_names(exported.inputs))

    def write(self, exported: Exported, folder: Path) -> None:
        predictor = exported.predictor
        with tensorflow_loaded() as tf, tf.Graph().as_default():
            v1 = tf.compat.v1
            examples = v1.placeholder(tf.string, [None], name="examples")
            parsed = tf.io.parse_example(
                examples, {each.name: _example_feature(tf, each) for each in exported.inputs}
            )
            # Columns are read from examples unless they are fed directly.
            values = {
                each.name: v1.placeholder_with_default(
                    tf.cast(parsed[each.name], each.type), [None, *each.shape]
                )
                for each in exported.inputs
            }
            ops, features = TensorflowOperations(), predictor.encoding.features
            columns = dict(zip((each.column for each in features), values.values(), strict=True))
            matrix = encode(ops, features, columns, predictor.missing_words)
            matrix = tf.ensure_shape(matrix, [None, predictor.network.inputs])
            found = predict(ops, predictor, matrix)
            outputs = {name: tf.identity(value) for name, value in found.items()}
            of_examples = ({"examples": examples}, outputs)
            signatures = {SIGNATURE: (values, outputs), _EXAMPLES: of_examples}
            store_saved_model(folder / FOLDER, signatures, v1.tables_initializer())

    def load(self, folder: Path) -> Runner:
        with tensorflow_loaded() as tf, tf.Graph().as_default() as empty:
            v1 = tf.compat.v1
            session = v1.Session(graph=empty)
            try:  # with the loader of TensorFlow 1, like servers
                loaded = v1.saved_model.load(session, ["serve"], str(folder / FOLDER))
            except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
                raise ExportError(f"{folder / FOLDER}: can't be loaded: {error}") from None
        signature = loaded.signature_def[SIGNATURE]
        outputs = {name: each.name for name, each in signature.outputs.items()}

        def run(values: Arrays) -> dict[str, NDArray[Any]]:
            feeds = {signature.inputs[name].name: array for name, array in values.items()}
            found: dict[str, NDArray[Any]] = session.run(outputs, feeds)
            return {name: _decoded(array) for name, array in found.items()}

        return run

    def example(self, each: ModelInput) -> str:
        value = "['...']" if each.type == "string" else "[np.nan]"
        if each.shape:
            value = f"np.zeros((1, {', '.join(map(str, each.shape))}))"
        return f"tf.constant({value}, tf.{each.type})"


def _example_feature(tf: Any, each: ModelInput) -> Any:  # noqa: ANN401
    """Return the parser of a column in `tf.train.Example` messages, whose floats have 32 bits."""
    if each.type == "string":
        return tf.io.FixedLenFeature([], tf.string, "")
    if each.type == "uint8":
        return tf.io.FixedLenFeature(each.shape, tf.int64)
    return tf.io.FixedLenFeature([], tf.float32, math.nan)


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Convert TensorFlow's bytes to texts."""
    if array.dtype != object:
        return array
    return np.array([each.decode() for each in array.ravel()]).reshape(array.shape)


FORMAT = SavedModelFormat()
