"""Predictions that are stored in a run folder, as the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import Floats, integers, strings, to_numpy
from dlcli.errors import RunError


@dataclass(frozen=True)
class StoredPredictions:
    """A table of predictions from a run folder, which may hold anything."""

    table: pa.Table
    path: str
    """The table's path, for messages."""
    task_file: str = "encoding"
    """Name of the file that lists the known classes, for messages."""

    def of_split(self, split: str) -> StoredPredictions:
        """Return the rows of one set."""
        sets = self._cast("split", "string")
        wanted = strings([split], pa.string())
        return replace(self, table=self.table.filter(pc.equal(sets, wanted[0])))

    def filtered(self, rows: NDArray[np.bool_]) -> StoredPredictions:
        """Return the rows that are marked, (rows,)."""
        return replace(self, table=self.table.take(integers(np.flatnonzero(rows))))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Return whether there is a column of a name."""
        return name in self.table.column_names

    def floats(self, *names: str) -> Floats:
        """Read numbers, or true and false as 1 and 0, (rows, names)."""
        each = [to_numpy(self._cast(name, "double"), np.float64) for name in names]
        return np.stack(each, axis=1)

    def integers(self, name: str) -> NDArray[np.int64]:
        """Read integers, (rows,)."""
        return to_numpy(self._cast(name, "int64"), np.int64)

    def texts(self, name: str) -> list[str]:
        """Read texts, (rows,)."""
        texts: list[str] = self._cast(name, "string").to_pylist()
        return texts

    def indices(self, name: str, known: Sequence[str]) -> NDArray[np.int64]:
        """Read the index of each value among known ones, (rows,).

        Raises:
            RunError: for any other value.
        """
        values = self._cast(name, "string")
        indices = pc.index_in(values, value_set=strings(known, pa.string()))
        if indices.null_count:
            raise self._damaged(name, f"holds a value that its {self.task_file} doesn't list")
        return to_numpy(pc.cast(indices, "int64"), np.int64)

    def _cast(self, name: str, storage: str) -> pa.ChunkedArray:
        """Return a column as another type.

        Raises:
            RunError: if it isn't there, lacks values, or can't be cast.
        """
        found = self.table.schema.get_all_field_indices(name)
        if len(found) != 1:
            raise self._damaged(name, "is missing, or there twice")
        column = self.table.column(found[0])
        if column.null_count:
            raise self._damaged(name, "lacks values")
        try:
            if pa.types.is_boolean(column.type) and storage == "double":
                column = pc.cast(column, "int8")
            return pc.cast(column, storage)
        except pa.ArrowException:
            raise self._damaged(name, f"holds {str(column.type)[:60]}") from None

    def _damaged(self, name: str, finding: str) -> RunError:
        return RunError(f"{self.path}: column '{name[:60]}' {finding}; train it again")
