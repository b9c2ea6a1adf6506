"""Export to ONNX: preprocessing, network and decoding in one graph, without TensorFlow.

The graph has nodes of `ai.onnx`, `ai.onnx.ml` and ONNX Runtime.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray

from dlcli import __version__
from dlcli.columns.column_exports import ModelInput
from dlcli.columns.graph_operations import BLANKS, NO_DIGITS, Dtype, Function, Operations
from dlcli.columns.tokens import WORD
from dlcli.errors import ExportError, option, require_packages
from dlcli.exports.model_graph import encode, predict
from dlcli.exports.model_interface import Arrays, Exported, ModelFormat, Runner

FILE = "model.onnx"
_NEEDED = ("an ONNX model", "onnx", "onnx", "onnxruntime")
"""The name of the format for messages, its extra, and its packages."""
_ROWS = "rows"
"""Name of the row dimension."""
_DTYPES: dict[str, Any] = {"float64": np.float64, "string": object, "uint8": np.uint8}
OPSETS = {"": 21, "ai.onnx.ml": 4, "com.microsoft": 1}
"""The version of each set of operators."""
IR_VERSION = 10
_TEXT = np.dtype(object)
_FUNCTIONS: dict[str, str] = {"isnan": "IsNaN", "minimum": "Min", "maximum": "Max"}
_LOCALE = "C.UTF-8"
"""The locale for lower case; with any other, ONNX Runtime only converts ASCII letters."""
_OPERATORS = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.true_divide: "Div",
    np.floor_divide: "Div",
    np.remainder: "Mod",
    np.negative: "Neg",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.bitwise_and: "And",
    np.bitwise_or: "Or",
    np.invert: "Not",
}
"""ONNX operators, by the NumPy functions of Python operators."""
_PREDICATES = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN")
"""Operators with a Boolean result."""


@dataclass(frozen=True, eq=False)
class Node(NDArrayOperatorsMixin):
    """An output of a node, a constant or an input. Python's operators add a node to the graph."""

    graph: OnnxOperations
    name: str
    dtype: np.dtype[Any]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self.graph.elementwise(_OPERATORS[ufunc], *inputs)


