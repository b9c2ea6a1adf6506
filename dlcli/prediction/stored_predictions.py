"""The columns of a run's stored predictions, each checked as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import RunError
from dlcli.tables import to_numpy

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoredPredictions:
    """A table of predictions from a run folder, which may hold anything."""

    table: pa.Table
    path: str
    """The table's path, for messages."""
    task_file: str = "encoding.json"
    """The file that lists the known classes, for messages."""

    def of_split(self, split: str) -> StoredPredictions:
        """Return the rows of one set."""
        import pyarrow.compute as pc

        rows = pc.equal(self._cast("split", "string"), split)
        return replace(self, table=self.table.filter(rows))

    def filtered(self, rows: NDArray[np.bool_]) -> StoredPredictions:
        """Return the rows that are marked, (rows,)."""
        import pyarrow as pa

        return replace(self, table=self.table.filter(pa.array(rows)))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is a column of a name."""
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
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(self._cast(name, "string"), value_set=pa.array(list(known), "string"))
        if found.null_count:
            raise self._damaged(name, f"holds a value that its {self.task_file} doesn't list")
        return to_numpy(pc.cast(found, "int64"), np.int64)

    def _cast(self, name: str, storage: str) -> pa.ChunkedArray:
        """Return a column as another type.

        Raises:
            RunError: if it isn't there, lacks values, or can't be cast.
        """
        from pyarrow import ArrowException, types
        from pyarrow.compute import cast

        if self.table.column_names.count(name) != 1:
            raise self._damaged(name, "is missing, or there twice")
        column = self.table.column(name)
        if column.null_count:
            raise self._damaged(name, "lacks values")
        try:
            if types.is_boolean(column.type) and storage == "double":
                column = cast(column, "int8")
            return cast(column, storage)
        except ArrowException:
            raise self._damaged(name, f"holds {str(column.type)[:60]}") from None

    def _damaged(self, name: str, finding: str) -> RunError:
        return RunError(f"{self.path}: column '{name[:60]}' {finding}; train it again")
