"""Times as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding import DatetimeEncoder
from dlcli.tables import SECOND, Table


def seconds_of(table: Table, encoder: DatetimeEncoder) -> NDArray[np.float64]:
    """A column of times in seconds since 1970 (UTC), NaN where there is none, (rows,).

    Args:
        table: the rows.
        encoder: of the column.

    Raises:
        DataError: if the column can't hold times.
    """
    times = table.parse_times(encoder.column, encoder.formats, encoder.timezone)
    return np.where(times.missing | times.unreadable, np.nan, times.moments / SECOND)