@dataclass
class OnnxOperations(Operations):
    """Collects the nodes and constants of a graph."""

    nodes: list[Any] = field(default_factory=list)
    """Nodes as `onnx.NodeProto`, in order."""
    constants: list[Any] = field(default_factory=list)
    """Constants as `onnx.TensorProto`."""
    tokens: list[str] = field(default_factory=list)
    """The outputs of tokenizers, whose type ONNX can't infer: its checker and the quantization of
    ONNX Runtime would end the process."""
    _known: dict[tuple[object, ...], Node] = field(default_factory=dict)
    """The constants by content, so each is stored once."""

    def input(self, name: str, dtype: type) -> Node:
        """Return an input of the graph."""
        return Node(self, name, np.dtype(dtype))

    def output(self, x: Node, name: str) -> Node:
        """Make a value an output of the graph, with a name."""
        return self.node("Identity", [x], name=name)

    def node(
        self,
        kind: str,
        inputs: Sequence[Node],
        dtype: type | np.dtype[Any] | None = None,
        *,
        name: str = "",
        domain: str = "",
        **attributes: object,
    ) -> Node:
        """Add a node with one output.

        Args:
            kind: the operator.
            inputs: its inputs.
            dtype: type of the output; if omitted, the type of the first input.
            name: name of the output.
            domain: the operator's domain; empty for `ai.onnx`.
            **attributes: attributes of the operator.
        """
        from onnx import helper

        output = name or f"{kind}:{len(self.nodes)}"
        names = [each.name for each in inputs]
        # Before 1.22, fusions of ONNX Runtime give all nodes without names the same name.
        made = helper.make_node(kind, names, [output], name=output, domain=domain, **attributes)
        self.nodes.append(made)
        return Node(self, output, np.dtype(dtype or inputs[0].dtype))

    def elementwise(self, kind: str, *inputs: Node | float) -> Node:
        """Add a node whose inputs have the same dtype; some may be numbers."""
        dtype = next(each.dtype for each in inputs if isinstance(each, Node))
        nodes = [self._as_node(each, dtype) for each in inputs]
        return self.node(kind, nodes, np.bool_ if kind in _PREDICATES else dtype)

    def _as_node(self, x: Node | ArrayLike, dtype: np.dtype[Any]) -> Node:
        return x if isinstance(x, Node) else self.constant(np.array(x, dtype))

    def constant(self, array: NDArray[Any]) -> Node:
        from onnx import helper, numpy_helper

        is_text = array.dtype == _TEXT
        content = tuple(array.ravel().tolist()) if is_text else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self._known:
            name = f"constant:{len(self.constants)}"
            if is_text:
                values = [text.encode() for text in array.ravel()]
                tensor = helper.make_tensor(name, 8, array.shape, values)  # 8: STRING
            else:
                tensor = numpy_helper.from_array(np.array(array, order="C"), name)
            self.constants.append(tensor)
            self._known[key] = Node(self, name, array.dtype)
        return self._known[key]

    def _integers(self, *values: int) -> Node:
        return self.constant(np.array(values, dtype=np.int64))

    def cast(self, x: Node, dtype: Dtype) -> Node:
        from onnx import helper

        wanted = np.dtype(dtype)
        if x.dtype == wanted:
            return x
        return self.node("Cast", [x], wanted, to=helper.np_dtype_to_tensor_dtype(wanted))

    def where(self, condition: Node, x: Node | float | str, y: Node | float) -> Node:
        dtype = next(each.dtype for each in (x, y) if isinstance(each, Node))
        chosen = [self._as_node(each, dtype) for each in (x, y)]
        if dtype == np.bool_:  # ONNX Runtime has no `Where` for it
            either: Node = (condition & chosen[0]) | (~condition & chosen[1])
            return either
        return self.node("Where", [condition, *chosen], dtype)

    def equal(self, x: Node, y: Node | float | str) -> Node:
        return self.node("Equal", [x, self._as_node(y, x.dtype)], np.bool_)

    def apply(self, function: Function, *operands: Node | float) -> Node:
        return self.elementwise(_FUNCTIONS.get(function, function.capitalize()), *operands)

    def lookup(self, table: NDArray[Any], index: Node) -> Node:
        return self.node("Gather", [self.constant(table), index], table.dtype, axis=0)

    def columns(self, x: Node, indices: Sequence[int]) -> Node:
        return self.node("Gather", [x, self._integers(*indices)], axis=1)

    def column(self, x: Node, index: int) -> Node:
        return self.node("Gather", [x, self.constant(np.array(index, np.int64))], axis=1)

    def as_column(self, x: Node) -> Node:
        return self.node("Unsqueeze", [x, self._integers(-1)])

    def concat(self, parts: Sequence[Node]) -> Node:
        return self.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]

    def flatten(self, x: Node, width: int) -> Node:
        return self.node("Reshape", [x, self._integers(-1, width)])

    def sum_last(self, x: Node, *, keep: bool = False) -> Node:
        return self.node("ReduceSum", [x, self._integers(-1)], keepdims=int(keep))

    def max_last(self, x: Node) -> Node:
        return self.node("ReduceMax", [x, self._integers(-1)], keepdims=1)

    def argmax(self, x: Node) -> Node:
        return self.node("ArgMax", [x], np.int64, axis=1, keepdims=0)

    def matmul(self, x: Node, kernel: NDArray[Any]) -> Node:
        return self.node("MatMul", [x, self.constant(kernel)])

    def ranked(self, x: Node, rank: int, width: int) -> Node:
        from onnx import helper

        from_below = rank <= width - rank
        count = rank if from_below else width - rank + 1
        values, indices = f"TopK:{len(self.nodes)}", f"TopK indices:{len(self.nodes)}"
        inputs = [x.name, self._integers(count).name]
        options = {"axis": 1, "largest": int(not from_below), "sorted": 1}
        made = helper.make_node("TopK", inputs, [values, indices], name=values, **options)
        self.nodes.append(made)
        return self.column(Node(self, values, x.dtype), count - 1)

    # Texts

    def _tokens(self, x: Node, pattern: str, pad: str = "") -> Node:
        """Return the longest matches of a pattern in texts, (rows, most matches)."""
        found = self.node(
            "Tokenizer",
            [self._with_row(x)],
            domain="com.microsoft",
            mark=0,
            mincharnum=1,
            pad_value=pad,
            tokenexp=pattern,
        )
        self.tokens.append(found.name)
        return self._without_row(found)

    def _with_row(self, texts: Node) -> Node:
        """Append an empty text, because operators for texts fail without rows."""
        return self.node("Concat", [texts, self.constant(np.array([""], dtype=object))], axis=0)

    def _without_row(self, x: Node) -> Node:
        """Remove the result of the text that `_with_row` appends."""
        return self.node("Slice", [x, self._integers(0), self._integers(-1), self._integers(0)])

    def _filled(self, matrix: Node, like: Node, texts: Sequence[str]) -> Node:
        """Append constant texts to each row of a matrix, which may have no columns."""
        rows = self.node("Shape", [like], np.int64, start=0, end=1)
        shape = self.node("Concat", [rows, self._integers(len(texts))], axis=0)
        constant = self.constant(np.array([texts], dtype=object))
        return self.concat([matrix, self.node("Expand", [constant, shape])])

    def trimmed(self, x: Node) -> Node:
        tokens = self._tokens(x, rf"(?s)[^{BLANKS}](?:.*[^{BLANKS}])?")
        return self.column(self._filled(tokens, x, [""]), 0)

    def codes(self, x: Node, known: Mapping[str, int], default: int) -> Node:
        return self.node(
            "LabelEncoder",
            [x],
            np.int64,
            domain="ai.onnx.ml",
            keys_strings=[*known],
            values_int64s=[*known.values()],
            default_int64=default,
        )

    def matches(self, x: Node, pattern: str) -> Node:
        return self.node("RegexFullMatch", [x], np.bool_, pattern=pattern)

    def digits(self, x: Node, count: int) -> Node:
        runs = self._filled(self._tokens(x, "[0-9]{1,18}", NO_DIGITS), x, [NO_DIGITS] * count)
        return self.columns(runs, range(count))

    def number(self, x: Node) -> Node:
        return self.node("Cast", [x], np.int64, to=7)  # 7: INT64

    def fraction(self, x: Node) -> Node:
        digits = self.where(self.equal(x, NO_DIGITS), "0", x)
        point = self.constant(np.array("0.", dtype=object))
        joined = self.node("StringConcat", [point, digits])
        return self.node("Cast", [joined], np.float64, to=11)  # 11: DOUBLE

    def counts(self, x: Node, tokens: Sequence[str]) -> Node:
        split = [token.split(" ") for token in tokens]
        vocabulary = {word: at for at, word in enumerate({w: 0 for ws in split for w in ws}, 1)}
        spelled = {each: code for word, code in vocabulary.items() for each in _spellings(word)}
        extended = self._with_row(x)
        lower = self.node(
            "StringNormalizer", [extended], case_change_action="LOWER", locale=_LOCALE
        )
        words = self._filled(self._tokens(lower, WORD), lower, [""])
        codes = self.codes(words, spelled, 0)
        order = sorted(range(len(tokens)), key=lambda at: len(split[at]))
        pool = [vocabulary[word] for at in order for word in split[at]]
        longest = max(map(len, split))
        starts = [
            sum(len(words) for words in split if len(words) < length)
            for length in range(1, longest + 1)
        ]
        counts = self.node(
            "TfIdfVectorizer",
            [codes],
            np.float32,
            mode="TF",
            min_gram_length=1,
            max_gram_length=longest,
            max_skip_count=0,
            ngram_counts=starts,
            ngram_indexes=order,
            pool_int64s=pool,
        )
        return self._without_row(counts)


