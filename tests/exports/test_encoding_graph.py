"""Every encoder as a graph: the same numbers as dlcli's, on typical and on odd values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from onnx import helper

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical, Embedding, MostFrequentCategory
from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.date_time import Datetime
from dlcli.columns.number import ConstantValue, MeanImputation, Numeric
from dlcli.columns.numeric_encodings import PiecewiseLinear
from dlcli.columns.registry import Feature
from dlcli.columns.scaling import Divide, Log1p, MinMax, Quantile, Robust, Standard, Unscaled
from dlcli.columns.text import Count, MultiHot, Text, TfIdf
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input, Target
from dlcli.encoding.column_types import decide_types
from dlcli.encoding.table_encoding import Encoding, fit_encoding
from dlcli.exports.model_graph import encode
from dlcli.exports.onnx_format import IR_VERSION, OPSETS, OnnxOperations
from dlcli.exports.saved_model_format import TensorflowOperations
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task
from tests.encoding.test_numeric_columns import fit

NUMBERS = [0.5, -2.0, 3.25, None, 1e6, 17.0, 0.5, -2.5]
NEW_NUMBERS = [0.7, -1e30, 1e39, None, float("inf"), 3.25, -2.0, 2e6]
SIZES = [0.0, 1.0, 12.5, None, 3e5, 2.0, 1.0, 7.0]
WORDS = ["red", "blue", "red", None, "True", "7", "Größe", "blue"]
NEW_WORDS = [" red\t", "Red", "\u3000blue", None, "TRUE", "7.0", "never seen", "  "]
TEXTS = [
    "Good food, don't miss it",
    "not good, not GOOD, don'\u0301t",
    "ΣΟΦΟΣ Größe étude",
    None,
    "漢字 かな ไทย",
    "good food",
    "7",
    "a_b 'quoted' rock''n roll",
]
NEW_TEXTS = [
    "GOOD FOOD! don’t not good",
    "ΣΟΦΟΣ, σοφος; GRÖSSE Größe e\u0301tude",
    "so\u00adft good\u200bfood ＦＯＯＤ",
    None,
    "漢字漢字かなไทย",
    "not not good-food 😀 NOT, good",
    " ",
    "'good' food' 'rock'' n roll a_b don’\u0301t good'\u0301 ''\u0301not",
]
ISO = [
    "2024-02-29T23:59:59.123456",
    "1999-12-31",
    "2023-01",
    None,
    "2001-03-01 00:00",
    "1968-07-20T20:17Z",
    "2024-12-31T12:30:15",
    "2000-02-29",
]
NEW_ISO = [
    "2023-02-29",
    "2024-13-01",
    " 2100-02-28T01:02:03,5 ",
    None,
    "not a date",
    "0001-01-01",
    "9999-12-31T23:59:59 UTC",
    "1900-02-29",
]
GERMAN = [f"{day}.{month:02}.2024 {hour:02}:05" for day, month, hour in [(1, 1, 0), (31, 12, 23)]]
MONTHS = ["Jan 3, 2021 11:05 PM", "december 31, 1999 12:00 am", "MAY 5, 2020 12:30 pm", "Sept 1, 1"]
FEATURES = {
    "standard": (Numeric(scaling=Standard()), NUMBERS, NEW_NUMBERS),
    "robust": (Numeric(scaling=Robust(limit=2.0), missing=MeanImputation()), NUMBERS, NEW_NUMBERS),
    "min max": (Numeric(scaling=MinMax(), missing=ConstantValue(value=3.0)), NUMBERS, NEW_NUMBERS),
    "quantile": (Numeric(scaling=Quantile(quantiles=4)), NUMBERS, NEW_NUMBERS),
    "log": (Numeric(scaling=Log1p()), SIZES, NEW_NUMBERS),
    "other log": (Numeric(scaling=Log1p()), SIZES[::-1], NEW_NUMBERS[::-1]),
    "divide": (Numeric(scaling=Divide(by=3.0)), NUMBERS, NEW_NUMBERS),
    "required": (Numeric(scaling=Unscaled(), missing=ErrorIfMissing()), range(8), NEW_NUMBERS),
    "constant": (Numeric(scaling=Quantile(quantiles=4)), [2.0] * 8, NEW_NUMBERS),
    "bins": (Numeric(encoding=PiecewiseLinear(bins=3)), NUMBERS, NEW_NUMBERS),
    "frequent": (Numeric(scaling=Log1p(), one_hot_values=2), SIZES, [1.0, *NEW_NUMBERS[1:7], -1.0]),
    "binned": (
        Numeric(encoding=PiecewiseLinear(bins=2), one_hot_values=9),
        [0.0, 0.0, None, 0.1, 0.1, 5.0, 17.0, 17.0],
        [-0.0, 0.1, None, 0.1 + 1e-16, 17.0, 5.0, 1e39, 0.2],
    ),
    "one bin": (Numeric(encoding=PiecewiseLinear(bins=2)), [2.0] * 8, NEW_NUMBERS),
    "größe=漢": (Categorical(), WORDS, NEW_WORDS),
    "rare": (Categorical(max_categories=2, missing=MostFrequentCategory()), WORDS, NEW_WORDS),
    "known": (Categorical(unseen="error"), WORDS, NEW_WORDS),
    "full": (Categorical(), ["a", "b"] * 4, ["b", "c", None, "a", "A", "", "b", "a"]),
    "table": (Categorical(encoding=Embedding(units=2), max_categories=3), WORDS, NEW_WORDS),
    "flag": (Boolean(), [True, False, True, None] * 2, [None, True, False, False] * 2),
    "multi hot": (Text(encoding=MultiHot(ngrams=2)), TEXTS, NEW_TEXTS),
    "count": (Text(encoding=Count(max_tokens=5)), TEXTS, NEW_TEXTS),
    "tf idf": (Text(encoding=TfIdf(ngrams=3)), TEXTS, NEW_TEXTS),
    "iso": (
        Datetime(parts=("year", "elapsed", "month", "day", "weekday", "day_of_year", "hour")),
        ISO,
        NEW_ISO,
    ),
    "clock": (Datetime(format="iso", parts=("hour", "minute", "second")), ISO, NEW_ISO),
    "german": (
        Datetime(format=("%d.%m.%Y %H:%M", "%d.%m.%y"), parts=("elapsed", "hour", "weekday")),
        GERMAN * 4,
        ["1.2.2024 3:04", "29.02.2023 00:00", "31.12.68", "1.1.69", "", "1.1.2024", "x", "0.1.20"],
    ),
    "american": (
        Datetime(format="%b %d, %Y %I:%M %p", parts=("elapsed", "month", "hour", "minute")),
        [*MONTHS[:3], None] * 2,
        [*MONTHS, "jan 3, 2021 13:00 pm", "Feb 30, 2020 01:00 am", "", "Janu 3, 2021 1:00 am"],
    ),
    "french": (
        Datetime(format="%a %d %b %Y", parts=("elapsed", "month", "day")),
        ["lundi 1er mai 2024", "Mer 7 FÉVR. 2024", None, "Sa 3 août 2024"] * 2,
        [
            "jeu 15 dec. 2022",
            "mar 31 avril 2024",
            "mar 5 mars 2024",
            "",
            "lun 1 brumaire 2024",
            None,
            "ven 1 Juil. 24",
            "sam 9 NOV 1999",
        ],
    ),
    "quarters": (
        Datetime(format=("%Y Q%q", "Q%q/%y"), parts=("elapsed", "month")),
        ["1970 Q1", "2021 Q4", None, "Q2/69"] * 2,
        ["1999 Q3", "Q3/68", "2024 Q5", "2024 Q0", "2024Q1", "", "Q1/2024", None],
    ),
    "weeks": (
        Datetime(format="%G-W%V", parts=("year", "elapsed", "day", "weekday")),
        ["1970-W01", "2024-W52", None, "2020-W53"] * 2,
        ["2024-W01", "2024-W53", "1965-W10", "2026-W53", "2025-W00", "1969-W54", "", "1900-W01"],
    ),
    "weeks of digits": (
        Datetime(format="%G%V"),
        [201729.0, 201801.0, None, 202053.0] * 2,
        [201729.0, 201753.0, None, 2017291.0, 20172.0, 201700.0, 197001.0, 201729.5],
    ),
    "chinese": (
        Datetime(format="%Y年%m月%d日", parts=("elapsed", "day")),
        ["2024年1月2日", "2024年12月31日", None, "2000年2月29日"] * 2,
        ["2024年2月29日", "2023年2月29日", "2024-01-01", ""] * 2,
    ),
    "time alone": (
        Datetime(format=("%H:%M", "%H:%M:%S")),
        ["09:30", "23:59:01", "0:00", None] * 2,
        ["12:00", "24:00", "9:5", "noon", "", " 7:00 ", "23:59:59", "1:00 pm"],
    ),
    "compact": (
        Datetime(format="%Y%m%d", parts=("elapsed", "day")),
        ["20240131", "19991231"] * 4,
        ["20240229", "20230229", "20240131.0", None, "2024013", "202401311", "abc", "00000101"],
    ),
    "unix": (
        Datetime(format="unix", parts=("elapsed", "hour", "second")),
        [0.0, 1.5e9, -1e8, None] * 2,
        [1e30, 1.6e9, 0.4999995, None, -6.3e10, float("nan"), 253402300800.0, -1.0],  # year 10000
    ),
}
MISSING = {
    "standard": ("17",),
    "binned": ("17",),
    "größe=漢": ("blue", "7"),
    "tf idf": ("good food", "N/A"),
}


def table_of(values: dict[str, list[object]]) -> Table:
    rows = len(values["standard"])
    data = pa.table({**values, "y": [float(row) for row in range(rows)]})
    return Table("memory", data, np.arange(1, rows + 1), missing_words=MISSING)


@pytest.fixture(scope="module")
def encoding() -> Encoding:
    train = table_of({name: list(values) for name, (_, values, _) in FEATURES.items()})
    task = infer_task(Target(column="y"), [train]).fit(Standard(), train)
    chosen = {name: feature for name, (feature, _, _) in FEATURES.items()}
    return fit_encoding(decide_types(chosen, train), Input(), train, task)


def sent_values(encoding: Encoding, table: Table) -> dict[str, np.ndarray]:
    return {feature.column: feature.client_values(table) for feature in encoding.features}


def missing_words(column: str) -> tuple[str, ...]:
    return MISSING.get(column, ())


def encode_by_onnx(encoding: Encoding, table: Table) -> np.ndarray:
    inputs = [each.model_input(Notation()) for each in encoding.features]
    types = {"float64": np.float64, "string": object, "uint8": np.uint8}
    ops = OnnxOperations()
    values = {each.name: ops.input(each.name, types[each.type]) for each in inputs}
    matrix = ops.output(encode(ops, encoding.features, values, missing_words), "matrix")
    kinds = {"float64": 11, "string": 8}
    graph = helper.make_graph(
        ops.nodes,
        "encoding",
        [
            helper.make_tensor_value_info(each.name, kinds[each.type], ["rows", *each.shape])
            for each in inputs
        ],
        [helper.make_tensor_value_info(matrix.name, 1, ["rows", None])],
        ops.constants,
    )
    assert len({each.name for each in graph.node} - {""}) == len(graph.node)
    opsets = [helper.make_opsetid(*each) for each in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["matrix"], sent_values(encoding, table))[0]


def encode_by_tensorflow(encoding: Encoding, table: Table) -> np.ndarray:
    import tensorflow as tf

    sent = sent_values(encoding, table)
    values = {name: tf.constant(array) for name, array in sent.items()}
    return encode(TensorflowOperations(), encoding.features, values, missing_words).numpy()


@pytest.mark.parametrize(
    "encode_by", [encode_by_onnx, pytest.param(encode_by_tensorflow, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("rows", ["training", "new"])
def test_a_graph_encodes_each_column_as_dlcli_does(
    encoding: Encoding, rows: str, encode_by: Callable[..., np.ndarray]
) -> None:
    of_rows = {name: list(each[1 if rows == "training" else 2]) for name, each in FEATURES.items()}
    table = table_of(of_rows)
    inputs = encoding.transform(table, ValueProblems(lenient=True))
    expected = inputs.part(0, len(inputs))

    computed = encode_by(encoding, table)

    wrong = {
        f"{block.column}, row {row}": (expected[row, where], computed[row, where])
        for block, where in encoding.layout.slices()
        for row in range(len(expected))
        if not np.allclose(expected[row, where], computed[row, where], rtol=2e-6, atol=2e-6)
    }
    assert wrong == {}
    assert computed.dtype == np.float32


@pytest.mark.parametrize(
    ("feature", "values", "refuses"),
    [
        (Categorical(), ["a", "b"], False),
        (Categorical(unseen="error"), ["a", "b"], True),  # missing is unseen, too
        (Categorical(unseen="error"), ["a", None], False),
        (Numeric(missing=ErrorIfMissing()), [1, 2], True),
        (Text(missing=ErrorIfMissing()), ["a b", "c"], True),
    ],
)
def test_clients_are_told_of_columns_without_missing_values(
    feature: Feature, values: list[object], refuses: bool
) -> None:
    advice = fit(values, feature).model_input(Notation()).advice
    assert (
        "dlcli refuses missing values, so reject them before you call the model." in advice
    ) == refuses
