"""Types of Arrow that few of its functions know, brought to those that all of them know.

Views, run-end encodings, narrow decimals and extension types can be read and looked at, but pyarrow
can take no rows of them, or compare none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from dlcli.errors import DataError
from dlcli.tables.batches import Batches

_LONG = {
    pa.string_view(): pa.large_string(),  # a view has no limit of 2 GiB, nor should what it becomes
    pa.binary_view(): pa.large_binary(),
}
_DECIMAL_BITS = 128
"""Width of the narrowest decimals that all functions know."""


def simplified(batches: Batches, file: str) -> Batches:
    """A file whose values are of types that Arrow's functions know; dictionaries stay.

    Args:
        batches: the file.
        file: its name, for messages.

    Raises:
        DataError: for a column of no such type, also while rows are read.
    """
    schema = pa.schema([field.with_type(_simple(field.type)) for field in batches.schema])
    for given, field in zip(batches.schema, schema, strict=True):
        if not _can_be_taken(field.type):
            raise _unknown(given, file)
    if schema.types == batches.schema.types:
        return batches
    return replace(batches, schema=schema, rows=_rows(batches.rows, schema, file))


def _simple(storage: pa.DataType) -> pa.DataType:
    """The nearest type that Arrow's functions know."""
    if storage in _LONG:
        return _LONG[storage]
    if isinstance(storage, pa.BaseExtensionType):
        return _simple(storage.storage_type)
    if pa.types.is_run_end_encoded(storage):
        return _simple(storage.value_type)
    if pa.types.is_dictionary(storage):
        return pa.dictionary(storage.index_type, _simple(storage.value_type), storage.ordered)
    if pa.types.is_decimal(storage) and storage.bit_width < _DECIMAL_BITS:
        return pa.decimal128(storage.precision, storage.scale)
    return _simple_nested(storage) if pa.types.is_nested(storage) else storage


def _simple_nested(storage: pa.DataType) -> pa.DataType:
    """The same of a list, a struct or a map; any other nested type as it is."""
    parts = [storage.field(at) for at in range(storage.num_fields)]
    simple = [part.with_type(_simple(part.type)) for part in parts]
    if pa.types.is_struct(storage):
        return pa.struct(simple)
    if pa.types.is_map(storage):
        return pa.map_(_simple(storage.key_type), _simple(storage.item_type), storage.keys_sorted)
    if pa.types.is_fixed_size_list(storage):
        return pa.list_(simple[0], storage.list_size)
    if pa.types.is_list(storage):
        return pa.list_(simple[0])
    return pa.large_list(simple[0]) if pa.types.is_large_list(storage) else storage


def _can_be_taken(storage: pa.DataType) -> bool:
    """Whether rows of a type can be chosen; only of lists and the like need that be asked."""
    if not pa.types.is_nested(storage):
        return True
    try:
        pa.chunked_array([], storage).take(pa.nulls(0, pa.int64()))
    except pa.ArrowNotImplementedError:
        return False
    return True


def _rows(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, file: str
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = [
            _brought(values, given, wanted.type, file)
            for values, given, wanted in zip(batch.columns, batch.schema, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _brought(values: pa.Array, given: pa.Field, storage: pa.DataType, file: str) -> pa.Array:
    try:
        return _as(values, storage)
    except pa.ArrowException:
        raise _unknown(given, file) from None


def _as(values: pa.Array, storage: pa.DataType) -> pa.Array:
    """The same values in the nearest type that Arrow's functions know."""
    if values.type == storage:
        return values
    if isinstance(values, pa.ExtensionArray):
        return _as(values.storage, storage)
    if isinstance(values, pa.RunEndEncodedArray):
        return _as(pc.run_end_decode(values), storage)
    if isinstance(values, pa.DictionaryArray):
        words = _as(values.dictionary, storage.value_type)
        return pa.DictionaryArray.from_arrays(values.indices, words, ordered=storage.ordered)
    return values.cast(storage)


def _unknown(field: pa.Field, file: str) -> DataError:
    message = f"holds {field.type}, which is not read; write it as plain values, or leave it out"
    return DataError(message, file=file, column=field.name)
