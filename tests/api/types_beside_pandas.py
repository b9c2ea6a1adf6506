"""Every type that a data frame can hold is read or named; run by test_beside_pandas.py."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dlcli.columns.column_type import Auto
from dlcli.encoding.column_types import decide_types
from dlcli.errors import DataError
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table_files import read_table

ROWS = 40
WHOLE = list(range(ROWS))
WORDS = list("abcd") * 10
FLAGS = [True, False] * 20
DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=7 * at) for at in WHOLE]
MOMENTS = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=100 * at) for at in WHOLE]
CLOCK = [dt.time(at % 24, at) for at in WHOLE]
WAITS = [dt.timedelta(seconds=90 * at) for at in WHOLE]
AMOUNTS = [Decimal(at) / 4 for at in WHOLE]
LISTS = [[1, 2]] * ROWS
NUMBER, BOOLEAN, CATEGORY, DATE = "numeric", "boolean", "categorical", "datetime"
EMPTY = "no value"
NAMED = "named in a warning"
REFUSED = "refused by name"


def outcome(frame: object) -> str:
    """What becomes of column x."""
    try:
        table = read_table(memory_table(frame))
    except DataError as error:
        assert "column 'x'" in str(error)
        return REFUSED
    decision = decide_types({"x": Auto(), "other": Auto()}, table)["x"]
    if decision.warning:
        return NAMED
    return EMPTY if decision.reason == "has no value" else decision.feature.type


def arrow(values: object, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


def extension(kind: pa.DataType, values: object) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


def newer(name: str) -> list:
    """A type that old versions of polars lack."""
    return [getattr(pl, name)] if hasattr(pl, name) else []


BYTES = [b"ab", b"cd"] * 20
IDS = [uuid.UUID(int=at).bytes for at in WHOLE]
ARROW = {
    NUMBER: [
        *(
            arrow(WHOLE, getattr(pa, f"{sign}int{bits}")())
            for sign in ("", "u")
            for bits in (8, 16)
        ),
        *(
            arrow(WHOLE, getattr(pa, f"{sign}int{bits}")())
            for sign in ("", "u")
            for bits in (32, 64)
        ),
        pa.array(np.arange(ROWS, dtype=np.float16)),
        *(arrow(WHOLE, kind) for kind in (pa.float32(), pa.float64())),
        *(arrow(AMOUNTS, getattr(pa, f"decimal{bits}")(7, 2)) for bits in (32, 64, 128, 256)),
        *(arrow(WAITS, pa.duration(unit)) for unit in ("s", "ms", "us", "ns")),
        extension(pa.opaque(pa.int64(), "money", "shop"), WHOLE),
        extension(pa.bool8(), [1, 0] * 20),
        pa.RunEndEncodedArray.from_arrays(pa.array([20, ROWS], pa.int32()), pa.array([1.0, 2.0])),
    ],
    BOOLEAN: [arrow(FLAGS, pa.bool_())],
    CATEGORY: [
        *(arrow(WORDS, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        arrow(WORDS, pa.string()).dictionary_encode(),
        extension(pa.json_(pa.string()), ['{"a": 1}', "2"] * 20),
    ],
    DATE: [
        *(arrow(DAYS, kind) for kind in (pa.date32(), pa.date64())),
        *(arrow(MOMENTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        arrow(MOMENTS, pa.timestamp("us", "Europe/Zurich")),
        *(arrow(CLOCK, kind) for kind in (pa.time32("s"), pa.time32("ms"))),
        *(arrow(CLOCK, kind) for kind in (pa.time64("us"), pa.time64("ns"))),
    ],
    EMPTY: [pa.nulls(ROWS)],
    NAMED: [
        *(arrow(BYTES, kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
        arrow(BYTES, pa.binary(2)),
        extension(pa.uuid(), IDS),
        *(arrow(LISTS, kind(pa.int64())) for kind in (pa.list_, pa.large_list)),
        *(arrow(LISTS, kind(pa.int64())) for kind in (pa.list_view, pa.large_list_view)),
        arrow(LISTS, pa.list_(pa.int64(), 2)),
        pa.array([{"a": 1}] * ROWS),
        arrow([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
        pa.array([pa.MonthDayNano([1, 2, 3])] * ROWS),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((ROWS, 2, 2))),
        pa.UnionArray.from_dense(
            pa.array([0, 1] * 20, pa.int8()),
            pa.array(np.arange(ROWS) // 2, pa.int32()),
            [pa.array(WHOLE), pa.array(WORDS)],
        ),
        pa.UnionArray.from_sparse(
            pa.array([0, 1] * 20, pa.int8()), [pa.array(WHOLE), pa.array(WORDS)]
        ),
    ],
}
POLARS = {
    NUMBER: [
        *(pl.Series(WHOLE, dtype=kind) for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)),
        *(pl.Series(WHOLE, dtype=kind) for kind in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)),
        *(pl.Series(WHOLE, dtype=kind) for kind in (*newer("Float16"), pl.Float32, pl.Float64)),
        pl.Series(AMOUNTS, dtype=pl.Decimal(7, 2)),
        pl.Series(WAITS, dtype=pl.Duration),
    ],
    BOOLEAN: [pl.Series(FLAGS, dtype=pl.Boolean)],
    CATEGORY: [
        *(pl.Series(WORDS, dtype=kind) for kind in (pl.String, pl.Categorical)),
        pl.Series(WORDS, dtype=pl.Enum(list("abcd"))),
    ],
    DATE: [
        *(pl.Series(values, dtype=kind) for values, kind in ((DAYS, pl.Date), (CLOCK, pl.Time))),
        pl.Series(MOMENTS, dtype=pl.Datetime),
    ],
    EMPTY: [pl.Series([None] * ROWS, dtype=pl.Null)],
    NAMED: [
        *(pl.Series(BYTES, dtype=pl.Binary), pl.Series(LISTS, dtype=pl.List(pl.Int64))),
        pl.Series(LISTS, dtype=pl.Array(pl.Int64, 2)),
        pl.Series([{"a": at} for at in WHOLE], dtype=pl.Struct),
        pl.Series([object()] * ROWS, dtype=pl.Object),
    ],
    REFUSED: [
        *(pl.Series(WHOLE, dtype=kind) for kind in (pl.Int128, *newer("UInt128"))),
        *(
            pl.Series([{"a": at} for at in WHOLE], dtype=kind(pl.String, pl.Int64))
            for kind in newer("Map")
        ),
    ],
}
PANDAS = {
    NUMBER: [
        *(pd.Series(WHOLE, dtype=f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16)),
        *(pd.Series(WHOLE, dtype=f"{sign}int{bits}") for sign in ("", "u") for bits in (32, 64)),
        *(pd.Series(WHOLE, dtype=kind) for kind in ("Int8", "Int64", "UInt16", "UInt64")),
        *(pd.Series(WHOLE, dtype=kind) for kind in ("float16", "float32", "float64", "longdouble")),
        *(pd.Series(WHOLE, dtype=kind) for kind in ("Float32", "Float64")),
        pd.Series(pd.arrays.SparseArray(WHOLE)),
        pd.Series(pd.to_timedelta(WAITS)),
        *(pd.Series(values, dtype=object) for values in (AMOUNTS, WAITS, WHOLE)),
    ],
    BOOLEAN: [pd.Series(FLAGS), pd.Series(FLAGS, dtype="boolean"), pd.Series(FLAGS, dtype=object)],
    CATEGORY: [
        *(pd.Series(WORDS, dtype=kind) for kind in ("string", "category", object)),
        pd.Series(pd.interval_range(0, 4).repeat(10)),
    ],
    DATE: [
        *(pd.Series(values) for values in (MOMENTS, pd.DatetimeIndex(MOMENTS, tz="UTC"))),
        pd.Series(pd.period_range("2020-01", periods=ROWS, freq="M")),
        *(pd.Series(values, dtype=object) for values in (DAYS, MOMENTS, CLOCK)),
    ],
    EMPTY: [pd.Series([None] * ROWS, dtype=object)],
    NAMED: [*(pd.Series(values, dtype=object) for values in (LISTS, BYTES, [{"a": 1}] * ROWS))],
    REFUSED: [
        pd.Series(np.arange(ROWS) + 1j),
        pd.Series([*WHOLE[1:], [1]], dtype=object),
        pd.Series([range(2)] * ROWS, dtype=object),
    ],
}


def cases(known):
    return [pytest.param(each, wanted) for wanted, some in known.items() for each in some]


@pytest.mark.parametrize(("values", "wanted"), cases(ARROW))
def test_arrow(values, wanted):
    rows = {"x": values, "other": WHOLE}
    assert outcome(pa.table(rows)) == wanted
    if not isinstance(values.type, pa.BaseExtensionType):  # texts in pandas
        rows["x"] = pd.array(values, pd.ArrowDtype(values.type))
        assert outcome(pd.DataFrame(rows)) == wanted


@pytest.mark.parametrize(("values", "wanted"), cases(POLARS))
def test_polars(values, wanted):
    assert outcome(pl.DataFrame({"x": values, "other": WHOLE})) == wanted


@pytest.mark.parametrize(("values", "wanted"), cases(PANDAS))
def test_pandas(values, wanted):
    assert outcome(pd.DataFrame({"x": values, "other": WHOLE})) == wanted


def test_no_type_is_left_out():
    def kinds(base):
        for each in base.__subclasses__():
            yield each
            yield from kinds(each)

    seen = {type(each.dtype) for some in POLARS.values() for each in some}
    concrete = {each for each in kinds(pl.DataType) if not each.__subclasses__()}
    assert {each.__name__ for each in concrete - seen} <= {"Unknown", "Extension", "BaseExtension"}
    ids = {each.type.id for some in ARROW.values() for each in some}
    known = {name: getattr(pa.lib, name) for name in dir(pa.lib) if name.startswith("Type_")}
    # Python can't make intervals of months or days.
    missing = {name for name, number in known.items() if number not in ids}
    assert missing == {"Type_INTERVAL_MONTHS", "Type_INTERVAL_DAY_TIME"}