def _spellings(word: str) -> list[str]:
    """Return the spellings of a normalized word: with ’ instead of ', and ς at its end."""
    endings = [word, f"{word[:-1]}ς"] if word.endswith("σ") else [word]
    marks = [at for at, sign in enumerate(word) if sign == "'"]
    chosen = [some for count in range(len(marks) + 1) for some in combinations(marks, count)]
    spelled = []
    for ending in endings:
        for some in chosen[:64]:
            signs = [("’" if at in some else sign) for at, sign in enumerate(ending)]
            spelled.append("".join(signs))
    return spelled


class OnnxFormat(ModelFormat):
    """A run's predictor as `model.onnx`; writing and loading require optional packages."""

    usage = f"""\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{FILE}")
outputs = session.run(
    {{outputs}},
    {{{{
{{inputs}}
    }}}},
)
"""

    def write(self, exported: Exported, folder: Path) -> None:
        require_packages(*_NEEDED)
        import onnx
        from onnx import helper

        predictor, inputs = exported.predictor, exported.inputs
        taken = {each.name for each in exported.outputs}.intersection(each.name for each in inputs)
        if taken:
            raise ExportError(
                f"column '{min(taken)}': the model has an output with this name, but ONNX "
                "requires unique names; rename the column or use "
                f"{option('format', 'saved_model')}"
            )
        ops = OnnxOperations()
        values = {each.name: ops.input(each.name, _DTYPES[each.type]) for each in inputs}
        matrix = encode(ops, predictor.encoding.features, values, predictor.missing_words)
        found = predict(ops, predictor, matrix)
        outputs = {each: ops.output(found[each.name], each.name) for each in exported.outputs}
        made = helper.make_graph(
            ops.nodes,
            "dlcli",
            [_tensor(each.name, _DTYPES[each.type], each.shape) for each in inputs],
            [_tensor(each.name, node.dtype, each.shape) for each, node in outputs.items()],
            ops.constants,
            value_info=[
                helper.make_tensor_value_info(name, onnx.TensorProto.STRING, [_ROWS, f"{name}:1"])
                for name in ops.tokens
            ],
        )
        model = helper.make_model(
            made,
            producer_name="dlcli",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid(*each) for each in OPSETS.items()],
            ir_version=IR_VERSION,
        )
        task = predictor.task
        helper.set_model_props(model, {"classes": json.dumps(task.classes or task.labels)})
        onnx.save_model(model, folder / FILE)

    def load(self, folder: Path) -> Runner:
        require_packages(*_NEEDED)
        from onnxruntime import InferenceSession

        try:
            session = InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise ExportError(f"{folder / FILE}: can't be loaded: {error}") from None
        names = [each.name for each in session.get_outputs()]

        def run(values: Arrays) -> dict[str, NDArray[Any]]:
            return dict(zip(names, session.run(names, dict(values)), strict=True))

        return run

    def example(self, each: ModelInput) -> str:
        if each.type == "string":
            return "np.array(['...'], dtype=object)"
        shape = f".reshape(1, {', '.join(map(str, each.shape))})" if each.shape else ""
        count = f"[0] * {math.prod(each.shape)}" if each.shape else "[np.nan]"
        return f"np.array({count}, dtype=np.{each.type}){shape}"


def _tensor(name: str, dtype: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
    from onnx import helper

    kind = 8 if np.dtype(dtype) == object else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, [_ROWS, *shape])


FORMAT = OnnxFormat()
