"""Few rows are encoded as a table of them is, to the bit, with the same problems; or left to it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from every_type import EXAMPLES, MOMENTS, NUMBERS, TEXTS, WORDS, columns, fit, in_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical, MostFrequentCategory
from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.date_time import Datetime
from dlcli.columns.number import ConstantValue, Numeric
from dlcli.columns.numeric_encodings import PiecewiseLinear
from dlcli.columns.scaling import Log1p, MinMax, Unscaled
from dlcli.columns.text import MultiHot, Text
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.encoding.table_encoding import Encoding
from dlcli.errors import DataError
from dlcli.tables.column import USUAL_MISSING_WORDS
from dlcli.tables.few_rows import NumberRows, Reading, few_rows
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.number_notation import Notation
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tasks.regression import Regression

TASK = Regression(columns=("y",))
FAR_FROM_UTC = "Pacific/Kiritimati"
ODD = (
    st.sampled_from(["NA", " ", "-", "1,5", "1.234", "1.50", "+.5e2", "0.0", "-0", "TRUE ", "12 %"])
    | st.sampled_from([-0.0, 1e9, 1e-5, 2**53 + 1, 2**63, True, np.float32(0.1), np.int8(3)])
    | st.sampled_from(["0001-01-01", "9999-12-31T23:59", "31.12.1999 23:59", "2024-02-30"])
    | st.sampled_from([Decimal("1.50"), Decimal("NaN"), np.datetime64("2024-02-29"), np.nan])
    | st.sampled_from(["Ünü", "don't 'a''b'", "x\x85", "\ud800", [1], float("inf")])
)
ANYTHING = st.none() | NUMBERS | st.integers(-9, 9) | WORDS | TEXTS | MOMENTS | ODD
SETTINGS = settings(
    max_examples=3 * EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("few")
    for name in ("gray.png", "color.png", "damaged.png"):
        Pillow.fromarray(np.zeros((2, 3), np.uint8)).save(path / name)
    return path


def as_table(encoding, records, words=()):
    return read_table(memory_table(records), lambda _: words).written_like(encoding.notations)


def as_few(encoding, records, words=()):
    """Rows to encode as such, and a list of the tables that are read of them."""
    readings = {
        feature.column: Reading(words, encoding.notations.get(feature.column, Notation()))
        for feature in encoding.features
    }
    tables = []

    def table():
        tables.append(as_table(encoding, records, words))
        return tables[-1]

    return few_rows(records, readings, table, "data"), tables


def encoded(encoding, read, lenient):
    """The bits of the matrix and all problems, or the error."""
    problems = ValueProblems(lenient=lenient)
    try:
        inputs = encoding.transform(read(), problems)
    except DataError as error:
        return str(error)
    bits = inputs.part(0, len(inputs)).view(np.int32).tolist()
    return bits, problems.columns, problems.rows, [*problems.bad_rows()]


def assert_same(encoding, records, words=()):
    """Compares bits, problems and errors; returns whether the rows were encoded as such."""
    for lenient in (True, False):
        read = []

        def few(read=read):
            rows, tables = as_few(encoding, records, words)
            read.append(tables)
            return rows

        found = encoded(encoding, few, lenient)
        wanted = encoded(encoding, lambda: as_table(encoding, records, words), lenient)
        assert found == wanted
    return read == [[]]


def of_one(encoding, feature):
    return Encoding(features=(feature,), task=encoding.task, notations=encoding.notations)


@pytest.mark.slow
@SETTINGS
@given(
    st.integers(2, 6).flatmap(lambda rows: columns(rows, first=True)),
    st.integers(1, 4).flatmap(columns),
    st.lists(ANYTHING, min_size=1, max_size=4) | st.lists(st.none() | NUMBERS, min_size=24),
    st.sampled_from([(), USUAL_MISSING_WORDS, ("0", "-999", "red")]),
)
def test_every_type_is_encoded_to_the_same_bits(folder, train, values, odd, words):
    encoding = fit(in_memory(folder, train))
    for feature in encoding.features:
        one, name = of_one(encoding, feature), feature.column
        drawn = [{} if value is None else {name: value} for value in values[name]]
        if any(drawn):
            assert_same(one, drawn, words)
        assert_same(one, [{name: value} for value in odd], words)


USUAL = {
    "number": (
        Numeric(),
        [1.0, 2.0, None, 4.0],
        [1.5, 2, "3.5", " 7 ", "1e3", None, "NA", 100.0, np.float32(0.1), Decimal("1.5")],
    ),
    "logarithm": (
        Numeric(scaling=Log1p(), missing=ConstantValue(value=2.0)),
        [1.0, 2.0, 3.0, 4.0],
        [1, 2.5, "3", None],
    ),
    "bins": (Numeric(encoding=PiecewiseLinear(bins=2)), [1.0, 2.0, 3.0, None], [0.5, 2, 9, None]),
    "frequent": (
        Numeric(scaling=Log1p(), one_hot_values=9),
        [0.5, 0.5, 2.0, 2.0, None, 7.0],
        [0.5, 2, "2.0", 7.0, 1.0, None],
    ),
    "flag": (
        Boolean(),
        [True, False, None, True],
        [True, False, "true", "False", 1, 0.0, "1.0", None],
    ),
    "category": (
        Categorical(),
        ["a", "b", None, "a"],
        ["a", " b ", "c", None, 1, 2.5, True, "3.0", "New York, NY"],
    ),
    "most frequent": (
        Categorical(missing=MostFrequentCategory(), max_categories=1),
        ["a", "b", None, "a"],
        ["a", "b", "c", None],
    ),
    "text": (
        Text(encoding=MultiHot(min_count=1)),
        ["good food", "don't", "ÄRGER", None],
        ["Good food!", "Don't 'do' it", "Ärger", "", None, 3],
    ),
    "date": (
        Datetime(),
        ["2024-01-31", "2024-02-29T12:30:59", None, "2023-12-31"],
        ["2024-03-01", "2024-03-01T10:00:00Z", dt.date(2024, 3, 1), np.datetime64("2024-03-01T12")],
    ),
    "seconds": (
        Datetime(format="unix", timezone=FAR_FROM_UTC),
        [0.0, 86_400.0, None, 1e9],
        [86_400, 1e9 + 0.5, "86400", None],
    ),
}
"""Types of columns, values to fit them to, and values that JSON and Python have for them."""


def fit_one(feature, trained):
    data = pa.table({"x": trained})
    train = Table("t.csv", data, np.arange(1, data.num_rows + 1))
    return Encoding(features=(feature.fit("x", train, Input()),), task=TASK)


SEVERAL = {
    "standard": (Numeric(), [0.5, 2.5, None, 6.5]),
    "logarithm": (Numeric(scaling=Log1p()), [0.0, 10.0, 1e6, 3.0]),
    "color": (Categorical(), ["red", "blue", "red", None]),
    "marked": (Numeric(scaling=MinMax()), [-2.0, None, 7.0, 0.125]),
    "huge": (Numeric(), [1e30, -1e30, 2.0, 3.0]),
    "plain": (Numeric(scaling=Unscaled()), [0.25, 6.0, 7.5, 5.5]),
    "frequent": (Numeric(one_hot_values=9), [6.5, 6.5, 0.5, 0.5]),
}
INSIDE = st.floats(0.5, 6.5) | st.integers(1, 6)
"""Numbers in the range of all training rows."""


@SETTINGS
@given(
    st.lists(st.fixed_dictionaries({name: INSIDE for name in SEVERAL}), min_size=1, max_size=30),
    st.none() | st.tuples(st.sampled_from([*SEVERAL]), ANYTHING),
    st.sampled_from([(), ("5", "-999", "red")]),
)
def test_columns_of_numbers_are_encoded_to_the_same_bits_when_scaled_together(rows, odd, words):
    features = []
    for name, (feature, trained) in SEVERAL.items():
        table = Table("t.csv", pa.table({name: trained}), np.arange(1, 5))
        features.append(feature.fit(name, table, Input()))
    encoding = Encoding(features=tuple(features), task=TASK)
    for row in rows:
        row["color"] = "red" if row["color"] > 3 else "green"
    if odd is not None:
        rows[-1][odd[0]] = odd[1]
    is_encoded = assert_same(encoding, rows, words)
    assert is_encoded or odd is not None


@pytest.mark.parametrize("kind", USUAL)
def test_usual_values_need_no_table(kind):
    feature, trained, values = USUAL[kind]
    encoding = fit_one(feature, trained)
    records = [{"x": value} for value in values]
    for rows in [records, records * 8, *([record] for record in records)]:
        assert assert_same(encoding, rows, USUAL_MISSING_WORDS)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (Numeric(), "much"),
        (Numeric(), True),
        (Numeric(), float("inf")),
        (Numeric(), "1e400"),
        (Numeric(), "1,5"),  # a decimal comma, perhaps
        (Numeric(), [1]),
        (Numeric(scaling=Log1p()), -1.0),
        (Numeric(missing=ErrorIfMissing()), None),
        (Boolean(), "yes"),
        (Categorical(unseen="error"), "c"),
        (Categorical(missing=ErrorIfMissing()), None),
        (Text(encoding=MultiHot(min_count=1), missing=ErrorIfMissing()), None),
        (Text(encoding=MultiHot(min_count=1)), "a " * 20_000),
        (Datetime(), "2024-02-30"),
        (Datetime(missing=ErrorIfMissing()), None),
    ],
)
def test_what_is_wrong_or_rare_is_left_to_the_table(feature, value):
    trained = ["2024-01-31"] if isinstance(feature, Datetime) else [1.0, 0.0]
    if isinstance(feature, Categorical | Text):
        trained = ["a", "b"]
    assert not assert_same(fit_one(feature, trained), [{"x": value}])


@pytest.mark.parametrize(
    "records", [[{"z": 1.0}], [{}], [{"x": 1.0, "": 2}], [{"x": 1.0, 2: 3}], [{"x": 1.0}, None]]
)
def test_rows_that_are_no_table_are_refused_as_one(records):
    assert_same(fit_one(Numeric(), [1.0, 2.0]), records)


def test_a_doubtful_number_of_any_column_is_left_to_the_table():
    encoding = fit_one(Numeric(), [1.0, 2.0])
    assert assert_same(encoding, [{"x": 1.0, "unread": "5 Main Street, Springfield"}])
    assert not assert_same(encoding, [{"x": 1.0, "unread": "1,234"}])


def test_a_matrix_of_numbers_is_encoded_as_its_table_is():
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(300, 5)).round(1)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    names = [f"x{at}" for at in range(5)]
    features = {
        "x0": Numeric(),
        "x1": Numeric(encoding=PiecewiseLinear(bins=5)),
        "x2": Categorical(),
        "x3": Boolean(),
        "x4": Numeric(scaling=MinMax()),
    }
    matrix[:, 3] = matrix[:, 3] > 0
    table = read_table(memory_table(dict(zip(names, matrix.T, strict=True))))
    encoding = Encoding(
        features=tuple(each.fit(name, table, Input()) for name, each in features.items()),
        task=TASK,
    )
    beyond = np.vstack([matrix, np.full((1, 5), 1.0), [9.0, -9.0, 77.0, 0.0, 0.5]])
    for words in ((), ("0.5", "-999")):
        readings = {name: Reading(words) for name in names}

        def wanted(words=words):
            columns = dict(zip(names, beyond.T, strict=True))
            return read_table(memory_table(columns), lambda _: words)

        def given(readings=readings, wanted=wanted):
            return NumberRows(beyond, names, readings, wanted, "data")

        assert encoded(encoding, given, lenient=True) == encoded(encoding, wanted, lenient=True)
